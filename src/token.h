/*-------------------------------------------------------------------------
 *
 * token.h
 *	  Tokens: JSON Web Tokens (RFC 7519), signed by HS256.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_TOKEN_H
#define UAEF_TOKEN_H

#include "utils/jsonb.h"

/* Longest token. */
#define UAEF_TOKEN_MAX_LEN 8192

/*
 * A token for somebody, to be shown to somebody, for so long; claims may be
 * NULL, and has none of those that a token has anyway.  An event.
 */
extern char *uaef_token_create(const char *subject, const char *audience,
							   int64 expires_us, Jsonb *claims);

/*
 * The claims of a token that may be believed; raises UA450 (it is none), UA451
 * (its signature), UA452 (its time), UA453 (its audience or issuer).
 */
extern Jsonb *uaef_token_verify(const char *token, const char *audience);

#endif							/* UAEF_TOKEN_H */
