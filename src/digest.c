/*-------------------------------------------------------------------------
 *
 * digest.c
 *	  SHA-256 of documents in their canonical form.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "canonical.h"
#include "digest.h"
#include "event_hash.h"

static void
digest(Jsonb *document, uint8 *hash)
{
	StringInfoData text;

	initStringInfo(&text);
	(void) uaef_canonical_append(&text, document);
	uaef_sha256(text.data, text.len, hash);
	pfree(text.data);
}

char *
uaef_digest_hex(Jsonb *document)
{
	uint8		hash[UAEF_HASH_LEN];

	digest(document, hash);
	return uaef_hex(hash, UAEF_HASH_LEN);
}

bytea *
uaef_digest_bytea(Jsonb *document)
{
	bytea	   *result = palloc(VARHDRSZ + UAEF_HASH_LEN);

	SET_VARSIZE(result, VARHDRSZ + UAEF_HASH_LEN);
	digest(document, (uint8 *) VARDATA(result));
	return result;
}
