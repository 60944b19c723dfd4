/*-------------------------------------------------------------------------
 *
 * http_body.c
 *	  Bodies of requests and answers as jsonb, whatever bytes they hold.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "base64.h"
#include "error_class.h"
#include "hash256.h"
#include "http_body.h"
#include "json_util.h"
#include "subtransaction.h"

/* Fields of a form. */
#define MAX_FIELDS 1000

bool
uaef_http_is_text(const char *data, size_t len)
{
	if (len > MaxAllocSize / 8 || memchr(data, '\0', len) != NULL)
		return false;
	if (GetDatabaseEncoding() == PG_UTF8)
		return pg_verify_mbstr(PG_UTF8, data, len, true);
	for (size_t i = 0; i < len; i++)
	{
		if (IS_HIGHBIT_SET(data[i]))
			return false;
	}
	return true;
}

bool
uaef_http_is_json(const char *content_type)
{
	size_t		len;

	if (content_type == NULL)
		return false;
	len = strcspn(content_type, "; \t");
	return (len == 16 &&
			pg_strncasecmp(content_type, "application/json", 16) == 0) ||
		(len >= 22 &&
		 pg_strncasecmp(content_type, "application/x-amz-json", 22) == 0) ||
		(len > 5 && pg_strncasecmp(content_type + len - 5, "+json", 5) == 0);
}

typedef struct Parse
{
	char	   *text;
	Jsonb	   *document;
} Parse;

static void
parse(void *arg)
{
	Parse	   *it = arg;

	it->document = DatumGetJsonbP(DirectFunctionCall1(jsonb_in,
													  CStringGetDatum(it->text)));
}

/*
 * The input function raises for what it does not take, and it may do so from
 * any depth.
 */
Jsonb *
uaef_http_parse_json(char *text)
{
	Parse		it = {text, NULL};
	ErrorData  *error = uaef_try(parse, &it);

	if (error == NULL)
		return it.document;
	if (uaef_error_is_transient(error->sqlerrcode))
		ReThrowError(error);
	return NULL;
}

static Jsonb *
text_value(char *text, size_t len)
{
	JsonbValue	value;

	value.type = jbvString;
	value.val.string.val = text;
	value.val.string.len = len;
	return uaef_json_from_value(&value);
}

Jsonb *
uaef_http_body(const char *data, size_t len, bool declared_json)
{
	Jsonb	   *document = NULL;
	UaefJson	json;
	char	   *text;

	if (!uaef_http_is_text(data, len))
	{
		uaef_json_begin(&json);
		uaef_json_text(&json, "base64", uaef_base64(data, len));
		return uaef_json_end(&json);
	}
	text = pnstrdup(data, len);
	if (declared_json)
		document = uaef_http_parse_json(text);
	return document != NULL ? document : text_value(text, len);
}

/*
 * A name or value of a form, decoded; NULL when it is malformed or no text.
 */
static char *
decode(const char *from, const char *to)
{
	char	   *text = palloc(to - from + 1);
	int			len = 0;

	for (; from < to; from++)
	{
		if (*from != '%')
		{
			text[len++] = *from == '+' ? ' ' : *from;
			continue;
		}
		if (to - from < 3 || uaef_hex_digit(from[1]) < 0 || uaef_hex_digit(from[2]) < 0)
			return NULL;
		text[len++] = (char) (uaef_hex_digit(from[1]) << 4 | uaef_hex_digit(from[2]));
		from += 2;
	}
	text[len] = '\0';
	return uaef_http_is_text(text, len) ? text : NULL;
}

/*
 * The fields of a form as objects by name: one value is a string, several are
 * an array.
 */
static Jsonb *
fields_json(char *const *names, char *const *values, int n)
{
	char	  **same = palloc(sizeof(char *) * Max(n, 1));
	bool	   *done = palloc0(sizeof(bool) * Max(n, 1));
	UaefJson	json;

	uaef_json_begin(&json);
	for (int i = 0; i < n; i++)
	{
		int			found = 0;

		if (done[i])
			continue;
		for (int j = i; j < n; j++)
		{
			if (strcmp(names[i], names[j]) != 0)
				continue;
			same[found++] = values[j];
			done[j] = true;
		}
		if (found == 1)
			uaef_json_text(&json, names[i], values[i]);
		else
			uaef_json_texts(&json, names[i], same, found);
	}
	return uaef_json_end(&json);
}

Jsonb *
uaef_http_form(const char *data, size_t len)
{
	const char *end = data + len;
	char	   *names[MAX_FIELDS];
	char	   *values[MAX_FIELDS];
	int			n = 0;

	while (data < end)
	{
		const char *next = memchr(data, '&', end - data);
		const char *to = next != NULL ? next : end;
		const char *equals = memchr(data, '=', to - data);
		const char *name_end = equals != NULL ? equals : to;

		if (to > data)
		{
			if (n == MAX_FIELDS)
				return NULL;
			names[n] = decode(data, name_end);
			values[n] = decode(equals != NULL ? equals + 1 : to, to);
			if (names[n] == NULL || values[n] == NULL)
				return NULL;
			n++;
		}
		data = next != NULL ? next + 1 : end;
	}
	return fields_json(names, values, n);
}
