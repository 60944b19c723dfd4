/*-------------------------------------------------------------------------
 *
 * book_statement.c
 *	  What accounts say: balances at a time, postings with running balances.
 *
 * The balance at a time is today's less what took effect since, so that a
 * recent one costs what has happened since, whatever the account's age.  What
 * was known at an earlier time is summed from the beginning.
 *
 * Locking: none; what the active snapshot sees.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "book_internal.h"
#include "book_statement.h"
#include "spi_util.h"

/* On the side that adds to the balance of the account a. */
#define SIGNED(debit, credit) \
	"CASE WHEN a.kind IN ('liability', 'income', 'equity')" \
	" THEN (" credit ") - (" debit ") ELSE (" debit ") - (" credit ") END"

#define SUM(side) \
	"coalesce(sum(p.amount) FILTER (WHERE p.side = '" side "'), 0)"

static UaefQuery balance_now = {
	"SELECT (SELECT " SIGNED("sum(s.debit)", "sum(s.credit)")
	" FROM uaef.account_stripe s WHERE s.account_id = a.account_id)"
	" FROM uaef.account a WHERE a.code = $1",
	1, {TEXTOID}
};

static UaefQuery balance_at = {
	"SELECT (SELECT " SIGNED("sum(s.debit)", "sum(s.credit)")
	" FROM uaef.account_stripe s WHERE s.account_id = a.account_id)"
	" - (SELECT " SIGNED(SUM("debit"), SUM("credit"))
	" FROM uaef.posting p WHERE p.account_id = a.account_id"
	" AND p.effective_at > $2) FROM uaef.account a WHERE a.code = $1",
	2, {TEXTOID, TIMESTAMPTZOID}
};

static UaefQuery balance_known = {
	"SELECT (SELECT " SIGNED(SUM("debit"), SUM("credit"))
	" FROM uaef.posting p WHERE p.account_id = a.account_id"
	" AND p.effective_at <= $2 AND p.recorded_at <= $3)"
	" FROM uaef.account a WHERE a.code = $1",
	3, {TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID}
};

/* The opening balance is that of just before. */
static UaefQuery find_postings = {
	"WITH a AS (SELECT * FROM uaef.account WHERE code = $1),"
	" o AS (SELECT (SELECT " SIGNED("sum(s.debit)", "sum(s.credit)")
	"  FROM uaef.account_stripe s WHERE s.account_id = a.account_id)"
	"  - (SELECT " SIGNED(SUM("debit"), SUM("credit"))
	"  FROM uaef.posting p WHERE p.account_id = a.account_id"
	"  AND p.effective_at >= $2) AS balance FROM a)"
	" SELECT nullif($2, '-infinity'), NULL, NULL, NULL, 'opening', NULL,"
	"  NULL, NULL, o.balance FROM o"
	" UNION ALL (SELECT p.effective_at, p.recorded_at, p.journal_id, p.line,"
	"  j.kind, j.description,"
	"  CASE WHEN p.side = 'debit' THEN p.amount END,"
	"  CASE WHEN p.side = 'credit' THEN p.amount END,"
	"  o.balance + sum(" SIGNED("CASE WHEN p.side = 'debit' THEN p.amount ELSE 0 END",
								"CASE WHEN p.side = 'credit' THEN p.amount ELSE 0 END") ")"
	"  OVER (ORDER BY p.effective_at, p.journal_id, p.line"
	"  ROWS UNBOUNDED PRECEDING)"
	"  FROM o, a JOIN uaef.posting p USING (account_id)"
	"  JOIN uaef.journal j USING (journal_id)"
	"  WHERE p.effective_at >= $2 AND p.effective_at < $3"
	"  ORDER BY p.effective_at, p.journal_id, p.line)",
	3, {TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID}
};

Numeric
uaef_book_balance(const char *account, TimestampTz at,
				  TimestampTz recorded_at)
{
	MemoryContext result = CurrentMemoryContext;
	MemoryContext back;
	UaefCaller	caller = uaef_spi_begin();
	UaefQuery  *query = recorded_at != 0 ? &balance_known :
		at != 0 ? &balance_at : &balance_now;
	Datum		args[3] = {CStringGetTextDatum(account),
		TimestampTzGetDatum(at != 0 ? at : DT_NOEND),
	TimestampTzGetDatum(recorded_at)};
	Numeric		balance;
	bool		isnull;

	if (uaef_spi_read(query, args) == 0)
		uaef_account_undefined(account);
	back = MemoryContextSwitchTo(result);
	balance = DatumGetNumericCopy(uaef_spi_value(0, 1, &isnull));
	MemoryContextSwitchTo(back);
	uaef_spi_end(caller);
	return balance;
}

void
uaef_book_statement(FunctionCallInfo fcinfo, const char *account,
					TimestampTz since, TimestampTz until)
{
	UaefCaller	caller;
	Datum		args[3] = {CStringGetTextDatum(account),
		TimestampTzGetDatum(since != 0 ? since : DT_NOBEGIN),
	TimestampTzGetDatum(until != 0 ? until : DT_NOEND)};
	uint64		rows;

	if (since != 0 && until != 0 && since > until)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("since is after until")));
	uaef_begin_set(fcinfo);
	caller = uaef_spi_begin();
	rows = uaef_spi_read(&find_postings, args);
	if (rows == 0)
		uaef_account_undefined(account);
	for (uint64 row = 0; row < rows; row++)
	{
		Datum		values[9];
		bool		nulls[9];

		for (int i = 0; i < lengthof(values); i++)
			values[i] = uaef_spi_value(row, i + 1, &nulls[i]);
		uaef_put_row(fcinfo, values, nulls);
	}
	uaef_spi_end(caller);
}
