/*-------------------------------------------------------------------------
 *
 * handler_run.c
 *	  The handlers: workflows begun by requests, tasks, webhooks, schedules.
 *
 * Everything is done as the current user, with its rights.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "claim.h"
#include "clock.h"
#include "definition_read.h"
#include "engine.h"
#include "errcodes.h"
#include "failure.h"
#include "handler.h"
#include "inbound_receive.h"
#include "json_util.h"
#include "ledger.h"
#include "own_execution.h"
#include "spi_util.h"
#include "sql_here.h"
#include "uuid7.h"

/* How the keys begin by which an event of EventBridge starts only once. */
#define BRIDGE_KEY "eventbridge/"

/* Tasks that one event may claim. */
#define MAX_CLAIM 100

static UaefQuery find_execution = {
	"SELECT e.status, coalesce(e.name, d.name), e.started_at"
	" FROM uaef.workflow_execution e"
	" JOIN uaef.workflow_definition d USING (definition_id)"
	" WHERE e.execution_id = $1",
	1, {UUIDOID}
};

/* An execution, as answers show it. */
typedef struct Shown
{
	char	   *status;
	char	   *name;
	TimestampTz started_at;		/* 0: not yet */
} Shown;

static void
show(const pg_uuid_t *id, Shown *shown)
{
	MemoryContext context = CurrentMemoryContext;
	Datum		arg = UUIDPGetDatum(id);
	UaefCaller	back = uaef_spi_begin();
	Datum		started;
	bool		isnull;

	MemoryContextSwitchTo(context);
	if (uaef_spi_run(&find_execution, &arg, NULL) == 0)
		elog(ERROR, "execution %s vanished", uaef_uuid_text(id));
	shown->status = uaef_spi_text(0, 1);
	shown->name = uaef_spi_text(0, 2);
	started = uaef_spi_value(0, 3, &isnull);
	shown->started_at = isnull ? 0 : DatumGetTimestampTz(started);
	uaef_spi_end(back);
}

/*
 * What is asked for, as an object to read from; what it has besides does not
 * matter.
 */
static UaefObject
request_object(UaefBuilder *builder, Jsonb *request)
{
	UaefObject	object = {builder, &request->root, "the request"};

	memset(builder, 0, sizeof(*builder));
	return object;
}

pg_noreturn static void
required(const char *key)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s is required", key)));
}

/*
 * A start as a request words it.
 */
static void
read_start(const UaefHandlerEvent *event, const UaefObject *request,
		   UaefStart *start)
{
	memset(start, 0, sizeof(*start));
	start->workflow = uaef_read_text(request, "workflow", false);
	if (start->workflow == NULL)
		start->workflow = uaef_read_text(request, "definition_id", false);
	if (start->workflow == NULL)
		required("definition_id");
	start->version = uaef_read_int(request, "version", 0, 1, PG_INT32_MAX);
	start->priority = uaef_read_int(request, "priority", 0, PG_INT32_MIN,
									PG_INT32_MAX);
	start->name = uaef_read_text(request, "name", false);
	start->input = uaef_read_document(request, "input");
	if (start->input == NULL)
		start->input = uaef_read_document(request, "input_data");
	if (start->input == NULL)
		start->input = uaef_json_empty();
	start->idempotency_key = uaef_read_text(request, "idempotency_key", false);
	if (start->idempotency_key == NULL && event->shape == UAEF_EVENT_HTTP)
		start->idempotency_key = uaef_header(&event->headers,
											 "idempotency-key");
	if (start->idempotency_key == NULL && event->shape == UAEF_EVENT_BRIDGE &&
		event->id != NULL)
		start->idempotency_key = psprintf(BRIDGE_KEY "%s", event->id);
}

/*
 * Write into the execution's stream who asked for it, as far as it is known.
 */
static void
record_request(pg_uuid_t *id, const char *handler, const char *initiated_by,
			   const UaefHandlerEvent *event, Jsonb *claims)
{
	UaefEvent	record = {
		.type = "request_received",
		.stream = id
	};
	UaefJson	json;

	if (initiated_by == NULL && claims == NULL && event->id == NULL)
		return;
	uaef_json_begin(&json);
	uaef_json_text(&json, "handler", handler);
	uaef_json_text(&json, "initiated_by", initiated_by);
	uaef_json_text(&json, "request_id", event->id);
	if (claims != NULL)
	{
		uaef_json_text(&json, "subject", uaef_json_get_text(claims, "sub"));
		uaef_json_text(&json, "token_id", uaef_json_get_text(claims, "jti"));
	}
	record.payload = uaef_json_end(&json);
	(void) uaef_ledger_record(&record);
}

/*----------
 * Workflows
 * ----------
 */

static void
run_trigger(const UaefHandlerEvent *event, Jsonb *claims,
			UaefHandlerAnswer *answer)
{
	UaefBuilder builder;
	UaefObject	request = request_object(&builder, uaef_event_request(event));
	UaefStart	start;
	UaefJson	json;
	Shown		shown;
	pg_uuid_t	id;

	read_start(event, &request, &start);
	id = uaef_engine_start(&start);
	record_request(&id, "handle_workflow_trigger",
				   uaef_read_text(&request, "initiated_by", false), event,
				   claims);
	show(&id, &shown);
	uaef_json_begin(&json);
	uaef_json_uuid(&json, "execution_id", &id);
	uaef_json_text(&json, "status", shown.status);
	uaef_json_text(&json, "workflow_name", shown.name);
	uaef_answer_json(answer, uaef_json_end(&json));
}

const UaefHandler uaef_handler_trigger = {
	"handle_workflow_trigger", true, run_trigger
};

/*
 * The input of a scheduled start, with what is known of its tick.
 */
static Jsonb *
scheduled_input(const UaefStart *start, const char *schedule,
				const char *triggered_at, Jsonb *metadata)
{
	UaefJson	tick;
	UaefJson	json;

	uaef_json_begin(&tick);
	uaef_json_text(&tick, "name", schedule);
	uaef_json_text(&tick, "triggered_at", triggered_at);
	if (metadata != NULL)
	{
		uaef_json_text(&tick, "schedule",
					   uaef_json_get_text(metadata, "schedule"));
		uaef_json_text(&tick, "last_run",
					   uaef_json_get_text(metadata, "last_run"));
	}
	uaef_json_begin(&json);
	uaef_json_members(&json, start->input);
	uaef_json_jsonb(&json, "_schedule", uaef_json_end(&tick));
	return uaef_json_end(&json);
}

/*
 * "2026-01-31 12:00" of a time in ISO 8601.
 */
static char *
minute_of(const char *time)
{
	char	   *minute = pnstrdup(time, pg_mbcliplen(time, strlen(time), 16));

	if (strlen(minute) == 16 && minute[10] == 'T')
		minute[10] = ' ';
	return minute;
}

static void
run_schedule(const UaefHandlerEvent *event, Jsonb *claims,
			 UaefHandlerAnswer *answer)
{
	UaefBuilder builder;
	UaefObject	request = request_object(&builder, uaef_event_request(event));
	const char *schedule = uaef_read_text(&request, "schedule_name", false);
	const char *time = event->time != NULL ? event->time :
		uaef_read_text(&request, "time", false);
	UaefStart	start;
	UaefJson	json;
	Shown		shown;
	pg_uuid_t	id;

	if (schedule == NULL)
		schedule = "unnamed";
	if (time == NULL)
		time = uaef_time_text(uaef_clock_now());
	read_start(event, &request, &start);
	start.input = scheduled_input(&start, schedule, time,
								  uaef_read_document(&request, "metadata"));
	if (start.name == NULL)
		start.name = psprintf("%s - %s", schedule, minute_of(time));
	id = uaef_engine_start(&start);
	record_request(&id, "handle_schedule", schedule, event, claims);
	show(&id, &shown);
	uaef_json_begin(&json);
	uaef_json_text(&json, "schedule", schedule);
	uaef_json_uuid(&json, "execution_id", &id);
	uaef_json_text(&json, "status", shown.status);
	uaef_json_time(&json, "started_at", shown.started_at);
	uaef_answer_json(answer, uaef_json_end(&json));
}

const UaefHandler uaef_handler_schedule = {
	"handle_schedule", true, run_schedule
};

/*----------
 * Tasks
 * ----------
 */

static pg_uuid_t *
read_uuid(const UaefObject *request, const char *key)
{
	char	   *text = uaef_read_text(request, key, false);

	if (text == NULL)
		return NULL;
	return DatumGetUUIDP(DirectFunctionCall1(uuid_in, CStringGetDatum(text)));
}

/*
 * The id of a task, as a number or as a text; 0: none.
 */
static int64
read_task_id(const UaefObject *request)
{
	JsonbValue	value;
	char	   *text;

	if (!uaef_read_value(request, "task_id", &value))
		return 0;
	text = value.type == jbvNumeric ?
		DatumGetCString(DirectFunctionCall1(numeric_out,
											NumericGetDatum(value.val.numeric))) :
		uaef_read_text(request, "task_id", true);
	return DatumGetInt64(DirectFunctionCall1(int8in, CStringGetDatum(text)));
}

/*
 * Run what is ready of an execution here and now.
 */
static void
run_execution(const UaefObject *request, const pg_uuid_t *id, UaefJson *json)
{
	int			executed = uaef_sql_run_here(id);
	Shown		shown;

	show(id, &shown);
	uaef_json_uuid(json, "execution_id", id);
	uaef_json_int(json, "executed", executed);
	uaef_json_text(json, "status", shown.status);
}

static Jsonb *
claim_json(const UaefClaim *claim)
{
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_int(&json, "task_id", claim->task_id);
	uaef_json_uuid(&json, "execution_id", &claim->execution_id);
	uaef_json_text(&json, "workflow", claim->workflow);
	uaef_json_text(&json, "task", claim->task);
	if (claim->item != UAEF_NO_ITEM)
		uaef_json_int(&json, "item", claim->item);
	uaef_json_int(&json, "attempt", claim->attempt);
	uaef_json_jsonb(&json, "input", claim->input);
	uaef_json_uuid(&json, "lease_token", &claim->lease_token);
	uaef_json_time(&json, "lease_expires_at", claim->lease_expires_at);
	return uaef_json_end(&json);
}

/*
 * Claim tasks of a queue for a worker.
 */
static void
run_claim(const UaefObject *request, UaefJson *json)
{
	char	   *queue = uaef_queue_key(uaef_read_text(request, "queue", true),
									   NULL);
	UaefClaimRequest claim = {
		.worker = uaef_read_text(request, "worker", true),
		.n_keys = 1,
		.keys = &queue,
		.limit = uaef_read_int(request, "max_tasks", 1, 1, MAX_CLAIM),
		.lease_us = uaef_read_duration(request, "lease", 0) * 1000
	};
	JsonbParseState *state = NULL;
	UaefClaim  *claims;
	int			n;

	claims = uaef_claim_tasks(&claim, &n);
	(void) pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < n; i++)
	{
		JsonbValue	value;

		uaef_document_value(claim_json(&claims[i]), &value);
		(void) pushJsonbValue(&state, WJB_ELEM, &value);
	}
	uaef_json_jsonb(json, "tasks",
					JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY,
													 NULL)));
}

/*
 * A result of a task, or a sign of life.
 */
static void
run_result(const UaefObject *request, int64 task_id, UaefJson *json)
{
	pg_uuid_t  *token = read_uuid(request, "lease_token");
	JsonbValue	output;
	JsonbValue	error;
	const char *status = "completed";

	if (uaef_read_value(request, "output", &output) &&
		uaef_read_value(request, "error", &error))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("output and error exclude each other")));
	if (uaef_read_value(request, "output", &output))
		uaef_claim_complete(task_id, uaef_json_from_value(&output), token);
	else if (uaef_read_value(request, "error", &output))
	{
		UaefFailure failure = {
			.code = "task_error",
			.message = uaef_clip(uaef_read_text(request, "error", true)),
			.transient = uaef_read_bool(request, "retryable", true)
		};

		status = uaef_claim_fail(task_id, &failure, token);
	}
	else if (token != NULL && uaef_read_value(request, "extend", &output))
	{
		int64		us = uaef_read_duration(request, "extend", 0) * 1000;

		uaef_json_time(json, "lease_expires_at",
					   uaef_claim_heartbeat(task_id, token, us, NULL));
		status = "running";
	}
	else
		required("output, error or extend");
	uaef_json_int(json, "task_id", task_id);
	uaef_json_text(json, "status", status);
}

static void
run_task(const UaefHandlerEvent *event, Jsonb *claims,
		 UaefHandlerAnswer *answer)
{
	UaefBuilder builder;
	UaefObject	request = request_object(&builder, uaef_event_request(event));
	int64		task_id = read_task_id(&request);
	pg_uuid_t  *execution_id = read_uuid(&request, "execution_id");
	JsonbValue	queue;
	UaefJson	json;

	uaef_json_begin(&json);
	if (task_id != 0)
		run_result(&request, task_id, &json);
	else if (execution_id != NULL)
		run_execution(&request, execution_id, &json);
	else if (uaef_read_value(&request, "queue", &queue))
		run_claim(&request, &json);
	else
		required("task_id, execution_id or queue");
	uaef_answer_json(answer, uaef_json_end(&json));
}

const UaefHandler uaef_handler_task = {
	"handle_task_execution", true, run_task
};

/*----------
 * Webhooks
 * ----------
 */

/*
 * {"status": "received", "result": {...}}
 */
static Jsonb *
webhook_json(const UaefInboundAnswer *received)
{
	UaefJson	result;
	UaefJson	json;

	uaef_json_begin(&result);
	uaef_json_bool(&result, "processed",
				   strcmp(received->outcome, "accepted") == 0);
	uaef_json_text(&result, "outcome", received->outcome);
	if (received->inbox_id != 0)
		uaef_json_int(&result, "inbox_id", received->inbox_id);
	if (received->has_execution)
		uaef_json_uuid(&result, "execution_id", &received->execution_id);
	uaef_json_begin(&json);
	uaef_json_text(&json, "status", "received");
	uaef_json_jsonb(&json, "result", uaef_json_end(&result));
	return uaef_json_end(&json);
}

static void
run_webhook(const UaefHandlerEvent *event, Jsonb *claims,
			UaefHandlerAnswer *answer)
{
	const char *source = uaef_event_parameter(event, "source");
	UaefInboundAnswer received;

	if (source == NULL && event->shape == UAEF_EVENT_HTTP)
		source = uaef_header(&event->headers, "x-webhook-source");
	if (source == NULL)
		required("a webhook source (path parameter \"source\", or header X-Webhook-Source)");
	if (!event->has_bytes)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the body must be the text or base64 that was sent: signatures are of its bytes")));
	uaef_inbound_receive(source, event->header_document, event->bytes,
						 &received);
	if (received.json == NULL)
		answer->body = received.text;
	else
		uaef_answer_json(answer, received.status == 200 &&
						 strcmp(received.outcome, "challenge") != 0 ?
						 webhook_json(&received) : received.json);
	answer->status = received.status;
	answer->content_type = received.content_type;
}

const UaefHandler uaef_handler_webhook = {
	"handle_webhook", false, run_webhook
};
