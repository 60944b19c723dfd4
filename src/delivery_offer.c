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

#include "advance.h"
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

void
uaef_delivery_of_task(const UaefTask *task, UaefDeliveryRequest *request)
{
	memset(request, 0, sizeof(UaefDeliveryRequest));
	request->role = task->execution->initiated_by;
	request->has_task = true;
	request->execution_id = task->execution->id;
	request->task_no = task->no;
	request->item = task->item;
	request->task_id = task->task_id;
	request->attempt = task->attempt;
	request->timeout_ms = task->def->timeout_ms;
	request->retry = &task->def->retry;
}

void
uaef_delivery_offer_for_task(UaefTask *task,
							 const UaefDeliveryRequest *request)
{
	int64		delivery_id;
	ErrorData  *refusal = uaef_delivery_offer(request, &delivery_id);
	UaefFailure failure;

	if (refusal == NULL)
	{
		uaef_task_become(task, UAEF_TASK_RUNNING);
		task->started_at = task->execution->step->now;
		return;
	}
	uaef_failure_from_error(&failure, refusal);
	failure.transient = false;
	uaef_advance_fail_finally(task, &failure);
}
