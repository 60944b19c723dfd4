/*-------------------------------------------------------------------------
 *
 * row_write.h
 *	  Writing rows of our own tables without the executor.
 *
 * Most of what a statement of a few rows costs is setting it up.  Where rows
 * are ready in C and the table has plain indexes only, they go to the heap and
 * its indexes as the server writes its catalogs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_ROW_WRITE_H
#define UAEF_ROW_WRITE_H

#include "access/tupdesc.h"
#include "catalog/indexing.h"
#include "storage/itemptr.h"
#include "storage/lockdefs.h"
#include "utils/relcache.h"

typedef struct UaefTable
{
	Relation	rel;
	CatalogIndexState indexes;
	LOCKMODE	index_lock;		/* NoLock: held already, and to stay */

	/* Which command rows are of; InvalidCommandId: the current one. */
	CommandId	command;
} UaefTable;

/*
 * Open a table of ours for writing.  It must have no generated column; its
 * CHECKs, triggers and rules are not heeded: they are for who writes by SQL.
 * Raises 25006 in a transaction that only reads, and 0A000 for a partial index
 * or one on an expression.
 */
extern void uaef_table_open(UaefTable *table, const char *name);
extern void uaef_table_open_oid(UaefTable *table, Oid relation);

/* Raise 55000 unless a table of ours has as many columns as the library knows. */
extern void uaef_require_columns(TupleDesc desc, const char *table,
								 int columns);

/* Insert a row of all columns; *tid is where it is. */
extern void uaef_table_insert(UaefTable *table, Datum *values, bool *nulls,
							  ItemPointer tid);

/*
 * Insert many rows: page by page, then index by index, those whose first
 * column is a bigint in its order, so that neighbours meet the same pages.
 * t_self of each tells where it is.
 */
extern void uaef_table_insert_many(UaefTable *table, HeapTuple *rows, int n);

/*
 * The same for rows that nobody is expected to update: they fill their pages,
 * whatever part of them the table's fillfactor leaves free.
 */
extern void uaef_table_insert_last(UaefTable *table, HeapTuple *rows, int n);

/*
 * Put another version in the place of the row at *tid, which nobody else can
 * be changing; *tid is where it is then.
 */
extern void uaef_table_update(UaefTable *table, Datum *values, bool *nulls,
							  ItemPointer tid);

/* Delete the row at *tid, which nobody else can be changing. */
extern void uaef_table_delete(UaefTable *table, ItemPointer tid);

/* Close it, and let what follows see what was written. */
extern void uaef_table_close(UaefTable *table);

/*
 * The same, but its indexes stay locked until the transaction ends: for who
 * comes back for each row.
 */
extern void uaef_table_leave(UaefTable *table);

/* The index of the primary key, open as long as the table is; or NULL. */
extern Relation uaef_table_primary_key(const UaefTable *table);

#endif							/* UAEF_ROW_WRITE_H */
