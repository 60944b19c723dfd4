/*-------------------------------------------------------------------------
 *
 * delivery_judge.h
 *	  What the result of an attempt means for its delivery.
 *
 * Pure, but for the jitter of retries.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_DELIVERY_JUDGE_H
#define UAEF_DELIVERY_JUDGE_H

#include "delivery_store.h"

/* The code of an attempt that a worker began, and did not live to finish. */
#define UAEF_CODE_WORKER_LOST "worker_lost"

extern void uaef_delivery_judge(const UaefDelivery *delivery,
								const UaefHttpResult *result,
								const UaefResponse *response,
								UaefDeliveryVerdict *verdict);

#endif							/* UAEF_DELIVERY_JUDGE_H */
