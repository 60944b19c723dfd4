/*-------------------------------------------------------------------------
 *
 * random_bytes.c
 *	  Random bytes that nobody can guess, drawn many at a time.
 *
 * To draw a few costs as much as to draw many.  What is given is erased; the
 * rest is this process's, and one that it was copied to by a fork draws its own.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "random_bytes.h"

/* Bytes that are drawn at a time. */
#define POOL_SIZE 2048

void
uaef_random_bytes(void *bytes, int len)
{
	static uint8 pool[POOL_SIZE];
	static int	left = 0;
	static int	owner = 0;

	Assert(len <= UAEF_MAX_RANDOM);
	if (left < len || owner != MyProcPid)
	{
		left = 0;
		if (!pg_strong_random(pool, sizeof(pool)))
			ereport(ERROR,
					(errcode(ERRCODE_INTERNAL_ERROR),
					 errmsg("could not generate random values")));
		left = POOL_SIZE;
		owner = MyProcPid;
	}
	left -= len;
	memcpy(bytes, pool + left, len);
	explicit_bzero(pool + left, len);
}
