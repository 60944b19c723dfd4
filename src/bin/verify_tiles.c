/*-------------------------------------------------------------------------
 *
 * verify_tiles.c
 *	  Reader of tiles folders.
 *
 * Leaves come in their order, so nothing is kept of an event but the head of
 * its stream.  The tree is that of the hashes in tiles of level 0; entries,
 * upper tiles, blocks and checkpoints must fit it.
 *
 *-------------------------------------------------------------------------
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "verify_bundle.h"
#include "verify_event_row.h"
#include "verify_ledger.h"
#include "verify_progress.h"
#include "verify_retired.h"
#include "verify_work.h"

/* Bundles that are read at a time. */
#define BUNDLES 8

/* Bundles that may be missing in a row, with others behind them. */
#define MISSING_MOST 10000

/* Where counting the leaves of blocks ends: one more block does not overflow. */
#define COUNT_MOST ((int64_t) 1 << 62)

/* The root of the tree at a size that a checkpoint names. */
typedef struct Wanted
{
	int64_t		size;
	bool		known;
	uint8_t		root[HASH_LEN];
} Wanted;

typedef struct Piece
{
	int			count;
	Bundle		bundle[BUNDLES];
	Found		found;
} Piece;

/* A bundle without entries: which of its leaves have no event. */
typedef struct LeftOut
{
	int64_t		number;
	uint8_t		leaf[TILE_WIDTH / 8];
} LeftOut;

typedef struct Tiles
{
	Ledger	   *ledger;
	const char *folder;
	bool		with_payloads;
	int64_t		size;
	int64_t		from;			/* leaves that are trusted */
	int64_t		next_bundle;	/* to be read */
	int64_t		there;			/* bundle of which something is there, or -1 */
	int64_t		end;			/* leaves up to the last bundle that is read */
	Retired		retired;
	KeptList	kept;
				LIST(LeftOut) left_out;

	/* The tree, up to where it has been taken. */
	Frontier	frontier;
	bool		frontier_known;
	Upper	   *upper;			/* of levels 1 to UPPER_LEVELS */
				LIST(Wanted) wanted;	/* rising */
	size_t		wanted_next;

	/* The block whose leaves are looked at. */
	FILE	   *blocks;
	char		blocks_name[PATH_SIZE];
	char	   *line;
	size_t		line_size;
	int64_t		line_number;
	Json		json;
	Block		block;
	bool		block_there;
	int64_t		block_start;	/* its first leaf, by counting */
	int64_t		id_before;		/* event of the leaf before */
	int64_t		block_file;		/* number of the next file of blocks */
	int64_t		block_count;	/* that ledger.json states, or 0 */
} Tiles;

/* ----------
 * Upper tiles
 * ----------
 */

static void
compare_upper(Tiles *tiles, int level, const Upper *upper)
{
	Buffer		file = {0};
	char		kind[24];
	int			width;
	Place		place = {.leaf_plus_one = 1};

	snprintf(kind, sizeof(kind), "tile/%d", level);
	width = tile_read(tiles->folder, kind, upper->number, upper->tile.width,
					  &file);
	for (int i = 0; i < upper->tile.width; i++)
	{
		place.leaf_plus_one = ((upper->number * TILE_WIDTH + i) << (8 * level)) + 1;
		if (width == 0 || file.len != (size_t) width * HASH_LEN)
		{
			report_finding(&tiles->ledger->found.report, "TILE_MISMATCH", &place,
						   "tile %lld of level %d is missing or of the wrong length",
						   (long long) upper->number, level);
			break;
		}
		if (memcmp(file.data + i * HASH_LEN, upper->tile.node[i], HASH_LEN) != 0)
			report_finding(&tiles->ledger->found.report, "TILE_MISMATCH", &place,
						   "node %d of tile %lld of level %d is not the root of the tile below",
						   i, (long long) upper->number, level);
	}
	buffer_free(&file);
}

/*
 * A tile of the level below has been completed.
 */
static void
add_upper(Tiles *tiles, int level, const uint8_t *root)
{
	Upper	   *upper;

	if (level > UPPER_LEVELS)
		return;
	upper = &tiles->upper[level];
	memcpy(upper->tile.node[upper->tile.width++], root, HASH_LEN);
	if (upper->tile.width < TILE_WIDTH)
		return;
	compare_upper(tiles, level, upper);
	tile_build(&upper->tile);
	add_upper(tiles, level + 1, tile_node(&upper->tile, 8, 0));
	upper->tile.width = 0;
	upper->number++;
}

/*
 * The edge of the tree where --from begins: what the upper tiles have before
 * it.
 */
static void
load_upper(Tiles *tiles, int64_t bundles)
{
	for (int level = UPPER_LEVELS; level >= 1; level--)
	{
		Upper	   *upper = &tiles->upper[level];
		int64_t		nodes = bundles >> (8 * (level - 1));
		Buffer		file = {0};
		char		kind[24];
		int64_t		all = (tiles->size >> (8 * level)) - (nodes & ~(int64_t) 255);
		int			width = (int) Min(all, TILE_WIDTH);
		int			there;

		upper->number = nodes >> 8;
		upper->tile.width = (int) (nodes & 255);
		if (upper->tile.width == 0)
			continue;
		snprintf(kind, sizeof(kind), "tile/%d", level);
		there = tile_read(tiles->folder, kind, upper->number, width, &file);
		if (there == 0 || file.len != (size_t) there * HASH_LEN)
			fatal("tile %lld of level %d is missing or of the wrong length: without it --from cannot begin",
				  (long long) upper->number, level);
		memcpy(upper->tile.node, file.data,
			   (size_t) upper->tile.width * HASH_LEN);
		for (int i = 0; i < upper->tile.width; i++)
			frontier_append_tree(&tiles->frontier, 8 * level,
								 upper->tile.node[i]);
		buffer_free(&file);
	}
}

/* ----------
 * Blocks
 * ----------
 */

/*
 * A block that --from trusts.
 */
static void
skip_block(Tiles *tiles)
{
	Ledger	   *ledger = tiles->ledger;

	block_free(&ledger->before);
	ledger->before = tiles->block;
	ledger->before_known = true;
	tiles->block_start = tiles->block.tree_size;
	memset(&tiles->block, 0, sizeof(Block));
}

/*
 * A block whose leaves come next.  Where blocks are missing, their leaves are
 * skipped.
 */
static void
begin_block(Tiles *tiles)
{
	Ledger	   *ledger = tiles->ledger;

	if ((!ledger->before_known || tiles->block.no != ledger->before.no + 1) &&
		tiles->block.first_leaf > tiles->block_start)
		tiles->block_start = tiles->block.first_leaf;
	block_begin(ledger, &tiles->block);
	tiles->id_before = 0;
	tiles->block_there = true;
}

/*
 * The next line of blocks: of uaef/blocks.jsonl, or of the files of 256 blocks
 * each.  Returns its length, 0 at the end.
 */
static size_t
next_block_line(Tiles *tiles)
{
	char		path[PATH_SIZE];
	ssize_t		len;

	while (true)
	{
		if (tiles->blocks == NULL && tiles->block_count > 0)
		{
			int			width = (int) Min(TILE_WIDTH, tiles->block_count -
										  tiles->block_file * TILE_WIDTH);

			if (width <= 0)
				return 0;
			tile_path(path, tiles->folder, "uaef/blocks", tiles->block_file++,
					  width);
			tiles->blocks = file_open(path);
			if (tiles->blocks == NULL)
				fatal("\"%s\" is missing", path);
			snprintf(tiles->blocks_name, sizeof(tiles->blocks_name), "%s", path);
			tiles->line_number = 0;
		}
		if (tiles->blocks == NULL)
			return 0;
		len = getline(&tiles->line, &tiles->line_size, tiles->blocks);
		if (len > 0)
		{
			tiles->line_number++;
			return (size_t) len;
		}
		fclose(tiles->blocks);
		tiles->blocks = NULL;
	}
}

/*
 * Read the next block that is to be checked; block_there tells whether there
 * is one.
 */
static void
next_block(Tiles *tiles)
{
	Ledger	   *ledger = tiles->ledger;
	size_t		len;

	tiles->block_there = false;
	while ((len = next_block_line(tiles)) > 0)
	{
		const char *wrong;
		Place		place = {0};

		if (!json_read(&tiles->json, tiles->line, len))
		{
			report_write(&ledger->found.report);
			fatal("%s:%lld: byte %zu: %s", tiles->blocks_name,
				  (long long) tiles->line_number, tiles->json.error_at + 1,
				  tiles->json.error);
		}
		wrong = block_read(&tiles->json, true, &tiles->block);
		place.block_no = tiles->block.no;
		if (wrong != NULL)
			block_malformed(ledger, tiles->block.no, wrong);
		else if (ledger_skips(ledger, &tiles->block))
			skip_block(tiles);
		else if (ledger->before_known && tiles->block.no <= ledger->before.no)
		{
			report_finding(&ledger->found.report, "BLOCK_CHAIN_BREAK", &place,
						   "block_no occurs more than once, or blocks are not in order");
			block_free(&tiles->block);
		}
		else
		{
			begin_block(tiles);
			return;
		}
	}
}

static int64_t
block_end(const Tiles *tiles)
{
	return tiles->block_start + (int64_t) tiles->block.ids;
}

/*
 * The events that the block lists are those of its leaves; where it lists
 * none, they rise.  to is behind the last leaf that can be compared.
 */
static void
compare_ids(Tiles *tiles, const Bundle *bundle, int64_t from, int64_t to)
{
	const Block *block = &tiles->block;
	Report	   *report = &tiles->ledger->found.report;

	for (int64_t leaf = Max(from, tiles->block_start); leaf < to; leaf++)
	{
		const EventRow *row = &bundle->row[leaf - bundle->number * TILE_WIDTH];
		Place		place = {.block_no = block->no,.event_id = row->event_id,
		.leaf_plus_one = leaf + 1};

		if (row->event_id == 0)
			continue;
		if (block->event_ids != NULL &&
			row->event_id != block->event_ids[leaf - tiles->block_start])
		{
			place.event_id = block->event_ids[leaf - tiles->block_start];
			report_finding(report, "LEAF_MISSING", &place,
						   "the leaf is event %lld instead",
						   (long long) row->event_id);
			continue;
		}
		if (block->event_ids == NULL && leaf > tiles->block_start &&
			row->event_id <= tiles->id_before)
		{
			place.leaf_plus_one = 0;
			report_finding(report, "ORDER_CHANGED", &place,
						   "the block's events are not in the order of event_id");
		}
		tiles->id_before = row->event_id;
		block_sees(tiles->ledger, block, row->event_id, row->tx);
	}
}

/*
 * All leaves of the block have been taken.
 */
static void
end_block(Tiles *tiles)
{
	Frontier	stored;
	uint8_t		root[HASH_LEN];
	uint8_t		other[HASH_LEN];
	bool		known = tiles->frontier_known &&
		tiles->frontier.size == tiles->block.tree_size;

	if (known)
		frontier_root(&tiles->frontier, root);

	/*
	 * What the block says, if that fits its root, goes for what follows; if
	 * it says nothing, wrong roots would only repeat themselves.
	 */
	if (known && tiles->block.frontier == NULL &&
		memcmp(root, tiles->block.tree_root, HASH_LEN) != 0)
		tiles->frontier_known = false;
	if (tiles->block.tree_size == tiles->frontier.size &&
		frontier_load(&stored, tiles->block.tree_size, tiles->block.frontier,
					  tiles->block.frontier_len))
	{
		frontier_root(&stored, other);
		if (memcmp(other, tiles->block.tree_root, HASH_LEN) == 0)
		{
			tiles->frontier = stored;
			tiles->frontier_known = true;
		}
	}
	tiles->block_start = Min(block_end(tiles), COUNT_MOST);
	block_done(tiles->ledger, &tiles->block, root, known);
	next_block(tiles);
}

/* ----------
 * Leaves, in their order
 * ----------
 */

static void
note_wanted(Tiles *tiles)
{
	Ledger	   *ledger = tiles->ledger;

	while (tiles->wanted_next < tiles->wanted.count &&
		   tiles->wanted.item[tiles->wanted_next].size <= tiles->frontier.size)
	{
		Wanted	   *wanted = &tiles->wanted.item[tiles->wanted_next++];
		uint8_t		trusted[HASH_LEN];
		Place		place = {.tree_size = wanted->size};

		if (wanted->size < tiles->frontier.size || !tiles->frontier_known)
			continue;
		wanted->known = true;
		frontier_root(&tiles->frontier, wanted->root);
		if (ledger->options->from == 0 || wanted->size != ledger->options->from)
			continue;
		anchors_trusted(ledger, trusted);
		if (memcmp(trusted, wanted->root, HASH_LEN) != 0)
			report_finding(&ledger->found.report, "ANCHOR_DIVERGED", &place,
						   "the tree of this size is not that of the checkpoint");
	}
}

/*
 * Take a bundle's leaves into the tree, stopping at the ends of blocks and at
 * the sizes of checkpoints.
 */
static void
take_leaves(Tiles *tiles, const Bundle *bundle)
{
	int64_t		start = bundle->number * TILE_WIDTH;
	int64_t		end = start + bundle->width;
	int64_t		at = start;

	if (!bundle->complete)
		tiles->frontier_known = false;
	while (at < end)
	{
		int64_t		to = end;

		if (tiles->block_there && block_end(tiles) > at)
			to = Min(to, block_end(tiles));
		if (tiles->wanted_next < tiles->wanted.count)
			to = Min(to, Max(at + 1, tiles->wanted.item[tiles->wanted_next].size));
		if (tiles->frontier_known)
			frontier_append_tile(&tiles->frontier, &bundle->tile,
								 (int) (at - start), (int) (to - start));
		else
			tiles->frontier.size = to;
		if (tiles->block_there)
			compare_ids(tiles, bundle, Max(at, tiles->from),
						Min(to, block_end(tiles)));
		note_wanted(tiles);
		at = to;
		while (tiles->block_there && block_end(tiles) <= at)
			end_block(tiles);
	}
	if (bundle->width == TILE_WIDTH)
	{
		static const uint8_t unknown[HASH_LEN] = {0};

		add_upper(tiles, 1, bundle->complete ? tile_node(&bundle->tile, 8, 0) :
				  unknown);
	}
}

static int
bundle_width(const Tiles *tiles, int64_t number)
{
	return (int) Min(TILE_WIDTH, tiles->size - number * TILE_WIDTH);
}

/*
 * Whether anything is there of a bundle, or of one of those behind it.  A
 * folder may claim a tree that is larger than any: what it lacks at its end is
 * told once, not for each bundle.
 */
static bool
goes_on(Tiles *tiles, int64_t number, int64_t bundles)
{
	int64_t		last = Min(bundles - 1, number + MISSING_MOST);

	for (int64_t i = number; tiles->there < number && i <= last; i++)
	{
		int			width = bundle_width(tiles, i);

		if (tile_there(tiles->folder, "tile/0", i, width) ||
			tile_there(tiles->folder, "tile/entries", i, width))
			tiles->there = i;
	}
	return tiles->there >= number;
}

/*
 * The bundles up to the first one that is missing with all behind it, which is
 * read too, so that somebody tells of it.
 */
static void *
get_piece(void *reader)
{
	Tiles	   *tiles = reader;
	Piece	   *piece;
	int64_t		bundles = (tiles->end + TILE_WIDTH - 1) / TILE_WIDTH;

	if (tiles->next_bundle >= bundles)
		return NULL;
	piece = get_memory(sizeof(Piece));
	memset(&piece->found, 0, sizeof(Found));
	for (piece->count = 0; piece->count < BUNDLES && tiles->next_bundle < bundles; piece->count++)
	{
		Bundle	   *bundle = &piece->bundle[piece->count];

		bundle->number = tiles->next_bundle++;
		bundle->width = bundle_width(tiles, bundle->number);
		bundle->from = tiles->from;
		if (!goes_on(tiles, bundle->number, bundles))
		{
			bundles = tiles->next_bundle;
			tiles->end = bundle->number * TILE_WIDTH + bundle->width;
		}
	}
	return piece;
}

static void
process_piece(void *reader, void *argument)
{
	Tiles	   *tiles = reader;
	Piece	   *piece = argument;
	BundleScratch scratch = {.entries = {0}};

	for (int i = 0; i < piece->count; i++)
		bundle_read(tiles->ledger, tiles->folder, tiles->with_payloads,
					&tiles->kept, &piece->bundle[i], &piece->found, &scratch);
	bundle_scratch_free(&scratch);
}

static void
take_left_out(Tiles *tiles, const Bundle *bundle)
{
	LeftOut    *left_out = list_add(&tiles->left_out);

	memset(left_out, 0, sizeof(LeftOut));
	left_out->number = bundle->number;
	for (int i = 0; i < bundle->width; i++)
		if (!bundle->row[i].decoded &&
			bundle->number * TILE_WIDTH + i >= tiles->from)
			left_out->leaf[i / 8] |= (uint8_t) (1 << i % 8);
}

static void
take_piece(void *reader, void *argument)
{
	Tiles	   *tiles = reader;
	Ledger	   *ledger = tiles->ledger;
	Piece	   *piece = argument;

	for (int i = 0; i < piece->count; i++)
	{
		const Bundle *bundle = &piece->bundle[i];
		int64_t		start = bundle->number * TILE_WIDTH;

		for (int j = 0; j < bundle->width; j++)
			if (bundle->row[j].decoded && start + j >= tiles->from)
			{
				chains_add(ledger->chains, &bundle->row[j], &piece->found.report);
				ledger->events++;
			}
		take_leaves(tiles, bundle);
		if (bundle->left_out)
			take_left_out(tiles, bundle);
		ledger->leaves += bundle->width - Max(0, Min(tiles->from - start, bundle->width));
	}
	ledger_take(ledger, &piece->found);
	progress_show(ledger->leaves, tiles->size - tiles->from, ledger->events);
	free(piece->found.news.item);
	free(piece->found.gone.item);
	free(piece);
}

/* ----------
 * The folder
 * ----------
 */

static int
compare_wanted(const void *a, const void *b)
{
	const Wanted *left = a;
	const Wanted *right = b;

	return left->size < right->size ? -1 : left->size > right->size;
}

static bool
root_of(Ledger *ledger, int64_t size, uint8_t *root)
{
	Tiles	   *tiles = ledger->reader;

	for (size_t i = 0; i < tiles->wanted.count; i++)
		if (tiles->wanted.item[i].size == size && tiles->wanted.item[i].known)
		{
			memcpy(root, tiles->wanted.item[i].root, HASH_LEN);
			return true;
		}
	return false;
}

static bool
leaf_of(Ledger *ledger, int64_t index, uint8_t *hash)
{
	Tiles	   *tiles = ledger->reader;
	Buffer		file = {0};
	int64_t		number = index / TILE_WIDTH;
	int			width;
	bool		there = false;

	if (index >= tiles->size)
		return false;
	width = tile_read(tiles->folder, "tile/0", number,
					  (int) Min(TILE_WIDTH, tiles->size - number * TILE_WIDTH),
					  &file);
	if (width > 0 && file.len == (size_t) width * HASH_LEN)
	{
		memcpy(hash, file.data + index % TILE_WIDTH * HASH_LEN, HASH_LEN);
		there = true;
	}
	buffer_free(&file);
	return there;
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *) a, *(char *const *) b);
}

/*
 * The notes that came with the folder.
 */
static void
read_notes(Tiles *tiles)
{
	LIST(char *) names =
	{
		0
	};
	char		path[PATH_SIZE];
	DIR		   *dir;
	struct dirent *entry;
	Buffer		file = {0};

	snprintf(path, sizeof(path), "%s/checkpoint", tiles->folder);
	if (file_read(path, &file))
		ledger_add_note(tiles->ledger, "checkpoint", false, file.data, file.len);
	snprintf(path, sizeof(path), "%s/uaef/checkpoints", tiles->folder);
	dir = opendir(path);
	while (dir != NULL && (entry = readdir(dir)) != NULL)
		if (entry->d_name[0] != '.')
			*list_add(&names) = strdup(entry->d_name);
	if (dir != NULL)
		closedir(dir);
	if (names.count > 1)
		qsort(names.item, names.count, sizeof(char *), compare_names);
	for (size_t i = 0; i < names.count; i++)
	{
		file.len = 0;
		snprintf(path, sizeof(path), "%s/uaef/checkpoints/%s", tiles->folder,
				 names.item[i]);
		if (file_read(path, &file))
			ledger_add_note(tiles->ledger, path + strlen(tiles->folder) + 1,
							false, file.data, file.len);
		free(names.item[i]);
	}
	free(names.item);
	buffer_free(&file);
}

/*
 * The sizes of all notes; the largest of the folder's own stands in for the
 * tree's size if nothing else tells it.
 */
static void
want_roots(Tiles *tiles, bool size_known)
{
	Ledger	   *ledger = tiles->ledger;

	for (size_t i = 0; i < ledger->notes.count; i++)
	{
		const Note *note = &ledger->notes.item[i];
		Checkpoint	checkpoint;

		if (checkpoint_read(note->data, note->len, &checkpoint) == NULL)
		{
			Wanted	   *wanted = list_add(&tiles->wanted);

			wanted->size = checkpoint.size;
			wanted->known = false;
			if (!size_known && !note->outside)
				tiles->size = Max(tiles->size, checkpoint.size);
		}
		free(checkpoint.signature);
	}
	if (tiles->wanted.count > 0)
		qsort(tiles->wanted.item, tiles->wanted.count, sizeof(Wanted),
			  compare_wanted);
}

/*
 * uaef/ledger.json; false if there is none.
 */
static bool
read_ledger_file(Tiles *tiles, uint8_t *id)
{
	Ledger	   *ledger = tiles->ledger;
	char		path[PATH_SIZE];
	Buffer		file = {0};
	Json		json = {0};
	Slice		text;
	int64_t		format;

	snprintf(path, sizeof(path), "%s/uaef/ledger.json", tiles->folder);
	if (!file_read(path, &file))
		return false;
	if (!json_read(&json, file.data, file.len))
		fatal("%s: byte %zu: %s", path, json.error_at + 1, json.error);
	if (!row_number(&json, "format", &format) || format != 1)
		fatal("%s: the export is of an unknown format", path);
	if (!row_uuid(&json, "ledger_id", id))
		fatal("%s: ledger_id is no UUID", path);
	if (!row_number(&json, "tree_size", &tiles->size) ||
		tiles->size < 0 || tiles->size > LEAVES_MOST)
		fatal("%s: tree_size is no number, or too large", path);
	if (row_has(&json, "blocks") &&
		(!row_number(&json, "blocks", &tiles->block_count) ||
		 tiles->block_count < 0 || tiles->block_count > LEAVES_MOST))
		fatal("%s: blocks is no number, or too large", path);
	if (row_text(&json, "origin", &text))
		ledger->origin = strndup(text.data, text.len);
	json_free(&json);
	buffer_free(&file);
	return true;
}

/*
 * Without ledger.json, the first entry says of which ledger it is.
 */
static void
read_first_entry(Tiles *tiles, uint8_t *id)
{
	Buffer		file = {0};
	Event		event;
	size_t		at;
	size_t		len;

	if (tiles->size == 0)
		fatal("\"%s\" is no tiles folder: it has neither uaef/ledger.json nor a checkpoint",
			  tiles->folder);
	if (tile_read(tiles->folder, "tile/entries", 0,
				  (int) Min(TILE_WIDTH, tiles->size), &file) == 0 || file.len < 2)
		fatal("\"%s\" has no entries", tiles->folder);
	len = Min(get_number(file.data, 2), file.len - 2);
	if (entry_decode(file.data + 2, len, &event, &at) != NULL)
		fatal("\"%s\": the first entry is not that of an event", tiles->folder);
	memcpy(id, event.ledger, UUID_LEN);
	buffer_free(&file);
}

static int
compare_kept(const void *a, const void *b)
{
	const Kept *left = a;
	const Kept *right = b;

	if (left->leaf != right->leaf)
		return left->leaf < right->leaf ? -1 : 1;
	return left->arrival < right->arrival ? -1 : left->arrival > right->arrival;
}

/*
 * A row of uaef/retired.jsonl.
 */
static void
read_retired_row(Tiles *tiles, const Json *json, int64_t line, Buffer *scratch)
{
	Ledger	   *ledger = tiles->ledger;
	Slice		kind;
	Kept		kept = {.arrival = tiles->kept.count};
	const Keeping *keeping = &ledger->found.keeping;
	size_t		told = keeping->redacted.count + keeping->retired.count;
	bool		placed;

	if (!row_text(json, "row", &kind))
		fatal("uaef/retired.jsonl:%lld: the line is no row of a ledger",
			  (long long) line);
	if (!slice_is(kind, "event"))
	{
		if (!slice_is(kind, "tile"))
			(void) retired_read(&tiles->retired, json, kind);
	}
	else if (event_row_read(ledger, json, line, scratch, &ledger->found,
							&kept.row, &placed) && kept.row.decoded &&
			 row_number(json, "leaf_index", &kept.leaf) && kept.leaf >= 0)
	{
		kept.tells = keeping->redacted.count + keeping->retired.count > told;
		*list_add(&tiles->kept) = kept;
	}
}

/*
 * What was retired, and the events of the bundles that were left out for it.
 */
static void
read_retired(Tiles *tiles)
{
	char		path[PATH_SIZE];
	Json		json = {0};
	Buffer		scratch = {0};
	FILE	   *file;
	ssize_t		len;
	int64_t		line = 0;

	snprintf(path, sizeof(path), "%s/uaef/retired.jsonl", tiles->folder);
	file = file_open(path);
	while (file != NULL &&
		   (len = getline(&tiles->line, &tiles->line_size, file)) > 0)
	{
		line++;
		if (!json_read(&json, tiles->line, (size_t) len))
			fatal("uaef/retired.jsonl:%lld: byte %zu: %s", (long long) line,
				  json.error_at + 1, json.error);
		read_retired_row(tiles, &json, line, &scratch);
	}
	if (file != NULL)
		fclose(file);
	if (tiles->kept.count > 1)
		qsort(tiles->kept.item, tiles->kept.count, sizeof(Kept), compare_kept);
	json_free(&json);
	buffer_free(&scratch);
}

static void
open_folder(Tiles *tiles)
{
	char		path[PATH_SIZE];
	uint8_t		id[UUID_LEN];
	bool		known = read_ledger_file(tiles, id);

	read_notes(tiles);
	want_roots(tiles, known);
	if (!known)
		read_first_entry(tiles, id);
	ledger_begin(tiles->ledger, id, tiles->from > 0);
	read_retired(tiles);
	tiles->ledger->tree_size = tiles->size;
	snprintf(path, sizeof(path), "%s/uaef/payload", tiles->folder);
	tiles->with_payloads = access(path, F_OK) == 0;
	snprintf(path, sizeof(path), "%s/uaef/blocks.jsonl", tiles->folder);
	tiles->blocks = file_open(path);
	if (tiles->blocks != NULL)
		tiles->block_count = 0;
	memcpy(tiles->blocks_name, path, sizeof(path));
	tiles->ledger->blocks_there = tiles->blocks != NULL || tiles->block_count > 0;
}

/*
 * The leaves without entries: were they retired?
 */
static void
check_left_out(Tiles *tiles)
{
	retired_settle(&tiles->retired, tiles->ledger);
	for (size_t i = 0; i < tiles->left_out.count; i++)
	{
		const LeftOut *left_out = &tiles->left_out.item[i];

		for (int j = 0; j < TILE_WIDTH; j++)
		{
			int64_t		leaf = left_out->number * TILE_WIDTH + j;
			Place		place = {.leaf_plus_one = leaf + 1};

			if ((left_out->leaf[j / 8] >> j % 8 & 1) == 0 ||
				retired_has(&tiles->retired, leaf))
				continue;
			report_finding(&tiles->ledger->found.report, "LEAF_MISSING", &place,
						   "there is no entry of the leaf, nor was it retired");
			break;
		}
	}
	retired_start(&tiles->retired, tiles->ledger);
}

/*
 * What is left when all leaves have been taken.
 */
static void
end_folder(Tiles *tiles)
{
	Ledger	   *ledger = tiles->ledger;
	Report	   *report = &ledger->found.report;

	check_left_out(tiles);
	for (int level = 1; level <= UPPER_LEVELS; level++)
		if (tiles->upper[level].tile.width > 0)
			compare_upper(tiles, level, &tiles->upper[level]);
	while (tiles->block_there)
	{
		for (int64_t leaf = Max(tiles->size, tiles->block_start);
			 leaf < block_end(tiles); leaf++)
		{
			Place		place = {.block_no = tiles->block.no};

			if (tiles->block.event_ids != NULL)
				place.event_id = tiles->block.event_ids[leaf - tiles->block_start];
			report_finding(report, "LEAF_MISSING", &place,
						   "the event was sealed, but is gone");
			if (tiles->block.event_ids == NULL)
				break;
		}
		tiles->frontier_known &= block_end(tiles) <= tiles->size;
		end_block(tiles);
	}
	if (ledger->blocks_there && tiles->block_start < tiles->size)
	{
		Place		place = {.leaf_plus_one = tiles->block_start + 1};

		report_finding(report, "LEAF_EXTRA", &place,
					   "%lld leaves are in no block",
					   (long long) (tiles->size - tiles->block_start));
	}
	if (tiles->blocks != NULL)
		fclose(tiles->blocks);
	free(tiles->line);
	json_free(&tiles->json);
}

void
tiles_read(Ledger *ledger)
{
	Tiles	   *tiles = get_memory(sizeof(Tiles));
	Work		work = {tiles, get_piece, process_piece, take_piece};

	memset(tiles, 0, sizeof(Tiles));
	tiles->ledger = ledger;
	tiles->folder = ledger->options->export;
	tiles->from = ledger->options->from;
	tiles->upper = get_memory((UPPER_LEVELS + 1) * sizeof(Upper));
	memset(tiles->upper, 0, (UPPER_LEVELS + 1) * sizeof(Upper));
	tiles->frontier_known = true;
	ledger->reader = tiles;
	ledger->root_of = root_of;
	ledger->leaf_of = leaf_of;
	open_folder(tiles);
	if (tiles->from > tiles->size)
		tiles->from = tiles->size;
	tiles->next_bundle = tiles->from / TILE_WIDTH;
	tiles->there = -1;
	tiles->end = tiles->size;
	load_upper(tiles, tiles->next_bundle);
	note_wanted(tiles);
	next_block(tiles);
	while (tiles->block_there && block_end(tiles) <= tiles->frontier.size)
		end_block(tiles);
	work_run(&work, ledger->options->jobs);
	tiles->size = ledger->tree_size = tiles->end;
	end_folder(tiles);
	free(tiles->upper);
}
