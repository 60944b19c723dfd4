/*-------------------------------------------------------------------------
 *
 * ledger_tree.c
 *	  The tree over all sealed events, as the tables keep it.
 *
 * The sealer stores full tiles: 256 nodes of one level, whose root is a node
 * of the level of tiles above.  A leaf that is in no full tile yet is the hash
 * of its event, which its block lists; a node of a higher level that is in no
 * full tile yet is the root of the tile below it.  So every node of every tree
 * that ever was is found, or computed from at most 256 others.
 *
 * The right edge of a tree that ends with a block is in that block's row.
 *
 * What is read is what the active snapshot sees: one size for all of it.
 *
 * Locking: none but AccessShareLock.  Memory: the caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "errcodes.h"
#include "ledger_tree.h"
#include "table_scan.h"

#define TILE_BYTES (UAEF_TILE_WIDTH * UAEF_HASH_LEN)

/* Columns of uaef.ledger_tile. */
enum
{
	TILE_LEVEL = 1,
	TILE_NO,
	TILE_ROOT,
	TILE_HASHES
};
#define TILE_COLUMNS TILE_HASHES

/* Nodes of one level that were read, all of one tile. */
typedef struct Nodes
{
	int64		first;
	int			n;
	uint8		hashes[TILE_BYTES];
} Nodes;

/* The last nodes of each level are kept: a proof comes by them in turn. */
struct UaefTree
{
	MemoryContext context;		/* that it was opened in, and keeps nodes in */
	int64		size;
	bool		has_edge;		/* a block ends here */
	UaefFrontier edge;
	Nodes	   *nodes[UAEF_TILE_LEVELS];
};

static bool read_tile(int level, int64 tile_no, uint8 *hashes);
static bool read_tile_roots(int level, int64 first, int n, Snapshot snapshot,
							uint8 *hashes);
static void keep_event_hash(void *arg, int64 place, const Datum *values,
							const bool *nulls);
static void read_leaves(int64 first, int n, uint8 *hashes);
static void find_span(const UaefTree *tree, int level, int64 index,
					  Nodes *nodes);
static const Nodes *load_nodes(UaefTree *tree, int level, int64 index);
static bool read_edge(const UaefTree *tree, int level, uint64 index,
					  uint8 *hash);
pg_noreturn static void no_such_tree(int64 asked);
static void store_tile(UaefTable *table, int level, int64 tile_no,
					   const uint8 *hashes);

/* ----------
 * Reading the tables
 * ----------
 */

/*
 * The nodes of a full tile; false when it is not there.
 */
static bool
read_tile(int level, int64 tile_no, uint8 *hashes)
{
	ScanKeyData keys[2];
	UaefScan	scan;
	bool		found;

	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_INT2EQ,
				Int16GetDatum(level));
	ScanKeyInit(&keys[1], 2, BTEqualStrategyNumber, F_INT8EQ,
				Int64GetDatum(tile_no));
	uaef_scan_begin(&scan, "ledger_tile", "ledger_tile_pkey",
					GetActiveSnapshot(), 2, keys);
	found = uaef_scan_next(&scan, ForwardScanDirection);
	if (found)
	{
		bytea	   *bytes = DatumGetByteaPP(uaef_scan_value(&scan, TILE_HASHES));

		if (VARSIZE_ANY_EXHDR(bytes) != TILE_BYTES)
			ereport(ERROR,
					(errcode(ERRCODE_UAEF_LEDGER_MISMATCH),
					 errmsg("tile %lld of level %d is damaged",
							(long long) tile_no, level),
					 errhint("See uaef.verify_ledger().")));
		memcpy(hashes, VARDATA_ANY(bytes), TILE_BYTES);
		pfree(bytes);
	}
	uaef_scan_end(&scan);

	return found;
}

/*
 * The roots of n tiles of a level from one on; false when one is missing.
 */
static bool
read_tile_roots(int level, int64 first, int n, Snapshot snapshot,
				uint8 *hashes)
{
	ScanKeyData keys[3];
	UaefScan	scan;
	int			found = 0;

	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_INT2EQ,
				Int16GetDatum(level));
	ScanKeyInit(&keys[1], 2, BTGreaterEqualStrategyNumber, F_INT8GE,
				Int64GetDatum(first));
	ScanKeyInit(&keys[2], 2, BTLessStrategyNumber, F_INT8LT,
				Int64GetDatum(first + n));
	uaef_scan_begin(&scan, "ledger_tile", "ledger_tile_pkey", snapshot, 3,
					keys);
	for (; uaef_scan_next(&scan, ForwardScanDirection); found++)
		if (found < n)
			memcpy(hashes + found * UAEF_HASH_LEN,
				   uaef_datum_hash(uaef_scan_value(&scan, TILE_ROOT)),
				   UAEF_HASH_LEN);
	uaef_scan_end(&scan);

	return found == n;
}

/*
 * A UaefEventReader.
 */
static void
keep_event_hash(void *arg, int64 place, const Datum *values,
				const bool *nulls)
{
	memcpy((uint8 *) arg + place * UAEF_HASH_LEN,
		   uaef_datum_hash(values[UAEF_EVENT_HASH - 1]), UAEF_HASH_LEN);
}

static void
read_leaves(int64 first, int n, uint8 *hashes)
{
	int64		event_ids[UAEF_TILE_WIDTH];

	uaef_tree_event_ids(first, n, event_ids);
	if (uaef_read_events(event_ids, n, keep_event_hash, hashes) != n)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_LEDGER_MISMATCH),
				 errmsg("events among the leaves %lld to %lld of the tree were sealed, but are gone",
						(long long) first, (long long) first + n - 1),
				 errhint("See uaef.verify_ledger().")));
}

/* ----------
 * Nodes
 * ----------
 */

/*
 * Of the perfect subtrees that the last tile of a level is made of, the one
 * with a node: proofs need all of its nodes, or none.
 */
static void
find_span(const UaefTree *tree, int level, int64 index, Nodes *nodes)
{
	int64		tile_first = index - index % UAEF_TILE_WIDTH;
	int64		in_tile = (tree->size >> level * UAEF_TILE_HEIGHT) - tile_first;
	int			place = index % UAEF_TILE_WIDTH;
	int			start = 0;

	in_tile = Min(in_tile, UAEF_TILE_WIDTH);
	for (int n = UAEF_TILE_WIDTH; n > 0; n /= 2)
	{
		if ((in_tile & n) == 0)
			continue;
		if (place < start + n)
		{
			nodes->first = tile_first + start;
			nodes->n = n;
			return;
		}
		start += n;
	}
	elog(ERROR, "node %lld of level %d is not in the tree", (long long) index,
		 level);
}

/*
 * Nodes of a level of tiles, with a certain one among them.
 */
static const Nodes *
load_nodes(UaefTree *tree, int level, int64 index)
{
	Nodes	   *nodes = tree->nodes[level];

	if (nodes == NULL)
		nodes = tree->nodes[level] =
			MemoryContextAllocZero(tree->context, sizeof(Nodes));
	if (index >= nodes->first && index < nodes->first + nodes->n)
		return nodes;

	CHECK_FOR_INTERRUPTS();
	nodes->n = 0;				/* should an error leave it half read */
	if (read_tile(level, index / UAEF_TILE_WIDTH, nodes->hashes))
	{
		nodes->first = index - index % UAEF_TILE_WIDTH;
		nodes->n = UAEF_TILE_WIDTH;
		return nodes;
	}
	find_span(tree, level, index, nodes);
	if (level == 0)
		read_leaves(nodes->first, nodes->n, nodes->hashes);
	else if (!read_tile_roots(level - 1, nodes->first, nodes->n,
							  GetActiveSnapshot(), nodes->hashes))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_LEDGER_MISMATCH),
				 errmsg("tiles %lld to %lld of level %d are not all there",
						(long long) nodes->first,
						(long long) nodes->first + nodes->n - 1, level - 1),
				 errhint("See uaef.verify_ledger().")));
	return nodes;
}

void
uaef_tree_nodes(UaefTree *tree, int level, int64 first, int64 n,
				uint8 *hashes)
{
	while (n > 0)
	{
		const Nodes *nodes = load_nodes(tree, level, first);
		int64		part = Min(n, nodes->first + nodes->n - first);

		memcpy(hashes, nodes->hashes + (first - nodes->first) * UAEF_HASH_LEN,
			   part * UAEF_HASH_LEN);
		hashes += part * UAEF_HASH_LEN;
		first += part;
		n -= part;
	}
}

/*
 * Whether a node is one of the perfect subtrees that the tree is made of.
 */
static bool
read_edge(const UaefTree *tree, int level, uint64 index, uint8 *hash)
{
	uint64		size = tree->size;

	if (!tree->has_edge || (size >> level & 1) == 0 ||
		index != (size >> level) - 1)
		return false;
	memcpy(hash, tree->edge.node[pg_popcount64(size >> level) - 1],
		   UAEF_HASH_LEN);
	return true;
}

void
uaef_tree_read(void *arg, int level, uint64 index, uint8 *hash)
{
	UaefTree   *tree = arg;
	int			n = 1 << level % UAEF_TILE_HEIGHT;
	const Nodes *nodes;

	if (read_edge(tree, level, index, hash))
		return;
	nodes = load_nodes(tree, level / UAEF_TILE_HEIGHT, (int64) index * n);
	uaef_merkle_perfect(nodes->hashes +
						((int64) index * n - nodes->first) * UAEF_HASH_LEN,
						n, hash);
}

/* ----------
 * The tree
 * ----------
 */

int64
uaef_tree_size(void)
{
	UaefScan	scan;
	int64		size = 0;

	uaef_scan_begin(&scan, "ledger_block", "ledger_block_first_leaf",
					GetActiveSnapshot(), 0, NULL);
	if (uaef_scan_next(&scan, BackwardScanDirection))
		size = DatumGetInt64(uaef_scan_value(&scan, UAEF_BLOCK_TREE_SIZE));
	uaef_scan_end(&scan);

	return size;
}

static void
no_such_tree(int64 asked)
{
	ereport(ERROR,
			(errcode(ERRCODE_UAEF_NOT_SEALED),
			 errmsg("there is no tree of %lld events", (long long) asked),
			 errdetail("%lld events are sealed.",
					   (long long) uaef_tree_size())));
}

/*
 * The block that has the last leaf says whether the tree is there, and, if the
 * leaf is its last, has the right edge.
 */
UaefTree *
uaef_tree_open(int64 size)
{
	UaefTree   *tree = palloc0(sizeof(UaefTree));
	ScanKeyData key;
	UaefScan	scan;
	int64		until = 0;

	tree->context = CurrentMemoryContext;
	tree->size = size;
	ScanKeyInit(&key, 1, BTLessStrategyNumber, F_INT8LT, Int64GetDatum(size));
	uaef_scan_begin(&scan, "ledger_block", "ledger_block_first_leaf",
					GetActiveSnapshot(), 1, &key);
	if (uaef_scan_next(&scan, BackwardScanDirection))
		until = DatumGetInt64(uaef_scan_value(&scan, UAEF_BLOCK_TREE_SIZE));
	if (until > 0 && until == size)
	{
		bytea	   *edge =
			DatumGetByteaPP(uaef_scan_value(&scan, UAEF_BLOCK_FRONTIER));

		tree->has_edge = uaef_frontier_load(&tree->edge, size,
											(const uint8 *) VARDATA_ANY(edge),
											VARSIZE_ANY_EXHDR(edge));
	}
	uaef_scan_end(&scan);
	if (size < 0 || size > until)
		no_such_tree(size);

	return tree;
}

void
uaef_tree_close(UaefTree *tree)
{
	for (int level = 0; level < UAEF_TILE_LEVELS; level++)
		if (tree->nodes[level] != NULL)
			pfree(tree->nodes[level]);
	pfree(tree);
}

void
uaef_tree_root(int64 size, uint8 *root)
{
	UaefTree   *tree = uaef_tree_open(size);

	uaef_merkle_root(uaef_tree_read, tree, size, root);
	uaef_tree_close(tree);
}

void
uaef_tree_leaves(int64 first, int64 n, uint8 *hashes)
{
	UaefTree   *tree = uaef_tree_open(first + n);

	uaef_tree_nodes(tree, 0, first, n, hashes);
	uaef_tree_close(tree);
}

void
uaef_tree_leaf(int64 leaf, uint8 *hash)
{
	uaef_tree_leaves(leaf, 1, hash);
}

void
uaef_tree_consistency(int64 old_size, int64 new_size, UaefProof *proof)
{
	UaefTree   *tree = uaef_tree_open(new_size);

	if (old_size < 0 || old_size > new_size)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the old size must be between 0 and the new one")));
	uaef_merkle_consistency(uaef_tree_read, tree, old_size, new_size, proof);
	uaef_tree_close(tree);
}

/* ----------
 * Storing
 * ----------
 */

static void
store_tile(UaefTable *table, int level, int64 tile_no, const uint8 *hashes)
{
	Datum		values[TILE_COLUMNS];
	bool		nulls[TILE_COLUMNS] = {0};
	uint8		root[UAEF_HASH_LEN];

	uaef_merkle_perfect(hashes, UAEF_TILE_WIDTH, root);
	values[TILE_LEVEL - 1] = Int16GetDatum(level);
	values[TILE_NO - 1] = Int64GetDatum(tile_no);
	values[TILE_ROOT - 1] = uaef_hash_datum(root);
	values[TILE_HASHES - 1] = uaef_bytea(hashes, TILE_BYTES);
	uaef_table_insert(table, values, nulls, NULL);
	pfree(DatumGetPointer(values[TILE_ROOT - 1]));
	pfree(DatumGetPointer(values[TILE_HASHES - 1]));
}

void
uaef_tree_store_tile(UaefTable *table, int64 tile_no, const uint8 *hashes)
{
	uint8		roots[TILE_BYTES];
	int			level = 0;

	store_tile(table, level, tile_no, hashes);
	while ((tile_no + 1) % UAEF_TILE_WIDTH == 0)
	{
		tile_no /= UAEF_TILE_WIDTH;
		if (!read_tile_roots(level, tile_no * UAEF_TILE_WIDTH,
							 UAEF_TILE_WIDTH, SnapshotSelf, roots))
			ereport(ERROR,
					(errcode(ERRCODE_UAEF_LEDGER_MISMATCH),
					 errmsg("tiles of level %d are missing", level),
					 errhint("See uaef.verify_ledger().")));
		store_tile(table, ++level, tile_no, roots);
	}
}
