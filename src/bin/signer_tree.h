/*-------------------------------------------------------------------------
 *
 * signer_tree.h
 *	  Whether one tree of RFC 6962 is the beginning of another.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SIGNER_TREE_H
#define SIGNER_TREE_H

#include <stdint.h>

#include "signer_note.h"

/* A proof has no more hashes. */
#define MAX_PROOF 63

typedef struct Proof
{
	int			n;
	unsigned char hash[MAX_PROOF][HASH_LEN];
} Proof;

/* By the algorithm of RFC 9162, 2.1.4.2; both sizes are above 0. */
extern int	tree_is_consistent(const Proof *proof, int64_t old_size,
							   const unsigned char *old_root,
							   int64_t new_size,
							   const unsigned char *new_root);

#endif							/* SIGNER_TREE_H */
