/*-------------------------------------------------------------------------
 *
 * retry.c
 *	  Going on with an execution that failed or was cancelled.
 *
 * What is to run again becomes pending, and the edges of what stays are
 * resolved anew (uaef_advance_again), so that no counter has to be guessed
 * back.  Skipped tasks are always reset: they follow from the others.  Numbers of
 * attempts go on, so that timers, leases and deliveries of former attempts
 * stay those of former attempts; only the count for max_attempts begins anew.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/timestamp.h"

#include "advance.h"
#include "compensation.h"
#include "errcodes.h"
#include "failure.h"
#include "own_execution.h"
#include "retry.h"
#include "spi_util.h"
#include "start_once.h"
#include "uuid7.h"

bool *
uaef_tasks_from(const UaefDefinition *def, int no)
{
	bool	   *found = palloc0(sizeof(bool) * def->n_tasks);
	int		   *stack = palloc(sizeof(int) * def->n_tasks);
	int			n = 0;

	found[no] = true;
	stack[n++] = no;
	while (n > 0)
	{
		const UaefTaskDef *task = &def->tasks[stack[--n]];

		for (int i = 0; i < task->n_out; i++)
		{
			int			to = def->edges[task->out[i]].to;

			if (!found[to])
				stack[n++] = to;
			found[to] = true;
		}
	}
	return found;
}

int
uaef_require_task_no(const UaefDefinition *def, const char *id)
{
	int			no = uaef_definition_task_no(def, id, strlen(id));

	if (no < 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_UNDEFINED_TASK),
				 errmsg("task \"%s\" does not exist in version %d of workflow \"%s\"",
						id, def->version, def->name)));
	return no;
}

/*
 * Whether a task that ended runs again of itself.  A failure that the
 * definition lets pass as if completed is a result like another.
 */
static bool
runs_again(const UaefTask *task)
{
	switch (task->status)
	{
		case UAEF_TASK_CANCELLED:
		case UAEF_TASK_SKIPPED:
			return true;
		case UAEF_TASK_FAILED:
			return task->def->on_failure != UAEF_FAIL_CONTINUE;
		default:
			return false;
	}
}

/*
 * A map goes on with the items it has, unless what comes before it, and so
 * perhaps its list, changes.
 */
static void
reset(UaefTask *task, bool anew)
{
	if (task->items_total >= 0 && anew)
	{
		uaef_execution_delete_items(task->execution, task->no);
		task->items_total = -1;
		task->items_started = 0;
		task->items_completed = 0;
		task->items_failed = 0;
		task->items_redo = 0;
	}
	uaef_task_reset(task);
}

/*
 * Reset what is to run again; returns the ids, but for skipped tasks.
 */
static int
reset_tasks(UaefExecution *execution, const bool *from, char **ids)
{
	int			n = 0;

	uaef_execution_load_tasks(execution);
	for (int no = 0; no < execution->def->n_tasks; no++)
	{
		UaefTask   *task = execution->tasks[no];
		bool		anew = from != NULL && from[no];

		if (task == NULL || !(anew || runs_again(task)))
			continue;
		if (task->status != UAEF_TASK_SKIPPED)
			ids[n++] = execution->def->tasks[no].id;
		reset(task, anew);
	}
	return n;
}

static void
require_unsuccessful(const UaefExecution *execution)
{
	bool		completed = execution->status == UAEF_EXECUTION_COMPLETED;

	if (execution->status == UAEF_EXECUTION_FAILED ||
		execution->status == UAEF_EXECUTION_CANCELLED)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_UAEF_ILLEGAL_TRANSITION),
			 errmsg("execution %s is %s and cannot be retried",
					uaef_uuid_text(&execution->id),
					uaef_execution_status_name(execution->status)),
			 completed ?
			 errdetail("What completed may have been settled, which is done once.") : 0,
			 completed ?
			 errhint("Use uaef.fork_workflow() for a new execution that begins at one of its tasks.") :
			 errhint("Only an execution that failed or was cancelled can be retried.")));
}

/*
 * What was undone is not there for the rest to go on from, and a child goes on
 * only as a task of its parent.
 */
static void
require_not_undone(const UaefExecution *execution)
{
	if (execution->has_parent)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_ILLEGAL_TRANSITION),
				 errmsg("execution %s was begun by a task of another and cannot be retried",
						uaef_uuid_text(&execution->id)),
				 errdetail("Its parent is execution %s.",
						   uaef_uuid_text(&execution->parent_id)),
				 errhint("Retry the parent, whose task begins a new one, or use uaef.fork_workflow().")));
	if (uaef_compensation_was_begun(execution))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_ILLEGAL_TRANSITION),
				 errmsg("execution %s was compensated and cannot be retried",
						uaef_uuid_text(&execution->id)),
				 errdetail("What it did has been undone, as far as that was possible."),
				 errhint("Use uaef.fork_workflow(), which runs again what was undone, or start a new execution.")));
}

void
uaef_retry_execution(UaefExecution *execution, const char *from_task,
					 const char *reason)
{
	const UaefDefinition *def = execution->def;
	char	  **ids = palloc(sizeof(char *) * def->n_tasks);
	bool	   *from = NULL;
	int			n;
	UaefJson	json;

	require_unsuccessful(execution);
	require_not_undone(execution);
	uaef_start_once_again(execution);
	if (from_task != NULL)
		from = uaef_tasks_from(def, uaef_require_task_no(def, from_task));
	n = reset_tasks(execution, from, ids);

	uaef_json_begin(&json);
	uaef_json_text(&json, "from",
				   uaef_execution_status_name(execution->status));
	uaef_json_text(&json, "from_task", from_task);
	uaef_json_text(&json, "reason", uaef_clip(reason));
	uaef_json_jsonb(&json, "error", execution->error);
	uaef_json_texts(&json, "tasks", ids, n);
	uaef_step_event(execution, NULL, "workflow_retried",
					uaef_json_end(&json));

	execution->error = NULL;
	execution->output = NULL;
	execution->completed_at = 0;
	uaef_advance_again(execution);
	uaef_execution_set_deadline(execution, execution->step->now);
}

void
uaef_engine_retry(const pg_uuid_t *id, const char *from_task,
				  const char *reason)
{
	Oid			caller = GetUserId();
	UaefCaller	back = uaef_spi_begin();
	UaefStep   *step = uaef_step_begin("user",
									   GetUserNameFromId(caller, false));

	uaef_retry_execution(uaef_lock_own_execution(step, id, caller), from_task,
						 reason);
	uaef_step_write(step);
	uaef_spi_end(back);
}
