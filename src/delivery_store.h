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

/* The columns of a UaefDelivery, in uaef_delivery_read()'s order. */
#define UAEF_DELIVERY_COLUMNS \
	" delivery_id, attempt, role, connector, execution_id, task_no, item," \
	" task_attempt, task_id, method, url, headers, body, expect, idempotent," \
	" idempotency_key, coalesce(timeout_ms, 0), retry, uncertain, anchor," \
	" body_bytes, operation, lane, attempts_before, payout_id, free_attempts"
#define UAEF_DELIVERY_N_COLUMNS 26

/* A delivery that is being sent. */
typedef struct UaefDelivery
{
	int64		delivery_id;
	int			attempt;
	int			attempts_before;	/* it was sent again by hand */
	Oid			role;
	char	   *connector;		/* or NULL */
	char	   *operation;		/* of the connector; or NULL */
	char	   *lane;			/* delivery_lane.h */
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
	bool		has_payout;
	pg_uuid_t	payout_id;		/* that the answer is evidence for */
	int			free_attempts;	/* of those so far, that do not count */
	bool		held;			/* it waits for the session of its connector */
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

/* Read one from a row of the last query, within its uaef_spi_begin(). */
extern void uaef_delivery_read(uint64 row, UaefDelivery *delivery);

/* Whether it only asks what became of a payout. */
extern bool uaef_delivery_looks_up(const UaefDelivery *delivery);

/* Say in the ledger that these are being sent. */
extern void uaef_delivery_record_sent(const UaefDelivery *deliveries, int n);

/* The attempts that are being sent, as results without an answer. */
extern void uaef_delivery_lost(dlist_head *results);

/* A result, and what it means. */
typedef struct UaefJudged
{
	UaefHttpResult *result;
	UaefDelivery delivery;
	UaefResponse response;
	UaefDeliveryVerdict verdict;
	bool		taken;			/* its task took the answer */
	const char *status;			/* of the delivery, when it is recorded */
} UaefJudged;

/*
 * Read the deliveries of results; returns how many still wait for theirs, and
 * those with result and delivery set.
 */
extern int	uaef_delivery_load(UaefHttpResult **results, int n,
							   UaefJudged *judged);

/*
 * Apply what was judged, in this order: tasks and anchors, then the deliveries,
 * the attempts, the events.
 */
extern void uaef_delivery_record(UaefJudged *judged, int n);

#endif							/* UAEF_DELIVERY_STORE_H */
