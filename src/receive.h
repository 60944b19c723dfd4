/*-------------------------------------------------------------------------
 *
 * receive.h
 *	  Messages of queues, as the worker's loop fetches them.
 *
 * Each connector that receives has one request under way that waits for
 * messages.  What comes is taken in one commit, and only then taken away from
 * the queue; a message that comes again is found in the inbox.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_RECEIVE_H
#define UAEF_RECEIVE_H

#include "datatype/timestamp.h"

#include "http_message.h"

/*
 * Do what is due; asked: look at once, also where it failed lately.  Returns
 * when it is due again.
 */
extern TimestampTz uaef_receive_work(bool asked);

/* Whether a result of the pool is one of ours, and keep it. */
extern bool uaef_receive_keep(UaefHttpResult *result);

/* Whether there are results to be worked on. */
extern bool uaef_receive_has_results(void);

/* How many of the pool's requests are ours. */
extern int	uaef_receive_in_flight(void);

#endif							/* UAEF_RECEIVE_H */
