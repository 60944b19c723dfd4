/*-------------------------------------------------------------------------
 *
 * agent_key.c
 *	  The keys by which agents say who they are.
 *
 * A key is 256 random bits, so nobody can guess it and nobody can try all of
 * them: one plain SHA-256 hides it as well as a slow, salted hash would, which
 * is for what people choose.  A key is known by its prefix, which is no
 * secret; only the comparison of the hashes takes the same time always.
 *
 * Pure.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <openssl/crypto.h>

#include "agent_key.h"
#include "event_hash.h"

#define MARK "uaef_"

static void
random_hex(char *text, int digits)
{
	static const char hex[] = "0123456789abcdef";
	uint8		bytes[32];

	Assert(digits <= (int) sizeof(bytes) * 2);
	if (!pg_strong_random(bytes, digits / 2))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random values")));
	for (int i = 0; i < digits / 2; i++)
	{
		*text++ = hex[bytes[i] >> 4];
		*text++ = hex[bytes[i] & 0x0f];
	}
	*text = '\0';
}

static void
complete_key(UaefAgentKey *key)
{
	memcpy(key->prefix, key->text + strlen(MARK), UAEF_AGENT_PREFIX_LEN);
	key->prefix[UAEF_AGENT_PREFIX_LEN] = '\0';
	uaef_sha256(key->text, UAEF_AGENT_KEY_LEN, key->hash);
}

void
uaef_agent_key_make(UaefAgentKey *key)
{
	char	   *at = key->text + strlen(MARK);

	memcpy(key->text, MARK, strlen(MARK));
	random_hex(at, UAEF_AGENT_PREFIX_LEN);
	at[UAEF_AGENT_PREFIX_LEN] = '_';
	random_hex(at + UAEF_AGENT_PREFIX_LEN + 1, 64);
	complete_key(key);
}

bool
uaef_agent_key_read(const char *text, UaefAgentKey *key)
{
	if (strlen(text) != UAEF_AGENT_KEY_LEN ||
		strncmp(text, MARK, strlen(MARK)) != 0 ||
		strspn(text + strlen(MARK), "0123456789abcdef_") !=
		UAEF_AGENT_KEY_LEN - strlen(MARK))
		return false;
	memcpy(key->text, text, UAEF_AGENT_KEY_LEN + 1);
	complete_key(key);
	return true;
}

bool
uaef_agent_key_is(const UaefAgentKey *key, const void *hash)
{
	return CRYPTO_memcmp(key->hash, hash, UAEF_AGENT_HASH_LEN) == 0;
}
