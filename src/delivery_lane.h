/*-------------------------------------------------------------------------
 *
 * delivery_lane.h
 *	  Which deliveries are due, and claiming those that the gates let through.
 *
 * A lane is what goes through one connector to one host, "connector@host:port",
 * or without a connector to a host, "@host:port".  It passes its connector's
 * gate and its host's, and it has its own queue, so that none waits behind
 * another that is slow or shut.
 *
 * Works in the caller's transaction.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_DELIVERY_LANE_H
#define UAEF_DELIVERY_LANE_H

#include "delivery_gate.h"
#include "delivery_store.h"

/* The gates that one delivery passes. */
typedef struct UaefPassage
{
	UaefGate   *connector;		/* NULL: it goes through none */
	UaefGate   *host;
} UaefPassage;

/* What was claimed, and when there may be more. */
typedef struct UaefClaimed
{
	int			n;
	UaefDelivery *deliveries;	/* palloc'd in the caller's context */
	TimestampTz next;			/* look again then; DT_NOEND: no need */
	bool		more;			/* look again when one has ended */
} UaefClaimed;

/*
 * Claim at most room deliveries that are due: mark them as being sent, with an
 * attempt begun.  They have not entered their gates.
 */
extern void uaef_delivery_claim(int room, UaefClaimed *claimed);

extern UaefPassage uaef_delivery_passage(const char *lane);

/* Write the breakers that have changed, with an event for each that is shut. */
extern void uaef_gates_store(void);

/* Shut the gates that an earlier worker left shut. */
extern void uaef_gates_load(void);

#endif							/* UAEF_DELIVERY_LANE_H */
