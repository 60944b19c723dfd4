/*-------------------------------------------------------------------------
 *
 * connector_config.h
 *	  Connectors: named ways to reach an outside system.
 *
 * A config is {"url","method","headers","timeout","retry","idempotent","tls",
 * "proxy"} and what its type adds (connector_type.h).  It is checked whole when the connector is
 * made.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_CONNECTOR_CONFIG_H
#define UAEF_CONNECTOR_CONFIG_H

#include "connector_type.h"

/*
 * Make a connector, with a secret or NULL; raises when anything is wrong with
 * it.  An event.
 */
extern int32 uaef_connector_create(const char *name, const char *type,
								   Jsonb *config, Jsonb *secret);

/*
 * Read a connector, in the current memory context; false when there is none.
 * Its secret stays closed.
 */
extern bool uaef_connector_find(const char *name, UaefConnector *connector);

/* The same; raises UA405 when there is none. */
extern void uaef_connector_load(const char *name, UaefConnector *connector);

/* The hint for who names a connector that there is not. */
extern const char *uaef_connector_hint(const char *name);

/* Raise unless there is such a connector, and it receives. */
extern void uaef_connector_require_receiver(const char *name);

/*
 * The type's operation of that name (NULL: its first), and raise when it has
 * none such.
 */
extern const char *uaef_connector_operation(const UaefConnector *connector,
											const char *name);

/* Stop sending, or go on; deliveries wait meanwhile.  An event. */
extern void uaef_connector_pause(const char *name, bool paused);

/* Give it another config, checked as the first one was.  An event. */
extern void uaef_connector_alter(const char *name, Jsonb *config);

/* Remove it; raises while an anchor or a delivery needs it.  An event. */
extern void uaef_connector_drop(const char *name);

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
