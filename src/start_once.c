/*-------------------------------------------------------------------------
 *
 * start_once.c
 *	  Starts of which only one execution may come: singletons, debounce.
 *
 * Locking: a debounced execution's row first, then the key's, so that a start
 * that puts it off and the timer that begins it are serial.  A start that has
 * locked no execution may wait for the key.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "digest.h"
#include "errcodes.h"
#include "failure.h"
#include "hold.h"
#include "payload_check.h"
#include "spi_util.h"
#include "start_once.h"
#include "uuid7.h"

/* Longest key. */
#define MAX_KEY 500

static UaefQuery find_key = {
	"SELECT execution_id, e.initiated_by::pg_catalog.oid,"
	" coalesce(e.status IN ('completed', 'failed', 'cancelled'), true)"
	" FROM uaef.workflow_start_once LEFT JOIN uaef.workflow_execution e"
	" USING (execution_id) WHERE workflow = $1 AND kind = $2 AND key = $3",
	3, {TEXTOID, TEXTOID, TEXTOID}
};

static UaefQuery take_key = {
	"INSERT INTO uaef.workflow_start_once AS o"
	" (workflow, kind, key, execution_id, due_at) VALUES ($1, $2, $3, $4, $5)"
	" ON CONFLICT (workflow, kind, key) DO UPDATE"
	" SET execution_id = EXCLUDED.execution_id, due_at = EXCLUDED.due_at"
	" WHERE o.execution_id = $6",
	6, {TEXTOID, TEXTOID, TEXTOID, UUIDOID, TIMESTAMPTZOID, UUIDOID}
};

static UaefQuery put_off = {
	"UPDATE uaef.workflow_start_once SET due_at = $2"
	" WHERE execution_id = $1 AND kind = 'debounce'",
	2, {UUIDOID, TIMESTAMPTZOID}
};

static UaefQuery find_due = {
	"SELECT due_at FROM uaef.workflow_start_once"
	" WHERE execution_id = $1 AND kind = 'debounce'",
	1, {UUIDOID}
};

static UaefQuery drop_key = {
	"DELETE FROM uaef.workflow_start_once"
	" WHERE execution_id = $1 AND kind = 'debounce'",
	1, {UUIDOID}
};

void
uaef_start_once_check(const UaefStart *start)
{
	const char *key = start->singleton_key != NULL ? start->singleton_key :
		start->debounce_key;
	int			kinds = (start->singleton_key != NULL) +
		(start->debounce_key != NULL) + (start->idempotency_key != NULL);

	if (kinds > 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a start can have one key only"),
				 errdetail("Idempotency, singleton and debounce keys each say what a repeated start means.")));
	if ((start->debounce_key != NULL) != (start->debounce_us > 0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"debounce_key\" and \"debounce\" go together")));
	if (start->debounce_key != NULL && start->start_at != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a start with a debounce key cannot have \"start_at\"")));
	if (key != NULL && (*key == '\0' || strlen(key) > MAX_KEY))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a singleton or debounce key has 1 to %d bytes",
						MAX_KEY)));
	uaef_check_idempotency_key(start->idempotency_key);
}

static void
set_key(Datum *args, const UaefStart *start)
{
	bool		singleton = start->singleton_key != NULL;

	args[0] = CStringGetTextDatum(start->workflow);
	args[1] = CStringGetTextDatum(singleton ? "singleton" : "debounce");
	args[2] = CStringGetTextDatum(singleton ? start->singleton_key :
								  start->debounce_key);
}

static void
require_member(const UaefStart *start, Oid caller, Oid initiator)
{
	if (!has_privs_of_role(caller, initiator))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("key \"%s\" of workflow \"%s\" was used by another role",
						start->singleton_key != NULL ? start->singleton_key :
						start->debounce_key, start->workflow),
				 errhint("Use keys that begin with the role's name, where several roles start one workflow.")));
}

/*
 * Put a debounced execution off once more, with the input of this start; false
 * when it has begun.
 */
static bool
debounce_again(UaefStep *step, const UaefStart *start, const pg_uuid_t *id)
{
	TimestampTz due = step->now + start->debounce_us;
	UaefExecution *execution;
	Datum		args[2];
	UaefJson	json;

	uaef_step_lock(step, id, 1);
	execution = uaef_step_execution(step, id);
	args[0] = UUIDPGetDatum(id);
	args[1] = TimestampTzGetDatum(due);
	if (execution == NULL || uaef_execution_ended(execution->status) ||
		execution->started_at != 0 ||
		uaef_spi_run(&put_off, args, NULL) == 0)
		return false;

	uaef_require_input(execution->def, start->input);
	execution->stored_input = NULL;
	execution->input = start->input;
	execution->name = uaef_clip(start->name);
	execution->priority = start->priority;
	execution->dirty = true;
	uaef_json_begin(&json);
	uaef_json_time(&json, "start_at", due);
	uaef_json_text(&json, "name", start->name);
	uaef_json_text(&json, "input_sha256", uaef_digest_hex(start->input));
	uaef_step_event(execution, NULL, "workflow_debounced",
					uaef_json_end(&json));
	return true;
}

bool
uaef_start_once_find(UaefStep *step, const UaefStart *start, Oid caller,
					 pg_uuid_t *id)
{
	Datum		args[3];
	bool		isnull;
	Datum		initiator;

	memset(id, 0, sizeof(pg_uuid_t));
	set_key(args, start);
	if (uaef_spi_run(&find_key, args, NULL) == 0)
		return false;
	*id = uaef_spi_uuid(0, 1);
	if (uaef_spi_bool(0, 3))
		return false;
	initiator = uaef_spi_value(0, 2, &isnull);
	require_member(start, caller, DatumGetObjectId(initiator));
	return start->singleton_key != NULL || debounce_again(step, start, id);
}

bool
uaef_start_once_take(UaefExecution *execution, const UaefStart *start,
					 const pg_uuid_t *before)
{
	UaefStep   *step = execution->step;
	char		nulls[6] = "      ";
	Datum		args[6];

	set_key(args, start);
	args[3] = UUIDPGetDatum(&execution->id);
	args[4] = TimestampTzGetDatum(step->now + start->debounce_us);
	args[5] = UUIDPGetDatum(before);
	if (start->debounce_key == NULL)
		nulls[4] = 'n';
	if (uaef_spi_run(&take_key, args, nulls) == 0)
		return false;
	if (start->debounce_key != NULL)
		uaef_step_timer(execution, NULL, "debounce",
						step->now + start->debounce_us);
	else
		execution->singleton_key = pstrdup(start->singleton_key);
	return true;
}

/*
 * Who holds the key may be ending just now; it is not waited for.
 */
void
uaef_start_once_again(UaefExecution *execution)
{
	char		nulls[6] = "    n ";
	Datum		args[6];

	if (execution->singleton_key == NULL)
		return;
	args[0] = CStringGetTextDatum(execution->def->name);
	args[1] = CStringGetTextDatum("singleton");
	args[2] = CStringGetTextDatum(execution->singleton_key);
	args[3] = UUIDPGetDatum(&execution->id);
	args[4] = TimestampTzGetDatum(0);
	for (;;)
	{
		pg_uuid_t	holder = execution->id;

		CHECK_FOR_INTERRUPTS();
		if (uaef_spi_run(&find_key, args, NULL) > 0)
			holder = uaef_spi_uuid(0, 1);
		if (memcmp(&holder, &execution->id, sizeof(pg_uuid_t)) != 0 &&
			!uaef_spi_bool(0, 3))
			ereport(ERROR,
					(errcode(ERRCODE_UAEF_ILLEGAL_TRANSITION),
					 errmsg("execution %s cannot be retried while execution %s is open",
							uaef_uuid_text(&execution->id),
							uaef_uuid_text(&holder)),
					 errdetail("Both have the singleton key \"%s\".",
							   execution->singleton_key)));
		args[5] = UUIDPGetDatum(&holder);
		if (uaef_spi_run(&take_key, args, nulls) > 0)
			return;
	}
}

void
uaef_start_once_fire(UaefExecution *execution)
{
	Datum		arg = UUIDPGetDatum(&execution->id);
	TimestampTz due;
	bool		isnull;

	if (execution->started_at != 0 ||
		uaef_spi_run(&find_due, &arg, NULL) == 0)
		return;
	due = DatumGetTimestampTz(uaef_spi_value(0, 1, &isnull));
	if (due > execution->step->now)
	{
		uaef_step_timer(execution, NULL, "debounce", due);
		return;
	}
	uaef_spi_run(&drop_key, &arg, NULL);
	uaef_execution_set_deadline(execution, execution->step->now);
	uaef_execution_begin(execution);
}
