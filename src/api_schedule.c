/*-------------------------------------------------------------------------
 *
 * api_schedule.c
 *	  SQL entry points of schedules: fetch arguments, call, return.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/date.h"

#include "arguments.h"
#include "clock.h"
#include "schedule.h"
#include "set_result.h"
#include "spi_util.h"
#include "wake.h"

PG_FUNCTION_INFO_V1(uaef_create_schedule);
PG_FUNCTION_INFO_V1(uaef_alter_schedule);
PG_FUNCTION_INFO_V1(uaef_drop_schedule);
PG_FUNCTION_INFO_V1(uaef_pause_schedule);
PG_FUNCTION_INFO_V1(uaef_resume_schedule);
PG_FUNCTION_INFO_V1(uaef_run_schedule_now);
PG_FUNCTION_INFO_V1(uaef_fire_schedules);
PG_FUNCTION_INFO_V1(uaef_next_runs);
PG_FUNCTION_INFO_V1(uaef_create_calendar);
PG_FUNCTION_INFO_V1(uaef_drop_calendar);
PG_FUNCTION_INFO_V1(uaef_exclude_days);
PG_FUNCTION_INFO_V1(uaef_include_days);
PG_FUNCTION_INFO_V1(uaef_wake_for_schedules);

/* Most rows of next_runs(). */
#define MAX_RUNS 100000

/*
 * uaef.create_schedule(name, workflow, cron, every, timezone, input,
 * starts_at, ends_at, missed, overlap, calendar, excluded, jitter, priority,
 * version) -> void
 */
Datum
uaef_create_schedule(PG_FUNCTION_ARGS)
{
	static const char *const names[UAEF_SCHEDULE_ARGS] = {
		"name", "workflow", NULL, NULL, "timezone", "input", NULL, NULL,
		"missed", "overlap", NULL, "excluded", NULL, "priority", NULL
	};
	Datum		args[UAEF_SCHEDULE_ARGS];
	char		nulls[UAEF_SCHEDULE_ARGS];

	for (int i = 0; i < UAEF_SCHEDULE_ARGS; i++)
	{
		if (names[i] != NULL)
			uaef_arg_require(fcinfo, i, names[i]);
		args[i] = PG_GETARG_DATUM(i);
		nulls[i] = PG_ARGISNULL(i) ? 'n' : ' ';
	}
	uaef_schedule_create(args, nulls);
	PG_RETURN_VOID();
}

/* uaef.alter_schedule(name text, changes jsonb) -> void */
Datum
uaef_alter_schedule(PG_FUNCTION_ARGS)
{
	uaef_schedule_alter(uaef_arg_text(fcinfo, 0, "name"),
						uaef_arg_jsonb(fcinfo, 1, "changes"));
	PG_RETURN_VOID();
}

/* uaef.drop_schedule(name text) -> void */
Datum
uaef_drop_schedule(PG_FUNCTION_ARGS)
{
	uaef_schedule_drop(uaef_arg_text(fcinfo, 0, "name"));
	PG_RETURN_VOID();
}

/* uaef.pause_schedule(name text) -> void */
Datum
uaef_pause_schedule(PG_FUNCTION_ARGS)
{
	uaef_schedule_pause(uaef_arg_text(fcinfo, 0, "name"), true);
	PG_RETURN_VOID();
}

/* uaef.resume_schedule(name text) -> void */
Datum
uaef_resume_schedule(PG_FUNCTION_ARGS)
{
	uaef_schedule_pause(uaef_arg_text(fcinfo, 0, "name"), false);
	PG_RETURN_VOID();
}

/* uaef.run_schedule_now(name text) -> uuid */
Datum
uaef_run_schedule_now(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *id = palloc(sizeof(pg_uuid_t));

	*id = uaef_schedule_run_now(uaef_arg_text(fcinfo, 0, "name"));
	PG_RETURN_UUID_P(id);
}

/* uaef.fire_schedules(max integer) -> integer */
Datum
uaef_fire_schedules(PG_FUNCTION_ARGS)
{
	int			max = uaef_arg_int32(fcinfo, 0, "max");
	int			n = 0;
	TimestampTz next;

	while (n < max && uaef_schedule_fire(&next))
		n++;
	PG_RETURN_INT32(n);
}

/*
 * uaef.next_runs(cron text, timezone text, after timestamptz, n integer)
 * -> setof (run_at timestamptz, local text)
 */
Datum
uaef_next_runs(PG_FUNCTION_ARGS)
{
	UaefTicks	ticks = {.starts_at = DT_NOBEGIN,.ends_at = DT_NOEND};
	TimestampTz tick = PG_ARGISNULL(2) ? uaef_clock_now()
		: PG_GETARG_TIMESTAMPTZ(2);
	int			n = uaef_arg_int32(fcinfo, 3, "n");

	if (n < 0 || n > MAX_RUNS || TIMESTAMP_NOT_FINITE(tick))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"n\" must be between 0 and %d, and \"after\" finite",
						MAX_RUNS)));
	ticks.cron = uaef_cron_parse(uaef_arg_text(fcinfo, 0, "cron"));
	ticks.zone = uaef_schedule_zone(uaef_arg_text(fcinfo, 1, "timezone"));
	uaef_begin_set(fcinfo);
	for (int i = 0; i < n; i++)
	{
		Datum		values[2];
		bool		nulls[2] = {false, false};

		CHECK_FOR_INTERRUPTS();
		tick = uaef_tick_after(&ticks, tick);
		if (tick == DT_NOEND)
			break;
		values[0] = TimestampTzGetDatum(tick);
		values[1] = CStringGetTextDatum(uaef_schedule_local(ticks.zone, tick));
		uaef_put_row(fcinfo, values, nulls);
	}
	return (Datum) 0;
}

/*
 * The number of a day of the week by its name, of which three letters do;
 * Sunday is 0.
 */
static int
weekday_by_name(const char *name)
{
	static const char *const names[] = {
		"sunday", "monday", "tuesday", "wednesday", "thursday", "friday",
		"saturday"
	};

	for (int i = 0; i < lengthof(names); i++)
		if (strlen(name) >= 3 &&
			pg_strncasecmp(name, names[i], strlen(name)) == 0)
			return i;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("\"%s\" is no day of the week", name),
			 errhint("Days are sunday to saturday, or sun to sat.")));
}

/* uaef.create_calendar(name text, weekdays text[]) -> void */
Datum
uaef_create_calendar(PG_FUNCTION_ARGS)
{
	int			n;
	char	  **names = uaef_arg_text_array(fcinfo, 1, "weekdays", &n);
	Datum	   *days = palloc(sizeof(Datum) * Max(n, 1));
	int			seen = 0;

	for (int i = 0; i < n; i++)
	{
		days[i] = Int32GetDatum(weekday_by_name(names[i]));
		seen |= 1 << DatumGetInt32(days[i]);
	}
	if (seen == 0x7F)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a calendar must leave a day of the week")));
	uaef_calendar_create(uaef_arg_text(fcinfo, 0, "name"),
						 uaef_array(days, NULL, n, INT4OID));
	PG_RETURN_VOID();
}

/* uaef.drop_calendar(name text) -> void */
Datum
uaef_drop_calendar(PG_FUNCTION_ARGS)
{
	uaef_calendar_drop(uaef_arg_text(fcinfo, 0, "name"));
	PG_RETURN_VOID();
}

/*
 * uaef.exclude_days(calendar text, first date, last date, note text) -> void
 */
Datum
uaef_exclude_days(PG_FUNCTION_ARGS)
{
	uaef_arg_require(fcinfo, 1, "first");
	uaef_calendar_exclude(uaef_arg_text(fcinfo, 0, "calendar"),
						  PG_GETARG_DATUM(1),
						  PG_GETARG_DATUM(PG_ARGISNULL(2) ? 1 : 2),
						  uaef_arg_text_or_null(fcinfo, 3));
	PG_RETURN_VOID();
}

/* uaef.include_days(calendar text, first date, last date) -> void */
Datum
uaef_include_days(PG_FUNCTION_ARGS)
{
	uaef_arg_require(fcinfo, 1, "first");
	uaef_calendar_include(uaef_arg_text(fcinfo, 0, "calendar"),
						  PG_GETARG_DATUM(1),
						  PG_GETARG_DATUM(PG_ARGISNULL(2) ? 1 : 2));
	PG_RETURN_VOID();
}

/* uaef._wake_for_schedules() -> trigger */
Datum
uaef_wake_for_schedules(PG_FUNCTION_ARGS)
{
	uaef_wake_worker_on_commit(UAEF_WAKE_SCHEDULES);
	return PointerGetDatum(NULL);
}
