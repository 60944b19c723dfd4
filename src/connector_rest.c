/*-------------------------------------------------------------------------
 *
 * connector_rest.c
 *	  What connectors to services with resources share.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

#include "connector_config.h"
#include "connector_read.h"
#include "connector_rest.h"
#include "errcodes.h"
#include "json_util.h"

static bool is_path(const char *path);
static bool is_document(const UaefCall *call, const UaefResponse *response);

void
uaef_rest_check(const UaefCall *call, const char *const *keys)
{
	if (call->body == NULL || !JB_ROOT_IS_OBJECT(call->body))
		uaef_payload_wrong(call->operation, "an object");
	uaef_config_keys(call->body, keys,
					 psprintf("the payload for operation \"%s\"",
							  call->operation));
}

char *
uaef_rest_text(const UaefCall *call, const char *key, bool required)
{
	char	   *text = uaef_json_get_text(call->body, key);
	JsonbValue	value;

	if ((text == NULL && uaef_json_get(call->body, key, &value)) ||
		(required && (text == NULL || *text == '\0')))
		uaef_payload_wrong(call->operation,
						   psprintf("an object whose \"%s\" is a string", key));
	return text;
}

Jsonb *
uaef_rest_value(const UaefCall *call, const char *key, bool required)
{
	JsonbValue	value;

	if (uaef_json_get(call->body, key, &value))
		return uaef_json_from_value(&value);
	if (required)
		uaef_payload_wrong(call->operation,
						   psprintf("an object with \"%s\"", key));
	return NULL;
}

/*
 * Nothing in it may lead out of the service: no empty parts, no dots alone.
 */
static bool
is_path(const char *path)
{
	if (strspn(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			   "0123456789_.-/") != strlen(path))
		return false;
	for (;;)
	{
		size_t		len = strcspn(path, "/");

		if (len == 0 || strspn(path, ".") >= len)
			return false;
		if (path[len] == '\0')
			return true;
		path += len + 1;
	}
}

char *
uaef_rest_path(const UaefCall *call, const char *key, const char *otherwise)
{
	char	   *path = uaef_rest_text(call, key, otherwise == NULL);

	if (path == NULL)
		return pstrdup(otherwise);
	if (!is_path(path))
		uaef_payload_wrong(call->operation,
						   psprintf("an object whose \"%s\" is made of names and slashes",
									key));
	return path;
}

char *
uaef_rest_url(const char *base, const char *path)
{
	int			len = strlen(base);

	while (len > 0 && base[len - 1] == '/')
		len--;
	return psprintf("%.*s/%s", len, base, path);
}

char *
uaef_rest_scalar(const JsonbValue *value)
{
	switch (value->type)
	{
		case jbvString:
			return pnstrdup(value->val.string.val, value->val.string.len);
		case jbvNumeric:
			return DatumGetCString(DirectFunctionCall1(numeric_out,
													   NumericGetDatum(value->val.numeric)));
		case jbvBool:
			return pstrdup(value->val.boolean ? "true" : "false");
		default:
			return NULL;
	}
}

char *
uaef_rest_query(const UaefCall *call, const char *url)
{
	Jsonb	   *query = uaef_rest_value(call, "query", false);
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	value;
	StringInfoData out;
	char		before = '?';

	initStringInfo(&out);
	appendStringInfoString(&out, url);
	if (query == NULL)
		return out.data;
	if (!JB_ROOT_IS_OBJECT(query))
		uaef_payload_wrong(call->operation,
						   "an object whose \"query\" is an object");
	it = JsonbIteratorInit(&query->root);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		char	   *text;

		if (token == WJB_KEY)
		{
			text = pnstrdup(value.val.string.val, value.val.string.len);
			appendStringInfo(&out, "%c%s=", before,
							 uaef_percent_encode(text, "$"));
			before = '&';
		}
		else if (token == WJB_VALUE)
		{
			text = uaef_rest_scalar(&value);
			if (text == NULL)
				uaef_payload_wrong(call->operation,
								   "an object whose \"query\" holds scalars");
			appendStringInfoString(&out, uaef_percent_encode(text, "$,'()"));
		}
	}
	return out.data;
}

void
uaef_rest_if_match(const UaefCall *call, const char *otherwise,
				   UaefHttpDraft *draft)
{
	const char *etag = uaef_rest_text(call, "etag", false);

	if (etag == NULL)
		etag = otherwise;
	if (etag == NULL)
		return;
	for (const char *p = etag; *p != '\0'; p++)
	{
		if (*p <= ' ' || *p > '~')
			uaef_payload_wrong(call->operation,
							   "an object whose \"etag\" is one of HTTP");
	}
	uaef_draft_header(draft, "If-Match", etag);
}

void
uaef_rest_body(UaefHttpDraft *draft, Jsonb *data, const char *content_type)
{
	uaef_draft_header(draft, "Content-Type", content_type);
	uaef_draft_json(draft, data);
}

/*
 * A document, or nothing where nothing is needed.
 */
static bool
is_document(const UaefCall *call, const UaefResponse *response)
{
	char	   *type = uaef_json_get_text(response->headers, "content-type");
	JsonbValue	value;

	if (response->body == NULL)
		return strcmp(call->method, "POST") != 0 &&
			!uaef_http_method_is_safe(call->method);
	return type != NULL && strstr(type, "json") != NULL &&
		!JB_ROOT_IS_SCALAR(response->body) &&
		!uaef_json_get(response->body, "base64", &value);
}

void
uaef_rest_judge(const UaefCall *call, const UaefHttpResult *result,
				const UaefResponse *response, UaefAnswerVerdict *verdict)
{
	UaefAnswer	unknown = uaef_http_method_is_safe(call->method)
		? UAEF_ANSWER_TRANSIENT : UAEF_ANSWER_UNCERTAIN;
	int			status = result->status;

	if (status == 204)
		verdict->answer = UAEF_ANSWER_SUCCESS;
	else if (status >= 200 && status <= 299)
	{
		verdict->answer = is_document(call, response) ? UAEF_ANSWER_SUCCESS
			: unknown;
		verdict->code = "bad_answer";
		verdict->message = "the answer is not what the service sends";
	}
	else if (status == 502 || status == 504)
		verdict->answer = unknown;
	else
		verdict->answer = uaef_http_status_passes(status)
			? UAEF_ANSWER_TRANSIENT : UAEF_ANSWER_PERMANENT;
}

Jsonb *
uaef_rest_output(const UaefHttpResult *result, const UaefResponse *response,
				 Jsonb *data)
{
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_int(&json, "status", result->status);
	uaef_json_text(&json, "etag", uaef_json_get_text(response->headers, "etag"));
	uaef_json_text(&json, "location",
				   uaef_json_get_text(response->headers, "location"));
	uaef_json_jsonb(&json, "data", data);
	return uaef_json_end(&json);
}
