/*-------------------------------------------------------------------------
 *
 * table_scan.h
 *	  Reading rows of our own tables by an index, without the executor.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_TABLE_SCAN_H
#define UAEF_TABLE_SCAN_H

#include "access/genam.h"
#include "access/relscan.h"
#include "access/skey.h"
#include "executor/tuptable.h"
#include "utils/snapshot.h"

typedef struct UaefScan
{
	Relation	rel;
	Relation	index;
	IndexScanDesc scan;
	TupleTableSlot *slot;		/* the row that is stood on */
} UaefScan;

/*
 * Begin to read a table in the order of an index, with nkeys keys over the
 * index's columns (numbered from 1).  Rows are those that the snapshot sees.
 */
extern void uaef_scan_begin(UaefScan *scan, const char *table,
							const char *index, Snapshot snapshot, int nkeys,
							ScanKeyData *keys);

/* Look for other keys, as many as before. */
extern void uaef_scan_again(UaefScan *scan, int nkeys, ScanKeyData *keys);

/* Stand on the next row; false at the end. */
extern bool uaef_scan_next(UaefScan *scan, ScanDirection direction);

/*
 * A column of the row; raises when it is null.  What is passed by reference
 * is valid until the next row.
 */
extern Datum uaef_scan_value(UaefScan *scan, int column);

extern void uaef_scan_end(UaefScan *scan);

#endif							/* UAEF_TABLE_SCAN_H */
