/*-------------------------------------------------------------------------
 *
 * ledger_cosignature.h
 *	  Cosignatures of witnesses, as they are kept.
 *
 * The current identity must be the owner (uaef_spi_begin()).
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_LEDGER_COSIGNATURE_H
#define UAEF_LEDGER_COSIGNATURE_H

#include "ledger_witness.h"

/* Keep a cosignature that was verified; a second one of the same is not. */
extern void uaef_cosignature_store(const char *origin, int64 tree_size,
								   const UaefNoteKey *key,
								   const UaefCosignature *cosignature);

/* The lines of a checkpoint, each with its newline; "" when there are none. */
extern char *uaef_cosignature_lines(const char *origin, int64 tree_size);

#endif							/* UAEF_LEDGER_COSIGNATURE_H */
