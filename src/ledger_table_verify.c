/*-------------------------------------------------------------------------
 *
 * ledger_table_verify.c
 *	  Whether a ledgered table holds what the ledger says.
 *
 * Both sides are sorted by the streams of rows, and read side by side: the
 * table's rows, and the events, which are folded into what each row should be.
 * Rows without a key are told apart by what they hold; then as many of them
 * must be in the table as the ledger says.
 *
 * Both sides are read under one snapshot.  Memory: two sorts of work_mem, and
 * a context for each row.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "ledger_table_pending.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/tuplesort.h"
#include "utils/typcache.h"

#include "event_hash.h"
#include "ledger_table_ddl.h"
#include "ledger_table_fold.h"
#include "ledger_table_row.h"
#include "ledger_table_verify.h"
#include "spi_util.h"

/* Columns of what is sorted of the table. */
enum
{
	SORT_STREAM = 1,
	SORT_KEY,
	SORT_IMAGE,
	SORT_DIGESTS
};
#define SORT_COLUMNS SORT_DIGESTS

/* Columns of what is sorted of both sides where there is no key. */
enum
{
	COUNT_IMAGE = 1,			/* a UUID made of it */
	COUNT_ROWS,					/* by which it changes their number */
	COUNT_EVENT,				/* 0 for the table's side */
	COUNT_PLACE
};
#define COUNT_COLUMNS COUNT_PLACE

/* Events that are read at once. */
#define FETCH 1000

typedef struct TableCheck
{
	const UaefReport *report;
	UaefLedgerTable table;
	UaefTableHistory history;
	bool		has_key;
	List	   *parts;			/* it, or it and its partitions; locked */
	int64		erased_new;		/* events without payload that may have */
	int64		erased_old;		/* ... made a row, or taken one */
	int64		doubtful;		/* rows that only these explain */
	Tuplesortstate *sort;
	TupleTableSlot *slot;		/* the table's next row */
	bool		more;			/* there is one */

	/* The ledger's side. */
	Portal		portal;
	uint64		fetched;
	uint64		next;

	/* The stream that is being folded. */
	pg_uuid_t	stream;
	UaefRowState state;
	UaefPlace	place;
	char	   *key;
	bool		ours;			/* an event names the table */
	MemoryContext row;
} TableCheck;

static TupleDesc sort_desc(const TableCheck *check);
static void put_count(TableCheck *check, Jsonb *image, int rows,
					  int64 event_id, ItemPointer tid);
static void put_row(TableCheck *check, UaefTablePlan *plan,
					TupleTableSlot *slot);
static void sort_heap(TableCheck *check, Oid relation);
static List *lock_parts(Oid relation);
static void push_snapshot(TableCheck *check);
static void sort_table(TableCheck *check);
static void count_events(TableCheck *check);
static void next_row(TableCheck *check);
static int	compare_streams(const pg_uuid_t *a, const pg_uuid_t *b);
static bool same_json(JsonbValue *a, JsonbValue *b);
static char *differing_columns(const UaefRowState *state, Jsonb *image,
							   Jsonb *digests);
static void report_row(TableCheck *check, const char *code,
					   const char *key, const char *what);
static void report_extra(TableCheck *check);
static void check_pair(TableCheck *check);
static void end_stream(TableCheck *check);
static void begin_stream(TableCheck *check, const pg_uuid_t *stream);
static bool fetch_event(TableCheck *check);
static void fold_event(TableCheck *check);
static void check_keyed(TableCheck *check);
static void open_events(TableCheck *check, const char *order);
static void count_image(TableCheck *check, const char *name, int rows,
						const UaefRowChange *change);
static bool read_change(TableCheck *check, UaefRowChange *change);
static void count_erased(TableCheck *check);
static int	explain(TableCheck *check, int rows);
static void check_counts(TableCheck *check);
static void check_guards_of(const UaefReport *report,
							UaefLedgerTable *table);

/* ----------
 * The table's side
 * ----------
 */

static TupleDesc
sort_desc(const TableCheck *check)
{
	TupleDesc	desc = CreateTemplateTupleDesc(check->has_key ? SORT_COLUMNS :
											   COUNT_COLUMNS);

	if (!check->has_key)
	{
		TupleDescInitEntry(desc, COUNT_IMAGE, "image", UUIDOID, -1, 0);
		TupleDescInitEntry(desc, COUNT_ROWS, "rows", INT4OID, -1, 0);
		TupleDescInitEntry(desc, COUNT_EVENT, "event_id", INT8OID, -1, 0);
		TupleDescInitEntry(desc, COUNT_PLACE, "place", TIDOID, -1, 0);
		return desc;
	}
	TupleDescInitEntry(desc, SORT_STREAM, "stream", UUIDOID, -1, 0);
	TupleDescInitEntry(desc, SORT_KEY, "key", JSONBOID, -1, 0);
	TupleDescInitEntry(desc, SORT_IMAGE, "image", JSONBOID, -1, 0);
	TupleDescInitEntry(desc, SORT_DIGESTS, "digests", JSONBOID, -1, 0);
	return desc;
}

/*
 * Note that a row came into being or went, or is in the table, of which only
 * its image is known.
 */
static void
put_count(TableCheck *check, Jsonb *image, int rows, int64 event_id,
		  ItemPointer tid)
{
	Datum	   *values = check->slot->tts_values;
	pg_uuid_t	name;

	ExecClearTuple(check->slot);
	uaef_key_stream(check->table.table_id, image, &name);
	values[COUNT_IMAGE - 1] = UUIDPGetDatum(&name);
	values[COUNT_ROWS - 1] = Int32GetDatum(rows);
	values[COUNT_EVENT - 1] = Int64GetDatum(event_id);
	values[COUNT_PLACE - 1] = PointerGetDatum(tid);
	memset(check->slot->tts_isnull, false, COUNT_COLUMNS * sizeof(bool));
	check->slot->tts_isnull[COUNT_PLACE - 1] = (tid == NULL);
	ExecStoreVirtualTuple(check->slot);
	tuplesort_puttupleslot(check->sort, check->slot);
}

static void
put_row(TableCheck *check, UaefTablePlan *plan, TupleTableSlot *slot)
{
	Datum	   *values = check->slot->tts_values;
	bool	   *nulls = check->slot->tts_isnull;
	pg_uuid_t	stream;
	Jsonb	   *key;
	Jsonb	   *image = uaef_row_image(plan, slot);
	Jsonb	   *digests;

	if (!check->has_key)
	{
		put_count(check, image, -1, 0, &slot->tts_tid);
		return;
	}
	ExecClearTuple(check->slot);
	digests = uaef_row_digests(plan, slot);
	uaef_row_stream(plan, slot, &stream, &key);
	values[SORT_STREAM - 1] = UUIDPGetDatum(&stream);
	values[SORT_KEY - 1] = JsonbPGetDatum(key);
	values[SORT_IMAGE - 1] = JsonbPGetDatum(image);
	values[SORT_DIGESTS - 1] = JsonbPGetDatum(digests);
	nulls[SORT_STREAM - 1] = false;
	nulls[SORT_KEY - 1] = false;
	nulls[SORT_IMAGE - 1] = false;
	nulls[SORT_DIGESTS - 1] = (digests == NULL);
	ExecStoreVirtualTuple(check->slot);
	tuplesort_puttupleslot(check->sort, check->slot);
}

/*
 * The rows of a table with storage.
 */
static void
sort_heap(TableCheck *check, Oid relation)
{
	Relation	rel = table_open(relation, AccessShareLock);
	UaefTablePlan *plan = uaef_table_plan(rel, check->table.table_id);
	TableScanDesc scan = table_beginscan(rel, GetActiveSnapshot(), 0, NULL);
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	MemoryContext caller = CurrentMemoryContext;

	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		CHECK_FOR_INTERRUPTS();
		MemoryContextSwitchTo(check->row);
		put_row(check, plan, slot);
		MemoryContextSwitchTo(caller);
		MemoryContextReset(check->row);
	}
	ExecDropSingleTupleTableSlot(slot);
	table_endscan(scan);
	table_close(rel, NoLock);
}

static List *
lock_parts(Oid relation)
{
	if (get_rel_relkind(relation) == RELKIND_PARTITIONED_TABLE)
		return find_all_inheritors(relation, AccessShareLock, NULL);
	return list_make1_oid(relation);
}

/*
 * Make a snapshot active by which the table's rows are those that the events
 * tell of.  It must be taken when all locks are there: what TRUNCATE takes away
 * while they are waited for is gone for any snapshot, but its event only there
 * for those that are newer.  And a partition may have come meanwhile.
 */
static void
push_snapshot(TableCheck *check)
{
	List	   *parts = lock_parts(check->table.relation);

	do
	{
		if (check->parts != NIL)
			PopActiveSnapshot();
		check->parts = parts;
		PushActiveSnapshot(GetLatestSnapshot());
		parts = lock_parts(check->table.relation);
	} while (!equal(parts, check->parts));
}

static void
sort_table(TableCheck *check)
{
	AttrNumber	column = SORT_STREAM;
	Oid			operator = lookup_type_cache(UUIDOID, TYPECACHE_LT_OPR)->lt_opr;
	Oid			collation = InvalidOid;
	bool		nulls_first = false;
	TupleDesc	desc = sort_desc(check);

	check->sort = tuplesort_begin_heap(desc, 1, &column, &operator,
									   &collation, &nulls_first, work_mem,
									   NULL, 0);
	check->slot = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
	for (int i = 0; i < list_length(check->parts); i++)
		if (get_rel_relkind(list_nth_oid(check->parts, i)) == RELKIND_RELATION)
			sort_heap(check, list_nth_oid(check->parts, i));
	if (!check->has_key)
	{
		count_erased(check);
		count_events(check);
	}
	ExecDropSingleTupleTableSlot(check->slot);
	tuplesort_performsort(check->sort);
	check->slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	next_row(check);
}

static void
next_row(TableCheck *check)
{
	check->more = tuplesort_gettupleslot(check->sort, true, false, check->slot,
										 NULL);
	if (check->more)
		slot_getallattrs(check->slot);
}

static int
compare_streams(const pg_uuid_t *a, const pg_uuid_t *b)
{
	return memcmp(a->data, b->data, UUID_LEN);
}

/* ----------
 * A row of the table and what the ledger says of it
 * ----------
 */

static bool
same_json(JsonbValue *a, JsonbValue *b)
{
	return compareJsonbContainers(&JsonbValueToJsonb(a)->root,
								  &JsonbValueToJsonb(b)->root) == 0;
}

/*
 * The columns in which a row differs from what it should be, as a list; NULL
 * if in none.  A value and its digest are the same.
 */
static char *
differing_columns(const UaefRowState *state, Jsonb *image, Jsonb *digests)
{
	JsonbIterator *iterator = JsonbIteratorInit(&image->root);
	JsonbIteratorToken token;
	JsonbValue	name;
	JsonbValue	value;
	StringInfoData list;

	initStringInfo(&list);
	(void) JsonbIteratorNext(&iterator, &value, true);
	while ((token = JsonbIteratorNext(&iterator, &name, true)) == WJB_KEY)
	{
		char	   *column = pnstrdup(name.val.string.val, name.val.string.len);
		JsonbValue	noted;
		JsonbValue	digest;
		bool		has_digest = uaef_json_get(digests, column, &digest);

		(void) JsonbIteratorNext(&iterator, &value, true);
		if (!uaef_json_get(state->image, column, &noted) && !state->full)
			continue;
		if (uaef_json_get(state->image, column, &noted) &&
			(same_json(&noted, &value) ||
			 (has_digest && same_json(&noted, &digest)) ||
			 (has_digest && same_json(&value, &digest))))
			continue;
		appendStringInfo(&list, "%s\"%s\"", list.len > 0 ? ", " : "", column);
	}
	return list.len == 0 ? NULL : list.data;
}

static void
report_row(TableCheck *check, const char *code, const char *key,
		   const char *what)
{
	uaef_report_problem(check->report, code, &check->place,
						psprintf("row %s of table %s %s", key,
								 check->table.name, what));
}

/*
 * The table's row has no event, which is right only for what was there before
 * the table was attached without its rows.
 */
static void
report_extra(TableCheck *check)
{
	if (!check->history.complete)
		return;
	memset(&check->place, 0, sizeof(UaefPlace));
	check->place.stream =
		DatumGetUUIDP(check->slot->tts_values[SORT_STREAM - 1]);
	report_row(check, "ROW_EXTRA",
			   JsonbToCString(NULL, &DatumGetJsonbP(check->slot->tts_values[SORT_KEY - 1])->root, 0),
			   "is in no event of the ledger");
}

/*
 * The row of the stream that was folded is in the table.
 */
static void
check_pair(TableCheck *check)
{
	Datum	   *values = check->slot->tts_values;
	char	   *key = JsonbToCString(NULL,
									 &DatumGetJsonbP(values[SORT_KEY - 1])->root,
									 0);
	Jsonb	   *digests = check->slot->tts_isnull[SORT_DIGESTS - 1] ? NULL :
		DatumGetJsonbP(values[SORT_DIGESTS - 1]);
	char	   *columns;

	if (!check->ours || !check->state.known)
		return;
	if (!check->state.alive)
	{
		report_row(check, "ROW_EXTRA", key,
				   "is there, but by its last event it is not");
		return;
	}
	columns = differing_columns(&check->state,
								DatumGetJsonbP(values[SORT_IMAGE - 1]),
								digests);
	if (columns != NULL)
		report_row(check, "ROW_DIVERGES", key,
				   psprintf("is not as its events say, in %s", columns));
}

/* ----------
 * The ledger's side
 * ----------
 */

/*
 * All events of a stream are folded: look for its row.
 */
static void
end_stream(TableCheck *check)
{
	MemoryContext caller = MemoryContextSwitchTo(check->row);
	int			order = -1;

	uaef_row_end(&check->state, &check->history);
	while (check->more &&
		   (order = compare_streams(DatumGetUUIDP(check->slot->tts_values[SORT_STREAM - 1]),
									&check->stream)) < 0)
	{
		UaefPlace	place = check->place;

		report_extra(check);
		check->place = place;
		next_row(check);
		order = -1;
	}
	if (check->more && order == 0)
	{
		check_pair(check);
		next_row(check);
	}
	else if (check->ours && check->state.known && check->state.alive)
		report_row(check, "ROW_MISSING", check->key,
				   "is not in the table, and no event says why");
	MemoryContextSwitchTo(caller);
	MemoryContextReset(check->row);
}

static void
begin_stream(TableCheck *check, const pg_uuid_t *stream)
{
	check->stream = *stream;
	check->state.next_step = 0;
	uaef_row_begin(&check->state);
	check->ours = false;
	check->key = NULL;
}

/*
 * Move on to the next event; false at the end.
 */
static bool
fetch_event(TableCheck *check)
{
	if (++check->next < check->fetched)
		return true;
	SPI_freetuptable(SPI_tuptable);
	SPI_cursor_fetch(check->portal, true, FETCH);
	check->fetched = SPI_processed;
	check->next = 0;
	return check->fetched > 0;
}

/*
 * The event at hand, in the current context, for the batch that it is from
 * goes before the row does.  Returns whether it has a payload.
 */
static bool
read_change(TableCheck *check, UaefRowChange *change)
{
	bool		isnull;
	Datum		value = uaef_spi_value(check->next, 4, &isnull);

	change->event_id = uaef_spi_int64(check->next, 3);
	change->type = TextDatumGetCString(value);
	value = uaef_spi_value(check->next, 5, &isnull);
	change->payload = isnull ? NULL : DatumGetJsonbPCopy(value);
	return !isnull;
}

static void
fold_event(TableCheck *check)
{
	MemoryContext caller = MemoryContextSwitchTo(check->row);
	UaefRowChange change;
	JsonbValue	key;

	check->place.stream = &check->stream;
	check->place.stream_seq = uaef_spi_int64(check->next, 2);
	if (read_change(check, &change))
	{
		check->ours = true;
		if (uaef_json_get(change.payload, "key", &key))
			check->key = JsonbToCString(NULL, &JsonbValueToJsonb(&key)->root,
										0);
	}
	check->place.event_id = change.event_id;
	uaef_row_apply(&check->state, &check->history, &change);
	MemoryContextSwitchTo(caller);
}

/*
 * Begin to read the events of the table's rows, and those that may be, for
 * their payload was erased.
 */
static void
open_events(TableCheck *check, const char *order)
{
	Oid			types[] = {INT8OID};
	Datum		args[] = {Int64GetDatum(check->table.table_id)};
	char	   *sql = psprintf("SELECT e.stream, e.stream_seq, e.event_id,"
							   " e.event_type, e.payload"
							   " FROM uaef.ledger_event AS e WHERE e.kind = 1"
							   " AND e.event_type IN ('row_inserted',"
							   " 'row_updated', 'row_deleted',"
							   " 'row_attached', 'row_rewritten')"
							   " AND (e.payload IS NULL OR"
							   " (e.payload->>'table_id')::bigint = $1)"
							   " ORDER BY %s", order);

	check->portal = SPI_cursor_open_with_args(NULL, sql, 1, types, args, NULL,
											  true, 0);
	check->fetched = check->next = 0;
}

/*
 * Fold the streams of a table's rows in their order, each against its row.
 */
static void
check_keyed(TableCheck *check)
{
	bool		open = false;

	open_events(check, "e.stream, e.stream_seq");
	while (fetch_event(check))
	{
		pg_uuid_t	stream = uaef_spi_uuid(check->next, 1);

		CHECK_FOR_INTERRUPTS();
		if (!open || compare_streams(&stream, &check->stream) != 0)
		{
			if (open)
				end_stream(check);
			begin_stream(check, &stream);
			open = true;
		}
		fold_event(check);
	}
	if (open)
		end_stream(check);
	SPI_cursor_close(check->portal);
	for (; check->more; next_row(check))
		report_extra(check);
}

/* ----------
 * Rows without a key
 * ----------
 */

/*
 * Count the row that an event says there was or is, as what happened to the
 * table since has left it.
 */
static void
count_image(TableCheck *check, const char *name, int rows,
			const UaefRowChange *change)
{
	JsonbValue	image;

	if (!uaef_json_get(change->payload, name, &image))
		return;
	check->state.next_step = 0;
	uaef_row_begin(&check->state);
	uaef_row_skip(&check->state, &check->history, change->event_id);
	check->state.alive = true;
	check->state.image = JsonbValueToJsonb(&image);
	check->state.partition = uaef_json_get_text(change->payload, "partition");
	uaef_row_end(&check->state, &check->history);
	if (check->state.alive)
		put_count(check, check->state.image, rows, change->event_id, NULL);
}

static void
count_events(TableCheck *check)
{
	open_events(check, "e.event_id");
	while (fetch_event(check))
	{
		MemoryContext caller = MemoryContextSwitchTo(check->row);
		UaefRowChange change;

		CHECK_FOR_INTERRUPTS();
		if (read_change(check, &change))
		{
			count_image(check, "old", -1, &change);
			count_image(check, "new", 1, &change);
		}
		MemoryContextSwitchTo(caller);
		MemoryContextReset(check->row);
	}
	SPI_cursor_close(check->portal);
}

/*
 * Count what may have been events of rows of the table, but nothing tells: the
 * payload was erased, and the stream is none of a row with a key.  With events
 * retired, or the table's own ones erased, there may be any number.
 */
static void
count_erased(TableCheck *check)
{
	static UaefQuery query = {
		"SELECT count(*) FILTER (WHERE e.event_type <> 'row_deleted'),"
		" count(*) FILTER (WHERE e.event_type IN ('row_updated',"
		"  'row_deleted')), EXISTS (SELECT FROM uaef.ledger_retired_head AS h"
		"  JOIN uaef.ledger_retirement AS r ON r.event_id = h.retirement"
		"  WHERE r.restored_by IS NULL AND h.event_id > $1)"
		" FROM uaef.ledger_event AS e WHERE e.kind = 1 AND e.payload IS NULL"
		" AND e.event_id > $1 AND e.event_type IN ('row_inserted',"
		"  'row_updated', 'row_deleted', 'row_attached', 'row_rewritten')"
		" AND NOT EXISTS (SELECT FROM uaef.ledger_event AS f"
		"  WHERE f.stream = e.stream AND f.event_type = ANY ('{row_inserted,"
		"row_updated,row_deleted,row_attached,row_rewritten}')"
		"  AND f.payload ? 'key')",
		1, {INT8OID}
	};
	Datum		args[] = {
		Int64GetDatum(check->history.first_event)
	};

	(void) uaef_spi_read(&query, args);
	check->erased_new = uaef_spi_int64(0, 1);
	check->erased_old = uaef_spi_int64(0, 2);
	if (uaef_spi_bool(0, 3) || check->history.known_from > 0)
		check->erased_new = check->erased_old = PG_INT64_MAX;
}

/*
 * Of rows that are missing, or too many if negative, as many as remain when
 * events without payload explain what they can.
 */
static int
explain(TableCheck *check, int rows)
{
	int64	   *erased = rows > 0 ? &check->erased_old : &check->erased_new;
	int			explained = (int) Min((int64) abs(rows), *erased);

	*erased -= explained;
	check->doubtful += explained;
	return rows > 0 ? rows - explained : rows + explained;
}

/*
 * Of each image the events must leave as many rows as the table has.
 */
static void
check_counts(TableCheck *check)
{
	while (check->more)
	{
		pg_uuid_t	image = *DatumGetUUIDP(check->slot->tts_values[COUNT_IMAGE - 1]);
		ItemPointerData tid;
		int			rows = 0;

		memset(&check->place, 0, sizeof(UaefPlace));
		ItemPointerSetInvalid(&tid);
		for (; check->more && compare_streams(&image,
											  DatumGetUUIDP(check->slot->tts_values[COUNT_IMAGE - 1])) == 0;
			 next_row(check))
		{
			Datum	   *values = check->slot->tts_values;

			rows += DatumGetInt32(values[COUNT_ROWS - 1]);
			if (DatumGetInt64(values[COUNT_EVENT - 1]) != 0)
				check->place.event_id = DatumGetInt64(values[COUNT_EVENT - 1]);
			else
				tid = *(ItemPointer) DatumGetPointer(values[COUNT_PLACE - 1]);
		}
		if (rows > 0 || check->history.complete)
			rows = explain(check, rows);
		if (rows > 0)
			uaef_report_problem(check->report, "ROW_MISSING", &check->place,
								psprintf("%d row(s) like that of event %lld missing in table %s, and no event says why",
										 rows, (long long) check->place.event_id, check->table.name));
		else if (rows < 0 && check->history.complete)
			uaef_report_problem(check->report, "ROW_EXTRA", &check->place,
								psprintf("%d row(s) like that at (%u,%u) of table %s in no event of the ledger",
										 -rows, ItemPointerGetBlockNumberNoCheck(&tid),
										 ItemPointerGetOffsetNumberNoCheck(&tid), check->table.name));
	}
	memset(&check->place, 0, sizeof(UaefPlace));
	if (check->doubtful > 0)
		uaef_report_problem(check->report, "REDACTED", &check->place,
							psprintf("%lld row(s) of table %s cannot be compared, for events that may be theirs were erased or retired",
									 (long long) check->doubtful, check->table.name));
}

/* ----------
 * Guards
 * ----------
 */

static void
check_guards_of(const UaefReport *report, UaefLedgerTable *table)
{
	static UaefQuery texts = {
		"SELECT NULL::uuid, NULL::bigint, NULL::bigint, NULL::bigint,"
		" x.detail FROM (SELECT jsonb_array_elements_text($1) UNION ALL SELECT"
		"  format('ledgered table %s was changed unseen: %s', $2,"
		"   c->>'change') FROM jsonb_array_elements($3) AS c"
		"   WHERE c->>'change' <> 'triggers') AS x (detail)",
		3, {JSONBOID, TEXTOID, JSONBOID}
	};
	Datum		args[3];
	Jsonb	   *definition = uaef_table_definition(table);

	if (definition == NULL)
		return;
	args[0] = JsonbPGetDatum(uaef_table_trigger_problems(table));
	args[1] = CStringGetTextDatum(table->name);
	args[2] = JsonbPGetDatum(uaef_table_changes(table, definition));
	uaef_report_rows(report, "GUARD_TAMPERED",
					 uaef_spi_run(&texts, args, NULL));
}

void
uaef_check_table_guards(const UaefReport *report)
{
	static UaefQuery find = {
		"SELECT t.table_id FROM uaef.ledger_table AS t"
		" WHERE t.relation IS NOT NULL ORDER BY 1", 0
	};
	uint64		n = uaef_spi_run(&find, NULL, NULL);
	int64	   *ids = palloc(Max(n, 1) * sizeof(int64));

	for (uint64 i = 0; i < n; i++)
		ids[i] = uaef_spi_int64(i, 1);
	for (uint64 i = 0; i < n; i++)
	{
		UaefLedgerTable table;

		if (uaef_ledger_table_get(ids[i], &table))
			check_guards_of(report, &table);
	}
}

void
uaef_verify_table(const UaefReport *report, Oid relation)
{
	TableCheck	check = {0};
	Relation	rel;
	UaefCaller	caller;

	uaef_pending_rows_write();
	uaef_ledger_table_require(relation, &check.table);
	check.report = report;
	check.row = AllocSetContextCreate(CurrentMemoryContext, "uaef row",
									  ALLOCSET_DEFAULT_SIZES);
	rel = table_open(check.table.relation, AccessShareLock);
	check.has_key = uaef_table_plan(rel, check.table.table_id)->nkey > 0;

	caller = uaef_spi_begin();
	check_guards_of(report, &check.table);
	push_snapshot(&check);
	uaef_table_history(&check.table, &check.history);
	sort_table(&check);
	if (check.has_key)
		check_keyed(&check);
	else
		check_counts(&check);
	PopActiveSnapshot();
	tuplesort_end(check.sort);
	ExecDropSingleTupleTableSlot(check.slot);
	uaef_spi_end(caller);
	table_close(rel, NoLock);
	MemoryContextDelete(check.row);
}
