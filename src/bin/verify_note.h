/*-------------------------------------------------------------------------
 *
 * verify_note.h
 *	  Signed notes and checkpoints of C2SP: signed-note, tlog-checkpoint,
 *	  tlog-cosignature.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VERIFY_NOTE_H
#define VERIFY_NOTE_H

#include "verify_util.h"

#define NOTE_SIGNATURES 100
#define NOTE_MAX 1000000

/* Types of keys. */
#define KEY_ED25519 0x01
#define KEY_COSIGNATURE 0x04

/* A public key with its name, as a vkey tells it. */
typedef struct Key
{
	char	   *name;
	uint8_t		id[4];
	int			type;
	uint8_t		public_key[32];
} Key;

typedef struct NoteSignature
{
	Slice		name;
	uint8_t		id[4];
	uint8_t		bytes[256];		/* behind the id */
	size_t		len;
} NoteSignature;

/* A checkpoint; slices point into the note. */
typedef struct Checkpoint
{
	Slice		text;			/* what is signed */
	Slice		origin;
	int64_t		size;
	uint8_t		root[HASH_LEN];
	int			signatures;
	NoteSignature *signature;	/* the caller frees it */
} Checkpoint;

typedef enum SignatureState
{
	SIGNATURE_NONE,				/* the note has none of this key */
	SIGNATURE_GOOD,
	SIGNATURE_BAD
} SignatureState;

/* Read a vkey, NUL-terminated; returns NULL or what is wrong. */
extern const char *key_read(const char *text, Key *key);

/*
 * Read a note that is a checkpoint; returns NULL or what is wrong.  Its
 * signatures are not looked at.
 */
extern const char *checkpoint_read(const char *note, size_t len,
								   Checkpoint *checkpoint);

/*
 * Whether a key signed a checkpoint; of a cosignature *time becomes the
 * seconds since 1970 that it states.
 */
extern SignatureState checkpoint_signed(const Checkpoint *checkpoint,
										const Key *key, int64_t *time);

/* Whether a signature of Ed25519 is right. */
extern bool ed25519_verify(const uint8_t *public_key, const void *message,
						   size_t len, const uint8_t *signature);

#endif							/* VERIFY_NOTE_H */
