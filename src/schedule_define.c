/*-------------------------------------------------------------------------
 *
 * schedule_define.c
 *	  Schedules and their calendars: making, changing, dropping them.
 *
 * A row is written as it is asked for, read back, and checked as it will be
 * when it fires; what cannot be used raises, and nothing was done.
 *
 * Locking: the row of the schedule; a calendar's change takes its schedules
 * after the calendar.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/date.h"

#include "clock.h"
#include "errcodes.h"
#include "json_util.h"
#include "schedule.h"
#include "spi_util.h"
#include "versioned_name.h"
#include "wake.h"

static UaefQuery insert_schedule = {
	"INSERT INTO uaef.schedule (name, workflow, cron, every, timezone, input,"
	" starts_at, ends_at, missed, overlap, calendar, excluded, jitter,"
	" priority, version, created_by, created_at)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14,"
	" $15, $16, $17) ON CONFLICT (name) DO NOTHING",
	17, {TEXTOID, TEXTOID, TEXTOID, INTERVALOID, TEXTOID, JSONBOID,
		TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID,
		INTERVALOID, INT4OID, INT4OID, REGROLEOID, TIMESTAMPTZOID
	}
};

#define CHANGEABLE \
	"workflow, cron, every, timezone, input, starts_at, ends_at, missed," \
	" overlap, calendar, excluded, jitter, priority, version"

static UaefQuery change_schedule = {
	"UPDATE uaef.schedule s SET (" CHANGEABLE ") = (SELECT " CHANGEABLE
	" FROM pg_catalog.jsonb_populate_record(s, $2)) WHERE name = $1",
	2, {TEXTOID, JSONBOID}
};

static UaefQuery plan_schedule = {
	"UPDATE uaef.schedule SET next_tick = $2, due_at = $3, paused = $4,"
	" waiting = false WHERE schedule_id = $1",
	4, {INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID, BOOLOID}
};

static UaefQuery delete_schedule = {
	"DELETE FROM uaef.schedule WHERE schedule_id = $1", 1, {INT4OID}
};

/* What alter_schedule() changes, and whether the ticks follow from it. */
static const struct
{
	const char *key;
	bool		moves_ticks;
}			changeable[] = {
	{"workflow", false}, {"cron", true}, {"every", true}, {"timezone", true},
	{"input", false}, {"starts_at", true}, {"ends_at", true},
	{"missed", false}, {"overlap", false}, {"calendar", true},
	{"excluded", true}, {"jitter", true}, {"priority", false},
	{"version", false}
};

/*
 * Have the next tick be the first after now.
 */
static void
plan(UaefSchedule *schedule, bool paused)
{
	TimestampTz tick = paused ? DT_NOEND :
		uaef_tick_after(&schedule->ticks, uaef_clock_now());
	char		nulls[4] = {' ', ' ', ' ', ' '};
	Datum		args[4];

	if (tick == DT_NOEND)
		nulls[1] = nulls[2] = 'n';
	args[0] = Int32GetDatum(schedule->id);
	args[1] = TimestampTzGetDatum(tick);
	args[2] = TimestampTzGetDatum(uaef_schedule_due(schedule, tick));
	args[3] = BoolGetDatum(paused);
	(void) uaef_spi_run(&plan_schedule, args, nulls);
	uaef_wake_worker_on_commit(UAEF_WAKE_SCHEDULES);
}

static void
record(const char *type, Oid caller, const char *name, const char *key,
	   Jsonb *more)
{
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_text(&json, key, name);
	uaef_json_jsonb(&json, "changes", more);
	uaef_schedule_event(type, "user", GetUserNameFromId(caller, false),
						uaef_json_end(&json));
}

void
uaef_schedule_create(Datum *args, const char *nulls)
{
	Oid			caller = GetUserId();
	Datum		all[UAEF_SCHEDULE_ARGS + 2];
	char		all_nulls[UAEF_SCHEDULE_ARGS + 2];
	char	   *name = TextDatumGetCString(args[0]);
	UaefCaller	back = uaef_spi_begin();
	UaefSchedule *schedule;

	uaef_check_name("schedule", name);
	memcpy(all, args, sizeof(Datum) * UAEF_SCHEDULE_ARGS);
	memcpy(all_nulls, nulls, UAEF_SCHEDULE_ARGS);
	all[UAEF_SCHEDULE_ARGS] = ObjectIdGetDatum(caller);
	all[UAEF_SCHEDULE_ARGS + 1] = TimestampTzGetDatum(uaef_clock_now());
	all_nulls[UAEF_SCHEDULE_ARGS] = all_nulls[UAEF_SCHEDULE_ARGS + 1] = ' ';
	if (uaef_spi_run(&insert_schedule, all, all_nulls) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("schedule \"%s\" already exists", name),
				 errhint("Use uaef.alter_schedule() to change it.")));
	schedule = uaef_schedule_lock(name);
	uaef_schedule_check(schedule);
	plan(schedule, false);
	record("schedule_created", caller, name, "schedule", NULL);
	uaef_spi_end(back);
}

/*
 * Raise for a key that cannot be changed; returns whether the ticks move.
 */
static bool
check_changes(Jsonb *changes)
{
	JsonbIterator *iterator = JsonbIteratorInit(&changes->root);
	JsonbIteratorToken token;
	JsonbValue	value;
	bool		moves_ticks = false;

	if (!JB_ROOT_IS_OBJECT(changes))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("changes of a schedule must be a JSON object")));
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		char	   *key;
		int			i = 0;

		if (token != WJB_KEY)
			continue;
		key = pnstrdup(value.val.string.val, value.val.string.len);
		while (i < lengthof(changeable) &&
			   strcmp(changeable[i].key, key) != 0)
			i++;
		if (i == lengthof(changeable))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("\"%s\" of a schedule cannot be changed", key),
					 errhint("The keys are: " CHANGEABLE ".")));
		moves_ticks = moves_ticks || changeable[i].moves_ticks;
	}
	return moves_ticks;
}

void
uaef_schedule_alter(const char *name, Jsonb *changes)
{
	Oid			caller = GetUserId();
	bool		moves_ticks = check_changes(changes);
	UaefCaller	back = uaef_spi_begin();
	UaefSchedule *schedule = uaef_schedule_lock_own(name, caller);
	Datum		args[2] = {CStringGetTextDatum(name), JsonbPGetDatum(changes)};

	(void) uaef_spi_run(&change_schedule, args, NULL);
	schedule = uaef_schedule_lock(name);
	uaef_schedule_check(schedule);
	if (moves_ticks)
		plan(schedule, schedule->paused);
	uaef_wake_worker_on_commit(UAEF_WAKE_SCHEDULES);
	record("schedule_altered", caller, name, "schedule", changes);
	uaef_spi_end(back);
}

void
uaef_schedule_drop(const char *name)
{
	Oid			caller = GetUserId();
	UaefCaller	back = uaef_spi_begin();
	UaefSchedule *schedule = uaef_schedule_lock_own(name, caller);
	Datum		arg = Int32GetDatum(schedule->id);

	(void) uaef_spi_run(&delete_schedule, &arg, NULL);
	record("schedule_dropped", caller, name, "schedule", NULL);
	uaef_spi_end(back);
}

/*
 * Ticks that come during a pause are nobody's: it goes on with the first one
 * after it.
 */
void
uaef_schedule_pause(const char *name, bool pause)
{
	Oid			caller = GetUserId();
	UaefCaller	back = uaef_spi_begin();
	UaefSchedule *schedule = uaef_schedule_lock_own(name, caller);

	if (schedule->paused != pause)
	{
		plan(schedule, pause);
		record(pause ? "schedule_paused" : "schedule_resumed", caller, name,
			   "schedule", NULL);
	}
	uaef_spi_end(back);
}

/*----------
 * Calendars
 * ----------
 */

static UaefQuery insert_calendar = {
	"INSERT INTO uaef.schedule_calendar (name, weekdays, created_by,"
	" created_at) SELECT $1, coalesce((SELECT pg_catalog.bit_or(1 << n)"
	" FROM pg_catalog.unnest($2) n), 0), $3, $4 ON CONFLICT DO NOTHING",
	4, {TEXTOID, INT4ARRAYOID, REGROLEOID, TIMESTAMPTZOID}
};

static UaefQuery lock_calendar = {
	"SELECT created_by::pg_catalog.oid FROM uaef.schedule_calendar"
	" WHERE name = $1 FOR UPDATE",
	1, {TEXTOID}
};

static UaefQuery calendar_schedules = {
	"SELECT name FROM uaef.schedule WHERE calendar = $1 ORDER BY name",
	1, {TEXTOID}
};

static UaefQuery delete_calendar = {
	"WITH d AS (DELETE FROM uaef.schedule_calendar_day WHERE calendar = $1)"
	" DELETE FROM uaef.schedule_calendar WHERE name = $1",
	1, {TEXTOID}
};

static UaefQuery insert_days = {
	"INSERT INTO uaef.schedule_calendar_day"
	" (calendar, first_day, last_day, note) VALUES ($1, $2, $3, $4)",
	4, {TEXTOID, DATEOID, DATEOID, TEXTOID}
};

/* Ranges that stick out on either side leave what sticks out. */
static UaefQuery delete_days = {
	"WITH gone AS (DELETE FROM uaef.schedule_calendar_day"
	" WHERE calendar = $1 AND first_day <= $3 AND last_day >= $2"
	" RETURNING first_day, last_day, note)"
	" INSERT INTO uaef.schedule_calendar_day"
	" (calendar, first_day, last_day, note)"
	" SELECT $1, first_day, $2 - 1, note FROM gone WHERE first_day < $2"
	" UNION ALL SELECT $1, $3 + 1, last_day, note FROM gone"
	" WHERE last_day > $3",
	3, {TEXTOID, DATEOID, DATEOID}
};

void
uaef_calendar_create(const char *name, Datum weekdays)
{
	Oid			caller = GetUserId();
	UaefCaller	back = uaef_spi_begin();
	Datum		args[4];

	uaef_check_name("calendar", name);
	args[0] = CStringGetTextDatum(name);
	args[1] = weekdays;
	args[2] = ObjectIdGetDatum(caller);
	args[3] = TimestampTzGetDatum(uaef_clock_now());
	if (uaef_spi_run(&insert_calendar, args, NULL) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("calendar \"%s\" already exists", name)));
	record("calendar_created", caller, name, "calendar", NULL);
	uaef_spi_end(back);
}

static void
lock_own_calendar(const char *name, Oid caller)
{
	Datum		arg = CStringGetTextDatum(name);

	if (uaef_spi_run(&lock_calendar, &arg, NULL) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_UNDEFINED_SCHEDULE),
				 errmsg("calendar \"%s\" does not exist", name),
				 errhint("Use uaef.create_calendar() to create it.")));
	if (!has_privs_of_role(caller, uaef_spi_oid(0, 1)))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for calendar \"%s\"", name)));
}

/*
 * The schedules of a calendar, by name; returns how many.
 */
static int
schedules_of(const char *calendar, char ***names)
{
	Datum		arg = CStringGetTextDatum(calendar);
	int			n = (int) uaef_spi_run(&calendar_schedules, &arg, NULL);

	*names = palloc(sizeof(char *) * Max(n, 1));
	for (int i = 0; i < n; i++)
		(*names)[i] = uaef_spi_text(i, 1);
	return n;
}

static void
plan_schedules_of(const char *calendar)
{
	char	  **names;
	int			n = schedules_of(calendar, &names);

	for (int i = 0; i < n; i++)
	{
		UaefSchedule *schedule = uaef_schedule_lock(names[i]);

		plan(schedule, schedule->paused);
	}
}

void
uaef_calendar_drop(const char *name)
{
	Oid			caller = GetUserId();
	UaefCaller	back = uaef_spi_begin();
	Datum		arg = CStringGetTextDatum(name);
	char	  **names;

	lock_own_calendar(name, caller);
	if (schedules_of(name, &names) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("calendar \"%s\" is used by schedule \"%s\"", name,
						names[0]),
				 errhint("Use uaef.alter_schedule() to give it another one.")));
	(void) uaef_spi_run(&delete_calendar, &arg, NULL);
	record("calendar_dropped", caller, name, "calendar", NULL);
	uaef_spi_end(back);
}

static Jsonb *
range_json(Datum first, Datum last, const char *note)
{
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_text(&json, "first",
				   DatumGetCString(DirectFunctionCall1(date_out, first)));
	uaef_json_text(&json, "last",
				   DatumGetCString(DirectFunctionCall1(date_out, last)));
	uaef_json_text(&json, "note", note);
	return uaef_json_end(&json);
}

static void
check_range(Datum first, Datum last)
{
	DateADT		from = DatumGetDateADT(first);
	DateADT		to = DatumGetDateADT(last);

	if (DATE_NOT_FINITE(from) || DATE_NOT_FINITE(to) || to < from ||
		to - from >= UAEF_MAX_FREE_DAYS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"last\" must be a day from \"first\" to %d days later",
						UAEF_MAX_FREE_DAYS - 1)));
}

void
uaef_calendar_exclude(const char *name, Datum first, Datum last,
					  const char *note)
{
	Oid			caller = GetUserId();
	UaefCaller	back;
	Datum		args[4] = {CStringGetTextDatum(name), first, last};

	check_range(first, last);
	back = uaef_spi_begin();
	if (note != NULL)
		args[3] = CStringGetTextDatum(note);
	lock_own_calendar(name, caller);
	(void) uaef_spi_run(&insert_days, args, note == NULL ? "   n" : NULL);
	plan_schedules_of(name);
	record("calendar_days_excluded", caller, name, "calendar",
		   range_json(first, last, note));
	uaef_spi_end(back);
}

void
uaef_calendar_include(const char *name, Datum first, Datum last)
{
	Oid			caller = GetUserId();
	UaefCaller	back;
	Datum		args[3] = {CStringGetTextDatum(name), first, last};

	check_range(first, last);
	back = uaef_spi_begin();
	lock_own_calendar(name, caller);
	(void) uaef_spi_run(&delete_days, args, NULL);
	plan_schedules_of(name);
	record("calendar_days_included", caller, name, "calendar",
		   range_json(first, last, NULL));
	uaef_spi_end(back);
}
