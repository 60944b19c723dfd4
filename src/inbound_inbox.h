/*-------------------------------------------------------------------------
 *
 * inbound_inbox.h
 *	  The inbox: which deliveries of webhooks have come, each once.
 *
 * The identity must be the owner of our tables.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_INBOUND_INBOX_H
#define UAEF_INBOUND_INBOX_H

#include "arrival_act.h"
#include "inbound_kind.h"

/* One delivery. */
typedef struct UaefInboundRow
{
	int64		inbox_id;
	int32		source_id;
	char	   *delivery_id;
	char	   *status;			/* received, accepted, ignored, failed */
	bool		has_execution;
	pg_uuid_t	execution_id;
	Jsonb	   *headers;		/* what was kept, or NULL */
	Jsonb	   *body;
} UaefInboundRow;

/*
 * Take a delivery in, or lock the one that is there already, waiting for
 * whoever is just taking it in.  digest is that of the signed bytes where the
 * id is not signed, else NULL.  Returns whether it is new.
 */
extern bool uaef_inbox_take(const UaefInboundSource *source, const char *id,
							const uint8 *digest, const uint8 *body_sha256,
							UaefInboundRow *row);

/* Lock a delivery; raises UA441 when there is none. */
extern void uaef_inbox_lock(int64 inbox_id, UaefInboundRow *row);

/*
 * Write what became of it: error is NULL, or why it failed.  headers and body
 * are kept unless they are NULL.
 */
extern void uaef_inbox_write(const UaefInboundRow *row,
							 const UaefArrivalOutcome *outcome, Jsonb *error,
							 Jsonb *headers, Jsonb *body);

/* Forget deliveries of a source that came before, at most limit. */
extern int64 uaef_inbox_purge(int32 source_id, TimestampTz before, int limit);

#endif							/* UAEF_INBOUND_INBOX_H */
