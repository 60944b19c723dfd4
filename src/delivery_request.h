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

/* Why a request is not sent. */
typedef struct UaefRefusal
{
	const char *code;
	const char *message;
} UaefRefusal;

/*
 * Build it in the current memory context, within a transaction.  Returns false
 * and the reason when the egress rules of now refuse it, or its connector does.
 */
extern bool uaef_delivery_request(const UaefDelivery *delivery,
								  UaefHttpRequest *request,
								  UaefRefusal *refusal);

/* Overwrite what may be secret of a request that was sent. */
extern void uaef_delivery_wipe(UaefHttpRequest *request);

#endif							/* UAEF_DELIVERY_REQUEST_H */
