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
 * What is read is what the active snapshot sees: one size for all of it.
 *
 * Locking: none but AccessShareLock.  Memory: the caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_type_d.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "errcodes.h"
#include "ledger_tree.h"
#include "spi_util.h"

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

/* A tree that is read, and the last tile that was. */
typedef struct Tree
{
	int64		size;
	int			cached_level;	/* -1: none */
	int64		cached_no;
	uint8		cached[TILE_BYTES];
} Tree;

/* A scan of one of our tables by one of its indexes. */
typedef struct TableScan
{
	Relation	rel;
	Relation	index;
	SysScanDesc scan;
} TableScan;

static void begin_scan(TableScan *scan, const char *table, const char *index,
					   Snapshot snapshot, int nkeys, ScanKeyData *keys);
static void end_scan(TableScan *scan);
static void open_tree(Tree *tree, int64 size);
pg_noreturn static void no_such_leaf(int64 size, int64 asked);
static bool read_tile(int level, int64 tile_no, uint8 *hashes);
static bool read_tile_roots(int level, int64 first, int n, Snapshot snapshot,
							uint8 *hashes);
static void read_event_hashes(const int64 *event_ids, int64 n, uint8 *hashes);
static void read_nodes(Tree *tree, int level, int64 first, int n,
					   uint8 *hashes);
static void read_node(void *arg, int level, uint64 index, uint8 *hash);
static void store_tile(UaefTable *table, int level, int64 tile_no,
					   const uint8 *hashes);

/* ----------
 * Reading the tables
 * ----------
 */

static void
begin_scan(TableScan *scan, const char *table, const char *index,
		   Snapshot snapshot, int nkeys, ScanKeyData *keys)
{
	Oid			schema = get_namespace_oid("uaef", false);

	scan->rel = table_open(get_relname_relid(table, schema), AccessShareLock);
	scan->index = index_open(get_relname_relid(index, schema),
							 AccessShareLock);
	scan->scan = systable_beginscan_ordered(scan->rel, scan->index, snapshot,
											nkeys, keys);
}

static void
end_scan(TableScan *scan)
{
	systable_endscan_ordered(scan->scan);
	index_close(scan->index, AccessShareLock);
	table_close(scan->rel, AccessShareLock);
}

/*
 * The nodes of a full tile; false when it is not there.
 */
static bool
read_tile(int level, int64 tile_no, uint8 *hashes)
{
	ScanKeyData keys[2];
	TableScan	scan;
	HeapTuple	tuple;
	bool		found;

	ScanKeyInit(&keys[0], TILE_LEVEL, BTEqualStrategyNumber, F_INT2EQ,
				Int16GetDatum(level));
	ScanKeyInit(&keys[1], TILE_NO, BTEqualStrategyNumber, F_INT8EQ,
				Int64GetDatum(tile_no));
	begin_scan(&scan, "ledger_tile", "ledger_tile_pkey", GetActiveSnapshot(),
			   2, keys);
	tuple = systable_getnext_ordered(scan.scan, ForwardScanDirection);
	found = HeapTupleIsValid(tuple);
	if (found)
	{
		bool		isnull;
		const uint8 *bytes =
			uaef_fixed_bytes(heap_getattr(tuple, TILE_HASHES,
										  RelationGetDescr(scan.rel), &isnull),
							 TILE_BYTES);

		if (bytes == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UAEF_LEDGER_MISMATCH),
					 errmsg("tile %lld of level %d is damaged",
							(long long) tile_no, level),
					 errhint("See uaef.verify_ledger().")));
		memcpy(hashes, bytes, TILE_BYTES);
	}
	end_scan(&scan);

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
	TableScan	scan;
	HeapTuple	tuple;
	int			found = 0;

	ScanKeyInit(&keys[0], TILE_LEVEL, BTEqualStrategyNumber, F_INT2EQ,
				Int16GetDatum(level));
	ScanKeyInit(&keys[1], TILE_NO, BTGreaterEqualStrategyNumber, F_INT8GE,
				Int64GetDatum(first));
	ScanKeyInit(&keys[2], TILE_NO, BTLessStrategyNumber, F_INT8LT,
				Int64GetDatum(first + n));
	begin_scan(&scan, "ledger_tile", "ledger_tile_pkey", snapshot, 3, keys);
	while (HeapTupleIsValid(tuple = systable_getnext_ordered(scan.scan,
															 ForwardScanDirection)))
	{
		bool		isnull;
		Datum		root = heap_getattr(tuple, TILE_ROOT,
										RelationGetDescr(scan.rel), &isnull);

		if (found < n)
			memcpy(hashes + found * UAEF_HASH_LEN, uaef_datum_hash(root),
				   UAEF_HASH_LEN);
		found++;
	}
	end_scan(&scan);

	return found == n;
}

void
uaef_tree_event_ids(int64 first, int64 n, int64 *event_ids)
{
	ScanKeyData key;
	TableScan	scan;
	HeapTuple	tuple;
	int64		missing = n;	/* those before it in the array */

	ScanKeyInit(&key, UAEF_BLOCK_FIRST_LEAF, BTLessStrategyNumber, F_INT8LT,
				Int64GetDatum(first + n));
	begin_scan(&scan, "ledger_block", "ledger_block_first_leaf",
			   GetActiveSnapshot(), 1, &key);
	while (missing > 0 &&
		   HeapTupleIsValid(tuple = systable_getnext_ordered(scan.scan,
															 BackwardScanDirection)))
	{
		UaefBlock	block;
		int64		from;

		if (!uaef_block_read(tuple, RelationGetDescr(scan.rel), &block) ||
			block.tree_size < first + missing)
			break;
		from = Max(block.first_leaf, first);
		memcpy(event_ids + (from - first),
			   block.event_ids + (from - block.first_leaf),
			   (first + missing - from) * sizeof(int64));
		missing = from - first;
		pfree(block.event_array);
	}
	end_scan(&scan);
	if (missing > 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_LEDGER_MISMATCH),
				 errmsg("leaf %lld of the tree is in no block",
						(long long) (first + missing - 1)),
				 errhint("See uaef.verify_ledger().")));
}

static void
read_event_hashes(const int64 *event_ids, int64 n, uint8 *hashes)
{
	Oid			schema = get_namespace_oid("uaef", false);
	Relation	rel = table_open(get_relname_relid("ledger_event", schema),
								 AccessShareLock);
	Oid			index = get_relname_relid("ledger_event_event_id", schema);

	for (int64 i = 0; i < n; i++)
	{
		ScanKeyData key;
		SysScanDesc scan;
		HeapTuple	tuple;
		bool		isnull;

		ScanKeyInit(&key, UAEF_EVENT_ID, BTEqualStrategyNumber, F_INT8EQ,
					Int64GetDatum(event_ids[i]));
		scan = systable_beginscan(rel, index, true, GetActiveSnapshot(), 1,
								  &key);
		tuple = systable_getnext(scan);
		if (!HeapTupleIsValid(tuple))
			ereport(ERROR,
					(errcode(ERRCODE_UAEF_LEDGER_MISMATCH),
					 errmsg("event %lld was sealed, but is gone",
							(long long) event_ids[i]),
					 errhint("See uaef.verify_ledger().")));
		memcpy(hashes + i * UAEF_HASH_LEN,
			   uaef_datum_hash(heap_getattr(tuple, UAEF_EVENT_HASH,
											RelationGetDescr(rel), &isnull)),
			   UAEF_HASH_LEN);
		systable_endscan(scan);
	}
	table_close(rel, AccessShareLock);
}

/* ----------
 * Nodes
 * ----------
 */

/*
 * n nodes of a level of tiles from one on, all of one tile.
 */
static void
read_nodes(Tree *tree, int level, int64 first, int n, uint8 *hashes)
{
	int64		tile_no = first / UAEF_TILE_WIDTH;

	if (tree->cached_level != level || tree->cached_no != tile_no)
	{
		tree->cached_level = -1;
		if (read_tile(level, tile_no, tree->cached))
		{
			tree->cached_level = level;
			tree->cached_no = tile_no;
		}
	}
	if (tree->cached_level == level)
		memcpy(hashes, tree->cached + first % UAEF_TILE_WIDTH * UAEF_HASH_LEN,
			   n * UAEF_HASH_LEN);
	else if (level == 0)
	{
		int64		event_ids[UAEF_TILE_WIDTH];

		uaef_tree_event_ids(first, n, event_ids);
		read_event_hashes(event_ids, n, hashes);
	}
	else if (!read_tile_roots(level - 1, first, n, GetActiveSnapshot(),
							  hashes))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_LEDGER_MISMATCH),
				 errmsg("tiles %lld to %lld of level %d are not all there",
						(long long) first, (long long) first + n - 1,
						level - 1),
				 errhint("See uaef.verify_ledger().")));
}

/*
 * A UaefNodeReader.
 */
static void
read_node(void *arg, int level, uint64 index, uint8 *hash)
{
	uint8		hashes[TILE_BYTES];
	int			n = 1 << level % UAEF_TILE_HEIGHT;

	read_nodes((Tree *) arg, level / UAEF_TILE_HEIGHT, (int64) index * n, n,
			   hashes);
	uaef_merkle_perfect(hashes, n, hash);
}

/* ----------
 * The tree
 * ----------
 */

int64
uaef_tree_size(void)
{
	UaefBlock	last;

	uaef_block_last(GetActiveSnapshot(), &last);
	return last.tree_size;
}

static void
no_such_leaf(int64 size, int64 asked)
{
	ereport(ERROR,
			(errcode(ERRCODE_UAEF_NOT_SEALED),
			 errmsg("there is no tree of %lld events", (long long) asked),
			 errdetail("%lld events are sealed.", (long long) size)));
}

static void
open_tree(Tree *tree, int64 size)
{
	tree->size = uaef_tree_size();
	tree->cached_level = -1;
	if (size < 0 || size > tree->size)
		no_such_leaf(tree->size, size);
}

void
uaef_tree_root(int64 size, uint8 *root)
{
	Tree		tree;

	open_tree(&tree, size);
	uaef_merkle_root(read_node, &tree, size, root);
}

void
uaef_tree_leaves(int64 first, int64 n, uint8 *hashes)
{
	Tree		tree;

	open_tree(&tree, first + n);
	while (n > 0)
	{
		int			part = Min(n, UAEF_TILE_WIDTH - first % UAEF_TILE_WIDTH);

		CHECK_FOR_INTERRUPTS();
		read_nodes(&tree, 0, first, part, hashes);
		hashes += part * UAEF_HASH_LEN;
		first += part;
		n -= part;
	}
}

void
uaef_tree_leaf(int64 leaf, uint8 *hash)
{
	uaef_tree_leaves(leaf, 1, hash);
}

void
uaef_tree_inclusion(int64 leaf, int64 size, UaefProof *proof)
{
	Tree		tree;

	open_tree(&tree, size);
	if (leaf < 0 || leaf >= size)
		no_such_leaf(tree.size, leaf + 1);
	uaef_merkle_inclusion(read_node, &tree, leaf, size, proof);
}

void
uaef_tree_consistency(int64 old_size, int64 new_size, UaefProof *proof)
{
	Tree		tree;

	open_tree(&tree, new_size);
	if (old_size < 0 || old_size > new_size)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the old size must be between 0 and the new one")));
	uaef_merkle_consistency(read_node, &tree, old_size, new_size, proof);
}

/*
 * The index gives the few blocks whose bounds the event is in.
 */
int64
uaef_leaf_of_event(int64 event_id, int64 *block_no)
{
	static UaefQuery query = {
		"SELECT block_no, first_leaf, event_ids FROM uaef.ledger_block"
		" WHERE pg_catalog.int8range(first_event_id, last_event_id, '[]') @> $1",
		1, {INT8OID}
	};
	Datum		args[] = {Int64GetDatum(event_id)};
	UaefCaller	caller = uaef_spi_begin();
	int64		leaf = -1;
	uint64		rows = uaef_spi_run(&query, args, NULL);

	for (uint64 i = 0; i < rows && leaf < 0; i++)
	{
		bool		isnull;
		ArrayType  *array = DatumGetArrayTypeP(uaef_spi_value(i, 3, &isnull));
		const int64 *ids = (const int64 *) ARR_DATA_PTR(array);
		int64		n = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
		const int64 *found = uaef_block_find(ids, n, event_id);

		if (found == NULL)
			continue;
		leaf = uaef_spi_int64(i, 2) + (found - ids);
		if (block_no != NULL)
			*block_no = uaef_spi_int64(i, 1);
	}
	uaef_spi_end(caller);

	return leaf;
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
