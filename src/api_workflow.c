/*-------------------------------------------------------------------------
 *
 * api_workflow.c
 *	  SQL entry points of executions: fetch arguments, call, return.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "arguments.h"
#include "bulk.h"
#include "control.h"
#include "engine.h"
#include "fork.h"
#include "hold.h"
#include "retry.h"
#include "spi_util.h"
#include "sql_here.h"
#include "start_trigger.h"
#include "waiting.h"
#include "workflow_signal.h"

/* Executions a second that a bulk operation can be held to. */
#define MIN_RATE 0.001
#define MAX_RATE 1000000.0

/*
 * A version that is given, or 0 for the newest.
 */
static int32
version_arg(FunctionCallInfo fcinfo, int argno)
{
	if (!PG_ARGISNULL(argno) && PG_GETARG_INT32(argno) < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"version\" must be 1 or more"),
				 errhint("Leave it out for the newest one.")));
	return uaef_arg_int32_or(fcinfo, argno, 0);
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

	start.workflow = uaef_arg_text(fcinfo, 0, "workflow");
	start.input = uaef_arg_jsonb(fcinfo, 1, "input");
	start.idempotency_key = uaef_arg_text_or_null(fcinfo, 2);
	start.name = uaef_arg_text_or_null(fcinfo, 3);
	start.priority = uaef_arg_int32_or(fcinfo, 4, 0);
	start.start_at = uaef_arg_time_or(fcinfo, 5, 0);
	start.version = version_arg(fcinfo, 6);
	start.timeout_us = uaef_arg_interval_us_or_zero(fcinfo, 7, "timeout");
	start.singleton_key = uaef_arg_text_or_null(fcinfo, 8);
	start.debounce_key = uaef_arg_text_or_null(fcinfo, 9);
	start.debounce_us = uaef_arg_interval_us_or_zero(fcinfo, 10, "debounce");
	*id = uaef_engine_start(&start);
	PG_RETURN_UUID_P(id);
}

/*
 * uaef.start_workflows(workflow text, inputs jsonb[], priority int,
 * version int) returns uuid[]
 */
PG_FUNCTION_INFO_V1(uaef_start_workflows);
Datum
uaef_start_workflows(PG_FUNCTION_ARGS)
{
	UaefStart	start = {0};
	int			n;
	Datum	   *documents = uaef_array_elements(uaef_arg_array(fcinfo, 1,
															   "inputs"),
												JSONBOID, "inputs", &n);
	Jsonb	  **inputs = palloc(sizeof(Jsonb *) * Max(n, 1));
	pg_uuid_t  *ids = palloc(sizeof(pg_uuid_t) * Max(n, 1));
	Datum	   *result = palloc(sizeof(Datum) * Max(n, 1));

	start.workflow = uaef_arg_text(fcinfo, 0, "workflow");
	start.priority = uaef_arg_int32_or(fcinfo, 2, 0);
	start.version = version_arg(fcinfo, 3);
	for (int i = 0; i < n; i++)
		inputs[i] = DatumGetJsonbP(documents[i]);
	uaef_engine_start_many(&start, inputs, n, ids);

	for (int i = 0; i < n; i++)
		result[i] = UUIDPGetDatum(&ids[i]);
	return uaef_array(result, NULL, n, UUIDOID);
}

/*
 * uaef.cancel_workflow(execution_id uuid, reason text, compensate bool)
 * returns void
 */
PG_FUNCTION_INFO_V1(uaef_cancel_workflow);
Datum
uaef_cancel_workflow(PG_FUNCTION_ARGS)
{
	uaef_engine_control(uaef_arg_uuid(fcinfo, 0, "execution_id"),
						uaef_arg_bool(fcinfo, 2, "compensate") ? UAEF_CONTROL_CANCEL :
						UAEF_CONTROL_STOP, uaef_arg_text_or_null(fcinfo, 1));
	PG_RETURN_VOID();
}

/* uaef.pause_workflow(execution_id uuid, reason text) returns void */
PG_FUNCTION_INFO_V1(uaef_pause_workflow);
Datum
uaef_pause_workflow(PG_FUNCTION_ARGS)
{
	uaef_engine_control(uaef_arg_uuid(fcinfo, 0, "execution_id"),
						UAEF_CONTROL_PAUSE,
						uaef_arg_text_or_null(fcinfo, 1));
	PG_RETURN_VOID();
}

/* uaef.resume_workflow(execution_id uuid, reason text) returns void */
PG_FUNCTION_INFO_V1(uaef_resume_workflow);
Datum
uaef_resume_workflow(PG_FUNCTION_ARGS)
{
	uaef_engine_control(uaef_arg_uuid(fcinfo, 0, "execution_id"),
						UAEF_CONTROL_RESUME,
						uaef_arg_text_or_null(fcinfo, 1));
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
	uaef_engine_retry(uaef_arg_uuid(fcinfo, 0, "execution_id"),
					  uaef_arg_text_or_null(fcinfo, 1),
					  uaef_arg_text_or_null(fcinfo, 2));
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

	fork.source = *uaef_arg_uuid(fcinfo, 0, "execution_id");
	fork.from_task = uaef_arg_text(fcinfo, 1, "from_task");
	fork.input = uaef_arg_jsonb_or_null(fcinfo, 2);
	fork.version = version_arg(fcinfo, 3);
	fork.name = uaef_arg_text_or_null(fcinfo, 4);
	fork.reason = uaef_arg_text_or_null(fcinfo, 5);
	*id = uaef_engine_fork(&fork);
	PG_RETURN_UUID_P(id);
}

static Datum
request_bulk(FunctionCallInfo fcinfo, const char *operation)
{
	UaefBulk	bulk = {.operation = operation};

	bulk.workflow = uaef_arg_text_or_null(fcinfo, 0);
	bulk.filter = uaef_arg_jsonb(fcinfo, 1, "filter");
	bulk.limit = uaef_arg_int32_or(fcinfo, 2, 0);
	bulk.rate = PG_ARGISNULL(3) ? 0 : PG_GETARG_FLOAT8(3);
	bulk.reason = uaef_arg_text_or_null(fcinfo, 4);
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
	PG_RETURN_BOOL(uaef_bulk_cancel(uaef_arg_int64(fcinfo, 0, "bulk_id")));
}

/* uaef.hold_workflow(workflow text, reason text) returns boolean */
PG_FUNCTION_INFO_V1(uaef_hold_workflow);
Datum
uaef_hold_workflow(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(uaef_workflow_hold(uaef_arg_text(fcinfo, 0, "workflow"),
									  uaef_arg_text_or_null(fcinfo, 1)));
}

/* uaef.release_workflow(workflow text, reason text) returns boolean */
PG_FUNCTION_INFO_V1(uaef_release_workflow);
Datum
uaef_release_workflow(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(uaef_workflow_release(uaef_arg_text(fcinfo, 0, "workflow"),
										 uaef_arg_text_or_null(fcinfo, 1)));
}

/*
 * uaef.signal_workflow(execution_id uuid, signal text, payload jsonb,
 * idempotency_key text) returns text
 */
PG_FUNCTION_INFO_V1(uaef_signal_workflow);
Datum
uaef_signal_workflow(PG_FUNCTION_ARGS)
{
	const char *taken =
		uaef_signal_send(uaef_arg_uuid(fcinfo, 0, "execution_id"),
						 uaef_arg_text(fcinfo, 1, "signal"),
						 uaef_arg_jsonb(fcinfo, 2, "payload"),
						 uaef_arg_text_or_null(fcinfo, 3));

	PG_RETURN_TEXT_P(cstring_to_text(taken));
}

/* uaef.wait_for_workflow(execution_id uuid, timeout interval) returns text */
PG_FUNCTION_INFO_V1(uaef_wait_for_workflow);
Datum
uaef_wait_for_workflow(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *id = uaef_arg_uuid(fcinfo, 0, "execution_id");
	char	   *status;

	uaef_arg_require(fcinfo, 1, "timeout");
	status = uaef_wait_for_end(id, PG_GETARG_INTERVAL_P(1));
	PG_RETURN_TEXT_P(cstring_to_text(status));
}

/* uaef.execute_next_tasks(execution_id uuid) returns int */
PG_FUNCTION_INFO_V1(uaef_execute_next_tasks);
Datum
uaef_execute_next_tasks(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(uaef_sql_run_here(uaef_arg_uuid(fcinfo, 0,
													"execution_id")));
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
