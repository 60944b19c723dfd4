/*-------------------------------------------------------------------------
 *
 * connector_config.h
 *	  Connectors: named ways to reach an outside system.
 *
 * A webhook's config is {"url","method","headers","timeout","retry",
 * "idempotent"}; only the url must be there.  It is checked whole when the
 * connector is made.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_CONNECTOR_CONFIG_H
#define UAEF_CONNECTOR_CONFIG_H

#include "utils/jsonb.h"

#include "definition.h"

typedef struct UaefConnectorConfig
{
	char	   *url;
	char	   *method;			/* upper case */
	Jsonb	   *headers;		/* checked, or NULL */
	int64		timeout_ms;		/* 0: the default */
	UaefRetry	retry;
	bool		idempotent;
} UaefConnectorConfig;

/*
 * Make a connector, with a secret or NULL; raises when anything is wrong with
 * it.  An event.
 */
extern int32 uaef_connector_create(const char *name, const char *type,
								   Jsonb *config, Jsonb *secret);

/* Set its secret, or remove it with NULL; raises UA405 as below. */
extern void uaef_connector_set_secret(const char *name, Jsonb *secret);

/* Its config; raises UA405 when there is no such connector. */
extern void uaef_connector_load(const char *name, UaefConnectorConfig *config);

/* Stop sending, or go on; deliveries wait meanwhile.  An event. */
extern void uaef_connector_pause(const char *name, bool paused);

/*
 * Raise unless this is an object of strings that may be headers: no line
 * breaks, and none of those that are ours or HTTP's to set.
 */
extern void uaef_http_headers_check(Jsonb *headers);

/* The method in upper case; raises when it is none that we send. */
extern char *uaef_http_method_check(const char *method);

/* GET and HEAD: sending them again does no harm. */
extern bool uaef_http_method_is_safe(const char *method);

#endif							/* UAEF_CONNECTOR_CONFIG_H */
