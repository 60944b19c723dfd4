/*-------------------------------------------------------------------------
 *
 * fraction.h
 *	  Exact arithmetic: fractions of integers of any reasonable size.
 *
 * A fraction is kept in two int64 while it fits, and in two numerics when it
 * does not.  Nothing is ever rounded but by uaef_fraction_round().
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_FRACTION_H
#define UAEF_FRACTION_H

#include "money.h"

/* Numbers that data and expressions may hold. */
#define UAEF_MAX_INTEGER_DIGITS		38
#define UAEF_MAX_FRACTION_DIGITS	18

typedef struct UaefFraction
{
	int64		num;			/* when big_num is NULL; den > 0 */
	int64		den;
	Numeric		big_num;
	Numeric		big_den;
} UaefFraction;

extern void uaef_fraction_from_int(int64 number, UaefFraction *result);

/*
 * From decimal text, [-]digits[.digits] and nothing else, or from numeric.
 * Too many digits, NaN and Infinity are UA204.
 */
extern bool uaef_fraction_parse(const char *text, int len,
								UaefFraction *result, UaefEvalError *error);
extern bool uaef_fraction_from_numeric(Numeric number, UaefFraction *result,
									   UaefEvalError *error);

/* These fail with UA207 when a result grows out of bounds. */
extern bool uaef_fraction_add(const UaefFraction *a, const UaefFraction *b,
							  UaefFraction *result, UaefEvalError *error);
extern bool uaef_fraction_sub(const UaefFraction *a, const UaefFraction *b,
							  UaefFraction *result, UaefEvalError *error);
extern bool uaef_fraction_mul(const UaefFraction *a, const UaefFraction *b,
							  UaefFraction *result, UaefEvalError *error);

/* Division by zero is UA201. */
extern bool uaef_fraction_div(const UaefFraction *a, const UaefFraction *b,
							  UaefFraction *result, UaefEvalError *error);

extern void uaef_fraction_negate(const UaefFraction *a, UaefFraction *result);
extern int	uaef_fraction_sign(const UaefFraction *a);
extern int	uaef_fraction_compare(const UaefFraction *a,
								  const UaefFraction *b);

/* Round to so many digits after the point. */
extern bool uaef_fraction_round(const UaefFraction *a, int digits,
								UaefRounding rounding, UaefFraction *result,
								UaefEvalError *error);

/* In lowest terms. */
extern void uaef_fraction_to_rational(const UaefFraction *a,
									  UaefRational *result);

#endif							/* UAEF_FRACTION_H */
