/*-------------------------------------------------------------------------
 *
 * delivery.h
 *	  Deliveries, as the worker's loop drives them.
 *
 * All of it is called outside of transactions; each step that touches tables
 * opens and commits a short one of its own, and none is open while a request is
 * in flight.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_DELIVERY_H
#define UAEF_DELIVERY_H

#include "datatype/timestamp.h"

#include "http_pool.h"

/*
 * Once per worker process: set libcurl up, and judge the attempts that an
 * earlier worker began and never finished (in doubt, or to be repeated).
 */
extern void uaef_delivery_init(void);

/* The epoll descriptor to wait on besides the latch. */
extern int	uaef_delivery_fd(void);

/*
 * Drive the transfers that are ready, record what ended, and with look claim
 * and send what is due.  *next: when to look again at the latest, for a retry
 * or a timeout (DT_NOEND: never).
 */
extern void uaef_delivery_work(bool look, TimestampTz *next);

/* Give up what is in flight, at once; its attempts stay begun. */
extern void uaef_delivery_shutdown(void);

/* The pool; NULL until uaef_delivery_init(). */
extern UaefHttpPool *uaef_delivery_pool(void);

#endif							/* UAEF_DELIVERY_H */
