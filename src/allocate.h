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

typedef enum UaefRemainder
{
	UAEF_REMAINDER_LARGEST,		/* to the largest remainders, ties by order */
	UAEF_REMAINDER_FIRST,
	UAEF_REMAINDER_LAST
} UaefRemainder;

extern UaefRemainder uaef_remainder_by_name(const char *name);

/*
 * Split minor (an integer >= 0) by n weights (>= 0, sum > 0) into n integers
 * whose sum is minor.
 */
extern bool uaef_allocate(Numeric minor, const Numeric *weights, int n,
						  UaefRemainder policy, Numeric *parts,
						  UaefEvalError *error);

#endif							/* UAEF_ALLOCATE_H */
