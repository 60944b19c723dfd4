/*-------------------------------------------------------------------------
 *
 * pattern.c
 *	  Regular expressions that people give us to match their data with.
 *
 * Locking: none.  Memory: a problem's text is palloc'd in the current context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "mb/pg_wchar.h"
#include "regex/regex.h"

#include "pattern.h"

#define MAX_PATTERN_BYTES	1000

char *
uaef_pattern_problem(const char *source, int len)
{
	int			status;
	pg_wchar   *wide;
	regex_t		regex;
	char		message[200];

	if (len > MAX_PATTERN_BYTES)
		return psprintf("A regular expression may have at most %d bytes.",
						MAX_PATTERN_BYTES);

	wide = palloc((len + 1) * sizeof(pg_wchar));
	len = pg_mb2wchar_with_len(source, wide, len);
	status = pg_regcomp(&regex, wide, len, REG_ADVANCED, C_COLLATION_OID);
	pfree(wide);
	if (status != REG_OKAY)
	{
		pg_regerror(status, &regex, message, sizeof(message));
		return psprintf("The regular expression is invalid: %s.", message);
	}
	status = regex.re_info & REG_UBACKREF;
	pg_regfree(&regex);
	return status == 0 ? NULL :
		pstrdup("The regular expression has a back-reference.");
}

bool
uaef_pattern_matches(text * pattern, const char *data, int len)
{
	return RE_compile_and_execute(pattern, (char *) data, len, REG_ADVANCED,
								  C_COLLATION_OID, 0, NULL);
}
