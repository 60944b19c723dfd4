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
#include "workflow_dependency.h"

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
	" ON CONFLICT (name, version) DO NOTHING RETURNING definition_id",
	7, {TEXTOID, INT4OID, JSONBOID, BYTEAOID, TEXTOID, REGROLEOID,
	TIMESTAMPTZOID}
};

static void insert(const char *name, int32 version,
				   const UaefDefinition *def, Jsonb *document, Datum digest,
				   const char *description);
static void record(const char *name, int32 version, Datum digest, Oid role);

int32
uaef_definition_create(const char *name, Jsonb *document,
					   const char *description)
{
	Datum		digest;
	UaefNewest	newest;

	uaef_check_name("workflow", name);
	uaef_lock_name("workflow_definition", name);
	digest = PointerGetDatum(uaef_digest_bytea(document));
	newest = uaef_own_newest(&find_newest, "workflow", name, digest);
	if (newest.same)
		return newest.version;

	insert(name, newest.version + 1,
		   uaef_definition_compile(name, document, true), document, digest,
		   description);
	return newest.version + 1;
}

/*
 * Under the lock the version is free, unless the transaction's snapshot is
 * older than the lock; then ON CONFLICT raises a serialization failure.
 */
static void
insert(const char *name, int32 version, const UaefDefinition *def,
	   Jsonb *document, Datum digest, const char *description)
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
	uaef_dependency_store(uaef_spi_int32(0, 1), def);
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
