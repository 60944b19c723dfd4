/*-------------------------------------------------------------------------
 *
 * http_headers.c
 *	  Headers of a request that somebody hands us.
 *
 * Names have no case.  A header may come several times, as an array of values
 * or under names that differ in case.  Pure; memory: the caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "http_headers.h"
#include "json_util.h"

/* More than any front end lets through. */
#define MAX_HEADERS			200
#define MAX_HEADER_BYTES	(64 * 1024)

char *
uaef_header_lower(char *name)
{
	for (char *p = name; *p != '\0'; p++)
		*p = pg_ascii_tolower((unsigned char) *p);
	return name;
}

static bool
is_name(const char *name)
{
	return *name != '\0' &&
		strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~") ==
		strlen(name);
}

/*
 * A value without the space around it; NULL when it has control characters.
 */
static char *
value_of(const JsonbValue *text)
{
	const char *from = text->val.string.val;
	const char *to = from + text->val.string.len;

	for (const char *p = from; p < to; p++)
	{
		unsigned char c = *p;

		if ((c < ' ' && c != '\t') || c == 0x7f)
			return NULL;
	}
	while (from < to && (*from == ' ' || *from == '\t'))
		from++;
	while (to > from && (to[-1] == ' ' || to[-1] == '\t'))
		to--;
	return pnstrdup(from, to - from);
}

const char *
uaef_headers_read(Jsonb *document, UaefHeaders *headers)
{
	memset(headers, 0, sizeof(*headers));
	headers->items = palloc(sizeof(UaefHeader) * MAX_HEADERS);
	return uaef_headers_add(document, headers);
}

const char *
uaef_headers_add(Jsonb *document, UaefHeaders *headers)
{
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	value;
	char	   *name = NULL;
	int			depth = 0;

	if (document == NULL || JB_ROOT_IS_SCALAR(document))
		return document == NULL ? NULL : "The headers are not an object.";
	if (!JB_ROOT_IS_OBJECT(document) || VARSIZE(document) > MAX_HEADER_BYTES)
		return "The headers are not an object, or too large.";
	it = JsonbIteratorInit(&document->root);
	while ((token = JsonbIteratorNext(&it, &value, false)) != WJB_DONE)
	{
		if (token == WJB_BEGIN_OBJECT && depth++ > 0)
			return "A header is an object.";
		if (token == WJB_KEY)
			name = uaef_header_lower(pnstrdup(value.val.string.val,
											  value.val.string.len));
		if (token == WJB_KEY && !is_name(name))
			return "The name of a header is malformed.";
		if ((token == WJB_VALUE || token == WJB_ELEM) &&
			value.type != jbvNull)
		{
			UaefHeader *header = &headers->items[headers->n];

			if (headers->n++ == MAX_HEADERS)
				return "There are too many headers.";
			header->name = name;
			if (value.type != jbvString ||
				(header->value = value_of(&value)) == NULL)
				return "The value of a header is no text, or has control characters.";
		}
	}
	return NULL;
}

const char *
uaef_header(const UaefHeaders *headers, const char *name)
{
	const char *found = NULL;

	for (int i = 0; i < headers->n; i++)
	{
		if (strcmp(headers->items[i].name, name) != 0)
			continue;
		if (found != NULL && strcmp(found, headers->items[i].value) != 0)
			return NULL;
		found = headers->items[i].value;
	}
	return found;
}

char *
uaef_header_joined(const UaefHeaders *headers, const char *name,
				   const char *between)
{
	StringInfoData joined;
	bool		found = false;

	initStringInfo(&joined);
	for (int i = 0; i < headers->n; i++)
	{
		if (strcmp(headers->items[i].name, name) != 0)
			continue;
		appendStringInfo(&joined, "%s%s", found ? between : "",
						 headers->items[i].value);
		found = true;
	}
	return found ? joined.data : NULL;
}

static bool
is_secret(const char *name, const char *const *secret)
{
	static const char *const always[] = {
		"authorization", "cookie", "proxy-authorization",
		"x-amz-security-token", "x-api-key", NULL
	};

	for (int i = 0; always[i] != NULL; i++)
		if (strcmp(always[i], name) == 0)
			return true;
	for (int i = 0; secret[i] != NULL; i++)
		if (strcmp(secret[i], name) == 0)
			return true;
	return false;
}

Jsonb *
uaef_headers_json(const UaefHeaders *headers, const char *const *secret)
{
	UaefJson	json;

	uaef_json_begin(&json);
	for (int i = 0; i < headers->n; i++)
	{
		const char *name = headers->items[i].name;
		bool		first = true;

		for (int j = 0; j < i; j++)
			first = first && strcmp(headers->items[j].name, name) != 0;
		if (first && !is_secret(name, secret))
			uaef_json_text(&json, name,
						   uaef_header_joined(headers, name, ", "));
	}
	return uaef_json_end(&json);
}
