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

#include "ledger_archive.h"
#include "ledger_incarnation.h"
#include "ledger_redact.h"
#include "ledger_retire.h"
#include "ledger_signature.h"
#include "set_result.h"

static void require_argument(FunctionCallInfo fcinfo, int argno,
							 const char *name);
static char *reason_argument(FunctionCallInfo fcinfo, int argno);
static int64 limit_argument(FunctionCallInfo fcinfo, int argno);

static void
require_argument(FunctionCallInfo fcinfo, int argno, const char *name)
{
	if (PG_ARGISNULL(argno))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", name)));
}

/*
 * A reason, or NULL, which the function called refuses.
 */
static char *
reason_argument(FunctionCallInfo fcinfo, int argno)
{
	return PG_ARGISNULL(argno) ? NULL :
		text_to_cstring(PG_GETARG_TEXT_PP(argno));
}

static int64
limit_argument(FunctionCallInfo fcinfo, int argno)
{
	require_argument(fcinfo, argno, "max_events");
	if (PG_GETARG_INT64(argno) < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_events must be at least 1")));
	return PG_GETARG_INT64(argno);
}

/*
 * uaef.redact_event(event_id bigint, reason text) returns bigint
 */
PG_FUNCTION_INFO_V1(uaef_redact_event_sql);
Datum
uaef_redact_event_sql(PG_FUNCTION_ARGS)
{
	require_argument(fcinfo, 0, "event_id");
	PG_RETURN_INT64(uaef_redact_event(PG_GETARG_INT64(0),
									  reason_argument(fcinfo, 1)));
}

/*
 * uaef.redact_execution(execution_id uuid, reason text) returns bigint
 */
PG_FUNCTION_INFO_V1(uaef_redact_execution_sql);
Datum
uaef_redact_execution_sql(PG_FUNCTION_ARGS)
{
	require_argument(fcinfo, 0, "execution_id");
	PG_RETURN_INT64(uaef_redact_execution(PG_GETARG_UUID_P(0),
										  reason_argument(fcinfo, 1)));
}

/*
 * uaef.redact_events(filter jsonpath, reason text, max_events bigint)
 *	 returns bigint
 */
PG_FUNCTION_INFO_V1(uaef_redact_events_sql);
Datum
uaef_redact_events_sql(PG_FUNCTION_ARGS)
{
	require_argument(fcinfo, 0, "filter");
	PG_RETURN_INT64(uaef_redact_matching(PG_GETARG_JSONPATH_P(0),
										 reason_argument(fcinfo, 1),
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
	require_argument(fcinfo, 0, "before");
	PG_RETURN_INT64(uaef_redact_before(PG_GETARG_TIMESTAMPTZ(0),
									   reason_argument(fcinfo, 1),
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
	require_argument(fcinfo, 0, "before");
	require_argument(fcinfo, 2, "archive");
	PG_RETURN_INT64(uaef_retire_events(PG_GETARG_TIMESTAMPTZ(0),
									   reason_argument(fcinfo, 1),
									   PG_GETARG_BOOL(2),
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

	require_argument(fcinfo, 0, "archive");
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
	require_argument(fcinfo, 0, "archive");
	PG_RETURN_INT64(uaef_restore_events(PG_GETARG_OID(0),
										reason_argument(fcinfo, 1)));
}

/*
 * uaef.declare_incarnation(reason text) returns bigint
 */
PG_FUNCTION_INFO_V1(uaef_declare_incarnation_sql);
Datum
uaef_declare_incarnation_sql(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(uaef_declare_incarnation(reason_argument(fcinfo, 0)));
}

/*
 * uaef.register_signer(public_key text, role regrole) returns bigint
 */
PG_FUNCTION_INFO_V1(uaef_register_signer_sql);
Datum
uaef_register_signer_sql(PG_FUNCTION_ARGS)
{
	require_argument(fcinfo, 0, "public_key");
	PG_RETURN_INT64(uaef_register_signer(text_to_cstring(PG_GETARG_TEXT_PP(0)),
										 PG_ARGISNULL(1) ? InvalidOid :
										 PG_GETARG_OID(1)));
}

/*
 * uaef.revoke_signer(name text, reason text) returns bigint
 */
PG_FUNCTION_INFO_V1(uaef_revoke_signer_sql);
Datum
uaef_revoke_signer_sql(PG_FUNCTION_ARGS)
{
	require_argument(fcinfo, 0, "name");
	PG_RETURN_INT64(uaef_revoke_signer(text_to_cstring(PG_GETARG_TEXT_PP(0)),
									   reason_argument(fcinfo, 1)));
}

/*
 * uaef.claim_bytes(event_type text, payload jsonb, execution_id uuid)
 *	 returns bytea
 */
PG_FUNCTION_INFO_V1(uaef_claim_bytes_sql);
Datum
uaef_claim_bytes_sql(PG_FUNCTION_ARGS)
{
	require_argument(fcinfo, 0, "event type");
	return uaef_claim_bytes(text_to_cstring(PG_GETARG_TEXT_PP(0)),
							PG_ARGISNULL(1) ? NULL : PG_GETARG_JSONB_P(1),
							PG_ARGISNULL(2) ? NULL : PG_GETARG_UUID_P(2));
}
