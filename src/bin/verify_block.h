/*-------------------------------------------------------------------------
 *
 * verify_block.h
 *	  Rows as JSON objects: blocks, and how columns are read.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VERIFY_BLOCK_H
#define VERIFY_BLOCK_H

#include "verify_json.h"

/* Which transactions a sealing saw. */
typedef struct Snapshot
{
	uint64_t	xmax;
	uint64_t   *xip;			/* sorted */
	size_t		xips;
} Snapshot;

typedef struct Block
{
	int64_t		no;
	size_t		arrival;		/* order in the export, for blocks set aside */
	int64_t		first_leaf;
	int64_t		leaf_count;
	int64_t		tree_size;
	uint8_t		tree_root[HASH_LEN];
	uint8_t		prev_hash[HASH_LEN];
	uint8_t		hash[HASH_LEN];
	int64_t    *event_ids;		/* NULL: not stated, as in a tiles folder */
	size_t		ids;
	int64_t		first_event_id; /* as stated */
	int64_t		last_event_id;
	uint8_t    *frontier;		/* NULL: not stated */
	size_t		frontier_len;
	char	   *snapshot_text;
	Snapshot	snapshot;
	char	   *incarnation;
	int64_t		timeline;
	int64_t		foreign_event_id;
	int64_t		sealed_at;
} Block;

/*
 * Columns of a row; false when the column is not there, null or not of the
 * type.  Numbers may stand as JSON strings.
 */
extern bool row_number(const Json *json, const char *column, int64_t *value);
extern bool row_xid(const Json *json, const char *column, uint64_t *value);
extern bool row_time(const Json *json, const char *column, int64_t *us);
extern bool row_uuid(const Json *json, const char *column, uint8_t *uuid);
extern bool row_hash(const Json *json, const char *column, uint8_t *hash);
extern bool row_text(const Json *json, const char *column, Slice *text);

/* Whether a column is there and not null. */
extern bool row_has(const Json *json, const char *column);

/* Append the bytes of a bytea. */
extern bool row_bytes(const Json *json, const char *column, Buffer *bytes);

/*
 * Members of an object that is no row; strict about their types.
 */
extern bool member_number(const Json *json, const JsonNode *object,
						  const char *key, int64_t *number);
extern bool member_hash(const Json *json, const JsonNode *object,
						const char *key, uint8_t *hash);
extern bool member_text(const Json *json, const JsonNode *object,
						const char *key, Slice *text);

/*
 * Read a block; returns NULL or the column that is bad; then block->no is
 * right or 0, and there is nothing to free.  brief: what can be computed from
 * the leaves need not be there.
 */
extern const char *block_read(const Json *json, bool brief, Block *block);
extern void block_free(Block *block);

extern void block_hash(const Block *block, const uint8_t *ledger,
					   uint8_t *hash);

/* Whether a block's sealing saw a transaction. */
extern bool snapshot_sees(const Snapshot *snapshot, uint64_t tx);

#endif							/* VERIFY_BLOCK_H */
