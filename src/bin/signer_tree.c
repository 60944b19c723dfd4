/*-------------------------------------------------------------------------
 *
 * signer_tree.c
 *	  Whether one tree of RFC 6962 is the beginning of another.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include <openssl/evp.h>

#include "signer_tree.h"

/*
 * The node over two others; node may be one of them.  False when it cannot be
 * computed.
 */
static int
combine(const unsigned char *left, const unsigned char *right,
		unsigned char *node)
{
	unsigned char bytes[1 + 2 * HASH_LEN];

	bytes[0] = 1;
	memcpy(bytes + 1, left, HASH_LEN);
	memcpy(bytes + 1 + HASH_LEN, right, HASH_LEN);
	return EVP_Digest(bytes, sizeof(bytes), node, NULL, EVP_sha256(),
					  NULL) == 1;
}

int
tree_is_consistent(const Proof *proof, int64_t old_size,
				   const unsigned char *old_root, int64_t new_size,
				   const unsigned char *new_root)
{
	uint64_t	fn = old_size - 1;
	uint64_t	sn = new_size - 1;
	unsigned char fr[HASH_LEN];
	unsigned char sr[HASH_LEN];
	int			i = 0;

	if (old_size > new_size)
		return 0;
	if (old_size == new_size)
		return proof->n == 0 && memcmp(old_root, new_root, HASH_LEN) == 0;
	for (; (fn & 1) != 0; fn >>= 1)
		sn >>= 1;

	/* The root of a perfect old tree begins the path itself. */
	if (fn != 0 && proof->n == 0)
		return 0;
	memcpy(fr, fn == 0 ? old_root : proof->hash[i++], HASH_LEN);
	memcpy(sr, fr, HASH_LEN);
	for (; i < proof->n; i++)
	{
		const unsigned char *hash = proof->hash[i];

		if (sn == 0)
			return 0;
		if ((fn & 1) != 0 || fn == sn)
		{
			if (!combine(hash, fr, fr) || !combine(hash, sr, sr))
				return 0;
			for (; (fn & 1) == 0 && fn != 0; fn >>= 1)
				sn >>= 1;
		}
		else if (!combine(sr, hash, sr))
			return 0;
		fn >>= 1;
		sn >>= 1;
	}
	return sn == 0 && memcmp(fr, old_root, HASH_LEN) == 0 &&
		memcmp(sr, new_root, HASH_LEN) == 0;
}
