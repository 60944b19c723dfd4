/*-------------------------------------------------------------------------
 *
 * delivery_retry.h
 *	  When a delivery is tried again.
 *
 * Pure, but for the jitter's random number.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_DELIVERY_RETRY_H
#define UAEF_DELIVERY_RETRY_H

#include "utils/jsonb.h"

#include "definition.h"

/*
 * Read a document {"max_attempts","backoff","initial","factor","max","jitter",
 * "on"}; what is missing takes the defaults of deliveries, which NULL gives
 * whole.  Raises for unknown keys and values out of range.
 */
extern void uaef_delivery_retry_parse(Jsonb *document, UaefRetry *retry);

/* The same document from a policy. */
extern Jsonb *uaef_delivery_retry_document(const UaefRetry *retry);

/*
 * Is a failure of this attempt to be tried again?  "on" names codes; "http_5xx"
 * stands for all of a hundred, two characters for a class of SQLSTATEs.
 * Without "on", transient decides.
 */
extern bool uaef_delivery_retry_wanted(const UaefRetry *retry, int attempt,
									   const char *code, bool transient);

/* How long to wait after this attempt, at least at_least_ms. */
extern int64 uaef_delivery_retry_delay_ms(const UaefRetry *retry, int attempt,
										  int64 at_least_ms);

#endif							/* UAEF_DELIVERY_RETRY_H */
