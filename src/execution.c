/*-------------------------------------------------------------------------
 *
 * execution.c
 *	  Executions and their tasks in memory.
 *
 * Memory: everything lives in the context that was current at
 * uaef_step_begin().
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type_d.h"
#include "commands/sequence.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "agent_task.h"
#include "clock.h"
#include "execution_load.h"
#include "explain.h"
#include "limit.h"
#include "row_write.h"
#include "spi_util.h"
#include "task_override.h"
#include "uuid7.h"
#include "workflow_stat.h"

static UaefQuery mark_items_to_redo = {
	"UPDATE uaef.task_execution SET attempts_before = attempt"
	" WHERE execution_id = $1 AND task_no = $2 AND item >= 0"
	" AND status IN ('failed', 'cancelled')",
	2, {UUIDOID, INT2OID}
};

static UaefQuery delete_items = {
	"DELETE FROM uaef.task_execution"
	" WHERE execution_id = $1 AND task_no = $2 AND item >= 0",
	2, {UUIDOID, INT2OID}
};

/* An item that was looked at, by its number. */
typedef struct ItemKey
{
	int32		no;
	int32		item;
} ItemKey;

typedef struct ItemEntry
{
	ItemKey		key;
	UaefTask   *task;
} ItemEntry;

/* An execution of the step, by its id. */
typedef struct ExecutionEntry
{
	pg_uuid_t	id;
	UaefExecution *execution;
} ExecutionEntry;

/* As many are found without an index. */
#define MAX_UNINDEXED 32

UaefStep *
uaef_step_begin(const char *actor_type, const char *actor_id)
{
	UaefStep   *step = palloc0(sizeof(UaefStep));

	step->now = uaef_clock_now();
	step->context = CurrentMemoryContext;
	step->task_sequence = get_relname_relid("task_id",
											get_namespace_oid("uaef", false));
	step->actor_type = actor_type;
	step->actor_id = actor_id;
	return step;
}

/*
 * The index of many executions, brought up to date.
 */
static HTAB *
execution_index(UaefStep *step)
{
	if (step->by_id == NULL)
	{
		HASHCTL		control = {
			.keysize = sizeof(pg_uuid_t),
			.entrysize = sizeof(ExecutionEntry),
			.hcxt = step->context
		};

		step->by_id = hash_create("uaef executions", 1024, &control,
								  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	for (long i = hash_get_num_entries(step->by_id);
		 i < list_length(step->executions); i++)
	{
		UaefExecution *execution = list_nth(step->executions, i);
		ExecutionEntry *entry = hash_search(step->by_id, &execution->id,
											HASH_ENTER, NULL);

		entry->execution = execution;
	}
	return step->by_id;
}

UaefExecution *
uaef_step_execution(UaefStep *step, const pg_uuid_t *id)
{
	ListCell   *cell;

	if (list_length(step->executions) > MAX_UNINDEXED)
	{
		ExecutionEntry *entry = hash_search(execution_index(step), id,
											HASH_FIND, NULL);

		return entry == NULL ? NULL : entry->execution;
	}
	foreach(cell, step->executions)
	{
		UaefExecution *execution = lfirst(cell);

		if (memcmp(&execution->id, id, sizeof(pg_uuid_t)) == 0)
			return execution;
	}
	return NULL;
}

static UaefExecution *
new_execution(UaefStep *step, const UaefDefinition *def, const pg_uuid_t *id)
{
	UaefExecution *execution = palloc0(sizeof(UaefExecution));

	execution->step = step;
	execution->id = *id;
	execution->root_id = *id;
	execution->def = def;
	execution->dirty = true;
	execution->last_event = -1;
	execution->status = UAEF_EXECUTION_PENDING;
	execution->created_at = step->now;
	execution->tasks = palloc0(sizeof(UaefTask *) * def->n_tasks);
	step->executions = lappend(step->executions, execution);
	uaef_ledger_hold_stream(&execution->id, true);
	return execution;
}

UaefExecution *
uaef_step_new_execution(UaefStep *step, const UaefDefinition *def)
{
	pg_uuid_t	id;

	uaef_uuid7(&id);
	return new_execution(step, def, &id);
}

UaefExecution *
uaef_step_new_child(UaefTask *task, const UaefDefinition *def)
{
	UaefExecution *parent = task->execution;
	UaefExecution *child;
	pg_uuid_t	id;

	uaef_uuid7_after(&id, &parent->id);
	child = new_execution(parent->step, def, &id);
	child->has_parent = true;
	child->parent_id = parent->id;
	child->parent_task_id = task->task_id;
	child->parent_task = task;
	child->depth = parent->depth + 1;
	child->root_id = parent->root_id;
	child->priority = parent->priority;
	child->initiated_by = parent->initiated_by;
	child->session_role = parent->session_role;
	child->timeout_ms = def->timeout_ms;
	return child;
}

const UaefTaskDef *
uaef_execution_task_def(UaefExecution *execution, int no, int item)
{
	const UaefTaskDef *def = &execution->def->tasks[no];

	switch (item)
	{
		case UAEF_NO_ITEM:
			return def;
		case UAEF_COMPENSATION:
			return def->compensate;
		default:
			return def->config.parallel.task;
	}
}

UaefTask *
uaef_execution_make_task(UaefExecution *execution, const UaefTaskDef *def, int no, int item)
{
	UaefTask   *task = palloc0(sizeof(UaefTask));

	task->execution = execution;
	task->def = def;
	task->no = no;
	task->item = item;
	task->dirty = true;
	task->status = UAEF_TASK_PENDING;
	task->items_total = -1;
	execution->step->n_tasks++;
	return task;
}

UaefTask *
uaef_execution_task(UaefExecution *execution, int no)
{
	UaefTask   *task = uaef_execution_find(execution, no, UAEF_NO_ITEM);

	if (task == NULL)
	{
		task = uaef_execution_make_task(execution, &execution->def->tasks[no], no,
										UAEF_NO_ITEM);
		task->task_id = nextval_internal(execution->step->task_sequence, false);
		execution->tasks[no] = task;
		execution->open_tasks++;
	}
	return task;
}

UaefTask *
uaef_execution_known_item(UaefExecution *execution, int no, int item)
{
	ItemKey		key = {no, item};
	ItemEntry  *entry = execution->item_index == NULL ? NULL :
		hash_search(execution->item_index, &key, HASH_FIND, NULL);

	return entry == NULL ? NULL : entry->task;
}

void
uaef_execution_add_item(UaefExecution *execution, UaefTask *task)
{
	ItemKey		key = {task->no, task->item};
	ItemEntry  *entry;

	if (execution->item_index == NULL)
	{
		HASHCTL		control = {
			.keysize = sizeof(ItemKey),
			.entrysize = sizeof(ItemEntry),
			.hcxt = execution->step->context
		};

		execution->item_index = hash_create("uaef items", 64, &control,
											HASH_ELEM | HASH_BLOBS |
											HASH_CONTEXT);
	}
	entry = hash_search(execution->item_index, &key, HASH_ENTER, NULL);
	entry->task = task;
	execution->items = lappend(execution->items, task);
}

UaefTask *
uaef_execution_new_item(UaefExecution *execution, UaefTask *map, int item,
						Jsonb *value)
{
	UaefTask   *task = uaef_execution_make_task(execution, map->def->config.parallel.task,
												map->no, item);

	task->task_id = nextval_internal(execution->step->task_sequence, false);
	task->overrides = map->overrides;
	if (task->overrides != NULL)
		uaef_task_apply_overrides(task);
	task->item_value = value;
	uaef_execution_add_item(execution, task);
	return task;
}

UaefTask *
uaef_execution_new_compensation(UaefExecution *execution, int no)
{
	UaefTask   *task = uaef_execution_make_task(execution,
												execution->def->tasks[no].compensate, no,
												UAEF_COMPENSATION);

	task->task_id = nextval_internal(execution->step->task_sequence, false);
	uaef_execution_add_item(execution, task);
	return task;
}

void
uaef_execution_mark_items_to_redo(UaefExecution *execution, int no)
{
	Datum		args[2];

	args[0] = UUIDPGetDatum(&execution->id);
	args[1] = Int16GetDatum(no);
	uaef_spi_run(&mark_items_to_redo, args, NULL);
}

List *
uaef_execution_open_tasks(UaefExecution *execution)
{
	List	   *open = NIL;
	ListCell   *cell;

	if (execution->stored)
		uaef_execution_load_open_tasks(execution);

	for (int no = 0; no < execution->def->n_tasks; no++)
		if (execution->tasks[no] != NULL &&
			!uaef_task_ended(execution->tasks[no]->status))
			open = lappend(open, execution->tasks[no]);
	foreach(cell, execution->items)
	{
		UaefTask   *item = lfirst(cell);

		if (!uaef_task_ended(item->status))
			open = lappend(open, item);
	}
	return open;
}

void
uaef_execution_delete_items(UaefExecution *execution, int no)
{
	Datum		args[2];

	args[0] = UUIDPGetDatum(&execution->id);
	args[1] = Int16GetDatum(no);
	uaef_spi_run(&delete_items, args, NULL);
}

/*
 * Count what becomes of a task.
 */
static void
count_task(const UaefTask *task, UaefTaskStatus from)
{
	static const int kinds[] = {
		[UAEF_TASK_COMPLETED] = UAEF_STAT_COMPLETED,
		[UAEF_TASK_FAILED] = UAEF_STAT_FAILED,
		[UAEF_TASK_SKIPPED] = UAEF_STAT_SKIPPED,
		[UAEF_TASK_CANCELLED] = UAEF_STAT_CANCELLED
	};
	const UaefDefinition *def = task->execution->def;
	const char *id = def->tasks[task->no].id;
	bool		timed = task->status == UAEF_TASK_COMPLETED ||
		task->status == UAEF_TASK_FAILED;
	TimestampTz since = task->started_at != 0 ? task->started_at :
		task->queued_at;

	if (task->item == UAEF_COMPENSATION)
		return;
	if (from == UAEF_TASK_PENDING && task->attempt <= 1 &&
		task->status != UAEF_TASK_SKIPPED &&
		task->status != UAEF_TASK_CANCELLED)
		uaef_stat_count(def->name, id, UAEF_STAT_STARTED, -1);
	if (task->status == UAEF_TASK_PENDING)
	{
		if (from != UAEF_TASK_SKIPPED)
			uaef_stat_count(def->name, id, UAEF_STAT_RETRIED, -1);
	}
	else if (uaef_task_ended(task->status) && !uaef_task_ended(from))
		uaef_stat_count(def->name, id, kinds[task->status],
						!timed ? -1 : since == 0 ? 0 :
						Max(task->completed_at - since, 0));
}

/*
 * Change a task's state; whatever the table of transitions does not name is a
 * bug of ours.
 */
void
uaef_task_become(UaefTask *task, UaefTaskStatus status)
{
	UaefExecution *execution = task->execution;
	UaefTaskStatus from;
	bool		ends = uaef_task_ended(status) && !uaef_task_ended(task->status);

	if (!uaef_task_may_become(task->status, status))
		elog(ERROR, "task %lld cannot go from %s to %s",
			 (long long) task->task_id, uaef_task_status_name(task->status),
			 uaef_task_status_name(status));
	if (task->def->type == UAEF_TASK_AGENT &&
		task->status == UAEF_TASK_RUNNING)
		uaef_agent_attempt_ends(task, status);
	from = task->status;
	if (task->def->n_limits > 0 && task->stored &&
		from != UAEF_TASK_PENDING && !uaef_task_ended(from) &&
		status != UAEF_TASK_RUNNING && status != UAEF_TASK_WAITING_INPUT)
		uaef_limit_release(execution, task);
	task->status = status;
	task->dirty = true;
	if (ends)
	{
		task->completed_at = execution->step->now;
		task->lease_expires_at = 0;
		if (task->item == UAEF_NO_ITEM)
			execution->open_tasks--;
		if (execution->step->dry != NULL)
			uaef_dry_run_ended(task);
	}
	count_task(task, from);
}

void
uaef_task_reset(UaefTask *task)
{
	uaef_task_become(task, UAEF_TASK_PENDING);
	if (task->item == UAEF_NO_ITEM)
		task->execution->open_tasks++;
	task->attempts_before = task->attempt;
	task->losses = 0;
	task->edges_resolved = 0;
	task->edges_live = 0;
	task->output = NULL;
	task->error = NULL;
	task->worker = NULL;
	task->progress = NULL;
	task->label = NULL;
	task->has_lease = false;
	task->queued_at = 0;
	task->started_at = 0;
	task->completed_at = 0;
}
