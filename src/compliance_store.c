/*-------------------------------------------------------------------------
 *
 * compliance_store.c
 *	  Stored compliance checkpoints: names, owners, versions, the ledger event.
 *
 * The newest version counts, for executions that run already too: what must
 * hold is what must hold now.
 *
 * Locking: the checkpoint's name (versioned_name.c), until the transaction
 * ends.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "compliance.h"
#include "digest.h"
#include "errcodes.h"
#include "json_util.h"
#include "ledger.h"
#include "payload_check.h"
#include "spi_util.h"
#include "versioned_name.h"

static UaefQuery find_newest = {
	"SELECT n.version, f.created_by, n.digest = $2"
	" FROM uaef.compliance_checkpoint n"
	" JOIN uaef.compliance_checkpoint f ON f.name = n.name AND f.version = 1"
	" WHERE n.name = $1 ORDER BY n.version DESC LIMIT 1",
	2, {TEXTOID, BYTEAOID}
};

static UaefQuery insert_checkpoint = {
	"INSERT INTO uaef.compliance_checkpoint (name, version, definition, digest,"
	" description, created_by, created_at)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7)",
	7, {TEXTOID, INT4OID, JSONBOID, BYTEAOID, TEXTOID, REGROLEOID,
	TIMESTAMPTZOID}
};

static UaefQuery load_newest = {
	"SELECT version, definition FROM uaef.compliance_checkpoint"
	" WHERE name = $1 ORDER BY version DESC LIMIT 1",
	1, {TEXTOID}
};

static void
record(const char *name, int32 version, Jsonb *document, Oid role)
{
	UaefEvent	event = {.type = "checkpoint_defined",.actor_type = "user"};
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_text(&json, "checkpoint", name);
	uaef_json_int(&json, "version", version);
	uaef_json_text(&json, "digest", uaef_digest_hex(document));
	event.actor_id = GetUserNameFromId(role, false);
	event.payload = uaef_json_end(&json);
	(void) uaef_ledger_append(&event, 1);
}

static void
insert(const char *name, int32 version, Jsonb *document, Datum digest,
	   const char *description, Oid role)
{
	Datum		args[7];
	const char	nulls[] = {' ', ' ', ' ', ' ', description ? ' ' : 'n', ' ', ' '};

	args[0] = CStringGetTextDatum(name);
	args[1] = Int32GetDatum(version);
	args[2] = JsonbPGetDatum(document);
	args[3] = digest;
	args[4] = description ? CStringGetTextDatum(description) : (Datum) 0;
	args[5] = ObjectIdGetDatum(role);
	args[6] = TimestampTzGetDatum(uaef_clock_now());
	uaef_spi_run(&insert_checkpoint, args, nulls);
	record(name, version, document, role);
}

int32
uaef_checkpoint_create(const char *name, Jsonb *document,
					   const char *description)
{
	Oid			role = GetUserId();
	Datum		digest = PointerGetDatum(uaef_digest_bytea(document));
	UaefCaller	caller;
	UaefNewest	newest;

	uaef_check_name("checkpoint", name);
	uaef_check_payload("definition of the checkpoint", document);
	uaef_lock_name("compliance_checkpoint", name);
	newest = uaef_own_newest(&find_newest, "checkpoint", name, digest);
	if (newest.same)
		return newest.version;

	(void) uaef_checkpoint_compile(document);
	caller = uaef_spi_begin();
	insert(name, newest.version + 1, document, digest, description, role);
	uaef_spi_end(caller);
	return newest.version + 1;
}

bool
uaef_checkpoint_find(const char *name, UaefStoredCheckpoint *stored)
{
	Datum		arg = CStringGetTextDatum(name);

	if (uaef_spi_run(&load_newest, &arg, NULL) == 0)
		return false;
	stored->name = name;
	stored->version = uaef_spi_int32(0, 1);
	stored->checkpoint = uaef_checkpoint_compile(uaef_spi_jsonb(0, 2));
	return true;
}

static void
refuse_unknown(const char *name, const char *where)
{
	ereport(ERROR,
			(errcode(ERRCODE_UAEF_UNDEFINED_CHECKPOINT),
			 where == NULL ?
			 errmsg("checkpoint \"%s\" does not exist", name) :
			 errmsg("%s: checkpoint \"%s\" does not exist", where, name),
			 errhint("Use uaef.create_checkpoint() to create it.")));
}

void
uaef_checkpoint_require(const char *name, const char *where)
{
	Datum		arg = CStringGetTextDatum(name);
	UaefCaller	caller = uaef_spi_begin();
	uint64		found = uaef_spi_run(&load_newest, &arg, NULL);

	uaef_spi_end(caller);
	if (found == 0)
		refuse_unknown(name, where);
}

Jsonb *
uaef_checkpoint_evaluate_document(const char *name, Jsonb *data)
{
	MemoryContext context = CurrentMemoryContext;
	UaefScope	scope = {.document = data};
	UaefStoredCheckpoint stored;
	UaefCheckpointResult result;
	UaefCaller	caller;
	bool		found;

	if (!JB_ROOT_IS_OBJECT(data))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("data must be an object")));
	caller = uaef_spi_begin();
	MemoryContextSwitchTo(context);
	found = uaef_checkpoint_find(name, &stored);
	uaef_spi_end(caller);
	if (!found)
		refuse_unknown(name, NULL);
	uaef_checkpoint_evaluate(stored.checkpoint, &scope, &result);
	return uaef_checkpoint_result_json(&stored, &result);
}
