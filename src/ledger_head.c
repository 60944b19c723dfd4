/*-------------------------------------------------------------------------
 *
 * ledger_head.c
 *	  The last event of a stream, as the table has it.
 *
 * The index gives a stream's events backwards, but a backward scan looks at
 * every entry of the leaf page that it begins on, hundreds where a stream is
 * long.  So a backend remembers how far the long streams had come, and asks for
 * what came since.  That is a hint only: where nothing came since (the event was
 * rolled back, or retired), the whole stream is asked.
 *
 * Locking: the caller holds the stream, so its end stays where it is.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "common/hashfn.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "event_hash.h"
#include "ledger_head.h"

/* Streams that are remembered, and from which length on. */
#define N_HINTS		1024
#define MIN_LENGTH	8

typedef struct Hint
{
	pg_uuid_t	stream;
	int64		seq;			/* 0: none */
} Hint;

static Hint hints[N_HINTS];

static Hint *
hint_of(const pg_uuid_t *stream)
{
	return &hints[hash_bytes(stream->data, UUID_LEN) % N_HINTS];
}

static void
read_row(Relation rel, HeapTuple tuple, UaefStreamEnd *end)
{
	Datum		values[UAEF_EVENT_COLUMNS];
	bool		nulls[UAEF_EVENT_COLUMNS];

	heap_deform_tuple(tuple, RelationGetDescr(rel), values, nulls);
	memcpy(end->hash, uaef_datum_hash(values[UAEF_EVENT_HASH - 1]),
		   UAEF_HASH_LEN);
	end->seq = DatumGetInt64(values[UAEF_EVENT_STREAM_SEQ - 1]);
	end->recorded_at =
		DatumGetTimestampTz(values[UAEF_EVENT_RECORDED_AT - 1]);
}

/*
 * Read the last event among those from this number on; false when there is
 * none.
 */
static bool
read_from(Relation rel, Relation index, const pg_uuid_t *stream, int64 seq,
		  UaefStreamEnd *end)
{
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], UAEF_EVENT_STREAM, BTEqualStrategyNumber, F_UUID_EQ,
				UUIDPGetDatum(stream));
	ScanKeyInit(&keys[1], UAEF_EVENT_STREAM_SEQ,
				BTGreaterEqualStrategyNumber, F_INT8GE, Int64GetDatum(seq));
	scan = systable_beginscan_ordered(rel, index, SnapshotSelf,
									  seq > 0 ? 2 : 1, keys);
	tuple = systable_getnext_ordered(scan, BackwardScanDirection);
	if (HeapTupleIsValid(tuple))
		read_row(rel, tuple, end);
	systable_endscan_ordered(scan);
	return HeapTupleIsValid(tuple);
}

void
uaef_ledger_read_end(Relation rel, Relation open_index,
					 const pg_uuid_t *stream, UaefStreamEnd *end)
{
	Hint	   *hint = hint_of(stream);
	bool		hinted = hint->seq > 0 &&
		memcmp(&hint->stream, stream, UUID_LEN) == 0;
	Relation	index = open_index;

	end->seq = 0;
	if (open_index == NULL)
	{
		if (!rel->rd_indexvalid)
			list_free(RelationGetIndexList(rel));
		index = index_open(rel->rd_pkindex, AccessShareLock);
	}
	if (!(hinted && read_from(rel, index, stream, hint->seq, end)))
		(void) read_from(rel, index, stream, 0, end);
	if (open_index == NULL)
		index_close(index, AccessShareLock);

	if (end->seq >= MIN_LENGTH)
	{
		hint->stream = *stream;
		hint->seq = end->seq;
	}
}
