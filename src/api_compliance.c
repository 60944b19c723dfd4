/*-------------------------------------------------------------------------
 *
 * api_compliance.c
 *	  SQL entry points of compliance: fetch arguments, call, return.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "compliance.h"

/*
 * uaef.create_checkpoint(name text, definition jsonb, description text)
 * returns integer
 */
PG_FUNCTION_INFO_V1(uaef_create_checkpoint);
Datum
uaef_create_checkpoint(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("name and definition must not be null")));
	PG_RETURN_INT32(uaef_checkpoint_create(text_to_cstring(PG_GETARG_TEXT_PP(0)),
										   PG_GETARG_JSONB_P(1),
										   PG_ARGISNULL(2) ? NULL :
										   text_to_cstring(PG_GETARG_TEXT_PP(2))));
}

/* uaef.evaluate_checkpoint(name text, data jsonb) returns jsonb */
PG_FUNCTION_INFO_V1(uaef_evaluate_checkpoint);
Datum
uaef_evaluate_checkpoint(PG_FUNCTION_ARGS)
{
	PG_RETURN_JSONB_P(uaef_checkpoint_evaluate_document(text_to_cstring(PG_GETARG_TEXT_PP(0)),
														PG_GETARG_JSONB_P(1)));
}
