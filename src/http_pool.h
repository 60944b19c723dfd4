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
 * Requests of all roles share connections.  That is safe because the address
 * of the connection is checked for each request, also when the connection was
 * opened for another one.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_HTTP_POOL_H
#define UAEF_HTTP_POOL_H

#include "lib/ilist.h"

#include "net_address.h"

typedef struct UaefHttpPool UaefHttpPool;

/* How far a request got.  Before SENT, no byte of it left this machine. */
typedef enum UaefHttpPhase
{
	UAEF_HTTP_NOT_SENT,
	UAEF_HTTP_SENT,				/* at least begun; no complete answer */
	UAEF_HTTP_ANSWERED
} UaefHttpPhase;

/* What to send.  Everything is copied. */
typedef struct UaefHttpRequest
{
	int64		id;				/* the caller's; they come back with the
								 * result */
	int			attempt;
	const char *method;
	const char *url;
	bool		tls;			/* its scheme is https */
	int			n_headers;
	char	  **headers;		/* "name: value" */
	const char *body;			/* or NULL */
	size_t		body_len;
	bool		may_reuse;		/* may go over a connection that stands open */
	int			connect_timeout_ms;
	int			timeout_ms;
	size_t		max_response;	/* bytes of the decoded body */
	int			n_networks;		/* allowed besides global addresses */
	const UaefNetwork *networks;
} UaefHttpRequest;

/* Microseconds since the request began; 0: not reached. */
typedef struct UaefHttpTimes
{
	int64		dns;
	int64		connect;
	int64		tls;
	int64		first_byte;
	int64		total;
} UaefHttpTimes;

typedef struct UaefHttpResult
{
	int64		id;
	int			attempt;
	UaefHttpPhase phase;
	char		code[24];		/* "http_timeout"; empty when answered */
	char		message[256];	/* printable ASCII */
	bool		transient;		/* another attempt may go better */
	int			status;			/* 0: none came */
	char	   *head;			/* header lines of the answer, CR LF after
								 * each */
	size_t		head_len;
	char	   *body;			/* not kept when it was larger than the limit */
	size_t		body_len;
	int64		bytes_received; /* of the decoded body */
	int64		retry_after_ms; /* what the server asks for; 0: nothing */
	UaefHttpTimes times;
	dlist_node	node;
} UaefHttpResult;

/* A pool for this process.  Raises when it cannot be set up. */
extern UaefHttpPool *uaef_http_pool_create(void);

/* The descriptor that is readable when uaef_http_pool_run() has work. */
extern int	uaef_http_pool_fd(const UaefHttpPool *pool);

/* Begin a request.  Its result comes from uaef_http_pool_run() in any case. */
extern void uaef_http_pool_send(UaefHttpPool *pool,
								const UaefHttpRequest *request);

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

#endif							/* UAEF_HTTP_POOL_H */
