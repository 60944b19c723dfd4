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
 * That an event is in the tree of a size; 0: of all sealed events.  Raises
 * UA103 when the event, or so many events, are not sealed.
 */
extern Jsonb *uaef_inclusion_proof(int64 event_id, int64 tree_size);

/* That one tree is the beginning of another; new_size 0: of the whole one. */
extern Jsonb *uaef_consistency_proof(int64 old_size, int64 new_size);

#endif							/* UAEF_LEDGER_PROOF_H */
