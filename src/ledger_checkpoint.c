/*-------------------------------------------------------------------------
 *
 * ledger_checkpoint.c
 *	  Checkpoints of the ledger: signed roots of its tree, for others to keep.
 *
 * A signature is given away the moment that it is made, so before it is asked
 * for, all of this must hold:
 *
 *	- what is signed was committed by another transaction, and the tree, read
 *	  anew from its tiles, has the root that the last block says;
 *	- the tree continues the last checkpoint that the table has; the signer
 *	  checks the same against its own memory;
 *	- no crash or failover can lose what is signed: the WAL up to the seal is
 *	  flushed here and on as many standbys as uaef.checkpoint_standbys says.
 *
 * If the transaction aborts after the signature was made, the next one asks
 * for the same and gets the same, Ed25519 being deterministic; if the tree has
 * grown meanwhile, the signer knows that it continues what it has signed.
 *
 * Locking: one session at a time signs, by a lock that lasts until the
 * transaction ends, so that the table is seen with what the one before wrote.
 * All of the tree is read in one snapshot that is taken under it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "catalog/pg_type_d.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/pg_lsn.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "errcodes.h"
#include "guc.h"
#include "json_util.h"
#include "ledger.h"
#include "ledger_block.h"
#include "ledger_checkpoint.h"
#include "ledger_cosignature.h"
#include "ledger_signer.h"
#include "ledger_tree.h"
#include "note_json.h"
#include "spi_util.h"
#include "wake.h"

/* How long a standby may lag behind before we give up for now. */
#define STANDBY_TIMEOUT_MS			1000
#define WORKER_STANDBY_TIMEOUT_MS	100
#define STANDBY_PAUSE_MS			10

/* What is to be signed, and the last one that the table has. */
typedef struct Head
{
	char	   *origin;			/* in UTF-8 */
	UaefBlock	block;			/* the last one; number 0: none */
	char	   *last_note;		/* in UTF-8; NULL: none */
	int64		last_size;
	uint8		last_root[UAEF_HASH_LEN];
} Head;

static bool lock_checkpoint(bool wait);
static void require_utf8(void);
static void read_head(Head *head);
static void read_last(Head *head);
static char *with_cosignatures(const Head *head);
static void check_block(const Head *head);
static void check_last(const Head *head);
static char *unsigned_text(const Head *head);
static char *sign(const Head *head);
static void store(const Head *head, const char *note, const UaefNoteKey *key);
static void record_key_change(const Head *head, const UaefNoteKey *key);
static XLogRecPtr flush_wal(void);
static int	standbys_behind(XLogRecPtr lsn, int timeout_ms);
static int	standbys_with(XLogRecPtr lsn);
static char *to_server(const char *utf8);

char *
uaef_checkpoint_origin(void)
{
	char	   *origin = uaef_ledger_origin;
	const char *problem;

	if (origin == NULL || origin[0] == '\0')
		return psprintf("uaef/%s",
						DatumGetCString(DirectFunctionCall1(uuid_out,
															UUIDPGetDatum(uaef_ledger_id()))));
	origin = pg_server_to_any(origin, strlen(origin), PG_UTF8);
	problem = uaef_checkpoint_check_origin(origin);
	if (problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("uaef.ledger_origin cannot be the origin of a ledger"),
				 errdetail_internal("Its fault: %s.", problem)));
	return pstrdup(origin);
}

bool
uaef_checkpoint_is_automatic(void)
{
	return uaef_checkpoint_interval_ms > 0 && uaef_signer_is_set() &&
		!RecoveryInProgress();
}

char *
uaef_checkpoint_newest(void)
{
	Head		head;
	char	   *note;
	int			behind = 0;

	require_utf8();
	if (!RecoveryInProgress())
		(void) lock_checkpoint(true);
	PushActiveSnapshot(GetLatestSnapshot());
	read_head(&head);
	note = head.last_note;

	if (RecoveryInProgress())
	{
		if (note == NULL)
			ereport(NOTICE,
					(errmsg("no checkpoint has been signed yet"),
					 errhint("Checkpoints are signed on the primary.")));
	}
	else if (head.block.no == 0 || !uaef_signer_is_set())
		note = unsigned_text(&head);
	else
	{
		check_last(&head);
		if (head.block.tree_size > head.last_size)
		{
			PreventCommandIfReadOnly("ledger_checkpoint()");
			check_block(&head);
			behind = standbys_behind(flush_wal(), STANDBY_TIMEOUT_MS);
			if (behind == 0)
				note = sign(&head);
			else
				ereport(NOTICE,
						(errmsg("the newest checkpoint is not signed yet: %d of %d standbys have not flushed it",
								behind, uaef_checkpoint_standbys),
						 errdetail("This is the last one that was signed."),
						 errhint("See pg_stat_replication and uaef.checkpoint_standbys.")));
		}
	}
	if (note != NULL && note == head.last_note)
		note = with_cosignatures(&head);
	PopActiveSnapshot();
	return note == NULL ? NULL : to_server(note);
}

/*
 * The last checkpoint, and what witnesses have put under it since.
 */
static char *
with_cosignatures(const Head *head)
{
	UaefCaller	caller = uaef_spi_begin();
	char	   *lines = uaef_cosignature_lines(to_server(head->origin),
											   head->last_size);

	uaef_spi_end(caller);
	return psprintf("%s%s", head->last_note, lines);
}

bool
uaef_checkpoint_sign_new(void)
{
	Head		head;
	int			behind;

	require_utf8();
	if (!lock_checkpoint(false))
		return false;
	PushActiveSnapshot(GetLatestSnapshot());
	read_head(&head);
	if (head.block.no > 0)
		check_last(&head);
	if (head.block.tree_size > head.last_size)
	{
		check_block(&head);
		behind = standbys_behind(flush_wal(), WORKER_STANDBY_TIMEOUT_MS);
		if (behind > 0)
			ereport(ERROR,
					(errcode(ERRCODE_UAEF_SIGNER),
					 errmsg("no checkpoint is signed: %d of %d standbys have not flushed what it covers",
							behind, uaef_checkpoint_standbys),
					 errhint("See pg_stat_replication and uaef.checkpoint_standbys.")));
		(void) sign(&head);
	}
	PopActiveSnapshot();
	return true;
}

static bool
lock_checkpoint(bool wait)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, 0, 0, UAEF_LOCK_CHECKPOINT);
	return LockAcquire(&tag, ExclusiveLock, false, !wait) !=
		LOCKACQUIRE_NOT_AVAIL;
}

/*
 * Lines of signatures open with a dash that few encodings have.
 */
static void
require_utf8(void)
{
	if (GetDatabaseEncoding() != PG_UTF8 &&
		GetDatabaseEncoding() != PG_SQL_ASCII)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("checkpoints need a database in the encoding UTF8"),
				 errdetail("This one is in %s, which cannot hold every signed note.",
						   GetDatabaseEncodingName())));
}

static char *
to_server(const char *utf8)
{
	return pg_any_to_server(utf8, strlen(utf8), PG_UTF8);
}

/*
 * The last block that the active snapshot sees, and the last checkpoint.
 */
static void
read_head(Head *head)
{
	UaefCaller	caller;

	memset(head, 0, sizeof(*head));
	head->origin = uaef_checkpoint_origin();
	uaef_block_last(GetActiveSnapshot(), &head->block);
	caller = uaef_spi_begin();
	read_last(head);
	uaef_spi_end(caller);
}

static void
read_last(Head *head)
{
	static UaefQuery query = {
		"SELECT note, tree_size, root FROM uaef.ledger_checkpoint"
		" WHERE origin = $1 ORDER BY tree_size DESC LIMIT 1",
		1, {TEXTOID}
	};
	Datum		args[1] = {CStringGetTextDatum(to_server(head->origin))};
	bool		isnull;

	if (uaef_spi_read_latest(&query, args) == 0)
		return;
	head->last_note = uaef_spi_text(0, 1);
	head->last_size = uaef_spi_int64(0, 2);
	memcpy(head->last_root, uaef_datum_hash(uaef_spi_value(0, 3, &isnull)),
		   UAEF_HASH_LEN);
}

/*
 * Raise unless the last block is what its tree says, and is there to stay.
 */
static void
check_block(const Head *head)
{
	static UaefQuery query = {
		"SELECT xmin FROM uaef.ledger_block WHERE block_no = $1",
		1, {INT8OID}
	};
	Datum		args[1] = {Int64GetDatum(head->block.no)};
	uint8		root[UAEF_HASH_LEN];
	UaefCaller	caller = uaef_spi_begin();
	bool		isnull;
	bool		ours;

	ours = uaef_spi_read_latest(&query, args) == 0 ||
		TransactionIdIsCurrentTransactionId(DatumGetTransactionId(uaef_spi_value(0, 1,
																				 &isnull)));
	uaef_spi_end(caller);
	if (ours)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot sign a block that this transaction has sealed"),
				 errhint("Commit first: what is signed must not be rolled back.")));

	uaef_tree_root(head->block.tree_size, root);
	if (memcmp(root, head->block.tree_root, UAEF_HASH_LEN) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_LEDGER_MISMATCH),
				 errmsg("the tree of %lld leaves does not have the root that block %lld says",
						(long long) head->block.tree_size,
						(long long) head->block.no),
				 errhint("See uaef.verify_ledger().")));
}

/*
 * Raise unless the tree continues the last checkpoint of the table.
 */
static void
check_last(const Head *head)
{
	uint8		root[UAEF_HASH_LEN];

	if (head->last_note == NULL)
		return;
	if (head->last_size <= head->block.tree_size)
		uaef_tree_root(head->last_size, root);
	if (head->last_size > head->block.tree_size ||
		memcmp(root, head->last_root, UAEF_HASH_LEN) != 0)
		uaef_signer_contradicted("uaef.ledger_checkpoint", head->origin,
								 head->last_size, head->block.tree_size);
}

/*
 * What would be signed, and a word about why it is not.
 */
static char *
unsigned_text(const Head *head)
{
	if (!uaef_signer_is_set())
		ereport(NOTICE,
				(errmsg("this checkpoint is not signed: there is no key"),
				 errhint("Make one with \"uaef-signer keygen '%s' FILE\" and set uaef.ledger_key_file, or set uaef.ledger_signer_socket.",
						 to_server(head->origin))));
	else
		ereport(NOTICE,
				(errmsg("this checkpoint is not signed: nothing has been sealed yet")));
	return uaef_checkpoint_text(head->origin, head->block.tree_size,
								head->block.tree_root);
}

/*
 * Returns the note, which is stored.
 */
static char *
sign(const Head *head)
{
	UaefSignRequest request = {
		.origin = head->origin,
		.size = head->block.tree_size,
		.root = head->block.tree_root,
		.text = uaef_checkpoint_text(head->origin, head->block.tree_size,
									 head->block.tree_root),
		.last_note = head->last_note,
		.last_size = head->last_size
	};
	UaefNoteKey key;
	char	   *line = uaef_signer_sign(&request, &key);
	char	   *note = uaef_note_format(request.text, line);

	if (strcmp(key.name, head->origin) != 0)
		ereport(WARNING,
				(errmsg("the key that signs is not the ledger's: its name is not the origin"),
				 errdetail("The key is \"%s\", the origin \"%s\"; verifiers take no such signature.",
						   to_server(key.name), to_server(head->origin)),
				 errhint("Make a key with \"uaef-signer keygen '%s' FILE\".",
						 to_server(head->origin))));
	store(head, note, &key);
	return note;
}

static void
store(const Head *head, const char *note, const UaefNoteKey *key)
{
	static UaefQuery query = {
		"INSERT INTO uaef.ledger_checkpoint"
		" (origin, tree_size, root, note, signed_at)"
		" VALUES ($1, $2, $3, $4, $5)",
		5, {TEXTOID, INT8OID, BYTEAOID, TEXTOID, TIMESTAMPTZOID}
	};
	UaefCaller	caller = uaef_spi_begin();
	Datum		args[5];

	args[0] = CStringGetTextDatum(to_server(head->origin));
	args[1] = Int64GetDatum(head->block.tree_size);
	args[2] = uaef_bytea(head->block.tree_root, UAEF_HASH_LEN);
	args[3] = CStringGetTextDatum(to_server(note));
	args[4] = TimestampTzGetDatum(GetCurrentTimestamp());
	(void) uaef_spi_run(&query, args, NULL);
	record_key_change(head, key);
	uaef_wake_worker_on_commit(UAEF_WAKE_ANCHORS);
	uaef_spi_end(caller);
}

/*
 * An event, when the last checkpoint has another key's signatures only.  That
 * a checkpoint was signed is no event: each would ask for the next.
 */
static void
record_key_change(const Head *head, const UaefNoteKey *key)
{
	UaefNote	last;
	UaefEvent	event = {0};
	UaefJson	json;

	if (head->last_note == NULL ||
		uaef_note_parse(head->last_note, strlen(head->last_note),
						&last) != NULL)
		return;
	(void) uaef_note_verify(&last, key, 1);
	if (uaef_note_has(&last, key))
		return;

	uaef_json_begin(&json);
	uaef_json_text(&json, "origin", to_server(head->origin));
	uaef_json_text(&json, "old_key",
				   to_server(psprintf("%s+%08x", last.signatures[0].name,
									  last.signatures[0].key_id)));
	uaef_json_text(&json, "new_key", to_server(uaef_note_key_text(key)));
	uaef_json_int(&json, "tree_size", head->block.tree_size);
	event.type = "ledger_key_changed";
	event.actor_type = "system";
	event.payload = uaef_json_end(&json);
	(void) uaef_ledger_append(&event, 1);
}

/*
 * Flush the WAL, which by now has the seal; returns up to where.  When a page
 * is full, the place where the next record begins is behind the header of the
 * next page, which may not be written yet; then the full page will do.
 */
static XLogRecPtr
flush_wal(void)
{
	XLogRecPtr	lsn = GetXLogInsertRecPtr();
	uint64		into_page = lsn % XLOG_BLCKSZ;

	if (into_page == SizeOfXLogShortPHD ||
		lsn % wal_segment_size == SizeOfXLogLongPHD)
		lsn -= into_page;
	XLogFlush(lsn);
	return lsn;
}

/*
 * How many of the required standbys have not flushed the WAL up to here; waits
 * a little for those that are about to.
 */
static int
standbys_behind(XLogRecPtr lsn, int timeout_ms)
{
	TimestampTz end = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
												  timeout_ms);
	int			behind = 0;

	while (uaef_checkpoint_standbys > 0)
	{
		TimestampTz now = GetCurrentTimestamp();

		behind = Max(0, uaef_checkpoint_standbys - standbys_with(lsn));
		if (behind == 0 || now >= end)
			break;
		(void) uaef_signer_wait(PGINVALID_SOCKET, 0,
								TimestampTzPlusMilliseconds(now,
															STANDBY_PAUSE_MS));
	}
	return behind;
}

/*
 * A subscriber of logical replication does not keep our WAL.
 */
static int
standbys_with(XLogRecPtr lsn)
{
	static UaefQuery query = {
		"SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_replication r"
		" WHERE r.flush_lsn >= $1"
		" AND NOT EXISTS (SELECT FROM pg_catalog.pg_replication_slots s"
		" WHERE s.active_pid = r.pid AND s.slot_type = 'logical')",
		1, {PG_LSNOID}
	};
	Datum		args[1] = {LSNGetDatum(lsn)};
	UaefCaller	caller = uaef_spi_begin();
	int64		n;

	(void) uaef_spi_run(&query, args, NULL);
	n = uaef_spi_int64(0, 1);
	uaef_spi_end(caller);
	return (int) Min(n, INT_MAX);
}
