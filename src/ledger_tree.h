/*-------------------------------------------------------------------------
 *
 * ledger_tree.h
 *	  The tree over all sealed events, as the tables keep it.
 *
 * Functions that take a size or a leaf beyond what is sealed raise UA109.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_LEDGER_TREE_H
#define UAEF_LEDGER_TREE_H

#include "ledger_block.h"
#include "merkle.h"
#include "row_write.h"

/* Nodes in a tile, and the levels of the tree that one spans. */
#define UAEF_TILE_WIDTH		256
#define UAEF_TILE_HEIGHT	8

/* How many leaves are sealed. */
extern int64 uaef_tree_size(void);

/* The root of the tree of a size. */
extern void uaef_tree_root(int64 size, uint8 *root);

/* The hash of a leaf. */
extern void uaef_tree_leaf(int64 leaf, uint8 *hash);

/* The hashes of n leaves from one on, 32 bytes each. */
extern void uaef_tree_leaves(int64 first, int64 n, uint8 *hashes);

extern void uaef_tree_inclusion(int64 leaf, int64 size, UaefProof *proof);
extern void uaef_tree_consistency(int64 old_size, int64 new_size,
								  UaefProof *proof);

/*
 * The leaf of an event, and its block (may be NULL); -1 when it is not
 * sealed, or there is no such event.
 */
extern int64 uaef_leaf_of_event(int64 event_id, int64 *block_no);

/* The events of n leaves from one on. */
extern void uaef_tree_event_ids(int64 first, int64 n, int64 *event_ids);

/*
 * For the sealer: store a full tile of leaves, and the tiles above that it
 * completes.  Tiles come in order.
 */
extern void uaef_tree_store_tile(UaefTable *table, int64 tile_no,
								 const uint8 *hashes);

#endif							/* UAEF_LEDGER_TREE_H */
