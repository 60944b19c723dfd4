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
#include "datatype/timestamp.h"
#include "executor/tuptable.h"
#include "utils/jsonb.h"
#include "utils/snapshot.h"
#include "utils/uuid.h"

typedef struct UaefScan
{
	Relation	rel;
	Relation	index;
	IndexScanDesc scan;
	TupleTableSlot *slot;		/* the row that is stood on */
	bool		pushed;			/* a snapshot, by uaef_scan_begin_now() */
} UaefScan;

/*
 * Begin to read a table in the order of an index, with nkeys keys over the
 * index's columns (numbered from 1).  Rows are those that the snapshot sees.
 */
extern void uaef_scan_begin(UaefScan *scan, const char *table,
							const char *index, Snapshot snapshot, int nkeys,
							ScanKeyData *keys);

/*
 * The same; rows are those that a statement would see which begins now, and is
 * not read only.  That snapshot is the active one until uaef_scan_end(); the
 * table stays locked until the transaction ends.
 */
extern void uaef_scan_begin_now(UaefScan *scan, const char *table,
								const char *index, int nkeys,
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

/*
 * A column of a row, copied to the context that was current at SPI_connect();
 * NULL, 0 or what is given when it is null.
 */
extern char *uaef_row_text(TupleTableSlot *row, int column);
extern Jsonb *uaef_row_jsonb(TupleTableSlot *row, int column);
extern void *uaef_row_toasted(TupleTableSlot *row, int column); /* as it is stored */
extern TimestampTz uaef_row_time(TupleTableSlot *row, int column);
extern int	uaef_row_int32(TupleTableSlot *row, int column, int otherwise);
extern int64 uaef_row_int64(TupleTableSlot *row, int column,
							int64 otherwise);

/* Take a uuid; false when it is null. */
extern bool uaef_row_uuid(TupleTableSlot *row, int column, pg_uuid_t *value);

/* Whether our own transaction wrote the row. */
extern bool uaef_row_is_ours(TupleTableSlot *row);

/* Whether it did, or the one that wrote it had ended for the snapshot. */
extern bool uaef_row_is_seen(TupleTableSlot *row, Snapshot snapshot);

#endif							/* UAEF_TABLE_SCAN_H */
