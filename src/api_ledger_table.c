/*-------------------------------------------------------------------------
 *
 * api_ledger_table.c
 *	  SQL entry points of ledgered tables.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/event_trigger.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "utils/fmgrprotos.h"

#include "arguments.h"
#include "ledger_table.h"
#include "ledger_table_ddl.h"
#include "ledger_table_history.h"
#include "ledger_table_pending.h"
#include "ledger_table_verify.h"
#include "set_result.h"

/*
 * Raise unless called as a trigger.
 */
static TriggerData *
trigger_data(FunctionCallInfo fcinfo, const char *name)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be called as a trigger", name)));
	return (TriggerData *) fcinfo->context;
}

/*
 * uaef.ledger_row() returns trigger
 */
PG_FUNCTION_INFO_V1(uaef_ledger_row);
Datum
uaef_ledger_row(PG_FUNCTION_ARGS)
{
	uaef_pending_row_add(trigger_data(fcinfo, "ledger_row"));
	return (Datum) 0;
}

/*
 * uaef.ledger_truncate() returns trigger
 */
PG_FUNCTION_INFO_V1(uaef_ledger_truncate);
Datum
uaef_ledger_truncate(PG_FUNCTION_ARGS)
{
	uaef_pending_truncate(trigger_data(fcinfo, "ledger_truncate"));
	return (Datum) 0;
}

/*
 * uaef.ledger_ddl() returns event_trigger
 */
PG_FUNCTION_INFO_V1(uaef_ledger_ddl);
Datum
uaef_ledger_ddl(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be called as an event trigger",
						"ledger_ddl")));
	uaef_table_heed_ddl((EventTriggerData *) fcinfo->context);
	return (Datum) 0;
}

/*
 * uaef._missing_value("table" regclass, number integer) returns jsonb
 */
PG_FUNCTION_INFO_V1(uaef_missing_value_sql);
Datum
uaef_missing_value_sql(PG_FUNCTION_ARGS)
{
	PG_RETURN_JSONB_P(uaef_missing_value(PG_GETARG_OID(0),
										 (AttrNumber) PG_GETARG_INT32(1)));
}

/*
 * uaef.attach_ledger("table" regclass, columns name[], key name[],
 *	 existing boolean) returns bigint
 */
PG_FUNCTION_INFO_V1(uaef_attach_ledger);
Datum
uaef_attach_ledger(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(uaef_ledger_attach(uaef_arg_oid(fcinfo, 0, "table"),
									   uaef_arg_array_or_null(fcinfo, 1),
									   uaef_arg_array_or_null(fcinfo, 2),
									   uaef_arg_bool(fcinfo, 3, "existing")));
}

/*
 * uaef.detach_ledger("table" regclass) returns void
 */
PG_FUNCTION_INFO_V1(uaef_detach_ledger);
Datum
uaef_detach_ledger(PG_FUNCTION_ARGS)
{
	uaef_ledger_detach(uaef_arg_oid(fcinfo, 0, "table"));
	PG_RETURN_VOID();
}

/*
 * uaef.row_history("table" regclass, key jsonb) returns setof (event_id
 *	 bigint, recorded_at timestamptz, tx xid8, operation text, old jsonb,
 *	 new jsonb, role text, session_role text, application_name text,
 *	 partition text, stream uuid, stream_seq bigint)
 */
PG_FUNCTION_INFO_V1(uaef_row_history_sql);
Datum
uaef_row_history_sql(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Oid			table = uaef_arg_oid(fcinfo, 0, "table");
	Jsonb	   *key = uaef_arg_jsonb(fcinfo, 1, "key");

	uaef_begin_set(fcinfo);
	uaef_row_history(table, key, result->setResult, result->setDesc);
	return (Datum) 0;
}

/*
 * uaef.verify_table("table" regclass) returns setof problems
 */
PG_FUNCTION_INFO_V1(uaef_verify_table_sql);
Datum
uaef_verify_table_sql(PG_FUNCTION_ARGS)
{
	UaefReport	report;

	uaef_arg_require(fcinfo, 0, "table");
	uaef_report_begin(fcinfo, &report);
	uaef_verify_table(&report, PG_GETARG_OID(0));
	return (Datum) 0;
}
