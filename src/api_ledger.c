/*-------------------------------------------------------------------------
 *
 * api_ledger.c
 *	  SQL entry points of the ledger.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/trigger.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#include "canonical.h"
#include "errcodes.h"
#include "event_hash.h"
#include "guc.h"
#include "ledger.h"
#include "ledger_verify.h"
#include "set_result.h"

static char *optional_text(FunctionCallInfo fcinfo, int argno);
static UaefReport begin_report(FunctionCallInfo fcinfo);

/*
 * A text argument as a C string, or NULL.
 */
static char *
optional_text(FunctionCallInfo fcinfo, int argno)
{
	return PG_ARGISNULL(argno) ? NULL
		: text_to_cstring(PG_GETARG_TEXT_PP(argno));
}

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
	uaef_ledger_replace_identity(trigger->tg_relation);
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

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("event type must not be null")));
	event.type = optional_text(fcinfo, 0);
	event.payload = PG_ARGISNULL(1) ? NULL : PG_GETARG_JSONB_P(1);
	event.stream = PG_ARGISNULL(2) ? NULL : PG_GETARG_UUID_P(2);
	event.actor_type = optional_text(fcinfo, 3);
	event.actor_id = optional_text(fcinfo, 4);
	event.task_id = PG_ARGISNULL(5) ? 0 : PG_GETARG_INT64(5);
	event.agent_id = optional_text(fcinfo, 6);
	event.signer = optional_text(fcinfo, 7);
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
	int64		block_no = uaef_ledger_seal(uaef_seal_max_events);

	if (block_no == 0)
		PG_RETURN_NULL();
	PG_RETURN_INT64(block_no);
}

/*
 * uaef.hash_event(event_id bigint) returns bytea
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
 * Make the result of a function that returns problems.
 */
static UaefReport
begin_report(FunctionCallInfo fcinfo)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	UaefReport	report;

	uaef_begin_set(fcinfo);
	report.store = result->setResult;
	report.desc = result->setDesc;
	return report;
}

/*
 * uaef.verify_ledger(from_block bigint, trusted_hash hash256) returns setof
 *	 (severity text, code text, stream uuid, stream_seq bigint,
 *	  event_id bigint, block_no bigint, detail text)
 */
PG_FUNCTION_INFO_V1(uaef_verify_ledger_sql);
Datum
uaef_verify_ledger_sql(PG_FUNCTION_ARGS)
{
	UaefReport	report = begin_report(fcinfo);
	const uint8 *trusted = NULL;

	if (!PG_ARGISNULL(1))
		trusted = uaef_datum_hash(PG_GETARG_DATUM(1));
	uaef_verify_ledger(&report, PG_ARGISNULL(0) ? 1 : PG_GETARG_INT64(0),
					   trusted);
	return (Datum) 0;
}

/*
 * uaef.verify_block(block_no bigint) returns the same
 */
PG_FUNCTION_INFO_V1(uaef_verify_block_sql);
Datum
uaef_verify_block_sql(PG_FUNCTION_ARGS)
{
	UaefReport	report = begin_report(fcinfo);

	uaef_verify_block(&report, PG_GETARG_INT64(0));
	return (Datum) 0;
}

/*
 * uaef.verify_event(event_id bigint) returns the same
 */
PG_FUNCTION_INFO_V1(uaef_verify_event_sql);
Datum
uaef_verify_event_sql(PG_FUNCTION_ARGS)
{
	UaefReport	report = begin_report(fcinfo);

	uaef_verify_event(&report, PG_GETARG_INT64(0));
	return (Datum) 0;
}
