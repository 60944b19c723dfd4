/*-------------------------------------------------------------------------
 *
 * payload_check.c
 *	  What documents and keys from callers are checked for.
 *
 * No locks, nothing is kept.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "errcodes.h"
#include "guc.h"
#include "payload_check.h"

/* What an index takes, beside a name. */
#define MAX_IDEMPOTENCY_KEY 2000

/* Deepest nesting of a payload, and the bytes that a level takes at least. */
#define MAX_NESTING 1000
#define LEVEL_BYTES 8

void
uaef_check_idempotency_key(const char *key)
{
	if (key != NULL && (*key == '\0' || strlen(key) > MAX_IDEMPOTENCY_KEY))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an idempotency key has 1 to %d bytes",
						MAX_IDEMPOTENCY_KEY)));
}

bool
uaef_is_nested_deeper(Jsonb *document, int levels)
{
	JsonbIterator *iterator = JsonbIteratorInit(&document->root);
	JsonbIteratorToken token;
	JsonbValue	value;
	int			depth = 0;

	while ((token = JsonbIteratorNext(&iterator, &value, false)) != WJB_DONE)
	{
		if (token == WJB_END_ARRAY || token == WJB_END_OBJECT)
			depth--;
		else if ((token == WJB_BEGIN_ARRAY || token == WJB_BEGIN_OBJECT) &&
				 ++depth > levels)
			return true;
	}
	return false;
}

/*
 * What can be read in one session must not be too deep for another, whose
 * stack is smaller.
 */
void
uaef_check_payload(const char *what, Jsonb *payload)
{
	if (VARSIZE(payload) > (Size) uaef_max_payload_kb * 1024)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_TOO_LARGE),
				 errmsg("%s is too large", what),
				 errdetail("It takes %zu kB; uaef.max_payload_size is %d kB.",
						   (Size) VARSIZE(payload) / 1024,
						   uaef_max_payload_kb),
				 errhint("Store large data in a table of yours and pass its key.")));
	if (VARSIZE(payload) > MAX_NESTING * LEVEL_BYTES &&
		uaef_is_nested_deeper(payload, MAX_NESTING))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_TOO_LARGE),
				 errmsg("%s is nested more than %d deep", what, MAX_NESTING)));
}

void
uaef_check_input(Jsonb *input)
{
	uaef_check_payload("input of the workflow", input);
	if (!JB_ROOT_IS_OBJECT(input))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("input of a workflow must be a JSON object"),
				 errhint("Give a list or a single value a name: {\"items\": [...]}.")));
}
