/*-------------------------------------------------------------------------
 *
 * book_audit.c
 *	  Whether the books are as they must be.
 *
 * Each thing that must be true of them is a query that finds where it is not,
 * but for what is true of one journal and its lines, which are read one after
 * the other (book_audit_lines.c).  All read the same snapshot, so that posting
 * may go on.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "optimizer/cost.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "book_audit.h"
#include "book_audit_internal.h"
#include "errcodes.h"
#include "spi_util.h"

#define SIDES \
	"sum(amount) FILTER (WHERE side = 'debit') AS debit," \
	" sum(amount) FILTER (WHERE side = 'credit') AS credit"

#define OUT_OF_BALANCE "debit IS DISTINCT FROM credit"

/* The audit is of all, not of what is new. */
#define WHOLE "($1 = '-9223372036854775808'::bigint)"

/*
 * Of an event: its journals come after the mark.  Those of a batch that the mark
 * is within were there when it was made, all of them.
 */
#define IS_NEW "(" WHOLE " OR coalesce(e.payload->>'journal'," \
	" e.payload->>'first')::bigint > $1)"

#define TRIGGERS \
	"('ledger_guard', 'account', 58, 'uaef_ledger_guard')," \
	" ('ledger_guard', 'journal', 58, 'uaef_ledger_guard')," \
	" ('ledger_guard', 'posting', 58, 'uaef_ledger_guard')," \
	" ('ledger_guard', 'journal_reversal', 58, 'uaef_ledger_guard')," \
	" ('posting_balanced', 'posting', 4, 'uaef_posting_balanced')"

/*
 * Each returns problem, subject and detail of what is wrong; of journals, events
 * and accounts with numbers greater than $1, $2 and $3.
 */
static const char *const checks[] = {
	"SELECT 'CURRENCY_UNBALANCED', currency,"
	" format('all debits are %s, all credits %s', debit, credit)"
	" FROM (SELECT currency, " SIDES " FROM uaef.posting"
	"  WHERE journal_id > $1 GROUP BY 1) s"
	" WHERE " OUT_OF_BALANCE " ORDER BY 2",

	"SELECT 'KEY_TWICE', format('idempotency key %s', idempotency_key),"
	" format('%s journals have it', count(*)) FROM uaef.journal"
	" WHERE idempotency_key IS NOT NULL AND journal_id > $1"
	" GROUP BY idempotency_key"
	" HAVING count(*) > 1 ORDER BY 2",

	"SELECT 'BALANCE_DIFFERS', format('account %s stripe %s',"
	"  coalesce(a.code, coalesce(s.account_id, p.account_id)::text),"
	"  coalesce(s.stripe, p.stripe)),"
	" format('debit %s, credit %s, %s postings; they are %s, %s, %s',"
	"  s.debit, s.credit, s.postings, coalesce(p.debit, 0),"
	"  coalesce(p.credit, 0), coalesce(p.n, 0))"
	" FROM uaef.account_stripe s FULL JOIN (SELECT account_id, stripe,"
	"  sum(debit) AS debit, sum(credit) AS credit, sum(n) AS n FROM ("
	"   SELECT account_id, stripe, " SIDES ", count(*) AS n FROM uaef.posting"
	"   WHERE journal_id > $1 GROUP BY 1, 2 UNION ALL SELECT account_id, stripe,"
	"   debit, credit, postings FROM uaef.audited_balance WHERE NOT " WHOLE
	"  ) u GROUP BY 1, 2) p USING (account_id, stripe)"
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
	"  AND e.event_id > $2"
	" WHERE (e.payload->>'account' = a.code AND e.payload->>'kind' = a.kind"
	"  AND e.payload->>'currency' = a.currency"
	"  AND coalesce((e.payload->>'stripes')::integer, 1) = a.stripes"
	"  AND e.payload->>'owner_type' IS NOT DISTINCT FROM a.owner_type"
	"  AND e.payload->>'owner_id' IS NOT DISTINCT FROM a.owner_id) IS NOT TRUE"
	" AND a.account_id > $3"
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
	" WHERE " WHOLE " AND (h.captured IS DISTINCT FROM coalesce(p.sum, 0)"
	" OR NOT (h.captured BETWEEN 0 AND h.amount)"
	" OR (h.status = 'captured' AND h.captured = 0)"
	" OR (h.status = 'held' AND h.captured >= h.amount))"
	" ORDER BY coalesce(h.hold_id, p.hold_id)",

	"SELECT 'OVER_REVERSED', format('journal %s line %s', r.reverses, r.line),"
	" CASE WHEN o.journal_id IS NULL THEN 'there is no such line'"
	"  WHEN o.account_id <> r.account_id OR o.side = r.side"
	"   THEN format('journal %s does not reverse it', r.last)"
	"  ELSE format('%s of %s are reversed', r.sum, o.amount) END"
	" FROM (SELECT j.reverses, p.line, p.account_id, p.side,"
	"  sum(p.amount) AS sum, max(j.journal_id) AS last"
	"  FROM uaef.journal j JOIN uaef.posting p USING (journal_id)"
	"  WHERE j.reverses IS NOT NULL AND (" WHOLE " OR j.journal_id IN ("
	"   SELECT x.reversal_id FROM uaef.journal n JOIN uaef.journal_reversal x"
	"   ON x.journal_id = n.reverses WHERE n.journal_id > $1))"
	"  GROUP BY 1, 2, 3, 4) r"
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
	"  WHERE reverses IS NOT NULL AND journal_id > $1) j"
	" FULL JOIN (SELECT * FROM uaef.journal_reversal WHERE reversal_id > $1) r"
	"  ON r.reversal_id = j.journal_id AND r.journal_id = j.reverses"
	" WHERE j.journal_id IS NULL OR r.reversal_id IS NULL"
	" ORDER BY coalesce(j.journal_id, r.reversal_id)",

	"WITH j AS (SELECT event_id, count(*) AS n, min(journal_id) AS first,"
	"  max(journal_id) AS last, min(recorded_at) AS since,"
	"  max(recorded_at) AS until,"
	"  CASE WHEN count(*) = 1 THEN min(digest::text) ELSE"
	"   encode(sha256(string_agg(digest::bytea, '' ORDER BY journal_id)), 'hex')"
	"  END AS digest FROM uaef.journal WHERE journal_id > $1 GROUP BY event_id),"
	" e AS (SELECT event_id, payload, payload_hash FROM uaef.ledger_event"
	"  WHERE event_id > $2"
	"  AND kind = 1 AND event_type IN ('journal_posted', 'journals_posted'))"
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
	" OR (j.event_id IS NULL AND " IS_NEW ")"
	" OR (e.payload IS NOT NULL AND " IS_NEW " AND (e.payload->>'digest' = j.digest"
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

static void put_found(FunctionCallInfo fcinfo, const char *query,
					  Datum *args);
static void run_checks(FunctionCallInfo fcinfo, const UaefAuditMark *from);

void
uaef_audit_tell(FunctionCallInfo fcinfo, const char *problem,
				const char *subject, const char *detail)
{
	Datum		values[3] = {CStringGetTextDatum(problem),
	CStringGetTextDatum(subject), CStringGetTextDatum(detail)};
	bool		nulls[3] = {0};

	uaef_put_row(fcinfo, values, nulls);
}

static void
put_found(FunctionCallInfo fcinfo, const char *query, Datum *args)
{
	Oid			types[] = {INT8OID, INT8OID, INT8OID};

	if (SPI_execute_with_args(query, lengthof(types), types, args, NULL, true,
							  0) != SPI_OK_SELECT)
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

/*
 * Whole tables are compared, if the audit is of all.  A table that has grown since
 * it was analyzed would let the planner look up one row after the other.
 */
static void
run_checks(FunctionCallInfo fcinfo, const UaefAuditMark *from)
{
	bool		nestloop = enable_nestloop;
	Datum		args[] = {Int64GetDatum(from->journal_id),
	Int64GetDatum(from->event_id), Int64GetDatum(from->account_id)};

	PG_TRY();
	{
		if (from->journal_id == UAEF_AUDIT_WHOLE)
			enable_nestloop = false;
		for (int i = 0; i < lengthof(checks); i++)
			put_found(fcinfo, checks[i], args);
		uaef_audit_lines(fcinfo, from->journal_id);
	}
	PG_FINALLY();
	{
		enable_nestloop = nestloop;
	}
	PG_END_TRY();
}

void
uaef_book_audit(FunctionCallInfo fcinfo, bool since_last, const char *actor)
{
	Tuplestorestate *found = ((ReturnSetInfo *) fcinfo->resultinfo)->setResult;
	UaefCaller	caller = uaef_spi_begin();
	UaefAuditMark from = {UAEF_AUDIT_WHOLE, UAEF_AUDIT_WHOLE, UAEF_AUDIT_WHOLE};
	UaefAuditMark mark;
	bool		marks = uaef_audit_mark_begin();

	marks = marks && uaef_audit_mark_draw(&mark);

	/*
	 * The last mark and its sums are of one moment, even where it is
	 * unlocked.
	 */
	PushActiveSnapshot(GetLatestSnapshot());
	if (since_last)
		uaef_audit_mark_last(&from);
	run_checks(fcinfo, &from);
	PopActiveSnapshot();
	if (marks && tuplestore_tuple_count(found) == 0)
		uaef_audit_mark_put(&from, &mark, actor);
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
