/*-------------------------------------------------------------------------
 *
 * http_status.h
 *	  Statuses of HTTP: of errors, and what they say.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_HTTP_STATUS_H
#define UAEF_HTTP_STATUS_H

/*
 * The status of an SQLSTATE: 400 for what was asked, 401 and 403 for who asks,
 * 404, 409 for when, 413, 503 for what passes; 500 for anything else, which is
 * ours to know.
 */
extern int	uaef_http_status(int sqlstate);

/*
 * Whether it says that nothing was done, and that the same request will never do
 * it.
 */
extern bool uaef_http_status_refuses(int status);

#endif							/* UAEF_HTTP_STATUS_H */
