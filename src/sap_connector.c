/*-------------------------------------------------------------------------
 *
 * sap_connector.c
 *	  OData services of SAP, versions 2 and 4.
 *
 * The url is the root of the service.  Its config adds
 *
 *	{"version":"v2"|"v4", "entity":..., "update_method":"PATCH"|"PUT",
 *	 "if_match":"*", "csrf":true|false}
 *
 * and payloads are
 *
 *	create	{"entity","data"}
 *	update	{"entity","key","data","etag"}
 *	delete	{"entity","key","etag"}
 *	get		{"entity","key","query"}
 *	call	{"function","parameters","method"}
 *
 * A key is a scalar, or an object of them; {"literal":"guid'...'"} is a literal
 * of OData as it stands.
 *
 * What changes something needs a token against forged requests, and with it all
 * cookies that came with the token: the session.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "connector_config.h"
#include "connector_read.h"
#include "connector_rest.h"
#include "json_util.h"

/* The session of the server usually lives half an hour without a call. */
#define SESSION_MS		(INT64CONST(20) * 60 * 1000)
#define MAX_COOKIES		16384

typedef struct SapConfig
{
	bool		v4;
	bool		put;
	bool		csrf;
	char	   *entity;			/* or NULL */
	char	   *if_match;		/* or NULL */
} SapConfig;

static void *parse(Jsonb *config);
static const char *literal(const UaefCall *call, JsonbValue *value);
static char *literals(const UaefCall *call, Jsonb *object,
					  const char *between);
static char *entity_key(const UaefCall *call, bool required);
static void address_entity(const UaefConnector *connector, UaefCall *call);
static void address_call(const UaefConnector *connector, UaefCall *call);
static void address(const UaefConnector *connector, UaefCall *call);
static bool is(const UaefCall *call, const char *operation);
static void build(const UaefConnector *connector, const UaefCall *call,
				  UaefHttpDraft *draft);
static bool judge(const UaefConnector *connector, const UaefCall *call,
				  const UaefHttpResult *result, const UaefResponse *response,
				  UaefAnswerVerdict *verdict);
static Jsonb *answer_data(const SapConfig *own, Jsonb *body);
static Jsonb *output(const UaefConnector *connector, const UaefCall *call,
					 const UaefHttpResult *result,
					 const UaefResponse *response);
static bool csrf_wanted(const UaefConnector *connector, const UaefCall *call);
static const char *csrf_url(const UaefConnector *connector);
static void ask_csrf(const UaefConnector *connector, UaefHttpDraft *draft);
static char *read_cookies(const UaefHttpResult *result);
static bool read_csrf(const UaefConnector *connector,
					  const UaefHttpResult *result,
					  const UaefResponse *response, UaefSessionPart *part,
					  UaefAnswerVerdict *verdict);
static bool csrf_refused(const UaefHttpResult *result,
						 const UaefResponse *response);

static const char *const operations[] = {
	"create", "update", "delete", "get", "call", NULL
};
static const char *const keys[] = {
	"version", "entity", "update_method", "if_match", "csrf", NULL
};
static const char *const secret_keys[] = {NULL};

static const UaefSessionType csrf_session = {
	.name = "CSRF token",
	.method = "GET",
	.url = csrf_url,
	.wanted = csrf_wanted,
	.ask = ask_csrf,
	.read = read_csrf,
	.refused = csrf_refused
};

const UaefConnectorType uaef_sap_connector = {
	.name = "sap",
	.operations = operations,
	.keys = keys,
	.secret_keys = secret_keys,
	.needs_url = true,
	.parse = parse,
	.address = address,
	.build = build,
	.judge = judge,
	.session = &csrf_session,
	.output = output
};

static void *
parse(Jsonb *config)
{
	static const char *const versions[] = {"v2", "v4", NULL};
	static const char *const methods[] = {"PATCH", "PUT", NULL};
	SapConfig  *own = palloc0(sizeof(SapConfig));

	own->v4 = uaef_config_choice(config, "version", versions, 0) == 1;
	own->put = uaef_config_choice(config, "update_method", methods, 0) == 1;
	own->csrf = uaef_config_bool(config, "csrf", true);
	own->entity = uaef_config_text(config, "entity", false);
	own->if_match = uaef_config_text(config, "if_match", false);
	return own;
}

static bool
is(const UaefCall *call, const char *operation)
{
	return strcmp(call->operation, operation) == 0;
}

/*
 * A literal of OData for a URL: strings in quotes, with quotes in them doubled.
 */
static const char *
literal(const UaefCall *call, JsonbValue *value)
{
	char	   *text = uaef_rest_scalar(value);
	StringInfoData quoted;

	if (text == NULL)
	{
		text = uaef_json_get_text(uaef_json_from_value(value), "literal");
		if (text == NULL)
			uaef_payload_wrong(call->operation,
							   "an object whose keys and parameters are scalars");
		return uaef_percent_encode(text, "'");
	}
	if (value->type != jbvString)
		return text;
	initStringInfo(&quoted);
	for (char *p = text; *p != '\0'; p++)
	{
		if (*p == '\'')
			appendStringInfoChar(&quoted, '\'');
		appendStringInfoChar(&quoted, *p);
	}
	return psprintf("'%s'", uaef_percent_encode(quoted.data, "'"));
}

/*
 * name=literal for each member of an object.
 */
static char *
literals(const UaefCall *call, Jsonb *object, const char *between)
{
	JsonbIterator *it = JsonbIteratorInit(&object->root);
	JsonbIteratorToken token;
	JsonbValue	value;
	StringInfoData out;

	initStringInfo(&out);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			appendStringInfo(&out, "%s%s=", out.len > 0 ? between : "",
							 uaef_percent_encode(pnstrdup(value.val.string.val,
														  value.val.string.len),
												 ""));
		else if (token == WJB_VALUE)
			appendStringInfoString(&out, literal(call, &value));
	}
	return out.data;
}

/*
 * "(...)", or "" without a key.
 */
static char *
entity_key(const UaefCall *call, bool required)
{
	Jsonb	   *key = uaef_rest_value(call, "key", required);
	JsonbValue	value;

	if (key == NULL)
		return "";
	if (JB_ROOT_IS_SCALAR(key) && JsonbExtractScalar(&key->root, &value))
		return psprintf("(%s)", literal(call, &value));
	if (!JB_ROOT_IS_OBJECT(key) || JB_ROOT_COUNT(key) == 0)
		uaef_payload_wrong(call->operation,
						   "an object whose \"key\" is a scalar or an object");
	if (uaef_json_get_text(key, "literal") != NULL)
		return psprintf("(%s)",
						uaef_percent_encode(uaef_json_get_text(key, "literal"),
											"'"));
	return psprintf("(%s)", literals(call, key, ","));
}

static void
address_entity(const UaefConnector *connector, UaefCall *call)
{
	static const char *const known[] = {
		"entity", "key", "data", "etag", "query", NULL
	};
	const SapConfig *own = connector->own;
	UaefHttpDraft draft = {0};
	char	   *entity;
	char	   *key;

	uaef_rest_check(call, known);
	entity = uaef_rest_path(call, "entity", own->entity);
	key = is(call, "create") ? ""
		: entity_key(call, is(call, "update") || is(call, "delete"));
	call->method = is(call, "create") ? "POST" : is(call, "get") ? "GET"
		: is(call, "delete") ? "DELETE" : own->put ? "PUT" : "PATCH";
	if (is(call, "create") || is(call, "update"))
		(void) uaef_rest_value(call, "data", true);
	uaef_rest_if_match(call, NULL, &draft);
	call->url = uaef_rest_query(call,
								uaef_rest_url(connector->config.url,
											  psprintf("%s%s", entity, key)));
}

/*
 * Version 2 has the parameters in the query, always.  Version 4 has those of a
 * function, which changes nothing, in the path, and those of an action in the
 * body.
 */
static void
address_call(const UaefConnector *connector, UaefCall *call)
{
	static const char *const known[] = {
		"function", "parameters", "method", NULL
	};
	const SapConfig *own = connector->own;
	Jsonb	   *parameters;
	char	   *method;
	char	   *path;

	uaef_rest_check(call, known);
	method = uaef_rest_text(call, "method", false);
	if (method != NULL && strcmp(method, "GET") != 0 &&
		strcmp(method, "POST") != 0)
		uaef_payload_wrong(call->operation,
						   "an object whose \"method\" is GET or POST");
	call->method = method ? method : "POST";
	path = uaef_rest_path(call, "function", NULL);
	parameters = uaef_rest_value(call, "parameters", false);
	if (parameters != NULL && !JB_ROOT_IS_OBJECT(parameters))
		uaef_payload_wrong(call->operation,
						   "an object whose \"parameters\" is an object");
	if (own->v4 && strcmp(call->method, "GET") == 0)
		path = psprintf("%s(%s)", path,
						parameters ? literals(call, parameters, ",") : "");
	else if (!own->v4 && parameters != NULL)
		path = psprintf("%s?%s", path, literals(call, parameters, "&"));
	call->url = uaef_rest_url(connector->config.url, path);
}

static void
address(const UaefConnector *connector, UaefCall *call)
{
	if (is(call, "call"))
		address_call(connector, call);
	else
		address_entity(connector, call);
	call->idempotent |= strcmp(call->method, "PUT") == 0 ||
		strcmp(call->method, "DELETE") == 0;
}

static void
build(const UaefConnector *connector, const UaefCall *call,
	  UaefHttpDraft *draft)
{
	const SapConfig *own = connector->own;
	Jsonb	   *body = NULL;

	uaef_draft_header(draft, "Accept", "application/json");
	if (is(call, "create") || is(call, "update"))
		body = uaef_rest_value(call, "data", true);
	else if (is(call, "call") && own->v4 && strcmp(call->method, "POST") == 0)
	{
		body = uaef_rest_value(call, "parameters", false);
		if (body == NULL)
			body = uaef_json_empty();
	}
	if (is(call, "update") || is(call, "delete"))
		uaef_rest_if_match(call, own->if_match, draft);
	if (body != NULL)
		uaef_rest_body(draft, body, "application/json");
}

/*
 * {"error":{"code","message"}}; in version 2 the message is {"lang","value"}.
 * Something that is to be deleted, and was not there any more when it was tried
 * again, is deleted.
 */
static bool
judge(const UaefConnector *connector, const UaefCall *call,
	  const UaefHttpResult *result, const UaefResponse *response,
	  UaefAnswerVerdict *verdict)
{
	JsonbValue	value;
	Jsonb	   *error;
	char	   *code;

	uaef_rest_judge(call, result, response, verdict);
	if (is(call, "delete") && result->status == 404 && call->attempt > 1)
		verdict->answer = UAEF_ANSWER_SUCCESS;
	if (verdict->answer == UAEF_ANSWER_SUCCESS || verdict->code != NULL)
		return true;
	if (result->status == 412 || result->status == 428)
		verdict->code = "etag_mismatch";
	if (!uaef_json_get(response->body, "error", &value))
		return true;
	error = uaef_json_from_value(&value);
	code = uaef_json_get_text(error, "code");
	if (code != NULL && *code != '\0' && verdict->code == NULL)
		verdict->code = psprintf("sap_%s", uaef_error_word(code));
	verdict->message = uaef_error_text(error, "message");
	if (verdict->message == NULL && uaef_json_get(error, "message", &value))
		verdict->message = uaef_error_text(uaef_json_from_value(&value),
										   "value");
	return true;
}

/*
 * Without what version 2 wraps it in, and of a set in either version the list.
 */
static Jsonb *
answer_data(const SapConfig *own, Jsonb *body)
{
	JsonbValue	value;

	if (body == NULL)
		return NULL;
	if (!own->v4 && uaef_json_get(body, "d", &value))
		body = uaef_json_from_value(&value);
	if (uaef_json_get(body, own->v4 ? "value" : "results", &value) &&
		value.type == jbvBinary &&
		JsonContainerIsArray(value.val.binary.data))
		body = uaef_json_from_value(&value);
	return body;
}

static Jsonb *
output(const UaefConnector *connector, const UaefCall *call,
	   const UaefHttpResult *result, const UaefResponse *response)
{
	return uaef_rest_output(result, response,
							answer_data(connector->own, response->body));
}

static bool
csrf_wanted(const UaefConnector *connector, const UaefCall *call)
{
	return ((const SapConfig *) connector->own)->csrf &&
		!uaef_http_method_is_safe(call->method);
}

static const char *
csrf_url(const UaefConnector *connector)
{
	return uaef_rest_url(connector->config.url, "");
}

static void
ask_csrf(const UaefConnector *connector, UaefHttpDraft *draft)
{
	uaef_draft_header(draft, "Accept", "application/json");
	uaef_draft_header(draft, "x-csrf-token", "Fetch");
}

/*
 * All cookies that the answer sets, whatever their names are, as one header.
 * What is no cookie that could go back is left out.
 */
static char *
read_cookies(const UaefHttpResult *result)
{
	StringInfoData cookies;
	const char *line = result->head;
	const char *end = result->head + result->head_len;

	initStringInfo(&cookies);
	while (line < end)
	{
		const char *line_end = memchr(line, '\n', end - line);
		size_t		len = (line_end ? line_end : end) - line;

		if (len > 11 && pg_strncasecmp(line, "set-cookie:", 11) == 0)
		{
			char	   *cookie = pnstrdup(line + 11, len - 11);
			bool		sane = strchr(cookie, '=') != NULL;

			cookie += strspn(cookie, " \t");
			cookie[strcspn(cookie, ";\r")] = '\0';
			for (char *p = cookie; *p != '\0'; p++)
				sane &= *p >= ' ' && *p <= '~';
			if (sane && cookies.len + len < MAX_COOKIES)
				appendStringInfo(&cookies, "%s%s",
								 cookies.len > 0 ? "; " : "", cookie);
		}
		line += len + 1;
	}
	return cookies.data;
}

/*
 * Some releases send a token even with an error, which then does not matter.
 */
static bool
read_csrf(const UaefConnector *connector, const UaefHttpResult *result,
		  const UaefResponse *response, UaefSessionPart *part,
		  UaefAnswerVerdict *verdict)
{
	char	   *token = uaef_json_get_text(response->headers, "x-csrf-token");
	char	   *cookies = read_cookies(result);

	for (char *p = token; p != NULL && *p != '\0'; p++)
	{
		if (*p <= ' ' || *p > '~')
			token = NULL;
	}
	if (token == NULL || *token == '\0' || result->status == 401 ||
		pg_strcasecmp(token, "required") == 0)
	{
		verdict->answer = uaef_http_status_passes(result->status)
			? UAEF_ANSWER_TRANSIENT : UAEF_ANSWER_PERMANENT;
		verdict->message = psprintf("status %d, and no token", result->status);
		return false;
	}
	uaef_draft_header(&part->headers, "x-csrf-token", token);
	if (*cookies != '\0')
		uaef_draft_header(&part->headers, "Cookie", cookies);
	part->life_ms = SESSION_MS;
	return true;
}

static bool
csrf_refused(const UaefHttpResult *result, const UaefResponse *response)
{
	char	   *token = uaef_json_get_text(response->headers, "x-csrf-token");

	return result->status == 403 &&
		((token != NULL && pg_strcasecmp(token, "required") == 0) ||
		 (result->body_len > 0 &&
		  uaef_bytes_contain(result->body, result->body_len, "CSRF")));
}
