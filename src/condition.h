/*-------------------------------------------------------------------------
 *
 * condition.h
 *	  Conditions: JSON documents of operators over paths.
 *
 * {"in.amount": {"$gte": 100}, "$or": [...]}.  Pure.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_CONDITION_H
#define UAEF_CONDITION_H

#include "path.h"

typedef struct UaefCondition UaefCondition;

/*
 * Compile; raises UA220 naming the place and what is wrong with it (unknown
 * operator, operand of a wrong type, bad path, too deep).
 */
extern UaefCondition *uaef_condition_compile(Jsonb *document, bool any_root);

extern void uaef_condition_paths(const UaefCondition *condition,
								 void (*visit) (const UaefPath *path, void *arg),
								 void *arg);

/* Evaluate; returns false on failure, else sets *result. */
extern bool uaef_condition_eval(const UaefCondition *condition,
								UaefScope *scope, bool *result,
								UaefEvalError *error);

#endif							/* UAEF_CONDITION_H */
