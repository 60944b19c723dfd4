/*-------------------------------------------------------------------------
 *
 * api_limit.c
 *	  SQL entry points of limits: fetch arguments, call, return.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"

#include "arguments.h"
#include "limit_config.h"

/*
 * uaef.create_limit(name text, concurrency int, rate text, burst int)
 * returns void
 */
PG_FUNCTION_INFO_V1(uaef_create_limit);
Datum
uaef_create_limit(PG_FUNCTION_ARGS)
{
	uaef_limit_create(uaef_arg_text(fcinfo, 0, "name"),
					  uaef_arg_int32_or(fcinfo, 1, 0),
					  uaef_arg_text_or_null(fcinfo, 2),
					  uaef_arg_int32_or(fcinfo, 3, 0));
	PG_RETURN_VOID();
}

/* uaef.drop_limit(name text) returns void */
PG_FUNCTION_INFO_V1(uaef_drop_limit);
Datum
uaef_drop_limit(PG_FUNCTION_ARGS)
{
	uaef_limit_drop(uaef_arg_text(fcinfo, 0, "name"));
	PG_RETURN_VOID();
}
