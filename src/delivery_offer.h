/*-------------------------------------------------------------------------
 *
 * delivery_offer.h
 *	  Deliveries that may be refused without an error.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_DELIVERY_OFFER_H
#define UAEF_DELIVERY_OFFER_H

#include "delivery_queue.h"
#include "execution.h"

/*
 * Queue a delivery and set its id.  What refuses it (an address that egress
 * rules deny, say) is returned, with whatever was written undone; else NULL.
 * That we break is raised.
 */
extern ErrorData *uaef_delivery_offer(const UaefDeliveryRequest *request,
									  int64 *delivery_id);

/* A request of a task, without what the task's type says of it. */
extern void uaef_delivery_of_task(const UaefTask *task,
								  UaefDeliveryRequest *request);

/* Leave it for delivery, or fail the task when it is refused. */
extern void uaef_delivery_offer_for_task(UaefTask *task,
										 const UaefDeliveryRequest *request);

#endif							/* UAEF_DELIVERY_OFFER_H */
