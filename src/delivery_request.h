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
#include "egress.h"

/* Why a request is not sent. */
typedef struct UaefRefusal
{
	const char *code;
	const char *message;
	bool		passes;			/* another attempt may go better */
} UaefRefusal;

/* What all requests to a URL have in common, besides id, method and reuse. */
extern void uaef_request_begin(UaefHttpRequest *request, const UaefUrl *url,
							   const UaefHttpDraft *draft,
							   const UaefEgressGrant *grant);

/*
 * Build it in the current memory context, within a transaction.  Returns false
 * and the reason when the egress rules of now refuse it, or its connector does.
 */
extern bool uaef_delivery_request(const UaefDelivery *delivery,
								  UaefHttpRequest *request,
								  UaefRefusal *refusal);

#endif							/* UAEF_DELIVERY_REQUEST_H */
