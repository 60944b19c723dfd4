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
#include "delivery_connector.h"
#include "delivery_judge.h"
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
	dlist_head	results;		/* that are not recorded */
	dlist_head	fetched;		/* of sessions, that are not read */
	TimestampTz record_again_at;	/* do not record before; 0: at once */
	TimestampTz next_due;		/* the next delivery that waits for its time */
	bool		full;			/* more may be due than there was room for */
}			state;

/* A result and what it means. */
typedef struct Judged
{
	UaefHttpResult *result;
	UaefDelivery delivery;
	UaefResponse response;
	UaefDeliveryVerdict verdict;
} Judged;

static void begin_step(void);
static void end_step(void);
static int	compare_judged(const void *a, const void *b);
static void judge(Judged *judged, const UaefDeliveryVerdict *instead);
static void note_retry(int64 delay_ms);
static void record_all(UaefHttpResult **results, int n,
					   const UaefDeliveryVerdict *instead);
static ErrorData *try_record(UaefHttpResult **results, int n,
							 const UaefDeliveryVerdict *instead);
static bool passes(int sqlerrcode);
static bool record_one(UaefHttpResult *result);
static void record_results(void);
static int	room(void);
static void refuse(const UaefDelivery *delivery, const UaefRefusal *refusal);
static List *claim(int limit);
static void send_due(void);
static void read_sessions(void);
static List *load_waiting(UaefWaiter *waiters, int n);
static bool resume(const UaefDelivery *delivery, UaefHttpRequest *request);
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
		dlist_init(&state.results);
		dlist_init(&state.fetched);
	}
	begin_step();
	uaef_delivery_lost(&state.results);
	end_step();
	state.full = true;
	MemoryContextSwitchTo(context);
}

int
uaef_delivery_fd(void)
{
	return uaef_http_pool_fd(state.pool);
}

UaefHttpPool *
uaef_delivery_pool(void)
{
	return state.pool;
}

/*
 * Results that end a task first, in the order of their executions; then the
 * others, which lock no execution.
 */
static int
compare_judged(const void *a, const void *b)
{
	const Judged *left = a;
	const Judged *right = b;
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
 * Judge within the open transaction; instead, when not NULL, is the verdict.
 */
static void
judge(Judged *judged, const UaefDeliveryVerdict *instead)
{
	uaef_response_read(judged->result, &judged->response);
	if (instead != NULL)
		judged->verdict = *instead;
	else
		uaef_delivery_judge(&judged->delivery, judged->result,
							&judged->response, &judged->verdict);
}

/*
 * Judge and record within the open transaction.  The result of a delivery that
 * no longer waits for it is passed over.
 */
static void
record_all(UaefHttpResult **results, int n, const UaefDeliveryVerdict *instead)
{
	Judged	   *judged = palloc(n * sizeof(Judged));
	List	   *deliveries = NIL;
	int			n_judged = 0;

	for (int i = 0; i < n; i++)
	{
		Judged	   *next = &judged[n_judged];

		if (!uaef_delivery_load(results[i]->id, results[i]->attempt,
								&next->delivery))
			continue;
		next->result = results[i];
		deliveries = lappend(deliveries, &next->delivery);
		n_judged++;
	}
	uaef_delivery_attach(deliveries, false);
	for (int i = 0; i < n_judged; i++)
	{
		judge(&judged[i], instead);
		if (judged[i].verdict.session_over)
			uaef_session_drop(&judged[i].delivery, judged[i].result);
	}
	qsort(judged, n_judged, sizeof(Judged), compare_judged);
	for (int i = 0; i < n_judged; i++)
	{
		uaef_delivery_record(&judged[i].delivery, judged[i].result,
							 &judged[i].response, &judged[i].verdict);
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
				uaef_http_result_free(batch[i]);
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
refuse(const UaefDelivery *delivery, const UaefRefusal *refusal)
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
	dlist_push_tail(&state.results, &result->node);
}

/*
 * Claim; returns the deliveries with their connectors.
 */
static List *
claim(int limit)
{
	UaefDelivery *deliveries;
	List	   *claimed = NIL;
	int			n = uaef_delivery_claim(limit, &deliveries);

	state.full = n == limit;
	for (int i = 0; i < n; i++)
		claimed = lappend(claimed, &deliveries[i]);
	uaef_delivery_attach(claimed, true);
	return claimed;
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
	UaefHttpRequest *requests;
	List	   *claimed;
	List	   *held = NIL;
	ListCell   *cell;
	int			n_requests = 0;

	state.full = limit == 0;
	if (limit == 0)
		return;
	begin_step();
	claimed = claim(limit);
	requests = palloc((list_length(claimed) + 1) * sizeof(UaefHttpRequest));
	foreach(cell, claimed)
	{
		UaefDelivery *delivery = lfirst(cell);
		UaefRefusal refusal;

		if (uaef_session_missing(delivery))
			held = lappend(held, delivery);
		else if (uaef_delivery_request(delivery, &requests[n_requests],
									   &refusal))
			n_requests++;
		else
			refuse(delivery, &refusal);
	}
	uaef_delivery_hold(held);
	uaef_delivery_detach(claimed);
	state.next_due = uaef_delivery_next_due();
	end_step();

	for (int i = 0; i < n_requests; i++)
		uaef_http_pool_send(state.pool, &requests[i]);
	foreach(cell, held)
		uaef_session_wait(lfirst(cell));
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
		uaef_http_result_free(dlist_container(UaefHttpResult, node,
											  dlist_pop_head_node(&state.fetched)));
	MemoryContextReset(state.work_context);
}

/*
 * Those that wait for a session that is not being fetched, with their
 * connectors.  One that nobody waits for any more is left out.
 */
static List *
load_waiting(UaefWaiter *waiters, int n)
{
	List	   *waiting = NIL;

	for (int i = 0; i < n; i++)
	{
		UaefDelivery *delivery = palloc(sizeof(UaefDelivery));

		if (uaef_delivery_load(waiters[i].delivery_id, waiters[i].attempt,
							   delivery))
			waiting = lappend(waiting, delivery);
	}
	uaef_delivery_attach(waiting, true);
	return waiting;
}

/*
 * The request of a delivery whose session is there.
 */
static bool
resume(const UaefDelivery *delivery, UaefHttpRequest *request)
{
	UaefRefusal refusal = {
		"cancelled", "nobody waits for the delivery any more", true
	};

	if (uaef_delivery_begin(delivery) &&
		uaef_delivery_request(delivery, request, &refusal))
		return true;
	refuse(delivery, &refusal);
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
	UaefHttpRequest *requests = palloc((n + 1) * sizeof(UaefHttpRequest));
	List	   *asked = NIL;
	List	   *staying = NIL;
	List	   *waiting;
	ListCell   *cell;
	int			n_requests = 0;

	if (n == 0)
		return;
	begin_step();
	waiting = load_waiting(waiters, n);
	foreach(cell, waiting)
	{
		UaefDelivery *delivery = lfirst(cell);
		UaefRefusal refusal = {0};

		if (!uaef_session_missing(delivery))
			n_requests += resume(delivery, &requests[n_requests]);
		else if (!uaef_session_fetch(delivery, &requests[n_requests], &refusal))
			refuse(delivery, &refusal);
		else
		{
			staying = lappend(staying, delivery);
			if (!list_member_int(asked, delivery->via->connector_id))
				n_requests++;
			asked = list_append_unique_int(asked,
										   delivery->via->connector_id);
		}
	}
	uaef_delivery_detach(waiting);
	end_step();

	for (int i = 0; i < n; i++)
		uaef_session_leave(&waiters[i]);
	foreach(cell, staying)
		uaef_session_wait(lfirst(cell));
	for (int i = 0; i < n_requests; i++)
	{
		if (requests[i].id < 0)
			uaef_session_fetching(&requests[i]);
		uaef_http_pool_send(state.pool, &requests[i]);
	}
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
	if (look || state.next_due <= uaef_clock_now() ||
		(state.full && uaef_http_pool_in_flight(state.pool) < in_flight))
	{
		send_due();
		record_results();
	}
	tend_sessions();
	record_results();

	soon = TimestampTzPlusMilliseconds(uaef_clock_now(), LOCKED_AGAIN_MS);
	*next = state.full ? DT_NOEND : Max(state.next_due, soon);
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
}
