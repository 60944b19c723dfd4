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

#include "utils/builtins.h"
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
 * How far one name is from another, at most limit + 1.
 */
static int
distance(const char *name, const char *other, int limit)
{
	if (!same_digits(name, other))
		return limit + 1;
	if (pg_strcasecmp(name, other) == 0)
		return 0;
	return varstr_levenshtein_less_equal(name, strlen(name), other,
										 strlen(other), 1, 1, 1, limit, true);
}

static char *
find_near(const char *name, UaefQuery *names, Datum *args)
{
	int			limit = Min((strlen(name) + 1) / 4, 2);
	MemoryContext context = CurrentMemoryContext;
	char	   *closest = NULL;
	UaefCaller	caller;
	int			n;

	if (strlen(name) > MAX_NAME_BYTES)
		return NULL;
	caller = uaef_spi_begin();
	n = (int) uaef_spi_read_latest(names, args);
	for (int i = 0; i < n && limit >= 0; i++)
	{
		char	   *other = uaef_spi_text(i, 1);
		int			d = distance(name, other, limit);

		if (d <= limit)
		{
			closest = other;
			limit = d - 1;
		}
	}
	if (closest != NULL)
		closest = MemoryContextStrdup(context, closest);
	uaef_spi_end(caller);
	return closest;
}

const char *
uaef_name_hint(const char *name, UaefQuery *names, Datum *args,
			   const char *otherwise)
{
	char	   *closest = find_near(name, names, args);

	return closest != NULL ? psprintf("Perhaps you meant \"%s\".", closest) :
		otherwise;
}

const char *
uaef_name_hint_around(const char *name, UaefQuery *names,
					  const char *otherwise)
{
	Datum		arg = CStringGetTextDatum(name);

	return uaef_name_hint(name, names, &arg, otherwise);
}
