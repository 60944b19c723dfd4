/*-------------------------------------------------------------------------
 *
 * inbound_xml.c
 *	  XML messages as jsonb.
 *
 * What messages are made of is read, and all else refused: a document type
 * could make a small text a large one, or read files.  Namespaces are not
 * resolved.  Pure; memory: the caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"

#include "http_body.h"
#include "inbound_xml.h"

#define MAX_DEPTH		32
#define MAX_ELEMENTS	50000
#define MAX_SIBLINGS	2000

/* An element; those below it are a list in their order. */
typedef struct Element
{
	char	   *name;			/* without prefix */
	char	   *type;			/* xsi:type without prefix, or NULL */
	bool		nil;
	int			n_below;
	StringInfoData text;
	struct Element *first;
	struct Element *last;
	struct Element *next;
} Element;

typedef struct Reader
{
	const char *at;
	const char *end;
	int			elements;
} Reader;

static Element *read_element(Reader *reader, int depth);
static void push_element(JsonbParseState **state, const Element *element,
						 JsonbIteratorToken as);

static bool
looks_at(const Reader *reader, const char *word)
{
	size_t		len = strlen(word);

	return (size_t) (reader->end - reader->at) >= len &&
		memcmp(reader->at, word, len) == 0;
}

static void
skip_space(Reader *reader)
{
	while (reader->at < reader->end && strchr(" \t\r\n", *reader->at) != NULL &&
		   *reader->at != '\0')
		reader->at++;
}

/*
 * Go on after the next word; false when there is none.
 */
static bool
skip_past(Reader *reader, const char *word)
{
	while (reader->at < reader->end && !looks_at(reader, word))
		reader->at++;
	if (reader->at >= reader->end)
		return false;
	reader->at += strlen(word);
	return true;
}

/*
 * Go on after spaces, comments and processing instructions.
 */
static bool
skip_misc(Reader *reader)
{
	for (;;)
	{
		skip_space(reader);
		if (looks_at(reader, "<!--"))
		{
			if (!skip_past(reader, "-->"))
				return false;
		}
		else if (looks_at(reader, "<?"))
		{
			if (!skip_past(reader, "?>"))
				return false;
		}
		else
			return true;
	}
}

static bool
is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		(c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.' ||
		c == ':' || IS_HIGHBIT_SET(c);
}

/*
 * A name with its prefix; NULL when there is none.
 */
static char *
read_name(Reader *reader)
{
	const char *from = reader->at;

	while (reader->at < reader->end && is_name_char(*reader->at))
		reader->at++;
	return reader->at == from ? NULL : pnstrdup(from, reader->at - from);
}

static char *
without_prefix(char *name)
{
	char	   *colon = strrchr(name, ':');

	return colon == NULL ? name : colon + 1;
}

/*
 * Append the character of a reference, which begins with "&".
 */
static bool
read_reference(Reader *reader, StringInfo text)
{
	static const struct
	{
		const char *word;
		char		c;
	}			named[] = {
		{"&lt;", '<'}, {"&gt;", '>'}, {"&amp;", '&'}, {"&quot;", '"'},
		{"&apos;", '\''}
	};
	unsigned char utf8[8] = {0};
	char	   *after;
	unsigned long code;
	bool		hex;

	for (int i = 0; i < lengthof(named); i++)
	{
		if (looks_at(reader, named[i].word))
		{
			appendStringInfoChar(text, named[i].c);
			reader->at += strlen(named[i].word);
			return true;
		}
	}
	if (!looks_at(reader, "&#"))
		return false;
	hex = looks_at(reader, "&#x");
	reader->at += hex ? 3 : 2;
	if (strspn(reader->at, hex ? "0123456789abcdefABCDEF" : "0123456789") == 0)
		return false;
	code = strtoul(reader->at, &after, hex ? 16 : 10);
	if (*after != ';' || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ||
		(code < ' ' && code != '\t' && code != '\n' && code != '\r') ||
		(code >= 0x80 && GetDatabaseEncoding() != PG_UTF8))
		return false;
	unicode_to_utf8((pg_wchar) code, utf8);
	appendBinaryStringInfo(text, (char *) utf8, pg_utf_mblen(utf8));
	reader->at = after + 1;
	return true;
}

/*
 * Append characters up to one of stop.
 */
static bool
read_text(Reader *reader, const char *stop, StringInfo text)
{
	while (reader->at < reader->end && strchr(stop, *reader->at) == NULL)
	{
		if (*reader->at != '&')
			appendStringInfoChar(text, *reader->at++);
		else if (!read_reference(reader, text))
			return false;
	}
	return reader->at < reader->end;
}

/*
 * The attributes of a start tag, of which two count.
 */
static bool
read_attributes(Reader *reader, Element *element)
{
	StringInfoData value;

	initStringInfo(&value);
	for (;;)
	{
		char	   *name;
		char		quote[3] = {0, '<', 0};

		skip_space(reader);
		name = read_name(reader);
		if (name == NULL)
			return true;
		skip_space(reader);
		if (reader->at >= reader->end || *reader->at++ != '=')
			return false;
		skip_space(reader);
		if (reader->at >= reader->end ||
			(*reader->at != '"' && *reader->at != '\''))
			return false;
		quote[0] = *reader->at++;
		resetStringInfo(&value);
		if (!read_text(reader, quote, &value) || *reader->at++ != quote[0])
			return false;
		if (strcmp(name, "xsi:type") == 0)
			element->type = pstrdup(without_prefix(value.data));
		else if (strcmp(name, "xsi:nil") == 0)
			element->nil = strcmp(value.data, "true") == 0 ||
				strcmp(value.data, "1") == 0;
	}
}

static void
add_below(Element *element, Element *below)
{
	if (element->last == NULL)
		element->first = below;
	else
		element->last->next = below;
	element->last = below;
}

/*
 * What is between the tags of an element, and its end tag.
 */
static bool
read_content(Reader *reader, Element *element, const char *name, int depth)
{
	for (;;)
	{
		if (!read_text(reader, "<", &element->text))
			return false;
		if (looks_at(reader, "</"))
		{
			char	   *end_name;

			reader->at += 2;
			end_name = read_name(reader);
			skip_space(reader);
			return end_name != NULL && strcmp(end_name, name) == 0 &&
				reader->at < reader->end && *reader->at++ == '>';
		}
		if (looks_at(reader, "<![CDATA["))
		{
			const char *from = reader->at += strlen("<![CDATA[");

			if (!skip_past(reader, "]]>"))
				return false;
			appendBinaryStringInfo(&element->text, from,
								   reader->at - strlen("]]>") - from);
		}
		else if (looks_at(reader, "<!--") || looks_at(reader, "<?"))
		{
			if (!skip_past(reader, looks_at(reader, "<?") ? "?>" : "-->"))
				return false;
		}
		else
		{
			Element    *below = read_element(reader, depth + 1);

			if (below == NULL || ++element->n_below > MAX_SIBLINGS)
				return false;
			add_below(element, below);
		}
	}
}

/*
 * NULL when it is malformed, too deep, or one too many.
 */
static Element *
read_element(Reader *reader, int depth)
{
	Element    *element = palloc0(sizeof(Element));
	char	   *name;

	if (depth > MAX_DEPTH || ++reader->elements > MAX_ELEMENTS ||
		!looks_at(reader, "<"))
		return NULL;
	reader->at++;
	name = read_name(reader);
	if (name == NULL)
		return NULL;
	element->name = without_prefix(name);
	initStringInfo(&element->text);
	if (!read_attributes(reader, element))
		return NULL;
	if (looks_at(reader, "/>"))
	{
		reader->at += 2;
		return element;
	}
	if (!looks_at(reader, ">"))
		return NULL;
	reader->at++;
	return read_content(reader, element, name, depth) ? element : NULL;
}

static void
push_text(JsonbParseState **state, const char *text, JsonbIteratorToken as)
{
	JsonbValue	value;

	value.type = jbvString;
	value.val.string.val = unconstify(char *, text);
	value.val.string.len = strlen(text);
	(void) pushJsonbValue(state, as, &value);
}

/*
 * The elements of one name below an element, from the first one on.
 */
static void
push_named(JsonbParseState **state, const Element *first)
{
	int			n = 0;

	for (const Element *e = first; e != NULL; e = e->next)
		n += strcmp(e->name, first->name) == 0;
	push_text(state, first->name, WJB_KEY);
	if (n == 1)
	{
		push_element(state, first, WJB_VALUE);
		return;
	}
	(void) pushJsonbValue(state, WJB_BEGIN_ARRAY, NULL);
	for (const Element *e = first; e != NULL; e = e->next)
		if (strcmp(e->name, first->name) == 0)
			push_element(state, e, WJB_ELEM);
	(void) pushJsonbValue(state, WJB_END_ARRAY, NULL);
}

static void
push_element(JsonbParseState **state, const Element *element,
			 JsonbIteratorToken as)
{
	JsonbValue	null = {.type = jbvNull};

	if (element->nil)
	{
		(void) pushJsonbValue(state, as, &null);
		return;
	}
	if (element->first == NULL)
	{
		push_text(state, element->text.data, as);
		return;
	}
	(void) pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	for (const Element *e = element->first; e != NULL; e = e->next)
	{
		bool		seen = false;

		for (const Element *f = element->first; f != e && !seen; f = f->next)
			seen = strcmp(e->name, f->name) == 0;
		if (!seen)
			push_named(state, e);
	}
	if (element->type != NULL)
	{
		push_text(state, "type", WJB_KEY);
		push_text(state, element->type, WJB_VALUE);
	}
	(void) pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

Jsonb *
uaef_xml_json(const char *text, size_t len)
{
	/* A copy ends with a zero, so nothing reads on behind it. */
	char	   *copy = pnstrdup(text, len);
	Reader		reader = {copy, copy + len};
	JsonbParseState *state = NULL;
	Element    *root;

	if (!uaef_http_is_text(text, len) || !skip_misc(&reader))
		return NULL;
	root = read_element(&reader, 1);
	if (root == NULL || !skip_misc(&reader) || reader.at != reader.end)
		return NULL;
	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_text(&state, root->name, WJB_KEY);
	push_element(&state, root, WJB_VALUE);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}
