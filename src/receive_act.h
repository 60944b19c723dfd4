/*-------------------------------------------------------------------------
 *
 * receive_act.h
 *	  What becomes of the messages of a queue.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_RECEIVE_ACT_H
#define UAEF_RECEIVE_ACT_H

#include "arrival_act.h"
#include "connector_type.h"

/*
 * Do what the connector's rules say of a message, as role; raises what is
 * wrong, and UA443 when no rule fits.
 */
extern void uaef_receive_act(const UaefConnector *connector, Oid role,
							 const UaefMessage *message,
							 UaefArrivalOutcome *outcome);

#endif							/* UAEF_RECEIVE_ACT_H */
