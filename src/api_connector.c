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

#include "compat.h"
#include "connector_config.h"
#include "delivery_queue.h"
#include "egress.h"
#include "hide_statement.h"

PG_FUNCTION_INFO_V1(uaef_allow_egress);
PG_FUNCTION_INFO_V1(uaef_deny_egress);
PG_FUNCTION_INFO_V1(uaef_create_connector);
PG_FUNCTION_INFO_V1(uaef_pause_connector);
PG_FUNCTION_INFO_V1(uaef_resume_connector);
PG_FUNCTION_INFO_V1(uaef_send);

pg_noreturn static void raise_null(const char *name);
static char *required_text(FunctionCallInfo fcinfo, int n, const char *name);
static Jsonb *required_jsonb(FunctionCallInfo fcinfo, int n, const char *name);

static void
raise_null(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
			 errmsg("%s must not be null", name)));
}

static char *
required_text(FunctionCallInfo fcinfo, int n, const char *name)
{
	if (PG_ARGISNULL(n))
		raise_null(name);
	return text_to_cstring(PG_GETARG_TEXT_PP(n));
}

static Jsonb *
required_jsonb(FunctionCallInfo fcinfo, int n, const char *name)
{
	if (PG_ARGISNULL(n))
		raise_null(name);
	return PG_GETARG_JSONB_P(n);
}

/*
 * uaef.allow_egress(host text, port integer, scheme text, network cidr,
 *					 role regrole, comment text) -> bigint
 */
Datum
uaef_allow_egress(PG_FUNCTION_ARGS)
{
	UaefEgressRule rule = {
		.host = required_text(fcinfo, 0, "host"),
		.port = PG_ARGISNULL(1) ? 0 : PG_GETARG_INT32(1),
		.scheme = required_text(fcinfo, 2, "scheme"),
		.has_network = !PG_ARGISNULL(3),
		.network = PG_ARGISNULL(3) ? (Datum) 0 : PG_GETARG_DATUM(3),
		.role = PG_ARGISNULL(4) ? InvalidOid : PG_GETARG_OID(4),
		.comment = PG_ARGISNULL(5) ? NULL
		: text_to_cstring(PG_GETARG_TEXT_PP(5))
	};

	PG_RETURN_INT64(uaef_egress_allow(&rule));
}

/* uaef.deny_egress(rule_id bigint) -> void */
Datum
uaef_deny_egress(PG_FUNCTION_ARGS)
{
	uaef_egress_remove(PG_GETARG_INT64(0));
	PG_RETURN_VOID();
}

/*
 * uaef.create_connector(name text, type text, config jsonb, secret jsonb)
 *	 -> integer
 */
Datum
uaef_create_connector(PG_FUNCTION_ARGS)
{
	ErrorContextCallback hiding;
	Jsonb	   *secret = PG_ARGISNULL(3) ? NULL : PG_GETARG_JSONB_P(3);
	int32		connector_id;

	if (secret != NULL)
		uaef_hide_statement_begin(&hiding, "SELECT uaef.create_connector(...)");
	connector_id = uaef_connector_create(required_text(fcinfo, 0, "name"),
										 required_text(fcinfo, 1, "type"),
										 required_jsonb(fcinfo, 2, "config"),
										 secret);
	if (secret != NULL)
		uaef_hide_statement_end(&hiding);
	PG_RETURN_INT32(connector_id);
}

/* uaef.pause_connector(name text) -> void */
Datum
uaef_pause_connector(PG_FUNCTION_ARGS)
{
	uaef_connector_pause(text_to_cstring(PG_GETARG_TEXT_PP(0)), true);
	PG_RETURN_VOID();
}

/* uaef.resume_connector(name text) -> void */
Datum
uaef_resume_connector(PG_FUNCTION_ARGS)
{
	uaef_connector_pause(text_to_cstring(PG_GETARG_TEXT_PP(0)), false);
	PG_RETURN_VOID();
}

/*
 * uaef.send(connector text, payload jsonb, idempotency_key text,
 *			 operation text) -> bigint
 */
Datum
uaef_send(PG_FUNCTION_ARGS)
{
	UaefDeliveryRequest request = {
		.connector = required_text(fcinfo, 0, "connector"),
		.role = GetUserId(),
		.body = required_jsonb(fcinfo, 1, "payload"),
		.idempotency_key = PG_ARGISNULL(2) ? NULL
		: text_to_cstring(PG_GETARG_TEXT_PP(2)),
		.operation = PG_ARGISNULL(3) ? NULL
		: text_to_cstring(PG_GETARG_TEXT_PP(3))
	};

	PG_RETURN_INT64(uaef_delivery_enqueue(&request));
}
