/*-------------------------------------------------------------------------
 *
 * ledger_incarnation.c
 *	  A ledger that goes on elsewhere: from a backup, on a standby, in another
 *	  database.
 *
 * Nothing in the database tells a standby that was promoted with everything
 * from a backup of yesterday.  So no process of ours declares anything: whoever
 * caused the change says so, a person or the program that promotes standbys;
 * else the word would be worth nothing.  Sealing goes on meanwhile.
 *
 * Locking: the keeper's lock (ledger_keeping.h).  Memory: the caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "errcodes.h"
#include "ledger_block.h"
#include "ledger_incarnation.h"
#include "ledger_keeping.h"
#include "ledger_tree.h"
#include "spi_util.h"

static int64 size_before(const char *incarnation, int32 timeline);
static void insert_row(const UaefKeeping *keeping, int64 event_id,
					   const char *incarnation, int32 timeline, int64 size,
					   const uint8 *root);

bool
uaef_incarnation_is_declared(const char *incarnation, int32 timeline)
{
	static UaefQuery query = {
		"SELECT FROM (SELECT incarnation, timeline FROM uaef.ledger_block"
		" ORDER BY block_no LIMIT 1) AS b"
		" WHERE b.incarnation = $1 AND b.timeline = $2"
		" UNION ALL SELECT FROM uaef.ledger_event"
		" WHERE stream = $3 AND kind = 1 AND event_type = $4"
		" AND payload->>'incarnation' = $1"
		" AND payload->'timeline' = pg_catalog.to_jsonb($2)",
		4, {TEXTOID, INT4OID, UUIDOID, TEXTOID}
	};
	pg_uuid_t	stream;
	Datum		args[4];
	bool		declared;

	uaef_keeping_stream(&stream);
	args[0] = CStringGetTextDatum(incarnation);
	args[1] = Int32GetDatum(timeline);
	args[2] = UUIDPGetDatum(&stream);
	args[3] = CStringGetTextDatum(UAEF_DECLARED_EVENT);
	declared = uaef_spi_run(&query, args, NULL) > 0;
	SPI_freetuptable(SPI_tuptable);
	return declared;
}

/*
 * The size of the tree when an incarnation took over: it may have sealed
 * blocks already.
 */
static int64
size_before(const char *incarnation, int32 timeline)
{
	static UaefQuery query = {
		"SELECT first_leaf FROM uaef.ledger_block"
		" WHERE incarnation = $1 AND timeline = $2 ORDER BY block_no LIMIT 1",
		2, {TEXTOID, INT4OID}
	};
	Datum		args[] = {
		CStringGetTextDatum(incarnation), Int32GetDatum(timeline)
	};

	if (uaef_spi_run(&query, args, NULL) == 0)
		return uaef_tree_size();
	return uaef_spi_int64(0, 1);
}

static void
insert_row(const UaefKeeping *keeping, int64 event_id,
		   const char *incarnation, int32 timeline, int64 size,
		   const uint8 *root)
{
	static UaefQuery query = {
		"INSERT INTO uaef.ledger_incarnation (event_id, incarnation, timeline,"
		" tree_size, root, reason, declared_at, declared_by)"
		" VALUES ($1, $2, $3, $4, $5, $6, pg_catalog.clock_timestamp(), $7)",
		7, {INT8OID, TEXTOID, INT4OID, INT8OID, BYTEAOID, TEXTOID, TEXTOID}
	};
	Datum		args[] = {
		Int64GetDatum(event_id), CStringGetTextDatum(incarnation),
		Int32GetDatum(timeline), Int64GetDatum(size),
		uaef_bytea(root, UAEF_HASH_LEN), CStringGetTextDatum(keeping->reason),
		CStringGetTextDatum(GetUserNameFromId(keeping->user, false))
	};

	(void) uaef_spi_run(&query, args, NULL);
}

int64
uaef_declare_incarnation(const char *reason)
{
	UaefKeeping keeping;
	UaefJson	json;
	const char *incarnation = uaef_block_incarnation();
	int32		timeline = uaef_block_timeline();
	int64		size;
	int64		event_id;
	uint8		root[UAEF_HASH_LEN];

	uaef_keeping_require_reason(reason);
	uaef_keeping_begin(&keeping, reason);
	if (uaef_tree_size() == 0 ||
		uaef_incarnation_is_declared(incarnation, timeline))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_SAME_INCARNATION),
				 errmsg("there is no change of the ledger's incarnation to declare"),
				 errdetail("It is %s, timeline %d.", incarnation, timeline)));
	size = size_before(incarnation, timeline);
	uaef_tree_root(size, root);

	uaef_json_begin(&json);
	uaef_json_text(&json, "incarnation", incarnation);
	uaef_json_int(&json, "timeline", timeline);
	uaef_json_int(&json, "tree_size", size);
	uaef_json_text(&json, "root", uaef_hex(root, UAEF_HASH_LEN));
	event_id = uaef_keeping_record(&keeping, UAEF_DECLARED_EVENT, &json);
	insert_row(&keeping, event_id, incarnation, timeline, size, root);
	uaef_keeping_end(&keeping);

	return event_id;
}

void
uaef_check_incarnations(const UaefReport *report)
{
	static UaefQuery query = {
		"SELECT pg_catalog.min(block_no), incarnation, timeline"
		" FROM uaef.ledger_block GROUP BY incarnation, timeline ORDER BY 1",
		0
	};
	uint64		rows = uaef_spi_read(&query, NULL);
	SPITupleTable *found = SPI_tuptable;

	for (uint64 row = 0; row < rows; row++)
	{
		UaefPlace	place;
		char	   *incarnation;
		int32		timeline;

		SPI_tuptable = found;
		place = (UaefPlace)
		{
			.block_no = uaef_spi_int64(row, 1)
		};
		incarnation = uaef_spi_text(row, 2);
		timeline = uaef_spi_int32(row, 3);
		if (!uaef_incarnation_is_declared(incarnation, timeline))
			uaef_report_problem(report, "INCARNATION_UNDECLARED", &place,
								psprintf("the ledger went on in %s, timeline %d, and nobody declared it",
										 incarnation, timeline));
	}
}
