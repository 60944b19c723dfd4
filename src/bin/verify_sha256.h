/*-------------------------------------------------------------------------
 *
 * verify_sha256.h
 *	  SHA-256 of FIPS 180-4, by the processor's instructions if it has them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VERIFY_SHA256_H
#define VERIFY_SHA256_H

#include "verify_util.h"

typedef struct Sha256
{
	uint32_t	state[8];
	uint64_t	len;
	uint8_t		block[64];
} Sha256;

/* Choose how to compute; before anything else here. */
extern void sha256_choose(bool portable);

/* How it is computed, for people. */
extern const char *sha256_engine(void);

extern void sha256_begin(Sha256 *sha);
extern void sha256_add(Sha256 *sha, const void *data, size_t len);
extern void sha256_end(Sha256 *sha, uint8_t *hash);

/* Of one run of bytes, and of a node of an RFC 6962 tree. */
extern void sha256(const void *data, size_t len, uint8_t *hash);
extern void sha256_node(const uint8_t *left, const uint8_t *right,
						uint8_t *hash);

#endif							/* VERIFY_SHA256_H */
