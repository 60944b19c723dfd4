/*-------------------------------------------------------------------------
 *
 * api_proof.c
 *	  SQL entry points of proofs: fetch arguments, call, return.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

#include "arguments.h"
#include "ledger_proof.h"
#include "ledger_receipt.h"

/*
 * The size of a tree; 0 when none is given.
 */
static int64
optional_size(FunctionCallInfo fcinfo, int argno)
{
	if (PG_ARGISNULL(argno))
		return 0;
	if (PG_GETARG_INT64(argno) < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the size of a tree must be at least 1")));
	return PG_GETARG_INT64(argno);
}

/*
 * uaef.inclusion_proof(event_id bigint, tree_size bigint) returns jsonb
 */
PG_FUNCTION_INFO_V1(uaef_inclusion_proof_sql);
Datum
uaef_inclusion_proof_sql(PG_FUNCTION_ARGS)
{
	PG_RETURN_JSONB_P(uaef_inclusion_proof(uaef_arg_int64(fcinfo, 0,
														  "event_id"),
										   optional_size(fcinfo, 1)));
}

/*
 * uaef.consistency_proof(old_size bigint, new_size bigint) returns jsonb
 */
PG_FUNCTION_INFO_V1(uaef_consistency_proof_sql);
Datum
uaef_consistency_proof_sql(PG_FUNCTION_ARGS)
{
	PG_RETURN_JSONB_P(uaef_consistency_proof(uaef_arg_int64(fcinfo, 0,
															"old_size"),
											 optional_size(fcinfo, 1)));
}

/*
 * uaef.tlog_proof(event_id bigint) returns text
 */
PG_FUNCTION_INFO_V1(uaef_tlog_proof_sql);
Datum
uaef_tlog_proof_sql(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(uaef_tlog_proof(uaef_arg_int64(fcinfo, 0,
																	"event_id"))));
}

/*
 * uaef.receipt(execution_id uuid) returns jsonb
 */
PG_FUNCTION_INFO_V1(uaef_receipt_sql);
Datum
uaef_receipt_sql(PG_FUNCTION_ARGS)
{
	PG_RETURN_JSONB_P(uaef_receipt(uaef_arg_uuid(fcinfo, 0, "execution_id")));
}
