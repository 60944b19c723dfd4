/*-------------------------------------------------------------------------
 *
 * book_audit.c
 *	  Whether the books are as they must be.
 *
 * Each thing that must be true of them is a query that finds where it is not,
 * but for the digests of journals, which are computed anew.  All read the same
 * snapshot, so that posting may go on.
 *
 * Locking: none.  Memory: the journals are read some at a time.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "optimizer/cost.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "book_audit.h"
#include "book_internal.h"
#include "errcodes.h"
#include "spi_util.h"

/* Rows of journals that are read at a time. */
#define FETCH_ROWS 5000

#define SIDES \
	"sum(amount) FILTER (WHERE side = 'debit') AS debit," \
	" sum(amount) FILTER (WHERE side = 'credit') AS credit"

#define OUT_OF_BALANCE "debit IS DISTINCT FROM credit"

#define TRIGGERS \
	"('ledger_guard', 'account', 58, 'uaef_ledger_guard')," \
	" ('ledger_guard', 'journal', 58, 'uaef_ledger_guard')," \
	" ('ledger_guard', 'posting', 58, 'uaef_ledger_guard')," \
	" ('ledger_guard', 'journal_reversal', 58, 'uaef_ledger_guard')," \
	" ('posting_balanced', 'posting', 4, 'uaef_posting_balanced')"

/*
 * Each returns problem, subject and detail of what is wrong.
 */
static const char *const checks[] = {
	"SELECT 'CURRENCY_UNBALANCED', currency,"
	" format('all debits are %s, all credits %s', debit, credit)"
	" FROM (SELECT currency, " SIDES " FROM uaef.posting GROUP BY 1) s"
	" WHERE " OUT_OF_BALANCE " ORDER BY 2",

	"SELECT 'JOURNAL_UNBALANCED', format('journal %s', journal_id),"
	" format('debits are %s, credits %s %s', debit, credit, currency)"
	" FROM (SELECT journal_id, currency, " SIDES
	"  FROM uaef.posting GROUP BY 1, 2) s"
	" WHERE " OUT_OF_BALANCE " ORDER BY journal_id, currency",

	"SELECT 'JOURNAL_LINES', format('journal %s', j.journal_id),"
	" format('it has %s lines, not %s', coalesce(p.n, 0), j.lines)"
	" FROM uaef.journal j LEFT JOIN (SELECT journal_id, count(*) AS n"
	"  FROM uaef.posting GROUP BY 1) p USING (journal_id)"
	" WHERE coalesce(p.n, 0) <> j.lines OR j.lines < 1 ORDER BY j.journal_id",

	"SELECT 'POSTING_ORPHAN',"
	" format('journal %s line %s', p.journal_id, p.line),"
	" CASE WHEN j.journal_id IS NULL THEN 'there is no such journal'"
	"  ELSE format('there is no account %s', p.account_id) END"
	" FROM uaef.posting p LEFT JOIN uaef.journal j USING (journal_id)"
	" LEFT JOIN uaef.account a USING (account_id)"
	" WHERE j.journal_id IS NULL OR a.account_id IS NULL"
	" ORDER BY p.journal_id, p.line",

	"SELECT 'POSTING_DIFFERS',"
	" format('journal %s line %s', p.journal_id, p.line),"
	" CASE WHEN p.currency <> a.currency"
	"  THEN format('it is in %s, its account in %s', p.currency, a.currency)"
	" WHEN p.effective_at <> j.effective_at OR p.recorded_at <> j.recorded_at"
	"  THEN 'its times are not those of the journal'"
	" ELSE format('%s %s is no posting', p.side, p.amount) END"
	" FROM uaef.posting p JOIN uaef.journal j USING (journal_id)"
	" JOIN uaef.account a USING (account_id)"
	" WHERE p.currency <> a.currency OR p.effective_at <> j.effective_at"
	" OR p.recorded_at <> j.recorded_at"
	" OR p.side NOT IN ('debit', 'credit') OR NOT (p.amount > 0"
	"  AND p.amount <= 99999999999999999999999999999999999999"
	"  AND p.amount = trunc(p.amount))"
	" ORDER BY p.journal_id, p.line",

	"SELECT 'KEY_TWICE', format('idempotency key %s', idempotency_key),"
	" format('%s journals have it', count(*)) FROM uaef.journal"
	" WHERE idempotency_key IS NOT NULL GROUP BY idempotency_key"
	" HAVING count(*) > 1 ORDER BY 2",

	"SELECT 'BALANCE_DIFFERS', format('account %s stripe %s',"
	"  coalesce(a.code, coalesce(s.account_id, p.account_id)::text),"
	"  coalesce(s.stripe, p.stripe)),"
	" format('debit %s, credit %s, %s postings; they are %s, %s, %s',"
	"  s.debit, s.credit, s.postings, coalesce(p.debit, 0),"
	"  coalesce(p.credit, 0), coalesce(p.n, 0))"
	" FROM uaef.account_stripe s FULL JOIN (SELECT account_id, stripe,"
	"  " SIDES ", count(*) AS n FROM uaef.posting GROUP BY 1, 2) p"
	"  USING (account_id, stripe)"
	" LEFT JOIN uaef.account a USING (account_id)"
	" WHERE s.debit IS DISTINCT FROM coalesce(p.debit, 0)"
	" OR s.credit IS DISTINCT FROM coalesce(p.credit, 0)"
	" OR s.postings IS DISTINCT FROM coalesce(p.n, 0)"
	" ORDER BY 2",

	"SELECT 'ACCOUNT_DIFFERS', format('account %s', a.code),"
	" CASE WHEN count(s.stripe) <> a.stripes"
	"  THEN format('it has %s stripes, not %s', count(s.stripe), a.stripes)"
	" WHEN min(s.status) <> max(s.status)"
	"  THEN 'its stripes differ in their status'"
	" ELSE 'it has several stripes, and limits or holds' END"
	" FROM uaef.account a LEFT JOIN uaef.account_stripe s"
	"  ON s.account_id = a.account_id AND s.stripe BETWEEN 0 AND a.stripes - 1"
	" GROUP BY a.account_id, a.code, a.stripes"
	" HAVING count(s.stripe) <> a.stripes OR min(s.status) <> max(s.status)"
	" OR (a.stripes > 1 AND (count(s.min_balance) > 0"
	"  OR count(s.max_balance) > 0 OR sum(s.held) <> 0))"
	" ORDER BY a.code",

	"SELECT 'ACCOUNT_MISSING', format('account %s', s.account_id),"
	" 'it has a balance, and is not there' FROM uaef.account_stripe s"
	" LEFT JOIN uaef.account a USING (account_id)"
	" WHERE a.account_id IS NULL GROUP BY s.account_id ORDER BY s.account_id",

	"SELECT 'ACCOUNT_CHANGED', format('account %s', a.code),"
	" 'it is not what its event tells' FROM uaef.account a"
	" LEFT JOIN uaef.ledger_event e ON e.kind = 1"
	"  AND e.event_type = 'account_created'"
	"  AND (e.payload->>'account_id')::bigint = a.account_id"
	" WHERE (e.payload->>'account' = a.code AND e.payload->>'kind' = a.kind"
	"  AND e.payload->>'currency' = a.currency"
	"  AND coalesce((e.payload->>'stripes')::integer, 1) = a.stripes"
	"  AND e.payload->>'owner_type' IS NOT DISTINCT FROM a.owner_type"
	"  AND e.payload->>'owner_id' IS NOT DISTINCT FROM a.owner_id) IS NOT TRUE"
	" AND NOT EXISTS (SELECT FROM uaef.ledger_retirement)"
	" AND NOT EXISTS (SELECT FROM uaef.ledger_redaction)"
	" ORDER BY a.code",

	"SELECT 'LIMIT_BROKEN', format('account %s', code),"
	" CASE WHEN available < min_balance"
	"  THEN format('%s are available, the least is %s', available, min_balance)"
	" WHEN balance > max_balance"
	"  THEN format('its balance is %s, the most is %s', balance, max_balance)"
	" ELSE format('it is closed, and its balance is %s', balance) END"
	" FROM uaef.account_balance WHERE available < min_balance"
	" OR balance > max_balance OR (status = 'closed' AND balance <> 0) ORDER BY 2",

	"SELECT 'HELD_DIFFERS', format('account %s', coalesce(a.code,"
	"  coalesce(s.account_id, h.account_id)::text)),"
	" format('%s are held, its holds are %s', s.held, coalesce(h.sum, 0))"
	" FROM (SELECT account_id, sum(held) AS held FROM uaef.account_stripe"
	"  GROUP BY 1) s FULL JOIN (SELECT account_id,"
	"  sum(amount - captured) AS sum FROM uaef.account_hold"
	"  WHERE status = 'held' GROUP BY 1) h USING (account_id)"
	" LEFT JOIN uaef.account a USING (account_id)"
	" WHERE s.held IS DISTINCT FROM coalesce(h.sum, 0) ORDER BY 2",

	"SELECT 'HOLD_DIFFERS', format('hold %s',"
	"  coalesce(h.hold_id, p.hold_id)),"
	" format('%s: captured are %s of %s; its journals moved %s',"
	"  h.status, h.captured, h.amount, coalesce(p.sum, 0))"
	" FROM uaef.account_hold h FULL JOIN (SELECT j.hold_id,"
	"  sum(q.amount) AS sum FROM uaef.journal j"
	"  JOIN uaef.posting q USING (journal_id)"
	"  WHERE j.hold_id IS NOT NULL AND q.line = 1 GROUP BY 1) p"
	"  USING (hold_id)"
	" WHERE h.captured IS DISTINCT FROM coalesce(p.sum, 0)"
	" OR NOT (h.captured BETWEEN 0 AND h.amount)"
	" OR (h.status = 'captured' AND h.captured = 0)"
	" OR (h.status = 'held' AND h.captured >= h.amount)"
	" ORDER BY coalesce(h.hold_id, p.hold_id)",

	"SELECT 'OVER_REVERSED', format('journal %s line %s', r.reverses, r.line),"
	" CASE WHEN o.journal_id IS NULL THEN 'there is no such line'"
	"  WHEN o.account_id <> r.account_id OR o.side = r.side"
	"   THEN format('journal %s does not reverse it', r.last)"
	"  ELSE format('%s of %s are reversed', r.sum, o.amount) END"
	" FROM (SELECT j.reverses, p.line, p.account_id, p.side,"
	"  sum(p.amount) AS sum, max(j.journal_id) AS last"
	"  FROM uaef.journal j JOIN uaef.posting p USING (journal_id)"
	"  WHERE j.reverses IS NOT NULL GROUP BY 1, 2, 3, 4) r"
	" LEFT JOIN uaef.posting o ON o.journal_id = r.reverses"
	"  AND o.line = r.line"
	" WHERE (o.account_id = r.account_id AND o.side <> r.side"
	"  AND r.sum <= o.amount) IS NOT TRUE"
	" ORDER BY r.reverses, r.line, r.last",

	"SELECT 'REVERSAL_DIFFERS', format('journal %s',"
	"  coalesce(j.journal_id, r.reversal_id)), CASE WHEN j.journal_id IS NULL"
	"  THEN format('it does not reverse journal %s', r.journal_id)"
	"  ELSE format('that it reverses journal %s is not listed', j.reverses) END"
	" FROM (SELECT journal_id, reverses FROM uaef.journal"
	"  WHERE reverses IS NOT NULL) j"
	" FULL JOIN uaef.journal_reversal r"
	"  ON r.reversal_id = j.journal_id AND r.journal_id = j.reverses"
	" WHERE j.journal_id IS NULL OR r.reversal_id IS NULL"
	" ORDER BY coalesce(j.journal_id, r.reversal_id)",

	"WITH j AS (SELECT event_id, count(*) AS n, min(journal_id) AS first,"
	"  max(journal_id) AS last, min(recorded_at) AS since,"
	"  max(recorded_at) AS until,"
	"  CASE WHEN count(*) = 1 THEN min(digest::text) ELSE"
	"   encode(sha256(string_agg(digest::bytea, '' ORDER BY journal_id)), 'hex')"
	"  END AS digest FROM uaef.journal GROUP BY event_id),"
	" e AS (SELECT event_id, payload, payload_hash FROM uaef.ledger_event"
	"  WHERE kind = 1 AND event_type IN ('journal_posted', 'journals_posted'))"
	" SELECT CASE WHEN e.event_id IS NULL THEN 'EVENT_MISSING'"
	"  WHEN j.event_id IS NULL THEN 'JOURNAL_MISSING'"
	"  ELSE 'EVENT_DIFFERS' END,"
	" CASE WHEN j.event_id IS NULL THEN format('event %s', e.event_id)"
	"  WHEN j.n = 1 THEN format('journal %s', j.first)"
	"  ELSE format('journals %s to %s', j.first, j.last) END,"
	" CASE WHEN e.event_id IS NULL"
	"   THEN format('there is no event %s of it', j.event_id)"
	"  WHEN j.event_id IS NULL"
	"   THEN format('%s journals that it names are not there',"
	"    coalesce(e.payload->>'journals', '1'))"
	"  ELSE format('event %s tells of %s journals recorded at %s with digest %s',"
	"   e.event_id, coalesce(e.payload->>'journals', '1'),"
	"   e.payload->>'recorded_at', e.payload->>'digest') END"
	" FROM j FULL JOIN e USING (event_id)"
	" WHERE (e.event_id IS NULL AND j.event_id >"
	"  (SELECT coalesce(max(h.event_id), -1) FROM uaef.ledger_retired_head h))"
	" OR j.event_id IS NULL"
	" OR (e.payload IS NOT NULL AND (e.payload->>'digest' = j.digest"
	"  AND coalesce((e.payload->>'journals')::bigint, 1) = j.n"
	"  AND (e.payload->>'recorded_at')::timestamptz = j.since"
	"  AND j.since = j.until) IS NOT TRUE)"
	" ORDER BY coalesce(j.event_id, e.event_id)",

	"SELECT 'GUARD_TAMPERED', format('table %s', w.tab),"
	" format('trigger %s %s', w.name, CASE WHEN t.oid IS NULL"
	"  THEN 'is missing' ELSE 'is not as it was made' END)"
	" FROM (VALUES " TRIGGERS ") AS w (name, tab, type, source)"
	" LEFT JOIN pg_trigger t ON t.tgname = w.name"
	"  AND t.tgrelid = ('uaef.' || w.tab)::regclass"
	" LEFT JOIN pg_proc p ON p.oid = t.tgfoid"
	" WHERE (t.tgenabled = 'A' AND t.tgtype = w.type AND t.tgqual IS NULL"
	"  AND p.prosrc = w.source) IS NOT TRUE"
	" ORDER BY 2, 3",
};

static const char *const read_journals =
"SELECT j.journal_id, j.kind, j.idempotency_key, j.description,"
" j.effective_at, j.effective_at <> j.recorded_at, coalesce(j.reverses, 0),"
" coalesce(j.hold_id, 0), j.metadata, j.digest::bytea, p.line,"
" p.account_id, p.side = 'credit', p.amount"
" FROM uaef.journal j JOIN uaef.posting p USING (journal_id)"
" ORDER BY j.journal_id, p.line";

/* Journals as they are read, line by line. */
typedef struct DigestCheck
{
	FunctionCallInfo fcinfo;
	MemoryContext context;		/* of one journal */
	UaefJournal journal;		/* the one that is being read; 0: none */
	uint8		stored[UAEF_HASH_LEN];
	UaefPosting *lines;
	UaefMinor  *amounts;
	int64	   *account_ids;
	int			max_lines;
	bool		broken;			/* a line that no digest can be made of */
} DigestCheck;

static void put_problem(FunctionCallInfo fcinfo, const char *problem,
						const char *subject, const char *detail);
static void put_found(FunctionCallInfo fcinfo, const char *query);
static bool matches(DigestCheck *check, bool has_effective_at);
static void end_journal(DigestCheck *check);
static void begin_journal(DigestCheck *check, HeapTuple row, TupleDesc desc);
static void add_line(DigestCheck *check, HeapTuple row, TupleDesc desc);
static void check_digests(FunctionCallInfo fcinfo);

static void
put_problem(FunctionCallInfo fcinfo, const char *problem,
			const char *subject, const char *detail)
{
	Datum		values[3] = {CStringGetTextDatum(problem),
	CStringGetTextDatum(subject), CStringGetTextDatum(detail)};
	bool		nulls[3] = {0};

	uaef_put_row(fcinfo, values, nulls);
}

static void
put_found(FunctionCallInfo fcinfo, const char *query)
{
	if (SPI_execute(query, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not run \"%s\"", query);
	for (uint64 row = 0; row < SPI_tuptable->numvals; row++)
	{
		Datum		values[3];
		bool		nulls[3];

		for (int i = 0; i < lengthof(values); i++)
		{
			char	   *text = SPI_getvalue(SPI_tuptable->vals[row],
											SPI_tuptable->tupdesc, i + 1);

			values[i] = CStringGetTextDatum(text ? text : "");
			nulls[i] = false;
		}
		uaef_put_row(fcinfo, values, nulls);
	}
}

/* ----------
 * Digests
 * ----------
 */

static bool
matches(DigestCheck *check, bool has_effective_at)
{
	UaefJournal *journal = &check->journal;
	BookDigest	digest;
	uint8		hash[UAEF_HASH_LEN];

	journal->has_effective_at = has_effective_at;
	uaef_book_digest_begin(&digest, journal);
	for (int k = 0; k < journal->n_postings; k++)
		uaef_book_digest_line(&digest, check->lines[k].line,
							  check->account_ids[k], check->lines[k].credit,
							  check->amounts[k]);
	uaef_book_digest_end(&digest, hash);
	return memcmp(hash, check->stored, UAEF_HASH_LEN) == 0;
}

/*
 * All lines of a journal have been read.  Whether the time at which it takes
 * effect was given is known, unless it is the time of its recording.
 */
static void
end_journal(DigestCheck *check)
{
	UaefJournal *journal = &check->journal;

	if (journal->journal_id == 0)
		return;
	if (check->broken || !(matches(check, journal->has_effective_at) ||
						   matches(check, true)))
		put_problem(check->fcinfo, "JOURNAL_CHANGED",
					psprintf("journal " INT64_FORMAT, journal->journal_id),
					"what it holds does not give its digest");
	MemoryContextReset(check->context);
}

static void
begin_journal(DigestCheck *check, HeapTuple row, TupleDesc desc)
{
	UaefJournal *journal = &check->journal;
	bool		isnull;
	Datum		value;

#define COLUMN(n) SPI_getbinval(row, desc, n, &isnull)
	memset(journal, 0, sizeof(UaefJournal));
	journal->journal_id = DatumGetInt64(COLUMN(1));
	journal->kind = SPI_getvalue(row, desc, 2);
	journal->key = SPI_getvalue(row, desc, 3);
	journal->description = SPI_getvalue(row, desc, 4);
	journal->effective_at = DatumGetTimestampTz(COLUMN(5));
	journal->has_effective_at = DatumGetBool(COLUMN(6));
	journal->reverses = DatumGetInt64(COLUMN(7));
	journal->hold_id = DatumGetInt64(COLUMN(8));
	value = COLUMN(9);
	journal->metadata = isnull ? NULL : DatumGetJsonbPCopy(value);
	memcpy(check->stored, VARDATA_ANY(DatumGetByteaPP(COLUMN(10))),
		   UAEF_HASH_LEN);
#undef COLUMN
	check->broken = false;
	check->max_lines = 8;
	check->lines = palloc(sizeof(UaefPosting) * check->max_lines);
	check->amounts = palloc(sizeof(UaefMinor) * check->max_lines);
	check->account_ids = palloc(sizeof(int64) * check->max_lines);
}

static void
add_line(DigestCheck *check, HeapTuple row, TupleDesc desc)
{
	int			k = check->journal.n_postings;
	bool		isnull;
	Datum		amount;

	if (k == check->max_lines)
	{
		check->max_lines *= 2;
		check->lines = repalloc(check->lines,
								sizeof(UaefPosting) * check->max_lines);
		check->amounts = repalloc(check->amounts,
								  sizeof(UaefMinor) * check->max_lines);
		check->account_ids = repalloc(check->account_ids,
									  sizeof(int64) * check->max_lines);
	}
	check->lines[k].line = DatumGetInt32(SPI_getbinval(row, desc, 11, &isnull));
	check->account_ids[k] = DatumGetInt64(SPI_getbinval(row, desc, 12, &isnull));
	check->lines[k].credit = DatumGetBool(SPI_getbinval(row, desc, 13, &isnull));
	amount = SPI_getbinval(row, desc, 14, &isnull);
	if (!uaef_minor_is_amount(DatumGetNumeric(amount), &check->amounts[k]))
		check->broken = true;
	check->journal.n_postings++;
}

static void
check_digests(FunctionCallInfo fcinfo)
{
	DigestCheck check = {.fcinfo = fcinfo};
	Portal		portal = SPI_cursor_open_with_args(NULL, read_journals, 0, NULL,
												   NULL, NULL, true, 0);
	MemoryContext back;

	check.context = AllocSetContextCreate(CurrentMemoryContext,
										  "uaef journal",
										  ALLOCSET_DEFAULT_SIZES);
	back = MemoryContextSwitchTo(check.context);
	for (;;)
	{
		SPITupleTable *table;

		SPI_cursor_fetch(portal, true, FETCH_ROWS);
		table = SPI_tuptable;
		if (SPI_processed == 0)
			break;
		for (uint64 i = 0; i < SPI_processed; i++)
		{
			bool		isnull;
			int64		id = DatumGetInt64(SPI_getbinval(table->vals[i],
														 table->tupdesc, 1,
														 &isnull));

			CHECK_FOR_INTERRUPTS();
			if (id != check.journal.journal_id)
			{
				end_journal(&check);
				begin_journal(&check, table->vals[i], table->tupdesc);
			}
			add_line(&check, table->vals[i], table->tupdesc);
		}
		SPI_freetuptable(table);
	}
	end_journal(&check);
	MemoryContextSwitchTo(back);
	MemoryContextDelete(check.context);
	SPI_cursor_close(portal);
}

/*
 * Whole tables are compared.  A table that has grown since it was analyzed
 * would let the planner look up one row after the other.
 */
void
uaef_book_audit(FunctionCallInfo fcinfo)
{
	UaefCaller	caller = uaef_spi_begin();
	bool		nestloop = enable_nestloop;

	PG_TRY();
	{
		enable_nestloop = false;
		for (int i = 0; i < lengthof(checks); i++)
			put_found(fcinfo, checks[i]);
		check_digests(fcinfo);
	}
	PG_FINALLY();
	{
		enable_nestloop = nestloop;
	}
	PG_END_TRY();
	uaef_spi_end(caller);
}

void
uaef_book_check_written(TriggerData *trigger)
{
	static const char *const find =
		"SELECT journal_id, currency, debit, credit FROM (SELECT journal_id,"
		" currency, " SIDES " FROM written GROUP BY 1, 2) s"
		" WHERE " OUT_OF_BALANCE " ORDER BY 1, 2 LIMIT 1";
	UaefCaller	caller = uaef_spi_begin();

	if (SPI_register_trigger_data(trigger) != SPI_OK_TD_REGISTER)
		elog(ERROR, "could not see what was written");
	if (SPI_execute(find, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not run \"%s\"", find);
	if (SPI_processed > 0)
	{
		HeapTuple	row = SPI_tuptable->vals[0];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		char	   *debit = SPI_getvalue(row, desc, 3);
		char	   *credit = SPI_getvalue(row, desc, 4);

		ereport(ERROR,
				(errcode(ERRCODE_UAEF_UNBALANCED),
				 errmsg("postings to journal %s do not balance",
						SPI_getvalue(row, desc, 1)),
				 errdetail("In %s they debit %s and credit %s minor units.",
						   SPI_getvalue(row, desc, 2), debit ? debit : "0",
						   credit ? credit : "0"),
				 errhint("Write all postings of a journal in one statement, or use uaef.post().")));
	}
	uaef_spi_end(caller);
}
