/*-------------------------------------------------------------------------
 *
 * ledger_verify_event.c
 *	  Looking at events one by one, in the order of the table.
 *
 * Memory: what a row needs is in row_context, which is reset before the next.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "jsonb_check.h"
#include "ledger.h"
#include "ledger_redact.h"
#include "ledger_signature.h"
#include "ledger_verify_internal.h"

/* Room for a payload whose header is a short one, where it is aligned. */
typedef union ShortPayload
{
	Jsonb		payload;
	char		bytes[VARATT_SHORT_MAX - VARHDRSZ_SHORT + VARHDRSZ];
} ShortPayload;

static bool is_hashed(const bool *nulls);
static bool check_unhashed(const UaefReport *report, const UaefPlace *place,
						   const Datum *values, const bool *nulls);
static Jsonb *read_payload(Datum value, ShortPayload *room);
static void report_hash(const UaefReport *report, const char *code,
						const UaefPlace *place, const uint8 *stored,
						const uint8 *computed, const char *problem);
static bool is_complete(const bool *nulls);
static bool has_type(const Datum *values, const char *type);
static void check_listed(VerifyScan *scan, const UaefPlace *place, uint64 tx);
static bool check_future(VerifyScan *scan, const UaefPlace *place, uint64 tx);
static bool payload_text(Jsonb *payload, const char *key, char *text,
						 size_t len);
static void put_news(VerifyScan *scan, const UaefPlace *place,
					 const Datum *values);
static void add_to_chain(VerifyScan *scan, ItemPointer tid,
						 const Datum *values, const uint8 *computed,
						 bool future);
static void report_damage(void *arg, BlockNumber block, OffsetNumber row,
						  const char *problem);
static void walk_page(VerifyScan *scan);
static void walk_pages(VerifyScan *scan);

#define VALUE(column) values[(column) - 1]
#define ISNULL(column) nulls[(column) - 1]

/* ----------
 * One event
 * ----------
 */

UaefPlace
uaef_verify_place(const Datum *values, const bool *nulls, ItemPointer tid)
{
	UaefPlace	place = {.ctid = tid};

	if (!ISNULL(UAEF_EVENT_STREAM))
		place.stream = DatumGetUUIDP(VALUE(UAEF_EVENT_STREAM));
	if (!ISNULL(UAEF_EVENT_STREAM_SEQ))
		place.stream_seq = DatumGetInt64(VALUE(UAEF_EVENT_STREAM_SEQ));
	if (!ISNULL(UAEF_EVENT_ID))
		place.event_id = DatumGetInt64(VALUE(UAEF_EVENT_ID));
	return place;
}

/*
 * Whether there is a payload, and what commits to it.
 */
static bool
is_hashed(const bool *nulls)
{
	return !ISNULL(UAEF_EVENT_PAYLOAD) && !ISNULL(UAEF_EVENT_SALT) &&
		!ISNULL(UAEF_EVENT_PAYLOAD_HASH);
}

/*
 * An event that lacks some of that.  False when the payload cannot be read.
 */
static bool
check_unhashed(const UaefReport *report, const UaefPlace *place,
			   const Datum *values, const bool *nulls)
{
	if (ISNULL(UAEF_EVENT_PAYLOAD) && ISNULL(UAEF_EVENT_SALT) &&
		ISNULL(UAEF_EVENT_PAYLOAD_HASH))
		return true;
	if (ISNULL(UAEF_EVENT_PAYLOAD) && ISNULL(UAEF_EVENT_SALT) &&
		uaef_redaction_told(place->event_id,
							uaef_datum_hash(VALUE(UAEF_EVENT_PAYLOAD_HASH))))
	{
		uaef_report_problem(report, "REDACTED", place,
							"the payload was erased, as an event tells");
		return true;
	}
	uaef_report_problem(report, "PAYLOAD_MISMATCH", place,
						"payload, salt or payload_hash is missing");
	return ISNULL(UAEF_EVENT_PAYLOAD) ||
		uaef_jsonb_sound(DatumGetJsonbP(VALUE(UAEF_EVENT_PAYLOAD)));
}

/*
 * The payload where it can be read; NULL when it is no jsonb value.
 */
static Jsonb *
read_payload(Datum value, ShortPayload *room)
{
	const struct varlena *stored = (struct varlena *) DatumGetPointer(value);
	Jsonb	   *payload = &room->payload;

	/* What is stored elsewhere counts as short too. */
	if (VARATT_IS_SHORT(stored) && !VARATT_IS_EXTERNAL(stored))
	{
		uint32		len = VARSIZE_SHORT(stored) - VARHDRSZ_SHORT;

		SET_VARSIZE(payload, VARHDRSZ + len);
		memcpy(VARDATA(payload), VARDATA_SHORT(stored), len);
	}
	else
		payload = DatumGetJsonbP(value);
	return uaef_jsonb_sound(payload) ? payload : NULL;
}

static void
report_hash(const UaefReport *report, const char *code,
			const UaefPlace *place, const uint8 *stored,
			const uint8 *computed, const char *problem)
{
	UaefPlace	where = *place;

	where.expected = uaef_hex(stored, UAEF_HASH_LEN);
	where.actual = uaef_hex(computed, UAEF_HASH_LEN);
	uaef_report_problem(report, code, &where, problem);
}

bool
uaef_verify_event_alone(const UaefReport *report, const pg_uuid_t *ledger_id,
						const UaefPlace *place, const Datum *values,
						const bool *nulls, uint8 *computed)
{
	ShortPayload room;
	Jsonb	   *payload = NULL;
	bool		readable;
	bool		same;
	uint8		payload_hash[UAEF_HASH_LEN];
	const uint8 *stored;

	memset(computed, 0, UAEF_HASH_LEN);
	if (!is_complete(nulls))
	{
		uaef_report_problem(report, "EVENT_HASH_MISMATCH", place,
							"the event lacks what every event has");
		return false;
	}
	if (is_hashed(nulls))
	{
		payload = read_payload(VALUE(UAEF_EVENT_PAYLOAD), &room);
		readable = payload != NULL;
		if (!readable)
			uaef_report_problem(report, "PAYLOAD_MISMATCH", place,
								"the payload is no jsonb value");
	}
	else
		readable = check_unhashed(report, place, values, nulls);
	same = payload != NULL ?
		uaef_event_hash_both(ledger_id, values, nulls, payload, payload_hash,
							 computed) :
		uaef_event_hash(ledger_id, values, nulls, computed);

	stored = uaef_datum_hash(VALUE(UAEF_EVENT_PAYLOAD_HASH));
	if (payload != NULL && memcmp(stored, payload_hash, UAEF_HASH_LEN) != 0)
		report_hash(report, "PAYLOAD_MISMATCH", place, stored, payload_hash,
					"the payload is not what payload_hash commits to");
	if (readable && !ISNULL(UAEF_EVENT_SIGNER) &&
		!uaef_signature_check(values, nulls))
		uaef_report_problem(report, "SIG_BAD", place,
							"the signature is not that of its signer");
	stored = uaef_datum_hash(VALUE(UAEF_EVENT_HASH));
	if (!same || memcmp(stored, computed, UAEF_HASH_LEN) != 0)
		report_hash(report, "EVENT_HASH_MISMATCH", place, stored, computed,
					"the event is not what event_hash says");
	return true;
}

/*
 * Whether the columns are there that no event lacks.
 */
static bool
is_complete(const bool *nulls)
{
	return !(ISNULL(UAEF_EVENT_ID) || ISNULL(UAEF_EVENT_STREAM) ||
			 ISNULL(UAEF_EVENT_STREAM_SEQ) || ISNULL(UAEF_EVENT_TX) ||
			 ISNULL(UAEF_EVENT_RECORDED_AT) || ISNULL(UAEF_EVENT_KIND) ||
			 ISNULL(UAEF_EVENT_TYPE) || ISNULL(UAEF_EVENT_PREV_HASH) ||
			 ISNULL(UAEF_EVENT_HASH));
}

/*
 * Whether an event claims a transaction that has not begun, or a number that
 * has not been drawn.  No block will ever have it.
 */
static bool
check_future(VerifyScan *scan, const UaefPlace *place, uint64 tx)
{
	const VerifyPlan *plan = scan->plan;

	if (!plan->listing)
		return false;
	if (place->event_id >= plan->next_event_id)
		uaef_report_problem(scan->report, "LEAF_EXTRA", place,
							"event_id has not been drawn from the sequence");
	else if (tx >= plan->next_tx && place->event_id > plan->foreign_event_id)
		uaef_report_problem(scan->report, "LEAF_EXTRA", place,
							"tx has not been assigned to a transaction");
	else
		return false;
	return true;
}

/*
 * An event that no block has must be newer than the last block.
 */
static void
check_listed(VerifyScan *scan, const UaefPlace *place, uint64 tx)
{
	const VerifyPlan *plan = scan->plan;
	UaefSeen	seen = {plan->xmax, PLAN_XIP(plan), (int) plan->nxip};

	if (plan->listing &&
		(place->event_id <= plan->foreign_event_id || uaef_seen(&seen, tx)))
		uaef_report_problem(scan->report, "LEAF_EXTRA", place,
							"the event is in no block, but older than the last one");
}

static bool
has_type(const Datum *values, const char *type)
{
	text	   *packed = (text *) DatumGetPointer(VALUE(UAEF_EVENT_TYPE));
	size_t		len = strlen(type);

	return VARATT_IS_SHORT(packed) && VARSIZE_ANY_EXHDR(packed) == len &&
		memcmp(VARDATA_ANY(packed), type, len) == 0;
}

/*
 * A string or number of a payload as text; false when it has none that fits.
 */
static bool
payload_text(Jsonb *payload, const char *key, char *text, size_t len)
{
	JsonbValue	found;
	JsonbValue *value = NULL;

	text[0] = '\0';
	if (JB_ROOT_IS_OBJECT(payload))
		value = getKeyJsonValueFromContainer(&payload->root, key, strlen(key),
											 &found);
	if (value == NULL)
		return false;
	if (value->type == jbvString && value->val.string.len < len)
	{
		memcpy(text, value->val.string.val, value->val.string.len);
		text[value->val.string.len] = '\0';
		return true;
	}
	if (value->type == jbvNumeric)
	{
		strlcpy(text, numeric_normalize(value->val.numeric), len);
		return true;
	}
	return false;
}

/*
 * Keep what an event tells of a block, to be compared in the end.
 */
static void
put_news(VerifyScan *scan, const UaefPlace *place, const Datum *values)
{
	News		news = {.record = {sizeof(News), RECORD_NEWS}};
	char		number[32];
	Jsonb	   *payload = DatumGetJsonbP(VALUE(UAEF_EVENT_PAYLOAD));

	if (!uaef_jsonb_sound(payload))
		return;
	news.stream = *place->stream;
	news.stream_seq = place->stream_seq;
	news.event_id = place->event_id;
	(void) payload_text(payload, "block_no", number, sizeof(number));
	(void) payload_text(payload, "block_hash", news.hash, sizeof(news.hash));
	(void) payload_text(payload, "tree_root", news.root, sizeof(news.root));
	news.about = strtoll(number, NULL, 10);
	scan->put_record(scan, &news.record);
}

static void
add_to_chain(VerifyScan *scan, ItemPointer tid, const Datum *values,
			 const uint8 *computed, bool future)
{
	Piece		piece = {.record = {sizeof(Piece), RECORD_PIECE}};

	piece.stream = *DatumGetUUIDP(VALUE(UAEF_EVENT_STREAM));
	piece.first_seq = DatumGetInt64(VALUE(UAEF_EVENT_STREAM_SEQ));
	piece.first_event_id = DatumGetInt64(VALUE(UAEF_EVENT_ID));
	piece.first_recorded_at =
		DatumGetTimestampTz(VALUE(UAEF_EVENT_RECORDED_AT));
	memcpy(piece.first_prev_hash,
		   uaef_datum_hash(VALUE(UAEF_EVENT_PREV_HASH)), UAEF_HASH_LEN);
	piece.first_tid = *tid;
	piece.last.seq = piece.first_seq;

	/* A number out of the air says nothing of the event that follows. */
	piece.last.event_id = future ? 0 : piece.first_event_id;
	piece.last.recorded_at = piece.first_recorded_at;
	memcpy(piece.last.stored, uaef_datum_hash(VALUE(UAEF_EVENT_HASH)),
		   UAEF_HASH_LEN);
	memcpy(piece.last.computed, computed, UAEF_HASH_LEN);
	uaef_verify_chain_add(scan, &piece);
}

void
uaef_verify_event_row(VerifyScan *scan, ItemPointer tid, Datum *values,
					  bool *nulls)
{
	UaefPlace	place = uaef_verify_place(values, nulls, tid);
	uint8		computed[UAEF_HASH_LEN];
	uint64		tx;
	bool		future;

	scan->events_seen++;
	if (!uaef_verify_event_alone(scan->report, &scan->plan->ledger_id, &place,
								 values, nulls, computed))
		return;
	tx = DatumGetUInt64(VALUE(UAEF_EVENT_TX));
	future = check_future(scan, &place, tx);
	if (!future && !uaef_verify_sealed(scan, place.event_id))
	{
		if (scan->plan->first_leaf == 0)
			check_listed(scan, &place, tx);
	}
	else if (!future &&
			 !uaef_verify_leaf_event(scan, place.event_id,
									 uaef_datum_hash(VALUE(UAEF_EVENT_HASH)),
									 computed))
		uaef_report_problem(scan->report, "LEAF_EXTRA", &place,
							"another event has the same event_id");
	add_to_chain(scan, tid, values, computed, future);
	if (DatumGetInt16(VALUE(UAEF_EVENT_KIND)) == UAEF_KIND_ENGINE &&
		!ISNULL(UAEF_EVENT_PAYLOAD) && has_type(values, UAEF_SEAL_EVENT) &&
		memcmp(place.stream, &scan->plan->seal_stream, UUID_LEN) == 0)
		put_news(scan, &place, values);
}

/* ----------
 * The rows of a table
 * ----------
 */

static void
report_damage(void *arg, BlockNumber block, OffsetNumber row,
			  const char *problem)
{
	VerifyScan *scan = arg;
	ItemPointerData tid;
	UaefPlace	place = {.ctid = &tid};

	scan->damaged++;
	ItemPointerSet(&tid, block, row);
	uaef_report_problem(scan->report, "HEAP_DAMAGED", &place,
						psprintf("table \"%s\", page %u: %s", scan->table,
								 block, problem));
}

/*
 * The rest of the page that the scan is at.
 */
static void
walk_page(VerifyScan *scan)
{
	Datum		values[MaxHeapAttributeNumber];
	bool		nulls[MaxHeapAttributeNumber];
	UaefPage	page;

	uaef_heap_page(scan->walked, &page, scan->block, scan->skip, &scan->at,
				   report_damage, scan);
	for (int i = 0; i < page.n; i++)
	{
		HeapTupleData tuple;
		const char *problem;

		if (page.row[i] <= scan->done)
			continue;
		scan->at = page.row[i];
		if (i + 1 < page.n)
			uaef_heap_prefetch(&page, page.row[i + 1]);
		uaef_heap_row(scan->walked, &page, page.row[i], &tuple);
		problem = uaef_heap_deform(scan->walked, &tuple, values, nulls);
		if (problem != NULL)
			report_damage(scan, scan->block, scan->at, problem);
		else
		{
			MemoryContext old_context =
				MemoryContextSwitchTo(scan->row_context);

			scan->row(scan, &tuple.t_self, values, nulls);
			MemoryContextSwitchTo(old_context);
			MemoryContextReset(scan->row_context);
		}
		scan->done = page.row[i];
	}
	uaef_heap_release(&page);
}

static void
walk_pages(VerifyScan *scan)
{
	for (; scan->block < scan->end; scan->block++)
	{
		CHECK_FOR_INTERRUPTS();
		walk_page(scan);
		if (scan->walked == &scan->events)
			uaef_verify_progress(scan);
		scan->done = InvalidOffsetNumber;
		scan->at = InvalidOffsetNumber;
		memset(scan->skip, 0, sizeof(scan->skip));
	}
}

/*
 * Call row for each row of some pages.  Where the server raises, that is
 * reported and the walk goes on behind the row, or the page.
 */
void
uaef_verify_walk(VerifyScan *scan, UaefHeap *heap, const char *table,
				 VerifyRow row, BlockNumber from, BlockNumber to, bool protect)
{
	scan->walked = heap;
	scan->table = table;
	scan->row = row;
	scan->block = from;
	scan->end = to;
	scan->done = InvalidOffsetNumber;
	scan->at = InvalidOffsetNumber;
	memset(scan->skip, 0, sizeof(scan->skip));
	if (!protect)
	{
		walk_pages(scan);
		return;
	}
	while (scan->block < scan->end)
	{
		const char *problem = uaef_verify_protected(scan, walk_pages);

		if (problem == NULL)
			continue;
		report_damage(scan, scan->block, scan->at, problem);
		if (scan->at == InvalidOffsetNumber)
		{
			scan->block++;
			scan->done = InvalidOffsetNumber;
			memset(scan->skip, 0, sizeof(scan->skip));
		}
		else
			scan->skip[scan->at] = true;
		scan->at = InvalidOffsetNumber;
	}
}
