/*-------------------------------------------------------------------------
 *
 * url.h
 *	  Addresses of HTTP requests, taken apart and put together again.
 *
 * Only what is plain is accepted, and what is sent is written from the parts
 * that were checked, so that two parsers never read one address differently.
 * Pure.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_URL_H
#define UAEF_URL_H

typedef struct UaefUrl
{
	bool		tls;			/* https */
	char	   *host;			/* lower case; IPv6 without brackets */
	int			port;
	char	   *target;			/* path and query, at least "/" */
} UaefUrl;

/* "https" or "http" */
#define uaef_url_scheme(url)	((url)->tls ? "https" : "http")

/*
 * Take a URL apart.  Returns NULL, or what is wrong with it in words.  The
 * parts are palloc'd.
 */
extern const char *uaef_url_parse(const char *text, UaefUrl *url);

/* The same, but raise for a URL that is wrong. */
extern void uaef_url_require(const char *text, UaefUrl *url);

/* The whole address, and the address without the query; palloc'd. */
extern char *uaef_url_text(const UaefUrl *url);
extern char *uaef_url_public_text(const UaefUrl *url);

/* Is this a host name or an address, as a URL or an egress rule names it? */
extern bool uaef_url_is_host(const char *text, int len);

#endif							/* UAEF_URL_H */
