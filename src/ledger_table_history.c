/*-------------------------------------------------------------------------
 *
 * ledger_table_history.c
 *	  What happened to one row of a ledgered table.
 *
 * The stream of a row is named by its key, so its history is a read of the
 * ledger's primary key.  A key is given as the app writes it, and is brought to
 * the form in which it is recorded by way of the column's type.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"

#include "ledger_table.h"
#include "ledger_table_history.h"
#include "ledger_table_row.h"
#include "spi_util.h"

#define HISTORY_COLUMNS 12

static bool is_auditor(void);
static void check_rights(Relation rel);
static void no_such_key(const UaefLedgerTable *table);
static char *json_text(JsonbValue *value);
static Datum read_value(Relation rel, Form_pg_attribute attribute,
						JsonbValue *value);
static void find_member(const UaefLedgerTable *table, Jsonb *key,
						const char *name, JsonbValue *value);
static Jsonb *canonical_key(Relation rel, UaefTablePlan *plan,
							const UaefLedgerTable *table, Jsonb *key);
static bool follows_truncate(uint64 row, const char *partition);
static void put_event(uint64 row, Tuplestorestate *store, TupleDesc desc);

static bool
is_auditor(void)
{
	Oid			events = get_relname_relid("ledger_event",
										   get_namespace_oid("uaef", false));

	return pg_class_aclcheck(events, GetUserId(), ACL_SELECT) == ACLCHECK_OK;
}

/*
 * A history shows all recorded columns, also those that were dropped since,
 * and rows as they were: rights on columns, and row security, know nothing of
 * them.
 */
static void
check_rights(Relation rel)
{
	Oid			relation = RelationGetRelid(rel);
	Oid			user = GetUserId();

	if (is_auditor())
		return;
	if (pg_class_aclcheck(relation, user, ACL_SELECT) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE,
					   RelationGetRelationName(rel));
	if (rel->rd_rel->relrowsecurity &&
		!has_privs_of_role(user, rel->rd_rel->relowner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for history of table \"%s\"",
						RelationGetRelationName(rel)),
				 errdetail("The table has row level security, which does not apply to what rows were."),
				 errhint("Its owner and auditors may see it.")));
}

static void
no_such_key(const UaefLedgerTable *table)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < table->nkey; i++)
		appendStringInfo(&names, "%s\"%s\"", i > 0 ? ", " : "",
						 table->key[i]);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("this is no key of table %s", table->name),
			 errdetail("Its key is %s.", names.data),
			 errhint("Give an object with a value that is not null for each column of the key, and nothing else.")));
}

/*
 * A value as the text that its column's type reads.
 */
static char *
json_text(JsonbValue *value)
{
	if (value->type == jbvString)
		return pnstrdup(value->val.string.val, value->val.string.len);
	return JsonbToCString(NULL, &JsonbValueToJsonb(value)->root, 0);
}

/*
 * The value of a column of the key: a member, or the whole if it is no object
 * and the key has one column.
 */
static void
find_member(const UaefLedgerTable *table, Jsonb *key, const char *name,
			JsonbValue *value)
{
	bool		found;

	if (JB_ROOT_IS_SCALAR(key) && table->nkey == 1)
		found = JsonbExtractScalar(&key->root, value);
	else
		found = uaef_json_get(key, name, value) &&
			JB_ROOT_COUNT(key) == table->nkey;
	if (!found || value->type == jbvNull)
		no_such_key(table);
}

/*
 * A value of a column's type.  Whose type it is may have given it checks of
 * his own, in a domain for one, which must not run as who asks.
 */
static Datum
read_value(Relation rel, Form_pg_attribute attribute, JsonbValue *value)
{
	Oid			user;
	int			context;
	Oid			input;
	Oid			parameter;
	Datum		datum;

	getTypeInputInfo(attribute->atttypid, &input, &parameter);
	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(rel->rd_rel->relowner, context |
						   SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_RESTRICTED_OPERATION);
	datum = OidInputFunctionCall(input, json_text(value), parameter,
								 attribute->atttypmod);
	SetUserIdAndSecContext(user, context);
	return datum;
}

/*
 * The values of a key, as they name its stream.
 */
static Jsonb *
canonical_key(Relation rel, UaefTablePlan *plan, const UaefLedgerTable *table,
			  Jsonb *key)
{
	JsonbParseState *state = NULL;
	UaefPinned	pinned = 0;

	(void) pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < plan->nkey; i++)
	{
		UaefTableColumn *column = &plan->columns[plan->key[i]];
		Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(rel),
													column->number - 1);
		JsonbValue	value;

		find_member(table, key, NameStr(attribute->attname), &value);
		uaef_value_json(&column->type, read_value(rel, attribute, &value),
						&pinned, &value);
		(void) pushJsonbValue(&state, WJB_ELEM, &value);
	}
	uaef_unpin(&pinned);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
}

/*
 * Whether an event of the table as a whole concerns a row: one that is there,
 * in a partition if not NULL.
 */
static bool
follows_truncate(uint64 row, const char *partition)
{
	char	   *truncated = uaef_spi_text(row, 10);

	return truncated == NULL ||
		(partition != NULL && strcmp(truncated, partition) == 0);
}

static void
put_event(uint64 row, Tuplestorestate *store, TupleDesc desc)
{
	Datum		values[HISTORY_COLUMNS];
	bool		nulls[HISTORY_COLUMNS];

	for (int i = 0; i < HISTORY_COLUMNS; i++)
		values[i] = uaef_spi_value(row, i + 1, &nulls[i]);
	tuplestore_putvalues(store, desc, values, nulls);
}

/*
 * Events of the row's stream, and TRUNCATEs that it was there for.  A row that
 * a partition's dropping took shows so by the next event only.
 */
static void
put_history(const UaefTablePlan *plan, const pg_uuid_t *stream,
			Tuplestorestate *store, TupleDesc desc)
{
	static UaefQuery query = {
		"SELECT e.event_id, e.recorded_at, e.tx, CASE e.event_type"
		" WHEN 'row_inserted' THEN 'INSERT' WHEN 'row_updated' THEN 'UPDATE'"
		" WHEN 'row_deleted' THEN 'DELETE' WHEN 'row_attached' THEN 'ATTACH'"
		" WHEN 'row_rewritten' THEN 'REWRITE' ELSE 'TRUNCATE' END,"
		" e.payload->'old', e.payload->'new',"
		" coalesce(e.actor_id, e.effective_role, e.session_role),"
		" e.session_role, e.payload->>'application_name',"
		" e.payload->>'partition', e.stream, e.stream_seq,"
		" e.stream = $2, e.payload ? 'new_key'"
		" FROM uaef.ledger_event AS e WHERE e.stream = $1"
		" OR (e.stream = $2 AND e.event_type = 'table_truncated')"
		" ORDER BY e.event_id",
		2, {UUIDOID, UUIDOID}
	};
	Datum		args[] = {
		UUIDPGetDatum(stream), UUIDPGetDatum(&plan->stream)
	};
	uint64		n = uaef_spi_run(&query, args, NULL);
	bool		alive = false;
	char	   *partition = NULL;

	for (uint64 row = 0; row < n; row++)
	{
		char	   *operation = uaef_spi_text(row, 4);

		if (uaef_spi_bool(row, 13))
		{
			if (!alive || !follows_truncate(row, partition))
				continue;
			alive = false;
		}
		else
		{
			bool		isnull;

			alive = strcmp(operation, "DELETE") != 0 &&
				!DatumGetBool(uaef_spi_value(row, 14, &isnull));
			partition = uaef_spi_text(row, 10);
		}
		put_event(row, store, desc);
	}
}

void
uaef_row_history(Oid relation, Jsonb *key, Tuplestorestate *store,
				 TupleDesc desc)
{
	UaefLedgerTable table;
	Relation	rel;
	UaefTablePlan *plan;
	pg_uuid_t	stream;
	UaefCaller	caller;

	uaef_ledger_table_require(relation, &table);
	rel = table_open(table.relation, AccessShareLock);
	plan = uaef_table_plan(rel, table.table_id);
	check_rights(rel);
	if (plan->nkey == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table %s has no key", table.name),
				 errdetail("Nothing tells its rows apart, so a row has no history of its own."),
				 errhint("What happened to the table is in uaef.ledger_event; or give it a primary key, and attach it again.")));
	uaef_key_stream(table.table_id, canonical_key(rel, plan, &table, key),
					&stream);

	caller = uaef_spi_begin();
	put_history(plan, &stream, store, desc);
	uaef_spi_end(caller);
	table_close(rel, NoLock);
}
