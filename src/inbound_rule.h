/*-------------------------------------------------------------------------
 *
 * inbound_rule.h
 *	  What a webhook source does with what comes: conditions and actions.
 *
 * "on" is a list of {"when": condition, and one of "start", "signal",
 * "complete", "fail"}; the first whose condition holds acts.  Conditions and
 * templates read body, headers (names in lower case), source, delivery_id.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_INBOUND_RULE_H
#define UAEF_INBOUND_RULE_H

#include "condition.h"
#include "definition_read.h"
#include "inbound_kind.h"
#include "template.h"

typedef enum UaefInboundAction
{
	UAEF_INBOUND_START,
	UAEF_INBOUND_SIGNAL,
	UAEF_INBOUND_COMPLETE,
	UAEF_INBOUND_FAIL
} UaefInboundAction;

typedef struct UaefInboundRule
{
	UaefCondition *when;		/* NULL: always */
	UaefInboundAction action;
	UaefTemplate *what;			/* the action's object, filled in whole */
} UaefInboundRule;

/* What became of a message. */
typedef struct UaefInboundOutcome
{
	int			rule;			/* from 1; 0: none fits */
	const char *action;			/* "start" and so on */
	bool		has_execution;
	pg_uuid_t	execution_id;
	int64		task_id;		/* 0: none */
} UaefInboundOutcome;

/* The rules of "on"; raises for what is wrong. */
extern void uaef_inbound_rules_read(const UaefObject *config,
									UaefInboundSource *source);

/* {"body", "headers", "source", "delivery_id"} */
extern Jsonb *uaef_inbound_data(const UaefInboundSource *source,
								const char *delivery_id, Jsonb *headers,
								Jsonb *body);

/*
 * Do what the first rule that fits says, as the role that owns the source; an
 * error raises.  A path of a condition that leads to nothing does not fit.
 */
extern void uaef_inbound_act(const UaefInboundSource *source, Jsonb *data,
							 UaefInboundOutcome *outcome);

#endif							/* UAEF_INBOUND_RULE_H */
