/*-------------------------------------------------------------------------
 *
 * canonical.c
 *	  One sequence of bytes for each jsonb value: RFC 8785 (JCS), in UTF-8.
 *
 * jsonb keeps an object's keys by length and then bytes, RFC 8785 wants them
 * by UTF-16 code units, so each object is put in order again, if it is not.
 * Numbers are kept as numeric, whose value is exact; trailing zeros of the
 * fraction carry no value and do not reach the text.
 *
 * Events are hashed in this form, so that it is made more often than anything
 * else here.  So values are read where they lie, in the form that the server's
 * utils/jsonb.h tells, and of a number its digits, unless there are many.
 *
 * Memory: what is allocated is so in the current context, and left to it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

#include "append_bytes.h"
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

/*
 * A numeric of one word of header, as most are: flags, sign, weight, and digits
 * to the base of 10000.
 */
#define SHORT_FLAGS		0xC000
#define SHORT_NUMERIC	0x8000
#define SHORT_NEGATIVE	0x2000
#define SHORT_WEIGHT_NEGATIVE 0x0040
#define SHORT_WEIGHT	0x003F
#define BASE_DIGITS		4		/* decimal ones of a digit */
#define MAX_BASE_DIGITS 4		/* that are read here */

/* Objects of no more members are put in order by moving them about. */
#define FEW_MEMBERS		16

/* A member of an object, its key in UTF-8. */
typedef struct Member
{
	const char *key;
	int			key_len;
	JEntry		entry;			/* of the value */
	uint32		from;			/* where that is */
} Member;

/*
 * Functions that call each other once per level keep little on the stack, so
 * that a value may be as deep as jsonb lets it: what they call is not inlined.
 */
static bool append_container(StringInfo out, const JsonbContainer *container);
static bool append_array(StringInfo out, const JsonbContainer *container);
static bool append_object(StringInfo out, const JsonbContainer *container);
static pg_noinline void read_members(const JsonbContainer *container,
									 Member *members);
static pg_noinline void put_in_order(Member *members, int n);
static bool append_child(StringInfo out, const char *base, uint32 from,
						 JEntry entry);
static pg_noinline void append_text(StringInfo out, const char *bytes,
									int len);
static const char *to_utf8(const char *bytes, int *len);
static int	compare_members(const void *a, const void *b);
static pg_noinline void append_string(StringInfo out, const char *utf8,
									  int len);
static pg_noinline bool append_number(StringInfo out, Numeric number);
static bool read_short(Numeric number, char *digits, Decimal *decimal);
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
append_container(StringInfo out, const JsonbContainer *container)
{
	check_stack_depth();

	if (JsonContainerIsArray(container))
		return append_array(out, container);
	return append_object(out, container);
}

/*
 * A value that is neither array nor object is kept as an array of it.
 */
static bool
append_array(StringInfo out, const JsonbContainer *container)
{
	bool		scalar = JsonContainerIsScalar(container);
	int			n = JsonContainerSize(container);
	const char *base = (const char *) (container->children + n);
	uint32		from = 0;
	bool		plain = true;

	if (!scalar)
		uaef_append_char(out, '[');
	for (int i = 0; i < n; i++)
	{
		JEntry		entry = container->children[i];

		if (i > 0)
			uaef_append_char(out, ',');
		plain &= append_child(out, base, from, entry);
		JBE_ADVANCE_OFFSET(from, entry);
	}
	if (!scalar)
		uaef_append_char(out, ']');

	return plain;
}

static bool
append_object(StringInfo out, const JsonbContainer *container)
{
	int			n = JsonContainerSize(container);
	const char *base = (const char *) (container->children + 2 * n);
	Member		only;
	Member	   *members = &only;
	bool		plain = true;

	if (n > 1)
		members = palloc(n * sizeof(Member));
	read_members(container, members);
	put_in_order(members, n);

	uaef_append_char(out, '{');
	for (int i = 0; i < n; i++)
	{
		if (i > 0)
			uaef_append_char(out, ',');
		append_string(out, members[i].key, members[i].key_len);
		uaef_append_char(out, ':');
		plain &= append_child(out, base, members[i].from, members[i].entry);
	}
	uaef_append_char(out, '}');

	return plain;
}

/*
 * An object has its keys first, then their values.
 */
static void
read_members(const JsonbContainer *container, Member *members)
{
	int			n = JsonContainerSize(container);
	const char *base = (const char *) (container->children + 2 * n);
	uint32		from = 0;

	for (int i = 0; i < n; i++)
	{
		JEntry		entry = container->children[i];
		uint32		to = from;

		JBE_ADVANCE_OFFSET(to, entry);
		members[i].key_len = to - from;
		members[i].key = to_utf8(base + from, &members[i].key_len);
		from = to;
	}
	for (int i = 0; i < n; i++)
	{
		members[i].entry = container->children[n + i];
		members[i].from = from;
		JBE_ADVANCE_OFFSET(from, members[i].entry);
	}
}

/*
 * A jsonb has shorter keys first.  Most objects are small, and a call of a
 * comparison for each step of qsort() costs more than moving a few members.
 */
static void
put_in_order(Member *members, int n)
{
	if (n > FEW_MEMBERS)
	{
		qsort(members, n, sizeof(Member), compare_members);
		return;
	}
	for (int i = 1; i < n; i++)
	{
		Member		member = members[i];
		int			at = i;

		for (; at > 0 && compare_members(&members[at - 1], &member) > 0; at--)
			members[at] = members[at - 1];
		members[at] = member;
	}
}

/*
 * The value from an offset on, in front of which its padding may be.
 */
static bool
append_child(StringInfo out, const char *base, uint32 from, JEntry entry)
{
	uint32		to = from;

	if (JBE_ISSTRING(entry))
	{
		JBE_ADVANCE_OFFSET(to, entry);
		append_text(out, base + from, to - from);
	}
	else if (JBE_ISNUMERIC(entry))
		return append_number(out, (Numeric) (base + INTALIGN(from)));
	else if (JBE_ISBOOL_TRUE(entry))
		uaef_append_bytes(out, "true", 4);
	else if (JBE_ISBOOL_FALSE(entry))
		uaef_append_bytes(out, "false", 5);
	else if (JBE_ISNULL(entry))
		uaef_append_bytes(out, "null", 4);
	else
		return append_container(out, (const JsonbContainer *) (base + INTALIGN(from)));
	return true;
}

static void
append_text(StringInfo out, const char *bytes, int len)
{
	const char *utf8 = to_utf8(bytes, &len);

	append_string(out, utf8, len);
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

/* The same byte eight times, and whether one of eight is less, or is equal. */
#define EIGHT(byte)			(UINT64CONST(0x0101010101010101) * (byte))
#define ANY_LESS(word, byte) (((word) - EIGHT(byte)) & ~(word) & EIGHT(0x80))
#define ANY_EQUAL(word, byte) ANY_LESS((word) ^ EIGHT(byte), 1)

/*
 * How many bytes at the beginning, eight at a time, stand for themselves.
 */
static inline int
plain_bytes(const char *p, const char *end)
{
	const char *begin = p;

	for (; end - p >= sizeof(uint64); p += sizeof(uint64))
	{
		uint64		word;

		memcpy(&word, p, sizeof(word));
		if (ANY_LESS(word, 0x20) | ANY_EQUAL(word, '"') |
			ANY_EQUAL(word, '\\'))
			break;
	}
	return p - begin;
}

static void
append_string(StringInfo out, const char *utf8, int len)
{
	const char *end = utf8 + len;
	const char *run = utf8;

	uaef_append_char(out, '"');
	for (const char *p = utf8 + plain_bytes(utf8, end); p < end; p++)
	{
		static const char short_form[] = "\bb\ff\nn\rr\tt\"\"\\\\";
		const char *found = NULL;

		if ((unsigned char) *p >= 0x20 && *p != '"' && *p != '\\')
			continue;

		uaef_append_bytes(out, run, p - run);
		run = p + 1;
		for (const char *s = short_form; *s != '\0'; s += 2)
			if (*s == *p)
				found = s;
		uaef_append_char(out, '\\');
		if (found != NULL)
			uaef_append_char(out, found[1]);
		else
			appendStringInfo(out, "u%04x", (unsigned char) *p);
	}
	uaef_append_bytes(out, run, end - run);
	uaef_append_char(out, '"');
}

/*
 * Returns false when the number is no double's shortest form.
 */
static bool
append_number(StringInfo out, Numeric number)
{
	char		digits[MAX_BASE_DIGITS * BASE_DIGITS];
	char	   *plain;
	Decimal		decimal;

	if (read_short(number, digits, &decimal))
	{
		append_double(out, &decimal);
		return true;
	}
	plain = numeric_normalize(number);
	parse_decimal(plain, &decimal);
	if (is_double(plain, &decimal))
		append_double(out, &decimal);
	else
	{
		appendStringInfoString(out, plain);
		return false;
	}
	return true;
}

/*
 * Take a number apart that has few digits, so that it is a double's shortest
 * form; false when it is another, or what is there cannot be.
 */
static bool
read_short(Numeric number, char *digits, Decimal *decimal)
{
	const char *data = VARDATA(number);
	int			n = (VARSIZE(number) - VARHDRSZ) / sizeof(int16) - 1;
	uint16		header;
	int			weight;
	int			first = 0;
	int			end;

	memcpy(&header, data, sizeof(header));
	if ((header & SHORT_FLAGS) != SHORT_NUMERIC || n > MAX_BASE_DIGITS)
		return false;
	for (int i = 0; i < n; i++)
	{
		uint16		digit;

		memcpy(&digit, data + (i + 1) * sizeof(digit), sizeof(digit));
		if (digit > 9999)
			return false;
		for (int place = BASE_DIGITS - 1; place >= 0; place--, digit /= 10)
			digits[i * BASE_DIGITS + place] = '0' + digit % 10;
	}
	end = n * BASE_DIGITS;
	while (first < end && digits[first] == '0')
		first++;
	while (end > first && digits[end - 1] == '0')
		end--;
	weight = header & SHORT_WEIGHT;
	if ((header & SHORT_WEIGHT_NEGATIVE) != 0)
		weight -= SHORT_WEIGHT + 1;
	decimal->negative = (header & SHORT_NEGATIVE) != 0;
	decimal->digits = digits + first;
	decimal->ndigits = end - first;
	decimal->point = (weight + 1) * BASE_DIGITS - first;
	return decimal->ndigits <= SAFE_DIGITS;
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

	if (n == 0)
	{
		uaef_append_char(out, '0');
		return;
	}
	if (decimal->negative)
		uaef_append_char(out, '-');
	if (point > 21 || point <= -6)
	{
		uaef_append_char(out, decimal->digits[0]);
		if (n > 1)
		{
			uaef_append_char(out, '.');
			uaef_append_bytes(out, decimal->digits + 1, n - 1);
		}
		appendStringInfo(out, "e%+d", point - 1);
	}
	else if (point <= 0)
	{
		uaef_append_bytes(out, "0.000000", 2 - point);
		uaef_append_bytes(out, decimal->digits, n);
	}
	else if (n > point)
	{
		uaef_append_bytes(out, decimal->digits, point);
		uaef_append_char(out, '.');
		uaef_append_bytes(out, decimal->digits + point, n - point);
	}
	else
	{
		uaef_append_bytes(out, decimal->digits, n);
		uaef_append_bytes(out, "00000000000000000000", point - n);
	}
}
