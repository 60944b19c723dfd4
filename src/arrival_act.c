/*-------------------------------------------------------------------------
 *
 * arrival_act.c
 *	  What is done with what arrives, by webhook or from a queue: doing it.
 *
 * All of it is done as the role that owns the source, with the rights that it
 * has at that time, whoever hands in what has arrived.  Nothing of a user runs
 * here: a start only fills in templates and evaluates conditions.
 *
 * Locking: what a start, a signal or a completion locks.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/syscache.h"
#include "utils/uuid.h"

#include "access.h"
#include "arrival_act.h"
#include "claim.h"
#include "definition.h"
#include "engine.h"
#include "errcodes.h"
#include "failure.h"
#include "json_util.h"
#include "spi_util.h"
#include "workflow_signal.h"

static UaefQuery find_started = {
	"SELECT execution_id FROM uaef.workflow_start_key"
	" WHERE workflow = $1 AND idempotency_key = $2",
	2, {TEXTOID, TEXTOID}
};

static UaefQuery find_task = {
	"SELECT task_id FROM uaef.task_execution"
	" WHERE execution_id = $1 AND task = $2 AND item = $3",
	3, {UUIDOID, TEXTOID, INT4OID}
};

static int64
bigint_of(const UaefObject *what, const char *key)
{
	char	   *text = uaef_arrival_text(what, key, true);

	return DatumGetInt64(DirectFunctionCall1(int8in, CStringGetDatum(text)));
}

/*
 * The value of a member of any type, as a document; NULL when it is missing.
 */
static Jsonb *
document_of(const UaefObject *what, const char *key)
{
	JsonbValue	value;

	if (!uaef_read_value(what, key, &value))
		return NULL;
	return uaef_json_from_value(&value);
}

static Jsonb *
body_of(Jsonb *data)
{
	JsonbValue	value;

	return uaef_json_get(data, "body", &value) ? uaef_json_from_value(&value) :
		uaef_json_empty();
}

static void
act_start(const UaefObject *what, const UaefArrival *arrival,
		  UaefArrivalOutcome *outcome)
{
	UaefStart	start = {
		.workflow = uaef_read_text(what, "workflow", true),
		.version = uaef_read_int(what, "version", 0, 1, PG_INT32_MAX),
		.idempotency_key = uaef_arrival_text(what, "idempotency_key", false),
		.name = uaef_arrival_text(what, "name", false),
		.priority = uaef_read_int(what, "priority", 0, PG_INT32_MIN,
								  PG_INT32_MAX),
		.input = document_of(what, "input"),
		.session_role = arrival->owner
	};

	if (start.input == NULL)
		start.input = body_of(arrival->data);
	if (!JB_ROOT_IS_OBJECT(start.input))
	{
		UaefJson	json;

		uaef_json_begin(&json);
		uaef_json_jsonb(&json, "body", start.input);
		start.input = uaef_json_end(&json);
	}
	if (start.idempotency_key == NULL)
		start.idempotency_key = pstrdup(arrival->key);
	outcome->execution_id = uaef_engine_start(&start);
	outcome->has_execution = true;
}

/*
 * The execution that an action is about.
 */
static pg_uuid_t
find_execution(const UaefObject *what)
{
	char	   *execution = uaef_read_text(what, "execution", false);
	UaefCaller	back;
	Datum		args[2];
	pg_uuid_t	id;

	if (execution != NULL)
		return *DatumGetUUIDP(DirectFunctionCall1(uuid_in,
												  CStringGetDatum(execution)));
	args[0] = CStringGetTextDatum(uaef_read_text(what, "workflow", true));
	args[1] = CStringGetTextDatum(uaef_arrival_text(what, "key", true));
	back = uaef_spi_begin();
	if (uaef_spi_run(&find_started, args, NULL) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_UNDEFINED_EXECUTION),
				 errmsg("no execution of workflow \"%s\" was started with idempotency key \"%s\"",
						TextDatumGetCString(args[0]),
						TextDatumGetCString(args[1]))));
	id = uaef_spi_uuid(0, 1);
	uaef_spi_end(back);
	return id;
}

static void
act_signal(const UaefObject *what, const UaefArrival *arrival,
		   UaefArrivalOutcome *outcome)
{
	Jsonb	   *payload = document_of(what, "payload");

	outcome->execution_id = find_execution(what);
	outcome->has_execution = true;
	(void) uaef_signal_send(&outcome->execution_id,
							uaef_read_text(what, "signal", true),
							payload == NULL ? body_of(arrival->data) : payload,
							pstrdup(arrival->key));
}

/*
 * The external task that an action is about.
 */
static int64
find_task_id(const UaefObject *what, UaefArrivalOutcome *outcome)
{
	JsonbValue	value;
	UaefCaller	back;
	Datum		args[3];
	int64		task_id;
	char	   *task;

	if (uaef_read_value(what, "task_id", &value))
		return bigint_of(what, "task_id");
	outcome->execution_id = find_execution(what);
	outcome->has_execution = true;
	task = uaef_read_text(what, "task", true);
	args[0] = UUIDPGetDatum(&outcome->execution_id);
	args[1] = CStringGetTextDatum(task);
	args[2] = Int32GetDatum(uaef_read_int(what, "item", UAEF_NO_ITEM, 0,
										  PG_INT32_MAX));
	back = uaef_spi_begin();
	if (uaef_spi_run(&find_task, args, NULL) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_UNDEFINED_TASK),
				 errmsg("task \"%s\" of the execution has not begun", task)));
	task_id = uaef_spi_int64(0, 1);
	uaef_spi_end(back);
	return task_id;
}

static void
act_complete(const UaefObject *what, const UaefArrival *arrival,
			 UaefArrivalOutcome *outcome)
{
	Jsonb	   *output = document_of(what, "output");

	outcome->task_id = find_task_id(what, outcome);
	uaef_claim_complete(outcome->task_id, output == NULL ? body_of(arrival->data) :
						output, NULL);
}

static void
act_fail(const UaefObject *what, UaefArrivalOutcome *outcome)
{
	char	   *message = uaef_arrival_text(what, "error", false);
	char	   *code = uaef_arrival_code(what);
	UaefFailure failure = {
		.code = code == NULL ? "task_error" : code,
		.message = message == NULL ? "what arrived says that it failed" :
		uaef_clip(message),
		.transient = uaef_read_bool(what, "retryable", false)
	};

	failure.final = !failure.transient;
	outcome->task_id = find_task_id(what, outcome);
	(void) uaef_claim_fail(outcome->task_id, &failure, NULL);
}

/*
 * Whether a rule fits.
 */
static bool
fits(const UaefArrivalRule *rule, UaefScope *scope)
{
	UaefEvalError error = {0};
	bool		result = true;

	if (rule->when == NULL ||
		uaef_condition_eval(rule->when, scope, &result, &error))
		return result;
	if (error.sqlstate != ERRCODE_UAEF_MISSING_PATH)
		uaef_eval_raise(&error);
	return false;
}

static void
require_rights(const UaefArrival *arrival, UaefArrivalAction action)
{
	static const char *const needed[] = {
		[UAEF_ARRIVAL_START] = "start_workflow",
		[UAEF_ARRIVAL_SIGNAL] = "signal_workflow",
		[UAEF_ARRIVAL_COMPLETE] = "complete_task",
		[UAEF_ARRIVAL_FAIL] = "fail_task"
	};

	uaef_access_require(arrival->owner, needed[action], arrival->source);
}

static void
act(const UaefArrival *arrival, const UaefArrivalRule *rule, Jsonb *filled,
	UaefArrivalOutcome *outcome)
{
	UaefBuilder builder = {0};
	UaefObject	what = uaef_arrival_filled(rule->action, outcome->rule,
										   &builder, filled);

	switch (rule->action)
	{
		case UAEF_ARRIVAL_START:
			act_start(&what, arrival, outcome);
			break;
		case UAEF_ARRIVAL_SIGNAL:
			act_signal(&what, arrival, outcome);
			break;
		case UAEF_ARRIVAL_COMPLETE:
			act_complete(&what, arrival, outcome);
			break;
		case UAEF_ARRIVAL_FAIL:
			act_fail(&what, outcome);
			break;
		case UAEF_ARRIVAL_IGNORE:
			break;
	}
}

void
uaef_arrival_act(const UaefArrivalRules *rules, const UaefArrival *arrival,
				 UaefArrivalOutcome *outcome)
{
	UaefScope	scope = {.document = arrival->data};
	UaefEvalError error = {0};
	const UaefArrivalRule *rule = NULL;
	UaefCaller	back;
	Jsonb	   *filled;

	memset(outcome, 0, sizeof(*outcome));
	for (int i = 0; i < rules->n && rule == NULL; i++)
	{
		if (!fits(&rules->rules[i], &scope))
			continue;
		rule = &rules->rules[i];
		outcome->rule = i + 1;
		outcome->action = uaef_arrival_action_name(rule->action);
	}
	outcome->ignored = rule == NULL || rule->action == UAEF_ARRIVAL_IGNORE;
	if (outcome->ignored)
		return;
	filled = uaef_template_fill(rule->what, &scope, &error);
	if (filled == NULL)
		uaef_eval_raise(&error);
	require_rights(arrival, rule->action);
	GetUserIdAndSecContext(&back.user, &back.sec_context);
	SetUserIdAndSecContext(arrival->owner, back.sec_context |
						   SECURITY_LOCAL_USERID_CHANGE);
	act(arrival, rule, filled, outcome);
	uaef_become_caller(back);
}

void
uaef_arrival_warn(const UaefArrivalRules *rules)
{
	for (int i = 0; i < rules->n; i++)
	{
		const char *name = rules->rules[i].workflow;
		const char *hint;

		if (name == NULL || uaef_definition_look_up(name, 0) != 0)
			continue;
		hint = uaef_definition_hint(name);
		ereport(WARNING,
				(errcode(ERRCODE_UAEF_UNDEFINED_WORKFLOW),
				 errmsg("workflow \"%s\" does not exist", name),
				 errdetail("Rule %d of \"on\" fails until it does.", i + 1),
				 errhint("%s", hint)));
	}
}
