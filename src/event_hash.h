/*-------------------------------------------------------------------------
 *
 * event_hash.h
 *	  The bytes of an event that are hashed, and SHA-256.
 *
 * docs/ledger-format.md is the norm that these functions follow.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_EVENT_HASH_H
#define UAEF_EVENT_HASH_H

#include "datatype/timestamp.h"
#include "lib/stringinfo.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

#include "hash256.h"
#include "sha256_ni.h"

#define UAEF_SALT_LEN	32

/* Columns of uaef.ledger_event. */
enum
{
	UAEF_EVENT_ID = 1,
	UAEF_EVENT_STREAM,
	UAEF_EVENT_STREAM_SEQ,
	UAEF_EVENT_TX,
	UAEF_EVENT_RECORDED_AT,
	UAEF_EVENT_KIND,
	UAEF_EVENT_TYPE,
	UAEF_EVENT_ACTOR_TYPE,
	UAEF_EVENT_ACTOR_ID,
	UAEF_EVENT_SESSION_ROLE,
	UAEF_EVENT_EFFECTIVE_ROLE,
	UAEF_EVENT_TASK_ID,
	UAEF_EVENT_AGENT_ID,
	UAEF_EVENT_PAYLOAD,
	UAEF_EVENT_SALT,
	UAEF_EVENT_PAYLOAD_HASH,
	UAEF_EVENT_SIGNER,
	UAEF_EVENT_SIGNATURE,
	UAEF_EVENT_PREV_HASH,
	UAEF_EVENT_HASH
};
#define UAEF_EVENT_COLUMNS UAEF_EVENT_HASH

/* Who wrote an event: column kind, and the byte that is hashed. */
#define UAEF_KIND_ENGINE		1	/* this extension, of what it did */
#define UAEF_KIND_APPLICATION	2	/* record_event(), or direct SQL */

/*
 * SHA-256 of parts given one after another: begin, add, ..., end.  There is
 * one computation at a time in a process.
 */
extern void uaef_hash_begin(void);
extern void uaef_hash_add(const void *data, size_t len);
extern void uaef_hash_add_uint64(uint64 value); /* big-endian */
extern void uaef_hash_add_uint32(uint32 value);
extern void uaef_hash_end(uint8 *hash);

/* SHA-256 of bytes that lie together: the cheapest way. */
extern void uaef_sha256(const void *data, size_t len, uint8 *hash);

/* The same of two, for little more than one costs. */
extern void uaef_sha256_two(const UaefHashed *first, const UaefHashed *second);

/* Microseconds since 1970-01-01 UTC. */
extern int64 uaef_unix_us(TimestampTz time);

/* The hash that an event of a stream refers to when there is none before. */
extern void uaef_genesis_hash(const pg_uuid_t *ledger, const pg_uuid_t *stream,
							  uint8 *hash);

/*
 * A UUID (version 8) that the ledger, a word and a number determine: streams
 * that belong to no execution have such names.
 */
extern void uaef_derive_uuid(const pg_uuid_t *ledger, const char *word,
							 int64 number, pg_uuid_t *uuid);

/* What an event says instead of its payload. */
extern void uaef_payload_hash(Jsonb *payload, const uint8 *salt, uint8 *hash);

/*
 * The bytes that stand for an event (E of docs/ledger-format.md): all of its
 * columns but payload, salt and the hash.  values and nulls are a deformed row
 * of uaef.ledger_event.  Returns false, and appends nothing, when the row
 * lacks what every event has, or is of no kind.
 */
extern bool uaef_event_append(StringInfo out, const pg_uuid_t *ledger,
							  const Datum *values, const bool *nulls);

/* The hash of an event: SHA-256 of a zero byte and those; or false. */
extern bool uaef_event_hash(const pg_uuid_t *ledger, const Datum *values,
							const bool *nulls, uint8 *hash);

/*
 * Both hashes of an event that has a payload and its salt, as it is stored: the
 * second one stands for the payload_hash of the row, not for the first.
 * Returns false when there is no second.
 */
extern bool uaef_event_hash_both(const pg_uuid_t *ledger, const Datum *values,
								 const bool *nulls, Jsonb *payload,
								 uint8 *payload_hash, uint8 *hash);

/* Bytes as a new bytea. */
extern Datum uaef_bytea(const void *bytes, size_t len);

/* Bytes of a bytea of len bytes; NULL when it has another length. */
extern const uint8 *uaef_fixed_bytes(Datum value, size_t len);

#endif							/* UAEF_EVENT_HASH_H */
