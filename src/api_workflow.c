/*-------------------------------------------------------------------------
 *
 * api_workflow.c
 *	  SQL entry points of executions: fetch arguments, call, return.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "bulk.h"
#include "control.h"
#include "engine.h"
#include "fork.h"
#include "hold.h"
#include "own_execution.h"
#include "retry.h"
#include "sql_here.h"
#include "start_trigger.h"
#include "waiting.h"
#include "workflow_signal.h"

/* Executions a second that a bulk operation can be held to. */
#define MIN_RATE 0.001
#define MAX_RATE 1000000.0

/* A text argument, or NULL. */
static char *
text_arg(FunctionCallInfo fcinfo, int i)
{
	return PG_ARGISNULL(i) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(i));
}

static void
require_arg(FunctionCallInfo fcinfo, int i, const char *name)
{
	if (PG_ARGISNULL(i))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" cannot be null", name)));
}

/*
 * uaef.start_workflow(workflow text, input jsonb, idempotency_key text,
 * name text, priority int, start_at timestamptz, version int,
 * timeout interval, singleton_key text, debounce_key text, debounce interval)
 * returns uuid
 */
PG_FUNCTION_INFO_V1(uaef_start_workflow);
Datum
uaef_start_workflow(PG_FUNCTION_ARGS)
{
	UaefStart	start = {0};
	pg_uuid_t  *id = palloc(sizeof(pg_uuid_t));

	require_arg(fcinfo, 0, "workflow");
	require_arg(fcinfo, 1, "input");
	start.workflow = text_arg(fcinfo, 0);
	start.input = PG_GETARG_JSONB_P(1);
	start.idempotency_key = text_arg(fcinfo, 2);
	start.name = text_arg(fcinfo, 3);
	start.priority = PG_ARGISNULL(4) ? 0 : PG_GETARG_INT32(4);
	start.start_at = PG_ARGISNULL(5) ? 0 : PG_GETARG_TIMESTAMPTZ(5);
	start.version = PG_ARGISNULL(6) ? 0 : PG_GETARG_INT32(6);
	start.timeout_us = PG_ARGISNULL(7) ? 0 :
		uaef_interval_us(PG_GETARG_INTERVAL_P(7), "timeout");
	start.singleton_key = text_arg(fcinfo, 8);
	start.debounce_key = text_arg(fcinfo, 9);
	start.debounce_us = PG_ARGISNULL(10) ? 0 :
		uaef_interval_us(PG_GETARG_INTERVAL_P(10), "debounce");
	*id = uaef_engine_start(&start);
	PG_RETURN_UUID_P(id);
}

/*
 * uaef.cancel_workflow(execution_id uuid, reason text, compensate bool)
 * returns void
 */
PG_FUNCTION_INFO_V1(uaef_cancel_workflow);
Datum
uaef_cancel_workflow(PG_FUNCTION_ARGS)
{
	require_arg(fcinfo, 0, "execution_id");
	require_arg(fcinfo, 2, "compensate");
	uaef_engine_control(PG_GETARG_UUID_P(0),
						PG_GETARG_BOOL(2) ? UAEF_CONTROL_CANCEL :
						UAEF_CONTROL_STOP, text_arg(fcinfo, 1));
	PG_RETURN_VOID();
}

/* uaef.pause_workflow(execution_id uuid, reason text) returns void */
PG_FUNCTION_INFO_V1(uaef_pause_workflow);
Datum
uaef_pause_workflow(PG_FUNCTION_ARGS)
{
	require_arg(fcinfo, 0, "execution_id");
	uaef_engine_control(PG_GETARG_UUID_P(0), UAEF_CONTROL_PAUSE,
						text_arg(fcinfo, 1));
	PG_RETURN_VOID();
}

/* uaef.resume_workflow(execution_id uuid, reason text) returns void */
PG_FUNCTION_INFO_V1(uaef_resume_workflow);
Datum
uaef_resume_workflow(PG_FUNCTION_ARGS)
{
	require_arg(fcinfo, 0, "execution_id");
	uaef_engine_control(PG_GETARG_UUID_P(0), UAEF_CONTROL_RESUME,
						text_arg(fcinfo, 1));
	PG_RETURN_VOID();
}

/*
 * uaef.retry_workflow(execution_id uuid, from_task text, reason text)
 * returns void
 */
PG_FUNCTION_INFO_V1(uaef_retry_workflow);
Datum
uaef_retry_workflow(PG_FUNCTION_ARGS)
{
	require_arg(fcinfo, 0, "execution_id");
	uaef_engine_retry(PG_GETARG_UUID_P(0), text_arg(fcinfo, 1),
					  text_arg(fcinfo, 2));
	PG_RETURN_VOID();
}

/*
 * uaef.fork_workflow(execution_id uuid, from_task text, input jsonb,
 * version int, name text, reason text) returns uuid
 */
PG_FUNCTION_INFO_V1(uaef_fork_workflow);
Datum
uaef_fork_workflow(PG_FUNCTION_ARGS)
{
	UaefFork	fork = {0};
	pg_uuid_t  *id = palloc(sizeof(pg_uuid_t));

	require_arg(fcinfo, 0, "execution_id");
	require_arg(fcinfo, 1, "from_task");
	fork.source = *PG_GETARG_UUID_P(0);
	fork.from_task = text_arg(fcinfo, 1);
	fork.input = PG_ARGISNULL(2) ? NULL : PG_GETARG_JSONB_P(2);
	fork.version = PG_ARGISNULL(3) ? 0 : PG_GETARG_INT32(3);
	fork.name = text_arg(fcinfo, 4);
	fork.reason = text_arg(fcinfo, 5);
	*id = uaef_engine_fork(&fork);
	PG_RETURN_UUID_P(id);
}

static Datum
request_bulk(FunctionCallInfo fcinfo, const char *operation)
{
	UaefBulk	bulk = {.operation = operation};

	require_arg(fcinfo, 1, "filter");
	bulk.workflow = text_arg(fcinfo, 0);
	bulk.filter = PG_GETARG_JSONB_P(1);
	bulk.limit = PG_ARGISNULL(2) ? 0 : PG_GETARG_INT32(2);
	bulk.rate = PG_ARGISNULL(3) ? 0 : PG_GETARG_FLOAT8(3);
	bulk.reason = text_arg(fcinfo, 4);
	if (!PG_ARGISNULL(2) && bulk.limit < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"max_executions\" must be at least 1")));
	if (!PG_ARGISNULL(3) && !(bulk.rate >= MIN_RATE && bulk.rate <= MAX_RATE))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"rate\" must be between %g and %.0f", MIN_RATE,
						MAX_RATE)));
	PG_RETURN_INT64(uaef_bulk_request(&bulk));
}

/*
 * uaef.cancel_workflows(workflow text, filter jsonb, max_executions int,
 * rate double precision, reason text) returns bigint
 */
PG_FUNCTION_INFO_V1(uaef_cancel_workflows);
Datum
uaef_cancel_workflows(PG_FUNCTION_ARGS)
{
	return request_bulk(fcinfo, "cancel");
}

/*
 * uaef.pause_workflows(workflow text, filter jsonb, max_executions int,
 * rate double precision, reason text) returns bigint
 */
PG_FUNCTION_INFO_V1(uaef_pause_workflows);
Datum
uaef_pause_workflows(PG_FUNCTION_ARGS)
{
	return request_bulk(fcinfo, "pause");
}

/*
 * uaef.resume_workflows(workflow text, filter jsonb, max_executions int,
 * rate double precision, reason text) returns bigint
 */
PG_FUNCTION_INFO_V1(uaef_resume_workflows);
Datum
uaef_resume_workflows(PG_FUNCTION_ARGS)
{
	return request_bulk(fcinfo, "resume");
}

/*
 * uaef.retry_workflows(workflow text, filter jsonb, max_executions int,
 * rate double precision, reason text) returns bigint
 */
PG_FUNCTION_INFO_V1(uaef_retry_workflows);
Datum
uaef_retry_workflows(PG_FUNCTION_ARGS)
{
	return request_bulk(fcinfo, "retry");
}

/* uaef.cancel_bulk_operation(bulk_id bigint) returns boolean */
PG_FUNCTION_INFO_V1(uaef_cancel_bulk_operation);
Datum
uaef_cancel_bulk_operation(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(uaef_bulk_cancel(PG_GETARG_INT64(0)));
}

/* uaef.hold_workflow(workflow text, reason text) returns boolean */
PG_FUNCTION_INFO_V1(uaef_hold_workflow);
Datum
uaef_hold_workflow(PG_FUNCTION_ARGS)
{
	require_arg(fcinfo, 0, "workflow");
	PG_RETURN_BOOL(uaef_workflow_hold(text_arg(fcinfo, 0),
									  text_arg(fcinfo, 1)));
}

/* uaef.release_workflow(workflow text, reason text) returns boolean */
PG_FUNCTION_INFO_V1(uaef_release_workflow);
Datum
uaef_release_workflow(PG_FUNCTION_ARGS)
{
	require_arg(fcinfo, 0, "workflow");
	PG_RETURN_BOOL(uaef_workflow_release(text_arg(fcinfo, 0),
										 text_arg(fcinfo, 1)));
}

/*
 * uaef.signal_workflow(execution_id uuid, signal text, payload jsonb,
 * idempotency_key text) returns text
 */
PG_FUNCTION_INFO_V1(uaef_signal_workflow);
Datum
uaef_signal_workflow(PG_FUNCTION_ARGS)
{
	require_arg(fcinfo, 0, "execution_id");
	require_arg(fcinfo, 1, "signal");
	require_arg(fcinfo, 2, "payload");
	PG_RETURN_TEXT_P(cstring_to_text(uaef_signal_send(PG_GETARG_UUID_P(0),
													  text_arg(fcinfo, 1),
													  PG_GETARG_JSONB_P(2),
													  text_arg(fcinfo, 3))));
}

/* uaef.wait_for_workflow(execution_id uuid, timeout interval) returns text */
PG_FUNCTION_INFO_V1(uaef_wait_for_workflow);
Datum
uaef_wait_for_workflow(PG_FUNCTION_ARGS)
{
	char	   *status = uaef_wait_for_end(PG_GETARG_UUID_P(0),
										   PG_GETARG_INTERVAL_P(1));

	PG_RETURN_TEXT_P(cstring_to_text(status));
}

/* uaef.execute_next_tasks(execution_id uuid) returns int */
PG_FUNCTION_INFO_V1(uaef_execute_next_tasks);
Datum
uaef_execute_next_tasks(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(uaef_sql_run_here(PG_GETARG_UUID_P(0)));
}

/* uaef.start_workflow_trigger() returns trigger */
PG_FUNCTION_INFO_V1(uaef_start_workflow_trigger);
Datum
uaef_start_workflow_trigger(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called as a trigger",
						"start_workflow_trigger")));
	uaef_start_from_row((TriggerData *) fcinfo->context);
	return PointerGetDatum(NULL);
}
