/*-------------------------------------------------------------------------
 *
 * task_override.c
 *	  Changes of a live task's settings: retry, timeout, priority, queue.
 *
 * A change is kept in the task's row, as a document with the keys of a task's
 * definition.  Whoever loads the row gets a definition of the task with the
 * change in it; nobody else does anything.  The items of a map have the
 * overrides of the map.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/fmgrprotos.h"

#include "advance.h"
#include "definition_read.h"
#include "delivery_queue.h"
#include "errcodes.h"
#include "failure.h"
#include "limit.h"
#include "own_execution.h"
#include "retry.h"
#include "spi_util.h"
#include "task_kind.h"
#include "task_override.h"
#include "uuid7.h"

static UaefQuery find_task = {
	"SELECT execution_id, task_no, item FROM uaef.task_execution"
	" WHERE task_id = $1",
	1, {INT8OID}
};

/*
 * The definition without overrides.
 */
static const UaefTaskDef *
original(const UaefTask *task)
{
	const UaefTaskDef *def = &task->execution->def->tasks[task->no];

	switch (task->item)
	{
		case UAEF_NO_ITEM:
			return def;
		case UAEF_COMPENSATION:
			return def->compensate;
		default:
			return def->config.parallel.task;
	}
}

static int64
get_int(Jsonb *document, const char *key, int64 otherwise)
{
	JsonbValue	value;

	if (!uaef_json_get(document, key, &value))
		return otherwise;
	return DatumGetInt64(DirectFunctionCall1(numeric_int8,
											 NumericGetDatum(value.val.numeric)));
}

void
uaef_task_apply_overrides(UaefTask *task)
{
	UaefTaskDef *def = palloc(sizeof(UaefTaskDef));
	UaefBuilder builder = {0};
	JsonbValue	retry;
	char	   *queue = uaef_json_get_text(task->overrides, "queue");

	*def = *original(task);
	if (uaef_json_get(task->overrides, "retry", &retry))
		uaef_read_retry(&builder, &retry, psprintf("task \"%s\"", def->id),
						&def->retry);
	def->timeout_ms = get_int(task->overrides, "timeout_ms", def->timeout_ms);
	def->priority = (int) get_int(task->overrides, "priority", def->priority);
	if (queue != NULL)
		def->queue = queue;
	task->def = def;
}

/*
 * What changes over what was changed before.
 */
static Jsonb *
merge(Jsonb *before, const UaefTaskChange *change)
{
	UaefJson	json;
	UaefJson	retry;
	JsonbValue	value;

	uaef_json_begin(&json);
	uaef_json_members(&json, before);
	if (change->retry != NULL)
	{
		uaef_json_begin(&retry);
		if (before != NULL && uaef_json_get(before, "retry", &value))
			uaef_json_members(&retry, uaef_json_from_value(&value));
		uaef_json_members(&retry, change->retry);
		uaef_json_jsonb(&json, "retry", uaef_json_end(&retry));
	}
	if (change->timeout_ms >= 0)
		uaef_json_int(&json, "timeout_ms", change->timeout_ms);
	if (change->has_priority)
		uaef_json_int(&json, "priority", change->priority);
	uaef_json_text(&json, "queue", change->queue);
	return uaef_json_end(&json);
}

/*
 * Whether its timeout is a timer that is set already.
 */
static bool
has_timeout_timer(const UaefTask *task)
{
	if (task->started_at == 0 || task->status == UAEF_TASK_PENDING)
		return false;
	return task->has_lease || uaef_task_kind(task)->time_out != NULL;
}

/*
 * Put overrides in force for one task.  One that waits in the ready set, or for
 * its limits, takes the place there that is now its own; one that somebody is just taking is
 * theirs.
 */
static void
override(UaefTask *task, Jsonb *overrides, const UaefTaskChange *change)
{
	UaefStep   *step = task->execution->step;
	bool		limited = task->def->n_limits > 0;
	bool		withdrawn = task->status == UAEF_TASK_QUEUED && task->stored &&
		(change->has_priority || change->queue != NULL) &&
		(limited ? uaef_limit_withdraw(task) : uaef_step_unready(task));
	UaefEvalError error = {0};

	task->overrides = overrides;
	task->dirty = true;
	uaef_task_apply_overrides(task);
	if (withdrawn && !limited)
		step->ready = lappend(step->ready, task);
	else if (withdrawn && !uaef_limit_ask(task->execution, task, &error))
		uaef_eval_raise(&error);
	if (change->timeout_ms > 0 && has_timeout_timer(task))
		uaef_step_timer(task->execution, task, "timeout",
						task->started_at + change->timeout_ms * 1000);
}

static void
check_change(const UaefTask *task, const UaefTaskChange *change)
{
	const UaefTaskDef *def = task->def;

	if (uaef_task_ended(task->status))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_ILLEGAL_TRANSITION),
				 errmsg("task \"%s\" is already %s", def->id,
						uaef_task_status_name(task->status))));
	if (change->retry != NULL && !JB_ROOT_IS_OBJECT(change->retry))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"retry\" must be a JSON object")));
	if (def->type == UAEF_TASK_PARALLEL && def->config.parallel.task != NULL)
		def = def->config.parallel.task;
	if (change->queue != NULL && def->type != UAEF_TASK_EXTERNAL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("task \"%s\" is of type %s and has no queue", def->id,
						uaef_task_type_name(def->type)),
				 errdetail("Only external tasks are claimed from a queue.")));
}

void
uaef_task_alter(const pg_uuid_t *id, const char *task_id,
				const UaefTaskChange *change, const char *reason)
{
	Oid			caller = GetUserId();
	UaefCaller	back = uaef_spi_begin();
	UaefStep   *step = uaef_step_begin("user",
									   GetUserNameFromId(caller, false));
	UaefExecution *execution = uaef_lock_own_execution(step, id, caller);
	int			no = uaef_require_task_no(execution->def, task_id);
	ListCell   *cell;
	Jsonb	   *overrides;
	UaefTask   *task;
	UaefJson	json;

	if (uaef_execution_ended(execution->status))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_ILLEGAL_TRANSITION),
				 errmsg("execution %s is already %s", uaef_uuid_text(id),
						uaef_execution_status_name(execution->status))));
	task = uaef_execution_task(execution, no);
	check_change(task, change);
	overrides = merge(task->overrides, change);
	override(task, overrides, change);
	if (task->items_total >= 0)
		foreach(cell, uaef_execution_open_tasks(execution))
	{
		UaefTask   *item = lfirst(cell);

		if (item->no == no && item->item >= 0)
			override(item, overrides, change);
	}

	uaef_task_event_begin(&json, task);
	uaef_json_jsonb(&json, "settings", overrides);
	uaef_json_text(&json, "reason", uaef_clip(reason));
	uaef_step_event(execution, task, "task_altered", uaef_json_end(&json));
	uaef_step_write(step);
	uaef_spi_end(back);
}

void
uaef_task_retry_now(int64 task_id)
{
	Oid			caller = GetUserId();
	UaefCaller	back = uaef_spi_begin();
	UaefStep   *step = uaef_step_begin("user",
									   GetUserNameFromId(caller, false));
	Datum		arg = Int64GetDatum(task_id);
	UaefExecution *execution;
	pg_uuid_t	id;
	UaefTask   *task;
	bool		isnull;
	bool		hastened;
	UaefJson	json;
	int			no;
	int			item;

	if (uaef_spi_run(&find_task, &arg, NULL) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_UNDEFINED_TASK),
				 errmsg("task %lld does not exist", (long long) task_id)));
	id = uaef_spi_uuid(0, 1);
	no = DatumGetInt16(uaef_spi_value(0, 2, &isnull));
	item = uaef_spi_int32(0, 3);
	execution = uaef_lock_own_execution(step, &id, caller);
	task = uaef_execution_find(execution, no, item);
	hastened = task != NULL && task->status == UAEF_TASK_RUNNING &&
		task->def->type == UAEF_TASK_HTTP &&
		uaef_delivery_hasten(&id, task_id);
	if (!hastened &&
		(task == NULL || task->status != UAEF_TASK_PENDING ||
		 task->attempt == task->attempts_before))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_ILLEGAL_TRANSITION),
				 errmsg("task %lld does not wait for another attempt",
						(long long) task_id),
				 errhint("Use uaef.retry_workflow() for what has failed.")));
	uaef_task_event_begin(&json, task);
	uaef_step_event(execution, task, "task_retried_now",
					uaef_json_end(&json));
	if (!hastened)
		uaef_advance_dispatch(task);
	uaef_step_write(step);
	uaef_spi_end(back);
}
