/*-------------------------------------------------------------------------
 *
 * connector_task.c
 *	  Connector tasks: a payload that is filled in and left for delivery.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "advance.h"
#include "delivery_offer.h"
#include "task_kind.h"

static void hand_out_call(UaefTask *task);
static void withdraw_call(UaefTask *task);

const UaefTaskKind uaef_connector_task = {
	.hand_out = hand_out_call,
	.withdraw = withdraw_call
};

static void
hand_out_call(UaefTask *task)
{
	const UaefConnectorCall *call = &task->def->config.call;
	UaefEvalError error = {0};
	UaefDeliveryRequest request;

	uaef_delivery_of_task(task, &request);
	request.connector = call->connector;
	request.operation = call->operation;
	request.idempotent = call->idempotent;
	request.body = uaef_template_fill(call->payload, uaef_task_scope(task),
									  &error);
	if (request.body == NULL)
		uaef_advance_fail_evaluation(task, &error);
	else
		uaef_delivery_offer_for_task(task, &request);
}

static void
withdraw_call(UaefTask *task)
{
	uaef_delivery_cancel(&task->execution->id, task->task_id);
}
