/*-------------------------------------------------------------------------
 *
 * api_settlement.c
 *	  SQL entry points of settlement: fetch arguments, call, return.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "arguments.h"
#include "clock.h"
#include "set_result.h"
#include "settlement.h"
#include "settlement_eval.h"
#include "settlement_rule.h"
#include "settlement_why.h"

PG_FUNCTION_INFO_V1(uaef_simulate_settlement);
PG_FUNCTION_INFO_V1(uaef_explain_settlement);
PG_FUNCTION_INFO_V1(uaef_approve_settlement);
PG_FUNCTION_INFO_V1(uaef_reject_settlement);
PG_FUNCTION_INFO_V1(uaef_cancel_settlement);

static Datum decide(FunctionCallInfo fcinfo, UaefSignalAction action);
static void put_share(FunctionCallInfo fcinfo, const UaefRuleOutcome *outcome,
					  int share);
static void put_result(FunctionCallInfo fcinfo, const char *result,
					   const UaefEvalError *error);

/*
 * simulate_settlement(definition jsonb, data jsonb, at timestamptz)
 *	-> setof (part, recipient, amount, currency, result, error)
 */
Datum
uaef_simulate_settlement(PG_FUNCTION_ARGS)
{
	Jsonb	   *definition = uaef_arg_jsonb(fcinfo, 0, "definition");
	Jsonb	   *data = uaef_arg_jsonb(fcinfo, 1, "data");
	UaefRuleOutcome outcome;

	uaef_begin_set(fcinfo);

	if (!uaef_settlement_simulate(definition, data,
								  PG_ARGISNULL(2) ? uaef_clock_now()
								  : PG_GETARG_TIMESTAMPTZ(2),
								  &outcome))
		put_result(fcinfo, "not_in_force", NULL);
	else if (outcome.result != UAEF_RULE_FIRED)
		put_result(fcinfo, uaef_rule_result_name(outcome.result),
				   &outcome.error);
	else
		for (int i = 0; i < outcome.n_shares; i++)
			put_share(fcinfo, &outcome, i);
	return (Datum) 0;
}

/* explain_settlement(execution_id uuid) -> jsonb */
Datum
uaef_explain_settlement(PG_FUNCTION_ARGS)
{
	PG_RETURN_JSONB_P(uaef_settlement_explain(PG_GETARG_UUID_P(0),
											  GetUserId()));
}

/* approve_settlement(signal_id bigint, reason text) -> text */
Datum
uaef_approve_settlement(PG_FUNCTION_ARGS)
{
	return decide(fcinfo, UAEF_ACT_APPROVE);
}

/* reject_settlement(signal_id bigint, reason text) -> text */
Datum
uaef_reject_settlement(PG_FUNCTION_ARGS)
{
	return decide(fcinfo, UAEF_ACT_REJECT);
}

/* cancel_settlement(signal_id bigint, reason text) -> text */
Datum
uaef_cancel_settlement(PG_FUNCTION_ARGS)
{
	return decide(fcinfo, UAEF_ACT_CANCEL);
}

static Datum
decide(FunctionCallInfo fcinfo, UaefSignalAction action)
{
	UaefSignalStatus status;

	status = uaef_settlement_decide(uaef_arg_int64(fcinfo, 0, "signal_id"),
									action,
									uaef_arg_text_or_null(fcinfo, 1),
									GetUserId());
	PG_RETURN_TEXT_P(cstring_to_text(uaef_signal_status_name(status)));
}

static void
put_share(FunctionCallInfo fcinfo, const UaefRuleOutcome *outcome, int share)
{
	const char *currency = outcome->rule->currency;
	const char *status =
		uaef_signal_status_name(uaef_share_status(outcome, share));
	Datum		values[6] = {0};
	bool		nulls[6] = {false, false, false, false, false, true};

	values[0] = Int32GetDatum(share + 1);
	values[1] = CStringGetTextDatum(outcome->shares[share].recipient);
	values[2] =
		NumericGetDatum(uaef_money_from_minor(outcome->shares[share].minor,
											  currency));
	values[3] = CStringGetTextDatum(currency);
	values[4] = CStringGetTextDatum(status);
	uaef_put_row(fcinfo, values, nulls);
}

/*
 * A row for no shares at all.
 */
static void
put_result(FunctionCallInfo fcinfo, const char *result,
		   const UaefEvalError *error)
{
	Datum		values[6] = {0};
	bool		nulls[6] = {true, true, true, true, false, true};

	values[4] = CStringGetTextDatum(result);
	if (error != NULL && error->sqlstate != 0)
	{
		UaefJson	json;

		uaef_json_begin(&json);
		uaef_settlement_error_add(&json, error);
		values[5] = JsonbPGetDatum(uaef_json_end(&json));
		nulls[5] = false;
	}
	uaef_put_row(fcinfo, values, nulls);
}
