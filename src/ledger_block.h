/*-------------------------------------------------------------------------
 *
 * ledger_block.h
 *	  One row of uaef.ledger_block, as the sealer writes it and the verifier
 *	  reads it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_LEDGER_BLOCK_H
#define UAEF_LEDGER_BLOCK_H

#include "access/htup.h"
#include "access/tupdesc.h"
#include "utils/snapshot.h"

#include "merkle.h"

/* Columns of uaef.ledger_block. */
enum
{
	UAEF_BLOCK_NO = 1,
	UAEF_BLOCK_FIRST_LEAF,
	UAEF_BLOCK_LEAF_COUNT,
	UAEF_BLOCK_TREE_SIZE,
	UAEF_BLOCK_TREE_ROOT,
	UAEF_BLOCK_PREV_HASH,
	UAEF_BLOCK_HASH,
	UAEF_BLOCK_EVENT_IDS,
	UAEF_BLOCK_FIRST_EVENT_ID,
	UAEF_BLOCK_LAST_EVENT_ID,
	UAEF_BLOCK_FRONTIER,
	UAEF_BLOCK_SNAPSHOT,
	UAEF_BLOCK_INCARNATION,
	UAEF_BLOCK_TIMELINE,
	UAEF_BLOCK_FOREIGN_EVENT_ID,
	UAEF_BLOCK_SEALED_AT
};
#define UAEF_BLOCK_COLUMNS UAEF_BLOCK_SEALED_AT

typedef struct UaefBlock
{
	int64		no;				/* from 1 */
	int64		first_leaf;		/* index in the tree, from 0 */
	int64		leaf_count;
	int64		tree_size;		/* leaves up to the end of this block */
	uint8		tree_root[UAEF_HASH_LEN];
	uint8		prev_hash[UAEF_HASH_LEN];
	uint8		hash[UAEF_HASH_LEN];
	void	   *event_array;	/* what event_ids points into; palloc'd */
	int64	   *event_ids;		/* leaf_count of them */
	int64		first_event_id; /* as the row has it */
	int64		last_event_id;
	UaefFrontier frontier;
	char	   *snapshot;		/* text form of pg_snapshot */
	char	   *incarnation;
	int32		timeline;
	int64		foreign_event_id;
	TimestampTz sealed_at;
} UaefBlock;

/* A snapshot as a block keeps it: which transactions it sees. */
typedef struct UaefSeen
{
	uint64		xmax;
	uint64	   *xip;			/* sorted */
	int			nxip;
} UaefSeen;

/* What stands before the first block: an empty tree. */
extern void uaef_block_genesis(UaefBlock *block);

/*
 * Take a row apart, in palloc'd memory; false when it is not well formed, then
 * only no is sure to be set.
 */
extern bool uaef_block_read(HeapTuple tuple, TupleDesc desc, UaefBlock *block);

/*
 * Those columns of a row, none null, whose every value means something; leaves
 * the snapshot and the arrays alone.
 */
extern void uaef_block_read_columns(const Datum *values, UaefBlock *block);

/* The text of a pg_snapshot; NULL when its bytes are none. */
extern char *uaef_block_snapshot(Datum value);

/* The last block that a snapshot sees, or the genesis block. */
extern void uaef_block_last(Snapshot snapshot, UaefBlock *block);

/*
 * The event_ids of all blocks that a snapshot sees, sorted; returns how many.
 * An id that is listed twice is there twice.  Raises if a block is damaged.
 */
extern int64 uaef_block_event_ids(Snapshot snapshot, int64 **ids);

/* Sort ids; where a sorted array has one, or NULL. */
extern void uaef_block_sort_ids(int64 *ids, int64 n);
extern const int64 *uaef_block_find(const int64 *ids, int64 n,
									int64 event_id);

/* Parse the text of a snapshot; tell whether it sees a transaction. */
extern void uaef_seen_parse(UaefSeen *seen, const char *text);
extern bool uaef_seen(const UaefSeen *seen, uint64 tx);

/* The hash of a block's header. */
extern void uaef_block_hash(const UaefBlock *block, uint8 *hash);

/* The cluster and database, whose transaction ids are comparable. */
extern char *uaef_block_incarnation(void);

/* The timeline that the server writes WAL on. */
extern int32 uaef_block_timeline(void);

#endif							/* UAEF_LEDGER_BLOCK_H */
