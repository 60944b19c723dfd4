/*-------------------------------------------------------------------------
 *
 * wait_task.c
 *	  Waits: for a while, or until a time.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "advance.h"
#include "errcodes.h"
#include "task_kind.h"
#include "wait_task.h"

static void hand_out_wait(UaefTask *task);

const UaefTaskKind uaef_wait_task = {.hand_out = hand_out_wait};

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
hand_out_wait(UaefTask *task)
{
	const UaefWaitConfig *config = &task->def->config.wait;
	UaefExecution *execution = task->execution;
	UaefEvalError error = {0};
	TimestampTz due = execution->step->now + config->for_ms * 1000;

	if (config->for_ms < 0 &&
		!evaluate_until(config->until, uaef_task_scope(task), &due, &error))
	{
		uaef_advance_fail_evaluation(task, &error);
		return;
	}
	uaef_task_become(task, UAEF_TASK_RUNNING);
	task->started_at = execution->step->now;
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
