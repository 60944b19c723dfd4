/*-------------------------------------------------------------------------
 *
 * verify_bundle.c
 *	  256 events of a tiles folder: their entries, payloads and tile.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "verify_bundle.h"
#include "verify_canonical.h"

/* What is known of an event while its bundle is read. */
typedef struct Reading
{
	const Ledger *ledger;
	Bundle	   *bundle;
	Found	   *found;
	BundleScratch *scratch;
	int			index;
	Event		event;
	Place		place;
} Reading;

static int64_t
leaf_index(const Reading *reading)
{
	return reading->bundle->number * TILE_WIDTH + reading->index;
}

static void
place_at_leaf(Reading *reading, int64_t leaf)
{
	memset(&reading->place, 0, sizeof(Place));
	reading->place.leaf_plus_one = leaf + 1;
}

/*
 * Compare a payload's text, which must be canonical, with payload_hash.
 */
static bool
payload_fits(Reading *reading, Slice salt_text, Slice text, Slice stored)
{
	BundleScratch *scratch = reading->scratch;
	uint8_t		salt[HASH_LEN];
	uint8_t		hash[HASH_LEN];

	if (!hex_decode(salt_text.data, salt_text.len, salt, HASH_LEN))
		return false;
	payload_hash(salt, text.data, text.len, hash);
	if (memcmp(hash, stored.data, HASH_LEN) != 0)
		return false;
	if (canonical_surely(text))
	{
		if (reading->event.kind != KIND_ENGINE)
			return true;
		return json_read(&scratch->inner, text.data, text.len);
	}
	scratch->canonical.len = 0;
	return json_read(&scratch->inner, text.data, text.len) &&
		canonical_append(&scratch->canonical, &scratch->inner,
						 scratch->inner.nodes) &&
		scratch->canonical.len == text.len &&
		memcmp(scratch->canonical.data, text.data, text.len) == 0;
}

/*
 * One line of the payloads' file: null, or an object of salt and payload.
 */
static void
check_payload(Reading *reading, Slice line)
{
	BundleScratch *scratch = reading->scratch;
	Report	   *report = &reading->found->report;
	Slice		stored = reading->event.field[TAG_PAYLOAD_HASH];
	Slice		salt;
	Slice		text;

	if (slice_is(line, "null"))
	{
		if (stored.data != NULL)
			payload_gone(reading->found, &reading->event, true);
		else
			event_signed(reading->found, &reading->event, NULL, 0);
		return;
	}
	if (!json_read(&scratch->json, line.data, line.len) ||
		!row_text(&scratch->json, "salt", &salt) ||
		!row_text(&scratch->json, "payload", &text))
	{
		report_finding(report, "PAYLOAD_MISMATCH", &reading->place,
					   "the line of the payload is malformed");
		return;
	}
	if (stored.data == NULL)
		report_finding(report, "PAYLOAD_MISMATCH", &reading->place,
					   "payload, salt or payload_hash is missing");
	else if (!payload_fits(reading, salt, text, stored))
		report_finding(report, "PAYLOAD_MISMATCH", &reading->place,
					   "the payload is not what payload_hash commits to");
	else
	{
		event_signed(reading->found, &reading->event, text.data, text.len);
		if (reading->event.kind == KIND_ENGINE)
			event_says(reading->ledger, reading->found, &reading->event,
					   leaf_index(reading), &scratch->inner,
					   scratch->inner.nodes);
	}
}

/*
 * An entry: its hash, and the event in it.
 */
static void
check_entry(Reading *reading, const char *data, size_t len)
{
	Bundle	   *bundle = reading->bundle;
	EventRow   *row = &bundle->row[reading->index];
	Event	   *event = &reading->event;
	uint8_t    *stored = bundle->tile.node[reading->index];
	const char *wrong;
	size_t		at;

	leaf_hash(data, len, row->computed);
	if (!bundle->complete)
		memcpy(stored, row->computed, HASH_LEN);
	memcpy(row->stored, stored, HASH_LEN);
	wrong = entry_decode(data, len, event, &at);
	if (wrong == NULL && memcmp(event->ledger, reading->ledger->id, UUID_LEN) != 0)
		wrong = "the entry is of another ledger";
	if (wrong != NULL)
	{
		report_finding(&reading->found->report, "EVENT_HASH_MISMATCH",
					   &reading->place, "the entry is malformed at byte %zu: %s",
					   at, wrong);
		row->event_id = 0;
		return;
	}
	row->decoded = true;
	memcpy(row->stream, event->stream, UUID_LEN);
	row->stream_seq = event->stream_seq;
	row->event_id = event->event_id;
	row->recorded_at = event->recorded_at;
	row->tx = event->tx;
	memcpy(row->prev_hash, event->prev_hash, HASH_LEN);
	reading->place.stream = row->stream;
	reading->place.stream_seq = row->stream_seq;
	reading->place.event_id = row->event_id;
	if (memcmp(row->computed, stored, HASH_LEN) != 0)
		report_finding(&reading->found->report, "EVENT_HASH_MISMATCH",
					   &reading->place, "the event is not what its tile says");
}

/*
 * The leaves' hashes as the tile has them.
 */
static void
read_tile(const char *folder, Bundle *bundle, Found *found,
		  BundleScratch *scratch)
{
	int			width = tile_read(folder, "tile/0", bundle->number,
								  bundle->width, &scratch->tile);
	Place		place = {.leaf_plus_one = bundle->number * TILE_WIDTH + 1};

	bundle->complete = width > 0 &&
		scratch->tile.len == (size_t) width * HASH_LEN;
	if (bundle->complete)
		memcpy(bundle->tile.node, scratch->tile.data,
			   (size_t) bundle->width * HASH_LEN);
	else
		report_finding(&found->report, "TILE_MISMATCH", &place,
					   "tile %lld of level 0 is missing or of the wrong length",
					   (long long) bundle->number);
}

/*
 * The next line of the payloads, or nothing.
 */
static Slice
next_payload(Buffer *payloads, size_t *at)
{
	Slice		line = {NULL, 0};
	const char *newline;

	if (*at >= payloads->len)
		return line;
	newline = memchr(payloads->data + *at, '\n', payloads->len - *at);
	if (newline == NULL)
		return line;
	line.data = payloads->data + *at;
	line.len = (size_t) (newline - line.data);
	*at += line.len + 1;
	return line;
}

/*
 * The events that the bundle of entries has; returns how many.
 */
static int
read_entries(Reading *reading, const char *folder, bool with_payloads)
{
	Bundle	   *bundle = reading->bundle;
	BundleScratch *scratch = reading->scratch;
	int			width = tile_read(folder, "tile/entries", bundle->number,
								  bundle->width, &scratch->entries);
	size_t		at = 0;
	size_t		payload_at = 0;

	bundle->left_out = width == 0;
	if (bundle->left_out)
		return 0;
	if (with_payloads &&
		tile_read(folder, "uaef/payload", bundle->number, bundle->width,
				  &scratch->payloads) == 0)
		scratch->payloads.len = 0;
	for (; reading->index < bundle->width; reading->index++)
	{
		Slice		payload = with_payloads ?
			next_payload(&scratch->payloads, &payload_at) : make_slice(NULL, 0);
		size_t		len;

		if (scratch->entries.len - at < 2)
			return reading->index;
		len = get_number(scratch->entries.data + at, 2);
		if (len > scratch->entries.len - at - 2)
			return reading->index;
		place_at_leaf(reading, leaf_index(reading));
		check_entry(reading, scratch->entries.data + at + 2, len);
		at += 2 + len;
		if (!bundle->row[reading->index].decoded ||
			leaf_index(reading) < bundle->from)
			continue;
		if (with_payloads)
			check_payload(reading, payload.data ? payload : make_slice("null", 4));
		else
			reading->found->without_payload++;
	}
	if (at < scratch->entries.len && width == bundle->width)
	{
		place_at_leaf(reading, leaf_index(reading) - 1);
		report_finding(&reading->found->report, "LEAF_EXTRA", &reading->place,
					   "the bundle has more entries than its width says");
	}
	return reading->index;
}

/*
 * The events that are left of a bundle without entries.
 */
static void
take_kept(const KeptList *kept, Bundle *bundle, Found *found)
{
	int64_t		start = bundle->number * TILE_WIDTH;
	size_t		low = 0;
	size_t		high = kept->count;

	while (low < high)
	{
		size_t		middle = low + (high - low) / 2;

		if (kept->item[middle].leaf < start)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < kept->count && kept->item[low].leaf < start + bundle->width; low++)
	{
		int			index = (int) (kept->item[low].leaf - start);
		EventRow   *row = &bundle->row[index];
		Place		place = {.leaf_plus_one = kept->item[low].leaf + 1};

		if (row->decoded)
			continue;
		*row = kept->item[low].row;
		if (kept->item[low].tells)
			keeping_place(&found->keeping, row->event_id,
						  kept->item[low].leaf);
		if (!bundle->complete ||
			memcmp(row->stored, bundle->tile.node[index], HASH_LEN) == 0)
			continue;
		place.stream = row->stream;
		place.stream_seq = row->stream_seq;
		place.event_id = row->event_id;
		report_finding(&found->report, "EVENT_HASH_MISMATCH", &place,
					   "the event is not what its tile says");
		memcpy(row->stored, bundle->tile.node[index], HASH_LEN);
	}
}

void
bundle_read(const Ledger *ledger, const char *folder, bool with_payloads,
			const KeptList *kept, Bundle *bundle, Found *found, BundleScratch *scratch)
{
	Reading		reading = {.ledger = ledger,.bundle = bundle,.found = found,
	.scratch = scratch};
	int			entries;

	bundle->tile.width = bundle->width;
	for (int i = 0; i < bundle->width; i++)
	{
		bundle->row[i].event_id = 0;
		bundle->row[i].decoded = false;
	}
	read_tile(folder, bundle, found, scratch);
	entries = read_entries(&reading, folder, with_payloads);
	if (bundle->left_out)
		take_kept(kept, bundle, found);
	else if (entries < bundle->width)
	{
		Place		place = {.leaf_plus_one =
			bundle->number * TILE_WIDTH + entries + 1};

		report_finding(&found->report, "LEAF_MISSING", &place,
					   "the bundle of entries ends before leaf %lld",
					   (long long) (bundle->number * TILE_WIDTH + bundle->width));
	}
	else
		bundle->complete = true;
	if (bundle->complete)
		tile_build(&bundle->tile);
}

void
bundle_scratch_free(BundleScratch *scratch)
{
	buffer_free(&scratch->entries);
	buffer_free(&scratch->tile);
	buffer_free(&scratch->payloads);
	buffer_free(&scratch->canonical);
	json_free(&scratch->json);
	json_free(&scratch->inner);
}
