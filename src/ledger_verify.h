/*-------------------------------------------------------------------------
 *
 * ledger_verify.h
 *	  Looking for damage in the ledger, and naming its place.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_LEDGER_VERIFY_H
#define UAEF_LEDGER_VERIFY_H

#include "hash256.h"
#include "ledger_report.h"

typedef struct UaefVerifyOptions
{
	int64		from_block;		/* above 1: only this and what came later */
	const uint8 *trusted_hash;	/* of the block before, or NULL */
	char	  **checkpoints;	/* signed notes that were kept elsewhere */
	int			ncheckpoints;
	char	  **keys;			/* public keys that are believed */
	int			nkeys;
	int			quorum;			/* cosignatures that a checkpoint must have */
	int			jobs;			/* processes */
	int			sample;			/* old events to look at, by chance */
	bool		indexes;		/* with amcheck */
} UaefVerifyOptions;

typedef struct UaefVerdict
{
	int64		events;			/* that were looked at */
	int64		sealed;
	int64		blocks;
	uint8		root[UAEF_HASH_LEN];
	int64		sampled;
	int64		checkpoint_size;	/* of the largest good one; 0: none */
	char	   *signers[100];	/* whose signatures it has */
	int			nsigners;
} UaefVerdict;

/* Check the ledger.  Raises 22023 for keys that are none. */
extern void uaef_verify_ledger(const UaefReport *report,
							   const UaefVerifyOptions *options,
							   UaefVerdict *verdict);

/* What that proves, in a sentence; palloc'd. */
extern char *uaef_verdict_text(const UaefVerifyOptions *options,
							   const UaefVerdict *verdict,
							   const UaefTally *tally);

/* Check one block and its events, or one event.  Raises if there is none. */
extern void uaef_verify_block(const UaefReport *report, int64 block_no);
extern void uaef_verify_event(const UaefReport *report, int64 event_id);

/* An event's hash, computed from its row. */
extern void uaef_verify_hash_event(int64 event_id, uint8 *hash);

#endif							/* UAEF_LEDGER_VERIFY_H */
