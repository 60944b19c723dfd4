/*-------------------------------------------------------------------------
 *
 * signal_task.c
 *	  Tasks that wait for a signal.
 *
 * A task that begins to wait first looks among the signals that were kept, in
 * the order in which they came.  Otherwise it stands in workflow_signal_wait,
 * where whoever sends a signal finds it (workflow_signal.c).
 *
 * A filter that cannot be evaluated, say because the payload lacks a key, does
 * not hold: what others send must not be able to fail a task.
 *
 * Locking: the execution's row, as everywhere.  Its row is written too when a
 * task begins to wait and when a signal is kept, though nothing in it changes:
 * a transaction whose snapshot is older than either then gets a serialization
 * failure, rather than overlook the other.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "advance.h"
#include "errcodes.h"
#include "failure.h"
#include "signal_task.h"
#include "spi_util.h"
#include "task_kind.h"

/* How many signals, or waiting tasks, are looked at with one statement. */
#define BATCH 20

static UaefQuery next_kept = {
	"SELECT signal_id, payload, sent_by, sent_at"
	" FROM uaef.workflow_signal"
	" WHERE execution_id = $1 AND name = $2 AND consumed_at IS NULL"
	" AND signal_id > $3 AND ($4 IS NULL OR payload @> $4)"
	" ORDER BY signal_id LIMIT $5",
	5, {UUIDOID, TEXTOID, INT8OID, JSONBOID, INT4OID}
};

static UaefQuery consume_kept = {
	"UPDATE uaef.workflow_signal SET task_id = $2, consumed_at = $3"
	" WHERE signal_id = $1",
	3, {INT8OID, INT8OID, TIMESTAMPTZOID}
};

static UaefQuery insert_wait = {
	"INSERT INTO uaef.workflow_signal_wait"
	" (task_id, execution_id, name, task_no, item, match)"
	" VALUES ($1, $2, $3, $4, $5, $6)",
	6, {INT8OID, UUIDOID, TEXTOID, INT2OID, INT4OID, JSONBOID}
};

static UaefQuery delete_wait = {
	"DELETE FROM uaef.workflow_signal_wait WHERE task_id = $1",
	1, {INT8OID}
};

static UaefQuery next_waiting = {
	"SELECT wait_no, task_no, item FROM uaef.workflow_signal_wait"
	" WHERE execution_id = $1 AND name = $2 AND wait_no > $3"
	" AND (match IS NULL OR $4 @> match)"
	" ORDER BY wait_no LIMIT $5",
	5, {UUIDOID, TEXTOID, INT8OID, JSONBOID, INT4OID}
};

static void hand_out_signal(UaefTask *task);
static void withdraw_signal(UaefTask *task);
static void time_out_signal(UaefTask *task);

const UaefTaskKind uaef_signal_task = {
	.hand_out = hand_out_signal,
	.withdraw = withdraw_signal,
	.time_out = time_out_signal
};

/*
 * Whether the filter of a task lets a signal through.
 */
static bool
passes_filter(UaefTask *task, const UaefSignal *signal)
{
	const UaefCondition *filter = task->def->config.signal.filter;
	UaefEvalError error = {0};
	UaefScope  *scope;
	bool		result;

	if (filter == NULL)
		return true;
	scope = uaef_task_scope(task);
	scope->signal = signal->payload;
	if (!uaef_condition_eval(filter, scope, &result, &error))
		result = false;
	scope->signal = NULL;
	return result;
}

/*
 * The first kept signal that a task may take; false when there is none.
 */
static bool
find_kept(UaefTask *task, Jsonb *match, UaefSignal *signal)
{
	Datum		args[5];
	char		nulls[5];
	int			n;

	memset(nulls, ' ', sizeof(nulls));
	signal->name = task->def->config.signal.name;
	signal->signal_id = 0;
	args[0] = UUIDPGetDatum(&task->execution->id);
	args[1] = CStringGetTextDatum(signal->name);
	args[3] = JsonbPGetDatum(match);
	nulls[3] = match == NULL ? 'n' : ' ';
	args[4] = Int32GetDatum(task->def->config.signal.filter ? BATCH : 1);
	do
	{
		UaefSignal	found[BATCH];

		args[2] = Int64GetDatum(signal->signal_id);
		n = (int) uaef_spi_run(&next_kept, args, nulls);
		for (int i = 0; i < n; i++)
		{
			bool		isnull;

			found[i] = *signal;
			found[i].signal_id = uaef_spi_int64(i, 1);
			found[i].payload = uaef_spi_jsonb(i, 2);
			found[i].sent_by = uaef_spi_oid(i, 3);
			found[i].sent_at = DatumGetTimestampTz(uaef_spi_value(i, 4,
																  &isnull));
		}
		for (int i = 0; i < n; i++)
		{
			*signal = found[i];
			if (passes_filter(task, signal))
				return true;
		}
		CHECK_FOR_INTERRUPTS();
	} while (n == BATCH);
	return false;
}

/*
 * What the task gives.
 */
static Jsonb *
signal_output(const UaefSignal *signal)
{
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_text(&json, "signal", signal->name);
	uaef_json_int(&json, "signal_id", signal->signal_id);
	uaef_json_jsonb(&json, "payload", signal->payload);
	uaef_json_text(&json, "sent_by", GetUserNameFromId(signal->sent_by, true));
	uaef_json_time(&json, "sent_at", signal->sent_at);
	return uaef_json_end(&json);
}

/*
 * Take a signal that came before the task did.
 */
static void
consume(UaefTask *task, const UaefSignal *signal)
{
	Datum		args[3];
	UaefJson	json;

	args[0] = Int64GetDatum(signal->signal_id);
	args[1] = Int64GetDatum(task->task_id);
	args[2] = TimestampTzGetDatum(task->execution->step->now);
	uaef_spi_run(&consume_kept, args, NULL);

	uaef_task_event_begin(&json, task);
	uaef_json_text(&json, "signal", signal->name);
	uaef_json_int(&json, "signal_id", signal->signal_id);
	uaef_step_event(task->execution, task, "signal_consumed",
					uaef_json_end(&json));
	uaef_advance_finish_task(task, signal_output(signal), "received");
}

static void
begin_wait(UaefTask *task, Jsonb *match)
{
	UaefExecution *execution = task->execution;
	Datum		args[6];
	char		nulls[6];

	memset(nulls, ' ', sizeof(nulls));
	args[0] = Int64GetDatum(task->task_id);
	args[1] = UUIDPGetDatum(&execution->id);
	args[2] = CStringGetTextDatum(task->def->config.signal.name);
	args[3] = Int16GetDatum(task->no);
	args[4] = Int32GetDatum(task->item);
	args[5] = JsonbPGetDatum(match);
	nulls[5] = match == NULL ? 'n' : ' ';
	uaef_spi_run(&insert_wait, args, nulls);

	uaef_task_become(task, UAEF_TASK_WAITING_INPUT);
	task->started_at = execution->step->now;
	execution->dirty = true;
	if (task->def->timeout_ms > 0)
		uaef_step_timer(execution, task, "timeout",
						execution->step->now + task->def->timeout_ms * 1000);
}

static void
hand_out_signal(UaefTask *task)
{
	const UaefTemplate *tmpl = task->def->config.signal.match;
	UaefEvalError error = {0};
	UaefSignal	signal;
	Jsonb	   *match = NULL;

	if (tmpl != NULL &&
		(match = uaef_template_fill(tmpl, uaef_task_scope(task),
									&error)) == NULL)
		uaef_advance_fail_evaluation(task, &error);
	else if (find_kept(task, match, &signal))
		consume(task, &signal);
	else
		begin_wait(task, match);
}

static void
withdraw_signal(UaefTask *task)
{
	Datum		arg = Int64GetDatum(task->task_id);

	uaef_spi_run(&delete_wait, &arg, NULL);
}

/*
 * No signal came in time: a label for the edges, or a failure.
 */
static void
time_out_signal(UaefTask *task)
{
	const char *name = task->def->config.signal.name;
	UaefFailure failure;
	UaefJson	json;

	withdraw_signal(task);
	if (task->def->has_labels)
	{
		uaef_json_begin(&json);
		uaef_json_text(&json, "signal", name);
		uaef_json_bool(&json, "timed_out", true);
		uaef_advance_complete(task, uaef_json_end(&json), "timeout");
		return;
	}
	uaef_failure_set(&failure, ERRCODE_UAEF_TASK_TIMEOUT,
					 psprintf("signal \"%s\" did not come within %lld ms",
							  name, (long long) task->def->timeout_ms));
	uaef_advance_fail_now(task, &failure);
}

UaefTask *
uaef_signal_find_waiting(UaefExecution *execution, const UaefSignal *signal)
{
	Datum		args[5];
	int64		last = 0;
	int			n;

	args[0] = UUIDPGetDatum(&execution->id);
	args[1] = CStringGetTextDatum(signal->name);
	args[3] = JsonbPGetDatum(signal->payload);
	args[4] = Int32GetDatum(BATCH);
	do
	{
		int16		nos[BATCH];
		int32		items[BATCH];

		args[2] = Int64GetDatum(last);
		n = (int) uaef_spi_run(&next_waiting, args, NULL);
		for (int i = 0; i < n; i++)
		{
			bool		isnull;

			last = uaef_spi_int64(i, 1);
			nos[i] = DatumGetInt16(uaef_spi_value(i, 2, &isnull));
			items[i] = uaef_spi_int32(i, 3);
		}
		for (int i = 0; i < n; i++)
		{
			UaefTask   *task = uaef_execution_find(execution, nos[i],
												   items[i]);

			if (task != NULL && task->status == UAEF_TASK_WAITING_INPUT &&
				passes_filter(task, signal))
				return task;
		}
		CHECK_FOR_INTERRUPTS();
	} while (n == BATCH);
	return NULL;
}

void
uaef_signal_deliver(UaefTask *task, const UaefSignal *signal)
{
	withdraw_signal(task);
	uaef_advance_complete(task, signal_output(signal), "received");
}
