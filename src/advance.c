/*-------------------------------------------------------------------------
 *
 * advance.c
 *	  What follows from what: tasks that begin, end, and set others free.
 *
 * A task that ends resolves its outgoing edges, as live or as dead.  A task
 * whose incoming edges let it begin is put on its execution's ready list;
 * drain() begins what is on the list until it is empty, so that a long chain
 * of pure tasks needs no recursion.  When no task is open the execution ends.
 *
 * Nothing here writes a table, but for the requests that leave the engine (a
 * delivery, an approval): the step is written later, at once.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#include "advance.h"
#include "approval_request.h"
#include "compensation.h"
#include "digest.h"
#include "errcodes.h"
#include "failure.h"
#include "hold.h"
#include "limit.h"
#include "map_task.h"
#include "policy_check.h"
#include "random_bytes.h"
#include "task_kind.h"
#include "uuid7.h"
#include "workflow_stat.h"

static void drain(UaefExecution *execution);
static void begin_task(UaefTask *task);
static void begin_attempt(UaefTask *task);
static void hand_out(UaefTask *task);
static void skip_task(UaefTask *task);
static void resolve_edges(UaefTask *task, bool live);
static void resolve_edge(UaefExecution *execution, const UaefEdge *edge,
						 bool live);
static void finish(UaefExecution *execution);
static void end_execution(UaefExecution *execution,
						  UaefExecutionStatus status);

void
uaef_execution_become(UaefExecution *execution, UaefExecutionStatus status)
{
	if (!uaef_execution_may_become(execution->status, status))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_ILLEGAL_TRANSITION),
				 errmsg("execution %s is %s and cannot become %s",
						uaef_uuid_text(&execution->id),
						uaef_execution_status_name(execution->status),
						uaef_execution_status_name(status))));
	execution->status = status;
	execution->dirty = true;
}

/*
 * The members that all events of a task begin with.
 */
void
uaef_task_event_begin(UaefJson *json, UaefTask *task)
{
	uaef_json_begin(json);
	uaef_json_text(json, "task", task->execution->def->tasks[task->no].id);
	if (task->item >= 0)
		uaef_json_int(json, "item", task->item);
	else if (task->item == UAEF_COMPENSATION)
		uaef_json_bool(json, "compensates", true);
	if (task->attempt > 0)
		uaef_json_int(json, "attempt", task->attempt);
}

/*
 * Begin what may begin: the tasks without incoming edges, and, where it is a
 * retry or a fork, those that follow on what has ended before.
 */
static void
go_on(UaefExecution *execution)
{
	for (int i = 0; i < execution->def->n_roots; i++)
		execution->ready = lappend(execution->ready,
								   uaef_execution_task(execution,
													   execution->def->roots[i]));
	for (int no = 0; no < execution->def->n_tasks; no++)
	{
		UaefTask   *task = execution->tasks[no];

		/* Skipped ones are pending again, or have just resolved theirs. */
		if (task != NULL && (task->status == UAEF_TASK_COMPLETED ||
							 task->status == UAEF_TASK_FAILED))
			resolve_edges(task, task->status == UAEF_TASK_COMPLETED ||
						  task->def->on_failure == UAEF_FAIL_CONTINUE);
	}
	drain(execution);
}

/*
 * Begin a pending execution.  One that is paused before its time comes begins
 * too, but its tasks are handed out only when it is resumed.
 */
void
uaef_advance_start(UaefExecution *execution)
{
	if (execution->status != UAEF_EXECUTION_PAUSED)
		uaef_execution_become(execution, UAEF_EXECUTION_RUNNING);
	execution->started_at = execution->step->now;
	execution->dirty = true;
	uaef_stat_count(execution->def->name, NULL, UAEF_STAT_STARTED, -1);

	/* A retry, or a fork, may have waited for its limits, or been held. */
	if (execution->stored &&
		(execution->def->n_limits > 0 || execution->open_tasks > 0 ||
		 execution->is_fork))
		uaef_execution_load_tasks(execution);
	go_on(execution);
}

bool
uaef_advance_request_start(UaefExecution *execution, UaefEvalError *error)
{
	if (execution->def->n_limits > 0)
		return uaef_limit_ask(execution, NULL, error);
	uaef_advance_start(execution);
	return true;
}

void
uaef_advance_complete(UaefTask *task, Jsonb *output, const char *label)
{
	uaef_advance_finish_task(task, output, label);
	drain(task->execution);
}

void
uaef_advance_fail(UaefTask *task, const UaefFailure *failure)
{
	if (uaef_failure_retries(task, failure))
		uaef_failure_schedule_retry(task, failure);
	else
		uaef_advance_fail_finally(task, failure);
	drain(task->execution);
}

bool
uaef_advance_result(UaefTask *task, Jsonb *output)
{
	UaefFailure failure;
	bool		fits = uaef_failure_unless_fits(&failure, "output of the task",
												task->def->output_schema,
												output);

	if (fits)
		uaef_advance_complete(task, output, NULL);
	else
		uaef_advance_fail_now(task, &failure);
	return fits;
}

/*
 * Begin what is ready, until nothing is, and see whether this was the end.
 */
static void
drain(UaefExecution *execution)
{
	while (execution->ready != NIL &&
		   !uaef_execution_ended(execution->status))
	{
		List	   *ready = execution->ready;
		ListCell   *cell;

		execution->ready = NIL;
		foreach(cell, ready)
		{
			if (uaef_execution_ended(execution->status))
				break;
			begin_task(lfirst(cell));
		}
	}
	if (execution->open_tasks == 0 && !execution->is_ending &&
		!uaef_execution_ended(execution->status))
		finish(execution);
	if (execution->compensate_next)
		uaef_compensation_go_on(execution);
}

/*
 * Begin a task all of whose conditions are met.
 */
static void
begin_task(UaefTask *task)
{
	const UaefTaskKind *kind = uaef_task_kind(task);

	if (task->status != UAEF_TASK_PENDING)
		return;
	if (kind->begin == NULL)
		begin_attempt(task);
	else if (uaef_policy_admits(task))
		kind->begin(task);
}

bool
uaef_advance_was_reached(const UaefTask *task)
{
	const UaefTaskDef *def = task->def;
	const UaefTask *map;

	if (task->execution->started_at == 0)
		return false;
	if (task->item >= 0)
	{
		map = uaef_execution_task(task->execution, task->no);
		return map->status == UAEF_TASK_RUNNING &&
			task->item < map->items_started;
	}
	if (task->item == UAEF_COMPENSATION || def->n_in == 0)
		return true;
	return def->join > 0 ? task->edges_live >= def->join :
		task->edges_resolved == def->n_in && task->edges_live > 0;
}

void
uaef_advance_begin(UaefTask *task)
{
	begin_task(task);
	drain(task->execution);
}

/*
 * Count an attempt, and let whoever runs such tasks have it, unless a policy is
 * against it.
 */
static void
begin_attempt(UaefTask *task)
{
	if (!uaef_policy_admits(task))
		return;
	task->attempt++;
	task->worker = NULL;
	task->progress = NULL;
	task->lease_expires_at = 0;
	task->started_at = 0;
	task->has_child = false;
	task->runs = 0;
	uaef_task_become(task, UAEF_TASK_QUEUED);
	task->queued_at = task->execution->step->now;
	uaef_step_note(task, UAEF_NOTE_QUEUED);
	hand_out(task);
}

void
uaef_advance_dispatch_item(UaefTask *item)
{
	begin_attempt(item);
}

/*
 * Give a queued task to whoever runs it, as soon as its limits let it; a
 * paused execution keeps it.
 */
static void
hand_out(UaefTask *task)
{
	UaefEvalError error = {0};

	if (task->execution->status == UAEF_EXECUTION_PAUSED)
		return;
	if (task->def->n_limits == 0)
		uaef_task_kind(task)->hand_out(task);
	else if (!uaef_limit_ask(task->execution, task, &error))
		uaef_advance_fail_evaluation(task, &error);
	else if (task->execution->step->dry != NULL)
		uaef_task_kind(task)->hand_out(task);
}

void
uaef_advance_granted(UaefTask *task)
{
	if (task->status != UAEF_TASK_QUEUED ||
		task->execution->status != UAEF_EXECUTION_RUNNING ||
		!uaef_limit_holds(task->execution, task))
		return;
	uaef_task_kind(task)->hand_out(task);
	drain(task->execution);
}

void
uaef_advance_dispatch(UaefTask *task)
{
	if (task->status == UAEF_TASK_QUEUED)
		hand_out(task);
	else
		begin_attempt(task);
	drain(task->execution);
}

void
uaef_advance_requeue(UaefTask *task, const char *reason)
{
	UaefJson	json;

	uaef_task_event_begin(&json, task);
	uaef_json_text(&json, "reason", reason);
	uaef_json_text(&json, "worker", task->worker);
	uaef_step_event(task->execution, task, "task_lease_expired",
					uaef_json_end(&json));
	task->has_lease = false;
	begin_attempt(task);
	drain(task->execution);
}

void
uaef_advance_release(UaefTask *task)
{
	UaefJson	json;

	uaef_task_event_begin(&json, task);
	uaef_json_text(&json, "worker", task->worker);
	uaef_step_event(task->execution, task, "task_released",
					uaef_json_end(&json));
	task->attempt--;
	begin_attempt(task);
	drain(task->execution);
}

void
uaef_advance_pass_on(UaefTask *task, const UaefFailure *failure,
					 Jsonb *progress)
{
	UaefJson	json;

	uaef_task_event_begin(&json, task);
	uaef_json_text(&json, "worker", task->worker);
	uaef_json_text(&json, "code", failure->code);
	uaef_json_text(&json, "message", failure->message);
	uaef_step_event(task->execution, task, "task_passed_on",
					uaef_json_end(&json));
	task->attempt--;
	begin_attempt(task);
	drain(task->execution);
	task->progress = progress;
	task->dirty = true;
}

/*
 * Give a claim its lease, and set the timers that end it.
 */
static void
begin_lease(UaefTask *task, TimestampTz expires_at)
{
	UaefExecution *execution = task->execution;

	task->has_lease = true;
	task->lease_expires_at = expires_at;
	uaef_random_bytes(task->lease_token.data, UUID_LEN);
	uaef_step_timer(execution, task, "lease", expires_at);
	if (task->def->timeout_ms > 0)
		uaef_step_timer(execution, task, "timeout",
						execution->step->now + task->def->timeout_ms * 1000);
}

void
uaef_advance_claimed(UaefTask *task, const char *worker,
					 TimestampTz lease_expires_at)
{
	UaefExecution *execution = task->execution;
	UaefJson	json;

	uaef_task_become(task, UAEF_TASK_RUNNING);
	task->worker = pstrdup(worker);
	task->started_at = execution->step->now;
	task->has_lease = false;
	if (lease_expires_at != 0)
		begin_lease(task, lease_expires_at);

	uaef_task_event_begin(&json, task);
	uaef_json_text(&json, "worker", worker);
	uaef_json_time(&json, "lease_expires_at", lease_expires_at);
	uaef_step_event(execution, task, "task_started", uaef_json_end(&json));
}

/*
 * Tell that a task completed.  One that nobody ran, which went from pending to
 * its end at once, is named in the event that set it free.
 */
static void
tell_completed(UaefTask *task, UaefTaskStatus from)
{
	UaefJson	json;

	if (from == UAEF_TASK_PENDING && task->item == UAEF_NO_ITEM &&
		task->worker == NULL && uaef_step_note_completed(task))
		return;
	uaef_task_event_begin(&json, task);
	uaef_json_text(&json, "from", uaef_task_status_name(from));
	uaef_json_text(&json, "label", task->label);
	uaef_json_text(&json, "worker", task->worker);
	if (task->output != NULL)
		uaef_json_text(&json, "output_sha256", uaef_digest_hex(task->output));
	uaef_step_event(task->execution, task,
					task->item == UAEF_COMPENSATION ? "task_compensated" :
					"task_completed", uaef_json_end(&json));
}

/*
 * The end of a task; the caller drains.
 */
void
uaef_advance_finish_task(UaefTask *task, Jsonb *output, const char *label)
{
	UaefTaskStatus from = task->status;

	task->output = output;
	task->error = NULL;
	task->label = label != NULL ? pstrdup(label) : NULL;
	if (task->started_at == 0)
		task->started_at = task->execution->step->now;
	uaef_task_become(task, UAEF_TASK_COMPLETED);
	tell_completed(task, from);

	if (task->item == UAEF_COMPENSATION)
		uaef_compensation_ended(task);
	else if (task->item != UAEF_NO_ITEM)
		uaef_map_item_ended(task);
	else
		resolve_edges(task, true);
}

/*
 * A failure that no attempt follows on.
 */
void
uaef_advance_fail_finally(UaefTask *task, const UaefFailure *failure)
{
	UaefExecution *execution = task->execution;
	UaefJson	json;

	task->error = uaef_failure_json(failure, NULL, task->attempt);
	task->output = NULL;		/* of the runs before, in a loop */
	uaef_task_event_begin(&json, task);
	uaef_json_text(&json, "from", uaef_task_status_name(task->status));
	uaef_json_text(&json, "worker", task->worker);
	uaef_json_jsonb(&json, "error", task->error);
	uaef_task_become(task, UAEF_TASK_FAILED);
	uaef_step_event(execution, task,
					task->item == UAEF_COMPENSATION ?
					"task_compensation_failed" : "task_failed",
					uaef_json_end(&json));

	if (task->item == UAEF_COMPENSATION)
	{
		uaef_compensation_ended(task);
		return;
	}
	if (task->item != UAEF_NO_ITEM)
	{
		uaef_map_item_failed(task, failure);
		return;
	}
	switch (task->def->on_failure)
	{
		case UAEF_FAIL_EXECUTION:
			execution->error =
				uaef_failure_json(failure, execution->def->tasks[task->no].id,
								  task->attempt);
			end_execution(execution, UAEF_EXECUTION_FAILED);
			break;
		case UAEF_FAIL_CONTINUE:
			uaef_json_begin(&json);
			uaef_json_jsonb(&json, "error", task->error);
			task->output = uaef_json_end(&json);
			resolve_edges(task, true);
			break;
		case UAEF_FAIL_SKIP:
			resolve_edges(task, false);
			break;
	}
}

/*
 * A failure of a task's own condition or template: never worth another try.
 */
void
uaef_advance_fail_evaluation(UaefTask *task, const UaefEvalError *error)
{
	UaefFailure failure;

	uaef_failure_from_eval(&failure, error);
	uaef_advance_fail_finally(task, &failure);
}

void
uaef_advance_fail_now(UaefTask *task, const UaefFailure *failure)
{
	uaef_advance_fail_finally(task, failure);
	drain(task->execution);
}

static void
skip_task(UaefTask *task)
{
	uaef_task_become(task, UAEF_TASK_SKIPPED);
	uaef_step_note(task, UAEF_NOTE_SKIPPED);
	resolve_edges(task, false);
}

/*
 * Resolve a task's outgoing edges.  An edge is live when its source is, the
 * label fits, and its condition is met.  A condition that cannot be evaluated
 * fails the execution: which way it would have gone nobody knows.
 */
static void
resolve_edges(UaefTask *task, bool live)
{
	UaefExecution *execution = task->execution;

	for (int i = 0; i < task->def->n_out; i++)
	{
		const UaefEdge *edge = &execution->def->edges[task->def->out[i]];
		UaefEvalError error = {0};
		bool		follows = live &&
			(edge->on == NULL ||
			 (task->label != NULL && strcmp(edge->on, task->label) == 0));

		if (uaef_execution_ended(execution->status) || execution->is_ending)
			return;
		if (follows && edge->when != NULL &&
			!uaef_condition_eval(edge->when, uaef_task_scope(task), &follows,
								 &error))
		{
			UaefFailure failure;

			uaef_failure_from_eval(&failure, &error);
			execution->error =
				uaef_failure_json(&failure, execution->def->tasks[task->no].id,
								  task->attempt);
			end_execution(execution, UAEF_EXECUTION_FAILED);
			return;
		}
		resolve_edge(execution, edge, follows);
	}
}

static void
resolve_edge(UaefExecution *execution, const UaefEdge *edge, bool live)
{
	UaefTask   *task = uaef_execution_task(execution, edge->to);
	const UaefTaskDef *def = task->def;
	bool		all_known;

	/* One that waits for some of its edges only may have begun long ago. */
	if (task->status != UAEF_TASK_PENDING ||
		task->attempt > task->attempts_before)
		return;

	task->edges_resolved++;
	if (live)
		task->edges_live++;
	task->dirty = true;

	all_known = task->edges_resolved == def->n_in;
	if (def->join > 0 ? task->edges_live == def->join && live
		: all_known && task->edges_live > 0)
		execution->ready = lappend(execution->ready, task);
	else if (all_known && (def->join == 0 || task->edges_live < def->join))
		skip_task(task);
}

/*
 * The default output: those of the tasks that nothing follows on.
 */
static Jsonb *
leaf_outputs(UaefExecution *execution)
{
	int		   *nos = palloc(sizeof(int) * execution->def->n_tasks);
	int			n = 0;

	for (int no = 0; no < execution->def->n_tasks; no++)
		if (execution->def->tasks[no].n_out == 0)
			nos[n++] = no;
	return uaef_execution_outputs(execution, nos, n);
}

/*
 * All tasks have ended: give the output, or fail for want of it.
 */
static void
finish(UaefExecution *execution)
{
	UaefEvalError error = {0};
	UaefFailure failure;
	Jsonb	   *output;

	if (execution->def->output == NULL)
		output = leaf_outputs(execution);
	else
		output = uaef_template_fill(execution->def->output,
									uaef_execution_scope(execution), &error);
	if (output == NULL)
		uaef_failure_from_eval(&failure, &error);
	else if (!uaef_failure_unless_fits(&failure, "output of the workflow",
									   execution->def->output_schema, output))
		output = NULL;
	if (output == NULL)
	{
		uaef_advance_fail_execution(execution, &failure);
		return;
	}
	execution->output = output;
	end_execution(execution, UAEF_EXECUTION_COMPLETED);
}

/*
 * Stop one task of an execution, or of a map, that ends without it.
 */
void
uaef_advance_cancel_task(UaefTask *task)
{
	const UaefTaskKind *kind = uaef_task_kind(task);

	if (task->status == UAEF_TASK_QUEUED && task->stored)
		uaef_step_unready_ended(task);
	else if (kind->withdraw != NULL &&
			 (task->status == UAEF_TASK_RUNNING ||
			  task->status == UAEF_TASK_WAITING_INPUT))
		kind->withdraw(task);
	if (task->status == UAEF_TASK_WAITING_INPUT)
		(void) uaef_approval_close(task, "cancelled");
	uaef_task_become(task, UAEF_TASK_CANCELLED);
	uaef_step_note(task, UAEF_NOTE_CANCELLED);
}

void
uaef_advance_cancel_open_tasks(UaefExecution *execution)
{
	ListCell   *cell;

	foreach(cell, uaef_execution_open_tasks(execution))
		uaef_advance_cancel_task(lfirst(cell));
	execution->ready = NIL;
}

/*
 * End an execution, or have what it did compensated before.
 */
static void
end_execution(UaefExecution *execution, UaefExecutionStatus status)
{
	if (execution->def->n_compensated == 0 ||
		!uaef_compensation_begin(execution, status))
		uaef_advance_end(execution, status);
}

/*
 * Give an execution its final state and tell so.
 */
void
uaef_advance_end(UaefExecution *execution, UaefExecutionStatus status)
{
	UaefJson	json;

	/* The event comes first, so that it is the one to name the tasks. */
	uaef_json_begin(&json);
	uaef_json_text(&json, "from",
				   uaef_execution_status_name(execution->status));
	uaef_json_jsonb(&json, "error", execution->error);
	if (execution->output != NULL)
		uaef_json_text(&json, "output_sha256",
					   uaef_digest_hex(execution->output));
	uaef_execution_become(execution, status);
	if (execution->def->n_limits > 0)
		uaef_limit_release(execution, NULL);
	execution->completed_at = execution->step->now;
	uaef_stat_count(execution->def->name, NULL,
					status == UAEF_EXECUTION_COMPLETED ? UAEF_STAT_COMPLETED :
					status == UAEF_EXECUTION_FAILED ? UAEF_STAT_FAILED :
					UAEF_STAT_CANCELLED,
					status == UAEF_EXECUTION_CANCELLED ||
					execution->started_at == 0 ? -1 :
					Max(execution->completed_at - execution->started_at, 0));
	uaef_step_event(execution, NULL,
					psprintf("workflow_%s", uaef_execution_status_name(status)),
					uaef_json_end(&json));
	if (execution->open_tasks > 0)
		uaef_advance_cancel_open_tasks(execution);
	uaef_execution_scope(execution);
	if (execution->has_parent)
		execution->step->ended = lappend(execution->step->ended, execution);
}

void
uaef_advance_fail_execution(UaefExecution *execution,
							const UaefFailure *failure)
{
	execution->error = uaef_failure_json(failure, NULL, 0);
	end_execution(execution, UAEF_EXECUTION_FAILED);
	drain(execution);
}

/*
 * One whose number is limited waits for its place as a new one does, and one
 * whose workflow is held for its release.
 */
void
uaef_advance_again(UaefExecution *execution)
{
	UaefEvalError error = {0};
	bool		held = uaef_workflow_is_held(execution->def->name);

	if (execution->def->n_limits == 0 && !held)
	{
		if (execution->started_at == 0)
			uaef_advance_start(execution);
		else
		{
			uaef_execution_become(execution, UAEF_EXECUTION_RUNNING);
			go_on(execution);
		}
		return;
	}
	if (execution->status != UAEF_EXECUTION_PENDING)
		uaef_execution_become(execution, UAEF_EXECUTION_PENDING);
	execution->started_at = 0;
	execution->dirty = true;
	if (held)
		uaef_execution_hold(execution);
	else if (!uaef_limit_ask(execution, NULL, &error))
		uaef_eval_raise(&error);
}

void
uaef_advance_cancel(UaefExecution *execution, const char *reason,
					bool compensate)
{
	UaefJson	json;

	if (execution->is_ending)
	{
		uaef_compensation_stop(execution, reason, compensate);
		return;
	}
	uaef_json_begin(&json);
	uaef_json_text(&json, "code", "cancelled");
	uaef_json_text(&json, "message", reason);
	execution->error = uaef_json_end(&json);
	execution->no_compensation = !compensate;
	end_execution(execution, UAEF_EXECUTION_CANCELLED);
	drain(execution);
}

static void
control_event(UaefExecution *execution, const char *type, const char *reason)
{
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_text(&json, "reason", reason);
	uaef_step_event(execution, NULL, type, uaef_json_end(&json));
}

/*
 * Hold back what has not begun; what runs may end, but nothing follows.
 */
void
uaef_advance_pause(UaefExecution *execution, const char *reason)
{
	ListCell   *cell;

	uaef_execution_become(execution, UAEF_EXECUTION_PAUSED);
	control_event(execution, "workflow_paused", reason);
	foreach(cell, uaef_execution_open_tasks(execution))
	{
		UaefTask   *task = lfirst(cell);

		if (task->status != UAEF_TASK_QUEUED)
			continue;
		if (task->def->n_limits > 0)
			(void) uaef_limit_withdraw(task);
		else
			(void) uaef_step_unready(task);
	}
}

void
uaef_advance_resume(UaefExecution *execution, const char *reason)
{
	ListCell   *cell;

	if (execution->status != UAEF_EXECUTION_PAUSED)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_ILLEGAL_TRANSITION),
				 errmsg("execution %s is %s and cannot be resumed",
						uaef_uuid_text(&execution->id),
						uaef_execution_status_name(execution->status)),
				 errhint("Only a paused execution can be resumed.")));
	uaef_execution_become(execution, execution->started_at != 0 ?
						  UAEF_EXECUTION_RUNNING : UAEF_EXECUTION_PENDING);
	control_event(execution, "workflow_resumed", reason);
	foreach(cell, uaef_execution_open_tasks(execution))
	{
		UaefTask   *task = lfirst(cell);

		if (task->status != UAEF_TASK_QUEUED)
			continue;
		if (task->def->n_limits > 0 && uaef_limit_holds(execution, task))
			uaef_task_kind(task)->hand_out(task);
		else
			hand_out(task);
	}
	if (execution->started_at != 0)
		drain(execution);
}
