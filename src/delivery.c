/*-------------------------------------------------------------------------
 *
 * delivery.c
 *	  Deliveries, as the worker's loop drives them.
 *
 * A delivery is claimed and its attempt begun in one short transaction; then
 * the request goes out and no transaction is open; then its result is recorded
 * in another short transaction, many results together when they come together.
 *
 * A result that cannot be recorded, because the engine or the tables refuse
 * it, is recorded as a failure of its delivery; and when that fails as well it
 * is kept in memory and tried again, so that no answer is thrown away.
 *
 * Memory: what a call of uaef_delivery_work() makes is in work_context, which
 * the call resets; results are malloc'd by the pool and freed once recorded.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "delivery.h"
#include "delivery_board.h"
#include "delivery_connector.h"
#include "delivery_judge.h"
#include "delivery_lane.h"
#include "delivery_request.h"
#include "delivery_response.h"
#include "delivery_session.h"
#include "delivery_store.h"
#include "delivery_wait.h"
#include "error_class.h"
#include "guc.h"
#include "identity.h"
#include "http_pool.h"
#include "receive.h"

/* How many results go into one transaction. */
#define RECORD_BATCH	64

/* How long a result waits that could not be recorded. */
#define RECORD_AGAIN_MS 1000

/* How soon to look again for due rows that others had locked. */
#define LOCKED_AGAIN_MS 50

/* This process's deliveries; all of it is set up by uaef_delivery_init(). */
static struct
{
	UaefHttpPool *pool;			/* NULL: not set up */
	MemoryContext work_context;
	MemoryContext flight_context;
	dlist_head	results;		/* that are not recorded */
	dlist_head	fetched;		/* of sessions, that are not read */
	TimestampTz record_again_at;	/* do not record before; 0: at once */
	TimestampTz next_due;		/* look for due ones then */
	TimestampTz look_again;		/* a look was put off until then */
	bool		gates_changed;	/* since they were stored */
	bool		full;			/* and when one that is under way has ended */
}			state;

/* A delivery under way; the tag of its request. */
typedef struct Flight
{
	UaefPassage passage;
	bool		entered;		/* it has passed; else its claim was rolled
								 * back */
	UaefGateNews connector_news;
	UaefGateNews host_news;
	int64		hold_ms;		/* the other side asks to be left alone */
} Flight;

/* Why one is not sent that waited until nobody waited for it. */
static const UaefRefusal nobody_waits = {
	"cancelled", "nobody waits for the delivery any more", true
};

static void begin_step(void);
static void end_step(void);
static int	compare_judged(const void *a, const void *b);
static void leave(UaefGate *gate, UaefGateNews news, TimestampTz now,
				  int64 hold_ms);
static void land(UaefHttpResult *result);
static void tell_flight(const UaefJudged *judged);
static void judge(UaefJudged *judged, const UaefDeliveryVerdict *instead);
static void note_retry(int64 delay_ms);
static void record_all(UaefHttpResult **results, int n,
					   const UaefDeliveryVerdict *instead);
static ErrorData *try_record(UaefHttpResult **results, int n,
							 const UaefDeliveryVerdict *instead);
static bool passes(int sqlerrcode);
static bool record_one(UaefHttpResult *result);
static void record_results(void);
static int	room(void);
static void refuse(const UaefDelivery *delivery, const UaefRefusal *refusal,
				   void *tag);
static Flight *make_flight(const UaefDelivery *delivery);
static void take_off(Flight *flight, TimestampTz now);
static int	make_requests(const UaefClaimed *claimed,
						  UaefHttpRequest *requests, Flight **flights);
static void store_gates(void);
static void send_due(void);
static void read_sessions(void);
static int	load_waiting(const UaefWaiter *waiters, int n, UaefJudged *waiting);
static bool resume(const UaefDelivery *delivery, UaefHttpRequest *request,
				   void *tag);
static void tend_sessions(void);
static void collect(void);

static void
begin_step(void)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	(void) uaef_lock_extension();
	PushActiveSnapshot(GetTransactionSnapshot());
	MemoryContextSwitchTo(state.work_context);
}

static void
end_step(void)
{
	PopActiveSnapshot();
	CommitTransactionCommand();
	(void) pgstat_report_stat(false);
	MemoryContextSwitchTo(state.work_context);
}

void
uaef_delivery_init(void)
{
	MemoryContext context = CurrentMemoryContext;

	if (state.pool == NULL)
	{
		state.pool = uaef_http_pool_create();
		state.work_context = AllocSetContextCreate(TopMemoryContext,
												   "uaef deliveries",
												   ALLOCSET_DEFAULT_SIZES);
		state.flight_context = AllocSetContextCreate(TopMemoryContext,
													 "uaef flights",
													 ALLOCSET_DEFAULT_SIZES);
		dlist_init(&state.results);
		dlist_init(&state.fetched);
	}
	begin_step();
	uaef_delivery_lost(&state.results);
	uaef_gates_load();
	end_step();
	state.full = true;
	state.look_again = DT_NOEND;
	MemoryContextSwitchTo(context);
}

UaefHttpPool *
uaef_delivery_pool(void)
{
	return state.pool;
}

int
uaef_delivery_fd(void)
{
	return uaef_http_pool_fd(state.pool);
}

/*
 * Results that end a task first, in the order of their executions; then the
 * others, which lock no execution.
 */
static int
compare_judged(const void *a, const void *b)
{
	const UaefJudged *left = a;
	const UaefJudged *right = b;
	bool		left_task = left->delivery.has_task &&
		left->verdict.outcome != UAEF_DELIVERY_RETRY;
	bool		right_task = right->delivery.has_task &&
		right->verdict.outcome != UAEF_DELIVERY_RETRY;

	if (left_task != right_task)
		return left_task ? -1 : 1;
	return left_task ? memcmp(&left->delivery.task.execution_id,
							  &right->delivery.task.execution_id, UUID_LEN)
		: 0;
}

/*
 * Look again when the retry is due.  Should the transaction roll back, that is
 * a look too many.
 */
static void
note_retry(int64 delay_ms)
{
	TimestampTz due = TimestampTzPlusMilliseconds(uaef_clock_now(), delay_ms);

	state.next_due = Min(state.next_due, due);
}

/*
 * What the result says of the health of connector and host.  A host that
 * answers is well, whatever it answers; it is not when it cannot be reached.
 * What we refused says nothing.
 */
static void
tell_flight(const UaefJudged *judged)
{
	const UaefHttpResult *result = judged->result;
	Flight	   *flight = result->tag;
	bool		busy = result->status == 429;

	if (flight == NULL)
		return;
	flight->connector_news = flight->host_news = UAEF_GATE_BAD;
	if (result->phase == UAEF_HTTP_ANSWERED)
	{
		flight->host_news = UAEF_GATE_GOOD;
		flight->connector_news = busy ? UAEF_GATE_NOTHING
			: result->status >= 500 ? UAEF_GATE_BAD : UAEF_GATE_GOOD;
	}
	else if (!result->transient)
		flight->connector_news = flight->host_news = UAEF_GATE_NOTHING;
	else if (result->phase == UAEF_HTTP_SENT)
		flight->host_news = UAEF_GATE_NOTHING;
	if (busy || result->status == 503)
		flight->hold_ms = Min(result->retry_after_ms,
							  uaef_http_retry_after_max_s * (int64) 1000);
}

static void
leave(UaefGate *gate, UaefGateNews news, TimestampTz now, int64 hold_ms)
{
	if (gate == NULL)
		return;
	uaef_gate_leave(gate, news, now, hold_ms);
	state.gates_changed |= gate->changed;
}

/*
 * A result is recorded: its flight is over.
 */
static void
land(UaefHttpResult *result)
{
	Flight	   *flight = result->tag;
	TimestampTz now = uaef_clock_now();

	if (flight != NULL && flight->entered)
	{
		leave(flight->passage.connector, flight->connector_news, now,
			  flight->hold_ms);
		leave(flight->passage.host, flight->host_news, now, 0);
	}
	if (flight != NULL)
		pfree(flight);
	uaef_http_result_free(result);
}

/*
 * Judge within the open transaction; instead, when not NULL, is the verdict.
 */
static void
judge(UaefJudged *judged, const UaefDeliveryVerdict *instead)
{
	uaef_response_read(judged->result, &judged->response);
	if (instead != NULL)
		judged->verdict = *instead;
	else
		uaef_delivery_judge(&judged->delivery, judged->result,
							&judged->response, &judged->verdict);
	tell_flight(judged);
}

/*
 * Judge and record within the open transaction.  The result of a delivery that
 * no longer waits for it is passed over.
 */
static void
record_all(UaefHttpResult **results, int n, const UaefDeliveryVerdict *instead)
{
	UaefJudged *judged = palloc(n * sizeof(UaefJudged));
	int			n_judged = uaef_delivery_load(results, n, judged);
	List	   *deliveries = NIL;

	for (int i = 0; i < n_judged; i++)
		deliveries = lappend(deliveries, &judged[i].delivery);
	uaef_delivery_attach(deliveries, false);
	for (int i = 0; i < n_judged; i++)
	{
		judge(&judged[i], instead);
		if (judged[i].verdict.session_over)
			uaef_session_drop(&judged[i].delivery, judged[i].result);
	}
	qsort(judged, n_judged, sizeof(UaefJudged), compare_judged);
	if (n_judged > 0)
		uaef_delivery_record(judged, n_judged);
	for (int i = 0; i < n_judged; i++)
	{
		if (judged[i].verdict.outcome == UAEF_DELIVERY_RETRY)
			note_retry(judged[i].verdict.delay_ms);
	}
}

/*
 * The same in a transaction of its own; returns NULL, or the error that
 * rolled it back.
 */
static ErrorData *
try_record(UaefHttpResult **results, int n, const UaefDeliveryVerdict *instead)
{
	ErrorData  *volatile error = NULL;

	PG_TRY();
	{
		begin_step();
		record_all(results, n, instead);
		end_step();
	}
	PG_CATCH();
	{
		HOLD_INTERRUPTS();
		MemoryContextSwitchTo(state.work_context);
		error = CopyErrorData();
		AbortCurrentTransaction();
		FlushErrorState();
		MemoryContextSwitchTo(state.work_context);
		RESUME_INTERRUPTS();
	}
	PG_END_TRY();
	return error;
}

/*
 * May the same work later, with nothing changed?  Lost races, exhausted
 * resources, an operator who intervenes, trouble below.
 */
static bool
passes(int sqlerrcode)
{
	return uaef_error_is_transient(sqlerrcode) ||
		ERRCODE_TO_CATEGORY(sqlerrcode) == ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
}

/*
 * Record one result, or that it cannot be; false when it must wait.
 */
static bool
record_one(UaefHttpResult *result)
{
	ErrorData  *error = try_record(&result, 1, NULL);
	UaefDeliveryVerdict verdict = {UAEF_DELIVERY_FAILED};

	if (error == NULL)
		return true;
	if (!passes(error->sqlerrcode))
	{
		verdict.code = unpack_sql_state(error->sqlerrcode);
		verdict.code = pstrdup(verdict.code);
		verdict.message = error->message;
		verdict.detail = error->detail;

		/* An answer that is not kept is none. */
		verdict.uncertain = result->phase != UAEF_HTTP_NOT_SENT;
		error = try_record(&result, 1, &verdict);
		if (error == NULL)
			return true;
	}
	ereport(LOG,
			(errcode(error->sqlerrcode),
			 errmsg("could not record the result of delivery %lld: %s",
					(long long) result->id, error->message)));
	return false;
}

/*
 * Record all results, as long as that works.
 */
static void
record_results(void)
{
	if (state.record_again_at != 0 &&
		GetCurrentTimestamp() < state.record_again_at)
		return;
	state.record_again_at = 0;

	while (!dlist_is_empty(&state.results) && state.record_again_at == 0)
	{
		UaefHttpResult *batch[RECORD_BATCH];
		int			n = 0;
		bool		together;

		while (n < RECORD_BATCH && !dlist_is_empty(&state.results))
			batch[n++] = dlist_container(UaefHttpResult, node,
										 dlist_pop_head_node(&state.results));
		together = n > 1 && try_record(batch, n, NULL) == NULL;
		for (int i = 0; i < n; i++)
		{
			if (together || record_one(batch[i]))
			{
				land(batch[i]);
				continue;
			}
			dlist_push_tail(&state.results, &batch[i]->node);
			state.record_again_at =
				TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
											RECORD_AGAIN_MS);
		}
		MemoryContextReset(state.work_context);
	}
}

/*
 * How many more requests may be under way.  A result that is not recorded
 * counts: it holds memory.
 */
static int
room(void)
{
	int			taken = uaef_http_pool_in_flight(state.pool) +
		uaef_session_waiting() - uaef_receive_in_flight();
	dlist_iter	iter;

	dlist_foreach(iter, &state.results)
		taken++;
	return Max(uaef_http_max_concurrent - taken, 0);
}

static void
refuse(const UaefDelivery *delivery, const UaefRefusal *refusal, void *tag)
{
	UaefHttpResult *result = uaef_http_result_make(delivery->delivery_id,
												   delivery->attempt,
												   UAEF_HTTP_NOT_SENT,
												   refusal->code,
												   refusal->message);

	if (result == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	result->transient = refusal->passes;
	result->tag = tag;
	dlist_push_tail(&state.results, &result->node);
}

static Flight *
make_flight(const UaefDelivery *delivery)
{
	Flight	   *flight = MemoryContextAllocZero(state.flight_context,
												sizeof(Flight));

	flight->passage = uaef_delivery_passage(delivery->lane);
	flight->connector_news = flight->host_news = UAEF_GATE_NOTHING;
	return flight;
}

static void
take_off(Flight *flight, TimestampTz now)
{
	if (flight->passage.connector != NULL)
		uaef_gate_enter(flight->passage.connector, now);
	uaef_gate_enter(flight->passage.host, now);
	flight->entered = true;
}

/*
 * Build the requests of what was claimed; returns how many there are.  Those
 * that are refused have results already; those whose session is missing are
 * held.
 */
static int
make_requests(const UaefClaimed *claimed, UaefHttpRequest *requests,
			  Flight **flights)
{
	List	   *deliveries = NIL;
	List	   *held = NIL;
	int			n = 0;

	for (int i = 0; i < claimed->n; i++)
		deliveries = lappend(deliveries, &claimed->deliveries[i]);
	uaef_delivery_attach(deliveries, true);
	for (int i = 0; i < claimed->n; i++)
	{
		UaefDelivery *delivery = &claimed->deliveries[i];
		UaefRefusal refusal;

		flights[i] = make_flight(delivery);
		delivery->held = uaef_session_missing(delivery);
		if (delivery->held)
			held = lappend(held, delivery);
		else if (uaef_delivery_request(delivery, &requests[n], &refusal))
			requests[n++].tag = flights[i];
		else
			refuse(delivery, &refusal, flights[i]);
	}
	uaef_delivery_hold(held);
	uaef_delivery_detach(deliveries);
	return n;
}

/*
 * Claim what is due and send it, but for what has to wait for the session of
 * its connector.  All that can raise comes before the commit, so that no
 * delivery stands as being sent that is not.
 */
static void
send_due(void)
{
	int			limit = room();
	UaefClaimed claimed;
	UaefHttpRequest *requests;
	Flight	  **flights;
	TimestampTz now;
	int			n;

	if (limit == 0)
	{
		state.full = true;
		state.next_due = state.look_again = DT_NOEND;
		return;
	}
	begin_step();
	uaef_delivery_claim(limit, &claimed);
	requests = palloc((claimed.n + 1) * sizeof(UaefHttpRequest));
	flights = palloc((claimed.n + 1) * sizeof(Flight *));
	n = make_requests(&claimed, requests, flights);
	end_step();

	uaef_board_claimed();
	state.full = claimed.more;
	state.next_due = claimed.next;
	state.look_again = claimed.again;
	now = uaef_clock_now();
	for (int i = 0; i < claimed.n; i++)
	{
		take_off(flights[i], now);
		if (claimed.deliveries[i].held)
			uaef_session_wait(&claimed.deliveries[i], flights[i]);
	}
	uaef_http_pool_send(state.pool, requests, n);
	for (int i = 0; i < n; i++)
		uaef_delivery_wipe(&requests[i]);
	MemoryContextReset(state.work_context);
}

/*
 * What was fetched for sessions.
 */
static void
read_sessions(void)
{
	dlist_iter	iter;

	if (dlist_is_empty(&state.fetched))
		return;
	begin_step();
	dlist_foreach(iter, &state.fetched)
		uaef_session_result(dlist_container(UaefHttpResult, node, iter.cur),
							&state.results);
	end_step();
	while (!dlist_is_empty(&state.fetched))
	{
		UaefHttpResult *result = dlist_container(UaefHttpResult, node,
												 dlist_pop_head_node(&state.fetched));

		uaef_http_result_wipe(result);
		uaef_http_result_free(result);
	}
	MemoryContextReset(state.work_context);
}

/*
 * Those that wait for a session that is not being fetched, with their
 * connectors; returns how many.  One that is not there any more just ends.
 */
static int
load_waiting(const UaefWaiter *waiters, int n, UaefJudged *waiting)
{
	UaefHttpResult *places = palloc0(n * sizeof(UaefHttpResult));
	UaefHttpResult **results = palloc(n * sizeof(UaefHttpResult *));
	List	   *deliveries = NIL;
	int			n_waiting;

	for (int i = 0; i < n; i++)
	{
		places[i].id = waiters[i].delivery_id;
		places[i].attempt = waiters[i].attempt;
		places[i].tag = waiters[i].tag;
		results[i] = &places[i];
	}
	n_waiting = uaef_delivery_load(results, n, waiting);
	for (int i = 0; i < n_waiting; i++)
	{
		deliveries = lappend(deliveries, &waiting[i].delivery);
		waiting[i].result->phase = UAEF_HTTP_ANSWERED;	/* it is there */
	}
	for (int i = 0; i < n; i++)
	{
		UaefDelivery gone = {places[i].id, places[i].attempt};

		if (places[i].phase == UAEF_HTTP_NOT_SENT)
			refuse(&gone, &nobody_waits, places[i].tag);
	}
	uaef_delivery_attach(deliveries, true);
	return n_waiting;
}

/*
 * The request of a delivery whose session is there.
 */
static bool
resume(const UaefDelivery *delivery, UaefHttpRequest *request, void *tag)
{
	UaefRefusal refusal = nobody_waits;

	if (uaef_delivery_begin(delivery) &&
		uaef_delivery_request(delivery, request, &refusal))
	{
		request->tag = tag;
		return true;
	}
	refuse(delivery, &refusal, tag);
	return false;
}

/*
 * Send what has waited for its session, and fetch the sessions that are still
 * missing: one request for each connector.
 */
static void
tend_sessions(void)
{
	UaefWaiter *waiters;
	int			n = uaef_session_waiters(&waiters);
	UaefHttpRequest *requests;
	UaefJudged *waiting;
	List	   *asked = NIL;
	List	   *all = NIL;
	int			n_requests = 0;
	int			n_waiting;

	if (n == 0)
		return;
	begin_step();
	requests = palloc(n * sizeof(UaefHttpRequest));
	waiting = palloc(n * sizeof(UaefJudged));
	n_waiting = load_waiting(waiters, n, waiting);
	for (int i = 0; i < n_waiting; i++)
	{
		UaefDelivery *delivery = &waiting[i].delivery;
		void	   *tag = waiting[i].result->tag;
		UaefRefusal refusal = {0};

		all = lappend(all, delivery);
		delivery->held = uaef_session_missing(delivery);
		if (!delivery->held)
			n_requests += resume(delivery, &requests[n_requests], tag);
		else if (uaef_session_fetch(delivery, &requests[n_requests], &refusal))
		{
			if (!list_member_int(asked, delivery->via->connector_id))
				n_requests++;
			asked = list_append_unique_int(asked,
										   delivery->via->connector_id);
		}
		else
		{
			refuse(delivery, &refusal, tag);
			delivery->held = false;
		}
	}
	uaef_delivery_detach(all);
	end_step();

	for (int i = 0; i < n; i++)
		uaef_session_leave(&waiters[i]);
	for (int i = 0; i < n_waiting; i++)
	{
		if (waiting[i].delivery.held)
			uaef_session_wait(&waiting[i].delivery, waiting[i].result->tag);
	}
	for (int i = 0; i < n_requests; i++)
	{
		if (requests[i].id < 0)
			uaef_session_fetching(&requests[i]);
	}
	uaef_http_pool_send(state.pool, requests, n_requests);
	for (int i = 0; i < n_requests; i++)
		uaef_delivery_wipe(&requests[i]);
	MemoryContextReset(state.work_context);
}

/*
 * Take what has ended out of the pool.
 */
static void
collect(void)
{
	dlist_head	ended;

	dlist_init(&ended);
	uaef_http_pool_run(state.pool, &ended);
	while (!dlist_is_empty(&ended))
	{
		UaefHttpResult *result = dlist_container(UaefHttpResult, node,
												 dlist_pop_head_node(&ended));

		if (uaef_receive_keep(result))
			continue;
		dlist_push_tail(uaef_session_is_result(result) ? &state.fetched
						: &state.results, &result->node);
	}
}

/*
 * Write what the gates have learnt, where that is worth a row.
 */
static void
store_gates(void)
{
	if (!state.gates_changed)
		return;
	begin_step();
	uaef_gates_store();
	end_step();
	state.gates_changed = false;
	MemoryContextReset(state.work_context);
}

void
uaef_delivery_work(bool look, TimestampTz *next)
{
	MemoryContext context = CurrentMemoryContext;
	int			in_flight = uaef_http_pool_in_flight(state.pool);
	TimestampTz soon;

	MemoryContextSwitchTo(state.work_context);
	collect();
	read_sessions();
	record_results();
	look |= state.next_due <= uaef_clock_now();
	if (look)
		uaef_board_outdate();
	if (look ||
		(state.full && uaef_http_pool_in_flight(state.pool) < in_flight))
	{
		send_due();
		record_results();
	}
	tend_sessions();
	record_results();
	store_gates();

	soon = TimestampTzPlusMilliseconds(uaef_clock_now(), LOCKED_AGAIN_MS);
	*next = Min(Max(state.next_due, soon), state.look_again);
	if (state.record_again_at != 0)
		*next = Min(*next, state.record_again_at);
	MemoryContextSwitchTo(context);
}

void
uaef_delivery_shutdown(void)
{
	if (state.pool == NULL)
		return;
	uaef_http_pool_destroy(state.pool);
	state.pool = NULL;
	uaef_board_forget();
	uaef_gates_forget();
}
