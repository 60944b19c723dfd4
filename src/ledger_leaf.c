/*-------------------------------------------------------------------------
 *
 * ledger_leaf.c
 *	  Which event is which leaf of the tree.
 *
 * A block lists its events in the order of its leaves, which is that of their
 * numbers.  Blocks may have hundreds of thousands; their lists are stored
 * uncompressed and out of line, so that we read only the parts we need.
 *
 * An event is looked for in the blocks whose bounds it is in: one, or a few
 * more where long transactions made bounds overlap.
 *
 * What is read is what the active snapshot sees.
 *
 * Locking: none but AccessShareLock.  Memory: the caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type_d.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/fmgroids.h"
#include "utils/rangetypes.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "errcodes.h"
#include "ledger_block.h"
#include "ledger_leaf.h"
#include "spi_util.h"
#include "table_scan.h"

/* How many ids are read at once where one is looked for. */
#define WINDOW 256

/* Where an event's id stands among those that are wanted. */
typedef struct Wanted
{
	int64		event_id;
	int64		place;
} Wanted;

static void read_ids(Datum list, int64 from, int64 n, int64 *ids);
static int64 find_id(UaefScan *block, int64 event_id);
static int	compare_wanted(const void *a, const void *b);
static Datum sorted_ids(const int64 *event_ids, int64 n, Wanted *wanted);

/*
 * n ids of a block's list, which is an array of one dimension without nulls.
 */
static void
read_ids(Datum list, int64 from, int64 n, int64 *ids)
{
	size_t		start = ARR_OVERHEAD_NONULLS(1) - VARHDRSZ;
	size_t		len = n * sizeof(int64);
	struct varlena *part = PG_DETOAST_DATUM_SLICE(list,
												  start + from * sizeof(int64),
												  len);

	if (VARSIZE_ANY_EXHDR(part) != len)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_LEDGER_MISMATCH),
				 errmsg("a block lists fewer events than it has"),
				 errhint("See uaef.verify_ledger().")));
	memcpy(ids, VARDATA_ANY(part), len);
	if ((void *) part != DatumGetPointer(list))
		pfree(part);
}

/*
 * The place of an event in the list of the block that is stood on; -1 when it
 * is not there.
 *
 * Ids are nearly without gaps, so the first window mostly has it; every other
 * step halves what is left, for lists where such guesses are bad.
 */
static int64
find_id(UaefScan *block, int64 event_id)
{
	Datum		list = uaef_scan_value(block, UAEF_BLOCK_EVENT_IDS);
	double		low = DatumGetInt64(uaef_scan_value(block,
													UAEF_BLOCK_FIRST_EVENT_ID));
	double		high = DatumGetInt64(uaef_scan_value(block,
													 UAEF_BLOCK_LAST_EVENT_ID));
	int64		from = 0;
	int64		to = DatumGetInt64(uaef_scan_value(block,
												   UAEF_BLOCK_LEAF_COUNT));
	int64		ids[WINDOW];
	bool		guess = true;

	while (from < to && event_id >= low && event_id <= high)
	{
		double		share = guess ? (event_id - low) / (high - low + 1) : 0.5;
		int64		n = Min(WINDOW, to - from);
		int64		begin = from + (int64) (share * (to - from)) - n / 2;
		const int64 *found;

		begin = Min(Max(begin, from), to - n);
		read_ids(list, begin, n, ids);
		found = uaef_block_find(ids, n, event_id);
		if (found != NULL)
			return begin + (found - ids);
		if (event_id < ids[0])
		{
			to = begin;
			high = ids[0];
		}
		else if (event_id > ids[n - 1])
		{
			from = begin + n;
			low = ids[n - 1];
		}
		else
			break;
		guess = !guess;
	}

	return -1;
}

/*
 * The index has the bounds of the blocks, as ranges.
 */
int64
uaef_leaf_of_event(int64 event_id, int64 *block_no)
{
	ScanKeyData key;
	UaefScan	scan;
	int64		leaf = -1;

	ScanKeyEntryInitialize(&key, 0, 1, RANGESTRAT_CONTAINS_ELEM, INT8OID,
						   InvalidOid, F_RANGE_CONTAINS_ELEM,
						   Int64GetDatum(event_id));
	uaef_scan_begin(&scan, "ledger_block", "ledger_block_event_ids",
					GetActiveSnapshot(), 1, &key);
	while (leaf < 0 && uaef_scan_next(&scan, ForwardScanDirection))
	{
		int64		place = find_id(&scan, event_id);

		if (place < 0)
			continue;
		leaf = place + DatumGetInt64(uaef_scan_value(&scan,
													 UAEF_BLOCK_FIRST_LEAF));
		if (block_no != NULL)
			*block_no = DatumGetInt64(uaef_scan_value(&scan, UAEF_BLOCK_NO));
	}
	uaef_scan_end(&scan);

	return leaf;
}

/*
 * Blocks from the last one that has any of the leaves backwards.
 */
void
uaef_tree_event_ids(int64 first, int64 n, int64 *event_ids)
{
	ScanKeyData key;
	UaefScan	scan;
	int64		missing = n;	/* those before it in the array */

	ScanKeyInit(&key, 1, BTLessStrategyNumber, F_INT8LT,
				Int64GetDatum(first + n));
	uaef_scan_begin(&scan, "ledger_block", "ledger_block_first_leaf",
					GetActiveSnapshot(), 1, &key);
	while (missing > 0 && uaef_scan_next(&scan, BackwardScanDirection))
	{
		int64		first_leaf =
			DatumGetInt64(uaef_scan_value(&scan, UAEF_BLOCK_FIRST_LEAF));
		int64		count =
			DatumGetInt64(uaef_scan_value(&scan, UAEF_BLOCK_LEAF_COUNT));
		int64		from = Max(first_leaf, first);

		if (first_leaf + count < first + missing)
			break;
		read_ids(uaef_scan_value(&scan, UAEF_BLOCK_EVENT_IDS),
				 from - first_leaf, first + missing - from,
				 event_ids + (from - first));
		missing = from - first;
	}
	uaef_scan_end(&scan);
	if (missing > 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_LEDGER_MISMATCH),
				 errmsg("leaf %lld of the tree is in no block",
						(long long) (first + missing - 1)),
				 errhint("See uaef.verify_ledger().")));
}

static int
compare_wanted(const void *a, const void *b)
{
	int64		l = ((const Wanted *) a)->event_id;
	int64		r = ((const Wanted *) b)->event_id;

	return (l > r) - (l < r);
}

/*
 * Ids as an array that an index can be searched for, and where they stood.
 */
static Datum
sorted_ids(const int64 *event_ids, int64 n, Wanted *wanted)
{
	Datum	   *ids = palloc(n * sizeof(Datum));
	Datum		array;

	for (int64 i = 0; i < n; i++)
	{
		wanted[i].event_id = event_ids[i];
		wanted[i].place = i;
	}
	qsort(wanted, n, sizeof(Wanted), compare_wanted);
	for (int64 i = 0; i < n; i++)
		ids[i] = Int64GetDatum(wanted[i].event_id);
	array = uaef_array(ids, NULL, n, INT8OID);
	pfree(ids);

	return array;
}

int64
uaef_read_events(const int64 *event_ids, int64 n, UaefEventReader read,
				 void *arg)
{
	Wanted	   *wanted = palloc(n * sizeof(Wanted));
	Datum		array = sorted_ids(event_ids, n, wanted);
	int64		found = 0;
	ScanKeyData key;
	UaefScan	scan;

	ScanKeyEntryInitialize(&key, SK_SEARCHARRAY, 1, BTEqualStrategyNumber,
						   INT8OID, InvalidOid, F_INT8EQ, array);
	uaef_scan_begin(&scan, "ledger_event", "ledger_event_event_id",
					GetActiveSnapshot(), 1, &key);
	while (uaef_scan_next(&scan, ForwardScanDirection))
	{
		Wanted		here = {DatumGetInt64(uaef_scan_value(&scan, UAEF_EVENT_ID))};
		const Wanted *place = bsearch(&here, wanted, n, sizeof(Wanted),
									  compare_wanted);

		slot_getallattrs(scan.slot);
		read(arg, place->place, scan.slot->tts_values, scan.slot->tts_isnull);
		found++;
	}
	uaef_scan_end(&scan);
	pfree(DatumGetPointer(array));
	pfree(wanted);

	return found;
}
