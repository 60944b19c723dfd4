/*-------------------------------------------------------------------------
 *
 * verify_retired.c
 *	  Events that were moved out of the ledger: rows that say which, and what
 *	  is left of them.
 *
 * The rows prove nothing.  A retirement counts if an event tells the hash of
 * its leaves; a leaf's hash, if the tree with it has the roots of the blocks;
 * the last retired event of a stream, if its hash is that of its leaf.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "verify_retired.h"

/* ----------
 * Rows
 * ----------
 */

static void
read_retirement(Retired *retired, const Json *json)
{
	Retirement *row = list_add(&retired->retirements);
	Slice		leaves = {NULL, 0};

	memset(row, 0, sizeof(Retirement));
	if (!row_number(json, "event_id", &row->event_id) || row->event_id < 1)
		row->event_id = 0;
	if (!row_text(json, "leaves", &leaves))
		leaves.len = 0;
	row->leaves = get_memory(leaves.len + 1);
	if (leaves.len > 0)
		memcpy(row->leaves, leaves.data, leaves.len);
	row->leaves[leaves.len] = '\0';
	row->leaves_len = leaves.len;
	row->restored = row_has(json, "restored_by");
}

static void
read_head(Retired *retired, const Json *json)
{
	RetiredHead head = {.arrival = retired->heads.count};
	EventRow   *row = &head.row;

	if (!row_uuid(json, "stream", row->stream) ||
		!row_number(json, "stream_seq", &row->stream_seq) ||
		!row_number(json, "event_id", &row->event_id) ||
		!row_time(json, "recorded_at", &row->recorded_at) ||
		!row_number(json, "leaf_index", &head.leaf) ||
		!row_hash(json, "event_hash", row->stored) ||
		row->stream_seq < 1 || head.leaf < 0)
		return;
	memcpy(row->computed, row->stored, HASH_LEN);
	*list_add(&retired->heads) = head;
}

static void
read_tile(Retired *retired, const Json *json)
{
	TileRow		tile = {.arrival = retired->tiles.count};
	Slice		hashes;
	int64_t		level;

	if (!row_number(json, "level", &level) || level != 0 ||
		!row_number(json, "tile_no", &tile.number) ||
		tile.number < 0 || tile.number > INT64_MAX / (2 * TILE_WIDTH) ||
		!row_text(json, "hashes", &hashes))
		return;
	tile.hash = get_memory(TILE_WIDTH * HASH_LEN);
	if (hex_decode(hashes.data, hashes.len, tile.hash, TILE_WIDTH * HASH_LEN))
		*list_add(&retired->tiles) = tile;
	else
		free(tile.hash);
}

bool
retired_read(Retired *retired, const Json *json, Slice kind)
{
	if (slice_is(kind, "retirement"))
		read_retirement(retired, json);
	else if (slice_is(kind, "retired_head"))
		read_head(retired, json);
	else if (slice_is(kind, "tile"))
		read_tile(retired, json);
	else
		return false;
	return true;
}

void
retired_move(Retired *to, Retired *from)
{
	for (size_t i = 0; i < from->retirements.count; i++)
		*list_add(&to->retirements) = from->retirements.item[i];
	for (size_t i = 0; i < from->heads.count; i++)
	{
		from->heads.item[i].arrival = to->heads.count;
		*list_add(&to->heads) = from->heads.item[i];
	}
	for (size_t i = 0; i < from->tiles.count; i++)
	{
		from->tiles.item[i].arrival = to->tiles.count;
		*list_add(&to->tiles) = from->tiles.item[i];
	}
	free(from->retirements.item);
	free(from->heads.item);
	free(from->tiles.item);
	memset(from, 0, sizeof(Retired));
}

/* ----------
 * Which leaves
 * ----------
 */

static bool
take_number(const char **p, char end, int64_t *number)
{
	const char *stop = strchr(*p, end);

	if (stop == NULL || !decimal_decode(*p, (size_t) (stop - *p), number))
		return false;
	*p = stop + 1;
	return true;
}

/*
 * Add the ranges of a text like {[0,200),[300,512)}; false, and nothing is
 * added, when it is not of this form.
 */
static bool
add_ranges(Retired *retired, const Retirement *row)
{
	const char *p = row->leaves;
	size_t		before = retired->ranges.count;
	LeafRange	range = {0, 0};
	bool		good = *p++ == '{';

	while (good && *p != '}')
	{
		int64_t		last = range.end;

		good = *p++ == '[' && take_number(&p, ',', &range.first) &&
			take_number(&p, ')', &range.end) &&
			range.first >= last && range.end > range.first &&
			(*p == '}' || (*p == ',' && *++p == '['));
		if (good)
			*list_add(&retired->ranges) = range;
	}
	good = good && strlen(row->leaves) == row->leaves_len && p[1] == '\0';
	if (!good)
		retired->ranges.count = before;
	return good;
}

static int
compare_ranges(const void *a, const void *b)
{
	const LeafRange *left = a;
	const LeafRange *right = b;

	return left->first < right->first ? -1 : left->first > right->first;
}

static int
compare_tiles(const void *a, const void *b)
{
	const TileRow *left = a;
	const TileRow *right = b;

	if (left->number != right->number)
		return left->number < right->number ? -1 : 1;
	return left->arrival < right->arrival ? -1 : left->arrival > right->arrival;
}

/*
 * Ranges of several retirements may overlap, where one of them is told wrongly;
 * joined, they can be searched.
 */
static void
join_ranges(Retired *retired)
{
	size_t		kept = 0;

	if (retired->ranges.count == 0)
		return;
	qsort(retired->ranges.item, retired->ranges.count, sizeof(LeafRange),
		  compare_ranges);
	for (size_t i = 1; i < retired->ranges.count; i++)
	{
		LeafRange  *last = &retired->ranges.item[kept];
		const LeafRange *next = &retired->ranges.item[i];

		if (next->first <= last->end)
			last->end = Max(last->end, next->end);
		else
			retired->ranges.item[++kept] = *next;
	}
	retired->ranges.count = kept + 1;
}

void
retired_settle(Retired *retired, Ledger *ledger)
{
	Report	   *report = &ledger->found.report;

	for (size_t i = 0; i < retired->retirements.count; i++)
	{
		const Retirement *row = &retired->retirements.item[i];
		Place		place = {.event_id = row->event_id};

		if (row->restored)
			continue;
		if (row->event_id > 0 &&
			keeping_retired(&ledger->found.keeping, row->event_id,
							make_slice(row->leaves, row->leaves_len)) &&
			add_ranges(retired, row))
			report_finding(report, "RETIRED", &place, "events were retired");
		else
			report_finding(report, "LEAF_MISSING", &place,
						   "events are gone that no event says were retired");
	}
	join_ranges(retired);
	if (retired->tiles.count > 0)
		qsort(retired->tiles.item, retired->tiles.count, sizeof(TileRow),
			  compare_tiles);
}

bool
retired_has(const Retired *retired, int64_t leaf)
{
	size_t		low = 0;
	size_t		high = retired->ranges.count;

	while (low < high)
	{
		size_t		middle = low + (high - low) / 2;

		if (retired->ranges.item[middle].end <= leaf)
			low = middle + 1;
		else
			high = middle;
	}
	return low < retired->ranges.count &&
		retired->ranges.item[low].first <= leaf;
}

const uint8_t *
retired_leaf(const Retired *retired, int64_t leaf)
{
	size_t		low = 0;
	size_t		high = retired->tiles.count;

	while (low < high)
	{
		size_t		middle = low + (high - low) / 2;

		if (retired->tiles.item[middle].number < leaf / TILE_WIDTH)
			low = middle + 1;
		else
			high = middle;
	}
	if (leaf < 0 || low == retired->tiles.count ||
		retired->tiles.item[low].number != leaf / TILE_WIDTH)
		return NULL;
	return retired->tiles.item[low].hash[leaf % TILE_WIDTH];
}

/* ----------
 * Streams
 * ----------
 */

static int
compare_heads(const void *a, const void *b)
{
	const RetiredHead *left = a;
	const RetiredHead *right = b;

	if (left->row.stream_seq != right->row.stream_seq)
		return left->row.stream_seq > right->row.stream_seq ? -1 : 1;
	return left->arrival < right->arrival ? -1 : left->arrival > right->arrival;
}

void
retired_start(Retired *retired, Ledger *ledger)
{
	if (retired->heads.count > 1)
		qsort(retired->heads.item, retired->heads.count, sizeof(RetiredHead),
			  compare_heads);
	for (size_t i = 0; i < retired->heads.count; i++)
	{
		const RetiredHead *head = &retired->heads.item[i];
		uint8_t		hash[HASH_LEN];

		if (retired_has(retired, head->leaf) &&
			ledger->leaf_of(ledger, head->leaf, hash) &&
			memcmp(hash, head->row.stored, HASH_LEN) == 0)
			chains_start(ledger->chains, &head->row);
	}
}
