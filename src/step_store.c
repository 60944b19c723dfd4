/*-------------------------------------------------------------------------
 *
 * step_store.c
 *	  Writing a step: all that it changed, table by table.
 *
 * The events come after the rows, so that none is recorded of what could not
 * be written.  Settlement comes last: it reads what the step wrote.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "execution.h"
#include "row_write.h"
#include "settlement.h"
#include "spi_util.h"
#include "wake.h"

static UaefQuery insert_execution = {
	"INSERT INTO uaef.workflow_execution (execution_id, definition_id, name,"
	" status, priority, open_tasks, initiated_by, input, output, error,"
	" created_at, started_at, completed_at, session_role)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
	14, {UUIDOID, INT4OID, TEXTOID, TEXTOID, INT4OID, INT4OID, REGROLEOID,
		JSONBOID, JSONBOID, JSONBOID,
	TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID, REGROLEOID}
};

static UaefQuery update_execution = {
	"UPDATE uaef.workflow_execution"
	" SET status = $2, open_tasks = $3, output = $4, error = $5,"
	" started_at = $6, completed_at = $7"
	" WHERE execution_id = $1",
	7, {UUIDOID, TEXTOID, INT4OID, JSONBOID, JSONBOID,
	TIMESTAMPTZOID, TIMESTAMPTZOID}
};

/* The columns of task_execution. */
enum
{
	COL_EXECUTION_ID, COL_TASK_NO, COL_ITEM, COL_TASK_ID, COL_TASK,
	COL_STATUS, COL_ATTEMPT, COL_EDGES_RESOLVED, COL_EDGES_LIVE,
	COL_ITEMS_TOTAL, COL_ITEMS_STARTED, COL_ITEMS_COMPLETED,
	COL_ITEMS_FAILED, COL_ITEM_VALUE, COL_OUTPUT, COL_ERROR, COL_WORKER,
	COL_LEASE_TOKEN, COL_LEASE_EXPIRES_AT, COL_QUEUED_AT, COL_STARTED_AT,
	COL_COMPLETED_AT, N_TASK_COLUMNS
};

static UaefQuery delete_ready = {
	"DELETE FROM uaef.task_ready WHERE ctid = ANY (ARRAY("
	" SELECT ctid FROM uaef.task_ready"
	" WHERE queue = $1 AND run_as = $2 AND priority = $3 AND task_id = $4"
	" FOR UPDATE SKIP LOCKED))",
	4, {TEXTOID, REGROLEOID, INT4OID, INT8OID}
};

/* A row being made. */
typedef struct Row
{
	Datum		values[N_TASK_COLUMNS];
	bool		nulls[N_TASK_COLUMNS];
} Row;

static void write_execution(UaefExecution *execution);
static void settle(UaefExecution *execution);

static void
set(Row *row, int column, Datum value)
{
	row->values[column] = value;
	row->nulls[column] = false;
}

static void
set_pointer(Row *row, int column, void *pointer)
{
	row->values[column] = PointerGetDatum(pointer);
	row->nulls[column] = (pointer == NULL);
}

static void
set_text(Row *row, int column, const char *text)
{
	set_pointer(row, column, text ? cstring_to_text(text) : NULL);
}

static void
set_time(Row *row, int column, TimestampTz time)
{
	row->values[column] = TimestampTzGetDatum(time);
	row->nulls[column] = (time == 0);
}

static void
set_counter(Row *row, int column, bool is_map, int count)
{
	row->values[column] = Int32GetDatum(count);
	row->nulls[column] = !is_map;
}

static void
task_row(Row *row, UaefTask *task)
{
	bool		is_map = task->items_total >= 0;

	set(row, COL_EXECUTION_ID, UUIDPGetDatum(&task->execution->id));
	set(row, COL_TASK_NO, Int16GetDatum(task->no));
	set(row, COL_ITEM, Int32GetDatum(task->item));
	set(row, COL_TASK_ID, Int64GetDatum(task->task_id));
	set_text(row, COL_TASK, task->execution->def->tasks[task->no].id);
	set_text(row, COL_STATUS, uaef_task_status_name(task->status));
	set(row, COL_ATTEMPT, Int32GetDatum(task->attempt));
	set(row, COL_EDGES_RESOLVED, Int32GetDatum(task->edges_resolved));
	set(row, COL_EDGES_LIVE, Int32GetDatum(task->edges_live));
	set_counter(row, COL_ITEMS_TOTAL, is_map, task->items_total);
	set_counter(row, COL_ITEMS_STARTED, is_map, task->items_started);
	set_counter(row, COL_ITEMS_COMPLETED, is_map, task->items_completed);
	set_counter(row, COL_ITEMS_FAILED, is_map, task->items_failed);
	set_pointer(row, COL_ITEM_VALUE, task->item_value);
	set_pointer(row, COL_OUTPUT, task->output);
	set_pointer(row, COL_ERROR, task->error);
	set_text(row, COL_WORKER, task->worker);
	set_pointer(row, COL_LEASE_TOKEN,
				task->has_lease ? &task->lease_token : NULL);
	set_time(row, COL_LEASE_EXPIRES_AT, task->lease_expires_at);
	set_time(row, COL_QUEUED_AT, task->queued_at);
	set_time(row, COL_STARTED_AT, task->started_at);
	set_time(row, COL_COMPLETED_AT, task->completed_at);
}

static void
write_task(UaefTable *table, UaefTask *task)
{
	Row			row;

	if (task == NULL || !task->dirty)
		return;
	task_row(&row, task);
	if (task->stored)
		uaef_table_update(table, row.values, row.nulls, &task->tid);
	else
		uaef_table_insert(table, row.values, row.nulls, &task->tid);
	task->dirty = false;
	task->stored = true;
}

void
uaef_step_write_tasks(UaefStep *step)
{
	UaefTable	table;
	ListCell   *cell;
	ListCell   *item;

	uaef_table_open(&table, "task_execution");
	foreach(cell, step->executions)
	{
		UaefExecution *execution = lfirst(cell);

		for (int no = 0; no < execution->def->n_tasks; no++)
			write_task(&table, execution->tasks[no]);
		foreach(item, execution->items)
			write_task(&table, lfirst(item));
	}
	uaef_table_close(&table);
}

/*
 * The queue of the ready set that a task waits in.
 */
const char *
uaef_task_queue(const UaefTask *task)
{
	return task->def->type == UAEF_TASK_SQL ? "#sql" : task->def->queue;
}

/*
 * As whom it runs; outside workers are not sorted by role.
 */
Oid
uaef_task_run_as(const UaefTask *task)
{
	return task->def->type == UAEF_TASK_SQL ?
		task->execution->initiated_by : InvalidOid;
}

static int32
ready_priority(const UaefTask *task)
{
	int64		sum = (int64) task->execution->priority + task->def->priority;

	return (int32) Min(Max(sum, PG_INT32_MIN), PG_INT32_MAX);
}

static void
write_ready(UaefStep *step)
{
	UaefTable	table;
	ListCell   *cell;

	if (step->ready == NIL)
		return;
	uaef_table_open(&table, "task_ready");
	foreach(cell, step->ready)
	{
		UaefTask   *task = lfirst(cell);
		Row			row;

		/* It may have been cancelled since, by a failure in the same step. */
		if (task->status != UAEF_TASK_QUEUED)
			continue;
		set_text(&row, 0, uaef_task_queue(task));
		set(&row, 1, ObjectIdGetDatum(uaef_task_run_as(task)));
		set(&row, 2, Int32GetDatum(ready_priority(task)));
		set(&row, 3, Int64GetDatum(task->task_id));
		set(&row, 4, UUIDPGetDatum(&task->execution->id));
		set(&row, 5, Int16GetDatum(task->no));
		set(&row, 6, Int32GetDatum(task->item));
		uaef_table_insert(&table, row.values, row.nulls, NULL);
		if (task->def->type == UAEF_TASK_SQL)
			uaef_wake_executor_on_commit(task->execution->initiated_by);
	}
	uaef_table_close(&table);
	step->ready = NIL;
}

bool
uaef_step_unready(UaefTask *task)
{
	Datum		args[4];

	args[0] = CStringGetTextDatum(uaef_task_queue(task));
	args[1] = ObjectIdGetDatum(uaef_task_run_as(task));
	args[2] = Int32GetDatum(ready_priority(task));
	args[3] = Int64GetDatum(task->task_id);
	return uaef_spi_run(&delete_ready, args, NULL) > 0;
}

static void
write_timers(UaefStep *step)
{
	UaefTable	table;
	ListCell   *cell;

	if (step->timers == NIL)
		return;
	uaef_table_open(&table, "task_timer");
	foreach(cell, step->timers)
	{
		UaefTimerRow *timer = lfirst(cell);
		Row			row;

		set(&row, 0, TimestampTzGetDatum(timer->due_at));
		set(&row, 1, UUIDPGetDatum(&timer->execution->id));
		set(&row, 2, Int16GetDatum(timer->task_no));
		set(&row, 3, Int32GetDatum(timer->item));
		set(&row, 4, Int32GetDatum(timer->attempt));
		set_text(&row, 5, timer->kind);
		uaef_table_insert(&table, row.values, row.nulls, NULL);
	}
	uaef_table_close(&table);
	uaef_wake_worker_on_commit(UAEF_WAKE_TIMERS);
	step->timers = NIL;
}

void
uaef_step_timer(UaefExecution *execution, UaefTask *task, const char *kind,
				TimestampTz due_at)
{
	UaefTimerRow *timer = palloc(sizeof(UaefTimerRow));

	timer->execution = execution;
	timer->due_at = due_at;
	timer->task_no = task ? task->no : -1;
	timer->item = task ? task->item : UAEF_NO_ITEM;
	timer->attempt = task ? task->attempt : 0;
	timer->kind = kind;
	execution->step->timers = lappend(execution->step->timers, timer);
}

void
uaef_step_event(UaefExecution *execution, UaefTask *task, const char *type,
				Jsonb *payload)
{
	UaefStep   *step = execution->step;
	UaefEvent  *event;

	if (step->n_events == step->max_events)
	{
		step->max_events = Max(8, step->max_events * 2);
		step->events = step->events == NULL ?
			palloc(sizeof(UaefEvent) * step->max_events) :
			repalloc(step->events, sizeof(UaefEvent) * step->max_events);
	}
	event = &step->events[step->n_events++];
	execution->last_event = step->n_events - 1;
	memset(event, 0, sizeof(UaefEvent));
	event->type = type;
	event->stream = &execution->id;
	event->actor_type = step->actor_type;
	event->actor_id = step->actor_id;
	event->task_id = task ? task->task_id : 0;
	event->payload = payload;
}

void
uaef_step_note(UaefTask *task, UaefNoteKind kind)
{
	UaefExecution *execution = task->execution;
	UaefNote   *note = execution->notes[kind] == NIL ? NULL :
		llast(execution->notes[kind]);

	if (note != NULL && note->no == task->no &&
		task->item != UAEF_NO_ITEM && note->last_item == task->item - 1)
	{
		note->last_item = task->item;
		return;
	}
	note = palloc(sizeof(UaefNote));
	note->no = task->no;
	note->first_item = note->last_item = task->item;
	execution->notes[kind] = lappend(execution->notes[kind], note);
}

/*
 * Notes as texts: "pay", "resize[3]", "resize[0..99]".
 */
static void
add_notes(UaefJson *json, UaefExecution *execution, UaefNoteKind kind)
{
	static const char *const keys[] = {
		[UAEF_NOTE_QUEUED] = "queued",
		[UAEF_NOTE_SKIPPED] = "skipped",
		[UAEF_NOTE_CANCELLED] = "cancelled",
	};
	List	   *notes = execution->notes[kind];
	char	  **texts = palloc(sizeof(char *) * Max(list_length(notes), 1));
	ListCell   *cell;
	int			n = 0;

	if (notes == NIL)
		return;
	foreach(cell, notes)
	{
		UaefNote   *note = lfirst(cell);
		char	   *id = execution->def->tasks[note->no].id;

		if (note->first_item == UAEF_NO_ITEM)
			texts[n++] = id;
		else if (note->first_item == note->last_item)
			texts[n++] = psprintf("%s[%d]", id, note->first_item);
		else
			texts[n++] = psprintf("%s[%d..%d]", id, note->first_item,
								  note->last_item);
	}
	uaef_json_texts(json, keys[kind], texts, n);
	execution->notes[kind] = NIL;
}

/*
 * Add the notes of an execution to its last event, or to a new one.
 */
static void
write_notes(UaefExecution *execution)
{
	UaefEvent  *event;
	UaefJson	json;
	bool		any = false;

	for (int kind = 0; kind < UAEF_N_NOTES; kind++)
		any = any || execution->notes[kind] != NIL;
	if (!any)
		return;

	if (execution->last_event < 0)
		uaef_step_event(execution, NULL, "task_queued", NULL);
	event = &execution->step->events[execution->last_event];
	uaef_json_begin(&json);
	uaef_json_members(&json, event->payload);
	for (int kind = 0; kind < UAEF_N_NOTES; kind++)
		add_notes(&json, execution, (UaefNoteKind) kind);
	event->payload = uaef_json_end(&json);
}

/*
 * A nullable argument of a single-row statement.
 */
static Datum
argument(char *nulls, int i, bool isnull, Datum value)
{
	nulls[i] = isnull ? 'n' : ' ';
	return isnull ? (Datum) 0 : value;
}

static void
insert_new_execution(UaefExecution *execution)
{
	Datum		args[14];
	char		nulls[14];

	memset(nulls, ' ', sizeof(nulls));
	args[0] = UUIDPGetDatum(&execution->id);
	args[1] = Int32GetDatum(execution->def->definition_id);
	args[2] = argument(nulls, 2, execution->name == NULL,
					   PointerGetDatum(execution->name ?
									   cstring_to_text(execution->name) : NULL));
	args[3] = CStringGetTextDatum(uaef_execution_status_name(execution->status));
	args[4] = Int32GetDatum(execution->priority);
	args[5] = Int32GetDatum(execution->open_tasks);
	args[6] = ObjectIdGetDatum(execution->initiated_by);
	args[7] = PointerGetDatum(execution->input);
	args[8] = argument(nulls, 8, execution->output == NULL,
					   PointerGetDatum(execution->output));
	args[9] = argument(nulls, 9, execution->error == NULL,
					   PointerGetDatum(execution->error));
	args[10] = TimestampTzGetDatum(execution->created_at);
	args[11] = argument(nulls, 11, execution->started_at == 0,
						TimestampTzGetDatum(execution->started_at));
	args[12] = argument(nulls, 12, execution->completed_at == 0,
						TimestampTzGetDatum(execution->completed_at));
	args[13] = ObjectIdGetDatum(execution->session_role);
	uaef_spi_run(&insert_execution, args, nulls);
}

static void
update_stored_execution(UaefExecution *execution)
{
	Datum		args[7];
	char		nulls[7];

	memset(nulls, ' ', sizeof(nulls));
	args[0] = UUIDPGetDatum(&execution->id);
	args[1] = CStringGetTextDatum(uaef_execution_status_name(execution->status));
	args[2] = Int32GetDatum(execution->open_tasks);
	args[3] = argument(nulls, 3, execution->output == NULL,
					   PointerGetDatum(execution->output));
	args[4] = argument(nulls, 4, execution->error == NULL,
					   PointerGetDatum(execution->error));
	args[5] = argument(nulls, 5, execution->started_at == 0,
					   TimestampTzGetDatum(execution->started_at));
	args[6] = argument(nulls, 6, execution->completed_at == 0,
					   TimestampTzGetDatum(execution->completed_at));
	uaef_spi_run(&update_execution, args, nulls);
}

static void
write_execution(UaefExecution *execution)
{
	if (!execution->stored)
		insert_new_execution(execution);
	else if (execution->dirty ||
			 execution->open_tasks != execution->stored_open_tasks)
		update_stored_execution(execution);
	if (execution->dirty && uaef_execution_ended(execution->status))
		uaef_wake_waiters_on_commit(&execution->id);
	execution->stored = true;
	execution->stored_open_tasks = execution->open_tasks;
}

static void
settle(UaefExecution *execution)
{
	UaefSettlementInput input;

	input.execution_id = execution->id;
	input.workflow = execution->def->name;
	input.version = execution->def->version;
	input.initiated_by = execution->initiated_by;
	input.completed_at = execution->completed_at;
	input.scope = uaef_execution_scope(execution);
	uaef_settlement_evaluate(&input);
}

void
uaef_step_write(UaefStep *step)
{
	ListCell   *cell;

	uaef_step_write_tasks(step);
	write_ready(step);
	write_timers(step);
	foreach(cell, step->executions)
	{
		write_execution(lfirst(cell));
		write_notes(lfirst(cell));
	}

	if (step->n_events > 0)
		uaef_ledger_append(step->events, step->n_events);
	step->n_events = 0;

	foreach(cell, step->executions)
	{
		UaefExecution *execution = lfirst(cell);

		if (execution->dirty &&
			execution->status == UAEF_EXECUTION_COMPLETED)
			settle(execution);
		execution->dirty = false;
		execution->last_event = -1;
	}
}
