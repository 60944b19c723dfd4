/*-------------------------------------------------------------------------
 *
 * delivery_queue.h
 *	  Deliveries to be made: rows that a transaction leaves for the worker.
 *
 * This is the engine's side of the connectors: it writes and cancels rows, and
 * knows nothing of HTTP.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_DELIVERY_QUEUE_H
#define UAEF_DELIVERY_QUEUE_H

#include "datatype/timestamp.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

#include "definition.h"

typedef struct UaefDeliveryRequest
{
	const char *connector;		/* fills in what is missing; or NULL */
	const char *operation;		/* of the connector; NULL: its first */
	int			priority;		/* -100 to 100; higher ones are sent first */
	TimestampTz send_at;		/* not before; 0: at once */
	Oid			role;			/* on whose behalf; its egress rules apply */
	bool		has_task;		/* then the next four say whose result it is */
	pg_uuid_t	execution_id;
	int16		task_no;
	int32		item;
	int64		task_id;
	int			attempt;		/* of the task */
	const char *anchor;			/* of the ledger, that waits for the answer;
								 * or NULL */
	const pg_uuid_t *payout_id; /* that waits for the answer; or NULL */
	const char *method;			/* NULL: the connector's, or POST */
	const char *url;			/* filled in; NULL: the connector's */
	Jsonb	   *headers;		/* object of strings, or NULL */
	Jsonb	   *body;			/* or NULL */
	bytea	   *bytes;			/* instead: sent as they are; or NULL */
	Jsonb	   *expect;			/* {"status":[200,409]}, or NULL: 2xx */
	bool		idempotent;		/* may be sent again when in doubt */
	int64		timeout_ms;		/* 0: the default */
	const UaefRetry *retry;		/* the delivery's own retries; NULL: defaults */
	bool		exact_retry;	/* that, even if it says one attempt */
	const char *idempotency_key;	/* NULL: a new one */
} UaefDeliveryRequest;

/*
 * Insert a delivery; returns its id.  With an idempotency key that the role
 * has used for the same request it returns that delivery's; for another
 * request it raises UA307.  The egress rules are looked at already, and refusal
 * raises UA401.
 */
extern int64 uaef_delivery_enqueue(const UaefDeliveryRequest *request);

/*
 * Send a delivery that has ended once more, under its key; false when it has
 * not ended, or succeeded.
 */
extern bool uaef_delivery_resend(int64 delivery_id);

/*
 * Have no attempt of a delivery follow; false when one is under way, and then
 * nothing changes.
 */
extern bool uaef_delivery_withdraw(int64 delivery_id);

/*
 * Withdraw what has not been sent of a task that no longer waits for it; what
 * is being sent ends, but is not tried again.  The execution's row is locked.
 */
extern void uaef_delivery_cancel(const pg_uuid_t *execution_id, int64 task_id);

/*
 * Have what waits for its next attempt be tried at once; false when nothing of
 * the task waits so.  The execution's row is locked.
 */
extern bool uaef_delivery_hasten(const pg_uuid_t *execution_id, int64 task_id);

/* Withdraw the deliveries of an anchor, as those of a task. */
extern void uaef_delivery_cancel_anchor(const char *anchor);

#endif							/* UAEF_DELIVERY_QUEUE_H */
