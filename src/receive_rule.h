/*-------------------------------------------------------------------------
 *
 * receive_rule.h
 *	  What a connector's config says of messages that it receives.
 *
 * "receive" of a connector's config:
 *
 *	{"start":{"workflow","version","input","name","priority"}}
 *	{"signal":{"execution","signal","payload"}}
 *	and "max_messages","wait","visibility","max_receives"
 *
 * Templates in them read body, attributes, message_id, receives, connector.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_RECEIVE_RULE_H
#define UAEF_RECEIVE_RULE_H

#include "connector_type.h"

typedef enum UaefReceiveAction
{
	UAEF_RECEIVE_START,
	UAEF_RECEIVE_SIGNAL
} UaefReceiveAction;

struct UaefReceiveConfig
{
	UaefReceiveAction action;
	UaefTemplate *what;			/* the action's object, filled in whole */
	int			max_messages;	/* of one answer */
	int			wait_s;			/* how long the queue waits for one */
	int			visibility_s;	/* how long others do not see it */
	int			max_receives;	/* then it is parked */
};

/* Read "receive" of a config; NULL: there is none. */
extern UaefReceiveConfig *uaef_receive_parse(Jsonb *config);

#endif							/* UAEF_RECEIVE_RULE_H */
