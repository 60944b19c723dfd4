/*-------------------------------------------------------------------------
 *
 * api_payout.c
 *	  SQL entry points of payouts: fetch arguments, call, return.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "arguments.h"
#include "clock.h"
#include "payout.h"
#include "set_result.h"

PG_FUNCTION_INFO_V1(uaef_create_payout_channel);
PG_FUNCTION_INFO_V1(uaef_set_payee);
PG_FUNCTION_INFO_V1(uaef_build_payouts);
PG_FUNCTION_INFO_V1(uaef_send_payouts);
PG_FUNCTION_INFO_V1(uaef_claim_payouts);
PG_FUNCTION_INFO_V1(uaef_report_payout);
PG_FUNCTION_INFO_V1(uaef_resolve_payout);
PG_FUNCTION_INFO_V1(uaef_replay_payout);
PG_FUNCTION_INFO_V1(uaef_release_payout);
PG_FUNCTION_INFO_V1(uaef_cancel_payout);
PG_FUNCTION_INFO_V1(uaef_process_settlement);
PG_FUNCTION_INFO_V1(uaef_fail_settlement);
PG_FUNCTION_INFO_V1(uaef_import_statement);
PG_FUNCTION_INFO_V1(uaef_reconcile);
PG_FUNCTION_INFO_V1(uaef_export_pain001);

static Datum
payout_status(UaefPayoutStatus status)
{
	return CStringGetTextDatum(uaef_payout_status_name(status));
}

/*
 * create_payout_channel(name text, kind text, contract jsonb, connector text,
 *	role regrole)
 */
Datum
uaef_create_payout_channel(PG_FUNCTION_ARGS)
{
	uaef_arg_require(fcinfo, 2, "contract");
	uaef_payout_channel_create(uaef_arg_text(fcinfo, 0, "name"),
							   uaef_arg_text(fcinfo, 1, "kind"),
							   PG_GETARG_JSONB_P(2), uaef_arg_text_or_null(fcinfo, 3),
							   PG_ARGISNULL(4) ? GetUserId() : PG_GETARG_OID(4),
							   GetUserId());
	PG_RETURN_VOID();
}

/* set_payee(recipient text, channel text, destination jsonb, owner regrole) */
Datum
uaef_set_payee(PG_FUNCTION_ARGS)
{
	uaef_arg_require(fcinfo, 2, "destination");
	uaef_payee_set(uaef_arg_text(fcinfo, 0, "recipient"),
				   uaef_arg_text(fcinfo, 1, "channel"), PG_GETARG_JSONB_P(2),
				   uaef_arg_oid_or_invalid(fcinfo, 3),
				   GetUserId());
	PG_RETURN_VOID();
}

/*
 * build_payouts(cutoff timestamptz, netting boolean, channel text,
 *	max_signals integer) -> bigint
 */
Datum
uaef_build_payouts(PG_FUNCTION_ARGS)
{
	int64		batch_id;

	uaef_arg_require(fcinfo, 1, "netting");
	uaef_arg_require(fcinfo, 3, "max_signals");
	if (PG_GETARG_INT32(3) <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_signals must be above 0")));
	batch_id = uaef_payouts_build(PG_ARGISNULL(0) ? uaef_clock_now()
								  : PG_GETARG_TIMESTAMPTZ(0),
								  PG_GETARG_BOOL(1), uaef_arg_text_or_null(fcinfo, 2),
								  PG_GETARG_INT32(3), GetUserId());
	if (batch_id == 0)
		PG_RETURN_NULL();
	PG_RETURN_INT64(batch_id);
}

/* send_payouts(batch_id bigint) -> integer */
Datum
uaef_send_payouts(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(uaef_payouts_send(uaef_arg_int64(fcinfo, 0,
													 "batch_id"),
									  GetUserId()));
}

/*
 * claim_payouts(channel text, max_payouts integer, lease interval)
 *	-> setof (payout_id, fence, idempotency_key, end_to_end_id, body)
 */
Datum
uaef_claim_payouts(PG_FUNCTION_ARGS)
{
	UaefPayout *payouts;
	int			n;

	uaef_begin_set(fcinfo);
	n = uaef_payouts_claim(uaef_arg_text(fcinfo, 0, "channel"),
						   uaef_arg_int32(fcinfo, 1, "max_payouts"),
						   uaef_arg_interval_us(fcinfo, 2, "lease"),
						   GetUserId(), &payouts);
	for (int i = 0; i < n; i++)
	{
		Datum		values[5];
		bool		nulls[5] = {false};

		values[0] = UUIDPGetDatum(&payouts[i].payout_id);
		values[1] = Int32GetDatum(payouts[i].fence);
		values[2] = CStringGetTextDatum(payouts[i].idempotency_key);
		values[3] = CStringGetTextDatum(payouts[i].end_to_end_id);
		values[4] = JsonbPGetDatum(payouts[i].body);
		uaef_put_row(fcinfo, values, nulls);
	}
	return (Datum) 0;
}

/*
 * report_payout(payout_id uuid, fence integer, outcome text, reference text,
 *	kind text, source_key text, detail jsonb) -> text
 */
Datum
uaef_report_payout(PG_FUNCTION_ARGS)
{
	UaefEvidence evidence = {.actor = GetUserId()};

	uaef_arg_require(fcinfo, 0, "payout_id");
	evidence.fence = uaef_arg_int32_or(fcinfo, 1, 0);
	evidence.says = uaef_arg_text(fcinfo, 2, "outcome");
	evidence.reference = uaef_arg_text_or_null(fcinfo, 3);
	evidence.kind = uaef_arg_text(fcinfo, 4, "kind");
	evidence.source_key = uaef_arg_text_or_null(fcinfo, 5);
	evidence.detail = uaef_arg_jsonb_or_null(fcinfo, 6);
	return payout_status(uaef_payout_report(PG_GETARG_UUID_P(0), &evidence));
}

/* resolve_payout(payout_id uuid, outcome text, evidence jsonb) -> text */
Datum
uaef_resolve_payout(PG_FUNCTION_ARGS)
{
	uaef_arg_require(fcinfo, 0, "payout_id");
	uaef_arg_require(fcinfo, 2, "evidence");
	return payout_status(uaef_payout_resolve(PG_GETARG_UUID_P(0),
											 uaef_arg_text(fcinfo, 1, "outcome"),
											 PG_GETARG_JSONB_P(2),
											 GetUserId()));
}

/* replay_payout(payout_id uuid) -> text */
Datum
uaef_replay_payout(PG_FUNCTION_ARGS)
{
	return payout_status(uaef_payout_replay(uaef_arg_uuid(fcinfo, 0,
														  "payout_id"),
											GetUserId()));
}

/* release_payout(payout_id uuid, reason text) -> text */
Datum
uaef_release_payout(PG_FUNCTION_ARGS)
{
	uaef_arg_require(fcinfo, 0, "payout_id");
	return payout_status(uaef_payout_release(PG_GETARG_UUID_P(0),
											 uaef_arg_text_or_null(fcinfo, 1),
											 GetUserId()));
}

/* cancel_payout(payout_id uuid, reason text) -> text */
Datum
uaef_cancel_payout(PG_FUNCTION_ARGS)
{
	uaef_arg_require(fcinfo, 0, "payout_id");
	return payout_status(uaef_payout_cancel(PG_GETARG_UUID_P(0),
											uaef_arg_text_or_null(fcinfo, 1),
											GetUserId()));
}

/* process_settlement(signal_id bigint, reference text) -> text */
Datum
uaef_process_settlement(PG_FUNCTION_ARGS)
{
	uaef_arg_require(fcinfo, 0, "signal_id");
	return CStringGetTextDatum(uaef_signal_status_name(uaef_settlement_process(PG_GETARG_INT64(0),
																			   uaef_arg_text_or_null(fcinfo, 1),
																			   GetUserId())));
}

/* fail_settlement(signal_id bigint, reason text) -> text */
Datum
uaef_fail_settlement(PG_FUNCTION_ARGS)
{
	uaef_arg_require(fcinfo, 0, "signal_id");
	return CStringGetTextDatum(uaef_signal_status_name(uaef_settlement_fail(PG_GETARG_INT64(0),
																			uaef_arg_text_or_null(fcinfo, 1),
																			GetUserId())));
}

/* import_statement(channel text, format text, content text) -> bigint */
Datum
uaef_import_statement(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(uaef_statement_import(uaef_arg_text(fcinfo, 0, "channel"),
										  uaef_arg_text(fcinfo, 1, "format"),
										  uaef_arg_text(fcinfo, 2, "content"),
										  GetUserId()));
}

/* reconcile(statement_id bigint) -> setof (matched integer, open integer) */
Datum
uaef_reconcile(PG_FUNCTION_ARGS)
{
	Datum		values[2];
	bool		nulls[2] = {false, false};
	int			matched;
	int			open;

	uaef_begin_set(fcinfo);
	uaef_statement_reconcile(PG_ARGISNULL(0) ? 0 : PG_GETARG_INT64(0),
							 GetUserId(), &matched, &open);
	values[0] = Int32GetDatum(matched);
	values[1] = Int32GetDatum(open);
	uaef_put_row(fcinfo, values, nulls);
	return (Datum) 0;
}

/* export_pain001(batch_id bigint, debtor jsonb) -> text */
Datum
uaef_export_pain001(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(uaef_payout_export(uaef_arg_int64(fcinfo, 0, "batch_id"),
														uaef_arg_jsonb(fcinfo, 1, "debtor"),
														GetUserId())));
}
