/*-------------------------------------------------------------------------
 *
 * connector_secret.h
 *	  Secrets of connectors: what they may say, and opening them.
 *
 * The secret of any connector may have "headers", an object of strings that are
 * sent with each request, "tls_key", the private key of its certificate in PEM,
 * and what its type adds (connector_type.h).
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_CONNECTOR_SECRET_H
#define UAEF_CONNECTOR_SECRET_H

#include "connector_type.h"

/* The kind of these secrets. */
#define UAEF_CONNECTOR_SECRET "connector"

/* Raise unless a secret is one for connectors of this type; NULL is. */
extern void uaef_connector_check_secret(const UaefConnectorType *type,
										Jsonb *secret);

/* Set its secret, or remove it with NULL; raises UA405 when there is none. */
extern void uaef_connector_set_secret(const char *name, Jsonb *secret);

/*
 * Open its secret, if it has one, until it is closed.  Raises as
 * uaef_secret_get() does.
 */
extern void uaef_connector_open_secret(UaefConnector *connector);
extern void uaef_connector_close_secret(UaefConnector *connector);

/* Set the headers of an open secret, and the key. */
extern void uaef_connector_draft_secret(const UaefConnector *connector,
										UaefHttpDraft *draft);

#endif							/* UAEF_CONNECTOR_SECRET_H */
