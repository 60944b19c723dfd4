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
#include "guc.h"
#include "ledger.h"

static char *optional_text(FunctionCallInfo fcinfo, int argno);

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
 * uaef.ledger_chain() returns trigger
 */
PG_FUNCTION_INFO_V1(uaef_ledger_chain);
Datum
uaef_ledger_chain(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) ||
		!TRIGGER_FIRED_BEFORE(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigger->tg_event) ||
		!TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be called before insert for each row",
						"ledger_chain")));
	return PointerGetDatum(uaef_ledger_chain_row(trigger->tg_relation,
												 trigger->tg_trigtuple));
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
 *	 actor_type text, actor_id text, task_id bigint, agent_id text)
 *	 returns bigint
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

	PG_RETURN_INT64(uaef_ledger_record(&event));
}

/*
 * uaef.seal_ledger() returns bigint
 */
PG_FUNCTION_INFO_V1(uaef_seal_ledger);
Datum
uaef_seal_ledger(PG_FUNCTION_ARGS)
{
	bool		more;
	int64		block_no = uaef_ledger_seal(uaef_seal_max_events, &more);

	if (block_no == 0)
		PG_RETURN_NULL();
	PG_RETURN_INT64(block_no);
}
