/*-------------------------------------------------------------------------
 *
 * api_receive.c
 *	  SQL entry points of receiving: fetch arguments, call, return.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"

#include "arguments.h"
#include "connector_config.h"
#include "receive_store.h"
#include "wake.h"

PG_FUNCTION_INFO_V1(uaef_receive);
PG_FUNCTION_INFO_V1(uaef_replay_message);

/* uaef.receive(connector text) -> void */
Datum
uaef_receive(PG_FUNCTION_ARGS)
{
	uaef_connector_require_receiver(uaef_arg_text(fcinfo, 0, "connector"));
	uaef_wake_worker_on_commit(UAEF_WAKE_RECEIVE);
	PG_RETURN_VOID();
}

/* uaef.replay_message(connector text, message_id text) -> void */
Datum
uaef_replay_message(PG_FUNCTION_ARGS)
{
	uaef_receive_replay(uaef_arg_text(fcinfo, 0, "connector"),
						uaef_arg_text(fcinfo, 1, "message_id"));
	PG_RETURN_VOID();
}
