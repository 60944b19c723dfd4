/*-------------------------------------------------------------------------
 *
 * api_rule_data.c
 *	  SQL entry points of the tables that rules read.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "arguments.h"
#include "rule_data.h"

PG_FUNCTION_INFO_V1(uaef_set_fx_rate);
PG_FUNCTION_INFO_V1(uaef_set_lookup);
PG_FUNCTION_INFO_V1(uaef_drop_lookup);
PG_FUNCTION_INFO_V1(uaef_set_pool_points);

static UaefValidity validity_at(FunctionCallInfo fcinfo, int no);

/* Two arguments: from and to. */
static UaefValidity
validity_at(FunctionCallInfo fcinfo, int no)
{
	UaefValidity validity = {uaef_arg_time(fcinfo, no, "valid_from"),
	uaef_arg_time(fcinfo, no + 1, "valid_to")};

	return validity;
}

/*
 * set_fx_rate(source text, base text, quote text, rate numeric,
 *	valid_from timestamptz, valid_to timestamptz) -> void
 */
Datum
uaef_set_fx_rate(PG_FUNCTION_ARGS)
{
	uaef_arg_require(fcinfo, 3, "rate");
	uaef_rule_data_set_rate(uaef_arg_text(fcinfo, 0, "source"),
							uaef_arg_text(fcinfo, 1, "base"),
							uaef_arg_text(fcinfo, 2, "quote"),
							PG_GETARG_NUMERIC(3), validity_at(fcinfo, 4),
							GetUserId());
	PG_RETURN_VOID();
}

/*
 * set_lookup(table_name text, key text[], value jsonb,
 *	valid_from timestamptz, valid_to timestamptz) -> void
 */
Datum
uaef_set_lookup(PG_FUNCTION_ARGS)
{
	uaef_rule_data_set_look_up(uaef_arg_text(fcinfo, 0, "table_name"),
							   uaef_arg_array(fcinfo, 1, "key"), uaef_arg_jsonb(fcinfo, 2, "value"),
							   validity_at(fcinfo, 3), GetUserId());
	PG_RETURN_VOID();
}

/*
 * drop_lookup(table_name text, key text[], valid_from timestamptz,
 *	valid_to timestamptz) -> void
 */
Datum
uaef_drop_lookup(PG_FUNCTION_ARGS)
{
	uaef_rule_data_set_look_up(uaef_arg_text(fcinfo, 0, "table_name"),
							   uaef_arg_array(fcinfo, 1, "key"), NULL,
							   validity_at(fcinfo, 2), GetUserId());
	PG_RETURN_VOID();
}

/*
 * set_pool_points(pool text, member text, points numeric,
 *	valid_from timestamptz, valid_to timestamptz) -> void
 */
Datum
uaef_set_pool_points(PG_FUNCTION_ARGS)
{
	uaef_arg_require(fcinfo, 2, "points");
	uaef_rule_data_set_points(uaef_arg_text(fcinfo, 0, "pool"),
							  uaef_arg_text(fcinfo, 1, "member"),
							  PG_GETARG_NUMERIC(2), validity_at(fcinfo, 3),
							  GetUserId());
	PG_RETURN_VOID();
}
