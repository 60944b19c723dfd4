/*-------------------------------------------------------------------------
 *
 * row_write.c
 *	  Writing rows of our own tables without the executor.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "row_write.h"

static void require_plain_indexes(const UaefTable *table);

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
