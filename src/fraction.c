/*-------------------------------------------------------------------------
 *
 * fraction.c
 *	  Exact arithmetic: fractions of integers of any reasonable size.
 *
 * The small form is not reduced until it would overflow: most amounts are a
 * few operations on decimals and never come near.  The big form is always in
 * lowest terms, and goes back to the small form when it fits.
 *
 * Locking: none.  Memory: numerics are palloc'd in the current context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/int.h"
#include "errcodes.h"
#include "fraction.h"
#include "numeric_util.h"

/* Longest numerator or denominator, in digits. */
#define MAX_BIG_DIGITS		200
#define MAX_INT64_DIGITS	18

typedef bool (*SmallOp) (const UaefFraction *a, const UaefFraction *b,
						 UaefFraction *result);

static bool is_digit(char c);
static Numeric numeric_power_of_ten(int exponent);
static int64 gcd64(int64 a, int64 b);
static void reduce(UaefFraction *a);
static void to_big(const UaefFraction *a, Numeric *num, Numeric *den);
static bool too_long(Numeric number);
static bool fits_int64(Numeric number, int64 *result);
static bool from_big(Numeric num, Numeric den, UaefFraction *result,
					 UaefEvalError *error);
static bool try_small(SmallOp op, const UaefFraction *a, const UaefFraction *b,
					  UaefFraction *result);
static bool small_add(const UaefFraction *a, const UaefFraction *b,
					  UaefFraction *result);
static bool small_mul(const UaefFraction *a, const UaefFraction *b,
					  UaefFraction *result);
static bool bad_number(UaefEvalError *error, const char *text, int len,
					   const char *problem);

static const int64 powers_of_ten[] = {
	INT64CONST(1), INT64CONST(10), INT64CONST(100), INT64CONST(1000),
	INT64CONST(10000), INT64CONST(100000), INT64CONST(1000000),
	INT64CONST(10000000), INT64CONST(100000000), INT64CONST(1000000000),
	INT64CONST(10000000000), INT64CONST(100000000000),
	INT64CONST(1000000000000), INT64CONST(10000000000000),
	INT64CONST(100000000000000), INT64CONST(1000000000000000),
	INT64CONST(10000000000000000), INT64CONST(100000000000000000),
	INT64CONST(1000000000000000000)
};

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static Numeric
numeric_power_of_ten(int exponent)
{
	Assert(exponent >= 0 && exponent < lengthof(powers_of_ten));
	return int64_to_numeric(powers_of_ten[exponent]);
}

static int64
gcd64(int64 a, int64 b)
{
	while (b != 0)
	{
		int64		rest = a % b;

		a = b;
		b = rest;
	}
	return a < 0 ? -a : a;
}

/* Bring a small fraction to lowest terms. */
static void
reduce(UaefFraction *a)
{
	int64		divisor = gcd64(a->num, a->den);

	a->num /= divisor;
	a->den /= divisor;
}

static void
to_big(const UaefFraction *a, Numeric *num, Numeric *den)
{
	*num = a->big_num != NULL ? a->big_num : int64_to_numeric(a->num);
	*den = a->big_num != NULL ? a->big_den : int64_to_numeric(a->den);
}

static bool
too_long(Numeric number)
{
	char	   *text = uaef_numeric_text(number);
	bool		result = strlen(text) - (text[0] == '-') > MAX_BIG_DIGITS;

	pfree(text);
	return result;
}

/* An integer as int64, when its negative is one too. */
static bool
fits_int64(Numeric number, int64 *result)
{
	if (uaef_numeric_compare(number, int64_to_numeric(PG_INT64_MAX)) > 0 ||
		uaef_numeric_compare(number, int64_to_numeric(-PG_INT64_MAX)) < 0)
		return false;
	*result = DatumGetInt64(DirectFunctionCall1(numeric_int8,
												NumericGetDatum(number)));
	return true;
}

/* The fraction num/den of integers, den > 0, in lowest terms. */
static bool
from_big(Numeric num, Numeric den, UaefFraction *result, UaefEvalError *error)
{
	Numeric		divisor = uaef_numeric_op(numeric_gcd, num, den);

	num = uaef_numeric_op(numeric_div_trunc, num, divisor);
	den = uaef_numeric_op(numeric_div_trunc, den, divisor);
	if (too_long(num) || too_long(den))
		return uaef_eval_fail(error, ERRCODE_UAEF_OVERFLOW, NULL, NULL,
							  "a number grows over %d digits",
							  MAX_BIG_DIGITS);

	result->big_num = NULL;
	result->big_den = NULL;
	if (!fits_int64(num, &result->num) || !fits_int64(den, &result->den))
	{
		result->big_num = num;
		result->big_den = den;
	}
	return true;
}

/*
 * Try an operation in int64, once more in lowest terms when it overflows.
 * The result, which may be a or b itself, is set only on success.
 */
static bool
try_small(SmallOp op, const UaefFraction *a, const UaefFraction *b,
		  UaefFraction *result)
{
	UaefFraction left = *a;
	UaefFraction right = *b;
	UaefFraction small = {0, 1, NULL, NULL};

	if (a->big_num != NULL || b->big_num != NULL)
		return false;
	if (!op(&left, &right, &small))
	{
		reduce(&left);
		reduce(&right);
		if (!op(&left, &right, &small))
			return false;
	}
	*result = small;
	return true;
}

/* a + b; false when it overflows.  Decimals' denominators divide each other. */
static bool
small_add(const UaefFraction *a, const UaefFraction *b, UaefFraction *result)
{
	int64		left = a->num;
	int64		right = b->num;
	int64		den = a->den;

	if (a->den == b->den)
		 /* nothing to scale */ ;
	else if (a->den % b->den == 0)
	{
		if (pg_mul_s64_overflow(right, a->den / b->den, &right))
			return false;
	}
	else if (b->den % a->den == 0)
	{
		den = b->den;
		if (pg_mul_s64_overflow(left, b->den / a->den, &left))
			return false;
	}
	else if (pg_mul_s64_overflow(left, b->den, &left) ||
			 pg_mul_s64_overflow(right, a->den, &right) ||
			 pg_mul_s64_overflow(a->den, b->den, &den))
		return false;
	result->den = den;
	return !pg_add_s64_overflow(left, right, &result->num) &&
		result->num != PG_INT64_MIN;
}

/* a * b; false when it overflows */
static bool
small_mul(const UaefFraction *a, const UaefFraction *b, UaefFraction *result)
{
	int64		num;
	int64		den;

	if (pg_mul_s64_overflow(a->num, b->num, &num) ||
		pg_mul_s64_overflow(a->den, b->den, &den) || num == PG_INT64_MIN)
		return false;
	result->num = num;
	result->den = den;
	return true;
}

/*
 * uaef_fraction_from_int -- a whole number
 */
void
uaef_fraction_from_int(int64 number, UaefFraction *result)
{
	Assert(number != PG_INT64_MIN);
	result->num = number;
	result->den = 1;
	result->big_num = NULL;
	result->big_den = NULL;
}

static bool
bad_number(UaefEvalError *error, const char *text, int len,
		   const char *problem)
{
	return uaef_eval_fail(error, ERRCODE_UAEF_BAD_NUMBER, NULL, NULL,
						  "number \"%s\" %s", uaef_eval_clip(text, len),
						  problem);
}

/*
 * uaef_fraction_parse -- a fraction from decimal text
 *
 * Zeros that lead or trail do not count as digits.
 */
bool
uaef_fraction_parse(const char *text, int len, UaefFraction *result,
					UaefEvalError *error)
{
	char		digits[UAEF_MAX_INTEGER_DIGITS + UAEF_MAX_FRACTION_DIGITS + 2];
	bool		negative = len > 0 && text[0] == '-';
	int			start = negative ? 1 : 0;
	int			point;
	int			end = len;
	int			n = 0;
	int64		small = 0;

	for (point = start; point < len && is_digit(text[point]);)
		point++;
	if (point == start || (point < len && text[point] != '.') ||
		point + 1 == len)
		return bad_number(error, text, len, "is not a decimal number");
	for (int i = point + 1; i < len; i++)
	{
		if (!is_digit(text[i]))
			return bad_number(error, text, len, "is not a decimal number");
	}
	while (start < point && text[start] == '0')
		start++;
	while (end > point + 1 && text[end - 1] == '0')
		end--;
	if (end == point + 1)
		end = point;
	if (point - start > UAEF_MAX_INTEGER_DIGITS ||
		end - point - 1 > UAEF_MAX_FRACTION_DIGITS)
		return bad_number(error, text, len, "has too many digits");

	if (negative)
		digits[n++] = '-';
	for (int i = start; i < end; i++)
	{
		if (text[i] != '.')
		{
			digits[n++] = text[i];

			small = n <= MAX_INT64_DIGITS + 1 ? small * 10 + (text[i] - '0') : 0;
		}
	}
	digits[n] = '\0';
	if (n - negative <= MAX_INT64_DIGITS)
	{
		uaef_fraction_from_int(negative ? -small : small, result);
		result->den = powers_of_ten[Max(0, end - point - 1)];
		return true;
	}
	return from_big(uaef_numeric_from_text(digits),
					numeric_power_of_ten(Max(0, end - point - 1)),
					result, error);
}

/*
 * uaef_fraction_from_numeric -- a fraction from a numeric
 */
bool
uaef_fraction_from_numeric(Numeric number, UaefFraction *result,
						   UaefEvalError *error)
{
	char	   *text;
	bool		done;

	if (numeric_is_nan(number) || numeric_is_inf(number))
		return uaef_eval_fail(error, ERRCODE_UAEF_BAD_NUMBER, NULL, NULL,
							  "NaN and Infinity are not numbers of money");
	text = uaef_numeric_text(number);

	done = uaef_fraction_parse(text, strlen(text), result, error);
	pfree(text);
	return done;
}

/*
 * uaef_fraction_add -- a + b
 */
bool
uaef_fraction_add(const UaefFraction *a, const UaefFraction *b,
				  UaefFraction *result, UaefEvalError *error)
{
	Numeric		an,
				ad,
				bn,
				bd;

	if (try_small(small_add, a, b, result))
		return true;
	to_big(a, &an, &ad);
	to_big(b, &bn, &bd);
	return from_big(uaef_numeric_op(numeric_add,
									uaef_numeric_op(numeric_mul, an, bd),
									uaef_numeric_op(numeric_mul, bn, ad)),
					uaef_numeric_op(numeric_mul, ad, bd), result, error);
}

/*
 * uaef_fraction_sub -- a - b
 */
bool
uaef_fraction_sub(const UaefFraction *a, const UaefFraction *b,
				  UaefFraction *result, UaefEvalError *error)
{
	UaefFraction negative;

	uaef_fraction_negate(b, &negative);
	return uaef_fraction_add(a, &negative, result, error);
}

/*
 * uaef_fraction_mul -- a * b
 */
bool
uaef_fraction_mul(const UaefFraction *a, const UaefFraction *b,
				  UaefFraction *result, UaefEvalError *error)
{
	Numeric		an,
				ad,
				bn,
				bd;

	if (try_small(small_mul, a, b, result))
		return true;
	to_big(a, &an, &ad);
	to_big(b, &bn, &bd);
	return from_big(uaef_numeric_op(numeric_mul, an, bn),
					uaef_numeric_op(numeric_mul, ad, bd), result, error);
}

/*
 * uaef_fraction_div -- a / b
 */
bool
uaef_fraction_div(const UaefFraction *a, const UaefFraction *b,
				  UaefFraction *result, UaefEvalError *error)
{
	UaefFraction inverse;
	bool		negative = uaef_fraction_sign(b) < 0;

	if (uaef_fraction_sign(b) == 0)
		return uaef_eval_fail(error, ERRCODE_UAEF_DIVISION_BY_ZERO, NULL, NULL,
							  "division by zero");
	if (negative)
		uaef_fraction_negate(b, &inverse);
	else
		inverse = *b;
	if (inverse.big_num != NULL)
	{
		Numeric		num = inverse.big_num;

		inverse.big_num = inverse.big_den;
		inverse.big_den = num;
	}
	else
	{
		int64		num = inverse.num;

		inverse.num = inverse.den;
		inverse.den = num;
	}
	if (negative)
		uaef_fraction_negate(&inverse, &inverse);
	return uaef_fraction_mul(a, &inverse, result, error);
}

/*
 * uaef_fraction_negate -- -a
 */
void
uaef_fraction_negate(const UaefFraction *a, UaefFraction *result)
{
	*result = *a;
	if (a->big_num != NULL)
		result->big_num = DatumGetNumeric(DirectFunctionCall1(numeric_uminus,
															  NumericGetDatum(a->big_num)));
	else
		result->num = -a->num;
}

/*
 * uaef_fraction_sign -- -1, 0 or 1
 */
int
uaef_fraction_sign(const UaefFraction *a)
{
	int			order;

	if (a->big_num == NULL)
		return (a->num > 0) - (a->num < 0);
	order = uaef_numeric_compare(a->big_num, int64_to_numeric(0));
	return (order > 0) - (order < 0);
}

/*
 * uaef_fraction_compare -- below, at or above 0 as a is below, equal, above b
 */
int
uaef_fraction_compare(const UaefFraction *a, const UaefFraction *b)
{
	int64		left;
	int64		right;
	Numeric		an,
				ad,
				bn,
				bd;

	if (a->big_num == NULL && b->big_num == NULL &&
		!pg_mul_s64_overflow(a->num, b->den, &left) &&
		!pg_mul_s64_overflow(b->num, a->den, &right))
		return (left > right) - (left < right);
	to_big(a, &an, &ad);
	to_big(b, &bn, &bd);
	return uaef_numeric_compare(uaef_numeric_op(numeric_mul, an, bd),
								uaef_numeric_op(numeric_mul, bn, ad));
}

/*
 * uaef_fraction_round -- a rounded to so many digits after the point
 */
bool
uaef_fraction_round(const UaefFraction *a, int digits, UaefRounding rounding,
					UaefFraction *result, UaefEvalError *error)
{
	Numeric		num;
	Numeric		den;
	Numeric		scale = numeric_power_of_ten(digits);

	to_big(a, &num, &den);
	return from_big(uaef_round_quotient(uaef_numeric_op(numeric_mul, num, scale),
										den, rounding),
					scale, result, error);
}

/*
 * uaef_fraction_to_rational -- a as two numerics, in lowest terms
 */
void
uaef_fraction_to_rational(const UaefFraction *a, UaefRational *result)
{
	UaefFraction lowest = *a;

	if (a->big_num == NULL)
		reduce(&lowest);
	to_big(&lowest, &result->num, &result->den);
	result->is_small = a->big_num == NULL;
	result->small_num = lowest.num;
	result->small_den = lowest.den;
}
