/*-------------------------------------------------------------------------
 *
 * ledger_signature.c
 *	  Events that the actor signed.
 *
 * The signature does not cover place or time, which the actor cannot know: a
 * payload that may be recorded only once says so by a number of its own.
 *
 * A signer's row is a help; that a key was registered, and when, is told by
 * the event that its registered_by names, and that it was revoked by the one
 * of revoked_by.
 *
 * Locking: the keeper's lock (ledger_keeping.h) to register or revoke.  Whoever
 * records a signed event keeps the table of signers locked to the end of his
 * transaction, and a revocation waits for that: so its event has a higher
 * number than every event that was recorded before it.
 *
 * Memory: the caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation_d.h"
#include "catalog/pg_type_d.h"
#include "mb/pg_wchar.h"
#include "storage/lmgr.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "canonical.h"
#include "compat.h"
#include "ed25519.h"
#include "errcodes.h"
#include "heap_read.h"
#include "jsonb_check.h"
#include "ledger.h"
#include "ledger_keeping.h"
#include "ledger_signature.h"
#include "note.h"
#include "row_write.h"
#include "spi_util.h"

/* Columns of uaef.ledger_signer. */
enum
{
	SIGNER_NAME = 1,
	SIGNER_PUBLIC_KEY,
	SIGNER_ROLE,
	SIGNER_REGISTERED_BY,
	SIGNER_REVOKED_BY
};
#define SIGNER_COLUMNS SIGNER_REVOKED_BY

#define VALUE(column) values[(column) - 1]
#define ISNULL(column) nulls[(column) - 1]

static bool find_signer(Datum name, Datum *values, bool *nulls,
						ItemPointer tid);
static void lock_signers(LOCKMODE mode);
pg_noreturn static void no_such_signer(const char *name);
static UaefNoteKey signer_key(const char *public_key);
static bool verify_claim(const char *public_key, const bytea *signature,
						 const char *event_type, Jsonb *payload,
						 const pg_uuid_t *execution_id);
static bool tells_key(int64 event_id, const char *type, const char *name,
					  const char *public_key);

Datum
uaef_claim_bytes(const char *event_type, Jsonb *payload,
				 const pg_uuid_t *execution_id)
{
	static const char domain[] = "uaef/claim/v1";
	pg_uuid_t	none = {{0}};
	StringInfoData text;
	StringInfoData claim;
	char	   *type = pg_server_to_any(event_type, strlen(event_type), PG_UTF8);
	uint32		len = pg_hton32((uint32) strlen(type));
	uint8		hash[UAEF_HASH_LEN];

	initStringInfo(&text);
	if (payload != NULL)
		(void) uaef_canonical_append(&text, payload);
	uaef_hash_begin();
	uaef_hash_add(text.data, text.len);
	uaef_hash_end(hash);

	initStringInfo(&claim);
	appendBinaryStringInfo(&claim, domain, sizeof(domain));
	appendBinaryStringInfo(&claim, (const char *) uaef_ledger_id()->data,
						   UUID_LEN);
	appendBinaryStringInfo(&claim, (const char *)
						   (execution_id ? execution_id : &none)->data,
						   UUID_LEN);
	appendBinaryStringInfo(&claim, (const char *) &len, sizeof(len));
	appendBinaryStringInfo(&claim, type, strlen(type));
	appendBinaryStringInfo(&claim, (const char *) hash, sizeof(hash));
	return uaef_bytea(claim.data, claim.len);
}

/* ----------
 * Signers
 * ----------
 */

/*
 * The row of a signer; false when there is none.
 */
static bool
find_signer(Datum name, Datum *values, bool *nulls, ItemPointer tid)
{
	Oid			schema = get_namespace_oid("uaef", false);
	Relation	rel = table_open(get_relname_relid("ledger_signer", schema),
								 AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found;

	uaef_require_columns(RelationGetDescr(rel), "ledger_signer",
						 SIGNER_COLUMNS);
	ScanKeyInit(&key, SIGNER_NAME, BTEqualStrategyNumber, F_TEXTEQ, name);
	key.sk_collation = C_COLLATION_OID;
	scan = systable_beginscan(rel,
							  get_relname_relid("ledger_signer_pkey", schema),
							  true, SnapshotSelf, 1, &key);
	tuple = systable_getnext(scan);
	found = HeapTupleIsValid(tuple);
	if (found)
	{
		tuple = heap_copytuple(tuple);
		heap_deform_tuple(tuple, RelationGetDescr(rel), values, nulls);
		if (tid != NULL)
			*tid = tuple->t_self;
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

static void
lock_signers(LOCKMODE mode)
{
	LockRelationOid(get_relname_relid("ledger_signer",
									  get_namespace_oid("uaef", false)), mode);
}

/*
 * A public key from its text; raises when it is none.
 */
static UaefNoteKey
signer_key(const char *public_key)
{
	UaefNoteKey key;
	const char *wrong = uaef_note_parse_key(public_key, &key);

	if (wrong == NULL && key.kind != UAEF_KEY_ED25519)
		wrong = "the key is not one of Ed25519";
	if (wrong != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid public key"),
				 errdetail_internal("%s", wrong),
				 errhint("A public key reads NAME+HASH+BASE64.")));
	return key;
}

int64
uaef_register_signer(const char *public_key, Oid role)
{
	UaefKeeping keeping;
	UaefTable	table;
	UaefJson	json;
	UaefNoteKey key = signer_key(public_key);
	char	   *role_name = OidIsValid(role) ?
		GetUserNameFromId(role, false) : NULL;
	Datum		values[SIGNER_COLUMNS];
	bool		nulls[SIGNER_COLUMNS] = {0};
	int64		told;

	uaef_keeping_begin(&keeping, NULL);
	if (find_signer(CStringGetTextDatum(key.name), values, nulls, NULL))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("signer \"%s\" already exists", key.name),
				 errhint("A name stands for one key for ever; take another.")));
	uaef_json_begin(&json);
	uaef_json_text(&json, "signer", key.name);
	uaef_json_text(&json, "public_key", public_key);
	uaef_json_text(&json, "role", role_name);
	told = uaef_keeping_record(&keeping, UAEF_REGISTERED_EVENT, &json);

	memset(nulls, 0, sizeof(nulls));
	VALUE(SIGNER_NAME) = CStringGetTextDatum(key.name);
	VALUE(SIGNER_PUBLIC_KEY) = CStringGetTextDatum(public_key);
	ISNULL(SIGNER_ROLE) = (role_name == NULL);
	if (role_name != NULL)
		VALUE(SIGNER_ROLE) = CStringGetTextDatum(role_name);
	VALUE(SIGNER_REGISTERED_BY) = Int64GetDatum(told);
	ISNULL(SIGNER_REVOKED_BY) = true;
	uaef_table_open(&table, "ledger_signer");
	uaef_require_columns(RelationGetDescr(table.rel), "ledger_signer",
						 SIGNER_COLUMNS);
	uaef_table_insert(&table, values, nulls, NULL);
	uaef_table_close(&table);
	uaef_keeping_end(&keeping);

	return told;
}

static void
no_such_signer(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_UAEF_UNDEFINED_SIGNER),
			 errmsg("signer \"%s\" does not exist, or is revoked", name)));
}

int64
uaef_revoke_signer(const char *name, const char *reason)
{
	UaefKeeping keeping;
	UaefTable	table;
	UaefJson	json;
	Datum		values[SIGNER_COLUMNS];
	bool		nulls[SIGNER_COLUMNS];
	ItemPointerData tid;
	int64		told;

	uaef_keeping_require_reason(reason);
	uaef_keeping_begin(&keeping, reason);
	lock_signers(ExclusiveLock);
	if (!find_signer(CStringGetTextDatum(name), values, nulls, &tid) ||
		!ISNULL(SIGNER_REVOKED_BY))
		no_such_signer(name);
	uaef_json_begin(&json);
	uaef_json_text(&json, "signer", name);
	uaef_json_text(&json, "public_key",
				   TextDatumGetCString(VALUE(SIGNER_PUBLIC_KEY)));
	told = uaef_keeping_record(&keeping, UAEF_REVOKED_EVENT, &json);

	VALUE(SIGNER_REVOKED_BY) = Int64GetDatum(told);
	ISNULL(SIGNER_REVOKED_BY) = false;
	uaef_table_open(&table, "ledger_signer");
	uaef_table_update(&table, values, nulls, &tid);
	uaef_table_close(&table);
	uaef_keeping_end(&keeping);

	return told;
}

/* ----------
 * Checking
 * ----------
 */

static bool
verify_claim(const char *public_key, const bytea *signature,
			 const char *event_type, Jsonb *payload,
			 const pg_uuid_t *execution_id)
{
	UaefNoteKey key;
	bytea	   *claim;

	if (VARSIZE_ANY_EXHDR(signature) != UAEF_ED25519_SIGNATURE_LEN ||
		uaef_note_parse_key(public_key, &key) != NULL ||
		key.kind != UAEF_KEY_ED25519)
		return false;
	claim = DatumGetByteaPP(uaef_claim_bytes(event_type, payload,
											 execution_id));
	return uaef_ed25519_verify(key.public_key, VARDATA_ANY(claim),
							   VARSIZE_ANY_EXHDR(claim),
							   (const uint8 *) VARDATA_ANY(signature));
}

void
uaef_signature_require(const char *signer, const bytea *signature,
					   const char *event_type, Jsonb *payload,
					   const pg_uuid_t *execution_id)
{
	Datum		values[SIGNER_COLUMNS];
	bool		nulls[SIGNER_COLUMNS];

	if (signer == NULL || signature == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("signer and signature must be given together")));
	lock_signers(RowShareLock);
	if (!find_signer(CStringGetTextDatum(signer), values, nulls, NULL) ||
		!ISNULL(SIGNER_REVOKED_BY))
		no_such_signer(signer);
	if (!ISNULL(SIGNER_ROLE))
		uaef_require_member(get_role_oid(TextDatumGetCString(VALUE(SIGNER_ROLE)),
										 false), "signer");
	if (!verify_claim(TextDatumGetCString(VALUE(SIGNER_PUBLIC_KEY)), signature,
					  event_type, payload, execution_id))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_SIGNATURE),
				 errmsg("the signature is not that of this claim by signer \"%s\"",
						signer),
				 errhint("Sign what uaef.claim_bytes() gives for the same arguments.")));
}

/*
 * Whether an event of the engine tells that a signer's key was registered, or
 * revoked.
 */
static bool
tells_key(int64 event_id, const char *type, const char *name,
		  const char *public_key)
{
	UaefHeap	heap;
	HeapTuple	tuple;
	Datum		values[MaxHeapAttributeNumber];
	bool		nulls[MaxHeapAttributeNumber];
	bool		told = false;

	/* The row may be damaged. */
	uaef_heap_open(&heap, "ledger_event", GetActiveSnapshot());
	tuple = uaef_find_by_int64(heap.rel, "ledger_event_event_id",
							   UAEF_EVENT_ID, event_id);
	if (HeapTupleIsValid(tuple) &&
		uaef_heap_deform(&heap, tuple, values, nulls) == NULL &&
		!ISNULL(UAEF_EVENT_KIND) && !ISNULL(UAEF_EVENT_TYPE) &&
		!ISNULL(UAEF_EVENT_PAYLOAD) &&
		uaef_jsonb_sound(DatumGetJsonbP(VALUE(UAEF_EVENT_PAYLOAD))))
	{
		Jsonb	   *payload;
		char	   *signer;
		char	   *key;

		payload = DatumGetJsonbP(VALUE(UAEF_EVENT_PAYLOAD));
		signer = uaef_json_get_text(payload, "signer");
		key = uaef_json_get_text(payload, "public_key");
		told = DatumGetInt16(VALUE(UAEF_EVENT_KIND)) == UAEF_KIND_ENGINE &&
			strcmp(TextDatumGetCString(VALUE(UAEF_EVENT_TYPE)), type) == 0 &&
			signer != NULL && strcmp(signer, name) == 0 &&
			key != NULL && strcmp(key, public_key) == 0;
	}
	uaef_heap_close(&heap);
	return told;
}

bool
uaef_signature_check(const Datum *values, const bool *nulls)
{
	Datum		signer[SIGNER_COLUMNS];
	bool		signer_nulls[SIGNER_COLUMNS];
	int64		event_id = DatumGetInt64(VALUE(UAEF_EVENT_ID));
	pg_uuid_t  *stream = DatumGetUUIDP(VALUE(UAEF_EVENT_STREAM));
	char	   *name;
	char	   *key;
	int64		registered_by;

	if (ISNULL(UAEF_EVENT_SIGNER) && ISNULL(UAEF_EVENT_SIGNATURE))
		return true;
	if (ISNULL(UAEF_EVENT_SIGNER) || ISNULL(UAEF_EVENT_SIGNATURE) ||
		!find_signer(VALUE(UAEF_EVENT_SIGNER), signer, signer_nulls, NULL))
		return false;
	name = TextDatumGetCString(VALUE(UAEF_EVENT_SIGNER));
	key = TextDatumGetCString(signer[SIGNER_PUBLIC_KEY - 1]);
	registered_by = DatumGetInt64(signer[SIGNER_REGISTERED_BY - 1]);
	if (registered_by >= event_id ||
		!tells_key(registered_by, UAEF_REGISTERED_EVENT, name, key) ||
		(!signer_nulls[SIGNER_REVOKED_BY - 1] &&
		 DatumGetInt64(signer[SIGNER_REVOKED_BY - 1]) < event_id))
		return false;

	/* Of a redacted payload nothing is left that could have been signed. */
	if (ISNULL(UAEF_EVENT_PAYLOAD) && !ISNULL(UAEF_EVENT_PAYLOAD_HASH))
		return true;
	return verify_claim(key, DatumGetByteaPP(VALUE(UAEF_EVENT_SIGNATURE)),
						TextDatumGetCString(VALUE(UAEF_EVENT_TYPE)),
						ISNULL(UAEF_EVENT_PAYLOAD) ? NULL :
						DatumGetJsonbP(VALUE(UAEF_EVENT_PAYLOAD)),
						uaef_stream_is_execution(stream) ? stream : NULL);
}
