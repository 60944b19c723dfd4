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

#include "control.h"
#include "engine.h"
#include "sql_here.h"
#include "start_trigger.h"
#include "waiting.h"
#include "workflow_signal.h"

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
 * name text, priority int, start_at timestamptz, version int) returns uuid
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
