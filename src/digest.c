/*-------------------------------------------------------------------------
 *
 * digest.c
 *	  SHA-256 of documents in their canonical form.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/builtins.h"

#include "canonical.h"
#include "digest.h"
#include "event_hash.h"

static void
digest(Jsonb *document, uint8 *hash)
{
	StringInfoData text;

	initStringInfo(&text);
	(void) uaef_canonical_append(&text, document);
	uaef_hash_begin();
	uaef_hash_add(text.data, text.len);
	uaef_hash_end(hash);
	pfree(text.data);
}

char *
uaef_digest_hex(Jsonb *document)
{
	uint8		hash[UAEF_HASH_LEN];
	char	   *hex = palloc(2 * UAEF_HASH_LEN + 1);

	digest(document, hash);
	hex_encode((const char *) hash, UAEF_HASH_LEN, hex);
	hex[2 * UAEF_HASH_LEN] = '\0';
	return hex;
}

bytea *
uaef_digest_bytea(Jsonb *document)
{
	bytea	   *result = palloc(VARHDRSZ + UAEF_HASH_LEN);

	SET_VARSIZE(result, VARHDRSZ + UAEF_HASH_LEN);
	digest(document, (uint8 *) VARDATA(result));
	return result;
}
