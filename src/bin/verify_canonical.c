/*-------------------------------------------------------------------------
 *
 * verify_canonical.c
 *	  Canonical JSON: RFC 8785, and exact decimals where a double would lose
 *	  digits (docs/ledger-format.md, 1).
 *
 * Numbers are handled as strings of digits.  A double is asked only whether
 * it would print as these digits.
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "verify_canonical.h"

/* Digits that a decimal may have and surely survive the way through a double. */
#define SAFE_DIGITS 15
#define SAFE_POINT 290

/* Digits that always tell a double from its neighbours. */
#define MAX_DIGITS 17
#define MAX_POINT 400

/* What PostgreSQL's numeric has at most, before and behind the point. */
#define DIGITS_BEFORE 131072
#define DIGITS_BEHIND 16383

/* Zeros that go into a text at a time. */
#define ZEROS "00000000000000000000000000000000"

/*
 * A decimal: 0.digits times ten to the power of point.  The digits may have a
 * point among them, which does not count; they begin and end with another
 * digit than 0.
 */
typedef struct Decimal
{
	bool		negative;
	const char *start;
	const char *end;
	long		digits;
	long		point;
} Decimal;

/* A member of an object; the key is at value - 1. */
typedef struct Member
{
	Slice		key;
	const JsonNode *value;
} Member;

/* ----------
 * Numbers
 * ----------
 */

/*
 * The number behind an e; one that is too large for any use is as good as any
 * other such.
 */
static long
read_exponent(const char *p, const char *end)
{
	long		value = 0;
	bool		negative = p < end && *p == '-';

	if (p < end && (*p == '-' || *p == '+'))
		p++;
	for (; p < end; p++)
		if (value < 1000000000)
			value = value * 10 + (*p - '0');
	return negative ? -value : value;
}

/*
 * Take apart a number that JSON allows; digits is 0 when it is zero.
 */
static void
read_decimal(Slice number, Decimal *decimal)
{
	const char *p = number.data;
	const char *end = number.data + number.len;
	const char *point = NULL;
	const char *exponent = end;

	decimal->negative = *p == '-';
	if (decimal->negative)
		p++;
	for (const char *q = p; q < end; q++)
	{
		if (*q == '.')
			point = q;
		if (*q == 'e' || *q == 'E')
		{
			exponent = q;
			break;
		}
	}
	end = exponent;
	if (point == NULL)
		point = end;
	while (p < end && (*p == '0' || *p == '.'))
		p++;
	while (end > p && (end[-1] == '0' || end[-1] == '.'))
		end--;
	decimal->start = p;
	decimal->end = end;
	decimal->digits = end - p - (point >= p && point < end);
	decimal->point = p <= point ? point - p : point + 1 - p;
	if (exponent < number.data + number.len)
		decimal->point += read_exponent(exponent + 1,
										number.data + number.len);
}

/*
 * Up to max of the digits, without a point.
 */
static int
copy_digits(const Decimal *decimal, char *out, int max)
{
	int			n = 0;

	for (const char *p = decimal->start; p < decimal->end && n < max; p++)
		if (*p != '.')
			out[n++] = *p;
	return n;
}

/*
 * Whether d.ddde+x, which printf made, is the decimal.
 */
static bool
same_decimal(const char *scientific, const char *digits,
			 const Decimal *decimal)
{
	char		mine[MAX_DIGITS + 8];
	int			n = 0;
	const char *p = scientific;

	for (; *p != 'e'; p++)
		if (*p != '.')
			mine[n++] = *p;
	while (n > 0 && mine[n - 1] == '0')
		n--;
	return n == decimal->digits && memcmp(mine, digits, (size_t) n) == 0 &&
		atol(p + 1) + 1 == decimal->point;
}

/*
 * The next larger number of as many digits; false when there is none with the
 * same exponent.
 */
static bool
count_up(char *scientific)
{
	char	   *p = strchr(scientific, 'e');

	while (--p >= scientific)
	{
		if (*p == '.')
			continue;
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
 * Whether a decimal is what ECMAScript prints for the double next to it: the
 * shortest that reads back, and of these the nearest.  Above a power of two
 * the next decimal away from zero may read back where the nearest does not.
 */
static bool
prints_so(const Decimal *decimal)
{
	char		digits[MAX_DIGITS + 8];
	char		text[MAX_DIGITS + 32];
	double		number;
	int			n;

	if (decimal->digits <= SAFE_DIGITS && labs(decimal->point) <= SAFE_POINT)
		return true;
	if (decimal->digits > MAX_DIGITS || labs(decimal->point) > MAX_POINT)
		return false;
	n = copy_digits(decimal, digits, MAX_DIGITS);
	snprintf(text, sizeof(text), "0.%.*se%ld", n, digits, decimal->point);
	number = strtod(text, NULL);
	if (number == 0 || isinf(number))
		return false;
	for (int i = 0; i < MAX_DIGITS; i++)
	{
		snprintf(text, sizeof(text), "%.*e", i, number);
		if (strtod(text, NULL) == number ||
			(count_up(text) && strtod(text, NULL) == number))
			return same_decimal(text, digits, decimal);
	}
	return false;
}

static void
add_zeros(Buffer *out, long n)
{
	for (; n > 0; n -= (long) strlen(ZEROS))
		buffer_add(out, ZEROS, (size_t) Min(n, (long) strlen(ZEROS)));
}

/*
 * The digits with the point where it belongs.
 */
static void
add_plain(Buffer *out, const Decimal *decimal)
{
	long		left = decimal->point;

	if (left <= 0)
	{
		buffer_add(out, "0.", 2);
		add_zeros(out, -left);
	}
	for (const char *p = decimal->start; p < decimal->end; p++)
	{
		if (*p == '.')
			continue;
		if (left-- == 0 && decimal->point > 0)
			buffer_char(out, '.');
		buffer_char(out, *p);
	}
	add_zeros(out, left);
}

static void
add_scientific(Buffer *out, const Decimal *decimal)
{
	char		digits[MAX_DIGITS + 8];
	int			n = copy_digits(decimal, digits, MAX_DIGITS);

	buffer_add(out, digits, 1);
	if (n > 1)
	{
		buffer_char(out, '.');
		buffer_add(out, digits + 1, (size_t) n - 1);
	}
	buffer_print(out, "e%+ld", decimal->point - 1);
}

bool
canonical_number(Buffer *out, Slice number)
{
	Decimal		decimal;

	read_decimal(number, &decimal);
	if (decimal.digits == 0)
	{
		buffer_char(out, '0');
		return true;
	}
	if (decimal.point > DIGITS_BEFORE ||
		decimal.digits - decimal.point > DIGITS_BEHIND)
		return false;
	if (decimal.negative)
		buffer_char(out, '-');
	if ((decimal.point > 21 || decimal.point <= -6) && prints_so(&decimal))
		add_scientific(out, &decimal);
	else
		add_plain(out, &decimal);
	return true;
}

/* ----------
 * The rest
 * ----------
 */

static void
add_string(Buffer *out, Slice text)
{
	const char *end = text.data + text.len;
	const char *run = text.data;

	buffer_char(out, '"');
	for (const char *p = text.data; p < end; p++)
	{
		static const char from[] = "\b\t\n\f\r\"\\";
		static const char to[] = "btnfr\"\\";
		const char *found;

		if ((unsigned char) *p >= 0x20 && *p != '"' && *p != '\\')
			continue;
		buffer_add(out, run, (size_t) (p - run));
		run = p + 1;
		found = *p == '\0' ? NULL : strchr(from, *p);
		if (found != NULL)
		{
			buffer_char(out, '\\');
			buffer_char(out, to[found - from]);
		}
		else
			buffer_print(out, "\\u%04x", (unsigned char) *p);
	}
	buffer_add(out, run, (size_t) (end - run));
	buffer_char(out, '"');
}

/*
 * Where a byte of UTF-8 stands in the order of UTF-16 code units: characters
 * beyond U+FFFF are surrogates there, before U+E000.
 */
static int
utf16_rank(unsigned char byte)
{
	return byte >= 0xf0 ? byte - 2 : byte >= 0xee ? byte + 5 : byte;
}

static int
compare_members(const void *a, const void *b)
{
	const Slice *left = &((const Member *) a)->key;
	const Slice *right = &((const Member *) b)->key;
	size_t		shorter = Min(left->len, right->len);

	for (size_t i = 0; i < shorter; i++)
		if (left->data[i] != right->data[i])
			return utf16_rank((unsigned char) left->data[i]) -
				utf16_rank((unsigned char) right->data[i]);
	return left->len < right->len ? -1 : left->len > right->len;
}

static bool
add_object(Buffer *out, const Json *json, const JsonNode *object)
{
	Member		few[16];
	Member	   *members = few;
	const JsonNode *node = object + 1;
	bool		good = true;

	if (object->count > lengthof(few))
		members = get_memory(object->count * sizeof(Member));
	for (uint32_t i = 0; i < object->count; i++)
	{
		members[i].key = node->text;
		members[i].value = node + 1;
		node = json->nodes + (node + 1)->next;
	}
	qsort(members, object->count, sizeof(Member), compare_members);
	buffer_char(out, '{');
	for (uint32_t i = 0; i < object->count && good; i++)
	{
		if (i > 0)
			buffer_char(out, ',');
		add_string(out, members[i].key);
		buffer_char(out, ':');
		good = canonical_append(out, json, members[i].value);
	}
	buffer_char(out, '}');
	if (members != few)
		free(members);
	return good;
}

static bool
add_array(Buffer *out, const Json *json, const JsonNode *array)
{
	const JsonNode *node = array + 1;

	buffer_char(out, '[');
	for (uint32_t i = 0; i < array->count; i++)
	{
		if (i > 0)
			buffer_char(out, ',');
		if (!canonical_append(out, json, node))
			return false;
		node = json->nodes + node->next;
	}
	buffer_char(out, ']');
	return true;
}

bool
canonical_append(Buffer *out, const Json *json, const JsonNode *value)
{
	switch (value->type)
	{
		case JSON_NULL:
			buffer_add(out, "null", 4);
			return true;
		case JSON_TRUE:
			buffer_add(out, "true", 4);
			return true;
		case JSON_FALSE:
			buffer_add(out, "false", 5);
			return true;
		case JSON_NUMBER:
			return canonical_number(out, value->text);
		case JSON_STRING:
			add_string(out, value->text);
			return true;
		case JSON_ARRAY:
			return add_array(out, json, value);
		case JSON_OBJECT:
			return add_object(out, json, value);
	}
	return false;
}

/* ----------
 * A text that may be canonical already
 * ----------
 */

/* Objects in each other that are looked at without a stack of memory. */
#define QUICK_DEPTH 32

/* Digits of an integer that is written as it is. */
#define QUICK_DIGITS 15

/*
 * Plain ASCII without escapes; moves on behind the closing quote.
 */
static bool
quick_string(const char **p, const char *end, Slice *text)
{
	const char *c = *p + 1;

	text->data = c;
	while (c < end && (unsigned char) *c >= 0x20 && (unsigned char) *c < 0x80 &&
		   *c != '"' && *c != '\\')
		c++;
	text->len = (size_t) (c - text->data);
	*p = c + 1;
	return c < end && *c == '"';
}

/*
 * An integer that surely is written so.
 */
static bool
quick_number(const char **p, const char *end)
{
	const char *c = *p;
	const char *start;
	bool		negative = *c == '-';

	c += negative;
	start = c;
	while (c < end && *c >= '0' && *c <= '9')
		c++;
	*p = c;
	if (c == start || c - start > QUICK_DIGITS)
		return false;
	if (*start == '0' && (c - start > 1 || negative))
		return false;
	return c == end || (*c != '.' && *c != 'e' && *c != 'E');
}

static bool
quick_word(const char **p, const char *end)
{
	static const char *const words[] = {"true", "false", "null"};

	for (size_t i = 0; i < lengthof(words); i++)
	{
		size_t		len = strlen(words[i]);

		if ((size_t) (end - *p) >= len && memcmp(*p, words[i], len) == 0)
		{
			*p += len;
			return true;
		}
	}
	return false;
}

/*
 * A key and its colon; keys rise, as bytes since they are ASCII.
 */
static bool
quick_key(const char **p, const char *end, Slice *before, bool first)
{
	Slice		key;
	size_t		shorter;
	int			order;

	if (*p >= end || **p != '"' || !quick_string(p, end, &key))
		return false;
	if (!first)
	{
		shorter = Min(key.len, before->len);
		order = memcmp(before->data, key.data, shorter);
		if (order > 0 || (order == 0 && before->len >= key.len))
			return false;
	}
	*before = key;
	if (*p >= end || **p != ':')
		return false;
	(*p)++;
	return true;
}

static bool
quick_value(const char **p, const char *end, int depth)
{
	Slice		key = {NULL, 0};
	bool		object;
	char		close;

	if (*p >= end || depth > QUICK_DEPTH)
		return false;
	if (**p == '"')
		return quick_string(p, end, &key);
	if (**p != '{' && **p != '[')
		return **p >= 'a' ? quick_word(p, end) : quick_number(p, end);
	object = **p == '{';
	close = object ? '}' : ']';
	(*p)++;
	if (*p < end && **p == close)
	{
		(*p)++;
		return true;
	}
	for (bool first = true;; first = false)
	{
		if (object && !quick_key(p, end, &key, first))
			return false;
		if (!quick_value(p, end, depth + 1) || *p >= end)
			return false;
		if (**p == close)
			break;
		if (**p != ',')
			return false;
		(*p)++;
	}
	(*p)++;
	return true;
}

bool
canonical_surely(Slice text)
{
	const char *p = text.data;
	const char *end = p + text.len;

	return quick_value(&p, end, 0) && p == end;
}
