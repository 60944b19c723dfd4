/*-------------------------------------------------------------------------
 *
 * verify_entry.c
 *	  The bytes of an event that are hashed (docs/ledger-format.md, 2.2), and
 *	  other hashes of the format.
 *
 * An event has one encoding: what is not written by entry_encode() is refused
 * by entry_decode(), so that two events never have the same bytes nor one
 * event two.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "verify_entry.h"
#include "verify_sha256.h"

#define HEAD "UAE1\1"
#define FIELD_HEAD 6

/* Places of the parts before the fields. */
enum
{
	AT_KIND = 5,
	AT_FLAGS = 6,
	AT_LEDGER = 8,
	AT_STREAM = 24,
	AT_SEQ = 40,
	AT_ID = 48,
	AT_TIME = 56,
	AT_TX = 64,
	AT_PREV = 72
};

void
entry_encode(Buffer *out, const Event *event)
{
	uint8_t		head[ENTRY_HEAD] = HEAD;

	head[AT_KIND] = (uint8_t) event->kind;
	head[AT_FLAGS] = 0;
	head[AT_FLAGS + 1] = 0;
	memcpy(head + AT_LEDGER, event->ledger, UUID_LEN);
	memcpy(head + AT_STREAM, event->stream, UUID_LEN);
	put_number(head + AT_SEQ, 8, (uint64_t) event->stream_seq);
	put_number(head + AT_ID, 8, (uint64_t) event->event_id);
	put_number(head + AT_TIME, 8, (uint64_t) event->recorded_at);
	put_number(head + AT_TX, 8, event->tx);
	memcpy(head + AT_PREV, event->prev_hash, HASH_LEN);
	buffer_add(out, head, ENTRY_HEAD);

	for (int tag = 1; tag <= TAGS; tag++)
	{
		uint8_t		field[FIELD_HEAD];

		if (event->field[tag].data == NULL)
			continue;
		put_number(field, 2, (uint64_t) tag);
		put_number(field + 2, 4, event->field[tag].len);
		buffer_add(out, field, FIELD_HEAD);
		buffer_add(out, event->field[tag].data, event->field[tag].len);
	}
}

/*
 * What is wrong with the bytes of a field, or NULL.
 */
static const char *
check_field(int tag, Slice field)
{
	switch (tag)
	{
		case TAG_TASK_ID:
			return field.len == 8 ? NULL : "task_id is not of 8 bytes";
		case TAG_PAYLOAD_HASH:
			return field.len == HASH_LEN ? NULL :
				"payload_hash is not of 32 bytes";
		case TAG_SIGNATURE:
			return NULL;
		default:
			if (!utf8_valid(field.data, field.len))
				return "a text is not UTF-8";
			if (memchr(field.data, '\0', field.len) != NULL)
				return "a text contains a zero byte";
			return NULL;
	}
}

static const char *
decode_fields(const char *data, size_t len, Event *event, size_t *at)
{
	int			before = 0;

	while (*at < len)
	{
		int			tag;
		Slice		field;
		const char *wrong;

		if (len - *at < FIELD_HEAD)
			return "a field is cut off";
		tag = (int) get_number(data + *at, 2);
		field.len = (size_t) get_number(data + *at + 2, 4);
		field.data = data + *at + FIELD_HEAD;
		if (tag <= before)
			return "a field is out of order";
		if (tag > TAGS)
			return "a field has an unknown tag";
		if (field.len > len - *at - FIELD_HEAD)
			return "a field is longer than the entry";
		wrong = check_field(tag, field);
		if (wrong != NULL)
			return wrong;
		event->field[tag] = field;
		before = tag;
		*at += FIELD_HEAD + field.len;
	}
	if (event->field[TAG_EVENT_TYPE].data == NULL)
		return "the event has no event_type";
	if (event->field[TAG_SESSION_ROLE].data == NULL)
		return "the event has no session_role";
	return NULL;
}

const char *
entry_decode(const char *data, size_t len, Event *event, size_t *at)
{
	memset(event, 0, sizeof(Event));
	*at = 0;
	if (len < ENTRY_HEAD)
		return "the entry is too short";
	if (memcmp(data, HEAD, AT_KIND) != 0)
		return "the entry is not of version 1";
	*at = AT_KIND;
	event->kind = (uint8_t) data[AT_KIND];
	if (event->kind != KIND_ENGINE && event->kind != KIND_APPLICATION)
		return "the event is of no known kind";
	*at = AT_FLAGS;
	if (get_number(data + AT_FLAGS, 2) != 0)
		return "the entry has unknown flags";
	memcpy(event->ledger, data + AT_LEDGER, UUID_LEN);
	memcpy(event->stream, data + AT_STREAM, UUID_LEN);
	event->stream_seq = (int64_t) get_number(data + AT_SEQ, 8);
	event->event_id = (int64_t) get_number(data + AT_ID, 8);
	event->recorded_at = (int64_t) get_number(data + AT_TIME, 8);
	event->tx = get_number(data + AT_TX, 8);
	memcpy(event->prev_hash, data + AT_PREV, HASH_LEN);
	*at = AT_SEQ;
	if (event->stream_seq < 1 || event->event_id < 1)
		return "stream_seq or event_id is not positive";
	*at = ENTRY_HEAD;
	return decode_fields(data, len, event, at);
}

void
leaf_hash(const char *data, size_t len, uint8_t *hash)
{
	Sha256		sha;

	sha256_begin(&sha);
	sha256_add(&sha, "", 1);
	sha256_add(&sha, data, len);
	sha256_end(&sha, hash);
}

void
genesis_hash(const uint8_t *ledger, const uint8_t *stream, uint8_t *hash)
{
	static const char domain[] = "uaef/genesis/v1";
	char		message[sizeof(domain) + 2 * UUID_LEN];

	memcpy(message, domain, sizeof(domain));
	memcpy(message + sizeof(domain), ledger, UUID_LEN);
	memcpy(message + sizeof(domain) + UUID_LEN, stream, UUID_LEN);
	sha256(message, sizeof(message), hash);
}

void
payload_hash(const uint8_t *salt, const char *text, size_t len, uint8_t *hash)
{
	static const char domain[] = "uaef/payload/v1";
	Sha256		sha;

	sha256_begin(&sha);
	sha256_add(&sha, domain, sizeof(domain));
	sha256_add(&sha, salt, HASH_LEN);
	sha256_add(&sha, text, len);
	sha256_end(&sha, hash);
}

void
derived_stream(const uint8_t *ledger, const char *word, int64_t number,
			   uint8_t *stream)
{
	static const char domain[] = "uaef/stream/v1";
	uint8_t		counter[8];
	uint8_t		hash[HASH_LEN];
	Sha256		sha;

	put_number(counter, 8, (uint64_t) number);
	sha256_begin(&sha);
	sha256_add(&sha, domain, sizeof(domain));
	sha256_add(&sha, ledger, UUID_LEN);
	sha256_add(&sha, counter, sizeof(counter));
	sha256_add(&sha, word, strlen(word));
	sha256_end(&sha, hash);
	memcpy(stream, hash, UUID_LEN);
	stream[6] = (stream[6] & 0x0f) | 0x80;
	stream[8] = (stream[8] & 0x3f) | 0x80;
}
