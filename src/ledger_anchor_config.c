/*-------------------------------------------------------------------------
 *
 * ledger_anchor_config.c
 *	  Anchors of the ledger: making, pausing and dropping them.
 *
 * Locking: the anchor's row, until the transaction ends; then, at a drop, those
 * of its deliveries.  The worker locks in the same order.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "connector_config.h"
#include "delivery_queue.h"
#include "errcodes.h"
#include "json_util.h"
#include "ledger.h"
#include "ledger_anchor_config.h"
#include "ledger_anchor_file.h"
#include "ledger_timestamp.h"
#include "spi_util.h"
#include "wake.h"

#define DEFAULT_INTERVAL_MS 60000
#define MIN_INTERVAL_MS		100
#define MAX_INTERVAL_MS		((int64) 366 * 24 * 3600 * 1000)

static const char *const kind_names[] = {
	[UAEF_ANCHOR_WITNESS] = "witness",
	[UAEF_ANCHOR_WEBHOOK] = "webhook",
	[UAEF_ANCHOR_FILE] = "file",
	[UAEF_ANCHOR_TIMESTAMP] = "timestamp"
};

static UaefQuery insert_anchor = {
	"INSERT INTO uaef.ledger_anchor"
	" (anchor, kind, target, config, next_at, created_by, created_at,"
	" interval_ms)"
	" VALUES ($1, $2, $3, $4, $5, $6, $5, $7) ON CONFLICT DO NOTHING",
	7, {TEXTOID, TEXTOID, TEXTOID, JSONBOID, TIMESTAMPTZOID, REGROLEOID,
	INT8OID}
};

static UaefQuery delete_anchor = {
	"DELETE FROM uaef.ledger_anchor WHERE anchor = $1",
	1, {TEXTOID}
};

static UaefQuery give_up_requested = {
	"UPDATE uaef.ledger_anchoring SET status = 'failed',"
	" error = 'the anchor was dropped'"
	" WHERE anchor = $1 AND status = 'requested'",
	1, {TEXTOID}
};

static UaefQuery update_paused = {
	"UPDATE uaef.ledger_anchor SET paused = $2,"
	" next_at = CASE WHEN $2 THEN next_at ELSE $3 END WHERE anchor = $1",
	3, {TEXTOID, BOOLOID, TIMESTAMPTZOID}
};

pg_noreturn static void bad_config(const char *key, const char *wanted);
static void check_keys(UaefAnchorKind kind, Jsonb *document);
static char *text_of(Jsonb *document, const char *key, bool required);
static void check_target(UaefAnchorKind kind, const char *target);
static void record(const char *type, Oid user, const char *name,
				   const char *kind, const char *target);
pg_noreturn static void raise_undefined(const char *name);

UaefAnchorKind
uaef_anchor_kind(const char *name)
{
	for (int i = 0; i < lengthof(kind_names); i++)
	{
		if (strcmp(kind_names[i], name) == 0)
			return (UaefAnchorKind) i;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown kind of anchor \"%s\"", name),
			 errhint("The kinds are \"witness\", \"webhook\", \"file\" and \"timestamp\".")));
}

static void
bad_config(const char *key, const char *wanted)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for \"%s\" in an anchor's config", key),
			 errdetail("It must be %s.", wanted)));
}

static void
check_keys(UaefAnchorKind kind, Jsonb *document)
{
	JsonbIterator *it = JsonbIteratorInit(&document->root);
	JsonbIteratorToken token;
	JsonbValue	key;

	if (!JB_ROOT_IS_OBJECT(document))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an anchor's config must be an object")));
	while ((token = JsonbIteratorNext(&it, &key, true)) != WJB_DONE)
	{
		char	   *name;

		if (token != WJB_KEY)
			continue;
		name = pnstrdup(key.val.string.val, key.val.string.len);
		if (strcmp(name, "interval") != 0 &&
			!(kind == UAEF_ANCHOR_WITNESS && strcmp(name, "vkey") == 0) &&
			!(kind == UAEF_ANCHOR_TIMESTAMP && strcmp(name, "ca") == 0))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("unknown key \"%s\" in the config of a %s anchor",
							name, kind_names[kind])));
	}
}

/*
 * NULL when it is missing and need not be there.
 */
static char *
text_of(Jsonb *document, const char *key, bool required)
{
	char	   *text = uaef_json_get_text(document, key);
	JsonbValue	value;

	if (text == NULL && (required || uaef_json_get(document, key, &value)))
		bad_config(key, "a string");
	return text;
}

void
uaef_anchor_config_parse(UaefAnchorKind kind, Jsonb *document,
						 UaefAnchorConfig *config)
{
	const char *problem = NULL;
	char	   *text;

	check_keys(kind, document);
	memset(config, 0, sizeof(*config));
	text = text_of(document, "interval", false);
	config->interval_ms = text ? uaef_duration_ms(text,
												  "\"interval\" of the anchor") : DEFAULT_INTERVAL_MS;
	if (config->interval_ms < MIN_INTERVAL_MS ||
		config->interval_ms > MAX_INTERVAL_MS)
		bad_config("interval", "between 100 milliseconds and a year");

	if (kind == UAEF_ANCHOR_WITNESS)
	{
		text = text_of(document, "vkey", true);
		problem = uaef_note_parse_key(text, &config->witness);
		if (problem != NULL)
			bad_config("vkey", psprintf("the public key of a witness, name+hash+base64: %s",
										problem));
		if (config->witness.kind != UAEF_KEY_COSIGNATURE)
			bad_config("vkey", "a key for Ed25519 cosignatures, of type 0x04");
	}
	if (kind == UAEF_ANCHOR_TIMESTAMP)
	{
		config->ca = text_of(document, "ca", true);
		problem = uaef_stamp_ca_problem(config->ca);
		if (problem != NULL)
			bad_config("ca", psprintf("certificates in PEM: %s", problem));
	}
}

/*
 * A file that may be written, or a connector that is there.
 */
static void
check_target(UaefAnchorKind kind, const char *target)
{
	UaefConnector connector;

	if (kind == UAEF_ANCHOR_FILE)
	{
		uaef_anchor_file_require(GetUserId(), target);
		return;
	}
	uaef_connector_load(target, &connector);
	if (connector.type != &uaef_webhook_connector)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("connector \"%s\" is not of type \"webhook\"", target)));
	if (kind == UAEF_ANCHOR_WITNESS &&
		strpbrk(connector.config.url, "?#") != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the URL of connector \"%s\" cannot be that of a witness",
						target),
				 errdetail("\"/add-checkpoint\" is put behind it, so it must have no query.")));
}

static void
record(const char *type, Oid user, const char *name, const char *kind,
	   const char *target)
{
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_text(&json, "anchor", name);
	uaef_json_text(&json, "kind", kind);
	uaef_json_text(&json, "target", target);
	uaef_ledger_note_user(type, user, uaef_json_end(&json));
}

void
uaef_anchor_create(const char *name, const char *kind, const char *target,
				   Jsonb *config)
{
	Oid			user = GetUserId();
	UaefAnchorConfig parsed;
	UaefCaller	caller;
	Datum		args[7];

	if (*name == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an anchor's name must not be empty")));
	uaef_anchor_config_parse(uaef_anchor_kind(kind), config, &parsed);
	check_target(uaef_anchor_kind(kind), target);

	caller = uaef_spi_begin();
	args[0] = CStringGetTextDatum(name);
	args[1] = CStringGetTextDatum(kind);
	args[2] = CStringGetTextDatum(target);
	args[3] = JsonbPGetDatum(config);
	args[4] = TimestampTzGetDatum(uaef_clock_now());
	args[5] = ObjectIdGetDatum(user);
	args[6] = Int64GetDatum(parsed.interval_ms);
	if (uaef_spi_run(&insert_anchor, args, NULL) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("anchor \"%s\" already exists", name)));
	record("anchor_created", user, name, kind, target);
	uaef_wake_worker_on_commit(UAEF_WAKE_ANCHORS);
	uaef_spi_end(caller);
}

static void
raise_undefined(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_UAEF_UNDEFINED_ANCHOR),
			 errmsg("anchor \"%s\" does not exist", name),
			 errhint("See uaef.anchor_status.")));
}

void
uaef_anchor_drop(const char *name)
{
	Oid			user = GetUserId();
	UaefCaller	caller = uaef_spi_begin();
	Datum		args[1] = {CStringGetTextDatum(name)};

	if (uaef_spi_run(&delete_anchor, args, NULL) == 0)
		raise_undefined(name);
	(void) uaef_spi_run(&give_up_requested, args, NULL);
	uaef_delivery_cancel_anchor(name);
	record("anchor_dropped", user, name, NULL, NULL);
	uaef_spi_end(caller);
}

void
uaef_anchor_pause(const char *name, bool paused)
{
	Oid			user = GetUserId();
	UaefCaller	caller = uaef_spi_begin();
	Datum		args[3];

	args[0] = CStringGetTextDatum(name);
	args[1] = BoolGetDatum(paused);
	args[2] = TimestampTzGetDatum(uaef_clock_now());
	if (uaef_spi_run(&update_paused, args, NULL) == 0)
		raise_undefined(name);
	record(paused ? "anchor_paused" : "anchor_resumed", user, name, NULL, NULL);
	uaef_wake_worker_on_commit(UAEF_WAKE_ANCHORS);
	uaef_spi_end(caller);
}
