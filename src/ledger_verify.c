/*-------------------------------------------------------------------------
 *
 * ledger_verify.c
 *	  Looking for damage in the ledger, and naming its place.
 *
 * A full check walks each stream in the order of its index, recomputing
 * payload commitments, hashes and links, then recomputes each block's root
 * from the stored edge of the tree before it.  A problem is reported where it
 * is and the check goes on from what is stored there, so that one damage does
 * not make everything behind it look wrong.
 *
 * All of it proves that the ledger is consistent with itself.  Whoever can
 * write the tables can make another history that is so too; only a block hash
 * or root that was kept elsewhere shows that.
 *
 * Locking: none but AccessShareLock.  Events and blocks that are written
 * meanwhile do no harm: a snapshot that sees a block sees its events.
 *
 * Memory: what one row needs is in a context that is reset for the next.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/namespace.h"
#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "ledger.h"
#include "ledger_block.h"
#include "ledger_guard.h"
#include "ledger_incarnation.h"
#include "ledger_redact.h"
#include "ledger_retire.h"
#include "ledger_signature.h"
#include "ledger_tree.h"
#include "ledger_verify.h"
#include "spi_util.h"

/* Events of a block that are looked at together. */
#define CHUNK 1000

/* Columns of a loaded event; the first two also of a loaded hash. */
#define LOADED_EVENT_ID		1
#define LOADED_HASH			2
#define LOADED_PREV_HASH	3
#define LOADED_PREV_TIME	4
#define LOADED_PREV_ID		5
#define LOADED_EVENT		6

/* The event before the one that is looked at, in its stream. */
typedef struct Previous
{
	bool		exists;
	bool		hash_known;
	pg_uuid_t	stream;
	int64		seq;
	int64		event_id;
	TimestampTz recorded_at;
	uint8		stored[UAEF_HASH_LEN];
	uint8		computed[UAEF_HASH_LEN];
} Previous;

/* What the blocks list, and what the last of them must have had. */
typedef struct Listing
{
	int64	   *ids;			/* sorted */
	int64		n;
	bool		complete;		/* the rest is valid */
	UaefSeen	seen;
	int64		foreign_event_id;
	uint64		next_tx;		/* no event has this transaction or event_id */
	int64		next_event_id;	/* or a later one */
} Listing;

static UaefPlace place_of_event(const Datum *values, const bool *nulls);
static void check_payload(const UaefReport *report, const UaefPlace *place,
						  const Datum *values, const bool *nulls);
static void check_event(const UaefReport *report, const UaefPlace *place,
						const Datum *values, const bool *nulls,
						uint8 *computed);
static void check_link(const UaefReport *report, const UaefPlace *place,
					   const Datum *values, const Previous *previous);
static void check_place(const UaefReport *report, const UaefPlace *place,
						const Previous *previous);
static void begin_stream(const pg_uuid_t *stream, const UaefRetired *retired,
						 Previous *previous);
static void remember(Previous *previous, const Datum *values,
					 const bool *nulls, const uint8 *computed);
static void walk_streams(const UaefReport *report);
static void walk_blocks(const UaefReport *report, int64 from_block,
						const uint8 *trusted_hash, bool deep);
static bool load_block(int64 block_no, UaefBlock *block);
static int64 next_block_no(int64 block_no);
static void check_header(const UaefReport *report, const UaefBlock *before,
						 const UaefBlock *block);
static void check_leaves(const UaefReport *report, const UaefBlock *before,
						 const UaefBlock *block, bool deep);
static bool check_chunk(const UaefReport *report, const UaefBlock *block,
						int64 first, int n, bool deep, UaefFrontier *frontier);
static int	load_events(const int64 *event_ids, int n);
static bool loaded_event(int row, Datum *values, bool *nulls);
static void check_loaded(const UaefReport *report, int row);
static int	load_hashes(const int64 *event_ids, int n);
static Datum id_array(const int64 *event_ids, int n);
static void check_root(const UaefReport *report, const UaefBlock *block,
					   const UaefFrontier *frontier);
static void read_listing(const UaefReport *report, Listing *listing);
static int64 read_next_event_id(void);
static bool check_future(const UaefReport *report, const Listing *listing,
						 const UaefPlace *place, uint64 tx);
static void check_listed(const UaefReport *report, const Listing *listing,
						 const UaefPlace *place, uint64 tx);
static void check_news(const UaefReport *report, int64 from_block);
static void check_unsealed(const UaefReport *report, bool deep);
static void load_one_event(int64 event_id);

/* ----------
 * One event
 * ----------
 */

#define VALUE(column) values[(column) - 1]
#define ISNULL(column) nulls[(column) - 1]

static UaefPlace
place_of_event(const Datum *values, const bool *nulls)
{
	UaefPlace	place = {0};

	place.stream = DatumGetUUIDP(VALUE(UAEF_EVENT_STREAM));
	place.stream_seq = DatumGetInt64(VALUE(UAEF_EVENT_STREAM_SEQ));
	if (!ISNULL(UAEF_EVENT_ID))
		place.event_id = DatumGetInt64(VALUE(UAEF_EVENT_ID));
	return place;
}

static void
check_payload(const UaefReport *report, const UaefPlace *place,
			  const Datum *values, const bool *nulls)
{
	const uint8 *salt;
	const uint8 *stored;
	uint8		hash[UAEF_HASH_LEN];

	if (ISNULL(UAEF_EVENT_PAYLOAD) && ISNULL(UAEF_EVENT_SALT) &&
		ISNULL(UAEF_EVENT_PAYLOAD_HASH))
		return;
	if (ISNULL(UAEF_EVENT_PAYLOAD) && ISNULL(UAEF_EVENT_SALT) &&
		uaef_redaction_told(place->event_id,
							uaef_datum_hash(VALUE(UAEF_EVENT_PAYLOAD_HASH))))
	{
		uaef_report_problem(report, "REDACTED", place,
							"the payload was erased, as an event tells");
		return;
	}
	if (ISNULL(UAEF_EVENT_PAYLOAD) || ISNULL(UAEF_EVENT_SALT) ||
		ISNULL(UAEF_EVENT_PAYLOAD_HASH))
	{
		uaef_report_problem(report, "PAYLOAD_MISMATCH", place,
							"payload, salt or payload_hash is missing");
		return;
	}

	salt = uaef_datum_hash(VALUE(UAEF_EVENT_SALT));
	stored = uaef_datum_hash(VALUE(UAEF_EVENT_PAYLOAD_HASH));
	if (salt != NULL && stored != NULL)
	{
		uaef_payload_hash(DatumGetJsonbP(VALUE(UAEF_EVENT_PAYLOAD)), salt,
						  hash);
		if (memcmp(stored, hash, UAEF_HASH_LEN) == 0)
			return;
	}
	uaef_report_problem(report, "PAYLOAD_MISMATCH", place,
						"the payload is not what payload_hash commits to");
}

/*
 * What can be said of an event by itself; computed becomes its hash.
 */
static void
check_event(const UaefReport *report, const UaefPlace *place,
			const Datum *values, const bool *nulls, uint8 *computed)
{
	const uint8 *stored = ISNULL(UAEF_EVENT_HASH) ? NULL :
		uaef_datum_hash(VALUE(UAEF_EVENT_HASH));

	check_payload(report, place, values, nulls);
	if (!uaef_signature_check(values, nulls))
		uaef_report_problem(report, "SIG_BAD", place,
							"the signature is not that of its signer");
	memset(computed, 0, UAEF_HASH_LEN);
	if (!uaef_event_hash(uaef_ledger_id(), values, nulls, computed) ||
		stored == NULL || memcmp(stored, computed, UAEF_HASH_LEN) != 0)
		uaef_report_problem(report, "EVENT_HASH_MISMATCH", place,
							"the event is not what event_hash says");
}

/*
 * Whether an event follows the one before it.  The hash that the earlier one
 * has stored may have been changed alone; what it hashes to will do then.
 */
static void
check_link(const UaefReport *report, const UaefPlace *place,
		   const Datum *values, const Previous *previous)
{
	const uint8 *link = uaef_datum_hash(VALUE(UAEF_EVENT_PREV_HASH));
	TimestampTz recorded_at =
		DatumGetTimestampTz(VALUE(UAEF_EVENT_RECORDED_AT));
	uint8		genesis[UAEF_HASH_LEN];

	if (!previous->exists)
	{
		uaef_genesis_hash(uaef_ledger_id(), place->stream, genesis);
		if (link == NULL || memcmp(link, genesis, UAEF_HASH_LEN) != 0)
			uaef_report_problem(report, "CHAIN_BREAK", place,
								"the first event of the stream does not follow its genesis");
		return;
	}
	if (link == NULL ||
		(memcmp(link, previous->stored, UAEF_HASH_LEN) != 0 &&
		 !(previous->hash_known &&
		   memcmp(link, previous->computed, UAEF_HASH_LEN) == 0)))
		uaef_report_problem(report, "CHAIN_BREAK", place,
							"prev_hash is not the hash of the event before it");
	if (recorded_at < previous->recorded_at)
		uaef_report_problem(report, "TIME_REVERSED", place,
							"recorded_at is before that of the event before it");
	if (place->event_id <= previous->event_id)
		uaef_report_problem(report, "ORDER_CHANGED", place,
							"event_id is not above that of the event before it");
}

/*
 * Whether an event stands where its number says; only then has it a link to
 * check.
 */
static void
check_place(const UaefReport *report, const UaefPlace *place,
			const Previous *previous)
{
	int64		expected = previous->exists ? previous->seq + 1 : 1;

	if (place->stream_seq < expected)
		uaef_report_problem(report, "SEQ_FORK", place,
							"stream_seq occurs more than once");
	else if (place->stream_seq == expected + 1)
		uaef_report_problem(report, "SEQ_GAP", place,
							psprintf("event %lld of the stream is missing",
									 (long long) expected));
	else if (place->stream_seq > expected)
		uaef_report_problem(report, "SEQ_GAP", place,
							psprintf("events %lld to %lld of the stream are missing",
									 (long long) expected,
									 (long long) place->stream_seq - 1));
}

static void
remember(Previous *previous, const Datum *values, const bool *nulls,
		 const uint8 *computed)
{
	const uint8 *stored = ISNULL(UAEF_EVENT_HASH) ? NULL :
		uaef_datum_hash(VALUE(UAEF_EVENT_HASH));

	previous->exists = true;
	previous->hash_known = true;
	previous->stream = *DatumGetUUIDP(VALUE(UAEF_EVENT_STREAM));
	previous->seq = DatumGetInt64(VALUE(UAEF_EVENT_STREAM_SEQ));
	previous->event_id = DatumGetInt64(VALUE(UAEF_EVENT_ID));
	previous->recorded_at = DatumGetTimestampTz(VALUE(UAEF_EVENT_RECORDED_AT));
	memcpy(previous->computed, computed, UAEF_HASH_LEN);
	memcpy(previous->stored, stored ? stored : computed, UAEF_HASH_LEN);
}

/*
 * Take for the event before a stream's first one the last that was retired, if
 * the tree has it.
 */
static void
begin_stream(const pg_uuid_t *stream, const UaefRetired *retired,
			 Previous *previous)
{
	UaefRetiredHead head;
	uint8		leaf[UAEF_HASH_LEN];

	previous->exists = false;
	if (!uaef_retired_head(stream, &head) ||
		!uaef_retired_has(retired, head.leaf))
		return;
	uaef_tree_leaf(head.leaf, leaf);
	if (memcmp(leaf, head.hash, UAEF_HASH_LEN) != 0)
		return;
	previous->exists = true;
	previous->hash_known = false;
	previous->stream = *stream;
	previous->seq = head.stream_seq;
	previous->event_id = head.event_id;
	previous->recorded_at = head.recorded_at;
	memcpy(previous->stored, head.hash, UAEF_HASH_LEN);
}

/*
 * All events, stream by stream.
 */
static void
walk_streams(const UaefReport *report)
{
	Oid			schema = get_namespace_oid("uaef", false);
	Relation	rel = table_open(get_relname_relid("ledger_event", schema),
								 AccessShareLock);
	Oid			index_oid = get_relname_relid("ledger_event_pkey", schema);
	Relation	index;
	MemoryContext row_context = AllocSetContextCreate(CurrentMemoryContext,
													  "uaef verify row",
													  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old_context;
	SysScanDesc scan;
	HeapTuple	tuple;
	Previous	previous = {0};
	Listing		listing;
	UaefRetired retired;

	/* That the index is gone has been reported; blocks need none. */
	if (!OidIsValid(index_oid))
	{
		table_close(rel, AccessShareLock);
		return;
	}
	index = index_open(index_oid, AccessShareLock);
	read_listing(report, &listing);
	uaef_retired_read(&retired);
	scan = systable_beginscan_ordered(rel, index, GetActiveSnapshot(), 0, NULL);

	/* The scan keeps what it allocates, so it runs outside of row_context. */
	old_context = CurrentMemoryContext;
	while (HeapTupleIsValid(tuple = systable_getnext_ordered(scan,
															 ForwardScanDirection)))
	{
		Datum		values[UAEF_EVENT_COLUMNS];
		bool		nulls[UAEF_EVENT_COLUMNS];
		uint8		computed[UAEF_HASH_LEN];
		int64		event_id;
		uint64		tx;
		bool		future;
		UaefPlace	place;

		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(row_context);
		MemoryContextSwitchTo(row_context);
		heap_deform_tuple(tuple, RelationGetDescr(rel), values, nulls);
		place = place_of_event(values, nulls);
		if (memcmp(&previous.stream, place.stream, UUID_LEN) != 0)
			begin_stream(place.stream, &retired, &previous);

		check_event(report, &place, values, nulls, computed);
		tx = DatumGetUInt64(VALUE(UAEF_EVENT_TX));
		future = check_future(report, &listing, &place, tx);
		if (!future)
			check_listed(report, &listing, &place, tx);
		if (place.stream_seq == (previous.exists ? previous.seq + 1 : 1))
			check_link(report, &place, values, &previous);
		else
			check_place(report, &place, &previous);
		event_id = previous.exists ? previous.event_id : 0;
		remember(&previous, values, nulls, computed);

		/* A number out of the air says nothing of the event that follows. */
		if (future)
			previous.event_id = event_id;
		MemoryContextSwitchTo(old_context);
	}
	MemoryContextDelete(row_context);
	systable_endscan_ordered(scan);
	index_close(index, AccessShareLock);
	table_close(rel, AccessShareLock);
}

/* ----------
 * Blocks
 * ----------
 */

/*
 * The number of the first block after one; 0 if there is none.
 */
static int64
next_block_no(int64 block_no)
{
	static UaefQuery query = {
		"SELECT block_no FROM uaef.ledger_block WHERE block_no > $1"
		" ORDER BY block_no LIMIT 1",
		1, {INT8OID}
	};
	Datum		args[] = {Int64GetDatum(block_no)};
	int64		next = 0;

	if (uaef_spi_run(&query, args, NULL) > 0)
		next = uaef_spi_int64(0, 1);
	SPI_freetuptable(SPI_tuptable);
	return next;
}

/*
 * False when the block is not there or its row makes no sense; block->no is 0
 * in the first case.
 */
static bool
load_block(int64 block_no, UaefBlock *block)
{
	static UaefQuery query = {
		"SELECT block_no, first_leaf, leaf_count, tree_size, tree_root,"
		" prev_block_hash, block_hash, event_ids, first_event_id,"
		" last_event_id, frontier, snapshot, incarnation, timeline,"
		" foreign_event_id, sealed_at"
		" FROM uaef.ledger_block WHERE block_no = $1",
		1, {INT8OID}
	};
	Datum		args[] = {Int64GetDatum(block_no)};
	bool		sound = false;

	memset(block, 0, sizeof(UaefBlock));
	if (uaef_spi_run(&query, args, NULL) > 0)
		sound = uaef_block_read(SPI_tuptable->vals[0], SPI_tuptable->tupdesc,
								block);
	SPI_freetuptable(SPI_tuptable);
	return sound;
}

/*
 * The blocks from one on; deep: with all that can be said of their events.
 */
static void
walk_blocks(const UaefReport *report, int64 from_block,
			const uint8 *trusted_hash, bool deep)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "uaef verify block",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old_context = MemoryContextSwitchTo(context);
	UaefBlock	before;
	UaefBlock	block;
	int64		no = from_block - 1;

	uaef_block_genesis(&before);
	if (no > 0 && !load_block(no, &before))
	{
		UaefPlace	place = {.block_no = no};

		uaef_report_problem(report, "BLOCK_CHAIN_BREAK", &place,
							before.no == 0 ? "the block does not exist" :
							"the block's row is malformed");
		before.no = no;
	}
	else if (trusted_hash != NULL &&
			 memcmp(trusted_hash, before.hash, UAEF_HASH_LEN) != 0)
	{
		UaefPlace	place = {.block_no = before.no};

		uaef_report_problem(report, "BLOCK_CHAIN_BREAK", &place,
							"the block's hash is not the trusted one");
	}

	while ((no = next_block_no(no)) != 0)
	{
		UaefPlace	place = {.block_no = no};

		CHECK_FOR_INTERRUPTS();
		if (load_block(no, &block))
		{
			check_header(report, &before, &block);
			check_leaves(report, &before, &block, deep);
			before = block;
			before.snapshot = NULL;
			before.event_ids = NULL;
		}
		else
			uaef_report_problem(report, "BLOCK_CHAIN_BREAK", &place,
								"the block's row is malformed");
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(old_context);
	MemoryContextDelete(context);
}

static void
check_header(const UaefReport *report, const UaefBlock *before,
			 const UaefBlock *block)
{
	UaefPlace	place = {.block_no = block->no};
	uint8		hash[UAEF_HASH_LEN];

	if (block->no != before->no + 1)
		uaef_report_problem(report, "BLOCK_CHAIN_BREAK", &place,
							psprintf("blocks %lld to %lld are missing",
									 (long long) before->no + 1,
									 (long long) block->no - 1));
	else if (memcmp(block->prev_hash, before->hash, UAEF_HASH_LEN) != 0)
		uaef_report_problem(report, "BLOCK_CHAIN_BREAK", &place,
							"prev_block_hash is not the hash of the block before it");
	if (block->first_leaf != before->tree_size)
		uaef_report_problem(report, "ROOT_MISMATCH", &place,
							"the block does not begin where the tree before it ends");

	uaef_block_hash(block, hash);
	if (memcmp(block->hash, hash, UAEF_HASH_LEN) != 0)
		uaef_report_problem(report, "BLOCK_CHAIN_BREAK", &place,
							"the header is not what block_hash says");
	if (block->sealed_at < before->sealed_at)
		uaef_report_problem(report, "TIME_REVERSED", &place,
							"sealed_at is before that of the block before it");
}

/*
 * The events that a block lists are there, in order, and make up its root.
 */
static void
check_leaves(const UaefReport *report, const UaefBlock *before,
			 const UaefBlock *block, bool deep)
{
	UaefFrontier *frontier = palloc(sizeof(UaefFrontier));
	bool		complete = (block->first_leaf == before->frontier.size);
	UaefPlace	place = {.block_no = block->no};

	*frontier = before->frontier;
	for (int64 i = 1; i < block->leaf_count; i++)
	{
		if (block->event_ids[i] > block->event_ids[i - 1])
			continue;
		place.event_id = block->event_ids[i];
		uaef_report_problem(report, "ORDER_CHANGED", &place,
							"the block's events are not in the order of event_id");
	}
	place.event_id = 0;
	if (block->first_event_id != block->event_ids[0] ||
		block->last_event_id != block->event_ids[block->leaf_count - 1])
		uaef_report_problem(report, "ORDER_CHANGED", &place,
							"first_event_id and last_event_id are not those of the block's events");
	for (int64 first = 0; first < block->leaf_count; first += CHUNK)
		complete &= check_chunk(report, block, first,
								Min(CHUNK, block->leaf_count - first), deep,
								frontier);
	if (complete)
		check_root(report, block, frontier);
}

/*
 * Some of a block's events; returns whether all of them are there.
 */
static bool
check_chunk(const UaefReport *report, const UaefBlock *block, int64 first,
			int n, bool deep, UaefFrontier *frontier)
{
	bool		complete = true;
	UaefRetired retired;

	uaef_retired_read(&retired);
	if (deep)
		(void) load_events(block->event_ids + first, n);
	else
		(void) load_hashes(block->event_ids + first, n);
	for (int row = 0; row < n; row++)
	{
		const uint8 *hash;
		bool		isnull;
		Datum		value = uaef_spi_value(row, LOADED_HASH, &isnull);

		if (isnull)
		{
			UaefPlace	place = {
				.block_no = block->no,
				.event_id = block->event_ids[first + row]
			};
			uint8		leaf[UAEF_HASH_LEN];

			if (uaef_retired_has(&retired, block->first_leaf + first + row))
			{
				uaef_tree_leaf(block->first_leaf + first + row, leaf);
				uaef_frontier_append(frontier, leaf);
				continue;
			}
			uaef_report_problem(report, "LEAF_MISSING", &place,
								"the event was sealed, but is gone");
			complete = false;
			continue;
		}
		if (deep)
			check_loaded(report, row);
		hash = uaef_datum_hash(value);
		complete &= (hash != NULL);
		if (hash != NULL)
			uaef_frontier_append(frontier, hash);
	}
	SPI_freetuptable(SPI_tuptable);
	return complete;
}

/*
 * Events by their numbers, each with the one before it in its stream; one row
 * for each number.
 */
static int
load_events(const int64 *event_ids, int n)
{
	static UaefQuery query = {
		"SELECT e.event_id, e.event_hash,"
		" p.event_hash, p.recorded_at, p.event_id,"
		" e.event_id, e.stream, e.stream_seq, e.tx, e.recorded_at, e.kind,"
		" e.event_type, e.actor_type, e.actor_id, e.session_role,"
		" e.effective_role, e.task_id, e.agent_id, e.payload, e.salt,"
		" e.payload_hash, e.signer, e.signature, e.prev_hash, e.event_hash"
		" FROM unnest($1) WITH ORDINALITY AS i (event_id, n)"
		" LEFT JOIN LATERAL (SELECT * FROM uaef.ledger_event"
		" WHERE event_id = i.event_id LIMIT 1) AS e ON true"
		" LEFT JOIN LATERAL (SELECT event_hash, recorded_at, event_id"
		" FROM uaef.ledger_event WHERE stream = e.stream"
		" AND stream_seq = e.stream_seq - 1 LIMIT 1) AS p ON true"
		" ORDER BY i.n",
		1, {INT8ARRAYOID}
	};
	Datum		args[] = {id_array(event_ids, n)};

	return (int) uaef_spi_run(&query, args, NULL);
}

/*
 * Only the hashes of events, which is much less work.
 */
static int
load_hashes(const int64 *event_ids, int n)
{
	static UaefQuery query = {
		"SELECT e.event_id, e.event_hash"
		" FROM unnest($1) WITH ORDINALITY AS i (event_id, n)"
		" LEFT JOIN LATERAL (SELECT event_id, event_hash"
		" FROM uaef.ledger_event WHERE event_id = i.event_id LIMIT 1)"
		" AS e ON true ORDER BY i.n",
		1, {INT8ARRAYOID}
	};
	Datum		args[] = {id_array(event_ids, n)};

	return (int) uaef_spi_run(&query, args, NULL);
}

static Datum
id_array(const int64 *event_ids, int n)
{
	Datum	   *ids = palloc(n * sizeof(Datum));

	for (int i = 0; i < n; i++)
		ids[i] = Int64GetDatum(event_ids[i]);
	return uaef_array(ids, NULL, n, INT8OID);
}

/*
 * The event of a loaded row; false when there was none.
 */
static bool
loaded_event(int row, Datum *values, bool *nulls)
{
	bool		isnull;

	(void) uaef_spi_value(row, LOADED_EVENT_ID, &isnull);
	if (isnull)
		return false;
	for (int i = 0; i < UAEF_EVENT_COLUMNS; i++)
		values[i] = uaef_spi_value(row, LOADED_EVENT + i, &nulls[i]);
	return true;
}

/*
 * All that can be said of a loaded event.
 */
static void
check_loaded(const UaefReport *report, int row)
{
	Datum		values[UAEF_EVENT_COLUMNS];
	bool		nulls[UAEF_EVENT_COLUMNS];
	UaefPlace	place;
	Previous	previous = {0};
	const uint8 *hash;
	uint8		computed[UAEF_HASH_LEN];
	bool		isnull;
	Datum		prev_hash = uaef_spi_value(row, LOADED_PREV_HASH, &isnull);

	if (!loaded_event(row, values, nulls))
		return;
	place = place_of_event(values, nulls);
	check_event(report, &place, values, nulls, computed);
	if (!isnull)
	{
		hash = uaef_datum_hash(prev_hash);
		if (hash != NULL)
			memcpy(previous.stored, hash, UAEF_HASH_LEN);
		previous.exists = true;
		previous.seq = place.stream_seq - 1;
		previous.event_id = uaef_spi_int64(row, LOADED_PREV_ID);
		previous.recorded_at =
			DatumGetTimestampTz(uaef_spi_value(row, LOADED_PREV_TIME, &isnull));
	}
	else if (place.stream_seq > 1)
	{
		UaefRetired retired;
		SPITupleTable *loaded = SPI_tuptable;

		uaef_retired_read(&retired);
		begin_stream(place.stream, &retired, &previous);
		SPI_tuptable = loaded;
	}
	if (place.stream_seq == previous.seq + 1)
		check_link(report, &place, values, &previous);
	else
		uaef_report_problem(report, "SEQ_GAP", &place,
							psprintf("event %lld of the stream is missing",
									 (long long) place.stream_seq - 1));
}

static void
check_root(const UaefReport *report, const UaefBlock *block,
		   const UaefFrontier *frontier)
{
	UaefPlace	place = {.block_no = block->no};
	uint8		root[UAEF_HASH_LEN];

	uaef_frontier_root(frontier, root);
	if (memcmp(root, block->tree_root, UAEF_HASH_LEN) != 0)
		uaef_report_problem(report, "ROOT_MISMATCH", &place,
							"the block's events do not give its tree_root");
	uaef_frontier_root(&block->frontier, root);
	if (memcmp(root, block->tree_root, UAEF_HASH_LEN) != 0)
		uaef_report_problem(report, "ROOT_MISMATCH", &place,
							"the block's frontier does not give its tree_root");
}

/* ----------
 * The ledger as a whole
 * ----------
 */

/*
 * Read what the blocks list, and report what they list twice.
 */
static void
read_listing(const UaefReport *report, Listing *listing)
{
	UaefBlock	last;

	listing->n = uaef_block_event_ids(GetActiveSnapshot(), &listing->ids,
									  &last);
	for (int64 i = 1; i < listing->n; i++)
	{
		UaefPlace	place = {.event_id = listing->ids[i]};

		if (listing->ids[i] == listing->ids[i - 1])
			uaef_report_problem(report, "LEAF_EXTRA", &place,
								"the event is in more than one place of the tree");
	}

	/* Another incarnation's transaction ids would tell us nothing. */
	listing->complete = last.no > 0 &&
		strcmp(last.incarnation, uaef_block_incarnation()) == 0;
	if (listing->complete)
	{
		uaef_seen_parse(&listing->seen, last.snapshot);
		listing->foreign_event_id = last.foreign_event_id;
		listing->next_tx =
			U64FromFullTransactionId(ReadNextFullTransactionId());
		listing->next_event_id = read_next_event_id();
	}
}

/*
 * Read without regard to the snapshot, after it was taken, the sequence is
 * beyond every event that the snapshot sees.
 */
static int64
read_next_event_id(void)
{
	static UaefQuery query = {
		"SELECT last_value + is_called::integer FROM uaef.ledger_event_id", 0
	};
	int64		next;

	(void) uaef_spi_run(&query, NULL, NULL);
	next = uaef_spi_int64(0, 1);
	SPI_freetuptable(SPI_tuptable);
	return next;
}

/*
 * Whether an event claims a transaction that has not begun, or a number that
 * has not been drawn.  No block will ever have it.
 */
static bool
check_future(const UaefReport *report, const Listing *listing,
			 const UaefPlace *place, uint64 tx)
{
	if (!listing->complete)
		return false;
	if (place->event_id >= listing->next_event_id)
		uaef_report_problem(report, "LEAF_EXTRA", place,
							"event_id has not been drawn from the sequence");
	else if (tx >= listing->next_tx &&
			 place->event_id > listing->foreign_event_id)
		uaef_report_problem(report, "LEAF_EXTRA", place,
							"tx has not been assigned to a transaction");
	else
		return false;
	return true;
}

/*
 * Whether a block has an event that was there before the last block.
 */
static void
check_listed(const UaefReport *report, const Listing *listing,
			 const UaefPlace *place, uint64 tx)
{
	if (listing->complete &&
		(place->event_id <= listing->foreign_event_id ||
		 uaef_seen(&listing->seen, tx)) &&
		uaef_block_find(listing->ids, listing->n,
						place->event_id) == NULL)
		uaef_report_problem(report, "LEAF_EXTRA", place,
							"the event is in no block, but older than the last one");
}

/*
 * What the ledger tells of a block is what its row says.  A missing block is
 * reported here only if none follows that misses it.
 */
static void
check_news(const UaefReport *report, int64 from_block)
{
	static UaefQuery broken = {
		"SELECT e.stream, e.stream_seq, e.event_id, b.block_no,"
		" CASE WHEN b.block_no IS NULL THEN"
		" pg_catalog.format('block %s is missing, but the event tells of it',"
		" e.payload->>'block_no')"
		" ELSE 'the block''s hash is not the one that the event tells' END"
		" FROM uaef.ledger_event AS e LEFT JOIN uaef.ledger_block AS b"
		" ON pg_catalog.to_jsonb(b.block_no) = e.payload->'block_no'"
		" WHERE e.stream = $1 AND e.kind = $2 AND e.event_type = $3"
		" AND e.payload->'block_no' >= pg_catalog.to_jsonb($4)"
		" AND CASE WHEN b.block_no IS NULL THEN e.payload->'block_no' >"
		" pg_catalog.to_jsonb(coalesce((SELECT pg_catalog.max(block_no)"
		" FROM uaef.ledger_block), 0))"
		" ELSE b.block_hash::text"
		" IS DISTINCT FROM e.payload->>'block_hash' END"
		" ORDER BY e.stream_seq",
		4, {UUIDOID, INT2OID, TEXTOID, INT8OID}
	};
	static UaefQuery other_root = {
		"SELECT e.stream, e.stream_seq, e.event_id, b.block_no,"
		" 'the block''s tree_root is not the one that the event tells'"
		" FROM uaef.ledger_event AS e JOIN uaef.ledger_block AS b"
		" ON pg_catalog.to_jsonb(b.block_no) = e.payload->'block_no'"
		" WHERE e.stream = $1 AND e.kind = $2 AND e.event_type = $3"
		" AND b.block_no >= $4 AND b.tree_root::text"
		" IS DISTINCT FROM e.payload->>'tree_root' ORDER BY e.stream_seq",
		4, {UUIDOID, INT2OID, TEXTOID, INT8OID}
	};
	pg_uuid_t	stream;
	Datum		args[4];

	uaef_derive_uuid(uaef_ledger_id(), "seal", 0, &stream);
	args[0] = UUIDPGetDatum(&stream);
	args[1] = Int16GetDatum(UAEF_KIND_ENGINE);
	args[2] = CStringGetTextDatum(UAEF_SEAL_EVENT);
	args[3] = Int64GetDatum(from_block);
	uaef_report_rows(report, "BLOCK_CHAIN_BREAK",
					 uaef_spi_run(&broken, args, NULL));
	uaef_report_rows(report, "ROOT_MISMATCH",
					 uaef_spi_run(&other_root, args, NULL));
}

/*
 * Events that wait for a block: how long, and, if deep, whether they are
 * sound.
 */
static void
check_unsealed(const UaefReport *report, bool deep)
{
	static UaefQuery overdue = {
		"SELECT stream, stream_seq, event_id, NULL::bigint,"
		" 'the event has not been sealed for more than ten minutes'"
		" FROM uaef.ledger_unsealed WHERE event_type <> $1"
		" AND recorded_at < clock_timestamp() - interval '10 minutes'"
		" ORDER BY event_id LIMIT 1",
		1, {TEXTOID}
	};
	static UaefQuery unsealed = {
		"SELECT event_id FROM uaef.ledger_unsealed ORDER BY event_id", 0
	};
	Datum		args[] = {CStringGetTextDatum(UAEF_SEAL_EVENT)};
	int64	   *ids;
	int			n;

	uaef_report_rows(report, "UNSEALED_OVERDUE",
					 uaef_spi_run(&overdue, args, NULL));
	if (!deep)
		return;
	n = (int) uaef_spi_run(&unsealed, NULL, NULL);
	ids = palloc_extended((n + 1) * sizeof(int64), MCXT_ALLOC_HUGE);
	for (int i = 0; i < n; i++)
		ids[i] = uaef_spi_int64(i, 1);
	for (int first = 0; first < n; first += CHUNK)
	{
		int			loaded = load_events(ids + first, Min(CHUNK, n - first));

		for (int row = 0; row < loaded; row++)
			check_loaded(report, row);
		SPI_freetuptable(SPI_tuptable);
	}
}

void
uaef_verify_ledger(const UaefReport *report, int64 from_block,
				   const uint8 *trusted_hash)
{
	bool		full = from_block <= 1;
	UaefCaller	caller = uaef_spi_begin();

	uaef_check_guards(report);
	if (full)
		walk_streams(report);
	walk_blocks(report, Max(from_block, 1), trusted_hash, !full);
	uaef_check_retirements(report);
	uaef_check_incarnations(report);
	check_news(report, Max(from_block, 1));
	check_unsealed(report, !full);
	uaef_spi_end(caller);
}

void
uaef_verify_block(const UaefReport *report, int64 block_no)
{
	UaefCaller	caller = uaef_spi_begin();
	UaefBlock	before;
	UaefBlock	block;
	UaefPlace	place = {.block_no = block_no};
	bool		sound = load_block(block_no, &block);

	if (!sound && block.no == 0)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("block %lld does not exist", (long long) block_no)));
	if (!sound)
		uaef_report_problem(report, "BLOCK_CHAIN_BREAK", &place,
							"the block's row is malformed");
	else
	{
		uaef_block_genesis(&before);
		if (block_no > 1)
			(void) load_block(block_no - 1, &before);
		check_header(report, &before, &block);
		check_leaves(report, &before, &block, true);
	}
	uaef_spi_end(caller);
}

/*
 * Load one event or raise.
 */
static void
load_one_event(int64 event_id)
{
	bool		isnull;

	(void) load_events(&event_id, 1);
	(void) uaef_spi_value(0, LOADED_EVENT_ID, &isnull);
	if (isnull)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("event %lld does not exist", (long long) event_id)));
}

void
uaef_verify_event(const UaefReport *report, int64 event_id)
{
	UaefCaller	caller = uaef_spi_begin();

	load_one_event(event_id);
	check_loaded(report, 0);
	uaef_spi_end(caller);
}

void
uaef_verify_hash_event(int64 event_id, uint8 *hash)
{
	UaefCaller	caller = uaef_spi_begin();
	Datum		values[UAEF_EVENT_COLUMNS];
	bool		nulls[UAEF_EVENT_COLUMNS];

	load_one_event(event_id);
	if (!loaded_event(0, values, nulls) ||
		!uaef_event_hash(uaef_ledger_id(), values, nulls, hash))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("event %lld is incomplete", (long long) event_id)));
	uaef_spi_end(caller);
}
