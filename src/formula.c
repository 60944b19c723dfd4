/*-------------------------------------------------------------------------
 *
 * formula.c
 *	  Formulas in the manner of Python as expressions of the amount language.
 *
 * A formula is read by recursive descent and written anew; nothing of it is
 * ever executed.  What is not understood is refused, with its place: an
 * expression that means something else would pay something else.
 *
 * Locking: none.  Memory: the current context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"

#include "errcodes.h"
#include "eval_error.h"
#include "formula.h"

#define MAX_BYTES	8192
#define MAX_DEPTH	64

typedef struct Reader
{
	const char *text;
	const char *at;
	int			depth;
} Reader;

pg_noreturn static void bad(Reader *reader, const char *detail);
static void skip_blanks(Reader *reader);
static bool take(Reader *reader, const char *symbol);
static void expect(Reader *reader, const char *symbol);
static bool is_word_char(char c);
static bool accept_word(Reader *reader, const char *word);
static char *read_word(Reader *reader);
static char *read_quoted(Reader *reader);
static char *path_name(const char *name);
static char *read_data(Reader *reader);
static char *read_arguments(Reader *reader, int *n);
static char *read_decimal(Reader *reader);
static char *read_call(Reader *reader, const char *name);
static char *read_number(Reader *reader);
static char *read_primary(Reader *reader);
static char *read_sign(Reader *reader);
static char *read_product(Reader *reader);
static char *read_sum(Reader *reader);
static char *read_comparison(Reader *reader);
static char *read_not(Reader *reader);
static char *read_and(Reader *reader);
static char *read_or(Reader *reader);
static char *read_choice(Reader *reader);

static void
bad(Reader *reader, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_UAEF_BAD_FORMULA),
			 errmsg("formula cannot be translated at character %d",
					(int) (reader->at - reader->text) + 1),
			 errdetail_internal("%s", detail),
			 errhint("Write it in the amount language.")));
}

static void
skip_blanks(Reader *reader)
{
	reader->at += strspn(reader->at, " \t\r\n");
}

/* Take a symbol, if it is next and not the beginning of a longer one. */
static bool
take(Reader *reader, const char *symbol)
{
	int			len = strlen(symbol);
	char		next;

	skip_blanks(reader);
	if (strncmp(reader->at, symbol, len) != 0)
		return false;
	next = reader->at[len];
	if ((symbol[0] == '*' || symbol[0] == '/') && next == symbol[0])
		bad(reader, "Powers and whole divisions are not understood.");
	if ((strcmp(symbol, "<") == 0 || strcmp(symbol, ">") == 0) && next == '=')
		return false;
	reader->at += len;
	return true;
}

static void
expect(Reader *reader, const char *symbol)
{
	if (!take(reader, symbol))
		bad(reader, psprintf("\"%s\" is expected here.", symbol));
}

static bool
is_word_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		(c >= '0' && c <= '9') || c == '_';
}

static bool
accept_word(Reader *reader, const char *word)
{
	int			len = strlen(word);

	skip_blanks(reader);
	if (strncmp(reader->at, word, len) != 0 || is_word_char(reader->at[len]))
		return false;
	reader->at += len;
	return true;
}

/* A name, or NULL. */
static char *
read_word(Reader *reader)
{
	const char *start;

	skip_blanks(reader);
	start = reader->at;
	if (*start >= '0' && *start <= '9')
		return NULL;
	while (is_word_char(*reader->at))
		reader->at++;
	return reader->at == start ? NULL : pnstrdup(start, reader->at - start);
}

/* 'text' or "text", without escapes */
static char *
read_quoted(Reader *reader)
{
	const char *start;
	const char *end;

	skip_blanks(reader);
	if (*reader->at != '\'' && *reader->at != '"')
		bad(reader, "A text in quotes is expected here.");
	start = reader->at + 1;
	end = strchr(start, *reader->at);
	if (end == NULL)
		bad(reader, "A text has no closing quote.");
	if (memchr(start, '\\', end - start) != NULL)
		bad(reader, "Escapes in texts are not understood.");
	reader->at = end + 1;
	return pnstrdup(start, end - start);
}

/* A name of a path, in quotes where it needs them. */
static char *
path_name(const char *name)
{
	StringInfoData quoted;

	if (strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
		== strlen(name) && name[0] != '\0' && !(name[0] >= '0' && name[0] <= '9'))
		return pstrdup(name);
	initStringInfo(&quoted);
	appendStringInfoChar(&quoted, '"');
	for (const char *c = name; *c != '\0'; c++)
	{
		if (*c == '"')
			appendStringInfoChar(&quoted, '"');
		appendStringInfoChar(&quoted, *c);
	}
	appendStringInfoChar(&quoted, '"');
	return quoted.data;
}

/* data['a']['b'][0], data.get('a', 0); the word data was taken */
static char *
read_data(Reader *reader)
{
	StringInfoData path;

	initStringInfo(&path);
	appendStringInfoString(&path, "in");
	for (;;)
	{
		if (take(reader, "["))
		{
			skip_blanks(reader);
			if (*reader->at >= '0' && *reader->at <= '9')
			{
				int			n = strspn(reader->at, "0123456789");

				appendStringInfo(&path, "[%.*s]", n, reader->at);
				reader->at += n;
			}
			else
				appendStringInfo(&path, ".%s",
								 path_name(read_quoted(reader)));
			expect(reader, "]");
		}
		else if (take(reader, "."))
		{
			if (!accept_word(reader, "get"))
				bad(reader, "Of the methods of data only get is understood.");
			expect(reader, "(");
			appendStringInfo(&path, ".%s", path_name(read_quoted(reader)));
			if (take(reader, ","))
			{
				char	   *otherwise = read_choice(reader);

				expect(reader, ")");
				return psprintf("default(%s, %s)", path.data, otherwise);
			}
			expect(reader, ")");
		}
		else if (path.len == 2)
			bad(reader, "data needs a key: data['amount'].");
		else
			return path.data;
	}
}

/* The arguments of a call, joined by commas; "(" was taken. */
static char *
read_arguments(Reader *reader, int *n)
{
	char	   *text = read_choice(reader);

	for (*n = 1; take(reader, ","); (*n)++)
		text = psprintf("%s, %s", text, read_choice(reader));
	expect(reader, ")");
	return text;
}

/* Decimal('0.1'), Decimal(x): the number itself; "(" was taken */
static char *
read_decimal(Reader *reader)
{
	char	   *text;

	skip_blanks(reader);
	if (*reader->at != '\'' && *reader->at != '"')
	{
		text = psprintf("number(%s)", read_choice(reader));
		expect(reader, ")");
		return text;
	}
	text = read_quoted(reader);
	if (strspn(text, "0123456789.") != strlen(text) || text[0] == '.' ||
		text[0] == '\0')
		bad(reader, "This is no decimal number.");
	expect(reader, ")");
	return text;
}

static char *
read_call(Reader *reader, const char *name)
{
	static const char *const as_they_are[] = {"min", "max", "abs", "round"};
	char	   *arguments;
	int			n;

	expect(reader, "(");
	if (strcmp(name, "Decimal") == 0 || strcmp(name, "float") == 0)
		return read_decimal(reader);
	for (int i = 0; i < lengthof(as_they_are); i++)
	{
		if (strcmp(name, as_they_are[i]) != 0)
			continue;
		arguments = read_arguments(reader, &n);
		if ((i < 2 && n < 2) || (i == 2 && n != 1) || (i == 3 && n > 2))
			bad(reader, psprintf("%s does not have %d arguments here.", name,
								 n));
		return psprintf("%s(%s)", name, arguments);
	}
	bad(reader, psprintf("There is no \"%s\" here.", name));
}

static char *
read_number(Reader *reader)
{
	const char *start = reader->at;

	reader->at += strspn(reader->at, "0123456789");
	if (reader->at > start && *reader->at == '.')
	{
		reader->at++;
		if (strspn(reader->at, "0123456789") == 0)
			bad(reader, "A digit is expected after the point.");
		reader->at += strspn(reader->at, "0123456789");
	}
	if (reader->at == start || is_word_char(*reader->at))
		bad(reader, "This is not understood.");
	return pnstrdup(start, reader->at - start);
}

static char *
read_primary(Reader *reader)
{
	char	   *text;
	char	   *word;

	check_stack_depth();
	if (take(reader, "("))
	{
		text = psprintf("(%s)", read_choice(reader));
		expect(reader, ")");
		return text;
	}
	skip_blanks(reader);
	if (*reader->at == '\'' || *reader->at == '"')
		return psprintf("\"%s\"", read_quoted(reader));
	word = read_word(reader);
	if (word == NULL)
		return read_number(reader);
	if (strcmp(word, "data") == 0)
		return read_data(reader);
	if (strcmp(word, "True") == 0)
		return "true";
	if (strcmp(word, "False") == 0)
		return "false";
	return read_call(reader, word);
}

static char *
read_sign(Reader *reader)
{
	if (take(reader, "-"))
		return psprintf("-%s", read_primary(reader));
	return read_primary(reader);
}

static char *
read_product(Reader *reader)
{
	char	   *text = read_sign(reader);

	for (;;)
	{
		if (take(reader, "*"))
			text = psprintf("%s * %s", text, read_sign(reader));
		else if (take(reader, "/"))
			text = psprintf("%s / %s", text, read_sign(reader));
		else
			return text;
	}
}

static char *
read_sum(Reader *reader)
{
	char	   *text = read_product(reader);

	for (;;)
	{
		if (take(reader, "+"))
			text = psprintf("%s + %s", text, read_product(reader));
		else if (take(reader, "-"))
			text = psprintf("%s - %s", text, read_product(reader));
		else
			return text;
	}
}

static char *
read_comparison(Reader *reader)
{
	static const char *const symbols[][2] = {
		{"==", "="}, {"!=", "!="}, {"<=", "<="}, {">=", ">="}, {"<", "<"},
		{">", ">"}
	};
	char	   *text = read_sum(reader);
	bool		compared = false;

	for (int i = 0; i < lengthof(symbols); i++)
	{
		if (!take(reader, symbols[i][0]))
			continue;
		if (compared)
			bad(reader, "Comparisons in a row are not understood.");
		text = psprintf("%s %s %s", text, symbols[i][1], read_sum(reader));
		compared = true;
		i = -1;
	}
	return text;
}

static char *
read_not(Reader *reader)
{
	if (accept_word(reader, "not"))
		return psprintf("not %s", read_comparison(reader));
	return read_comparison(reader);
}

static char *
read_and(Reader *reader)
{
	char	   *text = read_not(reader);

	while (accept_word(reader, "and"))
		text = psprintf("%s and %s", text, read_not(reader));
	return text;
}

static char *
read_or(Reader *reader)
{
	char	   *text = read_and(reader);

	while (accept_word(reader, "or"))
		text = psprintf("%s or %s", text, read_and(reader));
	return text;
}

/* a if c else b */
static char *
read_choice(Reader *reader)
{
	char	   *text;
	char	   *condition;

	if (++reader->depth > MAX_DEPTH)
		bad(reader, "The formula is too deep.");
	text = read_or(reader);
	if (accept_word(reader, "if"))
	{
		condition = read_or(reader);
		if (!accept_word(reader, "else"))
			bad(reader, "\"else\" is expected here.");
		text = psprintf("(if %s then %s else %s)", condition, text,
						read_choice(reader));
	}
	reader->depth--;
	return text;
}

char *
uaef_formula_migrate(const char *formula)
{
	Reader		reader = {formula, formula, 0};
	char	   *text;

	if (strlen(formula) > MAX_BYTES)
		bad(&reader, "It is too long.");
	text = read_choice(&reader);
	skip_blanks(&reader);
	if (*reader.at != '\0')
		bad(&reader, "This is not understood.");
	return text;
}
