/*-------------------------------------------------------------------------
 *
 * note_json.h
 *	  Signed notes for people: as jsonb, with errors that say what is wrong.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_NOTE_JSON_H
#define UAEF_NOTE_JSON_H

#include "utils/array.h"
#include "utils/jsonb.h"

#include "note.h"

/*
 * {"text", "checkpoint": {"origin", "tree_size", "root", "extensions"},
 * "signatures": [{"name", "key_id", "kind", "verified", "at"}]} of a note in
 * the database's encoding, verified with an array of public keys.  Raises
 * 22023 for what is wrong with the note, its signatures or the keys.
 */
extern Jsonb *uaef_note_json(text * note, ArrayType *vkeys);

/* Public keys out of an array of texts; raises 22023 for a bad one. */
extern UaefNoteKey *uaef_note_keys(ArrayType *vkeys, int *nkeys);

/* A note in the database's encoding, taken apart; raises 22023. */
extern void uaef_note_require(const char *text, UaefNote *note);

/* The same, and the checkpoint that it must be. */
extern void uaef_checkpoint_require(const char *text, UaefNote *note,
									UaefCheckpoint *checkpoint);

#endif							/* UAEF_NOTE_JSON_H */
