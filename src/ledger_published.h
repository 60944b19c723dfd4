/*-------------------------------------------------------------------------
 *
 * ledger_published.h
 *	  Signed checkpoints as others get them: with the cosignatures.
 *
 * What is read is what the active snapshot sees.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_LEDGER_PUBLISHED_H
#define UAEF_LEDGER_PUBLISHED_H

#include "ledger_tree.h"

typedef struct UaefPublished
{
	int64		tree_size;
	uint8		root[UAEF_HASH_LEN];
	char	   *note;			/* in the database's encoding */
} UaefPublished;

/* The origin of this ledger, in the database's encoding. */
extern char *uaef_published_origin(void);

/* The newest checkpoint of this ledger; false when there is none. */
extern bool uaef_published_newest(UaefPublished *published);

/* The first one of more than a size and of at most another; or false. */
extern bool uaef_published_after(int64 size, int64 at_most,
								 UaefPublished *published);

/* Say by NOTICE what an export of the tree of a size does not prove. */
extern void uaef_published_tell_missing(int64 tree_size);

/* Raise UA102 unless a checkpoint's root is that of the tree of its size. */
extern void uaef_published_check(const UaefPublished *published,
								 UaefTree *tree);

#endif							/* UAEF_LEDGER_PUBLISHED_H */
