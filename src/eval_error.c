/*-------------------------------------------------------------------------
 *
 * eval_error.c
 *	  Errors of evaluation, as values.
 *
 * Locking: none.  Memory: texts are palloc'd in the current context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"

#include "eval_error.h"

/* Longest quotation in a message, in bytes. */
#define MAX_QUOTED	100

static char *copy_or_null(const char *text);

/* A copy in the current context; NULL stays NULL. */
static char *
copy_or_null(const char *text)
{
	return text == NULL ? NULL : pstrdup(text);
}

/*
 * uaef_eval_fail -- describe a failure
 *
 * Returns false, always.
 */
bool
uaef_eval_fail(UaefEvalError *error, int sqlstate, const char *path,
			   const char *detail, const char *message_format,...)
{
	StringInfoData message;

	initStringInfo(&message);
	for (;;)
	{
		va_list		args;
		int			needed;

		va_start(args, message_format);
		needed = appendStringInfoVA(&message, message_format, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(&message, needed);
	}

	error->sqlstate = sqlstate;
	error->message = message.data;
	error->path = copy_or_null(path);
	error->detail = copy_or_null(detail);
	return false;
}

/*
 * uaef_eval_clip -- a text, or as much of it as a message should quote
 */
char *
uaef_eval_clip(const char *text, int len)
{
	int			kept = pg_mbcliplen(text, len, MAX_QUOTED);

	return psprintf("%.*s%s", kept, text, kept < len ? "..." : "");
}

/*
 * uaef_eval_raise -- raise a failure as an ERROR, path and operand as DETAIL
 */
void
uaef_eval_raise(const UaefEvalError *error)
{
	const char *path = error->path;
	const char *detail = error->detail;

	/* What the message names need not be told twice. */
	if (path != NULL && detail == NULL &&
		strstr(error->message, psprintf("\"%s\"", path)) != NULL)
		path = NULL;
	ereport(ERROR,
			(errcode(error->sqlstate),
			 errmsg_internal("%s", error->message),
			 path && detail ? errdetail("At \"%s\": %s.", path, detail) :
			 path ? errdetail("At \"%s\".", path) :
			 detail ? errdetail("%s.", detail) : 0));
	pg_unreachable();
}
