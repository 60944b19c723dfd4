/*-------------------------------------------------------------------------
 *
 * ledger_retire.c
 *	  Moving old events out of the ledger's table, with their proofs kept.
 *
 * What is retired is a beginning of each stream, never its last event: chains
 * go on from it, and heads are found.  It is in full tiles, so the tree keeps
 * every leaf; it is covered by a signed checkpoint, and by every anchor.  The
 * events of an execution that is not over stay, and so do those that verifiers
 * rely on (ledger_keeping.h), and what follows them in their streams.
 *
 * No partitions of the server's are used: it routes a row to its partition
 * before row triggers fire, and the chain's trigger is what draws the numbers
 * that a key of partitions would have to be made of.
 *
 * What went is kept as ranges of leaves, whose text the event that tells of it
 * hashes; and for each stream its last retired event, which the first one that
 * stayed follows.
 *
 * Locking: the keeper's lock (ledger_keeping.h).  Memory: the caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "ledger_archive.h"
#include "ledger_keeping.h"
#include "ledger_retire.h"
#include "ledger_tree.h"
#include "row_write.h"
#include "spi_util.h"

/* Where retired events go. */
#define ARCHIVE_SCHEMA "uaef_archive"

/* Columns of uaef.ledger_retired_head. */
enum
{
	HEAD_STREAM = 1,
	HEAD_RETIREMENT,
	HEAD_STREAM_SEQ,
	HEAD_EVENT_ID,
	HEAD_RECORDED_AT,
	HEAD_LEAF_INDEX,
	HEAD_HASH
};

/* What one call retires. */
typedef struct Retirement
{
	char	   *table;			/* qualified name */
	Oid			relation;
	int64		n;
} Retirement;

static void run(const char *sql);
static int64 anchored_size(void);
static int64 covered_size(void);
static void make_table(Retirement *retirement);
static void fill_table(Retirement *retirement, TimestampTz before,
					   int64 max_events, int64 size);
static void delete_events(const Retirement *retirement);
static int64 record_retirement(UaefKeeping *keeping,
							   const Retirement *retirement, bool archive);
static void store_heads(const Retirement *retirement, int64 told);

static void
run(const char *sql)
{
	if (SPI_execute(sql, false, 0) < 0)
		elog(ERROR, "could not run \"%s\"", sql);
}

/*
 * How many leaves every anchor has; all of them if there are no anchors.
 */
static int64
anchored_size(void)
{
	static UaefQuery query = {
		"SELECT pg_catalog.min(coalesce((SELECT pg_catalog.max(tree_size)"
		" FROM uaef.ledger_anchoring AS n WHERE n.anchor = a.anchor"
		" AND n.status = 'anchored'), 0)) FROM uaef.ledger_anchor AS a"
		" HAVING pg_catalog.count(*) > 0", 0
	};

	return uaef_spi_run(&query, NULL, NULL) == 0 ? PG_INT64_MAX :
		uaef_spi_int64(0, 1);
}

/*
 * How many leaves are in full tiles, and covered by whatever evidence there is
 * outside of these tables.
 */
static int64
covered_size(void)
{
	static UaefQuery signed_size = {
		"SELECT coalesce(pg_catalog.max(tree_size), 0)"
		" FROM uaef.ledger_checkpoint", 0
	};
	int64		anchored = anchored_size();
	int64		sealed = uaef_tree_size();
	int64		size;

	(void) uaef_spi_run(&signed_size, NULL, NULL);
	size = uaef_spi_int64(0, 1);
	size = Min(size, Min(anchored, sealed));
	if (size < UAEF_TILE_WIDTH)
		ereport(NOTICE,
				(errmsg("no events can be retired yet"),
				 errdetail("A signed checkpoint, and every anchor, must cover at least %d events; they cover %lld.",
						   UAEF_TILE_WIDTH, (long long) size)));
	return size - size % UAEF_TILE_WIDTH;
}

/*
 * A new table for what is retired, in a schema that is nobody's but ours.  It
 * outlives the extension: none of its columns is of a type of ours, and a
 * ledger that begins anew finds tables of the one before.
 */
static void
make_table(Retirement *retirement)
{
	static UaefQuery schema_owner = {
		"SELECT nspowner FROM pg_catalog.pg_namespace WHERE nspname = $1",
		1, {TEXTOID}
	};
	static UaefQuery number = {
		"SELECT pg_catalog.count(*) + 1 FROM uaef.ledger_retirement", 0
	};
	Datum		args[] = {CStringGetTextDatum(ARCHIVE_SCHEMA)};
	Oid			schema;
	int64		n;
	char	   *name;

	if (uaef_spi_run(&schema_owner, args, NULL) == 0)
		run("CREATE SCHEMA " ARCHIVE_SCHEMA);
	else if (uaef_spi_oid(0, 1) != GetUserId())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("schema \"%s\" does not belong to the owner of the ledger",
						ARCHIVE_SCHEMA)));
	(void) uaef_spi_run(&number, NULL, NULL);
	n = uaef_spi_int64(0, 1);
	schema = get_namespace_oid(ARCHIVE_SCHEMA, false);
	do
		name = psprintf("retirement_%lld", (long long) n++);
	while (OidIsValid(get_relname_relid(name, schema)));
	retirement->table = psprintf("%s.%s", ARCHIVE_SCHEMA, name);
	run(psprintf("CREATE TABLE %s (LIKE uaef.ledger_event,"
				 " leaf_index bigint PRIMARY KEY)", retirement->table));
	run(psprintf("ALTER TABLE %s ALTER salt TYPE bytea, ALTER payload_hash"
				 " TYPE bytea, ALTER prev_hash TYPE bytea, ALTER event_hash"
				 " TYPE bytea", retirement->table));
	retirement->relation = get_relname_relid(name, schema);
}

/*
 * Copy the events that can be retired.
 */
static void
fill_table(Retirement *retirement, TimestampTz before, int64 max_events,
		   int64 size)
{
	Oid			types[] = {TIMESTAMPTZOID, TEXTARRAYOID, TEXTOID, INT8OID, INT8OID};
	Datum		args[] = {
		TimestampTzGetDatum(before), uaef_kept_types(),
		CStringGetTextDatum("ledger_sealed"), Int64GetDatum(size),
		Int64GetDatum(max_events)
	};
	char	   *sql = psprintf(
							   "WITH candidate AS MATERIALIZED ("
							   " SELECT e.stream, e.stream_seq, e.event_id,"
							   " b.first_leaf + u.n - 1 AS leaf, e.kind = 1"
							   " AND e.event_type = ANY ($2) AND e.event_type <> $3 AS kept"
							   " FROM uaef.ledger_block AS b CROSS JOIN LATERAL"
							   " pg_catalog.unnest(b.event_ids) WITH ORDINALITY"
							   " AS u (event_id, n)"
							   " JOIN uaef.ledger_event AS e USING (event_id)"
							   " WHERE b.first_leaf < $4 AND b.first_leaf + u.n <= $4"
							   " AND e.recorded_at < $1),"
							   " bound AS (SELECT s.stream, least(s.kept,"
							   " (SELECT pg_catalog.max(stream_seq)"
							   " FROM uaef.ledger_event WHERE stream = s.stream)) AS seq"
							   " FROM (SELECT stream, pg_catalog.min(stream_seq)"
							   " FILTER (WHERE kept) AS kept FROM candidate"
							   " GROUP BY stream) AS s"
							   " LEFT JOIN uaef.workflow_execution AS x"
							   " ON x.execution_id = s.stream"
							   " WHERE x.status IN ('completed', 'failed', 'cancelled')"
							   " OR x.status IS NULL),"
							   " chosen AS (SELECT c.event_id, c.leaf FROM candidate AS c"
							   " JOIN bound AS b USING (stream)"
							   " WHERE c.stream_seq < b.seq ORDER BY c.leaf LIMIT $5)"
							   " INSERT INTO %s SELECT e.*, c.leaf"
							   " FROM chosen AS c JOIN uaef.ledger_event AS e"
							   " USING (event_id) ORDER BY c.leaf",
							   retirement->table);

	if (SPI_execute_with_args(sql, lengthof(types), types, args, NULL, false,
							  0) != SPI_OK_INSERT)
		elog(ERROR, "could not retire events");
	retirement->n = (int64) SPI_processed;
}

/*
 * Take the rows out of the ledger's table, whose guard lets no DELETE pass.
 */
static void
delete_events(const Retirement *retirement)
{
	UaefTable	table;
	int64	   *ids = palloc_extended(retirement->n * sizeof(int64),
									  MCXT_ALLOC_HUGE);

	run(psprintf("SELECT event_id FROM %s ORDER BY leaf_index",
				 retirement->table));
	for (int64 i = 0; i < retirement->n; i++)
		ids[i] = uaef_spi_int64(i, 1);
	SPI_freetuptable(SPI_tuptable);

	uaef_table_open(&table, "ledger_event");
	for (int64 i = 0; i < retirement->n; i++)
	{
		HeapTuple	tuple = uaef_find_by_int64(table.rel,
											   "ledger_event_event_id",
											   UAEF_EVENT_ID, ids[i]);

		CHECK_FOR_INTERRUPTS();
		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "event %lld is gone", (long long) ids[i]);
		uaef_table_delete(&table, &tuple->t_self);
		heap_freetuple(tuple);
	}
	uaef_table_close(&table);
}

/*
 * Tell of what was retired; returns the number of the event that does.
 */
static int64
record_retirement(UaefKeeping *keeping, const Retirement *retirement,
				  bool archive)
{
	static UaefQuery insert = {
		"INSERT INTO uaef.ledger_retirement (event_id, leaves, events,"
		" tree_size, archive, retired_at)"
		" VALUES ($1, $2::pg_catalog.text::pg_catalog.int8multirange, $3, $4,"
		" $5, pg_catalog.clock_timestamp())",
		5, {INT8OID, TEXTOID, INT8OID, INT8OID, TEXTOID}
	};
	UaefJson	json;
	uint8		hash[UAEF_HASH_LEN];
	int64		size = uaef_tree_size();
	char	   *leaves;
	Datum		args[5];

	run(psprintf("SELECT pg_catalog.range_agg(pg_catalog.int8range(leaf_index,"
				 " leaf_index + 1))::pg_catalog.text, pg_catalog.min(event_id),"
				 " pg_catalog.max(event_id) FROM %s", retirement->table));
	leaves = uaef_spi_text(0, 1);
	uaef_json_begin(&json);
	uaef_json_int(&json, "from_event", uaef_spi_int64(0, 2));
	uaef_json_int(&json, "to_event", uaef_spi_int64(0, 3));
	uaef_json_int(&json, "count", retirement->n);
	uaef_json_int(&json, "tree_size", size);
	uaef_tree_root(size, hash);
	uaef_json_text(&json, "root", uaef_hex(hash, UAEF_HASH_LEN));
	uaef_hash_begin();
	uaef_hash_add(leaves, strlen(leaves));
	uaef_hash_end(hash);
	uaef_json_text(&json, "leaves_hash", uaef_hex(hash, UAEF_HASH_LEN));
	uaef_json_text(&json, "table", archive ? retirement->table : NULL);

	args[0] = Int64GetDatum(uaef_keeping_record(keeping, UAEF_RETIRED_EVENT,
												&json));
	args[1] = CStringGetTextDatum(leaves);
	args[2] = Int64GetDatum(retirement->n);
	args[3] = Int64GetDatum(size);
	args[4] = archive ? CStringGetTextDatum(retirement->table) : (Datum) 0;
	(void) uaef_spi_run(&insert, args, archive ? NULL : "    n");

	return DatumGetInt64(args[0]);
}

/*
 * Keep the last retired event of each stream.
 */
static void
store_heads(const Retirement *retirement, int64 told)
{
	run(psprintf("INSERT INTO uaef.ledger_retired_head (stream, retirement,"
				 " stream_seq, event_id, recorded_at, leaf_index, event_hash)"
				 " SELECT DISTINCT ON (stream) stream, %lld, stream_seq,"
				 " event_id, recorded_at, leaf_index, event_hash FROM %s"
				 " ORDER BY stream, stream_seq DESC",
				 (long long) told, retirement->table));
}

int64
uaef_retire_events(TimestampTz before, const char *reason, bool archive,
				   int64 max_events)
{
	UaefKeeping keeping;
	Retirement	retirement;
	int64		told;

	uaef_keeping_require_reason(reason);
	uaef_keeping_begin(&keeping, reason);
	make_table(&retirement);
	fill_table(&retirement, before, max_events, covered_size());
	if (retirement.n > 0)
	{
		/* Nothing that was tampered with leaves by this door. */
		uaef_archive_check_rows(NULL, retirement.relation);
		delete_events(&retirement);
		told = record_retirement(&keeping, &retirement, archive);
		store_heads(&retirement, told);
	}
	if (retirement.n == 0 || !archive)
		run(psprintf("DROP TABLE %s", retirement.table));
	uaef_keeping_end(&keeping);

	return retirement.n;
}

/* ----------
 * For verifiers
 * ----------
 */

void
uaef_retired_read(UaefRetired *retired)
{
	static UaefQuery query = {
		"SELECT pg_catalog.lower(r), pg_catalog.upper(r) FROM"
		" (SELECT pg_catalog.unnest(leaves) AS r FROM uaef.ledger_retirement"
		" WHERE restored_by IS NULL) AS s ORDER BY 1",
		0
	};
	SPITupleTable *kept = SPI_tuptable;

	retired->n = (int) uaef_spi_read(&query, NULL);
	retired->first = palloc_extended((retired->n + 1) * sizeof(int64),
									 MCXT_ALLOC_HUGE);
	retired->end = palloc_extended((retired->n + 1) * sizeof(int64),
								   MCXT_ALLOC_HUGE);
	for (int i = 0; i < retired->n; i++)
	{
		retired->first[i] = uaef_spi_int64(i, 1);
		retired->end[i] = uaef_spi_int64(i, 2);
	}
	SPI_freetuptable(SPI_tuptable);
	SPI_tuptable = kept;
}

bool
uaef_retired_has(const UaefRetired *retired, int64 leaf)
{
	int			low = 0;
	int			high = retired->n;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (retired->end[middle] <= leaf)
			low = middle + 1;
		else
			high = middle;
	}
	return low < retired->n && retired->first[low] <= leaf;
}

/*
 * Restored retirements come after all that still hold, so of those the one
 * with the highest number is the stream's last.
 */
bool
uaef_retired_head(const pg_uuid_t *stream, const UaefRetired *retired,
				  UaefRetiredHead *head)
{
	uint8		leaf[UAEF_HASH_LEN];
	Oid			schema = get_namespace_oid("uaef", false);
	Relation	rel = table_open(get_relname_relid("ledger_retired_head", schema),
								 AccessShareLock);
	Relation	index = index_open(get_relname_relid("ledger_retired_head_pkey", schema),
								   AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found;

	ScanKeyInit(&key, HEAD_STREAM, BTEqualStrategyNumber, F_UUID_EQ,
				UUIDPGetDatum(stream));
	uaef_require_columns(RelationGetDescr(rel), "ledger_retired_head",
						 HEAD_HASH);
	scan = systable_beginscan_ordered(rel, index, GetActiveSnapshot(), 1,
									  &key);
	tuple = systable_getnext_ordered(scan, BackwardScanDirection);
	found = HeapTupleIsValid(tuple);
	if (found)
	{
		Datum		values[HEAD_HASH];
		bool		nulls[HEAD_HASH];

		heap_deform_tuple(tuple, RelationGetDescr(rel), values, nulls);
		head->stream_seq = DatumGetInt64(values[HEAD_STREAM_SEQ - 1]);
		head->event_id = DatumGetInt64(values[HEAD_EVENT_ID - 1]);
		head->recorded_at = DatumGetTimestampTz(values[HEAD_RECORDED_AT - 1]);
		head->leaf = DatumGetInt64(values[HEAD_LEAF_INDEX - 1]);
		memcpy(head->hash, uaef_datum_hash(values[HEAD_HASH - 1]),
			   UAEF_HASH_LEN);
	}
	systable_endscan_ordered(scan);
	index_close(index, AccessShareLock);
	table_close(rel, AccessShareLock);

	if (!found || !uaef_retired_has(retired, head->leaf))
		return false;
	uaef_tree_leaf(head->leaf, leaf);
	return memcmp(leaf, head->hash, UAEF_HASH_LEN) == 0;
}

void
uaef_check_retirements(const UaefReport *report)
{
	static UaefQuery query = {
		"SELECT NULL::uuid, NULL::bigint, r.event_id, NULL::bigint,"
		" CASE WHEN e.payload->>'leaves_hash' = pg_catalog.encode("
		"pg_catalog.sha256(pg_catalog.convert_to(r.leaves::text, 'UTF8')),"
		" 'hex') THEN pg_catalog.format('%s events were retired', r.events)"
		" END FROM uaef.ledger_retirement AS r LEFT JOIN uaef.ledger_event AS e"
		" ON e.event_id = r.event_id AND e.kind = 1"
		" AND e.event_type = 'events_retired'"
		" WHERE r.restored_by IS NULL ORDER BY r.event_id",
		0
	};
	uint64		rows = uaef_spi_read(&query, NULL);

	for (uint64 row = 0; row < rows; row++)
	{
		UaefPlace	place = {.event_id = uaef_spi_int64(row, 3)};
		bool		isnull;

		(void) uaef_spi_value(row, 5, &isnull);
		if (isnull)
			uaef_report_problem(report, "LEAF_MISSING", &place,
								"events are gone that no event says were retired");
		else
			uaef_report_problem(report, "RETIRED", &place,
								uaef_spi_text(row, 5));
	}
}
