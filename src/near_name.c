/*-------------------------------------------------------------------------
 *
 * near_name.c
 *	  Which name was perhaps meant by one that nothing has.
 *
 * One letter in four may differ, and two at most; letter case does not count.
 * Names with other digits are those of other things: who asks for account
 * user:17 did not mean user:18.
 *
 * Locking: none.  Memory: the hint is in the current context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/varlena.h"

#include "near_name.h"

/* What is longer is not looked for. */
#define MAX_NAME_BYTES 255

static bool
same_digits(const char *name, const char *other)
{
	const char *digits = "0123456789";

	for (;;)
	{
		name = strpbrk(name, digits);
		other = strpbrk(other, digits);
		if (name == NULL || other == NULL)
			return name == other;
		if (*name++ != *other++)
			return false;
	}
}

/*
 * How far one name is from another, at most far + 1.
 */
static int
distance(const char *name, const char *other, int far)
{
	if (!same_digits(name, other))
		return far + 1;
	if (pg_strcasecmp(name, other) == 0)
		return 0;
	return varstr_levenshtein_less_equal(name, strlen(name), other,
										 strlen(other), 1, 1, 1, far, true);
}

static char *
find_near(const char *name, UaefQuery *names, Datum *args)
{
	int			far = Min((strlen(name) + 1) / 4, 2);
	MemoryContext context = CurrentMemoryContext;
	char	   *near = NULL;
	UaefCaller	caller;
	int			n;

	if (strlen(name) > MAX_NAME_BYTES)
		return NULL;
	caller = uaef_spi_begin();
	n = (int) uaef_spi_read_latest(names, args);
	for (int i = 0; i < n && far >= 0; i++)
	{
		char	   *other = uaef_spi_text(i, 1);
		int			d = distance(name, other, far);

		if (d <= far)
		{
			near = other;
			far = d - 1;
		}
	}
	if (near != NULL)
		near = MemoryContextStrdup(context, near);
	uaef_spi_end(caller);
	return near;
}

const char *
uaef_name_hint(const char *name, UaefQuery *names, Datum *args,
			   const char *otherwise)
{
	char	   *near = find_near(name, names, args);

	return near != NULL ? psprintf("Perhaps you meant \"%s\".", near) :
		otherwise;
}
