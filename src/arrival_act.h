/*-------------------------------------------------------------------------
 *
 * arrival_act.h
 *	  What is done with what arrives, by webhook or from a queue: doing it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_ARRIVAL_ACT_H
#define UAEF_ARRIVAL_ACT_H

#include "utils/uuid.h"

#include "arrival_rule.h"

/* A delivery of a webhook, or a message of a queue. */
typedef struct UaefArrival
{
	Jsonb	   *data;			/* what conditions and templates read, with
								 * "body" */
	const char *key;			/* by which it starts or signals only once */
	const char *source;			/* where it is from, for messages */
	Oid			owner;			/* who acts */
} UaefArrival;

/* What became of it. */
typedef struct UaefArrivalOutcome
{
	int			rule;			/* from 1; 0: none fits */
	const char *action;			/* "start" and so on; NULL: none fits */
	bool		ignored;		/* none fits, or it says so */
	bool		has_execution;
	pg_uuid_t	execution_id;
	int64		task_id;		/* 0: none */
} UaefArrivalOutcome;

/*
 * Do what the first rule that fits says, as the owner; an error raises.  A path
 * of a condition that leads to nothing does not fit.
 */
extern void uaef_arrival_act(const UaefArrivalRules *rules,
							 const UaefArrival *arrival,
							 UaefArrivalOutcome *outcome);

/* Warn of each workflow that a rule names and that is not there (yet). */
extern void uaef_arrival_warn(const UaefArrivalRules *rules);

#endif							/* UAEF_ARRIVAL_ACT_H */
