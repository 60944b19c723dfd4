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

#include "access/xact.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "connector_call.h"
#include "connector_secret.h"
#include "connector_transport.h"
#include "delivery_connector.h"
#include "delivery_request.h"
#include "egress.h"
#include "failure.h"
#include "guc.h"
#include "ledger_anchor.h"

static bool try_draft(const UaefDelivery *delivery, const UaefCall *call,
					  UaefHttpDraft *draft, UaefRefusal *refusal);
static bool may_ask(const UaefDelivery *delivery, const UaefUrl *url,
					UaefEgressGrant *grant, UaefRefusal *refusal);
static bool may_go(const UaefDelivery *delivery, const UaefUrl *url,
				   const char *proxy, UaefEgressGrant *grant,
				   UaefRefusal *refusal);
static const char *proxy_of(const UaefDelivery *delivery);

/*
 * Draft the request with the connector's secret open; what its type refuses, and
 * a secret that does not open, becomes the refusal.
 */
static bool
try_draft(const UaefDelivery *delivery, const UaefCall *call,
		  UaefHttpDraft *draft, UaefRefusal *refusal)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	UaefConnector via = *delivery->via;
	volatile bool made = false;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		uaef_connector_open_secret(&via);
		uaef_call_draft(&via, call, draft);
		uaef_connector_close_secret(&via);
		ReleaseCurrentSubTransaction();
		made = true;
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		uaef_connector_close_secret(&via);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		if (!uaef_failure_is_refusal(error))
			ReThrowError(error);
		refusal->code = pstrdup(unpack_sql_state(error->sqlerrcode));
		refusal->message = error->message;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return made;
}

static bool
may_ask(const UaefDelivery *delivery, const UaefUrl *url,
		UaefEgressGrant *grant, UaefRefusal *refusal)
{
	if (uaef_egress_find(delivery->role, delivery->method, url, grant))
		return true;
	refusal->code = "egress_denied";
	refusal->message = uaef_egress_refusal(delivery->role, delivery->method,
										   url);
	return false;
}

/*
 * Through a proxy, the role must be allowed to ask that too, and it is the
 * proxy's address that is looked at.
 */
static bool
may_go(const UaefDelivery *delivery, const UaefUrl *url, const char *proxy,
	   UaefEgressGrant *grant, UaefRefusal *refusal)
{
	UaefUrl		proxy_url;

	if (delivery->connector != NULL && delivery->via == NULL)
	{
		refusal->code = "no_connector";
		refusal->message = psprintf("connector \"%s\" does not exist any more",
									delivery->connector);
		return false;
	}
	if (!may_ask(delivery, url, grant, refusal))
		return false;
	if (proxy == NULL)
		return true;
	uaef_url_require(proxy, &proxy_url);
	return may_ask(delivery, &proxy_url, grant, refusal);
}

/*
 * The connector's, else the server's; NULL: none.
 */
static const char *
proxy_of(const UaefDelivery *delivery)
{
	const char *proxy = uaef_http_proxy;

	if (delivery->via != NULL && delivery->via->config.transport.proxy != NULL)
		proxy = delivery->via->config.transport.proxy;
	return proxy == NULL || *proxy == '\0' ||
		strcmp(proxy, UAEF_NO_PROXY) == 0 ? NULL : proxy;
}

void
uaef_delivery_wipe(UaefHttpRequest *request)
{
	char	   *key = unconstify(char *, request->transport.key);

	for (int i = 0; i < request->n_headers; i++)
		explicit_bzero(request->headers[i], strlen(request->headers[i]));
	if (key != NULL)
		explicit_bzero(key, strlen(key));
}

bool
uaef_delivery_request(const UaefDelivery *delivery, UaefHttpRequest *request,
					  UaefRefusal *refusal)
{
	UaefCall	call;
	UaefHttpDraft draft;
	UaefEgressGrant grant;
	UaefUrl		url;
	const char *proxy = proxy_of(delivery);

	uaef_url_require(delivery->url, &url);
	if (!may_go(delivery, &url, proxy, &grant, refusal))
		return false;
	uaef_delivery_call(delivery, &call);
	if (delivery->via == NULL ||
		(delivery->via->type->build == NULL && !delivery->via->has_secret))
		uaef_call_draft(delivery->via, &call, &draft);
	else if (!try_draft(delivery, &call, &draft, refusal))
		return false;
	memset(request, 0, sizeof(*request));
	request->id = delivery->delivery_id;
	request->attempt = delivery->attempt;
	request->method = delivery->method;
	request->url = uaef_url_text(&url);
	request->tls = url.tls;
	request->headers = draft.headers;
	request->n_headers = draft.n_headers;
	request->body = draft.body;
	request->body_len = draft.body_len;
	request->aws_sigv4 = draft.aws_sigv4;
	request->user_password = draft.user_password;
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
	if (delivery->via != NULL)
		request->transport = delivery->via->config.transport;
	request->transport.proxy = proxy;
	request->transport.key = draft.tls_key;
	return true;
}
