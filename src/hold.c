/*-------------------------------------------------------------------------
 *
 * hold.c
 *	  Workflows whose executions are accepted but do not begin.
 *
 * An execution that is held back has its start timer at the end of time; the
 * release of the workflow makes those timers due, and the worker begins the
 * executions as it begins delayed ones.
 *
 * Locking: who holds an execution back shares the row of the hold until its
 * transaction ends; a release takes that row first, and so finds all timers.
 * Where there is no hold, nothing is locked.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "advance.h"
#include "clock.h"
#include "errcodes.h"
#include "failure.h"
#include "family.h"
#include "hold.h"
#include "spi_util.h"
#include "wake.h"
#include "workflow_task.h"

static UaefQuery find_owner = {
	"SELECT created_by FROM uaef.workflow_definition"
	" WHERE name = $1 AND version = 1",
	1, {TEXTOID}
};

static UaefQuery insert_hold = {
	"INSERT INTO uaef.workflow_hold (workflow, held_by, held_at, reason)"
	" VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
	4, {TEXTOID, REGROLEOID, TIMESTAMPTZOID, TEXTOID}
};

static UaefQuery delete_hold = {
	"DELETE FROM uaef.workflow_hold WHERE workflow = $1",
	1, {TEXTOID}
};

static UaefQuery share_hold = {
	"SELECT FROM uaef.workflow_hold WHERE workflow = $1 FOR SHARE",
	1, {TEXTOID}
};

/* Those of executions that are gone become due too, and so vanish. */
static UaefQuery release_timers = {
	"UPDATE uaef.task_timer t SET due_at = $2"
	" WHERE due_at = 'infinity' AND kind = 'start' AND NOT EXISTS ("
	" SELECT FROM uaef.workflow_execution e"
	" JOIN uaef.workflow_definition d USING (definition_id)"
	" WHERE e.execution_id = t.execution_id AND d.name <> $1)",
	2, {TEXTOID, TIMESTAMPTZOID}
};

static void
record(const char *type, const char *workflow, const char *reason, Oid caller)
{
	UaefEvent	event = {.type = type,.actor_type = "user"};
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_text(&json, "workflow", workflow);
	uaef_json_text(&json, "reason", uaef_clip(reason));
	event.actor_id = GetUserNameFromId(caller, false);
	event.payload = uaef_json_end(&json);
	(void) uaef_ledger_append(&event, 1);
}

/*
 * Raise unless the workflow exists and belongs to the caller, as for a new
 * version of it.
 */
static void
require_own(const char *workflow, UaefCaller caller)
{
	Datum		arg = CStringGetTextDatum(workflow);
	Oid			owner;

	if (uaef_spi_run(&find_owner, &arg, NULL) == 0)
		uaef_definition_undefined(workflow);
	owner = uaef_spi_oid(0, 1);
	uaef_become_caller(caller);
	uaef_require_member(owner, psprintf("workflow \"%s\"", workflow));
	(void) uaef_become_owner();
}

bool
uaef_workflow_hold(const char *workflow, const char *reason)
{
	Oid			role = GetUserId();
	UaefCaller	back = uaef_spi_begin();
	char		nulls[] = {' ', ' ', ' ', reason ? ' ' : 'n'};
	Datum		args[4];
	bool		done;

	require_own(workflow, back);
	args[0] = CStringGetTextDatum(workflow);
	args[1] = ObjectIdGetDatum(role);
	args[2] = TimestampTzGetDatum(uaef_clock_now());
	args[3] = CStringGetTextDatum(reason ? uaef_clip(reason) : "");
	done = uaef_spi_run(&insert_hold, args, nulls) > 0;
	if (done)
		record("workflow_held", workflow, reason, role);
	uaef_spi_end(back);
	return done;
}

/*
 * The timers are looked for with a snapshot that is newer than the lock.
 */
bool
uaef_workflow_release(const char *workflow, const char *reason)
{
	Oid			role = GetUserId();
	UaefCaller	back;
	Datum		args[2];
	bool		done;

	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_STATE),
				 errmsg("a workflow cannot be released in a transaction of this isolation level"),
				 errhint("Use READ COMMITTED.")));
	back = uaef_spi_begin();
	require_own(workflow, back);
	args[0] = CStringGetTextDatum(workflow);
	args[1] = TimestampTzGetDatum(uaef_clock_now());
	done = uaef_spi_run(&delete_hold, args, NULL) > 0;
	if (done)
	{
		uaef_spi_run(&release_timers, args, NULL);
		record("workflow_released", workflow, reason, role);
		uaef_wake_worker_on_commit(UAEF_WAKE_TIMERS);
	}
	uaef_spi_end(back);
	return done;
}

bool
uaef_workflow_is_held(const char *workflow)
{
	Datum		arg;
	bool		held = false;

	if (uaef_definition_look_up_held(workflow, &held) != 0 && !held)
		return false;
	arg = CStringGetTextDatum(workflow);
	return uaef_spi_run(&share_hold, &arg, NULL) > 0;
}

void
uaef_execution_hold(UaefExecution *execution)
{
	uaef_step_timer(execution, NULL, "start", DT_NOEND);
}

void
uaef_execution_begin(UaefExecution *execution)
{
	UaefEvalError error = {0};

	if (!uaef_family_wants(execution))
		uaef_workflow_task_cancel_child(execution, true);
	else if (uaef_workflow_is_held(execution->def->name))
		uaef_execution_hold(execution);
	else if (!uaef_advance_request_start(execution, &error))
		uaef_advance_cancel(execution, error.message, true);
}
