/*-------------------------------------------------------------------------
 *
 * merkle.h
 *	  The tree of RFC 6962: growing it, its roots, and proofs of them.
 *
 * Pure: hashes in, hashes out.  Where the nodes of a tree are kept is for the
 * caller to know, who gives a function that finds them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_MERKLE_H
#define UAEF_MERKLE_H

#include "event_hash.h"

#define UAEF_FRONTIER_MAX 64

/* A proof for a tree of less than 2^63 leaves has no more hashes. */
#define UAEF_PROOF_MAX 64

/*
 * Of a growing tree only its right edge is needed: the roots of the perfect
 * subtrees that its size, in binary, is made of.
 */
typedef struct UaefFrontier
{
	uint64		size;			/* leaves */
	int			n;				/* perfect subtrees: bits set in size */
	uint8		node[UAEF_FRONTIER_MAX][UAEF_HASH_LEN]; /* largest first */
} UaefFrontier;

typedef struct UaefProof
{
	int			n;
	uint8		hash[UAEF_PROOF_MAX][UAEF_HASH_LEN];
} UaefProof;

/*
 * The root of the perfect subtree over the leaves index << level to
 * (index + 1) << level, of which all are in the tree.
 */
typedef void (*UaefNodeReader) (void *arg, int level, uint64 index,
								uint8 *hash);

/* The node over two others. */
extern void uaef_merkle_combine(const uint8 *left, const uint8 *right,
								uint8 *node);

/*
 * The nodes over n nodes of one level, n being even.  They may go where those
 * are, or behind them.
 */
extern void uaef_merkle_level(const uint8 *below, int n, uint8 *nodes);

/* The root over n nodes of one level, n being a power of two up to this. */
#define UAEF_PERFECT_MAX 256
extern void uaef_merkle_perfect(const uint8 *nodes, int n, uint8 *root);

extern void uaef_frontier_init(UaefFrontier *frontier);
extern void uaef_frontier_append(UaefFrontier *frontier, const uint8 *leaf);
extern void uaef_frontier_root(const UaefFrontier *frontier, uint8 *root);

/*
 * Set a frontier from the nodes of a tree of this size, as they are kept in a
 * column; false when their number does not fit the size.
 */
extern bool uaef_frontier_load(UaefFrontier *frontier, uint64 size,
							   const uint8 *nodes, size_t len);

/* The root of the tree of a size. */
extern void uaef_merkle_root(UaefNodeReader read, void *arg, uint64 size,
							 uint8 *root);

/* That a leaf (its index is below size) is in the tree of a size. */
extern void uaef_merkle_inclusion(UaefNodeReader read, void *arg, uint64 leaf,
								  uint64 size, UaefProof *proof);

/*
 * That the tree of old_size is the beginning of that of new_size, which is
 * not below.  Nothing needs to be proved of an empty or an equal tree.
 */
extern void uaef_merkle_consistency(UaefNodeReader read, void *arg,
									uint64 old_size, uint64 new_size,
									UaefProof *proof);

/*
 * One proof that several leaves are in the tree of a size: their indexes rise
 * and are below it.  Going down from the root, left before right, it has the
 * root of each subtree that none of them is in; they are handed out one by
 * one.
 */
typedef void (*UaefHashTaker) (void *arg, const uint8 *hash);
extern void uaef_merkle_multiproof(UaefNodeReader read, void *arg,
								   const int64 *leaves, int n, uint64 size,
								   UaefHashTaker take, void *take_arg);

#endif							/* UAEF_MERKLE_H */
