/*-------------------------------------------------------------------------
 *
 * workflow_task.c
 *	  Tasks that run a workflow: executions below executions.
 *
 * What executions ask of each other (begin, I have ended, I no longer want
 * you) is put on lists of the step, and seen to before the step is written.
 * So one commit takes a whole tree of pure workflows from its start to its
 * end, and no depth of nesting needs a deep recursion.
 *
 * Locking: somebody else may hold the other execution.  Nobody waits for it
 * here, neither going up nor going down: a timer is left instead, in the same
 * commit, and the worker tries again.  Only who cancels by hand waits for the
 * children, in the order of ids, in which all wait.  A child's id is higher
 * than its parent's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "advance.h"
#include "digest.h"
#include "errcodes.h"
#include "failure.h"
#include "family.h"
#include "guc.h"
#include "hold.h"
#include "limit.h"
#include "spi_util.h"
#include "task_kind.h"
#include "uuid7.h"
#include "workflow_task.h"

/*
 * So many tasks in memory, and the step leaves more children to later ones:
 * whatever a definition asks for, memory is bounded.
 */
#define MAX_STEP_TASKS 20000

/* Children that one step cancels; the others are left to later ones. */
#define MAX_STEP_CANCELS 1000

/* How long the timer of a busy execution waits. */
#define BUSY_DELAY_US INT64CONST(50000)

static void hand_out_workflow(UaefTask *task);
static void withdraw_workflow(UaefTask *task);
static void time_out_workflow(UaefTask *task);

const UaefTaskKind uaef_workflow_task = {
	.hand_out = hand_out_workflow,
	.withdraw = withdraw_workflow,
	.time_out = time_out_workflow
};

static UaefQuery find_task = {
	"SELECT task_no, item FROM uaef.task_execution"
	" WHERE task_id = $1 AND execution_id = $2",
	2, {INT8OID, UUIDOID}
};

static UaefQuery find_execution = {
	"SELECT 1 FROM uaef.workflow_execution WHERE execution_id = $1",
	1, {UUIDOID}
};

static UaefQuery find_children = {
	"SELECT child_execution_id FROM uaef.task_execution"
	" WHERE execution_id = ANY ($1) AND status = 'running'"
	" AND child_execution_id > $2 LIMIT $3",
	3, {UUIDARRAYOID, UUIDOID, INT4OID}
};

/*----------
 * Beginning a child
 * ----------
 */

static void
add_unwanted(UaefStep *step, const pg_uuid_t *id, bool compensate)
{
	UaefUnwanted *unwanted = palloc(sizeof(UaefUnwanted));

	unwanted->id = *id;
	unwanted->compensate = compensate;
	step->unwanted = lappend(step->unwanted, unwanted);
}

static void
fail(UaefTask *task, int sqlstate, const char *message)
{
	UaefFailure failure;

	uaef_failure_set(&failure, sqlstate, message);
	uaef_advance_fail_finally(task, &failure);
}

/*
 * What "last" is for the next run; NULL with an error, or for none.
 */
static Jsonb *
last_output(UaefTask *task, UaefEvalError *error)
{
	const UaefTemplate *first = task->def->config.workflow.repeat.first;

	if (task->runs > 0)
		return task->output;
	return first == NULL ? NULL :
		uaef_template_fill(first, uaef_task_scope(task), error);
}

/*
 * The input of the next run; NULL, and the task has failed.
 */
static Jsonb *
fill_input(UaefTask *task, const UaefDefinition *def)
{
	const UaefWorkflowConfig *config = &task->def->config.workflow;
	UaefEvalError error = {0};
	UaefFailure failure;
	Jsonb	   *last = last_output(task, &error);
	Jsonb	   *input = task->item_value != NULL ? task->item_value :
		uaef_execution_input(task->execution);

	if (config->input != NULL && error.message == NULL)
	{
		UaefScope  *scope = uaef_task_scope(task);

		scope->last = last;
		input = uaef_template_fill(config->input, scope, &error);
		scope->last = NULL;
	}
	if (error.message != NULL)
		uaef_advance_fail_evaluation(task, &error);
	else if (!JB_ROOT_IS_OBJECT(input))
		fail(task, ERRCODE_UAEF_WRONG_TYPE,
			 "input of a workflow must be a JSON object");
	else if (VARSIZE(input) > (Size) uaef_max_payload_kb * 1024)
		fail(task, ERRCODE_UAEF_TOO_LARGE,
			 psprintf("input of the workflow takes %zu kB; uaef.max_payload_size is %d kB",
					  (Size) VARSIZE(input) / 1024, uaef_max_payload_kb));
	else if (!uaef_failure_unless_fits(&failure,
									   psprintf("input of workflow \"%s\"",
												def->name),
									   def->input_schema, input))
		uaef_advance_fail_finally(task, &failure);
	else
		return input;
	return NULL;
}

/*
 * The definition that the next run is of; NULL, and the task has failed.
 */
static const UaefDefinition *
find_definition(UaefTask *task)
{
	const UaefWorkflowConfig *config = &task->def->config.workflow;
	int32		definition_id;

	if (task->execution->depth >= uaef_max_depth)
	{
		fail(task, ERRCODE_UAEF_TOO_DEEP,
			 psprintf("workflow \"%s\" would run at depth %d; uaef.max_depth is %d",
					  config->name, task->execution->depth + 1,
					  uaef_max_depth));
		return NULL;
	}
	definition_id = uaef_definition_look_up(config->name, config->version);
	if (definition_id == 0)
	{
		fail(task, ERRCODE_UAEF_UNDEFINED_WORKFLOW,
			 psprintf("workflow \"%s\" does not exist", config->name));
		return NULL;
	}
	return uaef_definition_get(definition_id);
}

/*
 * Whether a task may begin one more child.  An execution that nobody above
 * waits for any more, and that the cancel from above has not reached yet, is
 * cancelled with the step.
 */
static bool
may_begin(UaefTask *task)
{
	UaefExecution *execution = task->execution;

	if (task->item != UAEF_COMPENSATION && !uaef_family_wants(execution))
	{
		add_unwanted(execution->step, &execution->id, true);
		return false;
	}
	if (uaef_family_admits(execution))
		return true;
	fail(task, ERRCODE_UAEF_TOO_MANY_DESCENDANTS,
		 psprintf("execution %s has had as many executions below it as uaef.max_descendants allows (%d)",
				  uaef_uuid_text(&execution->root_id), uaef_max_descendants));
	return false;
}

/*
 * The events of a beginning: one in the stream of each of the two.
 */
static void
record_beginning(UaefTask *task, UaefExecution *child)
{
	UaefExecution *parent = task->execution;
	UaefJson	json;

	uaef_task_event_begin(&json, task);
	uaef_json_uuid(&json, "child_execution_id", &child->id);
	uaef_json_text(&json, "workflow", child->def->name);
	uaef_json_int(&json, "version", child->def->version);
	if (task->def->config.workflow.repeat.until != NULL)
		uaef_json_int(&json, "run", task->runs);
	uaef_step_event(parent, task, "task_started", uaef_json_end(&json));

	uaef_json_begin(&json);
	uaef_json_text(&json, "workflow", child->def->name);
	uaef_json_int(&json, "version", child->def->version);
	uaef_json_text(&json, "initiated_by",
				   GetUserNameFromId(child->initiated_by, true));
	uaef_json_uuid(&json, "parent_execution_id", &parent->id);
	uaef_json_int(&json, "parent_task_id", task->task_id);
	uaef_json_int(&json, "depth", child->depth);
	uaef_json_text(&json, "input_sha256", uaef_digest_hex(child->input));
	uaef_step_event(child, NULL, "workflow_started", uaef_json_end(&json));
}

UaefExecution *
uaef_workflow_task_make_child(UaefTask *task)
{
	const UaefDefinition *def = find_definition(task);
	Jsonb	   *input = def == NULL ? NULL : fill_input(task, def);
	UaefExecution *child;

	if (input == NULL)
		return NULL;
	child = uaef_step_new_child(task, def);
	child->input = input;
	task->runs++;
	return child;
}

/*
 * Make a child, to be begun before the step is written.
 */
static void
hand_out_workflow(UaefTask *task)
{
	UaefExecution *execution = task->execution;
	UaefStep   *step = execution->step;
	const UaefDefinition *def;
	Jsonb	   *input;
	UaefExecution *child;

	if (step->n_tasks > MAX_STEP_TASKS)
	{
		uaef_step_timer(execution, task, "child", step->now);
		return;
	}
	def = find_definition(task);
	input = def == NULL ? NULL : fill_input(task, def);
	if (input == NULL || !may_begin(task))
		return;

	child = uaef_step_new_child(task, def);
	child->input = input;
	step->n_tasks++;
	step->begun = lappend(step->begun, child);

	if (task->started_at == 0)
	{
		task->started_at = step->now;
		if (task->def->timeout_ms > 0)
			uaef_step_timer(execution, task, "timeout",
							step->now + task->def->timeout_ms * 1000);
	}
	task->runs++;
	task->has_child = true;
	task->child_id = child->id;
	uaef_task_become(task, UAEF_TASK_RUNNING);
	record_beginning(task, child);
}

/*
 * The time has come for a child that a step left to later, or for the next
 * run.
 */
void
uaef_workflow_task_fire(UaefTask *task)
{
	if (task->status == UAEF_TASK_RUNNING && !task->has_child)
		uaef_task_become(task, UAEF_TASK_QUEUED);
	if (task->status != UAEF_TASK_QUEUED)
		return;
	if (task->def->n_limits > 0 && uaef_limit_holds(task->execution, task))
		uaef_advance_granted(task);
	else
		uaef_advance_dispatch(task);
}

/*----------
 * The end of a child
 * ----------
 */

/*
 * Run the workflow again: after a while, or at once.
 */
static void
run_again(UaefTask *task, Jsonb *output)
{
	UaefExecution *execution = task->execution;
	const UaefRepeat *repeat = &task->def->config.workflow.repeat;

	task->output = output;
	task->has_child = false;
	task->dirty = true;
	if (repeat->delay_ms > 0)
	{
		uaef_step_timer(execution, task, "repeat",
						execution->step->now + repeat->delay_ms * 1000);
		return;
	}
	uaef_task_become(task, UAEF_TASK_QUEUED);
	uaef_advance_dispatch(task);
}

static void
child_completed(UaefTask *task, Jsonb *output)
{
	const UaefRepeat *repeat = &task->def->config.workflow.repeat;
	UaefScope  *scope = uaef_task_scope(task);
	UaefEvalError error = {0};
	UaefFailure failure;
	bool		done = true;
	bool		known;

	scope->last = output;
	known = repeat->until == NULL ||
		uaef_condition_eval(repeat->until, scope, &done, &error);
	scope->last = NULL;
	if (!known)
	{
		uaef_failure_from_eval(&failure, &error);
		uaef_advance_fail(task, &failure);
	}
	else if (done)
		uaef_advance_complete(task, output, NULL);
	else if (task->runs < repeat->max)
		run_again(task, output);
	else
	{
		uaef_failure_set(&failure, ERRCODE_UAEF_REPEAT_LIMIT,
						 psprintf("\"until\" does not hold after %d runs",
								  task->runs));
		uaef_advance_fail(task, &failure);
	}
}

/*
 * Tell a task that its child has ended, if it still waits for it.
 */
static void
tell_task(UaefTask *task, UaefExecution *child)
{
	UaefFailure failure;

	if (task == NULL || uaef_execution_ended(task->execution->status) ||
		task->status != UAEF_TASK_RUNNING || !task->has_child ||
		memcmp(&task->child_id, &child->id, sizeof(pg_uuid_t)) != 0)
		return;
	if (child->status == UAEF_EXECUTION_COMPLETED)
	{
		child_completed(task, child->output);
		return;
	}
	uaef_failure_from_child(&failure, child);
	uaef_advance_fail(task, &failure);
}

/*
 * The task of the parent that began a child.
 */
static UaefTask *
find_parent_task(UaefExecution *parent, UaefExecution *child)
{
	Datum		args[2];
	bool		isnull;
	int			no;
	int			item;

	args[0] = Int64GetDatum(child->parent_task_id);
	args[1] = UUIDPGetDatum(&parent->id);
	if (uaef_spi_run(&find_task, args, NULL) == 0)
		return NULL;
	no = DatumGetInt16(uaef_spi_value(0, 1, &isnull));
	item = uaef_spi_int32(0, 2);
	SPI_freetuptable(SPI_tuptable);
	return uaef_execution_find(parent, no, item);
}

/*
 * Nobody could tell the parent: the child's own timer does it.
 */
static void
tell_later(UaefExecution *child)
{
	Datum		arg = UUIDPGetDatum(&child->parent_id);

	if (uaef_spi_run(&find_execution, &arg, NULL) > 0)
		uaef_step_timer(child, NULL, "ended",
						child->step->now + BUSY_DELAY_US);
}

static void
tell_parent(UaefExecution *child)
{
	UaefStep   *step = child->step;
	UaefExecution *parent;

	if (child->parent_task != NULL)
	{
		tell_task(child->parent_task, child);
		return;
	}
	parent = uaef_step_execution(step, &child->parent_id);
	if (parent == NULL)
	{
		uaef_step_try_lock(step, &child->parent_id, 1);
		parent = uaef_step_execution(step, &child->parent_id);
	}
	if (parent == NULL)
		tell_later(child);
	else
		tell_task(find_parent_task(parent, child), child);
}

void
uaef_workflow_task_ended(UaefExecution *child)
{
	child->step->ended = lappend(child->step->ended, child);
}

/*----------
 * Children that are no longer wanted
 * ----------
 */

static void
withdraw_workflow(UaefTask *task)
{
	UaefExecution *execution = task->execution;

	if (task->has_child)
		add_unwanted(execution->step, &task->child_id,
					 !execution->no_compensation);
}

/*
 * The time of an attempt is over, with all its runs.
 */
static void
time_out_workflow(UaefTask *task)
{
	UaefFailure failure;

	withdraw_workflow(task);
	uaef_failure_timeout(&failure, task->def);
	uaef_advance_fail(task, &failure);
}

void
uaef_workflow_task_cancel_child(UaefExecution *child, bool compensate)
{
	if (!uaef_execution_ended(child->status) &&
		!(child->is_ending && compensate))
		uaef_advance_cancel(child, "the task that began it no longer waits for it",
							compensate);
}

/*
 * Lock as many of the unwanted children as may be had at once.
 */
static void
lock_unwanted(UaefStep *step, List *unwanted)
{
	int			n = Min(list_length(unwanted), MAX_STEP_CANCELS);
	pg_uuid_t  *ids = palloc(sizeof(pg_uuid_t) * n);

	for (int i = 0; i < n; i++)
		ids[i] = ((UaefUnwanted *) list_nth(unwanted, i))->id;
	uaef_step_try_lock(step, ids, n);
}

static void
cancel_unwanted(UaefStep *step)
{
	List	   *unwanted = step->unwanted;
	ListCell   *cell;

	step->unwanted = NIL;
	lock_unwanted(step, unwanted);
	foreach(cell, unwanted)
	{
		UaefUnwanted *wanted_not = lfirst(cell);
		UaefExecution *child = uaef_step_execution(step, &wanted_not->id);

		if (child != NULL)
			uaef_workflow_task_cancel_child(child, wanted_not->compensate);
		else
			uaef_step_timer_of(step, &wanted_not->id,
							   wanted_not->compensate ? "cancel" : "stop",
							   step->now + BUSY_DELAY_US);
	}
}

/*
 * Lock one level after the other.  Waiting for an id that is lower than one
 * that is held could be a deadlock; such a child is left to the worker, if it
 * is busy.
 */
void
uaef_workflow_task_lock_children(UaefExecution *execution)
{
	UaefStep   *step = execution->step;
	Datum		args[3];
	pg_uuid_t  *ids = palloc(sizeof(pg_uuid_t) * MAX_STEP_CANCELS);
	Datum	   *parents = palloc(sizeof(Datum) * MAX_STEP_CANCELS);
	pg_uuid_t	highest = execution->id;
	int			n = 1;

	if (!execution->def->runs_workflows)
		return;
	parents[0] = UUIDPGetDatum(&execution->id);
	while (n > 0)
	{
		args[0] = uaef_array(parents, NULL, n, UUIDOID);
		args[1] = UUIDPGetDatum(&highest);
		args[2] = Int32GetDatum(MAX_STEP_CANCELS);
		n = (int) uaef_spi_run(&find_children, args, NULL);
		for (int i = 0; i < n; i++)
			ids[i] = uaef_spi_uuid(i, 1);
		SPI_freetuptable(SPI_tuptable);

		uaef_step_lock(step, ids, n);
		for (int i = 0; i < n; i++)
		{
			parents[i] = UUIDPGetDatum(&ids[i]);
			if (memcmp(&ids[i], &highest, sizeof(pg_uuid_t)) > 0)
				highest = ids[i];
		}
	}
}

/*----------
 * The step
 * ----------
 */

static void
begin_children(UaefStep *step)
{
	List	   *begun = step->begun;
	ListCell   *cell;

	step->begun = NIL;
	foreach(cell, begun)
	{
		UaefExecution *child = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (child->status != UAEF_EXECUTION_PENDING)
			continue;
		uaef_execution_set_deadline(child, step->now);
		if (step->n_tasks > MAX_STEP_TASKS)
			uaef_step_timer(child, NULL, "start", step->now);
		else
			uaef_execution_begin(child);
	}
}

static void
tell_parents(UaefStep *step)
{
	List	   *ended = step->ended;
	ListCell   *cell;

	step->ended = NIL;
	foreach(cell, ended)
	{
		CHECK_FOR_INTERRUPTS();
		tell_parent(lfirst(cell));
	}
}

void
uaef_workflow_task_see_to(UaefStep *step)
{
	while (step->unwanted != NIL || step->ended != NIL || step->begun != NIL)
	{
		if (step->unwanted != NIL)
			cancel_unwanted(step);
		else if (step->ended != NIL)
			tell_parents(step);
		else
			begin_children(step);
	}
}
