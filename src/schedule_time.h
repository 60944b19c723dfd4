/*-------------------------------------------------------------------------
 *
 * schedule_time.h
 *	  When a schedule is due: its ticks.
 *
 * A tick is a moment that a cron expression or a distance names, moved or left
 * out by a calendar of days without work.
 *
 * Pure.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_SCHEDULE_TIME_H
#define UAEF_SCHEDULE_TIME_H

#include "datatype/timestamp.h"

#include "cron.h"

/* A range of days, both included, counted from 1970-01-01. */
typedef struct UaefDays
{
	int64		first;
	int64		last;
} UaefDays;

/* Days without work. */
typedef struct UaefCalendar
{
	int			weekdays;		/* bit n; 0: Sunday */
	int			n;
	UaefDays   *days;
} UaefCalendar;

typedef struct UaefTicks
{
	const UaefCron *cron;		/* or NULL, then every_us */
	int64		every_us;
	TimestampTz anchor;			/* a moment that every_us is counted from */
	const pg_tz *zone;
	TimestampTz starts_at;		/* DT_NOBEGIN: at any time */
	TimestampTz ends_at;		/* DT_NOEND: never */
	const UaefCalendar *calendar;	/* or NULL */
	bool		move;			/* to the next day with work; else left out */
} UaefTicks;

/* Most days without work in a row. */
#define UAEF_MAX_FREE_DAYS 3660

/*
 * The first tick after a moment; DT_NOEND when there is none.  Raises 22023
 * for a calendar that leaves no day.
 */
extern TimestampTz uaef_tick_after(const UaefTicks *ticks, TimestampTz after);

#endif							/* UAEF_SCHEDULE_TIME_H */
