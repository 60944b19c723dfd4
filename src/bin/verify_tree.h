/*-------------------------------------------------------------------------
 *
 * verify_tree.h
 *	  The tree of RFC 6962: its edge as leaves are added, and proofs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VERIFY_TREE_H
#define VERIFY_TREE_H

#include "verify_util.h"

#define TREE_LEVELS 64
#define TILE_WIDTH 256

/* The leaves of the largest tree: sums of such numbers do not overflow. */
#define LEAVES_MOST ((int64_t) 1 << 56)

/*
 * The roots of the perfect subtrees that a tree is made of, largest first:
 * one for each bit of size.
 */
typedef struct Frontier
{
	int64_t		size;
	int			count;
	uint8_t		node[TREE_LEVELS][HASH_LEN];
} Frontier;

extern void frontier_append(Frontier *frontier, const uint8_t *leaf);

/* Add a perfect subtree of 2^level leaves, which must fit the edge. */
extern void frontier_append_tree(Frontier *frontier, int level,
								 const uint8_t *root);
extern void frontier_root(const Frontier *frontier, uint8_t *root);

/* The frontier of a size from its nodes; false when len does not fit it. */
extern bool frontier_load(Frontier *frontier, int64_t size,
						  const uint8_t *nodes, size_t len);

/*
 * All perfect subtrees of up to 256 leaves: level 0 are the leaves, level 8
 * the root if they are 256.
 */
typedef struct TileTree
{
	int			width;
	uint8_t		node[2 * TILE_WIDTH][HASH_LEN];
} TileTree;

/* Build it over node[0 .. width - 1]. */
extern void tile_build(TileTree *tile);

/* A node of it. */
extern const uint8_t *tile_node(const TileTree *tile, int level, int index);

/* Add leaves from .. to - 1 of a tile to a frontier that ends at from. */
extern void frontier_append_tile(Frontier *frontier, const TileTree *tile,
								 int from, int to);

/*
 * Follow an inclusion proof of a leaf in a tree; false when it is of the wrong
 * length.  The result is the root that it proves.
 */
extern bool inclusion_root(int64_t index, int64_t size, const uint8_t *leaf,
						   const uint8_t (*proof)[HASH_LEN], size_t len,
						   uint8_t *root);

#endif							/* VERIFY_TREE_H */
