/*-------------------------------------------------------------------------
 *
 * api_settlement_care.c
 *	  SQL entry points of what is done with signals besides deciding: fetch
 *	  arguments, call, return.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "arguments.h"
#include "payout_state.h"
#include "set_result.h"
#include "settlement.h"

PG_FUNCTION_INFO_V1(uaef_hold_settlement);
PG_FUNCTION_INFO_V1(uaef_release_settlement);
PG_FUNCTION_INFO_V1(uaef_reschedule_settlement);
PG_FUNCTION_INFO_V1(uaef_dispute_settlement);
PG_FUNCTION_INFO_V1(uaef_uphold_settlement);
PG_FUNCTION_INFO_V1(uaef_write_off_settlement);
PG_FUNCTION_INFO_V1(uaef_adjust_settlement);
PG_FUNCTION_INFO_V1(uaef_reverse_settlement);
PG_FUNCTION_INFO_V1(uaef_reevaluate_settlement);
PG_FUNCTION_INFO_V1(uaef_settlement_transitions);

static Datum
status_text(UaefSignalStatus status)
{
	return CStringGetTextDatum(uaef_signal_status_name(status));
}

static Datum
care(FunctionCallInfo fcinfo, UaefSignalAction action, TimestampTz due_at)
{
	uaef_arg_require(fcinfo, 0, "signal_id");
	return status_text(uaef_settlement_care(PG_GETARG_INT64(0), action,
											uaef_arg_text_or_null(fcinfo, 1), due_at,
											GetUserId()));
}

/* hold_settlement(signal_id bigint, reason text) -> text */
Datum
uaef_hold_settlement(PG_FUNCTION_ARGS)
{
	return care(fcinfo, UAEF_ACT_HOLD, 0);
}

/* release_settlement(signal_id bigint, reason text) -> text */
Datum
uaef_release_settlement(PG_FUNCTION_ARGS)
{
	return care(fcinfo, UAEF_ACT_RELEASE, 0);
}

/*
 * reschedule_settlement(signal_id bigint, reason text, due_at timestamptz)
 *	-> text
 */
Datum
uaef_reschedule_settlement(PG_FUNCTION_ARGS)
{
	return care(fcinfo, UAEF_ACT_SCHEDULE,
				uaef_arg_time_or(fcinfo, 2, 0));
}

/* dispute_settlement(signal_id bigint, reason text) -> text */
Datum
uaef_dispute_settlement(PG_FUNCTION_ARGS)
{
	return care(fcinfo, UAEF_ACT_DISPUTE, 0);
}

/* uphold_settlement(signal_id bigint, reason text) -> text */
Datum
uaef_uphold_settlement(PG_FUNCTION_ARGS)
{
	return care(fcinfo, UAEF_ACT_UPHOLD, 0);
}

/* write_off_settlement(signal_id bigint, reason text) -> text */
Datum
uaef_write_off_settlement(PG_FUNCTION_ARGS)
{
	return care(fcinfo, UAEF_ACT_WRITE_OFF, 0);
}

/*
 * adjust_settlement(signal_id bigint, amount numeric, reason text) -> text
 */
Datum
uaef_adjust_settlement(PG_FUNCTION_ARGS)
{
	uaef_arg_require(fcinfo, 0, "signal_id");
	uaef_arg_require(fcinfo, 1, "amount");
	return status_text(uaef_settlement_adjust(PG_GETARG_INT64(0),
											  PG_GETARG_NUMERIC(1),
											  uaef_arg_text_or_null(fcinfo, 2),
											  GetUserId()));
}

/*
 * reverse_settlement(signal_id bigint, amount numeric, reason text,
 *	idempotency_key text) -> bigint
 */
Datum
uaef_reverse_settlement(PG_FUNCTION_ARGS)
{
	uaef_arg_require(fcinfo, 0, "signal_id");
	uaef_arg_require(fcinfo, 3, "idempotency_key");
	PG_RETURN_INT64(uaef_settlement_reverse(PG_GETARG_INT64(0),
											uaef_arg_numeric_or_null(fcinfo, 1),
											uaef_arg_text_or_null(fcinfo, 2),
											uaef_arg_text_or_null(fcinfo, 3),
											GetUserId()));
}

/* reevaluate_settlement(execution_id uuid, reason text) -> integer */
Datum
uaef_reevaluate_settlement(PG_FUNCTION_ARGS)
{
	uaef_arg_require(fcinfo, 0, "execution_id");
	PG_RETURN_INT32(uaef_settlement_reevaluate(PG_GETARG_UUID_P(0),
											   uaef_arg_text_or_null(fcinfo, 1),
											   GetUserId()));
}

static void
put_transition(FunctionCallInfo fcinfo, const char *machine, const char *status,
			   const char *action, const char *next)
{
	Datum		values[4];
	bool		nulls[4] = {false, false, false, next == NULL};

	values[0] = CStringGetTextDatum(machine);
	values[1] = CStringGetTextDatum(status);
	values[2] = CStringGetTextDatum(action);
	values[3] = next ? CStringGetTextDatum(next) : (Datum) 0;
	uaef_put_row(fcinfo, values, nulls);
}

/* settlement_transitions() -> setof (machine, status, action, next) */
Datum
uaef_settlement_transitions(PG_FUNCTION_ARGS)
{
	uaef_begin_set(fcinfo);
	for (int s = 0; s < UAEF_N_SIGNAL_STATUSES; s++)
		for (int a = 0; a < UAEF_N_SIGNAL_ACTIONS; a++)
		{
			UaefSignalStatus to;
			bool		legal = uaef_signal_next(s, a, &to);

			put_transition(fcinfo, "signal", uaef_signal_status_name(s),
						   uaef_signal_action_name(a),
						   legal ? uaef_signal_status_name(to) : NULL);
		}
	for (int s = 0; s < UAEF_N_PAYOUT_STATUSES; s++)
		for (int a = 0; a < UAEF_N_PAYOUT_ACTIONS; a++)
		{
			UaefPayoutStatus to;
			bool		legal = uaef_payout_next(s, a, &to);

			put_transition(fcinfo, "payout", uaef_payout_status_name(s),
						   uaef_payout_action_name(a),
						   legal ? uaef_payout_status_name(to) : NULL);
		}
	return (Datum) 0;
}
