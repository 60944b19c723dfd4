/*-------------------------------------------------------------------------
 *
 * delivery_session.c
 *	  Sessions of connectors: what is fetched once, for the calls of many
 *	  deliveries.
 *
 * Memory: a session and what it holds live in a context of their own, for as
 * long as the worker does; there is at most one for each connector.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "subtransaction.h"
#include "connector_auth.h"
#include "connector_secret.h"
#include "delivery_connector.h"
#include "delivery_response.h"
#include "delivery_session.h"
#include "egress.h"
#include "event_hash.h"
#include "guc.h"
#include "http_pool.h"
#include "secret.h"

/* A session is given up before it ends: this share of its life, at most. */
#define MARGIN_SHARE	10
#define MAX_MARGIN_MS	30000

#define CODE_PASSES		"session_unavailable"
#define CODE_STAYS		"session_refused"

/* One thing that was fetched. */
typedef struct Part
{
	bool		there;
	TimestampTz fetched_at;
	TimestampTz ends_at;
	int			n_headers;
	char	  **headers;
} Part;

typedef struct Session
{
	dlist_node	node;
	int32		connector_id;
	char	   *name;
	char	   *key;			/* digest of its config and secret */
	MemoryContext context;		/* of the session and its parts */
	Part		parts[UAEF_SESSION_PARTS];
	int			part;			/* that is being fetched */
	bool		fetching;
	int			fetch_no;		/* comes back with the result */
	int			n_waiters;
	int			max_waiters;
	UaefWaiter *waiters;
} Session;

/* This process's sessions. */
static struct
{
	bool		ready;
	dlist_head	sessions;
	int			n_waiting;
}			cache;

/* What a request for a session is made of. */
typedef struct Asking
{
	const UaefConnector *connector;
	const UaefSessionType *type;
	const Session *session;
	int			part;
	UaefHttpDraft *draft;
} Asking;

static void session_types(const UaefConnector *connector,
						  const UaefSessionType **types);
static const char *session_key(const UaefConnector *connector);
static Session *find_by_id(int32 connector_id);
static Session *find(const UaefConnector *connector);
static Session *make(const UaefConnector *connector);
static void forget(Session *session, int part);
static int	first_missing(const UaefDelivery *delivery);
static void add_headers(const Session *session, int part,
						UaefHttpDraft *draft);
static void ask(void *arg);
static void store(Session *session, const UaefSessionPart *part);
static void end_waiters(Session *session, const char *what,
						const UaefHttpResult *result,
						const UaefAnswerVerdict *verdict, dlist_head *results);
static void wipe_answer(UaefSessionPart *part, UaefResponse *response);
static void read_answer(Session *session, const UaefConnector *connector,
						const UaefHttpResult *result, dlist_head *results);

/*
 * What a connector's calls may need, each NULL or not.
 */
static void
session_types(const UaefConnector *connector, const UaefSessionType **types)
{
	types[0] = uaef_auth_session(connector->config.auth);
	types[1] = connector->type->session;
}

/*
 * A digest of all that a session depends on.  The bytes of the documents are
 * hashed where they lie, as a copy of the secret would stay in memory; what is
 * stored always comes back in the same bytes.
 */
static const char *
session_key(const UaefConnector *connector)
{
	UaefConnector *known = unconstify(UaefConnector *, connector);
	const Jsonb *parts[] = {known->document, known->secret};
	uint8		hash[UAEF_HASH_LEN];

	if (known->session_key == NULL)
	{
		uaef_hash_begin();
		for (int i = 0; i < lengthof(parts); i++)
		{
			size_t		len = parts[i] == NULL ? 0 : VARSIZE_ANY(parts[i]);

			uaef_hash_add_uint64(len);
			uaef_hash_add(parts[i], len);
		}
		uaef_hash_end(hash);
		known->session_key = uaef_hex(hash, UAEF_HASH_LEN);
	}
	return known->session_key;
}

static Session *
find_by_id(int32 connector_id)
{
	dlist_iter	iter;

	if (!cache.ready)
	{
		dlist_init(&cache.sessions);
		cache.ready = true;
	}
	dlist_foreach(iter, &cache.sessions)
	{
		Session    *session = dlist_container(Session, node, iter.cur);

		if (session->connector_id == connector_id)
			return session;
	}
	return NULL;
}

/*
 * NULL when there is none that was made with this config and secret.
 */
static Session *
find(const UaefConnector *connector)
{
	Session    *session = find_by_id(connector->connector_id);

	if (session == NULL || strcmp(session->key, session_key(connector)) != 0)
		return NULL;
	return session;
}

/*
 * An empty one, or what there is of one with the same config and secret.  Of
 * another one only those that wait are kept.
 */
static Session *
make(const UaefConnector *connector)
{
	Session    *session = find_by_id(connector->connector_id);

	if (session == NULL)
	{
		MemoryContext context = AllocSetContextCreate(TopMemoryContext,
													  "uaef session",
													  ALLOCSET_SMALL_SIZES);

		session = MemoryContextAllocZero(context, sizeof(Session));
		session->context = context;
		session->connector_id = connector->connector_id;
		session->name = MemoryContextStrdup(context, connector->name);
		session->key = MemoryContextStrdup(context, session_key(connector));
		dlist_push_tail(&cache.sessions, &session->node);
	}
	else if (strcmp(session->key, session_key(connector)) != 0)
	{
		for (int i = 0; i < UAEF_SESSION_PARTS; i++)
			forget(session, i);
		strlcpy(session->key, session_key(connector),
				strlen(session->key) + 1);
		session->fetching = false;
		session->fetch_no++;
	}
	return session;
}

static void
forget(Session *session, int part)
{
	Part	   *gone = &session->parts[part];

	for (int i = 0; i < gone->n_headers; i++)
	{
		explicit_bzero(gone->headers[i], strlen(gone->headers[i]));
		pfree(gone->headers[i]);
	}
	if (gone->headers != NULL)
		pfree(gone->headers);
	memset(gone, 0, sizeof(*gone));
}

/*
 * Which part of its connector's session a delivery misses; -1: none.
 */
static int
first_missing(const UaefDelivery *delivery)
{
	const UaefConnector *connector = delivery->via;
	const UaefSessionType *types[UAEF_SESSION_PARTS];
	Session    *session = NULL;
	UaefCall	call;

	if (connector == NULL || connector->problem != NULL)
		return -1;
	session_types(connector, types);
	uaef_delivery_call(delivery, &call);
	for (int i = 0; i < UAEF_SESSION_PARTS; i++)
	{
		if (types[i] == NULL ||
			(types[i]->wanted != NULL && !types[i]->wanted(connector, &call)))
			continue;
		if (session == NULL)
			session = find(connector);
		if (session == NULL || !session->parts[i].there ||
			session->parts[i].ends_at <= GetCurrentTimestamp())
			return i;
	}
	return -1;
}

bool
uaef_session_missing(const UaefDelivery *delivery)
{
	return first_missing(delivery) >= 0;
}

static void
add_headers(const Session *session, int part, UaefHttpDraft *draft)
{
	for (int i = 0; session != NULL && i < session->parts[part].n_headers; i++)
		uaef_draft_line(draft, session->parts[part].headers[i]);
}

void
uaef_session_headers(const UaefDelivery *delivery, UaefHttpDraft *draft)
{
	const UaefConnector *connector = delivery->via;
	const UaefSessionType *types[UAEF_SESSION_PARTS];
	UaefCall	call;

	session_types(connector, types);
	uaef_delivery_call(delivery, &call);
	for (int i = 0; i < UAEF_SESSION_PARTS; i++)
	{
		if (types[i] != NULL &&
			(types[i]->wanted == NULL || types[i]->wanted(connector, &call)))
			add_headers(find(connector), i, draft);
	}
}

void
uaef_session_wait(const UaefDelivery *delivery, void *tag)
{
	Session    *session = make(delivery->via);
	UaefWaiter *waiter;

	if (session->n_waiters == session->max_waiters)
	{
		session->max_waiters = Max(session->max_waiters * 2, 16);
		session->waiters = session->waiters == NULL
			? MemoryContextAlloc(session->context,
								 session->max_waiters * sizeof(UaefWaiter))
			: repalloc(session->waiters,
					   session->max_waiters * sizeof(UaefWaiter));
	}
	waiter = &session->waiters[session->n_waiters++];
	waiter->delivery_id = delivery->delivery_id;
	waiter->attempt = delivery->attempt;
	waiter->tag = tag;
	cache.n_waiting++;
}

int
uaef_session_waiting(void)
{
	return cache.n_waiting;
}

int
uaef_session_waiters(UaefWaiter **waiters)
{
	dlist_iter	iter;
	int			n = 0;

	if (cache.n_waiting == 0)
		return 0;
	*waiters = palloc(cache.n_waiting * sizeof(UaefWaiter));
	dlist_foreach(iter, &cache.sessions)
	{
		Session    *session = dlist_container(Session, node, iter.cur);

		if (session->fetching)
			continue;
		for (int i = 0; i < session->n_waiters; i++)
			(*waiters)[n++] = session->waiters[i];
	}
	return n;
}

void
uaef_session_leave(const UaefWaiter *waiter)
{
	dlist_iter	iter;

	dlist_foreach(iter, &cache.sessions)
	{
		Session    *session = dlist_container(Session, node, iter.cur);

		for (int i = 0; i < session->n_waiters; i++)
		{
			if (session->waiters[i].delivery_id != waiter->delivery_id)
				continue;
			session->waiters[i] = session->waiters[--session->n_waiters];
			cache.n_waiting--;
			return;
		}
	}
}

/*
 * What a type adds to its request for a session.
 */
static void
ask(void *arg)
{
	Asking	   *asking = arg;

	memset(asking->draft, 0, sizeof(UaefHttpDraft));
	uaef_draft_header(asking->draft, "User-Agent", "uaef");
	uaef_connector_draft_secret(asking->connector, asking->draft);
	if (asking->part > 0)
	{
		uaef_auth_headers(asking->connector, asking->draft);
		for (int i = 0; i < asking->part; i++)
			add_headers(asking->session, i, asking->draft);
	}
	asking->type->ask(asking->connector, asking->draft);
	if (asking->draft->content_type == NULL)
		uaef_draft_no_content_type(asking->draft);
}

bool
uaef_session_fetch(const UaefDelivery *delivery, UaefHttpRequest *request,
				   UaefRefusal *refusal)
{
	const UaefConnector *connector = delivery->via;
	const UaefSessionType *types[UAEF_SESSION_PARTS];
	Session    *session = make(connector);
	UaefHttpDraft draft;
	UaefEgressGrant grant;
	UaefUrl		url;
	Asking		asking = {connector, NULL, session, 0, &draft};
	ErrorData  *error;

	session_types(connector, types);
	asking.part = first_missing(delivery);
	asking.type = types[asking.part];
	uaef_url_require(asking.type->url(connector), &url);
	if (!uaef_request_may_go(delivery->role, asking.type->method, &url,
							 connector, &grant, refusal))
		return false;
	error = uaef_attempt(ask, &asking);
	if (error != NULL)
	{
		refusal->code = pstrdup(unpack_sql_state(error->sqlerrcode));
		refusal->message = error->message;
		return false;
	}
	session->part = asking.part;
	uaef_request_begin(request, &url, connector, &draft, &grant);
	request->id = -(int64) connector->connector_id;
	request->attempt = session->fetch_no;
	request->method = asking.type->method;
	request->may_reuse = true;
	request->body_secret = draft.body != NULL;
	return true;
}

void
uaef_session_fetching(const UaefHttpRequest *request)
{
	Session    *session = find_by_id((int32) -request->id);

	session->fetching = true;
}

bool
uaef_session_is_result(const UaefHttpResult *result)
{
	return result->id < 0;
}

static void
store(Session *session, const UaefSessionPart *part)
{
	MemoryContext context = MemoryContextSwitchTo(session->context);
	Part	   *stored = &session->parts[session->part];
	int64		margin = Min(part->life_ms / MARGIN_SHARE, MAX_MARGIN_MS);

	forget(session, session->part);
	stored->there = true;
	stored->fetched_at = GetCurrentTimestamp();
	stored->ends_at = TimestampTzPlusMilliseconds(stored->fetched_at,
												  part->life_ms - margin);
	stored->headers = palloc0((part->headers.n_headers + 1) * sizeof(char *));
	for (int i = 0; i < part->headers.n_headers; i++)
		stored->headers[stored->n_headers++] = pstrdup(part->headers.headers[i]);
	MemoryContextSwitchTo(context);
}

/*
 * Nothing was sent of those that wait; whether they are tried again depends on
 * what the fetch ended with.
 */
static void
end_waiters(Session *session, const char *what, const UaefHttpResult *result,
			const UaefAnswerVerdict *verdict, dlist_head *results)
{
	bool		answered = result->phase == UAEF_HTTP_ANSWERED;
	bool		passes = answered ? verdict->answer != UAEF_ANSWER_PERMANENT
		: result->transient;
	char	   *why = answered ? pstrdup(verdict->message)
		: psprintf("%s, %s", result->code, result->message);

	while (session->n_waiters > 0)
	{
		UaefWaiter *waiter = &session->waiters[session->n_waiters - 1];
		UaefHttpResult *made =
			uaef_http_result_make(waiter->delivery_id, waiter->attempt,
								  UAEF_HTTP_NOT_SENT,
								  passes ? CODE_PASSES : CODE_STAYS,
								  psprintf("the %s could not be fetched: %s",
										   what, why));

		if (made == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
		made->tag = waiter->tag;
		made->transient = passes;
		made->retry_after_ms = result->retry_after_ms;
		dlist_push_tail(results, &made->node);
		session->n_waiters--;
		cache.n_waiting--;
	}
}

/*
 * What an answer gave is kept in the session only.
 */
static void
wipe_answer(UaefSessionPart *part, UaefResponse *response)
{
	for (int i = 0; i < part->headers.n_headers; i++)
		explicit_bzero(part->headers.headers[i],
					   strlen(part->headers.headers[i]));
	uaef_secret_wipe(response->headers);
	uaef_secret_wipe(response->body);
}

static void
read_answer(Session *session, const UaefConnector *connector,
			const UaefHttpResult *result, dlist_head *results)
{
	const UaefSessionType *types[UAEF_SESSION_PARTS];
	UaefAnswerVerdict verdict = {UAEF_ANSWER_PERMANENT};
	UaefSessionPart part = {0};
	UaefResponse response;

	session_types(connector, types);
	uaef_response_read(result, &response);
	if (result->phase == UAEF_HTTP_ANSWERED &&
		types[session->part]->read(connector, result, &response, &part,
								   &verdict))
		store(session, &part);
	else
		end_waiters(session, types[session->part]->name, result, &verdict,
					results);
	wipe_answer(&part, &response);
}

/*
 * A connector that has been changed meanwhile has its waiters ask anew.
 */
void
uaef_session_result(const UaefHttpResult *result, dlist_head *results)
{
	Session    *session = find_by_id((int32) -result->id);
	UaefConnector *connector;

	if (session == NULL || session->fetch_no != result->attempt)
		return;
	session->fetching = false;
	session->fetch_no++;
	connector = uaef_delivery_connector(session->name, true);
	if (connector == NULL)
		return;
	if (connector->problem == NULL &&
		strcmp(session->key, session_key(connector)) == 0)
		read_answer(session, connector, result, results);
	uaef_connector_close_secret(connector);
}

bool
uaef_session_refused(const UaefDelivery *delivery,
					 const UaefHttpResult *result,
					 const UaefResponse *response)
{
	const UaefConnector *connector = delivery->via;
	const UaefSessionType *types[UAEF_SESSION_PARTS];

	if (connector == NULL || connector->problem != NULL)
		return false;
	session_types(connector, types);
	for (int i = 0; i < UAEF_SESSION_PARTS; i++)
	{
		if (types[i] != NULL && types[i]->refused(result, response))
			return true;
	}
	return false;
}

/*
 * All parts go: the token that a cookie was made with may be the one that ended.
 */
void
uaef_session_drop(const UaefDelivery *delivery, const UaefHttpResult *result)
{
	Session    *session = find_by_id(delivery->via->connector_id);
	TimestampTz began = GetCurrentTimestamp() - result->times.total;

	for (int i = 0; session != NULL && i < UAEF_SESSION_PARTS; i++)
	{
		if (session->parts[i].fetched_at < began)
			forget(session, i);
	}
}
