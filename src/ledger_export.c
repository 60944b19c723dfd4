/*-------------------------------------------------------------------------
 *
 * ledger_export.c
 *	  The ledger as lines of JSON, for who checks it elsewhere.
 *
 * One cursor for each kind of row; all are opened at once, under one snapshot,
 * and read a few rows at a time, so that a ledger of any size takes little
 * memory.  docs/proofs.md has the format.
 *
 * Locking: AccessShareLock on what is read, until the transaction ends.
 * Memory: an export that is left off keeps its cursors until then.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/portal.h"

#include "ledger_export.h"
#include "ledger_published.h"
#include "spi_util.h"

/* Rows that are held at once; one may have a payload of megabytes. */
#define FETCH_ROWS 64

#define OF_RETIRED_LEAVES \
	"EXISTS (SELECT FROM uaef.ledger_retirement AS r" \
	" WHERE r.restored_by IS NULL AND r.leaves OPERATOR(pg_catalog.&&)" \
	" pg_catalog.int8range(t.tile_no * 256, t.tile_no * 256 + 256))"

/*
 * The kinds of rows, in their order.  $1 is the first event, or null; $2 the
 * origin, $3 the size of the tree, $4 its root and $5 the incarnation.
 */
static const char *const row_kinds[] = {
	"SELECT 'ledger' AS row, 1 AS format, l.ledger_id, $2 AS origin,"
	" $3 AS tree_size, $4 AS root, $1 AS from_event, $5 AS incarnation"
	" FROM uaef.ledger AS l",
	UAEF_SQL_RETIREMENTS,
	UAEF_SQL_RETIRED_HEADS,
	"SELECT 'tile' AS row, t.level, t.tile_no,"
	" pg_catalog.encode(t.hashes, 'hex') AS hashes"
	" FROM uaef.ledger_tile AS t WHERE t.level = 0 AND $1 IS NULL"
	" AND " OF_RETIRED_LEAVES " ORDER BY t.tile_no",
	"SELECT 'event' AS row, " UAEF_SQL_EVENT " FROM uaef.ledger_event AS e"
	" WHERE $1 IS NULL OR e.event_id >= $1 ORDER BY e.event_id",
	"SELECT 'block' AS row, " UAEF_SQL_BLOCK ", b.event_ids,"
	" b.first_event_id, b.last_event_id, pg_catalog.chr(92) || 'x'"
	" || pg_catalog.encode(b.frontier, 'hex') AS frontier"
	" FROM uaef.ledger_block AS b"
	" WHERE $1 IS NULL OR b.last_event_id >= $1 ORDER BY b.block_no",
	"SELECT 'checkpoint' AS row, c.origin, c.tree_size, c.note"
	" FROM uaef.ledger_checkpoint AS c WHERE c.tree_size <= $3"
	" ORDER BY c.tree_size, c.origin",
	"SELECT 'cosignature' AS row, c.origin, c.tree_size, c.witness, c.line"
	" FROM uaef.ledger_cosignature AS c WHERE c.tree_size <= $3"
	" ORDER BY c.tree_size, c.origin, c.witness",
	("SELECT 'redaction' AS row, r.* FROM uaef.ledger_redaction AS r"
	 " WHERE $1 IS NULL OR r.event_id >= $1 ORDER BY r.event_id")
};

struct UaefExport
{
	MemoryContext context;		/* of the lines */
	char	   *cursors[lengthof(row_kinds)];
	int			kind;			/* that is being read */
	char	   *lines[FETCH_ROWS];
	int			n;				/* how many there are */
	int			next;			/* the first that was not given */
};

static void open_cursors(UaefExport *export, const int64 *from_event);
static bool fetch(UaefExport *export);

static void
open_cursors(UaefExport *export, const int64 *from_event)
{
	Oid			types[] = {INT8OID, TEXTOID, INT8OID, TEXTOID, TEXTOID};
	int64		size = uaef_tree_size();
	uint8		root[UAEF_HASH_LEN];
	char		nulls[] = {from_event == NULL ? 'n' : ' ', ' ', ' ', ' ', ' ', '\0'};
	Datum		args[5];

	uaef_published_tell_missing(size);
	uaef_tree_root(size, root);
	args[0] = Int64GetDatum(from_event == NULL ? 0 : *from_event);
	args[1] = CStringGetTextDatum(uaef_published_origin());
	args[2] = Int64GetDatum(size);
	args[3] = CStringGetTextDatum(uaef_hex(root, UAEF_HASH_LEN));
	args[4] = CStringGetTextDatum(uaef_block_incarnation());

	for (int i = 0; i < lengthof(row_kinds); i++)
	{
		char	   *sql = psprintf("SELECT pg_catalog.row_to_json(x)::pg_catalog.text"
								   " FROM (%s) AS x", row_kinds[i]);
		Portal		cursor = SPI_cursor_open_with_args(NULL, sql, 5, types,
													   args, nulls, true,
													   CURSOR_OPT_FAST_PLAN);

		export->cursors[i] = MemoryContextStrdup(export->context, cursor->name);
	}
}

UaefExport *
uaef_export_begin(const int64 *from_event)
{
	UaefExport *export = palloc0(sizeof(UaefExport));
	UaefCaller	caller;

	export->context = CurrentMemoryContext;
	caller = uaef_spi_begin();
	open_cursors(export, from_event);
	uaef_spi_end(caller);

	return export;
}

/*
 * Get some more lines; false when there are none.  A cursor may be gone before
 * its end, with the subtransaction that it was opened in.
 */
static bool
fetch(UaefExport *export)
{
	UaefCaller	caller = uaef_spi_begin();

	export->n = 0;
	export->next = 0;
	while (export->n == 0 && export->kind < lengthof(row_kinds))
	{
		Portal		cursor = SPI_cursor_find(export->cursors[export->kind]);

		if (cursor == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_CURSOR_STATE),
					 errmsg("the export cannot go on"),
					 errdetail("What it began with was rolled back, or closed."),
					 errhint("Export again.")));
		SPI_cursor_fetch(cursor, true, FETCH_ROWS);
		for (uint64 row = 0; row < SPI_processed; row++)
		{
			char	   *line = SPI_getvalue(SPI_tuptable->vals[row],
											SPI_tuptable->tupdesc, 1);

			export->lines[export->n++] = MemoryContextStrdup(export->context,
															 line);
		}
		SPI_freetuptable(SPI_tuptable);
		if (export->n == 0)
		{
			SPI_cursor_close(cursor);
			export->kind++;
		}
	}
	uaef_spi_end(caller);

	return export->n > 0;
}

char *
uaef_export_next(UaefExport *export)
{
	CHECK_FOR_INTERRUPTS();
	if (export->next == export->n && !fetch(export))
		return NULL;
	return export->lines[export->next++];
}
