/*-------------------------------------------------------------------------
 *
 * ledger_cosignature.c
 *	  Cosignatures of witnesses, as they are kept.
 *
 * Checkpoints are signed in databases whose encoding is UTF-8 only, or none, so
 * lines are kept as they are.
 *
 * Locking: none but that of an insertion.  Memory: the context that was
 * current at uaef_spi_begin().
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "ledger_cosignature.h"
#include "spi_util.h"

static UaefQuery insert_cosignature = {
	"INSERT INTO uaef.ledger_cosignature (origin, tree_size, witness, line, at)"
	" VALUES ($1, $2, $3, $4, to_timestamp($5)) ON CONFLICT DO NOTHING",
	5, {TEXTOID, INT8OID, TEXTOID, TEXTOID, INT8OID}
};

static UaefQuery select_lines = {
	"SELECT coalesce(string_agg(line || E'\\n', '' ORDER BY witness), '')"
	" FROM uaef.ledger_cosignature WHERE origin = $1 AND tree_size = $2",
	2, {TEXTOID, INT8OID}
};

void
uaef_cosignature_store(const char *origin, int64 tree_size,
					   const UaefNoteKey *key,
					   const UaefCosignature *cosignature)
{
	Datum		args[5];

	args[0] = CStringGetTextDatum(origin);
	args[1] = Int64GetDatum(tree_size);
	args[2] = CStringGetTextDatum(psprintf("%s+%08x", key->name, key->id));
	args[3] = CStringGetTextDatum(cosignature->line);
	args[4] = Int64GetDatum((int64) Min(cosignature->time,
										(uint64) PG_INT32_MAX * 100));
	(void) uaef_spi_run(&insert_cosignature, args, NULL);
}

char *
uaef_cosignature_lines(const char *origin, int64 tree_size)
{
	Datum		args[2];

	args[0] = CStringGetTextDatum(origin);
	args[1] = Int64GetDatum(tree_size);
	(void) uaef_spi_run(&select_lines, args, NULL);
	return uaef_spi_text(0, 1);
}
