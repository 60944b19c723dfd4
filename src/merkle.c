/*-------------------------------------------------------------------------
 *
 * merkle.c
 *	  The tree of RFC 6962: growing it, its roots, and proofs of them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "port/pg_bitutils.h"

#include "merkle.h"

/* The prefix that tells an inner node from a leaf. */
#define NODE_PREFIX 0x01

/* Where a multiproof reads its nodes and leaves its hashes. */
typedef struct Multiproof
{
	UaefNodeReader read;
	void	   *arg;
	UaefHashTaker take;
	void	   *take_arg;
} Multiproof;

static uint64 split_point(uint64 n);
static void range_root(UaefNodeReader read, void *arg, uint64 start, uint64 n,
					   uint8 *root);
static void add_range(UaefNodeReader read, void *arg, uint64 start, uint64 n,
					  UaefProof *proof);
static void reverse(UaefProof *proof);
static void add_subtree(const Multiproof *to, uint64 start, uint64 n,
						const int64 *leaves, int count);

void
uaef_merkle_combine(const uint8 *left, const uint8 *right, uint8 *node)
{
	uint8		both[1 + 2 * UAEF_HASH_LEN];

	both[0] = NODE_PREFIX;
	memcpy(both + 1, left, UAEF_HASH_LEN);
	memcpy(both + 1 + UAEF_HASH_LEN, right, UAEF_HASH_LEN);
	uaef_sha256(both, sizeof(both), node);
}

void
uaef_merkle_level(const uint8 *below, int n, uint8 *nodes)
{
	uint8		both[2][1 + 2 * UAEF_HASH_LEN];

	both[0][0] = both[1][0] = NODE_PREFIX;
	for (; n >= 4; n -= 4)
	{
		UaefHashed	hashed[2] = {
			{both[0], sizeof(both[0]), nodes},
			{both[1], sizeof(both[1]), nodes + UAEF_HASH_LEN}
		};

		memcpy(both[0] + 1, below, 2 * UAEF_HASH_LEN);
		memcpy(both[1] + 1, below + 2 * UAEF_HASH_LEN, 2 * UAEF_HASH_LEN);
		uaef_sha256_two(&hashed[0], &hashed[1]);
		below += 4 * UAEF_HASH_LEN;
		nodes += 2 * UAEF_HASH_LEN;
	}
	if (n > 0)
		uaef_merkle_combine(below, below + UAEF_HASH_LEN, nodes);
}

void
uaef_merkle_perfect(const uint8 *nodes, int n, uint8 *root)
{
	uint8		level[UAEF_PERFECT_MAX / 2 * UAEF_HASH_LEN];

	Assert(n >= 1 && n <= UAEF_PERFECT_MAX);
	if (n > 1)
	{
		uaef_merkle_level(nodes, n, level);
		for (n /= 2; n > 1; n /= 2)
			uaef_merkle_level(level, n, level);
		nodes = level;
	}
	memcpy(root, nodes, UAEF_HASH_LEN);
}

/* ----------
 * Growing
 * ----------
 */

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
		uaef_merkle_combine(frontier->node[frontier->n - 1],
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
		uaef_sha256(NULL, 0, root);
		return;
	}
	memcpy(root, frontier->node[frontier->n - 1], UAEF_HASH_LEN);
	for (int i = frontier->n - 2; i >= 0; i--)
		uaef_merkle_combine(frontier->node[i], root, root);
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

/* ----------
 * Roots and proofs
 * ----------
 */

/*
 * The largest power of two below n, which is at least 2.
 */
static uint64
split_point(uint64 n)
{
	return UINT64CONST(1) << pg_leftmost_one_pos64(n - 1);
}

/*
 * The root over n leaves from start on.  In all of RFC 6962's subtrees, start
 * is a multiple of every power of two up to n, so perfect subtrees make it up.
 */
static void
range_root(UaefNodeReader read, void *arg, uint64 start, uint64 n,
		   uint8 *root)
{
	UaefFrontier frontier;

	uaef_frontier_init(&frontier);
	for (int level = 63; level >= 0; level--)
	{
		if ((n >> level & 1) == 0)
			continue;
		read(arg, level, start >> level, frontier.node[frontier.n++]);
		start += UINT64CONST(1) << level;
	}
	uaef_frontier_root(&frontier, root);
}

void
uaef_merkle_root(UaefNodeReader read, void *arg, uint64 size, uint8 *root)
{
	range_root(read, arg, 0, size, root);
}

static void
add_range(UaefNodeReader read, void *arg, uint64 start, uint64 n,
		  UaefProof *proof)
{
	range_root(read, arg, start, n, proof->hash[proof->n++]);
}

/*
 * The way down from the root finds the hashes in the order from the top;
 * a proof has them from the bottom.
 */
static void
reverse(UaefProof *proof)
{
	for (int i = 0, j = proof->n - 1; i < j; i++, j--)
	{
		uint8		hash[UAEF_HASH_LEN];

		memcpy(hash, proof->hash[i], UAEF_HASH_LEN);
		memcpy(proof->hash[i], proof->hash[j], UAEF_HASH_LEN);
		memcpy(proof->hash[j], hash, UAEF_HASH_LEN);
	}
}

void
uaef_merkle_inclusion(UaefNodeReader read, void *arg, uint64 leaf,
					  uint64 size, UaefProof *proof)
{
	uint64		start = 0;
	uint64		n = size;

	Assert(leaf < size);
	proof->n = 0;
	while (n > 1)
	{
		uint64		k = split_point(n);

		if (leaf - start < k)
		{
			add_range(read, arg, start + k, n - k, proof);
			n = k;
		}
		else
		{
			add_range(read, arg, start, k, proof);
			start += k;
			n -= k;
		}
	}
	reverse(proof);
}

void
uaef_merkle_consistency(UaefNodeReader read, void *arg, uint64 old_size,
						uint64 new_size, UaefProof *proof)
{
	uint64		start = 0;
	uint64		m = old_size;
	uint64		n = new_size;
	bool		whole = true;	/* the old tree is all of what we stand on */

	Assert(old_size <= new_size);
	proof->n = 0;
	if (old_size == 0 || old_size == new_size)
		return;
	while (m != n)
	{
		uint64		k = split_point(n);

		if (m <= k)
		{
			add_range(read, arg, start + k, n - k, proof);
			n = k;
		}
		else
		{
			add_range(read, arg, start, k, proof);
			start += k;
			m -= k;
			n -= k;
			whole = false;
		}
	}

	/* The verifier knows the root of the old tree itself. */
	if (!whole)
		add_range(read, arg, start, n, proof);
	reverse(proof);
}

/*
 * The part of a multiproof for the n leaves from start on; of the leaves that
 * are proved, count are among them.
 */
static void
add_subtree(const Multiproof *to, uint64 start, uint64 n, const int64 *leaves,
			int count)
{
	uint64		k;
	int			left = 0;

	if (count == 0)
	{
		uint8		root[UAEF_HASH_LEN];

		range_root(to->read, to->arg, start, n, root);
		to->take(to->take_arg, root);
		return;
	}
	if (n == 1)
		return;
	k = split_point(n);
	while (left < count && leaves[left] < start + k)
		left++;
	add_subtree(to, start, k, leaves, left);
	add_subtree(to, start + k, n - k, leaves + left, count - left);
}

void
uaef_merkle_multiproof(UaefNodeReader read, void *arg, const int64 *leaves,
					   int n, uint64 size, UaefHashTaker take, void *take_arg)
{
	Multiproof	to = {read, arg, take, take_arg};

	if (size > 0)
		add_subtree(&to, 0, size, leaves, n);
}
