/*-------------------------------------------------------------------------
 *
 * cron.h
 *	  Cron expressions: which times of a clock on the wall they name.
 *
 * Five fields (minute, hour, day of month, month, day of week) or six, seconds
 * first; names of months and days, lists, ranges, steps; in days of the month
 * L, L-3, LW, 15W; in days of the week 5L and 5#2; "?" is "*"; @yearly,
 * @annually, @monthly, @weekly, @daily, @midnight, @hourly.
 *
 * When both kinds of days are given and neither begins with "*", a day that
 * is in either is meant, else one that is in both, as in Vixie's cron.
 *
 * Time zones: a time of day that a zone leaves out stands for the first
 * moment after the gap, and one that comes twice stands for the first of the
 * two.  An expression for every hour goes by the hours that pass: it leaves
 * out what is left out and repeats what comes twice.
 *
 * Pure.  Memory: the caller's context.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_CRON_H
#define UAEF_CRON_H

#include "pgtime.h"

typedef struct UaefCron
{
	uint64		seconds;		/* bit n: n is in the field */
	uint64		minutes;
	uint32		hours;
	uint32		days;			/* of the month, 1 to 31 */
	uint32		months;			/* 1 to 12 */
	uint32		weekdays;		/* 0 to 6, Sunday first */
	uint32		days_before_last;	/* L: bit 0; L-n: bit n */
	uint32		nearest_weekdays;	/* nW: bit n; LW: bit 0 */
	uint8		nth_weekdays[7];	/* d#n: bit n; dL: bit 0 */
	bool		days_star;		/* the field begins with "*" */
	bool		weekdays_star;
} UaefCron;

/* No such time. */
#define UAEF_CRON_NEVER PG_INT64_MAX

/*
 * Parse an expression.  Raises 22023 with the field that is wrong; also when
 * no day is ever meant, such as February 30.
 */
extern UaefCron *uaef_cron_parse(const char *text);

/*
 * The first moment after a moment that is meant, both in seconds since 1970,
 * in a time zone; UAEF_CRON_NEVER when there is none in 400 years.
 */
extern pg_time_t uaef_cron_next(const UaefCron *cron, pg_time_t after,
								const pg_tz *zone);

/* Seconds east of Greenwich at a moment. */
extern long uaef_zone_offset(pg_time_t when, const pg_tz *zone);

/*
 * The first moment at which clocks show a local time, in seconds as if the
 * zone were UTC; when they never show it, the moment at which they skip it.
 */
extern pg_time_t uaef_zone_moment(pg_time_t local, const pg_tz *zone);

#endif							/* UAEF_CRON_H */
