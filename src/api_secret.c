/*-------------------------------------------------------------------------
 *
 * api_secret.c
 *	  SQL entry points of secrets: fetch arguments, call, return.
 *
 * A statement that holds a secret is hidden before anything can fail.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "arguments.h"
#include "connector_secret.h"
#include "hide_statement.h"
#include "sealed_value.h"
#include "secret.h"

PG_FUNCTION_INFO_V1(uaef_set_secret);
PG_FUNCTION_INFO_V1(uaef_set_secret_from_file);
PG_FUNCTION_INFO_V1(uaef_set_connector_secret);
PG_FUNCTION_INFO_V1(uaef_drop_secret);
PG_FUNCTION_INFO_V1(uaef_rotate_secrets);
PG_FUNCTION_INFO_V1(uaef_encrypt_value);
PG_FUNCTION_INFO_V1(uaef_decrypt_value);

static void set_secret(const char *kind, const char *name, Jsonb *secret);

/*
 * A connector's is checked by its type.
 */
static void
set_secret(const char *kind, const char *name, Jsonb *secret)
{
	if (strcmp(kind, UAEF_CONNECTOR_SECRET) == 0)
		uaef_connector_set_secret(name, secret);
	else
		uaef_secret_put(kind, name, secret);
}

/* uaef.set_secret(kind text, name text, secret jsonb) -> void */
Datum
uaef_set_secret(PG_FUNCTION_ARGS)
{
	ErrorContextCallback hiding;

	uaef_hide_statement_begin(&hiding, "SELECT uaef.set_secret(...)");
	set_secret(uaef_arg_text(fcinfo, 0, "kind"),
			   uaef_arg_text(fcinfo, 1, "name"), uaef_arg_jsonb(fcinfo, 2, "secret"));
	uaef_hide_statement_end(&hiding);
	PG_RETURN_VOID();
}

/* uaef.set_secret_from_file(kind text, name text, path text) -> void */
Datum
uaef_set_secret_from_file(PG_FUNCTION_ARGS)
{
	Jsonb	   *secret = uaef_secret_read_file(uaef_arg_text(fcinfo, 2, "path"));

	set_secret(uaef_arg_text(fcinfo, 0, "kind"),
			   uaef_arg_text(fcinfo, 1, "name"), secret);
	uaef_secret_wipe(secret);
	PG_RETURN_VOID();
}

/* uaef.set_connector_secret(name text, secret jsonb) -> void */
Datum
uaef_set_connector_secret(PG_FUNCTION_ARGS)
{
	ErrorContextCallback hiding;

	uaef_hide_statement_begin(&hiding, "SELECT uaef.set_connector_secret(...)");
	uaef_connector_set_secret(uaef_arg_text(fcinfo, 0, "name"),
							  uaef_arg_jsonb_or_null(fcinfo, 1));
	uaef_hide_statement_end(&hiding);
	PG_RETURN_VOID();
}

/* uaef.drop_secret(kind text, name text) -> void */
Datum
uaef_drop_secret(PG_FUNCTION_ARGS)
{
	uaef_secret_drop(uaef_arg_text(fcinfo, 0, "kind"),
					 uaef_arg_text(fcinfo, 1, "name"));
	PG_RETURN_VOID();
}

/* uaef.rotate_secrets() -> bigint */
Datum
uaef_rotate_secrets(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(uaef_secret_rotate());
}

/* uaef.encrypt_value(value text, context text) -> bytea */
Datum
uaef_encrypt_value(PG_FUNCTION_ARGS)
{
	ErrorContextCallback hiding;
	char	   *value = text_to_cstring(PG_GETARG_TEXT_PP(0));
	bytea	   *sealed;

	uaef_hide_statement_begin(&hiding, "SELECT uaef.encrypt_value(...)");
	sealed = uaef_value_seal(value, text_to_cstring(PG_GETARG_TEXT_PP(1)));
	explicit_bzero(value, strlen(value));
	pfree(value);
	uaef_hide_statement_end(&hiding);
	PG_RETURN_BYTEA_P(sealed);
}

/* uaef.decrypt_value(sealed bytea, context text) -> text */
Datum
uaef_decrypt_value(PG_FUNCTION_ARGS)
{
	char	   *value = uaef_value_open(PG_GETARG_BYTEA_PP(0),
										text_to_cstring(PG_GETARG_TEXT_PP(1)));
	text	   *result = cstring_to_text(value);

	explicit_bzero(value, strlen(value));
	pfree(value);
	PG_RETURN_TEXT_P(result);
}
