/*-------------------------------------------------------------------------
 *
 * note.h
 *	  Signed notes and checkpoints, as c2sp.org has them: signed-note,
 *	  tlog-checkpoint, tlog-cosignature.
 *
 * Texts are UTF-8, whatever the database's encoding.  Functions that judge a
 * text return NULL, or what is wrong with it and where, in words; nothing
 * raises for bad input.  What they give is palloc'd.
 *
 *		problem = uaef_note_parse(bytes, len, &note);
 *		if (problem == NULL)
 *			problem = uaef_note_verify(&note, keys, nkeys);
 *		if (problem == NULL && !uaef_note_has(&note, &keys[0]))
 *			...;
 *		if (problem == NULL)
 *			problem = uaef_checkpoint_parse(note.text, &checkpoint);
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_NOTE_H
#define UAEF_NOTE_H

#include "ed25519.h"
#include "event_hash.h"

#define UAEF_NOTE_MAX_LEN			(64 * 1024)
#define UAEF_NOTE_MAX_SIGNATURES	100

/* Kinds of keys. */
#define UAEF_KEY_ED25519		0x01	/* signs the text */
#define UAEF_KEY_COSIGNATURE	0x04	/* signs a time and the text */

/* A public key, as those who verify pin it. */
typedef struct UaefNoteKey
{
	char	   *name;
	uint32		id;
	uint8		kind;
	uint8		public_key[UAEF_ED25519_PUBLIC_LEN];
} UaefNoteKey;

/* A private key with its public one. */
typedef struct UaefNoteSigner
{
	UaefNoteKey key;
	uint8		seed[UAEF_ED25519_SEED_LEN];
} UaefNoteSigner;

/* A line of signature. */
typedef struct UaefNoteSignature
{
	char	   *name;
	uint32		key_id;
	uint8	   *bytes;			/* after the key id */
	size_t		len;
	const UaefNoteKey *key;		/* that it was verified with, or NULL */
	uint64		time;			/* of a verified cosignature: Unix seconds */
} UaefNoteSignature;

typedef struct UaefNote
{
	char	   *text;			/* what is signed; ends in a newline */
	int			nsignatures;
	UaefNoteSignature *signatures;
} UaefNote;

/* What the text of a checkpoint says. */
typedef struct UaefCheckpoint
{
	char	   *origin;
	int64		size;
	uint8		root[UAEF_HASH_LEN];
	int			nextensions;	/* lines that follow */
} UaefCheckpoint;

/* Take a signed note apart; verify nothing. */
extern const char *uaef_note_parse(const char *bytes, size_t len,
								   UaefNote *note);

/* A line of signature alone, without its newline: what a witness answers. */
extern const char *uaef_note_parse_signature(const char *line, size_t len,
											 UaefNoteSignature *signature);

/*
 * Verify the signatures whose name and id are those of a key, and set their
 * key; others say nothing and are passed over.  One that no such key made is a
 * problem.
 */
extern const char *uaef_note_verify(UaefNote *note, const UaefNoteKey *keys,
									int nkeys);

/* The same for one signature of a text; true when a key made it. */
extern bool uaef_note_verify_signature(UaefNoteSignature *signature,
									   const char *text,
									   const UaefNoteKey *keys, int nkeys,
									   bool *known);

/* Whether this very key has signed, as uaef_note_verify() found. */
extern bool uaef_note_has(const UaefNote *note, const UaefNoteKey *key);

/* A text with lines of signatures, each with its newline. */
extern char *uaef_note_format(const char *text, const char *lines);

/*
 * The line, with newline, by which a key signs a text; the time, in Unix
 * seconds, is for cosignatures only.
 */
extern char *uaef_note_sign(const UaefNoteSigner *signer, const char *text,
							uint64 time);

/* NULL, or why this cannot be the name of a key. */
extern const char *uaef_note_check_name(const char *name);

/* Public keys: NAME+HASH+BASE64. */
extern const char *uaef_note_parse_key(const char *vkey, UaefNoteKey *key);
extern char *uaef_note_key_text(const UaefNoteKey *key);

/*
 * Private keys: PRIVATE+KEY+NAME+HASH+BASE64.  Problems do not repeat any of
 * the text.
 */
extern const char *uaef_note_parse_signer(const char *text,
										  UaefNoteSigner *signer);

/* The text of a checkpoint; as it is signed. */
extern char *uaef_checkpoint_text(const char *origin, int64 size,
								  const uint8 *root);
extern const char *uaef_checkpoint_parse(const char *text,
										 UaefCheckpoint *checkpoint);

/* NULL, or why this cannot be the origin of a ledger. */
extern const char *uaef_checkpoint_check_origin(const char *origin);

/* A tree size in decimal digits without leading zeros; false otherwise. */
extern bool uaef_parse_size(const char *digits, size_t len, int64 *size);

#endif							/* UAEF_NOTE_H */
