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
#include "set_result.h"

/* Most approvals that one call may decide on. */
#define MAX_MANY 10000

static const char *
text_or_null(FunctionCallInfo fcinfo, int arg)
{
	return PG_ARGISNULL(arg) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(arg));
}

static Datum
decide(FunctionCallInfo fcinfo, UaefDecision *decision, int shown_digest_arg,
	   int on_behalf_of_arg)
{
	int64		approval_id;
	const char *status;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	approval_id = PG_GETARG_INT64(0);
	decision->reason = text_or_null(fcinfo, 1);
	if (!PG_ARGISNULL(shown_digest_arg))
		decision->shown_digest = PG_GETARG_BYTEA_PP(shown_digest_arg);
	if (!PG_ARGISNULL(on_behalf_of_arg))
		decision->on_behalf_of = PG_GETARG_OID(on_behalf_of_arg);
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
	UaefDecision decision = {.approve = true};

	if (!PG_ARGISNULL(2))
		decision.response = PG_GETARG_JSONB_P(2);
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
approval_ids(ArrayType *array, int *n)
{
	Datum	   *values;
	bool	   *nulls;
	int64	   *ids;

	deconstruct_array(array, INT8OID, sizeof(int64), FLOAT8PASSBYVAL,
					  TYPALIGN_DOUBLE, &values, &nulls, n);
	if (*n > MAX_MANY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("one call can decide on at most %d approvals",
						MAX_MANY)));
	ids = palloc(sizeof(int64) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("an approval_id cannot be null")));
		ids[i] = DatumGetInt64(values[i]);
	}
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
	if (PG_ARGISNULL(0))
		return (Datum) 0;
	ids = approval_ids(PG_GETARG_ARRAYTYPE_P(0), &n);
	statuses = palloc(sizeof(char *) * Max(n, 1));
	decision.reason = text_or_null(fcinfo, 1);
	if (!PG_ARGISNULL(2))
		decision.response = PG_GETARG_JSONB_P(2);
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
	uaef_approval_withdraw_vote(PG_GETARG_INT64(0));
	PG_RETURN_VOID();
}

/* uaef.comment_approval(approval_id bigint, comment text) */
PG_FUNCTION_INFO_V1(uaef_comment_approval);
Datum
uaef_comment_approval(PG_FUNCTION_ARGS)
{
	uaef_approval_comment(PG_GETARG_INT64(0),
						  text_to_cstring(PG_GETARG_TEXT_PP(1)));
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

	if (PG_ARGISNULL(0) || PG_ARGISNULL(2))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("\"to_role\" and \"valid_until\" cannot be null")));
	delegation.delegate = PG_GETARG_OID(0);
	if (!PG_ARGISNULL(1))
		delegation.valid_from = PG_GETARG_TIMESTAMPTZ(1);
	delegation.valid_until = PG_GETARG_TIMESTAMPTZ(2);
	delegation.workflow = text_or_null(fcinfo, 3);
	delegation.reason = text_or_null(fcinfo, 4);
	PG_RETURN_INT64(uaef_approval_delegate(&delegation));
}

/* uaef.revoke_delegation(delegation_id bigint) returns boolean */
PG_FUNCTION_INFO_V1(uaef_revoke_delegation);
Datum
uaef_revoke_delegation(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(uaef_approval_revoke_delegation(PG_GETARG_INT64(0)));
}

/*
 * uaef.reassign_approval(approval_id bigint, to_roles regrole[], reason text)
 */
PG_FUNCTION_INFO_V1(uaef_reassign_approval);
Datum
uaef_reassign_approval(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("\"to_roles\" cannot be null")));
	uaef_approval_reassign(PG_GETARG_INT64(0), PG_GETARG_ARRAYTYPE_P(1),
						   text_or_null(fcinfo, 2));
	PG_RETURN_VOID();
}
