/*-------------------------------------------------------------------------
 *
 * connector_secret.c
 *	  Secrets of connectors: what they may say, and opening them.
 *
 * No error quotes a value.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "connector_config.h"
#include "connector_secret.h"
#include "connector_transport.h"
#include "json_util.h"
#include "secret.h"

/* Of all connectors: what is sent along, and what "auth" may need. */
static const char *const common_keys[] = {
	"headers", "tls_key", "password", "token", "value", "client_secret", NULL
};

static char *list_keys(const UaefConnectorType *type);

static char *
list_keys(const UaefConnectorType *type)
{
	StringInfoData names;

	initStringInfo(&names);
	for (const char *const *key = common_keys; *key != NULL; key++)
		appendStringInfo(&names, "%s\"%s\"", names.len > 0 ? ", " : "", *key);
	for (const char *const *key = type->secret_keys; *key != NULL; key++)
		appendStringInfo(&names, "%s\"%s\"", names.len > 0 ? ", " : "", *key);
	return names.data;
}

void
uaef_connector_check_secret(const UaefConnectorType *type, Jsonb *secret)
{
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	key;
	bool		is_headers = false;

	if (secret == NULL)
		return;
	if (!JB_ROOT_IS_OBJECT(secret))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a secret must be a JSON object")));
	it = JsonbIteratorInit(&secret->root);
	while ((token = JsonbIteratorNext(&it, &key, true)) != WJB_DONE)
	{
		if (token == WJB_KEY && !uaef_is_one_of(common_keys, key.val.string.val,
												key.val.string.len) &&
			!uaef_is_one_of(type->secret_keys, key.val.string.val,
							key.val.string.len))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("unknown key in the secret of a connector of type \"%s\"",
							type->name),
					 errhint("Keys are %s.", list_keys(type))));
		if (token == WJB_KEY)
			is_headers = key.val.string.len == strlen("headers") &&
				strncmp(key.val.string.val, "headers", strlen("headers")) == 0;
		if (token == WJB_VALUE && !is_headers && key.type != jbvString)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("the secret of a connector must be an object of strings"),
					 errdetail("Only \"headers\" is an object.")));
	}
	if (uaef_json_get(secret, "headers", &key))
		uaef_http_headers_check(uaef_json_from_value(&key));
	if (uaef_json_get(secret, "tls_key", &key))
	{
		char	   *pem = uaef_json_get_text(secret, "tls_key");

		uaef_transport_require_pem("tls_key", pem ? pem : "", "PRIVATE KEY");
	}
}

void
uaef_connector_set_secret(const char *name, Jsonb *secret)
{
	UaefConnector connector;

	uaef_connector_load(name, &connector);
	uaef_connector_check_secret(connector.type, secret);
	uaef_secret_put(UAEF_CONNECTOR_SECRET, name, secret);
}

void
uaef_connector_open_secret(UaefConnector *connector)
{
	if (connector->has_secret)
		connector->secret = uaef_secret_get(UAEF_CONNECTOR_SECRET,
											connector->name);
}

void
uaef_connector_close_secret(UaefConnector *connector)
{
	uaef_secret_wipe(connector->secret);
	connector->secret = NULL;
}

void
uaef_connector_draft_secret(const UaefConnector *connector,
							UaefHttpDraft *draft)
{
	JsonbValue	value;

	if (connector == NULL || connector->secret == NULL)
		return;
	if (uaef_json_get(connector->secret, "headers", &value))
	{
		Jsonb	   *headers = uaef_json_from_value(&value);

		uaef_draft_headers(draft, headers);
		uaef_secret_wipe(headers);
	}
	draft->tls_key = uaef_json_get_text(connector->secret, "tls_key");
}
