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

#include "delivery_board.h"
#include "delivery_store.h"

/* What was claimed, and when there may be more. */
typedef struct UaefClaimed
{
	int			n;
	UaefDelivery *deliveries;	/* palloc'd in the caller's context */
	TimestampTz next;			/* look again then; DT_NOEND: no need */
	bool		more;			/* look again when one has ended */
	TimestampTz again;			/* look then for what has come; DT_NOEND: no
								 * need */
} UaefClaimed;

/*
 * Claim at most room deliveries that are due: mark them as being sent, with an
 * attempt begun.  They have not entered their gates.  uaef_board_claimed() once
 * that is committed.
 */
extern void uaef_delivery_claim(int room, UaefClaimed *claimed);

/* Write the breakers that have changed, with an event for each that is shut. */
extern void uaef_gates_store(void);

/* Shut the gates that an earlier worker left shut. */
extern void uaef_gates_load(void);

#endif							/* UAEF_DELIVERY_LANE_H */
