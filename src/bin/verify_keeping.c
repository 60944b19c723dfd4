/*-------------------------------------------------------------------------
 *
 * verify_keeping.c
 *	  What is done to the ledger itself, and the events that tell of it.
 *
 * Signatures wait for the end: a key may be told behind the events that it
 * has signed, where an export is not in the order of event_id.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "verify_keeping.h"
#include "verify_note.h"
#include "verify_sha256.h"

#define SIGNATURE_LEN 64

static char *
copy_text(Slice text)
{
	char	   *copy = get_memory(text.len + 1);

	memcpy(copy, text.data, text.len);
	copy[text.len] = '\0';
	return copy;
}

/*
 * A text without a NUL.
 */
static bool
member_name(const Json *json, const JsonNode *object, const char *key,
			char **name)
{
	Slice		text;

	if (!member_text(json, object, key, &text) ||
		memchr(text.data, '\0', text.len) != NULL)
		return false;
	*name = copy_text(text);
	return true;
}

/* ----------
 * What is told
 * ----------
 */

static void
signer_says(Keeping *keeping, const Event *event, const Json *json,
			const JsonNode *payload, bool registered)
{
	SignerNews	news = {.event_id = event->event_id};

	if (event->event_id < 1 ||
		!member_name(json, payload, "signer", &news.signer))
		return;
	if (registered &&
		!member_name(json, payload, "public_key", &news.public_key))
		free(news.signer);
	else
		*list_add(&keeping->signers) = news;
}

static void
retirement_says(Keeping *keeping, const Event *event, int64_t leaf,
				const Json *json, const JsonNode *payload)
{
	Told		told = {.event_id = event->event_id};

	if (event->event_id < 1 ||
		!member_hash(json, payload, "leaves_hash", told.leaves_hash))
		return;
	*list_add(&keeping->retired) = told;
	if (leaf >= 0)
		keeping_place(keeping, event->event_id, leaf);
}

static void
redaction_says(Keeping *keeping, const Event *event, int64_t leaf,
			   const Json *json, const JsonNode *payload)
{
	Redacted	redacted = {.teller = event->event_id};

	if (!member_number(json, payload, "event_id", &redacted.event_id) ||
		!member_hash(json, payload, "payload_hash", redacted.payload_hash))
		return;
	*list_add(&keeping->redacted) = redacted;
	if (leaf >= 0)
		keeping_place(keeping, event->event_id, leaf);
}

void
keeping_says(Keeping *keeping, const Event *event, int64_t leaf,
			 const Json *json, const JsonNode *payload)
{
	Slice		type = event->field[TAG_EVENT_TYPE];
	Lineage		lineage = {.block_no = 0};
	int64_t		number;

	if (slice_is(type, "event_redacted"))
		redaction_says(keeping, event, leaf, json, payload);
	else if (slice_is(type, "events_retired"))
		retirement_says(keeping, event, leaf, json, payload);
	else if (slice_is(type, "events_restored"))
	{
		if (member_number(json, payload, "retirement", &number))
			*list_add(&keeping->restored) = number;
	}
	else if (slice_is(type, "incarnation_declared"))
	{
		if (member_number(json, payload, "timeline", &lineage.timeline) &&
			member_name(json, payload, "incarnation", &lineage.incarnation))
			*list_add(&keeping->declared) = lineage;
	}
	else if (slice_is(type, "signer_registered"))
		signer_says(keeping, event, json, payload, true);
	else if (slice_is(type, "signer_revoked"))
		signer_says(keeping, event, json, payload, false);
}

void
keeping_place(Keeping *keeping, int64_t event_id, int64_t leaf)
{
	Placed	   *placed = list_add(&keeping->placed);

	placed->event_id = event_id;
	placed->leaf = leaf;
	keeping->placed_sorted = false;
}

#define move_list(to, from) \
	do { \
		for (size_t i_ = 0; i_ < (from)->count; i_++) \
			*list_add(to) = (from)->item[i_]; \
		free((from)->item); \
		memset(from, 0, sizeof(*(from))); \
	} while (0)

void
keeping_move(Keeping *to, Keeping *from)
{
	move_list(&to->redacted, &from->redacted);
	move_list(&to->retired, &from->retired);
	move_list(&to->restored, &from->restored);
	move_list(&to->declared, &from->declared);
	move_list(&to->signers, &from->signers);
	move_list(&to->signatures, &from->signatures);
	move_list(&to->placed, &from->placed);
}

/* ----------
 * Asking for it
 * ----------
 */

static int
compare_redacted(const void *a, const void *b)
{
	const Redacted *left = a;
	const Redacted *right = b;

	if (left->event_id != right->event_id)
		return left->event_id < right->event_id ? -1 : 1;
	return memcmp(left->payload_hash, right->payload_hash, HASH_LEN);
}

static int
compare_placed(const void *a, const void *b)
{
	const Placed *left = a;
	const Placed *right = b;

	if (left->event_id != right->event_id)
		return left->event_id < right->event_id ? -1 : 1;
	return left->leaf < right->leaf ? -1 : left->leaf > right->leaf;
}

int64_t
keeping_leaf(Keeping *keeping, int64_t event_id)
{
	size_t		low = 0;
	size_t		high = keeping->placed.count;

	if (!keeping->placed_sorted && high > 0)
		qsort(keeping->placed.item, high, sizeof(Placed), compare_placed);
	keeping->placed_sorted = true;
	while (low < high)
	{
		size_t		middle = low + (high - low) / 2;

		if (keeping->placed.item[middle].event_id < event_id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < keeping->placed.count &&
		keeping->placed.item[low].event_id == event_id ?
		keeping->placed.item[low].leaf : INT64_MAX;
}

bool
keeping_redacted(Keeping *keeping, int64_t event_id,
				 const uint8_t *payload_hash, int64_t *leaf)
{
	Redacted	key = {.event_id = event_id};
	const Redacted *found;
	const Redacted *end = keeping->redacted.item + keeping->redacted.count;

	*leaf = INT64_MAX;
	if (keeping->redacted.count == 0)
		return false;
	if (!keeping->sorted)
		qsort(keeping->redacted.item, keeping->redacted.count,
			  sizeof(Redacted), compare_redacted);
	keeping->sorted = true;
	memcpy(key.payload_hash, payload_hash, HASH_LEN);
	found = bsearch(&key, keeping->redacted.item, keeping->redacted.count,
					sizeof(Redacted), compare_redacted);
	if (found == NULL)
		return false;
	while (found > keeping->redacted.item &&
		   compare_redacted(found - 1, &key) == 0)
		found--;
	for (; found < end && compare_redacted(found, &key) == 0; found++)
		*leaf = Min(*leaf, keeping_leaf(keeping, found->teller));
	return true;
}

bool
keeping_retired(Keeping *keeping, int64_t event_id, Slice leaves)
{
	uint8_t		hash[HASH_LEN];
	bool		told = false;

	sha256(leaves.data, leaves.len, hash);
	for (size_t i = 0; i < keeping->retired.count; i++)
	{
		Told	   *retired = &keeping->retired.item[i];

		if (retired->event_id != event_id ||
			memcmp(retired->leaves_hash, hash, HASH_LEN) != 0)
			continue;
		retired->believed = told = true;
	}
	for (size_t i = 0; i < keeping->restored.count; i++)
		told &= keeping->restored.item[i] != event_id;
	return told;
}

bool
keeping_declared(const Keeping *keeping, const Lineage *lineage)
{
	for (size_t i = 0; i < keeping->declared.count; i++)
		if (keeping->declared.item[i].timeline == lineage->timeline &&
			strcmp(keeping->declared.item[i].incarnation,
				   lineage->incarnation) == 0)
			return true;
	return false;
}

/* ----------
 * Signatures
 * ----------
 */

void
keeping_signed(Keeping *keeping, const Event *event, const char *text,
			   size_t len)
{
	static const char domain[] = "uaef/claim/v1";
	static const uint8_t nobody[UUID_LEN] = {0};
	Slice		signer = event->field[TAG_SIGNER];
	Slice		signature = event->field[TAG_SIGNATURE];
	Slice		type = event->field[TAG_EVENT_TYPE];
	Signed	   *entry = list_add(&keeping->signatures);
	Buffer		claim = {0};
	uint8_t		number[4];
	uint8_t		hash[HASH_LEN];

	memset(entry, 0, sizeof(Signed));
	memcpy(entry->stream, event->stream, UUID_LEN);
	entry->stream_seq = event->stream_seq;
	entry->event_id = event->event_id;
	if (signer.data == NULL || memchr(signer.data, '\0', signer.len) != NULL ||
		signature.data == NULL || signature.len != SIGNATURE_LEN)
		return;
	entry->signer = copy_text(signer);
	buffer_add(&claim, signature.data, signature.len);
	buffer_add(&claim, domain, sizeof(domain));
	buffer_add(&claim, event->ledger, UUID_LEN);
	buffer_add(&claim, event->stream[6] >> 4 != 8 ? event->stream : nobody,
			   UUID_LEN);
	put_number(number, sizeof(number), type.len);
	buffer_add(&claim, number, sizeof(number));
	buffer_add(&claim, type.data, type.len);
	sha256(text, len, hash);
	buffer_add(&claim, hash, HASH_LEN);
	entry->signature = (uint8_t *) claim.data;
	entry->len = claim.len - SIGNATURE_LEN;
}

/*
 * What is known of a signer when an event was recorded: its key, NULL for
 * none; false when nothing can be said.
 */
static bool
find_key(const Keeping *keeping, const Signed *entry, bool late,
		 const char **public_key)
{
	const SignerNews *first = NULL;
	bool		revoked = false;

	for (size_t i = 0; i < keeping->signers.count; i++)
	{
		const SignerNews *news = &keeping->signers.item[i];

		if (news->event_id >= entry->event_id ||
			strcmp(news->signer, entry->signer) != 0)
			continue;
		if (news->public_key == NULL)
			revoked = true;
		else if (first == NULL || news->event_id < first->event_id)
			first = news;
	}
	*public_key = first != NULL && !revoked ? first->public_key : NULL;
	return first != NULL || revoked || !late;
}

static bool
signature_holds(const Signed *entry, const char *public_key)
{
	Key			key = {.name = NULL};
	bool		good;

	if (public_key == NULL)
		return false;
	good = key_read(public_key, &key) == NULL && key.type == 1 &&
		ed25519_verify(key.public_key, entry->signature + SIGNATURE_LEN,
					   entry->len, entry->signature);
	free(key.name);
	return good;
}

void
keeping_check_signatures(Keeping *keeping, bool late, Report *report)
{
	for (size_t i = 0; i < keeping->signatures.count; i++)
	{
		const Signed *entry = &keeping->signatures.item[i];
		Place		place = {.stream = entry->stream,
		.stream_seq = entry->stream_seq,.event_id = entry->event_id};
		const char *public_key = NULL;

		if (entry->signer != NULL &&
			!find_key(keeping, entry, late, &public_key))
			continue;
		if (entry->signer == NULL || !signature_holds(entry, public_key))
			report_finding(report, "SIG_BAD", &place,
						   "the event's signature is not that of its signer, or he was not registered then");
	}
}
