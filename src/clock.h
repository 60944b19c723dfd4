/*-------------------------------------------------------------------------
 *
 * clock.h
 *	  The time, as every part of uaef reads it.
 *
 * A superuser may set uaef.test_now to freeze it, so that tests of timers,
 * expiry and effective dates are exact.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_CLOCK_H
#define UAEF_CLOCK_H

#include "datatype/timestamp.h"

/* The wall clock, or the time that uaef.test_now holds. */
extern TimestampTz uaef_clock_now(void);

/* Milliseconds from uaef_clock_now() to then: 0 if past, at most max_ms. */
extern long uaef_clock_ms_until(TimestampTz then, long max_ms);

#endif							/* UAEF_CLOCK_H */
