/*-------------------------------------------------------------------------
 *
 * token_key.c
 *	  The keys that tokens are signed with.
 *
 * Locking: rotations exclude each other by a lock of the table of keys, which
 * reading does not wait for.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "base64.h"
#include "clock.h"
#include "errcodes.h"
#include "hash256.h"
#include "json_util.h"
#include "ledger.h"
#include "secret.h"
#include "spi_util.h"
#include "token_key.h"

#define SECRET_KIND "token_key"

/* Random bytes of a key's id. */
#define ID_BYTES 8

static UaefQuery lock_keys = {
	"LOCK TABLE uaef.token_key IN SHARE ROW EXCLUSIVE MODE", 0, {0}
};

static UaefQuery list_retired = {
	"DELETE FROM uaef.token_key WHERE retires_at <= $1 RETURNING key_id",
	1, {TIMESTAMPTZOID}
};

static UaefQuery retire_keys = {
	"UPDATE uaef.token_key SET retires_at = $1 WHERE retires_at IS NULL",
	1, {TIMESTAMPTZOID}
};

static UaefQuery insert_key = {
	"INSERT INTO uaef.token_key (key_id, created_by, created_at)"
	" VALUES ($1, $2, $3)",
	3, {TEXTOID, REGROLEOID, TIMESTAMPTZOID}
};

static UaefQuery find_newest = {
	"SELECT key_id FROM uaef.token_key WHERE retires_at IS NULL", 0, {0}
};

static UaefQuery find_key = {
	"SELECT key_id FROM uaef.token_key WHERE key_id = $1"
	" AND (retires_at IS NULL OR retires_at > $2)",
	2, {TEXTOID, TIMESTAMPTZOID}
};

static void
record(const char *id, Oid caller, TimestampTz retires_at)
{
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_text(&json, "key_id", id);
	uaef_json_time(&json, "others_retire_at", retires_at);
	uaef_ledger_note_user("token_key_rotated", caller, uaef_json_end(&json));
}

/*
 * New random bytes, straight into the store of secrets.
 */
static void
put_new_key(const char *id)
{
	uint8		bytes[UAEF_TOKEN_KEY_LEN];
	char	   *text;
	UaefJson	json;
	Jsonb	   *secret;

	if (!pg_strong_random(bytes, sizeof(bytes)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random values")));
	text = uaef_base64(bytes, sizeof(bytes));
	explicit_bzero(bytes, sizeof(bytes));
	uaef_json_begin(&json);
	uaef_json_text(&json, "key", text);
	secret = uaef_json_end(&json);
	uaef_secret_put(SECRET_KIND, id, secret);
	uaef_secret_wipe(secret);
	explicit_bzero(text, strlen(text));
}

/*
 * Retired keys go; returns how many, and their ids.
 */
static int
drop_retired(TimestampTz now, char ***ids)
{
	Datum		arg = TimestampTzGetDatum(now);
	int			rows = (int) uaef_spi_run(&list_retired, &arg, NULL);

	*ids = palloc(sizeof(char *) * Max(rows, 1));
	for (int row = 0; row < rows; row++)
		(*ids)[row] = uaef_spi_text(row, 1);
	return rows;
}

char *
uaef_token_key_rotate(int64 overlap_us)
{
	MemoryContext context = CurrentMemoryContext;
	Oid			caller = GetUserId();
	TimestampTz now = uaef_clock_now();
	UaefCaller	back = uaef_spi_begin();
	uint8		random[ID_BYTES];
	Datum		args[3];
	char	   *id;
	char	  **retired;
	int			n_retired;

	MemoryContextSwitchTo(context);
	if (!pg_strong_random(random, sizeof(random)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random values")));
	id = uaef_hex(random, sizeof(random));
	(void) uaef_spi_run(&lock_keys, NULL, NULL);
	args[0] = TimestampTzGetDatum(now + overlap_us);
	(void) uaef_spi_run(&retire_keys, args, NULL);
	n_retired = drop_retired(now, &retired);
	args[0] = CStringGetTextDatum(id);
	args[1] = ObjectIdGetDatum(caller);
	args[2] = TimestampTzGetDatum(now);
	(void) uaef_spi_run(&insert_key, args, NULL);
	record(id, caller, now + overlap_us);
	uaef_spi_end(back);
	put_new_key(id);
	for (int i = 0; i < n_retired; i++)
		uaef_secret_put(SECRET_KIND, retired[i], NULL);
	return id;
}

/*
 * The bytes of a key out of the store of secrets.
 */
static bool
load_key(const char *id, UaefTokenKey *key)
{
	Jsonb	   *secret = uaef_secret_get(SECRET_KIND, id);
	char	   *text;
	uint8	   *bytes;
	size_t		len = 0;

	if (secret == NULL)
		return false;
	text = uaef_json_get_text(secret, "key");
	uaef_secret_wipe(secret);
	if (text == NULL)
		return false;
	bytes = uaef_base64_bytes(text, strlen(text), &len);
	explicit_bzero(text, strlen(text));
	if (bytes == NULL || len != UAEF_TOKEN_KEY_LEN)
		return false;
	key->id = pstrdup(id);
	memcpy(key->bytes, bytes, len);
	explicit_bzero(bytes, len);
	return true;
}

void
uaef_token_key_newest(UaefTokenKey *key)
{
	MemoryContext context = CurrentMemoryContext;
	UaefCaller	back = uaef_spi_begin();

	MemoryContextSwitchTo(context);
	if (uaef_spi_run(&find_newest, NULL, NULL) == 0 ||
		!load_key(uaef_spi_text(0, 1), key))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_NO_TOKEN_KEY),
				 errmsg("there is no key to sign tokens with"),
				 errhint("Use uaef.rotate_token_key() to make one.")));
	uaef_spi_end(back);
}

bool
uaef_token_key_find(const char *id, UaefTokenKey *key)
{
	MemoryContext context = CurrentMemoryContext;
	UaefCaller	back = uaef_spi_begin();
	Datum		args[2];
	bool		found;

	MemoryContextSwitchTo(context);
	args[0] = CStringGetTextDatum(id);
	args[1] = TimestampTzGetDatum(uaef_clock_now());
	found = uaef_spi_run(&find_key, args, NULL) > 0 && load_key(id, key);
	uaef_spi_end(back);
	return found;
}

void
uaef_token_key_wipe(UaefTokenKey *key)
{
	explicit_bzero(key->bytes, sizeof(key->bytes));
}
