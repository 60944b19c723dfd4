/*-------------------------------------------------------------------------
 *
 * api_agent.c
 *	  SQL entry points of agents: fetch arguments, call, return.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "agent.h"
#include "agent_claim.h"
#include "arguments.h"
#include "json_util.h"
#include "set_result.h"

#define CLAIM_COLUMNS 12

/* Most tasks that one call may claim. */
#define MAX_CLAIM 1000

PG_FUNCTION_INFO_V1(uaef_register_agent);
PG_FUNCTION_INFO_V1(uaef_update_agent);
PG_FUNCTION_INFO_V1(uaef_activate_agent);
PG_FUNCTION_INFO_V1(uaef_deactivate_agent);
PG_FUNCTION_INFO_V1(uaef_suspend_agent);
PG_FUNCTION_INFO_V1(uaef_rotate_agent_key);
PG_FUNCTION_INFO_V1(uaef_drop_agent);
PG_FUNCTION_INFO_V1(uaef_verify_agent_key);
PG_FUNCTION_INFO_V1(uaef_find_available_agent);
PG_FUNCTION_INFO_V1(uaef_claim_agent_tasks);
PG_FUNCTION_INFO_V1(uaef_report_agent_usage);
PG_FUNCTION_INFO_V1(uaef_complete_agent_task);

/*
 * A limit; -1 when it is null.
 */
static int64
optional_limit(FunctionCallInfo fcinfo, int argno, const char *name)
{
	int64		limit = PG_ARGISNULL(argno) ? -1 : PG_GETARG_INT64(argno);

	if (!PG_ARGISNULL(argno) && limit < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" must not be negative", name)));
	return limit;
}

/*
 * The arguments that register_agent() and update_agent() have in common.
 */
static void
read_spec(FunctionCallInfo fcinfo, UaefAgentSpec *spec)
{
	spec->name = uaef_arg_text(fcinfo, 0, "name");
	spec->platform = uaef_arg_text_or_null(fcinfo, 1);
	spec->endpoint_url = uaef_arg_text_or_null(fcinfo, 2);
	spec->capabilities = uaef_arg_array_or_null(fcinfo, 3);
	spec->configuration = uaef_arg_jsonb_or_null(fcinfo, 4);
	spec->max_concurrent = PG_ARGISNULL(5) ? -1 :
		Max(PG_GETARG_INT32(5), 0);
	spec->max_tokens_per_day = optional_limit(fcinfo, 6,
											  "max_tokens_per_day");
	spec->max_cost_per_day = optional_limit(fcinfo, 7, "max_cost_per_day");
	spec->currency = uaef_arg_text_or_null(fcinfo, 8);
	spec->description = uaef_arg_text_or_null(fcinfo, 9);
}

/*
 * uaef.register_agent(name text, platform text, endpoint_url text,
 * capabilities text[], configuration jsonb, max_concurrent int,
 * max_tokens_per_day bigint, max_cost_per_day bigint, currency text,
 * description text) returns (agent_id uuid, api_key text)
 */
Datum
uaef_register_agent(PG_FUNCTION_ARGS)
{
	UaefAgentSpec spec;
	TupleDesc	desc;
	Datum		values[2];
	bool		nulls[2] = {false, false};
	pg_uuid_t	id;
	char	   *key;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	uaef_arg_require(fcinfo, 1, "platform");
	uaef_arg_require(fcinfo, 3, "capabilities");
	uaef_arg_require(fcinfo, 4, "configuration");
	uaef_arg_require(fcinfo, 5, "max_concurrent");
	read_spec(fcinfo, &spec);
	id = uaef_agent_register(&spec, &key);
	values[0] = UUIDPGetDatum(&id);
	values[1] = CStringGetTextDatum(key);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc),
													  values, nulls)));
}

/* uaef.update_agent(...): as register_agent(), null leaves what is */
Datum
uaef_update_agent(PG_FUNCTION_ARGS)
{
	UaefAgentSpec spec;

	read_spec(fcinfo, &spec);
	uaef_agent_update(&spec);
	PG_RETURN_VOID();
}

/* uaef.activate_agent(name text) */
Datum
uaef_activate_agent(PG_FUNCTION_ARGS)
{
	uaef_agent_set_status(uaef_arg_text(fcinfo, 0, "name"), "active", NULL);
	PG_RETURN_VOID();
}

/* uaef.deactivate_agent(name text, reason text) */
Datum
uaef_deactivate_agent(PG_FUNCTION_ARGS)
{
	uaef_agent_set_status(uaef_arg_text(fcinfo, 0, "name"), "inactive",
						  uaef_arg_text_or_null(fcinfo, 1));
	PG_RETURN_VOID();
}

/* uaef.suspend_agent(name text, reason text) */
Datum
uaef_suspend_agent(PG_FUNCTION_ARGS)
{
	uaef_agent_set_status(uaef_arg_text(fcinfo, 0, "name"), "suspended",
						  uaef_arg_text_or_null(fcinfo, 1));
	PG_RETURN_VOID();
}

/* uaef.rotate_agent_key(name text) returns text */
Datum
uaef_rotate_agent_key(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(uaef_agent_rotate_key(uaef_arg_text(fcinfo, 0, "name"))));
}

/* uaef.drop_agent(name text) */
Datum
uaef_drop_agent(PG_FUNCTION_ARGS)
{
	uaef_agent_drop(uaef_arg_text(fcinfo, 0, "name"));
	PG_RETURN_VOID();
}

static Datum
id_or_null(FunctionCallInfo fcinfo, bool found, const pg_uuid_t *id)
{
	pg_uuid_t  *result;

	if (!found)
		PG_RETURN_NULL();
	result = palloc(sizeof(pg_uuid_t));
	*result = *id;
	PG_RETURN_UUID_P(result);
}

/* uaef.verify_agent_key(api_key text) returns uuid */
Datum
uaef_verify_agent_key(PG_FUNCTION_ARGS)
{
	pg_uuid_t	id;
	bool		found = uaef_agent_verify_key(text_to_cstring(PG_GETARG_TEXT_PP(0)),
											  &id);

	return id_or_null(fcinfo, found, &id);
}

/* uaef.find_available_agent(capability text) returns uuid */
Datum
uaef_find_available_agent(PG_FUNCTION_ARGS)
{
	pg_uuid_t	id;
	bool		found = uaef_agent_find_available(text_to_cstring(PG_GETARG_TEXT_PP(0)),
												  &id);

	return id_or_null(fcinfo, found, &id);
}

static void
put_claim(FunctionCallInfo fcinfo, const UaefAgentClaim *given)
{
	const UaefClaim *claim = &given->claim;
	Datum		values[CLAIM_COLUMNS];
	bool		nulls[CLAIM_COLUMNS] = {false};

	values[0] = Int64GetDatum(claim->task_id);
	values[1] = UUIDPGetDatum(&claim->execution_id);
	values[2] = CStringGetTextDatum(claim->task);
	values[3] = Int32GetDatum(claim->attempt);
	nulls[4] = given->prompt == NULL;
	values[4] = nulls[4] ? (Datum) 0 : CStringGetTextDatum(given->prompt);
	nulls[5] = given->context == NULL;
	values[5] = PointerGetDatum(given->context);
	values[6] = JsonbPGetDatum(claim->input);
	nulls[7] = given->output_schema == NULL;
	values[7] = PointerGetDatum(given->output_schema);
	values[8] = UUIDPGetDatum(&claim->lease_token);
	values[9] = TimestampTzGetDatum(claim->lease_expires_at);
	values[10] = CStringGetTextDatum(claim->workflow);
	values[11] = Int32GetDatum(claim->item);
	nulls[11] = claim->item == UAEF_NO_ITEM;
	uaef_put_row(fcinfo, values, nulls);
}

/*
 * Whatever goes wrong: the key is not written to the server's log.
 */
static void
hide_statement(void *arg)
{
	errhidestmt(true);
}

static UaefAgentClaim *
claim(FunctionCallInfo fcinfo, int *n)
{
	char	   *api_key = uaef_arg_text(fcinfo, 0, "api_key");
	int			limit = uaef_arg_int32(fcinfo, 1, "max_tasks");
	int64		lease_us = uaef_arg_interval_us(fcinfo, 2, "lease");

	if (limit < 1 || limit > MAX_CLAIM)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"max_tasks\" must be between 1 and %d", MAX_CLAIM)));
	return uaef_agent_claim(api_key, limit, lease_us, n);
}

/*
 * uaef.claim_agent_tasks(api_key text, max_tasks int, lease interval)
 * returns setof record
 */
Datum
uaef_claim_agent_tasks(PG_FUNCTION_ARGS)
{
	ErrorContextCallback hide = {error_context_stack, hide_statement, NULL};
	UaefAgentClaim *claims;
	int			n;

	error_context_stack = &hide;
	uaef_begin_set(fcinfo);
	claims = claim(fcinfo, &n);
	error_context_stack = hide.previous;
	for (int i = 0; i < n; i++)
		put_claim(fcinfo, &claims[i]);
	return (Datum) 0;
}

/*
 * uaef.report_agent_usage(task_id bigint, usage jsonb, lease_token uuid)
 */
Datum
uaef_report_agent_usage(PG_FUNCTION_ARGS)
{
	uaef_agent_report_usage(uaef_arg_int64(fcinfo, 0, "task_id"),
							uaef_arg_jsonb(fcinfo, 1, "usage"),
							uaef_arg_uuid(fcinfo, 2, "lease_token"));
	PG_RETURN_VOID();
}

/*
 * uaef.complete_agent_task(task_id bigint, output jsonb, usage jsonb,
 * lease_token uuid)
 */
Datum
uaef_complete_agent_task(PG_FUNCTION_ARGS)
{
	uaef_agent_complete(uaef_arg_int64(fcinfo, 0, "task_id"),
						PG_ARGISNULL(1) ? uaef_json_empty() :
						PG_GETARG_JSONB_P(1),
						uaef_arg_jsonb_or_null(fcinfo, 2),
						uaef_arg_uuid(fcinfo, 3, "lease_token"));
	PG_RETURN_VOID();
}
