/*-------------------------------------------------------------------------
 *
 * ledger_proof.h
 *	  Proofs of RFC 6962 over the ledger's tree, as documents.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_LEDGER_PROOF_H
#define UAEF_LEDGER_PROOF_H

#include "utils/jsonb.h"

/*
 * The leaf of an event, which must be among the first ones, size of them;
 * raises UA103 when it is not.
 */
extern int64 uaef_require_leaf(int64 event_id, int64 size);

/*
 * That an event is in the tree of a size; 0: of all sealed events.  Raises
 * UA103 when the event, or so many events, are not sealed.
 */
extern Jsonb *uaef_inclusion_proof(int64 event_id, int64 tree_size);

/* That one tree is the beginning of another; new_size 0: of the whole one. */
extern Jsonb *uaef_consistency_proof(int64 old_size, int64 new_size);

/*
 * That an event is in the tree of the newest signed checkpoint: the text of
 * c2sp.org/tlog-proof.  Raises UA103 when no checkpoint covers the event.
 */
extern char *uaef_tlog_proof(int64 event_id);

#endif							/* UAEF_LEDGER_PROOF_H */
