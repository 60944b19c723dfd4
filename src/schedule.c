/*-------------------------------------------------------------------------
 *
 * schedule.c
 *	  Schedules: rows of uaef.schedule, read and checked.
 *
 * Locking: the row of the schedule, until the transaction ends.  Memory: the
 * context that was current at uaef_spi_begin().
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/datum.h"

#include "definition.h"
#include "errcodes.h"
#include "eval_error.h"
#include "json_util.h"
#include "ledger.h"
#include "schedule.h"
#include "spi_util.h"
#include "template.h"

#define COLUMNS \
	"SELECT schedule_id, name, workflow, version, cron, every, timezone," \
	" input, starts_at, ends_at, missed, overlap, calendar, excluded," \
	" jitter, priority, paused, created_by::pg_catalog.oid, created_at," \
	" next_tick, failures, running FROM uaef.schedule"

static UaefQuery lock_by_name = {
	COLUMNS " WHERE name = $1 FOR UPDATE", 1, {TEXTOID}
};

static UaefQuery read_by_id = {
	COLUMNS " WHERE schedule_id = $1", 1, {INT4OID}
};

static UaefQuery lock_due = {
	"SELECT schedule_id FROM uaef.schedule"
	" WHERE due_at <= $1 ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED",
	1, {TIMESTAMPTZOID}
};

static UaefQuery first_due = {
	"SELECT due_at FROM uaef.schedule WHERE due_at IS NOT NULL"
	" ORDER BY due_at LIMIT 1",
	0
};

static UaefQuery read_calendar = {
	"SELECT weekdays FROM uaef.schedule_calendar WHERE name = $1",
	1, {TEXTOID}
};

static UaefQuery read_days = {
	"SELECT first_day, last_day FROM uaef.schedule_calendar_day"
	" WHERE calendar = $1 ORDER BY first_day",
	1, {TEXTOID}
};

static const char *const missed_names[] = {"skip", "one", "all"};
static const char *const overlap_names[] = {"allow", "skip", "queue"};
static const char *const excluded_names[] = {"skip", "next"};

/* How long after a due schedule that somebody holds is looked at again. */
#define HELD_DELAY_US	(500 * 1000)

/* Nearest distance of ticks, and longest of anything. */
#define MIN_EVERY_US	USECS_PER_SEC
#define MAX_DISTANCE_US (3660 * USECS_PER_DAY)

static int
choice(const char *value, const char *const *names, int n, const char *what)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < n; i++)
	{
		if (strcmp(value, names[i]) == 0)
			return i;
		appendStringInfo(&list, "%s\"%s\"", i > 0 ? ", " : "", names[i]);
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("\"%s\" cannot be \"%s\"", what, value),
			 errhint("It is one of: %s.", list.data)));
}

static TimestampTz
time_or(uint64 row, int column, TimestampTz otherwise)
{
	bool		isnull;
	Datum		value = uaef_spi_value(row, column, &isnull);

	return isnull ? otherwise : DatumGetTimestampTz(value);
}

static char *
text_or_null(uint64 row, int column)
{
	bool		isnull;

	(void) uaef_spi_value(row, column, &isnull);
	return isnull ? NULL : uaef_spi_text(row, column);
}

/*
 * An interval without months as microseconds, days of 24 hours; 0 if null.
 */
static int64
distance(uint64 row, int column, const char *what, int64 min)
{
	bool		isnull;
	Datum		value = uaef_spi_value(row, column, &isnull);
	Interval   *interval;
	int64		us;

	if (isnull)
		return 0;
	interval = DatumGetIntervalP(value);
	us = interval->day > 3660 ? -1 :
		interval->time + interval->day * USECS_PER_DAY;
	if (interval->month != 0 || us < min || us > MAX_DISTANCE_US)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" cannot be %s", what,
						DatumGetCString(DirectFunctionCall1(interval_out,
															value))),
				 errdetail("It is %s to 3660 days, of 24 hours, without months and years.",
						   min > 0 ? "1 second" : "0"),
				 errhint("Use \"cron\" for what follows the calendar.")));
	return us;
}

const pg_tz *
uaef_schedule_zone(const char *name)
{
	pg_tz	   *zone = pg_tzset(name);

	if (zone == NULL || !pg_tz_acceptable(zone))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("time zone \"%s\" not recognized", name),
				 errhint("pg_catalog.pg_timezone_names lists the names.")));
	return zone;
}

static int64
day_number(Datum date)
{
	return DatumGetDateADT(date) + (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE);
}

UaefCalendar *
uaef_calendar_load(const char *name)
{
	UaefCalendar *calendar = palloc0(sizeof(UaefCalendar));
	Datum		arg = CStringGetTextDatum(name);
	bool		isnull;

	if (uaef_spi_run(&read_calendar, &arg, NULL) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_UNDEFINED_SCHEDULE),
				 errmsg("calendar \"%s\" does not exist", name),
				 errhint("Use uaef.create_calendar() to create it.")));
	calendar->weekdays = uaef_spi_int32(0, 1);
	calendar->n = (int) uaef_spi_run(&read_days, &arg, NULL);
	calendar->days = palloc(sizeof(UaefDays) * Max(calendar->n, 1));
	for (int i = 0; i < calendar->n; i++)
	{
		calendar->days[i].first = day_number(uaef_spi_value(i, 1, &isnull));
		calendar->days[i].last = day_number(uaef_spi_value(i, 2, &isnull));
	}
	return calendar;
}

static void
load_ticks(UaefSchedule *schedule)
{
	UaefTicks  *ticks = &schedule->ticks;
	char	   *cron = text_or_null(0, 5);
	TimestampTz created_at = time_or(0, 19, 0);

	ticks->every_us = distance(0, 6, "every", MIN_EVERY_US);
	if ((cron == NULL) == (ticks->every_us == 0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 cron == NULL ?
				 errmsg("schedule \"%s\" has neither \"cron\" nor \"every\"",
						schedule->name) :
				 errmsg("schedule \"%s\" has both \"cron\" and \"every\"",
						schedule->name),
				 errhint("Give one of them; to go over to the other, set this one to null.")));
	ticks->cron = cron == NULL ? NULL : uaef_cron_parse(cron);
	ticks->zone = uaef_schedule_zone(schedule->timezone);
	ticks->starts_at = time_or(0, 9, DT_NOBEGIN);
	ticks->ends_at = time_or(0, 10, DT_NOEND);
	ticks->anchor = ticks->starts_at == DT_NOBEGIN ? created_at
		: ticks->starts_at;
	ticks->move = choice(uaef_spi_text(0, 14), excluded_names,
						 lengthof(excluded_names), "excluded") == 1;
}

/*
 * The row that the last query gave; NULL if none.
 */
static UaefSchedule *
load(uint64 rows)
{
	UaefSchedule *schedule;
	char	   *calendar;
	bool		isnull;
	Datum		version;

	if (rows == 0)
		return NULL;
	schedule = palloc0(sizeof(UaefSchedule));
	schedule->id = uaef_spi_int32(0, 1);
	schedule->name = uaef_spi_text(0, 2);
	schedule->workflow = uaef_spi_text(0, 3);
	version = uaef_spi_value(0, 4, &isnull);
	schedule->version = isnull ? 0 : DatumGetInt32(version);
	schedule->timezone = uaef_spi_text(0, 7);
	schedule->input = uaef_spi_jsonb(0, 8);
	schedule->missed = choice(uaef_spi_text(0, 11), missed_names,
							  lengthof(missed_names), "missed");
	schedule->overlap = choice(uaef_spi_text(0, 12), overlap_names,
							   lengthof(overlap_names), "overlap");
	schedule->jitter_us = distance(0, 15, "jitter", 0);
	schedule->priority = uaef_spi_int32(0, 16);
	schedule->paused = uaef_spi_bool(0, 17);
	schedule->owner = uaef_spi_oid(0, 18);
	schedule->next_tick = time_or(0, 20, DT_NOEND);
	schedule->failures = uaef_spi_int32(0, 21);
	schedule->running = datumCopy(uaef_spi_value(0, 22, &isnull), false, -1);
	load_ticks(schedule);
	calendar = text_or_null(0, 13);
	if (calendar != NULL)
		schedule->ticks.calendar = uaef_calendar_load(calendar);
	return schedule;
}

UaefSchedule *
uaef_schedule_lock(const char *name)
{
	Datum		arg = CStringGetTextDatum(name);
	UaefSchedule *schedule = load(uaef_spi_run(&lock_by_name, &arg, NULL));

	if (schedule == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_UNDEFINED_SCHEDULE),
				 errmsg("schedule \"%s\" does not exist", name),
				 errhint("The view uaef.schedule_status lists those that are there.")));
	return schedule;
}

UaefSchedule *
uaef_schedule_lock_own(const char *name, Oid caller)
{
	UaefSchedule *schedule = uaef_schedule_lock(name);

	uaef_require_membership(caller, schedule->owner,
							psprintf("schedule \"%s\"", name));
	return schedule;
}

int
uaef_schedule_lock_due(TimestampTz now, TimestampTz *next)
{
	Datum		arg = TimestampTzGetDatum(now);

	*next = DT_NOEND;
	if (uaef_spi_run(&lock_due, &arg, NULL) > 0)
		return uaef_spi_int32(0, 1);
	if (uaef_spi_run(&first_due, NULL, NULL) > 0)
	{
		*next = time_or(0, 1, DT_NOEND);
		if (*next <= now)
			*next = now + HELD_DELAY_US;
	}
	return 0;
}

UaefSchedule *
uaef_schedule_read(int id)
{
	Datum		arg = Int32GetDatum(id);

	return load(uaef_spi_run(&read_by_id, &arg, NULL));
}

char *
uaef_schedule_local(const pg_tz *zone, TimestampTz tick)
{
	char		local[MAXDATELEN + 1];
	struct pg_tm tm;
	fsec_t		fsec;
	int			offset;

	if (timestamp2tm(tick, &offset, &tm, &fsec, NULL,
					 unconstify(pg_tz *, zone)) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range")));
	EncodeDateTime(&tm, fsec, true, offset, NULL, USE_XSD_DATES, local);
	return pstrdup(local);
}

/*
 * The data that the template of the input reads: "schedule" is its one name.
 */
static Jsonb *
input_data(const UaefSchedule *schedule, TimestampTz tick)
{
	char	   *local = uaef_schedule_local(schedule->ticks.zone, tick);
	UaefJson	inner;
	UaefJson	outer;

	uaef_json_begin(&inner);
	uaef_json_text(&inner, "name", schedule->name);
	uaef_json_text(&inner, "workflow", schedule->workflow);
	uaef_json_text(&inner, "timezone", schedule->timezone);
	uaef_json_time(&inner, "tick", tick);
	uaef_json_text(&inner, "local", local);
	uaef_json_text(&inner, "date", pnstrdup(local, strcspn(local, "T")));
	uaef_json_begin(&outer);
	uaef_json_jsonb(&outer, "schedule", uaef_json_end(&inner));
	return uaef_json_end(&outer);
}

Jsonb *
uaef_schedule_input(const UaefSchedule *schedule, TimestampTz tick)
{
	UaefTemplate *template = uaef_template_compile_any_root(schedule->input);
	UaefScope	scope = {.document = input_data(schedule, tick)};
	UaefEvalError error = {0};
	Jsonb	   *input = uaef_template_fill(template, &scope, &error);

	if (input == NULL)
		uaef_eval_raise(&error);
	return input;
}

void
uaef_schedule_check(const UaefSchedule *schedule)
{
	(void) uaef_definition_find(schedule->workflow, schedule->version);
	if (!JB_ROOT_IS_OBJECT(schedule->input))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("input of a schedule must be a JSON object")));
	(void) uaef_schedule_input(schedule, SetEpochTimestamp());
}

/*
 * The jitter of a tick is always the same.
 */
TimestampTz
uaef_schedule_due(const UaefSchedule *schedule, TimestampTz tick)
{
	int64		key[2] = {schedule->id, tick};

	if (tick == DT_NOEND || schedule->jitter_us == 0)
		return tick;
	return tick + (int64) (hash_bytes_extended((const unsigned char *) key,
											   sizeof(key), 0) %
						   (uint64) schedule->jitter_us);
}

void
uaef_schedule_event(const char *type, const char *actor_type,
					const char *actor_id, Jsonb *payload)
{
	UaefEvent	event = {
		.type = type,
		.actor_type = actor_type,
		.actor_id = actor_id,
		.payload = payload
	};

	(void) uaef_ledger_append(&event, 1);
}
