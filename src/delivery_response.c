/*-------------------------------------------------------------------------
 *
 * delivery_response.c
 *	  Answers of servers as jsonb, whatever bytes they hold.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "delivery_response.h"
#include "http_body.h"
#include "json_util.h"

static void add_header(JsonbParseState **state, const char *line, size_t len);
static Jsonb *read_headers(const char *head, size_t len);

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

	if (colon == NULL || colon == line || !uaef_http_is_text(line, len))
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
	const char *type;

	memset(response, 0, sizeof(*response));
	if (result->status == 0)
		return;
	response->headers = read_headers(result->head, result->head_len);
	if (result->body_len == 0)
		return;
	type = uaef_json_get_text(response->headers, "content-type");
	response->body = uaef_http_body(result->body, result->body_len,
									uaef_http_is_json(type));
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
