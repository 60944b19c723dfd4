/*-------------------------------------------------------------------------
 *
 * money.c
 *	  Currencies, minor units and rounding.
 *
 * Locking: none.  Memory: results are palloc'd in the current context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/int.h"

#include "errcodes.h"
#include "money.h"
#include "numeric_util.h"

/* Amounts have at most this many digits in minor units. */
#define MAX_MINOR_DIGITS	38

typedef struct Currency
{
	char		code[4];
	int			exponent;
} Currency;

static int	compare_code(const void *code, const void *currency);
static bool too_many_digits(Numeric minor);
static Numeric minor_unit(int exponent);
static bool round_away(UaefRounding rounding, int half, bool odd,
					   bool negative);

/*
 * Currencies in use (ISO 4217), by code.  Metals, funds without a country,
 * test codes and currencies out of use are not here: nobody is paid in them.
 */
static const Currency currencies[] = {
	{"AED", 2}, {"AFN", 2}, {"ALL", 2}, {"AMD", 2}, {"AOA", 2}, {"ARS", 2},
	{"AUD", 2}, {"AWG", 2}, {"AZN", 2}, {"BAM", 2}, {"BBD", 2}, {"BDT", 2},
	{"BHD", 3}, {"BIF", 0}, {"BMD", 2}, {"BND", 2}, {"BOB", 2}, {"BOV", 2},
	{"BRL", 2}, {"BSD", 2}, {"BTN", 2}, {"BWP", 2}, {"BYN", 2}, {"BZD", 2},
	{"CAD", 2}, {"CDF", 2}, {"CHE", 2}, {"CHF", 2}, {"CHW", 2}, {"CLF", 4},
	{"CLP", 0}, {"CNY", 2}, {"COP", 2}, {"COU", 2}, {"CRC", 2}, {"CUP", 2},
	{"CVE", 2}, {"CZK", 2}, {"DJF", 0}, {"DKK", 2}, {"DOP", 2}, {"DZD", 2},
	{"EGP", 2}, {"ERN", 2}, {"ETB", 2}, {"EUR", 2}, {"FJD", 2}, {"FKP", 2},
	{"GBP", 2}, {"GEL", 2}, {"GHS", 2}, {"GIP", 2}, {"GMD", 2}, {"GNF", 0},
	{"GTQ", 2}, {"GYD", 2}, {"HKD", 2}, {"HNL", 2}, {"HTG", 2}, {"HUF", 2},
	{"IDR", 2}, {"ILS", 2}, {"INR", 2}, {"IQD", 3}, {"IRR", 2}, {"ISK", 0},
	{"JMD", 2}, {"JOD", 3}, {"JPY", 0}, {"KES", 2}, {"KGS", 2}, {"KHR", 2},
	{"KMF", 0}, {"KPW", 2}, {"KRW", 0}, {"KWD", 3}, {"KYD", 2}, {"KZT", 2},
	{"LAK", 2}, {"LBP", 2}, {"LKR", 2}, {"LRD", 2}, {"LSL", 2}, {"LYD", 3},
	{"MAD", 2}, {"MDL", 2}, {"MGA", 2}, {"MKD", 2}, {"MMK", 2}, {"MNT", 2},
	{"MOP", 2}, {"MRU", 2}, {"MUR", 2}, {"MVR", 2}, {"MWK", 2}, {"MXN", 2},
	{"MXV", 2}, {"MYR", 2}, {"MZN", 2}, {"NAD", 2}, {"NGN", 2}, {"NIO", 2},
	{"NOK", 2}, {"NPR", 2}, {"NZD", 2}, {"OMR", 3}, {"PAB", 2}, {"PEN", 2},
	{"PGK", 2}, {"PHP", 2}, {"PKR", 2}, {"PLN", 2}, {"PYG", 0}, {"QAR", 2},
	{"RON", 2}, {"RSD", 2}, {"RUB", 2}, {"RWF", 0}, {"SAR", 2}, {"SBD", 2},
	{"SCR", 2}, {"SDG", 2}, {"SEK", 2}, {"SGD", 2}, {"SHP", 2}, {"SLE", 2},
	{"SOS", 2}, {"SRD", 2}, {"SSP", 2}, {"STN", 2}, {"SVC", 2}, {"SYP", 2},
	{"SZL", 2}, {"THB", 2}, {"TJS", 2}, {"TMT", 2}, {"TND", 3}, {"TOP", 2},
	{"TRY", 2}, {"TTD", 2}, {"TWD", 2}, {"TZS", 2}, {"UAH", 2}, {"UGX", 0},
	{"USD", 2}, {"USN", 2}, {"UYI", 0}, {"UYU", 2}, {"UYW", 4}, {"UZS", 2},
	{"VED", 2}, {"VES", 2}, {"VND", 0}, {"VUV", 0}, {"WST", 2}, {"XAF", 0},
	{"XCD", 2}, {"XCG", 2}, {"XOF", 0}, {"XPF", 0}, {"YER", 2}, {"ZAR", 2},
	{"ZMW", 2}, {"ZWG", 2}
};

/* Minor units of one unit, by exponent. */
static const int minor_units[] = {1, 10, 100, 1000, 10000};

static int
compare_code(const void *code, const void *currency)
{
	return strcmp(code, ((const Currency *) currency)->code);
}

/*
 * uaef_currency_exponent -- digits after the point, or -1
 */
int
uaef_currency_exponent(const char *code)
{
	const Currency *found = bsearch(code, currencies, lengthof(currencies),
									sizeof(Currency), compare_code);

	return found == NULL ? -1 : found->exponent;
}

/*
 * uaef_currency_require -- raise UA208 unless there is such a currency
 */
void
uaef_currency_require(const char *code)
{
	if (uaef_currency_exponent(code) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_CURRENCY),
				 errmsg("unknown currency \"%s\"", code),
				 errhint("Currencies are codes of ISO 4217 in capital letters, such as EUR.")));
}

/*
 * uaef_rounding_by_name -- a rounding mode
 *
 * Raises UA221 for an unknown name.
 */
UaefRounding
uaef_rounding_by_name(const char *name)
{
	static const char *const names[] = {
		[UAEF_ROUND_HALF_EVEN] = "half_even",
		[UAEF_ROUND_HALF_UP] = "half_up",
		[UAEF_ROUND_HALF_DOWN] = "half_down",
		[UAEF_ROUND_UP] = "up",
		[UAEF_ROUND_DOWN] = "down",
		[UAEF_ROUND_CEIL] = "ceil",
		[UAEF_ROUND_FLOOR] = "floor"
	};

	for (int i = 0; i < lengthof(names); i++)
	{
		if (strcmp(name, names[i]) == 0)
			return (UaefRounding) i;
	}
	ereport(ERROR,
			(errcode(ERRCODE_UAEF_BAD_EXPRESSION),
			 errmsg("unknown rounding mode \"%s\"", name),
			 errhint("Use half_even, half_up, half_down, up, down, ceil or floor.")));
}

/*
 * Does a quotient with a remainder go away from zero?  half is the remainder
 * against one half: below 0, 0, above 0; odd is of the quotient cut off.
 */
static bool
round_away(UaefRounding rounding, int half, bool odd, bool negative)
{
	switch (rounding)
	{
		case UAEF_ROUND_HALF_EVEN:
			return half > 0 || (half == 0 && odd);
		case UAEF_ROUND_HALF_UP:
			return half >= 0;
		case UAEF_ROUND_HALF_DOWN:
			return half > 0;
		case UAEF_ROUND_UP:
			return true;
		case UAEF_ROUND_DOWN:
			return false;
		case UAEF_ROUND_CEIL:
			return !negative;
		case UAEF_ROUND_FLOOR:
			return negative;
	}
	elog(ERROR, "unexpected rounding mode %d", (int) rounding);
	return false;
}

/* The integer nearest to num/den; twice den is no overflow. */
static int64
round_small(int64 num, int64 den, UaefRounding rounding)
{
	int64		quotient = num / den;
	int64		rest = num % den;
	int64		twice = rest < 0 ? -2 * rest : 2 * rest;

	if (rest == 0 ||
		!round_away(rounding, twice > den ? 1 : twice == den ? 0 : -1,
					quotient % 2 != 0, num < 0))
		return quotient;
	return num < 0 ? quotient - 1 : quotient + 1;
}

/*
 * uaef_round_quotient -- the integer nearest to num/den
 */
Numeric
uaef_round_quotient(Numeric num, Numeric den, UaefRounding rounding)
{
	Numeric		zero = int64_to_numeric(0);
	Numeric		two = int64_to_numeric(2);
	Numeric		quotient = uaef_numeric_op(numeric_div_trunc, num, den);
	Numeric		rest = uaef_numeric_op(numeric_sub, num,
									   uaef_numeric_op(numeric_mul, quotient, den));
	bool		negative = uaef_numeric_compare(num, zero) < 0;
	bool		odd;
	int			half;

	if (uaef_numeric_compare(rest, zero) == 0)
		return quotient;
	if (negative)
		rest = uaef_numeric_op(numeric_sub, zero, rest);
	half = uaef_numeric_compare(uaef_numeric_op(numeric_mul, rest, two), den);
	odd = uaef_numeric_compare(uaef_numeric_op(numeric_mod, quotient, two), zero) != 0;
	if (!round_away(rounding, half, odd, negative))
		return quotient;
	return uaef_numeric_op(negative ? numeric_sub : numeric_add, quotient,
						   int64_to_numeric(1));
}

static bool
too_many_digits(Numeric minor)
{
	char	   *text = uaef_numeric_text(minor);
	int			digits = strlen(text) - (text[0] == '-' ? 1 : 0);

	pfree(text);
	return digits > MAX_MINOR_DIGITS;
}

/*
 * uaef_money_to_minor -- round an exact amount to minor units
 */
bool
uaef_money_to_minor(const UaefRational *exact, const char *currency,
					UaefRounding rounding, Numeric *minor,
					UaefEvalError *error)
{
	int			exponent = uaef_currency_exponent(currency);
	Numeric		scaled;
	int64		small;

	if (exponent < 0)
		return uaef_eval_fail(error, ERRCODE_UAEF_CURRENCY, NULL, NULL,
							  "unknown currency \"%s\"", currency);
	if (numeric_is_nan(exact->num) || numeric_is_inf(exact->num))
		return uaef_eval_fail(error, ERRCODE_UAEF_BAD_NUMBER, NULL, NULL,
							  "NaN and Infinity are not numbers of money");

	if (exact->is_small && exact->small_den < PG_INT64_MAX / 2 &&
		!pg_mul_s64_overflow(exact->small_num, minor_units[exponent], &small))
	{
		*minor = int64_to_numeric(round_small(small, exact->small_den,
											  rounding));
		return true;
	}
	scaled = uaef_numeric_op(numeric_mul, exact->num,
							 int64_to_numeric(minor_units[exponent]));
	*minor = uaef_round_quotient(scaled, exact->den, rounding);
	if (too_many_digits(*minor))
		return uaef_eval_fail(error, ERRCODE_UAEF_OVERFLOW, NULL, NULL,
							  "amount has more than %d digits",
							  MAX_MINOR_DIGITS);
	return true;
}

/*
 * uaef_money_exact_minor -- an amount in minor units, without rounding
 */
bool
uaef_money_exact_minor(Numeric amount, const char *currency, Numeric *minor,
					   UaefEvalError *error)
{
	UaefRational exact = {amount, int64_to_numeric(1)};

	if (!uaef_money_to_minor(&exact, currency, UAEF_ROUND_DOWN, minor, error))
		return false;
	if (uaef_numeric_compare(uaef_money_from_minor(*minor, currency), amount) != 0)
		return uaef_eval_fail(error, ERRCODE_UAEF_TOO_FINE, NULL, NULL,
							  "amount %s is finer than the minor unit of %s",
							  uaef_numeric_text(amount),
							  currency);
	return true;
}

/*
 * uaef_money_from_minor -- minor units as an amount with the currency's digits
 *
 * The currency must be a known one.
 */
Numeric
uaef_money_from_minor(Numeric minor, const char *currency)
{
	int			exponent = uaef_currency_exponent(currency);

	if (exponent < 0)
		elog(ERROR, "unknown currency \"%s\"", currency);
	return uaef_numeric_op(numeric_mul, minor, minor_unit(exponent));
}

/*
 * One minor unit as a part of the unit.  The server's division by a power of
 * ten is wrong for multiples of four in 14.0 to 14.6, 15.0 and 15.1.
 */
static Numeric
minor_unit(int exponent)
{
	if (exponent == 0)
		return int64_to_numeric(1);
	if (exponent % 4 != 0)
		return int64_div_fast_to_numeric(1, exponent);
	return uaef_numeric_op(numeric_mul, int64_div_fast_to_numeric(1, 1),
						   int64_div_fast_to_numeric(1, exponent - 1));
}

/*
 * uaef_rational_text -- as a decimal where it is one, else as num/den
 */
char *
uaef_rational_text(const UaefRational *exact)
{
	Numeric		quotient = uaef_numeric_op(numeric_div, exact->num,
										   exact->den);

	if (uaef_numeric_compare(uaef_numeric_op(numeric_mul, quotient,
											 exact->den), exact->num) != 0)
		return psprintf("%s/%s", uaef_numeric_text(exact->num),
						uaef_numeric_text(exact->den));
	return uaef_numeric_text(DatumGetNumeric(DirectFunctionCall1(numeric_trim_scale,
																 NumericGetDatum(quotient))));
}
