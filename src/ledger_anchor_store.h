/*-------------------------------------------------------------------------
 *
 * ledger_anchor_store.h
 *	  Anchors and what they were sent, in their tables.
 *
 * Every function works in the caller's transaction, between uaef_spi_begin()
 * and uaef_spi_end().  Locking: an anchor that is read is locked until the
 * transaction ends; what it was sent is written under that lock.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_LEDGER_ANCHOR_STORE_H
#define UAEF_LEDGER_ANCHOR_STORE_H

#include "ledger_anchor_config.h"

typedef struct UaefAnchor
{
	char	   *name;
	UaefAnchorKind kind;
	char	   *target;
	Jsonb	   *config;
	Oid			role;			/* on whose behalf */
	int64		interval_ms;
	int64		witness_size;
	int			failures;		/* since the last success */
	bool		contradicted;
} UaefAnchor;

/* A signed checkpoint, and where its anchoring stands. */
typedef struct UaefAnchoring
{
	char	   *origin;
	int64		tree_size;
	char	   *note;
	int64		delivery_id;	/* 0: none */
	int64		old_size;		/* that the witness was told */
	int			resent;
	int64		nonce;			/* of a time-stamp request */
} UaefAnchoring;

/* The newest signed checkpoint; false when there is none. */
extern bool uaef_anchor_newest(UaefAnchoring *newest);

/* Size of the newest signed checkpoint of an origin; 0: there is none. */
extern int64 uaef_anchor_newest_size(const char *origin);

/*
 * The anchors that are to be sent this checkpoint now, locked; those that
 * others have locked are left out.
 */
extern int	uaef_anchor_due(const UaefAnchoring *newest, UaefAnchor **anchors);

/* When the next one is to be sent it (DT_NOEND: none). */
extern TimestampTz uaef_anchor_next_due(const UaefAnchoring *newest);

/*
 * The anchor that waits for this delivery's answer, and for what; false when
 * it does not wait any more.
 */
extern bool uaef_anchor_waiting(const char *name, int64 delivery_id,
								UaefAnchor *anchor, UaefAnchoring *anchoring);

/* It is on its way; or again, with the next delivery. */
extern void uaef_anchoring_request(const UaefAnchor *anchor,
								   const UaefAnchoring *anchoring);

/* It is anchored.  receipt may be NULL, stamped_at 0. */
extern void uaef_anchoring_done(const UaefAnchor *anchor,
								const UaefAnchoring *anchoring,
								bytea *receipt, TimestampTz stamped_at);

/* It failed; contradicted: because the witness has seen another tree. */
extern void uaef_anchoring_failed(const UaefAnchor *anchor,
								  const UaefAnchoring *anchoring,
								  const char *error, bool contradicted);

/*
 * The newest checkpoint that is anchored, by quorum witnesses if that is not
 * 0; false when there is none.  Only its origin and size are set.
 */
extern bool uaef_anchor_covered(int quorum, UaefAnchoring *covered);

#endif							/* UAEF_LEDGER_ANCHOR_STORE_H */
