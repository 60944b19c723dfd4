/*-------------------------------------------------------------------------
 *
 * http_headers.h
 *	  Headers of a request that somebody hands us.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_HTTP_HEADERS_H
#define UAEF_HTTP_HEADERS_H

#include "utils/jsonb.h"

typedef struct UaefHeader
{
	char	   *name;			/* in lower case */
	char	   *value;			/* without space around it */
} UaefHeader;

typedef struct UaefHeaders
{
	int			n;
	UaefHeader *items;
} UaefHeaders;

/* A name in lower case, in place. */
extern char *uaef_header_lower(char *name);

/*
 * Read {"Name": "value", "Other": ["one", "two"]}; NULL stands for none.
 * Returns what is wrong, in words, or NULL.
 */
extern const char *uaef_headers_read(Jsonb *document, UaefHeaders *headers);

/* The same headers with those of another such document after them. */
extern const char *uaef_headers_add(Jsonb *document, UaefHeaders *headers);

/*
 * The value of a header, whose name is in lower case.  NULL when there is
 * none, or when there are several that differ: which one counts nobody knows.
 */
extern const char *uaef_header(const UaefHeaders *headers, const char *name);

/* All values of a header that may come several times, with between them. */
extern char *uaef_header_joined(const UaefHeaders *headers, const char *name,
								const char *between);

/*
 * All headers as an object by name, several values of one name with ", "
 * between them, but for what proves who somebody is: authorization, cookies,
 * and the names in secret, which ends with NULL.
 */
extern Jsonb *uaef_headers_json(const UaefHeaders *headers,
								const char *const *secret);

#endif							/* UAEF_HTTP_HEADERS_H */
