/*-------------------------------------------------------------------------
 *
 * delivery_request.c
 *	  The HTTP request of a delivery.
 *
 * What goes out is UTF-8, whatever the encoding of the database is.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "connector_config.h"
#include "delivery_request.h"
#include "egress.h"
#include "guc.h"
#include "json_util.h"
#include "ledger_anchor.h"

/* Headers that we add: two names of the key, agent and type. */
#define MAX_OWN_HEADERS 4

static char *to_utf8(char *text);
static void add_header(UaefHttpRequest *request, const char *name,
					   const char *value);
static const char *add_headers(const UaefDelivery *delivery,
							   UaefHttpRequest *request);
static char *body_text(Jsonb *body, const char *content_type);

static char *
to_utf8(char *text)
{
	return pg_server_to_any(text, strlen(text), PG_UTF8);
}

/*
 * libcurl drops a header that has no value, unless it ends in a semicolon.
 */
static void
add_header(UaefHttpRequest *request, const char *name, const char *value)
{
	request->headers[request->n_headers++] = to_utf8(*value == '\0'
													 ? psprintf("%s;", name)
													 : psprintf("%s: %s", name,
																value));
}

/*
 * The delivery's headers and ours; returns the content type that it has set,
 * or NULL.
 */
static const char *
add_headers(const UaefDelivery *delivery, UaefHttpRequest *request)
{
	int			n = delivery->headers ? JB_ROOT_COUNT(delivery->headers) : 0;
	const char *content_type = NULL;
	bool		has_agent = false;
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	part;
	char	   *name = NULL;

	request->headers = palloc(sizeof(char *) * (n + MAX_OWN_HEADERS));
	it = n > 0 ? JsonbIteratorInit(&delivery->headers->root) : NULL;
	while (it && (token = JsonbIteratorNext(&it, &part, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			name = pnstrdup(part.val.string.val, part.val.string.len);
		else if (token == WJB_VALUE)
		{
			char	   *value = pnstrdup(part.val.string.val,
										 part.val.string.len);

			add_header(request, name, value);
			if (pg_strcasecmp(name, "content-type") == 0)
				content_type = value;
			has_agent |= pg_strcasecmp(name, "user-agent") == 0;
		}
	}
	add_header(request, "Idempotency-Key", delivery->idempotency_key);
	add_header(request, "webhook-id", delivery->idempotency_key);
	if (!has_agent)
		add_header(request, "User-Agent", "uaef");
	if (content_type == NULL)
		request->headers[request->n_headers++] =
			delivery->body ? "Content-Type: application/json"
			: delivery->bytes ? "Content-Type: application/octet-stream"
			: "Content-Type:";
	return content_type;
}

/*
 * JSON; but a string under a content type that is not JSON goes as it is.
 */
static char *
body_text(Jsonb *body, const char *content_type)
{
	JsonbValue	value;

	if (content_type != NULL && strstr(content_type, "json") == NULL &&
		JB_ROOT_IS_SCALAR(body) &&
		JsonbExtractScalar(&body->root, &value) &&
		value.type == jbvString)
		return to_utf8(pnstrdup(value.val.string.val, value.val.string.len));
	return to_utf8(JsonbToCString(NULL, &body->root, VARSIZE(body)));
}

bool
uaef_delivery_request(const UaefDelivery *delivery, UaefHttpRequest *request,
					  char **refusal)
{
	const char *content_type;
	UaefEgressGrant grant;
	UaefUrl		url;

	uaef_url_require(delivery->url, &url);
	if (!uaef_egress_find(delivery->role, &url, &grant))
	{
		*refusal = uaef_egress_refusal(delivery->role, &url);
		return false;
	}
	memset(request, 0, sizeof(*request));
	request->id = delivery->delivery_id;
	request->attempt = delivery->attempt;
	request->method = delivery->method;
	request->url = uaef_url_text(&url);
	request->tls = url.tls;
	content_type = add_headers(delivery, request);
	if (delivery->body != NULL)
	{
		request->body = body_text(delivery->body, content_type);
		request->body_len = strlen(request->body);
	}
	else if (delivery->bytes != NULL)
	{
		request->body = VARDATA_ANY(delivery->bytes);
		request->body_len = VARSIZE_ANY_EXHDR(delivery->bytes);
	}
	request->may_reuse = delivery->idempotent;
	request->timeout_ms = uaef_http_timeout_ms;
	if (delivery->timeout_ms > 0)
		request->timeout_ms = Min(delivery->timeout_ms, uaef_http_timeout_ms);
	request->connect_timeout_ms = Min(uaef_http_connect_timeout_ms,
									  request->timeout_ms);
	request->max_response = (size_t) uaef_http_max_response_kb * 1024;
	if (delivery->anchor != NULL)
		request->max_response = Min(request->max_response,
									UAEF_ANCHOR_MAX_ANSWER);
	request->n_networks = grant.n_networks;
	request->networks = grant.networks;
	return true;
}
