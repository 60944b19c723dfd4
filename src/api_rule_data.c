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
	UaefValidity validity = {PG_GETARG_TIMESTAMPTZ(no),
	PG_GETARG_TIMESTAMPTZ(no + 1)};

	return validity;
}

/*
 * set_fx_rate(source text, base text, quote text, rate numeric,
 *	valid_from timestamptz, valid_to timestamptz) -> void
 */
Datum
uaef_set_fx_rate(PG_FUNCTION_ARGS)
{
	uaef_rule_data_set_rate(text_to_cstring(PG_GETARG_TEXT_PP(0)),
							text_to_cstring(PG_GETARG_TEXT_PP(1)),
							text_to_cstring(PG_GETARG_TEXT_PP(2)),
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
	uaef_rule_data_set_look_up(text_to_cstring(PG_GETARG_TEXT_PP(0)),
							   PG_GETARG_ARRAYTYPE_P(1), PG_GETARG_JSONB_P(2),
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
	uaef_rule_data_set_look_up(text_to_cstring(PG_GETARG_TEXT_PP(0)),
							   PG_GETARG_ARRAYTYPE_P(1), NULL,
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
	uaef_rule_data_set_points(text_to_cstring(PG_GETARG_TEXT_PP(0)),
							  text_to_cstring(PG_GETARG_TEXT_PP(1)),
							  PG_GETARG_NUMERIC(2), validity_at(fcinfo, 3),
							  GetUserId());
	PG_RETURN_VOID();
}
