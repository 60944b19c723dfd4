/*-------------------------------------------------------------------------
 *
 * ledger_table_ddl.c
 *	  What DDL does to ledgered tables, recorded in its own transaction.
 *
 * Event triggers call us at the end of a command that may concern a ledgered
 * table.  We do not read the command, but compare what the catalogs say of
 * each ledgered table with what was noted of it, which also sees what cascades
 * and what a parent passes on.  Where rows changed, came or went without their
 * triggers, by a rewrite or with a partition, they are recorded again.
 *
 * Locking: a table's row of uaef.ledger_table is locked when it is found to
 * have changed, until the transaction ends; then it is compared again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/partition.h"
#include "catalog/pg_type.h"
#include "commands/event_trigger.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "ledger_table_ddl.h"
#include "ledger_table_row.h"
#include "spi_util.h"

/* Why a table was rewritten: its values changed. */
#define VALUES_REWRITTEN \
	(AT_REWRITE_DEFAULT_VAL | AT_REWRITE_COLUMN_REWRITE)

/* What a command may have done beside what definitions tell. */
typedef struct DdlScope
{
	bool		drop;			/* it is a drop */
	bool		named;			/* it says which tables it is about */
	bool		triggers;		/* our triggers may have been changed */
	bool		repaired;		/* they may have been put right */
	bool		key;			/* an index may be gone, or NOT NULL */
} DdlScope;

/* Tables that this transaction rewrites, until that is recorded. */
static List *rewritten = NIL;

/* We are making or dropping our own triggers. */
static bool at_work = false;

static void at_xact_end(XactEvent event, void *arg);
static void remember_rewrite(Oid relation);
static void note_rewrite(void);
static void run_ddl(const char *sql);
static void make_trigger(const UaefLedgerTable *table, Oid relation,
						 const char *name, const char *events,
						 const char *function);
static void make_triggers(const UaefLedgerTable *table);
static void store(const UaefLedgerTable *table, Jsonb *definition);
static bool replaces_trigger(Node *command);
static DdlScope scope_of(const EventTriggerData *trigger);
static bool changes_types(const EventTriggerData *trigger);
static bool changed_types_are_used(void);
static void note_changed_types(void);
static void follow_names(UaefLedgerTable *table);
static char **follow(const UaefLedgerTable *table, char **names, int *n);
static bool take_rewrite(Oid relation);
static bool needs_rewrite(Jsonb *changes);
static Jsonb *with_triggers(Jsonb *definition, Jsonb *problems);
static Jsonb *compare(UaefLedgerTable *table, const DdlScope *scope,
					  Jsonb **definition);
static void record_new_partitions(const UaefLedgerTable *table,
								  Jsonb *changes, Oid role);
static void sync_table(UaefLedgerTable *table, const DdlScope *scope,
					   Oid role);
static void record_dropped(const UaefLedgerTable *table, Oid role);
static uint64 find_dropped(void);
static uint64 find_concerned(const DdlScope *scope);
static void sync_all(const DdlScope *scope);

/* ----------
 * Our triggers
 * ----------
 */

/*
 * Run a command of our own, as the owner, which our event triggers then leave
 * alone.
 */
static void
run_ddl(const char *sql)
{
	bool		was_at_work = at_work;

	PG_TRY();
	{
		at_work = true;
		if (SPI_execute(sql, false, 0) != SPI_OK_UTILITY)
			elog(ERROR, "could not run \"%s\"", sql);
	}
	PG_FINALLY();
	{
		at_work = was_at_work;
	}
	PG_END_TRY();
}

static void
make_trigger(const UaefLedgerTable *table, Oid relation, const char *name,
			 const char *events, const char *function)
{
	char	   *relation_name = uaef_relation_name(relation);

	if (OidIsValid(get_trigger_oid(relation, name, true)))
		run_ddl(psprintf("DROP TRIGGER %s ON %s", name, relation_name));
	run_ddl(psprintf("CREATE TRIGGER %s AFTER %s ON %s %s"
					 " EXECUTE FUNCTION uaef.%s('%lld')", name, events,
					 relation_name,
					 strcmp(name, UAEF_ROW_TRIGGER) == 0 ? "FOR EACH ROW" : "",
					 function, (long long) table->table_id));
	run_ddl(psprintf("ALTER TABLE %s ENABLE ALWAYS TRIGGER %s", relation_name,
					 name));
}

/*
 * Make what is missing of our triggers, on the table and its partitions; the
 * server itself clones those for rows.
 */
static void
make_triggers(const UaefLedgerTable *table)
{
	static UaefQuery missing = {
		"SELECT p.relid::oid FROM"
		" (SELECT relid FROM pg_partition_tree($1) UNION SELECT $1) AS p"
		" WHERE NOT EXISTS (SELECT FROM pg_trigger AS t"
		"  WHERE t.tgrelid = p.relid AND t.tgname = '" UAEF_TRUNCATE_TRIGGER "'"
		"  AND t.tgfoid = 'uaef.ledger_truncate'::regproc"
		"  AND t.tgargs = convert_to($2::text, 'UTF8') || '\\x00'::bytea)",
		2, {REGCLASSOID, INT8OID}
	};
	Datum		args[] = {
		ObjectIdGetDatum(table->relation), Int64GetDatum(table->table_id)
	};
	uint64		n = uaef_spi_run(&missing, args, NULL);
	Oid		   *relations = palloc(Max(n, 1) * sizeof(Oid));

	for (uint64 i = 0; i < n; i++)
		relations[i] = uaef_spi_oid(i, 1);
	for (uint64 i = 0; i < n; i++)
	{
		uaef_require_local_partition(table->relation, relations[i]);
		make_trigger(table, relations[i], UAEF_TRUNCATE_TRIGGER, "TRUNCATE",
					 "ledger_truncate");
	}
}

void
uaef_table_drop_triggers(const UaefLedgerTable *table)
{
	static UaefQuery find = {
		"SELECT format('DROP TRIGGER %I ON %I.%I', t.tgname, n.nspname,"
		" c.relname) FROM pg_trigger AS t JOIN pg_class AS c"
		" ON c.oid = t.tgrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace"
		" WHERE t.tgfoid IN ('uaef.ledger_row'::regproc,"
		"  'uaef.ledger_truncate'::regproc) AND t.tgparentid = 0"
		" AND t.tgargs = convert_to($1::text, 'UTF8') || '\\x00'::bytea"
		" AND ($2 = 0 OR c.oid NOT IN (SELECT $2"
		"  UNION ALL SELECT relid FROM pg_partition_tree($2::oid)))",
		2, {INT8OID, OIDOID}
	};
	UaefLedgerTable current;
	bool		attached = uaef_ledger_table_get(table->table_id, &current);
	Datum		args[] = {
		Int64GetDatum(table->table_id),
		ObjectIdGetDatum(attached ? table->relation : InvalidOid)
	};
	UaefCaller	caller = uaef_spi_begin();
	uint64		n = uaef_spi_run(&find, args, NULL);
	char	  **commands = palloc(Max(n, 1) * sizeof(char *));

	for (uint64 i = 0; i < n; i++)
		commands[i] = uaef_spi_text(i, 1);
	for (uint64 i = 0; i < n; i++)
		run_ddl(commands[i]);
	uaef_spi_end(caller);
}

/* ----------
 * What is noted of a table
 * ----------
 */

/*
 * Note what was recorded; plans are made anew.
 */
static void
store(const UaefLedgerTable *table, Jsonb *definition)
{
	static UaefQuery query = {
		"UPDATE uaef.ledger_table SET definition = $2, name = $2->>'table',"
		" columns = $3, key = $4 WHERE table_id = $1",
		4, {INT8OID, JSONBOID, NAMEARRAYOID, NAMEARRAYOID}
	};
	Datum		args[4];
	char		nulls[] = {
		' ', ' ', table->chosen == NULL ? 'n' : ' ',
		table->nkey == 0 ? 'n' : ' '
	};

	for (int i = 0; i < 2; i++)
	{
		char	  **from = i == 0 ? table->chosen : table->key;
		int			n = i == 0 ? table->nchosen : table->nkey;
		Datum	   *values = palloc(Max(n, 1) * sizeof(Datum));

		for (int j = 0; j < n; j++)
			values[j] = DirectFunctionCall1(namein, CStringGetDatum(from[j]));
		args[2 + i] = uaef_array(values, NULL, n, NAMEOID);
	}
	args[0] = Int64GetDatum(table->table_id);
	args[1] = JsonbPGetDatum(definition);
	(void) uaef_spi_run(&query, args, nulls);
	CacheInvalidateRelcacheByRelid(table->relation);
	CommandCounterIncrement();
}

void
uaef_table_forget(const UaefLedgerTable *table)
{
	static UaefQuery query = {
		"UPDATE uaef.ledger_table SET relation = NULL,"
		" detached_at = pg_catalog.clock_timestamp() WHERE table_id = $1",
		1, {INT8OID}
	};
	Datum		args[] = {Int64GetDatum(table->table_id)};
	UaefCaller	caller = uaef_spi_begin();

	(void) uaef_spi_run(&query, args, NULL);
	uaef_spi_end(caller);
}

void
uaef_table_record_attached(const UaefLedgerTable *table, Oid role,
						   bool existing)
{
	MemoryContext context = CurrentMemoryContext;
	UaefCaller	caller = uaef_spi_begin();
	UaefJson	json;
	Jsonb	   *definition;
	MemoryContext spi;

	make_trigger(table, table->relation, UAEF_ROW_TRIGGER,
				 "INSERT OR UPDATE OR DELETE", "ledger_row");
	make_triggers(table);
	definition = uaef_table_definition(table);
	store(table, definition);

	spi = MemoryContextSwitchTo(context);
	uaef_table_event_begin(&json, table);
	uaef_json_members(&json, definition);
	uaef_json_bool(&json, "existing", existing);
	uaef_table_event_end(&json, UAEF_TABLE_ATTACHED, table, role);
	MemoryContextSwitchTo(spi);
	uaef_spi_end(caller);
}

/* ----------
 * Commands
 * ----------
 */

static void
at_xact_end(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT ||
		event == XACT_EVENT_PREPARE)
	{
		rewritten = NIL;
		at_work = false;
	}
}

static void
remember_rewrite(Oid relation)
{
	static bool registered = false;
	MemoryContext caller;

	if (!registered)
		RegisterXactCallback(at_xact_end, NULL);
	registered = true;
	caller = MemoryContextSwitchTo(TopTransactionContext);
	rewritten = list_append_unique_oid(rewritten, relation);
	MemoryContextSwitchTo(caller);
}

/*
 * A table is about to be rewritten: remember it if values change.
 */
static void
note_rewrite(void)
{
	LOCAL_FCINFO(fcinfo, 0);
	int32		reason;
	Oid			relation;

	InitFunctionCallInfoData(*fcinfo, NULL, 0, InvalidOid, NULL, NULL);
	reason = DatumGetInt32(pg_event_trigger_table_rewrite_reason(fcinfo));
	relation = DatumGetObjectId(pg_event_trigger_table_rewrite_oid(fcinfo));
	if ((reason & VALUES_REWRITTEN) != 0)
		remember_rewrite(relation);
}

/*
 * Whether a table, or a partition of it, was rewritten; forgets it.
 */
static bool
take_rewrite(Oid relation)
{
	bool		found = false;

	for (int i = list_length(rewritten) - 1; i >= 0; i--)
	{
		Oid			one = list_nth_oid(rewritten, i);

		if (one != relation &&
			!(get_rel_relispartition(one) &&
			  list_member_oid(get_partition_ancestors(one), relation)))
			continue;
		rewritten = list_delete_nth_cell(rewritten, i);
		found = true;
	}
	return found;
}

/*
 * Whether a command, or a part of CREATE SCHEMA, replaces a trigger.
 */
static bool
replaces_trigger(Node *command)
{
	ListCell   *cell;

	if (IsA(command, CreateTrigStmt))
		return ((CreateTrigStmt *) command)->replace;
	if (!IsA(command, CreateSchemaStmt))
		return false;
	foreach(cell, ((CreateSchemaStmt *) command)->schemaElts)
	{
		if (replaces_trigger(lfirst(cell)))
			return true;
	}
	return false;
}

/*
 * What must be looked at beside the definitions.  A restore makes tables, then
 * keys, then our triggers: to look at them before all are there would find
 * them missing, so only what can take them away is heeded.
 */
static DdlScope
scope_of(const EventTriggerData *trigger)
{
	DdlScope	scope = {0};

	scope.named = trigger->tag != CMDTAG_ALTER_SCHEMA &&
		trigger->tag != CMDTAG_ALTER_TYPE &&
		trigger->tag != CMDTAG_ALTER_DOMAIN;
	if (strcmp(trigger->event, "sql_drop") == 0)
		scope.drop = scope.triggers = scope.key = true;
	else if (IsA(trigger->parsetree, RenameStmt) ||
			 replaces_trigger(trigger->parsetree))
		scope.triggers = true;
	else if (IsA(trigger->parsetree, AlterTableStmt))
	{
		ListCell   *cell;

		foreach(cell, ((AlterTableStmt *) trigger->parsetree)->cmds)
		{
			switch (((AlterTableCmd *) lfirst(cell))->subtype)
			{
				case AT_EnableTrig:
				case AT_EnableReplicaTrig:
				case AT_DisableTrig:
				case AT_EnableTrigAll:
				case AT_DisableTrigAll:
				case AT_EnableTrigUser:
				case AT_DisableTrigUser:
					scope.triggers = true;
					break;
				case AT_EnableAlwaysTrig:
					scope.repaired = true;
					break;
				case AT_DropNotNull:
					scope.key = true;
					break;
				default:
					break;
			}
		}
	}
	return scope;
}

/*
 * Whether a command may change how values of a type are written: labels of an
 * enum, or columns of a composite type or of a table, whose rows are a type.
 */
static bool
changes_types(const EventTriggerData *trigger)
{
	Node	   *command = trigger->parsetree;
	ListCell   *cell;

	if (IsA(command, AlterEnumStmt))
		return ((AlterEnumStmt *) command)->oldVal != NULL;
	if (IsA(command, RenameStmt))
		return ((RenameStmt *) command)->renameType == OBJECT_ATTRIBUTE ||
			((RenameStmt *) command)->renameType == OBJECT_COLUMN;
	if (!IsA(command, AlterTableStmt))
		return false;
	foreach(cell, ((AlterTableStmt *) command)->cmds)
	{
		AlterTableType subtype = ((AlterTableCmd *) lfirst(cell))->subtype;

		if (subtype == AT_AddColumn || subtype == AT_DropColumn ||
			subtype == AT_AlterColumnType)
			return true;
	}
	return false;
}

/*
 * Whether any column or type is made of the types that a command changed, or
 * of their arrays.  Of most tables none is, and that is told fast.
 */
static bool
changed_types_are_used(void)
{
	static UaefQuery query = {
		"SELECT FROM pg_event_trigger_ddl_commands() AS c"
		" JOIN pg_type AS t ON t.oid = CASE c.classid"
		"  WHEN 'pg_type'::regclass THEN c.objid WHEN 'pg_class'::regclass THEN"
		"  (SELECT r.reltype FROM pg_class AS r WHERE r.oid = c.objid) END"
		" JOIN pg_depend AS d ON d.refclassid = 'pg_type'::regclass"
		"  AND d.refobjid IN (t.oid, t.typarray)"
		" WHERE d.classid = 'pg_type'::regclass AND d.objid <> t.typarray"
		"  OR d.classid = 'pg_class'::regclass AND d.objsubid <> 0 LIMIT 1",
		0
	};

	return uaef_spi_run(&query, NULL, NULL) > 0;
}

/*
 * Ledgered tables with columns that are made of the types that a command
 * changed have other values now, as if they had been rewritten; but it has not
 * locked them.
 */
static void
note_changed_types(void)
{
	static UaefQuery query = {
		"WITH RECURSIVE changed AS MATERIALIZED (SELECT CASE classid"
		"  WHEN 'pg_type'::regclass THEN objid ELSE"
		"  (SELECT c.reltype FROM pg_class AS c WHERE c.oid = objid) END AS type"
		"  FROM pg_event_trigger_ddl_commands()"
		"  WHERE classid IN ('pg_type'::regclass, 'pg_class'::regclass)),"
		" uses (type, relation) AS (SELECT type, 0::oid FROM changed"
		"  WHERE type <> 0 UNION SELECT CASE d.classid"
		"   WHEN 'pg_type'::regclass THEN d.objid ELSE c.reltype END,"
		"   coalesce(c.oid, 0)"
		"  FROM uses JOIN pg_depend AS d ON d.refobjid = uses.type"
		"   AND d.refclassid = 'pg_type'::regclass"
		"   AND (d.classid = 'pg_type'::regclass"
		"    OR d.classid = 'pg_class'::regclass AND d.objsubid <> 0)"
		"  LEFT JOIN pg_class AS c ON d.classid = 'pg_class'::regclass"
		"   AND c.oid = d.objid)"
		" SELECT relation FROM uses WHERE relation <> 0 AND EXISTS (SELECT"
		"  FROM uaef.ledger_table AS t WHERE t.relation = uses.relation"
		"  OR t.relation = pg_partition_root(uses.relation)"
		"  OR t.relation IN (SELECT relid"
		"   FROM pg_partition_ancestors(uses.relation))) ORDER BY 1",
		0
	};
	UaefCaller	caller = uaef_spi_begin();
	uint64		n = changed_types_are_used() ?
		uaef_spi_run(&query, NULL, NULL) : 0;

	for (uint64 i = 0; i < n; i++)
	{
		Oid			relation = uaef_spi_oid(i, 1);

		LockRelationOid(relation, ShareRowExclusiveLock);
		remember_rewrite(relation);
	}
	uaef_spi_end(caller);
}

void
uaef_table_heed_ddl(EventTriggerData *trigger)
{
	DdlScope	scope;

	if (at_work)
		return;
	if (strcmp(trigger->event, "table_rewrite") == 0)
	{
		note_rewrite();
		return;
	}
	if (IsA(trigger->parsetree, CreateStmt) &&
		((CreateStmt *) trigger->parsetree)->partbound == NULL)
		return;
	if (IsA(trigger->parsetree, CreateTrigStmt) &&
		!replaces_trigger(trigger->parsetree))
		return;
	scope = scope_of(trigger);
	if (!scope.drop && changes_types(trigger))
		note_changed_types();
	sync_all(&scope);
}

/* ----------
 * Comparing, and recording what is found
 * ----------
 */

/*
 * Names of columns as they are now: those that are gone by their name, but are
 * there by the number that was noted, were renamed.
 */
static char **
follow(const UaefLedgerTable *table, char **names, int *n)
{
	static UaefQuery query = {
		"SELECT coalesce(a.attname, b.attname)::text"
		" FROM unnest($1) WITH ORDINALITY AS w (name, place)"
		" LEFT JOIN pg_attribute AS a ON a.attrelid = $2"
		"  AND a.attname = w.name AND a.attnum > 0 AND NOT a.attisdropped"
		" LEFT JOIN jsonb_to_recordset($3->'columns')"
		"  AS d (number smallint, name name) ON d.name = w.name"
		" LEFT JOIN pg_attribute AS b ON b.attrelid = $2"
		"  AND b.attnum = d.number AND NOT b.attisdropped"
		" WHERE coalesce(a.attname, b.attname) IS NOT NULL ORDER BY w.place",
		3, {NAMEARRAYOID, OIDOID, JSONBOID}
	};
	Datum	   *values = palloc(Max(*n, 1) * sizeof(Datum));
	Datum		args[3];
	char	  **found;

	for (int i = 0; i < *n; i++)
		values[i] = DirectFunctionCall1(namein, CStringGetDatum(names[i]));
	args[0] = uaef_array(values, NULL, *n, NAMEOID);
	args[1] = ObjectIdGetDatum(table->relation);
	args[2] = JsonbPGetDatum(table->definition);
	*n = (int) uaef_spi_run(&query, args, NULL);
	found = palloc(Max(*n, 1) * sizeof(char *));
	for (int i = 0; i < *n; i++)
		found[i] = uaef_spi_text(i, 1);
	return found;
}

/*
 * Chosen columns and key by their present names.  A key that has lost a column
 * is none.
 */
static void
follow_names(UaefLedgerTable *table)
{
	int			nkey = table->nkey;

	if (table->chosen != NULL)
		table->chosen = follow(table, table->chosen, &table->nchosen);
	if (nkey > 0)
		table->key = follow(table, table->key, &table->nkey);
	if (table->nkey < nkey)
		table->nkey = 0;
}

/*
 * The definition with what is wrong with the triggers.
 */
static Jsonb *
with_triggers(Jsonb *definition, Jsonb *problems)
{
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_members(&json, definition);
	uaef_json_jsonb(&json, "triggers", problems);
	return uaef_json_end(&json);
}

/*
 * Whether rows are recorded again: their columns changed to a type that is
 * written in another way, or the key was lost.
 */
static bool
needs_rewrite(Jsonb *changes)
{
	static UaefQuery query = {
		"SELECT FROM jsonb_to_recordset($1) AS c (change text, \"from\" text,"
		" type text), regexp_replace(c.\"from\", '\\(.*?\\)', '') AS f,"
		" regexp_replace(c.type, '\\(.*?\\)', '') AS t"
		" WHERE c.change = 'alter_key' OR c.change = 'alter_column'"
		" AND f <> t AND NOT (f IN ('text', 'character varying')"
		"  AND t IN ('text', 'character varying'))",
		1, {JSONBOID}
	};
	Datum		args[] = {JsonbPGetDatum(changes)};

	return uaef_spi_run(&query, args, NULL) > 0;
}

/*
 * What has changed of a table since it was noted; and its definition now.
 */
static Jsonb *
compare(UaefLedgerTable *table, const DdlScope *scope, Jsonb **definition)
{
	JsonbValue	noted;
	JsonbValue	now;
	ArrayType  *key;

	follow_names(table);
	if (scope->key && table->nkey > 0)
	{
		Datum	   *values = palloc(table->nkey * sizeof(Datum));

		for (int i = 0; i < table->nkey; i++)
			values[i] = DirectFunctionCall1(namein,
											CStringGetDatum(table->key[i]));
		key = DatumGetArrayTypeP(uaef_array(values, NULL, table->nkey,
											NAMEOID));
		if (uaef_usable_key(table->relation, key) == NULL)
			table->nkey = 0;
	}
	*definition = uaef_table_definition(table);
	if (uaef_json_get(table->definition, "triggers", &noted))
	{
		bool		was_wrong = noted.type == jbvBinary &&
			JsonContainerSize(noted.val.binary.data) > 0;

		if (scope->triggers || (scope->repaired && was_wrong))
			*definition = with_triggers(*definition,
										uaef_table_trigger_problems(table));
		else if (was_wrong && uaef_json_get(*definition, "triggers", &now))
			*definition = with_triggers(*definition,
										JsonbValueToJsonb(&noted));
	}
	return uaef_table_changes(table, *definition);
}

/*
 * The rows that came with partitions.
 */
static void
record_new_partitions(const UaefLedgerTable *table, Jsonb *changes, Oid role)
{
	static UaefQuery query = {
		"SELECT p.relation::oid FROM jsonb_to_recordset($1)"
		"  AS c (change text, partition text)"
		" JOIN uaef.ledger_table AS t ON t.table_id = $2"
		" CROSS JOIN jsonb_to_recordset(t.definition->'partitions')"
		"  AS p (relation bigint, name text)"
		" WHERE c.change = 'attach_partition' AND p.name = c.partition"
		" ORDER BY p.name",
		2, {JSONBOID, INT8OID}
	};
	Datum		args[] = {
		JsonbPGetDatum(changes), Int64GetDatum(table->table_id)
	};
	uint64		n = uaef_spi_run(&query, args, NULL);
	Oid		   *relations = palloc(Max(n, 1) * sizeof(Oid));

	for (uint64 i = 0; i < n; i++)
		relations[i] = uaef_spi_oid(i, 1);
	for (uint64 i = 0; i < n; i++)
		uaef_record_rows(table, relations[i], UAEF_ROW_ATTACHED, role);
}

static void
record_dropped(const UaefLedgerTable *table, Oid role)
{
	UaefJson	json;

	uaef_table_event_begin(&json, table);
	uaef_table_event_end(&json, UAEF_TABLE_DROPPED, table, role);
	uaef_table_forget(table);
}

/*
 * Bring what is noted of a table up to date, and record what has changed.
 */
static void
sync_table(UaefLedgerTable *table, const DdlScope *scope, Oid role)
{
	static UaefQuery lock = {
		"SELECT FROM uaef.ledger_table WHERE table_id = $1 FOR UPDATE",
		1, {INT8OID}
	};
	Datum		args[] = {Int64GetDatum(table->table_id)};
	bool		rewrite = take_rewrite(table->relation);
	Jsonb	   *definition;
	Jsonb	   *changes = compare(table, scope, &definition);
	UaefJson	json;

	if (JB_ROOT_COUNT(changes) == 0 && !rewrite &&
		compareJsonbContainers(&definition->root,
							   &table->definition->root) == 0)
		return;
	(void) uaef_spi_run(&lock, args, NULL);
	if (!uaef_ledger_table_get(table->table_id, table))
		return;
	changes = compare(table, scope, &definition);
	if (JB_ROOT_COUNT(changes) > 0)
	{
		make_triggers(table);
		uaef_table_drop_triggers(table);
	}
	store(table, definition);
	if (!uaef_ledger_table_get(table->table_id, table) ||
		(JB_ROOT_COUNT(changes) == 0 && !rewrite))
		return;

	rewrite |= needs_rewrite(changes);
	uaef_table_event_begin(&json, table);
	uaef_json_members(&json, definition);
	uaef_json_jsonb(&json, "changes", changes);
	uaef_json_bool(&json, "rewrite", rewrite);
	uaef_table_event_end(&json, UAEF_TABLE_ALTERED, table, role);
	if (rewrite)
		uaef_record_rows(table, table->relation, UAEF_ROW_REWRITTEN, role);
	else
		record_new_partitions(table, changes, role);
}

/*
 * Find the ledgered tables that a drop concerns: by the table, its columns,
 * constraints and triggers; by a partition, which is named only in what was
 * noted; and by an index that went on its own, of which nothing tells the
 * table, those whose key has none.  Temporary tables are dropped often.  The
 * server expects many objects, and would make a large hash table for a UNION.
 */
static uint64
find_dropped(void)
{
	static UaefQuery query = {
		"WITH RECURSIVE d AS MATERIALIZED (SELECT objid, object_type,"
		"  object_identity, address_names AS a, original OR normal AS alone"
		"  FROM pg_event_trigger_dropped_objects()"
		"  WHERE NOT is_temporary AND object_type IN ('table',"
		"   'table column', 'table constraint', 'index', 'trigger')),"
		" up AS (SELECT CASE WHEN object_type IN ('table', 'table column')"
		"   THEN objid ELSE to_regclass(format('%I.%I', a[1], a[2]))::oid END"
		"   AS relation FROM d WHERE object_type <> 'index'"
		"  UNION ALL SELECT i.inhparent FROM up JOIN pg_inherits AS i"
		"   ON i.inhrelid = up.relation),"
		" found AS (SELECT t.* FROM up JOIN uaef.ledger_table AS t"
		"  ON t.relation = up.relation"
		" UNION ALL SELECT t.* FROM uaef.ledger_table AS t"
		"  WHERE t.relation IS NOT NULL AND EXISTS (SELECT FROM d"
		"   WHERE object_type = 'table')"
		"  AND t.definition->'partitions' <> '[]' AND EXISTS (SELECT"
		"   FROM jsonb_to_recordset(t.definition->'partitions')"
		"    AS p (relation bigint, name text) JOIN d"
		"   ON d.objid = p.relation::oid OR d.object_identity = p.name"
		"   WHERE d.object_type = 'table')"
		" UNION ALL SELECT t.* FROM uaef.ledger_table AS t"
		"  WHERE t.relation IS NOT NULL AND t.key IS NOT NULL AND EXISTS"
		"   (SELECT FROM d WHERE object_type = 'index' AND alone)"
		"  AND NOT EXISTS (SELECT FROM pg_index AS i"
		"   WHERE i.indrelid = t.relation AND i.indisunique"
		"   AND i.indpred IS NULL AND i.indnkeyatts = cardinality(t.key)"
		"   AND NOT EXISTS (SELECT FROM pg_attribute AS a"
		"    WHERE a.attrelid = i.indrelid"
		"    AND a.attnum = ANY ((i.indkey::smallint[])[0:i.indnkeyatts - 1])"
		"    AND a.attname <> ALL (t.key))))"
		" SELECT DISTINCT f.table_id, NOT EXISTS (SELECT FROM pg_class AS c"
		"  WHERE c.oid = f.relation) FROM found AS f ORDER BY 1",
		0
	};

	return uaef_spi_run(&query, NULL, NULL);
}

/*
 * Find the ledgered tables to look at: all, or those that the command named,
 * with what they pass on to and take part in.  Returns their number.
 */
static uint64
find_concerned(const DdlScope *scope)
{
	static UaefQuery all = {
		"SELECT t.table_id, c.oid IS NULL FROM uaef.ledger_table AS t"
		" LEFT JOIN pg_class AS c ON c.oid = t.relation"
		" WHERE t.relation IS NOT NULL ORDER BY 1",
		0
	};
	static UaefQuery named = {
		"WITH RECURSIVE named AS MATERIALIZED (SELECT d.objid"
		"  FROM pg_event_trigger_ddl_commands() AS d"
		"  WHERE d.classid = 'pg_class'::regclass UNION ALL SELECT g.tgrelid"
		"  FROM pg_event_trigger_ddl_commands() AS d JOIN pg_trigger AS g"
		"  ON g.oid = d.objid WHERE d.classid = 'pg_trigger'::regclass"
		"  UNION ALL SELECT unnest($1)),"
		" down AS (SELECT objid FROM named UNION ALL SELECT i.inhrelid"
		"  FROM down JOIN pg_inherits AS i ON i.inhparent = down.objid),"
		" up AS (SELECT objid FROM named UNION ALL SELECT i.inhparent"
		"  FROM up JOIN pg_inherits AS i ON i.inhrelid = up.objid)"
		" SELECT t.table_id, false FROM uaef.ledger_table AS t"
		" WHERE t.relation IN (SELECT objid FROM down"
		"  UNION ALL SELECT objid FROM up) ORDER BY 1",
		1, {OIDARRAYOID}
	};
	Datum	   *values = palloc(Max(list_length(rewritten), 1) * sizeof(Datum));
	Datum		args[1];

	if (scope->drop)
		return find_dropped();
	for (int i = 0; i < list_length(rewritten); i++)
		values[i] = ObjectIdGetDatum(list_nth_oid(rewritten, i));
	args[0] = uaef_array(values, NULL, list_length(rewritten), OIDOID);
	return scope->named ? uaef_spi_run(&named, args, NULL) :
		uaef_spi_run(&all, NULL, NULL);
}

/*
 * Look at each ledgered table that a command may concern.
 */
static void
sync_all(const DdlScope *scope)
{
	Oid			role = GetUserId();
	UaefCaller	caller = uaef_spi_begin();
	uint64		n = find_concerned(scope);
	int64	   *ids;
	bool	   *dropped;

	ids = palloc(Max(n, 1) * sizeof(int64));
	dropped = palloc(Max(n, 1) * sizeof(bool));
	for (uint64 i = 0; i < n; i++)
	{
		ids[i] = uaef_spi_int64(i, 1);
		dropped[i] = uaef_spi_bool(i, 2);
	}
	for (uint64 i = 0; i < n; i++)
	{
		UaefLedgerTable table;

		if (!uaef_ledger_table_get(ids[i], &table))
			continue;
		if (dropped[i])
			record_dropped(&table, role);
		else
			sync_table(&table, scope, role);
	}
	uaef_spi_end(caller);
}
