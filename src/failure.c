/*-------------------------------------------------------------------------
 *
 * failure.c
 *	  Failures of attempts: where they come from, and what retry makes of
 *	  them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "mb/pg_wchar.h"
#include "utils/timestamp.h"

#include "advance.h"
#include "errcodes.h"
#include "failure.h"
#include "policy_check.h"
#include "uuid7.h"

/* Classes of SQLSTATE that trying again cannot cure. */
static const char *const permanent_classes[] = {
	"0A",						/* feature not supported */
	"22",						/* data exception */
	"23",						/* integrity constraint violation */
	"28",						/* invalid authorization */
	"42",						/* syntax error or access rule violation */
	"UA",						/* our own: a path, a rule, a decision */
};

/* So many lost attempts make a task a poison. */
#define MAX_LOSSES 3

/* Longest time that a text of an error may take in a row or an event. */
#define MAX_MESSAGE 4000

/* Most places that the failure of a schema names. */
#define MAX_MISMATCHES 20

char *
uaef_clip(const char *text)
{
	if (text == NULL)
		return NULL;
	return pnstrdup(text, pg_mbcliplen(text, strlen(text), MAX_MESSAGE));
}

static bool
in_class(const char *code, const char *const *classes, int n)
{
	for (int i = 0; i < n; i++)
		if (strncmp(code, classes[i], strlen(classes[i])) == 0)
			return true;
	return false;
}

void
uaef_failure_set(UaefFailure *failure, int sqlstate, const char *message)
{
	memset(failure, 0, sizeof(UaefFailure));
	failure->code = pstrdup(unpack_sql_state(sqlstate));
	failure->message = message;
}

void
uaef_failure_timeout(UaefFailure *failure, const UaefTaskDef *def)
{
	uaef_failure_set(failure, ERRCODE_UAEF_TASK_TIMEOUT,
					 psprintf("task did not end within its timeout of %lld ms",
							  (long long) def->timeout_ms));
	failure->transient = true;
}

void
uaef_failure_from_eval(UaefFailure *failure, const UaefEvalError *error)
{
	uaef_failure_set(failure, error->sqlstate, error->message);
	failure->detail = error->detail != NULL ? error->detail : error->path;
}

bool
uaef_failure_unless_fits(UaefFailure *failure, const char *what,
						 const UaefSchema *schema, Jsonb *value)
{
	UaefEvalError error;
	List	   *mismatches;

	if (schema == NULL ||
		uaef_schema_failures(schema, value, MAX_MISMATCHES, &mismatches,
							 &error))
		return true;
	if (error.sqlstate != ERRCODE_UAEF_SCHEMA_MISMATCH)
	{
		uaef_failure_from_eval(failure, &error);
		return false;
	}
	uaef_failure_set(failure, error.sqlstate,
					 psprintf("%s does not fit its JSON Schema", what));
	failure->detail = uaef_clip(uaef_schema_failures_text(mismatches));
	return false;
}

void
uaef_failure_raise(const UaefFailure *failure)
{
	const char *code = failure->code;

	ereport(ERROR,
			(errcode(MAKE_SQLSTATE(code[0], code[1], code[2], code[3], code[4])),
			 errmsg_internal("%s", failure->message),
			 failure->detail ? errdetail_internal("%s", failure->detail) : 0));
}

bool
uaef_failure_is_refusal(const ErrorData *error)
{
	return in_class(unpack_sql_state(error->sqlerrcode), permanent_classes,
					lengthof(permanent_classes));
}

void
uaef_failure_from_error(UaefFailure *failure, const ErrorData *error)
{
	uaef_failure_set(failure, error->sqlerrcode, uaef_clip(error->message));
	failure->detail = uaef_clip(error->detail);
	failure->transient = !in_class(failure->code, permanent_classes,
								   lengthof(permanent_classes));
}

/*
 * What was transient for the child is so for who began it.  One that was
 * cancelled is not begun again: somebody wanted its end.
 */
void
uaef_failure_from_child(UaefFailure *failure, const UaefExecution *child)
{
	char	   *task = uaef_json_get_text(child->error, "task");

	memset(failure, 0, sizeof(UaefFailure));
	failure->code = uaef_json_get_text(child->error, "code");
	failure->message = uaef_json_get_text(child->error, "message");
	if (failure->message == NULL)
		failure->message = "its execution was cancelled";
	failure->detail = task != NULL ?
		psprintf("task \"%s\" of execution %s", task,
				 uaef_uuid_text(&child->id)) :
		psprintf("execution %s", uaef_uuid_text(&child->id));
	failure->transient = child->status == UAEF_EXECUTION_FAILED &&
		(strcmp(failure->code,
				unpack_sql_state(ERRCODE_UAEF_TASK_TIMEOUT)) == 0 ||
		 !in_class(failure->code, permanent_classes,
				   lengthof(permanent_classes)));
}

Jsonb *
uaef_failure_json(const UaefFailure *failure, const char *task, int attempt)
{
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_text(&json, "task", task);
	uaef_json_text(&json, "code", failure->code);
	uaef_json_text(&json, "message", failure->message);
	uaef_json_text(&json, "detail", failure->detail);
	uaef_json_jsonb(&json, "details", failure->details);
	if (attempt > 0)
		uaef_json_int(&json, "attempt", attempt);
	return uaef_json_end(&json);
}

/*
 * The list "on" of the definition decides alone, but for what "not_on" takes
 * out; without one, what is transient is tried again.  The attempts of an HTTP task are those of its
 * delivery, which knows whether the request may be sent once more; what it
 * tells at last is final.  So is what a policy denies.
 */
bool
uaef_failure_retries(const UaefTask *task, const UaefFailure *failure)
{
	const UaefRetry *retry = &task->def->retry;

	if (task->def->type == UAEF_TASK_HTTP ||
		task->def->type == UAEF_TASK_CONNECTOR || failure->final ||
		strcmp(failure->code, UAEF_POLICY_DENIED) == 0 ||
		task->attempt - task->attempts_before >= retry->max_attempts ||
		in_class(failure->code, (const char *const *) retry->not_on,
				 retry->n_not_on))
		return false;
	if (retry->n_on > 0)
		return in_class(failure->code, (const char *const *) retry->on,
						retry->n_on);
	return failure->transient;
}

bool
uaef_failure_lost(UaefTask *task)
{
	UaefFailure failure = {0};

	task->losses++;
	task->dirty = true;
	if (task->losses < MAX_LOSSES)
		return false;
	failure.code = "poison";
	failure.message = psprintf("%d attempts took their executor or worker with them",
							   task->losses);
	failure.final = true;
	uaef_advance_fail(task, &failure);
	return true;
}

/*
 * The time before the next attempt, in ms: grown by the factor for each one
 * made, capped, and spread so that many failures do not come back together.
 */
static int64
backoff_ms(const UaefRetry *retry, int attempt)
{
	double		delay = (double) retry->initial_ms;
	uint32		random_bits = 0;

	if (retry->exponential)
		delay *= pow(retry->factor, attempt - 1);
	delay = Min(delay, (double) retry->max_ms);
	if (retry->jitter > 0 &&
		pg_strong_random(&random_bits, sizeof(random_bits)))
		delay *= 1.0 - retry->jitter * (random_bits / (double) PG_UINT32_MAX);
	return (int64) delay;
}

void
uaef_failure_schedule_retry(UaefTask *task, const UaefFailure *failure)
{
	UaefExecution *execution = task->execution;
	int64		delay = Max(backoff_ms(&task->def->retry,
									   task->attempt - task->attempts_before),
							failure->retry_after_ms);
	TimestampTz due = execution->step->now + delay * 1000;
	UaefJson	json;

	task->error = uaef_failure_json(failure, NULL, task->attempt);
	task->lease_expires_at = 0;
	uaef_task_become(task, UAEF_TASK_PENDING);
	uaef_step_timer(execution, task, "retry", due);

	uaef_task_event_begin(&json, task);
	uaef_json_jsonb(&json, "error", task->error);
	uaef_json_time(&json, "retry_at", due);
	uaef_step_event(execution, task, "task_retry_scheduled",
					uaef_json_end(&json));
}

void
uaef_require_input(const UaefDefinition *def, Jsonb *input)
{
	UaefFailure failure;

	if (!uaef_failure_unless_fits(&failure,
								  psprintf("input of workflow \"%s\"",
										   def->name),
								  def->input_schema, input))
		uaef_failure_raise(&failure);
}
