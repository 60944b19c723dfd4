/*-------------------------------------------------------------------------
 *
 * workflow_dependency.c
 *	  What the definitions of workflows need of the database, and which of
 *	  them a command breaks.
 *
 * What a definition needs is noted by OID when it is made.  A restore brings
 * definitions without these notes, and pg_upgrade brings wrong ones; so they
 * carry the system's identifier, and what is missing is noted before the next
 * command that could break something.  After a command that dropped or altered
 * what is noted, the definitions that need it are planned again, as the role
 * that made them: the notes only say where to look, the planner judges.
 *
 * A definition that does not plan is marked as broken, so that each command
 * is told of what it broke itself, and mending it in steps stays possible.
 *
 * Locking: planning locks what the statements name; it is undone, with its
 * locks, and waits for no lock longer than LOCK_TIMEOUT.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_authid_d.h"
#include "catalog/pg_type_d.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "definition_read.h"
#include "errcodes.h"
#include "guc.h"
#include "set_result.h"
#include "spi_util.h"
#include "workflow_dependency.h"

#define LOCK_TIMEOUT "1s"

/* A stored definition that is to be planned. */
typedef struct Stored
{
	int32		definition_id;
	char	   *name;
	int32		version;
	Jsonb	   *document;
	Oid			role;			/* that made it */
	char	   *search_path;	/* that the role has; NULL: the default */
	bool		broken;
} Stored;

/* What planning a definition came to. */
typedef enum Verdict
{
	SOUND,
	BROKEN,
	UNKNOWN						/* it could not be found out now */
} Verdict;

/* The definition, and what the newest setting of its role's search_path is. */
#define STORED \
	"SELECT d.definition_id, d.name, d.version, d.definition," \
	" d.created_by::pg_catalog.oid, (SELECT pg_catalog.substr(c, 13)" \
	"  FROM pg_catalog.pg_db_role_setting AS s," \
	"   pg_catalog.unnest(s.setconfig) AS c" \
	"  WHERE s.setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database" \
	"    WHERE datname = pg_catalog.current_database()))" \
	"   AND s.setrole IN (0, d.created_by::pg_catalog.oid)" \
	"   AND c LIKE 'search\\_path=%'" \
	"  ORDER BY s.setrole = 0, s.setdatabase = 0 LIMIT 1)," \
	" coalesce(p.broken, false)" \
	" FROM uaef.workflow_definition AS d" \
	" LEFT JOIN uaef.workflow_plan AS p USING (definition_id)"

static UaefQuery find_unnoted = {
	STORED " WHERE p.definition_id IS NULL OR p.system_identifier <> $1",
	1, {INT8OID}
};

/* Live: the newest version, or one that an open execution runs. */
#define LIVE \
	" WHERE (NOT EXISTS (SELECT FROM uaef.workflow_definition AS n" \
	"   WHERE n.name = d.name AND n.version > d.version)" \
	"  OR EXISTS (SELECT FROM uaef.workflow_execution AS e" \
	"   WHERE e.definition_id = d.definition_id" \
	"   AND e.status IN ('pending', 'running', 'paused')))" \
	" AND d.definition_id IN (SELECT y.definition_id" \
	"  FROM uaef.workflow_dependency AS y" \
	"  WHERE (y.classid, y.objid) IN (SELECT o.classid, o.objid FROM "
#define IN_ORDER " AS o)) ORDER BY d.name, d.version"

static UaefQuery find_dropped = {
	STORED LIVE "pg_catalog.pg_event_trigger_dropped_objects()" IN_ORDER, 0
};
static UaefQuery find_altered = {
	STORED LIVE "pg_catalog.pg_event_trigger_ddl_commands()" IN_ORDER, 0
};

/* Whether a command concerns any definition at all; most do not. */
static UaefQuery any_dropped = {
	"SELECT FROM pg_catalog.pg_event_trigger_dropped_objects() AS o"
	" JOIN uaef.workflow_dependency AS y USING (classid, objid) LIMIT 1", 0
};
static UaefQuery any_altered = {
	"SELECT FROM pg_catalog.pg_event_trigger_ddl_commands() AS o"
	" JOIN uaef.workflow_dependency AS y USING (classid, objid) LIMIT 1", 0
};

static UaefQuery forget = {
	"WITH plan AS (INSERT INTO uaef.workflow_plan AS p VALUES ($1, $2, $3)"
	" ON CONFLICT (definition_id) DO UPDATE SET broken = excluded.broken,"
	" system_identifier = excluded.system_identifier)"
	" DELETE FROM uaef.workflow_dependency WHERE definition_id = $1 AND $4",
	4, {INT4OID, INT8OID, BOOLOID, BOOLOID}
};
static UaefQuery insert_use = {
	"INSERT INTO uaef.workflow_dependency"
	" SELECT $1, * FROM ROWS FROM (pg_catalog.unnest($2),"
	" pg_catalog.unnest($3), pg_catalog.unnest($4), pg_catalog.unnest($5))",
	5, {INT4OID, TEXTARRAYOID, OIDARRAYOID, OIDARRAYOID, INT4ARRAYOID}
};

static void note(int32 definition_id, bool broken, const List *objects,
				 bool known);
static List *read_stored(UaefQuery *query, Datum *args);
static void plan_as(const Stored *stored, UaefDefinition **def);
static Verdict judge(const Stored *stored, UaefDefinition **def,
					 char **problem);
static void note_missing(void);
static void check(UaefQuery *any, UaefQuery *find);
static void tell(StringInfo all, int *n, const Stored *stored,
				 const char *problem);

/*
 * Replace the notes on a definition; if what it needs is not known, they stay.
 */
static void
note(int32 definition_id, bool broken, const List *objects, bool known)
{
	int			n = list_length(objects);
	Datum	   *columns[4];
	Datum		args[5] = {
		Int32GetDatum(definition_id), Int64GetDatum((int64) GetSystemIdentifier()),
		BoolGetDatum(broken), BoolGetDatum(known)
	};
	static const Oid types[] = {TEXTOID, OIDOID, OIDOID, INT4OID};

	(void) uaef_spi_run(&forget, args, NULL);
	if (n == 0 || !known)
		return;
	for (int i = 0; i < 4; i++)
		columns[i] = palloc(n * sizeof(Datum));
	for (int i = 0; i < n; i++)
	{
		const UaefObjectUse *use = list_nth(objects, i);

		columns[0][i] = CStringGetTextDatum(use->task);
		columns[1][i] = ObjectIdGetDatum(use->classid);
		columns[2][i] = ObjectIdGetDatum(use->objid);
		columns[3][i] = Int32GetDatum(use->objsubid);
	}
	for (int i = 0; i < 4; i++)
		args[i + 1] = uaef_array(columns[i], NULL, n, types[i]);
	(void) uaef_spi_run(&insert_use, args, NULL);
}

void
uaef_dependency_store(int32 definition_id, const UaefDefinition *def)
{
	UaefCaller	caller = uaef_spi_begin();

	note(definition_id, false, def->objects, true);
	uaef_spi_end(caller);
}

/* The definitions that a query finds. */
static List *
read_stored(UaefQuery *query, Datum *args)
{
	uint64		n = uaef_spi_run(query, args, NULL);
	List	   *found = NIL;

	for (uint64 i = 0; i < n; i++)
	{
		Stored	   *stored = palloc0(sizeof(Stored));
		bool		isnull;

		stored->definition_id = uaef_spi_int32(i, 1);
		stored->name = uaef_spi_text(i, 2);
		stored->version = uaef_spi_int32(i, 3);
		stored->document = uaef_spi_jsonb(i, 4);
		stored->role = uaef_spi_oid(i, 5);
		(void) uaef_spi_value(i, 6, &isnull);
		if (!isnull)
			stored->search_path = uaef_spi_text(i, 6);
		stored->broken = uaef_spi_bool(i, 7);
		found = lappend(found, stored);
	}
	return found;
}

/*
 * Plan a definition as the role that made it, in a subtransaction of the
 * caller.  The role must not reach further than its own session could: its
 * immutable functions run while planning.
 */
static void
plan_as(const Stored *stored, UaefDefinition **def)
{
	(void) NewGUCNestLevel();
	(void) set_config_option("lock_timeout", LOCK_TIMEOUT, PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	*def = uaef_definition_compile(stored->name, stored->document, false);
	SetUserIdAndSecContext(stored->role, SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_RESTRICTED_OPERATION);
	uaef_definition_check_catalog(*def, stored->search_path);
}

/*
 * Whether a definition can be planned.  If so, *def has what it needs; if not,
 * *problem is why.
 */
static Verdict
judge(const Stored *stored, UaefDefinition **def, char **problem)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile Verdict verdict = SOUND;
	UaefDefinition *volatile planned = NULL;

	if (!SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(stored->role)))
		return UNKNOWN;
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		UaefDefinition *result;

		plan_as(stored, &result);
		planned = result;
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		if (error->sqlerrcode == ERRCODE_QUERY_CANCELED ||
			ERRCODE_TO_CATEGORY(error->sqlerrcode) ==
			ERRCODE_OPERATOR_INTERVENTION)
			PG_RE_THROW();
		FlushErrorState();
		verdict = error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE ||
			error->sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED ?
			UNKNOWN : BROKEN;
		*problem = error->message;
	}
	PG_END_TRY();
	RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	*def = planned;
	return verdict;
}

/* Note what definitions need that have no notes of this system. */
static void
note_missing(void)
{
	Datum		arg = Int64GetDatum((int64) GetSystemIdentifier());
	UaefCaller	caller = uaef_spi_begin();
	List	   *missing = read_stored(&find_unnoted, &arg);
	ListCell   *cell;

	foreach(cell, missing)
	{
		const Stored *stored = lfirst(cell);
		UaefDefinition *def;
		char	   *problem;
		Verdict		verdict = judge(stored, &def, &problem);

		if (verdict != UNKNOWN)
			note(stored->definition_id, verdict == BROKEN,
				 verdict == SOUND ? def->objects : NIL, true);
	}
	uaef_spi_end(caller);
}

static void
tell(StringInfo all, int *n, const Stored *stored, const char *problem)
{
	char	   *line = psprintf("workflow \"%s\", version %d: %s",
								stored->name, stored->version, problem);

	(*n)++;
	if (uaef_ddl_check == UAEF_DDL_ERROR)
		appendStringInfo(all, "%s%s", all->len > 0 ? "\n" : "", line);
	else
		ereport(WARNING,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("this command breaks workflow \"%s\", version %d",
						stored->name, stored->version),
				 errdetail_internal("%s", problem),
				 errhint("Create a version that does without, or undo the command.")));
}

/* Look at the live definitions that a command concerns. */
static void
check(UaefQuery *any, UaefQuery *find)
{
	UaefCaller	caller;
	List	   *concerned = NIL;
	StringInfoData all;			/* outlives SPI's context */
	ListCell   *cell;
	int			n = 0;

	initStringInfo(&all);
	caller = uaef_spi_begin();
	if (uaef_spi_run(any, NULL, NULL) > 0)
		concerned = read_stored(find, NULL);
	foreach(cell, concerned)
	{
		const Stored *stored = lfirst(cell);
		UaefDefinition *def;
		char	   *problem = NULL;
		Verdict		verdict = judge(stored, &def, &problem);

		if (verdict == UNKNOWN)
			continue;
		if (verdict == BROKEN && !stored->broken)
			tell(&all, &n, stored, problem);
		note(stored->definition_id, verdict == BROKEN,
			 verdict == SOUND ? def->objects : NIL, verdict == SOUND);
	}
	uaef_spi_end(caller);
	if (n > 0 && uaef_ddl_check == UAEF_DDL_ERROR)
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg_plural("this command breaks %d workflow",
							   "this command breaks %d workflows", n, n),
				 errdetail_internal("%s", all.data),
				 errhint("Create versions that do without, or set uaef.ddl_check to warn.")));
}

void
uaef_dependency_heed_ddl(EventTriggerData *trigger)
{
	if (uaef_ddl_check == UAEF_DDL_OFF || creating_extension)
		return;
	if (strcmp(trigger->event, "ddl_command_start") == 0)
		note_missing();
	else if (strcmp(trigger->event, "sql_drop") == 0)
		check(&any_dropped, &find_dropped);
	else
		check(&any_altered, &find_altered);
}

void
uaef_dependency_list(FunctionCallInfo fcinfo, const char *name)
{
	static UaefQuery find = {
		"SELECT y.task, o.type, o.identity"
		" FROM uaef.workflow_dependency AS y,"
		" pg_catalog.pg_identify_object(y.classid, y.objid, y.objsubid) AS o"
		" WHERE y.definition_id = $1 ORDER BY y.task, o.type, o.identity",
		1, {INT4OID}
	};
	Datum		arg = Int32GetDatum(uaef_definition_find(name, 0));
	UaefCaller	caller;
	uint64		n;

	note_missing();
	caller = uaef_spi_begin();
	n = uaef_spi_run(&find, &arg, NULL);
	for (uint64 i = 0; i < n; i++)
	{
		Datum		values[3];
		bool		nulls[3];

		for (int column = 0; column < 3; column++)
			values[column] = uaef_spi_value(i, column + 1, &nulls[column]);
		uaef_put_row(fcinfo, values, nulls);
	}
	uaef_spi_end(caller);
}
