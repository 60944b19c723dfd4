/*-------------------------------------------------------------------------
 *
 * ledger_archive.c
 *	  Tables of retired events: checking them, and taking them back.
 *
 * Such a table is the operator's: to dump, to drop, to load elsewhere.  What it
 * holds is believed only as far as the tree confirms it: a row's hash is
 * computed anew and must be its leaf's, which the tiles keep.
 *
 * Locking: the table in share mode until the transaction ends; a restore takes
 * the keeper's lock (ledger_keeping.h) too.
 *
 * Memory: what one row needs is in a context that is reset for the next.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_class_d.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "errcodes.h"
#include "ledger.h"
#include "ledger_archive.h"
#include "ledger_keeping.h"
#include "ledger_redact.h"
#include "ledger_tree.h"
#include "row_write.h"
#include "spi_util.h"

#define LEAF_INDEX (UAEF_EVENT_COLUMNS + 1)

/* Columns of uaef.ledger_retirement that are written here. */
#define RETIREMENT_EVENT_ID		1
#define RETIREMENT_RESTORED_BY	7
#define RETIREMENT_COLUMNS		7

/* Column of uaef.ledger_retired_head. */
#define HEAD_RETIREMENT			2

#define VALUE(column) values[(column) - 1]
#define ISNULL(column) nulls[(column) - 1]

/* Where rows are compared to: a tile of leaves. */
typedef struct Leaves
{
	int64		size;			/* of the tree */
	int64		tile_no;		/* -1: none read */
	uint8		hashes[UAEF_TILE_WIDTH * UAEF_HASH_LEN];
} Leaves;

static char *table_name(Oid table);
static void problem(const UaefReport *report, const char *code,
					const UaefPlace *place, const char *detail);
static bool is_hash(int number);
static bool is_type(Oid type, Oid events, int number);
static bool is_column(Form_pg_attribute attribute, Oid events, int number);
static void require_form(Relation rel);
static void take_hashes(TupleDesc desc, Datum *values, bool *nulls);
static bool payload_is_sound(const Datum *values, const bool *nulls);
static bool is_leaf(Leaves *leaves, int64 leaf, const uint8 *hash);
static void check_row(const UaefReport *report, Leaves *leaves,
					  const Datum *values, const bool *nulls);
static void require_readable(Oid table);
static int64 check_complete(const UaefReport *report, Oid table);
static void require_last(int64 retirement);
static void mark_restored(int64 retirement, int64 told);
static void delete_heads(int64 retirement);

static char *
table_name(Oid table)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(table)),
									  get_rel_name(table));
}

static void
problem(const UaefReport *report, const char *code, const UaefPlace *place,
		const char *detail)
{
	if (report == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_ARCHIVE),
				 place->event_id == 0 ? errmsg("%s", detail) :
				 errmsg("event %lld: %s", (long long) place->event_id, detail),
				 errdetail("The code of the problem is %s.", code)));
	uaef_report_problem(report, code, place, detail);
}

static bool
is_hash(int number)
{
	return number == UAEF_EVENT_SALT || number == UAEF_EVENT_PAYLOAD_HASH ||
		number == UAEF_EVENT_PREV_HASH || number == UAEF_EVENT_HASH;
}

/*
 * Whether a column may have a type.  Hashes are bytea, so that the extension
 * can be dropped without the table; of its own type they will do too.
 */
static bool
is_type(Oid type, Oid events, int number)
{
	return (type == BYTEAOID && is_hash(number)) ||
		type == (number == LEAF_INDEX ? INT8OID : get_atttype(events, number));
}

/*
 * Whether a column is the one that stands at this place in such tables.  A
 * generated one may be computed only when it is read, by whatever code.
 */
static bool
is_column(Form_pg_attribute attribute, Oid events, int number)
{
	const char *name = number == LEAF_INDEX ? "leaf_index" :
		get_attname(events, number, false);

	return !attribute->attisdropped && attribute->attgenerated == '\0' &&
		strcmp(NameStr(attribute->attname), name) == 0 &&
		is_type(attribute->atttypid, events, number);
}

/*
 * Raise unless a table has the columns that we made such tables with, and runs
 * nobody's code when it is read.  A table that inherits from it is not checked,
 * but whoever reads the one does not see which rows are the other's.
 */
static void
require_form(Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);
	Oid			schema = get_namespace_oid("uaef", false);
	Oid			events = get_relname_relid("ledger_event", schema);
	bool		good = rel->rd_rel->relkind == RELKIND_RELATION &&
		!rel->rd_rel->relrowsecurity && desc->natts == LEAF_INDEX &&
		find_inheritance_children(RelationGetRelid(rel), NoLock) == NIL;

	for (int i = 1; good && i <= LEAF_INDEX; i++)
		good = is_column(TupleDescAttr(desc, i - 1), events, i);
	if (!good)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_ARCHIVE),
				 errmsg("table \"%s\" does not hold retired events",
						RelationGetRelationName(rel)),
				 errdetail("It must be an ordinary table, which no other inherits from, with the columns of uaef.ledger_event and, last, leaf_index, none of them generated.")));
}

/*
 * The hashes of a row as they are in uaef.ledger_event; null for what is none.
 */
static void
take_hashes(TupleDesc desc, Datum *values, bool *nulls)
{
	for (int i = 1; i <= UAEF_EVENT_COLUMNS; i++)
	{
		const uint8 *hash;

		if (!is_hash(i) || ISNULL(i) ||
			TupleDescAttr(desc, i - 1)->atttypid != BYTEAOID)
			continue;
		hash = uaef_fixed_bytes(VALUE(i), UAEF_HASH_LEN);
		ISNULL(i) = hash == NULL;
		VALUE(i) = PointerGetDatum(hash);
	}
}

/*
 * The payload is what the event commits to, or was redacted.
 */
static bool
payload_is_sound(const Datum *values, const bool *nulls)
{
	uint8		hash[UAEF_HASH_LEN];

	if (ISNULL(UAEF_EVENT_PAYLOAD) != ISNULL(UAEF_EVENT_SALT))
		return false;
	if (ISNULL(UAEF_EVENT_PAYLOAD))
		return ISNULL(UAEF_EVENT_PAYLOAD_HASH) ||
			uaef_redaction_told(DatumGetInt64(VALUE(UAEF_EVENT_ID)),
								uaef_datum_hash(VALUE(UAEF_EVENT_PAYLOAD_HASH)));
	if (ISNULL(UAEF_EVENT_PAYLOAD_HASH))
		return false;
	uaef_payload_hash(DatumGetJsonbP(VALUE(UAEF_EVENT_PAYLOAD)),
					  uaef_datum_hash(VALUE(UAEF_EVENT_SALT)), hash);
	return memcmp(hash, uaef_datum_hash(VALUE(UAEF_EVENT_PAYLOAD_HASH)),
				  UAEF_HASH_LEN) == 0;
}

static bool
is_leaf(Leaves *leaves, int64 leaf, const uint8 *hash)
{
	int64		tile_no = leaf / UAEF_TILE_WIDTH;

	if (leaf < 0 || (tile_no + 1) * UAEF_TILE_WIDTH > leaves->size)
		return false;
	if (tile_no != leaves->tile_no)
		uaef_tree_leaves(tile_no * UAEF_TILE_WIDTH, UAEF_TILE_WIDTH,
						 leaves->hashes);
	leaves->tile_no = tile_no;
	return memcmp(leaves->hashes + leaf % UAEF_TILE_WIDTH * UAEF_HASH_LEN,
				  hash, UAEF_HASH_LEN) == 0;
}

static void
check_row(const UaefReport *report, Leaves *leaves, const Datum *values,
		  const bool *nulls)
{
	UaefPlace	place = {0};
	uint8		hash[UAEF_HASH_LEN];

	if (!ISNULL(UAEF_EVENT_STREAM))
		place.stream = DatumGetUUIDP(VALUE(UAEF_EVENT_STREAM));
	if (!ISNULL(UAEF_EVENT_STREAM_SEQ))
		place.stream_seq = DatumGetInt64(VALUE(UAEF_EVENT_STREAM_SEQ));
	if (!ISNULL(UAEF_EVENT_ID))
		place.event_id = DatumGetInt64(VALUE(UAEF_EVENT_ID));
	if (!uaef_event_hash(uaef_ledger_id(), values, nulls, hash) ||
		ISNULL(UAEF_EVENT_HASH) ||
		memcmp(hash, uaef_datum_hash(VALUE(UAEF_EVENT_HASH)),
			   UAEF_HASH_LEN) != 0)
		problem(report, "EVENT_HASH_MISMATCH", &place,
				"the event is not what event_hash says");
	else if (ISNULL(LEAF_INDEX) ||
			 !is_leaf(leaves, DatumGetInt64(VALUE(LEAF_INDEX)), hash))
		problem(report, "LEAF_EXTRA", &place,
				"the event is not the leaf of the tree that leaf_index names");
	if (!payload_is_sound(values, nulls))
		problem(report, "PAYLOAD_MISMATCH", &place,
				"the payload is not what payload_hash commits to");
}

void
uaef_archive_check_rows(const UaefReport *report, Oid table)
{
	Relation	rel = table_open(table, ShareLock);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "uaef archive row",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old_context;
	Leaves	   *leaves = palloc(sizeof(Leaves));
	SysScanDesc scan;
	HeapTuple	tuple;

	require_form(rel);
	leaves->size = uaef_tree_size();
	leaves->tile_no = -1;
	scan = systable_beginscan(rel, InvalidOid, false, SnapshotSelf, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Datum		values[LEAF_INDEX];
		bool		nulls[LEAF_INDEX];

		CHECK_FOR_INTERRUPTS();
		old_context = MemoryContextSwitchTo(context);
		heap_deform_tuple(tuple, RelationGetDescr(rel), values, nulls);
		take_hashes(RelationGetDescr(rel), values, nulls);
		check_row(report, leaves, values, nulls);
		MemoryContextSwitchTo(old_context);
		MemoryContextReset(context);
	}
	systable_endscan(scan);
	MemoryContextDelete(context);
	table_close(rel, NoLock);
}

/*
 * Whether the rows of a table are those of a retirement, which is returned; 0
 * when they are of none.
 */
static int64
check_complete(const UaefReport *report, Oid table)
{
	UaefPlace	place = {0};
	char	   *sql = psprintf(
							   "SELECT r.event_id,"
							   " nullif((r.leaves - t.leaves)::pg_catalog.text, '{}'),"
							   " nullif((t.leaves - r.leaves)::pg_catalog.text, '{}')"
							   " FROM (SELECT pg_catalog.range_agg("
							   "pg_catalog.int8range(leaf_index, leaf_index + 1))"
							   " AS leaves FROM ONLY %s) AS t"
							   " JOIN uaef.ledger_retirement AS r"
							   " ON r.leaves OPERATOR(pg_catalog.&&) t.leaves"
							   " ORDER BY r.leaves = t.leaves DESC, r.event_id DESC"
							   " LIMIT 1", table_name(table));
	bool		isnull;
	int64		retirement;

	if (SPI_execute(sql, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read table %s", table_name(table));
	if (SPI_processed == 0)
	{
		problem(report, "LEAF_EXTRA", &place,
				"the table holds no events that were retired");
		return 0;
	}
	retirement = uaef_spi_int64(0, 1);
	(void) uaef_spi_value(0, 2, &isnull);
	if (!isnull)
		problem(report, "LEAF_MISSING", &place,
				psprintf("the table lacks the leaves %s of the retirement of event %lld",
						 uaef_spi_text(0, 2), (long long) retirement));
	(void) uaef_spi_value(0, 3, &isnull);
	if (!isnull)
		problem(report, "LEAF_EXTRA", &place,
				psprintf("the leaves %s are not of the retirement of event %lld",
						 uaef_spi_text(0, 3), (long long) retirement));
	return retirement;
}

/*
 * The caller's right to read a table, before it is opened as the owner.
 */
static void
require_readable(Oid table)
{
	AclResult	result = pg_class_aclcheck(table, GetUserId(), ACL_SELECT);

	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_TABLE, get_rel_name(table));
}

void
uaef_archive_verify(const UaefReport *report, Oid table)
{
	UaefCaller	caller;

	require_readable(table);
	caller = uaef_spi_begin();
	uaef_archive_check_rows(report, table);
	(void) check_complete(report, table);
	uaef_spi_end(caller);
}

/* ----------
 * Restoring
 * ----------
 */

static void
require_last(int64 retirement)
{
	static UaefQuery query = {
		"SELECT restored_by IS NOT NULL, EXISTS (SELECT"
		" FROM uaef.ledger_retirement WHERE event_id > $1"
		" AND restored_by IS NULL)"
		" FROM uaef.ledger_retirement WHERE event_id = $1",
		1, {INT8OID}
	};
	Datum		args[] = {Int64GetDatum(retirement)};

	(void) uaef_spi_run(&query, args, NULL);
	if (uaef_spi_bool(0, 1))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_ARCHIVE),
				 errmsg("the retirement of event %lld is restored already",
						(long long) retirement)));
	if (uaef_spi_bool(0, 2))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_ARCHIVE),
				 errmsg("the retirement of event %lld is not the last one",
						(long long) retirement),
				 errhint("Restore later ones first.")));
}

static void
mark_restored(int64 retirement, int64 told)
{
	UaefTable	table;
	HeapTuple	tuple;
	Datum		values[RETIREMENT_COLUMNS];
	bool		nulls[RETIREMENT_COLUMNS];

	uaef_table_open(&table, "ledger_retirement");
	uaef_require_columns(RelationGetDescr(table.rel), "ledger_retirement",
						 RETIREMENT_COLUMNS);
	tuple = uaef_find_by_int64(table.rel, "ledger_retirement_pkey",
							   RETIREMENT_EVENT_ID, retirement);
	heap_deform_tuple(tuple, RelationGetDescr(table.rel), values, nulls);
	VALUE(RETIREMENT_RESTORED_BY) = Int64GetDatum(told);
	ISNULL(RETIREMENT_RESTORED_BY) = false;
	uaef_table_update(&table, values, nulls, &tuple->t_self);
	uaef_table_close(&table);
}

/*
 * The streams begin before these heads again.
 */
static void
delete_heads(int64 retirement)
{
	UaefTable	table;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	uaef_table_open(&table, "ledger_retired_head");
	ScanKeyInit(&key, HEAD_RETIREMENT, BTEqualStrategyNumber, F_INT8EQ,
				Int64GetDatum(retirement));
	scan = systable_beginscan(table.rel, InvalidOid, false, SnapshotSelf, 1,
							  &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		uaef_table_delete(&table, &tuple->t_self);
	systable_endscan(scan);
	uaef_table_close(&table);
}

int64
uaef_restore_events(Oid table, const char *reason)
{
	UaefKeeping keeping;
	UaefJson	json;
	int64		retirement;
	int64		told;
	int64		n;

	uaef_keeping_require_reason(reason);
	require_readable(table);
	uaef_keeping_begin(&keeping, reason);
	uaef_archive_check_rows(NULL, table);
	retirement = check_complete(NULL, table);
	require_last(retirement);

	/* The chain's trigger checks each row's hash once more. */
	if (SPI_execute(psprintf("INSERT INTO uaef.ledger_event SELECT event_id,"
							 " stream, stream_seq, tx, recorded_at, kind,"
							 " event_type, actor_type, actor_id, session_role,"
							 " effective_role, task_id, agent_id, payload,"
							 " salt, payload_hash, signer, signature,"
							 " prev_hash, event_hash FROM ONLY %s"
							 " ORDER BY leaf_index", table_name(table)),
					false, 0) != SPI_OK_INSERT)
		elog(ERROR, "could not restore events");
	n = (int64) SPI_processed;

	uaef_json_begin(&json);
	uaef_json_int(&json, "retirement", retirement);
	uaef_json_int(&json, "count", n);
	uaef_json_text(&json, "table", table_name(table));
	told = uaef_keeping_record(&keeping, UAEF_RESTORED_EVENT, &json);
	mark_restored(retirement, told);
	delete_heads(retirement);
	uaef_keeping_end(&keeping);

	return n;
}
