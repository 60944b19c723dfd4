/*-------------------------------------------------------------------------
 *
 * ledger_keeping.c
 *	  What people do to the ledger itself, and the events that tell of it.
 *
 * These events have a stream of their own: one in an execution's stream would
 * need the execution's lock, and would keep that stream from being retired.
 *
 * Locking: see the header.  Memory: the caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "event_hash.h"
#include "ledger.h"
#include "ledger_keeping.h"
#include "spi_util.h"

/* Longest reason, in bytes. */
#define MAX_REASON_LEN 1000

static const char *const kept_types[] = {
	UAEF_SEAL_EVENT,
	UAEF_REDACTED_EVENT,
	UAEF_RETIRED_EVENT,
	UAEF_RESTORED_EVENT,
	UAEF_DECLARED_EVENT,
	UAEF_REGISTERED_EVENT,
	UAEF_REVOKED_EVENT,
};

void
uaef_keeping_begin(UaefKeeping *keeping, const char *reason)
{
	LOCKTAG		tag;

	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("the ledger cannot be kept in a transaction with an old snapshot"),
				 errhint("Use a transaction of isolation level READ COMMITTED.")));
	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, 0, 0, UAEF_LOCK_KEEPER);
	(void) LockAcquire(&tag, ExclusiveLock, false, false);
	keeping->reason = reason;
	keeping->user = GetUserId();
	keeping->caller = uaef_spi_begin();
}

void
uaef_keeping_end(UaefKeeping *keeping)
{
	uaef_spi_end(keeping->caller);
}

void
uaef_keeping_require_reason(const char *reason)
{
	if (reason == NULL || strspn(reason, " \t\r\n") == strlen(reason))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a reason must be given"),
				 errhint("It becomes part of the ledger.")));
	if (strlen(reason) > MAX_REASON_LEN)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the reason is too long"),
				 errdetail("It may have %d bytes.", MAX_REASON_LEN)));
}

bool
uaef_stream_is_execution(const pg_uuid_t *stream)
{
	return stream->data[6] >> 4 != 8;
}

void
uaef_keeping_stream(pg_uuid_t *stream)
{
	uaef_derive_uuid(uaef_ledger_id(), "keep", 0, stream);
}

int64
uaef_keeping_record(UaefKeeping *keeping, const char *type, UaefJson *json)
{
	UaefEvent	event = {
		.type = type,
		.actor_type = "user",
		.actor_id = GetUserNameFromId(keeping->user, false)
	};
	pg_uuid_t	stream;

	uaef_keeping_stream(&stream);
	uaef_json_text(json, "reason", keeping->reason);
	event.stream = &stream;
	event.payload = uaef_json_end(json);
	return uaef_ledger_append(&event, 1);
}

bool
uaef_event_is_kept(const char *type)
{
	for (int i = 0; i < lengthof(kept_types); i++)
		if (strcmp(type, kept_types[i]) == 0)
			return true;
	return false;
}

Datum
uaef_kept_types(void)
{
	Datum		names[lengthof(kept_types)];

	for (int i = 0; i < lengthof(kept_types); i++)
		names[i] = CStringGetTextDatum(kept_types[i]);
	return uaef_array(names, NULL, lengthof(kept_types), TEXTOID);
}

HeapTuple
uaef_find_by_int64(Relation rel, const char *index, int column, int64 value)
{
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, column, BTEqualStrategyNumber, F_INT8EQ,
				Int64GetDatum(value));
	scan = systable_beginscan(rel,
							  get_relname_relid(index, RelationGetNamespace(rel)),
							  true, SnapshotSelf, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		tuple = heap_copytuple(tuple);
	systable_endscan(scan);
	return tuple;
}
