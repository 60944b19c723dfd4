/*-------------------------------------------------------------------------
 *
 * api_limit.c
 *	  SQL entry points of limits: fetch arguments, call, return.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

#include "limit_config.h"

/*
 * uaef.create_limit(name text, concurrency int, rate text, burst int)
 * returns void
 */
PG_FUNCTION_INFO_V1(uaef_create_limit);
Datum
uaef_create_limit(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" cannot be null", "name")));
	uaef_limit_create(text_to_cstring(PG_GETARG_TEXT_PP(0)),
					  PG_ARGISNULL(1) ? 0 : PG_GETARG_INT32(1),
					  PG_ARGISNULL(2) ? NULL :
					  text_to_cstring(PG_GETARG_TEXT_PP(2)),
					  PG_ARGISNULL(3) ? 0 : PG_GETARG_INT32(3));
	PG_RETURN_VOID();
}

/* uaef.drop_limit(name text) returns void */
PG_FUNCTION_INFO_V1(uaef_drop_limit);
Datum
uaef_drop_limit(PG_FUNCTION_ARGS)
{
	uaef_limit_drop(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	PG_RETURN_VOID();
}
