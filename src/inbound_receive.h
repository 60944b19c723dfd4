/*-------------------------------------------------------------------------
 *
 * inbound_receive.h
 *	  Receiving webhooks: believe, record once, act.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_INBOUND_RECEIVE_H
#define UAEF_INBOUND_RECEIVE_H

#include "utils/jsonb.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "mac.h"

/* What the sender is told, and what became of what it sent. */
typedef struct UaefInboundAnswer
{
	int			status;			/* of HTTP */
	const char *content_type;
	Jsonb	   *json;			/* the body, or NULL: */
	const char *text;			/* this is */
	const char *outcome;		/* accepted, ignored, duplicate, failed,
								 * refused, challenge */
	const char *reason;			/* refused: the word; or NULL */
	int64		inbox_id;		/* 0: none, or several */
	bool		has_execution;
	pg_uuid_t	execution_id;
	int			n_messages;
	Jsonb	   *messages;		/* of several: {"inbox_id", "outcome", ...} */
} UaefInboundAnswer;

/*
 * Take in a request, in the caller's transaction.  Raises UA440 for a source
 * that is not there, and what a transaction is tried again for; nothing has
 * happened then.
 */
extern void uaef_inbound_receive(const char *source, Jsonb *headers,
								 UaefBytes body, UaefInboundAnswer *answer);

/*
 * Do once more what the rules say, for a delivery whose content was kept and
 * that was not accepted.  Raises UA441 and UA442.
 */
extern void uaef_inbound_replay(int64 inbox_id, UaefInboundAnswer *answer);

/*
 * Forget deliveries that are older than this (0: than their sources say), of
 * one source (NULL: of all).  Returns how many.
 */
extern int64 uaef_inbound_purge(const char *source, int64 older_us);

/* {"status","content_type","body","outcome",...} */
extern Jsonb *uaef_inbound_answer_json(const UaefInboundAnswer *answer);

#endif							/* UAEF_INBOUND_RECEIVE_H */
