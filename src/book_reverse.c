/*-------------------------------------------------------------------------
 *
 * book_reverse.c
 *	  Taking journals back, whole or in parts.
 *
 * A reversal is a journal that has the lines of the first one on the other
 * side, under the same numbers.  A part is split over the lines of each side by
 * what is left of them, so no line is ever taken back more than it was, and
 * what is left at the end is exactly the rest.
 *
 * Locking: the row of the first journal, then the balances.  What was reversed
 * is read as of now, whatever the snapshot, once the row is locked.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "utils/builtins.h"

#include "allocate.h"
#include "book_internal.h"
#include "errcodes.h"
#include "spi_util.h"

static UaefQuery lock_journal = {
	"SELECT reverses IS NOT NULL, kind LIKE 'settlement%' OR kind LIKE 'payout%'"
	" OR coalesce(idempotency_key LIKE '" UAEF_BOOK_ENGINE_KEY "%', false)"
	" FROM uaef.journal WHERE journal_id = $1 FOR NO KEY UPDATE",
	1, {INT8OID}
};

/* The lines of a journal, and what is left of each. */
static UaefQuery read_lines = {
	"SELECT p.line, a.code, p.side = 'credit', p.currency,"
	" p.amount - coalesce((SELECT sum(q.amount) FROM uaef.journal_reversal r"
	"  JOIN uaef.posting q ON q.journal_id = r.reversal_id"
	"  WHERE r.journal_id = $1 AND q.line = p.line), 0)"
	" FROM uaef.posting p JOIN uaef.account a USING (account_id)"
	" WHERE p.journal_id = $1 ORDER BY p.line",
	1, {INT8OID}
};

static UaefQuery find_key = {
	"SELECT j.journal_id, j.reverses = $2 IS TRUE"
	" AND coalesce(j.description, '') = $4 AND ($3 = 0 OR $3 ="
	" (SELECT sum(p.amount) FROM uaef.posting p"
	"  WHERE p.journal_id = j.journal_id AND p.side = 'debit'))"
	" FROM uaef.journal j WHERE j.idempotency_key = $1",
	4, {TEXTOID, INT8OID, NUMERICOID, TEXTOID}
};

static UaefQuery insert_reversal = {
	"INSERT INTO uaef.journal_reversal (journal_id, reversal_id)"
	" VALUES ($1, $2)",
	2, {INT8OID, INT8OID}
};

/* A journal that is to be taken back. */
typedef struct Original
{
	int64		journal_id;
	UaefPosting *lines;			/* as they were; amounts: what is left */
	int			n;
	bool		one_currency;
} Original;

static void read_original(Original *original);
static int64 reversed_before(int64 journal_id, UaefMinor amount,
							 const char *reason, const char *key);
static void split_side(const Original *original, bool credit,
					   Numeric amount, Numeric *parts);
static void choose_parts(const Original *original, UaefMinor amount,
						 Numeric *parts);
static int64 post_reversal(const UaefBookActor *actor,
						   const Original *original, const Numeric *parts,
						   const char *reason, const char *key);

static void
read_original(Original *original)
{
	Datum		args[1] = {Int64GetDatum(original->journal_id)};
	uint64		rows;

	rows = uaef_spi_read_latest(&read_lines, args);
	original->n = (int) rows;
	original->lines = palloc0(sizeof(UaefPosting) * Max(rows, 1));
	original->one_currency = true;
	for (uint64 row = 0; row < rows; row++)
	{
		UaefPosting *line = &original->lines[row];
		bool		isnull;

		line->line = uaef_spi_int32(row, 1);
		line->account = uaef_spi_text(row, 2);
		line->credit = uaef_spi_bool(row, 3);
		line->currency = uaef_spi_text(row, 4);
		line->amount = DatumGetNumericCopy(uaef_spi_value(row, 5, &isnull));
		if (strcmp(line->currency, original->lines[0].currency) != 0)
			original->one_currency = false;
	}
}

/*
 * The reversal that was posted with this key before, or 0; amount 0 is any.
 */
static int64
reversed_before(int64 journal_id, UaefMinor amount, const char *reason,
				const char *key)
{
	Datum		args[4];

	if (key == NULL)
		return 0;
	args[0] = CStringGetTextDatum(key);
	args[1] = Int64GetDatum(journal_id);
	args[2] = NumericGetDatum(uaef_minor_numeric(amount));
	args[3] = CStringGetTextDatum(reason ? reason : "");
	if (uaef_spi_read_latest(&find_key, args) == 0)
		return 0;
	if (!uaef_spi_bool(0, 2))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_KEY_REUSED),
				 errmsg("idempotency key \"%s\" was used for another journal",
						key),
				 errhint("Use a new key for a new journal.")));
	return uaef_spi_int64(0, 1);
}

/*
 * Split an amount over the lines of one side by what is left of them.
 */
static void
split_side(const Original *original, bool credit, Numeric amount,
		   Numeric *parts)
{
	Numeric    *weights = palloc(sizeof(Numeric) * original->n);
	Numeric    *shares = palloc(sizeof(Numeric) * original->n);
	static const UaefRemainder largest = {.kind = UAEF_REMAINDER_LARGEST};
	UaefEvalError error = {0};
	int			n = 0;

	for (int i = 0; i < original->n; i++)
		if (original->lines[i].credit == credit)
			weights[n++] = original->lines[i].amount;
	if (!uaef_allocate(amount, weights, n, &largest, shares, &error))
		uaef_eval_raise(&error);
	n = 0;
	for (int i = 0; i < original->n; i++)
		if (original->lines[i].credit == credit)
			parts[i] = shares[n++];
}

/*
 * What to take back of each line; amount 0 is all that is left.
 */
static void
choose_parts(const Original *original, UaefMinor amount, Numeric *parts)
{
	UaefMinor	left = 0;

	for (int i = 0; i < original->n; i++)
	{
		parts[i] = original->lines[i].amount;
		if (!original->lines[i].credit)
			uaef_minor_add(&left, uaef_minor_from_numeric(parts[i]));
	}
	if (left == 0 || (original->one_currency && amount > left))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_OVER_REVERSED),
				 errmsg("journal " INT64_FORMAT " has %s left to be reversed",
						original->journal_id, uaef_minor_text(left))));
	if (amount == 0)
		return;
	if (!original->one_currency)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("journal " INT64_FORMAT " has several currencies",
						original->journal_id),
				 errhint("Reverse it whole.")));
	split_side(original, false, uaef_minor_numeric(amount), parts);
	split_side(original, true, uaef_minor_numeric(amount), parts);
}

static int64
post_reversal(const UaefBookActor *actor, const Original *original,
			  const Numeric *parts, const char *reason, const char *key)
{
	UaefPosting *postings = palloc0(sizeof(UaefPosting) * original->n);
	UaefJournal journal = {
		.kind = "reversal",
		.key = key,
		.description = reason,
		.reverses = original->journal_id,
		.postings = postings
	};

	for (int i = 0; i < original->n; i++)
	{
		if (uaef_minor_from_numeric(parts[i]) == 0)
			continue;
		postings[journal.n_postings] = original->lines[i];
		postings[journal.n_postings].credit = !original->lines[i].credit;
		postings[journal.n_postings].amount = parts[i];
		journal.n_postings++;
	}
	uaef_book_post(actor, &journal, 1);
	return journal.journal_id;
}

int64
uaef_book_reverse(const UaefBookActor *actor, int64 journal_id,
				  Numeric amount, const char *reason, const char *key)
{
	UaefMinor	wanted = amount == NULL ? 0 :
		uaef_minor_require(amount, "amount of the reversal");
	UaefCaller	caller = uaef_spi_begin();
	Original	original = {.journal_id = journal_id};
	Datum		args[2] = {Int64GetDatum(journal_id)};
	Numeric    *parts;
	int64		reversal_id;

	if (uaef_spi_run(&lock_journal, args, NULL) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_UNDEFINED_JOURNAL),
				 errmsg("journal " INT64_FORMAT " does not exist",
						journal_id)));
	if (uaef_spi_bool(0, 1))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_OVER_REVERSED),
				 errmsg("journal " INT64_FORMAT " is a reversal itself",
						journal_id),
				 errhint("Post the first journal again.")));
	if (uaef_spi_bool(0, 2))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("journal " INT64_FORMAT " is the engine's", journal_id),
				 errhint("Use uaef.reverse_settlement(), or post another journal.")));
	reversal_id = reversed_before(journal_id, wanted, reason, key);
	if (reversal_id == 0)
	{
		read_original(&original);
		parts = palloc(sizeof(Numeric) * Max(original.n, 1));
		choose_parts(&original, wanted, parts);
		reversal_id = post_reversal(actor, &original, parts, reason, key);
		args[1] = Int64GetDatum(reversal_id);
		(void) uaef_spi_run(&insert_reversal, args, NULL);
	}
	uaef_spi_end(caller);
	return reversal_id;
}
