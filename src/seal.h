/*-------------------------------------------------------------------------
 *
 * seal.h
 *	  Encryption that shows every change: AES-256-GCM.
 *
 * Sealed bytes are, in this order:
 *
 *		1		format, 1
 *		12		random: HMAC-SHA-256 of "uaef seal 1" and these 12 bytes, by the
 *				key, is the key of this message
 *		12		random: the nonce of AES-256-GCM
 *		n		what was encrypted
 *		16		the tag
 *
 * A key of its own for each message lifts the limit of 2^32 messages that
 * random nonces of 96 bits set to a key.
 *
 * The bytes beside (additional authenticated data) are not in it: who opens it
 * must give the same ones.  The format is put before them.
 *
 * Pure, but for random numbers; what was in memory is wiped.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_SEAL_H
#define UAEF_SEAL_H

#include "lib/stringinfo.h"

#define UAEF_SEAL_KEY_LEN	32
#define UAEF_SEAL_OVERHEAD	(1 + 12 + 12 + 16)

/*
 * Seal len bytes; sealed takes len + UAEF_SEAL_OVERHEAD.  Raises when OpenSSL
 * fails.
 */
extern void uaef_seal(const uint8 *key, const void *beside, size_t beside_len,
					  const void *plain, size_t len, uint8 *sealed);

/*
 * Open what was sealed; plain takes len - UAEF_SEAL_OVERHEAD.  False, and
 * nothing in plain, when it is too short, of another format, or does not have
 * this key and these bytes beside.
 */
extern bool uaef_seal_open(const uint8 *key, const void *beside,
						   size_t beside_len, const uint8 *sealed, size_t len,
						   void *plain);

/*
 * Append a text to bytes beside: its length in UTF-8 in four bytes, most
 * significant first, and the text.
 */
extern void uaef_seal_put_beside(StringInfo beside, const char *text);

#endif							/* UAEF_SEAL_H */
