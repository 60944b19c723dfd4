/*-------------------------------------------------------------------------
 *
 * merkle.c
 *	  The tree of RFC 6962 over events: growing it, and its root.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "port/pg_bitutils.h"

#include "merkle.h"

/* The prefix that tells an inner node from a leaf. */
#define NODE_PREFIX 0x01

static void combine(const uint8 *left, const uint8 *right, uint8 *node);

static void
combine(const uint8 *left, const uint8 *right, uint8 *node)
{
	static const uint8 prefix = NODE_PREFIX;

	uaef_hash_begin();
	uaef_hash_add(&prefix, 1);
	uaef_hash_add(left, UAEF_HASH_LEN);
	uaef_hash_add(right, UAEF_HASH_LEN);
	uaef_hash_end(node);
}

void
uaef_frontier_init(UaefFrontier *frontier)
{
	frontier->size = 0;
	frontier->n = 0;
}

/*
 * Each bit that the new leaf carries over joins two subtrees of equal size.
 */
void
uaef_frontier_append(UaefFrontier *frontier, const uint8 *leaf)
{
	memcpy(frontier->node[frontier->n++], leaf, UAEF_HASH_LEN);
	for (uint64 bits = frontier->size; bits & 1; bits >>= 1)
	{
		frontier->n--;
		combine(frontier->node[frontier->n - 1],
				frontier->node[frontier->n],
				frontier->node[frontier->n - 1]);
	}
	frontier->size++;
}

/*
 * The root of an empty tree is the hash of nothing.
 */
void
uaef_frontier_root(const UaefFrontier *frontier, uint8 *root)
{
	if (frontier->n == 0)
	{
		uaef_hash_begin();
		uaef_hash_end(root);
		return;
	}
	memcpy(root, frontier->node[frontier->n - 1], UAEF_HASH_LEN);
	for (int i = frontier->n - 2; i >= 0; i--)
		combine(frontier->node[i], root, root);
}

bool
uaef_frontier_load(UaefFrontier *frontier, uint64 size, const uint8 *nodes,
				   size_t len)
{
	int			n = pg_popcount64(size);

	if (len != (size_t) n * UAEF_HASH_LEN)
		return false;
	frontier->size = size;
	frontier->n = n;
	memcpy(frontier->node, nodes, len);
	return true;
}
