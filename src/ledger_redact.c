/*-------------------------------------------------------------------------
 *
 * ledger_redact.c
 *	  Erasing what events say, while every proof stays valid.
 *
 * No hash of the tree covers payload or salt: an event's hash covers
 * payload_hash, which stays.  Without the salt nobody can try what the payload
 * may have been.  The row is written in place of the old one without a
 * statement, since the guard refuses every UPDATE, and goes on doing so.
 *
 * Locking: the keeper's lock (ledger_keeping.h), so no two redact or retire
 * the same event.  The sealer may read the row meanwhile: old or new, its hash
 * is the same.
 *
 * Memory: what one event needs is in a context that is reset for the next.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_type_d.h"
#include "ledger_table_pending.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "errcodes.h"
#include "event_hash.h"
#include "heap_read.h"
#include "jsonb_check.h"
#include "ledger.h"
#include "ledger_keeping.h"
#include "ledger_redact.h"
#include "ledger_tree.h"
#include "row_write.h"
#include "spi_util.h"
#include "uuid7.h"

/* Columns of uaef.ledger_redaction. */
enum
{
	REDACTION_EVENT_ID = 1,
	REDACTION_BY
};
#define REDACTION_COLUMNS REDACTION_BY

#define VALUE(column) values[(column) - 1]
#define ISNULL(column) nulls[(column) - 1]

static HeapTuple find_event(Relation rel, int64 event_id);
static void require_redactable(int64 event_id, const Datum *values,
							   const bool *nulls);
static int64 record_redaction(UaefKeeping *keeping, const Datum *values);
static int64 redact(UaefKeeping *keeping, int64 event_id);
static int64 redact_found(UaefKeeping *keeping, UaefQuery *find, Datum *args);
static bool tells_redaction(const UaefHeap *heap, HeapTuple tuple,
							int64 event_id, const uint8 *payload_hash);

/*
 * The row of an event; raises when there is none.
 */
static HeapTuple
find_event(Relation rel, int64 event_id)
{
	HeapTuple	tuple = uaef_find_by_int64(rel, "ledger_event_event_id",
										   UAEF_EVENT_ID, event_id);

	if (HeapTupleIsValid(tuple))
		return tuple;
	if (uaef_leaf_of_event(event_id, NULL) >= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_RETIRED),
				 errmsg("event %lld is not in the ledger's table any more",
						(long long) event_id),
				 errhint("See uaef.ledger_retirement: drop the table that it was moved to, or use uaef.restore_events().")));
	ereport(ERROR,
			(errcode(ERRCODE_NO_DATA_FOUND),
			 errmsg("event %lld does not exist", (long long) event_id)));
}

static void
require_redactable(int64 event_id, const Datum *values, const bool *nulls)
{
	const char *type = TextDatumGetCString(VALUE(UAEF_EVENT_TYPE));

	if (ISNULL(UAEF_EVENT_PAYLOAD_HASH))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_NOT_REDACTABLE),
				 errmsg("event %lld has no payload", (long long) event_id)));
	if (ISNULL(UAEF_EVENT_PAYLOAD) && ISNULL(UAEF_EVENT_SALT))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_NOT_REDACTABLE),
				 errmsg("event %lld is redacted already",
						(long long) event_id)));
	if (DatumGetInt16(VALUE(UAEF_EVENT_KIND)) == UAEF_KIND_ENGINE &&
		uaef_event_is_kept(type))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_NOT_REDACTABLE),
				 errmsg("an event of type \"%s\" cannot be redacted", type),
				 errdetail("The ledger is verified with what it says.")));
}

/*
 * Tell of the redaction of an event; returns the number of what tells it.
 */
static int64
record_redaction(UaefKeeping *keeping, const Datum *values)
{
	pg_uuid_t  *stream = DatumGetUUIDP(VALUE(UAEF_EVENT_STREAM));
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_int(&json, "event_id", DatumGetInt64(VALUE(UAEF_EVENT_ID)));
	uaef_json_text(&json, "payload_hash",
				   uaef_hex(uaef_datum_hash(VALUE(UAEF_EVENT_PAYLOAD_HASH)),
							UAEF_HASH_LEN));
	if (uaef_stream_is_execution(stream))
		uaef_json_uuid(&json, "execution_id", stream);
	return uaef_keeping_record(keeping, UAEF_REDACTED_EVENT, &json);
}

static int64
redact(UaefKeeping *keeping, int64 event_id)
{
	UaefTable	table;
	HeapTuple	tuple;
	Datum		values[UAEF_EVENT_COLUMNS];
	bool		nulls[UAEF_EVENT_COLUMNS];
	Datum		row[REDACTION_COLUMNS];
	bool		no_nulls[REDACTION_COLUMNS] = {0};
	int64		told;

	uaef_table_open(&table, "ledger_event");
	uaef_require_columns(RelationGetDescr(table.rel), "ledger_event",
						 UAEF_EVENT_COLUMNS);
	tuple = find_event(table.rel, event_id);
	heap_deform_tuple(tuple, RelationGetDescr(table.rel), values, nulls);
	require_redactable(event_id, values, nulls);
	told = record_redaction(keeping, values);
	ISNULL(UAEF_EVENT_PAYLOAD) = true;
	ISNULL(UAEF_EVENT_SALT) = true;
	uaef_table_update(&table, values, nulls, &tuple->t_self);
	uaef_table_close(&table);

	row[REDACTION_EVENT_ID - 1] = Int64GetDatum(event_id);
	row[REDACTION_BY - 1] = Int64GetDatum(told);
	uaef_table_open(&table, "ledger_redaction");
	uaef_require_columns(RelationGetDescr(table.rel), "ledger_redaction",
						 REDACTION_COLUMNS);
	uaef_table_insert(&table, row, no_nulls, NULL);
	uaef_table_close(&table);

	return told;
}

int64
uaef_redact_event(int64 event_id, const char *reason)
{
	UaefKeeping keeping;
	int64		told;

	uaef_keeping_require_reason(reason);
	uaef_keeping_begin(&keeping, reason);
	uaef_pending_rows_write();
	told = redact(&keeping, event_id);
	uaef_keeping_end(&keeping);

	return told;
}

/*
 * Redact the events that a query finds.
 */
static int64
redact_found(UaefKeeping *keeping, UaefQuery *find, Datum *args)
{
	int64		n = (int64) uaef_spi_run(find, args, NULL);
	int64	   *ids = palloc_extended((n + 1) * sizeof(int64),
									  MCXT_ALLOC_HUGE);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "uaef redact",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old_context;

	for (int64 i = 0; i < n; i++)
		ids[i] = uaef_spi_int64(i, 1);
	SPI_freetuptable(SPI_tuptable);

	old_context = MemoryContextSwitchTo(context);
	for (int64 i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		(void) redact(keeping, ids[i]);
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(old_context);
	MemoryContextDelete(context);

	return n;
}

/* What can be redacted: the same as require_redactable(). */
#define REDACTABLE \
	" payload IS NOT NULL AND NOT (kind = 1 AND event_type = ANY ($2))"

int64
uaef_redact_execution(const pg_uuid_t *execution_id, const char *reason)
{
	static UaefQuery exists = {
		"SELECT FROM uaef.ledger_event WHERE stream = $1 LIMIT 1",
		1, {UUIDOID}
	};
	static UaefQuery find = {
		"SELECT event_id FROM uaef.ledger_event WHERE stream = $1 AND"
		REDACTABLE " ORDER BY event_id",
		2, {UUIDOID, TEXTARRAYOID}
	};
	UaefKeeping keeping;
	Datum		args[] = {UUIDPGetDatum(execution_id), uaef_kept_types()};
	int64		n;

	uaef_keeping_require_reason(reason);
	uaef_keeping_begin(&keeping, reason);
	if (uaef_spi_run(&exists, args, NULL) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_UNDEFINED_EXECUTION),
				 errmsg("there are no events of an execution %s",
						uaef_uuid_text(execution_id))));
	n = redact_found(&keeping, &find, args);
	uaef_keeping_end(&keeping);

	return n;
}

/*
 * A path that is no predicate raises: as a condition it would hold for every
 * payload that it finds something in.
 */
int64
uaef_redact_matching(const JsonPath *filter, const char *reason,
					 int64 max_events)
{
	static UaefQuery find = {
		"SELECT event_id FROM uaef.ledger_event WHERE" REDACTABLE
		" AND pg_catalog.jsonb_path_match(payload, $1)"
		" ORDER BY event_id LIMIT $3",
		3, {JSONPATHOID, TEXTARRAYOID, INT8OID}
	};
	UaefKeeping keeping;
	Datum		args[] = {
		PointerGetDatum(filter), uaef_kept_types(), Int64GetDatum(max_events)
	};
	int64		n;

	uaef_keeping_require_reason(reason);
	uaef_keeping_begin(&keeping, reason);
	n = redact_found(&keeping, &find, args);
	uaef_keeping_end(&keeping);

	return n;
}

int64
uaef_redact_before(TimestampTz before, const char *reason, int64 max_events)
{
	static UaefQuery find = {
		"SELECT event_id FROM uaef.ledger_event WHERE" REDACTABLE
		" AND recorded_at < $1 ORDER BY event_id LIMIT $3",
		3, {TIMESTAMPTZOID, TEXTARRAYOID, INT8OID}
	};
	UaefKeeping keeping;
	Datum		args[] = {
		TimestampTzGetDatum(before), uaef_kept_types(), Int64GetDatum(max_events)
	};
	int64		n;

	uaef_keeping_require_reason(reason);
	uaef_keeping_begin(&keeping, reason);
	n = redact_found(&keeping, &find, args);
	uaef_keeping_end(&keeping);

	return n;
}

/* ----------
 * For verifiers
 * ----------
 */

/*
 * Whether an event, whose row may be damaged, is the engine's and tells of this
 * redaction.
 */
static bool
tells_redaction(const UaefHeap *heap, HeapTuple tuple, int64 event_id,
				const uint8 *payload_hash)
{
	Datum		values[MaxHeapAttributeNumber];
	bool		nulls[MaxHeapAttributeNumber];
	Jsonb	   *payload;
	JsonbValue	told;
	char	   *hash;

	if (uaef_heap_deform(heap, tuple, values, nulls) != NULL ||
		ISNULL(UAEF_EVENT_PAYLOAD) || ISNULL(UAEF_EVENT_KIND) ||
		ISNULL(UAEF_EVENT_TYPE) ||
		!uaef_jsonb_sound(DatumGetJsonbP(VALUE(UAEF_EVENT_PAYLOAD))) ||
		DatumGetInt16(VALUE(UAEF_EVENT_KIND)) != UAEF_KIND_ENGINE ||
		strcmp(TextDatumGetCString(VALUE(UAEF_EVENT_TYPE)),
			   UAEF_REDACTED_EVENT) != 0)
		return false;
	payload = DatumGetJsonbP(VALUE(UAEF_EVENT_PAYLOAD));
	hash = uaef_json_get_text(payload, "payload_hash");
	return uaef_json_get(payload, "event_id", &told) &&
		told.type == jbvNumeric &&
		strcmp(numeric_normalize(told.val.numeric),
			   psprintf("%lld", (long long) event_id)) == 0 &&
		hash != NULL && strcmp(hash, uaef_hex(payload_hash, UAEF_HASH_LEN)) == 0;
}

bool
uaef_redaction_told(int64 event_id, const uint8 *payload_hash)
{
	Oid			schema = get_namespace_oid("uaef", false);
	Relation	redactions = table_open(get_relname_relid("ledger_redaction", schema),
										AccessShareLock);
	UaefHeap	events;
	HeapTuple	redaction = uaef_find_by_int64(redactions, "ledger_redaction_pkey",
											   REDACTION_EVENT_ID, event_id);
	HeapTuple	event = NULL;
	bool		isnull;
	bool		told;

	uaef_heap_open(&events, "ledger_event", GetActiveSnapshot());
	if (HeapTupleIsValid(redaction))
		event = uaef_find_by_int64(events.rel, "ledger_event_event_id",
								   UAEF_EVENT_ID,
								   DatumGetInt64(heap_getattr(redaction,
															  REDACTION_BY,
															  RelationGetDescr(redactions),
															  &isnull)));
	told = HeapTupleIsValid(event) &&
		tells_redaction(&events, event, event_id, payload_hash);
	uaef_heap_close(&events);
	table_close(redactions, AccessShareLock);

	return told;
}
