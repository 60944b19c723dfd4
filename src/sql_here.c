/*-------------------------------------------------------------------------
 *
 * sql_here.c
 *	  Running SQL tasks in the caller's own transaction.
 *
 * The caller's session is not an executor's: it may have reached the role by
 * SET ROLE, so a task must not be able to go back to who is logged in.  That is
 * what SECURITY_LOCAL_USERID_CHANGE is for.
 *
 * A task's SQL may change its own execution, so the execution is loaded anew
 * after each.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/guc.h"

#include "advance.h"
#include "errcodes.h"
#include "failure.h"
#include "own_execution.h"
#include "policy_check.h"
#include "spi_util.h"
#include "sql_here.h"
#include "sql_run.h"
#include "task_input.h"
#include "wake.h"

/*
 * A queued SQL task of the execution that nobody is running, taken out of the
 * ready set; NULL when there is none.
 */
static UaefTask *
take_queued(UaefExecution *execution)
{
	ListCell   *cell;

	if (execution->status != UAEF_EXECUTION_RUNNING)
		return NULL;
	foreach(cell, uaef_execution_open_tasks(execution))
	{
		UaefTask   *task = lfirst(cell);

		if (uaef_task_sql(task->def) != NULL &&
			uaef_task_stands_ready(task) && uaef_step_unready(task))
			return task;
	}
	return NULL;
}

/*
 * Whether a task, its items or what undoes it has limits.
 */
static bool
is_limited(const UaefTaskDef *task)
{
	return task->n_limits > 0 ||
		(task->type == UAEF_TASK_PARALLEL &&
		 task->config.parallel.over != NULL &&
		 task->config.parallel.task->n_limits > 0) ||
		(task->compensate != NULL && task->compensate->n_limits > 0);
}

/*
 * Where there is no worker, we let waiting tasks run.  Where there is one, it
 * would be kept from granting anything to others until our transaction ends.
 */
static void
grant_limits(UaefExecution *execution)
{
	TimestampTz next;

	if (uaef_worker_is_there())
		return;
	for (int i = 0; i < execution->def->n_tasks; i++)
	{
		if (!is_limited(&execution->def->tasks[i]))
			continue;
		uaef_engine_grant_limits(&next);
		uaef_wake_worker_on_commit(UAEF_WAKE_LIMITS);
		return;
	}
}

static void
require_starter(const UaefExecution *execution, Oid caller)
{
	if (caller != execution->initiated_by)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("SQL tasks of this execution run as role \"%s\" only",
						uaef_role_name(execution->initiated_by))));
}

/*
 * Run one task as the caller.  Its names are looked up as an executor would:
 * by the search_path that the role has by default.
 */
static void
run_as_caller(UaefSqlJob *job, UaefCaller caller)
{
	int			guc_level = NewGUCNestLevel();

	(void) set_config_option("search_path",
							 GetConfigOptionResetString("search_path"),
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
	caller.sec_context |= SECURITY_LOCAL_USERID_CHANGE;
	uaef_become_caller(caller);
	uaef_sql_run(job, false);
	(void) uaef_become_owner();
	AtEOXact_GUC(true, guc_level);
}

/*
 * Claim a task and run it; false when there was none.
 */
static bool
claim_and_run(UaefSqlJob *job, const pg_uuid_t *id, const char *actor,
			  UaefCaller caller)
{
	UaefStep   *step = uaef_step_begin("user", actor);
	UaefExecution *execution = uaef_lock_own_execution(step, id, caller.user);
	UaefTask   *task;
	UaefEvalError error = {0};

	grant_limits(execution);
	task = take_queued(execution);
	if (task == NULL)
		return false;
	require_starter(execution, caller.user);
	job->task = task;
	job->ref.task_no = task->no;
	job->ref.item = task->item;
	job->ref.attempt = task->attempt;
	job->input = uaef_task_input(task, &error);
	job->guard = uaef_policy_guard(task);
	if (job->input == NULL)
		uaef_failure_from_eval(&job->failure, &error);
	else
		run_as_caller(job, caller);
	return true;
}

/*
 * Apply what a task gave, unless it has ended its own execution.
 */
static void
apply(UaefSqlJob *job, const pg_uuid_t *id, const char *actor, Oid caller)
{
	UaefStep   *step = uaef_step_begin("user", actor);
	UaefExecution *execution = uaef_lock_own_execution(step, id, caller);
	UaefTask   *task = uaef_execution_find(execution, job->ref.task_no,
										   job->ref.item);

	if (uaef_execution_ended(execution->status) || task == NULL ||
		!uaef_task_stands_ready(task) ||
		task->attempt != job->ref.attempt)
		return;
	uaef_sql_job_end(task, job);
	uaef_step_write(step);
}

int
uaef_sql_run_here(const pg_uuid_t *execution_id)
{
	char	   *actor = GetUserNameFromId(GetUserId(), false);
	int			n = 0;

	if (uaef_sql_running())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("a SQL task cannot run the tasks of an execution"),
				 errhint("Start the workflow, and let the worker run it.")));
	for (;;)
	{
		UaefCaller	caller = uaef_spi_begin();
		UaefSqlJob	job = {0};
		bool		found = claim_and_run(&job, execution_id, actor, caller);

		if (found)
			apply(&job, execution_id, actor, caller.user);
		uaef_spi_end(caller);
		if (!found)
			return n;
		n++;
	}
}
