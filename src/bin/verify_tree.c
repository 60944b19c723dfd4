/*-------------------------------------------------------------------------
 *
 * verify_tree.c
 *	  The tree of RFC 6962: its edge as leaves are added, and proofs.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "verify_sha256.h"
#include "verify_tree.h"

void
frontier_append_tree(Frontier *frontier, int level, const uint8_t *root)
{
	uint8_t		node[HASH_LEN];

	memcpy(node, root, HASH_LEN);
	for (int64_t left = frontier->size >> level; left & 1; left >>= 1)
		sha256_node(frontier->node[--frontier->count], node, node);
	memcpy(frontier->node[frontier->count++], node, HASH_LEN);
	frontier->size += (int64_t) 1 << level;
}

void
frontier_append(Frontier *frontier, const uint8_t *leaf)
{
	frontier_append_tree(frontier, 0, leaf);
}

void
frontier_root(const Frontier *frontier, uint8_t *root)
{
	if (frontier->count == 0)
	{
		sha256("", 0, root);
		return;
	}
	memcpy(root, frontier->node[frontier->count - 1], HASH_LEN);
	for (int i = frontier->count - 2; i >= 0; i--)
		sha256_node(frontier->node[i], root, root);
}

bool
frontier_load(Frontier *frontier, int64_t size, const uint8_t *nodes,
			  size_t len)
{
	frontier->size = size;
	frontier->count = __builtin_popcountll((unsigned long long) size);
	if (size < 0 || len != (size_t) frontier->count * HASH_LEN)
		return false;
	if (len > 0)
		memcpy(frontier->node, nodes, len);
	return true;
}

/*
 * Level l of a tile begins behind the levels below it, which have 256, 128,
 * ... places.
 */
static int
level_start(int level)
{
	return 2 * TILE_WIDTH - (2 * TILE_WIDTH >> level);
}

void
tile_build(TileTree *tile)
{
	for (int level = 1; level <= 8; level++)
	{
		int			from = level_start(level - 1);
		int			to = level_start(level);

		for (int i = 0; i < tile->width >> level; i++)
			sha256_node(tile->node[from + 2 * i], tile->node[from + 2 * i + 1],
						tile->node[to + i]);
	}
}

const uint8_t *
tile_node(const TileTree *tile, int level, int index)
{
	return tile->node[level_start(level) + index];
}

void
frontier_append_tile(Frontier *frontier, const TileTree *tile, int from,
					 int to)
{
	while (from < to)
	{
		int			level = 0;

		/* The largest subtree that begins here and is whole. */
		while (level < 8 && (from & ((2 << level) - 1)) == 0 &&
			   from + (2 << level) <= to)
			level++;
		frontier_append_tree(frontier, level,
							 tile_node(tile, level, from >> level));
		from += 1 << level;
	}
}

/*
 * RFC 9162, 2.1.3.2: up from the leaf, fn and sn are the indexes of the node
 * and of the last node of its level.
 */
bool
inclusion_root(int64_t index, int64_t size, const uint8_t *leaf,
			   const uint8_t (*proof)[HASH_LEN], size_t len, uint8_t *root)
{
	int64_t		fn = index;
	int64_t		sn = size - 1;

	if (index < 0 || index >= size)
		return false;
	memcpy(root, leaf, HASH_LEN);
	for (size_t i = 0; i < len; i++)
	{
		if (sn == 0)
			return false;
		if ((fn & 1) != 0 || fn == sn)
		{
			sha256_node(proof[i], root, root);
			while ((fn & 1) == 0 && fn != 0)
			{
				fn >>= 1;
				sn >>= 1;
			}
		}
		else
			sha256_node(root, proof[i], root);
		fn >>= 1;
		sn >>= 1;
	}
	return sn == 0;
}
