/*-------------------------------------------------------------------------
 *
 * delivery_request.h
 *	  The HTTP request of a delivery.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_DELIVERY_REQUEST_H
#define UAEF_DELIVERY_REQUEST_H

#include "delivery_store.h"

/*
 * Build it in the current memory context, within a transaction.  Returns false
 * and the reason when the egress rules of now refuse it.
 */
extern bool uaef_delivery_request(const UaefDelivery *delivery,
								  UaefHttpRequest *request, char **refusal);

#endif							/* UAEF_DELIVERY_REQUEST_H */
