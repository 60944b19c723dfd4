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
