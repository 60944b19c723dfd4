/*-------------------------------------------------------------------------
 *
 * heap_read.h
 *	  Reading a table page by page without trusting what is in the pages.
 *
 * The server takes apart a row as its header says.  These functions look
 * first whether the header, and the length of each value, stay within the row
 * and the row within the page, so that a damaged byte gives words instead of
 * a crash.  What a value holds is for the caller to distrust.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_HEAP_READ_H
#define UAEF_HEAP_READ_H

#include "access/htup.h"
#include "access/htup_details.h"
#include "storage/bufmgr.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"

/* How the values of a column are stored. */
typedef struct UaefColumn
{
	int16		len;			/* -1: a varlena */
	uint8		align;
	bool		by_value;
} UaefColumn;

/* A table that is read. */
typedef struct UaefHeap
{
	Relation	rel;
	Snapshot	snapshot;
	BufferAccessStrategy strategy;
	int			ncolumns;
	UaefColumn *columns;
} UaefHeap;

/* A page that is pinned, and where its rows that the snapshot sees are. */
typedef struct UaefPage
{
	BlockNumber block;
	Buffer		buffer;
	int			n;
	OffsetNumber row[MaxHeapTuplesPerPage];
} UaefPage;

/*
 * Told of a row, or, with InvalidOffsetNumber, of a page that cannot be read,
 * and why.
 */
typedef void (*UaefDamage) (void *arg, BlockNumber block, OffsetNumber row,
							const char *problem);

/* Open one of our tables, with AccessShareLock. */
extern void uaef_heap_open(UaefHeap *heap, const char *table,
						   Snapshot snapshot);
extern void uaef_heap_close(UaefHeap *heap);

/*
 * Find the rows of a page; those marked in skip (by number of line pointer)
 * are passed over.  *at, unless NULL, is the row that is being looked at,
 * should the server raise.
 */
extern void uaef_heap_page(UaefHeap *heap, UaefPage *page, BlockNumber block,
						   const bool *skip, OffsetNumber *at,
						   UaefDamage damage, void *arg);
extern void uaef_heap_release(UaefPage *page);

/* A row of a page, in place. */
extern void uaef_heap_row(const UaefHeap *heap, const UaefPage *page,
						  OffsetNumber row, HeapTuple tuple);

/* Have the processor fetch a row that is looked at next. */
extern void uaef_heap_prefetch(const UaefPage *page, OffsetNumber row);

/*
 * A copy of the row at a place that uaef_heap_page() found; NULL when it is
 * damaged by now.
 */
extern HeapTuple uaef_heap_fetch(UaefHeap *heap, ItemPointer tid);

/*
 * Take a row apart, values pointing into it; NULL, or what is wrong with it.
 */
extern const char *uaef_heap_deform(const UaefHeap *heap, HeapTuple tuple,
									Datum *values, bool *nulls);

#endif							/* UAEF_HEAP_READ_H */
