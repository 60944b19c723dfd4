/*-------------------------------------------------------------------------
 *
 * workflow_signal.c
 *	  Sending signals to executions.
 *
 * A signal goes to the one task that has waited longest for it; one that
 * nobody waits for is kept, so that it does not matter which comes first.
 *
 * Locking: the execution's row first, as everywhere; see signal_task.c for
 * why it is written when a signal is kept.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "advance.h"
#include "digest.h"
#include "errcodes.h"
#include "guc.h"
#include "own_execution.h"
#include "payload_check.h"
#include "signal_task.h"
#include "spi_util.h"
#include "uuid7.h"
#include "workflow_signal.h"

static UaefQuery find_key = {
	"SELECT name = $3 AND payload = $4, consumed_at IS NOT NULL"
	" FROM uaef.workflow_signal"
	" WHERE execution_id = $1 AND idempotency_key = $2",
	4, {UUIDOID, TEXTOID, TEXTOID, JSONBOID}
};

static UaefQuery count_kept = {
	"SELECT count(*) FROM (SELECT FROM uaef.workflow_signal"
	" WHERE execution_id = $1 AND consumed_at IS NULL LIMIT $2) k",
	2, {UUIDOID, INT4OID}
};

static UaefQuery insert_signal = {
	"INSERT INTO uaef.workflow_signal (execution_id, name, payload,"
	" idempotency_key, sent_by, sent_at, task_id, consumed_at)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING signal_id",
	8, {UUIDOID, TEXTOID, JSONBOID, TEXTOID, REGROLEOID, TIMESTAMPTZOID,
	INT8OID, TIMESTAMPTZOID}
};

/*
 * What became of the signal that was sent with this key; NULL: none was.
 */
static const char *
sent_before(const pg_uuid_t *id, const UaefSignal *signal, const char *key)
{
	Datum		args[4];

	if (key == NULL)
		return NULL;
	args[0] = UUIDPGetDatum(id);
	args[1] = CStringGetTextDatum(key);
	args[2] = CStringGetTextDatum(signal->name);
	args[3] = JsonbPGetDatum(signal->payload);
	if (uaef_spi_run(&find_key, args, NULL) == 0)
		return NULL;
	if (!uaef_spi_bool(0, 1))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_KEY_REUSED),
				 errmsg("idempotency key \"%s\" was used with another signal to execution %s",
						key, uaef_uuid_text(id)),
				 errhint("Use a new key for a new signal.")));
	return uaef_spi_bool(0, 2) ? "consumed" : "kept";
}

static void
check_takes_signals(const UaefExecution *execution)
{
	if (uaef_execution_ended(execution->status))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_ILLEGAL_TRANSITION),
				 errmsg("execution %s is %s and takes no signals",
						uaef_uuid_text(&execution->id),
						uaef_execution_status_name(execution->status))));
}

static void
check_room(const UaefExecution *execution)
{
	Datum		args[2];

	args[0] = UUIDPGetDatum(&execution->id);
	args[1] = Int32GetDatum(uaef_max_kept_signals);
	uaef_spi_run(&count_kept, args, NULL);
	if (uaef_spi_int64(0, 1) >= uaef_max_kept_signals)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_TOO_MANY_SIGNALS),
				 errmsg("execution %s keeps too many signals",
						uaef_uuid_text(&execution->id)),
				 errdetail("No task waits for this one, and uaef.max_kept_signals is %d.",
						   uaef_max_kept_signals),
				 errhint("See the view uaef.workflow_signal_kept.")));
}

/*
 * Write the signal, taken by this task or kept, and tell the ledger.
 */
static void
store(UaefExecution *execution, UaefTask *task, UaefSignal *signal,
	  const char *key)
{
	Datum		args[8];
	char		nulls[8];
	UaefJson	json;

	memset(nulls, ' ', sizeof(nulls));
	args[0] = UUIDPGetDatum(&execution->id);
	args[1] = CStringGetTextDatum(signal->name);
	args[2] = JsonbPGetDatum(signal->payload);
	args[3] = key ? CStringGetTextDatum(key) : (Datum) 0;
	nulls[3] = key ? ' ' : 'n';
	args[4] = ObjectIdGetDatum(signal->sent_by);
	args[5] = TimestampTzGetDatum(signal->sent_at);
	args[6] = Int64GetDatum(task ? task->task_id : 0);
	args[7] = TimestampTzGetDatum(signal->sent_at);
	nulls[6] = nulls[7] = task ? ' ' : 'n';
	uaef_spi_run(&insert_signal, args, nulls);
	signal->signal_id = uaef_spi_int64(0, 1);

	uaef_json_begin(&json);
	uaef_json_text(&json, "signal", signal->name);
	uaef_json_int(&json, "signal_id", signal->signal_id);
	uaef_json_text(&json, "task",
				   task ? execution->def->tasks[task->no].id : NULL);
	if (task != NULL && task->item != UAEF_NO_ITEM)
		uaef_json_int(&json, "item", task->item);
	uaef_json_bool(&json, "kept", task == NULL);
	uaef_json_text(&json, "idempotency_key", key);
	uaef_json_text(&json, "payload_sha256", uaef_digest_hex(signal->payload));
	uaef_step_event(execution, task, "signal_received", uaef_json_end(&json));
}

/*
 * Give a signal to a task, or keep it.
 */
static const char *
deliver(UaefExecution *execution, UaefSignal *signal, const char *key)
{
	UaefTask   *task = uaef_signal_find_waiting(execution, signal);

	if (task == NULL)
		check_room(execution);
	store(execution, task, signal, key);
	if (task != NULL)
		uaef_signal_deliver(task, signal);
	else
		execution->dirty = true;
	uaef_step_write(execution->step);
	return task != NULL ? "consumed" : "kept";
}

const char *
uaef_signal_send(const pg_uuid_t *id, const char *name, Jsonb *payload,
				 const char *key)
{
	UaefSignal	signal = {.name = name,.payload = payload};
	UaefCaller	back;
	UaefStep   *step;
	UaefExecution *execution;
	const char *outcome;

	if (*name == '\0' || strlen(name) > UAEF_MAX_SIGNAL_NAME)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("name of a signal must have 1 to %d bytes",
						UAEF_MAX_SIGNAL_NAME)));
	uaef_check_idempotency_key(key);
	uaef_check_payload("payload of the signal", payload);
	signal.sent_by = GetUserId();
	back = uaef_spi_begin();
	step = uaef_step_begin("user", GetUserNameFromId(signal.sent_by, false));
	signal.sent_at = step->now;
	execution = uaef_lock_own_execution(step, id, signal.sent_by);
	outcome = sent_before(id, &signal, key);
	if (outcome == NULL)
	{
		check_takes_signals(execution);
		outcome = deliver(execution, &signal, key);
	}
	uaef_spi_end(back);
	return outcome;
}
