/*-------------------------------------------------------------------------
 *
 * api_handler.c
 *	  SQL entry points of handlers: fetch arguments, call, return.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"

#include "arguments.h"
#include "handler.h"

static Datum
handle(FunctionCallInfo fcinfo, const UaefHandler *handler)
{
	Jsonb	   *event = uaef_arg_jsonb(fcinfo, 0, "event");
	char	   *audience = PG_NARGS() > 1 ? uaef_arg_text_or_null(fcinfo, 1) :
		NULL;

	PG_RETURN_JSONB_P(uaef_handle(handler, event, audience));
}

/* uaef.handle_workflow_trigger(event jsonb, audience text) -> jsonb */
PG_FUNCTION_INFO_V1(uaef_handle_workflow_trigger);
Datum
uaef_handle_workflow_trigger(PG_FUNCTION_ARGS)
{
	return handle(fcinfo, &uaef_handler_trigger);
}

/* uaef.handle_task_execution(event jsonb, audience text) -> jsonb */
PG_FUNCTION_INFO_V1(uaef_handle_task_execution);
Datum
uaef_handle_task_execution(PG_FUNCTION_ARGS)
{
	return handle(fcinfo, &uaef_handler_task);
}

/* uaef.handle_webhook(event jsonb) -> jsonb */
PG_FUNCTION_INFO_V1(uaef_handle_webhook);
Datum
uaef_handle_webhook(PG_FUNCTION_ARGS)
{
	return handle(fcinfo, &uaef_handler_webhook);
}

/* uaef.handle_schedule(event jsonb, audience text) -> jsonb */
PG_FUNCTION_INFO_V1(uaef_handle_schedule);
Datum
uaef_handle_schedule(PG_FUNCTION_ARGS)
{
	return handle(fcinfo, &uaef_handler_schedule);
}
