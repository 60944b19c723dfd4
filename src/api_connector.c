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
#include "utils/timestamp.h"

#include "arguments.h"
#include "arrival_act.h"
#include "connector_call.h"
#include "connector_config.h"
#include "delivery_care.h"
#include "delivery_queue.h"
#include "egress.h"
#include "hide_statement.h"
#include "host_limit.h"
#include "json_util.h"
#include "receive_rule.h"

PG_FUNCTION_INFO_V1(uaef_allow_egress);
PG_FUNCTION_INFO_V1(uaef_check_egress);
PG_FUNCTION_INFO_V1(uaef_deny_egress);
PG_FUNCTION_INFO_V1(uaef_create_connector);
PG_FUNCTION_INFO_V1(uaef_pause_connector);
PG_FUNCTION_INFO_V1(uaef_resume_connector);
PG_FUNCTION_INFO_V1(uaef_alter_connector);
PG_FUNCTION_INFO_V1(uaef_drop_connector);
PG_FUNCTION_INFO_V1(uaef_test_connector);
PG_FUNCTION_INFO_V1(uaef_send);
PG_FUNCTION_INFO_V1(uaef_replay_delivery);
PG_FUNCTION_INFO_V1(uaef_replay_deliveries);
PG_FUNCTION_INFO_V1(uaef_resolve_delivery);
PG_FUNCTION_INFO_V1(uaef_limit_host);
PG_FUNCTION_INFO_V1(uaef_unlimit_host);

/*
 * uaef.allow_egress(host text, port integer, scheme text, network cidr,
 *					 role regrole, comment text, methods text[]) -> bigint
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

	rule.methods = uaef_arg_text_array_or_null(fcinfo, 6, "methods",
											   &rule.n_methods);
	PG_RETURN_INT64(uaef_egress_allow(&rule));
}

/*
 * uaef.check_egress(url text, method text, address inet, role regrole) -> text
 */
Datum
uaef_check_egress(PG_FUNCTION_ARGS)
{
	UaefNetwork address;
	UaefUrl		url;
	char	   *method = uaef_arg_text(fcinfo, 1, "method");
	Oid			role = uaef_arg_oid_or_invalid(fcinfo, 3);
	char	   *why;

	uaef_url_require(uaef_arg_text(fcinfo, 0, "url"), &url);
	if (!PG_ARGISNULL(2))
	{
		uaef_network_from_inet(PG_GETARG_DATUM(2), &address);
		address.bits = address.v6 ? 128 : 32;
	}
	why = uaef_egress_check(OidIsValid(role) ? role : GetUserId(),
							uaef_http_method_check(method), &url,
							PG_ARGISNULL(2) ? NULL : &address);
	if (why == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(why));
}

/* uaef.deny_egress(rule_id bigint) -> void */
Datum
uaef_deny_egress(PG_FUNCTION_ARGS)
{
	uaef_egress_remove(uaef_arg_int64(fcinfo, 0, "rule_id"));
	PG_RETURN_VOID();
}

/*
 * Warn of workflows that the rules of a new config name in vain.
 */
static void
warn_of_rules(Jsonb *config)
{
	UaefReceiveConfig *receive = uaef_receive_parse(config);

	if (receive != NULL)
		uaef_arrival_warn(receive->rules);
}

/*
 * uaef.create_connector(name text, type text, config jsonb, secret jsonb)
 *	 -> integer
 */
Datum
uaef_create_connector(PG_FUNCTION_ARGS)
{
	ErrorContextCallback hiding;
	Jsonb	   *secret = uaef_arg_jsonb_or_null(fcinfo, 3);
	Jsonb	   *config;
	int32		connector_id;

	if (secret != NULL)
		uaef_hide_statement_begin(&hiding, "SELECT uaef.create_connector(...)");
	config = uaef_arg_jsonb(fcinfo, 2, "config");
	connector_id = uaef_connector_create(uaef_arg_text(fcinfo, 0, "name"),
										 uaef_arg_text(fcinfo, 1, "type"),
										 config, secret);
	warn_of_rules(config);
	if (secret != NULL)
		uaef_hide_statement_end(&hiding);
	PG_RETURN_INT32(connector_id);
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

/* uaef.alter_connector(name text, config jsonb) -> void */
Datum
uaef_alter_connector(PG_FUNCTION_ARGS)
{
	Jsonb	   *config = uaef_arg_jsonb(fcinfo, 1, "config");

	uaef_connector_alter(uaef_arg_text(fcinfo, 0, "name"), config);
	warn_of_rules(config);
	PG_RETURN_VOID();
}

/* uaef.drop_connector(name text) -> void */
Datum
uaef_drop_connector(PG_FUNCTION_ARGS)
{
	uaef_connector_drop(uaef_arg_text(fcinfo, 0, "name"));
	PG_RETURN_VOID();
}

/*
 * uaef.test_connector(name text, payload jsonb, operation text, live boolean)
 *	 -> jsonb
 */
Datum
uaef_test_connector(PG_FUNCTION_ARGS)
{
	char	   *name = uaef_arg_text(fcinfo, 0, "name");
	char	   *operation = uaef_arg_text_or_null(fcinfo, 2);
	bool		live = !PG_ARGISNULL(3) && PG_GETARG_BOOL(3);

	if (live)
	{
		UaefRetry	once = {.max_attempts = 1};
		UaefDeliveryRequest request = {
			.connector = name,
			.operation = operation,
			.priority = 100,
			.role = GetUserId(),
			.body = uaef_arg_jsonb_or_null(fcinfo, 1),
			.retry = &once,
			.exact_retry = true
		};
		UaefJson	json;

		uaef_json_begin(&json);
		uaef_json_int(&json, "delivery_id", uaef_delivery_enqueue(&request));
		PG_RETURN_JSONB_P(uaef_json_end(&json));
	}
	else
	{
		UaefConnector connector;
		UaefCall	call = {
			.operation = operation,
			.body = uaef_arg_jsonb_or_null(fcinfo, 1),
			.idempotency_key = "test"
		};

		uaef_connector_load(name, &connector);
		call.headers = connector.config.headers;
		PG_RETURN_JSONB_P(uaef_call_test(&connector, &call, GetUserId()));
	}
}

/*
 * uaef.send(connector text, payload jsonb, idempotency_key text,
 *			 operation text, priority integer, send_at timestamptz) -> bigint
 */
Datum
uaef_send(PG_FUNCTION_ARGS)
{
	UaefDeliveryRequest request = {
		.connector = uaef_arg_text(fcinfo, 0, "connector"),
		.role = GetUserId(),
		.body = uaef_arg_jsonb(fcinfo, 1, "payload"),
		.idempotency_key = uaef_arg_text_or_null(fcinfo, 2),
		.operation = uaef_arg_text_or_null(fcinfo, 3),
		.priority = uaef_arg_int32_or(fcinfo, 4, 0),
		.send_at = uaef_arg_time_or(fcinfo, 5, 0)
	};

	PG_RETURN_INT64(uaef_delivery_enqueue(&request));
}

/* uaef.replay_delivery(delivery_id bigint) -> void */
Datum
uaef_replay_delivery(PG_FUNCTION_ARGS)
{
	uaef_arg_require(fcinfo, 0, "delivery_id");
	uaef_delivery_replay(PG_GETARG_INT64(0));
	PG_RETURN_VOID();
}

/*
 * uaef.replay_deliveries(connector text, status text[], since timestamptz,
 *						  until timestamptz, error_code text,
 *						  max_deliveries integer) -> bigint
 */
Datum
uaef_replay_deliveries(PG_FUNCTION_ARGS)
{
	UaefReplayFilter filter = {
		.connector = uaef_arg_text_or_null(fcinfo, 0),
		.since = uaef_arg_time_or(fcinfo, 2, DT_NOBEGIN),
		.until = uaef_arg_time_or(fcinfo, 3, DT_NOEND),
		.error_code = uaef_arg_text_or_null(fcinfo, 4)
	};

	uaef_arg_require(fcinfo, 1, "status");
	uaef_arg_require(fcinfo, 5, "max_deliveries");
	filter.status = PG_GETARG_ARRAYTYPE_P(1);
	filter.max_deliveries = PG_GETARG_INT32(5);
	PG_RETURN_INT64(uaef_delivery_replay_all(&filter));
}

/*
 * uaef.resolve_delivery(delivery_id bigint, succeeded boolean, reason text)
 *	 -> void
 */
Datum
uaef_resolve_delivery(PG_FUNCTION_ARGS)
{
	uaef_arg_require(fcinfo, 0, "delivery_id");
	uaef_arg_require(fcinfo, 1, "succeeded");
	uaef_delivery_resolve(PG_GETARG_INT64(0), PG_GETARG_BOOL(1),
						  uaef_arg_text(fcinfo, 2, "reason"));
	PG_RETURN_VOID();
}

/*
 * uaef.limit_host(host text, port integer, rate text, burst integer,
 *				   max_concurrent integer) -> void
 */
Datum
uaef_limit_host(PG_FUNCTION_ARGS)
{
	uaef_arg_require(fcinfo, 1, "port");
	uaef_host_limit_set(uaef_arg_text(fcinfo, 0, "host"), PG_GETARG_INT32(1),
						uaef_arg_text_or_null(fcinfo, 2),
						uaef_arg_int32_or(fcinfo, 3, 1),
						uaef_arg_int32_or(fcinfo, 4, 0));
	PG_RETURN_VOID();
}

/* uaef.unlimit_host(host text, port integer) -> void */
Datum
uaef_unlimit_host(PG_FUNCTION_ARGS)
{
	uaef_arg_require(fcinfo, 1, "port");
	uaef_host_limit_remove(uaef_arg_text(fcinfo, 0, "host"),
						   PG_GETARG_INT32(1));
	PG_RETURN_VOID();
}
