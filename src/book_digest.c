/*-------------------------------------------------------------------------
 *
 * book_digest.c
 *	  The digest of a journal: what its idempotency key and its event are
 *	  bound to.
 *
 * SHA-256 over the journal and its lines, every part with its length, so that
 * no two contents give the same bytes.  A time that the journal takes effect
 * is part of it only if it was given: who repeats a call without one repeats
 * the same content.
 *
 * Memory: the bytes are in the context that was current at the begin.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "port/pg_bswap.h"

#include "book_internal.h"
#include "canonical.h"
#include "event_hash.h"

#define DOMAIN	"uaef journal 1"

static void add_int64(StringInfo out, int64 number);
static void add_text(StringInfo out, const char *text);

static void
add_int64(StringInfo out, int64 number)
{
	uint64		bytes = pg_hton64((uint64) number);

	appendBinaryStringInfo(out, (char *) &bytes, sizeof(bytes));
}

/*
 * A text that may be missing.
 */
static void
add_text(StringInfo out, const char *text)
{
	add_int64(out, text == NULL ? -1 : (int64) strlen(text));
	if (text != NULL)
		appendStringInfoString(out, text);
}

void
uaef_book_digest_begin(BookDigest *digest, const UaefJournal *journal)
{
	StringInfo	out = &digest->bytes;

	initStringInfo(out);
	appendBinaryStringInfo(out, DOMAIN, sizeof(DOMAIN));
	add_text(out, journal->kind);
	add_text(out, journal->key);
	add_text(out, journal->description);
	add_int64(out, journal->has_effective_at);
	add_int64(out, journal->has_effective_at ? journal->effective_at : 0);
	add_int64(out, journal->reverses);
	add_int64(out, journal->hold_id);
	if (journal->metadata != NULL)
	{
		StringInfoData text;

		initStringInfo(&text);
		(void) uaef_canonical_append(&text, journal->metadata);
		add_text(out, text.data);
		pfree(text.data);
	}
	else
		add_text(out, NULL);
}

void
uaef_book_digest_line(BookDigest *digest, int line, int64 account_id,
					  bool credit, UaefMinor amount)
{
	StringInfo	out = &digest->bytes;

	add_int64(out, line);
	add_int64(out, account_id);
	add_int64(out, credit);
	add_int64(out, (int64) (amount >> 64));
	add_int64(out, (int64) amount);
}

void
uaef_book_digest_end(BookDigest *digest, uint8 *hash)
{
	uaef_sha256(digest->bytes.data, digest->bytes.len, hash);
	pfree(digest->bytes.data);
}
