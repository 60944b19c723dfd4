/*-------------------------------------------------------------------------
 *
 * book_known.c
 *	  Accounts that this backend has met.
 *
 * An account never changes and is never deleted, so one that was committed is
 * not looked up again.  Whoever would change one after all must first disable
 * the trigger that keeps it, or replace the table: either is told to all
 * backends, which forget what they know.
 *
 * Locking: none.  Memory: a context of its own, emptied when it is full.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/inval.h"
#include "utils/memutils.h"

#include "book_internal.h"

/* So many are kept, of some 300 bytes each. */
#define MAX_KNOWN	20000

static HTAB *known = NULL;
static Oid	known_table = InvalidOid;	/* whose accounts; invalid: start anew */

static void note_change(Datum arg, Oid relid);
static void begin_anew(Oid table);

static void
note_change(Datum arg, Oid relid)
{
	if (relid == InvalidOid || relid == known_table)
		known_table = InvalidOid;
}

static void
begin_anew(Oid table)
{
	static bool registered = false;
	HASHCTL		ctl = {
		.keysize = MAX_ACCOUNT_CODE + 1,
		.entrysize = sizeof(BookAccount),
		.hcxt = CacheMemoryContext
	};

	if (!registered)
		CacheRegisterRelcacheCallback(note_change, (Datum) 0);
	registered = true;

	/* Whatever fails from here on, nothing is known. */
	known_table = InvalidOid;
	if (known != NULL)
		hash_destroy(known);
	known = NULL;
	known = hash_create("uaef known accounts", 256, &ctl,
						HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	known_table = table;
}

const BookAccount *
uaef_known_account(const char *code)
{
	if (!OidIsValid(known_table))
		return NULL;
	return hash_search(known, code, HASH_FIND, NULL);
}

void
uaef_know_account(Oid table, const BookAccount *account)
{
	if (known_table != table || hash_get_num_entries(known) >= MAX_KNOWN)
		begin_anew(table);
	memcpy(hash_search(known, account->code, HASH_ENTER, NULL), account,
		   sizeof(BookAccount));
}
