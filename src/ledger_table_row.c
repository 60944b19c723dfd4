/*-------------------------------------------------------------------------
 *
 * ledger_table_row.c
 *	  Changes of a ledgered table's rows as events.
 *
 * A row that has a key has a stream of its own, named by the key.  Who writes
 * the row holds its lock, and by the unique index that of its key, until the
 * transaction ends, so the stream needs no lock.  An event says of an update
 * what was changed, and else the whole row; the key stands apart.
 *
 * Values are compared as they are stored: of a large value that an update does
 * not touch, both versions of the row have the same pointer, and it is neither
 * read nor recorded.
 *
 * Memory: the caller's context; rows that are recorded in bulk have a context
 * for each batch.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "append_bytes.h"
#include "canonical.h"
#include "event_hash.h"
#include "guc.h"
#include "identity.h"
#include "ledger.h"
#include "ledger_table_row.h"

/* Rows that are recorded in bulk are appended by so many. */
#define BATCH 64

/* What the values of one version of a row may take in an event, at most. */
#define MAX_IMAGE_KB (64 * 1024)

/* What an event of a row says, in the order in which a jsonb has the words. */
typedef enum Member
{
	MEMBER_KEY,
	MEMBER_NEW,
	MEMBER_OLD,
	MEMBER_TABLE,
	MEMBER_NEW_KEY,
	MEMBER_OLD_KEY,
	MEMBER_DIGESTED,
	MEMBER_TABLE_ID,
	MEMBER_PARTITION,
	MEMBER_APPLICATION_NAME
} Member;

#define N_MEMBERS (MEMBER_APPLICATION_NAME + 1)

static const char *const member_names[N_MEMBERS] = {
	"key", "new", "old", "table", "new_key", "old_key", "digested",
	"table_id", "partition", "application_name"
};

/* An event in the making. */
typedef struct RowEvent
{
	UaefTablePlan *plan;
	JsonbValue	members[N_MEMBERS]; /* jbvNull: not there */
	UaefPinned	pinned;
	JsonbParseState *digested;	/* columns whose digest stands for them */
	pg_uuid_t	stream;
	const UaefOrigin *origin;	/* NULL: here and now */
} RowEvent;

static bool is_wanted(const UaefTableColumn *column, const bool *wanted);
static void choose_digests(const UaefTablePlan *plan,
						   const TupleTableSlot *slot, const bool *wanted,
						   bool *digest);
static void begin_object(JsonbValue *object, int room);
static JsonbValue *add_member(JsonbValue *object, const JsonbValue *name);
static void begin_row(RowEvent *row, UaefTablePlan *plan,
					  const UaefOrigin *origin);
static void add_common(RowEvent *row);
static Jsonb *row_payload(RowEvent *row);
static void column_value(UaefTableColumn *column, const TupleTableSlot *slot,
						 UaefPinned *pinned, JsonbValue *value);
static void make_image(UaefTablePlan *plan, TupleTableSlot *slot,
					   const bool *wanted, UaefPinned *pinned,
					   JsonbParseState **digested, JsonbValue *image);
static void add_image(RowEvent *row, Member member, TupleTableSlot *slot,
					  const bool *wanted);
static void make_key(UaefTablePlan *plan, TupleTableSlot *slot,
					 UaefPinned *pinned, JsonbValue *key);
static void add_key(RowEvent *row, Member member, TupleTableSlot *slot);
static void derive_stream(UaefTablePlan *plan, TupleTableSlot *slot,
						  UaefPinned *pinned, pg_uuid_t *stream);
static bool append_int_key(const UaefTablePlan *plan,
						   const TupleTableSlot *slot, StringInfo word);
static void name_stream(int64 table_id, const char *word, pg_uuid_t *stream);
static void end_row(RowEvent *row, const char *type, UaefEvent *event);
static bool same_value(const UaefTableColumn *column, const TupleTableSlot *a,
					   const TupleTableSlot *b);
static void whole_row(const UaefRowVersions *versions, UaefEvent *event);
static void update_without_key(const UaefRowVersions *versions,
							   const bool *changed, UaefEvent *event);
static void update_of_key(const UaefRowVersions *versions, UaefEvent *events);
static int	update_events(const UaefRowVersions *versions, UaefEvent *events);
static void record_heap(const UaefLedgerTable *table, Oid relation,
						const char *type, Oid role);

/* ----------
 * The parts of an event
 * ----------
 */

/*
 * wanted, if not NULL, tells of each column whether it is; else all but the
 * key are.
 */
static bool
is_wanted(const UaefTableColumn *column, const bool *wanted)
{
	return wanted != NULL ? *wanted : !column->is_key;
}

#define WANTED(plan, wanted, i) \
	is_wanted(&(plan)->columns[i], (wanted) == NULL ? NULL : &(wanted)[i])

/*
 * Which values stand in an event by their digests: the largest, until the
 * others fit.  A write must not fail, nor a ledger burst, because of one.
 */
static void
choose_digests(const UaefTablePlan *plan, const TupleTableSlot *slot,
			   const bool *wanted, bool *digest)
{
	uint64	   *size = palloc(plan->ncolumns * sizeof(uint64));
	uint64		total = 0;

	memset(digest, false, plan->ncolumns * sizeof(bool));
	for (int i = 0; i < plan->ncolumns; i++)
	{
		int			attribute = plan->columns[i].number - 1;

		size[i] = !WANTED(plan, wanted, i) || slot->tts_isnull[attribute] ? 0 :
			uaef_value_size(&plan->columns[i].type,
							slot->tts_values[attribute]);
		total += size[i];
	}
	while (total > (uint64) Min(uaef_max_payload_kb, MAX_IMAGE_KB) * 1024 / 2)
	{
		int			largest = 0;

		for (int i = 1; i < plan->ncolumns; i++)
			if (size[i] > size[largest])
				largest = i;
		if (size[largest] < UAEF_DIGEST_MIN_BYTES)
			break;
		digest[largest] = true;
		total -= size[largest];
		size[largest] = 0;
	}
	pfree(size);
}

/*
 * An object of so many members at most, which are added in the order in which
 * a jsonb has them: then they need no sorting.
 */
static void
begin_object(JsonbValue *object, int room)
{
	object->type = jbvObject;
	object->val.object.nPairs = 0;
	object->val.object.pairs = palloc(Max(room, 1) * sizeof(JsonbPair));
}

/*
 * The place of the value of a new member.
 */
static JsonbValue *
add_member(JsonbValue *object, const JsonbValue *name)
{
	JsonbPair  *pair = &object->val.object.pairs[object->val.object.nPairs++];

	pair->key = *name;
	return &pair->value;
}

static void
begin_row(RowEvent *row, UaefTablePlan *plan, const UaefOrigin *origin)
{
	row->plan = plan;
	row->origin = origin;
	for (int i = 0; i < N_MEMBERS; i++)
		row->members[i].type = jbvNull;
	row->pinned = 0;
	row->digested = NULL;
}

/*
 * What all events of rows say.
 */
static void
add_common(RowEvent *row)
{
	UaefTablePlan *plan = row->plan;
	const char *application = row->origin ? row->origin->application_name :
		application_name;

	row->members[MEMBER_TABLE] = plan->table_name;
	row->members[MEMBER_TABLE_ID] = plan->number;
	if (row->digested != NULL)
		row->members[MEMBER_DIGESTED] =
			*pushJsonbValue(&row->digested, WJB_END_ARRAY, NULL);
	if (plan->is_partition)
		row->members[MEMBER_PARTITION] = plan->partition;
	if (application != NULL && application[0] != '\0')
		uaef_json_string(&row->members[MEMBER_APPLICATION_NAME], application);
}

static Jsonb *
row_payload(RowEvent *row)
{
	JsonbValue	payload;
	JsonbValue	name;

	begin_object(&payload, N_MEMBERS);
	for (int i = 0; i < N_MEMBERS; i++)
	{
		if (row->members[i].type == jbvNull)
			continue;
		uaef_json_string(&name, member_names[i]);
		*add_member(&payload, &name) = row->members[i];
	}
	return JsonbValueToJsonb(&payload);
}

/*
 * A document that a column holds is taken apart, for within an object only what
 * was put together can be written.
 */
static void
column_value(UaefTableColumn *column, const TupleTableSlot *slot,
			 UaefPinned *pinned, JsonbValue *value)
{
	JsonbParseState *state = NULL;

	uaef_value_json(&column->type, slot->tts_values[column->number - 1],
					pinned, value);
	if (value->type == jbvBinary)
		*value = *pushJsonbValue(&state, WJB_VALUE, value);
}

/*
 * Values of a row by column; digested, if not NULL, gets the names of those
 * whose digest stands for them, or else no value is replaced.
 */
static void
make_image(UaefTablePlan *plan, TupleTableSlot *slot, const bool *wanted,
		   UaefPinned *pinned, JsonbParseState **digested, JsonbValue *image)
{
	bool	   *digest = palloc(plan->ncolumns * sizeof(bool));

	slot_getallattrs(slot);
	choose_digests(plan, slot, wanted, digest);
	begin_object(image, plan->ncolumns);
	for (int i = 0; i < plan->ncolumns; i++)
	{
		int			n = plan->sorted[i];
		UaefTableColumn *column = &plan->columns[n];
		JsonbValue *value;

		if (!WANTED(plan, wanted, n))
			continue;
		value = add_member(image, &column->name);
		if (slot->tts_isnull[column->number - 1])
			value->type = jbvNull;
		else if (digest[n])
			uaef_value_digest(&column->type,
							  slot->tts_values[column->number - 1], pinned,
							  value);
		else
			column_value(column, slot, pinned, value);
	}
	for (int i = 0; i < plan->ncolumns; i++)
	{
		if (!digest[i])
			continue;
		if (*digested == NULL)
			(void) pushJsonbValue(digested, WJB_BEGIN_ARRAY, NULL);
		(void) pushJsonbValue(digested, WJB_ELEM, &plan->columns[i].name);
	}
	pfree(digest);
}

static void
add_image(RowEvent *row, Member member, TupleTableSlot *slot,
		  const bool *wanted)
{
	make_image(row->plan, slot, wanted, &row->pinned, &row->digested,
			   &row->members[member]);
}

/*
 * The key as an object by column.
 */
static void
make_key(UaefTablePlan *plan, TupleTableSlot *slot, UaefPinned *pinned,
		 JsonbValue *key)
{
	slot_getallattrs(slot);
	begin_object(key, plan->nkey);
	for (int i = 0; i < plan->ncolumns; i++)
	{
		UaefTableColumn *column = &plan->columns[plan->sorted[i]];

		if (column->is_key)
			column_value(column, slot, pinned,
						 add_member(key, &column->name));
	}
}

static void
add_key(RowEvent *row, Member member, TupleTableSlot *slot)
{
	make_key(row->plan, slot, &row->pinned, &row->members[member]);
}

/* ----------
 * Streams of rows
 * ----------
 */

static void
name_stream(int64 table_id, const char *word, pg_uuid_t *stream)
{
	uaef_derive_uuid(uaef_ledger_id(), word, table_id, stream);
}

void
uaef_key_stream(int64 table_id, Jsonb *values, pg_uuid_t *stream)
{
	StringInfoData word;

	initStringInfo(&word);
	appendStringInfoString(&word, "row");
	(void) uaef_canonical_append(&word, values);
	name_stream(table_id, word.data, stream);
}

/*
 * The canonical text of a key of integers that a double can tell apart, which
 * needs no JSON; false if it is another.
 */
static bool
append_int_key(const UaefTablePlan *plan, const TupleTableSlot *slot,
			   StringInfo word)
{
	for (int i = 0; i < plan->nkey; i++)
	{
		UaefTableColumn *column = &plan->columns[plan->key[i]];
		Datum		datum = slot->tts_values[column->number - 1];
		char		digits[MAXINT8LEN + 1];
		int64		number;

		if (column->type.kind == UAEF_VALUE_INT4)
			number = DatumGetInt32(datum);
		else if (column->type.kind == UAEF_VALUE_INT8)
			number = DatumGetInt64(datum);
		else
			return false;
		if (number > INT64CONST(1) << 53 || number < -(INT64CONST(1) << 53))
			return false;
		uaef_append_char(word, i == 0 ? '[' : ',');
		uaef_append_bytes(word, digits, pg_lltoa(number, digits));
	}
	uaef_append_char(word, ']');
	return true;
}

static void
derive_stream(UaefTablePlan *plan, TupleTableSlot *slot, UaefPinned *pinned,
			  pg_uuid_t *stream)
{
	JsonbParseState *state = NULL;
	StringInfoData word;

	slot_getallattrs(slot);
	initStringInfo(&word);
	appendStringInfoString(&word, "row");
	if (append_int_key(plan, slot, &word))
	{
		name_stream(plan->table_id, word.data, stream);
		return;
	}
	(void) pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < plan->nkey; i++)
	{
		UaefTableColumn *column = &plan->columns[plan->key[i]];
		JsonbValue	value;

		uaef_value_json(&column->type, slot->tts_values[column->number - 1],
						pinned, &value);
		(void) pushJsonbValue(&state, WJB_ELEM, &value);
	}
	uaef_key_stream(plan->table_id,
					JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY,
													 NULL)),
					stream);
}

void
uaef_row_stream(UaefTablePlan *plan, TupleTableSlot *slot, pg_uuid_t *stream,
				Jsonb **key)
{
	UaefPinned	pinned = 0;
	JsonbValue	value;

	derive_stream(plan, slot, &pinned, stream);
	make_key(plan, slot, &pinned, &value);
	*key = JsonbValueToJsonb(&value);
	uaef_unpin(&pinned);
}

Jsonb *
uaef_row_image(UaefTablePlan *plan, TupleTableSlot *slot)
{
	JsonbParseState *digested = NULL;
	UaefPinned	pinned = 0;
	JsonbValue	value;
	Jsonb	   *image;

	make_image(plan, slot, NULL, &pinned, &digested, &value);
	image = JsonbValueToJsonb(&value);
	uaef_unpin(&pinned);
	return image;
}

Jsonb *
uaef_row_digests(UaefTablePlan *plan, TupleTableSlot *slot)
{
	JsonbParseState *state = NULL;
	UaefPinned	pinned = 0;

	slot_getallattrs(slot);
	for (int i = 0; i < plan->ncolumns; i++)
	{
		UaefTableColumn *column = &plan->columns[i];
		Datum		datum = slot->tts_values[column->number - 1];
		JsonbValue	digest;

		if (column->is_key || slot->tts_isnull[column->number - 1] ||
			uaef_value_size(&column->type, datum) < UAEF_DIGEST_MIN_BYTES)
			continue;
		uaef_value_digest(&column->type, datum, &pinned, &digest);
		if (state == NULL)
			(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
		(void) pushJsonbValue(&state, WJB_KEY, &column->name);
		(void) pushJsonbValue(&state, WJB_VALUE, &digest);
	}
	uaef_unpin(&pinned);
	return state == NULL ? NULL :
		JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* ----------
 * Events
 * ----------
 */

/*
 * The payload is complete: make the event.
 */
static void
end_row(RowEvent *row, const char *type, UaefEvent *event)
{
	uaef_unpin(&row->pinned);
	add_common(row);
	memset(event, 0, sizeof(UaefEvent));
	event->type = type;
	event->actor_type = "user";
	event->actor_id = GetUserNameFromId(row->origin ? row->origin->user :
										GetUserId(), true);
	event->payload = row_payload(row);
	event->origin = row->origin;
	if (row->plan->nkey > 0)
	{
		event->stream = palloc(sizeof(pg_uuid_t));
		*event->stream = row->stream;
		event->row_stream = true;
	}
}

void
uaef_append_row_events(UaefEvent *events, int n)
{
	UaefCaller	caller = uaef_become_owner();

	(void) uaef_ledger_append(events, n);
	uaef_become_caller(caller);
}

/*
 * Whether two versions of a row have the same value, byte by byte; stored
 * apart or compressed, they are the same if the pointer or the bytes are, and
 * only else looked at.
 */
static bool
same_value(const UaefTableColumn *column, const TupleTableSlot *a,
		   const TupleTableSlot *b)
{
	int			i = column->number - 1;

	if (a->tts_isnull[i] || b->tts_isnull[i])
		return a->tts_isnull[i] && b->tts_isnull[i];
	if (datumIsEqual(a->tts_values[i], b->tts_values[i], column->by_value,
					 column->length))
		return true;
	return column->length == -1 &&
		datum_image_eq(a->tts_values[i], b->tts_values[i], column->by_value,
					   column->length);
}

/*
 * A row that came or went, as a whole, as "new" or "old".
 */
static void
whole_row(const UaefRowVersions *versions, UaefEvent *event)
{
	bool		came = versions->old == NULL;
	TupleTableSlot *slot = came ? versions->new : versions->old;
	RowEvent	row;

	begin_row(&row, versions->plan, versions->origin);
	if (versions->plan->nkey > 0)
	{
		add_key(&row, MEMBER_KEY, slot);
		derive_stream(versions->plan, slot, &row.pinned, &row.stream);
	}
	add_image(&row, came ? MEMBER_NEW : MEMBER_OLD, slot, NULL);
	end_row(&row, came ? UAEF_ROW_INSERTED : UAEF_ROW_DELETED, event);
}

/*
 * Of an update what it changed; the whole row, where nothing else tells which
 * it was.
 */
static void
update_without_key(const UaefRowVersions *versions, const bool *changed,
				   UaefEvent *event)
{
	bool		has_key = versions->plan->nkey > 0;
	RowEvent	row;

	begin_row(&row, versions->plan, versions->origin);
	if (has_key)
	{
		add_key(&row, MEMBER_KEY, versions->new);
		derive_stream(versions->plan, versions->new, &row.pinned, &row.stream);
	}
	add_image(&row, MEMBER_OLD, versions->old, has_key ? changed : NULL);
	add_image(&row, MEMBER_NEW, versions->new, has_key ? changed : NULL);
	end_row(&row, UAEF_ROW_UPDATED, event);
}

/*
 * An update of the key is recorded where the row was and where it is now; the
 * second event has the whole row, with which its stream begins again.
 */
static void
update_of_key(const UaefRowVersions *versions, UaefEvent *events)
{
	RowEvent	row;

	begin_row(&row, versions->plan, versions->origin);
	add_key(&row, MEMBER_KEY, versions->old);
	add_key(&row, MEMBER_NEW_KEY, versions->new);
	derive_stream(versions->plan, versions->old, &row.pinned, &row.stream);
	add_image(&row, MEMBER_OLD, versions->old, NULL);
	end_row(&row, UAEF_ROW_UPDATED, &events[0]);

	begin_row(&row, versions->plan, versions->origin);
	add_key(&row, MEMBER_KEY, versions->new);
	add_key(&row, MEMBER_OLD_KEY, versions->old);
	derive_stream(versions->plan, versions->new, &row.pinned, &row.stream);
	add_image(&row, MEMBER_NEW, versions->new, NULL);
	end_row(&row, UAEF_ROW_UPDATED, &events[1]);
}

/*
 * An update that changed nothing is no event.
 */
static int
update_events(const UaefRowVersions *versions, UaefEvent *events)
{
	UaefTablePlan *plan = versions->plan;
	bool	   *changed = palloc(plan->ncolumns * sizeof(bool));
	bool		any = false;
	bool		key_changed = false;

	slot_getallattrs(versions->old);
	slot_getallattrs(versions->new);
	for (int i = 0; i < plan->ncolumns; i++)
	{
		changed[i] = !same_value(&plan->columns[i], versions->old, versions->new);
		any |= changed[i];
		key_changed |= changed[i] && plan->columns[i].is_key;
	}
	if (!any)
		return 0;
	if (key_changed)
	{
		update_of_key(versions, events);
		return 2;
	}
	update_without_key(versions, changed, events);
	return 1;
}

int
uaef_row_events(const UaefRowVersions *versions, UaefEvent *events)
{
	if (versions->old != NULL && versions->new != NULL)
		return update_events(versions, events);
	whole_row(versions, events);
	return 1;
}

void
uaef_table_record_truncate(UaefTablePlan *plan)
{
	RowEvent	row;
	UaefEvent	event;

	begin_row(&row, plan, NULL);
	end_row(&row, UAEF_TABLE_TRUNCATED, &event);
	event.stream = &plan->stream;
	event.row_stream = false;
	uaef_append_row_events(&event, 1);
}

/* ----------
 * Rows that are there
 * ----------
 */

/*
 * The rows of a table that has storage, as of now, whatever the snapshot.
 */
static void
record_heap(const UaefLedgerTable *table, Oid relation, const char *type,
			Oid role)
{
	Relation	rel = table_open(relation, AccessShareLock);
	UaefTablePlan *plan = uaef_table_plan(rel, table->table_id);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	TableScanDesc scan = table_beginscan(rel, snapshot, 0, NULL);
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	MemoryContext batch = AllocSetContextCreate(CurrentMemoryContext,
												"uaef rows",
												ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(batch);
	UaefEvent	events[BATCH];
	RowEvent	row;
	Size		bytes = 0;
	int			n = 0;

	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		begin_row(&row, plan, NULL);
		if (plan->nkey > 0)
		{
			add_key(&row, MEMBER_KEY, slot);
			derive_stream(plan, slot, &row.pinned, &row.stream);
		}
		add_image(&row, MEMBER_NEW, slot, NULL);
		end_row(&row, type, &events[n]);
		events[n].actor_id = GetUserNameFromId(role, true);
		bytes += VARSIZE(events[n].payload);
		if (++n < BATCH && bytes < 1024 * 1024)
			continue;
		uaef_append_row_events(events, n);
		n = 0;
		bytes = 0;
		MemoryContextReset(batch);
		CHECK_FOR_INTERRUPTS();
	}
	uaef_append_row_events(events, n);

	MemoryContextSwitchTo(caller);
	MemoryContextDelete(batch);
	ExecDropSingleTupleTableSlot(slot);
	table_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(rel, NoLock);
}

void
uaef_record_rows(const UaefLedgerTable *table, Oid relation, const char *type,
				 Oid role)
{
	List	   *parts;

	if (get_rel_relkind(relation) != RELKIND_PARTITIONED_TABLE)
	{
		record_heap(table, relation, type, role);
		return;
	}
	parts = find_all_inheritors(relation, NoLock, NULL);
	for (int i = 0; i < list_length(parts); i++)
	{
		Oid			part = list_nth_oid(parts, i);

		if (get_rel_relkind(part) == RELKIND_RELATION)
			record_heap(table, part, type, role);
	}
}
