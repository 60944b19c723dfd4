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

#include "utils/builtins.h"

#include "subtransaction.h"
#include "connector_call.h"
#include "connector_transport.h"
#include "delivery_connector.h"
#include "delivery_request.h"
#include "delivery_session.h"
#include "guc.h"
#include "ledger_anchor.h"
#include "payout.h"

/* A draft in the making. */
typedef struct Drafting
{
	const UaefDelivery *delivery;
	UaefHttpDraft *draft;
} Drafting;

static void make_draft(void *arg);
static bool may_ask(Oid role, const char *method, const UaefUrl *url,
					UaefEgressGrant *grant, UaefRefusal *refusal);
static bool is_ready(const UaefDelivery *delivery, UaefRefusal *refusal);
static const char *proxy_of(const UaefConnector *via);

static void
make_draft(void *arg)
{
	Drafting   *drafting = arg;
	const UaefDelivery *delivery = drafting->delivery;
	UaefCall	call;

	uaef_delivery_call(delivery, &call);
	uaef_call_draft(delivery->via, &call, drafting->draft);
	if (delivery->via != NULL)
		uaef_session_headers(delivery, drafting->draft);
}

static bool
may_ask(Oid role, const char *method, const UaefUrl *url,
		UaefEgressGrant *grant, UaefRefusal *refusal)
{
	if (uaef_egress_find(role, method, url, grant))
		return true;
	refusal->code = "egress_denied";
	refusal->message = uaef_egress_refusal(role, method, url);
	return false;
}

/*
 * Whether its connector is there, and could be read, and its payout still wants
 * it.
 */
static bool
is_ready(const UaefDelivery *delivery, UaefRefusal *refusal)
{
	if (delivery->connector != NULL && delivery->via == NULL)
	{
		refusal->code = "no_connector";
		refusal->message = psprintf("connector \"%s\" does not exist any more",
									delivery->connector);
		return false;
	}
	if (delivery->via != NULL && delivery->via->problem != NULL)
	{
		refusal->code = delivery->via->problem_code;
		refusal->message = delivery->via->problem;
		refusal->passes = true;
		return false;
	}
	if (delivery->has_payout &&
		!uaef_payout_may_leave(&delivery->payout_id, delivery->uncertain))
	{
		refusal->code = "payout_over";
		refusal->message = "the payout is not to be sent any more, or its key may be forgotten";
		return false;
	}
	return true;
}

/*
 * The connector's, else the server's; NULL: none.
 */
static const char *
proxy_of(const UaefConnector *via)
{
	const char *proxy = uaef_http_proxy;

	if (via != NULL && via->config.transport.proxy != NULL)
		proxy = via->config.transport.proxy;
	return proxy == NULL || *proxy == '\0' ||
		strcmp(proxy, UAEF_NO_PROXY) == 0 ? NULL : proxy;
}

/*
 * Through a proxy, the role must be allowed to ask that too, and it is the
 * proxy's address that is looked at.
 */
bool
uaef_request_may_go(Oid role, const char *method, const UaefUrl *url,
					const UaefConnector *via, UaefEgressGrant *grant,
					UaefRefusal *refusal)
{
	const char *proxy = proxy_of(via);
	UaefUrl		proxy_url;

	if (!may_ask(role, method, url, grant, refusal))
		return false;
	if (proxy == NULL)
		return true;
	uaef_url_require(proxy, &proxy_url);
	return may_ask(role, method, &proxy_url, grant, refusal);
}

void
uaef_delivery_wipe(UaefHttpRequest *request)
{
	char	   *key = unconstify(char *, request->transport.key);
	char	   *user = unconstify(char *, request->user_password);

	for (int i = 0; i < request->n_headers; i++)
		explicit_bzero(request->headers[i], strlen(request->headers[i]));
	if (key != NULL)
		explicit_bzero(key, strlen(key));
	if (user != NULL)
		explicit_bzero(user, strlen(user));
	if (request->body_secret)
		explicit_bzero(unconstify(char *, request->body), request->body_len);
}

void
uaef_request_begin(UaefHttpRequest *request, const UaefUrl *url,
				   const UaefConnector *via, const UaefHttpDraft *draft,
				   const UaefEgressGrant *grant)
{
	memset(request, 0, sizeof(*request));
	request->url = uaef_url_text(url);
	request->tls = url->tls;
	request->headers = draft->headers;
	request->n_headers = draft->n_headers;
	request->body = draft->body;
	request->body_len = draft->body_len;
	request->aws_sigv4 = draft->aws_sigv4;
	request->user_password = draft->user_password;
	request->timeout_ms = uaef_http_timeout_ms;
	request->connect_timeout_ms = Min(uaef_http_connect_timeout_ms,
									  request->timeout_ms);
	request->max_response = (size_t) uaef_http_max_response_kb * 1024;
	request->n_networks = grant->n_networks;
	request->networks = grant->networks;
	if (via != NULL)
		request->transport = via->config.transport;
	request->transport.proxy = proxy_of(via);
	request->transport.key = draft->tls_key;
}

bool
uaef_delivery_request(const UaefDelivery *delivery, UaefHttpRequest *request,
					  UaefRefusal *refusal)
{
	UaefHttpDraft draft;
	UaefEgressGrant grant;
	UaefUrl		url;
	Drafting	drafting = {delivery, &draft};

	memset(refusal, 0, sizeof(*refusal));
	uaef_url_require(delivery->url, &url);
	if (!is_ready(delivery, refusal) ||
		!uaef_request_may_go(delivery->role, delivery->method, &url,
							 delivery->via, &grant, refusal))
		return false;
	if (delivery->via == NULL)
		make_draft(&drafting);
	else
	{
		ErrorData  *error = uaef_attempt(make_draft, &drafting);

		if (error != NULL)
		{
			refusal->code = pstrdup(unpack_sql_state(error->sqlerrcode));
			refusal->message = error->message;
			return false;
		}
	}
	uaef_request_begin(request, &url, delivery->via, &draft, &grant);
	request->id = delivery->delivery_id;
	request->attempt = delivery->attempt;
	request->method = delivery->method;
	request->may_reuse = delivery->idempotent;
	if (delivery->timeout_ms > 0)
		request->timeout_ms = Min(delivery->timeout_ms, uaef_http_timeout_ms);
	request->connect_timeout_ms = Min(uaef_http_connect_timeout_ms,
									  request->timeout_ms);
	if (delivery->anchor != NULL)
		request->max_response = Min(request->max_response,
									UAEF_ANCHOR_MAX_ANSWER);
	return true;
}
