/*-------------------------------------------------------------------------
 *
 * schedule_time.c
 *	  When a schedule is due: its ticks.
 *
 * Pure.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "compat.h"
#include "schedule_time.h"

/* Ticks that a calendar may leave out in a row before we give up. */
#define MAX_LEFT_OUT 1000000

static int64
floor_div(int64 a, int64 b)
{
	return a / b - (a % b < 0 ? 1 : 0);
}

/*
 * Seconds since 1970 that have passed at a moment.
 */
static pg_time_t
seconds_of(TimestampTz when)
{
	return floor_div(when, USECS_PER_SEC) +
		(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * (int64) SECS_PER_DAY;
}

static TimestampTz
moment_of(pg_time_t seconds)
{
	TimestampTz when;

	seconds -= (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) *
		(int64) SECS_PER_DAY;
	if (seconds >= END_TIMESTAMP / USECS_PER_SEC)
		return DT_NOEND;
	when = seconds * USECS_PER_SEC;
	return when;
}

/*
 * The first tick after a moment that cron or the distance names.
 */
static TimestampTz
named_after(const UaefTicks *ticks, TimestampTz after)
{
	pg_time_t	next;

	if (ticks->cron == NULL)
	{
		int64		n = floor_div(after - ticks->anchor, ticks->every_us) + 1;

		return ticks->anchor + Max(n, 0) * ticks->every_us;
	}
	next = uaef_cron_next(ticks->cron, seconds_of(after), ticks->zone);
	return next == UAEF_CRON_NEVER ? DT_NOEND : moment_of(next);
}

static bool
is_free(const UaefCalendar *calendar, int64 day)
{
	int			weekday = (int) (((day + 4) % 7 + 7) % 7);

	if ((calendar->weekdays >> weekday & 1) != 0)
		return true;
	for (int i = 0; i < calendar->n; i++)
		if (day >= calendar->days[i].first && day <= calendar->days[i].last)
			return true;
	return false;
}

/*
 * The local time of a moment, as if the zone were UTC.
 */
static int64
local_of(const UaefTicks *ticks, TimestampTz when)
{
	pg_time_t	seconds = seconds_of(when);

	return seconds + uaef_zone_offset(seconds, ticks->zone);
}

static int64
day_of(const UaefTicks *ticks, TimestampTz when)
{
	return floor_div(local_of(ticks, when), SECS_PER_DAY);
}

pg_noreturn static void
refuse_calendar(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("the calendar leaves no day for the schedule"),
			 errhint("Take days out of it with uaef.include_days().")));
}

/*
 * A tick on a day without work, at the same time of the next day with work.
 */
static TimestampTz
moved(const UaefTicks *ticks, TimestampTz tick)
{
	int64		local = local_of(ticks, tick);
	int			days = 0;

	while (is_free(ticks->calendar,
				   floor_div(local, SECS_PER_DAY) + days))
		if (++days > UAEF_MAX_FREE_DAYS)
			refuse_calendar();
	if (days == 0)
		return tick;
	return moment_of(uaef_zone_moment(local + days * (int64) SECS_PER_DAY,
									  ticks->zone));
}

/*
 * With a calendar that leaves out.
 */
static TimestampTz
kept_after(const UaefTicks *ticks, TimestampTz after)
{
	TimestampTz tick = after;

	for (int n = 0; n < MAX_LEFT_OUT; n++)
	{
		int64		day;
		int			free = 0;

		tick = named_after(ticks, tick);
		if (tick == DT_NOEND || tick >= ticks->ends_at)
			return tick;
		day = day_of(ticks, tick);
		while (is_free(ticks->calendar, day + free))
			if (++free > UAEF_MAX_FREE_DAYS)
				refuse_calendar();
		if (free == 0)
			return tick;
		/* Go on from the next day with work. */
		tick = Max(tick,
				   moment_of(uaef_zone_moment((day + free) * SECS_PER_DAY,
											  ticks->zone)) - 1);
	}
	refuse_calendar();
}

/*
 * With a calendar that moves: what was named for the free days before the day
 * of after may come later than it, and not in the order of its names.
 */
static TimestampTz
moved_after(const UaefTicks *ticks, TimestampTz after)
{
	int64		day = day_of(ticks, after);
	TimestampTz best = DT_NOEND;
	TimestampTz tick;
	int			free = 0;

	while (is_free(ticks->calendar, day - free - 1))
		if (++free > UAEF_MAX_FREE_DAYS)
			refuse_calendar();
	tick = moment_of(uaef_zone_moment((day - free) * SECS_PER_DAY,
									  ticks->zone)) - 1;
	for (;;)
	{
		TimestampTz when;

		tick = named_after(ticks, tick);
		if (tick >= best)
			return best;
		when = moved(ticks, tick);
		if (when > after && tick >= ticks->starts_at)
			best = Min(best, when);
	}
}

TimestampTz
uaef_tick_after(const UaefTicks *ticks, TimestampTz after)
{
	TimestampTz tick;

	/* A tick at starts_at itself counts. */
	if (ticks->starts_at != DT_NOBEGIN)
		after = Max(after, ticks->starts_at - 1);
	if (ticks->calendar == NULL)
		tick = named_after(ticks, after);
	else if (ticks->move)
		tick = moved_after(ticks, after);
	else
		tick = kept_after(ticks, after);
	return tick >= ticks->ends_at ? DT_NOEND : tick;
}
