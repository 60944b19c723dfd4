/*-------------------------------------------------------------------------
 *
 * delivery_store.c
 *	  Deliveries in their tables: claiming them, recording what came of them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "delivery_connector.h"
#include "delivery_judge.h"
#include "delivery_response.h"
#include "delivery_store.h"
#include "http_pool.h"
#include "json_util.h"
#include "ledger.h"
#include "ledger_anchor.h"
#include "own_execution.h"
#include "spi_util.h"
#include "url.h"

#define ACTOR_TYPE	"worker"
#define ACTOR_ID	"uaef"

/* The columns of a UaefDelivery, in read_delivery()'s order. */
#define DELIVERY_COLUMNS \
	" delivery_id, attempt, role, connector, execution_id, task_no, item," \
	" task_attempt, task_id, method, url, headers, body, expect, idempotent," \
	" idempotency_key, coalesce(timeout_ms, 0), retry, uncertain, anchor," \
	" body_bytes, operation, free_attempts"

#define NOT_PAUSED \
	" AND NOT EXISTS (SELECT FROM uaef.connector c" \
	"  WHERE c.name = d.connector AND c.paused)"

static UaefQuery claim_due = {
	"WITH due AS (SELECT d.delivery_id AS id FROM uaef.delivery d"
	"  WHERE d.status IN ('pending', 'retry') AND d.next_attempt_at <= $1"
	NOT_PAUSED
	"  ORDER BY d.next_attempt_at LIMIT $2 FOR UPDATE OF d SKIP LOCKED),"
	" sending AS (UPDATE uaef.delivery d"
	"  SET status = 'sending', attempt = d.attempt + 1"
	"  FROM due WHERE d.delivery_id = due.id RETURNING d.*),"
	" begun AS (INSERT INTO uaef.delivery_attempt"
	"  (delivery_id, attempt, worker_pid, started_at)"
	"  SELECT delivery_id, attempt, $3, $1 FROM sending)"
	" SELECT" DELIVERY_COLUMNS " FROM sending ORDER BY next_attempt_at",
	3, {TIMESTAMPTZOID, INT4OID, INT4OID}
};

static UaefQuery select_next_due = {
	"SELECT d.next_attempt_at FROM uaef.delivery d"
	" WHERE d.status IN ('pending', 'retry')" NOT_PAUSED
	" ORDER BY d.next_attempt_at LIMIT 1",
	0
};

static UaefQuery select_sending = {
	"SELECT d.delivery_id, d.attempt, a.phase IS NOT NULL"
	" FROM uaef.delivery d"
	" JOIN uaef.delivery_attempt a USING (delivery_id, attempt)"
	" WHERE d.status = 'sending' ORDER BY d.delivery_id",
	0
};

static UaefQuery select_delivery = {
	"SELECT" DELIVERY_COLUMNS " FROM uaef.delivery"
	" WHERE delivery_id = $1 AND attempt = $2 AND status = 'sending'",
	2, {INT8OID, INT4OID}
};

static UaefQuery update_delivery = {
	"UPDATE uaef.delivery SET"
	" status = CASE WHEN $3 = 'retry' AND cancel_requested"
	"  THEN 'cancelled' ELSE $3 END,"
	" finished_at = CASE WHEN $3 = 'retry' AND NOT cancel_requested"
	"  THEN NULL ELSE $10 END,"
	" next_attempt_at = $4, uncertain = uncertain OR $5,"
	" response_status = $6, response_headers = $7, response_body = $8,"
	" error = $9, free_attempts = free_attempts + $11"
	" WHERE delivery_id = $1 AND attempt = $2 AND status = 'sending'"
	" RETURNING status",
	11, {INT8OID, INT4OID, TEXTOID, TIMESTAMPTZOID, BOOLOID, INT4OID, JSONBOID,
	JSONBOID, JSONBOID, TIMESTAMPTZOID, INT4OID}
};

static UaefQuery update_attempt = {
	"UPDATE uaef.delivery_attempt SET finished_at = $3, phase = $4,"
	" outcome = $5, http_status = $6, error_code = $7, error = $8,"
	" bytes_received = $9, dns_ms = round(nullif($10, 0) / 1000.0, 3),"
	" connect_ms = round(nullif($11, 0) / 1000.0, 3),"
	" tls_ms = round(nullif($12, 0) / 1000.0, 3),"
	" first_byte_ms = round(nullif($13, 0) / 1000.0, 3),"
	" total_ms = round(nullif($14, 0) / 1000.0, 3)"
	" WHERE delivery_id = $1 AND attempt = $2",
	14, {INT8OID, INT4OID, TIMESTAMPTZOID, TEXTOID, TEXTOID, INT4OID, TEXTOID,
	TEXTOID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID}
};

static const char *const outcome_names[] = {
	[UAEF_DELIVERY_RETRY] = "retry",
	[UAEF_DELIVERY_SUCCEEDED] = "succeeded",
	[UAEF_DELIVERY_FAILED] = "failed",
	[UAEF_DELIVERY_IN_DOUBT] = "in_doubt"
};

static const char *const phase_names[] = {
	[UAEF_HTTP_NOT_SENT] = "not_sent",
	[UAEF_HTTP_SENT] = "sent",
	[UAEF_HTTP_ANSWERED] = "answered"
};

static void read_delivery(uint64 row, UaefDelivery *delivery);
static UaefEvent make_event(const char *type, const UaefDelivery *delivery,
							const UaefDeliveryVerdict *verdict);
static Jsonb *task_output(const UaefDelivery *delivery,
						  const UaefHttpResult *result,
						  const UaefResponse *response);
static bool tell_engine(const UaefDelivery *delivery,
						const UaefHttpResult *result,
						const UaefResponse *response,
						const UaefDeliveryVerdict *verdict);
static void tell_anchor(const UaefDelivery *delivery,
						const UaefHttpResult *result,
						const UaefDeliveryVerdict *verdict);
static const char *store_delivery(const UaefDelivery *delivery,
								  const UaefHttpResult *result,
								  const UaefResponse *response,
								  const UaefDeliveryVerdict *verdict, bool keep_body,
								  TimestampTz now);
static void store_attempt(const UaefDelivery *delivery,
						  const UaefHttpResult *result,
						  const UaefDeliveryVerdict *verdict, const char *outcome,
						  TimestampTz now);

static void
read_delivery(uint64 row, UaefDelivery *delivery)
{
	bool		isnull;

	memset(delivery, 0, sizeof(*delivery));
	delivery->delivery_id = uaef_spi_int64(row, 1);
	delivery->attempt = uaef_spi_int32(row, 2);
	delivery->role = uaef_spi_oid(row, 3);
	delivery->connector = uaef_spi_text(row, 4);
	(void) uaef_spi_value(row, 5, &isnull);
	delivery->has_task = !isnull;
	if (delivery->has_task)
	{
		delivery->task.execution_id = uaef_spi_uuid(row, 5);
		delivery->task.task_no = DatumGetInt16(uaef_spi_value(row, 6, &isnull));
		delivery->task.item = uaef_spi_int32(row, 7);
		delivery->task.attempt = uaef_spi_int32(row, 8);
		delivery->task_id = uaef_spi_int64(row, 9);
	}
	delivery->method = uaef_spi_text(row, 10);
	delivery->url = uaef_spi_text(row, 11);
	delivery->headers = uaef_spi_jsonb(row, 12);
	delivery->body = uaef_spi_jsonb(row, 13);
	delivery->expect = uaef_spi_jsonb(row, 14);
	delivery->idempotent = uaef_spi_bool(row, 15);
	delivery->idempotency_key = uaef_spi_text(row, 16);
	delivery->timeout_ms = uaef_spi_int32(row, 17);
	delivery->retry = uaef_spi_jsonb(row, 18);
	delivery->uncertain = uaef_spi_bool(row, 19);
	delivery->anchor = uaef_spi_text(row, 20);
	delivery->bytes = uaef_spi_bytea(row, 21);
	delivery->operation = uaef_spi_text(row, 22);
	delivery->free_attempts = uaef_spi_int32(row, 23);
}

/*
 * An event of a delivery; verdict is NULL when it is sent.  The query of the
 * URL stays out of the ledger: it may hold what should not be kept.
 */
static UaefEvent
make_event(const char *type, const UaefDelivery *delivery,
		   const UaefDeliveryVerdict *verdict)
{
	UaefEvent	event = {
		.type = type,
		.actor_type = ACTOR_TYPE,
		.actor_id = ACTOR_ID
	};
	UaefJson	json;
	UaefUrl		url;

	uaef_json_begin(&json);
	uaef_json_int(&json, "delivery_id", delivery->delivery_id);
	uaef_json_text(&json, "connector", delivery->connector);
	uaef_json_text(&json, "method", delivery->method);
	if (uaef_url_parse(delivery->url, &url) == NULL)
		uaef_json_text(&json, "url", uaef_url_public_text(&url));
	uaef_json_text(&json, "idempotency_key", delivery->idempotency_key);
	uaef_json_int(&json, "attempt", delivery->attempt);
	if (verdict != NULL)
		uaef_json_text(&json, "code", verdict->code);
	event.payload = uaef_json_end(&json);
	if (delivery->has_task)
	{
		event.stream = unconstify(pg_uuid_t *, &delivery->task.execution_id);
		event.task_id = delivery->task_id;
	}
	return event;
}

/*
 * A task's attempts are in delivery_attempt alone: an event of each would need
 * the lock of the execution.  An anchor's make no events at all: they would be
 * anchored in turn.
 */
int
uaef_delivery_claim(int limit, UaefDelivery **deliveries)
{
	MemoryContext context = CurrentMemoryContext;
	UaefCaller	caller = uaef_spi_begin();
	Datum		args[3];
	UaefEvent  *events;
	int			n_events = 0;
	int			n;

	args[0] = TimestampTzGetDatum(uaef_clock_now());
	args[1] = Int32GetDatum(limit);
	args[2] = Int32GetDatum(MyProcPid);
	n = (int) uaef_spi_run(&claim_due, args, NULL);

	*deliveries = MemoryContextAlloc(context, (n + 1) * sizeof(UaefDelivery));
	events = palloc((n + 1) * sizeof(UaefEvent));
	for (int i = 0; i < n; i++)
		read_delivery(i, &(*deliveries)[i]);
	for (int i = 0; i < n; i++)
	{
		if (!(*deliveries)[i].has_task && (*deliveries)[i].anchor == NULL)
			events[n_events++] = make_event("delivery_sent",
											&(*deliveries)[i], NULL);
	}
	if (n_events > 0)
		(void) uaef_ledger_append(events, n_events);
	uaef_spi_end(caller);
	return n;
}

TimestampTz
uaef_delivery_next_due(void)
{
	UaefCaller	caller = uaef_spi_begin();
	TimestampTz next = DT_NOEND;
	bool		isnull;

	if (uaef_spi_run(&select_next_due, NULL, NULL) > 0)
		next = DatumGetTimestampTz(uaef_spi_value(0, 1, &isnull));
	uaef_spi_end(caller);
	return next;
}

void
uaef_delivery_lost(dlist_head *results)
{
	UaefCaller	caller = uaef_spi_begin();
	uint64		n = uaef_spi_run(&select_sending, NULL, NULL);

	for (uint64 i = 0; i < n; i++)
	{
		bool		waited = uaef_spi_bool(i, 3);
		UaefHttpResult *result = uaef_http_result_make(uaef_spi_int64(i, 1),
													   uaef_spi_int32(i, 2),
													   waited ? UAEF_HTTP_NOT_SENT
													   : UAEF_HTTP_SENT,
													   UAEF_CODE_WORKER_LOST,
													   waited ? "the worker ended before the request was sent"
													   : "the worker ended while the request was under way");

		if (result == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
		dlist_push_tail(results, &result->node);
	}
	uaef_spi_end(caller);
}

bool
uaef_delivery_load(int64 delivery_id, int attempt, UaefDelivery *delivery)
{
	UaefCaller	caller = uaef_spi_begin();
	Datum		args[2];
	bool		found;

	args[0] = Int64GetDatum(delivery_id);
	args[1] = Int32GetDatum(attempt);
	found = uaef_spi_run(&select_delivery, args, NULL) > 0;
	if (found)
		read_delivery(0, delivery);
	uaef_spi_end(caller);
	return found;
}

/*
 * Raises UA001 when the answer is larger than an output may be.
 */
static Jsonb *
task_output(const UaefDelivery *delivery, const UaefHttpResult *result,
			const UaefResponse *response)
{
	const UaefConnector *via = delivery->via;
	Jsonb	   *output;

	if (via != NULL && via->problem == NULL && via->type->output != NULL)
	{
		UaefCall	call;

		uaef_delivery_call(delivery, &call);
		output = via->type->output(via, &call, result, response);
	}
	else
		output = uaef_response_output(result->status, response);
	uaef_check_payload("response", output);
	return output;
}

/*
 * Give a task its result; returns whether the task took it.
 */
static bool
tell_engine(const UaefDelivery *delivery, const UaefHttpResult *result,
			const UaefResponse *response, const UaefDeliveryVerdict *verdict)
{
	UaefFailure failure = {
		.code = verdict->code,
		.message = verdict->message,
		.detail = verdict->detail
	};

	if (!delivery->has_task || verdict->outcome == UAEF_DELIVERY_RETRY)
		return false;
	if (verdict->outcome == UAEF_DELIVERY_SUCCEEDED)
		return uaef_engine_complete(&delivery->task,
									task_output(delivery, result,
												response),
									ACTOR_TYPE, ACTOR_ID);
	return uaef_engine_fail(&delivery->task, &failure, ACTOR_TYPE, ACTOR_ID);
}

/*
 * Give an anchor the bytes of its answer.
 */
static void
tell_anchor(const UaefDelivery *delivery, const UaefHttpResult *result,
			const UaefDeliveryVerdict *verdict)
{
	UaefAnchorAnswer answer = {
		.expected = verdict->outcome == UAEF_DELIVERY_SUCCEEDED,
		.status = result->status,
		.body = result->body,
		.body_len = result->body_len,
		.code = result->code[0] != '\0' ? result->code : verdict->code,
		.message = result->code[0] != '\0' ? result->message : verdict->message
	};

	if (delivery->anchor != NULL && verdict->outcome != UAEF_DELIVERY_RETRY)
		uaef_anchor_answer(delivery->anchor, delivery->delivery_id, &answer);
}

/*
 * Returns the delivery's new status.
 */
static const char *
store_delivery(const UaefDelivery *delivery, const UaefHttpResult *result,
			   const UaefResponse *response, const UaefDeliveryVerdict *verdict,
			   bool keep_body, TimestampTz now)
{
	Datum		args[11];
	char		nulls[12] = "           ";
	UaefJson	json;

	args[0] = Int64GetDatum(delivery->delivery_id);
	args[1] = Int32GetDatum(delivery->attempt);
	args[2] = CStringGetTextDatum(outcome_names[verdict->outcome]);
	args[3] = TimestampTzGetDatum(TimestampTzPlusMilliseconds(now,
															  verdict->delay_ms));
	args[4] = BoolGetDatum(verdict->uncertain);
	args[5] = Int32GetDatum(result->status);
	nulls[5] = result->status ? ' ' : 'n';
	args[6] = JsonbPGetDatum(response->headers);
	nulls[6] = response->headers ? ' ' : 'n';
	args[7] = JsonbPGetDatum(response->body);
	nulls[7] = response->body && keep_body ? ' ' : 'n';
	if (verdict->code != NULL)
	{
		uaef_json_begin(&json);
		uaef_json_text(&json, "code", verdict->code);
		uaef_json_text(&json, "message", verdict->message);
		uaef_json_text(&json, "detail", verdict->detail);
		args[8] = JsonbPGetDatum(uaef_json_end(&json));
	}
	else
		nulls[8] = 'n';
	args[9] = TimestampTzGetDatum(now);
	args[10] = Int32GetDatum(verdict->free ? 1 : 0);
	if (uaef_spi_run(&update_delivery, args, nulls) != 1)
		elog(ERROR, "delivery %lld is not being sent",
			 (long long) delivery->delivery_id);
	return uaef_spi_text(0, 1);
}

static void
store_attempt(const UaefDelivery *delivery, const UaefHttpResult *result,
			  const UaefDeliveryVerdict *verdict, const char *outcome,
			  TimestampTz now)
{
	Datum		args[14];
	char		nulls[15] = "              ";

	args[0] = Int64GetDatum(delivery->delivery_id);
	args[1] = Int32GetDatum(delivery->attempt);
	args[2] = TimestampTzGetDatum(now);
	args[3] = CStringGetTextDatum(phase_names[result->phase]);
	args[4] = CStringGetTextDatum(outcome);
	args[5] = Int32GetDatum(result->status);
	nulls[5] = result->status ? ' ' : 'n';
	if (result->code[0] != '\0' || verdict->code != NULL)
	{
		bool		own = result->code[0] != '\0';

		args[6] = CStringGetTextDatum(own ? result->code : verdict->code);
		args[7] = CStringGetTextDatum(own ? result->message : verdict->message);
	}
	else
		nulls[6] = nulls[7] = 'n';
	args[8] = Int64GetDatum(result->bytes_received);
	args[9] = Int64GetDatum(result->times.dns);
	args[10] = Int64GetDatum(result->times.connect);
	args[11] = Int64GetDatum(result->times.tls);
	args[12] = Int64GetDatum(result->times.first_byte);
	args[13] = Int64GetDatum(result->times.total);
	(void) uaef_spi_run(&update_attempt, args, nulls);
}

void
uaef_delivery_record(const UaefDelivery *delivery,
					 const UaefHttpResult *result,
					 const UaefResponse *response,
					 const UaefDeliveryVerdict *verdict)
{
	UaefCaller	caller = uaef_spi_begin();
	TimestampTz now = uaef_clock_now();
	const char *status;
	bool		taken;

	tell_anchor(delivery, result, verdict);
	taken = tell_engine(delivery, result, response, verdict);
	status = store_delivery(delivery, result, response, verdict,
							!taken ||
							verdict->outcome != UAEF_DELIVERY_SUCCEEDED, now);
	store_attempt(delivery, result, verdict, status, now);
	if (verdict->outcome != UAEF_DELIVERY_RETRY && delivery->anchor == NULL)
	{
		UaefEvent	event = make_event(psprintf("delivery_%s", status),
									   delivery, verdict);

		(void) uaef_ledger_append(&event, 1);
	}
	uaef_spi_end(caller);
}
