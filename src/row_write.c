/*-------------------------------------------------------------------------
 *
 * row_write.c
 *	  Writing rows of our own tables without the executor.
 *
 * Locking: RowExclusiveLock on a table to the end of the transaction, and on
 * its indexes while it is open, or as long.
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
#include "catalog/pg_am_d.h"
#include "catalog/pg_index.h"
#include "catalog/pg_type_d.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"

#include "compat.h"
#include "row_write.h"

/* Rows that are put into the heap at a time. */
#define MANY_ROWS	250

/* So few are written with the relation's own description. */
#define FEW_ROWS	8

/* Locks are remembered of so many relations. */
#define MAX_LEFT	8

/* What uaef_table_leave() left locked, and in which (sub)transaction. */
typedef struct LeftLocks
{
	FullTransactionId xid;
	SubTransactionId subid;
	int			n;
	Oid			relations[MAX_LEFT];
} LeftLocks;

static LeftLocks left;

/* What goes into an index for one row. */
typedef struct IndexEntry
{
	Datum	   *values;
	bool	   *nulls;
	ItemPointer tid;
} IndexEntry;

/* By their first column, a bigint. */
#define ST_SORT sort_entries
#define ST_ELEMENT_TYPE IndexEntry
#define ST_COMPARE(a, b) \
	(DatumGetInt64((a)->values[0]) < DatumGetInt64((b)->values[0]) ? -1 : \
	 DatumGetInt64((a)->values[0]) > DatumGetInt64((b)->values[0]))
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

static bool is_left_locked(Oid relation);
static void keep_lock(Relation rel, bool kept);
static void require_plain_indexes(const UaefTable *table);
static IndexInfo *index_info(Relation index, IndexInfo *plain);
static void open_indexes(UaefTable *table);
static CommandId command_of(const UaefTable *table);
static void insert_entry(UaefTable *table, int index, Datum *values,
						 bool *nulls, ItemPointer tid);
static void insert_row(UaefTable *table, HeapTuple row);
static IndexEntry *index_entries(const UaefTable *table, IndexInfo *info,
								 HeapTuple *rows, int n);
static void insert_entries(UaefTable *table, int index, HeapTuple *rows,
						   int n);
static void insert_some(UaefTable *table, TupleTableSlot **slots,
						HeapTuple *rows, int n);
static void insert_rows(UaefTable *table, HeapTuple *rows, int n);

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
 * What the (sub)transaction that runs has left locked stays so until it ends,
 * and need not be looked for among its locks again.
 */
static bool
is_left_locked(Oid relation)
{
	if (!FullTransactionIdIsValid(left.xid) ||
		!FullTransactionIdEquals(left.xid, GetTopFullTransactionIdIfAny()) ||
		left.subid != GetCurrentSubTransactionId())
		return false;
	for (int i = 0; i < left.n; i++)
		if (left.relations[i] == relation)
			return true;
	return false;
}

/*
 * Have the (sub)transaction keep a lock until it ends, unless it does so already.
 * That of a cursor ends with the cursor, and that may be in a subtransaction
 * which fails, though it began outside.
 */
static void
keep_lock(Relation rel, bool kept)
{
	ResourceOwner owner = CurrentResourceOwner;

	if (!kept)
	{
		CurrentResourceOwner = CurTransactionResourceOwner;
		LockRelationOid(RelationGetRelid(rel), RowExclusiveLock);
		CurrentResourceOwner = owner;
	}
	if (left.n < MAX_LEFT)
		left.relations[left.n++] = RelationGetRelid(rel);
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

/*
 * What has to be known of an index to write to it.  Of a B-tree on columns that
 * is so little that it is put together here; the server would look up what
 * building it needs.
 */
static IndexInfo *
index_info(Relation index, IndexInfo *plain)
{
	Form_pg_index form = index->rd_index;

	if (index->rd_rel->relam != BTREE_AM_OID || form->indisexclusion ||
		!heap_attisnull(index->rd_indextuple, Anum_pg_index_indexprs, NULL) ||
		!heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL))
		return BuildIndexInfo(index);

	plain->type = T_IndexInfo;
	plain->ii_NumIndexAttrs = form->indnatts;
	plain->ii_NumIndexKeyAttrs = form->indnkeyatts;
	for (int i = 0; i < form->indnatts; i++)
		plain->ii_IndexAttrNumbers[i] = form->indkey.values[i];
	plain->ii_Unique = form->indisunique;
	plain->ii_ReadyForInserts = form->indisready;
	plain->ii_Am = BTREE_AM_OID;
	plain->ii_Context = CurrentMemoryContext;
	return plain;
}

/*
 * CatalogOpenIndexes(), with our own index_info().
 */
static void
open_indexes(UaefTable *table)
{
	CatalogIndexState indexes = makeNode(ResultRelInfo);
	List	   *oids = RelationGetIndexList(table->rel);
	int			n = list_length(oids);
	IndexInfo  *infos = palloc0(Max(n, 1) * sizeof(IndexInfo));

	table->indexes = indexes;
	table->index_lock = is_left_locked(RelationGetRelid(table->rel)) ?
		NoLock : RowExclusiveLock;
	for (int i = 0; i < n; i++)
		if (!is_left_locked(list_nth_oid(oids, i)))
			table->index_lock = RowExclusiveLock;

	indexes->ri_RelationDesc = table->rel;
	indexes->ri_NumIndices = n;
	indexes->ri_IndexRelationDescs = palloc(Max(n, 1) * sizeof(Relation));
	indexes->ri_IndexRelationInfo = palloc(Max(n, 1) * sizeof(IndexInfo *));
	for (int i = 0; i < n; i++)
	{
		Relation	index = index_open(list_nth_oid(oids, i),
									   table->index_lock);

		indexes->ri_IndexRelationDescs[i] = index;
		indexes->ri_IndexRelationInfo[i] = index_info(index, &infos[i]);
	}
	list_free(oids);
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
	table->rel = table_open(relation, is_left_locked(relation) ?
							NoLock : RowExclusiveLock);
	table->command = InvalidCommandId;
	open_indexes(table);
	require_plain_indexes(table);
}

static void
insert_entry(UaefTable *table, int index, Datum *values, bool *nulls,
			 ItemPointer tid)
{
	Relation	rel = table->indexes->ri_IndexRelationDescs[index];

	(void) index_insert(rel, values, nulls, tid, table->rel,
						rel->rd_index->indisunique ?
						UNIQUE_CHECK_YES : UNIQUE_CHECK_NO, false,
						table->indexes->ri_IndexRelationInfo[index]);
}

static CommandId
command_of(const UaefTable *table)
{
	return table->command != InvalidCommandId ? table->command :
		GetCurrentCommandId(true);
}

static void
insert_row(UaefTable *table, HeapTuple row)
{
	TupleDesc	desc = RelationGetDescr(table->rel);
	Datum		values[INDEX_MAX_KEYS];
	bool		nulls[INDEX_MAX_KEYS];

	heap_insert(table->rel, row, command_of(table), 0, NULL);
	for (int i = 0; i < table->indexes->ri_NumIndices; i++)
	{
		const IndexInfo *info = table->indexes->ri_IndexRelationInfo[i];

		if (!info->ii_ReadyForInserts)
			continue;
		for (int k = 0; k < info->ii_NumIndexAttrs; k++)
			values[k] = heap_getattr(row, info->ii_IndexAttrNumbers[k], desc,
									 &nulls[k]);
		insert_entry(table, i, values, nulls, &row->t_self);
	}
}

void
uaef_table_insert(UaefTable *table, Datum *values, bool *nulls,
				  ItemPointer tid)
{
	HeapTuple	tuple = heap_form_tuple(RelationGetDescr(table->rel), values,
										nulls);

	insert_row(table, tuple);
	if (tid != NULL)
		*tid = tuple->t_self;
	heap_freetuple(tuple);
}

static IndexEntry *
index_entries(const UaefTable *table, IndexInfo *info, HeapTuple *rows, int n)
{
	TupleDesc	desc = RelationGetDescr(table->rel);
	int			columns = info->ii_NumIndexAttrs;
	IndexEntry *entries = palloc(sizeof(IndexEntry) * n);
	Datum	   *values = palloc(sizeof(Datum) * columns * n);
	bool	   *nulls = palloc(sizeof(bool) * columns * n);

	for (int i = 0; i < n; i++)
	{
		for (int k = 0; k < columns; k++)
			values[k] = heap_getattr(rows[i], info->ii_IndexAttrNumbers[k],
									 desc, &nulls[k]);
		entries[i].values = values;
		entries[i].nulls = nulls;
		entries[i].tid = &rows[i]->t_self;
		values += columns;
		nulls += columns;
	}
	return entries;
}

/*
 * Put rows that are in the heap into an index.
 */
static void
insert_entries(UaefTable *table, int index, HeapTuple *rows, int n)
{
	Relation	rel = table->indexes->ri_IndexRelationDescs[index];
	IndexInfo  *info = table->indexes->ri_IndexRelationInfo[index];
	IndexEntry *entries;

	if (!info->ii_ReadyForInserts)
		return;
	entries = index_entries(table, info, rows, n);
	if (TupleDescAttr(RelationGetDescr(rel), 0)->atttypid == INT8OID &&
		TupleDescAttr(RelationGetDescr(table->rel),
					  info->ii_IndexAttrNumbers[0] - 1)->attnotnull)
		sort_entries(entries, n);
	for (int i = 0; i < n; i++)
		insert_entry(table, index, entries[i].values, entries[i].nulls,
					 entries[i].tid);
}

/*
 * A slot that does not own its row would have it copied before it is written,
 * and one that does frees it with the slot: so it owns it only meanwhile.
 */
static void
insert_some(UaefTable *table, TupleTableSlot **slots, HeapTuple *rows, int n)
{
	for (int i = 0; i < n; i++)
		ExecStoreHeapTuple(rows[i], slots[i], true);
	heap_multi_insert(table->rel, slots, n, command_of(table), 0, NULL);
	for (int i = 0; i < n; i++)
	{
		rows[i]->t_self = slots[i]->tts_tid;
		slots[i]->tts_flags &= ~TTS_FLAG_SHOULDFREE;
		ExecClearTuple(slots[i]);
	}
}

static void
insert_rows(UaefTable *table, HeapTuple *rows, int n)
{
	int			n_slots = Min(n, MANY_ROWS);
	TupleTableSlot **slots = palloc(sizeof(TupleTableSlot *) * n_slots);
	TupleDesc	desc = RelationGetDescr(table->rel);

	/* The relation's own counts its users one by one. */
	if (n > FEW_ROWS)
		desc = CreateTupleDescCopy(desc);
	for (int i = 0; i < n_slots; i++)
		slots[i] = MakeSingleTupleTableSlot(desc, &TTSOpsHeapTuple);
	for (int from = 0; from < n; from += n_slots)
		insert_some(table, slots, rows + from, Min(n - from, n_slots));
	for (int i = 0; i < n_slots; i++)
		ExecDropSingleTupleTableSlot(slots[i]);
}

void
uaef_table_insert_many(UaefTable *table, HeapTuple *rows, int n)
{
	MemoryContext context;
	MemoryContext back;

	if (n == 0)
		return;
	if (n == 1)
	{
		insert_row(table, rows[0]);
		return;
	}
	context = AllocSetContextCreate(CurrentMemoryContext, "uaef rows",
									ALLOCSET_DEFAULT_SIZES);
	back = MemoryContextSwitchTo(context);
	insert_rows(table, rows, n);
	for (int i = 0; i < table->indexes->ri_NumIndices; i++)
		insert_entries(table, i, rows, n);
	MemoryContextSwitchTo(back);
	MemoryContextDelete(context);
}

/*
 * When the cache of relations has made the entry anew meanwhile, it has other
 * options, which are right.
 */
static void
set_back(Relation rel, StdRdOptions *options, int fillfactor)
{
	if ((StdRdOptions *) rel->rd_options == options)
		options->fillfactor = fillfactor;
}

/*
 * The fillfactor in the cache of relations is what the heap goes by; nothing but
 * the room in pages comes of it.
 */
void
uaef_table_insert_last(UaefTable *table, HeapTuple *rows, int n)
{
	StdRdOptions *options = (StdRdOptions *) table->rel->rd_options;
	int			fillfactor;

	if (options == NULL)
	{
		uaef_table_insert_many(table, rows, n);
		return;
	}
	fillfactor = options->fillfactor;
	options->fillfactor = HEAP_DEFAULT_FILLFACTOR;
	PG_TRY();
	{
		uaef_table_insert_many(table, rows, n);
	}
	PG_CATCH();
	{
		set_back(table->rel, options, fillfactor);
		PG_RE_THROW();
	}
	PG_END_TRY();
	set_back(table->rel, options, fillfactor);
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
	/* Locks that are not ours alone are not given up. */
	if (table->index_lock == NoLock)
	{
		uaef_table_leave(table);
		return;
	}
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
	bool		kept = table->index_lock == NoLock;

	left.xid = GetTopFullTransactionIdIfAny();
	left.subid = GetCurrentSubTransactionId();
	left.n = 0;
	keep_lock(table->rel, kept);
	for (int i = 0; i < table->indexes->ri_NumIndices; i++)
	{
		Relation	index = table->indexes->ri_IndexRelationDescs[i];

		uaef_index_insert_cleanup(index,
								  table->indexes->ri_IndexRelationInfo[i]);
		keep_lock(index, kept);
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
