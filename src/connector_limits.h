/*-------------------------------------------------------------------------
 *
 * connector_limits.h
 *	  What a connector's config says of how much may go through it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_CONNECTOR_LIMITS_H
#define UAEF_CONNECTOR_LIMITS_H

#include "connector_type.h"

/* Read "max_concurrent", "rate", "burst" and "breaker"; raises what is wrong. */
extern void uaef_gate_limits_parse(Jsonb *config, UaefGateLimits *limits);

#endif							/* UAEF_CONNECTOR_LIMITS_H */
