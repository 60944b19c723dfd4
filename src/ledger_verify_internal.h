/*-------------------------------------------------------------------------
 *
 * ledger_verify_internal.h
 *	  What the parts of the verifier share.
 *
 * The check of a ledger goes in these steps; the middle one is shared out
 * among processes:
 *
 *	1. blocks (ledger_verify_block.c): headers, links, and which events they
 *	   list, as a set of event_ids (ledger_verify_leaf.c)
 *	2. chunks: pages of events (ledger_verify_event.c), in the order of the
 *	   table, with the pieces of streams that come to light
 *	   (ledger_verify_chain.c); tiles of leaves (ledger_verify_tree.c)
 *	3. what only the whole shows: pieces that do not join, leaves without
 *	   events, roots, checkpoints
 *
 * What all processes read or count is in one piece of memory without pointers
 * (VerifyPlan), so that it can be copied into a segment of shared memory.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_LEDGER_VERIFY_INTERNAL_H
#define UAEF_LEDGER_VERIFY_INTERNAL_H

#include "port/atomics.h"
#include "storage/dsm.h"
#include "storage/shm_toc.h"
#include "utils/hsearch.h"
#include "utils/tuplesort.h"

#include "event_hash.h"
#include "heap_read.h"
#include "ledger_block.h"
#include "ledger_report.h"
#include "ledger_retire.h"
#include "ledger_tree.h"

/* Ids that one page of the set of sealed events covers. */
#define ID_PAGE_BITS	12
#define ID_PAGE_IDS		(1 << ID_PAGE_BITS)
#define ID_PAGE_WORDS	(ID_PAGE_IDS / 64)

/*
 * Some event_ids: which are sealed, which have been seen, and the sum of a
 * keyed function of (event_id, hash), over events less over leaves of tiles.
 * It is 0 in the end if each event is its leaf.
 */
typedef struct IdPage
{
	int64		no;				/* event_id >> ID_PAGE_BITS */
	pg_atomic_uint64 difference;
	uint64		sealed[ID_PAGE_WORDS];
	pg_atomic_uint64 seen[ID_PAGE_WORDS];
} IdPage;

/* A block, as far as it is needed more than once. */
typedef struct BlockRef
{
	int64		no;
	int64		first_leaf;		/* where its events stand in the tree */
	int64		leaf_count;		/* how many it lists */
	int64		lowest;			/* of the event_ids that it lists */
	int64		highest;
	bool		sound;			/* its row is well formed */
	ItemPointerData tid;
	TimestampTz sealed_at;
	uint8		hash[UAEF_HASH_LEN];
	uint8		root[UAEF_HASH_LEN];
} BlockRef;

/* A full tile of leaves. */
typedef struct TileRef
{
	ItemPointerData tid;		/* invalid: it is missing */
	bool		sound;			/* stored is computed */
	uint8		stored[UAEF_HASH_LEN];
	uint8		computed[UAEF_HASH_LEN];
} TileRef;

/* A leaf that is in no full tile yet. */
typedef struct TailLeaf
{
	int64		event_id;
	bool		seen;
	uint8		stored[UAEF_HASH_LEN];
	uint8		computed[UAEF_HASH_LEN];
} TailLeaf;

/* Leaves whose events were moved away, as events tell. */
typedef struct LeafRange
{
	int64		first;
	int64		end;			/* the leaf after the last */
} LeafRange;

typedef struct VerifyPlan
{
	Size		size;			/* of all of it */
	pg_uuid_t	ledger_id;
	pg_uuid_t	seal_stream;
	uint64		key[2];			/* of this run */

	/* What the last block must have had. */
	bool		listing;		/* the next four are valid */
	int64		foreign_event_id;
	uint64		next_tx;		/* no event has this transaction */
	int64		next_event_id;	/* or this number, or a later one */
	uint64		xmax;

	/* The work, in chunks. */
	BlockNumber pages;			/* of events to scan */
	BlockNumber pages_per_chunk;
	int64		first_tile;
	int64		page_chunks;
	int64		chunks;			/* with those of tiles */
	int64		tree_size;
	int64		first_leaf;		/* events before it are not looked for */

	/* Arrays that follow: their places and lengths. */
	Size		ids_at,
				blocks_at,
				tiles_at,
				tail_at,
				retired_at,
				xip_at;
	int64		nids,
				nblocks,
				ntiles,
				ntail,
				nretired,
				nxip;
	int64		tail_lowest;	/* lowest event_id of the tail */

	/* What is above is read for each event, what is below written all along. */
	char		apart[PG_CACHE_LINE_SIZE];
	pg_atomic_uint64 next_chunk;
	pg_atomic_uint64 events;	/* that were looked at */
	pg_atomic_uint64 damaged;	/* rows that cannot be taken apart */
	pg_atomic_uint64 pages_done;
	char		apart_too[PG_CACHE_LINE_SIZE];
} VerifyPlan;

#define PLAN_IDS(plan)		((IdPage *) ((char *) (plan) + (plan)->ids_at))
#define PLAN_BLOCKS(plan)	((BlockRef *) ((char *) (plan) + (plan)->blocks_at))
#define PLAN_TILES(plan)	((TileRef *) ((char *) (plan) + (plan)->tiles_at))
#define PLAN_TAIL(plan)		((TailLeaf *) ((char *) (plan) + (plan)->tail_at))
#define PLAN_RETIRED(plan) \
	((LeafRange *) ((char *) (plan) + (plan)->retired_at))
#define PLAN_XIP(plan)		((uint64 *) ((char *) (plan) + (plan)->xip_at))

/* Tiles that one chunk has. */
#define TILES_PER_CHUNK 64

/* ----------
 * What a process finds out for the steps that follow, besides problems
 * ----------
 */
typedef enum RecordKind
{
	RECORD_PIECE,
	RECORD_NEWS					/* of a block */
} RecordKind;

/* len comes first, as in a MinimalTuple, for SharedTuplestore looks there. */
typedef struct Record
{
	uint32		len;
	RecordKind	kind;
} Record;

/* An event as the one after it sees it. */
typedef struct Link
{
	int64		seq;
	int64		event_id;		/* 0: says nothing */
	TimestampTz recorded_at;
	uint8		stored[UAEF_HASH_LEN];
	uint8		computed[UAEF_HASH_LEN];
} Link;

/* Events of a stream, one after another without a gap. */
typedef struct Piece
{
	Record		record;
	pg_uuid_t	stream;
	int64		first_seq;
	int64		first_event_id;
	TimestampTz first_recorded_at;
	uint8		first_prev_hash[UAEF_HASH_LEN];
	ItemPointerData first_tid;
	Link		last;
} Piece;

/* What an event of the ledger tells of a block. */
typedef struct News
{
	Record		record;
	pg_uuid_t	stream;
	int64		stream_seq;
	int64		event_id;
	int64		about;			/* block_no */
	char		hash[2 * UAEF_HASH_LEN + 1];
	char		root[2 * UAEF_HASH_LEN + 1];
} News;

/* ----------
 * One process's work
 * ----------
 */
typedef struct VerifyScan VerifyScan;
typedef struct Growing Growing;

/* A row of a table that is walked. */
typedef void (*VerifyRow) (VerifyScan *scan, ItemPointer tid, Datum *values,
						   bool *nulls);

struct VerifyScan
{
	VerifyPlan *plan;
	const UaefRetired *retired; /* leaves; only in the process that leads */
	const UaefReport *report;
	UaefHeap	events;
	UaefHeap	blocks;
	UaefHeap	tiles;
	MemoryContext context;		/* for what lasts as long as the scan */
	MemoryContext row_context;	/* reset for each row */
	ResourceOwner owner;		/* of files that are written */

	/* The pieces that are still growing. */
	HTAB	   *pieces;
	Growing    *growing;		/* the last one that was looked at, or NULL */
	int64		max_pieces;
	void		(*put_record) (VerifyScan *scan, Record *record);
	void	   *put_arg;

	/* The page of the set that was used last, and what to add to it. */
	IdPage	   *page;
	uint64		sum;
	uint64		events_seen;
	uint64		damaged;		/* rows that cannot be taken apart */

	/* Where the walk is, for going on behind an error. */
	UaefHeap   *walked;
	const char *table;
	VerifyRow	row;
	BlockNumber block;
	BlockNumber end;
	OffsetNumber done;
	OffsetNumber at;
	bool		skip[MaxHeapTuplesPerPage + 1];
	int64		at_tile;		/* the same for tiles */
	int64		end_tile;
	void	   *upper_tiles;	/* that were found (ledger_verify_tree.c) */
	TimestampTz told_at;		/* when progress was told last; 0: never */

	void	   *arg;			/* of the step that runs */
};

/* ledger_verify_parallel.c */

/*
 * Run a step; NULL, or the server's words when it raised, which then has had
 * no effect on what the server keeps.  Being cancelled is raised on.
 */
extern const char *uaef_verify_protected(VerifyScan *scan,
										 void (*step) (VerifyScan *scan));

/* ledger_verify_event.c */
extern void uaef_verify_walk(VerifyScan *scan, UaefHeap *heap,
							 const char *table, VerifyRow row,
							 BlockNumber from, BlockNumber to, bool protect);
extern void uaef_verify_event_row(VerifyScan *scan, ItemPointer tid,
								  Datum *values, bool *nulls);

/*
 * What can be said of an event by itself; computed becomes its hash.  False
 * when it lacks a column that every event has, so that there is no more to say.
 */
extern bool uaef_verify_event_alone(const UaefReport *report,
									const pg_uuid_t *ledger_id,
									const UaefPlace *place,
									const Datum *values, const bool *nulls,
									uint8 *computed);
extern UaefPlace uaef_verify_place(const Datum *values, const bool *nulls,
								   ItemPointer tid);

/* ledger_verify_chain.c */
extern void uaef_verify_chain_begin(VerifyScan *scan, int64 memory);
extern void uaef_verify_chain_add(VerifyScan *scan, const Piece *event);
extern void uaef_verify_chain_flush(VerifyScan *scan);

/* Pieces that are being sorted. */
typedef struct PieceSort
{
	Tuplesortstate *sort;
	struct TupleTableSlot *slot;
} PieceSort;

extern void uaef_verify_chain_sort(PieceSort *sort);
extern void uaef_verify_chain_put(PieceSort *sort, const Piece *piece);

/*
 * Report where sorted pieces do not join.  whole: streams begin with 1, or
 * behind what is retired; else the event before the first piece of a stream is
 * read.
 */
extern void uaef_verify_chain_join(VerifyScan *scan, PieceSort *sort,
								   bool whole);

/* Whether an event follows another, NULL being the beginning of the stream. */
extern void uaef_verify_link(const UaefReport *report,
							 const pg_uuid_t *ledger_id, const Link *previous,
							 const Piece *event);

/* ledger_verify_leaf.c */
typedef struct IdSet IdSet;

extern IdSet *uaef_verify_ids_new(void);

/* A leaf whose event is not known. */
#define NO_EVENT PG_INT64_MIN

/*
 * Add ids, fastest where many rise; returns how many there are before the
 * first that is there already, behind which nothing is added.
 */
extern int64 uaef_verify_ids_add(IdSet *set, const int64 *ids, int64 n);
extern int64 uaef_verify_ids_pages(const IdSet *set);
extern void uaef_verify_ids_copy(const IdSet *set, VerifyPlan *plan);
extern bool uaef_verify_sealed(VerifyScan *scan, int64 event_id);

/*
 * Take a sealed event or a leaf into account.  The first returns false when
 * the number was seen before.
 */
extern bool uaef_verify_leaf_event(VerifyScan *scan, int64 event_id,
								   const uint8 *stored, const uint8 *computed);
extern void uaef_verify_leaf_tile(VerifyScan *scan, int64 event_id,
								  const uint8 *hash);
extern void uaef_verify_leaf_flush(VerifyScan *scan);

/* Report sealed events that were not seen, and those that are not their leaf. */
extern void uaef_verify_leaves(VerifyScan *scan);

/* ledger_verify_block.c */
typedef struct BlockList
{
	BlockRef   *refs;			/* by number */
	int64		n;
	IdSet	   *ids;
	UaefBlock	last;			/* the last sound one; no is 0 if there is
								 * none */
} BlockList;

/* What a block's row says, sound or not; ids only if asked for. */
typedef struct BlockRow
{
	UaefBlock	block;
	bool		sound;
	int64		nids;			/* in event_ids, whatever leaf_count says */
	int64		misplaced;		/* leaf of the block that is below the one
								 * before; 0: the ids rise */
	int64		misplaced_id;
	bool		has_frontier;
} BlockRow;

extern void uaef_verify_list_blocks(VerifyScan *scan, int64 from_block,
									const UaefRetired *retired,
									BlockList *list);

/*
 * False when there is no such row any more, or it is damaged.  Ids that do not
 * rise are put in order: that they did not is one fault of the block, not one
 * of each event.
 */
extern bool uaef_verify_read_block(UaefHeap *heap, ItemPointer tid,
								   bool with_ids, BlockRow *row);

/* What a block's header says, by itself and of the block before it. */
extern void uaef_verify_header(const UaefReport *report,
							   const UaefBlock *before,
							   const UaefBlock *block);

/* The index of the block that has a leaf, or -1. */
extern int64 uaef_verify_block_of_leaf(const VerifyPlan *plan, int64 leaf);
extern void uaef_verify_news(const UaefReport *report, const VerifyPlan *plan,
							 const News *news);

/* ledger_verify_tree.c */
extern void uaef_verify_list_tiles(VerifyScan *scan);
extern void uaef_verify_tiles(VerifyScan *scan, int64 from, int64 to,
							  bool protect);
extern void uaef_verify_roots(VerifyScan *scan, int64 from_block);

/* The events of n leaves from one on; NO_EVENT where no block says. */
extern void uaef_verify_ids_of_leaves(VerifyScan *scan, int64 first, int64 n,
									  int64 *ids);

/* The hashes of a tile; NULL when they are not 256. */
extern const uint8 *uaef_verify_tile_hashes(VerifyScan *scan, int64 tile_no);

/* ledger_verify_parallel.c, again */
extern void uaef_verify_scan_begin(VerifyScan *scan, VerifyPlan *plan,
								   const UaefReport *report,
								   Snapshot snapshot);
extern void uaef_verify_scan_end(VerifyScan *scan);

/*
 * All chunks of the plan, by jobs processes.  Records go to put_record of
 * scan, in this process.
 */
extern void uaef_verify_chunks(VerifyScan *scan, int jobs);
extern void uaef_verify_progress(VerifyScan *scan);
extern PGDLLEXPORT void uaef_verify_worker(dsm_segment *segment, shm_toc *toc);

/* ledger_verify_tail.c */

/* Look at the events of the plan's set, and at those that are not sealed. */
extern void uaef_verify_new_events(VerifyScan *scan);

/* Look at some older events, by chance; returns how many. */
extern int64 uaef_verify_sample(VerifyScan *scan, int sample);

#endif							/* UAEF_LEDGER_VERIFY_INTERNAL_H */
