/*-------------------------------------------------------------------------
 *
 * definition_store.c
 *	  Storing definitions: names, owners, versions, the ledger event.
 *
 * Locking: the workflow's name (versioned_name.c), until the transaction ends.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "clock.h"
#include "definition.h"
#include "digest.h"
#include "errcodes.h"
#include "event_hash.h"
#include "json_util.h"
#include "ledger.h"
#include "spi_util.h"
#include "versioned_name.h"

/* The newest version of a workflow; version is 0 when there is none. */
typedef struct Newest
{
	int32		version;
	Oid			owner;			/* of version 1 */
	bool		same;			/* has the digest that was asked for */
} Newest;

static UaefQuery find_newest = {
	"SELECT n.version, f.created_by, n.digest = $2"
	" FROM uaef.workflow_definition n"
	" JOIN uaef.workflow_definition f ON f.name = n.name AND f.version = 1"
	" WHERE n.name = $1 ORDER BY n.version DESC LIMIT 1",
	2, {TEXTOID, BYTEAOID}
};
static UaefQuery insert_definition = {
	"INSERT INTO uaef.workflow_definition (name, version, definition, digest,"
	" description, created_by, created_at)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7)"
	" ON CONFLICT (name, version) DO NOTHING",
	7, {TEXTOID, INT4OID, JSONBOID, BYTEAOID, TEXTOID, REGROLEOID,
	TIMESTAMPTZOID}
};

static Newest newest_of(const char *name, Datum digest);
static void insert(const char *name, int32 version, Jsonb *document,
				   Datum digest, const char *description);
static void record(const char *name, int32 version, Datum digest, Oid role);

int32
uaef_definition_create(const char *name, Jsonb *document,
					   const char *description)
{
	Datum		digest;
	Newest		newest;

	uaef_check_name("workflow", name);
	uaef_lock_name("workflow_definition", name);
	digest = PointerGetDatum(uaef_digest_bytea(document));
	newest = newest_of(name, digest);
	if (newest.version > 0)
		uaef_require_member(newest.owner, psprintf("workflow \"%s\"", name));
	if (newest.same)
		return newest.version;

	(void) uaef_definition_compile(name, document, true);
	insert(name, newest.version + 1, document, digest, description);
	return newest.version + 1;
}

static Newest
newest_of(const char *name, Datum digest)
{
	Datum		args[] = {CStringGetTextDatum(name), digest};
	Newest		newest = {0};
	UaefCaller	caller = uaef_spi_begin();

	if (uaef_spi_run(&find_newest, args, NULL) > 0)
	{
		newest.version = uaef_spi_int32(0, 1);
		newest.owner = uaef_spi_oid(0, 2);
		newest.same = uaef_spi_bool(0, 3);
	}
	uaef_spi_end(caller);
	return newest;
}

/*
 * Under the lock the version is free, unless the transaction's snapshot is
 * older than the lock; then ON CONFLICT raises a serialization failure.
 */
static void
insert(const char *name, int32 version, Jsonb *document, Datum digest,
	   const char *description)
{
	Oid			role = GetUserId();
	Datum		args[] = {
		CStringGetTextDatum(name), Int32GetDatum(version),
		JsonbPGetDatum(document), digest,
		description ? CStringGetTextDatum(description) : (Datum) 0,
		ObjectIdGetDatum(role), TimestampTzGetDatum(uaef_clock_now())
	};
	const char	nulls[] = {' ', ' ', ' ', ' ', description ? ' ' : 'n', ' ', ' '};
	UaefCaller	caller = uaef_spi_begin();

	if (uaef_spi_run(&insert_definition, args, nulls) == 0)
		elog(ERROR, "version %d of workflow \"%s\" exists", version, name);
	record(name, version, digest, role);
	uaef_spi_end(caller);
}

static void
record(const char *name, int32 version, Datum digest, Oid role)
{
	UaefEvent	event = {.type = "workflow_defined",.actor_type = "user"};
	bytea	   *bytes = DatumGetByteaPP(digest);
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_text(&json, "workflow", name);
	uaef_json_int(&json, "version", version);
	uaef_json_text(&json, "digest", uaef_hex(VARDATA_ANY(bytes),
											 VARSIZE_ANY_EXHDR(bytes)));
	event.actor_id = GetUserNameFromId(role, false);
	event.payload = uaef_json_end(&json);
	(void) uaef_ledger_append(&event, 1);
}
