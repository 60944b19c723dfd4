/*-------------------------------------------------------------------------
 *
 * ledger_verify_one.c
 *	  Looking at one event, or at one block with its events.
 *
 * They are read by SQL, each with the one before it in its stream.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type_d.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "ledger.h"
#include "ledger_retire.h"
#include "ledger_verify.h"
#include "ledger_verify_internal.h"
#include "spi_util.h"

/* Events of a block that are looked at together. */
#define CHUNK 1000

/* Columns of a loaded event. */
#define LOADED_EVENT_ID		1
#define LOADED_PREV_HASH	2
#define LOADED_PREV_TIME	3
#define LOADED_PREV_ID		4
#define LOADED_EVENT		5

static bool load_block(int64 block_no, UaefBlock *block);
static void check_leaves(const UaefReport *report, const UaefBlock *before,
						 const UaefBlock *block);
static bool check_chunk(const UaefReport *report, const UaefBlock *block,
						int64 first, int n, UaefFrontier *frontier);
static int	load_events(const int64 *event_ids, int n);
static Datum id_array(const int64 *event_ids, int n);
static bool loaded_event(int row, Datum *values, bool *nulls);
static void retired_before(const pg_uuid_t *stream, Link *previous);
static bool check_loaded(const UaefReport *report, int row);
static void check_root(const UaefReport *report, const UaefBlock *block,
					   const UaefFrontier *frontier);
static void load_one_event(int64 event_id);
static void begin_reading(void);

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
	if (uaef_spi_read(&query, args) > 0)
		sound = uaef_block_read(SPI_tuptable->vals[0], SPI_tuptable->tupdesc,
								block);
	SPI_freetuptable(SPI_tuptable);
	return sound;
}

/*
 * The events that a block lists are there, in order, and make up its root.
 */
static void
check_leaves(const UaefReport *report, const UaefBlock *before,
			 const UaefBlock *block)
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
								Min(CHUNK, block->leaf_count - first),
								frontier);
	if (complete)
		check_root(report, block, frontier);
}

/*
 * Some of a block's events; returns whether all of them are there.
 */
static bool
check_chunk(const UaefReport *report, const UaefBlock *block, int64 first,
			int n, UaefFrontier *frontier)
{
	bool		complete = true;
	UaefRetired retired;

	uaef_retired_read(&retired);
	(void) load_events(block->event_ids + first, n);
	for (int row = 0; row < n; row++)
	{
		int64		leaf_index = block->first_leaf + first + row;
		UaefPlace	place = {
			.block_no = block->no,
			.event_id = block->event_ids[first + row],
			.leaf_no = leaf_index + 1
		};
		Datum		values[UAEF_EVENT_COLUMNS];
		bool		nulls[UAEF_EVENT_COLUMNS];
		uint8		leaf[UAEF_HASH_LEN];

		if (loaded_event(row, values, nulls))
		{
			if (check_loaded(report, row))
				uaef_frontier_append(frontier,
									 uaef_datum_hash(values[UAEF_EVENT_HASH - 1]));
			else
				complete = false;
		}
		else if (uaef_retired_has(&retired, leaf_index))
		{
			uaef_tree_leaf(leaf_index, leaf);
			uaef_frontier_append(frontier, leaf);
		}
		else
		{
			uaef_report_problem(report, "LEAF_MISSING", &place,
								"the event was sealed, but is gone");
			complete = false;
		}
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
		"SELECT e.event_id, p.event_hash, p.recorded_at, p.event_id,"
		" e.event_id, e.stream, e.stream_seq, e.tx, e.recorded_at, e.kind,"
		" e.event_type, e.actor_type, e.actor_id, e.session_role,"
		" e.effective_role, e.task_id, e.agent_id, e.payload, e.salt,"
		" e.payload_hash, e.signer, e.signature, e.prev_hash, e.event_hash"
		" FROM unnest($1) WITH ORDINALITY AS i (event_id, n)"
		" LEFT JOIN LATERAL (SELECT * FROM uaef.ledger_event"
		" WHERE event_id = i.event_id LIMIT 1) AS e ON true"
		" LEFT JOIN LATERAL (SELECT event_hash, recorded_at, event_id"
		" FROM uaef.ledger_event WHERE stream = e.stream"
		" AND stream_seq = e.stream_seq - 1 AND event_hash IS NOT NULL"
		" AND recorded_at IS NOT NULL AND event_id IS NOT NULL"
		" LIMIT 1) AS p ON true"
		" ORDER BY i.n",
		1, {INT8ARRAYOID}
	};
	Datum		args[] = {id_array(event_ids, n)};

	return (int) uaef_spi_read(&query, args);
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
 * The last retired event of a stream, if the tree has it.
 */
static void
retired_before(const pg_uuid_t *stream, Link *previous)
{
	SPITupleTable *loaded = SPI_tuptable;
	UaefRetired retired;
	UaefRetiredHead head;
	bool		found;

	uaef_retired_read(&retired);
	found = uaef_retired_head(stream, &retired, &head);
	SPI_tuptable = loaded;
	if (!found)
		return;
	previous->seq = head.stream_seq;
	previous->event_id = head.event_id;
	previous->recorded_at = head.recorded_at;
	memcpy(previous->stored, head.hash, UAEF_HASH_LEN);
	memcpy(previous->computed, head.hash, UAEF_HASH_LEN);
}

/*
 * All that can be said of a loaded event; false when it lacks what every event
 * has.
 */
static bool
check_loaded(const UaefReport *report, int row)
{
	const pg_uuid_t *ledger_id = uaef_ledger_id();
	Datum		values[UAEF_EVENT_COLUMNS];
	bool		nulls[UAEF_EVENT_COLUMNS];
	UaefPlace	place;
	Link		previous = {0};
	Piece		event = {.first_seq = 0};
	uint8		computed[UAEF_HASH_LEN];
	bool		isnull;
	Datum		prev_hash = uaef_spi_value(row, LOADED_PREV_HASH, &isnull);

	(void) loaded_event(row, values, nulls);
	place = uaef_verify_place(values, nulls, NULL);
	if (!uaef_verify_event_alone(report, ledger_id, &place, values, nulls,
								 computed))
		return false;
	event.stream = *place.stream;
	event.first_seq = place.stream_seq;
	event.first_event_id = place.event_id;
	event.first_recorded_at =
		DatumGetTimestampTz(values[UAEF_EVENT_RECORDED_AT - 1]);
	memcpy(event.first_prev_hash,
		   uaef_datum_hash(values[UAEF_EVENT_PREV_HASH - 1]), UAEF_HASH_LEN);
	if (!isnull)
	{
		memcpy(previous.stored, uaef_datum_hash(prev_hash), UAEF_HASH_LEN);
		memcpy(previous.computed, previous.stored, UAEF_HASH_LEN);
		previous.seq = place.stream_seq - 1;
		previous.event_id = uaef_spi_int64(row, LOADED_PREV_ID);
		previous.recorded_at =
			DatumGetTimestampTz(uaef_spi_value(row, LOADED_PREV_TIME, &isnull));
	}
	else if (place.stream_seq > 1)
		retired_before(place.stream, &previous);
	if (place.stream_seq == previous.seq + 1)
		uaef_verify_link(report, ledger_id,
						 place.stream_seq == 1 ? NULL : &previous, &event);
	else
		uaef_report_problem(report, "SEQ_GAP", &place,
							psprintf("event %lld of the stream is missing",
									 (long long) place.stream_seq - 1));
	return true;
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

/*
 * One snapshot for all that is read, of what was written until now: events may
 * be retired meanwhile.
 */
static void
begin_reading(void)
{
	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
}

void
uaef_verify_block(const UaefReport *report, int64 block_no)
{
	UaefCaller	caller = uaef_spi_begin();
	UaefBlock	before;
	UaefBlock	block;
	UaefPlace	place = {.block_no = block_no};
	bool		sound;

	begin_reading();
	sound = load_block(block_no, &block);
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
		uaef_verify_header(report, &before, &block);
		check_leaves(report, &before, &block);
	}
	PopActiveSnapshot();
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

	begin_reading();
	load_one_event(event_id);
	(void) check_loaded(report, 0);
	PopActiveSnapshot();
	uaef_spi_end(caller);
}

void
uaef_verify_hash_event(int64 event_id, uint8 *hash)
{
	UaefCaller	caller = uaef_spi_begin();
	Datum		values[UAEF_EVENT_COLUMNS];
	bool		nulls[UAEF_EVENT_COLUMNS];

	begin_reading();
	load_one_event(event_id);
	if (!loaded_event(0, values, nulls) ||
		!uaef_event_hash(uaef_ledger_id(), values, nulls, hash))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("event %lld is incomplete", (long long) event_id)));
	PopActiveSnapshot();
	uaef_spi_end(caller);
}
