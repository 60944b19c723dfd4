/*-------------------------------------------------------------------------
 *
 * receive.c
 *	  Messages of queues, as the worker's loop fetches them.
 *
 * Memory: receivers live as long as the worker; what a run makes is in a
 * context that it resets.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "pgstat.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "subtransaction.h"
#include "connector_secret.h"
#include "delivery.h"
#include "delivery_connector.h"
#include "delivery_request.h"
#include "delivery_response.h"
#include "errcodes.h"
#include "guc.h"
#include "http_pool.h"
#include "identity.h"
#include "receive.h"
#include "receive_rule.h"
#include "receive_store.h"

#define MAX_RECEIVERS	100

/* Ten messages of the largest size, and what surrounds them. */
#define MAX_ANSWER		((size_t) 16 * 1024 * 1024)

/* The network may take so much longer than the queue. */
#define GRACE_MS		10000

/* After a failure; and after an answer without messages that came too soon. */
#define FIRST_PAUSE_MS	1000
#define MAX_PAUSE_MS	60000

#define FORGET_MS		(3600 * 1000)

/* Results of polls and of what takes messages away: id is the kind and n. */
#define KIND_SHIFT		32
#define POLL			INT64CONST(1)
#define SETTLE			INT64CONST(2)

typedef struct Receiver
{
	dlist_node	node;
	int32		connector_id;
	char	   *name;
	bool		wanted;
	bool		polling;
	int			poll_no;
	int			failures;		/* in a row */
	TimestampTz due;
} Receiver;

/* This process's receivers. */
static struct
{
	bool		ready;
	MemoryContext context;
	dlist_head	receivers;
	dlist_head	results;
	int			in_flight;
	TimestampTz forget_at;
}			state;

/* A request in the making. */
typedef struct Asking
{
	UaefConnector *connector;
	UaefReceiveCall call;
	UaefMessage *messages;		/* to be taken away; NULL: poll */
	int			n_messages;
	UaefHttpRequest request;
} Asking;

static void set_up(void);
static void begin_step(void);
static void end_step(void);
static int64 make_id(int64 kind, int32 connector_id);
static Receiver *find(const char *name);
static Receiver *find_by_id(int32 connector_id);
static void look(bool asked);
static void fail(Receiver *receiver, const char *code, const char *message);
static void make_request(void *arg);
static bool ask(Receiver *receiver, UaefConnector *connector, Asking *asking);
static void poll(Receiver *receiver);
static void take_all(Receiver *receiver, const UaefHttpResult *result);
static void work_on(UaefHttpResult *result);
static void work_on_and_free(UaefHttpResult *result);

static void
set_up(void)
{
	if (state.ready)
		return;
	state.context = AllocSetContextCreate(TopMemoryContext, "uaef receiving",
										  ALLOCSET_DEFAULT_SIZES);
	dlist_init(&state.receivers);
	dlist_init(&state.results);
	state.ready = true;
}

static void
begin_step(void)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	(void) uaef_lock_extension();
	PushActiveSnapshot(GetTransactionSnapshot());
	MemoryContextSwitchTo(state.context);
}

static void
end_step(void)
{
	PopActiveSnapshot();
	CommitTransactionCommand();
	(void) pgstat_report_stat(false);
	MemoryContextSwitchTo(state.context);
}

static int64
make_id(int64 kind, int32 connector_id)
{
	return -((kind << KIND_SHIFT) + connector_id);
}

static Receiver *
find(const char *name)
{
	dlist_iter	iter;

	dlist_foreach(iter, &state.receivers)
	{
		Receiver   *receiver = dlist_container(Receiver, node, iter.cur);

		if (strcmp(receiver->name, name) == 0)
			return receiver;
	}
	return NULL;
}

static Receiver *
find_by_id(int32 connector_id)
{
	dlist_iter	iter;

	dlist_foreach(iter, &state.receivers)
	{
		Receiver   *receiver = dlist_container(Receiver, node, iter.cur);

		if (receiver->connector_id == connector_id)
			return receiver;
	}
	return NULL;
}

/*
 * Which connectors receive by now.  One that does not any more is kept, for
 * when it is resumed; what its last poll brings is left to the queue.
 */
static void
look(bool asked)
{
	List	   *names = uaef_receive_connectors();
	dlist_iter	iter;
	ListCell   *cell;
	int			n = 0;

	dlist_foreach(iter, &state.receivers)
		dlist_container(Receiver, node, iter.cur)->wanted = false;
	foreach(cell, names)
	{
		Receiver   *receiver = find(lfirst(cell));

		if (++n > MAX_RECEIVERS)
			break;
		if (receiver == NULL)
		{
			receiver = MemoryContextAllocZero(TopMemoryContext,
											  sizeof(Receiver));
			receiver->name = MemoryContextStrdup(TopMemoryContext,
												 lfirst(cell));
			dlist_push_tail(&state.receivers, &receiver->node);
		}
		receiver->wanted = true;
		if (asked)
			receiver->due = 0;
	}
}

/*
 * Longer and longer pauses.  The first failure of a row is worth a line.
 */
static void
fail(Receiver *receiver, const char *code, const char *message)
{
	int			pause_ms = Min(FIRST_PAUSE_MS << Min(receiver->failures, 6),
							   MAX_PAUSE_MS);

	if (receiver->failures++ == 0)
		ereport(LOG,
				(errmsg("could not receive from connector \"%s\": %s, %s",
						receiver->name, code, message)));
	receiver->due = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
												pause_ms);
}

static void
make_request(void *arg)
{
	Asking	   *asking = arg;
	UaefConnector *connector = asking->connector;
	const UaefReceiverType *type = connector->type->receiver;
	UaefHttpDraft draft = {0};
	UaefEgressGrant grant;
	UaefRefusal refusal = {0};
	UaefUrl		url;

	uaef_draft_header(&draft, "User-Agent", "uaef");
	uaef_connector_draft_secret(connector, &draft);
	if (asking->messages == NULL)
		type->poll(connector, &asking->call, &draft);
	else
		type->settle(connector, asking->messages, asking->n_messages,
					 &asking->call, &draft);
	if (draft.content_type == NULL)
		uaef_draft_no_content_type(&draft);
	uaef_url_require(asking->call.url, &url);
	if (!uaef_request_may_go(connector->created_by, asking->call.method, &url,
							 connector, &grant, &refusal))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_EGRESS_DENIED),
				 errmsg("%s", refusal.message)));
	uaef_request_begin(&asking->request, &url, connector, &draft, &grant);
	asking->request.method = asking->call.method;
	asking->request.may_reuse = true;
}

/*
 * False when the connector is not able to ask; that is recorded.
 */
static bool
ask(Receiver *receiver, UaefConnector *connector, Asking *asking)
{
	ErrorData  *error;

	asking->connector = connector;
	error = uaef_attempt(make_request, asking);
	if (error == NULL)
		return true;
	fail(receiver, unpack_sql_state(error->sqlerrcode), error->message);
	return false;
}

static void
poll(Receiver *receiver)
{
	Asking		asking = {0};
	UaefConnector *connector;
	bool		ready = false;

	begin_step();
	connector = uaef_delivery_connector(receiver->name, true);
	if (connector == NULL || connector->problem != NULL ||
		connector->config.receive == NULL)
		fail(receiver, connector ? connector->problem_code : "no_connector",
			 connector ? connector->problem : "there is no such connector");
	else
		ready = ask(receiver, connector, &asking);
	if (connector != NULL)
	{
		receiver->connector_id = connector->connector_id;
		uaef_connector_close_secret(connector);
	}
	end_step();
	if (!ready)
		return;
	asking.request.id = make_id(POLL, receiver->connector_id);
	asking.request.attempt = ++receiver->poll_no;
	asking.request.timeout_ms = connector->config.receive->wait_s * 1000 +
		GRACE_MS;
	asking.request.max_response = MAX_ANSWER;
	receiver->polling = true;
	state.in_flight++;
	uaef_http_pool_send(uaef_delivery_pool(), &asking.request, 1);
	uaef_delivery_wipe(&asking.request);
}

/*
 * Take the messages of an answer, in one commit, then have the queue forget
 * those that need not come again.
 */
static void
take_all(Receiver *receiver, const UaefHttpResult *result)
{
	UaefConnector *connector;
	UaefResponse response;
	UaefAnswerVerdict verdict = {0};
	Asking		asking = {0};
	UaefMessage *messages = NULL;
	int			n = -1;
	int			n_taken = 0;
	bool		ready = false;

	begin_step();
	look(false);
	connector = uaef_delivery_connector(receiver->name, true);
	if (receiver->wanted && connector != NULL && connector->problem == NULL)
	{
		uaef_response_read(result, &response);
		n = connector->type->receiver->read(connector, result, &response,
											&messages, &verdict);
		if (n < 0)
			fail(receiver, verdict.code ? verdict.code
				 : psprintf("http_%d", result->status),
				 verdict.message ? verdict.message : "no messages");
	}
	for (int i = 0; i < n; i++)
	{
		if (uaef_receive_take(connector, &messages[i]))
			messages[n_taken++] = messages[i];
	}
	if (n_taken > 0)
	{
		asking.messages = messages;
		asking.n_messages = n_taken;
		ready = ask(receiver, connector, &asking);
	}
	if (n > 0 && state.forget_at < GetCurrentTimestamp())
	{
		(void) uaef_receive_forget();
		state.forget_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													  FORGET_MS);
	}
	if (connector != NULL)
		uaef_connector_close_secret(connector);
	end_step();

	if (n >= 0)
	{
		bool		soon = n == 0 &&
			result->times.total < FIRST_PAUSE_MS * INT64CONST(1000);

		receiver->failures = 0;
		receiver->due = soon
			? TimestampTzPlusMilliseconds(GetCurrentTimestamp(), FIRST_PAUSE_MS)
			: 0;
	}
	if (!ready)
		return;
	asking.request.id = make_id(SETTLE, receiver->connector_id);
	state.in_flight++;
	uaef_http_pool_send(uaef_delivery_pool(), &asking.request, 1);
	uaef_delivery_wipe(&asking.request);
}

/*
 * What takes messages away may fail: they come again, and are known.
 */
static void
work_on(UaefHttpResult *result)
{
	int64		number = -result->id;
	Receiver   *receiver = find_by_id((int32) (number & 0x7fffffff));

	if (receiver == NULL)
		return;
	if (number >> KIND_SHIFT == SETTLE)
	{
		if (result->phase != UAEF_HTTP_ANSWERED || result->status != 200)
			ereport(LOG,
					(errmsg("could not remove messages that were received from connector \"%s\": %s, status %d",
							receiver->name,
							result->code[0] != '\0' ? result->code : "answered",
							result->status)));
		return;
	}
	receiver->polling = false;
	if (result->phase != UAEF_HTTP_ANSWERED)
		fail(receiver, result->code, result->message);
	else
		take_all(receiver, result);
}

/*
 * A result that raises is not kept: the queue sends its messages again.
 */
static void
work_on_and_free(UaefHttpResult *result)
{
	PG_TRY();
	{
		work_on(result);
	}
	PG_CATCH();
	{
		uaef_http_result_free(result);
		PG_RE_THROW();
	}
	PG_END_TRY();
	uaef_http_result_free(result);
}

TimestampTz
uaef_receive_work(bool asked)
{
	TimestampTz next = DT_NOEND;
	dlist_iter	iter;

	set_up();
	if (uaef_delivery_pool() == NULL)
		return TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
										   FIRST_PAUSE_MS);
	while (!dlist_is_empty(&state.results))
	{
		work_on_and_free(dlist_container(UaefHttpResult, node,
										 dlist_pop_head_node(&state.results)));
		MemoryContextReset(state.context);
	}
	begin_step();
	look(asked);
	end_step();
	dlist_foreach(iter, &state.receivers)
	{
		Receiver   *receiver = dlist_container(Receiver, node, iter.cur);

		if (!receiver->wanted || receiver->polling)
			continue;
		if (receiver->due <= GetCurrentTimestamp())
			poll(receiver);
		if (!receiver->polling)
			next = Min(next, receiver->due);
		MemoryContextReset(state.context);
	}
	return next;
}

bool
uaef_receive_keep(UaefHttpResult *result)
{
	if (result->id > 0 || (-result->id >> KIND_SHIFT) == 0)
		return false;
	state.in_flight--;
	dlist_push_tail(&state.results, &result->node);
	return true;
}

bool
uaef_receive_has_results(void)
{
	return state.ready && !dlist_is_empty(&state.results);
}

int
uaef_receive_in_flight(void)
{
	return state.in_flight;
}
