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
 * current memory context.
 */
extern void uaef_delivery_attach(List *deliveries);

/* What a delivery asks of its connector. */
extern void uaef_delivery_call(const UaefDelivery *delivery, UaefCall *call);

#endif							/* UAEF_DELIVERY_CONNECTOR_H */
