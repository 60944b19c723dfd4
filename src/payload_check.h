/*-------------------------------------------------------------------------
 *
 * payload_check.h
 *	  What documents and keys from callers are checked for.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_PAYLOAD_CHECK_H
#define UAEF_PAYLOAD_CHECK_H

#include "utils/jsonb.h"

/* Raise 22023 for a key that is empty or too long; NULL is none. */
extern void uaef_check_idempotency_key(const char *key);

/*
 * Raise UA001 when a document is larger than uaef.max_payload_size, or nested
 * too deep.
 */
extern void uaef_check_payload(const char *what, Jsonb *payload);

/* The same for the input of an execution, which is an object; else 22023. */
extern void uaef_check_input(Jsonb *input);

/* Whether objects and arrays are nested in more levels than these. */
extern bool uaef_is_nested_deeper(Jsonb *document, int levels);

#endif							/* UAEF_PAYLOAD_CHECK_H */
