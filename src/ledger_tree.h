/*-------------------------------------------------------------------------
 *
 * ledger_tree.h
 *	  The tree over all sealed events, as the tables keep it.
 *
 * Functions that take a size or a leaf beyond what is sealed raise UA103.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_LEDGER_TREE_H
#define UAEF_LEDGER_TREE_H

#include "ledger_block.h"
#include "ledger_leaf.h"
#include "merkle.h"
#include "row_write.h"

/* Nodes in a tile, and the levels of the tree that one spans. */
#define UAEF_TILE_WIDTH		256
#define UAEF_TILE_HEIGHT	8
#define UAEF_TILE_LEVELS	8

/* The tree of a size, with what was read of it. */
typedef struct UaefTree UaefTree;

extern UaefTree *uaef_tree_open(int64 size);
extern void uaef_tree_close(UaefTree *tree);

/* A UaefNodeReader; its arg is a tree. */
extern void uaef_tree_read(void *tree, int level, uint64 index, uint8 *hash);

/*
 * n nodes of a level of tiles from one on: of level 0 leaves, of level L roots
 * over 256^L leaves.
 */
extern void uaef_tree_nodes(UaefTree *tree, int level, int64 first, int64 n,
							uint8 *hashes);

/* How many leaves are sealed. */
extern int64 uaef_tree_size(void);

/* The root of the tree of a size. */
extern void uaef_tree_root(int64 size, uint8 *root);

/* The hash of a leaf. */
extern void uaef_tree_leaf(int64 leaf, uint8 *hash);

/* The hashes of n leaves from one on, 32 bytes each. */
extern void uaef_tree_leaves(int64 first, int64 n, uint8 *hashes);

extern void uaef_tree_consistency(int64 old_size, int64 new_size,
								  UaefProof *proof);

/*
 * For the sealer: store a full tile of leaves, and the tiles above that it
 * completes.  Tiles come in order.
 */
extern void uaef_tree_store_tile(UaefTable *table, int64 tile_no,
								 const uint8 *hashes);

#endif							/* UAEF_LEDGER_TREE_H */
