/*-------------------------------------------------------------------------
 *
 * minor.c
 *	  Amounts of minor units (cents) as integers of 128 bits.
 *
 * Locking: none.  Memory: results are palloc'd in the current context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "errcodes.h"
#include "eval_error.h"
#include "minor.h"
#include "numeric_util.h"

/* What a text of a number is, as an amount. */
typedef enum Reading
{
	READ_INTEGER,
	READ_FRACTION,
	READ_TOO_LARGE
} Reading;

/* Bytes of the text of the longest amount, with sign and end. */
#define MAX_TEXT	41

static Reading read_text(const char *text, UaefMinor *amount);
static UaefMinor require_integer(Numeric amount, const char *what);

/*
 * Numbers of jsonb may come with zeros after the point, which count nothing.
 */
static Reading
read_text(const char *text, UaefMinor *amount)
{
	bool		negative = *text == '-';
	UaefMinor	sum = 0;

	if (negative)
		text++;
	for (; *text >= '0' && *text <= '9'; text++)
	{
		if (sum > UAEF_MINOR_MAX / 10)
			return READ_TOO_LARGE;
		sum = sum * 10 + (*text - '0');
		if (sum > UAEF_MINOR_MAX)
			return READ_TOO_LARGE;
	}
	if (*text == '.' && text[1 + strspn(text + 1, "0")] != '\0')
		return READ_FRACTION;
	*amount = negative ? -sum : sum;
	return READ_INTEGER;
}

UaefMinor
uaef_minor_from_numeric(Numeric number)
{
	char	   *text = uaef_numeric_text(number);
	UaefMinor	amount;

	if (numeric_is_nan(number) || numeric_is_inf(number) ||
		read_text(text, &amount) != READ_INTEGER)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("%s is no number of minor units",
						uaef_eval_clip(text, strlen(text))),
				 errhint("SELECT * FROM uaef.audit_money();")));
	pfree(text);
	return amount;
}

static UaefMinor
require_integer(Numeric number, const char *what)
{
	char	   *text;
	UaefMinor	amount = 0;
	Reading		reading;

	if (numeric_is_nan(number) || numeric_is_inf(number))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_NUMBER),
				 errmsg("%s is %s, which is no amount", what,
						uaef_numeric_text(number))));
	text = uaef_numeric_text(number);
	reading = read_text(text, &amount);
	if (reading == READ_FRACTION)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_TOO_FINE),
				 errmsg("%s is %s, which is no whole number of minor units",
						what, uaef_eval_clip(text, strlen(text))),
				 errhint("Amounts of accounts are counted in minor units: 12.34 EUR is 1234.")));
	if (reading == READ_TOO_LARGE)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_OVERFLOW),
				 errmsg("%s has more than 38 digits", what)));
	pfree(text);
	return amount;
}

UaefMinor
uaef_minor_require(Numeric number, const char *what)
{
	UaefMinor	amount = require_integer(number, what);

	if (amount == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_ZERO_AMOUNT),
				 errmsg("%s is zero", what),
				 errhint("Leave out what moves no money.")));
	if (amount < 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_NEGATIVE_AMOUNT),
				 errmsg("%s is negative", what),
				 errhint("Put it on the other side.")));
	return amount;
}

UaefMinor
uaef_minor_require_limit(Numeric number, const char *what)
{
	return require_integer(number, what);
}

bool
uaef_minor_is_amount(Numeric number, UaefMinor *amount)
{
	char	   *text;
	bool		is_amount;

	if (numeric_is_nan(number) || numeric_is_inf(number))
		return false;
	text = uaef_numeric_text(number);
	is_amount = read_text(text, amount) == READ_INTEGER && *amount > 0;
	pfree(text);
	return is_amount;
}

Numeric
uaef_minor_numeric(UaefMinor amount)
{
	if (amount >= PG_INT64_MIN && amount <= PG_INT64_MAX)
		return int64_to_numeric((int64) amount);
	return uaef_numeric_from_text(uaef_minor_text(amount));
}

char *
uaef_minor_text(UaefMinor amount)
{
	char	   *text = palloc(MAX_TEXT);
	char	   *at = text + MAX_TEXT - 1;
	bool		negative = amount < 0;

	*at = '\0';
	do
	{
		int			digit = (int) (amount % 10);

		*--at = '0' + (negative ? -digit : digit);
		amount /= 10;
	} while (amount != 0);
	if (negative)
		*--at = '-';
	memmove(text, at, text + MAX_TEXT - at);
	return text;
}

void
uaef_minor_add(UaefMinor *sum, UaefMinor amount)
{
	/* Both are within 38 digits, so their sum is within 128 bits. */
	UaefMinor	result = *sum + amount;

	if (result > UAEF_MINOR_MAX || result < -UAEF_MINOR_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_OVERFLOW),
				 errmsg("a sum of amounts has more than 38 digits")));
	*sum = result;
}
