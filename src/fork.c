/*-------------------------------------------------------------------------
 *
 * fork.c
 *	  New executions that take over what another one has done.
 *
 * The source is locked, so that what is taken over is of one moment, and stays
 * as it is.  Only results are copied; which ways they open, and what is
 * skipped, follows from them as it does in any execution.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/timestamp.h"

#include "advance.h"
#include "digest.h"
#include "errcodes.h"
#include "failure.h"
#include "fork.h"
#include "own_execution.h"
#include "payload_check.h"
#include "retry.h"
#include "spi_util.h"

/*
 * Whether what a task has come to can be taken over.
 */
static bool
has_result(const UaefTask *task)
{
	return task->status == UAEF_TASK_COMPLETED ||
		(task->status == UAEF_TASK_FAILED &&
		 task->def->on_failure == UAEF_FAIL_CONTINUE);
}

static void
take_over(UaefExecution *execution, int no, const UaefTask *task)
{
	UaefTask   *copy = uaef_execution_task(execution, no);

	copy->attempt = task->attempt;
	copy->output = task->output;
	copy->error = task->error;
	copy->label = task->label;
	copy->worker = task->worker;
	copy->queued_at = task->queued_at;
	copy->started_at = task->started_at;
	uaef_task_become(copy, task->status);
	copy->completed_at = task->completed_at;
}

/*
 * Copy results, task by task of the new definition; returns the ids.
 */
static int
take_over_results(UaefExecution *execution, UaefExecution *source,
				  const bool *run, char **ids)
{
	const UaefDefinition *def = execution->def;
	int			n = 0;

	uaef_execution_load_tasks(source);
	for (int no = 0; no < def->n_tasks; no++)
	{
		char	   *id = def->tasks[no].id;
		int			source_no = uaef_definition_task_no(source->def, id,
														strlen(id));
		UaefTask   *task = source_no < 0 ? NULL : source->tasks[source_no];

		if (run[no] || task == NULL || !has_result(task))
			continue;
		if (task->def->type != def->tasks[no].type)
			ereport(ERROR,
					(errcode(ERRCODE_UAEF_BAD_DEFINITION),
					 errmsg("version %d of workflow \"%s\" cannot take task \"%s\" over",
							def->version, def->name, id),
					 errdetail("It is of type %s there, and was of type %s.",
							   uaef_task_type_name(def->tasks[no].type),
							   uaef_task_type_name(task->def->type))));
		take_over(execution, no, task);
		ids[n++] = id;
	}
	return n;
}

static Jsonb *
forked_payload(const UaefFork *fork, UaefExecution *execution,
			   char **ids, int n)
{
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_text(&json, "workflow", execution->def->name);
	uaef_json_int(&json, "version", execution->def->version);
	uaef_json_text(&json, "name", execution->name);
	uaef_json_text(&json, "initiated_by",
				   GetUserNameFromId(execution->initiated_by, false));
	uaef_json_text(&json, "input_sha256", uaef_digest_hex(execution->input));
	uaef_json_uuid(&json, "forked_from", &execution->forked_from);
	uaef_json_text(&json, "from_task", fork->from_task);
	uaef_json_texts(&json, "taken_over", ids, n);
	uaef_json_text(&json, "reason", uaef_clip(fork->reason));
	return uaef_json_end(&json);
}

/*
 * The new execution, before it begins.
 */
static UaefExecution *
new_fork(UaefStep *step, const UaefFork *fork, UaefExecution *source,
		 Oid caller)
{
	const UaefDefinition *def = source->def;
	UaefExecution *execution;

	if (fork->version != 0)
		def = uaef_definition_get(uaef_definition_find(def->name,
													   fork->version));
	execution = uaef_step_new_execution(step, def);
	execution->name = fork->name != NULL ? uaef_clip(fork->name) : source->name;
	execution->priority = source->priority;
	execution->initiated_by = caller;
	execution->session_role = GetSessionUserId();
	execution->input = fork->input != NULL ? fork->input :
		uaef_execution_input(source);
	uaef_require_input(def, execution->input);
	execution->timeout_ms = source->timeout_ms;
	execution->is_fork = true;
	execution->forked_from = source->id;
	return execution;
}

pg_uuid_t
uaef_engine_fork(const UaefFork *fork)
{
	Oid			caller = GetUserId();
	UaefCaller	back;
	UaefStep   *step;
	UaefExecution *source;
	UaefExecution *execution;
	char	  **ids;
	bool	   *run;
	int			n;
	UaefJson	json;
	pg_uuid_t	id;

	if (fork->input != NULL)
		uaef_check_input(fork->input);
	back = uaef_spi_begin();
	step = uaef_step_begin("user", GetUserNameFromId(caller, false));
	source = uaef_lock_own_execution(step, &fork->source, caller);
	execution = new_fork(step, fork, source, caller);
	run = uaef_tasks_from(execution->def,
						  uaef_require_task_no(execution->def,
											   fork->from_task));
	ids = palloc(sizeof(char *) * execution->def->n_tasks);
	n = take_over_results(execution, source, run, ids);

	uaef_json_begin(&json);
	uaef_json_uuid(&json, "fork", &execution->id);
	uaef_json_text(&json, "from_task", fork->from_task);
	uaef_step_event(source, NULL, "workflow_forked", uaef_json_end(&json));
	uaef_step_event(execution, NULL, "workflow_started",
					forked_payload(fork, execution, ids, n));
	uaef_advance_again(execution);
	uaef_execution_set_deadline(execution, step->now);
	uaef_step_write(step);
	id = execution->id;
	uaef_spi_end(back);
	return id;
}
