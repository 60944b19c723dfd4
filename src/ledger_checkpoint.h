/*-------------------------------------------------------------------------
 *
 * ledger_checkpoint.h
 *	  Checkpoints of the ledger: signed roots of its tree, for others to keep.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_LEDGER_CHECKPOINT_H
#define UAEF_LEDGER_CHECKPOINT_H

/* The origin of this ledger, in UTF-8; raises 22023 for a bad setting. */
extern char *uaef_checkpoint_origin(void);

/*
 * The newest checkpoint, in the database's encoding; signs one if the tree has
 * grown, and stores it.  When that is not possible now, a NOTICE says why, and
 * the result is the last one that was signed; without a signer it is the text
 * that would be signed.  Raises UA120 when the ledger contradicts what was
 * signed before, UA121 when the signer fails, 55000 when this transaction has
 * sealed what would be signed.
 */
extern char *uaef_checkpoint_newest(void);

/*
 * For the worker: sign what is new; raises whatever prevents it.  False when
 * somebody else is signing.
 */
extern bool uaef_checkpoint_sign_new(void);

/* Whether the worker has anything to sign with. */
extern bool uaef_checkpoint_is_automatic(void);

#endif							/* UAEF_LEDGER_CHECKPOINT_H */
