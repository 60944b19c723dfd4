/*-------------------------------------------------------------------------
 *
 * verify_ledger.c
 *	  A ledger as it is checked: blocks and what is known at the end.
 *
 * A problem is reported where it is, and the check goes on from what is
 * stored there, so that one damage does not make all behind it look wrong.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "verify_ledger.h"

void
ledger_begin(Ledger *ledger, const uint8_t *id, bool late)
{
	static const uint8_t no_stream[UUID_LEN] = {0};

	memcpy(ledger->id, id, UUID_LEN);
	ledger->id_known = true;
	ledger->late = late;
	derived_stream(id, "seal", 0, ledger->seal_stream);
	derived_stream(id, "keep", 0, ledger->keep_stream);
	ledger->chains = chains_make(id, late);
	genesis_hash(id, no_stream, ledger->before.hash);
	ledger->before_known = !late;
}

void
ledger_take(Ledger *ledger, Found *found)
{
	Found	   *all = &ledger->found;

	report_move(&all->report, &found->report);
	report_write(&all->report);
	for (size_t i = 0; i < found->news.count; i++)
		*list_add(&all->news) = found->news.item[i];
	for (size_t i = 0; i < found->gone.count; i++)
		*list_add(&all->gone) = found->gone.item[i];
	all->without_payload += found->without_payload;
	keeping_move(&all->keeping, &found->keeping);
	found->news.count = found->gone.count = 0;
	found->without_payload = 0;
}

void
ledger_add_note(Ledger *ledger, const char *name, bool outside,
				const char *data, size_t len)
{
	Note	   *note = list_add(&ledger->notes);

	note->name = strdup(name);
	note->outside = outside;
	note->data = get_memory(len);
	note->len = len;
	if (len > 0)
		memcpy(note->data, data, len);
}

/* ----------
 * Events that tell of the ledger itself
 * ----------
 */

void
event_says(const Ledger *ledger, Found *found, const Event *event,
		   int64_t leaf, const Json *json, const JsonNode *payload)
{
	Slice		type = event->field[TAG_EVENT_TYPE];

	if (event->kind != KIND_ENGINE || payload == NULL)
		return;
	if (slice_is(type, "ledger_sealed") &&
		memcmp(event->stream, ledger->seal_stream, UUID_LEN) == 0)
	{
		News		news = {.block_no = 0};

		if (!member_number(json, payload, "block_no", &news.block_no))
			return;
		if (!member_hash(json, payload, "block_hash", news.block_hash))
			memset(news.block_hash, 0, HASH_LEN);
		if (!member_hash(json, payload, "tree_root", news.tree_root))
			memset(news.tree_root, 0, HASH_LEN);
		*list_add(&found->news) = news;
	}
	else if (memcmp(event->stream, ledger->keep_stream, UUID_LEN) == 0)
		keeping_says(&found->keeping, event, leaf, json, payload);
}

void
event_signed(Found *found, const Event *event, const char *text, size_t len)
{
	if (event->field[TAG_SIGNER].data != NULL ||
		event->field[TAG_SIGNATURE].data != NULL)
		keeping_signed(&found->keeping, event, text, len);
}

void
payload_gone(Found *found, const Event *event, bool placed)
{
	Gone	   *gone = list_add(&found->gone);

	memcpy(gone->stream, event->stream, UUID_LEN);
	gone->placed = placed;
	gone->stream_seq = event->stream_seq;
	gone->event_id = event->event_id;
	memcpy(gone->payload_hash, event->field[TAG_PAYLOAD_HASH].data, HASH_LEN);
}

/* ----------
 * Blocks
 * ----------
 */

bool
ledger_skips(const Ledger *ledger, const Block *block)
{
	return ledger->options->from > 0 &&
		block->tree_size <= ledger->options->from;
}

void
block_malformed(Ledger *ledger, int64_t no, const char *column)
{
	Place		place = {.block_no = no};

	report_finding(&ledger->found.report, "BLOCK_CHAIN_BREAK", &place,
				   "the block's row is malformed: %s", column);
}

/*
 * Keep the snapshots of this sealing and the one before; blocks of one
 * sealing share theirs.
 */
static void
next_sealing(Ledger *ledger, const Block *block)
{
	size_t		len = block->snapshot.xips * sizeof(uint64_t);

	if (ledger->current_known &&
		strcmp(ledger->current_text, block->snapshot_text) == 0 &&
		strcmp(ledger->current_incarnation, block->incarnation) == 0)
		return;
	free(ledger->sealing.xip);
	ledger->sealing = ledger->current;
	ledger->sealing_known = ledger->current_known &&
		strcmp(ledger->current_incarnation, block->incarnation) == 0;
	free(ledger->current_text);
	free(ledger->current_incarnation);
	ledger->current = block->snapshot;
	ledger->current.xip = get_memory(len);
	if (len > 0)
		memcpy(ledger->current.xip, block->snapshot.xip, len);
	ledger->current_text = strdup(block->snapshot_text);
	ledger->current_incarnation = strdup(block->incarnation);
	ledger->current_known = true;
}

/*
 * The bounds of event_ids that a block states.
 */
static void
check_bounds(Ledger *ledger, const Block *block)
{
	Place		place = {.block_no = block->no};

	if (block->event_ids == NULL)
		return;
	if (block->ids > 0 &&
		block->first_event_id == block->event_ids[0] &&
		block->last_event_id == block->event_ids[block->ids - 1])
		return;
	if (block->ids > 0)
		report_finding(&ledger->found.report, "ORDER_CHANGED", &place,
					   "first_event_id or last_event_id is not that of event_ids");
}

void
block_begin(Ledger *ledger, const Block *block)
{
	Report	   *report = &ledger->found.report;
	const Block *before = &ledger->before;
	Place		place = {.block_no = block->no};
	uint8_t		hash[HASH_LEN];

	if (ledger->before_known && block->no != before->no + 1)
		report_finding(report, "BLOCK_CHAIN_BREAK", &place,
					   "blocks %lld to %lld are missing",
					   (long long) before->no + 1, (long long) block->no - 1);
	else if (ledger->before_known &&
			 memcmp(block->prev_hash, before->hash, HASH_LEN) != 0)
		report_finding(report, "BLOCK_CHAIN_BREAK", &place,
					   "prev_block_hash is not the hash of the block before it");
	if (ledger->before_known && block->first_leaf != before->tree_size)
		report_finding(report, "ROOT_MISMATCH", &place,
					   "the block does not begin where the tree before it ends");
	if (block->leaf_count != (int64_t) block->ids ||
		block->tree_size != block->first_leaf + block->leaf_count)
		report_finding(report, "ROOT_MISMATCH", &place,
					   "leaf_count or tree_size does not fit the block's events");
	block_hash(block, ledger->id, hash);
	if (memcmp(block->hash, hash, HASH_LEN) != 0)
		report_finding(report, "BLOCK_CHAIN_BREAK", &place,
					   "the header is not what block_hash says");
	if (ledger->before_known && block->sealed_at < before->sealed_at)
		report_finding(report, "TIME_REVERSED", &place,
					   "sealed_at is before that of the block before it");
	for (size_t i = 1; block->event_ids != NULL && i < block->ids; i++)
		if (block->event_ids[i] <= block->event_ids[i - 1])
		{
			place.event_id = block->event_ids[i];
			report_finding(report, "ORDER_CHANGED", &place,
						   "the block's events are not in the order of event_id");
		}
	check_bounds(ledger, block);
	next_sealing(ledger, block);
}

void
block_sees(Ledger *ledger, const Block *block, int64_t event_id, uint64_t tx)
{
	Place		place = {.block_no = block->no,.event_id = event_id};

	if (event_id <= block->foreign_event_id)
		return;
	if (!snapshot_sees(&ledger->current, tx))
		report_finding(&ledger->found.report, "ORDER_CHANGED", &place,
					   "the block's snapshot does not see the event's transaction");
	else if (ledger->sealing_known && snapshot_sees(&ledger->sealing, tx))
		report_finding(&ledger->found.report, "ORDER_CHANGED", &place,
					   "an earlier block should have held the event");
}

static void
check_frontier(Ledger *ledger, const Block *block)
{
	Place		place = {.block_no = block->no};
	Frontier	frontier;
	uint8_t		root[HASH_LEN];

	if (block->frontier == NULL)
		return;
	if (frontier_load(&frontier, block->tree_size, block->frontier,
					  block->frontier_len))
	{
		frontier_root(&frontier, root);
		if (memcmp(root, block->tree_root, HASH_LEN) == 0)
			return;
	}
	report_finding(&ledger->found.report, "ROOT_MISMATCH", &place,
				   "the block's frontier does not give its tree_root");
}

/*
 * Remember where a ledger was when a block was sealed, if it was not there
 * before.  Neighbours are looked at first.
 */
static void
note_lineage(Ledger *ledger, const Block *block)
{
	Lineage    *lineage;

	for (size_t i = ledger->lineages.count; i > 0; i--)
	{
		lineage = &ledger->lineages.item[i - 1];
		if (lineage->timeline == block->timeline &&
			strcmp(lineage->incarnation, block->incarnation) == 0)
			return;
	}
	lineage = list_add(&ledger->lineages);
	lineage->incarnation = strdup(block->incarnation);
	lineage->timeline = block->timeline;
	lineage->block_no = block->no;
}

void
block_done(Ledger *ledger, Block *block, const uint8_t *root, bool known)
{
	Place		place = {.block_no = block->no};
	Mark	   *mark;

	if (known && memcmp(root, block->tree_root, HASH_LEN) != 0)
		report_finding(&ledger->found.report, "ROOT_MISMATCH", &place,
					   "the block's events do not give its tree_root");
	check_frontier(ledger, block);
	mark = list_add(&ledger->marks);
	mark->size = block->tree_size;
	mark->block_no = block->no;
	mark->sealed_at = block->sealed_at;
	memcpy(mark->root, block->tree_root, HASH_LEN);
	memcpy(mark->hash, block->hash, HASH_LEN);
	ledger->blocks++;
	note_lineage(ledger, block);
	block_free(&ledger->before);
	ledger->before = *block;
	ledger->before_known = true;
	free(ledger->before.event_ids);
	ledger->before.event_ids = NULL;
	memset(block, 0, sizeof(Block));
	report_write(&ledger->found.report);
}

/* ----------
 * At the end
 * ----------
 */

/*
 * Payloads that are not there: a redaction tells of it, or they were taken
 * away.
 */
static void
check_gone(Ledger *ledger)
{
	Found	   *found = &ledger->found;

	for (size_t i = 0; i < found->gone.count; i++)
	{
		const Gone *gone = &found->gone.item[i];
		Place		place = {.stream = gone->placed ? gone->stream : NULL,
		.stream_seq = gone->stream_seq,.event_id = gone->event_id};
		int64_t		leaf;

		if (keeping_redacted(&found->keeping, gone->event_id,
							 gone->payload_hash, &leaf))
			report_finding(&found->report, "REDACTED", &place,
						   "the payload was redacted");
		else
			report_finding(&found->report, "PAYLOAD_MISMATCH", &place,
						   "the payload is gone, and no redaction tells of it");
	}
}

static int
compare_marks(const void *a, const void *b)
{
	const Mark *left = a;
	const Mark *right = b;

	return left->block_no < right->block_no ? -1 :
		left->block_no > right->block_no;
}

/*
 * What the ledger tells of its blocks.  A missing block is reported here only
 * if none follows that misses it.
 */
static void
check_news(Ledger *ledger)
{
	Found	   *found = &ledger->found;
	int64_t		last = ledger->before.no;

	for (size_t i = 0; i < found->news.count; i++)
	{
		const News *news = &found->news.item[i];
		Mark		key = {.block_no = news->block_no};
		Place		place = {.block_no = news->block_no};
		const Mark *mark = ledger->marks.count == 0 ? NULL :
			bsearch(&key, ledger->marks.item, ledger->marks.count,
					sizeof(Mark), compare_marks);

		if (mark == NULL && news->block_no > last)
			report_finding(&found->report, "BLOCK_CHAIN_BREAK", &place,
						   "the block is missing, but the event tells of it");
		if (mark == NULL)
			continue;
		if (memcmp(mark->hash, news->block_hash, HASH_LEN) != 0)
			report_finding(&found->report, "BLOCK_CHAIN_BREAK", &place,
						   "the block's hash is not the one that the event tells");
		if (memcmp(mark->root, news->tree_root, HASH_LEN) != 0)
			report_finding(&found->report, "ROOT_MISMATCH", &place,
						   "the block's tree_root is not the one that the event tells");
	}
}

/*
 * Each lineage but that of the first block has been declared.
 */
static void
check_lineages(Ledger *ledger)
{
	Found	   *found = &ledger->found;

	for (size_t i = 0; !ledger->late && i < ledger->lineages.count; i++)
	{
		const Lineage *lineage = &ledger->lineages.item[i];
		Place		place = {.block_no = lineage->block_no};

		if (lineage->block_no > 1 &&
			!keeping_declared(&found->keeping, lineage))
			report_finding(&found->report, "INCARNATION_UNDECLARED", &place,
						   "the ledger went on in %s, timeline %lld, and nobody declared it",
						   lineage->incarnation, (long long) lineage->timeline);
	}
}

void
ledger_end(Ledger *ledger)
{
	chains_end(ledger->chains, &ledger->found.report);
	check_gone(ledger);
	check_lineages(ledger);
	keeping_check_signatures(&ledger->found.keeping, ledger->late,
							 &ledger->found.report);
	if (ledger->blocks_there)
		check_news(ledger);
	report_write(&ledger->found.report);
}
