/*-------------------------------------------------------------------------
 *
 * step_store.c
 *	  Writing a step: all rows of a kind by one statement.
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
#include "settlement.h"
#include "spi_util.h"
#include "wake.h"

static UaefQuery insert_execution = {
	"INSERT INTO uaef.workflow_execution (execution_id, definition_id, name,"
	" status, priority, open_tasks, initiated_by, input, output, error,"
	" created_at, started_at, completed_at)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
	13, {UUIDOID, INT4OID, TEXTOID, TEXTOID, INT4OID, INT4OID, REGROLEOID,
		JSONBOID, JSONBOID, JSONBOID,
	TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID}
};

static UaefQuery update_execution = {
	"UPDATE uaef.workflow_execution"
	" SET status = $2, open_tasks = $3, output = $4, error = $5,"
	" started_at = $6, completed_at = $7"
	" WHERE execution_id = $1",
	7, {UUIDOID, TEXTOID, INT4OID, JSONBOID, JSONBOID,
	TIMESTAMPTZOID, TIMESTAMPTZOID}
};

/* The columns of task_execution, in the order of task_columns(). */
enum
{
	COL_EXECUTION_ID, COL_TASK_NO, COL_ITEM, COL_TASK_ID, COL_TASK,
	COL_STATUS, COL_ATTEMPT, COL_EDGES_RESOLVED, COL_EDGES_LIVE,
	COL_ITEMS_TOTAL, COL_ITEMS_STARTED, COL_ITEMS_COMPLETED,
	COL_ITEMS_FAILED, COL_ITEM_VALUE, COL_OUTPUT, COL_ERROR, COL_WORKER,
	COL_LEASE_TOKEN, COL_LEASE_EXPIRES_AT, COL_QUEUED_AT, COL_STARTED_AT,
	COL_COMPLETED_AT, N_TASK_COLUMNS
};

#define TASK_COLUMN_NAMES \
	"execution_id, task_no, item, task_id, task, status, attempt," \
	" edges_resolved, edges_live, items_total, items_started," \
	" items_completed, items_failed, item_value, output, error, worker," \
	" lease_token, lease_expires_at, queued_at, started_at, completed_at"

#define TASK_COLUMN_UNNEST \
	"unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14," \
	" $15, $16, $17, $18, $19, $20, $21, $22)"

#define TASK_COLUMN_TYPES \
	{UUIDARRAYOID, INT2ARRAYOID, INT4ARRAYOID, INT8ARRAYOID, TEXTARRAYOID, \
	TEXTARRAYOID, INT4ARRAYOID, INT4ARRAYOID, INT4ARRAYOID, INT4ARRAYOID, \
	INT4ARRAYOID, INT4ARRAYOID, INT4ARRAYOID, JSONBARRAYOID, JSONBARRAYOID, \
	JSONBARRAYOID, TEXTARRAYOID, UUIDARRAYOID, TIMESTAMPTZARRAYOID, \
	TIMESTAMPTZARRAYOID, TIMESTAMPTZARRAYOID, TIMESTAMPTZARRAYOID}

static const Oid task_column_types[N_TASK_COLUMNS] = {
	UUIDOID, INT2OID, INT4OID, INT8OID, TEXTOID, TEXTOID, INT4OID, INT4OID,
	INT4OID, INT4OID, INT4OID, INT4OID, INT4OID, JSONBOID, JSONBOID, JSONBOID,
	TEXTOID, UUIDOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID,
	TIMESTAMPTZOID
};

static UaefQuery insert_tasks = {
	"INSERT INTO uaef.task_execution (" TASK_COLUMN_NAMES ")"
	" SELECT * FROM " TASK_COLUMN_UNNEST,
	N_TASK_COLUMNS, TASK_COLUMN_TYPES
};

static UaefQuery update_tasks = {
	"UPDATE uaef.task_execution t"
	" SET status = n.status, attempt = n.attempt,"
	" edges_resolved = n.edges_resolved, edges_live = n.edges_live,"
	" items_total = n.items_total, items_started = n.items_started,"
	" items_completed = n.items_completed, items_failed = n.items_failed,"
	" output = n.output, error = n.error, worker = n.worker,"
	" lease_token = n.lease_token, lease_expires_at = n.lease_expires_at,"
	" queued_at = n.queued_at, started_at = n.started_at,"
	" completed_at = n.completed_at"
	" FROM " TASK_COLUMN_UNNEST " n (" TASK_COLUMN_NAMES ")"
	" WHERE t.execution_id = n.execution_id AND t.task_no = n.task_no"
	" AND t.item = n.item",
	N_TASK_COLUMNS, TASK_COLUMN_TYPES
};

static UaefQuery insert_ready = {
	"INSERT INTO uaef.task_ready"
	" (queue, run_as, priority, task_id, execution_id, task_no, item)"
	" SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7)",
	7, {TEXTARRAYOID, REGROLEARRAYOID, INT4ARRAYOID, INT8ARRAYOID,
	UUIDARRAYOID, INT2ARRAYOID, INT4ARRAYOID}
};

static UaefQuery delete_ready = {
	"DELETE FROM uaef.task_ready WHERE ctid = ANY (ARRAY("
	" SELECT ctid FROM uaef.task_ready"
	" WHERE queue = $1 AND run_as = $2 AND priority = $3 AND task_id = $4"
	" FOR UPDATE SKIP LOCKED))",
	4, {TEXTOID, REGROLEOID, INT4OID, INT8OID}
};

static UaefQuery insert_timers = {
	"INSERT INTO uaef.task_timer"
	" (due_at, execution_id, task_no, item, attempt, kind)"
	" SELECT * FROM unnest($1, $2, $3, $4, $5, $6)",
	6, {TIMESTAMPTZARRAYOID, UUIDARRAYOID, INT2ARRAYOID, INT4ARRAYOID,
	INT4ARRAYOID, TEXTARRAYOID}
};

/* Rows of one statement, column by column. */
typedef struct Columns
{
	int			n_columns;
	int			n_rows;
	Datum	   *values;			/* [column * max_rows + row] */
	bool	   *nulls;
	int			max_rows;
} Columns;

static void write_execution(UaefExecution *execution);
static void settle(UaefExecution *execution);

static void
columns_begin(Columns *columns, int n_columns, int max_rows)
{
	columns->n_columns = n_columns;
	columns->n_rows = 0;
	columns->max_rows = max_rows;
	columns->values = palloc(sizeof(Datum) * n_columns * max_rows);
	columns->nulls = palloc0(sizeof(bool) * n_columns * max_rows);
}

static void
set(Columns *columns, int column, Datum value)
{
	columns->values[column * columns->max_rows + columns->n_rows] = value;
}

static void
set_null(Columns *columns, int column)
{
	columns->values[column * columns->max_rows + columns->n_rows] = (Datum) 0;
	columns->nulls[column * columns->max_rows + columns->n_rows] = true;
}

static void
set_pointer(Columns *columns, int column, void *pointer)
{
	if (pointer == NULL)
		set_null(columns, column);
	else
		set(columns, column, PointerGetDatum(pointer));
}

static void
set_text(Columns *columns, int column, const char *text)
{
	set_pointer(columns, column, text ? cstring_to_text(text) : NULL);
}

static void
set_time(Columns *columns, int column, TimestampTz time)
{
	if (time == 0)
		set_null(columns, column);
	else
		set(columns, column, TimestampTzGetDatum(time));
}

/*
 * Run a statement with a column each argument.
 */
static void
columns_run(Columns *columns, UaefQuery *query, const Oid *types)
{
	Datum		args[UAEF_QUERY_MAX_ARGS];

	for (int i = 0; i < columns->n_columns; i++)
		args[i] = uaef_array(&columns->values[i * columns->max_rows],
							 &columns->nulls[i * columns->max_rows],
							 columns->n_rows, types[i]);
	uaef_spi_run(query, args, NULL);
}

/*
 * Count the tasks that a step has touched.
 */
static int
count_tasks(UaefStep *step)
{
	ListCell   *cell;
	int			n = 0;

	foreach(cell, step->executions)
	{
		UaefExecution *execution = lfirst(cell);

		n += list_length(execution->items);
		for (int no = 0; no < execution->def->n_tasks; no++)
			if (execution->tasks[no] != NULL)
				n++;
	}
	return n;
}

static void
task_row(Columns *columns, UaefTask *task)
{
	bool		map = task->items_total >= 0;

	set(columns, COL_EXECUTION_ID, UUIDPGetDatum(&task->execution->id));
	set(columns, COL_TASK_NO, Int16GetDatum(task->no));
	set(columns, COL_ITEM, Int32GetDatum(task->item));
	set(columns, COL_TASK_ID, Int64GetDatum(task->task_id));
	set_text(columns, COL_TASK, task->execution->def->tasks[task->no].id);
	set_text(columns, COL_STATUS, uaef_task_status_name(task->status));
	set(columns, COL_ATTEMPT, Int32GetDatum(task->attempt));
	set(columns, COL_EDGES_RESOLVED, Int32GetDatum(task->edges_resolved));
	set(columns, COL_EDGES_LIVE, Int32GetDatum(task->edges_live));
	for (int column = COL_ITEMS_TOTAL; column <= COL_ITEMS_FAILED; column++)
		set_null(columns, column);
	if (map)
	{
		int			row = columns->n_rows;
		int			counters[] = {task->items_total, task->items_started,
		task->items_completed, task->items_failed};

		for (int i = 0; i < lengthof(counters); i++)
		{
			set(columns, COL_ITEMS_TOTAL + i, Int32GetDatum(counters[i]));
			columns->nulls[(COL_ITEMS_TOTAL + i) * columns->max_rows + row] =
				false;
		}
	}
	set_pointer(columns, COL_ITEM_VALUE, task->item_value);
	set_pointer(columns, COL_OUTPUT, task->output);
	set_pointer(columns, COL_ERROR, task->error);
	set_text(columns, COL_WORKER, task->worker);
	set_pointer(columns, COL_LEASE_TOKEN,
				task->has_lease ? &task->lease_token : NULL);
	set_time(columns, COL_LEASE_EXPIRES_AT, task->lease_expires_at);
	set_time(columns, COL_QUEUED_AT, task->queued_at);
	set_time(columns, COL_STARTED_AT, task->started_at);
	set_time(columns, COL_COMPLETED_AT, task->completed_at);
	columns->n_rows++;
	task->dirty = false;
	task->stored = true;
}

/*
 * Put a changed task into the rows to insert or to update.
 */
static void
sort_task(UaefTask *task, Columns *fresh, Columns *changed)
{
	if (task != NULL && task->dirty)
		task_row(task->stored ? changed : fresh, task);
}

void
uaef_step_write_tasks(UaefStep *step)
{
	int			n = count_tasks(step);
	Columns		fresh;
	Columns		changed;
	ListCell   *cell;
	ListCell   *item;

	if (n == 0)
		return;
	columns_begin(&fresh, N_TASK_COLUMNS, n);
	columns_begin(&changed, N_TASK_COLUMNS, n);

	foreach(cell, step->executions)
	{
		UaefExecution *execution = lfirst(cell);

		for (int no = 0; no < execution->def->n_tasks; no++)
			sort_task(execution->tasks[no], &fresh, &changed);
		foreach(item, execution->items)
			sort_task(lfirst(item), &fresh, &changed);
	}

	if (fresh.n_rows > 0)
		columns_run(&fresh, &insert_tasks, task_column_types);
	if (changed.n_rows > 0)
		columns_run(&changed, &update_tasks, task_column_types);
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

static int
ready_priority(const UaefTask *task)
{
	return task->execution->priority + task->def->priority;
}

static void
write_ready(UaefStep *step)
{
	static const Oid types[] = {TEXTOID, REGROLEOID, INT4OID, INT8OID,
	UUIDOID, INT2OID, INT4OID};
	Columns		rows;
	ListCell   *cell;

	if (step->ready == NIL)
		return;
	columns_begin(&rows, lengthof(types), list_length(step->ready));
	foreach(cell, step->ready)
	{
		UaefTask   *task = lfirst(cell);

		/* It may have been cancelled since, by a failure in the same step. */
		if (task->status != UAEF_TASK_QUEUED)
			continue;
		set_text(&rows, 0, uaef_task_queue(task));
		set(&rows, 1, ObjectIdGetDatum(uaef_task_run_as(task)));
		set(&rows, 2, Int32GetDatum(ready_priority(task)));
		set(&rows, 3, Int64GetDatum(task->task_id));
		set(&rows, 4, UUIDPGetDatum(&task->execution->id));
		set(&rows, 5, Int16GetDatum(task->no));
		set(&rows, 6, Int32GetDatum(task->item));
		rows.n_rows++;
		if (task->def->type == UAEF_TASK_SQL)
			uaef_wake_executor_on_commit(task->execution->initiated_by);
	}
	if (rows.n_rows > 0)
		columns_run(&rows, &insert_ready, types);
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
	static const Oid types[] = {TIMESTAMPTZOID, UUIDOID, INT2OID, INT4OID,
	INT4OID, TEXTOID};
	Columns		rows;
	ListCell   *cell;

	if (step->timers == NIL)
		return;
	columns_begin(&rows, lengthof(types), list_length(step->timers));
	foreach(cell, step->timers)
	{
		UaefTimerRow *timer = lfirst(cell);

		set(&rows, 0, TimestampTzGetDatum(timer->due_at));
		set(&rows, 1, UUIDPGetDatum(&timer->execution->id));
		set(&rows, 2, Int16GetDatum(timer->task_no));
		set(&rows, 3, Int32GetDatum(timer->item));
		set(&rows, 4, Int32GetDatum(timer->attempt));
		set_text(&rows, 5, timer->kind);
		rows.n_rows++;
	}
	columns_run(&rows, &insert_timers, types);
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
	Datum		args[13];
	char		nulls[13];

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
