/*-------------------------------------------------------------------------
 *
 * table_scan.c
 *	  Reading rows of our own tables by an index, without the executor.
 *
 * A look-up of one row costs a few microseconds this way, of which a
 * statement would spend several times as much on starting and ending.
 *
 * Locking: AccessShareLock on the table and the index, kept until the scan
 * ends.  Memory: the caller's context, freed by uaef_scan_end().
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "catalog/namespace.h"
#include "executor/tuptable.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "compat.h"
#include "table_scan.h"

void
uaef_scan_begin(UaefScan *scan, const char *table, const char *index,
				Snapshot snapshot, int nkeys, ScanKeyData *keys)
{
	Oid			schema = get_namespace_oid("uaef", false);

	scan->rel = table_open(get_relname_relid(table, schema), AccessShareLock);
	scan->index = index_open(get_relname_relid(index, schema),
							 AccessShareLock);
	scan->scan = uaef_index_beginscan(scan->rel, scan->index, snapshot, nkeys);
	scan->slot = table_slot_create(scan->rel, NULL);
	index_rescan(scan->scan, keys, nkeys, NULL, 0);
}

void
uaef_scan_again(UaefScan *scan, int nkeys, ScanKeyData *keys)
{
	ExecClearTuple(scan->slot);
	index_rescan(scan->scan, keys, nkeys, NULL, 0);
}

bool
uaef_scan_next(UaefScan *scan, ScanDirection direction)
{
	return index_getnext_slot(scan->scan, direction, scan->slot);
}

Datum
uaef_scan_value(UaefScan *scan, int column)
{
	bool		isnull;
	Datum		value = slot_getattr(scan->slot, column, &isnull);

	if (isnull)
		elog(ERROR, "column %d of %s is null", column,
			 RelationGetRelationName(scan->rel));
	return value;
}

void
uaef_scan_end(UaefScan *scan)
{
	ExecDropSingleTupleTableSlot(scan->slot);
	index_endscan(scan->scan);
	index_close(scan->index, AccessShareLock);
	table_close(scan->rel, AccessShareLock);
}
