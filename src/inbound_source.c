/*-------------------------------------------------------------------------
 *
 * inbound_source.c
 *	  Webhook sources: who may send us what, and what we do with it.
 *
 * Locking: the row of the source, by what changes it.  Receiving takes no
 * lock of it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "arrival_act.h"
#include "clock.h"
#include "compat.h"
#include "errcodes.h"
#include "guc.h"
#include "inbound_source.h"
#include "json_util.h"
#include "ledger.h"
#include "near_name.h"
#include "secret.h"
#include "spi_util.h"

#define SECRET_KIND "webhook_source"

/* Longest name of a source, which is part of keys. */
#define MAX_NAME 100

/* What a source takes if its config does not say. */
#define USUAL_MAX_BODY		1024	/* kB */
#define USUAL_TOLERANCE_S	300
#define MAX_TOLERANCE_S		3600
#define DAY_MS				(INT64CONST(24) * 3600 * 1000)
#define USUAL_KEEP_MS		(30 * DAY_MS)

/* A sender that signs no time may send the same again for days. */
#define MIN_KEEP_MS			(3 * DAY_MS)

/* Keys shorter than this can be guessed. */
#define MIN_KEY_LEN			8
#define MAX_KEY_LEN			1024

static UaefQuery insert_source = {
	"INSERT INTO uaef.webhook_source"
	" (name, type, config, paused, created_by, created_at)"
	" VALUES ($1, $2, $3, false, $4, $5)"
	" ON CONFLICT DO NOTHING RETURNING source_id",
	5, {TEXTOID, TEXTOID, JSONBOID, REGROLEOID, TIMESTAMPTZOID}
};

#define SOURCE_COLUMNS \
	"source_id, name, type, config, paused, created_by::pg_catalog.oid"

static UaefQuery select_source = {
	"SELECT " SOURCE_COLUMNS " FROM uaef.webhook_source WHERE name = $1",
	1, {TEXTOID}
};

static UaefQuery select_source_id = {
	"SELECT " SOURCE_COLUMNS " FROM uaef.webhook_source WHERE source_id = $1",
	1, {INT4OID}
};

static UaefQuery lock_source = {
	"SELECT " SOURCE_COLUMNS " FROM uaef.webhook_source WHERE name = $1"
	" FOR NO KEY UPDATE",
	1, {TEXTOID}
};

/* Names of sources are told to their owners: who hands requests in serves strangers. */
static UaefQuery near_sources = {
	"SELECT name FROM uaef.webhook_source"
	" WHERE pg_catalog.pg_has_role($2, created_by, 'USAGE') LIMIT 10000",
	2, {TEXTOID, OIDOID}
};

static UaefQuery update_config = {
	"UPDATE uaef.webhook_source SET config = (config || $2) - ARRAY("
	"SELECT key FROM pg_catalog.jsonb_each($2) WHERE value = 'null')"
	" WHERE source_id = $1 RETURNING config",
	2, {INT4OID, JSONBOID}
};

static UaefQuery update_paused = {
	"UPDATE uaef.webhook_source SET paused = $2 WHERE source_id = $1",
	2, {INT4OID, BOOLOID}
};

static UaefQuery delete_source = {
	"WITH i AS (DELETE FROM uaef.webhook_inbox WHERE source_id = $1),"
	" r AS (DELETE FROM uaef.webhook_refusal WHERE source_id = $1)"
	" DELETE FROM uaef.webhook_source WHERE source_id = $1",
	1, {INT4OID}
};

/*----------
 * Reading a config
 * ----------
 */

static const char *const common_keys[] = {
	"on", "max_body", "tolerance", "keep", "keep_content", "same_body", "id"
};

/*
 * The keys that a config may have; ends with NULL.
 */
static const char *const *
keys_of(const UaefInboundKind *kind)
{
	const char **keys;
	int			n = 0;

	while (kind->config_keys[n] != NULL)
		n++;
	keys = palloc(sizeof(char *) * (n + lengthof(common_keys) + 1));
	memcpy(keys, common_keys, sizeof(common_keys));
	memcpy(keys + lengthof(common_keys), kind->config_keys,
		   sizeof(char *) * (n + 1));
	return keys;
}

static void
read_times(const UaefObject *config, UaefInboundSource *source)
{
	int64		tolerance = uaef_read_duration(config, "tolerance",
											   USUAL_TOLERANCE_S * 1000);

	if (tolerance > MAX_TOLERANCE_S * 1000)
		uaef_read_wrong(config, "tolerance", "one hour at most");
	source->tolerance_s = (int) ((tolerance + 999) / 1000);
	source->keep_ms = uaef_read_duration(config, "keep", USUAL_KEEP_MS);
	if (source->keep_ms < MIN_KEEP_MS)
		uaef_read_wrong(config, "keep",
						"three days at least, for a sender may send the same again");
}

static void
read_config(UaefInboundSource *source)
{
	static const char *const contents[] = {"failed", "all", NULL};
	static const char *const same_bodies[] = {"duplicate", "accept", NULL};
	static const char *const roots[] = {
		"body", "headers", "source", "delivery_id", NULL
	};
	UaefBuilder builder = {0};
	JsonbValue	value;
	UaefObject	config;

	if (JB_ROOT_IS_SCALAR(source->config) || !JB_ROOT_IS_OBJECT(source->config))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_DEFINITION),
				 errmsg("config of a webhook source must be an object")));
	uaef_document_value(source->config, &value);
	config = uaef_read_object(&builder, &value, keys_of(source->kind),
							  psprintf("config of webhook source \"%s\"",
									   source->name));
	source->max_body = 1024 * uaef_read_int(&config, "max_body",
											USUAL_MAX_BODY, 1,
											uaef_max_payload_kb);
	read_times(&config, source);
	source->keep_all = uaef_read_choice(&config, "keep_content", contents,
										0) == 1;
	source->same_body = uaef_read_choice(&config, "same_body", same_bodies,
										 0) == 1;
	source->id_path = uaef_read_text(&config, "id", false);
	if (source->id_path != NULL)
		(void) uaef_path_compile(source->id_path, strlen(source->id_path),
								 true);
	if (source->kind->configure != NULL)
		source->kind->configure(&config, source);
	source->rules = uaef_arrival_rules_read(&config, false, roots);
}

/*
 * Read a new config: what is wrong with it is an argument that is wrong.
 */
static void
check_config(UaefInboundSource *source)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		read_config(source);
	}
	PG_CATCH();
	{
		uaef_read_rethrow_argument(context);
	}
	PG_END_TRY();
}

/*----------
 * Secrets
 * ----------
 */

/*
 * Take {"keys": [...]} apart; returns what is wrong, or NULL.
 */
static const char *
take_keys(Jsonb *secret, UaefInboundKeys *keys)
{
	JsonbValue	value;

	memset(keys, 0, sizeof(*keys));
	if (JB_ROOT_IS_SCALAR(secret) || !JB_ROOT_IS_OBJECT(secret) ||
		JB_ROOT_COUNT(secret) != 1 || !uaef_json_get(secret, "keys", &value) ||
		value.type != jbvBinary ||
		!JsonContainerIsArray(value.val.binary.data))
		return "It must be {\"keys\": [...]}.";
	keys->n = JsonContainerSize(value.val.binary.data);
	if (keys->n < 1 || keys->n > UAEF_INBOUND_MAX_KEYS)
	{
		keys->n = 0;
		return "It must have one key, or two: the new one and the old one.";
	}
	for (int i = 0; i < keys->n; i++)
	{
		JsonbValue	key = uaef_read_element(value.val.binary.data, i);

		if (key.type != jbvString || key.val.string.len < MIN_KEY_LEN ||
			key.val.string.len > MAX_KEY_LEN)
		{
			keys->n = i;
			return "A key must be a string of 8 to 1024 bytes.";
		}
		keys->keys[i] = pnstrdup(key.val.string.val, key.val.string.len);
	}
	return NULL;
}

void
uaef_inbound_keys_wipe(UaefInboundKeys *keys)
{
	for (int i = 0; i < keys->n; i++)
	{
		explicit_bzero(keys->keys[i], strlen(keys->keys[i]));
		pfree(keys->keys[i]);
	}
	keys->n = 0;
}

bool
uaef_inbound_keys_get(const UaefInboundSource *source, UaefInboundKeys *keys)
{
	Jsonb	   *secret;
	const char *problem;

	memset(keys, 0, sizeof(*keys));
	if (!source->kind->signs)
		return true;
	secret = uaef_secret_get(SECRET_KIND, source->name);
	if (secret == NULL)
		return false;
	problem = take_keys(secret, keys);
	uaef_secret_wipe(secret);
	return problem == NULL;
}

/*
 * Check a new secret, and store it.  No error shows any of it.
 */
static void
put_secret(const UaefInboundSource *source, Jsonb *secret)
{
	UaefInboundKeys keys;
	const char *problem;

	if (!source->kind->signs)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a webhook source of type %s takes no secret",
						source->kind->name)));
	problem = take_keys(secret, &keys);
	for (int i = 0; problem == NULL && i < keys.n; i++)
		if (source->kind->check_key != NULL)
			problem = source->kind->check_key(source, keys.keys[i]);
	uaef_inbound_keys_wipe(&keys);
	if (problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid secret of webhook source \"%s\"",
						source->name),
				 errdetail("%s", problem)));
	uaef_secret_put(SECRET_KIND, source->name, secret);
}

/*----------
 * Rows
 * ----------
 */

void
uaef_inbound_source_undefined(const char *name, Oid caller)
{
	Datum		args[2] = {CStringGetTextDatum(name), ObjectIdGetDatum(caller)};
	const char *hint = uaef_name_hint(name, &near_sources, args,
									  "Use uaef.create_webhook_source() to make it.");

	ereport(ERROR,
			(errcode(ERRCODE_UAEF_UNDEFINED_WEBHOOK_SOURCE),
			 errmsg("webhook source \"%s\" does not exist", name),
			 errhint("%s", hint)));
}

/*
 * The source of the first row of the last result, its config not yet read.
 */
static UaefInboundSource *
source_of_row(void)
{
	UaefInboundSource *source = palloc0(sizeof(UaefInboundSource));

	source->id = uaef_spi_int32(0, 1);
	source->name = uaef_spi_text(0, 2);
	source->kind = uaef_inbound_kind(uaef_spi_text(0, 3));
	source->config = uaef_spi_jsonb(0, 4);
	source->paused = uaef_spi_bool(0, 5);
	source->owner = uaef_spi_oid(0, 6);
	return source;
}

static UaefInboundSource *
load(UaefQuery *query, Datum arg)
{
	UaefInboundSource *source;

	if (uaef_spi_run(query, &arg, NULL) == 0)
		return NULL;
	source = source_of_row();
	read_config(source);
	return source;
}

UaefInboundSource *
uaef_inbound_source_load(const char *name)
{
	return load(&select_source, CStringGetTextDatum(name));
}

UaefInboundSource *
uaef_inbound_source_of(int32 id)
{
	return load(&select_source_id, Int32GetDatum(id));
}

static UaefInboundSource *
lock_own(const char *name, Oid caller)
{
	Datum		arg = CStringGetTextDatum(name);
	UaefInboundSource *source;

	if (uaef_spi_run(&lock_source, &arg, NULL) == 0)
		uaef_inbound_source_undefined(name, caller);
	source = source_of_row();
	if (!has_privs_of_role(caller, source->owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for webhook source \"%s\"", name),
				 errdetail("It belongs to role \"%s\".",
						   GetUserNameFromId(source->owner, true))));
	return source;
}

static void
record(const char *type, Oid caller, const UaefInboundSource *source,
	   Jsonb *changes)
{
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_text(&json, "source", source->name);
	uaef_json_text(&json, "type", source->kind->name);
	uaef_json_jsonb(&json, "changes", changes);
	uaef_ledger_note_user(type, caller, uaef_json_end(&json));
}

/*
 * Raise unless a source has its keys already, as from a file.
 */
static void
require_secret(const UaefInboundSource *source)
{
	UaefInboundKeys keys;

	if (!uaef_inbound_keys_get(source, &keys))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a webhook source of type %s needs a secret",
						source->kind->name),
				 errhint("Give the keys that the sender signs with: {\"keys\": [\"...\"]}.")));
	uaef_inbound_keys_wipe(&keys);
}

static void
check_name(const char *name)
{
	size_t		len = strlen(name);

	if (len == 0 || len > MAX_NAME ||
		strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			   "0123456789_-.") != len)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid name of a webhook source"),
				 errdetail("A name has 1 to %d letters, digits, points, hyphens and underscores.",
						   MAX_NAME)));
}

int32
uaef_inbound_source_create(const char *name, const char *type, Jsonb *config,
						   Jsonb *secret)
{
	UaefInboundSource source = {
		.name = unconstify(char *, name),
		.kind = uaef_inbound_kind(type),
		.config = config,
		.owner = GetUserId()
	};
	UaefCaller	back;
	Datum		args[5];

	check_name(name);
	check_config(&source);
	if (secret == NULL)
		require_secret(&source);
	back = uaef_spi_begin();
	args[0] = CStringGetTextDatum(name);
	args[1] = CStringGetTextDatum(type);
	args[2] = JsonbPGetDatum(config);
	args[3] = ObjectIdGetDatum(source.owner);
	args[4] = TimestampTzGetDatum(uaef_clock_now());
	if (uaef_spi_run(&insert_source, args, NULL) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("webhook source \"%s\" already exists", name),
				 errhint("Use uaef.alter_webhook_source() to change it.")));
	source.id = uaef_spi_int32(0, 1);
	record("webhook_source_created", source.owner, &source, NULL);
	uaef_spi_end(back);
	if (secret != NULL)
		put_secret(&source, secret);
	uaef_arrival_warn(source.rules);
	return source.id;
}

void
uaef_inbound_source_alter(const char *name, Jsonb *changes, Jsonb *secret)
{
	MemoryContext context = CurrentMemoryContext;
	Oid			caller = GetUserId();
	UaefCaller	back = uaef_spi_begin();
	UaefInboundSource *source;

	MemoryContextSwitchTo(context);
	source = lock_own(name, caller);
	if (changes != NULL)
	{
		Datum		args[2] = {
			Int32GetDatum(source->id), JsonbPGetDatum(changes)
		};

		if (JB_ROOT_IS_SCALAR(changes) || !JB_ROOT_IS_OBJECT(changes))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("changes of a webhook source must be an object")));
		(void) uaef_spi_run(&update_config, args, NULL);
		source->config = uaef_spi_jsonb(0, 1);
	}
	check_config(source);
	if (changes != NULL)
		record("webhook_source_altered", caller, source, changes);
	uaef_spi_end(back);
	if (secret != NULL)
		put_secret(source, secret);
	if (changes != NULL)
		uaef_arrival_warn(source->rules);
}

void
uaef_inbound_source_drop(const char *name)
{
	MemoryContext context = CurrentMemoryContext;
	Oid			caller = GetUserId();
	UaefCaller	back = uaef_spi_begin();
	UaefInboundSource *source;
	Datum		arg;

	MemoryContextSwitchTo(context);
	source = lock_own(name, caller);
	arg = Int32GetDatum(source->id);
	(void) uaef_spi_run(&delete_source, &arg, NULL);
	record("webhook_source_dropped", caller, source, NULL);
	uaef_spi_end(back);
	if (source->kind->signs)
		uaef_secret_put(SECRET_KIND, name, NULL);
}

void
uaef_inbound_source_pause(const char *name, bool paused)
{
	Oid			caller = GetUserId();
	UaefCaller	back = uaef_spi_begin();
	UaefInboundSource *source = lock_own(name, caller);
	Datum		args[2] = {Int32GetDatum(source->id), BoolGetDatum(paused)};

	if (source->paused != paused)
	{
		(void) uaef_spi_run(&update_paused, args, NULL);
		record(paused ? "webhook_source_paused" : "webhook_source_resumed",
			   caller, source, NULL);
	}
	uaef_spi_end(back);
}
