/*-------------------------------------------------------------------------
 *
 * verify_lines.c
 *	  Reader of exports as JSON lines (docs/ledger-format.md, 7).
 *
 * The ledger's line is the first; events come before blocks.  Of each event
 * its number, hash and transaction are kept, and the order of the leaves:
 * 52 bytes.
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE				/* memrchr */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "verify_event_row.h"
#include "verify_ledger.h"
#include "verify_progress.h"
#include "verify_retired.h"
#include "verify_work.h"

/* Bytes that are read at a time. */
#define CHUNK (1 << 20)

/* Slots of leaves: without a hash, and, from RETIRED_SLOT on, of a retired one. */
#define NO_SLOT UINT32_MAX
#define RETIRED_SLOT 0x80000000

/* What is kept of an event. */
typedef struct Known
{
	int64_t		event_id;
	uint64_t	tx;
	uint8_t		hash[HASH_LEN];
} Known;

/* A line that belongs below the checkpoint of a size. */
typedef struct Cosignature
{
	int64_t		size;
	char	   *line;
	size_t		len;
} Cosignature;

/* Some lines, and what they are. */
typedef struct Piece
{
	Buffer		text;
	int64_t		first_line;
	int64_t		line;			/* that is looked at */
	int64_t		end;			/* byte of the input behind it */
				LIST(EventRow) events;
				LIST(EventRow) strays;	/* only good for the tree */
				LIST(Block) blocks;
				LIST(Note) notes;
				LIST(Cosignature) cosignatures;
	Found		found;
	Retired		retired;
	int64_t		unknown_rows;
	int64_t		event_line;		/* of the last row that blocks must follow */
	int64_t		block_line;		/* of the first block */
	Buffer		error;
	Json		json;
	Buffer		scratch;
} Piece;

typedef struct Lines
{
	Ledger	   *ledger;
	int			fd;
	const char *name;
	int64_t		size;			/* of the file, 0 if unknown */
	int64_t		read;			/* bytes */
	int64_t		line;
	Buffer		rest;			/* begin of a line */
	bool		at_end;

	Known	   *known;
	size_t		count;
	size_t		room;
	bool		sorted;
	uint8_t    *listed;			/* a bit for each of known */
	uint8_t    *telling;		/* likewise: tells of a redaction, retirement */
	size_t		hint;			/* where the next event may be */
	uint32_t   *order;			/* slot of each leaf */
	size_t		leaves;
	size_t		order_room;
	bool		blocks_begun;
	Retired		retired;
				LIST(const uint8_t *) retired_leaves;

	Frontier	frontier;
	bool		frontier_known;
				LIST(Block) late;
				LIST(Cosignature) cosignatures;
	int64_t		from_event;		/* the export has none before it; or 0 */
	bool		whole;			/* it begins where the ledger does */
} Lines;

/* ----------
 * Lines
 * ----------
 */

/*
 * Whole lines of about a chunk; false at the end.
 */
static bool
read_lines(Lines *lines, Buffer *text)
{
	*text = lines->rest;
	memset(&lines->rest, 0, sizeof(Buffer));
	while (!lines->at_end)
	{
		ssize_t		got;
		char	   *newline;

		buffer_reserve(text, CHUNK);
		got = read(lines->fd, text->data + text->len, CHUNK);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			fatal("could not read \"%s\": %s", lines->name, strerror(errno));
		lines->at_end = got == 0;
		lines->read += got;
		newline = got == 0 ? NULL :
			memrchr(text->data + text->len, '\n', (size_t) got);
		text->len += (size_t) got;
		if (newline == NULL)
			continue;
		buffer_add(&lines->rest, newline + 1,
				   (size_t) (text->data + text->len - newline - 1));
		text->len = (size_t) (newline + 1 - text->data);
		break;
	}
	return text->len > 0;
}

static void *
get_piece(void *reader)
{
	Lines	   *lines = reader;
	Piece	   *piece = get_memory(sizeof(Piece));

	memset(piece, 0, sizeof(Piece));
	piece->first_line = lines->line;
	if (!read_lines(lines, &piece->text))
	{
		buffer_free(&piece->text);
		free(piece);
		return NULL;
	}
	for (const char *p = piece->text.data, *end = p + piece->text.len;
		 (p = memchr(p, '\n', (size_t) (end - p))) != NULL; p++)
		lines->line++;
	piece->end = lines->read - (int64_t) lines->rest.len;
	return piece;
}

/*
 * The next line of a text, without its end; moves on behind it.
 */
static bool
next_line(const char **p, const char *end, Slice *line)
{
	const char *newline;

	if (*p >= end)
		return false;
	newline = memchr(*p, '\n', (size_t) (end - *p));
	line->data = *p;
	line->len = (size_t) ((newline ? newline : end) - *p);
	*p = newline ? newline + 1 : end;
	return true;
}

static bool
is_blank(Slice line)
{
	for (size_t i = 0; i < line.len; i++)
		if (line.data[i] != ' ' && line.data[i] != '\t' && line.data[i] != '\r')
			return false;
	return true;
}

/* ----------
 * Rows
 * ----------
 */

/*
 * Keep an event, as far as its row can be used: for its chain if it is known
 * where it stands there, for the tree if its number and hash are known.
 */
static void
read_event(const Ledger *ledger, Piece *piece)
{
	EventRow	row;
	bool		placed;

	piece->event_line = piece->line;
	if (!event_row_read(ledger, &piece->json, piece->line, &piece->scratch,
						&piece->found, &row, &placed) || row.event_id == 0)
		return;
	if (placed)
		*list_add(&piece->events) = row;
	else
		*list_add(&piece->strays) = row;
}

static void
read_block(Piece *piece)
{
	Block	   *block = list_add(&piece->blocks);
	const char *wrong = block_read(&piece->json, false, block);

	if (piece->block_line == 0)
		piece->block_line = piece->line;
	if (wrong != NULL)
	{
		Place		place = {.block_no = block->no};

		report_finding(&piece->found.report, "BLOCK_CHAIN_BREAK", &place,
					   "line %lld: the block's row is malformed: %s",
					   (long long) piece->line, wrong);
		piece->blocks.count--;
	}
}

static void
read_checkpoint(Piece *piece)
{
	Note	   *note;
	Slice		text;
	char		name[100];

	if (!row_text(&piece->json, "note", &text))
		text = make_slice("", 0);
	snprintf(name, sizeof(name), "line %lld of the export",
			 (long long) piece->line);
	note = list_add(&piece->notes);
	note->name = strdup(name);
	note->outside = false;
	note->data = get_memory(text.len);
	note->len = text.len;
	memcpy(note->data, text.data, text.len);
}

static void
read_cosignature(Piece *piece)
{
	Cosignature *cosignature;
	Slice		line;
	int64_t		size;

	if (!row_number(&piece->json, "tree_size", &size) ||
		!row_text(&piece->json, "line", &line))
		return;
	while (line.len > 0 && line.data[line.len - 1] == '\n')
		line.len--;
	cosignature = list_add(&piece->cosignatures);
	cosignature->size = size;
	cosignature->len = line.len;
	cosignature->line = get_memory(line.len);
	memcpy(cosignature->line, line.data, line.len);
}

static void
read_row(Lines *lines, Piece *piece)
{
	Slice		row;

	if (!row_text(&piece->json, "row", &row))
		buffer_print(&piece->error, "%s:%lld: the line is no row of a ledger",
					 lines->name, (long long) piece->line);
	else if (slice_is(row, "event"))
		read_event(lines->ledger, piece);
	else if (slice_is(row, "block"))
		read_block(piece);
	else if (slice_is(row, "checkpoint"))
		read_checkpoint(piece);
	else if (slice_is(row, "cosignature"))
		read_cosignature(piece);
	else if (slice_is(row, "redaction"))
		;						/* the events tell of it */
	else if (lines->from_event == 0 &&
			 retired_read(&piece->retired, &piece->json, row))
		piece->event_line = piece->line;
	else if (slice_is(row, "ledger"))
		buffer_print(&piece->error, "%s:%lld: there is a second ledger",
					 lines->name, (long long) piece->line);
	else
		piece->unknown_rows++;
}

static void
process_piece(void *reader, void *argument)
{
	Lines	   *lines = reader;
	Piece	   *piece = argument;
	const char *p = piece->text.data;
	const char *end = p + piece->text.len;
	Slice		line;

	for (piece->line = piece->first_line + 1;
		 piece->error.len == 0 && next_line(&p, end, &line); piece->line++)
	{
		if (is_blank(line))
			continue;
		if (!json_read(&piece->json, line.data, line.len))
			buffer_print(&piece->error, "%s:%lld: byte %zu: %s", lines->name,
						 (long long) piece->line, piece->json.error_at + 1,
						 piece->json.error);
		else
			read_row(lines, piece);
	}
	json_free(&piece->json);
	buffer_free(&piece->scratch);
	buffer_free(&piece->text);
}

/* ----------
 * Events, in the order of the input
 * ----------
 */

/*
 * The order of known events: by number, of two with one number by hash.
 */
static int
compare_known(const void *a, const void *b)
{
	const Known *left = a;
	const Known *right = b;

	if (left->event_id != right->event_id)
		return left->event_id < right->event_id ? -1 : 1;
	return memcmp(left->hash, right->hash, HASH_LEN);
}

static void
remember(Lines *lines, const EventRow *row)
{
	Known	   *known;

	if (lines->count == lines->room)
	{
		if (lines->count >= RETIRED_SLOT)
			fatal("more events than 2 billion");
		lines->room = Max(1024, lines->room + lines->room / 2);
		lines->known = more_memory(lines->known, lines->room * sizeof(Known));
	}
	known = &lines->known[lines->count++];
	known->event_id = row->event_id;
	known->tx = row->tx;
	memcpy(known->hash, row->stored, HASH_LEN);
	if (lines->count > 1 && compare_known(known - 1, known) > 0)
		lines->sorted = false;
}

/*
 * The slot of an event; they are asked for in about their order.
 */
static uint32_t
find_known(Lines *lines, int64_t event_id)
{
	size_t		low = 0;
	size_t		high = lines->count;
	size_t		slot = lines->hint;

	if (slot >= lines->count || lines->known[slot].event_id != event_id ||
		(slot > 0 && lines->known[slot - 1].event_id == event_id))
	{
		while (low < high)
		{
			size_t		middle = low + (high - low) / 2;

			if (lines->known[middle].event_id < event_id)
				low = middle + 1;
			else
				high = middle;
		}
		slot = low;
	}
	if (slot >= lines->count || lines->known[slot].event_id != event_id)
		return NO_SLOT;
	lines->hint = slot + 1;
	return (uint32_t) slot;
}

static uint8_t *
make_bits(size_t count)
{
	uint8_t    *bits = calloc(count / 8 + 1, 1);

	if (bits == NULL)
		fatal("out of memory: %zu events", count);
	return bits;
}

static bool
has_bit(const uint8_t *bits, size_t i)
{
	return bits[i / 8] >> i % 8 & 1;
}

static void
set_bit(uint8_t *bits, size_t i)
{
	bits[i / 8] |= (uint8_t) (1 << i % 8);
}

static void
mark_teller(Lines *lines, int64_t event_id)
{
	uint32_t	slot = find_known(lines, event_id);

	if (slot != NO_SLOT)
		set_bit(lines->telling, slot);
}

/*
 * The events of which it matters where in the tree they stand.
 */
static void
mark_tellers(Lines *lines)
{
	const Keeping *keeping = &lines->ledger->found.keeping;

	lines->telling = make_bits(lines->count);
	for (size_t i = 0; i < keeping->redacted.count; i++)
		mark_teller(lines, keeping->redacted.item[i].teller);
	for (size_t i = 0; i < keeping->retired.count; i++)
		mark_teller(lines, keeping->retired.item[i].event_id);
	lines->hint = 0;
}

/*
 * Before the first block: events can be found by number.
 */
static void
begin_blocks(Lines *lines)
{
	if (!lines->sorted)
		qsort(lines->known, lines->count, sizeof(Known), compare_known);
	for (size_t i = 1; i < lines->count; i++)
	{
		Place		place = {.event_id = lines->known[i].event_id};

		if (lines->known[i].event_id == lines->known[i - 1].event_id)
			report_finding(&lines->ledger->found.report, "LEAF_EXTRA", &place,
						   "event_id occurs more than once");
	}
	lines->listed = make_bits(lines->count);
	mark_tellers(lines);
	lines->blocks_begun = true;
	retired_settle(&lines->retired, lines->ledger);
}

/* ----------
 * Blocks, in the order of their numbers
 * ----------
 */

static const uint8_t *
slot_hash(const Lines *lines, uint32_t slot)
{
	return slot >= RETIRED_SLOT ?
		lines->retired_leaves.item[slot - RETIRED_SLOT] :
		lines->known[slot].hash;
}

static void
add_leaf(Lines *lines, uint32_t slot)
{
	if (lines->leaves == lines->order_room)
	{
		lines->order_room = Max(1024, lines->order_room + lines->order_room / 2);
		lines->order = more_memory(lines->order,
								   lines->order_room * sizeof(uint32_t));
	}
	lines->order[lines->leaves++] = slot;
	if (slot == NO_SLOT)
		lines->frontier_known = false;
	else if (lines->frontier_known)
		frontier_append(&lines->frontier, slot_hash(lines, slot));
}

/*
 * A known event is this leaf of the tree.
 */
static void
list_event(Lines *lines, uint32_t slot, int64_t leaf)
{
	set_bit(lines->listed, slot);
	if (has_bit(lines->telling, slot))
		keeping_place(&lines->ledger->found.keeping,
					  lines->known[slot].event_id, leaf);
}

/*
 * The slot of a leaf without an event, if that was retired.
 */
static uint32_t
retired_slot(Lines *lines, int64_t leaf)
{
	const uint8_t *hash = retired_leaf(&lines->retired, leaf);

	if (hash == NULL || !retired_has(&lines->retired, leaf))
		return NO_SLOT;
	*list_add(&lines->retired_leaves) = hash;
	return (uint32_t) (RETIRED_SLOT + lines->retired_leaves.count - 1);
}

/*
 * What a tile that came for the sake of others has for an event that is here.
 */
static void
compare_tile(Lines *lines, int64_t leaf, uint32_t slot)
{
	const uint8_t *hash = retired_leaf(&lines->retired, leaf);
	Place		place = {.leaf_plus_one = leaf + 1};

	if (hash != NULL && memcmp(hash, lines->known[slot].hash, HASH_LEN) != 0)
		report_finding(&lines->ledger->found.report, "TILE_MISMATCH", &place,
					   "the tile has another hash than the event");
}

static void
check_leaf(Lines *lines, const Block *block, int64_t leaf, int64_t event_id)
{
	Report	   *report = &lines->ledger->found.report;
	Place		place = {.block_no = block->no,.event_id = event_id};
	uint32_t	slot = find_known(lines, event_id);

	if (slot == NO_SLOT)
		slot = retired_slot(lines, leaf);
	else
		compare_tile(lines, leaf, slot);
	add_leaf(lines, slot);
	if (event_id < lines->from_event ||
		(slot != NO_SLOT && slot >= RETIRED_SLOT))
		return;
	if (slot == NO_SLOT)
	{
		report_finding(report, "LEAF_MISSING", &place,
					   "the event was sealed, but is gone");
		return;
	}
	if (has_bit(lines->listed, slot))
		report_finding(report, "LEAF_EXTRA", &place,
					   "the event is in more than one place of the tree");
	list_event(lines, slot, leaf);
	block_sees(lines->ledger, block, event_id, lines->known[slot].tx);
}

/*
 * What the tree is after a block: what the block says, if that fits its root;
 * so one bad block does not make the next ones look bad.
 */
static void
next_frontier(Lines *lines, const Block *block)
{
	Frontier	stored;
	uint8_t		root[HASH_LEN];

	if (!frontier_load(&stored, block->tree_size, block->frontier,
					   block->frontier_len))
		return;
	frontier_root(&stored, root);
	if (memcmp(root, block->tree_root, HASH_LEN) != 0)
		return;
	lines->frontier = stored;
	lines->frontier_known = true;
}

/*
 * A block that --from trusts: its end may be where checking begins.
 */
static void
skip_block(Lines *lines, Block *block)
{
	Ledger	   *ledger = lines->ledger;
	uint8_t		trusted[HASH_LEN];

	if (block->tree_size == ledger->options->from)
	{
		anchors_trusted(ledger, trusted);
		next_frontier(lines, block);
		if (!lines->frontier_known ||
			memcmp(trusted, block->tree_root, HASH_LEN) != 0)
		{
			Place		place = {.tree_size = block->tree_size};

			report_finding(&ledger->found.report, "ANCHOR_DIVERGED", &place,
						   "the tree of this size is not that of the checkpoint");
		}
	}
	for (size_t i = 0; i < block->ids; i++)
	{
		uint32_t	slot = find_known(lines, block->event_ids[i]);

		if (slot != NO_SLOT)
			list_event(lines, slot, block->first_leaf + (int64_t) i);
	}
	block_free(&ledger->before);
	ledger->before = *block;
	ledger->before_known = true;
}

static void
check_block(Lines *lines, Block *block)
{
	Ledger	   *ledger = lines->ledger;
	uint8_t		root[HASH_LEN];
	bool		known;

	ledger->blocks_there = true;
	if (ledger_skips(ledger, block))
	{
		skip_block(lines, block);
		return;
	}
	block_begin(ledger, block);
	if (block->first_leaf != lines->frontier.size)
		lines->frontier_known = false;
	for (size_t i = 0; i < block->ids; i++)
		check_leaf(lines, block,
				   (int64_t) ((uint64_t) block->first_leaf + i),
				   block->event_ids[i]);
	known = lines->frontier_known && lines->frontier.size == block->tree_size;
	if (known)
		frontier_root(&lines->frontier, root);
	next_frontier(lines, block);
	ledger->leaves += (int64_t) block->ids;
	block_done(ledger, block, root, known);
}

static int
compare_blocks(const void *a, const void *b)
{
	const Block *left = a;
	const Block *right = b;

	if (left->no != right->no)
		return left->no < right->no ? -1 : 1;
	return left->arrival < right->arrival ? -1 : left->arrival > right->arrival;
}

/*
 * The blocks that did not come in their order.
 */
static void
check_late(Lines *lines)
{
	Ledger	   *ledger = lines->ledger;

	if (lines->late.count > 1)
		qsort(lines->late.item, lines->late.count, sizeof(Block),
			  compare_blocks);
	for (size_t i = 0; i < lines->late.count; i++)
	{
		Block	   *block = &lines->late.item[i];
		Place		place = {.block_no = block->no};

		if (block->no > ledger->before.no)
			check_block(lines, block);
		else
			report_finding(&ledger->found.report, "BLOCK_CHAIN_BREAK", &place,
						   "block_no occurs more than once");
	}
}

static void
take_blocks(Lines *lines, Piece *piece)
{
	const Ledger *ledger = lines->ledger;

	for (size_t i = 0; i < piece->blocks.count; i++)
	{
		Block	   *block = &piece->blocks.item[i];

		if (!lines->blocks_begun)
			begin_blocks(lines);
		if (!ledger->before_known || block->no == ledger->before.no + 1)
			check_block(lines, block);
		else
		{
			block->arrival = lines->late.count;
			*list_add(&lines->late) = *block;
		}
	}
}

static void
take_piece(void *reader, void *argument)
{
	Lines	   *lines = reader;
	Ledger	   *ledger = lines->ledger;
	Piece	   *piece = argument;

	if (piece->event_line > 0 &&
		(lines->blocks_begun || (piece->block_line > 0 &&
								 piece->block_line < piece->event_line)))
	{
		report_write(&ledger->found.report);
		fatal("%s:%lld: an event, or what was retired, behind a block: blocks come last",
			  lines->name, (long long) piece->event_line);
	}
	for (size_t i = 0; i < piece->events.count; i++)
	{
		chains_add(ledger->chains, &piece->events.item[i],
				   &piece->found.report);
		remember(lines, &piece->events.item[i]);
	}
	for (size_t i = 0; i < piece->strays.count; i++)
		remember(lines, &piece->strays.item[i]);
	ledger->events += (int64_t) (piece->events.count + piece->strays.count);
	ledger_take(ledger, &piece->found);
	retired_move(&lines->retired, &piece->retired);
	take_blocks(lines, piece);
	for (size_t i = 0; i < piece->notes.count; i++)
		*list_add(&ledger->notes) = piece->notes.item[i];
	for (size_t i = 0; i < piece->cosignatures.count; i++)
		*list_add(&lines->cosignatures) = piece->cosignatures.item[i];
	ledger->unknown_rows += piece->unknown_rows;
	if (piece->error.len > 0)
	{
		progress_clear();
		fatal("%.*s", (int) piece->error.len, piece->error.data);
	}
	progress_show(piece->end, lines->size, ledger->events);
	free(piece->events.item);
	free(piece->strays.item);
	free(piece->blocks.item);
	free(piece->notes.item);
	free(piece->cosignatures.item);
	free(piece->found.news.item);
	free(piece->found.gone.item);
	free(piece);
}

/* ----------
 * The whole
 * ----------
 */

/*
 * Events that no block lists, though the last one should.
 */
static void
check_unlisted(Lines *lines)
{
	Ledger	   *ledger = lines->ledger;
	const Block *last = &ledger->before;

	if (!ledger->blocks_there || last->incarnation == NULL ||
		(ledger->incarnation != NULL &&
		 strcmp(ledger->incarnation, last->incarnation) != 0))
		return;
	for (size_t i = 0; i < lines->count; i++)
	{
		Place		place = {.event_id = lines->known[i].event_id};

		if (!has_bit(lines->listed, i) &&
			(i == 0 || lines->known[i - 1].event_id != place.event_id) &&
			(place.event_id <= last->foreign_event_id ||
			 snapshot_sees(&last->snapshot, lines->known[i].tx)))
			report_finding(&ledger->found.report, "LEAF_EXTRA", &place,
						   "the event is in no block, but older than the last one");
	}
}

static void
count_unsealed(Lines *lines)
{
	for (size_t i = 0; i < lines->count; i++)
		lines->ledger->unsealed += !has_bit(lines->listed, i);
}

/*
 * Put the cosignatures below the checkpoints of their size.
 */
static void
join_cosignatures(Lines *lines)
{
	Ledger	   *ledger = lines->ledger;

	for (size_t i = 0; i < ledger->notes.count; i++)
	{
		Note	   *note = &ledger->notes.item[i];
		Checkpoint	checkpoint;
		bool		good = !note->outside &&
			checkpoint_read(note->data, note->len, &checkpoint) == NULL;

		for (size_t j = 0; good && j < lines->cosignatures.count; j++)
		{
			const Cosignature *more = &lines->cosignatures.item[j];

			if (more->size != checkpoint.size ||
				memmem(note->data, note->len, more->line, more->len) != NULL)
				continue;
			note->data = more_memory(note->data, note->len + more->len + 1);
			memcpy(note->data + note->len, more->line, more->len);
			note->len += more->len + 1;
			note->data[note->len - 1] = '\n';
		}
		if (!note->outside)
			free(checkpoint.signature);
	}
}

/*
 * The root of any size, from the leaves.
 */
static bool
root_of(Ledger *ledger, int64_t size, uint8_t *root)
{
	Lines	   *lines = ledger->reader;
	Frontier	frontier = {0};

	if (!lines->whole || size > (int64_t) lines->leaves)
		return false;
	for (int64_t i = 0; i < size; i++)
	{
		if (lines->order[i] == NO_SLOT)
			return false;
		frontier_append(&frontier, slot_hash(lines, lines->order[i]));
	}
	frontier_root(&frontier, root);
	return true;
}

static bool
leaf_of(Ledger *ledger, int64_t index, uint8_t *hash)
{
	Lines	   *lines = ledger->reader;

	if (!lines->whole || index >= (int64_t) lines->leaves ||
		lines->order[index] == NO_SLOT)
		return false;
	memcpy(hash, slot_hash(lines, lines->order[index]), HASH_LEN);
	return true;
}

/*
 * The first line says which ledger it is.
 */
static void
read_ledger_line(Lines *lines)
{
	Ledger	   *ledger = lines->ledger;
	Json		json = {0};
	Slice		line = {0};
	Slice		row;
	Buffer		text;
	const char *p;
	uint8_t		id[UUID_LEN];
	int64_t		format;

	if (!read_lines(lines, &text))
		fatal("\"%s\" is empty", lines->name);
	p = text.data;
	(void) next_line(&p, text.data + text.len, &line);
	if (!json_read(&json, line.data, line.len))
		fatal("%s:1: byte %zu: %s", lines->name, json.error_at + 1, json.error);
	if (!row_text(&json, "row", &row) || !slice_is(row, "ledger") ||
		!row_uuid(&json, "ledger_id", id))
		fatal("%s:1: the first line of an export is that of its ledger",
			  lines->name);
	if (row_has(&json, "format") &&
		(!row_number(&json, "format", &format) || format != 1))
		fatal("%s:1: the export is of an unknown format", lines->name);
	if (row_text(&json, "origin", &row))
		ledger->origin = strndup(row.data, row.len);
	if (row_text(&json, "incarnation", &row))
		ledger->incarnation = strndup(row.data, row.len);
	if (row_has(&json, "from_event") &&
		!row_number(&json, "from_event", &lines->from_event))
		fatal("%s:1: from_event is no number", lines->name);
	ledger_begin(ledger, id, lines->from_event > 0 || ledger->options->from > 0);
	lines->frontier_known = lines->whole = ledger->before_known;
	json_free(&json);

	/* What is behind the first line is still to be read. */
	lines->line = 1;
	{
		Buffer		both = {0};

		buffer_add(&both, p, (size_t) (text.data + text.len - p));
		buffer_add(&both, lines->rest.data, lines->rest.len);
		buffer_free(&lines->rest);
		lines->rest = both;
	}
	buffer_free(&text);
}

void
lines_read(Ledger *ledger)
{
	Lines	   *lines = get_memory(sizeof(Lines));
	Work		work = {lines, get_piece, process_piece, take_piece};
	struct stat status;

	memset(lines, 0, sizeof(Lines));
	lines->ledger = ledger;
	lines->name = ledger->options->export;
	lines->sorted = true;
	ledger->reader = lines;
	ledger->root_of = root_of;
	ledger->leaf_of = leaf_of;
	if (strcmp(lines->name, "-") == 0)
		lines->fd = STDIN_FILENO;
	else
		lines->fd = open(lines->name, O_RDONLY);
	if (lines->fd < 0)
		fatal("could not open \"%s\": %s", lines->name, strerror(errno));
	if (fstat(lines->fd, &status) == 0 && S_ISREG(status.st_mode))
		lines->size = status.st_size;
	read_ledger_line(lines);
	work_run(&work, ledger->options->jobs);
	if (!lines->blocks_begun)
		begin_blocks(lines);
	check_late(lines);
	check_unlisted(lines);
	count_unsealed(lines);
	retired_start(&lines->retired, ledger);
	join_cosignatures(lines);
	close(lines->fd);
}
