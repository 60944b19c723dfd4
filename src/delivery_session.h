/*-------------------------------------------------------------------------
 *
 * delivery_session.h
 *	  Sessions of connectors: what is fetched once, for the calls of many
 *	  deliveries.
 *
 * A delivery whose connector's session is missing is claimed, and its attempt
 * says that nothing was sent; it waits here while the session is fetched, one
 * fetch for all that wait.  Then its attempt begins in another short
 * transaction, and its request goes out.
 *
 * Sessions live in the memory of the worker.  They are worth something only
 * together with the config and the secret that they were made with.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_DELIVERY_SESSION_H
#define UAEF_DELIVERY_SESSION_H

#include "delivery_request.h"

/* The sessions that a call of a connector needs, in the order of fetching. */
#define UAEF_SESSION_PARTS	2

/* A delivery that waits for a session. */
typedef struct UaefWaiter
{
	int64		delivery_id;
	int			attempt;
	void	   *tag;			/* of its request */
} UaefWaiter;

/* Whether something must be fetched before the delivery can be sent. */
extern bool uaef_session_missing(const UaefDelivery *delivery);

/* Add what was fetched for its connector. */
extern void uaef_session_headers(const UaefDelivery *delivery,
								 UaefHttpDraft *draft);

/* Have a delivery wait; its claim is committed. */
extern void uaef_session_wait(const UaefDelivery *delivery, void *tag);

/* How many wait. */
extern int	uaef_session_waiting(void);

/* Those whose session is not being fetched; palloc'd.  Returns how many. */
extern int	uaef_session_waiters(UaefWaiter **waiters);

/* A delivery waits no more. */
extern void uaef_session_leave(const UaefWaiter *waiter);

/*
 * The request that fetches what a delivery misses.  False when it must not go
 * out, and why.  In a transaction.
 */
extern bool uaef_session_fetch(const UaefDelivery *delivery,
							   UaefHttpRequest *request,
							   UaefRefusal *refusal);

/* It goes out now. */
extern void uaef_session_fetching(const UaefHttpRequest *request);

/* Whether a result of the pool is one of a fetch, and not of a delivery. */
extern bool uaef_session_is_result(const UaefHttpResult *result);

/*
 * Read the result of a fetch, in a transaction.  When it gave nothing, all that
 * wait for it end: their results, without an answer, are appended to results.
 */
extern void uaef_session_result(const UaefHttpResult *result,
								dlist_head *results);

/* Whether an answer says that the session does not hold any more. */
extern bool uaef_session_refused(const UaefDelivery *delivery,
								 const UaefHttpResult *result,
								 const UaefResponse *response);

/* Forget it then, unless it is newer than the request. */
extern void uaef_session_drop(const UaefDelivery *delivery,
							  const UaefHttpResult *result);

#endif							/* UAEF_DELIVERY_SESSION_H */
