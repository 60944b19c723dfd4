/*-------------------------------------------------------------------------
 *
 * ledger_verify_leaf.c
 *	  Whether the sealed events are there, and are the leaves of the tree.
 *
 * Events come in the order of their table, leaves in the order of the tree.
 * Neither is looked up in the other: of both a keyed function of (event_id,
 * hash) is summed up, per page of event_ids, with a key that is drawn for each
 * run.  Where sums differ, and only there, events are looked up one by one.
 * Whoever does not know the key cannot make a difference that adds up to zero,
 * but by luck of 2^-64.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "catalog/namespace.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "ledger_verify_internal.h"

/* The bit of a number within its word of 64. */
#define ID_BIT(id) (UINT64CONST(1) << ((id) & 63))

/* The set while it is made: pages by number. */
typedef struct NewPage
{
	int64		no;				/* hash key */
	uint64		sealed[ID_PAGE_WORDS];
} NewPage;

struct IdSet
{
	HTAB	   *pages;
	NewPage    *last;			/* used; NULL if there is none */
};

/* A sealed event that is looked up. */
typedef struct Lookup
{
	VerifyScan *scan;
	Relation	index;
	int64		event_id;
	int64		block;			/* index of its block; -1: none */
	MemoryContext ids_context;
	int64	   *ids;			/* of the block */
	int64		nids;
	int64		leaf;
	bool		found;
} Lookup;

static uint64 *find_word(IdSet *set, int64 event_id);
static int	compare_pages(const void *a, const void *b);
static IdPage *find_page(VerifyScan *scan, int64 no);
static uint64 keyed(const uint64 *key, int64 event_id, const uint8 *hash);
static TailLeaf *find_tail(VerifyPlan *plan, int64 event_id);
static void load_ids(VerifyScan *scan);
static bool locate(Lookup *lookup);
static void report_missing(Lookup *lookup);
static void look_up(VerifyScan *scan);
static void compare_leaf(Lookup *lookup, HeapTuple tuple);
static void check_page(Lookup *lookup, IdPage *page);

/* ----------
 * The set
 * ----------
 */

IdSet *
uaef_verify_ids_new(void)
{
	IdSet	   *set = palloc0(sizeof(IdSet));
	HASHCTL		control;

	control.keysize = sizeof(int64);
	control.entrysize = sizeof(NewPage);
	control.hcxt = CurrentMemoryContext;
	set->pages = hash_create("uaef verify sealed events", 1024, &control,
							 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	return set;
}

/*
 * The word of the set that has a number.
 */
static uint64 *
find_word(IdSet *set, int64 event_id)
{
	int64		no = event_id >> ID_PAGE_BITS;

	if (set->last == NULL || set->last->no != no)
	{
		bool		found;

		set->last = hash_search(set->pages, &no, HASH_ENTER, &found);
		if (!found)
			memset(set->last->sealed, 0, sizeof(set->last->sealed));
	}
	return &set->last->sealed[(event_id & (ID_PAGE_IDS - 1)) / 64];
}

/*
 * Numbers of one word are gathered before it is written: one process does this
 * for all events before the others can begin.
 */
int64
uaef_verify_ids_add(IdSet *set, const int64 *ids, int64 n)
{
	int64		i = 0;

	while (i < n)
	{
		int64		first = i;
		uint64	   *word = find_word(set, ids[i]);
		uint64		sealed = *word;

		while (i < n && ids[i] >> 6 == ids[first] >> 6 &&
			   (sealed & ID_BIT(ids[i])) == 0)
			sealed |= ID_BIT(ids[i++]);
		*word = sealed;
		if (i == first)
			break;
	}
	return i;
}

int64
uaef_verify_ids_pages(const IdSet *set)
{
	return hash_get_num_entries(set->pages);
}

static int
compare_pages(const void *a, const void *b)
{
	int64		l = ((const IdPage *) a)->no;
	int64		r = ((const IdPage *) b)->no;

	return (l > r) - (l < r);
}

void
uaef_verify_ids_copy(const IdSet *set, VerifyPlan *plan)
{
	IdPage	   *page = PLAN_IDS(plan);
	HASH_SEQ_STATUS status;
	NewPage    *from;

	hash_seq_init(&status, set->pages);
	while ((from = hash_seq_search(&status)) != NULL)
	{
		page->no = from->no;
		pg_atomic_init_u64(&page->difference, 0);
		memcpy(page->sealed, from->sealed, sizeof(page->sealed));
		for (int i = 0; i < ID_PAGE_WORDS; i++)
			pg_atomic_init_u64(&page->seen[i], 0);
		page++;
	}
	qsort(PLAN_IDS(plan), plan->nids, sizeof(IdPage), compare_pages);
}

/*
 * The page of a number, which becomes the scan's current one, or NULL.
 */
static IdPage *
find_page(VerifyScan *scan, int64 no)
{
	IdPage	   *pages = PLAN_IDS(scan->plan);
	int64		low = 0;
	int64		high = scan->plan->nids;

	if (scan->page != NULL && scan->page->no == no)
		return scan->page;
	while (low < high)
	{
		int64		middle = low + (high - low) / 2;

		if (pages[middle].no < no)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == scan->plan->nids || pages[low].no != no)
		return NULL;
	uaef_verify_leaf_flush(scan);
	scan->page = &pages[low];
	return scan->page;
}

bool
uaef_verify_sealed(VerifyScan *scan, int64 event_id)
{
	IdPage	   *page = find_page(scan, event_id >> ID_PAGE_BITS);
	int			at = event_id & (ID_PAGE_IDS - 1);

	return page != NULL &&
		(page->sealed[at / 64] & UINT64CONST(1) << (at % 64)) != 0;
}

/* ----------
 * Sums
 * ----------
 */

#define ROTATE(x, b) (((x) << (b)) | ((x) >> (64 - (b))))
#define SIP_ROUND \
	do { \
		v0 += v1; v1 = ROTATE(v1, 13); v1 ^= v0; v0 = ROTATE(v0, 32); \
		v2 += v3; v3 = ROTATE(v3, 16); v3 ^= v2; \
		v0 += v3; v3 = ROTATE(v3, 21); v3 ^= v0; \
		v2 += v1; v1 = ROTATE(v1, 17); v1 ^= v2; v2 = ROTATE(v2, 32); \
	} while (0)

/*
 * SipHash-1-3 of the 40 bytes, of which nobody sees a value.  They are compared
 * within a run only, so the order of the bytes within a word does not matter.
 */
static uint64
keyed(const uint64 *key, int64 event_id, const uint8 *hash)
{
	uint64		v0 = key[0] ^ UINT64CONST(0x736f6d6570736575);
	uint64		v1 = key[1] ^ UINT64CONST(0x646f72616e646f6d);
	uint64		v2 = key[0] ^ UINT64CONST(0x6c7967656e657261);
	uint64		v3 = key[1] ^ UINT64CONST(0x7465646279746573);
	uint64		words[6];

	words[0] = (uint64) event_id;
	memcpy(&words[1], hash, UAEF_HASH_LEN);
	words[5] = UINT64CONST(40) << 56;
	for (int i = 0; i < lengthof(words); i++)
	{
		v3 ^= words[i];
		SIP_ROUND;
		v0 ^= words[i];
	}
	v2 ^= 0xff;
	for (int i = 0; i < 3; i++)
		SIP_ROUND;
	return v0 ^ v1 ^ v2 ^ v3;
}

static TailLeaf *
find_tail(VerifyPlan *plan, int64 event_id)
{
	TailLeaf   *tail = PLAN_TAIL(plan);

	for (int64 i = 0; i < plan->ntail; i++)
		if (tail[i].event_id == event_id)
			return &tail[i];
	return NULL;
}

/*
 * The event is in the set: uaef_verify_sealed() said so just now.
 */
bool
uaef_verify_leaf_event(VerifyScan *scan, int64 event_id, const uint8 *stored,
					   const uint8 *computed)
{
	VerifyPlan *plan = scan->plan;
	int			at = event_id & (ID_PAGE_IDS - 1);
	uint64		bit = UINT64CONST(1) << (at % 64);
	TailLeaf   *tail = NULL;

	if ((pg_atomic_fetch_or_u64(&scan->page->seen[at / 64], bit) & bit) != 0)
		return false;
	if (event_id >= plan->tail_lowest)
		tail = find_tail(plan, event_id);
	if (tail == NULL)
		scan->sum += keyed(plan->key, event_id, computed);
	else
	{
		tail->seen = true;
		memcpy(tail->stored, stored, UAEF_HASH_LEN);
		memcpy(tail->computed, computed, UAEF_HASH_LEN);
	}
	return true;
}

void
uaef_verify_leaf_tile(VerifyScan *scan, int64 event_id, const uint8 *hash)
{
	if (find_page(scan, event_id >> ID_PAGE_BITS) != NULL)
		scan->sum -= keyed(scan->plan->key, event_id, hash);
}

/*
 * Add what this process has summed up.
 */
void
uaef_verify_leaf_flush(VerifyScan *scan)
{
	if (scan->page != NULL && scan->sum != 0)
		(void) pg_atomic_fetch_add_u64(&scan->page->difference,
									   (int64) scan->sum);
	scan->page = NULL;
	scan->sum = 0;
}

/* ----------
 * Where the sums differ
 * ----------
 */

/*
 * The ids of the block that is looked at.
 */
static void
load_ids(VerifyScan *scan)
{
	Lookup	   *lookup = scan->arg;
	MemoryContext old_context = MemoryContextSwitchTo(lookup->ids_context);
	BlockRow	row;

	lookup->nids = 0;
	if (uaef_verify_read_block(&scan->blocks,
							   &PLAN_BLOCKS(scan->plan)[lookup->block].tid,
							   true, &row))
	{
		lookup->ids = row.block.event_ids;
		lookup->nids = row.nids;
	}
	MemoryContextSwitchTo(old_context);
}

/*
 * Find the block and leaf of an event; false when no block has it.  Mostly it
 * is in the block of the one before.
 */
static bool
locate(Lookup *lookup)
{
	VerifyScan *scan = lookup->scan;
	BlockRef   *blocks = PLAN_BLOCKS(scan->plan);
	int64		tried = lookup->block;

	for (int64 i = -1; i < scan->plan->nblocks; i++)
	{
		int64		block = i < 0 ? tried : i;

		if (block < 0 || (i >= 0 && i == tried) ||
			lookup->event_id < blocks[block].lowest ||
			lookup->event_id > blocks[block].highest)
			continue;
		if (lookup->block != block || lookup->ids == NULL)
		{
			lookup->block = block;
			MemoryContextReset(lookup->ids_context);
			lookup->ids = NULL;
			lookup->nids = 0;
			(void) uaef_verify_protected(scan, load_ids);
		}
		for (int64 at = 0; at < lookup->nids; at++)
			if (lookup->ids[at] == lookup->event_id)
			{
				lookup->leaf = blocks[block].first_leaf + at;
				return true;
			}
	}
	return false;
}

static void
report_missing(Lookup *lookup)
{
	UaefPlace	place = {.event_id = lookup->event_id};

	if (locate(lookup))
	{
		place.block_no = PLAN_BLOCKS(lookup->scan->plan)[lookup->block].no;
		place.leaf_no = lookup->leaf + 1;
	}
	uaef_report_problem(lookup->scan->report, "LEAF_MISSING", &place,
						"the event was sealed, but is gone");
}

/*
 * An event that has another hash than its leaf.  If the event has changed
 * since it was sealed, that has been told, unless its hash was changed with
 * it.
 */
static void
compare_leaf(Lookup *lookup, HeapTuple tuple)
{
	VerifyScan *scan = lookup->scan;
	TileRef    *tile = &PLAN_TILES(scan->plan)[lookup->leaf / UAEF_TILE_WIDTH];
	const uint8 *hashes = uaef_verify_tile_hashes(scan,
												  lookup->leaf / UAEF_TILE_WIDTH);
	const uint8 *leaf;
	UaefPlace	place;
	UaefReport	silent = {0};
	uint8		computed[UAEF_HASH_LEN];
	Datum		values[MaxHeapAttributeNumber];
	bool		nulls[MaxHeapAttributeNumber];

	if (hashes == NULL ||
		uaef_heap_deform(&scan->events, tuple, values, nulls) != NULL)
		return;
	leaf = hashes + lookup->leaf % UAEF_TILE_WIDTH * UAEF_HASH_LEN;
	place = uaef_verify_place(values, nulls, &tuple->t_self);
	place.leaf_no = lookup->leaf + 1;
	place.block_no = PLAN_BLOCKS(scan->plan)[lookup->block].no;
	(void) uaef_verify_event_alone(&silent, &scan->plan->ledger_id, &place, values,
								   nulls, computed);
	if (memcmp(computed, leaf, UAEF_HASH_LEN) == 0 ||
		memcmp(uaef_datum_hash(values[UAEF_EVENT_HASH - 1]), leaf,
			   UAEF_HASH_LEN) == 0)
		return;
	place.expected = uaef_hex(leaf, UAEF_HASH_LEN);
	place.actual = uaef_hex(computed, UAEF_HASH_LEN);
	if (tile->sound)
		uaef_report_problem(scan->report, "EVENT_HASH_MISMATCH", &place,
							"the event is not the leaf of the tree that was sealed");
	else
		uaef_report_problem(scan->report, "TILE_MISMATCH", &place,
							"the leaf in the tile is not the event's hash");
}

static void
look_up(VerifyScan *scan)
{
	Lookup	   *lookup = scan->arg;
	ScanKeyData key;
	SysScanDesc events;
	HeapTuple	tuple;

	ScanKeyInit(&key, UAEF_EVENT_ID, BTEqualStrategyNumber, F_INT8EQ,
				Int64GetDatum(lookup->event_id));
	events = systable_beginscan_ordered(scan->events.rel, lookup->index,
										scan->events.snapshot, 1, &key);
	tuple = systable_getnext_ordered(events, ForwardScanDirection);
	lookup->found = HeapTupleIsValid(tuple);
	if (lookup->found)
		compare_leaf(lookup, tuple);
	systable_endscan_ordered(events);
}

/*
 * What a page of the set says when all has been counted.
 */
static void
check_page(Lookup *lookup, IdPage *page)
{
	bool		differs = pg_atomic_read_u64(&page->difference) != 0;

	for (int word = 0; word < ID_PAGE_WORDS; word++)
	{
		uint64		seen = pg_atomic_read_u64(&page->seen[word]);
		uint64		left = page->sealed[word];

		for (; left != 0; left &= left - 1)
		{
			int			bit = pg_rightmost_one_pos64(left);

			lookup->event_id = (page->no << ID_PAGE_BITS) + word * 64 + bit;
			if ((seen & UINT64CONST(1) << bit) == 0)
				report_missing(lookup);
			else if (differs && lookup->index != NULL && locate(lookup) &&
					 lookup->leaf / UAEF_TILE_WIDTH < lookup->scan->plan->ntiles)
				(void) uaef_verify_protected(lookup->scan, look_up);
			MemoryContextReset(lookup->scan->row_context);
			CHECK_FOR_INTERRUPTS();
		}
	}
	if (differs && lookup->index == NULL)
	{
		UaefPlace	place = {.event_id = page->no << ID_PAGE_BITS};

		uaef_report_problem(lookup->scan->report, "TILE_MISMATCH", &place,
							psprintf("among the events %lld to %lld are such that are not their leaves",
									 (long long) page->no << ID_PAGE_BITS,
									 (long long) ((page->no + 1) << ID_PAGE_BITS) - 1));
	}
}

void
uaef_verify_leaves(VerifyScan *scan)
{
	VerifyPlan *plan = scan->plan;
	Oid			index = get_relname_relid("ledger_event_event_id",
										  get_namespace_oid("uaef", false));
	Lookup		lookup = {.scan = scan,.block = -1};
	MemoryContext old_context = MemoryContextSwitchTo(scan->row_context);

	lookup.ids_context = AllocSetContextCreate(scan->context,
											   "uaef verify block's events",
											   ALLOCSET_DEFAULT_SIZES);
	if (OidIsValid(index))
		lookup.index = index_open(index, AccessShareLock);
	scan->arg = &lookup;
	for (int64 i = 0; i < plan->nids; i++)
	{
		IdPage	   *page = &PLAN_IDS(plan)[i];
		bool		all_seen = true;

		for (int word = 0; word < ID_PAGE_WORDS; word++)
			all_seen &= page->sealed[word] ==
				pg_atomic_read_u64(&page->seen[word]);
		if (!all_seen || pg_atomic_read_u64(&page->difference) != 0)
			check_page(&lookup, page);
	}
	if (OidIsValid(index))
		index_close(lookup.index, AccessShareLock);
	MemoryContextSwitchTo(old_context);
	MemoryContextDelete(lookup.ids_context);
}
