/*-------------------------------------------------------------------------
 *
 * ledger_verify_anchor.h
 *	  Whether the ledger is the one that checkpoints tell of.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_LEDGER_VERIFY_ANCHOR_H
#define UAEF_LEDGER_VERIFY_ANCHOR_H

#include "ledger_verify.h"
#include "ledger_verify_internal.h"

/*
 * Compare the tree, after its roots have been checked, with the checkpoints
 * that the caller brought and with those that are stored; the largest good one
 * of the former goes into the verdict.  Raises 22023 for a key that is none.
 * Within SPI, as the owner.
 */
extern void uaef_verify_anchors(VerifyScan *scan,
								const UaefVerifyOptions *options,
								UaefVerdict *verdict);

#endif							/* UAEF_LEDGER_VERIFY_ANCHOR_H */
