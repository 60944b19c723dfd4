/*-------------------------------------------------------------------------
 *
 * http_result.c
 *	  What came of requests.
 *
 * Memory: results are malloc'd, because callbacks of libcurl make them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "http_pool.h"

/*
 * Words of libcurl may hold bytes of the peer; only printable ASCII stays.
 */
void
uaef_http_result_say(UaefHttpResult *result, const char *message)
{
	strlcpy(result->message, message, sizeof(result->message));
	for (char *p = result->message; *p != '\0'; p++)
	{
		if (*p < ' ' || *p > '~')
			*p = '?';
	}
}

UaefHttpResult *
uaef_http_result_make(int64 id, int attempt, UaefHttpPhase phase,
					  const char *code, const char *message)
{
	UaefHttpResult *result = calloc(1, sizeof(UaefHttpResult));

	if (result == NULL)
		return NULL;
	result->id = id;
	result->attempt = attempt;
	result->phase = phase;
	strlcpy(result->code, code, sizeof(result->code));
	uaef_http_result_say(result, message);
	return result;
}

void
uaef_http_result_free(UaefHttpResult *result)
{
	free(result->head);
	free(result->body);
	free(result);
}

void
uaef_http_result_wipe(UaefHttpResult *result)
{
	if (result->head != NULL)
		explicit_bzero(result->head, result->head_len);
	if (result->body != NULL)
		explicit_bzero(result->body, result->body_len);
}
