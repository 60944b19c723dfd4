/*-------------------------------------------------------------------------
 *
 * delivery_offer.c
 *	  Deliveries that may be refused without an error.
 *
 * Each is queued in a subtransaction, since a refusal is raised from below.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "delivery_offer.h"
#include "failure.h"
#include "subtransaction.h"

typedef struct Offer
{
	const UaefDeliveryRequest *request;
	int64		delivery_id;
} Offer;

static void
enqueue(void *arg)
{
	Offer	   *offer = arg;

	offer->delivery_id = uaef_delivery_enqueue(offer->request);
}

ErrorData *
uaef_delivery_offer(const UaefDeliveryRequest *request, int64 *delivery_id)
{
	Offer		offer = {request, 0};
	ErrorData  *refusal = uaef_try(enqueue, &offer);

	if (refusal != NULL && !uaef_failure_is_refusal(refusal))
		ReThrowError(refusal);
	*delivery_id = offer.delivery_id;
	return refusal;
}
