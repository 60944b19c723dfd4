/*-------------------------------------------------------------------------
 *
 * http_draft.c
 *	  HTTP requests while they take shape.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "http_draft.h"

static char *to_utf8(char *text);
static int	find_header(const UaefHttpDraft *draft, const char *name);
static void set_line(UaefHttpDraft *draft, const char *name, char *line);
static void default_type(UaefHttpDraft *draft, const char *content_type);

static char *
to_utf8(char *text)
{
	return pg_server_to_any(text, strlen(text), PG_UTF8);
}

/*
 * Its place, or -1.  Behind the name there is a colon, or a semicolon where the
 * value is empty.
 */
static int
find_header(const UaefHttpDraft *draft, const char *name)
{
	size_t		len = strlen(name);

	for (int i = 0; i < draft->n_headers; i++)
	{
		const char *header = draft->headers[i];

		if (pg_strncasecmp(header, name, len) == 0 &&
			(header[len] == ':' || header[len] == ';'))
			return i;
	}
	return -1;
}

/*
 * Set a header line, in place of one of the same name.
 */
static void
set_line(UaefHttpDraft *draft, const char *name, char *line)
{
	int			i = find_header(draft, name);

	if (i >= 0)
	{
		draft->headers[i] = line;
		return;
	}
	if (draft->n_headers == draft->max_headers)
	{
		draft->max_headers = Max(draft->max_headers * 2, 16);
		draft->headers = draft->headers == NULL
			? palloc(draft->max_headers * sizeof(char *))
			: repalloc(draft->headers, draft->max_headers * sizeof(char *));
	}
	draft->headers[draft->n_headers++] = line;
}

/*
 * libcurl drops a header that has no value, unless it ends in a semicolon.
 */
void
uaef_draft_header(UaefHttpDraft *draft, const char *name, const char *value)
{
	set_line(draft, name, to_utf8(*value == '\0' ? psprintf("%s;", name)
								  : psprintf("%s: %s", name, value)));
	if (pg_strcasecmp(name, "content-type") == 0)
		draft->content_type = pstrdup(value);
}

void
uaef_draft_no_content_type(UaefHttpDraft *draft)
{
	set_line(draft, "Content-Type", pstrdup("Content-Type:"));
}

bool
uaef_draft_has_header(const UaefHttpDraft *draft, const char *name)
{
	return find_header(draft, name) >= 0;
}

void
uaef_draft_headers(UaefHttpDraft *draft, Jsonb *headers)
{
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	part;
	char	   *name = NULL;

	if (headers == NULL)
		return;
	it = JsonbIteratorInit(&headers->root);
	while ((token = JsonbIteratorNext(&it, &part, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			name = pnstrdup(part.val.string.val, part.val.string.len);
		else if (token == WJB_VALUE)
			uaef_draft_header(draft, name, pnstrdup(part.val.string.val,
													part.val.string.len));
	}
}

static void
default_type(UaefHttpDraft *draft, const char *content_type)
{
	if (draft->content_type == NULL)
		uaef_draft_header(draft, "Content-Type", content_type);
}

void
uaef_draft_text(UaefHttpDraft *draft, char *text, const char *content_type)
{
	default_type(draft, content_type);
	draft->body = to_utf8(text);
	draft->body_len = strlen(draft->body);
}

/*
 * Under a content type that is not JSON, a string goes as it is.
 */
void
uaef_draft_json(UaefHttpDraft *draft, Jsonb *value)
{
	JsonbValue	scalar;

	if (draft->content_type != NULL &&
		strstr(draft->content_type, "json") == NULL &&
		JB_ROOT_IS_SCALAR(value) &&
		JsonbExtractScalar(&value->root, &scalar) &&
		scalar.type == jbvString)
		uaef_draft_text(draft, pnstrdup(scalar.val.string.val,
										scalar.val.string.len), "");
	else
		uaef_draft_text(draft, JsonbToCString(NULL, &value->root,
											  VARSIZE(value)),
						"application/json");
}

void
uaef_draft_bytes(UaefHttpDraft *draft, const bytea *bytes)
{
	default_type(draft, "application/octet-stream");
	draft->body = VARDATA_ANY(bytes);
	draft->body_len = VARSIZE_ANY_EXHDR(bytes);
}
