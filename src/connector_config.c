/*-------------------------------------------------------------------------
 *
 * connector_config.c
 *	  Connectors: named ways to reach an outside system.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "compat.h"
#include "connector_auth.h"
#include "connector_config.h"
#include "connector_limits.h"
#include "connector_secret.h"
#include "connector_transport.h"
#include "delivery_retry.h"
#include "errcodes.h"
#include "json_util.h"
#include "ledger.h"
#include "receive_rule.h"
#include "secret.h"
#include "near_name.h"
#include "spi_util.h"
#include "url.h"
#include "wake.h"

#define MAX_NAME 200

static UaefQuery insert_connector = {
	"INSERT INTO uaef.connector"
	" (name, type, config, paused, created_by, created_at, changed_at)"
	" VALUES ($1, $2, $3, false, $4, $5, $5)"
	" ON CONFLICT DO NOTHING RETURNING connector_id",
	5, {TEXTOID, TEXTOID, JSONBOID, REGROLEOID, TIMESTAMPTZOID}
};

static UaefQuery select_connector = {
	"SELECT connector_id, type, config,"
	" EXISTS (SELECT FROM uaef.secret s"
	"  WHERE s.kind = '" UAEF_CONNECTOR_SECRET "' AND s.name = $1),"
	" created_by,"
	" EXISTS (SELECT FROM uaef.payout_channel p WHERE p.connector = $1)"
	" FROM uaef.connector WHERE name = $1",
	1, {TEXTOID}
};

static UaefQuery near_connectors = {
	UAEF_NAMES_AROUND("name", "connector"), 1, {TEXTOID}
};

static UaefQuery update_paused = {
	"UPDATE uaef.connector SET paused = $2, changed_at = $3 WHERE name = $1",
	3, {TEXTOID, BOOLOID, TIMESTAMPTZOID}
};

static UaefQuery update_config = {
	"UPDATE uaef.connector SET config = $2, changed_at = $3 WHERE name = $1",
	3, {TEXTOID, JSONBOID, TIMESTAMPTZOID}
};

static UaefQuery delete_connector = {
	"DELETE FROM uaef.connector WHERE name = $1",
	1, {TEXTOID}
};

/* What still needs a connector. */
static UaefQuery select_uses = {
	"SELECT 'anchor \"' || a.anchor || '\" uses it'"
	" FROM uaef.ledger_anchor a WHERE a.target = $1 AND a.kind <> 'file'"
	" UNION ALL"
	" (SELECT 'delivery ' || d.delivery_id || ' waits to be sent'"
	" FROM uaef.delivery d WHERE d.connector = $1"
	" AND (d.status IN ('pending', 'retry') OR d.status = 'sending') LIMIT 1)"
	" UNION ALL"
	" SELECT 'agent \"' || g.name || '\" is called through it'"
	" FROM uaef.agent g WHERE g.configuration ->> 'connector' = $1"
	" UNION ALL"
	" SELECT 'payout channel \"' || p.name || '\" sends by it'"
	" FROM uaef.payout_channel p WHERE p.connector = $1"
	" LIMIT 1",
	1, {TEXTOID}
};

static void check_header(const char *name, const JsonbValue *value);
static void check_keys(const UaefConnectorType *type, Jsonb *document);
static void parse(UaefConnector *connector);
pg_noreturn static void raise_undefined(const char *name);
static void record(const char *type, Oid user, const char *name);

char *
uaef_http_method_check(const char *method)
{
	static const char *const known[] = {
		"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"
	};

	for (int i = 0; i < lengthof(known); i++)
	{
		if (pg_strcasecmp(known[i], method) == 0)
			return pstrdup(known[i]);
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid HTTP method \"%s\"", method),
			 errhint("Use GET, HEAD, POST, PUT, PATCH or DELETE.")));
}

bool
uaef_http_method_is_safe(const char *method)
{
	return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
}

static void
check_header(const char *name, const JsonbValue *value)
{
	static const char *const refused[] = {
		"accept-encoding", "connection", "content-length", "expect", "host",
		"idempotency-key", "keep-alive", "te", "trailer", "transfer-encoding",
		"upgrade", "webhook-id"
	};
	const char *problem = NULL;

	if (*name == '\0' ||
		strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			   "0123456789!#$%&'*+-.^_`|~") != strlen(name))
		problem = "its name is malformed";
	else if (pg_strncasecmp(name, "proxy-", 6) == 0)
		problem = "it is not for a request to set";
	for (int i = 0; problem == NULL && i < lengthof(refused); i++)
	{
		if (pg_strcasecmp(refused[i], name) == 0)
			problem = "it is not for a request to set";
	}
	if (problem == NULL && value->type != jbvString)
		problem = "its value is not a string";
	for (int i = 0; problem == NULL && i < value->val.string.len; i++)
	{
		unsigned char c = value->val.string.val[i];

		if ((c < ' ' && c != '\t') || c == 0x7f)
			problem = "its value has a control character";
	}
	if (problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid HTTP header \"%s\"", name),
				 errdetail("The header is refused because %s.", problem)));
}

void
uaef_http_headers_check(Jsonb *headers)
{
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	value;
	char	   *name = NULL;

	if (headers == NULL)
		return;
	if (!JB_ROOT_IS_OBJECT(headers))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("HTTP headers must be an object of strings")));
	it = JsonbIteratorInit(&headers->root);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			name = pnstrdup(value.val.string.val, value.val.string.len);
		else if (token == WJB_VALUE)
			check_header(name, &value);
	}
}

static char *
list_keys(const char *const *keys, const char *separator)
{
	StringInfoData text;

	initStringInfo(&text);
	for (; *keys != NULL; keys++)
	{
		appendStringInfo(&text, "%s\"%s\"", separator, *keys);
		separator = ", ";
	}
	return text.data;
}

static void
check_keys(const UaefConnectorType *type, Jsonb *document)
{
	static const char *const common[] = {
		"url", "method", "headers", "timeout", "retry", "idempotent",
		"max_concurrent", "rate", "burst", "breaker", "tls", "proxy", "auth",
		"receive", NULL
	};
	JsonbIterator *it = JsonbIteratorInit(&document->root);
	JsonbIteratorToken token;
	JsonbValue	key;

	if (!JB_ROOT_IS_OBJECT(document))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a connector's config must be an object")));
	while ((token = JsonbIteratorNext(&it, &key, true)) != WJB_DONE)
	{
		if (token == WJB_KEY && !uaef_is_one_of(common, key.val.string.val,
												key.val.string.len) &&
			!uaef_is_one_of(type->keys, key.val.string.val,
							key.val.string.len))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("unknown key \"%s\" in the config of a connector of type \"%s\"",
							pnstrdup(key.val.string.val, key.val.string.len),
							type->name),
					 errhint("Keys are %s%s.", list_keys(common, ""),
							 list_keys(type->keys, ", "))));
	}
}

/*
 * The config document to its parts; raises for what is wrong.
 */
static void
parse(UaefConnector *connector)
{
	Jsonb	   *document = connector->document;
	UaefConnectorConfig *config = &connector->config;
	JsonbValue	value;
	UaefUrl		url;
	char	   *text;

	check_keys(connector->type, document);
	memset(config, 0, sizeof(*config));

	text = uaef_json_get_text(document, "url");
	if (text == NULL && uaef_json_get(document, "url", &value))
		uaef_connector_bad_config("url", "a string");
	if (text == NULL && connector->type->needs_url)
		uaef_connector_lacks("url");
	if (text != NULL)
	{
		uaef_url_require(text, &url);
		config->url = uaef_url_text(&url);
	}

	text = uaef_json_get_text(document, "method");
	if (text == NULL && uaef_json_get(document, "method", &value))
		uaef_connector_bad_config("method", "a string");
	config->method = text ? uaef_http_method_check(text) : NULL;

	if (uaef_json_get(document, "headers", &value))
	{
		config->headers = uaef_json_from_value(&value);
		uaef_http_headers_check(config->headers);
	}

	text = uaef_json_get_text(document, "timeout");
	if (text == NULL && uaef_json_get(document, "timeout", &value))
		uaef_connector_bad_config("timeout", "an interval such as \"30s\"");
	config->timeout_ms = text ? uaef_duration_ms(text,
												 "\"timeout\" of the connector") : 0;
	if (text != NULL && config->timeout_ms <= 0)
		uaef_connector_bad_config("timeout", "more than zero");

	uaef_delivery_retry_parse(uaef_json_get(document, "retry", &value)
							  ? uaef_json_from_value(&value) : NULL,
							  &config->retry);

	if (uaef_json_get(document, "idempotent", &value))
	{
		if (value.type != jbvBool)
			uaef_connector_bad_config("idempotent", "true or false");
		config->idempotent = value.val.boolean;
	}
	uaef_transport_parse(document, &config->transport);
	uaef_gate_limits_parse(document, &config->limits);
	config->auth = uaef_auth_parse(document);
	config->receive = uaef_receive_parse(document);
	if (config->receive != NULL && connector->type->receiver == NULL)
		uaef_connector_bad_config("receive", "left out for this type, which receives nothing");
	connector->own = connector->type->parse ? connector->type->parse(document)
		: NULL;
}

static void
record(const char *type, Oid user, const char *name)
{
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_text(&json, "connector", name);
	uaef_ledger_note_user(type, user, uaef_json_end(&json));
}

int32
uaef_connector_create(const char *name, const char *type, Jsonb *config,
					  Jsonb *secret)
{
	Oid			user = GetUserId();
	UaefConnector connector = {.document = config};
	UaefCaller	caller;
	Datum		args[5];
	int32		connector_id;

	if (*name == '\0' || strlen(name) > MAX_NAME)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("a connector's name must have 1 to %d bytes",
						MAX_NAME)));
	connector.type = uaef_connector_type(type);
	parse(&connector);
	uaef_transport_require_files(&connector.config.transport);
	uaef_connector_check_secret(connector.type, secret);

	caller = uaef_spi_begin();
	args[0] = CStringGetTextDatum(name);
	args[1] = CStringGetTextDatum(type);
	args[2] = JsonbPGetDatum(config);
	args[3] = ObjectIdGetDatum(user);
	args[4] = TimestampTzGetDatum(uaef_clock_now());
	if (uaef_spi_run(&insert_connector, args, NULL) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("connector \"%s\" already exists", name)));
	connector_id = uaef_spi_int32(0, 1);
	record("connector_created", user, name);
	if (connector.config.receive != NULL)
		uaef_wake_worker_on_commit(UAEF_WAKE_RECEIVE);
	uaef_spi_end(caller);

	/* One that is left of an earlier connector of this name goes. */
	uaef_secret_put(UAEF_CONNECTOR_SECRET, name, secret);
	return connector_id;
}

const char *
uaef_connector_hint(const char *name)
{
	return uaef_name_hint_around(name, &near_connectors,
								 "Use uaef.create_connector() to make it.");
}

static void
raise_undefined(const char *name)
{
	const char *hint = uaef_connector_hint(name);

	ereport(ERROR,
			(errcode(ERRCODE_UAEF_UNDEFINED_CONNECTOR),
			 errmsg("connector \"%s\" does not exist", name),
			 errhint("%s", hint)));
}

bool
uaef_connector_find(const char *name, UaefConnector *connector)
{
	UaefCaller	caller = uaef_spi_begin();
	Datum		args[1];
	bool		found;

	memset(connector, 0, sizeof(*connector));
	args[0] = CStringGetTextDatum(name);
	found = uaef_spi_run(&select_connector, args, NULL) > 0;
	if (found)
	{
		connector->connector_id = uaef_spi_int32(0, 1);
		connector->type = uaef_connector_type(uaef_spi_text(0, 2));
		connector->document = uaef_spi_jsonb(0, 3);
		connector->has_secret = uaef_spi_bool(0, 4);
		connector->created_by = uaef_spi_oid(0, 5);
		connector->pays = uaef_spi_bool(0, 6);
	}
	uaef_spi_end(caller);
	if (!found)
		return false;
	connector->name = pstrdup(name);
	parse(connector);
	return true;
}

void
uaef_connector_load(const char *name, UaefConnector *connector)
{
	if (!uaef_connector_find(name, connector))
		raise_undefined(name);
}

void
uaef_connector_require_receiver(const char *name)
{
	UaefConnector connector;

	uaef_connector_load(name, &connector);
	if (connector.config.receive == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("connector \"%s\" does not receive", name),
				 errhint("Say what becomes of messages by \"receive\" in its config.")));
}

const char *
uaef_connector_operation(const UaefConnector *connector, const char *name)
{
	const char *const *operations = connector->type->operations;

	if (name == NULL)
		return operations[0];
	for (int i = 0; operations[i] != NULL; i++)
	{
		if (strcmp(operations[i], name) == 0)
			return operations[i];
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("connectors of type \"%s\" have no operation \"%s\"",
					connector->type->name, name),
			 errhint("Operations are %s.", list_keys(operations, ""))));
}

void
uaef_connector_pause(const char *name, bool paused)
{
	Oid			user = GetUserId();
	UaefCaller	caller = uaef_spi_begin();
	Datum		args[3];

	args[0] = CStringGetTextDatum(name);
	args[1] = BoolGetDatum(paused);
	args[2] = TimestampTzGetDatum(uaef_clock_now());
	if (uaef_spi_run(&update_paused, args, NULL) == 0)
		raise_undefined(name);
	record(paused ? "connector_paused" : "connector_resumed", user, name);
	uaef_wake_worker_on_commit(UAEF_WAKE_HTTP | UAEF_WAKE_RECEIVE |
							   UAEF_WAKE_AGENTS);
	uaef_spi_end(caller);
}

void
uaef_connector_alter(const char *name, Jsonb *config)
{
	Oid			user = GetUserId();
	UaefConnector connector;
	UaefCaller	caller;
	Datum		args[3];

	uaef_connector_load(name, &connector);
	connector.document = config;
	parse(&connector);
	uaef_transport_require_files(&connector.config.transport);

	caller = uaef_spi_begin();
	args[0] = CStringGetTextDatum(name);
	args[1] = JsonbPGetDatum(config);
	args[2] = TimestampTzGetDatum(uaef_clock_now());
	if (uaef_spi_run(&update_config, args, NULL) == 0)
		raise_undefined(name);
	record("connector_altered", user, name);
	uaef_wake_worker_on_commit(UAEF_WAKE_HTTP | UAEF_WAKE_RECEIVE |
							   UAEF_WAKE_AGENTS);
	uaef_spi_end(caller);
}

/*
 * What is queued at the same moment is not seen; it fails when it is sent,
 * which says why.
 */
void
uaef_connector_drop(const char *name)
{
	Oid			user = GetUserId();
	UaefCaller	caller = uaef_spi_begin();
	Datum		args[1];

	args[0] = CStringGetTextDatum(name);
	if (uaef_spi_run(&delete_connector, args, NULL) == 0)
		raise_undefined(name);
	if (uaef_spi_run(&select_uses, args, NULL) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("cannot drop connector \"%s\" because it is still used",
						name),
				 errdetail("For example, %s.", uaef_spi_text(0, 1))));
	record("connector_dropped", user, name);
	uaef_spi_end(caller);
	uaef_secret_put(UAEF_CONNECTOR_SECRET, name, NULL);
}
