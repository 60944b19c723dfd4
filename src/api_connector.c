/*-------------------------------------------------------------------------
 *
 * api_connector.c
 *	  SQL entry points of connectors: fetch arguments, call, return.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "arguments.h"
#include "connector_config.h"
#include "delivery_queue.h"
#include "egress.h"

PG_FUNCTION_INFO_V1(uaef_allow_egress);
PG_FUNCTION_INFO_V1(uaef_deny_egress);
PG_FUNCTION_INFO_V1(uaef_create_connector);
PG_FUNCTION_INFO_V1(uaef_pause_connector);
PG_FUNCTION_INFO_V1(uaef_resume_connector);
PG_FUNCTION_INFO_V1(uaef_send);

/*
 * uaef.allow_egress(host text, port integer, scheme text, network cidr,
 *					 role regrole, comment text) -> bigint
 */
Datum
uaef_allow_egress(PG_FUNCTION_ARGS)
{
	UaefEgressRule rule = {
		.host = uaef_arg_text(fcinfo, 0, "host"),
		.port = uaef_arg_int32_or(fcinfo, 1, 0),
		.scheme = uaef_arg_text(fcinfo, 2, "scheme"),
		.has_network = !PG_ARGISNULL(3),
		.network = PG_ARGISNULL(3) ? (Datum) 0 : PG_GETARG_DATUM(3),
		.role = uaef_arg_oid_or_invalid(fcinfo, 4),
		.comment = uaef_arg_text_or_null(fcinfo, 5)
	};

	PG_RETURN_INT64(uaef_egress_allow(&rule));
}

/* uaef.deny_egress(rule_id bigint) -> void */
Datum
uaef_deny_egress(PG_FUNCTION_ARGS)
{
	uaef_egress_remove(uaef_arg_int64(fcinfo, 0, "rule_id"));
	PG_RETURN_VOID();
}

/*
 * uaef.create_connector(name text, type text, config jsonb, secret jsonb)
 *	 -> integer
 */
Datum
uaef_create_connector(PG_FUNCTION_ARGS)
{
	if (!PG_ARGISNULL(3))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("connectors cannot keep secrets"),
				 errdetail("A secret is never stored in plain text.")));
	PG_RETURN_INT32(uaef_connector_create(uaef_arg_text(fcinfo, 0, "name"),
										  uaef_arg_text(fcinfo, 1, "type"),
										  uaef_arg_jsonb(fcinfo, 2, "config")));
}

/* uaef.pause_connector(name text) -> void */
Datum
uaef_pause_connector(PG_FUNCTION_ARGS)
{
	uaef_connector_pause(uaef_arg_text(fcinfo, 0, "name"), true);
	PG_RETURN_VOID();
}

/* uaef.resume_connector(name text) -> void */
Datum
uaef_resume_connector(PG_FUNCTION_ARGS)
{
	uaef_connector_pause(uaef_arg_text(fcinfo, 0, "name"), false);
	PG_RETURN_VOID();
}

/* uaef.send(connector text, payload jsonb, idempotency_key text) -> bigint */
Datum
uaef_send(PG_FUNCTION_ARGS)
{
	UaefDeliveryRequest request = {
		.connector = uaef_arg_text(fcinfo, 0, "connector"),
		.role = GetUserId(),
		.body = uaef_arg_jsonb(fcinfo, 1, "payload"),
		.idempotency_key = uaef_arg_text_or_null(fcinfo, 2)
	};

	PG_RETURN_INT64(uaef_delivery_enqueue(&request));
}
