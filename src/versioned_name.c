/*-------------------------------------------------------------------------
 *
 * versioned_name.c
 *	  Names of things that are kept in numbered versions.
 *
 * Locking: whoever makes a version holds a lock on the name until the
 * transaction ends.  It is a lock of the advisory kind with a tag that no SQL
 * function can make.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "eval_error.h"
#include "versioned_name.h"

/* Longest name, in bytes. */
#define MAX_NAME 200

/* Class of our lock; those of the SQL functions are 1 and 2. */
#define LOCK_CLASS 0x5541

/*
 * A name is shown in one line, and is never taken for an execution's id.
 */
void
uaef_check_name(const char *kind, const char *name)
{
	int			len = strlen(name);
	bool		is_uuid = len == 36 &&
		strspn(name, "0123456789abcdefABCDEF-") == 36;

	for (const char *c = name; *c != '\0'; c++)
		if ((unsigned char) *c < ' ' || *c == 0x7f)
			len = 0;
	if (len == 0 || len > MAX_NAME || is_uuid)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("\"%s\" is no name for %s %s",
						uaef_eval_clip(name, strlen(name)),
						strchr("aeiou", *kind) != NULL ? "an" : "a", kind),
				 errdetail("A name has 1 to %d bytes, no control characters, and not the form of a UUID.",
						   MAX_NAME)));
}

void
uaef_lock_name(const char *table, const char *name)
{
	Oid			relation = get_relname_relid(table,
											 get_namespace_oid("uaef", false));
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, relation,
						 hash_bytes((const unsigned char *) name,
									strlen(name)), LOCK_CLASS);
	(void) LockAcquire(&tag, ExclusiveLock, false, false);
}

UaefNewest
uaef_own_newest(UaefQuery *find, const char *kind, const char *name,
				Datum digest)
{
	Datum		args[] = {CStringGetTextDatum(name), digest};
	UaefNewest	newest = {0};
	UaefCaller	caller = uaef_spi_begin();
	Oid			owner = InvalidOid;

	if (uaef_spi_run(find, args, NULL) > 0)
	{
		newest.version = uaef_spi_int32(0, 1);
		owner = uaef_spi_oid(0, 2);
		newest.same = uaef_spi_bool(0, 3);
	}
	uaef_spi_end(caller);
	if (newest.version > 0)
		uaef_require_member(owner, psprintf("%s \"%s\"", kind, name));
	return newest;
}
