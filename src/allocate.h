/*-------------------------------------------------------------------------
 *
 * allocate.h
 *	  Splitting an amount into parts without losing a minor unit.
 *
 * Pure.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_ALLOCATE_H
#define UAEF_ALLOCATE_H

#include "money.h"

typedef enum UaefRemainderKind
{
	UAEF_REMAINDER_LARGEST,		/* to the largest remainders, ties by order */
	UAEF_REMAINDER_ROTATING,	/* the same, ties by a hash of the seed */
	UAEF_REMAINDER_FIRST,
	UAEF_REMAINDER_LAST,
	UAEF_REMAINDER_TO			/* all to one part */
} UaefRemainderKind;

/* Who gets the units left over. */
typedef struct UaefRemainder
{
	UaefRemainderKind kind;
	const char *text;			/* behind the colon: the seed, or the part;
								 * NULL: none */
	int			part;			/* of UAEF_REMAINDER_TO, from 0 */
} UaefRemainder;

/*
 * largest, largest_rotating[:seed], first, last, to:part.  Raises UA221 for
 * another; which part that is, the caller finds out.
 */
extern UaefRemainder uaef_remainder_by_name(const char *name);

/* Which of so many parts a number from 1 on means; raises UA209. */
extern void uaef_remainder_set_part(UaefRemainder *remainder, int n);

/*
 * Split minor (an integer >= 0) by n weights (>= 0, sum > 0) into n integers
 * whose sum is minor.
 */
extern bool uaef_allocate(Numeric minor, const Numeric *weights, int n,
						  const UaefRemainder *policy, Numeric *parts,
						  UaefEvalError *error);

#endif							/* UAEF_ALLOCATE_H */
