/*-------------------------------------------------------------------------
 *
 * http_pool.h
 *	  Many HTTP requests at once, in one process and one thread of ours.
 *
 * The pool drives libcurl's multi interface from an epoll descriptor of its
 * own, in which a timerfd stands for libcurl's timer, so that a caller waits
 * on one descriptor.  Nothing here reads or writes tables, and nothing raises
 * but uaef_http_pool_create(): what goes wrong with a request is its result.
 *
 * Requests share connections when the egress rules open the same networks to
 * them, and they have the same TLS identity and proxy.  The address of the
 * connection is checked for each request all the same, also when the connection
 * was opened for another one.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_HTTP_POOL_H
#define UAEF_HTTP_POOL_H

#include "http_message.h"

typedef struct UaefHttpPool UaefHttpPool;

/* A pool for this process.  Raises when it cannot be set up. */
extern UaefHttpPool *uaef_http_pool_create(void);

/* The descriptor that is readable when uaef_http_pool_run() has work. */
extern int	uaef_http_pool_fd(const UaefHttpPool *pool);

/* Begin requests.  Their results come from uaef_http_pool_run() in any case. */
extern void uaef_http_pool_send(UaefHttpPool *pool,
								const UaefHttpRequest *requests, int n);

/* How many requests have no result yet. */
extern int	uaef_http_pool_in_flight(const UaefHttpPool *pool);

/* Do what can be done without waiting; append what ended to results. */
extern void uaef_http_pool_run(UaefHttpPool *pool, dlist_head *results);

/* Give up all requests, without results, and free the pool. */
extern void uaef_http_pool_destroy(UaefHttpPool *pool);

/* A result that no request made; NULL when there is no memory. */
extern UaefHttpResult *uaef_http_result_make(int64 id, int attempt,
											 UaefHttpPhase phase,
											 const char *code,
											 const char *message);
extern void uaef_http_result_free(UaefHttpResult *result);

/* Overwrite what was answered. */
extern void uaef_http_result_wipe(UaefHttpResult *result);

/* Set its message. */
extern void uaef_http_result_say(UaefHttpResult *result, const char *message);

#endif							/* UAEF_HTTP_POOL_H */
