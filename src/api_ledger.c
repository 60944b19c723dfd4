/*-------------------------------------------------------------------------
 *
 * api_ledger.c
 *	  SQL entry points of the ledger.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "arguments.h"
#include "canonical.h"
#include "errcodes.h"
#include "event_hash.h"
#include "guc.h"
#include "ledger.h"
#include "ledger_verify.h"
#include "set_result.h"

static int	bounded(FunctionCallInfo fcinfo, int argno, const char *name,
					int low, int high);
static void verify_options(FunctionCallInfo fcinfo,
						   UaefVerifyOptions *options);

/*
 * Raise unless called as a trigger before insert, for each row.
 */
static void
require_before_insert(FunctionCallInfo fcinfo, const char *name)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) ||
		!TRIGGER_FIRED_BEFORE(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigger->tg_event) ||
		!TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be called before insert for each row",
						name)));
}

/*
 * uaef.ledger_chain() returns trigger
 */
PG_FUNCTION_INFO_V1(uaef_ledger_chain);
Datum
uaef_ledger_chain(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	require_before_insert(fcinfo, "ledger_chain");
	return PointerGetDatum(uaef_ledger_chain_row(trigger->tg_relation,
												 trigger->tg_trigtuple));
}

/*
 * uaef.ledger_identity() returns trigger
 */
PG_FUNCTION_INFO_V1(uaef_ledger_identity);
Datum
uaef_ledger_identity(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	require_before_insert(fcinfo, "ledger_identity");
	uaef_ledger_replace_identity(trigger->tg_relation, trigger->tg_trigtuple);
	return PointerGetDatum(trigger->tg_trigtuple);
}

/*
 * uaef.ledger_guard() returns trigger
 */
PG_FUNCTION_INFO_V1(uaef_ledger_guard);
Datum
uaef_ledger_guard(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be called as a trigger",
						"ledger_guard")));
	ereport(ERROR,
			(errcode(ERRCODE_UAEF_LEDGER_GUARD),
			 errmsg("table \"%s\" is append-only",
					RelationGetRelationName(trigger->tg_relation))));
	return (Datum) 0;			/* keep compiler quiet */
}

/*
 * uaef.canonical_json(value jsonb) returns text
 */
PG_FUNCTION_INFO_V1(uaef_canonical_json);
Datum
uaef_canonical_json(PG_FUNCTION_ARGS)
{
	StringInfoData utf8;
	char	   *text;

	initStringInfo(&utf8);
	(void) uaef_canonical_append(&utf8, PG_GETARG_JSONB_P(0));
	text = pg_any_to_server(utf8.data, utf8.len, PG_UTF8);
	PG_RETURN_TEXT_P(cstring_to_text(text));
}

/*
 * uaef.record_event(event_type text, payload jsonb, execution_id uuid,
 *	 actor_type text, actor_id text, task_id bigint, agent_id text,
 *	 signer text, signature bytea) returns bigint
 */
PG_FUNCTION_INFO_V1(uaef_record_event);
Datum
uaef_record_event(PG_FUNCTION_ARGS)
{
	UaefEvent	event = {0};

	event.type = uaef_arg_text(fcinfo, 0, "event_type");
	event.payload = uaef_arg_jsonb_or_null(fcinfo, 1);
	event.stream = uaef_arg_uuid_or_null(fcinfo, 2);
	event.actor_type = uaef_arg_text_or_null(fcinfo, 3);
	event.actor_id = uaef_arg_text_or_null(fcinfo, 4);
	event.task_id = PG_ARGISNULL(5) ? 0 : PG_GETARG_INT64(5);
	event.agent_id = uaef_arg_text_or_null(fcinfo, 6);
	event.signer = uaef_arg_text_or_null(fcinfo, 7);
	event.signature = PG_ARGISNULL(8) ? NULL : PG_GETARG_BYTEA_PP(8);

	PG_RETURN_INT64(uaef_ledger_record(&event));
}

/*
 * uaef.seal_ledger() returns bigint
 */
PG_FUNCTION_INFO_V1(uaef_seal_ledger);
Datum
uaef_seal_ledger(PG_FUNCTION_ARGS)
{
	int64		block_no = uaef_ledger_seal(uaef_seal_max_events, true);

	if (block_no == 0)
		PG_RETURN_NULL();
	PG_RETURN_INT64(block_no);
}

/*
 * Milliseconds to wait; a month has 30 days.  Raises when they are negative;
 * very many are cut to 24 days.
 */
static int
timeout_arg(FunctionCallInfo fcinfo, int argno)
{
	const Interval *interval;
	double		ms;

	uaef_arg_require(fcinfo, argno, "timeout");
	interval = PG_GETARG_INTERVAL_P(argno);
	ms = interval->time / 1000.0 +
		((double) interval->month * DAYS_PER_MONTH + interval->day) *
		SECS_PER_DAY * 1000.0;

	if (ms < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("timeout must not be negative")));
	return (int) Min(ms, (double) INT_MAX);
}

/*
 * uaef.seal_and_wait(event_id bigint, timeout interval) returns bigint
 */
PG_FUNCTION_INFO_V1(uaef_seal_and_wait);
Datum
uaef_seal_and_wait(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(uaef_ledger_seal_and_wait(uaef_arg_int64(fcinfo, 0,
															 "event_id"),
											  timeout_arg(fcinfo, 1)));
}

/*
 * uaef.hash_event(event_id bigint) returns hash256
 */
PG_FUNCTION_INFO_V1(uaef_hash_event);
Datum
uaef_hash_event(PG_FUNCTION_ARGS)
{
	uint8		hash[UAEF_HASH_LEN];

	uaef_verify_hash_event(PG_GETARG_INT64(0), hash);
	return uaef_hash_datum(hash);
}

/*
 * A number within bounds.
 */
static int
bounded(FunctionCallInfo fcinfo, int argno, const char *name, int low, int high)
{
	int			value = uaef_arg_int32(fcinfo, argno, name);

	if (value < low || value > high)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be from %d to %d", name, low, high)));
	return value;
}

/*
 * A quorum of nothing would prove less than whoever asks for it expects.
 */
static void
check_quorum(const UaefVerifyOptions *options)
{
	if (options->quorum > 0 && options->ncheckpoints == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("quorum needs checkpoints"),
				 errhint("Give the checkpoints that witnesses have signed, and the keys of the witnesses.")));
}

/*
 * The arguments that verify_ledger() and ledger_verdict() have.  A null that
 * somebody did not expect must not make the check another one than he asked
 * for, of which no rows say that all is well.
 */
static void
verify_options(FunctionCallInfo fcinfo, UaefVerifyOptions *options)
{
	memset(options, 0, sizeof(UaefVerifyOptions));
	options->from_block = uaef_arg_int64(fcinfo, 0, "from_block");
	if (options->from_block < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("from_block must be at least 1")));
	if (!PG_ARGISNULL(1))
		options->trusted_hash = uaef_datum_hash(PG_GETARG_DATUM(1));
	options->checkpoints =
		uaef_arg_text_array_or_null(fcinfo, 2, "checkpoints",
									&options->ncheckpoints);
	options->keys = uaef_arg_text_array_or_null(fcinfo, 3, "keys",
												&options->nkeys);
	options->quorum = bounded(fcinfo, 4, "quorum", 0, 1000);
	options->jobs = bounded(fcinfo, 5, "jobs", 1, 1024);
	options->sample = bounded(fcinfo, 6, "sample", 0, INT_MAX);
	options->indexes = uaef_arg_bool(fcinfo, 7, "indexes");
	check_quorum(options);
}

/*
 * uaef.verify_ledger(from_block bigint, trusted_hash hash256,
 *	 checkpoints text[], keys text[], quorum integer, jobs integer,
 *	 sample integer, indexes boolean) returns setof
 *	 (severity text, code text, stream uuid, stream_seq bigint,
 *	  event_id bigint, leaf_index bigint, block_no bigint, ctid tid,
 *	  expected text, actual text, detail text)
 */
PG_FUNCTION_INFO_V1(uaef_verify_ledger_sql);
Datum
uaef_verify_ledger_sql(PG_FUNCTION_ARGS)
{
	UaefReport	report;
	UaefVerifyOptions options;
	UaefVerdict verdict;

	uaef_report_begin(fcinfo, &report);
	verify_options(fcinfo, &options);
	uaef_verify_ledger(&report, &options, &verdict);
	return (Datum) 0;
}

/*
 * uaef.ledger_verdict(the same) returns (verdict text, consistent boolean,
 *	 errors bigint, warnings bigint, infos bigint, events bigint,
 *	 sealed bigint, blocks bigint, root hash256, checkpoint_size bigint,
 *	 checkpoint_keys text[])
 */
PG_FUNCTION_INFO_V1(uaef_ledger_verdict);
Datum
uaef_ledger_verdict(PG_FUNCTION_ARGS)
{
	UaefTally	tally = {0};
	UaefReport	report = {.tally = &tally};
	UaefVerifyOptions options;
	UaefVerdict verdict;
	Datum		values[11];
	bool		nulls[11] = {false};
	Datum		signers[lengthof(verdict.signers)];

	uaef_begin_set(fcinfo);
	report.desc = uaef_report_desc();
	verify_options(fcinfo, &options);
	uaef_verify_ledger(&report, &options, &verdict);
	values[0] = CStringGetTextDatum(uaef_verdict_text(&options, &verdict,
													  &tally));
	values[1] = BoolGetDatum(tally.errors == 0);
	values[2] = Int64GetDatum(tally.errors);
	values[3] = Int64GetDatum(tally.warnings);
	values[4] = Int64GetDatum(tally.infos);
	values[5] = Int64GetDatum(verdict.events);
	values[6] = Int64GetDatum(verdict.sealed);
	values[7] = Int64GetDatum(verdict.blocks);
	values[8] = uaef_hash_datum(verdict.root);
	values[9] = Int64GetDatum(verdict.checkpoint_size);
	nulls[9] = nulls[10] = (verdict.checkpoint_size == 0);
	for (int i = 0; i < verdict.nsigners; i++)
		signers[i] = CStringGetTextDatum(verdict.signers[i]);
	values[10] = PointerGetDatum(construct_array(signers, verdict.nsigners,
												 TEXTOID, -1, false,
												 TYPALIGN_INT));
	uaef_put_row(fcinfo, values, nulls);
	return (Datum) 0;
}

/*
 * uaef.verify_block(block_no bigint) returns the same
 */
PG_FUNCTION_INFO_V1(uaef_verify_block_sql);
Datum
uaef_verify_block_sql(PG_FUNCTION_ARGS)
{
	int64		block_no = uaef_arg_int64(fcinfo, 0, "block_no");
	UaefReport	report;

	uaef_report_begin(fcinfo, &report);
	uaef_verify_block(&report, block_no);
	return (Datum) 0;
}

/*
 * uaef.verify_event(event_id bigint) returns the same
 */
PG_FUNCTION_INFO_V1(uaef_verify_event_sql);
Datum
uaef_verify_event_sql(PG_FUNCTION_ARGS)
{
	int64		event_id = uaef_arg_int64(fcinfo, 0, "event_id");
	UaefReport	report;

	uaef_report_begin(fcinfo, &report);
	uaef_verify_event(&report, event_id);
	return (Datum) 0;
}
