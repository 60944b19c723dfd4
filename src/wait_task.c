/*-------------------------------------------------------------------------
 *
 * wait_task.c
 *	  Waits: for a while, until a time, or until a query is true.
 *
 * A query is run by an executor of the role that started the execution: the
 * task stands in the ready set, as a SQL task does, but is running all the
 * while.  When the query is not true a timer puts the task there again; that
 * writes neither the task's row nor an event.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "advance.h"
#include "errcodes.h"
#include "failure.h"
#include "task_kind.h"
#include "wait_task.h"

static void hand_out_wait(UaefTask *task);
static void begin_wait(UaefTask *task);
static void withdraw_wait(UaefTask *task);
static void time_out_wait(UaefTask *task);

const UaefTaskKind uaef_wait_task = {
	.hand_out = hand_out_wait,
	.withdraw = withdraw_wait,
	.time_out = time_out_wait
};

/*
 * Read a timestamp out of text; an unreadable one is a failure.
 *
 * timestamptz's input function raises, and there is no other way in all of
 * our versions to ask it; it opens nothing that an error would have to close.
 */
static bool
read_time(char *text, TimestampTz *time, UaefEvalError *error)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool good = true;

	PG_TRY();
	{
		*time = DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in,
														CStringGetDatum(text),
														ObjectIdGetDatum(InvalidOid),
														Int32GetDatum(-1)));
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		FlushErrorState();
		good = false;
	}
	PG_END_TRY();

	if (!good)
		uaef_eval_fail(error, ERRCODE_UAEF_WRONG_TYPE, "until", text,
					   "\"until\" is not a time: \"%s\"", text);
	return good;
}

/*
 * The time that "until" gives.
 */
static bool
evaluate_until(const UaefTemplate *until, UaefScope *scope, TimestampTz *due,
			   UaefEvalError *error)
{
	char	   *text = uaef_template_fill_text(until, scope, UAEF_ENCODE_TEXT,
											   error);

	return text != NULL && read_time(text, due, error);
}

static void
begin_wait(UaefTask *task)
{
	UaefStep   *step = task->execution->step;

	uaef_task_become(task, UAEF_TASK_RUNNING);
	task->started_at = step->now;
	if (task->def->timeout_ms > 0)
		uaef_step_timer(task->execution, task, "timeout",
						step->now + task->def->timeout_ms * 1000);
}

static void
hand_out_wait(UaefTask *task)
{
	const UaefWaitConfig *config = &task->def->config.wait;
	UaefExecution *execution = task->execution;
	UaefEvalError error = {0};
	TimestampTz due = execution->step->now + config->for_ms * 1000;

	if (config->query.sql != NULL)
	{
		begin_wait(task);
		uaef_wait_task_look(task);
		return;
	}
	if (config->for_ms < 0 &&
		!evaluate_until(config->until, uaef_task_scope(task), &due, &error))
	{
		uaef_advance_fail_evaluation(task, &error);
		return;
	}
	begin_wait(task);
	uaef_step_timer(execution, task, "wait", due);
}

void
uaef_wait_task_fire(UaefTask *task)
{
	UaefJson	json;

	if (task->status != UAEF_TASK_RUNNING)
		return;
	uaef_json_begin(&json);
	uaef_json_time(&json, "woke_at", task->execution->step->now);
	uaef_advance_complete(task, uaef_json_end(&json), NULL);
}

void
uaef_wait_task_look(UaefTask *task)
{
	UaefStep   *step = task->execution->step;

	if (uaef_task_stands_ready(task))
		step->ready = lappend(step->ready, task);
}

void
uaef_wait_task_again(UaefTask *task)
{
	UaefExecution *execution = task->execution;

	uaef_step_timer(execution, task, "query", execution->step->now +
					task->def->config.wait.every_ms * 1000);
}

/*
 * Whoever is running the query finds that nobody wants its answer.
 */
static void
withdraw_wait(UaefTask *task)
{
	if (uaef_task_sql(task->def) != NULL && task->stored)
		uaef_step_unready_ended(task);
}

/*
 * What was waited for did not come in time: a label for the edges, or a
 * failure.
 */
static void
time_out_wait(UaefTask *task)
{
	UaefFailure failure;
	UaefJson	json;

	withdraw_wait(task);
	if (task->def->has_labels)
	{
		uaef_json_begin(&json);
		uaef_json_bool(&json, "timed_out", true);
		uaef_advance_complete(task, uaef_json_end(&json), "timeout");
		return;
	}
	uaef_failure_timeout(&failure, task->def);
	uaef_advance_fail(task, &failure);
}
