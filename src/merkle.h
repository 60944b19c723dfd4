/*-------------------------------------------------------------------------
 *
 * merkle.h
 *	  The tree of RFC 6962 over events: growing it, and its root.
 *
 * Of a growing tree only its right edge is needed: the roots of the perfect
 * subtrees that its size, in binary, is made of.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_MERKLE_H
#define UAEF_MERKLE_H

#include "event_hash.h"

#define UAEF_FRONTIER_MAX 64

typedef struct UaefFrontier
{
	uint64		size;			/* leaves */
	int			n;				/* perfect subtrees: bits set in size */
	uint8		node[UAEF_FRONTIER_MAX][UAEF_HASH_LEN]; /* largest first */
} UaefFrontier;

extern void uaef_frontier_init(UaefFrontier *frontier);
extern void uaef_frontier_append(UaefFrontier *frontier, const uint8 *leaf);
extern void uaef_frontier_root(const UaefFrontier *frontier, uint8 *root);

/*
 * Set a frontier from the nodes of a tree of this size, as they are kept in a
 * column; false when their number does not fit the size.
 */
extern bool uaef_frontier_load(UaefFrontier *frontier, uint64 size,
							   const uint8 *nodes, size_t len);

#endif							/* UAEF_MERKLE_H */
