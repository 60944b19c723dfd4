/*-------------------------------------------------------------------------
 *
 * verify_chain.h
 *	  The streams of events, each a chain.
 *
 * What is kept is the last event of each stream.  Events that come before
 * the ones that they follow wait until these have come, or until the end.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VERIFY_CHAIN_H
#define VERIFY_CHAIN_H

#include "verify_report.h"

/* An event after what can be said of it alone. */
typedef struct EventRow
{
	uint8_t		stream[UUID_LEN];
	int64_t		stream_seq;
	int64_t		event_id;
	int64_t		recorded_at;
	uint64_t	tx;
	uint8_t		prev_hash[HASH_LEN];
	uint8_t		stored[HASH_LEN];	/* what the export says it hashes to */
	uint8_t		computed[HASH_LEN]; /* what it does hash to */
	bool		decoded;		/* false when only stored is known */
} EventRow;

typedef struct Chains Chains;

/* late: streams may begin with any event. */
extern Chains *chains_make(const uint8_t *ledger, bool late);

extern void chains_add(Chains *chains, const EventRow *row, Report *report);

/*
 * A stream of which nothing has been taken begins behind this event.
 */
extern void chains_start(Chains *chains, const EventRow *row);

/* Look at the events that still wait. */
extern void chains_end(Chains *chains, Report *report);

extern int64_t chains_count(const Chains *chains);

#endif							/* VERIFY_CHAIN_H */
