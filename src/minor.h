/*-------------------------------------------------------------------------
 *
 * minor.h
 *	  Amounts of minor units (cents) as integers of 128 bits.
 *
 * The tables keep them as numeric, which has no width of its own and is small
 * for small amounts; sums are made in these, which cost a few instructions.
 * Every amount and every sum is within 38 digits, so no sum of two overflows
 * before it is looked at.
 *
 * Pure.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_MINOR_H
#define UAEF_MINOR_H

#include "utils/numeric.h"

typedef int128 UaefMinor;

/* The greatest amount: 38 nines. */
#define UAEF_MINOR_MAX \
	((UaefMinor) INT64CONST(1000000000000000000) * \
	 INT64CONST(1000000000000000000) * 100 - 1)

/* The minor units that a numeric of our own tables counts. */
extern UaefMinor uaef_minor_from_numeric(Numeric amount);

/*
 * The same for an amount that somebody gives: raises UA204 for NaN and
 * Infinity, UA205 below zero, UA206 for a fraction, UA207 above the greatest,
 * UA223 for zero.  what names it in the message: "amount of line 2".
 */
extern UaefMinor uaef_minor_require(Numeric amount, const char *what);

/* The same for a limit, which may be zero or below. */
extern UaefMinor uaef_minor_require_limit(Numeric amount, const char *what);

/* Whether a numeric is an amount above 0, and which; not raised. */
extern bool uaef_minor_is_amount(Numeric number, UaefMinor *amount);

extern Numeric uaef_minor_numeric(UaefMinor amount);

/* As decimal text, palloc'd. */
extern char *uaef_minor_text(UaefMinor amount);

/* Add to a sum; raises UA207 when it leaves the 38 digits. */
extern void uaef_minor_add(UaefMinor *sum, UaefMinor amount);

#endif							/* UAEF_MINOR_H */
