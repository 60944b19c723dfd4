/*-------------------------------------------------------------------------
 *
 * engine.c
 *	  What the outside asks of the engine: start, and results.
 *
 * Each function is one step (execution.h): become the owner, lock, change in
 * memory, write, go back.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "advance.h"
#include "agent_call.h"
#include "digest.h"
#include "engine.h"
#include "errcodes.h"
#include "failure.h"
#include "guc.h"
#include "hold.h"
#include "payload_check.h"
#include "spi_util.h"
#include "start_once.h"
#include "uuid7.h"

/* Longest name of an execution. */
#define MAX_NAME 1000

/* Executions that are begun in one step; more would not stay in the caches. */
#define MANY_STARTS 20

static UaefQuery insert_key = {
	"INSERT INTO uaef.workflow_start_key"
	" (workflow, idempotency_key, execution_id, input_digest)"
	" VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
	4, {TEXTOID, TEXTOID, UUIDOID, BYTEAOID}
};

static UaefQuery find_key = {
	"SELECT execution_id, input_digest = $3, initiated_by::pg_catalog.oid"
	" FROM uaef.workflow_start_key LEFT JOIN uaef.workflow_execution"
	" USING (execution_id)"
	" WHERE workflow = $1 AND idempotency_key = $2",
	3, {TEXTOID, TEXTOID, BYTEAOID}
};

/*
 * Take the idempotency key for this execution.  Returns false, with the id of
 * the execution that the key began, when it is taken.
 */
static bool
take_key(const UaefStart *start, pg_uuid_t *execution_id, Oid caller)
{
	Datum		args[4];
	bool		isnull;
	Datum		initiator;

	args[0] = CStringGetTextDatum(start->workflow);
	args[1] = CStringGetTextDatum(start->idempotency_key);
	args[2] = UUIDPGetDatum(execution_id);
	args[3] = PointerGetDatum(uaef_digest_bytea(start->input));
	if (uaef_spi_run(&insert_key, args, NULL) > 0)
		return true;

	args[2] = args[3];
	if (uaef_spi_run(&find_key, args, NULL) == 0)
		elog(ERROR, "idempotency key \"%s\" vanished", start->idempotency_key);
	if (!uaef_spi_bool(0, 2))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_KEY_REUSED),
				 errmsg("idempotency key \"%s\" of workflow \"%s\" was used with another input",
						start->idempotency_key, start->workflow),
				 errhint("Use a new key for a new input.")));
	initiator = uaef_spi_value(0, 3, &isnull);
	if (!isnull && !has_privs_of_role(caller, DatumGetObjectId(initiator)))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("idempotency key \"%s\" of workflow \"%s\" was used by another role",
						start->idempotency_key, start->workflow),
				 errhint("Use keys that begin with the role's name, where several roles start one workflow.")));
	*execution_id = uaef_spi_uuid(0, 1);
	return false;
}

static Jsonb *
started_payload(const UaefStart *start, UaefExecution *execution,
				const char *caller)
{
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_text(&json, "workflow", execution->def->name);
	uaef_json_int(&json, "version", execution->def->version);
	uaef_json_text(&json, "name", start->name);
	uaef_json_text(&json, "initiated_by", caller);
	uaef_json_text(&json, "idempotency_key", start->idempotency_key);
	uaef_json_text(&json, "singleton_key", start->singleton_key);
	uaef_json_text(&json, "debounce_key", start->debounce_key);
	uaef_json_time(&json, "start_at", start->start_at);
	uaef_json_text(&json, "schedule", start->schedule);
	uaef_json_time(&json, "tick", start->tick);
	uaef_json_text(&json, "input_sha256", uaef_digest_hex(start->input));
	return uaef_json_end(&json);
}

/*
 * Callers keep off the keys of schedules.
 */
static void
check_key(const UaefStart *start)
{
	if (start->schedule_id == 0 && start->idempotency_key != NULL &&
		strncmp(start->idempotency_key, UAEF_SCHEDULE_KEY,
				strlen(UAEF_SCHEDULE_KEY)) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_RESERVED_NAME),
				 errmsg("idempotency key \"%s\" is one of schedules",
						start->idempotency_key),
				 errhint("Use keys that begin otherwise.")));
}

/*
 * Begin a new execution, now or later.
 */
static void
begin_execution(UaefExecution *execution, const UaefStart *start, Oid caller,
				bool held)
{
	UaefStep   *step = execution->step;
	UaefEvalError error = {0};

	uaef_require_input(execution->def, start->input);
	execution->name = uaef_clip(start->name);
	execution->priority = start->priority;
	execution->initiated_by = caller;
	execution->session_role = OidIsValid(start->session_role) ?
		start->session_role : GetSessionUserId();
	execution->schedule_id = start->schedule_id;
	execution->tick_at = start->tick;
	execution->input = start->input;
	execution->timeout_ms = start->timeout_us > 0 ?
		Max(start->timeout_us / 1000, 1) : execution->def->timeout_ms;
	uaef_step_event(execution, NULL, "workflow_started",
					started_payload(start, execution, step->actor_id));
	if (start->debounce_key != NULL)
		return;
	if (start->start_at > step->now)
		uaef_step_timer(execution, NULL, "start", start->start_at);
	else if (held && uaef_workflow_is_held(start->workflow))
		uaef_execution_hold(execution);
	else if (!uaef_advance_request_start(execution, &error))
		uaef_eval_raise(&error);
	uaef_execution_set_deadline(execution, Max(start->start_at, step->now));
}

/*
 * Start, or find what was started with the same key; false when somebody else
 * has just taken the key.
 */
static bool
start_or_find(const UaefStart *start, Oid caller, pg_uuid_t *id)
{
	bool		once = start->singleton_key != NULL ||
		start->debounce_key != NULL;
	UaefStep   *step = uaef_step_begin("user",
									   GetUserNameFromId(caller, false));
	UaefExecution *execution;
	bool		held;
	int32		definition_id =
		uaef_definition_find_start(start->workflow, start->version, &held);

	if (once && uaef_start_once_find(step, start, caller, id))
	{
		uaef_step_write(step);
		return true;
	}
	execution = uaef_step_new_execution(step,
										uaef_definition_get(definition_id));
	if (once && !uaef_start_once_take(execution, start, id))
		return false;
	*id = execution->id;
	if (start->idempotency_key != NULL && !take_key(start, id, caller))
		return true;
	begin_execution(execution, start, caller, held);
	uaef_step_write(step);
	return true;
}

pg_uuid_t
uaef_engine_start(const UaefStart *start)
{
	Oid			caller = GetUserId();
	UaefCaller	back;
	pg_uuid_t	id;

	uaef_check_input(start->input);
	if (start->name != NULL && strlen(start->name) > MAX_NAME)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("name of an execution has at most %d bytes",
						MAX_NAME)));
	check_key(start);
	uaef_start_once_check(start);
	back = uaef_spi_begin();
	while (!start_or_find(start, caller, &id))
		CHECK_FOR_INTERRUPTS();
	uaef_spi_end(back);
	return id;
}

static void
tell_input(void *arg)
{
	errcontext("element %d of inputs", *(int *) arg);
}

/*
 * Begin one execution for each of n inputs from one on, in one step.
 */
static void
start_some(const UaefStart *start, Jsonb *const *inputs, int from, int n,
		   Oid caller, pg_uuid_t *ids)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "uaef starts",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext back = MemoryContextSwitchTo(context);
	UaefStart	one = *start;
	UaefStep   *step = uaef_step_begin("user",
									   GetUserNameFromId(caller, false));
	bool		held;
	const UaefDefinition *def =
		uaef_definition_get(uaef_definition_find_start(start->workflow,
													   start->version, &held));
	int			element = from + 1;
	ErrorContextCallback context_callback = {
		.previous = error_context_stack,
		.callback = tell_input,
		.arg = &element
	};

	error_context_stack = &context_callback;
	for (int i = from; i < from + n; i++)
	{
		UaefExecution *execution = uaef_step_new_execution(step, def);

		element = i + 1;
		ids[i] = execution->id;
		one.input = inputs[i];
		uaef_check_input(one.input);
		begin_execution(execution, &one, caller, held);
	}
	error_context_stack = context_callback.previous;
	uaef_step_write(step);
	MemoryContextSwitchTo(back);
	MemoryContextDelete(context);
}

void
uaef_engine_start_many(const UaefStart *start, Jsonb *const *inputs, int n,
					   pg_uuid_t *ids)
{
	Oid			caller = GetUserId();
	UaefCaller	back = uaef_spi_begin();

	for (int from = 0; from < n; from += MANY_STARTS)
	{
		CHECK_FOR_INTERRUPTS();
		start_some(start, inputs, from, Min(n - from, MANY_STARTS), caller,
				   ids);
	}
	uaef_spi_end(back);
}

/*
 * The task that a result is for, if it still waits for this attempt.
 */
static UaefTask *
lock_running_task(UaefStep *step, const UaefTaskRef *ref)
{
	UaefExecution *execution;
	UaefTask   *task;

	uaef_step_lock(step, &ref->execution_id, 1);
	execution = uaef_step_execution(step, &ref->execution_id);
	if (execution == NULL || uaef_execution_ended(execution->status))
		return NULL;
	task = uaef_execution_find(execution, ref->task_no, ref->item);
	if (task == NULL || task->status != UAEF_TASK_RUNNING ||
		(ref->attempt != 0 && ref->attempt != task->attempt))
		return NULL;
	return task;
}

bool
uaef_engine_complete(const UaefTaskRef *ref, Jsonb *output,
					 const char *actor_type, const char *actor_id)
{
	UaefCaller	back = uaef_spi_begin();
	UaefStep   *step = uaef_step_begin(actor_type, actor_id);
	UaefTask   *task = lock_running_task(step, ref);

	if (task != NULL)
	{
		if (task->def->type == UAEF_TASK_AGENT)
			uaef_agent_call_answered(task, output);
		else
			(void) uaef_advance_result(task, output);
		uaef_step_write(step);
	}
	uaef_spi_end(back);
	return task != NULL;
}

bool
uaef_engine_fail(const UaefTaskRef *ref, const UaefFailure *failure,
				 const char *actor_type, const char *actor_id)
{
	UaefCaller	back = uaef_spi_begin();
	UaefStep   *step = uaef_step_begin(actor_type, actor_id);
	UaefTask   *task = lock_running_task(step, ref);

	if (task != NULL)
	{
		if (task->def->type == UAEF_TASK_AGENT)
			uaef_agent_call_failed(task, failure);
		else
			uaef_advance_fail(task, failure);
		uaef_step_write(step);
	}
	uaef_spi_end(back);
	return task != NULL;
}

void
uaef_engine_task_lost(const UaefTaskRef *ref)
{
	UaefCaller	back = uaef_spi_begin();
	UaefStep   *step = uaef_step_begin("system", "worker");
	UaefExecution *execution;
	UaefTask   *task = NULL;
	UaefJson	json;

	uaef_step_lock(step, &ref->execution_id, 1);
	execution = uaef_step_execution(step, &ref->execution_id);
	if (execution != NULL && !uaef_execution_ended(execution->status))
		task = uaef_execution_find(execution, ref->task_no, ref->item);
	if (task != NULL && task->status == UAEF_TASK_QUEUED &&
		task->attempt == ref->attempt)
	{
		uaef_task_event_begin(&json, task);
		uaef_json_int(&json, "losses", task->losses + 1);
		uaef_step_event(execution, task, "task_lost", uaef_json_end(&json));
		if (uaef_failure_lost(task))
			(void) uaef_step_unready(task);
		uaef_step_write(step);
	}
	uaef_spi_end(back);
}
