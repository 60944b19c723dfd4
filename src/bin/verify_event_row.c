/*-------------------------------------------------------------------------
 *
 * verify_event_row.c
 *	  An event as a row of an export of JSON lines.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "verify_canonical.h"
#include "verify_event_row.h"

/* Bytes of fields that are not texts. */
typedef struct FieldBytes
{
	char		task[8];
	char		hash[HASH_LEN];
	Buffer		signature;
} FieldBytes;

/*
 * The fields of an event; returns NULL or the last column that is bad.  Those
 * that are not are set in any case.
 */
static const char *
read_fields(const Json *json, Event *event, FieldBytes *bytes)
{
	static const struct
	{
		const char *column;
		int			tag;
	}			texts[] = {
		{"event_type", TAG_EVENT_TYPE}, {"actor_type", TAG_ACTOR_TYPE},
		{"actor_id", TAG_ACTOR_ID}, {"session_role", TAG_SESSION_ROLE},
		{"effective_role", TAG_EFFECTIVE_ROLE}, {"agent_id", TAG_AGENT_ID},
		{"signer", TAG_SIGNER}
	};
	const char *wrong = NULL;
	int64_t		number;

	for (size_t i = 0; i < lengthof(texts); i++)
		if (row_has(json, texts[i].column) &&
			!row_text(json, texts[i].column, &event->field[texts[i].tag]))
			wrong = texts[i].column;
	if (event->field[TAG_EVENT_TYPE].data == NULL)
		wrong = "event_type";
	if (event->field[TAG_SESSION_ROLE].data == NULL)
		wrong = "session_role";
	if (row_number(json, "task_id", &number))
	{
		put_number(bytes->task, 8, (uint64_t) number);
		event->field[TAG_TASK_ID] = make_slice(bytes->task, 8);
	}
	else if (row_has(json, "task_id"))
		wrong = "task_id";
	if (row_hash(json, "payload_hash", (uint8_t *) bytes->hash))
		event->field[TAG_PAYLOAD_HASH] = make_slice(bytes->hash, HASH_LEN);
	else if (row_has(json, "payload_hash"))
		wrong = "payload_hash";
	buffer_reserve(&bytes->signature, 1);
	if (row_bytes(json, "signature", &bytes->signature))
		event->field[TAG_SIGNATURE] = make_slice(bytes->signature.data,
												 bytes->signature.len);
	else if (row_has(json, "signature"))
		wrong = "signature";
	return wrong;
}

/*
 * The columns that every event has; returns NULL or one that is bad.
 */
static const char *
read_head(const Json *json, const Ledger *ledger, Event *event)
{
	const char *wrong = NULL;
	int64_t		kind;

	memset(event, 0, sizeof(Event));
	memcpy(event->ledger, ledger->id, UUID_LEN);
	if (!row_number(json, "kind", &kind) ||
		(kind != KIND_ENGINE && kind != KIND_APPLICATION))
		wrong = "kind";
	else
		event->kind = (int) kind;
	if (!row_xid(json, "tx", &event->tx))
		wrong = "tx";
	if (!row_time(json, "recorded_at", &event->recorded_at))
		wrong = "recorded_at";
	if (!row_hash(json, "prev_hash", event->prev_hash))
		wrong = "prev_hash";
	return wrong;
}

/*
 * Whether the payload is what payload_hash commits to, or is not there.
 * Returns whether it is known; scratch has its canonical text then, nothing if
 * the event has none.
 */
static bool
check_payload(const Json *json, const Event *event, const Place *place,
			  Buffer *scratch, Found *found)
{
	const JsonNode *payload = json_member(json, json->nodes + json->row, "payload");
	bool		has_payload = row_has(json, "payload");
	bool		has_salt = row_has(json, "salt");
	Slice		stored = event->field[TAG_PAYLOAD_HASH];
	uint8_t		salt[HASH_LEN];
	uint8_t		hash[HASH_LEN];

	scratch->len = 0;
	if (stored.data == NULL && !has_payload && !has_salt)
		return true;
	if (stored.data != NULL && !has_payload && !has_salt)
	{
		payload_gone(found, event, place->stream != NULL);
		return false;
	}
	if (stored.data == NULL || !has_salt)
	{
		report_finding(&found->report, "PAYLOAD_MISMATCH", place,
					   "payload, salt or payload_hash is missing");
		return false;
	}
	if (!has_payload)
		buffer_add(scratch, "null", 4);
	if (row_hash(json, "salt", salt) &&
		(!has_payload || canonical_append(scratch, json, payload)))
	{
		payload_hash(salt, scratch->data, scratch->len, hash);
		if (memcmp(hash, stored.data, HASH_LEN) == 0)
			return true;
	}
	report_finding(&found->report, "PAYLOAD_MISMATCH", place,
				   "the payload is not what payload_hash commits to");
	return false;
}

bool
event_row_read(const Ledger *ledger, const Json *json, int64_t line,
			   Buffer *scratch, Found *found, EventRow *row, bool *placed)
{
	Event		event;
	Place		place = {0};
	FieldBytes	bytes = {.signature = {0}};
	const char *wrong = read_head(json, ledger, &event);
	const char *wrong_field = read_fields(json, &event, &bytes);
	bool		hashed = row_hash(json, "event_hash", row->stored);

	*placed = row_uuid(json, "stream", event.stream) &&
		row_number(json, "stream_seq", &event.stream_seq);
	if (wrong == NULL)
		wrong = wrong_field;
	if (!row_number(json, "event_id", &event.event_id) || event.event_id < 1)
	{
		event.event_id = 0;
		wrong = "event_id";
	}
	if (!*placed)
		wrong = "stream or stream_seq";
	else
		place.stream = event.stream;
	place.stream_seq = event.stream_seq;
	place.event_id = event.event_id;

	if (check_payload(json, &event, &place, scratch, found) && wrong == NULL)
		event_signed(found, &event, scratch->data, scratch->len);
	memcpy(row->computed, row->stored, HASH_LEN);
	if (wrong == NULL)
	{
		scratch->len = 0;
		entry_encode(scratch, &event);
		leaf_hash(scratch->data, scratch->len, row->computed);
	}
	if (wrong != NULL || !hashed)
		report_finding(&found->report, "EVENT_HASH_MISMATCH", &place,
					   "line %lld: %s is missing or malformed",
					   (long long) line, wrong ? wrong : "event_hash");
	else if (memcmp(row->computed, row->stored, HASH_LEN) != 0)
		report_finding(&found->report, "EVENT_HASH_MISMATCH", &place,
					   "the event is not what event_hash says");
	row->decoded = wrong == NULL;
	memcpy(row->stream, event.stream, UUID_LEN);
	row->stream_seq = event.stream_seq;
	row->event_id = event.event_id;
	row->recorded_at = event.recorded_at;
	row->tx = event.tx;
	memcpy(row->prev_hash, event.prev_hash, HASH_LEN);
	event_says(ledger, found, &event, -1, json,
			   json_member(json, json->nodes + json->row, "payload"));
	buffer_free(&bytes.signature);
	return hashed;
}
