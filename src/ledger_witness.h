/*-------------------------------------------------------------------------
 *
 * ledger_witness.h
 *	  The protocol of witnesses: c2sp.org/tlog-witness, add-checkpoint.
 *
 * Pure: texts in, texts out; no tables, no network.  Functions that judge an
 * answer return NULL, or what is wrong with it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_LEDGER_WITNESS_H
#define UAEF_LEDGER_WITNESS_H

#include "merkle.h"
#include "note.h"

typedef struct UaefCosignature
{
	char	   *line;			/* without its newline */
	uint64		time;			/* when the witness signed, in Unix seconds */
} UaefCosignature;

/* What is sent: a note, and the proof that its tree begins with an older one. */
extern char *uaef_witness_request(int64 old_size, const UaefProof *proof,
								  const char *note);

/*
 * Of an answer with status 200: the line of this key, verified for this note.
 * Lines of other keys are passed over.
 */
extern const char *uaef_witness_read(const UaefNoteKey *key, const char *note,
									 const char *answer, size_t len,
									 UaefCosignature *cosignature);

/* Of an answer with status 409: the size that the witness has. */
extern const char *uaef_witness_read_size(const char *answer, size_t len,
										  int64 *size);

#endif							/* UAEF_LEDGER_WITNESS_H */
