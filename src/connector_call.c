/*-------------------------------------------------------------------------
 *
 * connector_call.c
 *	  Calls of connectors: where they go, and the requests that they become.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "connector_auth.h"
#include "connector_call.h"
#include "connector_config.h"
#include "connector_secret.h"
#include "egress.h"
#include "json_util.h"

/* Stands for the value of a header that may be a secret. */
#define BLACK "(not shown)"

static bool may_be_shown(const char *name);
static char *from_utf8(const char *text, size_t len);
static Jsonb *shown_headers(const UaefHttpDraft *draft);
static void draft_test(const UaefConnector *connector, const UaefCall *call,
					   UaefHttpDraft *draft);

void
uaef_call_address(const UaefConnector *connector, UaefCall *call)
{
	call->operation = uaef_connector_operation(connector, call->operation);
	if (call->method == NULL)
		call->method = connector->config.method;
	if (call->url == NULL)
		call->url = connector->config.url;
	call->idempotent |= connector->config.idempotent;
	if (connector->type->address != NULL)
		connector->type->address(connector, call);
	if (call->method == NULL)
		call->method = "POST";
}

/*
 * The type's own headers come late, and what says who we are last, so that they
 * win.  A content type that is
 * empty keeps libcurl from inventing one.
 */
void
uaef_call_draft(const UaefConnector *connector, const UaefCall *call,
				UaefHttpDraft *draft)
{
	memset(draft, 0, sizeof(*draft));
	uaef_draft_headers(draft, call->headers);
	uaef_connector_draft_secret(connector, draft);
	uaef_draft_header(draft, "Idempotency-Key", call->idempotency_key);
	uaef_draft_header(draft, "webhook-id", call->idempotency_key);
	if (!uaef_draft_has_header(draft, "User-Agent"))
		uaef_draft_header(draft, "User-Agent", "uaef");
	if (connector != NULL && connector->type->build != NULL)
		connector->type->build(connector, call, draft);
	else if (call->body != NULL)
		uaef_draft_json(draft, call->body);
	else if (call->bytes != NULL)
		uaef_draft_bytes(draft, call->bytes);
	if (draft->content_type == NULL)
		uaef_draft_no_content_type(draft);
	if (connector != NULL)
		uaef_auth_headers(connector, draft);
}

/*
 * Only what is known to be no secret.
 */
static bool
may_be_shown(const char *name)
{
	static const char *const plain[] = {
		"accept", "content-type", "idempotency-key", "if-match",
		"if-none-match", "user-agent", "webhook-id", "webhook-timestamp",
		"brokerproperties", "rest-framework-version", "upsert-mode",
		"x-amz-target", "anthropic-version"
	};

	for (int i = 0; i < lengthof(plain); i++)
	{
		if (pg_strcasecmp(plain[i], name) == 0)
			return true;
	}
	return false;
}

static char *
from_utf8(const char *text, size_t len)
{
	return pg_any_to_server(pnstrdup(text, len), len, PG_UTF8);
}

static Jsonb *
shown_headers(const UaefHttpDraft *draft)
{
	UaefJson	json;

	uaef_json_begin(&json);
	for (int i = 0; i < draft->n_headers; i++)
	{
		const char *line = draft->headers[i];
		size_t		len = strcspn(line, ":;");
		char	   *name = pnstrdup(line, len);
		const char *value = line + len;

		if (*value != '\0')
			value++;
		while (*value == ' ')
			value++;
		uaef_json_text(&json, name, may_be_shown(name)
					   ? from_utf8(value, strlen(value)) : BLACK);
	}
	if (draft->aws_sigv4 != NULL)
		uaef_json_text(&json, "Authorization", BLACK);
	return uaef_json_end(&json);
}

/*
 * Draft with the connector's secret open.
 */
static void
draft_test(const UaefConnector *connector, const UaefCall *call,
		   UaefHttpDraft *draft)
{
	UaefConnector open = *connector;

	uaef_connector_open_secret(&open);
	PG_TRY();
	{
		uaef_call_draft(&open, call, draft);
	}
	PG_FINALLY();
	{
		uaef_connector_close_secret(&open);
	}
	PG_END_TRY();
}

Jsonb *
uaef_call_test(const UaefConnector *connector, UaefCall *call, Oid role)
{
	UaefHttpDraft draft;
	UaefEgressGrant grant;
	UaefUrl		url;
	UaefJson	json;
	bool		allowed;

	uaef_call_address(connector, call);
	uaef_url_require(call->url, &url);
	allowed = uaef_egress_find(role, call->method, &url, &grant);
	draft_test(connector, call, &draft);
	uaef_json_begin(&json);
	uaef_json_text(&json, "type", connector->type->name);
	uaef_json_text(&json, "operation", call->operation);
	uaef_json_text(&json, "method", call->method);
	uaef_json_text(&json, "url", uaef_url_public_text(&url));
	uaef_json_jsonb(&json, "headers", shown_headers(&draft));
	if (draft.body != NULL && pg_verify_mbstr(PG_UTF8, draft.body,
											  (int) draft.body_len, true))
		uaef_json_text(&json, "body", from_utf8(draft.body, draft.body_len));
	uaef_json_bool(&json, "allowed", allowed);
	if (!allowed)
		uaef_json_text(&json, "reason", uaef_egress_refusal(role, call->method, &url));
	return uaef_json_end(&json);
}
