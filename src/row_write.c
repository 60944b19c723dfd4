/*-------------------------------------------------------------------------
 *
 * row_write.c
 *	  Writing rows of our own tables without the executor.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_type_d.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "compat.h"
#include "row_write.h"

/* Rows that are written at a time. */
#define MANY_ROWS	1000

/* So few are written with the relation's own description. */
#define FEW_ROWS	8

/* What goes into an index for one row. */
typedef struct IndexEntry
{
	Datum	   *values;
	bool	   *nulls;
	ItemPointer tid;
} IndexEntry;

static void require_plain_indexes(const UaefTable *table);
static int	compare_int64(const void *a, const void *b);
static IndexEntry *index_entries(IndexInfo *info, TupleTableSlot **slots,
								 int n);
static void insert_entries(UaefTable *table, int index,
						   TupleTableSlot **slots, int n);
static void insert_some(UaefTable *table, TupleTableSlot **slots, int n);

void
uaef_require_columns(TupleDesc desc, const char *table, int columns)
{
	if (desc->natts != columns)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"uaef.%s\" has %d columns, not %d", table,
						desc->natts, columns),
				 errdetail("Columns were added, or the library is of another version than the extension."),
				 errhint("ALTER EXTENSION uaef UPDATE may be missing.")));
}

/*
 * Somebody may have added an index that takes an executor to write; without
 * one the server would crash, or put the wrong rows in.
 */
static void
require_plain_indexes(const UaefTable *table)
{
	for (int i = 0; i < table->indexes->ri_NumIndices; i++)
	{
		const IndexInfo *index = table->indexes->ri_IndexRelationInfo[i];

		if (index->ii_Expressions != NIL || index->ii_Predicate != NIL ||
			index->ii_ExclusionOps != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot write to table \"uaef.%s\" with index \"%s\"",
							RelationGetRelationName(table->rel),
							RelationGetRelationName(table->indexes->ri_IndexRelationDescs[i])),
					 errdetail("Its indexes must be on columns, without a condition or an exclusion constraint."),
					 errhint("Drop the index, and make it on a materialized view.")));
	}
}

void
uaef_table_open(UaefTable *table, const char *name)
{
	Oid			relation = get_relname_relid(name,
											 get_namespace_oid("uaef", false));

	if (!OidIsValid(relation))
		elog(ERROR, "table uaef.%s does not exist", name);
	uaef_table_open_oid(table, relation);
}

void
uaef_table_open_oid(UaefTable *table, Oid relation)
{
	PreventCommandIfReadOnly("INSERT, UPDATE or DELETE");
	table->rel = table_open(relation, RowExclusiveLock);
	table->indexes = CatalogOpenIndexes(table->rel);
	require_plain_indexes(table);
}

void
uaef_table_insert(UaefTable *table, Datum *values, bool *nulls,
				  ItemPointer tid)
{
	HeapTuple	tuple = heap_form_tuple(RelationGetDescr(table->rel), values,
										nulls);

	CatalogTupleInsertWithInfo(table->rel, tuple, table->indexes);
	if (tid != NULL)
		*tid = tuple->t_self;
	heap_freetuple(tuple);
}

static int
compare_int64(const void *a, const void *b)
{
	int64		left = DatumGetInt64(((const IndexEntry *) a)->values[0]);
	int64		right = DatumGetInt64(((const IndexEntry *) b)->values[0]);

	return left < right ? -1 : left > right;
}

static IndexEntry *
index_entries(IndexInfo *info, TupleTableSlot **slots, int n)
{
	int			columns = info->ii_NumIndexAttrs;
	IndexEntry *entries = palloc(sizeof(IndexEntry) * n);
	Datum	   *values = palloc(sizeof(Datum) * columns * n);
	bool	   *nulls = palloc(sizeof(bool) * columns * n);

	for (int i = 0; i < n; i++)
	{
		for (int k = 0; k < columns; k++)
			values[k] = slot_getattr(slots[i],
									 info->ii_IndexAttrNumbers[k], &nulls[k]);
		entries[i].values = values;
		entries[i].nulls = nulls;
		entries[i].tid = &slots[i]->tts_tid;
		values += columns;
		nulls += columns;
	}
	return entries;
}

/*
 * Put rows that are in the heap into an index.
 */
static void
insert_entries(UaefTable *table, int index, TupleTableSlot **slots, int n)
{
	Relation	rel = table->indexes->ri_IndexRelationDescs[index];
	IndexInfo  *info = table->indexes->ri_IndexRelationInfo[index];
	IndexEntry *entries;

	if (!info->ii_ReadyForInserts)
		return;
	entries = index_entries(info, slots, n);
	if (TupleDescAttr(RelationGetDescr(rel), 0)->atttypid == INT8OID &&
		TupleDescAttr(RelationGetDescr(table->rel),
					  info->ii_IndexAttrNumbers[0] - 1)->attnotnull)
		qsort(entries, n, sizeof(IndexEntry), compare_int64);
	for (int i = 0; i < n; i++)
		(void) index_insert(rel, entries[i].values, entries[i].nulls,
							entries[i].tid, table->rel,
							rel->rd_index->indisunique ?
							UNIQUE_CHECK_YES : UNIQUE_CHECK_NO, false, info);
}

static void
insert_some(UaefTable *table, TupleTableSlot **slots, int n)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "uaef rows",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext back = MemoryContextSwitchTo(context);

	heap_multi_insert(table->rel, slots, n, GetCurrentCommandId(true), 0,
					  NULL);
	for (int i = 0; i < table->indexes->ri_NumIndices; i++)
		insert_entries(table, i, slots, n);
	MemoryContextSwitchTo(back);
	MemoryContextDelete(context);
}

void
uaef_table_insert_many(UaefTable *table, HeapTuple *rows, int n)
{
	int			n_slots = Min(n, MANY_ROWS);
	TupleTableSlot **slots = palloc(sizeof(TupleTableSlot *) * Max(n_slots, 1));
	bool		few = n <= FEW_ROWS;
	TupleDesc	desc;			/* for many rows a copy, as the relation's own
								 * counts its users one by one */

	if (n == 0)
		return;
	if (n == 1)
	{
		CatalogTupleInsertWithInfo(table->rel, rows[0], table->indexes);
		return;
	}
	desc = few ? RelationGetDescr(table->rel) :
		CreateTupleDescCopy(RelationGetDescr(table->rel));
	for (int i = 0; i < n_slots; i++)
		slots[i] = MakeSingleTupleTableSlot(desc, &TTSOpsHeapTuple);
	for (int from = 0; from < n; from += n_slots)
	{
		int			some = Min(n - from, n_slots);

		for (int i = 0; i < some; i++)
			ExecStoreHeapTuple(rows[from + i], slots[i], false);
		insert_some(table, slots, some);
		for (int i = 0; i < some; i++)
		{
			rows[from + i]->t_self = slots[i]->tts_tid;
			ExecClearTuple(slots[i]);
		}
	}
	for (int i = 0; i < n_slots; i++)
		ExecDropSingleTupleTableSlot(slots[i]);
	if (!few)
		FreeTupleDesc(desc);
	pfree(slots);
}

void
uaef_table_update(UaefTable *table, Datum *values, bool *nulls,
				  ItemPointer tid)
{
	HeapTuple	tuple = heap_form_tuple(RelationGetDescr(table->rel), values,
										nulls);

	tuple->t_self = *tid;
	CatalogTupleUpdateWithInfo(table->rel, tid, tuple, table->indexes);
	*tid = tuple->t_self;
	heap_freetuple(tuple);
}

void
uaef_table_delete(UaefTable *table, ItemPointer tid)
{
	CatalogTupleDelete(table->rel, tid);
}

void
uaef_table_close(UaefTable *table)
{
	CatalogCloseIndexes(table->indexes);
	table_close(table->rel, NoLock);
	CommandCounterIncrement();
}

/*
 * CatalogCloseIndexes() would give up the locks, to take them again for the
 * next row; the table's own lasts anyway.
 */
void
uaef_table_leave(UaefTable *table)
{
	for (int i = 0; i < table->indexes->ri_NumIndices; i++)
	{
		Relation	index = table->indexes->ri_IndexRelationDescs[i];

		uaef_index_insert_cleanup(index,
								  table->indexes->ri_IndexRelationInfo[i]);
		index_close(index, NoLock);
	}
	pfree(table->indexes);
	table_close(table->rel, NoLock);
	CommandCounterIncrement();
}

Relation
uaef_table_primary_key(const UaefTable *table)
{
	for (int i = 0; i < table->indexes->ri_NumIndices; i++)
	{
		Relation	index = table->indexes->ri_IndexRelationDescs[i];

		if (index->rd_index->indisprimary)
			return index;
	}
	return NULL;
}
