/*-------------------------------------------------------------------------
 *
 * mac.c
 *	  Message authentication codes (HMAC), and comparing what is secret.
 *
 * Pure.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <openssl/crypto.h>

#include "common/cryptohash.h"
#include "common/hmac.h"

#include "mac.h"

static const struct
{
	const char *name;
	pg_cryptohash_type type;
	size_t		len;
}			hashes[] = {
	[UAEF_SHA1] = {"sha1", PG_SHA1, 20},
	[UAEF_SHA256] = {"sha256", PG_SHA256, 32},
	[UAEF_SHA512] = {"sha512", PG_SHA512, 64}
};

bool
uaef_hash_by_name(const char *name, UaefHash *hash)
{
	for (int i = 0; i < lengthof(hashes); i++)
	{
		if (strcmp(hashes[i].name, name) == 0)
		{
			*hash = i;
			return true;
		}
	}
	return false;
}

/*
 * What pg_hmac_create() gives is not freed by an abort, so nothing raises
 * before it is freed.
 */
size_t
uaef_mac(UaefHash hash, UaefBytes key, const UaefBytes *parts, int n,
		 uint8 *mac)
{
	size_t		len = hashes[hash].len;
	pg_hmac_ctx *context = pg_hmac_create(hashes[hash].type);
	bool		failed = context == NULL ||
		pg_hmac_init(context, key.data, key.len) < 0;

	for (int i = 0; !failed && i < n; i++)
		failed = pg_hmac_update(context, parts[i].data, parts[i].len) < 0;
	failed = failed || pg_hmac_final(context, mac, len) < 0;
	if (context != NULL)
		pg_hmac_free(context);
	if (failed)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not compute a message authentication code by %s",
						hashes[hash].name)));
	return len;
}

bool
uaef_same_secret(const char *expected, const char *text)
{
	size_t		len = strlen(expected);

	return strlen(text) == len && CRYPTO_memcmp(expected, text, len) == 0;
}
