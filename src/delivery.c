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
#include "delivery_store.h"
#include "error_class.h"
#include "guc.h"
#include "identity.h"
#include "http_pool.h"

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
static void send_due(void);

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
	uaef_delivery_attach(deliveries);
	for (int i = 0; i < n_judged; i++)
		judge(&judged[i], instead);
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
	int			taken = uaef_http_pool_in_flight(state.pool);
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
	dlist_push_tail(&state.results, &result->node);
}

/*
 * Claim what is due and send it.  All that can raise comes before the commit,
 * so that no delivery stands as being sent that is not.
 */
static void
send_due(void)
{
	int			limit = room();
	UaefDelivery *deliveries;
	UaefHttpRequest *requests;
	List	   *claimed = NIL;
	int			n_requests = 0;
	int			n;

	state.full = limit == 0;
	if (limit == 0)
		return;
	begin_step();
	n = uaef_delivery_claim(limit, &deliveries);
	state.full = n == limit;
	for (int i = 0; i < n; i++)
		claimed = lappend(claimed, &deliveries[i]);
	uaef_delivery_attach(claimed);
	requests = palloc((n + 1) * sizeof(UaefHttpRequest));
	for (int i = 0; i < n; i++)
	{
		UaefRefusal refusal;

		if (uaef_delivery_request(&deliveries[i], &requests[n_requests],
								  &refusal))
			n_requests++;
		else
			refuse(&deliveries[i], &refusal);
	}
	state.next_due = uaef_delivery_next_due();
	end_step();

	for (int i = 0; i < n_requests; i++)
		uaef_http_pool_send(state.pool, &requests[i]);
	MemoryContextReset(state.work_context);
}

void
uaef_delivery_work(bool look, TimestampTz *next)
{
	MemoryContext context = CurrentMemoryContext;
	int			in_flight = uaef_http_pool_in_flight(state.pool);
	TimestampTz soon;

	uaef_http_pool_run(state.pool, &state.results);
	record_results();
	if (look || state.next_due <= uaef_clock_now() ||
		(state.full && uaef_http_pool_in_flight(state.pool) < in_flight))
	{
		send_due();
		record_results();
	}

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
