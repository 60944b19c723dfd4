/*-------------------------------------------------------------------------
 *
 * http_status.c
 *	  Errors as HTTP has them.
 *
 * Pure.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "errcodes.h"
#include "error_class.h"
#include "http_status.h"

static const struct
{
	int			sqlstate;
	int			status;
}			statuses[] = {
	{ERRCODE_UAEF_BAD_TOKEN, 401},
	{ERRCODE_UAEF_TOKEN_SIGNATURE, 401},
	{ERRCODE_UAEF_TOKEN_EXPIRED, 401},
	{ERRCODE_UAEF_TOKEN_AUDIENCE, 403},
	{ERRCODE_INSUFFICIENT_PRIVILEGE, 403},
	{ERRCODE_UAEF_POLICY, 403},
	{ERRCODE_UAEF_UNDEFINED_WORKFLOW, 404},
	{ERRCODE_UAEF_UNDEFINED_EXECUTION, 404},
	{ERRCODE_UAEF_UNDEFINED_TASK, 404},
	{ERRCODE_UAEF_UNDEFINED_WEBHOOK_SOURCE, 404},
	{ERRCODE_UAEF_ILLEGAL_TRANSITION, 409},
	{ERRCODE_UAEF_LEASE_LOST, 409},
	{ERRCODE_UAEF_KEY_REUSED, 409},
	{ERRCODE_UNIQUE_VIOLATION, 409},
	{ERRCODE_UAEF_TOO_LARGE, 413},
	{ERRCODE_UAEF_TOO_MANY_SIGNALS, 429},
	{ERRCODE_LOCK_NOT_AVAILABLE, 503},
	{ERRCODE_UAEF_BAD_DEFINITION, 400},
	{ERRCODE_RESERVED_NAME, 400},
	{ERRCODE_STATEMENT_TOO_COMPLEX, 400}
};

/* Classes of SQLSTATEs, where no line above says otherwise. */
static const struct
{
	char		class[3];
	int			status;
}			classes[] = {
	{"22", 400}, {"21", 400}, {"23", 409}
};

int
uaef_http_status(int sqlstate)
{
	const char *text = unpack_sql_state(sqlstate);

	for (int i = 0; i < lengthof(statuses); i++)
		if (statuses[i].sqlstate == sqlstate)
			return statuses[i].status;
	for (int i = 0; i < lengthof(classes); i++)
		if (strncmp(classes[i].class, text, 2) == 0)
			return classes[i].status;
	/* Conditions, templates, amounts, schemas: what the data is to blame for. */
	if (strncmp(text, "UA2", 3) == 0)
		return 400;
	return uaef_error_is_transient(sqlstate) ? 503 : 500;
}

bool
uaef_http_status_refuses(int status)
{
	static const int refusals[] = {
		400, 401, 402, 403, 404, 405, 406, 410, 413, 415, 422
	};

	for (int i = 0; i < lengthof(refusals); i++)
		if (refusals[i] == status)
			return true;
	return false;
}
