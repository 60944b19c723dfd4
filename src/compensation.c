/*-------------------------------------------------------------------------
 *
 * compensation.c
 *	  Undoing what an execution did, before it fails or is cancelled.
 *
 * An execution that is to fail or be cancelled, and has completed tasks with
 * "compensate", stays as it is, with its coming status in "ending".  Its other
 * tasks are cancelled; the compensations run one after the other, the last
 * completed task's first, each as an item UAEF_COMPENSATION of its task.
 * What is left to do is read from the rows, so nothing of it can be lost.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "utils/timestamp.h"

#include "advance.h"
#include "compensation.h"
#include "errcodes.h"
#include "spi_util.h"
#include "uuid7.h"

static UaefQuery find_completed = {
	"SELECT t.task_no, t.completed_at FROM uaef.task_execution t"
	" WHERE execution_id = $1 AND item = -1 AND status = 'completed'"
	" AND NOT EXISTS (SELECT FROM uaef.task_execution c"
	"  WHERE c.execution_id = $1 AND c.task_no = t.task_no AND c.item = -2)",
	1, {UUIDOID}
};

static UaefQuery find_failed = {
	"SELECT task FROM uaef.task_execution"
	" WHERE execution_id = $1 AND item = -2 AND status = 'failed'"
	" ORDER BY completed_at, task_no",
	1, {UUIDOID}
};

static UaefQuery find_any = {
	"SELECT 1 FROM uaef.task_execution"
	" WHERE execution_id = $1 AND item = -2 LIMIT 1",
	1, {UUIDOID}
};

/*
 * The task that is to be compensated next, or -1: the one that completed last.
 * Of those that completed in one step, one that comes later in the graph.
 */
static int
next_task(UaefExecution *execution)
{
	const UaefTaskDef *tasks = execution->def->tasks;
	Datum		arg = UUIDPGetDatum(&execution->id);
	TimestampTz latest = 0;
	int			next = -1;
	uint64		found;

	uaef_step_write_tasks(execution->step);
	found = uaef_spi_run(&find_completed, &arg, NULL);
	for (uint64 row = 0; row < found; row++)
	{
		bool		isnull;
		int			no = DatumGetInt16(uaef_spi_value(row, 1, &isnull));
		TimestampTz completed_at =
			DatumGetTimestampTz(uaef_spi_value(row, 2, &isnull));

		if (tasks[no].compensate == NULL)
			continue;
		if (next < 0 || completed_at > latest ||
			(completed_at == latest && tasks[no].rank > tasks[next].rank))
		{
			next = no;
			latest = completed_at;
		}
	}
	SPI_freetuptable(SPI_tuptable);
	return next;
}

bool
uaef_compensation_was_begun(const UaefExecution *execution)
{
	Datum		arg = UUIDPGetDatum(&execution->id);

	return execution->def->n_compensated > 0 &&
		uaef_spi_run(&find_any, &arg, NULL) > 0;
}

bool
uaef_compensation_begin(UaefExecution *execution, UaefExecutionStatus ending)
{
	UaefJson	json;

	if (ending == UAEF_EXECUTION_COMPLETED || execution->no_compensation ||
		!uaef_execution_may_become(execution->status, ending) ||
		next_task(execution) < 0)
		return false;

	uaef_json_begin(&json);
	uaef_json_text(&json, "ending", uaef_execution_status_name(ending));
	uaef_json_jsonb(&json, "error", execution->error);
	uaef_step_event(execution, NULL, "workflow_compensating",
					uaef_json_end(&json));
	execution->is_ending = true;
	execution->ending = ending;
	execution->dirty = true;
	execution->compensate_next = true;
	uaef_advance_cancel_open_tasks(execution);

	/* Who cancels what is paused does not want to wait. */
	if (ending == UAEF_EXECUTION_CANCELLED &&
		execution->status == UAEF_EXECUTION_PAUSED)
		uaef_execution_become(execution, UAEF_EXECUTION_RUNNING);
	return true;
}

/*
 * Add what went wrong to the error of the execution.
 */
static void
add_to_error(UaefExecution *execution, const char *stopped)
{
	Datum		arg = UUIDPGetDatum(&execution->id);
	uint64		n;
	char	  **failed;
	UaefJson	json;

	uaef_step_write_tasks(execution->step);
	n = uaef_spi_run(&find_failed, &arg, NULL);
	failed = palloc(sizeof(char *) * Max(n, 1));
	for (uint64 row = 0; row < n; row++)
		failed[row] = uaef_spi_text(row, 1);
	SPI_freetuptable(SPI_tuptable);
	if (n == 0 && stopped == NULL)
		return;

	uaef_json_begin(&json);
	uaef_json_members(&json, execution->error);
	if (n > 0)
		uaef_json_texts(&json, "compensation_failed", failed, n);
	uaef_json_text(&json, "compensation_stopped", stopped);
	execution->error = uaef_json_end(&json);
}

/*
 * All that can be compensated is: the execution ends.
 */
static void
end_compensated(UaefExecution *execution, const char *stopped)
{
	add_to_error(execution, stopped);
	execution->is_ending = false;
	uaef_advance_end(execution, execution->ending);
}

/*
 * One that fails at once, for want of its input, is followed by the next one
 * here, not by a call of its own.
 */
void
uaef_compensation_go_on(UaefExecution *execution)
{
	while (execution->compensate_next)
	{
		int			no = next_task(execution);

		execution->compensate_next = false;
		if (no < 0)
			end_compensated(execution, NULL);
		else
			uaef_advance_dispatch_item(uaef_execution_new_compensation(execution,
																	   no));
	}
}

void
uaef_compensation_ended(UaefTask *compensation)
{
	UaefExecution *execution = compensation->execution;

	if (compensation->status == UAEF_TASK_COMPLETED)
		uaef_task_become(uaef_execution_task(execution, compensation->no),
						 UAEF_TASK_COMPENSATED);
	execution->compensate_next = true;
}

void
uaef_compensation_stop(UaefExecution *execution, const char *reason,
					   bool compensate)
{
	if (compensate)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_ILLEGAL_TRANSITION),
				 errmsg("execution %s is being compensated and will be %s",
						uaef_uuid_text(&execution->id),
						uaef_execution_status_name(execution->ending)),
				 errhint("Cancel it with compensate => false to end it without the compensations that are left.")));
	uaef_advance_cancel_open_tasks(execution);
	end_compensated(execution, reason != NULL ? reason : "cancelled");
}
