/*-------------------------------------------------------------------------
 *
 * ledger_verify_tree.c
 *	  The tiles of the tree, and the roots of blocks.
 *
 * Processes take tiles of leaves in chunks: of each they compute all nodes,
 * compare its root, and the part of the frontier of each block that ends
 * within it.  What is above whole tiles, and behind the last one, is little,
 * and is done in the end.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "ledger_verify_internal.h"

/* Tiles of a higher level would have more leaves than can be counted. */
#define MAX_LEVEL 6

#define TILE_BYTES (UAEF_TILE_WIDTH * UAEF_HASH_LEN)

/* Columns of uaef.ledger_tile. */
enum
{
	TILE_LEVEL = 1,
	TILE_NO,
	TILE_ROOT,
	TILE_HASHES
};

/* A tile above the leaves. */
typedef struct UpperTile
{
	int			level;
	int64		no;
	ItemPointerData tid;
	uint8		root[UAEF_HASH_LEN];
} UpperTile;

/* A walk of the tiles. */
typedef struct TileWalk
{
	UpperTile  *upper;
	int64		n;
	int64		allocated;
	int64		next;			/* of upper, that is looked at */
} TileWalk;

/* The walk along the roots of blocks. */
typedef struct RootWalk
{
	int64		next;			/* index of the block to look at */
	int64		from_block;
	int64		ntiles;			/* appended so far */
	bool		known;			/* edge is valid */
	bool		doubtful;		/* so is other, which may be right instead */
	UaefFrontier edge;			/* of tiles */
	UaefFrontier other;
	UaefFrontier low;			/* of leaves, behind the last tile */
} RootWalk;

static void found_tile(VerifyScan *scan, ItemPointer tid, Datum *values,
					   bool *nulls);
static void found_leaf_tile(VerifyScan *scan, ItemPointer tid, int64 no,
							const uint8 *root);
static void add_upper(VerifyScan *scan, ItemPointer tid, int level, int64 no,
					  const uint8 *root);
static void report_tile(const UaefReport *report, int level, int64 no,
						ItemPointer tid, const char *what);
static const uint8 *read_hashes(VerifyScan *scan, ItemPointer tid);
static void check_tile_chunk(VerifyScan *scan);
static void check_tile(VerifyScan *scan, int64 no, const int64 *ids,
					   uint8 (*nodes)[UAEF_HASH_LEN]);
static void compute_nodes(const uint8 *hashes, uint8 (*nodes)[UAEF_HASH_LEN]);
static void check_edges(VerifyScan *scan, int64 no,
						uint8 (*nodes)[UAEF_HASH_LEN]);
static bool is_retired(const VerifyPlan *plan, int64 leaf);
static void look_at_upper(VerifyScan *scan);
static void check_upper(VerifyScan *scan, const TileWalk *walk,
						const UpperTile *tile);
static void check_missing_upper(VerifyScan *scan, TileWalk *walk);
static int	compare_upper(const void *a, const void *b);
static void append_tiles(VerifyPlan *plan, RootWalk *walk, int64 tiles);
static void look_at_roots(VerifyScan *scan);
static void check_root(VerifyScan *scan, RootWalk *walk, BlockRow *row);
static bool tail_fits(const VerifyPlan *plan, const RootWalk *walk,
					  const UaefBlock *block, bool stored);
static bool tail_seen(const VerifyPlan *plan, const RootWalk *walk, int64 end);
static bool check_tail(const VerifyPlan *plan, RootWalk *walk,
					   const UaefBlock *block);
static int	count_bits(uint64 word);

static void
report_tile(const UaefReport *report, int level, int64 no, ItemPointer tid,
			const char *what)
{
	UaefPlace	place = {.ctid = tid};

	if (level == 0)
		place.leaf_no = no * UAEF_TILE_WIDTH + 1;
	uaef_report_problem(report, "TILE_MISMATCH", &place,
						psprintf("tile %lld of level %d %s", (long long) no,
								 level, what));
}

/* ----------
 * Finding tiles
 * ----------
 */

static void
found_leaf_tile(VerifyScan *scan, ItemPointer tid, int64 no, const uint8 *root)
{
	TileRef    *tile;

	if (no < 0 || no >= scan->plan->ntiles)
	{
		report_tile(scan->report, 0, no, tid, "is beyond the tree");
		return;
	}
	tile = &PLAN_TILES(scan->plan)[no];
	if (ItemPointerIsValid(&tile->tid))
	{
		report_tile(scan->report, 0, no, tid, "occurs more than once");
		return;
	}
	tile->tid = *tid;
	memcpy(tile->stored, root, UAEF_HASH_LEN);
	if (no < scan->plan->first_tile)
	{
		/* It is not looked into this time. */
		memcpy(tile->computed, root, UAEF_HASH_LEN);
		tile->sound = true;
	}
}

static void
add_upper(VerifyScan *scan, ItemPointer tid, int level, int64 no,
		  const uint8 *root)
{
	TileWalk   *walk = scan->arg;
	UpperTile  *tile;

	if (walk->n == walk->allocated)
	{
		walk->allocated = Max(64, walk->allocated * 2);
		walk->upper = walk->upper == NULL ?
			MemoryContextAlloc(scan->context,
							   walk->allocated * sizeof(UpperTile)) :
			repalloc_huge(walk->upper, walk->allocated * sizeof(UpperTile));
	}
	tile = &walk->upper[walk->n++];
	tile->level = level;
	tile->no = no;
	tile->tid = *tid;
	memcpy(tile->root, root, UAEF_HASH_LEN);
}

static void
found_tile(VerifyScan *scan, ItemPointer tid, Datum *values, bool *nulls)
{
	int			level;
	int64		no;
	const uint8 *root = uaef_datum_hash(values[TILE_ROOT - 1]);

	for (int i = 0; i < TILE_HASHES; i++)
		if (nulls[i])
		{
			report_tile(scan->report, -1, 0, tid, "lacks a column");
			return;
		}
	level = DatumGetInt16(values[TILE_LEVEL - 1]);
	no = DatumGetInt64(values[TILE_NO - 1]);
	if (level == 0)
		found_leaf_tile(scan, tid, no, root);
	else if (level < 0 || level > MAX_LEVEL || no < 0 ||
			 no >= scan->plan->tree_size >> (UAEF_TILE_HEIGHT * (level + 1)))
		report_tile(scan->report, level, no, tid, "is beyond the tree");
	else
		add_upper(scan, tid, level, no, root);
}

static int
compare_upper(const void *a, const void *b)
{
	const UpperTile *l = a;
	const UpperTile *r = b;

	if (l->level != r->level)
		return l->level - r->level;
	return (l->no > r->no) - (l->no < r->no);
}

/*
 * Find all tiles; those of leaves go into the plan.
 */
void
uaef_verify_list_tiles(VerifyScan *scan)
{
	TileWalk   *walk = MemoryContextAllocZero(scan->context, sizeof(TileWalk));

	scan->arg = walk;
	uaef_verify_walk(scan, &scan->tiles, "ledger_tile", found_tile, 0,
					 RelationGetNumberOfBlocks(scan->tiles.rel), true);
	if (walk->n > 0)
		qsort(walk->upper, walk->n, sizeof(UpperTile), compare_upper);
	scan->upper_tiles = walk;
}

/* ----------
 * Tiles of leaves
 * ----------
 */

/*
 * The nodes of a tile, in the current context; NULL when they are not 256.
 */
static const uint8 *
read_hashes(VerifyScan *scan, ItemPointer tid)
{
	HeapTuple	tuple = uaef_heap_fetch(&scan->tiles, tid);
	Datum		values[MaxHeapAttributeNumber];
	bool		nulls[MaxHeapAttributeNumber];

	if (tuple == NULL ||
		uaef_heap_deform(&scan->tiles, tuple, values, nulls) != NULL ||
		nulls[TILE_HASHES - 1])
		return NULL;
	return uaef_fixed_bytes(values[TILE_HASHES - 1], TILE_BYTES);
}

const uint8 *
uaef_verify_tile_hashes(VerifyScan *scan, int64 tile_no)
{
	TileRef    *tile = &PLAN_TILES(scan->plan)[tile_no];

	return ItemPointerIsValid(&tile->tid) ? read_hashes(scan, &tile->tid) :
		NULL;
}

static bool
is_retired(const VerifyPlan *plan, int64 leaf)
{
	const LeafRange *ranges = PLAN_RETIRED(plan);
	int64		low = 0;
	int64		high = plan->nretired;

	while (low < high)
	{
		int64		middle = low + (high - low) / 2;

		if (ranges[middle].end <= leaf)
			low = middle + 1;
		else
			high = middle;
	}
	return low < plan->nretired && ranges[low].first <= leaf;
}

/*
 * An event that is retired is none, for nothing has to be there.
 */
void
uaef_verify_ids_of_leaves(VerifyScan *scan, int64 first, int64 n, int64 *ids)
{
	VerifyPlan *plan = scan->plan;
	int64		block = uaef_verify_block_of_leaf(plan, first);

	for (int64 i = 0; i < n; i++)
		ids[i] = NO_EVENT;
	for (; block >= 0 && block < plan->nblocks; block++)
	{
		BlockRef   *ref = &PLAN_BLOCKS(plan)[block];
		BlockRow	row;

		if (ref->first_leaf >= first + n)
			break;
		if (ref->first_leaf + ref->leaf_count <= plan->first_leaf ||
			!uaef_verify_read_block(&scan->blocks, &ref->tid, true, &row))
			continue;
		for (int64 i = 0; i < row.nids; i++)
		{
			int64		at = ref->first_leaf + i - first;

			if (at >= 0 && at < n && at + first >= plan->first_leaf &&
				!is_retired(plan, at + first))
				ids[at] = row.block.event_ids[i];
		}
	}
}

/*
 * All nodes of a tile: 256 leaves, then 128 nodes over them, and so on; the
 * last one is the root.
 */
static void
compute_nodes(const uint8 *hashes, uint8 (*nodes)[UAEF_HASH_LEN])
{
	int			from = 0;

	memcpy(nodes, hashes, TILE_BYTES);
	for (int n = UAEF_TILE_WIDTH; n > 1; from += n, n /= 2)
		uaef_merkle_level(nodes[from], n, nodes[from + n]);
}

static int
count_bits(uint64 word)
{
	int			n = 0;

	for (; word != 0; word &= word - 1)
		n++;
	return n;
}

/*
 * Of each block that ends within a tile, the nodes of its frontier that are
 * in the tile.
 */
static void
check_edges(VerifyScan *scan, int64 no, uint8 (*nodes)[UAEF_HASH_LEN])
{
	VerifyPlan *plan = scan->plan;
	BlockRef   *blocks = PLAN_BLOCKS(plan);
	int64		first = no * UAEF_TILE_WIDTH;
	int64		block = uaef_verify_block_of_leaf(plan, first);

	for (; block >= 0 && block < plan->nblocks; block++)
	{
		int64		end = blocks[block].first_leaf + blocks[block].leaf_count;
		int			within = end - first;
		int			at;
		BlockRow	row;
		UaefPlace	place = {.block_no = blocks[block].no};

		if (end >= first + UAEF_TILE_WIDTH)
			break;
		if (end <= plan->first_leaf || !blocks[block].sound ||
			!uaef_verify_read_block(&scan->blocks, &blocks[block].tid, false,
									&row) ||
			!row.has_frontier || row.block.tree_size != end)
			continue;

		/* Smallest first: the lowest bit of the size is the last node. */
		at = row.block.frontier.n - 1;
		for (int level = 0, from = 0; level < UAEF_TILE_HEIGHT; level++)
		{
			if ((within >> level & 1) != 0 &&
				memcmp(row.block.frontier.node[at--],
					   nodes[from + (within >> level) - 1],
					   UAEF_HASH_LEN) != 0)
			{
				uaef_report_problem(scan->report, "ROOT_MISMATCH", &place,
									"the block's events do not give its tree_root");
				break;
			}
			from += UAEF_TILE_WIDTH >> level;
		}
	}
}

static void
check_tile(VerifyScan *scan, int64 no, const int64 *ids,
		   uint8 (*nodes)[UAEF_HASH_LEN])
{
	TileRef    *tile = &PLAN_TILES(scan->plan)[no];
	const uint8 *hashes;
	const uint8 *root = nodes[2 * UAEF_TILE_WIDTH - 2];
	UaefPlace	place = {
		.leaf_no = no * UAEF_TILE_WIDTH + 1,
		.ctid = &tile->tid
	};

	if (!ItemPointerIsValid(&tile->tid))
	{
		report_tile(scan->report, 0, no, NULL, "is missing");
		return;
	}
	hashes = read_hashes(scan, &tile->tid);
	if (hashes == NULL)
	{
		report_tile(scan->report, 0, no, &tile->tid, "has not 256 nodes");
		ItemPointerSetInvalid(&tile->tid);
		return;
	}
	compute_nodes(hashes, nodes);
	memcpy(tile->computed, root, UAEF_HASH_LEN);
	tile->sound = memcmp(root, tile->stored, UAEF_HASH_LEN) == 0;
	if (tile->sound)
		check_edges(scan, no, nodes);
	else
	{
		place.expected = uaef_hex(tile->stored, UAEF_HASH_LEN);
		place.actual = uaef_hex(root, UAEF_HASH_LEN);
		uaef_report_problem(scan->report, "TILE_MISMATCH", &place,
							psprintf("tile %lld of level 0: its nodes do not give its root",
									 (long long) no));
	}
	for (int i = 0; i < UAEF_TILE_WIDTH; i++)
		if (ids[i] != NO_EVENT)
			uaef_verify_leaf_tile(scan, ids[i], hashes + i * UAEF_HASH_LEN);
}

/*
 * Tiles from scan->at_tile on.  A tile is marked as looked at before it is, so
 * that what cannot be read is passed over the next time.
 */
static void
check_tile_chunk(VerifyScan *scan)
{
	MemoryContext old_context = MemoryContextSwitchTo(scan->row_context);
	int64		first = scan->at_tile;
	int64		n = (scan->end_tile - first) * UAEF_TILE_WIDTH;
	int64	   *ids = palloc(n * sizeof(int64));
	uint8		(*nodes)[UAEF_HASH_LEN] =
	palloc((2 * UAEF_TILE_WIDTH - 1) * UAEF_HASH_LEN);

	uaef_verify_ids_of_leaves(scan, first * UAEF_TILE_WIDTH, n, ids);
	while (scan->at_tile < scan->end_tile)
	{
		int64		no = scan->at_tile++;

		CHECK_FOR_INTERRUPTS();
		check_tile(scan, no, ids + (no - first) * UAEF_TILE_WIDTH, nodes);
	}
	MemoryContextSwitchTo(old_context);
	MemoryContextReset(scan->row_context);
}

void
uaef_verify_tiles(VerifyScan *scan, int64 from, int64 to, bool protect)
{
	scan->at_tile = from;
	scan->end_tile = to;
	if (!protect)
	{
		check_tile_chunk(scan);
		return;
	}
	while (scan->at_tile < scan->end_tile)
	{
		const char *problem = uaef_verify_protected(scan, check_tile_chunk);
		int64		no;

		if (problem == NULL)
			break;
		MemoryContextReset(scan->row_context);

		/* Not even the first one: a block cannot be read, which was told. */
		if (scan->at_tile == from)
			scan->at_tile++;
		from = scan->at_tile;
		no = from - 1;
		report_tile(scan->report, 0, no, NULL,
					psprintf("cannot be checked: %s", problem));
		ItemPointerSetInvalid(&PLAN_TILES(scan->plan)[no].tid);
	}
}

/* ----------
 * Tiles above
 * ----------
 */

/*
 * The nodes of a tile are the roots of the tiles below, and give its root.
 */
static void
check_upper(VerifyScan *scan, const TileWalk *walk, const UpperTile *tile)
{
	const uint8 *hashes = read_hashes(scan, (ItemPointer) &tile->tid);
	int64		first = tile->no * UAEF_TILE_WIDTH;
	uint8		root[UAEF_HASH_LEN];
	UpperTile	wanted = {.level = tile->level - 1};

	if (hashes == NULL)
	{
		report_tile(scan->report, tile->level, tile->no,
					(ItemPointer) &tile->tid, "has not 256 nodes");
		return;
	}
	uaef_merkle_perfect(hashes, UAEF_TILE_WIDTH, root);
	if (memcmp(root, tile->root, UAEF_HASH_LEN) != 0)
		report_tile(scan->report, tile->level, tile->no,
					(ItemPointer) &tile->tid, "has nodes that do not give its root");
	for (int i = 0; i < UAEF_TILE_WIDTH; i++)
	{
		const uint8 *node = hashes + i * UAEF_HASH_LEN;
		const uint8 *below = NULL;
		bool		same;

		if (tile->level == 1)
		{
			const TileRef *leaves = &PLAN_TILES(scan->plan)[first + i];

			same = !ItemPointerIsValid(&leaves->tid) ||
				memcmp(node, leaves->computed, UAEF_HASH_LEN) == 0 ||
				(!leaves->sound &&
				 memcmp(node, leaves->stored, UAEF_HASH_LEN) == 0);
		}
		else
		{
			const UpperTile *found;

			wanted.no = first + i;
			found = bsearch(&wanted, walk->upper, walk->n, sizeof(UpperTile),
							compare_upper);
			below = found == NULL ? NULL : found->root;
			same = below == NULL || memcmp(node, below, UAEF_HASH_LEN) == 0;
		}
		if (!same)
			report_tile(scan->report, tile->level, tile->no,
						(ItemPointer) &tile->tid,
						psprintf("has another node %d than the root of the tile below",
								 i));
	}
}

static void
look_at_upper(VerifyScan *scan)
{
	TileWalk   *walk = scan->arg;
	MemoryContext old_context = MemoryContextSwitchTo(scan->row_context);

	while (walk->next < walk->n)
	{
		const UpperTile *tile = &walk->upper[walk->next++];

		CHECK_FOR_INTERRUPTS();
		if (walk->next > 1 && compare_upper(tile, tile - 1) == 0)
			report_tile(scan->report, tile->level, tile->no,
						(ItemPointer) &tile->tid, "occurs more than once");
		check_upper(scan, walk, tile);
		MemoryContextReset(scan->row_context);
	}
	MemoryContextSwitchTo(old_context);
}

static void
check_missing_upper(VerifyScan *scan, TileWalk *walk)
{
	int64		at = 0;

	for (int level = 1; level <= MAX_LEVEL; level++)
	{
		int64		n = scan->plan->tree_size >>
			(UAEF_TILE_HEIGHT * (level + 1));

		for (int64 no = 0; no < n; no++)
		{
			while (at < walk->n && (walk->upper[at].level < level ||
									(walk->upper[at].level == level &&
									 walk->upper[at].no < no)))
				at++;
			if (at == walk->n || walk->upper[at].level != level ||
				walk->upper[at].no != no)
				report_tile(scan->report, level, no, NULL, "is missing");
		}
	}
}

/* ----------
 * Roots
 * ----------
 */

/*
 * Whether the leaves of the tail are there, from where the walk is to an end.
 */
static bool
tail_seen(const VerifyPlan *plan, const RootWalk *walk, int64 end)
{
	for (int64 i = walk->low.size; i < end; i++)
		if (!PLAN_TAIL(plan)[i].seen)
			return false;
	return true;
}

/*
 * Whether the leaves behind the last tile give the last nodes of a block's
 * frontier: as they should be, or as they are stored.
 */
static bool
tail_fits(const VerifyPlan *plan, const RootWalk *walk, const UaefBlock *block,
		  bool stored)
{
	UaefFrontier low = walk->low;
	int			above = count_bits(block->tree_size / UAEF_TILE_WIDTH);

	for (int64 i = low.size; i < block->tree_size % UAEF_TILE_WIDTH; i++)
		uaef_frontier_append(&low, stored ? PLAN_TAIL(plan)[i].stored :
							 PLAN_TAIL(plan)[i].computed);
	return memcmp(low.node, block->frontier.node[above],
				  low.n * UAEF_HASH_LEN) == 0;
}

/*
 * The end of a block in the tail; true if it is not what its leaves give.
 */
static bool
check_tail(const VerifyPlan *plan, RootWalk *walk, const UaefBlock *block)
{
	int64		end = block->tree_size % UAEF_TILE_WIDTH;
	int			above = count_bits(block->tree_size / UAEF_TILE_WIDTH);
	bool		bad;

	if (end < walk->low.size)
		return false;
	bad = tail_seen(plan, walk, end) &&
		!tail_fits(plan, walk, block, false) &&
		!tail_fits(plan, walk, block, true);
	(void) uaef_frontier_load(&walk->low, end, block->frontier.node[above],
							  count_bits(end) * UAEF_HASH_LEN);
	return bad;
}

/*
 * The frontier of a block against the tiles up to its end and the tail, and
 * its root against its frontier.  Afterwards the walk goes on from what the
 * block says.
 */
static void
check_root(VerifyScan *scan, RootWalk *walk, BlockRow *row)
{
	VerifyPlan *plan = scan->plan;
	UaefBlock  *block = &row->block;
	UaefPlace	place = {.block_no = block->no};
	int64		tiles = block->tree_size / UAEF_TILE_WIDTH;
	int			n = count_bits(tiles);
	bool		bad = false;
	uint8		root[UAEF_HASH_LEN];

	uaef_frontier_root(&block->frontier, root);
	if (memcmp(root, block->tree_root, UAEF_HASH_LEN) != 0)
	{
		place.expected = uaef_hex(block->tree_root, UAEF_HASH_LEN);
		place.actual = uaef_hex(root, UAEF_HASH_LEN);
		uaef_report_problem(scan->report, "ROOT_MISMATCH", &place,
							"the block's frontier does not give its tree_root");
		place.expected = place.actual = NULL;
	}
	if (walk->known && walk->ntiles == tiles)
		bad = memcmp(walk->edge.node, block->frontier.node,
					 n * UAEF_HASH_LEN) != 0 &&
			!(walk->doubtful &&
			  memcmp(walk->other.node, block->frontier.node,
					 n * UAEF_HASH_LEN) == 0);
	if (tiles == plan->ntiles && block->tree_size <= plan->tree_size)
		bad |= check_tail(plan, walk, block);
	if (bad && block->no >= walk->from_block)
		uaef_report_problem(scan->report, "ROOT_MISMATCH", &place,
							"the block's events do not give its tree_root");
	else if (bad)
		uaef_report_problem(scan->report, "TILE_MISMATCH", &place,
							"the tiles do not give the tree_root of the trusted block");
	if (walk->ntiles == tiles)
	{
		(void) uaef_frontier_load(&walk->edge, tiles,
								  block->frontier.node[0], n * UAEF_HASH_LEN);
		walk->known = true;
		walk->doubtful = false;
	}
}

/*
 * Append the tiles up to a number.
 */
static void
append_tiles(VerifyPlan *plan, RootWalk *walk, int64 tiles)
{
	for (; walk->ntiles < tiles; walk->ntiles++)
	{
		const TileRef *tile = &PLAN_TILES(plan)[walk->ntiles];

		if (!ItemPointerIsValid(&tile->tid))
		{
			walk->known = false;
			continue;
		}
		if (!walk->known)
			continue;
		if (!tile->sound && !walk->doubtful)
		{
			walk->other = walk->edge;
			walk->doubtful = true;
		}
		uaef_frontier_append(&walk->edge, tile->stored);
		if (walk->doubtful)
			uaef_frontier_append(&walk->other, tile->computed);
	}
}

static void
look_at_roots(VerifyScan *scan)
{
	RootWalk   *walk = scan->arg;
	VerifyPlan *plan = scan->plan;
	MemoryContext old_context = MemoryContextSwitchTo(scan->row_context);

	while (walk->next < plan->nblocks)
	{
		BlockRef   *ref = &PLAN_BLOCKS(plan)[walk->next++];
		BlockRow	row;

		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(scan->row_context);
		if (ref->no < walk->from_block - 1 || !ref->sound ||
			!uaef_verify_read_block(&scan->blocks, &ref->tid, false, &row) ||
			row.block.tree_size > plan->tree_size ||
			row.block.tree_size / UAEF_TILE_WIDTH < walk->ntiles)
			continue;
		append_tiles(plan, walk, row.block.tree_size / UAEF_TILE_WIDTH);
		check_root(scan, walk, &row);
	}
	MemoryContextSwitchTo(old_context);
	MemoryContextReset(scan->row_context);
}

/*
 * What only the whole shows: the tiles above, and the blocks' roots.
 */
void
uaef_verify_roots(VerifyScan *scan, int64 from_block)
{
	TileWalk   *tiles = scan->upper_tiles;
	RootWalk	walk = {.from_block = from_block,.known = true};

	scan->arg = tiles;
	while (tiles->next < tiles->n)
	{
		const char *problem = uaef_verify_protected(scan, look_at_upper);
		const UpperTile *tile;

		if (problem == NULL)
			break;
		tile = &tiles->upper[tiles->next - 1];
		report_tile(scan->report, tile->level, tile->no,
					(ItemPointer) &tile->tid,
					psprintf("cannot be read: %s", problem));
	}
	check_missing_upper(scan, tiles);

	uaef_frontier_init(&walk.edge);
	uaef_frontier_init(&walk.low);
	scan->arg = &walk;
	while (walk.next < scan->plan->nblocks &&
		   uaef_verify_protected(scan, look_at_roots) != NULL)
		continue;
	scan->arg = NULL;
}
