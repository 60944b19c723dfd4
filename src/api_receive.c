/*-------------------------------------------------------------------------
 *
 * api_receive.c
 *	  SQL entry points of receiving: fetch arguments, call, return.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

#include "connector_config.h"
#include "receive_store.h"
#include "wake.h"

PG_FUNCTION_INFO_V1(uaef_receive);
PG_FUNCTION_INFO_V1(uaef_replay_message);

/* uaef.receive(connector text) -> void */
Datum
uaef_receive(PG_FUNCTION_ARGS)
{
	uaef_connector_require_receiver(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	uaef_wake_worker_on_commit(UAEF_WAKE_RECEIVE);
	PG_RETURN_VOID();
}

/* uaef.replay_message(connector text, message_id text) -> void */
Datum
uaef_replay_message(PG_FUNCTION_ARGS)
{
	uaef_receive_replay(text_to_cstring(PG_GETARG_TEXT_PP(0)),
						text_to_cstring(PG_GETARG_TEXT_PP(1)));
	PG_RETURN_VOID();
}
