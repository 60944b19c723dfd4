/*-------------------------------------------------------------------------
 *
 * delivery_store.h
 *	  Deliveries in their tables: claiming them, recording what came of them.
 *
 * Every function works in the caller's transaction.  Locking: a result that
 * ends a task's delivery goes to the engine first, which locks the execution,
 * and then to the delivery's row; so the caller records several such results
 * in the order of their executions, and those that lock only deliveries last.
 * The result of an anchor's delivery locks the anchor first in the same way.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_DELIVERY_STORE_H
#define UAEF_DELIVERY_STORE_H

#include "datatype/timestamp.h"
#include "utils/jsonb.h"

#include "connector_type.h"
#include "engine.h"

/* A delivery that is being sent. */
typedef struct UaefDelivery
{
	int64		delivery_id;
	int			attempt;
	Oid			role;
	char	   *connector;		/* or NULL */
	char	   *operation;		/* of the connector; or NULL */
	const UaefConnector *via;	/* the connector, once it is attached; NULL:
								 * none, or it is gone */
	bool		has_task;
	UaefTaskRef task;
	int64		task_id;
	char	   *anchor;			/* or NULL */
	char	   *method;
	char	   *url;
	Jsonb	   *headers;		/* or NULL */
	Jsonb	   *body;			/* or NULL */
	bytea	   *bytes;			/* or NULL */
	Jsonb	   *expect;			/* or NULL */
	bool		idempotent;
	char	   *idempotency_key;
	int			timeout_ms;		/* 0: the default */
	Jsonb	   *retry;
	bool		uncertain;		/* an earlier attempt may have had its effect */
	int			free_attempts;	/* of those so far, that do not count */
} UaefDelivery;

typedef enum UaefOutcome
{
	UAEF_DELIVERY_RETRY,
	UAEF_DELIVERY_SUCCEEDED,
	UAEF_DELIVERY_FAILED,
	UAEF_DELIVERY_IN_DOUBT
} UaefOutcome;

/* What an attempt's result means. */
typedef struct UaefDeliveryVerdict
{
	UaefOutcome outcome;
	bool		uncertain;		/* this attempt may have had its effect */
	const char *code;			/* of the failure */
	const char *message;
	const char *detail;			/* or NULL */
	int64		delay_ms;		/* until the next attempt */
	bool		session_over;	/* the connector's session does not hold */
	bool		free;			/* this attempt does not count */
} UaefDeliveryVerdict;

/*
 * Claim what is due, at most limit: mark it as being sent, with an attempt
 * begun.  Returns how many; they are palloc'd in the current context.
 */
extern int	uaef_delivery_claim(int limit, UaefDelivery **deliveries);

/* When the next one is due (DT_NOEND: none). */
extern TimestampTz uaef_delivery_next_due(void);

/* The attempts that are being sent, as results without an answer. */
extern void uaef_delivery_lost(dlist_head *results);

/* Read the delivery of a result; false when it no longer waits for it. */
extern bool uaef_delivery_load(int64 delivery_id, int attempt,
							   UaefDelivery *delivery);

/* Apply: the task or the anchor, the delivery, the attempt, the event. */
extern void uaef_delivery_record(const UaefDelivery *delivery,
								 const UaefHttpResult *result,
								 const UaefResponse *response,
								 const UaefDeliveryVerdict *verdict);

#endif							/* UAEF_DELIVERY_STORE_H */
