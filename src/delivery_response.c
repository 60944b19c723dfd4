/*-------------------------------------------------------------------------
 *
 * delivery_response.c
 *	  Answers of servers as jsonb, whatever bytes they hold.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/base64.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "delivery_response.h"
#include "error_class.h"
#include "json_util.h"
#include "subtransaction.h"

static bool is_text(const char *data, size_t len);
static Jsonb *text_value(char *text, size_t len);
static Jsonb *base64_value(const char *data, size_t len);
static Jsonb *parse_json(char *text);
static bool declares_json(Jsonb *headers);
static void add_header(JsonbParseState **state, const char *line, size_t len);
static Jsonb *read_headers(const char *head, size_t len);

/*
 * Can the bytes be text of this database as they are?  HTTP text is UTF-8; a
 * database of another encoding takes ASCII only.
 */
static bool
is_text(const char *data, size_t len)
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

static Jsonb *
text_value(char *text, size_t len)
{
	JsonbValue	value;

	value.type = jbvString;
	value.val.string.val = text;
	value.val.string.len = len;
	return uaef_json_from_value(&value);
}

static Jsonb *
base64_value(const char *data, size_t len)
{
	int			allocated = pg_b64_enc_len(len) + 1;
	char	   *encoded = palloc(allocated);
	int			encoded_len = pg_b64_encode((const void *) data, len, encoded,
											allocated - 1);
	UaefJson	json;

	if (encoded_len < 0)
		elog(ERROR, "could not encode a response body");
	encoded[encoded_len] = '\0';
	uaef_json_begin(&json);
	uaef_json_text(&json, "base64", encoded);
	return uaef_json_end(&json);
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
 * NULL when it is not what jsonb can hold.  The input function raises for
 * that, and it may do so from any depth, so it runs in a subtransaction.  An
 * error that is not the text's fault is raised.
 */
static Jsonb *
parse_json(char *text)
{
	Parse		it = {text, NULL};
	ErrorData  *error = uaef_try(parse, &it);

	if (error == NULL)
		return it.document;
	if (uaef_error_is_transient(error->sqlerrcode))
		ReThrowError(error);
	return NULL;
}

/*
 * application/json, that of Amazon, or any type that ends in +json.
 */
static bool
declares_json(Jsonb *headers)
{
	char	   *type = uaef_json_get_text(headers, "content-type");
	size_t		len;

	if (type == NULL)
		return false;
	len = strcspn(type, "; \t");
	return (len == 16 && pg_strncasecmp(type, "application/json", 16) == 0) ||
		(len >= 22 && pg_strncasecmp(type, "application/x-amz-json", 22) == 0) ||
		(len > 5 && pg_strncasecmp(type + len - 5, "+json", 5) == 0);
}

/*
 * One line "Name: value"; what has no colon or is no text is left out.
 */
static void
add_header(JsonbParseState **state, const char *line, size_t len)
{
	const char *colon = memchr(line, ':', len);
	JsonbValue	part;
	char	   *name;
	const char *value;
	const char *end = line + len;

	if (colon == NULL || colon == line || !is_text(line, len))
		return;
	name = pnstrdup(line, colon - line);
	for (char *p = name; *p != '\0'; p++)
		*p = pg_ascii_tolower((unsigned char) *p);
	for (value = colon + 1; value < end && (*value == ' ' || *value == '\t');)
		value++;
	while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
		end--;

	part.type = jbvString;
	part.val.string.val = name;
	part.val.string.len = strlen(name);
	(void) pushJsonbValue(state, WJB_KEY, &part);
	part.val.string.val = unconstify(char *, value);
	part.val.string.len = end - value;
	(void) pushJsonbValue(state, WJB_VALUE, &part);
}

/*
 * Of several headers of one name the last one stays, as jsonb has it.
 */
static Jsonb *
read_headers(const char *head, size_t len)
{
	JsonbParseState *state = NULL;
	const char *end = head + len;

	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	while (head < end)
	{
		const char *newline = memchr(head, '\n', end - head);
		const char *line_end = newline ? newline : end;

		if (line_end > head && line_end[-1] == '\r')
			line_end--;
		add_header(&state, head, line_end - head);
		head = newline ? newline + 1 : end;
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

void
uaef_response_read(const UaefHttpResult *result, UaefResponse *response)
{
	char	   *text;

	memset(response, 0, sizeof(*response));
	if (result->status == 0)
		return;
	response->headers = read_headers(result->head, result->head_len);
	if (result->body_len == 0)
		return;
	if (!is_text(result->body, result->body_len))
	{
		response->body = base64_value(result->body, result->body_len);
		return;
	}
	text = pnstrdup(result->body, result->body_len);
	if (declares_json(response->headers))
		response->body = parse_json(text);
	if (response->body == NULL)
		response->body = text_value(text, result->body_len);
}

Jsonb *
uaef_response_output(int status, const UaefResponse *response)
{
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_int(&json, "status", status);
	uaef_json_jsonb(&json, "headers", response->headers);
	uaef_json_jsonb(&json, "body", response->body);
	return uaef_json_end(&json);
}
