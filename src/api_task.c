/*-------------------------------------------------------------------------
 *
 * api_task.c
 *	  SQL entry points of tasks: fetch arguments, call, return.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "claim.h"
#include "failure.h"
#include "json_util.h"
#include "own_execution.h"
#include "set_result.h"
#include "task_override.h"

#define CLAIM_COLUMNS 9

/* Most tasks that one call may claim. */
#define MAX_CLAIM 10000

/* Longest code of a failure. */
#define MAX_CODE 100

static void
claim_row(const UaefClaim *claim, Datum *values, bool *nulls)
{
	memset(nulls, 0, sizeof(bool) * CLAIM_COLUMNS);
	values[0] = Int64GetDatum(claim->task_id);
	values[1] = UUIDPGetDatum(&claim->execution_id);
	values[2] = CStringGetTextDatum(claim->task);
	values[3] = Int32GetDatum(claim->attempt);
	values[4] = JsonbPGetDatum(claim->input);
	values[5] = UUIDPGetDatum(&claim->lease_token);
	values[6] = TimestampTzGetDatum(claim->lease_expires_at);
	values[7] = CStringGetTextDatum(claim->workflow);
	values[8] = Int32GetDatum(claim->item);
	nulls[8] = claim->item < 0;
}

/*
 * uaef.claim_tasks(worker text, queue text, max_tasks int, lease interval)
 * returns setof record
 */
PG_FUNCTION_INFO_V1(uaef_claim);
Datum
uaef_claim(PG_FUNCTION_ARGS)
{
	int			limit = PG_GETARG_INT32(2);
	UaefClaim  *claims;
	int			n;

	if (limit < 1 || limit > MAX_CLAIM)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"max_tasks\" must be between 1 and %d", MAX_CLAIM)));
	uaef_begin_set(fcinfo);
	claims = uaef_claim_tasks(text_to_cstring(PG_GETARG_TEXT_PP(0)),
							  text_to_cstring(PG_GETARG_TEXT_PP(1)), limit,
							  uaef_interval_us(PG_GETARG_INTERVAL_P(3),
											   "lease"),
							  &n);
	for (int i = 0; i < n; i++)
	{
		Datum		values[CLAIM_COLUMNS];
		bool		nulls[CLAIM_COLUMNS];

		claim_row(&claims[i], values, nulls);
		uaef_put_row(fcinfo, values, nulls);
	}
	return (Datum) 0;
}

/* uaef.complete_task(task_id bigint, output jsonb, lease_token uuid) */
PG_FUNCTION_INFO_V1(uaef_complete_task);
Datum
uaef_complete_task(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	uaef_claim_complete(PG_GETARG_INT64(0),
						PG_ARGISNULL(1) ? uaef_json_empty() :
						PG_GETARG_JSONB_P(1),
						PG_ARGISNULL(2) ? NULL : PG_GETARG_UUID_P(2));
	PG_RETURN_VOID();
}

/*
 * The code that a worker gives to a failure.
 */
static const char *
failure_code(FunctionCallInfo fcinfo, int i)
{
	char	   *code = PG_ARGISNULL(i) ? "task_error" :
		text_to_cstring(PG_GETARG_TEXT_PP(i));

	if (strlen(code) > MAX_CODE || !uaef_is_error_code(code, false))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is no code of an error", uaef_clip(code)),
				 errhint("Give a word of small letters, digits and \"_\" such as paper_jam, or a SQLSTATE.")));
	return code;
}

/*
 * uaef.fail_task(task_id bigint, error text, retryable bool,
 * lease_token uuid, code text, details jsonb) returns text
 */
PG_FUNCTION_INFO_V1(uaef_fail_task);
Datum
uaef_fail_task(PG_FUNCTION_ARGS)
{
	UaefFailure failure = {0};
	const char *status;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	failure.message = PG_ARGISNULL(1) ? "failed" :
		uaef_clip(text_to_cstring(PG_GETARG_TEXT_PP(1)));
	failure.transient = PG_ARGISNULL(2) || PG_GETARG_BOOL(2);
	failure.code = failure_code(fcinfo, 4);
	failure.details = PG_ARGISNULL(5) ? NULL : PG_GETARG_JSONB_P(5);
	if (failure.details != NULL)
		uaef_check_payload("details of the failure", failure.details);
	status = uaef_claim_fail(PG_GETARG_INT64(0), &failure,
							 PG_ARGISNULL(3) ? NULL : PG_GETARG_UUID_P(3));
	PG_RETURN_TEXT_P(cstring_to_text(status));
}

/*
 * uaef.heartbeat_task(task_id bigint, lease_token uuid, extend interval,
 * progress jsonb) returns timestamptz
 */
PG_FUNCTION_INFO_V1(uaef_heartbeat_task);
Datum
uaef_heartbeat_task(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(uaef_claim_heartbeat(PG_GETARG_INT64(0),
											   PG_GETARG_UUID_P(1),
											   uaef_interval_us(PG_GETARG_INTERVAL_P(2),
																"extend"),
											   PG_ARGISNULL(3) ? NULL :
											   PG_GETARG_JSONB_P(3)));
}

/*
 * uaef.alter_task(execution_id uuid, task text, retry jsonb,
 * timeout interval, priority int, queue text, reason text)
 */
PG_FUNCTION_INFO_V1(uaef_alter_task);
Datum
uaef_alter_task(PG_FUNCTION_ARGS)
{
	UaefTaskChange change = {0};

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	change.retry = PG_ARGISNULL(2) ? NULL : PG_GETARG_JSONB_P(2);
	change.timeout_ms = PG_ARGISNULL(3) ? -1 :
		uaef_interval_us_or_zero(PG_GETARG_INTERVAL_P(3), "timeout") / 1000;
	change.has_priority = !PG_ARGISNULL(4);
	if (change.has_priority)
		change.priority = PG_GETARG_INT32(4);
	change.queue = PG_ARGISNULL(5) ? NULL :
		text_to_cstring(PG_GETARG_TEXT_PP(5));
	uaef_task_alter(PG_GETARG_UUID_P(0),
					text_to_cstring(PG_GETARG_TEXT_PP(1)), &change,
					PG_ARGISNULL(6) ? NULL :
					text_to_cstring(PG_GETARG_TEXT_PP(6)));
	PG_RETURN_VOID();
}

/* uaef.retry_task_now(task_id bigint) */
PG_FUNCTION_INFO_V1(uaef_retry_task_now);
Datum
uaef_retry_task_now(PG_FUNCTION_ARGS)
{
	uaef_task_retry_now(PG_GETARG_INT64(0));
	PG_RETURN_VOID();
}
