/*-------------------------------------------------------------------------
 *
 * cron.c
 *	  Cron expressions: the next time that is meant, in a time zone.
 *
 * A local time is counted in seconds as if its zone were UTC.  From a local
 * time to the next one that is meant there are no zones: that is arithmetic of
 * the calendar (next_local).  How local times become moments is the subject of
 * the rest.
 *
 * Pure; what is known of zones is the server's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/datetime.h"

#include "cron.h"

#define SECONDS_A_DAY	SECS_PER_DAY
#define ALL_HOURS		0xFFFFFF	/* bits 0 to 23 */

/* The calendar repeats itself after. */
#define YEARS_AHEAD		400

/* Julian day of 1970-01-01. */
#define EPOCH_DAY		UNIX_EPOCH_JDATE

/* A day of the calendar. */
typedef struct Day
{
	int64		no;				/* since 1970-01-01 */
	int			year;
	int			month;
	int			day;
	int			weekday;		/* 0: Sunday */
	int			last;			/* of the month */
} Day;

static int64
floor_div(int64 a, int64 b)
{
	return a / b - (a % b < 0 ? 1 : 0);
}

static Day
day_of(int64 no)
{
	Day			day;

	day.no = no;
	j2date((int) (no + EPOCH_DAY), &day.year, &day.month, &day.day);
	day.weekday = j2day((int) (no + EPOCH_DAY));
	day.last = day_tab[isleap(day.year)][day.month - 1];
	return day;
}

/*
 * The day of the month that is the weekday nearest to a day, in its month.
 */
static int
nearest_weekday(const Day *day, int to)
{
	int			weekday = (day->weekday + to - day->day + 35) % 7;

	if (weekday == 6)
		return to > 1 ? to - 1 : to + 2;
	if (weekday == 0)
		return to < day->last ? to + 1 : to - 2;
	return to;
}

static bool
is_nearest_weekday(const UaefCron *cron, const Day *day)
{
	if (cron->nearest_weekdays == 0)
		return false;
	if ((cron->nearest_weekdays & 1) != 0)
	{
		int			last = (day->weekday + day->last - day->day) % 7;

		if (day->day == day->last - (last == 6 ? 1 : last == 0 ? 2 : 0))
			return true;
	}
	for (int to = 1; to <= day->last; to++)
		if ((cron->nearest_weekdays >> to & 1) != 0 &&
			nearest_weekday(day, to) == day->day)
			return true;
	return false;
}

static bool
day_meant(const UaefCron *cron, const Day *day)
{
	int			nth = (day->day - 1) / 7 + 1;
	bool		by_day = (cron->days >> day->day & 1) != 0 ||
		(cron->days_before_last >> (day->last - day->day) & 1) != 0 ||
		is_nearest_weekday(cron, day);
	bool		by_weekday = (cron->weekdays >> day->weekday & 1) != 0 ||
		(cron->nth_weekdays[day->weekday] >> nth & 1) != 0 ||
		((cron->nth_weekdays[day->weekday] & 1) != 0 &&
		 day->day > day->last - 7);

	if (cron->days_star || cron->weekdays_star)
		return by_day && by_weekday;
	return by_day || by_weekday;
}

/*
 * The lowest bit from a number on, or -1.
 */
static int
next_bit(uint64 bits, int from)
{
	for (int i = from; i < 60; i++)
		if ((bits >> i & 1) != 0)
			return i;
	return -1;
}

/*
 * The first time of day that is meant, from one on, in seconds; -1: none.
 */
static int
next_time_of_day(const UaefCron *cron, int from)
{
	int			hour = next_bit(cron->hours, from / SECS_PER_HOUR);
	int			minute = 0;
	int			second = 0;

	if (hour == from / SECS_PER_HOUR)
	{
		minute = next_bit(cron->minutes, from / SECS_PER_MINUTE % 60);
		if (minute == from / SECS_PER_MINUTE % 60)
		{
			second = next_bit(cron->seconds, from % 60);
			if (second >= 0)
				return from - from % 60 + second;
			minute = next_bit(cron->minutes, minute + 1);
		}
		if (minute < 0)
			hour = next_bit(cron->hours, hour + 1);
		else
			return hour * SECS_PER_HOUR + minute * SECS_PER_MINUTE +
				next_bit(cron->seconds, 0);
	}
	if (hour < 0)
		return -1;
	return hour * SECS_PER_HOUR +
		next_bit(cron->minutes, 0) * SECS_PER_MINUTE +
		next_bit(cron->seconds, 0);
}

/*
 * The first local time that is meant, from one on.
 */
static int64
next_local(const UaefCron *cron, int64 from)
{
	Day			day = day_of(floor_div(from, SECONDS_A_DAY));
	int			last_year = day.year + YEARS_AHEAD;
	int			time = (int) (from - day.no * SECONDS_A_DAY);

	while (day.year <= last_year)
	{
		if ((cron->months >> day.month & 1) == 0)
		{
			day = day_of(day.no + day.last - day.day + 1);
			time = 0;
			continue;
		}
		if (day_meant(cron, &day))
		{
			int			found = next_time_of_day(cron, time);

			if (found >= 0)
				return day.no * SECONDS_A_DAY + found;
		}
		day = day_of(day.no + 1);
		time = 0;
	}
	return UAEF_CRON_NEVER;
}

long
uaef_zone_offset(pg_time_t when, const pg_tz *zone)
{
	return pg_localtime(&when, zone)->tm_gmtoff;
}

/*
 * The first moment after before whose offset is not that of before, known to
 * be at most after.
 */
static pg_time_t
change_between(pg_time_t before, pg_time_t after, const pg_tz *zone)
{
	long		offset = uaef_zone_offset(before, zone);

	while (after - before > 1)
	{
		pg_time_t	middle = before + (after - before) / 2;

		if (uaef_zone_offset(middle, zone) == offset)
			before = middle;
		else
			after = middle;
	}
	return after;
}

/*
 * No zone is a day away from UTC, so the offsets a day before and a day after
 * are those before and after a change, if there is one about then.
 */
pg_time_t
uaef_zone_moment(pg_time_t local, const pg_tz *zone)
{
	long		before = uaef_zone_offset(local - SECONDS_A_DAY, zone);
	long		after = uaef_zone_offset(local + SECONDS_A_DAY, zone);

	if (uaef_zone_offset(local - before, zone) == before)
		return local - before;
	if (uaef_zone_offset(local - after, zone) == after)
		return local - after;
	return change_between(local - SECONDS_A_DAY, local + SECONDS_A_DAY, zone);
}

/*
 * Times of day: moments follow each other as their local times do, so the
 * search may begin at the local time of after.
 */
static pg_time_t
next_by_clock(const UaefCron *cron, pg_time_t after, const pg_tz *zone)
{
	int64		local = after + uaef_zone_offset(after, zone);

	for (;;)
	{
		pg_time_t	moment;

		local = next_local(cron, local + 1);
		if (local == UAEF_CRON_NEVER)
			return UAEF_CRON_NEVER;
		moment = uaef_zone_moment(local, zone);
		if (moment > after)
			return moment;
	}
}

/*
 * Every hour: by the hours that pass, from one change of the offset to the
 * next.
 */
static pg_time_t
next_by_hours(const UaefCron *cron, pg_time_t after, const pg_tz *zone)
{
	pg_time_t	from = after + 1;

	for (;;)
	{
		long		offset = uaef_zone_offset(from, zone);
		int64		local = next_local(cron, from + offset);
		pg_time_t	change;
		long		before;
		long		next;
		int			isdst;

		if (local == UAEF_CRON_NEVER)
			return UAEF_CRON_NEVER;
		if (pg_next_dst_boundary(&from, &before, &isdst, &change, &next,
								 &isdst, zone) <= 0 ||
			local - offset < change)
			return local - offset;
		from = change;
	}
}

pg_time_t
uaef_cron_next(const UaefCron *cron, pg_time_t after, const pg_tz *zone)
{
	if (cron->hours == ALL_HOURS)
		return next_by_hours(cron, after, zone);
	return next_by_clock(cron, after, zone);
}
