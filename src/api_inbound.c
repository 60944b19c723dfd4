/*-------------------------------------------------------------------------
 *
 * api_inbound.c
 *	  SQL entry points of inbound webhooks: fetch arguments, call, return.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"

#include "arguments.h"
#include "hide_statement.h"
#include "inbound_receive.h"
#include "inbound_source.h"

/*
 * uaef.create_webhook_source(name text, type text, config jsonb, secret jsonb)
 *	 -> integer
 */
PG_FUNCTION_INFO_V1(uaef_create_webhook_source);
Datum
uaef_create_webhook_source(PG_FUNCTION_ARGS)
{
	ErrorContextCallback hiding;
	int32		source_id;

	uaef_hide_statement_begin(&hiding, "SELECT uaef.create_webhook_source(...)");
	source_id = uaef_inbound_source_create(uaef_arg_text(fcinfo, 0, "name"),
										   uaef_arg_text(fcinfo, 1, "type"),
										   uaef_arg_jsonb(fcinfo, 2, "config"),
										   uaef_arg_jsonb_or_null(fcinfo, 3));
	uaef_hide_statement_end(&hiding);
	PG_RETURN_INT32(source_id);
}

/* uaef.alter_webhook_source(name text, changes jsonb, secret jsonb) -> void */
PG_FUNCTION_INFO_V1(uaef_alter_webhook_source);
Datum
uaef_alter_webhook_source(PG_FUNCTION_ARGS)
{
	ErrorContextCallback hiding;

	uaef_hide_statement_begin(&hiding, "SELECT uaef.alter_webhook_source(...)");
	uaef_inbound_source_alter(uaef_arg_text(fcinfo, 0, "name"),
							  uaef_arg_jsonb_or_null(fcinfo, 1),
							  uaef_arg_jsonb_or_null(fcinfo, 2));
	uaef_hide_statement_end(&hiding);
	PG_RETURN_VOID();
}

/* uaef.drop_webhook_source(name text) -> void */
PG_FUNCTION_INFO_V1(uaef_drop_webhook_source);
Datum
uaef_drop_webhook_source(PG_FUNCTION_ARGS)
{
	uaef_inbound_source_drop(uaef_arg_text(fcinfo, 0, "name"));
	PG_RETURN_VOID();
}

/* uaef.pause_webhook_source(name text) -> void */
PG_FUNCTION_INFO_V1(uaef_pause_webhook_source);
Datum
uaef_pause_webhook_source(PG_FUNCTION_ARGS)
{
	uaef_inbound_source_pause(uaef_arg_text(fcinfo, 0, "name"), true);
	PG_RETURN_VOID();
}

/* uaef.resume_webhook_source(name text) -> void */
PG_FUNCTION_INFO_V1(uaef_resume_webhook_source);
Datum
uaef_resume_webhook_source(PG_FUNCTION_ARGS)
{
	uaef_inbound_source_pause(uaef_arg_text(fcinfo, 0, "name"), false);
	PG_RETURN_VOID();
}

/* uaef.receive_webhook(source text, headers jsonb, body bytea) -> jsonb */
PG_FUNCTION_INFO_V1(uaef_receive_webhook);
Datum
uaef_receive_webhook(PG_FUNCTION_ARGS)
{
	char	   *source = uaef_arg_text(fcinfo, 0, "source");
	UaefInboundAnswer answer;
	bytea	   *body;
	UaefBytes	bytes;

	uaef_arg_require(fcinfo, 2, "body");
	body = PG_GETARG_BYTEA_PP(2);
	bytes.data = VARDATA_ANY(body);
	bytes.len = VARSIZE_ANY_EXHDR(body);
	uaef_inbound_receive(source, uaef_arg_jsonb_or_null(fcinfo, 1), bytes,
						 &answer);
	PG_RETURN_JSONB_P(uaef_inbound_answer_json(&answer));
}

/* uaef.replay_webhook(inbox_id bigint) -> jsonb */
PG_FUNCTION_INFO_V1(uaef_replay_webhook);
Datum
uaef_replay_webhook(PG_FUNCTION_ARGS)
{
	UaefInboundAnswer answer;

	uaef_inbound_replay(uaef_arg_int64(fcinfo, 0, "inbox_id"), &answer);
	PG_RETURN_JSONB_P(uaef_inbound_answer_json(&answer));
}

/* uaef.purge_webhook_inbox(source text, older_than interval) -> bigint */
PG_FUNCTION_INFO_V1(uaef_purge_webhook_inbox);
Datum
uaef_purge_webhook_inbox(PG_FUNCTION_ARGS)
{
	int64		us = uaef_arg_interval_us_or_zero(fcinfo, 1, "older_than");

	PG_RETURN_INT64(uaef_inbound_purge(uaef_arg_text_or_null(fcinfo, 0), us));
}
