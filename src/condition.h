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
 * operator, operand of a wrong type, bad path, too deep).  With typing, not
 * NULL, also a path that can lead nowhere, and an operator that could never be
 * put to what the path leads to.
 */
extern UaefCondition *uaef_condition_compile(Jsonb *document, bool any_root,
											 const UaefTyping *typing);

extern void uaef_condition_paths(const UaefCondition *condition,
								 void (*visit) (const UaefPath *path, void *arg),
								 void *arg);

/*
 * The same for a condition that is one path with its operators, and a value in
 * place of what the path leads to; NULL: it leads nowhere.
 */
extern bool uaef_condition_eval_value(const UaefCondition *condition,
									  const JsonbValue *value, bool *result,
									  UaefEvalError *error);

/* Evaluate; returns false on failure, else sets *result. */
extern bool uaef_condition_eval(const UaefCondition *condition,
								UaefScope *scope, bool *result,
								UaefEvalError *error);

/*
 * A path and the texts of which it must be one for the condition to be true;
 * which counts when the paths before it have values of types that their
 * operators can judge.  False when a condition has no key.
 */
#define UAEF_KEY_MAX_BEFORE	8

typedef struct UaefConditionKey
{
	const UaefPath *path;
	int			nvalues;
	const JsonbValue *values;
	int			nbefore;
	struct
	{
		const UaefPath *path;
		uint32		types;
	}			before[UAEF_KEY_MAX_BEFORE];
} UaefConditionKey;

extern bool uaef_condition_key(const UaefCondition *condition,
							   UaefConditionKey *key);

/*
 * Why it holds or not: {"result", "clauses": [...]} and, where it does not
 * hold, "change": the smallest that would make it true; "error" in place of
 * "result" when the data do not answer.
 */
extern Jsonb *uaef_condition_explain(const UaefCondition *condition,
									 UaefScope *scope);

#endif							/* UAEF_CONDITION_H */
