/*-------------------------------------------------------------------------
 *
 * verify_retired.h
 *	  Events that were moved out of the ledger: rows that say which, and what
 *	  is left of them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VERIFY_RETIRED_H
#define VERIFY_RETIRED_H

#include "verify_ledger.h"

/* Leaves from first to end - 1. */
typedef struct LeafRange
{
	int64_t		first;
	int64_t		end;
} LeafRange;

/* A row of ledger_retirement. */
typedef struct Retirement
{
	int64_t		event_id;		/* 0: malformed */
	char	   *leaves;
	size_t		leaves_len;
	bool		restored;
} Retirement;

/* A row of ledger_retired_head. */
typedef struct RetiredHead
{
	EventRow	row;
	int64_t		leaf;
	size_t		arrival;
} RetiredHead;

/* The hashes of a full tile of leaves. */
typedef struct TileRow
{
	int64_t		number;
	size_t		arrival;
	uint8_t		(*hash)[HASH_LEN];
} TileRow;

typedef struct Retired
{
	LIST(Retirement) retirements;
	LIST(RetiredHead) heads;
	LIST(TileRow) tiles;
	LIST(LeafRange) ranges;		/* that events tell of; sorted */
} Retired;

/* Whether it is a row of this kind; then read it. */
extern bool retired_read(Retired *retired, const Json *json, Slice kind);
extern void retired_move(Retired *to, Retired *from);

/*
 * Once all events that tell of retirements are known: report them, and sort.
 */
extern void retired_settle(Retired *retired, Ledger *ledger);

/* After that: whether a leaf was retired. */
extern bool retired_has(const Retired *retired, int64_t leaf);

/* The hash of a leaf by the rows of tiles; NULL if there is none. */
extern const uint8_t *retired_leaf(const Retired *retired, int64_t leaf);

/*
 * Let streams whose beginning was retired begin behind it, if the head's hash
 * is that of its leaf.
 */
extern void retired_start(Retired *retired, Ledger *ledger);

#endif							/* VERIFY_RETIRED_H */
