/*-------------------------------------------------------------------------
 *
 * host_limit.h
 *	  How much may go to a host, whoever sends.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_HOST_LIMIT_H
#define UAEF_HOST_LIMIT_H

/*
 * Set, or change, what a host and port may get: a rate such as "100/min" (NULL:
 * none) in bursts, and how much at once (0: the default).  Raises for what is
 * wrong.  An event.
 */
extern void uaef_host_limit_set(const char *host, int port, const char *rate,
								int burst, int max_concurrent);

/* Take it back; raises when there is none.  An event. */
extern void uaef_host_limit_remove(const char *host, int port);

#endif							/* UAEF_HOST_LIMIT_H */
