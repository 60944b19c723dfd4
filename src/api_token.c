/*-------------------------------------------------------------------------
 *
 * api_token.c
 *	  SQL entry points of tokens: fetch arguments, call, return.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "arguments.h"
#include "hide_statement.h"
#include "token.h"
#include "token_key.h"

/*
 * uaef.create_token(subject text, audience text, expires interval,
 *					 claims jsonb) -> text
 */
PG_FUNCTION_INFO_V1(uaef_create_token);
Datum
uaef_create_token(PG_FUNCTION_ARGS)
{
	char	   *subject = uaef_arg_text(fcinfo, 0, "subject");
	char	   *audience = uaef_arg_text(fcinfo, 1, "audience");
	int64		us = uaef_arg_interval_us(fcinfo, 2, "expires");

	PG_RETURN_TEXT_P(cstring_to_text(uaef_token_create(subject, audience, us,
													   uaef_arg_jsonb_or_null(fcinfo, 3))));
}

/* uaef.verify_token(token text, audience text) -> jsonb */
PG_FUNCTION_INFO_V1(uaef_verify_token);
Datum
uaef_verify_token(PG_FUNCTION_ARGS)
{
	ErrorContextCallback hiding;
	Jsonb	   *claims;

	uaef_hide_statement_begin(&hiding, "SELECT uaef.verify_token(...)");
	claims = uaef_token_verify(uaef_arg_text(fcinfo, 0, "token"),
							   uaef_arg_text(fcinfo, 1, "audience"));
	uaef_hide_statement_end(&hiding);
	PG_RETURN_JSONB_P(claims);
}

/* uaef.rotate_token_key(overlap interval) -> text */
PG_FUNCTION_INFO_V1(uaef_rotate_token_key);
Datum
uaef_rotate_token_key(PG_FUNCTION_ARGS)
{
	int64		us;

	uaef_arg_require(fcinfo, 0, "overlap");
	us = uaef_interval_us(PG_GETARG_INTERVAL_P(0), "overlap", true);
	PG_RETURN_TEXT_P(cstring_to_text(uaef_token_key_rotate(us)));
}
