/*-------------------------------------------------------------------------
 *
 * receive_rule.h
 *	  What a connector's config says of messages that it receives.
 *
 * "receive" of a connector's config: the rules (arrival_rule.h) as "on", and
 * "max_messages", "wait", "visibility", "max_receives".  Paths in the rules
 * begin with body, attributes, message_id, receives or connector.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_RECEIVE_RULE_H
#define UAEF_RECEIVE_RULE_H

#include "arrival_rule.h"
#include "connector_type.h"

struct UaefReceiveConfig
{
	UaefArrivalRules *rules;
	int			max_messages;	/* of one answer */
	int			wait_s;			/* how long the queue waits for one */
	int			visibility_s;	/* how long others do not see it */
	int			max_receives;	/* then it is parked */
};

/* Read "receive" of a config; NULL: there is none. */
extern UaefReceiveConfig *uaef_receive_parse(Jsonb *config);

#endif							/* UAEF_RECEIVE_RULE_H */
