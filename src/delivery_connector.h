/*-------------------------------------------------------------------------
 *
 * delivery_connector.h
 *	  The connectors that deliveries go through.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_DELIVERY_CONNECTOR_H
#define UAEF_DELIVERY_CONNECTOR_H

#include "delivery_store.h"

/*
 * Read the connectors of a list of UaefDelivery *, each connector once, in the
 * current memory context; with its secret, if it is to be sent to.  One that
 * cannot be read has a problem.
 */
extern void uaef_delivery_attach(List *deliveries, bool with_secret);

/* One connector, read in the same way; NULL when there is none. */
extern UaefConnector *uaef_delivery_connector(const char *name,
											  bool with_secret);

/* Overwrite their secrets. */
extern void uaef_delivery_detach(List *deliveries);

/* What a delivery asks of its connector. */
extern void uaef_delivery_call(const UaefDelivery *delivery, UaefCall *call);

#endif							/* UAEF_DELIVERY_CONNECTOR_H */
