/*-------------------------------------------------------------------------
 *
 * verify_chain.c
 *	  The streams of events, each a chain.
 *
 * Streams are found by a hash table of indexes into an array of their heads.
 * Locking: none; one thread at a time uses it.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "verify_chain.h"
#include "verify_entry.h"

/* Events that wait before those are looked for that need not any more. */
#define WAITING 100000

/* The last event of a stream. */
typedef struct Head
{
	uint8_t		stream[UUID_LEN];
	int64_t		seq;			/* 0 before the first event */
	int64_t		event_id;
	int64_t		recorded_at;
	uint8_t		hash[HASH_LEN]; /* stored */
	uint32_t	other;			/* index + 1 of what it hashes to instead */
} Head;

struct Chains
{
	uint8_t		ledger[UUID_LEN];
	bool		late;
	uint64_t	seed;
	uint32_t   *slots;			/* index + 1 of a head */
	uint32_t	slot_count;		/* a power of two */
	Head	   *heads;
	uint32_t	count;
	uint32_t	size;
	uint8_t		(*others)[HASH_LEN];
	uint32_t	other_count;
	EventRow   *waiting;
	size_t		waiting_count;
	size_t		waiting_size;
	size_t		waiting_limit;
};

Chains *
chains_make(const uint8_t *ledger, bool late)
{
	Chains	   *chains = get_memory(sizeof(Chains));

	memset(chains, 0, sizeof(Chains));
	memcpy(chains->ledger, ledger, UUID_LEN);
	chains->late = late;

	/* So that nobody can choose ids that fall together. */
	chains->seed = ((uint64_t) time(NULL) * 0x9e3779b97f4a7c15ULL ^
					(uint64_t) (uintptr_t) chains) | 1;
	chains->slot_count = 1024;
	chains->slots = calloc(chains->slot_count, sizeof(uint32_t));
	if (chains->slots == NULL)
		fatal("out of memory");
	chains->waiting_limit = WAITING;
	return chains;
}

static uint32_t
slot_of(const Chains *chains, const uint8_t *stream)
{
	uint64_t	a;
	uint64_t	b;

	memcpy(&a, stream, 8);
	memcpy(&b, stream + 8, 8);
	a = (a ^ chains->seed) * 0xff51afd7ed558ccdULL;
	a = ((a ^ a >> 33) + b) * (chains->seed | 1);
	return (uint32_t) (a >> 32) & (chains->slot_count - 1);
}

static void
put_slot(Chains *chains, uint32_t index)
{
	uint32_t	slot = slot_of(chains, chains->heads[index].stream);

	while (chains->slots[slot] != 0)
		slot = (slot + 1) & (chains->slot_count - 1);
	chains->slots[slot] = index + 1;
}

static void
grow(Chains *chains)
{
	chains->slot_count *= 2;
	free(chains->slots);
	chains->slots = calloc(chains->slot_count, sizeof(uint32_t));
	if (chains->slots == NULL)
		fatal("out of memory: %u streams", chains->count);
	for (uint32_t i = 0; i < chains->count; i++)
		put_slot(chains, i);
}

static Head *
find_head(Chains *chains, const uint8_t *stream)
{
	uint32_t	slot = slot_of(chains, stream);
	Head	   *head;

	for (; chains->slots[slot] != 0; slot = (slot + 1) & (chains->slot_count - 1))
	{
		head = &chains->heads[chains->slots[slot] - 1];
		if (memcmp(head->stream, stream, UUID_LEN) == 0)
			return head;
	}
	if (chains->count == chains->size)
	{
		chains->size = Max(1024, chains->size + chains->size / 2);
		chains->heads = more_memory(chains->heads, chains->size * sizeof(Head));
	}
	head = &chains->heads[chains->count++];
	memset(head, 0, sizeof(Head));
	memcpy(head->stream, stream, UUID_LEN);
	put_slot(chains, chains->count - 1);
	if (chains->count > chains->slot_count / 4 * 3)
		grow(chains);
	return head;
}

static Place
place_of(const EventRow *row)
{
	Place		place = {0};

	place.stream = row->stream;
	place.stream_seq = row->stream_seq;
	place.event_id = row->event_id;
	return place;
}

/*
 * Whether an event follows the last one of its stream, whose hash may have
 * been changed alone: what it hashes to will do too.
 */
static void
check_link(Chains *chains, const Head *head, const EventRow *row,
		   Report *report)
{
	Place		place = place_of(row);
	uint8_t		genesis[HASH_LEN];

	if (head->seq == 0)
	{
		genesis_hash(chains->ledger, row->stream, genesis);
		if (memcmp(row->prev_hash, genesis, HASH_LEN) != 0)
			report_finding(report, "CHAIN_BREAK", &place,
						   "the first event of the stream does not follow its genesis");
		return;
	}
	if (memcmp(row->prev_hash, head->hash, HASH_LEN) != 0 &&
		(head->other == 0 ||
		 memcmp(row->prev_hash, chains->others[head->other - 1], HASH_LEN) != 0))
		report_finding(report, "CHAIN_BREAK", &place,
					   "prev_hash is not the hash of the event before it");
	if (row->recorded_at < head->recorded_at)
		report_finding(report, "TIME_REVERSED", &place,
					   "recorded_at is before that of the event before it");
	if (row->event_id <= head->event_id)
		report_finding(report, "ORDER_CHANGED", &place,
					   "event_id is not above that of the event before it");
}

static void
set_head(Chains *chains, Head *head, const EventRow *row)
{
	head->seq = row->stream_seq;
	head->event_id = row->event_id;
	head->recorded_at = row->recorded_at;
	memcpy(head->hash, row->stored, HASH_LEN);
	head->other = 0;
	if (memcmp(row->stored, row->computed, HASH_LEN) == 0)
		return;
	if ((chains->other_count & (chains->other_count - 1)) == 0)
		chains->others = more_memory(chains->others,
									 Max(1, 2 * (size_t) chains->other_count) * HASH_LEN);
	memcpy(chains->others[chains->other_count++], row->computed, HASH_LEN);
	head->other = chains->other_count;
}

static void
report_gap(int64_t from, const EventRow *row, Report *report)
{
	Place		place = place_of(row);

	if (from == row->stream_seq - 1)
		report_finding(report, "SEQ_GAP", &place,
					   "event %lld of the stream is missing", (long long) from);
	else
		report_finding(report, "SEQ_GAP", &place,
					   "events %lld to %lld of the stream are missing",
					   (long long) from, (long long) row->stream_seq - 1);
}

/*
 * Take an event into its stream if it stands next there or behind; else, if
 * last is set, there is a gap.  Returns whether it was taken.
 */
static bool
take(Chains *chains, const EventRow *row, bool last, Report *report)
{
	Head	   *head = find_head(chains, row->stream);

	if (row->stream_seq <= head->seq || row->stream_seq < 1)
	{
		Place		place = place_of(row);

		report_finding(report, "SEQ_FORK", &place,
					   "stream_seq occurs more than once");
		return true;
	}
	if (row->stream_seq == head->seq + 1)
	{
		if (row->decoded)
			check_link(chains, head, row, report);
	}
	else if (head->seq == 0 && chains->late)
		;						/* the events before are not looked at */
	else if (last)
		report_gap(head->seq + 1, row, report);
	else
		return false;
	set_head(chains, head, row);
	return true;
}

static int
compare_rows(const void *a, const void *b)
{
	const EventRow *left = a;
	const EventRow *right = b;
	int			order = memcmp(left->stream, right->stream, UUID_LEN);

	if (order != 0)
		return order;
	if (left->stream_seq != right->stream_seq)
		return left->stream_seq < right->stream_seq ? -1 : 1;
	return left->event_id < right->event_id ? -1 :
		left->event_id > right->event_id;
}

static void
take_waiting(Chains *chains, bool last, Report *report)
{
	size_t		kept = 0;

	if (chains->waiting_count > 1)
		qsort(chains->waiting, chains->waiting_count, sizeof(EventRow),
			  compare_rows);
	for (size_t i = 0; i < chains->waiting_count; i++)
		if (!take(chains, &chains->waiting[i], last, report))
			chains->waiting[kept++] = chains->waiting[i];
	chains->waiting_count = kept;
	chains->waiting_limit = Max(WAITING, 2 * kept);
}

void
chains_add(Chains *chains, const EventRow *row, Report *report)
{
	if (take(chains, row, false, report))
		return;
	if (chains->waiting_count == chains->waiting_size)
	{
		chains->waiting_size = Max(64, 2 * chains->waiting_size);
		chains->waiting = more_memory(chains->waiting,
									  chains->waiting_size * sizeof(EventRow));
	}
	chains->waiting[chains->waiting_count++] = *row;
	if (chains->waiting_count >= chains->waiting_limit)
		take_waiting(chains, false, report);
}

void
chains_start(Chains *chains, const EventRow *row)
{
	Head	   *head = find_head(chains, row->stream);

	if (head->seq == 0)
		set_head(chains, head, row);
}

void
chains_end(Chains *chains, Report *report)
{
	take_waiting(chains, true, report);
}

int64_t
chains_count(const Chains *chains)
{
	return chains->count;
}
