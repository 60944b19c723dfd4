/*-------------------------------------------------------------------------
 *
 * verify_proof.h
 *	  Proofs of single events (c2sp.org/tlog-proof@v1) and receipts.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VERIFY_PROOF_H
#define VERIFY_PROOF_H

#include "verify_ledger.h"

/*
 * Check the proofs and receipts that the options name; appends to summary
 * what they prove.  Returns whether the policy is met by all of them.
 */
extern bool proofs_check(Ledger *ledger, Buffer *summary);

/* Check a receipt's text; as above. */
extern bool receipt_check(Ledger *ledger, const char *name, const char *text,
						  size_t len, Buffer *summary);

#endif							/* VERIFY_PROOF_H */
