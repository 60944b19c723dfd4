/*-------------------------------------------------------------------------
 *
 * verify_util.c
 *	  What all files of the offline verifier need: memory, bytes, texts.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "verify_util.h"

#define US_PER_S 1000000LL
#define S_PER_DAY 86400LL

void
fatal(const char *format,...)
{
	va_list		args;

	fflush(stdout);
	fputs("uaef-verify: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);

	/* Other threads may be at work: no destructors. */
	_exit(EXIT_UNREADABLE);
}

void *
get_memory(size_t len)
{
	return more_memory(NULL, len);
}

void *
more_memory(void *old, size_t len)
{
	void	   *memory = realloc(old, len > 0 ? len : 1);

	if (memory == NULL)
		fatal("out of memory: %zu bytes could not be had", len);
	return memory;
}

void
buffer_reserve(Buffer *buffer, size_t more)
{
	if (buffer->size - buffer->len >= more)
		return;
	buffer->size = Max(buffer->len + more, buffer->size * 2);
	buffer->size = Max(buffer->size, 256);
	buffer->data = more_memory(buffer->data, buffer->size);
}

void
buffer_add(Buffer *buffer, const void *data, size_t len)
{
	if (len == 0)
		return;
	buffer_reserve(buffer, len);
	memcpy(buffer->data + buffer->len, data, len);
	buffer->len += len;
}

void
buffer_char(Buffer *buffer, char c)
{
	buffer_reserve(buffer, 1);
	buffer->data[buffer->len++] = c;
}

void
buffer_print(Buffer *buffer, const char *format,...)
{
	va_list		args;
	va_list		again;
	int			len;

	va_start(args, format);
	va_copy(again, args);
	len = vsnprintf(NULL, 0, format, args);
	va_end(args);
	buffer_reserve(buffer, (size_t) len + 1);
	vsnprintf(buffer->data + buffer->len, (size_t) len + 1, format, again);
	va_end(again);
	buffer->len += (size_t) len;
}

void
buffer_free(Buffer *buffer)
{
	free(buffer->data);
	memset(buffer, 0, sizeof(Buffer));
}

void
list_room(void **items, size_t count, size_t *size, size_t width)
{
	if (count < *size)
		return;
	*size = Max(16, *size + *size / 2);
	*items = more_memory(*items, *size * width);
}

bool
read_file(const char *path, Buffer *buffer)
{
	FILE	   *file = fopen(path, "rb");
	size_t		got;
	bool		good;

	if (file == NULL)
		return false;
	setvbuf(file, NULL, _IONBF, 0);
	do
	{
		buffer_reserve(buffer, 65536);
		got = fread(buffer->data + buffer->len, 1,
					buffer->size - buffer->len, file);
		buffer->len += got;
	} while (got > 0);
	good = !ferror(file);
	fclose(file);
	return good;
}

bool
read_note_file(const char *path, Buffer *buffer)
{
	if (!read_file(path, buffer))
		return false;
	while (buffer->len > 1 && buffer->data[buffer->len - 1] == '\n' &&
		   buffer->data[buffer->len - 2] == '\n')
		buffer->len--;
	return true;
}

Slice
make_slice(const char *data, size_t len)
{
	Slice		slice = {data, len};

	return slice;
}

bool
slice_is(Slice slice, const char *text)
{
	return slice.data != NULL && slice.len == strlen(text) &&
		memcmp(slice.data, text, slice.len) == 0;
}

/* The value of a hexadecimal digit and one; 0 is none. */
static const uint8_t hex_value[256] = {
	['0'] = 1,['1'] = 2,['2'] = 3,['3'] = 4,['4'] = 5,['5'] = 6,
	['6'] = 7,['7'] = 8,['8'] = 9,['9'] = 10,['a'] = 11,['b'] = 12,
	['c'] = 13,['d'] = 14,['e'] = 15,['f'] = 16,['A'] = 11,['B'] = 12,
	['C'] = 13,['D'] = 14,['E'] = 15,['F'] = 16
};

bool
hex_decode(const char *text, size_t text_len, void *bytes, size_t len)
{
	const uint8_t *in = (const uint8_t *) text;
	uint8_t    *out = bytes;

	if (text_len != 2 * len)
		return false;
	for (size_t i = 0; i < len; i++)
	{
		int			high = hex_value[in[2 * i]];
		int			low = hex_value[in[2 * i + 1]];

		if (high == 0 || low == 0)
			return false;
		out[i] = (uint8_t) ((high - 1) << 4 | (low - 1));
	}
	return true;
}

char *
hex_encode(const void *bytes, size_t len, char *text)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *in = bytes;

	for (size_t i = 0; i < len; i++)
	{
		text[2 * i] = digits[in[i] >> 4];
		text[2 * i + 1] = digits[in[i] & 15];
	}
	text[2 * len] = '\0';
	return text;
}

bool
uuid_decode(Slice text, uint8_t *uuid)
{
	static const int dash[] = {8, 13, 18, 23};
	char		digits[2 * UUID_LEN];
	int			n = 0;
	int			d = 0;

	if (text.data == NULL || text.len != 36)
		return false;
	for (int i = 0; i < 36; i++)
	{
		if (d < 4 && i == dash[d])
		{
			if (text.data[i] != '-')
				return false;
			d++;
		}
		else
			digits[n++] = text.data[i];
	}
	return hex_decode(digits, sizeof(digits), uuid, UUID_LEN);
}

char *
uuid_encode(const uint8_t *uuid, char *text)
{
	char		digits[2 * UUID_LEN + 1];

	hex_encode(uuid, UUID_LEN, digits);
	snprintf(text, 37, "%.8s-%.4s-%.4s-%.4s-%.12s", digits, digits + 8,
			 digits + 12, digits + 16, digits + 20);
	return text;
}

bool
decimal_decode(const char *text, size_t len, int64_t *number)
{
	int64_t		value = 0;

	if (len == 0 || len > 19 || (len > 1 && text[0] == '0'))
		return false;
	for (size_t i = 0; i < len; i++)
	{
		int			digit = text[i] - '0';

		if (digit < 0 || digit > 9 || value > (INT64_MAX - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	*number = value;
	return true;
}

/*
 * Days from 1970-01-01 to a day of the Gregorian calendar, and back; a year
 * is counted from March on, so that its last day is the odd one.
 */
static int64_t
days_of(int64_t year, int month, int day)
{
	int64_t		y = month <= 2 ? year - 1 : year;
	int64_t		era = (y >= 0 ? y : y - 399) / 400;
	int64_t		of_era = y - era * 400;
	int64_t		of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year -
		719468;
}

static void
day_of(int64_t days, int64_t *year, int *month, int *day)
{
	int64_t		z = days + 719468;
	int64_t		era = (z >= 0 ? z : z - 146096) / 146097;
	int64_t		of_era = z - era * 146097;
	int64_t		y = (of_era - of_era / 1460 + of_era / 36524 -
					 of_era / 146096) / 365;
	int64_t		of_year = of_era - (365 * y + y / 4 - y / 100);
	int64_t		m = (5 * of_year + 2) / 153;

	*day = (int) (of_year - (153 * m + 2) / 5 + 1);
	*month = (int) (m < 10 ? m + 3 : m - 9);
	*year = y + era * 400 + (*month <= 2);
}

/*
 * A number of exactly so many digits, or of at least those if more is set;
 * moves on behind it.  Returns -1 when there is none.
 */
static int64_t
take_digits(const char **p, const char *end, int digits, bool more)
{
	int64_t		value = 0;
	int			n = 0;

	while (*p < end && **p >= '0' && **p <= '9' &&
		   (n < digits || (more && n < 6)))
	{
		value = value * 10 + (**p - '0');
		(*p)++;
		n++;
	}
	return n >= digits ? value : -1;
}

static bool
take_char(const char **p, const char *end, char c)
{
	if (*p >= end || **p != c)
		return false;
	(*p)++;
	return true;
}

/*
 * The digits behind the point, as microseconds; -1 when there are too many or
 * none.
 */
static int64_t
take_fraction(const char **p, const char *end)
{
	int64_t		us = 0;
	int			n = 0;

	if (!take_char(p, end, '.'))
		return 0;
	for (; *p < end && **p >= '0' && **p <= '9' && n < 6; n++, (*p)++)
		us = us * 10 + (**p - '0');
	if (n == 0)
		return -1;
	for (; n < 6; n++)
		us *= 10;
	return us;
}

/*
 * Z, or +hh, +hh:mm, +hh:mm:ss, in seconds; false when it is none of them.
 */
static bool
take_offset(const char **p, const char *end, int64_t *seconds)
{
	bool		negative;
	int64_t		part[3] = {0, 0, 0};

	*seconds = 0;
	if (take_char(p, end, 'Z'))
		return true;
	negative = take_char(p, end, '-');
	if (!negative && !take_char(p, end, '+'))
		return false;
	for (int i = 0; i < 3; i++)
	{
		if (i > 0 && !take_char(p, end, ':'))
			break;
		part[i] = take_digits(p, end, 2, false);
		if (part[i] < 0 || part[i] > 59)
			return false;
	}
	*seconds = (part[0] * 60 + part[1]) * 60 + part[2];
	if (negative)
		*seconds = -*seconds;
	return true;
}

bool
time_decode(Slice text, int64_t *us)
{
	static const int month_days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	const char *p = text.data;
	const char *end = text.data + text.len;
	int64_t		part[6];
	int64_t		fraction;
	int64_t		offset;
	bool		leap;

	if (text.data == NULL)
		return false;
	for (int i = 0; i < 6; i++)
	{
		static const char before[] = "?--T::";

		if (i > 0 && !take_char(&p, end, before[i]) &&
			!(i == 3 && take_char(&p, end, ' ')))
			return false;
		part[i] = take_digits(&p, end, i == 0 ? 4 : 2, i == 0);
		if (part[i] < 0)
			return false;
	}
	fraction = take_fraction(&p, end);
	if (fraction < 0 || !take_offset(&p, end, &offset) || p != end)
		return false;
	leap = (part[0] % 4 == 0 && part[0] % 100 != 0) || part[0] % 400 == 0;
	if (part[0] < 1 || part[0] > 294276 || part[1] < 1 || part[1] > 12 ||
		part[2] < 1 || part[2] > month_days[part[1] - 1] ||
		(part[1] == 2 && part[2] == 29 && !leap) ||
		part[3] > 23 || part[4] > 59 || part[5] > 59)
		return false;
	*us = (days_of(part[0], (int) part[1], (int) part[2]) * S_PER_DAY +
		   (part[3] * 60 + part[4]) * 60 + part[5] - offset) * US_PER_S +
		fraction;
	return true;
}

char *
time_encode(int64_t us, char *text)
{
	int64_t		s = us / US_PER_S - (us % US_PER_S < 0);
	int64_t		days = s / S_PER_DAY - (s % S_PER_DAY < 0);
	int64_t		of_day = s - days * S_PER_DAY;
	int64_t		year;
	int			month;
	int			day;

	day_of(days, &year, &month, &day);
	snprintf(text, 64, "%04lld-%02d-%02d %02d:%02d:%02dZ", (long long) year,
			 month, day, (int) (of_day / 3600), (int) (of_day / 60 % 60),
			 (int) (of_day % 60));
	return text;
}

/*
 * The length of the character at p, 0 when it is none.
 */
static size_t
utf8_length(const uint8_t *p, size_t left)
{
	size_t		len = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;

	if (p[0] < 0xc2 || p[0] > 0xf4 || len > left)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
		(p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return len;
}

bool
utf8_valid(const char *data, size_t len)
{
	const uint8_t *p = (const uint8_t *) data;
	const uint8_t *end = p + len;

	while (p < end)
	{
		uint64_t	eight;
		size_t		n;

		if (end - p >= 8)
		{
			memcpy(&eight, p, sizeof(eight));
			if ((eight & 0x8080808080808080ULL) == 0)
			{
				p += 8;
				continue;
			}
		}
		if (*p < 0x80)
		{
			p++;
			continue;
		}
		n = utf8_length(p, (size_t) (end - p));
		if (n == 0)
			return false;
		p += n;
	}
	return true;
}
