/*-------------------------------------------------------------------------
 *
 * secret_key.h
 *	  The keys that secrets are sealed with, from a file or a command.
 *
 * The file, or what the command prints, is either 32 bytes, or lines of
 * "id hex" with 64 hexadecimal digits each, of which the id may be left out:
 * then it is made of the key.  The first key is the newest: it seals.  All of
 * them open.
 *
 * Keys are read once, and again after the server's settings were loaded anew,
 * or when one is asked for that is not there.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_SECRET_KEY_H
#define UAEF_SECRET_KEY_H

#include "seal.h"

#define UAEF_KEY_ID_LEN 64
#define UAEF_KEY_ID_CHARS \
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

typedef struct UaefSecretKey
{
	char		id[UAEF_KEY_ID_LEN + 1];
	uint8		key[UAEF_SEAL_KEY_LEN];
} UaefSecretKey;

/*
 * The newest key; raises UA410 when there is none that can be used.  It is
 * valid until the next call of a function of this file.
 */
extern const UaefSecretKey *uaef_secret_key_newest(void);

/* The key of this id; NULL when there is none, UA410 as above. */
extern const UaefSecretKey *uaef_secret_key_find(const char *id);

/* Wipe the keys from memory; they are read again when needed. */
extern void uaef_secret_key_forget(void);

#endif							/* UAEF_SECRET_KEY_H */
