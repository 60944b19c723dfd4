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
#include "delivery_connector.h"
#include "delivery_request.h"
#include "egress.h"
#include "failure.h"
#include "guc.h"
#include "ledger_anchor.h"

static bool try_draft(const UaefDelivery *delivery, const UaefCall *call,
					  UaefHttpDraft *draft, UaefRefusal *refusal);
static bool may_go(const UaefDelivery *delivery, const UaefUrl *url,
				   UaefEgressGrant *grant, UaefRefusal *refusal);

/*
 * Draft the request; what its type refuses becomes the refusal.  A type reads no tables,
 * but it calls functions of the server that may leave something to clean up.
 */
static bool
try_draft(const UaefDelivery *delivery, const UaefCall *call,
		  UaefHttpDraft *draft, UaefRefusal *refusal)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool made = false;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		uaef_call_draft(delivery->via, call, draft);
		ReleaseCurrentSubTransaction();
		made = true;
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
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
may_go(const UaefDelivery *delivery, const UaefUrl *url,
	   UaefEgressGrant *grant, UaefRefusal *refusal)
{
	if (delivery->connector != NULL && delivery->via == NULL)
	{
		refusal->code = "no_connector";
		refusal->message = psprintf("connector \"%s\" does not exist any more",
									delivery->connector);
		return false;
	}
	if (!uaef_egress_find(delivery->role, url, grant))
	{
		refusal->code = "egress_denied";
		refusal->message = uaef_egress_refusal(delivery->role, url);
		return false;
	}
	return true;
}

bool
uaef_delivery_request(const UaefDelivery *delivery, UaefHttpRequest *request,
					  UaefRefusal *refusal)
{
	UaefCall	call;
	UaefHttpDraft draft;
	UaefEgressGrant grant;
	UaefUrl		url;

	uaef_url_require(delivery->url, &url);
	if (!may_go(delivery, &url, &grant, refusal))
		return false;
	uaef_delivery_call(delivery, &call);
	if (delivery->via == NULL || delivery->via->type->build == NULL)
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
	return true;
}
