/*-------------------------------------------------------------------------
 *
 * ledger_anchor.h
 *	  Sending checkpoints to anchors, and what their answers mean.
 *
 * The functions work in the caller's transaction and become the owner.  Files
 * are written at once; all else goes out as a delivery, whose answer comes back
 * here.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_LEDGER_ANCHOR_H
#define UAEF_LEDGER_ANCHOR_H

#include "datatype/timestamp.h"

/* Bytes of an answer; a larger one is an error. */
#define UAEF_ANCHOR_MAX_ANSWER (64 * 1024)

/* What came back. */
typedef struct UaefAnchorAnswer
{
	bool		expected;		/* an answer came, with a status that we read */
	int			status;			/* 0: no answer */
	const char *body;
	size_t		body_len;
	const char *code;			/* of the failure; or NULL */
	const char *message;
} UaefAnchorAnswer;

/*
 * For the worker: send the newest checkpoint to the anchors that are due.
 * Returns when to look again (DT_NOEND: when there is another checkpoint).
 */
extern TimestampTz uaef_anchor_work(void);

/* What came of a delivery that belongs to an anchor. */
extern void uaef_anchor_answer(const char *name, int64 delivery_id,
							   const UaefAnchorAnswer *answer);

/*
 * How long ago the oldest event was sealed that is not covered, in
 * microseconds; 0 when all are.
 */
extern int64 uaef_anchor_max_age(void);

/* The newest note that is covered, with its cosignatures; NULL: none. */
extern char *uaef_anchor_covered_note(void);

#endif							/* UAEF_LEDGER_ANCHOR_H */
