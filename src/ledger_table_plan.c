/*-------------------------------------------------------------------------
 *
 * ledger_table_plan.c
 *	  How rows of a ledgered table become events: worked out once.
 *
 * Memory: each plan has a context below CacheMemoryContext.  The relation cache
 * tells when a plan is out of date; its memory is given back when the next one
 * for the relation is made, so that whoever uses it is not surprised.  What
 * changes uaef.ledger_table also invalidates the relations concerned.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/partition.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "event_hash.h"
#include "identity.h"
#include "ledger.h"
#include "ledger_table.h"
#include "ledger_table_plan.h"

/* The process's plans, by relation. */
static HTAB *plans = NULL;

static void at_invalidation(Datum arg, Oid relid);
static void make_table(void);
static bool has_name(char *const *names, int n, const char *name);
static int	compare_names(const void *a, const void *b, void *columns);
static void add_columns(UaefTablePlan *plan, TupleDesc desc,
						const UaefLedgerTable *table);
static void add_key(UaefTablePlan *plan, const UaefLedgerTable *table);
static bool same_layout(TupleDesc a, TupleDesc b);
static void find_attachment(Relation rel, int64 table_id,
							UaefLedgerTable *table);
static void describe(UaefTablePlan *plan, Relation rel,
					 const UaefLedgerTable *table);

static void
at_invalidation(Datum arg, Oid relid)
{
	HASH_SEQ_STATUS all;
	UaefTablePlan *plan;

	if (OidIsValid(relid))
	{
		plan = hash_search(plans, &relid, HASH_FIND, NULL);
		if (plan != NULL)
			plan->valid = false;
		return;
	}
	hash_seq_init(&all, plans);
	while ((plan = hash_seq_search(&all)) != NULL)
		plan->valid = false;
}

static void
make_table(void)
{
	HASHCTL		ctl = {
		.keysize = sizeof(Oid),
		.entrysize = sizeof(UaefTablePlan),
		.hcxt = CacheMemoryContext
	};

	if (plans != NULL)
		return;
	plans = hash_create("uaef ledgered tables", 16, &ctl,
						HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	CacheRegisterRelcacheCallback(at_invalidation, (Datum) 0);
}

static bool
has_name(char *const *names, int n, const char *name)
{
	for (int i = 0; i < n; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

/*
 * Shorter names first, then byte by byte.
 */
static int
compare_names(const void *a, const void *b, void *columns)
{
	const JsonbValue *l = &((UaefTableColumn *) columns)[*(const int *) a].name;
	const JsonbValue *r = &((UaefTableColumn *) columns)[*(const int *) b].name;

	if (l->val.string.len != r->val.string.len)
		return l->val.string.len - r->val.string.len;
	return memcmp(l->val.string.val, r->val.string.val, l->val.string.len);
}

/*
 * The recorded columns: all, or the chosen ones and the key's.
 */
static void
add_columns(UaefTablePlan *plan, TupleDesc desc, const UaefLedgerTable *table)
{
	plan->ncolumns = 0;
	plan->columns = MemoryContextAllocZero(plan->context,
										   Max(desc->natts, 1) *
										   sizeof(UaefTableColumn));
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);
		const char *name = NameStr(attribute->attname);
		UaefTableColumn *column = &plan->columns[plan->ncolumns];

		if (!uaef_is_recordable(attribute))
			continue;
		column->is_key = has_name(table->key, table->nkey, name);
		if (table->chosen != NULL && !column->is_key &&
			!has_name(table->chosen, table->nchosen, name))
			continue;
		column->number = attribute->attnum;
		column->by_value = attribute->attbyval;
		column->length = attribute->attlen;
		uaef_json_string(&column->name,
						 MemoryContextStrdup(plan->context, name));
		uaef_value_find_type(&column->type, attribute->atttypid, plan->context);
		plan->ncolumns++;
	}
	plan->sorted = MemoryContextAlloc(plan->context,
									  Max(plan->ncolumns, 1) * sizeof(int));
	for (int i = 0; i < plan->ncolumns; i++)
		plan->sorted[i] = i;
	qsort_arg(plan->sorted, plan->ncolumns, sizeof(int), compare_names,
			  plan->columns);
}

/*
 * The key, in its order.  Without one of its columns, rows have no name.
 */
static void
add_key(UaefTablePlan *plan, const UaefLedgerTable *table)
{
	plan->key = MemoryContextAlloc(plan->context,
								   Max(table->nkey, 1) * sizeof(int));
	plan->nkey = 0;
	for (int i = 0; i < table->nkey; i++)
		for (int j = 0; j < plan->ncolumns; j++)
			if (strncmp(plan->columns[j].name.val.string.val, table->key[i],
						NAMEDATALEN) == 0)
				plan->key[plan->nkey++] = j;
	if (plan->nkey == table->nkey && plan->nkey > 0)
		return;
	plan->nkey = 0;
	for (int j = 0; j < plan->ncolumns; j++)
		plan->columns[j].is_key = false;
}

/*
 * Whether a row of the one can be read as one of the other, column by column.
 */
static bool
same_layout(TupleDesc a, TupleDesc b)
{
	if (a->natts != b->natts)
		return false;
	for (int i = 0; i < a->natts; i++)
	{
		Form_pg_attribute l = TupleDescAttr(a, i);
		Form_pg_attribute r = TupleDescAttr(b, i);

		if (l->atttypid != r->atttypid || l->attisdropped != r->attisdropped ||
			l->attlen != r->attlen || l->attalign != r->attalign ||
			strcmp(NameStr(l->attname), NameStr(r->attname)) != 0)
			return false;
	}
	return true;
}

static void
describe(UaefTablePlan *plan, Relation rel, const UaefLedgerTable *table)
{
	MemoryContext caller = MemoryContextSwitchTo(plan->context);

	plan->desc = CreateTupleDescCopy(RelationGetDescr(rel));
	uaef_json_string(&plan->table_name, pstrdup(table->name));
	plan->number.type = jbvNumeric;
	plan->number.val.numeric = int64_to_numeric(table->table_id);
	plan->is_partition = RelationGetRelid(rel) != table->relation;
	if (plan->is_partition)
		uaef_json_string(&plan->partition,
						 uaef_relation_name(RelationGetRelid(rel)));
	uaef_table_stream(table->table_id, &plan->stream);
	add_columns(plan, RelationGetDescr(rel), table);
	add_key(plan, table);
	MemoryContextSwitchTo(caller);
}

/*
 * Find the attachment that a relation is of, whatever search_path the app has
 * that writes to it.
 */
static void
find_attachment(Relation rel, int64 table_id, UaefLedgerTable *table)
{
	Oid			relation = RelationGetRelid(rel);
	int			level = uaef_pin_search_path();

	if (!uaef_ledger_table_get(table_id, table) ||
		(table->relation != relation &&
		 !list_member_oid(get_partition_ancestors(relation),
						  table->relation)))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" has a trigger of the ledger, but is not attached to it",
						RelationGetRelationName(rel)),
				 errhint("Use uaef.attach_ledger(), or drop the triggers \"%s\" and \"%s\".",
						 UAEF_ROW_TRIGGER, UAEF_TRUNCATE_TRIGGER)));
	AtEOXact_GUC(true, level);
}

UaefTablePlan *
uaef_table_plan(Relation rel, int64 table_id)
{
	Oid			relation = RelationGetRelid(rel);
	UaefTablePlan *plan;
	UaefLedgerTable table;
	MemoryContext context;
	bool		found;

	make_table();
	plan = hash_search(plans, &relation, HASH_ENTER, &found);
	if (!found)
	{
		plan->valid = false;
		plan->layout = 0;
		plan->context = NULL;
		plan->desc = NULL;
	}
	if (plan->valid && plan->table_id == table_id)
		return plan;

	plan->valid = false;
	find_attachment(rel, table_id, &table);
	context = AllocSetContextCreate(CacheMemoryContext, "uaef ledgered table",
									ALLOCSET_SMALL_SIZES);

	/* From here on an invalidation is for the plan that we make. */
	plan->valid = true;
	plan->table_id = table_id;
	if (plan->desc == NULL || !same_layout(plan->desc, RelationGetDescr(rel)))
		plan->layout++;
	plan->desc = NULL;
	if (plan->context != NULL)
		MemoryContextDelete(plan->context);
	plan->context = context;
	PG_TRY();
	{
		describe(plan, rel, &table);
	}
	PG_CATCH();
	{
		plan->valid = false;
		PG_RE_THROW();
	}
	PG_END_TRY();
	return plan;
}
