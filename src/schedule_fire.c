/*-------------------------------------------------------------------------
 *
 * schedule_fire.c
 *	  Schedules that are due: one tick, one execution, one commit.
 *
 * A schedule's work is done in a subtransaction, so that what is wrong with it
 * is written into its row and holds no other up.  Trouble of the server (locks,
 * memory, a cancel) is tried again with the same tick; any other error costs
 * the tick.
 *
 * An execution belongs to the role that owns the schedule, whose rights are
 * looked at when it starts.  Nothing of a user is run here: a start only fills
 * in templates and evaluates conditions.
 *
 * Locking: the row of the schedule, then what a start locks.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

#include "clock.h"
#include "engine.h"
#include "error_class.h"
#include "json_util.h"
#include "schedule.h"
#include "spi_util.h"
#include "subtransaction.h"
#include "wake.h"

static UaefQuery free_waiting = {
	"UPDATE uaef.schedule SET waiting = false, due_at = $1"
	" WHERE schedule_id = ANY (ARRAY(SELECT schedule_id FROM uaef.schedule s"
	" WHERE waiting AND NOT EXISTS (SELECT FROM uaef.workflow_execution e"
	" WHERE e.execution_id = ANY (s.running) AND e.completed_at IS NULL)"
	" FOR UPDATE SKIP LOCKED))",
	1, {TIMESTAMPTZOID}
};

static UaefQuery find_open = {
	"SELECT execution_id FROM uaef.workflow_execution"
	" WHERE execution_id = ANY ($1) AND completed_at IS NULL"
	" ORDER BY execution_id DESC LIMIT 100",
	1, {UUIDARRAYOID}
};

static UaefQuery write_fired = {
	"UPDATE uaef.schedule SET next_tick = $2, due_at = $3, waiting = $4,"
	" running = $5, last_tick = coalesce($6, last_tick),"
	" last_run_at = coalesce($7, last_run_at),"
	" last_execution = coalesce($8, last_execution),"
	" started = started + $9, missed_ticks = missed_ticks + $10,"
	" skipped_ticks = skipped_ticks + $11, failures = 0, last_error = NULL"
	" WHERE schedule_id = $1",
	11, {INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID, BOOLOID, UUIDARRAYOID,
		TIMESTAMPTZOID, TIMESTAMPTZOID, UUIDOID, INT4OID, INT4OID, INT4OID
	}
};

static UaefQuery write_failed = {
	"UPDATE uaef.schedule SET due_at = $2, last_error = $3,"
	" last_error_at = $4, failures = failures + 1,"
	" failed_ticks = failed_ticks + $5 WHERE schedule_id = $1",
	5, {INT4OID, TIMESTAMPTZOID, TEXTOID, TIMESTAMPTZOID, INT4OID}
};

static UaefQuery move_on = {
	"UPDATE uaef.schedule SET next_tick = $2, due_at = $3"
	" WHERE schedule_id = $1",
	3, {INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID}
};

static UaefQuery may_start = {
	"SELECT EXISTS (SELECT FROM pg_catalog.pg_proc"
	" WHERE pronamespace = 'uaef'::pg_catalog.regnamespace"
	" AND proname = 'start_workflow'"
	" AND pg_catalog.has_function_privilege($1, oid, 'EXECUTE'))",
	1, {OIDOID}
};

/* A tick that is later than this is missed, where missed ones are skipped. */
#define GRACE_US		(60 * USECS_PER_SEC)

/* Ticks counted one by one, when many were missed. */
#define MAX_COUNTED		10000

/* What cannot be started for now, and what cannot even be read, waits. */
#define RETRY_US		(5 * USECS_PER_SEC)
#define UNREADABLE_US	(60 * USECS_PER_SEC)

/* What is made of the ticks that are due. */
typedef struct Firing
{
	TimestampTz now;
	TimestampTz tick;			/* the one that counts */
	bool		start;
	bool		waiting;		/* for the end of an execution */
	int			missed;
	int			skipped;
	List	   *open;			/* pg_uuid_t *: executions of it */
	pg_uuid_t	execution_id;
} Firing;

/*
 * The last tick that is due by now, of one that is: *n is how many come
 * before it.  Where they are too many to be counted, it is looked for
 * backwards from now.
 */
static TimestampTz
last_due(const UaefSchedule *schedule, TimestampTz tick, TimestampTz now,
		 int *n)
{
	TimestampTz next = uaef_tick_after(&schedule->ticks, tick);

	*n = 0;
	while (uaef_schedule_due(schedule, next) <= now)
	{
		TimestampTz jump = now - schedule->jitter_us - GRACE_US;

		tick = next;
		if (++*n == MAX_COUNTED && tick < jump)
			tick = jump;
		next = uaef_tick_after(&schedule->ticks, tick);
	}
	return tick;
}

static void
record(const UaefSchedule *schedule, const char *type, TimestampTz tick,
	   int ticks, const char *error)
{
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_text(&json, "schedule", schedule->name);
	uaef_json_time(&json, "tick", tick);
	if (ticks > 0)
		uaef_json_int(&json, "ticks", ticks);
	uaef_json_text(&json, "error", error);
	uaef_schedule_event(type, "system", "schedule", uaef_json_end(&json));
}

/*
 * Which tick counts, by what is to become of missed ones.
 */
static void
choose_tick(const UaefSchedule *schedule, Firing *firing)
{
	firing->tick = schedule->next_tick;
	firing->start = true;
	if (schedule->missed == UAEF_MISSED_ALL)
		return;
	firing->tick = last_due(schedule, schedule->next_tick, firing->now,
							&firing->missed);
	if (schedule->missed == UAEF_MISSED_SKIP &&
		uaef_schedule_due(schedule, firing->tick) < firing->now - GRACE_US)
	{
		firing->missed++;
		firing->start = false;
	}
}

/*
 * The executions of the schedule that have not ended.
 */
static void
find_running(const UaefSchedule *schedule, Firing *firing)
{
	Datum		arg = schedule->running;
	int			n = (int) uaef_spi_run(&find_open, &arg, NULL);

	for (int i = 0; i < n; i++)
	{
		pg_uuid_t  *id = palloc(sizeof(pg_uuid_t));

		*id = uaef_spi_uuid(i, 1);
		firing->open = lappend(firing->open, id);
	}
}

static void
heed_overlap(const UaefSchedule *schedule, Firing *firing)
{
	find_running(schedule, firing);
	if (!firing->start || firing->open == NIL ||
		schedule->overlap == UAEF_OVERLAP_ALLOW)
		return;
	firing->start = false;
	if (schedule->overlap == UAEF_OVERLAP_SKIP)
		firing->skipped = 1;
	else
	{
		firing->waiting = true;
		firing->missed = 0;
	}
}

static void
require_rights(const UaefSchedule *schedule)
{
	Datum		arg = ObjectIdGetDatum(schedule->owner);

	if (!SearchSysCacheExists1(AUTHOID, arg))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("role with OID %u does not exist", schedule->owner),
				 errdetail("It owns schedule \"%s\".", schedule->name)));
	(void) uaef_spi_run(&may_start, &arg, NULL);
	if (!uaef_spi_bool(0, 1))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for function %s",
						"start_workflow"),
				 errdetail("Schedule \"%s\" starts executions as role \"%s\".",
						   schedule->name,
						   GetUserNameFromId(schedule->owner, false)),
				 errhint("Use uaef.grant_access() to give it the access \"operator\".")));
}

/*
 * Start the execution of a tick, as the role that owns the schedule.
 */
static pg_uuid_t
start(const UaefSchedule *schedule, TimestampTz tick, const char *key)
{
	UaefStart	start = {0};
	UaefCaller	back;
	pg_uuid_t	id;

	require_rights(schedule);
	start.workflow = schedule->workflow;
	start.version = schedule->version;
	start.input = uaef_schedule_input(schedule, tick);
	start.idempotency_key = key;
	start.name = schedule->name;
	start.priority = schedule->priority;
	start.schedule_id = schedule->id;
	start.schedule = schedule->name;
	start.tick = tick;
	start.session_role = schedule->owner;

	GetUserIdAndSecContext(&back.user, &back.sec_context);
	SetUserIdAndSecContext(schedule->owner, back.sec_context |
						   SECURITY_LOCAL_USERID_CHANGE);
	id = uaef_engine_start(&start);
	uaef_become_caller(back);
	return id;
}

static Datum
running_with(const Firing *firing)
{
	Datum	   *ids = palloc(sizeof(Datum) * (list_length(firing->open) + 1));
	ListCell   *cell;
	int			n = 0;

	if (firing->start)
		ids[n++] = UUIDPGetDatum(&firing->execution_id);
	foreach(cell, firing->open)
		ids[n++] = UUIDPGetDatum(lfirst(cell));
	return uaef_array(ids, NULL, n, UUIDOID);
}

/*
 * Write what was made of a tick, and when the next one is due.  A schedule
 * that is behind queues up behind the others that are due.
 */
static void
store(const UaefSchedule *schedule, Firing *firing)
{
	TimestampTz next = firing->waiting ? schedule->next_tick
		: uaef_tick_after(&schedule->ticks, firing->tick);
	TimestampTz due = Max(uaef_schedule_due(schedule, next), firing->now);
	char		nulls[11];
	Datum		args[11];

	memset(nulls, ' ', sizeof(nulls));
	args[0] = Int32GetDatum(schedule->id);
	args[1] = TimestampTzGetDatum(next);
	args[2] = TimestampTzGetDatum(due);
	if (next == DT_NOEND)
		nulls[1] = nulls[2] = 'n';
	if (firing->waiting)
		nulls[2] = 'n';
	args[3] = BoolGetDatum(firing->waiting);
	args[4] = running_with(firing);
	args[5] = TimestampTzGetDatum(firing->tick);
	nulls[5] = firing->waiting ? 'n' : ' ';
	args[6] = TimestampTzGetDatum(firing->now);
	args[7] = UUIDPGetDatum(&firing->execution_id);
	nulls[6] = nulls[7] = firing->start ? ' ' : 'n';
	args[8] = Int32GetDatum(firing->start ? 1 : 0);
	args[9] = Int32GetDatum(firing->missed);
	args[10] = Int32GetDatum(firing->skipped);
	(void) uaef_spi_run(&write_fired, args, nulls);

	/* The end of what we saw running may have been told before we write. */
	if (firing->waiting)
		uaef_wake_worker_on_commit(UAEF_WAKE_SCHEDULES);
}

/*
 * All that becomes of a schedule that is due.
 */
static void
fire(int id, TimestampTz now)
{
	UaefSchedule *schedule = uaef_schedule_read(id);
	Firing		firing = {.now = now};

	choose_tick(schedule, &firing);
	heed_overlap(schedule, &firing);
	if (firing.missed > 0)
		record(schedule, "schedule_missed", firing.tick, firing.missed, NULL);
	if (firing.skipped > 0)
		record(schedule, "schedule_skipped", firing.tick, 0, NULL);
	if (firing.start)
		firing.execution_id = start(schedule, firing.tick,
									psprintf(UAEF_SCHEDULE_KEY "%d/%s",
											 schedule->id,
											 uaef_time_text(firing.tick)));
	store(schedule, &firing);
}

/* A tick that is due; error is why it is given up. */
typedef struct Tick
{
	int			id;
	TimestampTz now;
	const char *error;
} Tick;

static void
fire_tick(void *arg)
{
	const Tick *tick = arg;

	fire(tick->id, tick->now);
}

/*
 * Leave the tick that failed: go on with the next one, if that can be told.
 */
static void
give_tick_up(void *arg)
{
	const Tick *tick = arg;
	UaefSchedule *schedule = uaef_schedule_read(tick->id);
	TimestampTz next = uaef_tick_after(&schedule->ticks, schedule->next_tick);
	char		nulls[3] = {' ', ' ', ' '};
	Datum		args[3];

	if (next == DT_NOEND)
		nulls[1] = nulls[2] = 'n';
	args[0] = Int32GetDatum(tick->id);
	args[1] = TimestampTzGetDatum(next);
	args[2] = TimestampTzGetDatum(Max(uaef_schedule_due(schedule, next),
									  tick->now));
	(void) uaef_spi_run(&move_on, args, nulls);
	record(schedule, "schedule_failed", schedule->next_tick, 0, tick->error);
}

/*
 * Write down what was wrong.
 */
static void
fail(Tick *tick, const ErrorData *error)
{
	bool		again = uaef_error_is_transient(error->sqlerrcode) ||
		error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE;
	char	   *text = psprintf("%s: %s", unpack_sql_state(error->sqlerrcode),
								error->message);
	Datum		args[5];

	args[0] = Int32GetDatum(tick->id);
	args[1] = TimestampTzGetDatum(tick->now + (again ? RETRY_US : UNREADABLE_US));
	args[2] = CStringGetTextDatum(text);
	args[3] = TimestampTzGetDatum(tick->now);
	args[4] = Int32GetDatum(again ? 0 : 1);
	(void) uaef_spi_run(&write_failed, args, NULL);
	tick->error = text;
	if (!again)
		(void) uaef_try(give_tick_up, tick);
	ereport(LOG,
			(errmsg("schedule %d could not start its workflow: %s", tick->id,
					text)));
}

bool
uaef_schedule_fire(TimestampTz *next)
{
	Tick		tick = {.now = uaef_clock_now()};
	UaefCaller	back = uaef_spi_begin();
	Datum		arg = TimestampTzGetDatum(tick.now);
	ErrorData  *error;

	(void) uaef_spi_run(&free_waiting, &arg, NULL);
	tick.id = uaef_schedule_lock_due(tick.now, next);
	if (tick.id != 0)
	{
		error = uaef_try(fire_tick, &tick);
		if (error != NULL)
			fail(&tick, error);
	}
	uaef_spi_end(back);
	return tick.id != 0;
}

pg_uuid_t
uaef_schedule_run_now(const char *name)
{
	static UaefQuery write_run = {
		"UPDATE uaef.schedule SET running = ARRAY[$2] || running[1:99],"
		" last_execution = $2, last_run_at = $3, started = started + 1"
		" WHERE schedule_id = $1",
		3, {INT4OID, UUIDOID, TIMESTAMPTZOID}
	};
	Oid			caller = GetUserId();
	UaefCaller	back = uaef_spi_begin();
	UaefSchedule *schedule = uaef_schedule_lock_own(name, caller);
	TimestampTz now = uaef_clock_now();
	pg_uuid_t	id = start(schedule, now, NULL);
	Datum		args[3];

	args[0] = Int32GetDatum(schedule->id);
	args[1] = UUIDPGetDatum(&id);
	args[2] = TimestampTzGetDatum(now);
	(void) uaef_spi_run(&write_run, args, NULL);
	uaef_spi_end(back);
	return id;
}
