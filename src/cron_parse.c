/*-------------------------------------------------------------------------
 *
 * cron_parse.c
 *	  Cron expressions: from text to sets of numbers.
 *
 * Pure.  Memory: the caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "cron.h"

#define MAX_FIELDS 6

/* Midnight of 2000-01-01, from where a first time is looked for. */
#define YEAR_2000 INT64CONST(946684800)

/* A field: what it may hold. */
typedef struct Field
{
	const char *name;
	int			min;
	int			max;
	const char *const *names;	/* of min and what follows; NULL: none */
	int			n_names;
} Field;

static const char *const month_names[] = {
	"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct",
	"nov", "dec"
};

static const char *const day_names[] = {
	"sun", "mon", "tue", "wed", "thu", "fri", "sat"
};

enum
{
	SECOND, MINUTE, HOUR, DAY, MONTH, WEEKDAY
};

static const Field fields[MAX_FIELDS] = {
	[SECOND] = {"second", 0, 59, NULL, 0},
	[MINUTE] = {"minute", 0, 59, NULL, 0},
	[HOUR] = {"hour", 0, 23, NULL, 0},
	[DAY] = {"day of month", 1, 31, NULL, 0},
	[MONTH] = {"month", 1, 12, month_names, lengthof(month_names)},
	[WEEKDAY] = {"day of week", 0, 7, day_names, lengthof(day_names)}
};

static const struct
{
	const char *name;
	const char *expression;
}			macros[] = {
	{"@yearly", "0 0 1 1 *"},
	{"@annually", "0 0 1 1 *"},
	{"@monthly", "0 0 1 * *"},
	{"@weekly", "0 0 * * 0"},
	{"@daily", "0 0 * * *"},
	{"@midnight", "0 0 * * *"},
	{"@hourly", "0 * * * *"}
};

/* What is being read. */
typedef struct Reader
{
	const char *text;			/* the whole expression, for messages */
	const Field *field;
	const char *at;				/* what comes next in the field */
} Reader;

pg_noreturn static void
refuse(const Reader *reader, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("bad cron expression \"%s\"", reader->text),
			 errdetail("Field \"%s\": %s", reader->field->name, detail)));
}

static bool
skip(Reader *reader, char c)
{
	if (pg_tolower((unsigned char) *reader->at) != c)
		return false;
	reader->at++;
	return true;
}

static int
read_digits(Reader *reader)
{
	int			value = 0;
	int			n = 0;

	while (*reader->at >= '0' && *reader->at <= '9' && n++ < 3)
		value = value * 10 + *reader->at++ - '0';
	if (n == 0 || n > 2)
		refuse(reader, "a number or a name is expected.");
	return value;
}

/*
 * A number of the field, or a name of one.
 */
static int
read_value(Reader *reader)
{
	const Field *field = reader->field;
	int			value;

	for (int i = 0; i < field->n_names; i++)
	{
		if (pg_strncasecmp(reader->at, field->names[i], 3) == 0)
		{
			reader->at += 3;
			return field->min + i;
		}
	}
	value = read_digits(reader);
	if (value < field->min || value > field->max)
		refuse(reader, psprintf("%d is not between %d and %d.", value,
								field->min, field->max));
	return value;
}

static int
read_step(Reader *reader)
{
	int			step;

	if (!skip(reader, '/'))
		return 0;
	step = read_digits(reader);
	if (step == 0)
		refuse(reader, "a step must be at least 1.");
	return step;
}

/*
 * Numbers from min to max in steps, as bits; Sunday may be 7.
 */
static uint64
bits_of(const Reader *reader, int min, int max, int step)
{
	bool		weekday = reader->field == &fields[WEEKDAY];
	uint64		bits = 0;

	for (int i = min; i <= max; i += Max(step, 1))
		bits |= UINT64CONST(1) << (weekday ? i % 7 : i);
	return bits;
}

/*
 * "*", "5", "1-5", each with a step or without; "5/10" is "5-max/10".
 */
static uint64
read_range(Reader *reader, int min)
{
	int			last = reader->field->max;
	int			max = min;
	int			step;

	if (skip(reader, '-'))
	{
		max = read_value(reader);
		if (reader->field == &fields[WEEKDAY] && max == 0)
			max = 7;
		if (max < min)
			refuse(reader, psprintf("the range from %d to %d is empty.", min,
									max));
		step = read_step(reader);
	}
	else
	{
		step = read_step(reader);
		if (step > 0)
			max = reader->field == &fields[WEEKDAY] ? Max(min, 6) : last;
	}
	return bits_of(reader, min, max, step);
}

static uint64
read_star(Reader *reader)
{
	int			max = reader->field == &fields[WEEKDAY] ? 6
		: reader->field->max;

	return bits_of(reader, reader->field->min, max, read_step(reader));
}

/*
 * L, L-3, LW.
 */
static void
read_last_day(Reader *reader, UaefCron *cron)
{
	int			before = 0;

	if (skip(reader, 'w'))
	{
		cron->nearest_weekdays |= 1;
		return;
	}
	if (skip(reader, '-'))
	{
		before = read_digits(reader);
		if (before > 30)
			refuse(reader, "\"L-30\" is the earliest day before the last.");
	}
	cron->days_before_last |= UINT64CONST(1) << before;
}

static void
read_day(Reader *reader, UaefCron *cron)
{
	int			day;

	if (skip(reader, 'l'))
	{
		read_last_day(reader, cron);
		return;
	}
	day = read_value(reader);
	if (skip(reader, 'w'))
		cron->nearest_weekdays |= UINT64CONST(1) << day;
	else
		cron->days |= (uint32) read_range(reader, day);
}

/*
 * 5L, 5#2, or a plain range.
 */
static void
read_weekday(Reader *reader, UaefCron *cron)
{
	int			day = read_value(reader);

	if (skip(reader, 'l'))
		cron->nth_weekdays[day % 7] |= 1;
	else if (skip(reader, '#'))
	{
		int			nth = read_digits(reader);

		if (nth < 1 || nth > 5)
			refuse(reader, "after \"#\" a number from 1 to 5 is expected.");
		cron->nth_weekdays[day % 7] |= 1 << nth;
	}
	else
		cron->weekdays |= (uint32) read_range(reader, day);
}

static void
add_item(Reader *reader, int no, UaefCron *cron)
{
	uint64		bits;

	if (no == DAY || no == WEEKDAY)
	{
		if (*reader->at != '*' && *reader->at != '?')
		{
			if (no == DAY)
				read_day(reader, cron);
			else
				read_weekday(reader, cron);
			return;
		}
		if (skip(reader, '?'))
			bits = bits_of(reader, reader->field->min,
						   no == DAY ? 31 : 6, 0);
		else
		{
			reader->at++;
			bits = read_star(reader);
		}
	}
	else if (skip(reader, '*'))
		bits = read_star(reader);
	else
		bits = read_range(reader, read_value(reader));

	switch (no)
	{
		case SECOND:
			cron->seconds |= bits;
			break;
		case MINUTE:
			cron->minutes |= bits;
			break;
		case HOUR:
			cron->hours |= (uint32) bits;
			break;
		case DAY:
			cron->days |= (uint32) bits;
			break;
		case MONTH:
			cron->months |= (uint32) bits;
			break;
		default:
			cron->weekdays |= (uint32) bits;
	}
}

static void
read_field(const char *text, int no, const char *field, UaefCron *cron)
{
	Reader		reader = {text, &fields[no], field};
	bool		star = *field == '*' || *field == '?';

	if (no == DAY)
		cron->days_star = star;
	if (no == WEEKDAY)
		cron->weekdays_star = star;
	do
		add_item(&reader, no, cron);
	while (skip(&reader, ','));
	if (*reader.at != '\0')
		refuse(&reader, psprintf("\"%s\" is not understood.", reader.at));
}

/*
 * Cut an expression at blanks; returns how many fields it has, one too many
 * at most.
 */
static int
split(char *text, char **result)
{
	static const char blanks[] = " \t\r\n";
	int			n = 0;

	for (char *at = text + strspn(text, blanks); *at != '\0';
		 at += strspn(at, blanks))
	{
		size_t		len = strcspn(at, blanks);

		if (n == MAX_FIELDS)
			return n + 1;
		result[n++] = pnstrdup(at, len);
		at += len;
	}
	return n;
}

static const char *
expand_macro(const char *text)
{
	for (int i = 0; i < lengthof(macros); i++)
		if (pg_strcasecmp(text, macros[i].name) == 0)
			return macros[i].expression;
	if (*text == '@')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("bad cron expression \"%s\"", text),
				 errhint("The names are @yearly, @annually, @monthly, @weekly, @daily, @midnight and @hourly; for other distances use \"every\".")));
	return text;
}

UaefCron *
uaef_cron_parse(const char *text)
{
	UaefCron   *cron = palloc0(sizeof(UaefCron));
	char	   *parts[MAX_FIELDS];
	int			n = split(pstrdup(expand_macro(text)), parts);

	if (n != 5 && n != 6)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("bad cron expression \"%s\"", text),
				 errdetail("It has %s fields.", n > 6 ? "more than 6" :
						   psprintf("%d", n)),
				 errhint("The fields are: minute, hour, day of month, month, day of week; before them, if wanted, second.")));
	if (n == 5)
		cron->seconds = 1;
	for (int i = 0; i < n; i++)
		read_field(text, MAX_FIELDS - n + i, parts[i], cron);

	if (uaef_cron_next(cron, YEAR_2000, pg_tzset("GMT")) == UAEF_CRON_NEVER)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cron expression \"%s\" names no day that there is",
						text)));
	return cron;
}
