/*-------------------------------------------------------------------------
 *
 * table_scan.c
 *	  Reading rows of our own tables by an index, without the executor.
 *
 * A look-up of one row costs a few microseconds this way, of which a
 * statement would spend several times as much on starting and ending.
 *
 * Locking: AccessShareLock on the table and the index, kept until the scan
 * ends; on the table until the transaction does, as a statement's would be,
 * where the scan is as of now: what it finds may be written by its place, which
 * a command that moves all rows, such as VACUUM FULL, would change.
 *
 * Memory: the caller's context, freed by uaef_scan_end(); what is read of a row
 * by uaef_row_text() and the like is in the context that was current at
 * SPI_connect(), as with the readers of spi_util.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "executor/tuptable.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "spi_util.h"
#include "table_scan.h"

void
uaef_scan_begin(UaefScan *scan, const char *table, const char *index,
				Snapshot snapshot, int nkeys, ScanKeyData *keys)
{
	Oid			schema = get_namespace_oid("uaef", false);

	scan->pushed = false;
	scan->rel = table_open(get_relname_relid(table, schema), AccessShareLock);
	scan->index = index_open(get_relname_relid(index, schema),
							 AccessShareLock);
	scan->scan = uaef_index_beginscan(scan->rel, scan->index, snapshot, nkeys);
	scan->slot = table_slot_create(scan->rel, NULL);
	index_rescan(scan->scan, keys, nkeys, NULL, 0);
}

/*
 * As SPI does it before a statement that may write.
 */
void
uaef_scan_begin_now(UaefScan *scan, const char *table, const char *index,
					int nkeys, ScanKeyData *keys)
{
	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	uaef_scan_begin(scan, table, index, GetActiveSnapshot(), nkeys, keys);
	scan->pushed = true;
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
	table_close(scan->rel, scan->pushed ? NoLock : AccessShareLock);
	if (scan->pushed)
		PopActiveSnapshot();
}

/* ----------
 * Columns of a row
 * ----------
 */

char *
uaef_row_text(TupleTableSlot *row, int column)
{
	bool		isnull;
	Datum		value = slot_getattr(row, column, &isnull);

	return isnull ? NULL : uaef_copy_text(value);
}

Jsonb *
uaef_row_jsonb(TupleTableSlot *row, int column)
{
	bool		isnull;
	Datum		value = slot_getattr(row, column, &isnull);

	return isnull ? NULL : uaef_copy_jsonb(value);
}

void *
uaef_row_toasted(TupleTableSlot *row, int column)
{
	bool		isnull;
	Datum		value = slot_getattr(row, column, &isnull);

	return isnull ? NULL : uaef_copy_toasted(value);
}

TimestampTz
uaef_row_time(TupleTableSlot *row, int column)
{
	bool		isnull;
	Datum		value = slot_getattr(row, column, &isnull);

	return isnull ? 0 : DatumGetTimestampTz(value);
}

bool
uaef_row_uuid(TupleTableSlot *row, int column, pg_uuid_t *value)
{
	bool		isnull;
	Datum		datum = slot_getattr(row, column, &isnull);

	if (!isnull)
		*value = *DatumGetUUIDP(datum);
	return !isnull;
}

int
uaef_row_int32(TupleTableSlot *row, int column, int otherwise)
{
	bool		isnull;
	Datum		value = slot_getattr(row, column, &isnull);

	return isnull ? otherwise : DatumGetInt32(value);
}

int64
uaef_row_int64(TupleTableSlot *row, int column, int64 otherwise)
{
	bool		isnull;
	Datum		value = slot_getattr(row, column, &isnull);

	return isnull ? otherwise : DatumGetInt64(value);
}

/*
 * Who wrote it; of a frozen row, whose number may have been given again since,
 * nobody.
 */
static TransactionId
row_xmin(TupleTableSlot *row)
{
	return HeapTupleHeaderGetXmin(ExecFetchSlotHeapTuple(row, false,
														 NULL)->t_data);
}

bool
uaef_row_is_ours(TupleTableSlot *row)
{
	return TransactionIdIsCurrentTransactionId(row_xmin(row));
}

bool
uaef_row_is_seen(TupleTableSlot *row, Snapshot snapshot)
{
	return uaef_row_is_ours(row) || !XidInMVCCSnapshot(row_xmin(row), snapshot);
}
