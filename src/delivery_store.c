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
#include "column.h"
#include "delivery_connector.h"
#include "delivery_judge.h"
#include "delivery_response.h"
#include "delivery_store.h"
#include "http_pool.h"
#include "json_util.h"
#include "ledger.h"
#include "ledger_anchor.h"
#include "payload_check.h"
#include "payout.h"
#include "spi_util.h"
#include "url.h"

#define ACTOR_TYPE	"worker"
#define ACTOR_ID	"uaef"

static UaefQuery select_sending = {
	"SELECT d.delivery_id, d.attempt, a.phase IS NOT NULL"
	" FROM uaef.delivery d"
	" JOIN uaef.delivery_attempt a USING (delivery_id, attempt)"
	" WHERE d.status = 'sending' ORDER BY d.delivery_id",
	0
};

static UaefQuery select_deliveries = {
	"SELECT" UAEF_DELIVERY_COLUMNS " FROM uaef.delivery"
	" JOIN unnest($1, $2) AS r(id, number)"
	"  ON delivery_id = r.id AND attempt = r.number"
	" WHERE status = 'sending'",
	2, {INT8ARRAYOID, INT4ARRAYOID}
};

static UaefQuery update_deliveries = {
	"UPDATE uaef.delivery d SET"
	" status = CASE WHEN r.outcome = 'retry' AND d.cancel_requested"
	"  THEN 'cancelled' ELSE r.outcome END,"
	" finished_at = CASE WHEN r.outcome = 'retry' AND NOT d.cancel_requested"
	"  THEN NULL ELSE $9 END,"
	" next_attempt_at = $9 + r.delay_ms * interval '1 millisecond',"
	" uncertain = d.uncertain OR r.uncertain,"
	" response_status = r.response_status,"
	" response_headers = r.headers, response_body = r.body, error = r.error,"
	" free_attempts = d.free_attempts + r.free"
	" FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $10)"
	"  AS r(id, outcome, delay_ms, uncertain, response_status, headers, body,"
	"   error, free)"
	" WHERE d.delivery_id = r.id AND d.status = 'sending'"
	" RETURNING d.delivery_id, d.status",
	10, {INT8ARRAYOID, TEXTARRAYOID, INT8ARRAYOID, BOOLARRAYOID, INT4ARRAYOID,
		JSONBARRAYOID, JSONBARRAYOID, JSONBARRAYOID, TIMESTAMPTZOID,
	INT4ARRAYOID}
};

static UaefQuery update_attempts = {
	"UPDATE uaef.delivery_attempt a SET finished_at = $14, phase = r.phase,"
	" outcome = r.outcome, http_status = r.http_status,"
	" error_code = r.code, error = r.error, bytes_sent = r.bytes_sent,"
	" bytes_received = r.bytes_received,"
	" dns_ms = round(nullif(r.dns, 0) / 1000.0, 3),"
	" connect_ms = round(nullif(r.connect, 0) / 1000.0, 3),"
	" tls_ms = round(nullif(r.tls, 0) / 1000.0, 3),"
	" first_byte_ms = round(nullif(r.first_byte, 0) / 1000.0, 3),"
	" total_ms = round(nullif(r.total, 0) / 1000.0, 3)"
	" FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12,"
	"  $13, $15)"
	"  AS r(id, attempt, phase, outcome, http_status, code, error,"
	"   bytes_received, dns, connect, tls, first_byte, total, bytes_sent)"
	" WHERE a.delivery_id = r.id AND a.attempt = r.attempt",
	15, {INT8ARRAYOID, INT4ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, INT4ARRAYOID,
		TEXTARRAYOID, TEXTARRAYOID, INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID,
	INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, TIMESTAMPTZOID, INT8ARRAYOID}
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

static UaefEvent make_event(const char *type, const UaefDelivery *delivery,
							const UaefDeliveryVerdict *verdict);
static Jsonb *task_output(const UaefJudged *judged);
static bool tell_engine(const UaefJudged *judged);
static void tell_anchor(const UaefJudged *judged);
static Jsonb *error_document(const UaefDeliveryVerdict *verdict);
static void store_deliveries(UaefJudged *judged, int n, TimestampTz now);
static void store_attempts(const UaefJudged *judged, int n, TimestampTz now);
static void record_events(const UaefJudged *judged, int n);
static void tell_payout(const UaefJudged *judged);

void
uaef_delivery_read(uint64 row, UaefDelivery *delivery)
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
	delivery->lane = uaef_spi_text(row, 23);
	delivery->attempts_before = uaef_spi_int32(row, 24);
	(void) uaef_spi_value(row, 25, &isnull);
	delivery->has_payout = !isnull;
	if (delivery->has_payout)
		delivery->payout_id = uaef_spi_uuid(row, 25);
	delivery->free_attempts = uaef_spi_int32(row, 26);
}

bool
uaef_delivery_looks_up(const UaefDelivery *delivery)
{
	return delivery->has_payout && delivery->operation != NULL &&
		strcmp(delivery->operation, UAEF_PAYOUT_LOOKUP) == 0;
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
void
uaef_delivery_record_sent(const UaefDelivery *deliveries, int n)
{
	UaefEvent  *events = palloc((n + 1) * sizeof(UaefEvent));
	int			n_events = 0;

	for (int i = 0; i < n; i++)
	{
		if (!deliveries[i].has_task && deliveries[i].anchor == NULL)
			events[n_events++] = make_event("delivery_sent", &deliveries[i],
											NULL);
	}
	if (n_events > 0)
		(void) uaef_ledger_append(events, n_events);
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

int
uaef_delivery_load(UaefHttpResult **results, int n, UaefJudged *judged)
{
	UaefCaller	caller = uaef_spi_begin();
	UaefColumn *ids = uaef_column(INT8OID, n);
	UaefColumn *attempts = uaef_column(INT4OID, n);
	Datum		args[2];
	int			found;

	for (int i = 0; i < n; i++)
	{
		uaef_column_put(ids, Int64GetDatum(results[i]->id), false);
		uaef_column_put(attempts, Int32GetDatum(results[i]->attempt), false);
	}
	args[0] = uaef_column_array(ids);
	args[1] = uaef_column_array(attempts);
	found = (int) uaef_spi_run(&select_deliveries, args, NULL);
	for (int i = 0; i < found; i++)
	{
		memset(&judged[i], 0, sizeof(UaefJudged));
		uaef_delivery_read(i, &judged[i].delivery);
		for (int r = 0; r < n; r++)
		{
			if (results[r]->id == judged[i].delivery.delivery_id)
				judged[i].result = results[r];
		}
	}
	uaef_spi_end(caller);
	return found;
}

static Jsonb *
output_of(const UaefJudged *judged)
{
	const UaefDelivery *delivery = &judged->delivery;
	const UaefConnector *via = delivery->via;
	UaefCall	call;

	if (via == NULL || via->problem != NULL || via->type->output == NULL)
		return uaef_response_output(judged->result->status,
									&judged->response);
	uaef_delivery_call(delivery, &call);
	return via->type->output(via, &call, judged->result, &judged->response);
}

/*
 * Raises UA001 when the answer is larger than an output may be.
 */
static Jsonb *
task_output(const UaefJudged *judged)
{
	Jsonb	   *output = output_of(judged);

	uaef_check_payload("response", output);
	return output;
}

/*
 * Give a task its result; returns whether the task took it.
 */
static bool
tell_engine(const UaefJudged *judged)
{
	const UaefDelivery *delivery = &judged->delivery;
	const UaefDeliveryVerdict *verdict = &judged->verdict;
	UaefFailure failure = {
		.code = verdict->code,
		.message = verdict->message,
		.detail = verdict->detail
	};

	if (!delivery->has_task || verdict->outcome == UAEF_DELIVERY_RETRY)
		return false;
	if (verdict->outcome == UAEF_DELIVERY_SUCCEEDED)
		return uaef_engine_complete(&delivery->task, task_output(judged),
									ACTOR_TYPE, ACTOR_ID);
	return uaef_engine_fail(&delivery->task, &failure, ACTOR_TYPE, ACTOR_ID);
}

/*
 * Give an anchor the bytes of its answer.
 */
static void
tell_anchor(const UaefJudged *judged)
{
	const UaefDelivery *delivery = &judged->delivery;
	const UaefHttpResult *result = judged->result;
	const UaefDeliveryVerdict *verdict = &judged->verdict;
	bool		own = result->code[0] != '\0';
	UaefAnchorAnswer answer = {
		.expected = verdict->outcome == UAEF_DELIVERY_SUCCEEDED,
		.status = result->status,
		.body = result->body,
		.body_len = result->body_len,
		.code = own ? result->code : verdict->code,
		.message = own ? result->message : verdict->message
	};

	if (delivery->anchor != NULL && verdict->outcome != UAEF_DELIVERY_RETRY)
		uaef_anchor_answer(delivery->anchor, delivery->delivery_id, &answer);
}

/*
 * Give a payout what is known now.
 */
static void
tell_payout(const UaefJudged *judged)
{
	const UaefDelivery *delivery = &judged->delivery;
	const UaefDeliveryVerdict *verdict = &judged->verdict;
	UaefPayoutAnswer answer = {
		.succeeded = verdict->outcome == UAEF_DELIVERY_SUCCEEDED,
		.uncertain = verdict->uncertain || delivery->uncertain,
		.sent = judged->result->phase != UAEF_HTTP_NOT_SENT,
		.status = judged->result->status,
		.code = verdict->code,
		.body = judged->response.body,
		.delivery_id = delivery->delivery_id,
		.attempt = delivery->attempt
	};

	if (!delivery->has_payout || verdict->outcome == UAEF_DELIVERY_RETRY)
		return;
	answer.is_lookup = uaef_delivery_looks_up(delivery);
	if (answer.is_lookup && answer.succeeded)
		answer.output = output_of(judged);
	uaef_payout_answer(&delivery->payout_id, &answer);
}

static Jsonb *
error_document(const UaefDeliveryVerdict *verdict)
{
	UaefJson	json;

	if (verdict->code == NULL)
		return NULL;
	uaef_json_begin(&json);
	uaef_json_text(&json, "code", verdict->code);
	uaef_json_text(&json, "message", verdict->message);
	uaef_json_text(&json, "detail", verdict->detail);
	return uaef_json_end(&json);
}

/*
 * Write the deliveries, and set their new status.  The body of an answer that a
 * task has taken is the task's output, and not kept twice.
 */
static void
store_deliveries(UaefJudged *judged, int n, TimestampTz now)
{
	static const Oid types[] = {
		INT8OID, TEXTOID, INT8OID, BOOLOID, INT4OID, JSONBOID, JSONBOID,
		JSONBOID, INT4OID
	};
	UaefColumn *columns[lengthof(types)];
	Datum		args[lengthof(types) + 1];

	for (int c = 0; c < lengthof(types); c++)
		columns[c] = uaef_column(types[c], n);
	for (int i = 0; i < n; i++)
	{
		const UaefJudged *one = &judged[i];
		const UaefDeliveryVerdict *verdict = &one->verdict;
		Jsonb	   *body = one->taken &&
			verdict->outcome == UAEF_DELIVERY_SUCCEEDED ? NULL
			: one->response.body;
		int			c = 0;

		uaef_column_put(columns[c++],
						Int64GetDatum(one->delivery.delivery_id), false);
		uaef_column_text(columns[c++], outcome_names[verdict->outcome]);
		uaef_column_put(columns[c++], Int64GetDatum(verdict->delay_ms), false);
		uaef_column_put(columns[c++], BoolGetDatum(verdict->uncertain), false);
		uaef_column_put(columns[c++], Int32GetDatum(one->result->status),
						one->result->status == 0);
		uaef_column_jsonb(columns[c++], one->response.headers);
		uaef_column_jsonb(columns[c++], body);
		uaef_column_jsonb(columns[c++], error_document(verdict));
		uaef_column_put(columns[c++], Int32GetDatum(verdict->free ? 1 : 0),
						false);
	}
	for (int c = 0; c < lengthof(types); c++)
		args[c < 8 ? c : c + 1] = uaef_column_array(columns[c]);
	args[8] = TimestampTzGetDatum(now);
	if (uaef_spi_run(&update_deliveries, args, NULL) != n)
		elog(ERROR, "a delivery is not being sent");
	for (int i = 0; i < n; i++)
	{
		int64		id = uaef_spi_int64(i, 1);

		for (int j = 0; j < n; j++)
		{
			if (judged[j].delivery.delivery_id == id)
				judged[j].status = uaef_spi_text(i, 2);
		}
	}
}

static void
store_attempts(const UaefJudged *judged, int n, TimestampTz now)
{
	static const Oid types[] = {
		INT8OID, INT4OID, TEXTOID, TEXTOID, INT4OID, TEXTOID, TEXTOID, INT8OID,
		INT8OID, INT8OID, INT8OID, INT8OID, INT8OID
	};
	UaefColumn *columns[lengthof(types)];
	UaefColumn *bytes_sent = uaef_column(INT8OID, n);
	Datum		args[lengthof(types) + 2];

	for (int c = 0; c < lengthof(types); c++)
		columns[c] = uaef_column(types[c], n);
	for (int i = 0; i < n; i++)
	{
		const UaefHttpResult *result = judged[i].result;
		const UaefDeliveryVerdict *verdict = &judged[i].verdict;
		bool		own = result->code[0] != '\0';
		int64		times[] = {
			result->times.dns, result->times.connect, result->times.tls,
			result->times.first_byte, result->times.total
		};
		int			c = 0;

		uaef_column_put(columns[c++],
						Int64GetDatum(judged[i].delivery.delivery_id), false);
		uaef_column_put(columns[c++],
						Int32GetDatum(judged[i].delivery.attempt), false);
		uaef_column_text(columns[c++], phase_names[result->phase]);
		uaef_column_text(columns[c++], judged[i].status);
		uaef_column_put(columns[c++], Int32GetDatum(result->status),
						result->status == 0);
		uaef_column_text(columns[c++], own ? result->code : verdict->code);
		uaef_column_text(columns[c++], own ? result->message
						 : verdict->code ? verdict->message : NULL);
		uaef_column_put(columns[c++], Int64GetDatum(result->bytes_received),
						false);
		for (int t = 0; t < lengthof(times); t++)
			uaef_column_put(columns[c++], Int64GetDatum(times[t]), false);
		uaef_column_put(bytes_sent, Int64GetDatum(result->bytes_sent), false);
	}
	for (int c = 0; c < lengthof(types); c++)
		args[c] = uaef_column_array(columns[c]);
	args[lengthof(types)] = TimestampTzGetDatum(now);
	args[lengthof(types) + 1] = uaef_column_array(bytes_sent);
	(void) uaef_spi_run(&update_attempts, args, NULL);
}

static void
record_events(const UaefJudged *judged, int n)
{
	UaefEvent  *events = palloc(n * sizeof(UaefEvent));
	int			n_events = 0;

	for (int i = 0; i < n; i++)
	{
		if (judged[i].verdict.outcome != UAEF_DELIVERY_RETRY &&
			judged[i].delivery.anchor == NULL)
			events[n_events++] = make_event(psprintf("delivery_%s",
													 judged[i].status),
											&judged[i].delivery,
											&judged[i].verdict);
	}
	if (n_events > 0)
		(void) uaef_ledger_append(events, n_events);
}

void
uaef_delivery_record(UaefJudged *judged, int n)
{
	UaefCaller	caller = uaef_spi_begin();
	TimestampTz now = uaef_clock_now();

	for (int i = 0; i < n; i++)
	{
		tell_anchor(&judged[i]);
		tell_payout(&judged[i]);
		judged[i].taken = tell_engine(&judged[i]);
	}
	store_deliveries(judged, n, now);
	store_attempts(judged, n, now);
	record_events(judged, n);
	uaef_spi_end(caller);
}
