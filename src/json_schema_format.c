/*-------------------------------------------------------------------------
 *
 * json_schema_format.c
 *	  The formats of strings that JSON Schemas check.
 *
 * The standard lets "format" be a mere annotation.  We check the few that
 * have one meaning and that the database will want to read: date, time and
 * date-time of RFC 3339, and uuid of RFC 4122.
 *
 * Locking: none.  Memory: none.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "json_schema_internal.h"
#include "json_walk.h"

static bool read_digits(const char *text, int n, int *number);
static bool is_date(const char *text, int len);
static bool read_offset(const char *text, int len, int *minutes);
static bool is_time(const char *text, int len);
static bool is_date_time(const char *text, int len);
static bool is_uuid(const char *text, int len);

static const struct
{
	const char *name;
	SchemaFormat check;
}			formats[] = {
	{"date", is_date},
	{"time", is_time},
	{"date-time", is_date_time},
	{"uuid", is_uuid}
};

SchemaFormat
uaef_schema_format(const JsonbValue *name)
{
	for (int i = 0; i < lengthof(formats); i++)
		if (uaef_key_is(name, formats[i].name))
			return formats[i].check;
	return NULL;
}

/* Exactly n digits. */
static bool
read_digits(const char *text, int n, int *number)
{
	*number = 0;
	for (int i = 0; i < n; i++)
	{
		if (text[i] < '0' || text[i] > '9')
			return false;
		*number = *number * 10 + text[i] - '0';
	}
	return true;
}

/* 2026-02-28 */
static bool
is_date(const char *text, int len)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int			year;
	int			month;
	int			day;
	bool		leap;

	if (len != 10 || text[4] != '-' || text[7] != '-' ||
		!read_digits(text, 4, &year) || !read_digits(text + 5, 2, &month) ||
		!read_digits(text + 8, 2, &day) || month < 1 || month > 12)
		return false;
	leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	return day >= 1 && day <= days[month - 1] + (month == 2 && leap);
}

/* Z, or +01:00 */
static bool
read_offset(const char *text, int len, int *minutes)
{
	int			hour;
	int			minute;

	*minutes = 0;
	if (len == 1)
		return *text == 'Z' || *text == 'z';
	if (len != 6 || (text[0] != '+' && text[0] != '-') || text[3] != ':' ||
		!read_digits(text + 1, 2, &hour) || hour > 23 ||
		!read_digits(text + 4, 2, &minute) || minute > 59)
		return false;
	*minutes = (hour * 60 + minute) * (text[0] == '-' ? -1 : 1);
	return true;
}

/* 23:20:50.52Z; a second 60 is the one before midnight in UTC */
static bool
is_time(const char *text, int len)
{
	int			hour;
	int			minute;
	int			second;
	int			offset;
	int			at = 8;

	if (len < 9 || text[2] != ':' || text[5] != ':' ||
		!read_digits(text, 2, &hour) || hour > 23 ||
		!read_digits(text + 3, 2, &minute) || minute > 59 ||
		!read_digits(text + 6, 2, &second) || second > 60)
		return false;
	if (text[at] == '.')
	{
		do
			at++;
		while (at < len && text[at] >= '0' && text[at] <= '9');
		if (at == 9)
			return false;
	}
	if (!read_offset(text + at, len - at, &offset))
		return false;
	return second < 60 ||
		(hour * 60 + minute - offset + 2 * 1440) % 1440 == 1439;
}

static bool
is_date_time(const char *text, int len)
{
	return len > 11 && is_date(text, 10) &&
		(text[10] == 'T' || text[10] == 't') && is_time(text + 11, len - 11);
}

static bool
is_uuid(const char *text, int len)
{
	if (len != 36)
		return false;
	for (int i = 0; i < len; i++)
	{
		bool		dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? text[i] != '-' : !isxdigit((unsigned char) text[i]))
			return false;
	}
	return true;
}
