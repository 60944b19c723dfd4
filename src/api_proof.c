/*-------------------------------------------------------------------------
 *
 * api_proof.c
 *	  SQL entry points of proofs: fetch arguments, call, return.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"

#include "ledger_proof.h"

static int64 required_number(FunctionCallInfo fcinfo, int argno,
							 const char *name);
static int64 optional_size(FunctionCallInfo fcinfo, int argno);

static int64
required_number(FunctionCallInfo fcinfo, int argno, const char *name)
{
	if (PG_ARGISNULL(argno))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", name)));
	return PG_GETARG_INT64(argno);
}

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
	PG_RETURN_JSONB_P(uaef_inclusion_proof(required_number(fcinfo, 0,
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
	PG_RETURN_JSONB_P(uaef_consistency_proof(required_number(fcinfo, 0,
															 "old_size"),
											 optional_size(fcinfo, 1)));
}
