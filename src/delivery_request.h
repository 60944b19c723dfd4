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

/* Whether a role may send a request there, by the connector's ways. */
extern bool uaef_request_may_go(Oid role, const char *method,
								const UaefUrl *url, const UaefConnector *via,
								UaefEgressGrant *grant, UaefRefusal *refusal);

/* What all requests have in common, besides id, method and reuse. */
extern void uaef_request_begin(UaefHttpRequest *request, const UaefUrl *url,
							   const UaefConnector *via,
							   const UaefHttpDraft *draft,
							   const UaefEgressGrant *grant);

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
