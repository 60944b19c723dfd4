/*-------------------------------------------------------------------------
 *
 * execution_load.c
 *	  Reading executions and their tasks from their tables, by index.
 *
 * Every task that runs comes through here twice, so no statement is run: rows
 * are found by the primary keys, with a snapshot such as a statement would have.
 *
 * Locking: uaef_step_lock() locks rows of workflow_execution in the order of
 * their ids, until the transaction ends, as SELECT ... FOR NO KEY UPDATE would.
 * Tasks are read only under the lock of their execution, so that what was read
 * stays true.  A transaction that keeps its snapshot must see all of them as
 * they are then, or it fails, as it would with the row itself.
 *
 * Memory: what is loaded is in the step's context, texts and documents in the one
 * that was current at uaef_spi_begin().
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/tableam.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "nodes/bitmapset.h"
#include "nodes/lockoptions.h"
#include "storage/lmgr.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "execution_load.h"
#include "execution_row.h"
#include "row_write.h"
#include "table_scan.h"
#include "task_override.h"

/* Of so many tasks it is found out at once which ones have rows. */
#define FEW_TASKS	16

/* How executions are read. */
typedef enum Reading
{
	LOCKED,
	LOCKED_IF_FREE,				/* leave out what somebody else holds */
	PEEKED						/* without a lock */
} Reading;

/* Rows of tasks to read, and which of them are wanted. */
typedef struct TaskRange
{
	int			n_keys;			/* of the primary key: execution, task, item */
	int			no;
	int			item;
	int			end;			/* of items; 0: none */
	bool		(*wanted) (TupleTableSlot *row);	/* NULL: all */
	int			limit;			/* 0: none */
} TaskRange;

/* The number of a column, as slots count them. */
#define COL(column) ((column) + 1)

pg_noreturn static void fail_to_serialize(void);
static bool lock_row(UaefScan *scan, TupleTableSlot *locked, Reading reading);
static void require_seen(const pg_uuid_t *execution_id);
static void load_execution(UaefStep *step, TupleTableSlot *row,
						   int32 *definition_id);
static void load_lineage(UaefExecution *execution, TupleTableSlot *row);
static UaefTask *load_task(UaefExecution *execution, TupleTableSlot *row,
						   int no, int item);

/* ----------
 * Executions
 * ----------
 */

static int
compare_ids(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(pg_uuid_t));
}

/*
 * The ids that the step does not have yet, in their order, each once; returns
 * how many.
 */
static int
missing_ids(UaefStep *step, const pg_uuid_t *ids, int n, pg_uuid_t *missing)
{
	int			found = 0;
	int			kept = 0;

	for (int i = 0; i < n; i++)
		if (uaef_step_execution(step, &ids[i]) == NULL)
			missing[found++] = ids[i];
	qsort(missing, found, sizeof(pg_uuid_t), compare_ids);
	for (int i = 0; i < found; i++)
		if (kept == 0 || compare_ids(&missing[kept - 1], &missing[i]) != 0)
			missing[kept++] = missing[i];
	return kept;
}

static void
fail_to_serialize(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("could not serialize access due to concurrent update")));
}

/*
 * Lock the row that the scan stands on; locked then holds its last version.
 * False when it is gone, or is not to be waited for.
 */
static bool
lock_row(UaefScan *scan, TupleTableSlot *locked, Reading reading)
{
	ItemPointerData tid = scan->slot->tts_tid;
	int			flags = TUPLE_LOCK_FLAG_LOCK_UPDATE_IN_PROGRESS;
	TM_FailureData failure;
	TM_Result	result;

	ExecClearTuple(scan->slot);
	if (!IsolationUsesXactSnapshot())
		flags |= TUPLE_LOCK_FLAG_FIND_LAST_VERSION;
	result = table_tuple_lock(scan->rel, &tid, GetActiveSnapshot(), locked,
							  GetCurrentCommandId(false),
							  LockTupleNoKeyExclusive,
							  reading == LOCKED ? LockWaitBlock : LockWaitSkip,
							  flags, &failure);
	if ((result == TM_Updated || result == TM_Deleted) &&
		IsolationUsesXactSnapshot())
		fail_to_serialize();
	if (result == TM_Updated || result == TM_Invisible)
		elog(ERROR, "could not lock an execution: %d", (int) result);
	return result == TM_Ok;
}

/*
 * Fail where somebody has written tasks of an execution, and not the execution
 * itself, since our transaction took its snapshot: they would be missing, or
 * changed once more from what they were.
 */
static void
require_seen(const pg_uuid_t *execution_id)
{
	Snapshot	latest = RegisterSnapshot(GetLatestSnapshot());
	UaefScan	scan;
	ScanKeyData key;

	ScanKeyInit(&key, COL(TASK_EXECUTION_ID), BTEqualStrategyNumber,
				F_UUID_EQ, UUIDPGetDatum(execution_id));
	uaef_scan_begin(&scan, "task_execution", "task_execution_pkey", latest, 1,
					&key);
	while (uaef_scan_next(&scan, ForwardScanDirection))
	{
		CHECK_FOR_INTERRUPTS();
		if (!uaef_row_is_seen(scan.slot, GetTransactionSnapshot()))
			fail_to_serialize();
	}
	uaef_scan_end(&scan);
	UnregisterSnapshot(latest);
}

/*
 * Find the executions of these ids, which are in order, and load them.
 */
static void
read_executions(UaefStep *step, Reading reading, const pg_uuid_t *ids, int n,
				int32 *definition_ids)
{
	UaefScan	scan;
	ScanKeyData key;
	TupleTableSlot *locked = NULL;
	int			found = 0;

	for (int i = 0; i < n; i++)
	{
		ScanKeyInit(&key, COL(EXEC_EXECUTION_ID), BTEqualStrategyNumber,
					F_UUID_EQ, UUIDPGetDatum(&ids[i]));
		if (i == 0)
		{
			uaef_scan_begin_now(&scan, "workflow_execution",
								"workflow_execution_pkey", 1, &key);
			uaef_require_columns(RelationGetDescr(scan.rel),
								 "workflow_execution", N_EXECUTION_COLUMNS);
			if (reading != PEEKED)
			{
				LockRelationOid(RelationGetRelid(scan.rel), RowShareLock);
				locked = table_slot_create(scan.rel, NULL);
			}
		}
		else
			uaef_scan_again(&scan, 1, &key);
		if (!uaef_scan_next(&scan, ForwardScanDirection))
			continue;
		if (reading == PEEKED)
			load_execution(step, scan.slot, &definition_ids[found++]);
		else if (lock_row(&scan, locked, reading))
		{
			load_execution(step, locked, &definition_ids[found++]);
			ExecClearTuple(locked);
		}
	}
	if (locked != NULL)
		ExecDropSingleTupleTableSlot(locked);
	uaef_scan_end(&scan);
}

/*
 * Load the executions among ids that the step does not have yet; tell the
 * ledger of which we hold the streams.
 */
static void
load_executions(UaefStep *step, Reading reading, const pg_uuid_t *ids, int n)
{
	pg_uuid_t  *missing = palloc(sizeof(pg_uuid_t) * Max(n, 1));
	int			n_missing = missing_ids(step, ids, n, missing);
	int32	   *definition_ids = palloc(sizeof(int32) * Max(n, 1));
	int			first = list_length(step->executions);

	if (n_missing == 0)
		return;
	read_executions(step, reading, missing, n_missing, definition_ids);

	/* Only now, since compiling a definition reads tables too. */
	for (int i = first; i < list_length(step->executions); i++)
	{
		UaefExecution *execution = list_nth(step->executions, i);

		execution->def = uaef_definition_get(definition_ids[i - first]);
		execution->tasks = palloc0(sizeof(UaefTask *) *
								   execution->def->n_tasks);
		if (reading == PEEKED)
			continue;
		if (IsolationUsesXactSnapshot())
			require_seen(&execution->id);
		uaef_ledger_hold_stream(&execution->id, false);
	}
}

void
uaef_step_lock(UaefStep *step, const pg_uuid_t *ids, int n)
{
	load_executions(step, LOCKED, ids, n);
}

void
uaef_step_try_lock(UaefStep *step, const pg_uuid_t *ids, int n)
{
	load_executions(step, LOCKED_IF_FREE, ids, n);
}

void
uaef_step_peek(UaefStep *step, const pg_uuid_t *ids, int n)
{
	load_executions(step, PEEKED, ids, n);
}

/*
 * A column that is never null.
 */
static Datum
column(TupleTableSlot *row, int number)
{
	bool		isnull;

	return slot_getattr(row, COL(number), &isnull);
}

/*
 * Take an execution from its row.
 */
static void
load_execution(UaefStep *step, TupleTableSlot *row, int32 *definition_id)
{
	UaefExecution *execution = palloc0(sizeof(UaefExecution));

	execution->step = step;
	execution->id = *DatumGetUUIDP(column(row, EXEC_EXECUTION_ID));
	*definition_id = DatumGetInt32(column(row, EXEC_DEFINITION_ID));
	execution->name = uaef_row_text(row, COL(EXEC_NAME));
	execution->status =
		uaef_execution_status_by_name(uaef_row_text(row, COL(EXEC_STATUS)));
	execution->priority = DatumGetInt32(column(row, EXEC_PRIORITY));
	execution->open_tasks = DatumGetInt32(column(row, EXEC_OPEN_TASKS));
	execution->stored_open_tasks = execution->open_tasks;
	execution->initiated_by = DatumGetObjectId(column(row, EXEC_INITIATED_BY));
	execution->session_role = DatumGetObjectId(column(row, EXEC_SESSION_ROLE));
	execution->stored_input = uaef_row_toasted(row, COL(EXEC_INPUT));
	execution->output = uaef_row_jsonb(row, COL(EXEC_OUTPUT));
	execution->error = uaef_row_jsonb(row, COL(EXEC_ERROR));
	execution->created_at = uaef_row_time(row, COL(EXEC_CREATED_AT));
	execution->started_at = uaef_row_time(row, COL(EXEC_STARTED_AT));
	execution->completed_at = uaef_row_time(row, COL(EXEC_COMPLETED_AT));
	execution->schedule_id = uaef_row_int32(row, COL(EXEC_SCHEDULE_ID), 0);
	execution->tick_at = uaef_row_time(row, COL(EXEC_TICK_AT));
	execution->timeout_ms = uaef_row_int64(row, COL(EXEC_TIMEOUT_MS), 0);
	execution->deadline_at = uaef_row_time(row, COL(EXEC_DEADLINE_AT));
	execution->is_fork = uaef_row_uuid(row, COL(EXEC_FORKED_FROM),
									   &execution->forked_from);
	execution->agent = uaef_row_text(row, COL(EXEC_AGENT));
	execution->singleton_key = uaef_row_text(row, COL(EXEC_SINGLETON_KEY));
	load_lineage(execution, row);
	execution->ours = uaef_row_is_ours(row);
	execution->tid = row->tts_tid;
	execution->stored = true;
	execution->last_event = -1;
	step->executions = lappend(step->executions, execution);
}

/*
 * Whose child an execution is, and how it is about to end.
 */
static void
load_lineage(UaefExecution *execution, TupleTableSlot *row)
{
	char	   *ending = uaef_row_text(row, COL(EXEC_ENDING));

	execution->has_parent = uaef_row_uuid(row, COL(EXEC_PARENT_EXECUTION_ID),
										  &execution->parent_id);
	if (execution->has_parent)
	{
		execution->parent_task_id =
			uaef_row_int64(row, COL(EXEC_PARENT_TASK_ID), 0);
		execution->depth = DatumGetInt32(column(row, EXEC_DEPTH));
	}
	if (!uaef_row_uuid(row, COL(EXEC_ROOT_EXECUTION_ID), &execution->root_id))
		execution->root_id = execution->id;
	execution->children = DatumGetInt32(column(row, EXEC_CHILDREN));
	if (ending != NULL)
	{
		execution->is_ending = true;
		execution->ending = uaef_execution_status_by_name(ending);
	}
}

/* ----------
 * Tasks
 * ----------
 */

/*
 * Take a task from its row.
 */
static UaefTask *
load_task(UaefExecution *execution, TupleTableSlot *row, int no, int item)
{
	const UaefTaskDef *def = uaef_execution_task_def(execution, no, item);
	UaefTask   *task = uaef_execution_make_task(execution, def, no, item);

	task->stored = true;
	task->dirty = false;
	task->task_id = DatumGetInt64(column(row, TASK_TASK_ID));
	task->status =
		uaef_task_status_by_name(uaef_row_text(row, COL(TASK_STATUS)));
	task->attempt = DatumGetInt32(column(row, TASK_ATTEMPT));
	task->edges_resolved = DatumGetInt32(column(row, TASK_EDGES_RESOLVED));
	task->edges_live = DatumGetInt32(column(row, TASK_EDGES_LIVE));
	task->items_total = uaef_row_int32(row, COL(TASK_ITEMS_TOTAL), -1);
	task->items_started = uaef_row_int32(row, COL(TASK_ITEMS_STARTED), 0);
	task->items_completed = uaef_row_int32(row, COL(TASK_ITEMS_COMPLETED), 0);
	task->items_failed = uaef_row_int32(row, COL(TASK_ITEMS_FAILED), 0);
	task->item_value = uaef_row_jsonb(row, COL(TASK_ITEM_VALUE));
	task->output = uaef_row_jsonb(row, COL(TASK_OUTPUT));
	task->error = uaef_row_jsonb(row, COL(TASK_ERROR));
	task->worker = uaef_row_text(row, COL(TASK_WORKER));
	task->has_lease = uaef_row_uuid(row, COL(TASK_LEASE_TOKEN),
									&task->lease_token);
	task->lease_expires_at = uaef_row_time(row, COL(TASK_LEASE_EXPIRES_AT));
	task->queued_at = uaef_row_time(row, COL(TASK_QUEUED_AT));
	task->started_at = uaef_row_time(row, COL(TASK_STARTED_AT));
	task->completed_at = uaef_row_time(row, COL(TASK_COMPLETED_AT));
	task->label = uaef_row_text(row, COL(TASK_LABEL));
	task->attempts_before = DatumGetInt32(column(row, TASK_ATTEMPTS_BEFORE));
	task->losses = DatumGetInt32(column(row, TASK_LOSSES));
	task->items_redo = uaef_row_int32(row, COL(TASK_ITEMS_REDO), 0);
	task->progress = uaef_row_jsonb(row, COL(TASK_PROGRESS));
	task->overrides = uaef_row_jsonb(row, COL(TASK_OVERRIDES));
	if (task->overrides != NULL)
		uaef_task_apply_overrides(task);
	task->has_child = uaef_row_uuid(row, COL(TASK_CHILD_EXECUTION_ID),
									&task->child_id);
	task->runs = uaef_row_int32(row, COL(TASK_RUNS), 0);
	task->tid = row->tts_tid;
	task->ours = uaef_row_is_ours(row);
	return task;
}

/*
 * The task or item of a row, loaded unless the execution knows it.  Who asks for
 * it may be evaluating something in a context of its own, which the task outlives.
 */
static UaefTask *
take_row(UaefExecution *execution, TupleTableSlot *row)
{
	MemoryContext back;
	int			no = DatumGetInt16(column(row, TASK_TASK_NO));
	int			item = DatumGetInt32(column(row, TASK_ITEM));
	UaefTask   *task = item == UAEF_NO_ITEM ? execution->tasks[no] :
		uaef_execution_known_item(execution, no, item);

	if (task != NULL)
		return task;
	slot_getallattrs(row);
	back = MemoryContextSwitchTo(execution->step->context);
	task = load_task(execution, row, no, item);
	if (item == UAEF_NO_ITEM)
		execution->tasks[no] = task;
	else
		uaef_execution_add_item(execution, task);
	MemoryContextSwitchTo(back);
	return task;
}

static void
init_keys(ScanKeyData *keys, const UaefExecution *execution,
		  const TaskRange *range)
{
	ScanKeyInit(&keys[0], COL(TASK_EXECUTION_ID), BTEqualStrategyNumber,
				F_UUID_EQ, UUIDPGetDatum(&execution->id));
	ScanKeyInit(&keys[1], COL(TASK_TASK_NO), BTEqualStrategyNumber, F_INT2EQ,
				Int16GetDatum(range->no));
	if (range->end > 0)
	{
		ScanKeyInit(&keys[2], COL(TASK_ITEM), BTGreaterEqualStrategyNumber,
					F_INT4GE, Int32GetDatum(range->item));
		ScanKeyInit(&keys[3], COL(TASK_ITEM), BTLessStrategyNumber, F_INT4LT,
					Int32GetDatum(range->end));
	}
	else
		ScanKeyInit(&keys[2], COL(TASK_ITEM), BTEqualStrategyNumber, F_INT4EQ,
					Int32GetDatum(range->item));
}

/*
 * Begin to read tasks, or go on to others with as many keys.
 */
static void
scan_tasks(UaefScan *scan, bool again, const UaefExecution *execution,
		   const TaskRange *range)
{
	ScanKeyData keys[4];

	init_keys(keys, execution, range);
	if (again)
	{
		uaef_scan_again(scan, range->n_keys, keys);
		return;
	}
	uaef_scan_begin_now(scan, "task_execution", "task_execution_pkey",
						range->n_keys, keys);
	uaef_require_columns(RelationGetDescr(scan->rel), "task_execution",
						 N_TASK_COLUMNS);
}

/*
 * Read tasks in the order of their key; returns those that are wanted.
 */
static List *
read_tasks(UaefExecution *execution, const TaskRange *range)
{
	List	   *tasks = NIL;
	UaefScan	scan;

	scan_tasks(&scan, false, execution, range);
	while ((range->limit == 0 || list_length(tasks) < range->limit) &&
		   uaef_scan_next(&scan, ForwardScanDirection))
	{
		CHECK_FOR_INTERRUPTS();
		if (range->wanted == NULL || range->wanted(scan.slot))
			tasks = lappend(tasks, take_row(execution, scan.slot));
	}
	uaef_scan_end(&scan);
	return tasks;
}

/*
 * Whether it may be worth it to see which tasks have rows, for a graph is
 * walked from one to the next.  Items would be read in passing.
 */
static bool
is_small(const UaefDefinition *def)
{
	if (def->n_tasks > FEW_TASKS)
		return false;
	for (int no = 0; no < def->n_tasks; no++)
		if (def->tasks[no].type == UAEF_TASK_PARALLEL &&
			def->tasks[no].config.parallel.over != NULL)
			return false;
	return true;
}

/*
 * Read which tasks of an execution have rows, and load one of them.
 */
static void
see_rows(UaefExecution *execution, int no)
{
	TaskRange	range = {.n_keys = 1};
	MemoryContext back = MemoryContextSwitchTo(execution->step->context);
	UaefScan	scan;

	scan_tasks(&scan, false, execution, &range);
	while (uaef_scan_next(&scan, ForwardScanDirection))
	{
		int			row_no = DatumGetInt16(column(scan.slot, TASK_TASK_NO));

		if (DatumGetInt32(column(scan.slot, TASK_ITEM)) != UAEF_NO_ITEM)
			continue;
		execution->rows = bms_add_member(execution->rows, row_no);
		if (row_no == no)
			(void) take_row(execution, scan.slot);
	}
	execution->rows_known = true;
	uaef_scan_end(&scan);
	MemoryContextSwitchTo(back);
}

bool
uaef_execution_may_have_row(const UaefExecution *execution, int no)
{
	return execution->stored &&
		(!execution->rows_known || bms_is_member(no, execution->rows));
}

UaefTask *
uaef_execution_find(UaefExecution *execution, int no, int item)
{
	TaskRange	range = {.n_keys = 3,.no = no,.item = item};
	UaefTask   *task = item == UAEF_NO_ITEM ? execution->tasks[no]
		: uaef_execution_known_item(execution, no, item);

	if (task != NULL)
		return task;
	if (item != UAEF_NO_ITEM)
	{
		List	   *found = execution->stored ?
			read_tasks(execution, &range) : NIL;

		return found == NIL ? NULL : linitial(found);
	}
	if (!uaef_execution_may_have_row(execution, no))
		return NULL;
	if (!execution->rows_known && is_small(execution->def))
		see_rows(execution, no);
	else
		(void) read_tasks(execution, &range);
	return execution->tasks[no];
}

void
uaef_step_fetch(UaefStep *step, const UaefTaskRef *refs, int n)
{
	UaefScan	scan;
	bool		again = false;

	for (int i = 0; i < n; i++)
	{
		UaefExecution *execution =
			uaef_step_execution(step, &refs[i].execution_id);
		TaskRange	range = {
			.n_keys = 3,.no = refs[i].task_no,.item = refs[i].item
		};

		if (execution == NULL || !execution->stored ||
			(range.item == UAEF_NO_ITEM ? execution->tasks[range.no] :
			 uaef_execution_known_item(execution, range.no,
									   range.item)) != NULL)
			continue;
		scan_tasks(&scan, again, execution, &range);
		again = true;
		if (uaef_scan_next(&scan, ForwardScanDirection))
			(void) take_row(execution, scan.slot);
	}
	if (again)
		uaef_scan_end(&scan);
}

void
uaef_execution_fetch_items(UaefExecution *execution, int no, int first, int n)
{
	TaskRange	range = {.n_keys = 4,.no = no,.item = first,.end = first + n};

	list_free(read_tasks(execution, &range));
}

static UaefTaskStatus
status_of(TupleTableSlot *row)
{
	char	   *name = uaef_row_text(row, COL(TASK_STATUS));
	UaefTaskStatus status = uaef_task_status_by_name(name);

	pfree(name);
	return status;
}

static bool
is_open(TupleTableSlot *row)
{
	return !uaef_task_ended(status_of(row));
}

static bool
is_task(TupleTableSlot *row)
{
	return DatumGetInt32(column(row, TASK_ITEM)) == UAEF_NO_ITEM;
}

/*
 * Whether an item ended otherwise than completed, and was marked by
 * uaef_execution_mark_items_to_redo().
 */
static bool
is_to_redo(TupleTableSlot *row)
{
	UaefTaskStatus status = status_of(row);

	return (status == UAEF_TASK_FAILED || status == UAEF_TASK_CANCELLED) &&
		DatumGetInt32(column(row, TASK_ATTEMPT)) ==
		DatumGetInt32(column(row, TASK_ATTEMPTS_BEFORE));
}

void
uaef_execution_load_open_tasks(UaefExecution *execution)
{
	TaskRange	range = {.n_keys = 1,.wanted = is_open};

	list_free(read_tasks(execution, &range));
}

void
uaef_execution_load_tasks(UaefExecution *execution)
{
	TaskRange	range = {.n_keys = 1,.wanted = is_task};

	list_free(read_tasks(execution, &range));
}

/*
 * The rows must tell what the step has done so far, so it is written first.
 */
List *
uaef_execution_items_to_redo(UaefExecution *execution, int no, int limit)
{
	TaskRange	range = {
		.n_keys = 4,.no = no,.end = PG_INT32_MAX,
		.wanted = is_to_redo,.limit = limit
	};

	uaef_step_write_tasks(execution->step);
	return read_tasks(execution, &range);
}
