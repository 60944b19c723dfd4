/*-------------------------------------------------------------------------
 *
 * digest.h
 *	  SHA-256 of documents in their canonical form.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_DIGEST_H
#define UAEF_DIGEST_H

#include "utils/jsonb.h"

/* As lower-case hexadecimal text, and as bytea; palloc'd. */
extern char *uaef_digest_hex(Jsonb *document);
extern bytea *uaef_digest_bytea(Jsonb *document);

#endif							/* UAEF_DIGEST_H */
