/*-------------------------------------------------------------------------
 *
 * canonical.c
 *	  One sequence of bytes for each jsonb value: RFC 8785 (JCS), in UTF-8.
 *
 * jsonb keeps an object's keys by length and then bytes, RFC 8785 wants them
 * by UTF-16 code units, so each object is sorted again.  Numbers are kept as
 * numeric, whose value is exact; trailing zeros of the fraction carry no
 * value and do not reach the text.
 *
 * Memory: everything is allocated in the current context and left to it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

#include "canonical.h"

/* Digits that a decimal may have and surely survive the way through a double. */
#define SAFE_DIGITS 15

/* Digits that always tell a double from its neighbours. */
#define MAX_DIGITS	17

/* Exponents for which SAFE_DIGITS holds, far from subnormal and overflow. */
#define SAFE_EXPONENT 290

/* A decimal: 0.digits times ten to the power of point, digits not 0-padded. */
typedef struct Decimal
{
	bool		negative;
	const char *digits;
	int			ndigits;
	int			point;
} Decimal;

/* A member of an object, its key in UTF-8. */
typedef struct Member
{
	const char *key;
	int			key_len;
	JsonbValue	value;
} Member;

static bool append_container(StringInfo out, JsonbContainer *container);
static bool append_array(StringInfo out, JsonbContainer *container);
static bool append_object(StringInfo out, JsonbContainer *container);
static Member *read_members(JsonbContainer *container, int n);
static bool append_value(StringInfo out, JsonbValue *value);
static const char *to_utf8(const char *bytes, int *len);
static int	compare_members(const void *a, const void *b);
static void append_string(StringInfo out, const char *utf8, int len);
static bool append_number(StringInfo out, Numeric number);
static void parse_decimal(const char *plain, Decimal *decimal);
static bool is_double(const char *plain, const Decimal *decimal);
static bool same_digits(const char *scientific, const Decimal *decimal);
static bool next_digits(char *scientific);
static void append_double(StringInfo out, const Decimal *decimal);

bool
uaef_canonical_append(StringInfo out, Jsonb *value)
{
	return append_container(out, &value->root);
}

static bool
append_container(StringInfo out, JsonbContainer *container)
{
	JsonbValue	scalar;

	check_stack_depth();

	if (JsonContainerIsScalar(container))
	{
		if (!JsonbExtractScalar(container, &scalar))
			elog(ERROR, "invalid scalar in jsonb");
		return append_value(out, &scalar);
	}
	if (JsonContainerIsArray(container))
		return append_array(out, container);
	return append_object(out, container);
}

static bool
append_array(StringInfo out, JsonbContainer *container)
{
	JsonbIterator *it = JsonbIteratorInit(container);
	JsonbValue	value;
	JsonbIteratorToken token;
	bool		plain = true;
	bool		first = true;

	appendStringInfoChar(out, '[');
	(void) JsonbIteratorNext(&it, &value, true);
	while ((token = JsonbIteratorNext(&it, &value, true)) == WJB_ELEM)
	{
		if (!first)
			appendStringInfoChar(out, ',');
		first = false;
		plain &= append_value(out, &value);
	}
	appendStringInfoChar(out, ']');

	return plain;
}

static bool
append_object(StringInfo out, JsonbContainer *container)
{
	int			n = JsonContainerSize(container);
	Member	   *members = read_members(container, n);
	bool		plain = true;

	if (n > 1)
		qsort(members, n, sizeof(Member), compare_members);

	appendStringInfoChar(out, '{');
	for (int i = 0; i < n; i++)
	{
		if (i > 0)
			appendStringInfoChar(out, ',');
		append_string(out, members[i].key, members[i].key_len);
		appendStringInfoChar(out, ':');
		plain &= append_value(out, &members[i].value);
	}
	appendStringInfoChar(out, '}');

	return plain;
}

static Member *
read_members(JsonbContainer *container, int n)
{
	Member	   *members = palloc(sizeof(Member) * Max(n, 1));
	JsonbIterator *it = JsonbIteratorInit(container);
	JsonbValue	value;
	int			i = 0;

	(void) JsonbIteratorNext(&it, &value, true);
	while (JsonbIteratorNext(&it, &value, true) == WJB_KEY)
	{
		Assert(i < n);
		members[i].key_len = value.val.string.len;
		members[i].key = to_utf8(value.val.string.val, &members[i].key_len);
		(void) JsonbIteratorNext(&it, &members[i].value, true);
		i++;
	}
	Assert(i == n);

	return members;
}

static bool
append_value(StringInfo out, JsonbValue *value)
{
	const char *utf8;
	int			len;

	switch (value->type)
	{
		case jbvNull:
			appendStringInfoString(out, "null");
			return true;
		case jbvBool:
			appendStringInfoString(out, value->val.boolean ? "true" : "false");
			return true;
		case jbvString:
			len = value->val.string.len;
			utf8 = to_utf8(value->val.string.val, &len);
			append_string(out, utf8, len);
			return true;
		case jbvNumeric:
			return append_number(out, value->val.numeric);
		case jbvBinary:
			return append_container(out, value->val.binary.data);
		default:
			elog(ERROR, "unexpected type %d in jsonb", (int) value->type);
	}
	return true;				/* keep compiler quiet */
}

/*
 * Bytes of the database's encoding as UTF-8; *len becomes the new length.
 */
static const char *
to_utf8(const char *bytes, int *len)
{
	char	   *converted = pg_server_to_any(bytes, *len, PG_UTF8);

	if (converted != bytes)
		*len = strlen(converted);
	return converted;
}

/*
 * Order of keys by UTF-16 code units.
 *
 * That is the order of the UTF-8 bytes, except that characters beyond U+FFFF
 * (lead bytes from 0xF0) are surrogates there, below U+E000 to U+FFFF (lead
 * bytes 0xEE and 0xEF).
 */
static int
compare_members(const void *a, const void *b)
{
	const Member *left = a;
	const Member *right = b;
	int			shorter = Min(left->key_len, right->key_len);

	for (int i = 0; i < shorter; i++)
	{
		unsigned char l = left->key[i];
		unsigned char r = right->key[i];

		if (l == r)
			continue;
		if (l >= 0xEE && r >= 0xEE && (l >= 0xF0) != (r >= 0xF0))
			return l >= 0xF0 ? -1 : 1;
		return l < r ? -1 : 1;
	}
	return left->key_len - right->key_len;
}

static void
append_string(StringInfo out, const char *utf8, int len)
{
	const char *end = utf8 + len;
	const char *run = utf8;

	appendStringInfoChar(out, '"');
	for (const char *p = utf8; p < end; p++)
	{
		static const char short_form[] = "\bb\ff\nn\rr\tt\"\"\\\\";
		const char *found = NULL;

		if ((unsigned char) *p >= 0x20 && *p != '"' && *p != '\\')
			continue;

		appendBinaryStringInfo(out, run, p - run);
		run = p + 1;
		for (const char *s = short_form; *s != '\0'; s += 2)
			if (*s == *p)
				found = s;
		appendStringInfoChar(out, '\\');
		if (found != NULL)
			appendStringInfoChar(out, found[1]);
		else
			appendStringInfo(out, "u%04x", (unsigned char) *p);
	}
	appendBinaryStringInfo(out, run, end - run);
	appendStringInfoChar(out, '"');
}

/*
 * Returns false when the number is no double's shortest form.
 */
static bool
append_number(StringInfo out, Numeric number)
{
	char	   *plain = numeric_normalize(number);
	Decimal		decimal;

	parse_decimal(plain, &decimal);
	if (decimal.ndigits == 0)
		appendStringInfoChar(out, '0');
	else if (is_double(plain, &decimal))
		append_double(out, &decimal);
	else
	{
		appendStringInfoString(out, plain);
		return false;
	}
	return true;
}

/*
 * Take apart what numeric_normalize() gave: a sign, digits and a point.
 */
static void
parse_decimal(const char *plain, Decimal *decimal)
{
	char	   *digits = palloc(strlen(plain) + 1);
	int			n = 0;
	int			point = 0;
	bool		seen_point = false;

	decimal->negative = (*plain == '-');
	if (decimal->negative)
		plain++;
	for (; *plain != '\0'; plain++)
	{
		if (*plain == '.')
		{
			seen_point = true;
			continue;
		}
		/* Zeros before the first digit move the point, if behind it. */
		if (n == 0 && *plain == '0')
		{
			if (seen_point)
				point--;
			continue;
		}
		digits[n++] = *plain;
		if (!seen_point)
			point++;
	}
	while (n > 0 && digits[n - 1] == '0')
		n--;
	digits[n] = '\0';

	decimal->digits = digits;
	decimal->ndigits = n;
	decimal->point = point;
}

/*
 * Whether a decimal is the shortest one that reads back as its double, and
 * the nearest to it of that length: what ECMAScript prints.
 */
static bool
is_double(const char *plain, const Decimal *decimal)
{
	double		number;
	char		text[40];

	if (decimal->ndigits <= SAFE_DIGITS &&
		abs(decimal->point) <= SAFE_EXPONENT)
		return true;
	if (decimal->ndigits > MAX_DIGITS || abs(decimal->point) > 400)
		return false;

	number = strtod(plain, NULL);
	if (number == 0 || isinf(number))
		return false;

	for (int n = 1; n <= MAX_DIGITS; n++)
	{
		snprintf(text, sizeof(text), "%.*e", n - 1, number);
		if (strtod(text, NULL) == number)
			return same_digits(text, decimal);

		/*
		 * Above a power of two the doubles are twice as far apart as below
		 * it, so the next decimal away from zero can read back even if the
		 * nearest one does not.
		 */
		if (next_digits(text) && strtod(text, NULL) == number)
			return same_digits(text, decimal);
	}
	return false;
}

/*
 * Whether d.ddde+x is the decimal.
 */
static bool
same_digits(const char *scientific, const Decimal *decimal)
{
	const char *p = scientific;
	int			n = 0;

	if (*p == '-')
		p++;
	for (; *p != 'e'; p++)
	{
		if (*p == '.')
			continue;
		if (n < decimal->ndigits ? *p != decimal->digits[n] : *p != '0')
			return false;
		n++;
	}
	return n >= decimal->ndigits && atoi(p + 1) + 1 == decimal->point;
}

/*
 * Count the last digit of d.ddde+x up; false when that would carry over all
 * digits, which then is a shorter number that was tried before.
 */
static bool
next_digits(char *scientific)
{
	for (char *p = strchr(scientific, 'e') - 1; p >= scientific; p--)
	{
		if (*p == '.')
			continue;
		if (*p == '-')
			break;
		if (*p != '9')
		{
			(*p)++;
			return true;
		}
		*p = '0';
	}
	return false;
}

/*
 * ECMAScript's Number::toString.
 */
static void
append_double(StringInfo out, const Decimal *decimal)
{
	int			n = decimal->ndigits;
	int			point = decimal->point;

	if (decimal->negative)
		appendStringInfoChar(out, '-');
	if (point > 21 || point <= -6)
	{
		appendStringInfoChar(out, decimal->digits[0]);
		if (n > 1)
			appendStringInfo(out, ".%s", decimal->digits + 1);
		appendStringInfo(out, "e%+d", point - 1);
	}
	else if (point <= 0)
		appendStringInfo(out, "0.%.*s%s", -point, "000000", decimal->digits);
	else if (n > point)
		appendStringInfo(out, "%.*s.%s", point, decimal->digits,
						 decimal->digits + point);
	else
	{
		appendBinaryStringInfo(out, decimal->digits, n);
		appendBinaryStringInfo(out, "00000000000000000000", point - n);
	}
}
