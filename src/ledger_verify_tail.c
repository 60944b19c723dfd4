/*-------------------------------------------------------------------------
 *
 * ledger_verify_tail.c
 *	  Checking what is new, and some of what is old.
 *
 * New events are found by their numbers, in runs, through the index; the index
 * itself is not trusted: what it does not find is reported as missing.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "catalog/namespace.h"
#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "ledger_verify_internal.h"
#include "spi_util.h"

/* Numbers so near to each other are one run. */
#define RUN_GAP 64

/* Numbers that are looked for, rising. */
typedef struct Numbers
{
	int64	   *ids;
	int64		n;
	int64		allocated;
	int64		next;			/* the first that has not been looked for */
	Relation	index;
} Numbers;

/* An old event that is looked at. */
typedef struct Sample
{
	int64		leaf;
} Sample;

static int	compare_numbers(const void *a, const void *b);
static void add_number(Numbers *numbers, int64 event_id);
static void add_unsealed(VerifyScan *scan);
static void gather(VerifyScan *scan, Numbers *numbers);
static void look_at_row(VerifyScan *scan, HeapTuple tuple);
static void look_at_run(VerifyScan *scan, Numbers *numbers);
static void look_at_numbers(VerifyScan *scan);
static int64 event_of_leaf(VerifyScan *scan, int64 leaf);
static void look_at_sample(VerifyScan *scan);
static void check_old_event(VerifyScan *scan, const Sample *sample,
							int64 event_id, const uint8 *leaf);

static int
compare_numbers(const void *a, const void *b)
{
	int64		l = *(const int64 *) a;
	int64		r = *(const int64 *) b;

	return (l > r) - (l < r);
}

static void
add_number(Numbers *numbers, int64 event_id)
{
	if (numbers->n == numbers->allocated)
	{
		numbers->allocated *= 2;
		numbers->ids = repalloc_huge(numbers->ids,
									 numbers->allocated * sizeof(int64));
	}
	numbers->ids[numbers->n++] = event_id;
}

/*
 * By the snapshot that the blocks are listed by: an event in a block that came
 * since is for that one not sealed, and for a newer one not unsealed.
 */
static void
add_unsealed(VerifyScan *scan)
{
	static UaefQuery query = {
		"SELECT event_id FROM uaef.ledger_unsealed", 0
	};
	Numbers    *numbers = scan->arg;
	uint64		rows = uaef_spi_read(&query, NULL);

	for (uint64 i = 0; i < rows; i++)
		add_number(numbers, uaef_spi_int64(i, 1));
	SPI_freetuptable(SPI_tuptable);
}

static void
gather(VerifyScan *scan, Numbers *numbers)
{
	VerifyPlan *plan = scan->plan;
	const char *problem;
	UaefPlace	place = {0};

	numbers->allocated = 1024;
	numbers->ids = MemoryContextAlloc(scan->context, 1024 * sizeof(int64));
	for (int64 i = 0; i < plan->nids; i++)
	{
		IdPage	   *page = &PLAN_IDS(plan)[i];

		for (int word = 0; word < ID_PAGE_WORDS; word++)
			for (uint64 left = page->sealed[word]; left != 0; left &= left - 1)
				add_number(numbers, (page->no << ID_PAGE_BITS) + word * 64 +
						   pg_rightmost_one_pos64(left));
	}
	scan->arg = numbers;
	problem = uaef_verify_protected(scan, add_unsealed);
	if (problem != NULL)
		uaef_report_problem(scan->report, "HEAP_DAMAGED", &place,
							psprintf("the events that are not sealed cannot be read: %s",
									 problem));
	if (numbers->n > 0)
		qsort(numbers->ids, numbers->n, sizeof(int64), compare_numbers);
}

static void
look_at_row(VerifyScan *scan, HeapTuple tuple)
{
	Datum		values[MaxHeapAttributeNumber];
	bool		nulls[MaxHeapAttributeNumber];
	MemoryContext old_context = MemoryContextSwitchTo(scan->row_context);
	UaefPlace	place = {.ctid = &tuple->t_self};
	const char *problem = uaef_heap_deform(&scan->events, tuple, values,
										   nulls);

	if (problem == NULL)
		uaef_verify_event_row(scan, &tuple->t_self, values, nulls);
	else
		uaef_report_problem(scan->report, "HEAP_DAMAGED", &place,
							psprintf("table \"ledger_event\": %s", problem));
	MemoryContextSwitchTo(old_context);
	MemoryContextReset(scan->row_context);
}

/*
 * Numbers from the next one on that are near to each other.
 */
static void
look_at_run(VerifyScan *scan, Numbers *numbers)
{
	int64		last = numbers->next;
	ScanKeyData keys[2];
	SysScanDesc events;
	HeapTuple	tuple;

	while (last + 1 < numbers->n &&
		   numbers->ids[last + 1] - numbers->ids[last] <= RUN_GAP)
		last++;
	ScanKeyInit(&keys[0], UAEF_EVENT_ID, BTGreaterEqualStrategyNumber,
				F_INT8GE, Int64GetDatum(numbers->ids[numbers->next]));
	ScanKeyInit(&keys[1], UAEF_EVENT_ID, BTLessEqualStrategyNumber, F_INT8LE,
				Int64GetDatum(numbers->ids[last]));
	events = systable_beginscan_ordered(scan->events.rel, numbers->index,
										scan->events.snapshot, 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext_ordered(events,
															 ForwardScanDirection)))
	{
		bool		isnull;
		int64		event_id =
			DatumGetInt64(heap_getattr(tuple, UAEF_EVENT_ID,
									   RelationGetDescr(scan->events.rel),
									   &isnull));

		CHECK_FOR_INTERRUPTS();
		while (numbers->next <= last && numbers->ids[numbers->next] < event_id)
			numbers->next++;
		if (numbers->next <= last && numbers->ids[numbers->next] == event_id)
		{
			numbers->next++;
			look_at_row(scan, tuple);
		}
	}
	systable_endscan_ordered(events);
	numbers->next = last + 1;
}

static void
look_at_numbers(VerifyScan *scan)
{
	Numbers    *numbers = scan->arg;

	while (numbers->next < numbers->n)
		look_at_run(scan, numbers);
}

void
uaef_verify_new_events(VerifyScan *scan)
{
	Numbers		numbers = {0};
	Oid			index = get_relname_relid("ledger_event_event_id",
										  get_namespace_oid("uaef", false));

	/* That it is gone has been reported. */
	if (!OidIsValid(index))
		return;
	gather(scan, &numbers);
	numbers.index = index_open(index, AccessShareLock);
	uaef_verify_chain_begin(scan, (int64) maintenance_work_mem * 1024);
	scan->arg = &numbers;
	while (numbers.next < numbers.n)
	{
		int64		before = numbers.next;
		const char *problem = uaef_verify_protected(scan, look_at_numbers);
		UaefPlace	place = {0};

		if (problem == NULL)
			break;
		numbers.next = Max(numbers.next, before + 1);
		place.event_id = numbers.ids[numbers.next - 1];
		uaef_report_problem(scan->report, "HEAP_DAMAGED", &place,
							psprintf("the event cannot be read: %s", problem));
	}
	uaef_verify_chain_flush(scan);
	uaef_verify_leaf_flush(scan);
	index_close(numbers.index, AccessShareLock);

	/* Those that help with the chunks count from 0, and do not tell the scan. */
	(void) pg_atomic_fetch_add_u64(&scan->plan->events, scan->events_seen);
	scan->events_seen = 0;
}

/* ----------
 * Old events, by chance
 * ----------
 */

/*
 * Whether an event is what its leaf says.
 */
static void
check_old_event(VerifyScan *scan, const Sample *sample, int64 event_id,
				const uint8 *leaf)
{
	static UaefQuery query = {
		"SELECT event_id, stream, stream_seq, tx, recorded_at, kind,"
		" event_type, actor_type, actor_id, session_role, effective_role,"
		" task_id, agent_id, payload, salt, payload_hash, signer, signature,"
		" prev_hash, event_hash FROM uaef.ledger_event WHERE event_id = $1"
		" LIMIT 1",
		1, {INT8OID}
	};
	Datum		args[] = {Int64GetDatum(event_id)};
	UaefPlace	place = {.event_id = event_id,.leaf_no = sample->leaf + 1};
	Datum		values[UAEF_EVENT_COLUMNS];
	bool		nulls[UAEF_EVENT_COLUMNS];
	uint8		computed[UAEF_HASH_LEN];

	if (uaef_spi_read(&query, args) == 0)
	{
		uaef_report_problem(scan->report, "LEAF_MISSING", &place,
							"the event was sealed, but is gone");
		return;
	}
	for (int i = 0; i < UAEF_EVENT_COLUMNS; i++)
		values[i] = uaef_spi_value(0, i + 1, &nulls[i]);
	place = uaef_verify_place(values, nulls, NULL);
	place.leaf_no = sample->leaf + 1;
	if (uaef_verify_event_alone(scan->report, &scan->plan->ledger_id, &place,
								values, nulls, computed) &&
		memcmp(computed, leaf, UAEF_HASH_LEN) != 0 &&
		memcmp(uaef_datum_hash(values[UAEF_EVENT_HASH - 1]), leaf,
			   UAEF_HASH_LEN) != 0)
	{
		place.expected = uaef_hex(leaf, UAEF_HASH_LEN);
		place.actual = uaef_hex(computed, UAEF_HASH_LEN);
		uaef_report_problem(scan->report, "EVENT_HASH_MISMATCH", &place,
							"the event is not the leaf of the tree that was sealed");
	}
	SPI_freetuptable(SPI_tuptable);
}

/*
 * The event of a leaf; NO_EVENT when it is retired, or no block says.
 */
static int64
event_of_leaf(VerifyScan *scan, int64 leaf)
{
	VerifyPlan *plan = scan->plan;
	LeafRange  *retired = PLAN_RETIRED(plan);
	int64		block = uaef_verify_block_of_leaf(plan, leaf);
	BlockRef   *ref = &PLAN_BLOCKS(plan)[block];
	BlockRow	row;

	for (int64 i = 0; i < plan->nretired; i++)
		if (leaf >= retired[i].first && leaf < retired[i].end)
			return NO_EVENT;
	if (block < 0 || leaf < ref->first_leaf ||
		!uaef_verify_read_block(&scan->blocks, &ref->tid, true, &row) ||
		leaf - ref->first_leaf >= row.nids)
		return NO_EVENT;
	return row.block.event_ids[leaf - ref->first_leaf];
}

/*
 * One old leaf: its tile gives the root that is known of it, and its event is
 * what it says.  That the roots of tiles give those of the blocks, is checked
 * for all of them.
 */
static void
look_at_sample(VerifyScan *scan)
{
	Sample	   *sample = scan->arg;
	MemoryContext old_context = MemoryContextSwitchTo(scan->row_context);
	int64		tile = sample->leaf / UAEF_TILE_WIDTH;
	const uint8 *hashes = uaef_verify_tile_hashes(scan, tile);
	UaefPlace	place = {.leaf_no = sample->leaf + 1};
	uint8		root[UAEF_HASH_LEN];
	int64		event_id = event_of_leaf(scan, sample->leaf);

	if (hashes == NULL)
		uaef_report_problem(scan->report, "TILE_MISMATCH", &place,
							"the tile of the leaf is not there, or has not 256 nodes");
	else
	{
		uaef_merkle_perfect(hashes, UAEF_TILE_WIDTH, root);
		if (memcmp(root, PLAN_TILES(scan->plan)[tile].stored,
				   UAEF_HASH_LEN) != 0)
			uaef_report_problem(scan->report, "TILE_MISMATCH", &place,
								"the nodes of the leaf's tile do not give its root");
		if (event_id != NO_EVENT)
			check_old_event(scan, sample, event_id,
							hashes + sample->leaf % UAEF_TILE_WIDTH * UAEF_HASH_LEN);
	}
	MemoryContextSwitchTo(old_context);
	MemoryContextReset(scan->row_context);
}

int64
uaef_verify_sample(VerifyScan *scan, int n)
{
	VerifyPlan *plan = scan->plan;
	Sample		sample = {0};
	bool		all;

	if (plan->first_leaf == 0)
		return 0;
	/* Instead of as many by chance as there are, all are looked at once. */
	all = n >= plan->first_leaf;
	if (all)
		n = (int) plan->first_leaf;
	scan->arg = &sample;
	for (int i = 0; i < n; i++)
	{
		const char *problem;
		UaefPlace	place = {0};
		uint64		random;

		CHECK_FOR_INTERRUPTS();
		if (!pg_strong_random(&random, sizeof(random)))
			break;
		sample.leaf = all ? i : (int64) (random % (uint64) plan->first_leaf);
		problem = uaef_verify_protected(scan, look_at_sample);
		if (problem == NULL)
			continue;
		MemoryContextReset(scan->row_context);
		place.leaf_no = sample.leaf + 1;
		uaef_report_problem(scan->report, "TILE_MISMATCH", &place,
							psprintf("the leaf cannot be read: %s", problem));
	}
	scan->arg = NULL;
	return n;
}
