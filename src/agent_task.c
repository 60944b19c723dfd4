/*-------------------------------------------------------------------------
 *
 * agent_task.c
 *	  Tasks that agents do, and what their attempts leave behind.
 *
 * An attempt that an agent has claimed has a row in agent_task.  Its end is
 * written into that row, which belongs to this task alone, so agents that end
 * tasks at the same time never wait for each other; agent_claim.c adds it up.
 *
 * Locking: the execution's row is held.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "agent_task.h"
#include "delivery_queue.h"
#include "errcodes.h"
#include "spi_util.h"
#include "task_kind.h"
#include "wake.h"

/* An attempt that ended in a step. */
typedef struct UaefAgentEnd
{
	int64		task_id;
	const char *outcome;
} UaefAgentEnd;

/*
 * Latencies are counted in 112 buckets, four to each doubling from 1 ms on, so
 * that a percentile is known to a tenth of itself.
 */
static UaefQuery end_attempt = {
	"UPDATE uaef.agent_task SET ended_at = $2, outcome = $3,"
	" bucket = least(112, 1 + floor(4 / ln(2::float8) * ln(greatest(1,"
	"  extract(epoch FROM $2 - claimed_at)::float8 * 1000))))"
	" WHERE task_id = $1 AND ended_at IS NULL"
	" RETURNING agent_id::text, tokens_in, tokens_out, cost_minor, unknown",
	3, {INT8OID, TIMESTAMPTZOID, TEXTOID}
};

static void hand_out_agent(UaefTask *task);
static void withdraw_agent(UaefTask *task);

const UaefTaskKind uaef_agent_task = {
	.hand_out = hand_out_agent,
	.withdraw = withdraw_agent
};

/*
 * Agents come and take what they can do, from the ready set.
 */
static void
hand_out_agent(UaefTask *task)
{
	UaefStep   *step = task->execution->step;

	step->ready = lappend(step->ready, task);
}

/*
 * An agent without a lease is one that is called.
 */
static void
withdraw_agent(UaefTask *task)
{
	if (task->has_lease)
		return;
	uaef_delivery_cancel(&task->execution->id, task->task_id);
	uaef_wake_worker_on_commit(UAEF_WAKE_AGENTS);
}

/*
 * Why the task goes back, as the event says.
 */
static bool
was(const UaefTask *task, const char *event)
{
	const UaefExecution *execution = task->execution;

	return execution->last_event >= 0 &&
		strcmp(execution->step->events[execution->last_event].type,
			   event) == 0;
}

/*
 * Of a task that waits for its next attempt the last one has failed; of one
 * that is queued at once the agent was lost, unless it gave the task back or
 * could not do it.
 */
static const char *
outcome(const UaefTask *task, UaefTaskStatus status)
{
	switch (status)
	{
		case UAEF_TASK_COMPLETED:
			return "completed";
		case UAEF_TASK_QUEUED:
			return was(task, "task_released") ? "released"
				: was(task, "task_passed_on") ? "failed" : "lost";
		case UAEF_TASK_CANCELLED:
			return "cancelled";
		default:
			return "failed";
	}
}

void
uaef_agent_attempt_ends(UaefTask *task, UaefTaskStatus status)
{
	UaefExecution *execution = task->execution;
	UaefStep   *step = execution->step;
	UaefAgentEnd *end = palloc(sizeof(UaefAgentEnd));

	end->task_id = task->task_id;
	end->outcome = outcome(task, status);
	step->agent_ends = lappend(step->agent_ends, end);
	if (status == UAEF_TASK_COMPLETED)
	{
		execution->agent = task->worker;
		execution->dirty = true;
		uaef_execution_scope(execution);
	}
}

/*
 * Name the agent in the events of its attempt's end, and say what it used.
 */
static void
complete_events(UaefStep *step, const UaefAgentEnd *end, const char *agent_id,
				Jsonb *usage)
{
	for (int i = 0; i < step->n_events; i++)
	{
		UaefEvent  *event = &step->events[i];
		UaefJson	json;

		if (event->task_id != end->task_id || event->agent_id != NULL)
			continue;
		event->agent_id = agent_id;
		uaef_json_begin(&json);
		uaef_json_members(&json, event->payload);
		uaef_json_jsonb(&json, "usage", usage);
		event->payload = uaef_json_end(&json);
	}
}

static void
write_end(UaefStep *step, const UaefAgentEnd *end)
{
	Datum		args[3];
	UaefJson	usage;
	bool		isnull;

	args[0] = Int64GetDatum(end->task_id);
	args[1] = TimestampTzGetDatum(step->now);
	args[2] = CStringGetTextDatum(end->outcome);
	if (uaef_spi_run(&end_attempt, args, NULL) == 0 ||
		strcmp(end->outcome, "cancelled") == 0)
		return;
	uaef_json_begin(&usage);
	uaef_json_int(&usage, "tokens_in", uaef_spi_int64(0, 2));
	uaef_json_int(&usage, "tokens_out", uaef_spi_int64(0, 3));
	uaef_json_numeric(&usage, "cost_minor",
					  DatumGetNumeric(uaef_spi_value(0, 4, &isnull)));
	if (uaef_spi_int32(0, 5) > 0)
		uaef_json_int(&usage, "unknown_calls", uaef_spi_int32(0, 5));
	complete_events(step, end, uaef_spi_text(0, 1), uaef_json_end(&usage));
}

void
uaef_agent_write_ends(UaefStep *step)
{
	ListCell   *cell;

	foreach(cell, step->agent_ends)
		write_end(step, lfirst(cell));
	step->agent_ends = NIL;
}

void
uaef_agent_check_output(const UaefTask *task, Jsonb *output)
{
	const UaefSchema *schema;
	List	   *failures = NIL;
	UaefEvalError error = {0};

	if (task->def->type != UAEF_TASK_AGENT)
		return;
	schema = task->def->config.agent.schema;
	if (schema == NULL ||
		uaef_schema_failures(schema, output, 10, &failures, &error))
		return;
	if (failures == NIL)
		ereport(ERROR,
				(errcode(error.sqlstate),
				 errmsg("%s", error.message)));
	ereport(ERROR,
			(errcode(ERRCODE_UAEF_SCHEMA_MISMATCH),
			 errmsg("the output is not what task \"%s\" asks for",
					task->execution->def->tasks[task->no].id),
			 errdetail("%s", uaef_schema_failures_text(failures)),
			 errhint("Give another output, or fail the task.")));
}
