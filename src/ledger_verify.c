/*-------------------------------------------------------------------------
 *
 * ledger_verify.c
 *	  Looking for damage in the ledger, and naming its place.
 *
 * A problem is reported where it is and the check goes on from what is stored
 * there, so that one damage does not make everything behind it look wrong.
 * How the work is done is told in ledger_verify_internal.h.
 *
 * All of it proves that the ledger is consistent with itself, and with what
 * the caller brings along.  Whoever can write the tables can make another
 * history that is consistent with itself; only a checkpoint, or a hash of a
 * block, that was kept elsewhere shows that.
 *
 * Locking: none but AccessShareLock.  Events and blocks that are written
 * meanwhile do no harm: a snapshot that sees a block sees its events.
 *
 * Memory: a few bytes for each sealed event, block and tile; pieces of streams
 * up to maintenance_work_mem.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/pg_type_d.h"
#include "ledger_table_pending.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "guc.h"
#include "ledger.h"
#include "ledger_guard.h"
#include "ledger_incarnation.h"
#include "ledger_table_verify.h"
#include "ledger_verify.h"
#include "ledger_verify_anchor.h"
#include "ledger_verify_internal.h"
#include "spi_util.h"

/* Pages of events that a process takes at least. */
#define MIN_PAGES_PER_CHUNK 32

/* How many chunks of pages each process shall find: all wait for the last. */
#define CHUNKS_PER_JOB 128

static int64 read_next_event_id(void);
static VerifyPlan *make_plan(VerifyScan *scan, const BlockList *list,
							 const UaefRetired *retired);
static void fill_plan(VerifyPlan *plan, const BlockList *list,
					  const UaefRetired *retired, const UaefSeen *seen);
static void share_out(VerifyScan *scan, int64 from_block, int jobs);
static void fill_tail(VerifyScan *scan);
static void add_old_leaves(VerifyScan *scan, BlockList *list, int64 from_block);
static void check_trusted(const UaefReport *report, const BlockList *list,
						  const UaefVerifyOptions *options);
static void keep_record(VerifyScan *scan, Record *record);
static void check_unsealed(VerifyScan *scan);
static void check_retirements(VerifyScan *scan);
static void check_incarnations(VerifyScan *scan);
static void check_part(VerifyScan *scan, const char *what,
					   void (*part) (VerifyScan *scan));
static void check_whole(VerifyScan *scan, const UaefVerifyOptions *options,
						UaefVerdict *verdict);

/*
 * Read without regard to the snapshot, after it was taken, the sequence is
 * beyond every event that the snapshot sees.
 */
static int64
read_next_event_id(void)
{
	static UaefQuery query = {
		"SELECT last_value + is_called::integer FROM uaef.ledger_event_id", 0
	};
	int64		next;

	(void) uaef_spi_run(&query, NULL, NULL);
	next = uaef_spi_int64(0, 1);
	SPI_freetuptable(SPI_tuptable);
	return next;
}

/* ----------
 * The plan
 * ----------
 */

static void
fill_plan(VerifyPlan *plan, const BlockList *list, const UaefRetired *retired,
		  const UaefSeen *seen)
{
	plan->ledger_id = *uaef_ledger_id();
	uaef_derive_uuid(&plan->ledger_id, "seal", 0, &plan->seal_stream);
	if (!pg_strong_random(plan->key, sizeof(plan->key)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random bytes")));
	plan->tree_size = list->last.tree_size;
	plan->tail_lowest = PG_INT64_MAX;
	plan->xmax = seen->xmax;
	if (plan->nblocks > 0)
		memcpy(PLAN_BLOCKS(plan), list->refs,
			   plan->nblocks * sizeof(BlockRef));
	for (int64 i = 0; i < plan->nretired; i++)
	{
		PLAN_RETIRED(plan)[i].first = retired->first[i];
		PLAN_RETIRED(plan)[i].end = retired->end[i];
	}
	if (plan->nxip > 0)
		memcpy(PLAN_XIP(plan), seen->xip, plan->nxip * sizeof(uint64));
	memset(PLAN_TILES(plan), 0, plan->ntiles * sizeof(TileRef));
	for (int64 i = 0; i < plan->ntiles; i++)
		ItemPointerSetInvalid(&PLAN_TILES(plan)[i].tid);
	pg_atomic_init_u64(&plan->next_chunk, 0);
	pg_atomic_init_u64(&plan->events, 0);
	pg_atomic_init_u64(&plan->damaged, 0);
	pg_atomic_init_u64(&plan->pages_done, 0);
	uaef_verify_ids_copy(list->ids, plan);
}

static VerifyPlan *
make_plan(VerifyScan *scan, const BlockList *list, const UaefRetired *retired)
{
	VerifyPlan	head = {0};
	UaefSeen	seen = {0};
	VerifyPlan *plan;

	/* Another incarnation's transaction ids would tell us nothing. */
	head.listing = list->last.no > 0 &&
		strcmp(list->last.incarnation, uaef_block_incarnation()) == 0;
	if (head.listing)
	{
		uaef_seen_parse(&seen, list->last.snapshot);
		head.foreign_event_id = list->last.foreign_event_id;
		head.next_tx = U64FromFullTransactionId(ReadNextFullTransactionId());
		head.next_event_id = read_next_event_id();
	}
	head.nids = uaef_verify_ids_pages(list->ids);
	head.nblocks = list->n;
	head.ntiles = list->last.tree_size / UAEF_TILE_WIDTH;
	head.ntail = list->last.tree_size % UAEF_TILE_WIDTH;
	head.nretired = retired->n;
	head.nxip = seen.nxip;

	head.ids_at = MAXALIGN(sizeof(VerifyPlan));
	head.blocks_at = head.ids_at + MAXALIGN(head.nids * sizeof(IdPage));
	head.tiles_at = head.blocks_at + MAXALIGN(head.nblocks * sizeof(BlockRef));
	head.tail_at = head.tiles_at + MAXALIGN(head.ntiles * sizeof(TileRef));
	head.retired_at = head.tail_at + MAXALIGN(head.ntail * sizeof(TailLeaf));
	head.xip_at = head.retired_at +
		MAXALIGN(head.nretired * sizeof(LeafRange));
	head.size = head.xip_at + MAXALIGN(head.nxip * sizeof(uint64));
	plan = MemoryContextAllocHuge(scan->context, head.size);
	*plan = head;
	fill_plan(plan, list, retired, &seen);
	return plan;
}

/*
 * Cut the work into chunks: pages of events, if all are to be looked at, and
 * tiles.
 */
static void
share_out(VerifyScan *scan, int64 from_block, int jobs)
{
	VerifyPlan *plan = scan->plan;
	bool		whole = from_block <= 1;
	int64		first_leaf = plan->tree_size;
	int64		tiles;

	for (int64 i = plan->nblocks - 1; i >= 0; i--)
		if (PLAN_BLOCKS(plan)[i].no >= from_block)
			first_leaf = PLAN_BLOCKS(plan)[i].first_leaf;
	plan->first_tile = whole ? 0 : first_leaf / UAEF_TILE_WIDTH;
	plan->first_leaf = plan->first_tile * UAEF_TILE_WIDTH;
	plan->pages = whole ? RelationGetNumberOfBlocks(scan->events.rel) : 0;
	plan->pages_per_chunk = Max(MIN_PAGES_PER_CHUNK,
								plan->pages / (jobs * CHUNKS_PER_JOB) + 1);
	plan->page_chunks = (plan->pages + plan->pages_per_chunk - 1) /
		plan->pages_per_chunk;
	tiles = Max(0, plan->ntiles - plan->first_tile);
	plan->chunks = plan->page_chunks +
		(tiles + TILES_PER_CHUNK - 1) / TILES_PER_CHUNK;
}

/*
 * The leaves that no full tile has, whose hashes the events themselves give.
 */
static void
fill_tail(VerifyScan *scan)
{
	VerifyPlan *plan = scan->plan;
	int64		ids[UAEF_TILE_WIDTH];

	if (plan->ntail == 0)
		return;
	uaef_verify_ids_of_leaves(scan, plan->tree_size - plan->ntail, plan->ntail,
							  ids);
	for (int64 i = 0; i < plan->ntail; i++)
	{
		TailLeaf   *leaf = &PLAN_TAIL(plan)[i];

		memset(leaf, 0, sizeof(TailLeaf));
		leaf->event_id = ids[i];
		if (ids[i] != NO_EVENT)
			plan->tail_lowest = Min(plan->tail_lowest, ids[i]);
	}
}

/*
 * The tile in which the new leaves begin has some old ones, which are looked
 * at again.
 */
static void
add_old_leaves(VerifyScan *scan, BlockList *list, int64 from_block)
{
	VerifyPlan *plan = scan->plan;
	int64		ids[UAEF_TILE_WIDTH];

	uaef_verify_ids_of_leaves(scan, plan->first_leaf,
							  Min(UAEF_TILE_WIDTH,
								  plan->tree_size - plan->first_leaf), ids);
	for (int64 i = 0; i < UAEF_TILE_WIDTH &&
		 i < plan->tree_size - plan->first_leaf; i++)
		if (ids[i] != NO_EVENT)
			(void) uaef_verify_ids_add(list->ids, &ids[i], 1);
}

/* ----------
 * The parts
 * ----------
 */

/*
 * The block that the caller knows.
 */
static void
check_trusted(const UaefReport *report, const BlockList *list,
			  const UaefVerifyOptions *options)
{
	UaefPlace	place = {.block_no = options->from_block - 1};
	const BlockRef *found = NULL;
	UaefBlock	genesis;
	const uint8 *hash = genesis.hash;

	uaef_block_genesis(&genesis);
	for (int64 i = 0; i < list->n; i++)
		if (list->refs[i].no == place.block_no)
			found = &list->refs[i];
	if (place.block_no > 0)
	{
		if (found == NULL || !found->sound)
		{
			uaef_report_problem(report, "BLOCK_CHAIN_BREAK", &place,
								found == NULL ? "the block does not exist" :
								"the block's row is malformed");
			return;
		}
		hash = found->hash;
	}
	if (options->trusted_hash != NULL &&
		memcmp(options->trusted_hash, hash, UAEF_HASH_LEN) != 0)
	{
		place.expected = uaef_hex(options->trusted_hash, UAEF_HASH_LEN);
		place.actual = uaef_hex(hash, UAEF_HASH_LEN);
		uaef_report_problem(report, "BLOCK_CHAIN_BREAK", &place,
							"the block's hash is not the trusted one");
	}
}

/*
 * What comes to light of blocks is compared at once, pieces are kept.
 */
static void
keep_record(VerifyScan *scan, Record *record)
{
	ResourceOwner owner = CurrentResourceOwner;

	CurrentResourceOwner = scan->owner;
	if (record->kind == RECORD_PIECE)
		uaef_verify_chain_put(scan->put_arg, (Piece *) record);
	else
		uaef_verify_news(scan->report, scan->plan, (News *) record);
	CurrentResourceOwner = owner;
}

/*
 * Events that have waited for a block for too long.
 */
static void
check_unsealed(VerifyScan *scan)
{
	static UaefQuery overdue = {
		"SELECT stream, stream_seq, event_id, NULL::bigint,"
		" pg_catalog.format('the event has not been sealed for more than %s',"
		" pg_catalog.make_interval(secs => $1))"
		" FROM uaef.ledger_unsealed WHERE event_type NOT IN (" UAEF_ECHOES ")"
		" AND recorded_at < clock_timestamp()"
		" - pg_catalog.make_interval(secs => $1)"
		" ORDER BY event_id LIMIT 1",
		1, {FLOAT8OID}
	};
	Datum		args[] = {Float8GetDatum(uaef_seal_overdue_s)};

	uaef_report_rows(scan->report, "UNSEALED_OVERDUE",
					 uaef_spi_run(&overdue, args, NULL));
}

static void
check_retirements(VerifyScan *scan)
{
	uaef_check_retirements(scan->report);
}

static void
check_incarnations(VerifyScan *scan)
{
	uaef_check_incarnations(scan->report);
}

/*
 * What is read by SQL raises when a row is damaged.
 */
static void
check_part(VerifyScan *scan, const char *what, void (*part) (VerifyScan *scan))
{
	const char *problem = uaef_verify_protected(scan, part);
	UaefPlace	place = {0};

	if (problem != NULL)
		uaef_report_problem(scan->report, "HEAP_DAMAGED", &place,
							psprintf("%s cannot be read: %s", what, problem));
}

/*
 * What is asked by SQL.  The server trusts the bytes of a row, and some that are
 * wrong would end it; so nothing is asked while a row is known to be damaged.
 */
static void
check_rest(VerifyScan *scan)
{
	if (scan->damaged + pg_atomic_read_u64(&scan->plan->damaged) > 0)
		return;
	check_part(scan, "what was retired", check_retirements);
	check_part(scan, "the incarnations", check_incarnations);
	check_part(scan, "the events that are not sealed", check_unsealed);
}

/*
 * Everything that is in pages.
 */
static void
check_whole(VerifyScan *scan, const UaefVerifyOptions *options,
			UaefVerdict *verdict)
{
	int64		from_block = Max(options->from_block, 1);
	UaefRetired retired;
	BlockList	list;
	PieceSort	pieces;

	uaef_retired_read(&retired);
	scan->retired = &retired;
	uaef_verify_list_blocks(scan, from_block, &retired, &list);
	check_trusted(scan->report, &list, options);
	scan->plan = make_plan(scan, &list, &retired);
	share_out(scan, from_block, options->jobs);
	if (from_block > 1)
	{
		add_old_leaves(scan, &list, from_block);
		scan->plan = make_plan(scan, &list, &retired);
		share_out(scan, from_block, options->jobs);
	}
	fill_tail(scan);
	uaef_verify_list_tiles(scan);

	uaef_verify_chain_sort(&pieces);
	scan->put_record = keep_record;
	scan->put_arg = &pieces;
	scan->told_at = GetCurrentTimestamp();
	if (from_block > 1)
		uaef_verify_new_events(scan);
	uaef_verify_chunks(scan, options->jobs);
	uaef_verify_chain_join(scan, &pieces, from_block <= 1);
	uaef_verify_leaves(scan);
	uaef_verify_roots(scan, from_block);
	if (from_block > 1)
		verdict->sampled = uaef_verify_sample(scan, options->sample);
	uaef_verify_anchors(scan, options, verdict);

	verdict->events = (int64) pg_atomic_read_u64(&scan->plan->events);
	verdict->sealed = scan->plan->tree_size;
	verdict->blocks = scan->plan->nblocks;
	memcpy(verdict->root, list.last.tree_root, UAEF_HASH_LEN);
}

void
uaef_verify_ledger(const UaefReport *report, const UaefVerifyOptions *options,
				   UaefVerdict *verdict)
{
	UaefCaller	caller = uaef_spi_begin();
	VerifyScan	scan;

	memset(verdict, 0, sizeof(UaefVerdict));
	uaef_pending_rows_write();
	uaef_check_guards(report);
	uaef_check_table_guards(report);
	uaef_verify_scan_begin(&scan, NULL, report, GetActiveSnapshot());
	check_whole(&scan, options, verdict);
	if (options->indexes)
		uaef_check_index_contents(&scan);
	check_rest(&scan);
	uaef_verify_scan_end(&scan);
	uaef_spi_end(caller);
}

char *
uaef_verdict_text(const UaefVerifyOptions *options, const UaefVerdict *verdict,
				  const UaefTally *tally)
{
	StringInfoData text;

	initStringInfo(&text);
	if (tally->errors > 0)
		appendStringInfo(&text, "%lld error%s: the ledger is damaged, or not the one that the checkpoints are of",
						 (long long) tally->errors,
						 tally->errors == 1 ? "" : "s");
	else if (verdict->checkpoint_size > 0)
	{
		appendStringInfo(&text, "consistent with the checkpoint of %lld events%s",
						 (long long) verdict->checkpoint_size,
						 verdict->nsigners > 0 ? " signed by" :
						 ", whose signatures were not verified: no keys were given");
		for (int i = 0; i < verdict->nsigners; i++)
			appendStringInfo(&text, "%s %s", i > 0 ? "," : "",
							 verdict->signers[i]);
		if (verdict->sealed > verdict->checkpoint_size)
			appendStringInfo(&text, "; the %lld events sealed after it are internally consistent only",
							 (long long) (verdict->sealed -
										  verdict->checkpoint_size));
	}
	else if (options->trusted_hash != NULL)
		appendStringInfo(&text, "consistent with block %lld, whose hash was given; what came later is internally consistent only",
						 (long long) options->from_block - 1);
	else
		appendStringInfoString(&text, "internally consistent only: no checkpoint from outside was given");
	if (options->from_block > 1)
		appendStringInfo(&text, "; of the events before block %lld, %lld were looked at, by chance",
						 (long long) options->from_block,
						 (long long) verdict->sampled);
	return text.data;
}
