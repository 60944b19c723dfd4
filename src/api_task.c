/*-------------------------------------------------------------------------
 *
 * api_task.c
 *	  SQL entry points of tasks and approvals: fetch arguments, call, return.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "approval.h"
#include "claim.h"
#include "json_util.h"
#include "set_result.h"

#define CLAIM_COLUMNS 9

/* Most tasks that one call may claim. */
#define MAX_CLAIM 10000

/*
 * An interval as microseconds, months of 30 days; must be positive.
 */
static int64
interval_us(const Interval *interval, const char *name)
{
	int64		us = interval->time +
		((int64) interval->month * DAYS_PER_MONTH + interval->day) *
		USECS_PER_DAY;

	if (us <= 0 || us > 3650 * USECS_PER_DAY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" must be longer than 0 and at most ten years",
						name)));
	return us;
}

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
							  interval_us(PG_GETARG_INTERVAL_P(3), "lease"),
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
 * uaef.fail_task(task_id bigint, error text, retryable bool,
 * lease_token uuid) returns text
 */
PG_FUNCTION_INFO_V1(uaef_fail_task);
Datum
uaef_fail_task(PG_FUNCTION_ARGS)
{
	const char *status;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	status = uaef_claim_fail(PG_GETARG_INT64(0),
							 PG_ARGISNULL(1) ? "failed" :
							 text_to_cstring(PG_GETARG_TEXT_PP(1)),
							 PG_ARGISNULL(2) || PG_GETARG_BOOL(2),
							 PG_ARGISNULL(3) ? NULL : PG_GETARG_UUID_P(3));
	PG_RETURN_TEXT_P(cstring_to_text(status));
}

/*
 * uaef.heartbeat_task(task_id bigint, lease_token uuid, extend interval)
 * returns timestamptz
 */
PG_FUNCTION_INFO_V1(uaef_heartbeat_task);
Datum
uaef_heartbeat_task(PG_FUNCTION_ARGS)
{
	PG_RETURN_TIMESTAMPTZ(uaef_claim_heartbeat(PG_GETARG_INT64(0),
											   PG_GETARG_UUID_P(1),
											   interval_us(PG_GETARG_INTERVAL_P(2),
														   "extend")));
}

static Datum
decide(FunctionCallInfo fcinfo, bool approve, int response_arg)
{
	const char *status;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	status = uaef_approval_decide(PG_GETARG_INT64(0), approve,
								  PG_ARGISNULL(1) ? NULL :
								  text_to_cstring(PG_GETARG_TEXT_PP(1)),
								  response_arg < 0 ||
								  PG_ARGISNULL(response_arg) ? NULL :
								  PG_GETARG_JSONB_P(response_arg));
	PG_RETURN_TEXT_P(cstring_to_text(status));
}

/* uaef.approve(approval_id bigint, reason text, response jsonb) returns text */
PG_FUNCTION_INFO_V1(uaef_approve);
Datum
uaef_approve(PG_FUNCTION_ARGS)
{
	return decide(fcinfo, true, 2);
}

/* uaef.reject(approval_id bigint, reason text) returns text */
PG_FUNCTION_INFO_V1(uaef_reject);
Datum
uaef_reject(PG_FUNCTION_ARGS)
{
	return decide(fcinfo, false, -1);
}
