/*-------------------------------------------------------------------------
 *
 * signer_note.h
 *	  Keys, checkpoints and signed notes, as uaef-signer has them.
 *
 * The formats are those of c2sp.org/signed-note and c2sp.org/tlog-checkpoint.
 * Functions that judge a text return NULL, or what is wrong with it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SIGNER_NOTE_H
#define SIGNER_NOTE_H

#include <stddef.h>
#include <stdint.h>

#define HASH_LEN		32
#define SEED_LEN		32
#define PUBLIC_LEN		32
#define SIGNATURE_LEN	64

#define MAX_NAME		255
#define MAX_ORIGIN		1024
#define MAX_NOTE		65536

/* Bytes that the texts of a key take, with their end. */
#define KEY_TEXT_SIZE	(12 + MAX_NAME + 1 + 8 + 1 + 44 + 1)

/* Bytes that a line of signature takes, with newline and end. */
#define SIGNATURE_LINE_SIZE (4 + MAX_NAME + 1 + 92 + 1 + 1)

/* What a line of signature opens with: U+2014 and a space. */
#define SIGNATURE_DASH	"\xE2\x80\x94 "

typedef struct Key
{
	char		name[MAX_NAME + 1];
	unsigned char id[4];
	unsigned char public_key[PUBLIC_LEN];
	unsigned char seed[SEED_LEN];
} Key;

typedef struct Checkpoint
{
	char		origin[MAX_ORIGIN + 1];
	int64_t		size;
	unsigned char root[HASH_LEN];
} Checkpoint;

/* Make a new key; read one from its text; write both of its texts. */
extern const char *key_generate(const char *name, Key *key);
extern const char *key_parse(const char *text, Key *key);
extern void key_private_text(const Key *key, char *text);
extern void key_public_text(const Key *key, char *text);

/* The text of a checkpoint: its three lines, and nothing else. */
extern const char *checkpoint_parse(const char *text, size_t len,
									Checkpoint *checkpoint);

/* The line by which a key signs a text; NULL, or what went wrong. */
extern const char *note_sign(const Key *key, const char *text, size_t len,
							 char *line);

/* Decimal digits without leading zeros; -1 for anything else. */
extern int64_t parse_size(const char *digits, size_t len);

#endif							/* SIGNER_NOTE_H */
