/*-------------------------------------------------------------------------
 *
 * event_hash.c
 *	  The bytes of an event that are hashed, and SHA-256.
 *
 * An event is laid out in one buffer and hashed by one call: two dozen small
 * calls cost half as much again.  That call is libcrypto's only where
 * sha256_ni.c cannot help.  libcrypto's algorithm is fetched once per process:
 * in OpenSSL 3, looking it up costs more than hashing an event.
 *
 * Memory: the buffer and the digest's context are the process's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <openssl/evp.h>

#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "port/pg_bswap.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "append_bytes.h"
#include "canonical.h"
#include "compat.h"
#include "event_hash.h"
#include "sha256_ni.h"

/* Fixed part of the preimage. */
#define VERSION			1
#define FLAGS			0

/* The prefix of a leaf in an RFC 6962 tree; our leaf is the event's hash. */
#define LEAF_PREFIX		0x00

/* Tags of the optional part, in the order in which they must stand. */
enum
{
	TAG_TYPE = 1,
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

/* Microseconds between the epochs of Unix and of PostgreSQL. */
#define EPOCH_SHIFT_US \
	((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY)

/* The process's digest computation, made at first use. */
static EVP_MD_CTX *digest_context = NULL;
static const EVP_MD *digest_algorithm = NULL;

/* What is being hashed; its memory is kept, unless it has grown beyond this. */
static StringInfoData event_preimage;
static StringInfoData other_preimage;	/* a payload or a name */
#define PREIMAGE_KEEP	(64 * 1024)

static void begin_preimage(StringInfo preimage, const void *domain, int len);
static void end_preimage(StringInfo preimage);
static void hash_preimage(StringInfo preimage, uint8 *hash);
static void lay_out_payload(Jsonb *payload, const uint8 *salt);
static bool lay_out_event(const pg_uuid_t *ledger, const Datum *values,
						  const bool *nulls);
static inline char *put_uint64(char *at, uint64 value);
static void append_tlv(StringInfo out, uint16 tag, const void *data,
					   uint32 len);
static bool has_required(const bool *nulls);
static void append_text(StringInfo out, uint16 tag, Datum value, bool convert);
static inline void append_column(StringInfo out, uint16 tag, int column,
								 const Datum *values, const bool *nulls,
								 bool convert);
static void append_head(StringInfo out, const pg_uuid_t *ledger,
						const Datum *values);
static void append_fields(StringInfo out, const Datum *values,
						  const bool *nulls);
pg_noreturn static void digest_failed(void);

static void
digest_failed(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INTERNAL_ERROR),
			 errmsg("could not compute SHA-256")));
}

void
uaef_hash_begin(void)
{
	if (digest_algorithm == NULL)
	{
#if OPENSSL_VERSION_NUMBER >= 0x30000000L
		digest_algorithm = EVP_MD_fetch(NULL, "SHA256", NULL);
#else
		digest_algorithm = EVP_sha256();
#endif
	}
	if (digest_context == NULL)
		digest_context = EVP_MD_CTX_new();

	if (digest_algorithm == NULL || digest_context == NULL ||
		EVP_DigestInit_ex(digest_context, digest_algorithm, NULL) != 1)
		digest_failed();
}

void
uaef_hash_add(const void *data, size_t len)
{
	if (EVP_DigestUpdate(digest_context, data, len) != 1)
		digest_failed();
}

void
uaef_hash_end(uint8 *hash)
{
	if (EVP_DigestFinal_ex(digest_context, hash, NULL) != 1)
		digest_failed();
}

void
uaef_sha256(const void *data, size_t len, uint8 *hash)
{
	if (uaef_sha256_ni(data, len, hash))
		return;
	uaef_hash_begin();
	uaef_hash_add(data, len);
	uaef_hash_end(hash);
}

void
uaef_sha256_two(const UaefHashed *first, const UaefHashed *second)
{
	if (uaef_sha256_ni_two(first, second))
		return;
	uaef_sha256(first->data, first->len, first->hash);
	uaef_sha256(second->data, second->len, second->hash);
}

void
uaef_hash_add_uint64(uint64 value)
{
	value = pg_hton64(value);
	uaef_hash_add(&value, sizeof(value));
}

void
uaef_hash_add_uint32(uint32 value)
{
	value = pg_hton32(value);
	uaef_hash_add(&value, sizeof(value));
}

int64
uaef_unix_us(TimestampTz time)
{
	return time + EPOCH_SHIFT_US;
}

void
uaef_genesis_hash(const pg_uuid_t *ledger, const pg_uuid_t *stream,
				  uint8 *hash)
{
	static const char domain[] = "uaef/genesis/v1";
	char		bytes[sizeof(domain) + 2 * UUID_LEN];

	memcpy(bytes, domain, sizeof(domain));
	memcpy(bytes + sizeof(domain), ledger->data, UUID_LEN);
	memcpy(bytes + sizeof(domain) + UUID_LEN, stream->data, UUID_LEN);
	uaef_sha256(bytes, sizeof(bytes), hash);
}

void
uaef_derive_uuid(const pg_uuid_t *ledger, const char *word, int64 number,
				 pg_uuid_t *uuid)
{
	static const char domain[] = "uaef/stream/v1";
	uint8		hash[UAEF_HASH_LEN];

	begin_preimage(&other_preimage, domain, sizeof(domain));
	uaef_append_bytes(&other_preimage, ledger->data, UUID_LEN);
	(void) put_uint64(uaef_append_room(&other_preimage, sizeof(uint64)),
					  number);
	uaef_append_bytes(&other_preimage, word, strlen(word));
	hash_preimage(&other_preimage, hash);

	memcpy(uuid->data, hash, UUID_LEN);
	uuid->data[6] = (uuid->data[6] & 0x0f) | 0x80;
	uuid->data[8] = (uuid->data[8] & 0x3f) | 0x80;
}

/*
 * Start a buffer with some bytes.
 */
static void
begin_preimage(StringInfo preimage, const void *domain, int len)
{
	if (preimage->data == NULL)
	{
		MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);

		initStringInfo(preimage);
		MemoryContextSwitchTo(caller);
	}
	resetStringInfo(preimage);
	uaef_append_bytes(preimage, domain, len);
}

static void
end_preimage(StringInfo preimage)
{
	if (preimage->maxlen > PREIMAGE_KEEP)
	{
		pfree(preimage->data);
		preimage->data = NULL;
	}
}

static void
hash_preimage(StringInfo preimage, uint8 *hash)
{
	uaef_sha256(preimage->data, preimage->len, hash);
	end_preimage(preimage);
}

static void
lay_out_payload(Jsonb *payload, const uint8 *salt)
{
	static const char domain[] = "uaef/payload/v1";

	begin_preimage(&other_preimage, domain, sizeof(domain));
	uaef_append_bytes(&other_preimage, salt, UAEF_SALT_LEN);
	(void) uaef_canonical_append(&other_preimage, payload);
}

void
uaef_payload_hash(Jsonb *payload, const uint8 *salt, uint8 *hash)
{
	lay_out_payload(payload, salt);
	hash_preimage(&other_preimage, hash);
}

/* The place behind what was put. */
static inline char *
put_uint64(char *at, uint64 value)
{
	value = pg_hton64(value);
	memcpy(at, &value, sizeof(value));
	return at + sizeof(value);
}

/*
 * One optional field: tag, length, bytes.
 */
static void
append_tlv(StringInfo out, uint16 tag, const void *data, uint32 len)
{
	char	   *at = uaef_append_room(out, sizeof(tag) + sizeof(len) + len);
	uint32		size = pg_hton32(len);

	tag = pg_hton16(tag);
	memcpy(at, &tag, sizeof(tag));
	memcpy(at + sizeof(tag), &size, sizeof(size));
	memcpy(at + sizeof(tag) + sizeof(size), data, len);
}

/*
 * convert: the database is not in UTF-8.
 */
static void
append_text(StringInfo out, uint16 tag, Datum value, bool convert)
{
	struct varlena *packed = (struct varlena *) DatumGetPointer(value);
	char	   *bytes;
	char	   *utf8;
	int			len;

	if (!VARATT_IS_SHORT(packed) || VARATT_IS_EXTERNAL(packed))
		packed = PG_DETOAST_DATUM_PACKED(value);
	bytes = VARDATA_ANY(packed);
	len = VARSIZE_ANY_EXHDR(packed);
	if (convert)
	{
		utf8 = pg_server_to_any(bytes, len, PG_UTF8);
		if (utf8 != bytes)
			len = strlen(utf8);
		bytes = utf8;
	}
	append_tlv(out, tag, bytes, len);
}

Datum
uaef_bytea(const void *bytes, size_t len)
{
	bytea	   *result = palloc(VARHDRSZ + len);

	SET_VARSIZE(result, VARHDRSZ + len);
	memcpy(VARDATA(result), bytes, len);
	return PointerGetDatum(result);
}

const uint8 *
uaef_fixed_bytes(Datum value, size_t len)
{
	bytea	   *packed = DatumGetByteaPP(value);

	if (VARSIZE_ANY_EXHDR(packed) != len)
		return NULL;
	return (const uint8 *) VARDATA_ANY(packed);
}

/*
 * Whether the columns of the fixed part are there.
 */
static bool
has_required(const bool *nulls)
{
	static const int required[] = {
		UAEF_EVENT_ID, UAEF_EVENT_STREAM, UAEF_EVENT_STREAM_SEQ,
		UAEF_EVENT_TX, UAEF_EVENT_RECORDED_AT, UAEF_EVENT_KIND,
		UAEF_EVENT_PREV_HASH
	};

	for (int i = 0; i < lengthof(required); i++)
		if (nulls[required[i] - 1])
			return false;
	return true;
}

#define VALUE(column) values[(column) - 1]
#define ISNULL(column) nulls[(column) - 1]

/*
 * The part that every event has.
 */
static void
append_head(StringInfo out, const pg_uuid_t *ledger, const Datum *values)
{
	uint8		head[] = {'U', 'A', 'E', '1', VERSION,
	(uint8) DatumGetInt16(VALUE(UAEF_EVENT_KIND)), FLAGS >> 8, FLAGS & 0xff};
	const pg_uuid_t *stream = DatumGetUUIDP(VALUE(UAEF_EVENT_STREAM));
	char	   *at = uaef_append_room(out, sizeof(head) + 2 * UUID_LEN +
									  4 * sizeof(uint64) + UAEF_HASH_LEN);

	memcpy(at, head, sizeof(head));
	at += sizeof(head);
	memcpy(at, ledger->data, UUID_LEN);
	memcpy(at + UUID_LEN, stream->data, UUID_LEN);
	at += 2 * UUID_LEN;
	at = put_uint64(at, DatumGetInt64(VALUE(UAEF_EVENT_STREAM_SEQ)));
	at = put_uint64(at, DatumGetInt64(VALUE(UAEF_EVENT_ID)));
	at = put_uint64(at, uaef_unix_us(DatumGetTimestampTz(
														 VALUE(UAEF_EVENT_RECORDED_AT))));
	at = put_uint64(at, DatumGetInt64(VALUE(UAEF_EVENT_TX)));
	memcpy(at, uaef_datum_hash(VALUE(UAEF_EVENT_PREV_HASH)), UAEF_HASH_LEN);
}

/*
 * A column of text, if it is there.
 */
static inline void
append_column(StringInfo out, uint16 tag, int column, const Datum *values,
			  const bool *nulls, bool convert)
{
	if (!ISNULL(column))
		append_text(out, tag, VALUE(column), convert);
}

static void
append_fields(StringInfo out, const Datum *values, const bool *nulls)
{
	bool		convert = GetDatabaseEncoding() != PG_UTF8;

	append_column(out, TAG_TYPE, UAEF_EVENT_TYPE, values, nulls, convert);
	append_column(out, TAG_ACTOR_TYPE, UAEF_EVENT_ACTOR_TYPE, values, nulls,
				  convert);
	append_column(out, TAG_ACTOR_ID, UAEF_EVENT_ACTOR_ID, values, nulls,
				  convert);
	append_column(out, TAG_SESSION_ROLE, UAEF_EVENT_SESSION_ROLE, values,
				  nulls, convert);
	append_column(out, TAG_EFFECTIVE_ROLE, UAEF_EVENT_EFFECTIVE_ROLE, values,
				  nulls, convert);
	if (!ISNULL(UAEF_EVENT_TASK_ID))
	{
		uint64		number = pg_hton64(DatumGetInt64(VALUE(UAEF_EVENT_TASK_ID)));

		append_tlv(out, TAG_TASK_ID, &number, sizeof(number));
	}
	append_column(out, TAG_AGENT_ID, UAEF_EVENT_AGENT_ID, values, nulls,
				  convert);
	if (!ISNULL(UAEF_EVENT_PAYLOAD_HASH))
		append_tlv(out, TAG_PAYLOAD_HASH,
				   uaef_datum_hash(VALUE(UAEF_EVENT_PAYLOAD_HASH)),
				   UAEF_HASH_LEN);
	append_column(out, TAG_SIGNER, UAEF_EVENT_SIGNER, values, nulls, convert);
	if (!ISNULL(UAEF_EVENT_SIGNATURE))
	{
		bytea	   *signature = DatumGetByteaPP(VALUE(UAEF_EVENT_SIGNATURE));

		append_tlv(out, TAG_SIGNATURE, VARDATA_ANY(signature),
				   VARSIZE_ANY_EXHDR(signature));
	}
}

bool
uaef_event_append(StringInfo out, const pg_uuid_t *ledger,
				  const Datum *values, const bool *nulls)
{
	if (!has_required(nulls) ||
		(DatumGetInt16(VALUE(UAEF_EVENT_KIND)) != UAEF_KIND_ENGINE &&
		 DatumGetInt16(VALUE(UAEF_EVENT_KIND)) != UAEF_KIND_APPLICATION))
		return false;
	append_head(out, ledger, values);
	append_fields(out, values, nulls);
	return true;
}

static bool
lay_out_event(const pg_uuid_t *ledger, const Datum *values, const bool *nulls)
{
	static const uint8 prefix = LEAF_PREFIX;

	begin_preimage(&event_preimage, &prefix, 1);
	return uaef_event_append(&event_preimage, ledger, values, nulls);
}

bool
uaef_event_hash(const pg_uuid_t *ledger, const Datum *values,
				const bool *nulls, uint8 *hash)
{
	if (!lay_out_event(ledger, values, nulls))
		return false;
	hash_preimage(&event_preimage, hash);
	return true;
}

bool
uaef_event_hash_both(const pg_uuid_t *ledger, const Datum *values,
					 const bool *nulls, Jsonb *payload, uint8 *payload_hash,
					 uint8 *hash)
{
	bool		whole;

	lay_out_payload(payload, uaef_datum_hash(VALUE(UAEF_EVENT_SALT)));
	whole = lay_out_event(ledger, values, nulls);
	if (whole)
	{
		UaefHashed	both[2] = {
			{other_preimage.data, other_preimage.len, payload_hash},
			{event_preimage.data, event_preimage.len, hash}
		};

		uaef_sha256_two(&both[0], &both[1]);
		end_preimage(&other_preimage);
		end_preimage(&event_preimage);
	}
	else
		hash_preimage(&other_preimage, payload_hash);
	return whole;
}
