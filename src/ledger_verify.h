/*-------------------------------------------------------------------------
 *
 * ledger_verify.h
 *	  Looking for damage in the ledger, and naming its place.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_LEDGER_VERIFY_H
#define UAEF_LEDGER_VERIFY_H

#include "ledger_report.h"

/*
 * Check everything, or, when from_block is above 1, that block and what came
 * later; then the block before it must exist.  trusted_hash, if not NULL, is
 * the block_hash that it is known to have had.
 */
extern void uaef_verify_ledger(const UaefReport *report, int64 from_block,
							   const uint8 *trusted_hash);

/* Check one block and its events, or one event.  Raises if there is none. */
extern void uaef_verify_block(const UaefReport *report, int64 block_no);
extern void uaef_verify_event(const UaefReport *report, int64 event_id);

/* An event's hash, computed from its row. */
extern void uaef_verify_hash_event(int64 event_id, uint8 *hash);

#endif							/* UAEF_LEDGER_VERIFY_H */
