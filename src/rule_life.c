/*-------------------------------------------------------------------------
 *
 * rule_life.c
 *	  The life of a settlement rule's version.
 *
 * A version is made as a draft.  Somebody else than its author activates it,
 * when its tests pass; then it takes its period over from the versions before
 * it, so that of one name no two are ever in force.  It can be switched off,
 * on again, and retired for ever.  Its definition never changes.
 *
 * Locking: settlement_rule in SHARE ROW EXCLUSIVE mode until the transaction
 * ends, against others who change rules; readers are not held up.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "definition.h"
#include "errcodes.h"
#include "guc.h"
#include "json_util.h"
#include "rule_life.h"
#include "rule_typing.h"
#include "settlement_rule.h"
#include "near_name.h"
#include "spi_util.h"

/* A version, as its row has it. */
typedef struct Version
{
	const char *name;
	int32		version;
	char	   *workflow;
	Jsonb	   *definition;
	Oid			author;
	Oid			author_session;
	Oid			owner;			/* author of the first version */
	TimestampTz from;
	TimestampTz to;
	bool		active;
	bool		retired;
} Version;

static void lock_rules(void);
static void read_version(const char *name, int32 number, Version *version);
static void no_such_rule(const char *name, int32 version);
static void check_second_person(const Version *version, Oid actor);
static void check_tests(const Version *version);
static void check_still_valid(const Version *version, Oid actor);
static void take_period_over(const Version *version);
static void switch_off(const char *name, int32 version, bool for_ever,
					   Oid actor);

static void
lock_rules(void)
{
	static UaefQuery lock = {
		"LOCK TABLE uaef.settlement_rule IN SHARE ROW EXCLUSIVE MODE"
	};

	(void) uaef_spi_run(&lock, NULL, NULL);
}

static void
no_such_rule(const char *name, int32 version)
{
	static UaefQuery find_newest = {
		"SELECT max(version) FROM uaef.settlement_rule WHERE name = $1",
		1, {TEXTOID}
	};
	static UaefQuery near_rules = {
		"SELECT DISTINCT name FROM uaef.settlement_rule ORDER BY name LIMIT 10000"
	};
	Datum		arg = CStringGetTextDatum(name);
	Datum		newest;
	bool		isnull;
	const char *hint;

	(void) uaef_spi_run(&find_newest, &arg, NULL);
	newest = uaef_spi_value(0, 1, &isnull);
	hint = isnull ? uaef_name_hint(name, &near_rules, NULL,
								   "Use uaef.create_settlement_rule() to create it.") :
		psprintf("Its newest version is %d.", DatumGetInt32(newest));
	ereport(ERROR,
			(errcode(ERRCODE_UAEF_UNDEFINED_SETTLEMENT),
			 isnull
			 ? errmsg("settlement rule \"%s\" does not exist", name)
			 : errmsg("settlement rule \"%s\" has no version %d", name,
					  version),
			 errhint("%s", hint)));
}

static void
read_version(const char *name, int32 number, Version *version)
{
	static UaefQuery find = {
		"SELECT n.version, n.workflow, n.definition, n.created_by::oid,"
		" n.created_session::oid, f.created_by::oid, n.effective_from,"
		" n.effective_to, n.active, n.retired_at IS NOT NULL"
		" FROM uaef.settlement_rule n"
		" JOIN uaef.settlement_rule f ON f.name = n.name AND f.version = 1"
		" WHERE n.name = $1 AND (n.version = $2 OR $2 = 0)"
		" ORDER BY n.version DESC LIMIT 1",
		2, {TEXTOID, INT4OID}
	};
	Datum		args[2];
	bool		isnull;

	args[0] = CStringGetTextDatum(name);
	args[1] = Int32GetDatum(number);
	if (uaef_spi_run(&find, args, NULL) == 0)
		no_such_rule(name, number);
	version->name = name;
	version->version = uaef_spi_int32(0, 1);
	version->workflow = uaef_spi_text(0, 2);
	version->definition = uaef_spi_jsonb(0, 3);
	version->author = uaef_spi_oid(0, 4);
	version->author_session = uaef_spi_oid(0, 5);
	version->owner = uaef_spi_oid(0, 6);
	version->from = DatumGetTimestampTz(uaef_spi_value(0, 7, &isnull));
	version->to = DatumGetTimestampTz(uaef_spi_value(0, 8, &isnull));
	version->active = uaef_spi_bool(0, 9);
	version->retired = uaef_spi_bool(0, 10);
}

/* As for approvals: neither the current role nor who is logged in counts. */
static void
check_second_person(const Version *version, Oid actor)
{
	Oid			actors[] = {actor, GetSessionUserId()};

	if (uaef_rule_activation == UAEF_ACTIVATION_ANY)
		return;
	for (int i = 0; i < 2; i++)
	{
		if (actors[i] == version->author ||
			actors[i] == version->author_session)
			ereport(ERROR,
					(errcode(ERRCODE_UAEF_SECOND_PERSON),
					 errmsg("version %d of settlement rule \"%s\" must be activated by somebody else",
							version->version, version->name),
					 errdetail("Role \"%s\" wrote it.",
							   GetUserNameFromId(actors[i], true) ?
							   GetUserNameFromId(actors[i], true) : "unknown"),
					 errhint("Log in as another role; where one person does all, set uaef.rule_activation to \"any\".")));
	}
}

static void
check_tests(const Version *version)
{
	List	   *tests = uaef_rule_test_run(version->name, version->version);
	char	   *failed = NULL;
	ListCell   *cell;

	foreach(cell, tests)
	{
		const UaefRuleTest *test = lfirst(cell);

		if (!test->passed)
			failed = failed == NULL ? psprintf("\"%s\"", test->name) :
				psprintf("%s, \"%s\"", failed, test->name);
	}
	if (failed != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_RULE_TESTS),
				 errmsg("tests of version %d of settlement rule \"%s\" fail",
						version->version, version->name),
				 errdetail("These fail: %s.", failed),
				 errhint("run_rule_tests() tells what came of each.")));
}

/* The workflow may have changed since the draft was made. */
static void
check_still_valid(const Version *version, Oid actor)
{
	UaefSettlementRule *rule =
		uaef_settlement_rule_compile(version->name, version->definition, NULL);

	uaef_settlement_rule_check_workflow(rule, version->definition, actor);
}

/*
 * No two versions are in force at a time: what was before ends where this one
 * begins, or is switched off when nothing is left of it.
 */
static void
take_period_over(const Version *version)
{
	static UaefQuery find_cut = {
		"SELECT version FROM uaef.settlement_rule WHERE name = $1 AND active"
		" AND version <> $2 AND effective_from < $4 AND effective_to > $4"
		" ORDER BY version LIMIT 1",
		4, {TEXTOID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID}
	};
	static UaefQuery switch_off_inner = {
		"UPDATE uaef.settlement_rule SET active = false WHERE name = $1"
		" AND active AND version <> $2 AND effective_from >= $3"
		" AND effective_to <= $4",
		4, {TEXTOID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID}
	};
	static UaefQuery end_earlier = {
		"UPDATE uaef.settlement_rule SET effective_to = $3 WHERE name = $1"
		" AND active AND version <> $2 AND effective_from < $3"
		" AND effective_to > $3",
		3, {TEXTOID, INT4OID, TIMESTAMPTZOID}
	};
	Datum		args[4];

	args[0] = CStringGetTextDatum(version->name);
	args[1] = Int32GetDatum(version->version);
	args[2] = TimestampTzGetDatum(version->from);
	args[3] = TimestampTzGetDatum(version->to);
	if (uaef_spi_run(&find_cut, args, NULL) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_RULE_PERIOD),
				 errmsg("period of version %d of settlement rule \"%s\" ends within that of version %d",
						version->version, version->name,
						uaef_spi_int32(0, 1)),
				 errhint("Deactivate version %d first, and make versions for what it was in force for.",
						 uaef_spi_int32(0, 1))));
	(void) uaef_spi_run(&switch_off_inner, args, NULL);
	(void) uaef_spi_run(&end_earlier, args, NULL);
}

void
uaef_rule_activate(const char *name, int32 number, Oid actor)
{
	static UaefQuery switch_on = {
		"UPDATE uaef.settlement_rule SET active = true, activated_by = $3,"
		" activated_session = $4, activated_at = $5"
		" WHERE name = $1 AND version = $2",
		5, {TEXTOID, INT4OID, REGROLEOID, REGROLEOID, TIMESTAMPTZOID}
	};
	UaefCaller	caller = uaef_spi_begin();
	Version		version;
	UaefJson	more;
	Datum		args[5];

	lock_rules();
	read_version(name, number, &version);
	if (version.version != number)
		no_such_rule(name, number);
	uaef_settlement_rule_check_workflow_owner(version.workflow, actor);
	if (version.retired)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_RULE_STATE),
				 errmsg("version %d of settlement rule \"%s\" is retired",
						number, name),
				 errhint("Make a new version of it.")));
	if (version.active)
	{
		uaef_spi_end(caller);
		return;
	}
	check_second_person(&version, actor);
	check_still_valid(&version, actor);
	check_tests(&version);
	take_period_over(&version);

	args[0] = CStringGetTextDatum(name);
	args[1] = Int32GetDatum(number);
	args[2] = ObjectIdGetDatum(actor);
	args[3] = ObjectIdGetDatum(GetSessionUserId());
	args[4] = TimestampTzGetDatum(uaef_clock_now());
	(void) uaef_spi_run(&switch_on, args, NULL);
	uaef_json_begin(&more);
	uaef_json_text(&more, "author", GetUserNameFromId(version.author, true));
	uaef_json_text(&more, "session_role",
				   GetUserNameFromId(GetSessionUserId(), true));
	uaef_settlement_rule_record("settlement_rule_activated", name, number,
								version.workflow, actor,
								uaef_json_end(&more));
	uaef_spi_end(caller);
}

/* Version 0: all of them. */
static void
switch_off(const char *name, int32 number, bool for_ever, Oid actor)
{
	static UaefQuery update = {
		"UPDATE uaef.settlement_rule SET active = false,"
		" retired_at = CASE WHEN $3 THEN coalesce(retired_at, $4)"
		" ELSE retired_at END"
		" WHERE name = $1 AND (version = $2 OR $2 = 0)",
		4, {TEXTOID, INT4OID, BOOLOID, TIMESTAMPTZOID}
	};
	UaefCaller	caller = uaef_spi_begin();
	Version		version;
	Datum		args[4];

	lock_rules();
	read_version(name, number, &version);
	uaef_settlement_rule_check_workflow_owner(version.workflow, actor);
	args[0] = CStringGetTextDatum(name);
	args[1] = Int32GetDatum(number);
	args[2] = BoolGetDatum(for_ever);
	args[3] = TimestampTzGetDatum(uaef_clock_now());
	(void) uaef_spi_run(&update, args, NULL);
	uaef_settlement_rule_record(for_ever ? "settlement_rule_retired" :
								"settlement_rule_deactivated", name, number,
								version.workflow, actor, NULL);
	uaef_spi_end(caller);
}

void
uaef_rule_deactivate(const char *name, int32 version, Oid actor)
{
	switch_off(name, version, false, actor);
}

void
uaef_rule_retire(const char *name, int32 version, Oid actor)
{
	switch_off(name, version, true, actor);
}

Jsonb *
uaef_rule_definition(const char *name, int32 number, Oid actor)
{
	UaefCaller	caller = uaef_spi_begin();
	Version		version;

	read_version(name, number, &version);
	uaef_settlement_rule_check_workflow_owner(version.workflow, actor);
	uaef_spi_end(caller);
	return version.definition;
}

List *
uaef_rule_test_run_for(const char *name, int32 number, Oid actor)
{
	UaefCaller	caller = uaef_spi_begin();
	Version		version;

	read_version(name, number, &version);
	uaef_settlement_rule_check_workflow_owner(version.workflow, actor);
	uaef_spi_end(caller);
	return uaef_rule_test_run(name, version.version);
}

/* Tests belong to drafts: what is in force was tested by what it has. */
void
uaef_rule_test_add(const char *name, int32 number, const char *test,
				   Jsonb *data, Jsonb *expect, TimestampTz at, Oid actor)
{
	static UaefQuery insert = {
		"INSERT INTO uaef.rule_test (rule, version, test, data, expect, at,"
		" created_by, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
		" ON CONFLICT (rule, version, test) DO UPDATE SET"
		" data = excluded.data, expect = excluded.expect, at = excluded.at,"
		" created_by = excluded.created_by, created_at = excluded.created_at",
		8, {TEXTOID, INT4OID, TEXTOID, JSONBOID, JSONBOID, TIMESTAMPTZOID,
		REGROLEOID, TIMESTAMPTZOID}
	};
	UaefCaller	caller = uaef_spi_begin();
	Version		version;
	UaefJson	more;
	Datum		args[8];

	lock_rules();
	read_version(name, number, &version);
	uaef_settlement_rule_check_owner(name, version.owner, actor);
	if (version.active || version.retired)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_RULE_STATE),
				 errmsg("version %d of settlement rule \"%s\" is %s", number,
						name, version.active ? "active" : "retired"),
				 errdetail("Tests are added to drafts.")));
	args[0] = CStringGetTextDatum(name);
	args[1] = Int32GetDatum(version.version);
	args[2] = CStringGetTextDatum(test);
	args[3] = JsonbPGetDatum(data);
	args[4] = JsonbPGetDatum(expect);
	args[5] = TimestampTzGetDatum(at);
	args[6] = ObjectIdGetDatum(actor);
	args[7] = TimestampTzGetDatum(uaef_clock_now());
	(void) uaef_spi_run(&insert, args, NULL);
	uaef_json_begin(&more);
	uaef_json_text(&more, "test", test);
	uaef_settlement_rule_record("settlement_rule_test_added", name,
								version.version, version.workflow, actor,
								uaef_json_end(&more));
	uaef_spi_end(caller);
}

List *
uaef_rule_diagnose(Jsonb *definition, Oid actor)
{
	char	   *workflow = JB_ROOT_IS_OBJECT(definition) ?
		uaef_json_get_text(definition, "workflow") : NULL;
	UaefCaller	caller = uaef_spi_begin();
	int32		id = workflow == NULL ? 0 : uaef_definition_look_up(workflow, 0);
	UaefTyping	typing;
	List	   *defects;

	if (id != 0)
	{
		uaef_settlement_rule_check_workflow_owner(workflow, actor);
		typing = uaef_rule_typing(uaef_definition_get(id));
	}
	uaef_spi_end(caller);
	defects = uaef_settlement_rule_check(definition,
										 id == 0 ? NULL : &typing);
	if (workflow != NULL && id == 0)
	{
		UaefRuleDefect *defect = palloc0(sizeof(UaefRuleDefect));

		defect->severity = "error";
		defect->path = "workflow";
		defect->problem = psprintf("workflow \"%s\" does not exist", workflow);
		defects = lappend(defects, defect);
	}
	return defects;
}
