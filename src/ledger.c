/*-------------------------------------------------------------------------
 *
 * ledger.c
 *	  Appending events: the chain trigger, and what feeds it.
 *
 * An event's stream_seq, hashes and number are filled in by chain_event(): for
 * whoever inserts by SQL, however, in a BEFORE INSERT trigger; for our own code
 * in uaef_ledger_append(), which then needs no statement.  It holds the stream,
 * then finds its head, then draws event_id, so that within a stream both
 * numbers rise together.
 *
 * Locking: a stream is held to the end of the transaction, by a lock of its
 * own (an advisory lock tag of a class that SQL cannot reach) or, when
 * uaef_ledger_hold_stream() says so, by what the caller holds already.  The
 * primary key (stream, stream_seq) makes a fork impossible if either were
 * bypassed.  Under the lock the head is read with SnapshotSelf: the rows that
 * are committed now, and our own, whatever the isolation level.
 *
 * The head of this backend's own stream is kept from one transaction to the
 * next, without a look at the table.  Nobody else moves it in between: other
 * backends have slots of their own, a session that had ours is gone, and what
 * it or we left prepared holds the stream's lock, so that we are given another
 * stream, whose head we do not know.  Our own transactions keep it only when
 * they commit; an abort, also of a subtransaction, and PREPARE forget it, and
 * so does an INSERT of ours that names the stream itself.  What remains is
 * somebody else's INSERT that names our stream: then our next event has a
 * stream_seq that is taken, the primary key refuses it, and the abort makes us
 * read the head.  A row that the executor inserts may yet be dropped, by ON
 * CONFLICT or by another trigger, which no error would tell us of; so the
 * trigger neither uses nor keeps a head from another transaction, and asks for
 * it for each row.  Who does not know a head asks ledger_head_shared.c, then the
 * table.
 *
 * Memory: the heads of the other streams of this transaction live in a hash
 * table in TopTransactionContext; an aborted subtransaction, which may have
 * lost locks and rows, ends it, and so does another table of events, for the
 * extension can be made anew within a transaction.  What is known of the
 * extension's objects is kept for the process until the relation cache hears
 * of a change.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type_d.h"
#include "commands/sequence.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

#include "compat.h"
#include "errcodes.h"
#include "event_hash.h"
#include "identity.h"
#include "ledger.h"
#include "ledger_head.h"
#include "ledger_head_shared.h"
#include "random_bytes.h"
#include "row_write.h"
#include "wake.h"

/* Longest event type, in bytes. */
#define MAX_TYPE_LEN 63

/* Longest name of an actor or agent that an application gives, in bytes. */
#define MAX_NAME_LEN 255

/* How far apart the numbers of a slot's further streams are. */
#define SLOT_STRIDE INT64CONST(1000000)

/* The end of a stream, as far as this transaction knows it. */
typedef struct StreamHead
{
	pg_uuid_t	stream;			/* hash key */
	bool		held;			/* nobody else can append */
	bool		known;			/* the rest is valid */
	int64		seq;			/* 0: empty */
	TimestampTz recorded_at;
	uint8		hash[UAEF_HASH_LEN];
} StreamHead;

/* The same of a stream that is one row's, which is held without a lock. */
typedef struct UnkeptHead
{
	StreamHead	head;
	Relation	index;			/* in which its end is found; or NULL */
} UnkeptHead;

/* What is the same until the extension's objects change. */
typedef struct LedgerInfo
{
	Oid			event_table;	/* InvalidOid: nothing is known */
	Oid			ledger_table;
	Oid			event_id_sequence;
	pg_uuid_t	ledger_id;
	pg_uuid_t	slot_stream;	/* this backend's first stream */
} LedgerInfo;

void		(*uaef_before_append) (void) = NULL;

static LedgerInfo info;
static HTAB *heads = NULL;

/*
 * The stream of events without one.  While held, it is the one that this
 * transaction chose, and not among heads; else, if known, it is kept from the
 * last transaction.
 */
static StreamHead own;
static Oid	streams_of = InvalidOid;	/* table that heads and own tell of */

static void forget_heads(void);
static void forget_streams(void);
static void forget_kept_head(void);
static void at_xact_end(XactEvent event, void *arg);
static void at_subxact_end(SubXactEvent event, SubTransactionId subid,
						   SubTransactionId parent, void *arg);
static void at_invalidation(Datum arg, Oid relid);
static void register_callbacks(void);
static const LedgerInfo *ledger_info(void);
static void read_ledger_id(Oid ledger_table, pg_uuid_t *id);
static void heed_new_table(void);
static StreamHead *find_head(const pg_uuid_t *stream);
static StreamHead *enter_head(const pg_uuid_t *stream);
static bool lock_stream(const pg_uuid_t *stream, bool wait);
static bool is_own(const pg_uuid_t *stream);
static const pg_uuid_t *choose_stream(void);
static void read_head(Relation rel, Relation open_index, StreamHead *head);
static StreamHead *hold_head(Relation rel, const pg_uuid_t *stream);
static void share_head(Relation rel, const StreamHead *head, bool sure);
static void fill_identity(Datum *values, bool *nulls,
						  const UaefOrigin *origin);
static void fill_payload(Datum *values, bool *nulls);
static void check_name_length(int column, const char *name,
							  const Datum *values, const bool *nulls);
static void fill_application(Datum *values, bool *nulls, Oid role);
static void set_text(Datum *values, bool *nulls, int column, const char *text);
static StreamHead *chain_event(Relation rel, Datum *values, bool *nulls,
							   Oid application, const UaefOrigin *origin,
							   UnkeptHead *unkept);
static bool is_of_ledger(const pg_uuid_t *ledger, const Datum *values,
						 const bool *nulls);
static bool identity_is_used(Relation rel);
static void check_chained(Relation rel, const Datum *values,
						  const bool *nulls);
static bool is_written_alone(const UaefEvent *event);
static void event_row(const UaefEvent *event, Datum *values, bool *nulls);

/* ----------
 * What is known for longer than a statement
 * ----------
 */

/*
 * A transaction may have thousands of aborted subtransactions, so the memory
 * is given back.
 */
static void
forget_heads(void)
{
	if (heads != NULL)
		hash_destroy(heads);
	heads = NULL;
}

static void
forget_streams(void)
{
	forget_heads();
	own.held = false;
	own.known = false;
}

/*
 * Forget a head that is from another transaction.  One that is held stays: some
 * of the rows that made it may not be in the table yet.
 */
static void
forget_kept_head(void)
{
	if (!own.held)
		own.known = false;
}

static void
at_xact_end(XactEvent event, void *arg)
{
	/* Pre-events come while the transaction can still append. */
	if (event == XACT_EVENT_COMMIT)
	{
		forget_heads();
		own.held = false;
	}
	else if (event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		forget_streams();
}

static void
at_subxact_end(SubXactEvent event, SubTransactionId subid,
			   SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		forget_streams();
}

static void
at_invalidation(Datum arg, Oid relid)
{
	if (relid == InvalidOid || relid == info.event_table ||
		relid == info.ledger_table)
	{
		info.event_table = InvalidOid;
		forget_kept_head();
	}
}

static void
register_callbacks(void)
{
	static bool registered = false;

	if (registered)
		return;
	RegisterXactCallback(at_xact_end, NULL);
	RegisterSubXactCallback(at_subxact_end, NULL);
	CacheRegisterRelcacheCallback(at_invalidation, (Datum) 0);
	registered = true;
}

/*
 * The objects of the ledger and its id; looked up when not known.
 */
static const LedgerInfo *
ledger_info(void)
{
	LedgerInfo	found;
	Oid			schema;

	register_callbacks();
	if (OidIsValid(info.event_table))
		return &info;

	schema = get_namespace_oid("uaef", false);
	found.event_table = get_relname_relid("ledger_event", schema);
	found.ledger_table = get_relname_relid("ledger", schema);
	found.event_id_sequence = get_relname_relid("ledger_event_id", schema);
	if (!OidIsValid(found.event_table) || !OidIsValid(found.ledger_table) ||
		!OidIsValid(found.event_id_sequence))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("the tables of the ledger do not exist"),
				 errhint("Use CREATE EXTENSION uaef.")));
	read_ledger_id(found.ledger_table, &found.ledger_id);
	uaef_derive_uuid(&found.ledger_id, "slot", uaef_backend_slot(),
					 &found.slot_stream);
	info = found;

	return &info;
}

static void
read_ledger_id(Oid ledger_table, pg_uuid_t *id)
{
	Relation	rel = table_open(ledger_table, AccessShareLock);
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, SnapshotSelf,
										  0, NULL);
	HeapTuple	tuple = systable_getnext(scan);
	bool		isnull;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" is empty", "uaef.ledger"),
				 errdetail("It holds the identity of the ledger.")));
	*id = *DatumGetUUIDP(heap_getattr(tuple, 1, RelationGetDescr(rel),
									  &isnull));
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
}

const pg_uuid_t *
uaef_ledger_id(void)
{
	return &ledger_info()->ledger_id;
}

Oid
uaef_ledger_event_table(void)
{
	return ledger_info()->event_table;
}

/* ----------
 * Streams and their heads
 * ----------
 */

/*
 * The extension may have been dropped and made anew since we looked.
 */
static void
heed_new_table(void)
{
	Oid			event_table = ledger_info()->event_table;

	if (event_table != streams_of)
		forget_streams();
	streams_of = event_table;
}

static bool
is_own(const pg_uuid_t *stream)
{
	return memcmp(own.stream.data, stream->data, UUID_LEN) == 0;
}

/*
 * What this transaction knows of a stream, or NULL.
 */
static StreamHead *
find_head(const pg_uuid_t *stream)
{
	if (own.held && is_own(stream))
		return &own;
	return heads == NULL ? NULL :
		hash_search(heads, stream, HASH_FIND, NULL);
}

/*
 * The transaction's entry of a stream, made when missing.
 */
static StreamHead *
enter_head(const pg_uuid_t *stream)
{
	StreamHead *head;
	bool		found;

	heed_new_table();
	if (is_own(stream))
	{
		if (own.held)
			return &own;
		own.known = false;
	}
	if (heads == NULL)
	{
		HASHCTL		ctl = {
			.keysize = sizeof(pg_uuid_t),
			.entrysize = sizeof(StreamHead),
			.hcxt = TopTransactionContext
		};

		heads = hash_create("uaef stream heads", 32, &ctl,
							HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	head = hash_search(heads, stream, HASH_ENTER, &found);
	if (!found)
	{
		head->held = false;
		head->known = false;
	}
	return head;
}

void
uaef_ledger_hold_stream(const pg_uuid_t *stream, bool fresh)
{
	StreamHead *head = enter_head(stream);

	head->held = true;
	if (fresh && !head->known)
	{
		head->known = true;
		head->seq = 0;
		head->recorded_at = PG_INT64_MIN;
		uaef_genesis_hash(uaef_ledger_id(), stream, head->hash);
	}
}

/*
 * Take the lock of a stream to the end of the transaction; returns whether we
 * have it, which may be false only when not waiting.
 */
static bool
lock_stream(const pg_uuid_t *stream, bool wait)
{
	LOCKTAG		tag;
	uint32		part[4];

	memcpy(part, stream->data, sizeof(part));
	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, part[0] ^ part[2],
						 part[1] ^ part[3], UAEF_LOCK_STREAM);
	return LockAcquire(&tag, ExclusiveLock, false, !wait) !=
		LOCKACQUIRE_NOT_AVAIL;
}

/*
 * A stream for events that name none: one of this backend's slot, so that
 * backends do not wait for each other.  A prepared transaction may still hold
 * the one of the session that had the slot before; then we take another.
 */
static const pg_uuid_t *
choose_stream(void)
{
	pg_uuid_t	stream;
	StreamHead *head;

	heed_new_table();
	if (own.held)
		return &own.stream;

	stream = ledger_info()->slot_stream;
	for (int64 k = 1; !lock_stream(&stream, false); k++)
		uaef_derive_uuid(uaef_ledger_id(), "slot",
						 uaef_backend_slot() + k * SLOT_STRIDE, &stream);

	/* This transaction may have named the stream before. */
	if (!is_own(&stream))
		own.known = false;
	head = find_head(&stream);
	if (head != NULL)
		own = *head;
	own.stream = stream;
	own.held = true;
	return &own.stream;
}

/*
 * Read the last event of a held stream.
 */
static void
read_head(Relation rel, Relation open_index, StreamHead *head)
{
	UaefStreamEnd end;

	if (!uaef_shared_head_get(rel, &head->stream, &end))
		uaef_ledger_read_end(rel, open_index, &head->stream, &end);
	head->seq = end.seq;
	head->recorded_at = end.seq > 0 ? end.recorded_at : PG_INT64_MIN;
	if (end.seq > 0)
		memcpy(head->hash, end.hash, UAEF_HASH_LEN);
	else
		uaef_genesis_hash(uaef_ledger_id(), &head->stream, head->hash);
	head->known = true;
}

/*
 * The head of a stream that nobody else can move until we end.
 */
static StreamHead *
hold_head(Relation rel, const pg_uuid_t *stream)
{
	StreamHead *head = enter_head(stream);

	if (!head->held)
	{
		(void) lock_stream(stream, true);
		head->held = true;
	}
	if (!head->known)
		read_head(rel, NULL, head);
	return head;
}

/*
 * Tell other transactions, and our next one, of an event that is about to be
 * inserted; sure: by ourselves.
 */
static void
share_head(Relation rel, const StreamHead *head, bool sure)
{
	UaefStreamEnd end = {.seq = head->seq,.recorded_at = head->recorded_at};

	memcpy(end.hash, head->hash, UAEF_HASH_LEN);
	uaef_shared_head_put(rel, &head->stream, &end, sure);
}

/* ----------
 * The chain trigger
 * ----------
 */

#define VALUE(column) values[(column) - 1]
#define ISNULL(column) nulls[(column) - 1]

/*
 * An event's type is a word of lower-case letters, digits and underscores.
 */
void
uaef_ledger_check_type(const char *type, size_t len)
{
	bool		good = len > 0 && len <= MAX_TYPE_LEN &&
		*type >= 'a' && *type <= 'z';

	for (int i = 0; good && i < len; i++)
		good = (type[i] >= 'a' && type[i] <= 'z') ||
			(type[i] >= '0' && type[i] <= '9') || type[i] == '_';
	if (!good)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid event type"),
				 errdetail("An event type is a lower-case letter, then at most %d lower-case letters, digits and underscores.",
						   MAX_TYPE_LEN - 1)));
}

/*
 * Who is connected, and as whom it acts by SET ROLE if that is another.  The
 * current user is no help here: it is the extension's owner.
 */
static void
fill_identity(Datum *values, bool *nulls, const UaefOrigin *origin)
{
	Oid			session = origin ? origin->session_user : GetSessionUserId();
	Oid			outer = origin ? origin->outer_user : GetOuterUserId();

	VALUE(UAEF_EVENT_SESSION_ROLE) =
		CStringGetTextDatum(GetUserNameFromId(session, false));
	ISNULL(UAEF_EVENT_SESSION_ROLE) = false;
	ISNULL(UAEF_EVENT_EFFECTIVE_ROLE) = (outer == session);
	if (outer != session)
		VALUE(UAEF_EVENT_EFFECTIVE_ROLE) =
			CStringGetTextDatum(GetUserNameFromId(outer, false));
}

/*
 * Salt and commitment of the payload, if there is one.
 */
static void
fill_payload(Datum *values, bool *nulls)
{
	uint8		salt[UAEF_SALT_LEN];
	uint8		hash[UAEF_HASH_LEN];

	ISNULL(UAEF_EVENT_SALT) = ISNULL(UAEF_EVENT_PAYLOAD);
	ISNULL(UAEF_EVENT_PAYLOAD_HASH) = ISNULL(UAEF_EVENT_PAYLOAD);
	if (ISNULL(UAEF_EVENT_PAYLOAD))
		return;

	uaef_random_bytes(salt, sizeof(salt));
	uaef_payload_hash(DatumGetJsonbP(VALUE(UAEF_EVENT_PAYLOAD)), salt, hash);
	VALUE(UAEF_EVENT_SALT) = uaef_hash_datum(salt);
	VALUE(UAEF_EVENT_PAYLOAD_HASH) = uaef_hash_datum(hash);
}

static void
check_name_length(int column, const char *name, const Datum *values,
				  const bool *nulls)
{
	if (!ISNULL(column) &&
		VARSIZE_ANY_EXHDR(DatumGetTextPP(VALUE(column))) > MAX_NAME_LEN)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s of event is too long", name),
				 errdetail("It may have %d bytes.", MAX_NAME_LEN)));
}

bool
uaef_ledger_is_echo(const char *type, size_t len)
{
	return (len == strlen(UAEF_SEAL_EVENT) &&
			memcmp(type, UAEF_SEAL_EVENT, len) == 0) ||
		(len == strlen(UAEF_TIMESTAMP_EVENT) &&
		 memcmp(type, UAEF_TIMESTAMP_EVENT, len) == 0);
}

/*
 * Mark an event as an application's, and see to it that nobody is named but
 * the role that records it, or an agent or a worker that it speaks for.
 */
static void
fill_application(Datum *values, bool *nulls, Oid role)
{
	char	   *type = text_to_cstring(DatumGetTextPP(VALUE(UAEF_EVENT_TYPE)));
	char	   *actor = ISNULL(UAEF_EVENT_ACTOR_TYPE) ? "user" :
		TextDatumGetCString(VALUE(UAEF_EVENT_ACTOR_TYPE));
	bool		is_user = strcmp(actor, "user") == 0;

	if (uaef_ledger_is_echo(type, strlen(type)))
		ereport(ERROR,
				(errcode(ERRCODE_RESERVED_NAME),
				 errmsg("event type \"%s\" is reserved", type)));
	if (!is_user && strcmp(actor, "agent") != 0 &&
		strcmp(actor, "worker") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid actor type"),
				 errdetail("The actor of an event that is recorded is a user, an agent or a worker.")));
	check_name_length(UAEF_EVENT_ACTOR_ID, "actor_id", values, nulls);
	check_name_length(UAEF_EVENT_AGENT_ID, "agent_id", values, nulls);

	set_text(values, nulls, UAEF_EVENT_ACTOR_TYPE, actor);
	if (is_user || ISNULL(UAEF_EVENT_ACTOR_ID))
		set_text(values, nulls, UAEF_EVENT_ACTOR_ID,
				 GetUserNameFromId(role, false));
}

/*
 * Make a row the next event of its stream, whose head is returned.  It is the
 * engine's, or that of the role which records it.  origin, if not NULL, tells
 * when and as whom it happened.  unkept, if not NULL, is
 * where the head goes of a stream that the caller holds, and that has no entry
 * among the heads of this transaction.
 */
static StreamHead *
chain_event(Relation rel, Datum *values, bool *nulls, Oid application,
			const UaefOrigin *origin, UnkeptHead *unkept)
{
	StreamHead *head;
	TimestampTz at = origin ? origin->at : GetCurrentTimestamp();
	text	   *type;

	type = ISNULL(UAEF_EVENT_TYPE) ? NULL :
		DatumGetTextPP(VALUE(UAEF_EVENT_TYPE));
	uaef_ledger_check_type(type ? VARDATA_ANY(type) : NULL,
						   type ? VARSIZE_ANY_EXHDR(type) : 0);
	if (ISNULL(UAEF_EVENT_STREAM))
		VALUE(UAEF_EVENT_STREAM) = UUIDPGetDatum(choose_stream());
	if (OidIsValid(application))
		fill_application(values, nulls, application);
	VALUE(UAEF_EVENT_KIND) = Int16GetDatum(OidIsValid(application) ?
										   UAEF_KIND_APPLICATION :
										   UAEF_KIND_ENGINE);
	ISNULL(UAEF_EVENT_KIND) = false;
	fill_identity(values, nulls, origin);
	fill_payload(values, nulls);

	if (unkept != NULL)
	{
		head = &unkept->head;
		head->stream = *DatumGetUUIDP(VALUE(UAEF_EVENT_STREAM));
		read_head(rel, unkept->index, head);
	}
	else
		head = hold_head(rel, DatumGetUUIDP(VALUE(UAEF_EVENT_STREAM)));
	VALUE(UAEF_EVENT_STREAM_SEQ) = Int64GetDatum(head->seq + 1);
	VALUE(UAEF_EVENT_RECORDED_AT) =
		TimestampTzGetDatum(Max(at, head->recorded_at));
	VALUE(UAEF_EVENT_PREV_HASH) = uaef_hash_datum(head->hash);
	VALUE(UAEF_EVENT_TX) =
		FullTransactionIdGetDatum(GetTopFullTransactionId());
	VALUE(UAEF_EVENT_ID) =
		Int64GetDatum(nextval_internal(ledger_info()->event_id_sequence,
									   false));
	ISNULL(UAEF_EVENT_STREAM) = false;
	ISNULL(UAEF_EVENT_STREAM_SEQ) = false;
	ISNULL(UAEF_EVENT_RECORDED_AT) = false;
	ISNULL(UAEF_EVENT_PREV_HASH) = false;
	ISNULL(UAEF_EVENT_TX) = false;
	ISNULL(UAEF_EVENT_ID) = false;

	/* From here on nothing of the event can fail but its insertion. */
	if (!uaef_event_hash(uaef_ledger_id(), values, nulls, head->hash))
		elog(ERROR, "incomplete event");
	head->seq++;
	head->recorded_at = DatumGetTimestampTz(VALUE(UAEF_EVENT_RECORDED_AT));
	VALUE(UAEF_EVENT_HASH) = uaef_hash_datum(head->hash);
	ISNULL(UAEF_EVENT_HASH) = false;

	return head;
}

/*
 * Whether a row's hash is what its ledger of a given identity would make it.
 */
static bool
is_of_ledger(const pg_uuid_t *ledger, const Datum *values, const bool *nulls)
{
	uint8		hash[UAEF_HASH_LEN];

	return !ISNULL(UAEF_EVENT_HASH) &&
		uaef_event_hash(ledger, values, nulls, hash) &&
		memcmp(uaef_datum_hash(VALUE(UAEF_EVENT_HASH)), hash,
			   UAEF_HASH_LEN) == 0;
}

/*
 * Whether an event, the first one that a scan finds, was made with our
 * identity.  In a database that is being restored by parallel processes there
 * may be events before there is the identity that they were made with.
 */
static bool
identity_is_used(Relation rel)
{
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, SnapshotSelf,
										  0, NULL);
	HeapTuple	tuple = systable_getnext(scan);
	Datum		values[UAEF_EVENT_COLUMNS];
	bool		nulls[UAEF_EVENT_COLUMNS];
	bool		used = false;

	if (HeapTupleIsValid(tuple))
	{
		heap_deform_tuple(tuple, RelationGetDescr(rel), values, nulls);
		used = is_of_ledger(uaef_ledger_id(), values, nulls);
	}
	systable_endscan(scan);
	return used;
}

/*
 * A row that comes with its hash, from a dump or a publisher, is kept as it
 * is; but it must be what its hash says.  Where nothing has been made with our
 * identity another may replace it, which checks all rows.
 */
static void
check_chained(Relation rel, const Datum *values, const bool *nulls)
{
	StreamHead *head;

	if (!is_of_ledger(uaef_ledger_id(), values, nulls) &&
		identity_is_used(rel))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_LEDGER_MISMATCH),
				 errmsg("event does not match its hash"),
				 errdetail("A row that brings a hash must have been chained in this ledger."),
				 errhint("Use uaef.record_event() to append an event.")));

	uaef_wake_worker_on_commit(UAEF_WAKE_EVENTS);

	/* It may stand behind what we took for the head. */
	uaef_shared_head_forget(rel, DatumGetUUIDP(VALUE(UAEF_EVENT_STREAM)));
	head = find_head(DatumGetUUIDP(VALUE(UAEF_EVENT_STREAM)));
	if (head != NULL)
		head->known = false;
	forget_kept_head();
}

/*
 * The body of trigger ledger_chain: returns the row to insert.
 */
HeapTuple
uaef_ledger_chain_row(Relation rel, HeapTuple tuple)
{
	TupleDesc	desc = RelationGetDescr(rel);
	Datum		values[UAEF_EVENT_COLUMNS];
	bool		nulls[UAEF_EVENT_COLUMNS];
	StreamHead *head;

	uaef_require_columns(desc, "ledger_event", UAEF_EVENT_COLUMNS);
	heap_deform_tuple(tuple, desc, values, nulls);
	if (!ISNULL(UAEF_EVENT_HASH))
	{
		check_chained(rel, values, nulls);
		return tuple;
	}

	/* Only record_event() checks signatures. */
	ISNULL(UAEF_EVENT_SIGNER) = true;
	ISNULL(UAEF_EVENT_SIGNATURE) = true;
	forget_kept_head();
	head = chain_event(rel, values, nulls, GetUserId(), NULL, NULL);
	uaef_wake_worker_on_commit(UAEF_WAKE_EVENTS);

	/* ON CONFLICT may yet drop the row, so the next one looks for it. */
	if (head == &own)
		share_head(rel, head, false);
	else
		uaef_shared_head_forget(rel, &head->stream);
	head->known = false;
	return heap_form_tuple(desc, values, nulls);
}

/*
 * CREATE EXTENSION gives the ledger an identity; a restored one replaces it,
 * if it is that of all events that there are.  Nobody may be writing any: of
 * processes that restore in parallel the one with the identity waits for the
 * one with the events, or that one for this.
 */
void
uaef_ledger_replace_identity(Relation rel, HeapTuple identity)
{
	Relation	events = table_open(ledger_info()->event_table,
									ShareRowExclusiveLock);
	SysScanDesc scan = systable_beginscan(events, InvalidOid, false,
										  SnapshotSelf, 0, NULL);
	HeapTuple	tuple;
	bool		isnull;
	Datum		id = heap_getattr(identity, 1, RelationGetDescr(rel), &isnull);

	uaef_require_columns(RelationGetDescr(events), "ledger_event",
						 UAEF_EVENT_COLUMNS);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Datum		values[UAEF_EVENT_COLUMNS];
		bool		nulls[UAEF_EVENT_COLUMNS];

		CHECK_FOR_INTERRUPTS();
		heap_deform_tuple(tuple, RelationGetDescr(events), values, nulls);
		if (isnull || !is_of_ledger(DatumGetUUIDP(id), values, nulls))
			ereport(ERROR,
					(errcode(ERRCODE_UAEF_LEDGER_GUARD),
					 errmsg("the ledger already has an identity and events")));
	}
	systable_endscan(scan);
	table_close(events, NoLock);

	scan = systable_beginscan(rel, InvalidOid, false, SnapshotSelf, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		simple_heap_delete(rel, &tuple->t_self);
	systable_endscan(scan);
	CacheInvalidateRelcache(rel);
}

/* ----------
 * Appending
 * ----------
 */

/*
 * The next event of a row's stream finds its head in the table; and those that
 * had waited may be of different commands.
 */
static bool
is_written_alone(const UaefEvent *event)
{
	return event->row_stream || event->origin != NULL;
}

int64
uaef_ledger_append(UaefEvent *events, int n)
{
	UaefTable	table;
	UnkeptHead	unkept = {0};
	Datum		values[UAEF_EVENT_COLUMNS];
	bool		nulls[UAEF_EVENT_COLUMNS];
	StreamHead *head;
	HeapTuple  *rows;
	int			n_rows = 0;

	if (n == 0)
		return 0;
	if (uaef_before_append != NULL)
		uaef_before_append();
	rows = palloc(sizeof(HeapTuple) * n);
	uaef_table_open_oid(&table, ledger_info()->event_table);
	uaef_require_columns(RelationGetDescr(table.rel), "ledger_event",
						 UAEF_EVENT_COLUMNS);
	unkept.index = uaef_table_primary_key(&table);
	for (int i = 0; i < n; i++)
	{
		event_row(&events[i], values, nulls);
		head = chain_event(table.rel, values, nulls, events[i].application,
						   events[i].origin,
						   events[i].row_stream ? &unkept : NULL);
		if (events[i].row_stream || head == &own)
			share_head(table.rel, head, true);

		if (is_written_alone(&events[i]))
		{
			table.command = events[i].origin ? events[i].origin->command :
				InvalidCommandId;
			uaef_table_insert(&table, values, nulls, NULL);
		}
		else
			rows[n_rows++] = heap_form_tuple(RelationGetDescr(table.rel),
											 values, nulls);
	}
	table.command = InvalidCommandId;
	uaef_table_insert_many(&table, rows, n_rows);
	for (int i = 0; i < n_rows; i++)
		heap_freetuple(rows[i]);
	pfree(rows);
	if (is_written_alone(&events[0]))
		uaef_table_leave(&table);
	else
		uaef_table_close(&table);
	uaef_wake_worker_on_commit(UAEF_WAKE_EVENTS);

	return DatumGetInt64(VALUE(UAEF_EVENT_ID));
}

void
uaef_ledger_note_user(const char *type, Oid user, Jsonb *payload)
{
	UaefEvent	event = {
		.type = type,
		.actor_type = "user",
		.actor_id = GetUserNameFromId(user, false),
		.payload = payload
	};

	(void) uaef_ledger_append(&event, 1);
}

static void
set_text(Datum *values, bool *nulls, int column, const char *text)
{
	ISNULL(column) = (text == NULL);
	if (text != NULL)
		VALUE(column) = CStringGetTextDatum(text);
}

/*
 * What is given of an event; the chain fills in the rest.
 */
static void
event_row(const UaefEvent *event, Datum *values, bool *nulls)
{
	memset(nulls, true, UAEF_EVENT_COLUMNS * sizeof(bool));
	ISNULL(UAEF_EVENT_STREAM) = (event->stream == NULL);
	VALUE(UAEF_EVENT_STREAM) = UUIDPGetDatum(event->stream);
	set_text(values, nulls, UAEF_EVENT_TYPE, event->type);
	set_text(values, nulls, UAEF_EVENT_ACTOR_TYPE, event->actor_type);
	set_text(values, nulls, UAEF_EVENT_ACTOR_ID, event->actor_id);
	ISNULL(UAEF_EVENT_TASK_ID) = (event->task_id == 0);
	VALUE(UAEF_EVENT_TASK_ID) = Int64GetDatum(event->task_id);
	set_text(values, nulls, UAEF_EVENT_AGENT_ID, event->agent_id);
	ISNULL(UAEF_EVENT_PAYLOAD) = (event->payload == NULL);
	VALUE(UAEF_EVENT_PAYLOAD) = JsonbPGetDatum(event->payload);
	set_text(values, nulls, UAEF_EVENT_SIGNER, event->signer);
	ISNULL(UAEF_EVENT_SIGNATURE) = (event->signature == NULL);
	VALUE(UAEF_EVENT_SIGNATURE) = PointerGetDatum(event->signature);
}
