/*-------------------------------------------------------------------------
 *
 * servicebus_connector.h
 *	  What sending to Service Bus and receiving from it share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_SERVICEBUS_CONNECTOR_H
#define UAEF_SERVICEBUS_CONNECTOR_H

#include "connector_type.h"

/* A token for a resource, until a second of the Unix clock. */
extern char *uaef_servicebus_token(const char *uri, const char *key_name,
								   const char *key, int64 expires);

/* Set the header with a token for the connector's queue. */
extern void uaef_servicebus_sign(const UaefConnector *connector,
								 UaefHttpDraft *draft);

/* The URL of the queue, without a slash at its end. */
extern const char *uaef_servicebus_entity(const UaefConnector *connector);

#endif							/* UAEF_SERVICEBUS_CONNECTOR_H */
