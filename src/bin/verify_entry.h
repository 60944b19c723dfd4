/*-------------------------------------------------------------------------
 *
 * verify_entry.h
 *	  The bytes of an event that are hashed (docs/ledger-format.md, 2.2), and
 *	  other hashes of the format.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VERIFY_ENTRY_H
#define VERIFY_ENTRY_H

#include "verify_util.h"

/* Tags of the fields, in the order in which they stand. */
enum
{
	TAG_EVENT_TYPE = 1,
	TAG_ACTOR_TYPE,
	TAG_ACTOR_ID,
	TAG_SESSION_ROLE,
	TAG_EFFECTIVE_ROLE,
	TAG_TASK_ID,
	TAG_AGENT_ID,
	TAG_PAYLOAD_HASH,
	TAG_SIGNER,
	TAG_SIGNATURE
};
#define TAGS TAG_SIGNATURE

#define KIND_ENGINE 1
#define KIND_APPLICATION 2

/* Bytes of E before its fields. */
#define ENTRY_HEAD 104

/*
 * An event; field[tag] are the bytes of a field.
 */
typedef struct Event
{
	uint8_t		ledger[UUID_LEN];
	uint8_t		stream[UUID_LEN];
	int64_t		stream_seq;
	int64_t		event_id;
	int64_t		recorded_at;
	uint64_t	tx;
	int			kind;
	uint8_t		prev_hash[HASH_LEN];
	Slice		field[TAGS + 1];
} Event;

/* Append E of an event. */
extern void entry_encode(Buffer *out, const Event *event);

/*
 * Read E; only what entry_encode() gives is taken.  Returns NULL, or what is
 * wrong; then *at is the byte where it is.  Fields point into data.
 */
extern const char *entry_decode(const char *data, size_t len, Event *event,
								size_t *at);

/* SHA-256 of a leaf with these bytes. */
extern void leaf_hash(const char *data, size_t len, uint8_t *hash);

/* What a stream's first event follows; stream 0 for blocks. */
extern void genesis_hash(const uint8_t *ledger, const uint8_t *stream,
						 uint8_t *hash);

/* What payload_hash must be. */
extern void payload_hash(const uint8_t *salt, const char *text, size_t len,
						 uint8_t *hash);

/* The stream of a word and a number. */
extern void derived_stream(const uint8_t *ledger, const char *word,
						   int64_t number, uint8_t *stream);

#endif							/* VERIFY_ENTRY_H */
