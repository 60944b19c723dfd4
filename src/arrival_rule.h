/*-------------------------------------------------------------------------
 *
 * arrival_rule.h
 *	  What is done with what arrives, by webhook or from a queue: the rules.
 *
 * "on" is a list of {"when": condition, and one of "start", "signal",
 * "complete", "fail", "ignore"}; the first whose condition holds acts.  The
 * words are the same wherever something comes from; only what the paths of
 * conditions and templates begin with is not.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_ARRIVAL_RULE_H
#define UAEF_ARRIVAL_RULE_H

#include "condition.h"
#include "definition_read.h"
#include "template.h"

typedef enum UaefArrivalAction
{
	UAEF_ARRIVAL_START,
	UAEF_ARRIVAL_SIGNAL,
	UAEF_ARRIVAL_COMPLETE,
	UAEF_ARRIVAL_FAIL,
	UAEF_ARRIVAL_IGNORE
} UaefArrivalAction;

typedef struct UaefArrivalRule
{
	UaefCondition *when;		/* NULL: always */
	UaefArrivalAction action;
	UaefTemplate *what;			/* the action's object, filled in whole */
	const char *workflow;		/* that it names; NULL: none, or by template */
} UaefArrivalRule;

typedef struct UaefArrivalRules
{
	int			n;
	UaefArrivalRule *rules;
} UaefArrivalRules;

/*
 * The rules of "on", of which paths begin with one of the roots, which NULL
 * ends; raises for what is wrong.
 */
extern UaefArrivalRules *uaef_arrival_rules_read(const UaefObject *config,
												 bool required,
												 const char *const *roots);

/* An action's name, and its object once that is filled in. */
extern const char *uaef_arrival_action_name(UaefArrivalAction action);
extern UaefObject uaef_arrival_filled(UaefArrivalAction action, int rule,
									  UaefBuilder *builder, Jsonb *filled);

/* The text of a member of such an object: a string, or a number. */
extern char *uaef_arrival_text(const UaefObject *what, const char *key,
							   bool required);

/* The code of a failure; NULL when none is given, raises for what is none. */
extern char *uaef_arrival_code(const UaefObject *what);

#endif							/* UAEF_ARRIVAL_RULE_H */
