/*-------------------------------------------------------------------------
 *
 * api_keeping.c
 *	  SQL entry points of what people do to the ledger itself.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/jsonpath.h"
#include "utils/timestamp.h"

#include "arguments.h"
#include "ledger_archive.h"
#include "ledger_incarnation.h"
#include "ledger_redact.h"
#include "ledger_retire.h"
#include "ledger_signature.h"
#include "set_result.h"

static int64
limit_argument(FunctionCallInfo fcinfo, int argno)
{
	int64		limit = uaef_arg_int64(fcinfo, argno, "max_events");

	if (limit < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_events must be at least 1")));
	return limit;
}

/*
 * uaef.redact_event(event_id bigint, reason text) returns bigint
 */
PG_FUNCTION_INFO_V1(uaef_redact_event_sql);
Datum
uaef_redact_event_sql(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(uaef_redact_event(uaef_arg_int64(fcinfo, 0, "event_id"),
									  uaef_arg_text_or_null(fcinfo, 1)));
}

/*
 * uaef.redact_execution(execution_id uuid, reason text) returns bigint
 */
PG_FUNCTION_INFO_V1(uaef_redact_execution_sql);
Datum
uaef_redact_execution_sql(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(uaef_redact_execution(uaef_arg_uuid(fcinfo, 0, "execution_id"),
										  uaef_arg_text_or_null(fcinfo, 1)));
}

/*
 * uaef.redact_events(filter jsonpath, reason text, max_events bigint)
 *	 returns bigint
 */
PG_FUNCTION_INFO_V1(uaef_redact_events_sql);
Datum
uaef_redact_events_sql(PG_FUNCTION_ARGS)
{
	uaef_arg_require(fcinfo, 0, "filter");
	PG_RETURN_INT64(uaef_redact_matching(PG_GETARG_JSONPATH_P(0),
										 uaef_arg_text_or_null(fcinfo, 1),
										 limit_argument(fcinfo, 2)));
}

/*
 * uaef.redact_before(before timestamptz, reason text, max_events bigint)
 *	 returns bigint
 */
PG_FUNCTION_INFO_V1(uaef_redact_before_sql);
Datum
uaef_redact_before_sql(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(uaef_redact_before(uaef_arg_time(fcinfo, 0, "before"),
									   uaef_arg_text_or_null(fcinfo, 1),
									   limit_argument(fcinfo, 2)));
}

/*
 * uaef.retire_events(before timestamptz, reason text, archive boolean,
 *	 max_events bigint) returns bigint
 */
PG_FUNCTION_INFO_V1(uaef_retire_events_sql);
Datum
uaef_retire_events_sql(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(uaef_retire_events(uaef_arg_time(fcinfo, 0, "before"),
									   uaef_arg_text_or_null(fcinfo, 1),
									   uaef_arg_bool(fcinfo, 2, "archive"),
									   limit_argument(fcinfo, 3)));
}

/*
 * uaef.verify_archive(archive regclass) returns setof problems
 */
PG_FUNCTION_INFO_V1(uaef_verify_archive_sql);
Datum
uaef_verify_archive_sql(PG_FUNCTION_ARGS)
{
	UaefReport	report;

	uaef_arg_require(fcinfo, 0, "archive");
	uaef_report_begin(fcinfo, &report);
	uaef_archive_verify(&report, PG_GETARG_OID(0));
	return (Datum) 0;
}

/*
 * uaef.restore_events(archive regclass, reason text) returns bigint
 */
PG_FUNCTION_INFO_V1(uaef_restore_events_sql);
Datum
uaef_restore_events_sql(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(uaef_restore_events(uaef_arg_oid(fcinfo, 0, "archive"),
										uaef_arg_text_or_null(fcinfo, 1)));
}

/*
 * uaef.declare_incarnation(reason text) returns bigint
 */
PG_FUNCTION_INFO_V1(uaef_declare_incarnation_sql);
Datum
uaef_declare_incarnation_sql(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(uaef_declare_incarnation(uaef_arg_text_or_null(fcinfo, 0)));
}

/*
 * uaef.register_signer(public_key text, role regrole) returns bigint
 */
PG_FUNCTION_INFO_V1(uaef_register_signer_sql);
Datum
uaef_register_signer_sql(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(uaef_register_signer(uaef_arg_text(fcinfo, 0, "public_key"),
										 uaef_arg_oid_or_invalid(fcinfo, 1)));
}

/*
 * uaef.revoke_signer(name text, reason text) returns bigint
 */
PG_FUNCTION_INFO_V1(uaef_revoke_signer_sql);
Datum
uaef_revoke_signer_sql(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(uaef_revoke_signer(uaef_arg_text(fcinfo, 0, "name"),
									   uaef_arg_text_or_null(fcinfo, 1)));
}

/*
 * uaef.claim_bytes(event_type text, payload jsonb, execution_id uuid)
 *	 returns bytea
 */
PG_FUNCTION_INFO_V1(uaef_claim_bytes_sql);
Datum
uaef_claim_bytes_sql(PG_FUNCTION_ARGS)
{
	return uaef_claim_bytes(uaef_arg_text(fcinfo, 0, "event_type"),
							uaef_arg_jsonb_or_null(fcinfo, 1),
							uaef_arg_uuid_or_null(fcinfo, 2));
}
