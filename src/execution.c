/*-------------------------------------------------------------------------
 *
 * execution.c
 *	  Executions and their tasks in memory: lock, load, find.
 *
 * Locking: uaef_step_lock() locks rows of workflow_execution in the order of
 * their ids, until the transaction ends.  Tasks are read only under the lock
 * of their execution, so that what was read stays true.
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
#include "execution.h"
#include "execution_row.h"
#include "explain.h"
#include "limit.h"
#include "row_write.h"
#include "spi_util.h"
#include "task_override.h"
#include "uuid7.h"
#include "workflow_stat.h"

#define EXECUTIONS_BY_ID \
	"SELECT ctid, xmin, e.* FROM uaef.workflow_execution e" \
	" WHERE execution_id = ANY ($1)" \
	" ORDER BY execution_id"

static UaefQuery lock_executions = {
	EXECUTIONS_BY_ID " FOR NO KEY UPDATE",
	1, {UUIDARRAYOID}
};

static UaefQuery try_lock_executions = {
	EXECUTIONS_BY_ID " FOR NO KEY UPDATE SKIP LOCKED",
	1, {UUIDARRAYOID}
};

static UaefQuery peek_executions = {
	EXECUTIONS_BY_ID,
	1, {UUIDARRAYOID}
};

#define TASK_COLUMNS \
	"SELECT ctid, xmin, t.* FROM uaef.task_execution t"

/* Where the columns of those results are. */
#define CTID 1
#define XMIN 2
#define COL(column) ((column) + 3)

static UaefQuery find_task = {
	TASK_COLUMNS
	" WHERE execution_id = $1 AND task_no = $2 AND item = $3",
	3, {UUIDOID, INT2OID, INT4OID}
};

static UaefQuery find_items = {
	TASK_COLUMNS
	" WHERE execution_id = $1 AND task_no = $2"
	" AND item >= $3 AND item < $4 ORDER BY item",
	4, {UUIDOID, INT2OID, INT4OID, INT4OID}
};

static UaefQuery find_open_tasks = {
	TASK_COLUMNS
	" WHERE execution_id = $1 AND status IN"
	" ('pending', 'queued', 'running', 'waiting_input')"
	" ORDER BY task_no, item",
	1, {UUIDOID}
};

static UaefQuery find_tasks = {
	TASK_COLUMNS " WHERE execution_id = $1 AND item = -1",
	1, {UUIDOID}
};

static UaefQuery find_items_to_redo = {
	TASK_COLUMNS
	" WHERE execution_id = $1 AND task_no = $2 AND item >= 0"
	" AND status IN ('failed', 'cancelled') AND attempt = attempts_before"
	" ORDER BY item LIMIT $3",
	3, {UUIDOID, INT2OID, INT4OID}
};

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

static void load_execution(UaefStep *step, uint64 row, int32 *definition_id);
static void load_lineage(UaefExecution *execution, uint64 row);
static UaefTask *load_task(UaefExecution *execution, uint64 row);
static UaefTask *new_task(UaefExecution *execution, const UaefTaskDef *def,
						  int no, int item);
static void add_item(UaefExecution *execution, UaefTask *task);
static ItemPointerData row_place(uint64 row);
static bool written_here(uint64 row, int column);
static int	int_or(uint64 row, int column, int otherwise);
static int64 int64_or_zero(uint64 row, int column);
static bool uuid_or(uint64 row, int column, pg_uuid_t *value);

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

/*
 * Load the executions among ids that the step does not have yet.
 */
static void
load_executions(UaefStep *step, UaefQuery *query, const pg_uuid_t *ids, int n)
{
	Datum	   *values = palloc(sizeof(Datum) * Max(n, 1));
	int			wanted = 0;
	int			first = list_length(step->executions);
	uint64		found;
	int32	   *definition_ids;
	Datum		arg;

	for (int i = 0; i < n; i++)
		if (uaef_step_execution(step, &ids[i]) == NULL)
			values[wanted++] = UUIDPGetDatum(&ids[i]);
	if (wanted == 0)
		return;

	arg = uaef_array(values, NULL, wanted, UUIDOID);
	found = uaef_spi_run(query, &arg, NULL);
	definition_ids = palloc(sizeof(int32) * Max(found, 1));
	for (uint64 row = 0; row < found; row++)
		load_execution(step, row, &definition_ids[row]);
	SPI_freetuptable(SPI_tuptable);

	/* Only now, since compiling a definition reads tables too. */
	for (uint64 row = 0; row < found; row++)
	{
		UaefExecution *execution = list_nth(step->executions, first + row);

		execution->def = uaef_definition_get(definition_ids[row]);
		execution->tasks = palloc0(sizeof(UaefTask *) *
								   execution->def->n_tasks);
	}
}

/*
 * Load executions under a lock, and tell the ledger that we hold their streams.
 */
static void
lock_executions_by(UaefStep *step, UaefQuery *query, const pg_uuid_t *ids,
				   int n)
{
	int			first = list_length(step->executions);

	load_executions(step, query, ids, n);
	for (int i = first; i < list_length(step->executions); i++)
	{
		UaefExecution *execution = list_nth(step->executions, i);

		uaef_ledger_hold_stream(&execution->id, false);
	}
}

void
uaef_step_lock(UaefStep *step, const pg_uuid_t *ids, int n)
{
	lock_executions_by(step, &lock_executions, ids, n);
}

void
uaef_step_try_lock(UaefStep *step, const pg_uuid_t *ids, int n)
{
	lock_executions_by(step, &try_lock_executions, ids, n);
}

void
uaef_step_peek(UaefStep *step, const pg_uuid_t *ids, int n)
{
	load_executions(step, &peek_executions, ids, n);
}

/*
 * Take an execution from a row of the last result.
 */
static void
load_execution(UaefStep *step, uint64 row, int32 *definition_id)
{
	UaefExecution *execution = palloc0(sizeof(UaefExecution));
	char	   *status;

	execution->step = step;
	execution->id = uaef_spi_uuid(row, COL(EXEC_EXECUTION_ID));
	*definition_id = uaef_spi_int32(row, COL(EXEC_DEFINITION_ID));
	execution->name = uaef_spi_text(row, COL(EXEC_NAME));
	status = uaef_spi_text(row, COL(EXEC_STATUS));
	execution->status = uaef_execution_status_by_name(status);
	execution->priority = uaef_spi_int32(row, COL(EXEC_PRIORITY));
	execution->open_tasks = uaef_spi_int32(row, COL(EXEC_OPEN_TASKS));
	execution->stored_open_tasks = execution->open_tasks;
	execution->initiated_by = uaef_spi_oid(row, COL(EXEC_INITIATED_BY));
	execution->stored_input = uaef_spi_toasted(row, COL(EXEC_INPUT));
	execution->output = uaef_spi_jsonb(row, COL(EXEC_OUTPUT));
	execution->error = uaef_spi_jsonb(row, COL(EXEC_ERROR));
	execution->created_at = uaef_spi_time(row, COL(EXEC_CREATED_AT));
	execution->started_at = uaef_spi_time(row, COL(EXEC_STARTED_AT));
	execution->completed_at = uaef_spi_time(row, COL(EXEC_COMPLETED_AT));
	execution->schedule_id = int_or(row, COL(EXEC_SCHEDULE_ID), 0);
	execution->tick_at = uaef_spi_time(row, COL(EXEC_TICK_AT));
	execution->timeout_ms = int64_or_zero(row, COL(EXEC_TIMEOUT_MS));
	execution->deadline_at = uaef_spi_time(row, COL(EXEC_DEADLINE_AT));
	execution->is_fork = uuid_or(row, COL(EXEC_FORKED_FROM),
								 &execution->forked_from);
	execution->ours = written_here(row, XMIN);
	execution->session_role = uaef_spi_oid(row, COL(EXEC_SESSION_ROLE));
	execution->agent = uaef_spi_text(row, COL(EXEC_AGENT));
	execution->singleton_key = uaef_spi_text(row, COL(EXEC_SINGLETON_KEY));
	load_lineage(execution, row);
	execution->tid = row_place(row);
	execution->stored = true;
	execution->last_event = -1;
	step->executions = lappend(step->executions, execution);
}

/*
 * Whose child an execution is, and how it is about to end.
 */
static void
load_lineage(UaefExecution *execution, uint64 row)
{
	bool		isnull;
	Datum		parent = uaef_spi_value(row, COL(EXEC_PARENT_EXECUTION_ID),
										&isnull);
	char	   *ending = uaef_spi_text(row, COL(EXEC_ENDING));

	if (!isnull)
	{
		execution->has_parent = true;
		execution->parent_id = *DatumGetUUIDP(parent);
		execution->parent_task_id = uaef_spi_int64(row,
												   COL(EXEC_PARENT_TASK_ID));
		execution->depth = uaef_spi_int32(row, COL(EXEC_DEPTH));
	}
	if (!uuid_or(row, COL(EXEC_ROOT_EXECUTION_ID), &execution->root_id))
		execution->root_id = execution->id;
	execution->children = uaef_spi_int32(row, COL(EXEC_CHILDREN));
	if (ending != NULL)
	{
		execution->is_ending = true;
		execution->ending = uaef_execution_status_by_name(ending);
	}
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

/*
 * The definition of what a task number, or an item of it, runs.
 */
static const UaefTaskDef *
task_definition(UaefExecution *execution, int no, int item)
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

static UaefTask *
new_task(UaefExecution *execution, const UaefTaskDef *def, int no, int item)
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

/*
 * Take a task from a row of the last result.
 */
static UaefTask *
load_task(UaefExecution *execution, uint64 row)
{
	bool		isnull;
	int			no = DatumGetInt16(uaef_spi_value(row, COL(TASK_TASK_NO), &isnull));
	int			item = uaef_spi_int32(row, COL(TASK_ITEM));
	UaefTask   *task = new_task(execution,
								task_definition(execution, no, item), no, item);
	char	   *status = uaef_spi_text(row, COL(TASK_STATUS));
	Datum		child;

	task->stored = true;
	task->dirty = false;
	task->has_lease = uuid_or(row, COL(TASK_LEASE_TOKEN), &task->lease_token);
	task->task_id = uaef_spi_int64(row, COL(TASK_TASK_ID));
	task->status = uaef_task_status_by_name(status);
	task->attempt = uaef_spi_int32(row, COL(TASK_ATTEMPT));
	task->edges_resolved = uaef_spi_int32(row, COL(TASK_EDGES_RESOLVED));
	task->edges_live = uaef_spi_int32(row, COL(TASK_EDGES_LIVE));
	task->items_total = int_or(row, COL(TASK_ITEMS_TOTAL), -1);
	task->items_started = int_or(row, COL(TASK_ITEMS_STARTED), 0);
	task->items_completed = int_or(row, COL(TASK_ITEMS_COMPLETED), 0);
	task->items_failed = int_or(row, COL(TASK_ITEMS_FAILED), 0);
	task->item_value = uaef_spi_jsonb(row, COL(TASK_ITEM_VALUE));
	task->output = uaef_spi_jsonb(row, COL(TASK_OUTPUT));
	task->error = uaef_spi_jsonb(row, COL(TASK_ERROR));
	task->worker = uaef_spi_text(row, COL(TASK_WORKER));
	task->lease_expires_at = uaef_spi_time(row, COL(TASK_LEASE_EXPIRES_AT));
	task->queued_at = uaef_spi_time(row, COL(TASK_QUEUED_AT));
	task->started_at = uaef_spi_time(row, COL(TASK_STARTED_AT));
	task->completed_at = uaef_spi_time(row, COL(TASK_COMPLETED_AT));
	task->label = uaef_spi_text(row, COL(TASK_LABEL));
	task->attempts_before = uaef_spi_int32(row, COL(TASK_ATTEMPTS_BEFORE));
	task->losses = uaef_spi_int32(row, COL(TASK_LOSSES));
	task->items_redo = int_or(row, COL(TASK_ITEMS_REDO), 0);
	task->progress = uaef_spi_jsonb(row, COL(TASK_PROGRESS));
	task->overrides = uaef_spi_jsonb(row, COL(TASK_OVERRIDES));
	if (task->overrides != NULL)
		uaef_task_apply_overrides(task);
	task->runs = int_or(row, COL(TASK_RUNS), 0);
	child = uaef_spi_value(row, COL(TASK_CHILD_EXECUTION_ID), &isnull);
	if (!isnull)
	{
		task->has_child = true;
		task->child_id = *DatumGetUUIDP(child);
	}
	task->tid = row_place(row);
	task->ours = written_here(row, XMIN);
	return task;
}

UaefTask *
uaef_execution_find(UaefExecution *execution, int no, int item)
{
	UaefTask   *task = item == UAEF_NO_ITEM ? execution->tasks[no]
		: uaef_execution_known_item(execution, no, item);
	Datum		args[3];

	if (task != NULL)
		return task;
	if (!execution->stored)
		return NULL;

	args[0] = UUIDPGetDatum(&execution->id);
	args[1] = Int16GetDatum(no);
	args[2] = Int32GetDatum(item);
	if (uaef_spi_run(&find_task, args, NULL) > 0)
	{
		task = load_task(execution, 0);
		if (item == UAEF_NO_ITEM)
			execution->tasks[no] = task;
		else
			add_item(execution, task);
	}
	SPI_freetuptable(SPI_tuptable);
	return task;
}

UaefTask *
uaef_execution_task(UaefExecution *execution, int no)
{
	UaefTask   *task = uaef_execution_find(execution, no, UAEF_NO_ITEM);

	if (task == NULL)
	{
		task = new_task(execution, &execution->def->tasks[no], no,
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

static void
add_item(UaefExecution *execution, UaefTask *task)
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

/*
 * Take the tasks and items of the last result that the step does not know yet.
 */
static void
take_rows(UaefExecution *execution, uint64 found)
{
	for (uint64 row = 0; row < found; row++)
	{
		bool		isnull;
		int			no = DatumGetInt16(uaef_spi_value(row, COL(TASK_TASK_NO), &isnull));
		int			item = uaef_spi_int32(row, COL(TASK_ITEM));

		if (item != UAEF_NO_ITEM)
		{
			if (uaef_execution_known_item(execution, no, item) == NULL)
				add_item(execution, load_task(execution, row));
		}
		else if (execution->tasks[no] == NULL)
			execution->tasks[no] = load_task(execution, row);
	}
	SPI_freetuptable(SPI_tuptable);
}

void
uaef_execution_fetch_items(UaefExecution *execution, int no, int first, int n)
{
	Datum		args[4];

	args[0] = UUIDPGetDatum(&execution->id);
	args[1] = Int16GetDatum(no);
	args[2] = Int32GetDatum(first);
	args[3] = Int32GetDatum(first + n);
	take_rows(execution, uaef_spi_run(&find_items, args, NULL));
}

UaefTask *
uaef_execution_new_item(UaefExecution *execution, UaefTask *map, int item,
						Jsonb *value)
{
	UaefTask   *task = new_task(execution, map->def->config.parallel.task,
								map->no, item);

	task->task_id = nextval_internal(execution->step->task_sequence, false);
	task->overrides = map->overrides;
	if (task->overrides != NULL)
		uaef_task_apply_overrides(task);
	task->item_value = value;
	add_item(execution, task);
	return task;
}

UaefTask *
uaef_execution_new_compensation(UaefExecution *execution, int no)
{
	UaefTask   *task = new_task(execution,
								execution->def->tasks[no].compensate, no,
								UAEF_COMPENSATION);

	task->task_id = nextval_internal(execution->step->task_sequence, false);
	add_item(execution, task);
	return task;
}

/*
 * Load the tasks and items that have not ended, besides those that the step
 * knows already.
 */
static void
load_open_tasks(UaefExecution *execution)
{
	Datum		arg = UUIDPGetDatum(&execution->id);

	take_rows(execution, uaef_spi_run(&find_open_tasks, &arg, NULL));
}

void
uaef_execution_load_tasks(UaefExecution *execution)
{
	Datum		arg = UUIDPGetDatum(&execution->id);

	take_rows(execution, uaef_spi_run(&find_tasks, &arg, NULL));
}

void
uaef_execution_mark_items_to_redo(UaefExecution *execution, int no)
{
	Datum		args[2];

	args[0] = UUIDPGetDatum(&execution->id);
	args[1] = Int16GetDatum(no);
	uaef_spi_run(&mark_items_to_redo, args, NULL);
}

/*
 * The rows must tell what the step has done so far, so it is written first.
 */
List *
uaef_execution_items_to_redo(UaefExecution *execution, int no, int limit)
{
	List	   *items = NIL;
	Datum		args[3];
	uint64		found;

	uaef_step_write_tasks(execution->step);
	args[0] = UUIDPGetDatum(&execution->id);
	args[1] = Int16GetDatum(no);
	args[2] = Int32GetDatum(limit);
	found = uaef_spi_run(&find_items_to_redo, args, NULL);
	for (uint64 row = 0; row < found; row++)
	{
		UaefTask   *item = uaef_execution_known_item(execution, no,
													 uaef_spi_int32(row, COL(TASK_ITEM)));

		if (item == NULL)
		{
			item = load_task(execution, row);
			add_item(execution, item);
		}
		items = lappend(items, item);
	}
	SPI_freetuptable(SPI_tuptable);
	return items;
}

List *
uaef_execution_open_tasks(UaefExecution *execution)
{
	List	   *open = NIL;
	ListCell   *cell;

	if (execution->stored)
		load_open_tasks(execution);

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
 * Whether our own transaction wrote the row, by the row's xmin.
 */
static bool
written_here(uint64 row, int column)
{
	bool		isnull;
	Datum		xmin = uaef_spi_value(row, column, &isnull);

	return TransactionIdIsCurrentTransactionId(DatumGetTransactionId(xmin));
}

static ItemPointerData
row_place(uint64 row)
{
	bool		isnull;

	return *(ItemPointer) DatumGetPointer(uaef_spi_value(row, CTID, &isnull));
}

static int
int_or(uint64 row, int column, int otherwise)
{
	bool		isnull;
	Datum		value = uaef_spi_value(row, column, &isnull);

	return isnull ? otherwise : DatumGetInt32(value);
}

static int64
int64_or_zero(uint64 row, int column)
{
	bool		isnull;
	Datum		value = uaef_spi_value(row, column, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

/*
 * Take a uuid; false when it is null.
 */
static bool
uuid_or(uint64 row, int column, pg_uuid_t *value)
{
	bool		isnull;
	Datum		datum = uaef_spi_value(row, column, &isnull);

	if (!isnull)
		*value = *DatumGetUUIDP(datum);
	return !isnull;
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
