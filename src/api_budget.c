/*-------------------------------------------------------------------------
 *
 * api_budget.c
 *	  SQL entry points of budgets, requirements and reviews: fetch arguments,
 *	  call, return.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "arguments.h"
#include "budget.h"
#include "settlement_gate.h"

PG_FUNCTION_INFO_V1(uaef_create_budget);
PG_FUNCTION_INFO_V1(uaef_drop_budget);
PG_FUNCTION_INFO_V1(uaef_require_checkpoint);
PG_FUNCTION_INFO_V1(uaef_unrequire_checkpoint);
PG_FUNCTION_INFO_V1(uaef_require_human_review);
PG_FUNCTION_INFO_V1(uaef_decide_review);

/*
 * create_budget(name text, currency text, cap numeric, max_count bigint,
 *	per text, scope text, subject text, timezone text, enforcement text)
 */
Datum
uaef_create_budget(PG_FUNCTION_ARGS)
{
	static const char *const names[UAEF_BUDGET_ARGS] = {
		"name", "currency", NULL, NULL, "per", "scope", NULL, "timezone",
		"enforcement"
	};
	Datum		args[UAEF_BUDGET_ARGS];
	char		nulls[UAEF_BUDGET_ARGS + 1] = {0};

	for (int i = 0; i < UAEF_BUDGET_ARGS; i++)
	{
		if (names[i] != NULL)
			pfree(uaef_arg_text(fcinfo, i, names[i]));
		nulls[i] = PG_ARGISNULL(i) ? 'n' : ' ';
		args[i] = PG_ARGISNULL(i) ? (Datum) 0 : PG_GETARG_DATUM(i);
	}
	uaef_budget_create(args, nulls, GetUserId());
	PG_RETURN_VOID();
}

/* drop_budget(name text) */
Datum
uaef_drop_budget(PG_FUNCTION_ARGS)
{
	uaef_budget_drop(uaef_arg_text(fcinfo, 0, "name"), GetUserId());
	PG_RETURN_VOID();
}

/* require_checkpoint(workflow text, checkpoint text, on_failure text) */
Datum
uaef_require_checkpoint(PG_FUNCTION_ARGS)
{
	uaef_requirement_set(uaef_arg_text(fcinfo, 0, "workflow"),
						 uaef_arg_text(fcinfo, 1, "checkpoint"),
						 uaef_arg_text(fcinfo, 2, "on_failure"),
						 GetUserId());
	PG_RETURN_VOID();
}

/* unrequire_checkpoint(workflow text, checkpoint text) */
Datum
uaef_unrequire_checkpoint(PG_FUNCTION_ARGS)
{
	uaef_requirement_drop(uaef_arg_text(fcinfo, 0, "workflow"),
						  uaef_arg_text(fcinfo, 1, "checkpoint"),
						  GetUserId());
	PG_RETURN_VOID();
}

/*
 * require_human_review(execution_id uuid, reason text, reviewers regrole)
 *	-> bigint
 */
Datum
uaef_require_human_review(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"execution_id\" must not be null")));
	PG_RETURN_INT64(uaef_review_require(PG_GETARG_UUID_P(0),
										uaef_arg_text(fcinfo, 1, "reason"),
										uaef_arg_oid_or_invalid(fcinfo, 2),
										GetUserId()));
}

/* decide_review(review_id bigint, passed boolean, finding text) -> text */
Datum
uaef_decide_review(PG_FUNCTION_ARGS)
{
	int64		review_id = uaef_arg_int64(fcinfo, 0, "review_id");
	bool		passed = uaef_arg_bool(fcinfo, 1, "passed");
	char	   *finding = uaef_arg_text(fcinfo, 2, "finding");

	PG_RETURN_TEXT_P(cstring_to_text(uaef_review_decide(review_id, passed,
														finding,
														GetUserId())));
}
