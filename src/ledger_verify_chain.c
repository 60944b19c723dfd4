/*-------------------------------------------------------------------------
 *
 * ledger_verify_chain.c
 *	  Whether the events of each stream follow each other.
 *
 * Events come in the order of the table, which is nearly that of their
 * streams.  A process keeps for each stream the piece that it is in; an event
 * that does not continue it ends it.  In the end the pieces are sorted, and
 * must join.  So the memory that is needed grows with the streams, not with
 * the events, and pieces are given away when there are too many.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_operator_d.h"
#include "catalog/pg_type_d.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "ledger_verify_internal.h"
#include "spi_util.h"

/* A stream and its piece that still grows. */
struct Growing
{
	pg_uuid_t	stream;			/* hash key */
	Piece		piece;
};

/* Columns of what is sorted. */
enum
{
	SORT_STREAM = 1,
	SORT_SEQ,
	SORT_EVENT_ID,
	SORT_PIECE
};
#define SORT_COLUMNS SORT_PIECE

static UaefPlace place_of_piece(const Piece *piece);
static TupleDesc sort_desc(void);
static bool read_before(const Piece *piece, Link *before);
static bool read_retired(VerifyScan *scan, const pg_uuid_t *stream,
						 Link *before);
static void find_before(VerifyScan *scan, const Piece *piece, bool whole,
						Link *before);
static void join(const UaefReport *report, const pg_uuid_t *ledger_id,
				 const Link *before, const Piece *piece);
static void report_fork(const UaefReport *report, const Link *before,
						const Piece *piece);

static UaefPlace
place_of_piece(const Piece *piece)
{
	UaefPlace	place = {
		.stream = &piece->stream,
		.stream_seq = piece->first_seq,
		.event_id = piece->first_event_id,
		.ctid = &piece->first_tid
	};

	return place;
}

/*
 * The hash that the earlier event has stored may have been changed alone; what
 * it hashes to will do then.
 */
void
uaef_verify_link(const UaefReport *report, const pg_uuid_t *ledger_id,
				 const Link *previous, const Piece *event)
{
	UaefPlace	place = place_of_piece(event);
	UaefPlace	where = place;
	uint8		genesis[UAEF_HASH_LEN];

	where.actual = NULL;
	if (previous == NULL)
	{
		uaef_genesis_hash(ledger_id, &event->stream, genesis);
		if (memcmp(event->first_prev_hash, genesis, UAEF_HASH_LEN) == 0)
			return;
		where.expected = uaef_hex(genesis, UAEF_HASH_LEN);
		where.actual = uaef_hex(event->first_prev_hash, UAEF_HASH_LEN);
		uaef_report_problem(report, "CHAIN_BREAK", &where,
							"the first event of the stream does not follow its genesis");
		return;
	}
	if (memcmp(event->first_prev_hash, previous->stored, UAEF_HASH_LEN) != 0 &&
		memcmp(event->first_prev_hash, previous->computed, UAEF_HASH_LEN) != 0)
	{
		where.expected = uaef_hex(previous->stored, UAEF_HASH_LEN);
		where.actual = uaef_hex(event->first_prev_hash, UAEF_HASH_LEN);
		uaef_report_problem(report, "CHAIN_BREAK", &where,
							"prev_hash is not the hash of the event before it");
	}
	if (event->first_recorded_at < previous->recorded_at)
	{
		place.expected = pstrdup(timestamptz_to_str(previous->recorded_at));
		place.actual = pstrdup(timestamptz_to_str(event->first_recorded_at));
		uaef_report_problem(report, "TIME_REVERSED", &place,
							"recorded_at is before that of the event before it");
		place.expected = place.actual = NULL;
	}
	if (previous->event_id != 0 && event->first_event_id <= previous->event_id)
		uaef_report_problem(report, "ORDER_CHANGED", &place,
							"event_id is not above that of the event before it");
}

/* ----------
 * While events come
 * ----------
 */

void
uaef_verify_chain_begin(VerifyScan *scan, int64 memory)
{
	HASHCTL		control;

	control.keysize = sizeof(pg_uuid_t);
	control.entrysize = sizeof(Growing);
	control.hcxt = scan->context;
	scan->pieces = hash_create("uaef verify streams", 256, &control,
							   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	scan->max_pieces = Max(1000, memory / (int64) (2 * sizeof(Growing)));
}

void
uaef_verify_chain_add(VerifyScan *scan, const Piece *event)
{
	bool		found;
	Growing    *growing;

	if (hash_get_num_entries(scan->pieces) >= scan->max_pieces)
	{
		uaef_verify_chain_flush(scan);
		uaef_verify_chain_begin(scan, scan->max_pieces * 2 *
								(int64) sizeof(Growing));
	}
	growing = scan->growing;
	found = growing != NULL &&
		memcmp(&growing->stream, &event->stream, UUID_LEN) == 0;
	if (!found)
		growing = hash_search(scan->pieces, &event->stream, HASH_ENTER, &found);
	scan->growing = growing;
	if (event->first_seq == 1)
		uaef_verify_link(scan->report, &scan->plan->ledger_id, NULL, event);
	if (found && event->first_seq == growing->piece.last.seq + 1)
	{
		int64		event_id = growing->piece.last.event_id;

		uaef_verify_link(scan->report, &scan->plan->ledger_id,
						 &growing->piece.last, event);
		growing->piece.last = event->last;
		if (event->last.event_id == 0)
			growing->piece.last.event_id = event_id;
		return;
	}
	if (found)
		scan->put_record(scan, &growing->piece.record);
	growing->piece = *event;
}

/*
 * Give all pieces away; the next event needs another uaef_verify_chain_begin().
 */
void
uaef_verify_chain_flush(VerifyScan *scan)
{
	HASH_SEQ_STATUS status;
	Growing    *growing;

	if (scan->pieces == NULL)
		return;
	hash_seq_init(&status, scan->pieces);
	while ((growing = hash_seq_search(&status)) != NULL)
		scan->put_record(scan, &growing->piece.record);
	hash_destroy(scan->pieces);
	scan->pieces = NULL;
	scan->growing = NULL;
}

/* ----------
 * In the end
 * ----------
 */

static TupleDesc
sort_desc(void)
{
	TupleDesc	desc = CreateTemplateTupleDesc(SORT_COLUMNS);

	TupleDescInitEntry(desc, SORT_STREAM, NULL, UUIDOID, -1, 0);
	TupleDescInitEntry(desc, SORT_SEQ, NULL, INT8OID, -1, 0);
	TupleDescInitEntry(desc, SORT_EVENT_ID, NULL, INT8OID, -1, 0);
	TupleDescInitEntry(desc, SORT_PIECE, NULL, BYTEAOID, -1, 0);
	return desc;
}

void
uaef_verify_chain_sort(PieceSort *sort)
{
	AttrNumber	columns[] = {SORT_STREAM, SORT_SEQ, SORT_EVENT_ID};
	Oid			less[] = {InvalidOid, Int8LessOperator, Int8LessOperator};
	Oid			collations[] = {InvalidOid, InvalidOid, InvalidOid};
	bool		nulls_first[] = {false, false, false};

	less[0] = lookup_type_cache(UUIDOID, TYPECACHE_LT_OPR)->lt_opr;
	sort->sort = tuplesort_begin_heap(sort_desc(), lengthof(columns), columns,
									  less, collations, nulls_first,
									  maintenance_work_mem, NULL, 0);
	sort->slot = MakeSingleTupleTableSlot(sort_desc(), &TTSOpsVirtual);
}

void
uaef_verify_chain_put(PieceSort *sort, const Piece *piece)
{
	TupleTableSlot *slot = sort->slot;
	bytea	   *bytes =
		(bytea *) DatumGetPointer(uaef_bytea(piece, sizeof(Piece)));

	ExecClearTuple(slot);
	slot->tts_values[SORT_STREAM - 1] = UUIDPGetDatum(&piece->stream);
	slot->tts_values[SORT_SEQ - 1] = Int64GetDatum(piece->first_seq);
	slot->tts_values[SORT_EVENT_ID - 1] =
		Int64GetDatum(piece->first_event_id);
	slot->tts_values[SORT_PIECE - 1] = PointerGetDatum(bytes);
	memset(slot->tts_isnull, 0, SORT_COLUMNS * sizeof(bool));
	ExecStoreVirtualTuple(slot);
	tuplesort_puttupleslot(sort->sort, slot);
	pfree(bytes);
}

/*
 * The event before a piece, which a check of the newest events did not come
 * by; false when there is none.
 */
static bool
read_before(const Piece *piece, Link *before)
{
	static UaefQuery query = {
		"SELECT event_hash::pg_catalog.bytea, recorded_at, event_id"
		" FROM uaef.ledger_event WHERE stream = $1 AND stream_seq = $2"
		" AND event_hash IS NOT NULL AND recorded_at IS NOT NULL"
		" AND event_id IS NOT NULL LIMIT 1",
		2, {UUIDOID, INT8OID}
	};
	Datum		args[] = {
		UUIDPGetDatum(&piece->stream),
		Int64GetDatum(piece->first_seq - 1)
	};
	bool		isnull;
	const uint8 *hash;

	memset(before, 0, sizeof(Link));
	if (piece->first_seq <= 1 || uaef_spi_read(&query, args) == 0)
		return false;
	hash = uaef_fixed_bytes(uaef_spi_value(0, 1, &isnull), UAEF_HASH_LEN);
	memcpy(before->stored, hash, UAEF_HASH_LEN);
	memcpy(before->computed, hash, UAEF_HASH_LEN);
	before->seq = piece->first_seq - 1;
	before->recorded_at = DatumGetTimestampTz(uaef_spi_value(0, 2, &isnull));
	before->event_id = uaef_spi_int64(0, 3);
	SPI_freetuptable(SPI_tuptable);
	return true;
}

/*
 * The last retired event of a stream, if the tree has it; else false.
 */
static bool
read_retired(VerifyScan *scan, const pg_uuid_t *stream, Link *before)
{
	UaefRetiredHead head;

	if (!uaef_retired_head(stream, scan->retired, &head) ||
		head.leaf >= scan->plan->tree_size)
		return false;
	before->seq = head.stream_seq;
	before->event_id = head.event_id;
	before->recorded_at = head.recorded_at;
	memcpy(before->stored, head.hash, UAEF_HASH_LEN);
	memcpy(before->computed, head.hash, UAEF_HASH_LEN);
	return true;
}

/*
 * What the first piece of a stream must follow.
 */
static void
find_before(VerifyScan *scan, const Piece *piece, bool whole, Link *before)
{
	memset(before, 0, sizeof(Link));
	if (piece->first_seq <= 1 || (!whole && read_before(piece, before)) ||
		read_retired(scan, &piece->stream, before))
		return;
	if (!whole)
		before->seq = piece->first_seq - 2;
}

static void
report_fork(const UaefReport *report, const Link *before, const Piece *piece)
{
	UaefPlace	place = place_of_piece(piece);
	int64		last = Min(before->seq, piece->last.seq);

	for (int64 seq = Max(piece->first_seq, 1); seq <= last; seq++)
	{
		CHECK_FOR_INTERRUPTS();
		place.stream_seq = seq;
		uaef_report_problem(report, "SEQ_FORK", &place,
							"stream_seq occurs more than once");
		place.event_id = 0;
		place.ctid = NULL;
	}
	if (piece->first_seq < 1)
		uaef_report_problem(report, "SEQ_FORK", &place,
							"stream_seq is below 1");
}

/*
 * Whether a piece begins where the one before it, or the stream, does.
 */
static void
join(const UaefReport *report, const pg_uuid_t *ledger_id, const Link *before,
	 const Piece *piece)
{
	UaefPlace	place = place_of_piece(piece);
	int64		expected = before->seq + 1;

	if (piece->first_seq == expected)
	{
		/* The beginning of a stream has been looked at by whoever found it. */
		if (expected > 1)
			uaef_verify_link(report, ledger_id, before, piece);
	}
	else if (piece->first_seq < expected)
		report_fork(report, before, piece);
	else if (piece->first_seq == expected + 1)
		uaef_report_problem(report, "SEQ_GAP", &place,
							psprintf("event %lld of the stream is missing",
									 (long long) expected));
	else
		uaef_report_problem(report, "SEQ_GAP", &place,
							psprintf("events %lld to %lld of the stream are missing",
									 (long long) expected,
									 (long long) piece->first_seq - 1));
}

void
uaef_verify_chain_join(VerifyScan *scan, PieceSort *sort, bool whole)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(sort_desc(),
													&TTSOpsMinimalTuple);
	pg_uuid_t	stream = {{0}};
	Link		before = {0};
	bool		begun = false;

	tuplesort_performsort(sort->sort);
	while (tuplesort_gettupleslot(sort->sort, true, false, slot, NULL))
	{
		bool		isnull;
		Piece		piece;
		bytea	   *bytes = DatumGetByteaPP(slot_getattr(slot, SORT_PIECE,
														 &isnull));

		CHECK_FOR_INTERRUPTS();
		memcpy(&piece, VARDATA_ANY(bytes), sizeof(Piece));
		if (!begun || memcmp(&stream, &piece.stream, UUID_LEN) != 0)
		{
			stream = piece.stream;
			find_before(scan, &piece, whole, &before);
		}
		begun = true;
		join(scan->report, &scan->plan->ledger_id, &before, &piece);
		if (piece.last.seq >= before.seq)
		{
			int64		event_id = before.event_id;

			before = piece.last;
			if (before.event_id == 0)
				before.event_id = event_id;
		}
	}
	ExecDropSingleTupleTableSlot(slot);
	ExecDropSingleTupleTableSlot(sort->slot);
	tuplesort_end(sort->sort);
}
