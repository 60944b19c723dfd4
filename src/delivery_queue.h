/*-------------------------------------------------------------------------
 *
 * delivery_queue.h
 *	  Deliveries to be made: rows that a transaction leaves for the worker.
 *
 * This is the engine's side of the connectors: it writes and cancels rows, and
 * knows nothing of HTTP.  connector.h is the other direction.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_DELIVERY_QUEUE_H
#define UAEF_DELIVERY_QUEUE_H

#include "utils/jsonb.h"
#include "utils/uuid.h"

#include "definition.h"

typedef struct UaefDeliveryRequest
{
	const char *connector;		/* or NULL: url is the whole address */
	Oid			role;			/* on whose behalf; its egress rules apply */
	bool		has_task;		/* then the next four say whose result it is */
	pg_uuid_t	execution_id;
	int16		task_no;
	int32		item;
	int64		task_id;
	int			attempt;		/* of the task */
	const char *method;
	const char *url;			/* filled in */
	Jsonb	   *headers;		/* object of strings, or NULL */
	Jsonb	   *body;			/* or NULL */
	Jsonb	   *expect;
	bool		idempotent;
	int64		timeout_ms;		/* 0: the default */
	const UaefRetry *retry;		/* the delivery's own retries; NULL: defaults */
} UaefDeliveryRequest;

/*
 * Insert a delivery with a new idempotency key; returns its id.  The egress
 * rules are looked at already, and refusal raises UA401.  The current identity
 * must be the owner.
 */
extern int64 uaef_delivery_enqueue(const UaefDeliveryRequest *request);

/* Withdraw what has not been sent of a task that no longer waits for it. */
extern void uaef_delivery_cancel(const pg_uuid_t *execution_id, int64 task_id);

#endif							/* UAEF_DELIVERY_QUEUE_H */
