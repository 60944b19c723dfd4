/*-------------------------------------------------------------------------
 *
 * money.h
 *	  Currencies, minor units, rounding, and exact rational numbers.
 *
 * Pure.  An amount on its way is a rational, num/den with den > 0, so that
 * nothing is lost before the one rounding at the end.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_MONEY_H
#define UAEF_MONEY_H

#include "utils/numeric.h"

#include "eval_error.h"

typedef struct UaefRational
{
	Numeric		num;
	Numeric		den;
	bool		is_small;		/* the same in integers; else these say
								 * nothing */
	int64		small_num;
	int64		small_den;
} UaefRational;

typedef enum UaefRounding
{
	UAEF_ROUND_HALF_EVEN,
	UAEF_ROUND_HALF_UP,			/* half away from zero */
	UAEF_ROUND_HALF_DOWN,
	UAEF_ROUND_UP,				/* away from zero */
	UAEF_ROUND_DOWN,			/* towards zero */
	UAEF_ROUND_CEIL,
	UAEF_ROUND_FLOOR
} UaefRounding;

/* Digits after the point (ISO 4217), or -1 for an unknown currency. */
extern int	uaef_currency_exponent(const char *code);

/* Raises UA208 for an unknown currency. */
extern void uaef_currency_require(const char *code);

/* By its name ("half_even"); raises UA221 for another. */
extern UaefRounding uaef_rounding_by_name(const char *name);

/*
 * Round an exact amount to the currency's minor unit: an integer of minor
 * units (cents), as numeric.
 */
extern bool uaef_money_to_minor(const UaefRational *exact, const char *currency,
								UaefRounding rounding, Numeric *minor,
								UaefEvalError *error);

/* The same for an amount that needs no rounding; a finer one is UA206. */
extern bool uaef_money_exact_minor(Numeric amount, const char *currency,
								   Numeric *minor, UaefEvalError *error);

/*
 * The integer nearest to num/den (den > 0) by a rounding mode.
 */
extern Numeric uaef_round_quotient(Numeric num, Numeric den,
								   UaefRounding rounding);

/* As a decimal where it is one, else as num/den. */
extern char *uaef_rational_text(const UaefRational *exact);

/* Minor units as an amount with the currency's digits: 1234 EUR -> 12.34. */
extern Numeric uaef_money_from_minor(Numeric minor, const char *currency);

#endif							/* UAEF_MONEY_H */
