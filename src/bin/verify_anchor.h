/*-------------------------------------------------------------------------
 *
 * verify_anchor.h
 *	  What stands outside the ledger: signed checkpoints, and what they make
 *	  of a ledger that is consistent with itself.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VERIFY_ANCHOR_H
#define VERIFY_ANCHOR_H

#include "verify_ledger.h"

/* What a checkpoint is worth. */
typedef struct Anchor
{
	bool		outside;		/* it did not come with the export */
	bool		trusted;		/* it stands outside, or a pinned log signed
								 * it */
	bool		quorum;			/* enough witnesses did */
	int64_t		size;
	const char *signer;			/* name of the log, NULL if no policy names it */
	int			cosigned;		/* how many witnesses did */
	int64_t		time;			/* the earliest of their times, 0 for none */
} Anchor;

/*
 * Read a note and check its signatures by the policy.  Returns false when
 * something is wrong, which it reports.  The caller frees
 * checkpoint->signature.
 */
extern bool anchor_read(Ledger *ledger, const Note *note,
						Checkpoint *checkpoint, Anchor *anchor);

#endif							/* VERIFY_ANCHOR_H */
