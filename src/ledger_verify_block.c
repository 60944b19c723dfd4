/*-------------------------------------------------------------------------
 *
 * ledger_verify_block.c
 *	  The headers of blocks, how they follow each other, what they list.
 *
 * Blocks are found by a walk of their table, not by an index, and then read in
 * the order of their numbers.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "ledger_verify_internal.h"

/* A walk of the blocks. */
typedef struct BlockWalk
{
	BlockList  *list;
	const UaefRetired *retired;
	int64		allocated;
	int64		from_block;
	int64		next;			/* index of the block to look at */
	BlockRow	before;			/* the one before it */
	int64		last_sound;		/* index of a block, or -1 */
	MemoryContext context;		/* of one block */
} BlockWalk;

static void found_block(VerifyScan *scan, ItemPointer tid, Datum *values,
						bool *nulls);
static int	compare_refs(const void *a, const void *b);
static int64 read_ids(Datum value, UaefBlock *block);
static void look_at_blocks(VerifyScan *scan);
static void look_at_block(VerifyScan *scan, BlockWalk *walk);
static void fill_ref(BlockRef *ref, const BlockRow *row, int64 first_leaf,
					 bool with_ids);
static void put_in_order(BlockRow *row);
static void check_ids(const UaefReport *report, BlockWalk *walk,
					  const BlockRow *row, int64 first_leaf);

/* ----------
 * Reading
 * ----------
 */

#define VALUE(column) values[(column) - 1]

/*
 * The event_ids, whatever leaf_count says; returns how many, 0 when the value
 * is no array of such.
 */
static int64
read_ids(Datum value, UaefBlock *block)
{
	ArrayType  *array = (ArrayType *) PG_DETOAST_DATUM_COPY(value);
	Size		size = VARSIZE(array);
	Size		head = ARR_OVERHEAD_NONULLS(1);

	if (size <= head || ARR_NDIM(array) != 1 || ARR_HASNULL(array) ||
		ARR_ELEMTYPE(array) != INT8OID || ARR_DIMS(array)[0] < 1 ||
		size != head + ARR_DIMS(array)[0] * sizeof(int64))
		return 0;
	block->event_array = array;
	block->event_ids = (int64 *) ARR_DATA_PTR(array);
	return ARR_DIMS(array)[0];
}

static void
put_in_order(BlockRow *row)
{
	int64	   *ids = row->block.event_ids;
	int64		i = 1;

	while (i < row->nids && ids[i] >= ids[i - 1])
		i++;
	if (i >= row->nids)
		return;
	row->misplaced = i;
	row->misplaced_id = ids[i];
	uaef_block_sort_ids(ids, row->nids);
}

bool
uaef_verify_read_block(UaefHeap *heap, ItemPointer tid, bool with_ids,
					   BlockRow *row)
{
	HeapTuple	tuple = uaef_heap_fetch(heap, tid);
	Datum		values[MaxHeapAttributeNumber];
	bool		nulls[MaxHeapAttributeNumber];
	UaefBlock  *block = &row->block;
	struct varlena *frontier;

	memset(row, 0, sizeof(BlockRow));
	if (tuple == NULL || uaef_heap_deform(heap, tuple, values, nulls) != NULL)
		return false;
	for (int i = 0; i < UAEF_BLOCK_COLUMNS; i++)
		if (nulls[i])
			return true;
	uaef_block_read_columns(values, block);
	block->snapshot = uaef_block_snapshot(VALUE(UAEF_BLOCK_SNAPSHOT));
	frontier = PG_DETOAST_DATUM_PACKED(VALUE(UAEF_BLOCK_FRONTIER));
	row->has_frontier =
		uaef_frontier_load(&block->frontier, block->tree_size,
						   (const uint8 *) VARDATA_ANY(frontier),
						   VARSIZE_ANY_EXHDR(frontier));
	if (with_ids)
	{
		row->nids = read_ids(VALUE(UAEF_BLOCK_EVENT_IDS), block);
		put_in_order(row);
	}
	row->sound = row->has_frontier && block->snapshot != NULL &&
		block->leaf_count > 0 &&
		block->tree_size == block->first_leaf + block->leaf_count &&
		(!with_ids || row->nids == block->leaf_count);
	return true;
}

static void
found_block(VerifyScan *scan, ItemPointer tid, Datum *values, bool *nulls)
{
	BlockWalk  *walk = scan->arg;
	BlockList  *list = walk->list;
	BlockRef   *ref;

	if (list->n == walk->allocated)
	{
		walk->allocated = Max(256, walk->allocated * 2);
		list->refs = list->refs == NULL ?
			MemoryContextAlloc(scan->context,
							   walk->allocated * sizeof(BlockRef)) :
			repalloc_huge(list->refs, walk->allocated * sizeof(BlockRef));
	}
	ref = &list->refs[list->n++];
	memset(ref, 0, sizeof(BlockRef));
	ref->no = nulls[UAEF_BLOCK_NO - 1] ? 0 :
		DatumGetInt64(VALUE(UAEF_BLOCK_NO));
	ref->tid = *tid;
}

static int
compare_refs(const void *a, const void *b)
{
	const BlockRef *l = a;
	const BlockRef *r = b;

	if (l->no != r->no)
		return l->no < r->no ? -1 : 1;
	return ItemPointerCompare((ItemPointer) &l->tid, (ItemPointer) &r->tid);
}

/* ----------
 * Checking
 * ----------
 */

void
uaef_verify_header(const UaefReport *report, const UaefBlock *before,
				   const UaefBlock *block)
{
	UaefPlace	place = {.block_no = block->no};
	UaefPlace	where = place;
	uint8		hash[UAEF_HASH_LEN];

	if (block->no == before->no)
		uaef_report_problem(report, "BLOCK_CHAIN_BREAK", &place,
							"block_no occurs more than once");
	else if (block->no != before->no + 1)
		uaef_report_problem(report, "BLOCK_CHAIN_BREAK", &place,
							psprintf("blocks %lld to %lld are missing",
									 (long long) before->no + 1,
									 (long long) block->no - 1));
	else if (memcmp(block->prev_hash, before->hash, UAEF_HASH_LEN) != 0)
	{
		where.expected = uaef_hex(before->hash, UAEF_HASH_LEN);
		where.actual = uaef_hex(block->prev_hash, UAEF_HASH_LEN);
		uaef_report_problem(report, "BLOCK_CHAIN_BREAK", &where,
							"prev_block_hash is not the hash of the block before it");
	}
	if (block->no == before->no + 1 && block->first_leaf != before->tree_size)
		uaef_report_problem(report, "ROOT_MISMATCH", &place,
							"the block does not begin where the tree before it ends");

	uaef_block_hash(block, hash);
	if (memcmp(block->hash, hash, UAEF_HASH_LEN) != 0)
	{
		where.expected = uaef_hex(block->hash, UAEF_HASH_LEN);
		where.actual = uaef_hex(hash, UAEF_HASH_LEN);
		uaef_report_problem(report, "BLOCK_CHAIN_BREAK", &where,
							"the header is not what block_hash says");
	}
	if (block->sealed_at < before->sealed_at)
		uaef_report_problem(report, "TIME_REVERSED", &place,
							"sealed_at is before that of the block before it");
}

/*
 * What a block lists is in order, and in no other block.
 */
static void
check_ids(const UaefReport *report, BlockWalk *walk, const BlockRow *row,
		  int64 first_leaf)
{
	const UaefBlock *block = &row->block;
	UaefPlace	place = {.block_no = block->no};
	int64		at = 0;

	if (row->misplaced > 0)
	{
		place.event_id = row->misplaced_id;
		place.leaf_no = first_leaf + row->misplaced + 1;
		uaef_report_problem(report, "ORDER_CHANGED", &place,
							"the block's events are not in the order of event_id");
	}
	while (at < row->nids)
	{
		int64		n = walk->retired->n > 0 ? 1 : row->nids - at;
		int64		added = n;

		if (walk->retired->n == 0 ||
			!uaef_retired_has(walk->retired, first_leaf + at))
			added = uaef_verify_ids_add(walk->list->ids,
										&block->event_ids[at], n);
		at += added;
		if (added == n)
			continue;
		place.event_id = block->event_ids[at];
		place.leaf_no = first_leaf + at + 1;
		uaef_report_problem(report, "LEAF_EXTRA", &place,
							"the event is in more than one place of the tree");
		at++;
	}
	place.event_id = place.leaf_no = 0;
	if (row->nids > 0 &&
		(block->first_event_id != block->event_ids[0] ||
		 block->last_event_id != block->event_ids[row->nids - 1]))
		uaef_report_problem(report, "ORDER_CHANGED", &place,
							"first_event_id and last_event_id are not those of the block's events");
}

static void
fill_ref(BlockRef *ref, const BlockRow *row, int64 first_leaf, bool with_ids)
{
	ref->sound = row->sound;
	ref->first_leaf = first_leaf;
	ref->leaf_count = with_ids ? row->nids : row->block.leaf_count;
	ref->sealed_at = row->block.sealed_at;
	memcpy(ref->hash, row->block.hash, UAEF_HASH_LEN);
	memcpy(ref->root, row->block.tree_root, UAEF_HASH_LEN);
	ref->lowest = row->block.first_event_id;
	ref->highest = row->block.last_event_id;
	if (row->nids > 0)
	{
		/* They are in order by now. */
		ref->lowest = Min(ref->lowest, row->block.event_ids[0]);
		ref->highest = Max(ref->highest,
						   row->block.event_ids[row->nids - 1]);
	}
}

/*
 * One block: its events stand behind those of the block before it, or, when
 * that is missing, where it says.
 */
static void
look_at_block(VerifyScan *scan, BlockWalk *walk)
{
	BlockList  *list = walk->list;
	BlockRef   *ref = &list->refs[walk->next];
	UaefPlace	place = {.block_no = ref->no,.ctid = &ref->tid};
	bool		deep = ref->no >= walk->from_block;
	BlockRow	row;
	int64		first_leaf;

	if (!uaef_verify_read_block(&scan->blocks, &ref->tid, deep, &row))
		return;
	row.block.no = ref->no;
	if (!row.sound && deep)
		uaef_report_problem(scan->report, "BLOCK_CHAIN_BREAK", &place,
							"the block's row is malformed");
	if (!row.sound)
		scan->damaged++;
	first_leaf = ref->no == walk->before.block.no + 1 &&
		walk->before.sound ?
		walk->before.block.tree_size : row.block.first_leaf;
	fill_ref(ref, &row, first_leaf, deep);
	if (deep)
	{
		if (row.sound)
			uaef_verify_header(scan->report, &walk->before.block, &row.block);
		check_ids(scan->report, walk, &row, first_leaf);
	}
	if (row.sound)
		walk->last_sound = walk->next;
	walk->before = row;
}

static void
look_at_blocks(VerifyScan *scan)
{
	BlockWalk  *walk = scan->arg;
	MemoryContext old_context = MemoryContextSwitchTo(walk->context);

	for (; walk->next < walk->list->n; walk->next++)
	{
		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(walk->context);
		look_at_block(scan, walk);
	}
	MemoryContextSwitchTo(old_context);
}

void
uaef_verify_list_blocks(VerifyScan *scan, int64 from_block,
						const UaefRetired *retired, BlockList *list)
{
	MemoryContext old_context = MemoryContextSwitchTo(scan->context);
	BlockWalk	walk = {
		.list = list,
		.retired = retired,
		.from_block = from_block,
		.last_sound = -1
	};
	BlockRow	last;

	memset(list, 0, sizeof(BlockList));
	list->ids = uaef_verify_ids_new();
	walk.context = AllocSetContextCreate(scan->context, "uaef verify block",
										 ALLOCSET_DEFAULT_SIZES);
	scan->arg = &walk;
	uaef_verify_walk(scan, &scan->blocks, "ledger_block", found_block, 0,
					 RelationGetNumberOfBlocks(scan->blocks.rel), true);
	if (list->n > 0)
		qsort(list->refs, list->n, sizeof(BlockRef), compare_refs);

	uaef_block_genesis(&walk.before.block);
	walk.before.sound = true;
	while (walk.next < list->n)
	{
		const char *problem = uaef_verify_protected(scan, look_at_blocks);
		UaefPlace	place = {0};

		if (problem == NULL)
			break;
		place.block_no = list->refs[walk.next].no;
		place.ctid = &list->refs[walk.next].tid;
		uaef_report_problem(scan->report, "HEAP_DAMAGED", &place,
							psprintf("the block cannot be read: %s", problem));
		scan->damaged++;
		walk.next++;
	}
	uaef_block_genesis(&list->last);
	if (walk.last_sound >= 0 &&
		uaef_verify_read_block(&scan->blocks,
							   &list->refs[walk.last_sound].tid, false, &last))
		list->last = last.block;
	MemoryContextDelete(walk.context);
	MemoryContextSwitchTo(old_context);
}

int64
uaef_verify_block_of_leaf(const VerifyPlan *plan, int64 leaf)
{
	const BlockRef *blocks = PLAN_BLOCKS(plan);
	int64		low = 0;
	int64		high = plan->nblocks;

	while (low < high)
	{
		int64		middle = low + (high - low) / 2;

		if (blocks[middle].first_leaf + blocks[middle].leaf_count <= leaf)
			low = middle + 1;
		else
			high = middle;
	}
	return low < plan->nblocks ? low : -1;
}

/*
 * What the ledger tells of a block is what its row says.  A missing block is
 * reported here only if none follows that misses it.
 */
void
uaef_verify_news(const UaefReport *report, const VerifyPlan *plan,
				 const News *news)
{
	const BlockRef *blocks = PLAN_BLOCKS(plan);
	const BlockRef *found = NULL;
	UaefPlace	place = {
		.stream = &news->stream,
		.stream_seq = news->stream_seq,
		.event_id = news->event_id,
		.block_no = news->about
	};

	for (int64 low = 0, high = plan->nblocks; low < high;)
	{
		int64		middle = low + (high - low) / 2;

		if (blocks[middle].no == news->about)
			found = &blocks[middle];
		if (blocks[middle].no < news->about)
			low = middle + 1;
		else
			high = middle;
	}
	if (found == NULL)
	{
		if (plan->nblocks > 0 &&
			news->about <= blocks[plan->nblocks - 1].no)
			return;
		place.block_no = 0;
		uaef_report_problem(report, "BLOCK_CHAIN_BREAK", &place,
							psprintf("block %lld is missing, but the event tells of it",
									 (long long) news->about));
		return;
	}
	place.actual = uaef_hex(found->hash, UAEF_HASH_LEN);
	place.expected = news->hash;
	if (strcmp(news->hash, place.actual) != 0)
		uaef_report_problem(report, "BLOCK_CHAIN_BREAK", &place,
							"the block's hash is not the one that the event tells");
	place.actual = uaef_hex(found->root, UAEF_HASH_LEN);
	place.expected = news->root;
	if (strcmp(news->root, place.actual) != 0)
		uaef_report_problem(report, "ROOT_MISMATCH", &place,
							"the block's tree_root is not the one that the event tells");
}
