/*-------------------------------------------------------------------------
 *
 * connector_transport.c
 *	  By what ways a connector's requests go: TLS identity and proxy.
 *
 * No error quotes a PEM.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "miscadmin.h"
#include "utils/acl.h"

#include "connector_transport.h"
#include "json_util.h"
#include "url.h"

static char *read_text(Jsonb *object, const char *key);
static char *read_pem(Jsonb *object, const char *key, const char *what);
static char *read_path(Jsonb *object, const char *key);
static void check_tls_keys(Jsonb *tls);
static void parse_tls(Jsonb *tls, UaefTransport *transport);
static char *read_proxy(Jsonb *config);

/*
 * A string, or NULL when it is not there.
 */
static char *
read_text(Jsonb *object, const char *key)
{
	char	   *text = uaef_json_get_text(object, key);
	JsonbValue	value;

	if (text == NULL && uaef_json_get(object, key, &value))
		uaef_connector_bad_config(key, "a string");
	return text;
}

void
uaef_transport_require_pem(const char *key, const char *text, const char *what)
{
	const char *begin = strstr(text, "-----BEGIN ");
	const char *end = begin ? strstr(begin + 11, "-----") : NULL;
	size_t		len = strlen(what);

	if (end == NULL || end - begin < 11 + len ||
		strncmp(end - len, what, len) != 0)
		uaef_connector_bad_config(key, psprintf("a %s in PEM", what));
}

static char *
read_pem(Jsonb *object, const char *key, const char *what)
{
	char	   *text = read_text(object, key);

	if (text != NULL)
		uaef_transport_require_pem(key, text, what);
	return text;
}

static char *
read_path(Jsonb *object, const char *key)
{
	char	   *path = read_text(object, key);

	if (path != NULL && !is_absolute_path(path))
		uaef_connector_bad_config(key, "an absolute path");
	return path;
}

static void
check_tls_keys(Jsonb *tls)
{
	static const char *const known[] = {
		"ca", "ca_file", "cert", "cert_file", "key_file"
	};
	JsonbIterator *it = JsonbIteratorInit(&tls->root);
	JsonbIteratorToken token;
	JsonbValue	key;

	while ((token = JsonbIteratorNext(&it, &key, true)) != WJB_DONE)
	{
		bool		found = token != WJB_KEY;

		for (int i = 0; !found && i < lengthof(known); i++)
			found = strlen(known[i]) == key.val.string.len &&
				strncmp(known[i], key.val.string.val,
						key.val.string.len) == 0;
		if (!found)
			uaef_connector_bad_config("tls", "an object of \"ca\" or \"ca_file\", \"cert\" or \"cert_file\", and \"key_file\"");
	}
}

static void
parse_tls(Jsonb *tls, UaefTransport *transport)
{
	if (!JB_ROOT_IS_OBJECT(tls))
		uaef_connector_bad_config("tls", "an object");
	check_tls_keys(tls);
	transport->ca = read_pem(tls, "ca", "CERTIFICATE");
	transport->ca_file = read_path(tls, "ca_file");
	transport->cert = read_pem(tls, "cert", "CERTIFICATE");
	transport->cert_file = read_path(tls, "cert_file");
	transport->key_file = read_path(tls, "key_file");
	if (transport->ca != NULL && transport->ca_file != NULL)
		uaef_connector_bad_config("ca_file", "left out beside \"ca\"");
	if (transport->cert != NULL && transport->cert_file != NULL)
		uaef_connector_bad_config("cert_file", "left out beside \"cert\"");
	if (transport->key_file != NULL && transport->cert == NULL &&
		transport->cert_file == NULL)
		uaef_connector_bad_config("key_file", "beside the certificate that it belongs to");
}

static char *
read_proxy(Jsonb *config)
{
	char	   *proxy = read_text(config, "proxy");
	UaefUrl		url;

	if (proxy == NULL || strcmp(proxy, UAEF_NO_PROXY) == 0)
		return proxy;
	if (uaef_url_parse(proxy, &url) != NULL || url.tls ||
		strcmp(url.target, "/") != 0)
		uaef_connector_bad_config("proxy", "\"http://host:port\", or \"" UAEF_NO_PROXY "\"");
	return uaef_url_text(&url);
}

void
uaef_transport_parse(Jsonb *config, UaefTransport *transport)
{
	JsonbValue	value;

	memset(transport, 0, sizeof(*transport));
	if (uaef_json_get(config, "tls", &value))
		parse_tls(uaef_json_from_value(&value), transport);
	transport->proxy = read_proxy(config);
}

void
uaef_transport_require_files(const UaefTransport *transport)
{
	if (transport->ca_file == NULL && transport->cert_file == NULL &&
		transport->key_file == NULL)
		return;
	if (!has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to name files of the server in a connector"),
				 errhint("Give certificates as texts and the key in the secret; or be a member of \"pg_read_server_files\".")));
}
