/*-------------------------------------------------------------------------
 *
 * delivery_queue.c
 *	  Deliveries to be made: rows that a transaction leaves for the worker.
 *
 * Locking: a delivery's row is locked only by whoever writes it, after the row
 * of its execution where it has one.  The engine cancels under the execution's
 * lock; the worker claims rows with SKIP LOCKED, and records a result that
 * concerns a task after it has locked the execution (delivery_store.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/formatting.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "connector_call.h"
#include "connector_config.h"
#include "delivery_queue.h"
#include "delivery_retry.h"
#include "egress.h"
#include "errcodes.h"
#include "guc.h"
#include "json_util.h"
#include "ledger.h"
#include "spi_util.h"
#include "uuid7.h"
#include "wake.h"

#define MAX_KEY_LENGTH 255
#define MAX_PRIORITY 100

static UaefQuery insert_delivery = {
	"INSERT INTO uaef.delivery (connector, role, execution_id, task_no, item,"
	" task_id, task_attempt, method, url, headers, body, expect, idempotent,"
	" idempotency_key, timeout_ms, retry, status, next_attempt_at, created_at,"
	" anchor, body_bytes, operation, lane, rank, payout_id)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,"
	" $16, 'pending', $23, $17, $18, $19, $20,"
	" $21, $22, $24)"
	" ON CONFLICT (role, idempotency_key) DO NOTHING"
	" RETURNING delivery_id",
	24, {TEXTOID, REGROLEOID, UUIDOID, INT2OID, INT4OID, INT8OID, INT4OID,
		TEXTOID, TEXTOID, JSONBOID, JSONBOID, JSONBOID, BOOLOID, TEXTOID,
		INT4OID, JSONBOID, TIMESTAMPTZOID, TEXTOID, BYTEAOID, TEXTOID,
	TEXTOID, INT2OID, TIMESTAMPTZOID, UUIDOID}
};

static UaefQuery select_by_key = {
	"SELECT delivery_id,"
	" connector IS NOT DISTINCT FROM $3 AND body IS NOT DISTINCT FROM $4"
	" AND body_bytes IS NOT DISTINCT FROM $5"
	" AND operation IS NOT DISTINCT FROM $6"
	" FROM uaef.delivery WHERE role = $1 AND idempotency_key = $2",
	6, {REGROLEOID, TEXTOID, TEXTOID, JSONBOID, BYTEAOID, TEXTOID}
};

static UaefQuery cancel_deliveries = {
	"UPDATE uaef.delivery SET cancel_requested = true,"
	" status = CASE WHEN status = 'sending' THEN status ELSE 'cancelled' END,"
	" finished_at = CASE WHEN status = 'sending' THEN NULL ELSE $3 END"
	" WHERE task_id = $2 AND execution_id = $1"
	" AND status IN ('pending', 'sending', 'retry')",
	3, {UUIDOID, INT8OID, TIMESTAMPTZOID}
};

static UaefQuery hasten_deliveries = {
	"UPDATE uaef.delivery SET next_attempt_at = $3"
	" WHERE task_id = $2 AND execution_id = $1"
	" AND status = 'retry' AND next_attempt_at > $3",
	3, {UUIDOID, INT8OID, TIMESTAMPTZOID}
};

static UaefQuery resend_delivery = {
	"UPDATE uaef.delivery SET status = 'pending', next_attempt_at = $2,"
	" finished_at = NULL, attempts_before = attempt, free_attempts = 0"
	" WHERE delivery_id = $1"
	" AND status IN ('failed', 'in_doubt')",
	2, {INT8OID, TIMESTAMPTZOID}
};

static UaefQuery lock_status = {
	"SELECT status FROM uaef.delivery WHERE delivery_id = $1 FOR UPDATE",
	1, {INT8OID}
};

static UaefQuery withdraw_delivery = {
	"UPDATE uaef.delivery SET status = 'cancelled', finished_at = $2"
	" WHERE delivery_id = $1 AND status IN ('pending', 'retry')",
	2, {INT8OID, TIMESTAMPTZOID}
};

static UaefQuery cancel_of_anchor = {
	"UPDATE uaef.delivery SET cancel_requested = true,"
	" status = CASE WHEN status = 'sending' THEN status ELSE 'cancelled' END,"
	" finished_at = CASE WHEN status = 'sending' THEN NULL ELSE $2 END"
	" WHERE anchor = $1 AND status IN ('pending', 'sending', 'retry')",
	2, {TEXTOID, TIMESTAMPTZOID}
};

/* A request with what its connector and the defaults add to it. */
typedef struct Completed
{
	const char *operation;		/* NULL: there is no connector */
	const char *method;
	UaefUrl		url;
	Jsonb	   *headers;
	bool		idempotent;
	int64		timeout_ms;
	UaefRetry	retry;
} Completed;

static void add_headers(UaefJson *json, Jsonb *headers);
static Jsonb *merge_headers(Jsonb *fixed, Jsonb *headers);
static const char *ask_connector(const UaefDeliveryRequest *request,
								 UaefConnector *connector,
								 Completed *completed);
static void complete(const UaefDeliveryRequest *request, Completed *completed);
static int64 insert(const UaefDeliveryRequest *request,
					const Completed *completed, const char *key);
static int64 existing(const UaefDeliveryRequest *request,
					  const Completed *completed, const char *key);
static void record_created(const UaefDeliveryRequest *request,
						   const Completed *completed, int64 delivery_id,
						   const char *key);

/*
 * Names in lower case: of two that differ in case only, one is kept.
 */
static void
add_headers(UaefJson *json, Jsonb *headers)
{
	JsonbIterator *it = JsonbIteratorInit(&headers->root);
	JsonbIteratorToken token;
	JsonbValue	part;
	char	   *name = NULL;

	while ((token = JsonbIteratorNext(&it, &part, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			name = asc_tolower(part.val.string.val, part.val.string.len);
		else if (token == WJB_VALUE)
			uaef_json_text(json, name, pnstrdup(part.val.string.val,
												part.val.string.len));
	}
}

/*
 * The headers of the request and of the connector.  The connector's win: they
 * are its administrator's, a task's are whoever's that may write a workflow.
 */
static Jsonb *
merge_headers(Jsonb *fixed, Jsonb *headers)
{
	UaefJson	json;

	if (fixed == NULL && headers == NULL)
		return NULL;
	uaef_json_begin(&json);
	if (headers != NULL)
		add_headers(&json, headers);
	if (fixed != NULL)
		add_headers(&json, fixed);
	return uaef_json_end(&json);
}

/*
 * What goes through a connector that pays is money: only a payout says how much
 * and to whom.  Asking is free.
 */
static void
require_payout(const UaefDeliveryRequest *request,
			   const UaefConnector *connector, const UaefCall *call)
{
	if (connector->pays && request->payout_id == NULL &&
		(call->method == NULL || !uaef_http_method_is_safe(call->method)))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for connector \"%s\"",
						request->connector),
				 errdetail("A payout channel sends by it: only payouts do.")));
}

/*
 * What the connector says of the call; returns its URL.
 */
static const char *
ask_connector(const UaefDeliveryRequest *request, UaefConnector *connector,
			  Completed *completed)
{
	UaefCall	call = {
		.operation = request->operation,
		.method = request->method,
		.url = request->url,
		.headers = request->headers,
		.body = request->body,
		.bytes = request->bytes
	};

	uaef_connector_load(request->connector, connector);
	uaef_call_address(connector, &call);
	require_payout(request, connector, &call);
	completed->operation = call.operation;
	completed->method = call.method;
	completed->idempotent = call.idempotent;
	return call.url;
}

/*
 * Fill in from the connector, and check.  A task that says nothing of retries
 * leaves them to the connector.
 */
static void
complete(const UaefDeliveryRequest *request, Completed *completed)
{
	UaefConnector connector = {0};
	const char *url = request->url;

	memset(completed, 0, sizeof(*completed));
	completed->method = request->method;
	if (request->connector != NULL)
		url = ask_connector(request, &connector, completed);
	else
		uaef_delivery_retry_parse(NULL, &connector.config.retry);
	if (url == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a delivery needs a connector or a URL")));
	uaef_url_require(url, &completed->url);

	completed->method = uaef_http_method_check(completed->method
											   ? completed->method : "POST");
	uaef_http_headers_check(request->headers);
	completed->headers = merge_headers(connector.config.headers,
									   request->headers);
	completed->idempotent |= request->idempotent ||
		uaef_http_method_is_safe(completed->method);
	completed->timeout_ms = request->timeout_ms ? request->timeout_ms
		: connector.config.timeout_ms;
	if (request->retry != NULL &&
		(request->connector == NULL || request->exact_retry ||
		 request->retry->max_attempts > 1))
		completed->retry = *request->retry;
	else
		completed->retry = connector.config.retry;

	/* An anchor tries again by itself, with what is new then. */
	if (request->anchor != NULL)
		completed->retry.max_attempts = 1;
}

/*
 * Returns the delivery's id, or 0 when its key is taken.
 */
static int64
insert(const UaefDeliveryRequest *request, const Completed *completed,
	   const char *key)
{
	Datum		args[24];
	char		nulls[25];
	TimestampTz now = uaef_clock_now();
	int64		timeout_ms = completed->timeout_ms;

	memset(nulls, ' ', sizeof(nulls));
	if (request->connector != NULL)
		args[0] = CStringGetTextDatum(request->connector);
	else
		nulls[0] = 'n';
	args[1] = ObjectIdGetDatum(request->role);
	args[2] = UUIDPGetDatum(&request->execution_id);
	args[3] = Int16GetDatum(request->task_no);
	args[4] = Int32GetDatum(request->item);
	args[5] = Int64GetDatum(request->task_id);
	args[6] = Int32GetDatum(request->attempt);
	if (!request->has_task)
		memset(nulls + 2, 'n', 5);
	args[7] = CStringGetTextDatum(completed->method);
	args[8] = CStringGetTextDatum(uaef_url_text(&completed->url));
	args[9] = JsonbPGetDatum(completed->headers);
	nulls[9] = completed->headers ? ' ' : 'n';
	args[10] = JsonbPGetDatum(request->body);
	nulls[10] = request->body ? ' ' : 'n';
	args[11] = JsonbPGetDatum(request->expect);
	nulls[11] = request->expect ? ' ' : 'n';
	args[12] = BoolGetDatum(completed->idempotent);
	args[13] = CStringGetTextDatum(key);
	args[14] = Int32GetDatum((int32) Min(timeout_ms, PG_INT32_MAX));
	nulls[14] = timeout_ms > 0 ? ' ' : 'n';
	args[15] = JsonbPGetDatum(uaef_delivery_retry_document(&completed->retry));
	args[16] = TimestampTzGetDatum(now);
	args[17] = request->anchor ? CStringGetTextDatum(request->anchor)
		: (Datum) 0;
	nulls[17] = request->anchor ? ' ' : 'n';
	args[18] = PointerGetDatum(request->bytes);
	nulls[18] = request->bytes ? ' ' : 'n';
	args[19] = completed->operation ? CStringGetTextDatum(completed->operation)
		: (Datum) 0;
	nulls[19] = completed->operation ? ' ' : 'n';
	args[20] = CStringGetTextDatum(psprintf("%s@%s:%d",
											request->connector
											? request->connector : "",
											completed->url.host,
											completed->url.port));
	args[21] = Int16GetDatum(-request->priority);
	args[22] = TimestampTzGetDatum(Max(request->send_at, now));
	args[23] = UUIDPGetDatum(request->payout_id);
	nulls[23] = request->payout_id ? ' ' : 'n';
	if (uaef_spi_run(&insert_delivery, args, nulls) == 0)
		return 0;
	return uaef_spi_int64(0, 1);
}

/*
 * The delivery that has the key already; raises UA307 when it is another one.
 */
static int64
existing(const UaefDeliveryRequest *request, const Completed *completed,
		 const char *key)
{
	Datum		args[6];
	char		nulls[7] = "      ";

	args[0] = ObjectIdGetDatum(request->role);
	args[1] = CStringGetTextDatum(key);
	args[2] = request->connector ? CStringGetTextDatum(request->connector)
		: (Datum) 0;
	nulls[2] = request->connector ? ' ' : 'n';
	args[3] = JsonbPGetDatum(request->body);
	nulls[3] = request->body ? ' ' : 'n';
	args[4] = PointerGetDatum(request->bytes);
	nulls[4] = request->bytes ? ' ' : 'n';
	args[5] = completed->operation ? CStringGetTextDatum(completed->operation)
		: (Datum) 0;
	nulls[5] = completed->operation ? ' ' : 'n';
	if (uaef_spi_run(&select_by_key, args, nulls) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not see the delivery that has the same idempotency key"),
				 errhint("Retry the transaction.")));
	if (!uaef_spi_bool(0, 2))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_KEY_REUSED),
				 errmsg("idempotency key \"%s\" was used for another delivery", key)));
	return uaef_spi_int64(0, 1);
}

/*
 * What is sent for a task is in the task's events already.  What is sent for an
 * anchor tells the ledger nothing: an event of it would be anchored in turn.
 */
static void
record_created(const UaefDeliveryRequest *request, const Completed *completed,
			   int64 delivery_id, const char *key)
{
	UaefJson	json;
	UaefEvent	event = {
		.type = "delivery_created",
		.actor_type = "user",
		.actor_id = GetUserNameFromId(request->role, false)
	};

	if (request->has_task || request->anchor != NULL)
		return;
	uaef_json_begin(&json);
	uaef_json_int(&json, "delivery_id", delivery_id);
	uaef_json_text(&json, "connector", request->connector);
	uaef_json_text(&json, "method", completed->method);
	uaef_json_text(&json, "url", uaef_url_public_text(&completed->url));
	uaef_json_text(&json, "idempotency_key", key);
	event.payload = uaef_json_end(&json);
	(void) uaef_ledger_append(&event, 1);
}

int64
uaef_delivery_enqueue(const UaefDeliveryRequest *request)
{
	const char *key = request->idempotency_key;
	Completed	completed;
	UaefCaller	caller;
	int64		delivery_id;

	if (abs(request->priority) > MAX_PRIORITY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the priority of a delivery must be between %d and %d",
						-MAX_PRIORITY, MAX_PRIORITY)));
	complete(request, &completed);
	uaef_egress_require(request->role, completed.method, &completed.url);
	if (key == NULL)
	{
		pg_uuid_t	uuid;

		uaef_uuid7(&uuid);
		key = uaef_uuid_text(&uuid);
	}
	else if (*key == '\0' || strlen(key) > MAX_KEY_LENGTH ||
			 strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
					"0123456789-._~:") != strlen(key))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid idempotency key"),
				 errdetail("It is sent as a header: at most %d letters, digits and \"-._~:\".",
						   MAX_KEY_LENGTH)));

	caller = uaef_spi_begin();
	delivery_id = insert(request, &completed, key);
	if (delivery_id == 0)
		delivery_id = existing(request, &completed, key);
	else
	{
		record_created(request, &completed, delivery_id, key);
		uaef_wake_worker_on_commit(UAEF_WAKE_HTTP);
	}
	uaef_spi_end(caller);
	return delivery_id;
}

bool
uaef_delivery_resend(int64 delivery_id)
{
	UaefCaller	caller = uaef_spi_begin();
	Datum		args[2];
	bool		found;

	args[0] = Int64GetDatum(delivery_id);
	args[1] = TimestampTzGetDatum(uaef_clock_now());
	found = uaef_spi_run(&resend_delivery, args, NULL) > 0;
	if (found)
		uaef_wake_worker_on_commit(UAEF_WAKE_HTTP);
	uaef_spi_end(caller);
	return found;
}

bool
uaef_delivery_withdraw(int64 delivery_id)
{
	UaefCaller	caller = uaef_spi_begin();
	Datum		args[2];
	bool		under_way;

	args[0] = Int64GetDatum(delivery_id);
	args[1] = TimestampTzGetDatum(uaef_clock_now());
	under_way = uaef_spi_run(&lock_status, args, NULL) > 0 &&
		strcmp(uaef_spi_text(0, 1), "sending") == 0;
	(void) uaef_spi_run(&withdraw_delivery, args, NULL);
	uaef_spi_end(caller);
	return !under_way;
}

void
uaef_delivery_cancel(const pg_uuid_t *execution_id, int64 task_id)
{
	UaefCaller	caller = uaef_spi_begin();
	Datum		args[3];

	args[0] = UUIDPGetDatum(execution_id);
	args[1] = Int64GetDatum(task_id);
	args[2] = TimestampTzGetDatum(uaef_clock_now());
	(void) uaef_spi_run(&cancel_deliveries, args, NULL);
	uaef_spi_end(caller);
}

bool
uaef_delivery_hasten(const pg_uuid_t *execution_id, int64 task_id)
{
	UaefCaller	caller = uaef_spi_begin();
	Datum		args[3];
	bool		found;

	args[0] = UUIDPGetDatum(execution_id);
	args[1] = Int64GetDatum(task_id);
	args[2] = TimestampTzGetDatum(uaef_clock_now());
	found = uaef_spi_run(&hasten_deliveries, args, NULL) > 0;
	if (found)
		uaef_wake_worker_on_commit(UAEF_WAKE_HTTP);
	uaef_spi_end(caller);
	return found;
}

void
uaef_delivery_cancel_anchor(const char *anchor)
{
	UaefCaller	caller = uaef_spi_begin();
	Datum		args[2];

	args[0] = CStringGetTextDatum(anchor);
	args[1] = TimestampTzGetDatum(uaef_clock_now());
	(void) uaef_spi_run(&cancel_of_anchor, args, NULL);
	uaef_spi_end(caller);
}
