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

#include "arguments.h"
#include "compliance.h"

/*
 * uaef.create_checkpoint(name text, definition jsonb, description text)
 * returns integer
 */
PG_FUNCTION_INFO_V1(uaef_create_checkpoint);
Datum
uaef_create_checkpoint(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(uaef_checkpoint_create(uaef_arg_text(fcinfo, 0, "name"),
										   uaef_arg_jsonb(fcinfo, 1,
														  "definition"),
										   uaef_arg_text_or_null(fcinfo, 2)));
}

/* uaef.evaluate_checkpoint(name text, data jsonb) returns jsonb */
PG_FUNCTION_INFO_V1(uaef_evaluate_checkpoint);
Datum
uaef_evaluate_checkpoint(PG_FUNCTION_ARGS)
{
	PG_RETURN_JSONB_P(uaef_checkpoint_evaluate_document(text_to_cstring(PG_GETARG_TEXT_PP(0)),
														PG_GETARG_JSONB_P(1)));
}
