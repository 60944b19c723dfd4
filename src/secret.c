/*-------------------------------------------------------------------------
 *
 * secret.c
 *	  Secrets: documents that are kept sealed, and opened only in memory.
 *
 * What is sealed is four bytes, the order of bytes of the machine, the encoding
 * of the database and two zeros, and then the bytes of the jsonb value, so that
 * nothing has to parse it, and leave pieces of it in memory, when it is opened.
 * Beside it stand kind, name, version and the id of the key, so that nobody
 * can put one secret in the place of another.
 *
 * Locking: the secret's row, until the transaction ends; reading locks nothing.
 *
 * Memory: opened secrets lie in what is returned and nowhere else.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "compat.h"
#include "errcodes.h"
#include "json_util.h"
#include "ledger.h"
#include "secret.h"
#include "secret_key.h"
#include "spi_util.h"

#define MAX_SECRET_LEN	65536
#define MAX_NAME_LEN	200
#define ROTATE_BATCH	100

#ifdef WORDS_BIGENDIAN
#define BYTE_ORDER_MARK 2
#else
#define BYTE_ORDER_MARK 1
#endif

/* A row of the table. */
typedef struct SealedSecret
{
	const char *kind;
	const char *name;
	int32		version;
	const char *key_id;
	bytea	   *sealed;
} SealedSecret;

static UaefQuery lock_secret = {
	"SELECT version FROM uaef.secret WHERE kind = $1 AND name = $2"
	" FOR UPDATE",
	2, {TEXTOID, TEXTOID}
};

static UaefQuery insert_secret = {
	"INSERT INTO uaef.secret"
	" (kind, name, version, key_id, sealed, created_by, created_at)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
	7, {TEXTOID, TEXTOID, INT4OID, TEXTOID, BYTEAOID, REGROLEOID,
	TIMESTAMPTZOID}
};

static UaefQuery update_secret = {
	"UPDATE uaef.secret SET version = $3, key_id = $4, sealed = $5,"
	" created_by = $6, created_at = $7, rotated_at = NULL"
	" WHERE kind = $1 AND name = $2",
	7, {TEXTOID, TEXTOID, INT4OID, TEXTOID, BYTEAOID, REGROLEOID,
	TIMESTAMPTZOID}
};

static UaefQuery delete_secret = {
	"DELETE FROM uaef.secret WHERE kind = $1 AND name = $2",
	2, {TEXTOID, TEXTOID}
};

static UaefQuery select_secret = {
	"SELECT version, key_id, sealed FROM uaef.secret"
	" WHERE kind = $1 AND name = $2",
	2, {TEXTOID, TEXTOID}
};

static UaefQuery lock_outdated = {
	"SELECT version, key_id, sealed, kind, name FROM uaef.secret"
	" WHERE key_id <> $1 ORDER BY kind, name LIMIT $2 FOR UPDATE",
	2, {TEXTOID, INT4OID}
};

static UaefQuery update_sealed = {
	"UPDATE uaef.secret SET key_id = $3, sealed = $4, rotated_at = $5"
	" WHERE kind = $1 AND name = $2",
	5, {TEXTOID, TEXTOID, TEXTOID, BYTEAOID, TIMESTAMPTZOID}
};

static StringInfoData bytes_beside(const SealedSecret *secret);
static void seal(SealedSecret *secret, const UaefSecretKey *key,
				 Jsonb *document);
static Jsonb *open_sealed(const SealedSecret *secret);
static void check_head(const SealedSecret *secret, Jsonb *document);
pg_noreturn static void cannot_open(const SealedSecret *secret,
									const char *why);
static void name_args(const char *kind, const char *name, Datum *args);
static void record(const char *type, Oid user, const SealedSecret *secret);
static void check_put(const char *kind, const char *name, Jsonb *secret);
static bool store(SealedSecret *secret, Jsonb *document, Oid user);
static bool remove_secret(const char *kind, const char *name);
static int	rotate_batch(const char *newest_id);
static const UaefSecretKey *still_newest(const char *id);
static void record_rotated(const char *key_id, int64 total);

/*
 * What a sealed secret is bound to: "uaef secret", kind, name and key id, each
 * in UTF-8 after its length in four bytes, and the version in four bytes.
 */
static StringInfoData
bytes_beside(const SealedSecret *secret)
{
	StringInfoData beside;
	uint32		version = pg_hton32((uint32) secret->version);

	initStringInfo(&beside);
	uaef_seal_put_beside(&beside, "uaef secret");
	uaef_seal_put_beside(&beside, secret->kind);
	uaef_seal_put_beside(&beside, secret->name);
	uaef_seal_put_beside(&beside, secret->key_id);
	appendBinaryStringInfo(&beside, (const char *) &version, sizeof(version));
	return beside;
}

/*
 * Seal a document with a key; sets key id and bytes of the row.
 */
static void
seal(SealedSecret *secret, const UaefSecretKey *key, Jsonb *document)
{
	size_t		len = VARSIZE(document);
	size_t		sealed_len = VARHDRSZ + len + UAEF_SEAL_OVERHEAD;
	uint8	   *plain = palloc(len);
	uint8		head[VARHDRSZ] = {BYTE_ORDER_MARK, GetDatabaseEncoding()};
	StringInfoData beside;

	secret->key_id = pstrdup(key->id);
	secret->sealed = palloc(sealed_len);
	SET_VARSIZE(secret->sealed, sealed_len);
	beside = bytes_beside(secret);
	memcpy(plain, document, len);
	memcpy(plain, head, sizeof(head));
	uaef_seal(key->key, beside.data, beside.len, plain, len,
			  (uint8 *) VARDATA(secret->sealed));
	explicit_bzero(plain, len);
	pfree(plain);
}

static void
cannot_open(const SealedSecret *secret, const char *why)
{
	ereport(ERROR,
			(errcode(ERRCODE_UAEF_CANNOT_OPEN),
			 errmsg("the secret of %s \"%s\" cannot be opened", secret->kind,
					secret->name),
			 errdetail_internal("%s", why),
			 errhint("Set the secret again.")));
}

/*
 * The bytes of a jsonb value mean the same only on a machine of the same order
 * of bytes, and in the same encoding if they are more than ASCII.
 */
static void
check_head(const SealedSecret *secret, Jsonb *document)
{
	const uint8 *head = (const uint8 *) document;
	int			encoding = head[1];
	bool		ascii = true;

	for (size_t i = VARHDRSZ; i < VARSIZE_ANY_EXHDR(secret->sealed) -
		 UAEF_SEAL_OVERHEAD; i++)
		ascii = ascii && !IS_HIGHBIT_SET(head[i]);
	if (head[0] != BYTE_ORDER_MARK)
		cannot_open(secret, "It was sealed on a machine with another order of bytes.");
	if (encoding != GetDatabaseEncoding() && !ascii)
		cannot_open(secret, "It was sealed in a database with another encoding.");
}

static Jsonb *
open_sealed(const SealedSecret *secret)
{
	const UaefSecretKey *key = uaef_secret_key_find(secret->key_id);
	StringInfoData beside = bytes_beside(secret);
	size_t		len = VARSIZE_ANY_EXHDR(secret->sealed);
	size_t		plain_len = len - UAEF_SEAL_OVERHEAD;
	Jsonb	   *document;

	if (key == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_UNKNOWN_KEY),
				 errmsg("the secret of %s \"%s\" was sealed with a key that is not there",
						secret->kind, secret->name),
				 errdetail("It needs key \"%s\".", secret->key_id),
				 errhint("Add that key after the newest one to where the keys are, and reload; or set the secret again.")));
	if (len < UAEF_SEAL_OVERHEAD + sizeof(Jsonb))
		cannot_open(secret, "It was cut.");
	document = palloc(plain_len);
	if (!uaef_seal_open(key->key, beside.data, beside.len,
						(const uint8 *) VARDATA_ANY(secret->sealed), len,
						document))
		cannot_open(secret, "The key of this id is another one, or its row was changed.");
	check_head(secret, document);
	SET_VARSIZE(document, plain_len);
	return document;
}

static void
name_args(const char *kind, const char *name, Datum *args)
{
	args[0] = CStringGetTextDatum(kind);
	args[1] = CStringGetTextDatum(name);
}

static void
record(const char *type, Oid user, const SealedSecret *secret)
{
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_text(&json, "kind", secret->kind);
	uaef_json_text(&json, "name", secret->name);
	if (secret->key_id != NULL)
	{
		uaef_json_int(&json, "version", secret->version);
		uaef_json_text(&json, "key_id", secret->key_id);
	}
	uaef_ledger_note_user(type, user, uaef_json_end(&json));
}

static void
check_put(const char *kind, const char *name, Jsonb *secret)
{
	if (*kind == '\0' || strlen(kind) > MAX_NAME_LEN ||
		strspn(kind, "abcdefghijklmnopqrstuvwxyz_") != strlen(kind))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid kind of a secret"),
				 errhint("A kind is a word of small letters, such as \"connector\".")));
	if (*name == '\0' || strlen(name) > MAX_NAME_LEN)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the name of a secret must have 1 to %d bytes",
						MAX_NAME_LEN)));
	if (!JB_ROOT_IS_OBJECT(secret))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a secret must be a JSON object")));
	if (VARSIZE(secret) > MAX_SECRET_LEN)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_TOO_LARGE),
				 errmsg("a secret must not be larger than %d bytes",
						MAX_SECRET_LEN)));
}

/*
 * Insert or update; false when another transaction has inserted it meanwhile.
 */
static bool
store(SealedSecret *secret, Jsonb *document, Oid user)
{
	Datum		args[7];
	bool		is_there;

	name_args(secret->kind, secret->name, args);
	is_there = uaef_spi_run(&lock_secret, args, NULL) > 0;
	secret->version = is_there ? uaef_spi_int32(0, 1) + 1 : 1;
	seal(secret, uaef_secret_key_newest(), document);
	args[2] = Int32GetDatum(secret->version);
	args[3] = CStringGetTextDatum(secret->key_id);
	args[4] = PointerGetDatum(secret->sealed);
	args[5] = ObjectIdGetDatum(user);
	args[6] = TimestampTzGetDatum(uaef_clock_now());
	return uaef_spi_run(is_there ? &update_secret : &insert_secret, args,
						NULL) > 0;
}

static bool
remove_secret(const char *kind, const char *name)
{
	Oid			user = GetUserId();
	UaefCaller	caller = uaef_spi_begin();
	SealedSecret secret = {.kind = kind,.name = name};
	Datum		args[2];
	bool		removed;

	name_args(kind, name, args);
	removed = uaef_spi_run(&delete_secret, args, NULL) > 0;
	if (removed)
		record("secret_dropped", user, &secret);
	uaef_spi_end(caller);
	return removed;
}

void
uaef_secret_put(const char *kind, const char *name, Jsonb *document)
{
	Oid			user = GetUserId();
	SealedSecret secret = {.kind = kind,.name = name};
	UaefCaller	caller;

	if (document == NULL)
	{
		(void) remove_secret(kind, name);
		return;
	}
	check_put(kind, name, document);
	caller = uaef_spi_begin();
	if (!store(&secret, document, user) && !store(&secret, document, user))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not see the secret that was set at the same time"),
				 errhint("Retry the transaction.")));
	record("secret_set", user, &secret);
	uaef_spi_end(caller);
}

Jsonb *
uaef_secret_get(const char *kind, const char *name)
{
	SealedSecret secret = {.kind = kind,.name = name};
	UaefCaller	caller = uaef_spi_begin();
	Datum		args[2];
	bool		is_there;

	name_args(kind, name, args);
	is_there = uaef_spi_run(&select_secret, args, NULL) > 0;
	if (is_there)
	{
		secret.version = uaef_spi_int32(0, 1);
		secret.key_id = uaef_spi_text(0, 2);
		secret.sealed = uaef_spi_bytea(0, 3);
	}
	uaef_spi_end(caller);
	return is_there ? open_sealed(&secret) : NULL;
}

void
uaef_secret_wipe(Jsonb *secret)
{
	if (secret == NULL)
		return;
	explicit_bzero(secret, VARSIZE(secret));
	pfree(secret);
}

void
uaef_secret_drop(const char *kind, const char *name)
{
	if (!remove_secret(kind, name))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_UNDEFINED_SECRET),
				 errmsg("%s \"%s\" has no secret", kind, name)));
}

/*
 * Seal some secrets anew, which are not under the newest key; returns how many.
 */
static int
rotate_batch(const char *newest_id)
{
	UaefCaller	caller = uaef_spi_begin();
	SealedSecret secrets[ROTATE_BATCH];
	Datum		args[5];
	int			n;

	args[0] = CStringGetTextDatum(newest_id);
	args[1] = Int32GetDatum(ROTATE_BATCH);
	n = uaef_spi_run(&lock_outdated, args, NULL);
	for (int i = 0; i < n; i++)
	{
		secrets[i].version = uaef_spi_int32(i, 1);
		secrets[i].key_id = uaef_spi_text(i, 2);
		secrets[i].sealed = uaef_spi_bytea(i, 3);
		secrets[i].kind = uaef_spi_text(i, 4);
		secrets[i].name = uaef_spi_text(i, 5);
	}
	for (int i = 0; i < n; i++)
	{
		Jsonb	   *document = open_sealed(&secrets[i]);

		seal(&secrets[i], still_newest(newest_id), document);
		uaef_secret_wipe(document);
		name_args(secrets[i].kind, secrets[i].name, args);
		args[2] = CStringGetTextDatum(secrets[i].key_id);
		args[3] = PointerGetDatum(secrets[i].sealed);
		args[4] = TimestampTzGetDatum(uaef_clock_now());
		(void) uaef_spi_run(&update_sealed, args, NULL);
	}
	uaef_spi_end(caller);
	return n;
}

/*
 * To open a secret can read the keys anew.
 */
static const UaefSecretKey *
still_newest(const char *id)
{
	const UaefSecretKey *key = uaef_secret_key_newest();

	if (strcmp(key->id, id) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_SECRET_KEY),
				 errmsg("the keys of the secrets were changed meanwhile"),
				 errhint("Rotate again.")));
	return key;
}

static void
record_rotated(const char *key_id, int64 total)
{
	UaefJson	json;
	UaefEvent	event = {
		.type = "secrets_rotated",
		.actor_type = "user",
		.actor_id = GetUserNameFromId(GetUserId(), false)
	};
	UaefCaller	caller = uaef_spi_begin();

	uaef_json_begin(&json);
	uaef_json_text(&json, "key_id", key_id);
	uaef_json_int(&json, "secrets", total);
	event.payload = uaef_json_end(&json);
	(void) uaef_ledger_append(&event, 1);
	uaef_spi_end(caller);
}

int64
uaef_secret_rotate(void)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "uaef secrets",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext before = MemoryContextSwitchTo(context);
	char		newest_id[UAEF_KEY_ID_LEN + 1];
	int64		total = 0;
	int			n;

	strlcpy(newest_id, uaef_secret_key_newest()->id, sizeof(newest_id));
	while ((n = rotate_batch(newest_id)) > 0)
	{
		total += n;
		MemoryContextReset(context);
		CHECK_FOR_INTERRUPTS();
	}
	MemoryContextSwitchTo(before);
	MemoryContextDelete(context);
	if (total > 0)
		record_rotated(newest_id, total);
	return total;
}
