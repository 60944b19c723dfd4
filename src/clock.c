/*-------------------------------------------------------------------------
 *
 * clock.c
 *	  The time, as every part of uaef reads it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "clock.h"
#include "guc.h"

TimestampTz
uaef_clock_now(void)
{
	return uaef_test_now_value != 0 ? uaef_test_now_value
		: GetCurrentTimestamp();
}

long
uaef_clock_ms_until(TimestampTz then, long max_ms)
{
	int64		us = then - uaef_clock_now();

	if (us <= 0)
		return 0;
	if (us / 1000 >= max_ms)
		return max_ms;
	return (long) ((us + 999) / 1000);
}
