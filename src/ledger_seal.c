/*-------------------------------------------------------------------------
 *
 * ledger_seal.c
 *	  Sealing committed events into blocks.
 *
 * A block holds the events that a snapshot S sees and the snapshot P of the
 * block before did not see.  These are the rows whose (top-level) transaction
 * was not yet over for P: tx >= xmax(P), or tx in xip(P).  So:
 *
 *	- Every committed event gets into exactly one block.  What S does not see
 *	  was for S in progress or not begun, so the next scan finds it, however
 *	  long its transaction lasts, prepared or not.  The snapshot that is stored
 *	  is the one that was scanned; were it taken a moment later, what
 *	  committed in between would be lost.
 *	- Blocks keep causal order: whoever commits before another inserts is in
 *	  the same block or an earlier one, and within a block event_id decides,
 *	  which was drawn at the insert.
 *
 * The sealer's own transaction must have no xid when S is taken: a snapshot
 * does not list its own transaction as in progress, so the event that tells of
 * the block, inserted after S, would count as seen and never be sealed.  With
 * an xid assigned after S it is at least xmax(S), and the next block has it.
 * For the same reason it does not matter that the sealer's subtransactions
 * have ids of their own: tx is the top-level one.
 *
 * Another cluster's transaction ids mean nothing here.  After a restore, a
 * copy of the database or pg_upgrade (another incarnation) the first seal
 * takes the visible events that no block lists, and notes up to which event_id
 * there are rows that S itself would not explain: foreign ones, which later
 * scans must pass over, their tx being a number from elsewhere.
 *
 * Blocks that hold nothing but the news of earlier blocks would follow each
 * other for ever; such events wait for company.
 *
 * Locking: one sealer per database, by a lock that lasts until the transaction
 * ends; S is taken under it.  Writers never take it, and the worker does not
 * wait for it.  People wait in the lock's queue, and then seal what the one
 * before has left.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

#include "errcodes.h"
#include "guc.h"
#include "json_util.h"
#include "ledger.h"
#include "ledger_tree.h"
#include "spi_util.h"

/* An event to seal. */
typedef struct Leaf
{
	int64		event_id;
	uint8		hash[UAEF_HASH_LEN];
} Leaf;

/* The events to seal, and what the scans that gather them look at. */
typedef struct Gathering
{
	Snapshot	snapshot;		/* S */
	const UaefBlock *last;		/* with P */
	UaefSeen	seen;			/* by P, or by S while gathering all */
	int64		foreign_event_id;
	bool		news;			/* there is more than echoes of seals */
	Leaf	   *leaves;
	int64		n;
	int64		allocated;
} Gathering;

static void sealer_tag(LOCKTAG *tag);
static bool lock_sealer(bool wait);
static void unlock_sealer(void);
static void wait_for_sealer(int64 event_id, int timeout_ms);
static void require_no_xid(void);
static int64 seal(int max_events, bool only_news);
static void require_committed(int64 event_id);
static int64 find_block(int64 event_id);
static char *snapshot_text(Snapshot snapshot);
static void gather(Gathering *gathering);
static void gather_since_last(Gathering *gathering, Relation rel,
							  Relation index);
static void gather_range(Gathering *gathering, Relation rel, Relation index,
						 uint64 from, uint64 to);
static void gather_unlisted(Gathering *gathering, Relation rel);
static void add_leaf(Gathering *gathering, HeapTuple tuple, TupleDesc desc);
static int	compare_leaves(const void *a, const void *b);
static void fill_block(UaefBlock *block, const UaefBlock *before,
					   const Leaf *leaves, int64 n);
static void insert_block(const UaefBlock *block);
static void store_tiles(const Gathering *gathering, int64 base);
static void append_news(const UaefBlock *block);

int64
uaef_ledger_seal(int max_events, bool wait)
{
	require_no_xid();
	return lock_sealer(wait) ? seal(max_events, false) : UAEF_SEAL_BUSY;
}

/*
 * Seal under the lock; blocks of nothing but news only if told to.
 */
static int64
seal(int max_events, bool only_news)
{
	Gathering	gathering = {0};
	UaefBlock	last;
	UaefBlock	block;
	UaefCaller	caller;

	gathering.snapshot = RegisterSnapshot(GetLatestSnapshot());
	uaef_block_last(gathering.snapshot, &last);
	gathering.last = &last;
	gather(&gathering);
	gathering.news |= only_news;

	caller = uaef_spi_begin();
	if (gathering.news)
		store_tiles(&gathering, last.tree_size);
	for (int64 done = 0; gathering.news && done < gathering.n;
		 done += block.leaf_count)
	{
		block.snapshot = snapshot_text(gathering.snapshot);
		block.incarnation = uaef_block_incarnation();
		block.timeline = uaef_block_timeline();
		block.foreign_event_id = gathering.foreign_event_id;
		fill_block(&block, &last, gathering.leaves + done,
				   Min(max_events, gathering.n - done));
		insert_block(&block);
		append_news(&block);
		last = block;
	}
	uaef_spi_end(caller);
	UnregisterSnapshot(gathering.snapshot);

	return gathering.news && gathering.n > 0 ? last.no : 0;
}

int64
uaef_ledger_seal_and_wait(int64 event_id, int timeout_ms)
{
	int64		block_no;

	require_no_xid();
	require_committed(event_id);
	block_no = find_block(event_id);
	if (block_no != 0)
		return block_no;

	wait_for_sealer(event_id, timeout_ms);
	block_no = find_block(event_id);
	if (block_no != 0)
	{
		unlock_sealer();
		return block_no;
	}
	(void) seal(uaef_seal_max_events, true);
	block_no = find_block(event_id);
	if (block_no == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_LEDGER_MISMATCH),
				 errmsg("event %lld is in no block, and no block can take it",
						(long long) event_id),
				 errdetail("The last block's snapshot saw its transaction, but does not list it."),
				 errhint("See uaef.verify_ledger().")));
	return block_no;
}

static void
require_committed(int64 event_id)
{
	static UaefQuery query = {
		"SELECT FROM uaef.ledger_event WHERE event_id = $1",
		1, {INT8OID}
	};
	Datum		args[] = {Int64GetDatum(event_id)};
	UaefCaller	caller = uaef_spi_begin();

	if (uaef_spi_read_latest(&query, args) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("event %lld does not exist", (long long) event_id),
				 errdetail("An event is there for others when its transaction has committed.")));
	uaef_spi_end(caller);
}

/*
 * The block that holds an event as of now, or 0.
 */
static int64
find_block(int64 event_id)
{
	static UaefQuery query = {
		"SELECT block_no FROM uaef.ledger_block"
		" WHERE pg_catalog.int8range(first_event_id, last_event_id, '[]') @> $1"
		" AND $1 = ANY (event_ids)",
		1, {INT8OID}
	};
	Datum		args[] = {Int64GetDatum(event_id)};
	UaefCaller	caller = uaef_spi_begin();
	int64		block_no = 0;

	if (uaef_spi_read_latest(&query, args) > 0)
		block_no = uaef_spi_int64(0, 1);
	uaef_spi_end(caller);
	return block_no;
}

static void
sealer_tag(LOCKTAG *tag)
{
	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, 0, 0, UAEF_LOCK_SEALER);
}

static bool
lock_sealer(bool wait)
{
	LOCKTAG		tag;

	sealer_tag(&tag);
	return LockAcquire(&tag, ExclusiveLock, false, !wait) !=
		LOCKACQUIRE_NOT_AVAIL;
}

static void
unlock_sealer(void)
{
	LOCKTAG		tag;

	sealer_tag(&tag);
	(void) LockRelease(&tag, ExclusiveLock, false);
}

/*
 * Take the lock within a time, which lock_timeout measures for us.
 */
static void
wait_for_sealer(int64 event_id, int timeout_ms)
{
	MemoryContext context = CurrentMemoryContext;
	int			level;
	char		limit[16];

	if (lock_sealer(false))
		return;
	level = NewGUCNestLevel();
	snprintf(limit, sizeof(limit), "%d", Max(timeout_ms, 1));
	(void) set_config_option("lock_timeout", limit, PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	PG_TRY();
	{
		(void) lock_sealer(true);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		if (geterrcode() != ERRCODE_LOCK_NOT_AVAILABLE)
			PG_RE_THROW();
		FlushErrorState();
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_NOT_SEALED),
				 errmsg("event %lld was not sealed within %d ms",
						(long long) event_id, timeout_ms),
				 errdetail("Another session holds the sealer's lock; it keeps it until its transaction ends."),
				 errhint("Look for a transaction that called uaef.seal_ledger() or uaef.seal_and_wait() and is still open.")));
	}
	PG_END_TRY();
	AtEOXact_GUC(true, level);
}

static void
require_no_xid(void)
{
	if (TransactionIdIsValid(GetTopTransactionIdIfAny()))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot seal the ledger in a transaction that has written"),
				 errhint("Commit first, then seal in a transaction of its own.")));
}

/*
 * A snapshot in the text form of pg_snapshot.
 */
static char *
snapshot_text(Snapshot snapshot)
{
	Datum		value;

	PushActiveSnapshot(snapshot);
	value = OidFunctionCall0(F_PG_CURRENT_SNAPSHOT);
	PopActiveSnapshot();
	return OidOutputFunctionCall(F_PG_SNAPSHOT_OUT, value);
}

/*
 * Find the events that belong to the next blocks, in the order of the tree.
 */
static void
gather(Gathering *gathering)
{
	const UaefBlock *last = gathering->last;
	Oid			schema = get_namespace_oid("uaef", false);
	Relation	rel = table_open(get_relname_relid("ledger_event", schema),
								 AccessShareLock);

	if (last->no > 0 &&
		strcmp(last->incarnation, uaef_block_incarnation()) == 0)
	{
		Relation	index = index_open(get_relname_relid("ledger_event_tx",
														 schema),
									   AccessShareLock);

		uaef_seen_parse(&gathering->seen, last->snapshot);
		gathering->foreign_event_id = last->foreign_event_id;
		gather_since_last(gathering, rel, index);
		index_close(index, AccessShareLock);
	}
	else
	{
		uaef_seen_parse(&gathering->seen, snapshot_text(gathering->snapshot));
		gather_unlisted(gathering, rel);
	}
	table_close(rel, AccessShareLock);

	if (gathering->n > 1)
		qsort(gathering->leaves, gathering->n, sizeof(Leaf), compare_leaves);
}

/*
 * Rows of transactions that were not over for the last block's snapshot.  A
 * foreign row's tx may lie in the future; the upper bound keeps us from
 * passing over all of them each time.
 */
static void
gather_since_last(Gathering *gathering, Relation rel, Relation index)
{
	FullTransactionId next = ReadNextFullTransactionId();

	gather_range(gathering, rel, index, gathering->seen.xmax,
				 U64FromFullTransactionId(next));
	for (int i = 0; i < gathering->seen.nxip; i++)
		gather_range(gathering, rel, index, gathering->seen.xip[i],
					 gathering->seen.xip[i] + 1);
}

/*
 * Rows with from <= tx < to.
 */
static void
gather_range(Gathering *gathering, Relation rel, Relation index, uint64 from,
			 uint64 to)
{
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], UAEF_EVENT_TX, BTGreaterEqualStrategyNumber,
				F_XID8GE, UInt64GetDatum(from));
	ScanKeyInit(&keys[1], UAEF_EVENT_TX, BTLessStrategyNumber,
				F_XID8LT, UInt64GetDatum(to));
	scan = systable_beginscan_ordered(rel, index, gathering->snapshot, 2,
									  keys);
	while (HeapTupleIsValid(tuple = systable_getnext_ordered(scan,
															 ForwardScanDirection)))
	{
		bool		isnull;
		Datum		event_id = heap_getattr(tuple, UAEF_EVENT_ID,
											RelationGetDescr(rel), &isnull);

		CHECK_FOR_INTERRUPTS();
		if (DatumGetInt64(event_id) > gathering->foreign_event_id)
			add_leaf(gathering, tuple, RelationGetDescr(rel));
	}
	systable_endscan_ordered(scan);
}

/*
 * All visible rows that no block lists.
 */
static void
gather_unlisted(Gathering *gathering, Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);
	SysScanDesc scan;
	HeapTuple	tuple;
	int64	   *sealed;
	int64		nsealed;

	nsealed = uaef_block_event_ids(gathering->snapshot, &sealed);
	scan = systable_beginscan(rel, InvalidOid, false, gathering->snapshot, 0,
							  NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		int64		event_id = DatumGetInt64(heap_getattr(tuple, UAEF_EVENT_ID,
														  desc, &isnull));
		uint64		tx = DatumGetUInt64(heap_getattr(tuple, UAEF_EVENT_TX,
													 desc, &isnull));

		CHECK_FOR_INTERRUPTS();
		if (!uaef_seen(&gathering->seen, tx))
			gathering->foreign_event_id = Max(event_id,
											  gathering->foreign_event_id);
		if (uaef_block_find(sealed, nsealed, event_id) == NULL)
			add_leaf(gathering, tuple, desc);
	}
	systable_endscan(scan);
}

static void
add_leaf(Gathering *gathering, HeapTuple tuple, TupleDesc desc)
{
	Leaf	   *leaf;
	text	   *type;
	bool		isnull;

	if (gathering->n == gathering->allocated)
	{
		gathering->allocated = Max(256, gathering->allocated * 2);
		if (gathering->leaves == NULL)
			gathering->leaves = palloc(gathering->allocated * sizeof(Leaf));
		else
			gathering->leaves = repalloc_huge(gathering->leaves,
											  gathering->allocated * sizeof(Leaf));
	}
	leaf = &gathering->leaves[gathering->n++];
	leaf->event_id = DatumGetInt64(heap_getattr(tuple, UAEF_EVENT_ID, desc,
												&isnull));
	memcpy(leaf->hash,
		   uaef_datum_hash(heap_getattr(tuple, UAEF_EVENT_HASH, desc,
										&isnull)), UAEF_HASH_LEN);

	type = DatumGetTextPP(heap_getattr(tuple, UAEF_EVENT_TYPE, desc, &isnull));
	if (!uaef_ledger_is_echo(VARDATA_ANY(type), VARSIZE_ANY_EXHDR(type)))
		gathering->news = true;
}

static int
compare_leaves(const void *a, const void *b)
{
	int64		l = ((const Leaf *) a)->event_id;
	int64		r = ((const Leaf *) b)->event_id;

	return (l > r) - (l < r);
}

/*
 * The block of n leaves that follows another.
 */
static void
fill_block(UaefBlock *block, const UaefBlock *before, const Leaf *leaves,
		   int64 n)
{
	block->no = before->no + 1;
	block->first_leaf = before->tree_size;
	block->leaf_count = n;
	block->tree_size = before->tree_size + n;
	block->sealed_at = Max(GetCurrentTimestamp(), before->sealed_at);
	memcpy(block->prev_hash, before->hash, UAEF_HASH_LEN);

	block->frontier = before->frontier;
	block->event_ids = palloc_extended(n * sizeof(int64), MCXT_ALLOC_HUGE);
	for (int64 i = 0; i < n; i++)
	{
		block->event_ids[i] = leaves[i].event_id;
		uaef_frontier_append(&block->frontier, leaves[i].hash);
	}
	block->first_event_id = leaves[0].event_id;
	block->last_event_id = leaves[n - 1].event_id;
	uaef_frontier_root(&block->frontier, block->tree_root);
	uaef_block_hash(block, block->hash);
}

static void
insert_block(const UaefBlock *block)
{
	static UaefQuery query = {
		"INSERT INTO uaef.ledger_block (block_no, first_leaf, leaf_count,"
		" tree_size, tree_root, prev_block_hash, block_hash, event_ids,"
		" first_event_id, last_event_id, frontier, snapshot, incarnation,"
		" timeline, foreign_event_id, sealed_at)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11,"
		" $12::pg_catalog.text::pg_catalog.pg_snapshot, $13, $14, $15, $16)",
		16, {INT8OID, INT8OID, INT8OID, INT8OID, BYTEAOID, BYTEAOID, BYTEAOID,
			INT8ARRAYOID, INT8OID, INT8OID, BYTEAOID, TEXTOID, TEXTOID, INT4OID,
		INT8OID, TIMESTAMPTZOID}
	};
	Datum	   *ids = palloc_extended(block->leaf_count * sizeof(Datum),
									  MCXT_ALLOC_HUGE);
	Datum		args[16];

	for (int64 i = 0; i < block->leaf_count; i++)
		ids[i] = Int64GetDatum(block->event_ids[i]);
	args[0] = Int64GetDatum(block->no);
	args[1] = Int64GetDatum(block->first_leaf);
	args[2] = Int64GetDatum(block->leaf_count);
	args[3] = Int64GetDatum(block->tree_size);
	args[4] = uaef_bytea(block->tree_root, UAEF_HASH_LEN);
	args[5] = uaef_bytea(block->prev_hash, UAEF_HASH_LEN);
	args[6] = uaef_bytea(block->hash, UAEF_HASH_LEN);
	args[7] = uaef_array(ids, NULL, block->leaf_count, INT8OID);
	args[8] = Int64GetDatum(block->first_event_id);
	args[9] = Int64GetDatum(block->last_event_id);
	args[10] = uaef_bytea(block->frontier.node[0],
						  block->frontier.n * UAEF_HASH_LEN);
	args[11] = CStringGetTextDatum(block->snapshot);
	args[12] = CStringGetTextDatum(block->incarnation);
	args[13] = Int32GetDatum(block->timeline);
	args[14] = Int64GetDatum(block->foreign_event_id);
	args[15] = TimestampTzGetDatum(block->sealed_at);
	(void) uaef_spi_run(&query, args, NULL);
}

/*
 * Store the tiles that the gathered leaves fill; base is the size of the tree
 * before them.  What the first tile lacks is in the tree already.
 */
static void
store_tiles(const Gathering *gathering, int64 base)
{
	int64		size = base + gathering->n;
	int64		open = base % UAEF_TILE_WIDTH;	/* leaves in no full tile */
	uint8		hashes[UAEF_TILE_WIDTH * UAEF_HASH_LEN];
	UaefTable	table;

	if (base / UAEF_TILE_WIDTH == size / UAEF_TILE_WIDTH)
		return;
	PushActiveSnapshot(gathering->snapshot);
	uaef_tree_leaves(base - open, open, hashes);
	PopActiveSnapshot();

	uaef_table_open(&table, "ledger_tile");
	for (int64 i = 0; i < gathering->n; i++)
	{
		memcpy(hashes + open * UAEF_HASH_LEN, gathering->leaves[i].hash,
			   UAEF_HASH_LEN);
		if (++open < UAEF_TILE_WIDTH)
			continue;
		uaef_tree_store_tile(&table, (base + i) / UAEF_TILE_WIDTH, hashes);
		open = 0;
		CHECK_FOR_INTERRUPTS();
	}
	uaef_table_close(&table);
}

/*
 * Put the block's header into the ledger; the next block covers it.
 */
static void
append_news(const UaefBlock *block)
{
	UaefEvent	event = {0};
	UaefJson	json;
	pg_uuid_t	stream;

	uaef_derive_uuid(uaef_ledger_id(), "seal", 0, &stream);
	uaef_json_begin(&json);
	uaef_json_int(&json, "block_no", block->no);
	uaef_json_int(&json, "first_leaf", block->first_leaf);
	uaef_json_int(&json, "leaf_count", block->leaf_count);
	uaef_json_int(&json, "tree_size", block->tree_size);
	uaef_json_text(&json, "tree_root",
				   uaef_hex(block->tree_root, UAEF_HASH_LEN));
	uaef_json_text(&json, "block_hash", uaef_hex(block->hash, UAEF_HASH_LEN));

	event.type = UAEF_SEAL_EVENT;
	event.stream = &stream;
	event.actor_type = "system";
	event.payload = uaef_json_end(&json);
	uaef_ledger_hold_stream(&stream, false);
	(void) uaef_ledger_append(&event, 1);
}
