/*-------------------------------------------------------------------------
 *
 * api_approval.c
 *	  SQL entry points of approvals: fetch arguments, call, return.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "approval.h"
#include "approval_care.h"
#include "arguments.h"
#include "set_result.h"

/* Most approvals that one call may decide on. */
#define MAX_MANY 10000

static Datum
decide(FunctionCallInfo fcinfo, UaefDecision *decision, int shown_digest_arg,
	   int on_behalf_of_arg)
{
	int64		approval_id = uaef_arg_int64(fcinfo, 0, "approval_id");
	const char *status;

	decision->reason = uaef_arg_text_or_null(fcinfo, 1);
	if (!PG_ARGISNULL(shown_digest_arg))
		decision->shown_digest = PG_GETARG_BYTEA_PP(shown_digest_arg);
	decision->on_behalf_of = uaef_arg_oid_or_invalid(fcinfo, on_behalf_of_arg);
	uaef_approval_decide(&approval_id, 1, decision, &status);
	PG_RETURN_TEXT_P(cstring_to_text(status));
}

/*
 * uaef.approve(approval_id bigint, reason text, response jsonb,
 * shown_digest bytea, on_behalf_of regrole) returns text
 */
PG_FUNCTION_INFO_V1(uaef_approve);
Datum
uaef_approve(PG_FUNCTION_ARGS)
{
	UaefDecision decision = {
		.approve = true,
		.response = uaef_arg_jsonb_or_null(fcinfo, 2)
	};

	return decide(fcinfo, &decision, 3, 4);
}

/*
 * uaef.reject(approval_id bigint, reason text, shown_digest bytea,
 * on_behalf_of regrole) returns text
 */
PG_FUNCTION_INFO_V1(uaef_reject);
Datum
uaef_reject(PG_FUNCTION_ARGS)
{
	UaefDecision decision = {.approve = false};

	return decide(fcinfo, &decision, 2, 3);
}

/*
 * The elements of bigint[]; raises for a null, and for too many.
 */
static int64 *
approval_ids(FunctionCallInfo fcinfo, int *n)
{
	Datum	   *values =
		uaef_array_elements(uaef_arg_array(fcinfo, 0, "approval_ids"),
							INT8OID, "approval_ids", n);
	int64	   *ids;

	if (*n > MAX_MANY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("one call can decide on at most %d approvals",
						MAX_MANY)));
	ids = palloc(sizeof(int64) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
		ids[i] = DatumGetInt64(values[i]);
	return ids;
}

/*
 * uaef.approve_many(approval_ids bigint[], reason text, response jsonb)
 * returns setof record
 */
PG_FUNCTION_INFO_V1(uaef_approve_many);
Datum
uaef_approve_many(PG_FUNCTION_ARGS)
{
	UaefDecision decision = {.approve = true};
	int64	   *ids;
	const char **statuses;
	int			n;

	uaef_begin_set(fcinfo);
	ids = approval_ids(fcinfo, &n);
	statuses = palloc(sizeof(char *) * Max(n, 1));
	decision.reason = uaef_arg_text_or_null(fcinfo, 1);
	decision.response = uaef_arg_jsonb_or_null(fcinfo, 2);
	uaef_approval_decide(ids, n, &decision, statuses);
	for (int i = 0; i < n; i++)
	{
		Datum		values[2];
		bool		nulls[2] = {false, false};

		values[0] = Int64GetDatum(ids[i]);
		values[1] = CStringGetTextDatum(statuses[i]);
		uaef_put_row(fcinfo, values, nulls);
	}
	return (Datum) 0;
}

/* uaef.withdraw_vote(approval_id bigint) */
PG_FUNCTION_INFO_V1(uaef_withdraw_vote);
Datum
uaef_withdraw_vote(PG_FUNCTION_ARGS)
{
	uaef_approval_withdraw_vote(uaef_arg_int64(fcinfo, 0, "approval_id"));
	PG_RETURN_VOID();
}

/* uaef.comment_approval(approval_id bigint, comment text) */
PG_FUNCTION_INFO_V1(uaef_comment_approval);
Datum
uaef_comment_approval(PG_FUNCTION_ARGS)
{
	uaef_approval_comment(uaef_arg_int64(fcinfo, 0, "approval_id"),
						  uaef_arg_text(fcinfo, 1, "comment"));
	PG_RETURN_VOID();
}

/*
 * uaef.delegate_approvals(to_role regrole, valid_from timestamptz,
 * valid_until timestamptz, workflow text, reason text) returns bigint
 */
PG_FUNCTION_INFO_V1(uaef_delegate_approvals);
Datum
uaef_delegate_approvals(PG_FUNCTION_ARGS)
{
	UaefDelegation delegation = {0};

	delegation.delegate = uaef_arg_oid(fcinfo, 0, "to_role");
	if (!PG_ARGISNULL(1))
		delegation.valid_from = PG_GETARG_TIMESTAMPTZ(1);
	delegation.valid_until = uaef_arg_time(fcinfo, 2, "valid_until");
	delegation.workflow = uaef_arg_text_or_null(fcinfo, 3);
	delegation.reason = uaef_arg_text_or_null(fcinfo, 4);
	PG_RETURN_INT64(uaef_approval_delegate(&delegation));
}

/* uaef.revoke_delegation(delegation_id bigint) returns boolean */
PG_FUNCTION_INFO_V1(uaef_revoke_delegation);
Datum
uaef_revoke_delegation(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(uaef_approval_revoke_delegation(uaef_arg_int64(fcinfo, 0,
																  "delegation_id")));
}

/*
 * uaef.reassign_approval(approval_id bigint, to_roles regrole[], reason text)
 */
PG_FUNCTION_INFO_V1(uaef_reassign_approval);
Datum
uaef_reassign_approval(PG_FUNCTION_ARGS)
{
	uaef_approval_reassign(uaef_arg_int64(fcinfo, 0, "approval_id"),
						   uaef_arg_array(fcinfo, 1, "to_roles"),
						   uaef_arg_text_or_null(fcinfo, 2));
	PG_RETURN_VOID();
}
