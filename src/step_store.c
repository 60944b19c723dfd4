/*-------------------------------------------------------------------------
 *
 * step_store.c
 *	  Writing a step: all that it changed, table by table.
 *
 * First comes what executions of the step ask of those above and below them,
 * which may change more of them.  The events come after the rows, so that none
 * is recorded of what could not be written.  Settlement comes last: it reads
 * what the step wrote.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type_d.h"
#include "common/int.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "agent_task.h"
#include "digest.h"
#include "execution.h"
#include "execution_row.h"
#include "family.h"
#include "guc.h"
#include "limit.h"
#include "ready_claim.h"
#include "row_write.h"
#include "rule_data.h"
#include "settlement.h"
#include "spi_util.h"
#include "wake.h"
#include "wake_claimers.h"
#include "workflow_task.h"

/* The most that one of our tables has. */
#define MAX_COLUMNS 48

StaticAssertDecl((int) N_TASK_COLUMNS <= MAX_COLUMNS &&
				 (int) N_EXECUTION_COLUMNS <= MAX_COLUMNS,
				 "a row must have room for all columns");

/* A row being made. */
typedef struct Row
{
	Datum		values[MAX_COLUMNS];
	bool		nulls[MAX_COLUMNS];
} Row;

/* Rows that are new, and are written together. */
#define MANY_ROWS	256

typedef struct NewRows
{
	UaefTable  *table;
	int			n;
	bool		open;			/* some will be updated */
	HeapTuple	rows[MANY_ROWS];
	ItemPointer tids[MANY_ROWS];	/* whose, where they come to lie */
} NewRows;

/*
 * As many that have ended are worth it that the rest of a page goes to them, in
 * which rows of others that have not may lie.
 */
#define MANY_ENDED	32

/* Tasks that one event names as completed; the next one has its own. */
#define MAX_COMPLETED	100

static void write_notes(UaefExecution *execution);
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
set_counter(Row *row, int column, bool counts, int count)
{
	row->values[column] = Int32GetDatum(count);
	row->nulls[column] = !counts;
}

static void
task_row(Row *row, UaefTask *task)
{
	bool		is_map = task->items_total >= 0;

	set(row, TASK_EXECUTION_ID, UUIDPGetDatum(&task->execution->id));
	set(row, TASK_TASK_NO, Int16GetDatum(task->no));
	set(row, TASK_ITEM, Int32GetDatum(task->item));
	set(row, TASK_TASK_ID, Int64GetDatum(task->task_id));
	set_text(row, TASK_TASK, task->execution->def->tasks[task->no].id);
	set_text(row, TASK_STATUS, uaef_task_status_name(task->status));
	set(row, TASK_ATTEMPT, Int32GetDatum(task->attempt));
	set(row, TASK_EDGES_RESOLVED, Int32GetDatum(task->edges_resolved));
	set(row, TASK_EDGES_LIVE, Int32GetDatum(task->edges_live));
	set_counter(row, TASK_ITEMS_TOTAL, is_map, task->items_total);
	set_counter(row, TASK_ITEMS_STARTED, is_map, task->items_started);
	set_counter(row, TASK_ITEMS_COMPLETED, is_map, task->items_completed);
	set_counter(row, TASK_ITEMS_FAILED, is_map, task->items_failed);
	set_pointer(row, TASK_ITEM_VALUE, task->item_value);
	set_pointer(row, TASK_OUTPUT, task->output);
	set_pointer(row, TASK_ERROR, task->error);
	set_text(row, TASK_WORKER, task->worker);
	set_pointer(row, TASK_LEASE_TOKEN,
				task->has_lease ? &task->lease_token : NULL);
	set_time(row, TASK_LEASE_EXPIRES_AT, task->lease_expires_at);
	set_time(row, TASK_QUEUED_AT, task->queued_at);
	set_time(row, TASK_STARTED_AT, task->started_at);
	set_time(row, TASK_COMPLETED_AT, task->completed_at);
	set_text(row, TASK_LABEL, task->label);
	set(row, TASK_ATTEMPTS_BEFORE, Int32GetDatum(task->attempts_before));
	set(row, TASK_LOSSES, Int32GetDatum(task->losses));
	set_counter(row, TASK_ITEMS_REDO, is_map, task->items_redo);
	set_pointer(row, TASK_PROGRESS, task->progress);
	set_pointer(row, TASK_OVERRIDES, task->overrides);
	set_pointer(row, TASK_CHILD_EXECUTION_ID,
				task->has_child ? &task->child_id : NULL);
	set_counter(row, TASK_RUNS, task->def->type == UAEF_TASK_WORKFLOW,
				task->runs);
}

static void
insert_rows(NewRows *new)
{
	if (new->n >= MANY_ENDED && !new->open)
		uaef_table_insert_last(new->table, new->rows, new->n);
	else
		uaef_table_insert_many(new->table, new->rows, new->n);
	for (int i = 0; i < new->n; i++)
	{
		*new->tids[i] = new->rows[i]->t_self;
		heap_freetuple(new->rows[i]);
	}
	new->n = 0;
	new->open = false;
}

static void
add_row(NewRows *new, Row *row, bool ended, ItemPointer tid)
{
	if (new->n == MANY_ROWS)
		insert_rows(new);
	new->open = new->open || !ended;
	new->tids[new->n] = tid;
	new->rows[new->n++] = heap_form_tuple(RelationGetDescr(new->table->rel),
										  row->values, row->nulls);
}

/*
 * Write a task that changed; one that is new is written with others.
 */
static void
write_task(NewRows *new, UaefTask *task)
{
	Row			row;

	if (task == NULL || !task->dirty)
		return;
	task_row(&row, task);
	task->dirty = false;
	if (task->stored)
		uaef_table_update(new->table, row.values, row.nulls, &task->tid);
	else
		add_row(new, &row, uaef_task_ended(task->status), &task->tid);
	task->stored = true;
}

void
uaef_step_write_tasks(UaefStep *step)
{
	UaefTable	table;
	NewRows		new = {.table = &table};
	ListCell   *cell;
	ListCell   *item;

	uaef_table_open(&table, "task_execution");
	uaef_require_columns(RelationGetDescr(table.rel), "task_execution",
						 N_TASK_COLUMNS);
	foreach(cell, step->executions)
	{
		UaefExecution *execution = lfirst(cell);

		for (int no = 0; no < execution->def->n_tasks; no++)
			write_task(&new, execution->tasks[no]);
		foreach(item, execution->items)
			write_task(&new, lfirst(item));
	}
	insert_rows(&new);
	uaef_table_close(&table);
}

/*
 * The queue of the ready set that a task waits in.
 */
const char *
uaef_task_queue(const UaefTask *task)
{
	return uaef_task_sql(task->def) != NULL ? UAEF_SQL_QUEUE : task->def->queue;
}

/*
 * As whom it runs; outside workers are not sorted by role.  What is for agents
 * stands apart, where claim_tasks() does not look.
 */
Oid
uaef_task_run_as(const UaefTask *task)
{
	if (task->def->type == UAEF_TASK_AGENT)
		return UAEF_AGENT_ROLE;
	return uaef_task_sql(task->def) != NULL ?
		task->execution->initiated_by : InvalidOid;
}

bool
uaef_task_stands_ready(const UaefTask *task)
{
	return task->status == UAEF_TASK_QUEUED ||
		(task->status == UAEF_TASK_RUNNING &&
		 task->def->type == UAEF_TASK_WAIT &&
		 uaef_task_sql(task->def) != NULL);
}

int64
uaef_rank(TimestampTz queued_at, int64 priority)
{
	int64		gain;
	int64		rank;

	if (pg_mul_s64_overflow(priority, uaef_priority_step_ms * INT64CONST(1000),
							&gain) ||
		pg_sub_s64_overflow(queued_at, gain, &rank))
		return priority > 0 ? PG_INT64_MIN : PG_INT64_MAX;
	return rank;
}

static int64
priority_of(const UaefTask *task)
{
	return (int64) task->execution->priority + task->def->priority;
}

int64
uaef_task_rank(const UaefTask *task)
{
	return uaef_rank(task->queued_at, priority_of(task));
}

static HeapTuple
ready_row(const UaefTable *table, const UaefTask *task)
{
	Row			row;

	set_text(&row, 0, uaef_task_queue(task));
	set(&row, 1, ObjectIdGetDatum(uaef_task_run_as(task)));
	set(&row, 2, Int64GetDatum(uaef_task_rank(task)));
	set(&row, 3, Int64GetDatum(task->task_id));
	set(&row, 4, UUIDPGetDatum(&task->execution->id));
	set(&row, 5, Int16GetDatum(task->no));
	set(&row, 6, Int32GetDatum(task->item));
	return heap_form_tuple(RelationGetDescr(table->rel), row.values,
						   row.nulls);
}

static void
write_ready(UaefStep *step)
{
	UaefTable	table;
	HeapTuple  *rows;
	ListCell   *cell;
	int			n = 0;

	if (step->ready == NIL)
		return;
	uaef_table_open(&table, "task_ready");
	rows = palloc(sizeof(HeapTuple) * list_length(step->ready));
	foreach(cell, step->ready)
	{
		UaefTask   *task = lfirst(cell);

		/* It may have been cancelled since, by a failure in the same step. */
		if (!uaef_task_stands_ready(task))
			continue;
		rows[n++] = ready_row(&table, task);
		if (uaef_task_sql(task->def) != NULL)
			uaef_wake_executor_on_commit(task->execution->initiated_by,
										 uaef_task_rank(task));
		else
			uaef_wake_claimer_on_commit(uaef_task_queue(task));
		if (task->def->type == UAEF_TASK_AGENT)
			uaef_wake_worker_on_commit(UAEF_WAKE_AGENTS);
	}
	if (n > 0)
		uaef_table_insert_many(&table, rows, n);
	uaef_table_close(&table);
	step->ready = NIL;
}

static bool
unready(UaefTask *task, bool anywhere)
{
	const char *queue = uaef_task_queue(task);
	int64		rank = uaef_task_rank(task);

	if (!uaef_ready_take(queue, uaef_task_run_as(task), task->task_id, &rank,
						 anywhere))
		return false;
	if (uaef_task_sql(task->def) != NULL)
		uaef_wake_executor_on_abort(task->execution->initiated_by, rank);
	else
		uaef_wake_claimer_on_abort(queue);
	if (task->def->type == UAEF_TASK_AGENT)
		uaef_wake_worker_on_abort(UAEF_WAKE_AGENTS);
	return true;
}

/*
 * Since it was queued, uaef.priority_step may have changed, or its priority while
 * somebody was just claiming it.
 */
bool
uaef_step_unready(UaefTask *task)
{
	return unready(task, priority_of(task) != 0 || task->overrides != NULL);
}

void
uaef_step_unready_ended(UaefTask *task)
{
	(void) unready(task, false);
}

static HeapTuple
timer_row(const UaefTable *table, const UaefTimerRow *timer)
{
	Row			row;

	set(&row, 0, TimestampTzGetDatum(timer->due_at));
	set(&row, 1, UUIDPGetDatum(&timer->execution_id));
	set(&row, 2, Int16GetDatum(timer->task_no));
	set(&row, 3, Int32GetDatum(timer->item));
	set(&row, 4, Int32GetDatum(timer->attempt));
	set_text(&row, 5, timer->kind);
	return heap_form_tuple(RelationGetDescr(table->rel), row.values,
						   row.nulls);
}

static void
write_timers(UaefStep *step)
{
	UaefTable	table;
	HeapTuple  *rows;
	ListCell   *cell;
	int			n = 0;

	if (step->timers == NIL)
		return;
	uaef_table_open(&table, "task_timer");
	rows = palloc(sizeof(HeapTuple) * list_length(step->timers));
	foreach(cell, step->timers)
	{
		const UaefTimerRow *timer = lfirst(cell);

		rows[n++] = timer_row(&table, timer);
		uaef_wake_timers_on_commit(timer->due_at);
	}
	uaef_table_insert_many(&table, rows, n);
	uaef_table_close(&table);
	step->timers = NIL;
}

/*
 * A timer of an execution.
 */
static UaefTimerRow *
add_timer(UaefStep *step, const pg_uuid_t *execution_id, const char *kind,
		  TimestampTz due_at)
{
	UaefTimerRow *timer = palloc(sizeof(UaefTimerRow));

	timer->execution_id = *execution_id;
	timer->due_at = due_at;
	timer->task_no = -1;
	timer->item = UAEF_NO_ITEM;
	timer->attempt = 0;
	timer->kind = kind;
	step->timers = lappend(step->timers, timer);
	return timer;
}

void
uaef_step_timer(UaefExecution *execution, UaefTask *task, const char *kind,
				TimestampTz due_at)
{
	UaefTimerRow *timer = add_timer(execution->step, &execution->id, kind,
									due_at);

	if (task == NULL)
		return;
	timer->task_no = task->no;
	timer->item = task->item;
	timer->attempt = task->attempt;
}

void
uaef_step_timer_of(UaefStep *step, const pg_uuid_t *execution_id,
				   const char *kind, TimestampTz due_at)
{
	(void) add_timer(step, execution_id, kind, due_at);
}

void
uaef_execution_set_deadline(UaefExecution *execution, TimestampTz from)
{
	if (execution->timeout_ms == 0 || uaef_execution_ended(execution->status))
		return;
	execution->deadline_at = from + execution->timeout_ms * 1000;
	execution->dirty = true;
	uaef_step_timer(execution, NULL, "deadline", execution->deadline_at);
}

void
uaef_step_event(UaefExecution *execution, UaefTask *task, const char *type,
				Jsonb *payload)
{
	UaefStep   *step = execution->step;
	UaefEvent  *event;

	if (execution->last_event >= 0)
		write_notes(execution);
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

bool
uaef_step_note_completed(UaefTask *task)
{
	UaefExecution *execution = task->execution;

	if (execution->last_event < 0 ||
		list_length(execution->notes[UAEF_NOTE_COMPLETED]) >= MAX_COMPLETED)
		return false;
	uaef_step_note(task, UAEF_NOTE_COMPLETED);
	return true;
}

/*
 * Notes as texts: "pay", "resize[3]", "resize[0..99]", "compensate pay".
 */
static void
add_texts(UaefJson *json, const UaefExecution *execution, const char *key,
		  List *notes)
{
	char	  **texts = palloc(sizeof(char *) * list_length(notes));
	ListCell   *cell;
	int			n = 0;

	foreach(cell, notes)
	{
		UaefNote   *note = lfirst(cell);
		char	   *id = execution->def->tasks[note->no].id;

		if (note->first_item == UAEF_NO_ITEM)
			texts[n++] = id;
		else if (note->first_item == UAEF_COMPENSATION)
			texts[n++] = psprintf("compensate %s", id);
		else if (note->first_item == note->last_item)
			texts[n++] = psprintf("%s[%d]", id, note->first_item);
		else
			texts[n++] = psprintf("%s[%d..%d]", id, note->first_item,
								  note->last_item);
	}
	uaef_json_texts(json, key, texts, n);
}

/*
 * Tasks that completed by themselves, each with what an event of its own would
 * say.
 */
static void
add_completed(UaefJson *json, UaefExecution *execution, List *notes)
{
	ListCell   *cell;

	uaef_json_list(json, "completed");
	foreach(cell, notes)
	{
		const UaefNote *note = lfirst(cell);
		const UaefTask *task = execution->tasks[note->no];

		uaef_json_list_object(json);
		uaef_json_text(json, "task", execution->def->tasks[note->no].id);
		uaef_json_int(json, "task_id", task->task_id);
		if (task->attempt > 0)
			uaef_json_int(json, "attempt", task->attempt);
		uaef_json_text(json, "label", task->label);
		if (task->output != NULL)
			uaef_json_text(json, "output_sha256",
						   uaef_digest_hex(task->output));
		uaef_json_list_object_end(json);
	}
	uaef_json_list_end(json);
}

/*
 * Add the notes of an execution to its last event, or to a new one.
 */
static void
write_notes(UaefExecution *execution)
{
	static const char *const keys[] = {
		[UAEF_NOTE_QUEUED] = "queued",
		[UAEF_NOTE_COMPLETED] = "completed",
		[UAEF_NOTE_SKIPPED] = "skipped",
		[UAEF_NOTE_CANCELLED] = "cancelled",
	};
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
	{
		List	   *notes = execution->notes[kind];

		if (notes == NIL)
			continue;
		if (kind == UAEF_NOTE_COMPLETED)
			add_completed(&json, execution, notes);
		else
			add_texts(&json, execution, keys[kind], notes);
		execution->notes[kind] = NIL;
	}
	event->payload = uaef_json_end(&json);
}

static void
execution_row(Row *row, UaefExecution *execution)
{
	set(row, EXEC_EXECUTION_ID, UUIDPGetDatum(&execution->id));
	set(row, EXEC_DEFINITION_ID, Int32GetDatum(execution->def->definition_id));
	set_text(row, EXEC_NAME, execution->name);
	set_text(row, EXEC_STATUS, uaef_execution_status_name(execution->status));
	set(row, EXEC_PRIORITY, Int32GetDatum(execution->priority));
	set(row, EXEC_OPEN_TASKS, Int32GetDatum(execution->open_tasks));
	set(row, EXEC_INITIATED_BY, ObjectIdGetDatum(execution->initiated_by));
	set(row, EXEC_SESSION_ROLE, ObjectIdGetDatum(execution->session_role));
	set_pointer(row, EXEC_INPUT, execution->stored_input != NULL ?
				execution->stored_input : (void *) execution->input);
	set_pointer(row, EXEC_OUTPUT, execution->output);
	set_pointer(row, EXEC_ERROR, execution->error);
	set_time(row, EXEC_CREATED_AT, execution->created_at);
	set_time(row, EXEC_STARTED_AT, execution->started_at);
	set_time(row, EXEC_COMPLETED_AT, execution->completed_at);
	set_counter(row, EXEC_SCHEDULE_ID, execution->schedule_id != 0,
				execution->schedule_id);
	set_time(row, EXEC_TICK_AT, execution->tick_at);
	set_time(row, EXEC_DEADLINE_AT, execution->deadline_at);
	set(row, EXEC_TIMEOUT_MS, Int64GetDatum(execution->timeout_ms));
	row->nulls[EXEC_TIMEOUT_MS] = execution->timeout_ms == 0;
	set_pointer(row, EXEC_FORKED_FROM,
				execution->is_fork ? &execution->forked_from : NULL);
	set_text(row, EXEC_AGENT, execution->agent);
	set_pointer(row, EXEC_PARENT_EXECUTION_ID,
				execution->has_parent ? &execution->parent_id : NULL);
	row->values[EXEC_PARENT_TASK_ID] = Int64GetDatum(execution->parent_task_id);
	row->nulls[EXEC_PARENT_TASK_ID] = !execution->has_parent;
	set(row, EXEC_DEPTH, Int32GetDatum(execution->depth));
	set_text(row, EXEC_ENDING, execution->is_ending ?
			 uaef_execution_status_name(execution->ending) : NULL);
	set_pointer(row, EXEC_ROOT_EXECUTION_ID,
				execution->has_parent ? &execution->root_id : NULL);
	set(row, EXEC_CHILDREN, Int32GetDatum(execution->children));
	set_text(row, EXEC_SINGLETON_KEY, execution->singleton_key);
}

/*
 * The same for an execution.
 */
static void
write_execution(NewRows *new, UaefExecution *execution)
{
	Row			row;

	if (execution->stored && !execution->dirty &&
		execution->open_tasks == execution->stored_open_tasks)
		return;
	execution_row(&row, execution);
	if (execution->stored)
		uaef_table_update(new->table, row.values, row.nulls, &execution->tid);
	else
		add_row(new, &row, uaef_execution_ended(execution->status),
				&execution->tid);
	if (execution->dirty && uaef_execution_ended(execution->status))
	{
		uaef_wake_waiters_on_commit(&execution->id);
		if (execution->schedule_id != 0)
			uaef_wake_worker_on_commit(UAEF_WAKE_SCHEDULES);
	}
	execution->stored = true;
	execution->stored_open_tasks = execution->open_tasks;
}

static void
write_executions(UaefStep *step)
{
	UaefTable	table;
	NewRows		new = {.table = &table};
	ListCell   *cell;

	uaef_table_open(&table, "workflow_execution");
	uaef_require_columns(RelationGetDescr(table.rel), "workflow_execution",
						 N_EXECUTION_COLUMNS);
	foreach(cell, step->executions)
		write_execution(&new, lfirst(cell));
	insert_rows(&new);
	uaef_table_close(&table);
}

static void
settle(UaefExecution *execution)
{
	UaefSettlementInput input = {0};

	input.execution_id = execution->id;
	input.workflow = execution->def->name;
	input.version = execution->def->version;
	input.initiated_by = execution->initiated_by;
	input.completed_at = execution->completed_at;
	input.scope = uaef_execution_scope(execution);
	input.scope->tables = &uaef_rule_tables;
	input.scope->at = execution->completed_at;
	input.scope->known_at = DT_NOEND;
	uaef_settlement_evaluate(&input);
}

void
uaef_step_end_notes(UaefStep *step)
{
	ListCell   *cell;

	foreach(cell, step->executions)
	{
		UaefExecution *execution = lfirst(cell);

		write_notes(execution);
		execution->last_event = -1;
	}
}

static void
write_events(UaefStep *step)
{
	uaef_step_end_notes(step);
	if (step->agent_ends != NIL)
		uaef_agent_write_ends(step);
	if (step->n_events > 0)
		uaef_ledger_append(step->events, step->n_events);
	step->n_events = 0;
}

void
uaef_step_write_so_far(UaefStep *step)
{
	uaef_step_write_tasks(step);
	write_executions(step);
	write_events(step);
}

void
uaef_step_write(UaefStep *step)
{
	ListCell   *cell;

	uaef_workflow_task_see_to(step);
	uaef_family_write(step);
	uaef_step_write_tasks(step);
	uaef_limit_write(step);
	write_ready(step);
	write_timers(step);
	write_executions(step);
	write_events(step);

	foreach(cell, step->executions)
	{
		UaefExecution *execution = lfirst(cell);

		if (execution->dirty &&
			execution->status == UAEF_EXECUTION_COMPLETED)
			settle(execution);
		execution->dirty = false;
	}
}
