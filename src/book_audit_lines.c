/*-------------------------------------------------------------------------
 *
 * book_audit_lines.c
 *	  Whether journals are what was posted, line by line.
 *
 * Journals and postings are read once, in the order of their numbers, and what
 * must be true of a journal and its lines is looked at as they come by.
 *
 * Locking: none.  Memory: the rows are read some at a time.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "book_audit_internal.h"
#include "book_internal.h"

/* Rows that are read at a time. */
#define FETCH_ROWS 5000

/* Columns of what is read, in their order. */
enum
{
	COLUMN_ID = 1, COLUMN_IS_THERE, COLUMN_KIND, COLUMN_KEY,
	COLUMN_DESCRIPTION, COLUMN_EFFECTIVE_AT, COLUMN_HAS_EFFECTIVE_AT,
	COLUMN_REVERSES, COLUMN_HOLD_ID, COLUMN_METADATA, COLUMN_DIGEST,
	COLUMN_LINES, COLUMN_LINE, COLUMN_ACCOUNT_ID, COLUMN_SIDE, COLUMN_AMOUNT,
	COLUMN_CURRENCY, COLUMN_ACCOUNT_CURRENCY, COLUMN_TIMES_DIFFER
};

static const char *const read_lines =
"SELECT coalesce(j.journal_id, p.journal_id), j.journal_id IS NOT NULL,"
" j.kind, j.idempotency_key, j.description, j.effective_at,"
" j.effective_at <> j.recorded_at, coalesce(j.reverses, 0),"
" coalesce(j.hold_id, 0), j.metadata, j.digest::bytea, j.lines,"
" p.line, p.account_id, p.side, p.amount, p.currency, p.account_currency,"
" p.effective_at <> j.effective_at OR p.recorded_at <> j.recorded_at"
" FROM (SELECT * FROM uaef.journal WHERE journal_id > $1) j"
" FULL JOIN (SELECT q.*, a.currency AS account_currency"
"  FROM uaef.posting q LEFT JOIN uaef.account a USING (account_id)"
"  WHERE q.journal_id > $1) p USING (journal_id)"
" ORDER BY 1, p.line";

/* What a journal moves in one currency. */
typedef struct Moved
{
	char	   *currency;
	UaefMinor	debit;
	UaefMinor	credit;
} Moved;

/* A journal as it is read, line by line. */
typedef struct Reading
{
	FunctionCallInfo fcinfo;
	MemoryContext context;		/* of one journal */
	HeapTuple	row;
	TupleDesc	desc;
	bool		begun;
	UaefJournal journal;		/* the one that is being read */
	bool		is_there;		/* else these are lines without a journal */
	int			lines;			/* that it has by its own word */
	uint8		stored[UAEF_HASH_LEN];
	UaefPosting *postings;
	UaefMinor  *amounts;
	int64	   *account_ids;
	int			size;			/* of these */
	Moved	   *moved;
	int			n_moved;
	bool		broken;			/* an amount that is none */
} Reading;

static Datum column(const Reading *reading, int number, bool *isnull);
static char *column_text(const Reading *reading, int number);
static int64 column_int64(const Reading *reading, int number);
static void tell(const Reading *reading, const char *problem,
				 const char *detail);
static void tell_line(const Reading *reading, const char *problem,
					  const char *detail);
static bool matches(Reading *reading, bool has_effective_at);
static void check_moved(const Reading *reading);
static void end_journal(Reading *reading);
static void begin_journal(Reading *reading);
static void add_moved(Reading *reading, char *currency, const char *side,
					  UaefMinor amount);
static void make_room(Reading *reading);
static void check_line(Reading *reading);
static void add_line(Reading *reading);
static void add_row(Reading *reading);

/* ----------
 * Columns
 * ----------
 */

static Datum
column(const Reading *reading, int number, bool *isnull)
{
	return SPI_getbinval(reading->row, reading->desc, number, isnull);
}

static char *
column_text(const Reading *reading, int number)
{
	bool		isnull;
	Datum		value = column(reading, number, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

static int64
column_int64(const Reading *reading, int number)
{
	bool		isnull;

	return DatumGetInt64(column(reading, number, &isnull));
}

/* ----------
 * What is wrong
 * ----------
 */

static void
tell(const Reading *reading, const char *problem, const char *detail)
{
	uaef_audit_tell(reading->fcinfo, problem,
					psprintf("journal " INT64_FORMAT,
							 reading->journal.journal_id), detail);
}

static void
tell_line(const Reading *reading, const char *problem, const char *detail)
{
	bool		isnull;

	uaef_audit_tell(reading->fcinfo, problem,
					psprintf("journal " INT64_FORMAT " line %d",
							 reading->journal.journal_id,
							 DatumGetInt32(column(reading, COLUMN_LINE,
												  &isnull))), detail);
}

static bool
matches(Reading *reading, bool has_effective_at)
{
	UaefJournal *journal = &reading->journal;
	BookDigest	digest;
	uint8		hash[UAEF_HASH_LEN];

	journal->has_effective_at = has_effective_at;
	uaef_book_digest_begin(&digest, journal);
	for (int k = 0; k < journal->n_postings; k++)
		uaef_book_digest_line(&digest, reading->postings[k].line,
							  reading->account_ids[k],
							  reading->postings[k].credit,
							  reading->amounts[k]);
	uaef_book_digest_end(&digest, hash);
	return memcmp(hash, reading->stored, UAEF_HASH_LEN) == 0;
}

static void
check_moved(const Reading *reading)
{
	for (int i = 0; i < reading->n_moved; i++)
	{
		const Moved *moved = &reading->moved[i];

		if (moved->debit != moved->credit)
			tell(reading, "JOURNAL_UNBALANCED",
				 psprintf("debits are %s, credits %s %s",
						  uaef_minor_text(moved->debit),
						  uaef_minor_text(moved->credit), moved->currency));
	}
}

/*
 * All lines of a journal have been read.  Whether the time at which it takes
 * effect was given is known, unless it is the time of its recording.
 */
static void
end_journal(Reading *reading)
{
	UaefJournal *journal = &reading->journal;

	if (!reading->begun)
		return;
	if (!reading->broken)
		check_moved(reading);
	if (reading->is_there &&
		(journal->n_postings != reading->lines || reading->lines < 1))
		tell(reading, "JOURNAL_LINES",
			 psprintf("it has %d lines, not %d", journal->n_postings,
					  reading->lines));
	if (reading->is_there && journal->n_postings > 0 &&
		(reading->broken || !(matches(reading, journal->has_effective_at) ||
							  matches(reading, true))))
		tell(reading, "JOURNAL_CHANGED",
			 "what it holds does not give its digest");
	MemoryContextReset(reading->context);
}

/* ----------
 * Reading
 * ----------
 */

static void
begin_journal(Reading *reading)
{
	UaefJournal *journal = &reading->journal;
	bool		isnull;
	Datum		value;

	memset(journal, 0, sizeof(UaefJournal));
	reading->begun = true;
	journal->journal_id = column_int64(reading, COLUMN_ID);
	reading->is_there = DatumGetBool(column(reading, COLUMN_IS_THERE,
											&isnull));
	reading->broken = false;
	reading->size = 0;
	reading->n_moved = 0;
	reading->moved = NULL;
	if (!reading->is_there)
		return;
	journal->kind = column_text(reading, COLUMN_KIND);
	journal->key = column_text(reading, COLUMN_KEY);
	journal->description = column_text(reading, COLUMN_DESCRIPTION);
	journal->effective_at =
		DatumGetTimestampTz(column(reading, COLUMN_EFFECTIVE_AT, &isnull));
	journal->has_effective_at =
		DatumGetBool(column(reading, COLUMN_HAS_EFFECTIVE_AT, &isnull));
	journal->reverses = column_int64(reading, COLUMN_REVERSES);
	journal->hold_id = column_int64(reading, COLUMN_HOLD_ID);
	value = column(reading, COLUMN_METADATA, &isnull);
	journal->metadata = isnull ? NULL : DatumGetJsonbPCopy(value);
	value = column(reading, COLUMN_DIGEST, &isnull);
	memcpy(reading->stored, VARDATA_ANY(DatumGetByteaPP(value)),
		   UAEF_HASH_LEN);
	reading->lines = DatumGetInt32(column(reading, COLUMN_LINES, &isnull));
}

static void
add_moved(Reading *reading, char *currency, const char *side,
		  UaefMinor amount)
{
	UaefMinor  *sum;
	int			i = 0;

	while (i < reading->n_moved &&
		   strcmp(reading->moved[i].currency, currency) != 0)
		i++;
	if (i == reading->n_moved)
	{
		reading->moved = reading->moved == NULL ? palloc(sizeof(Moved)) :
			repalloc(reading->moved, sizeof(Moved) * (i + 1));
		reading->moved[i] = (Moved)
		{
			currency, 0, 0
		};
		reading->n_moved++;
	}
	sum = strcmp(side, "debit") == 0 ? &reading->moved[i].debit :
		&reading->moved[i].credit;
	if (amount > UAEF_MINOR_MAX - *sum)
		reading->broken = true; /* nobody could have posted it */
	else
		*sum += amount;
}

static void
make_room(Reading *reading)
{
	if (reading->size == 0)
	{
		reading->size = 8;
		reading->postings = palloc(sizeof(UaefPosting) * reading->size);
		reading->amounts = palloc(sizeof(UaefMinor) * reading->size);
		reading->account_ids = palloc(sizeof(int64) * reading->size);
	}
	else if (reading->journal.n_postings == reading->size)
	{
		reading->size *= 2;
		reading->postings = repalloc(reading->postings,
									 sizeof(UaefPosting) * reading->size);
		reading->amounts = repalloc(reading->amounts,
									sizeof(UaefMinor) * reading->size);
		reading->account_ids = repalloc(reading->account_ids,
										sizeof(int64) * reading->size);
	}
}

/*
 * A line by itself; its amount is the last that was added.
 */
static void
check_line(Reading *reading)
{
	char	   *currency = column_text(reading, COLUMN_CURRENCY);
	char	   *account_currency = column_text(reading, COLUMN_ACCOUNT_CURRENCY);
	char	   *side = column_text(reading, COLUMN_SIDE);
	int			k = reading->journal.n_postings - 1;
	bool		isnull;
	Datum		amount = column(reading, COLUMN_AMOUNT, &isnull);
	bool		is_amount = uaef_minor_is_amount(DatumGetNumeric(amount),
												 &reading->amounts[k]);

	if (is_amount)
		add_moved(reading, currency, side, reading->amounts[k]);
	else
		reading->broken = true;
	if (!reading->is_there)
		tell_line(reading, "POSTING_ORPHAN", "there is no such journal");
	else if (account_currency == NULL)
		tell_line(reading, "POSTING_ORPHAN",
				  psprintf("there is no account " INT64_FORMAT,
						   reading->account_ids[k]));
	else if (strcmp(currency, account_currency) != 0)
		tell_line(reading, "POSTING_DIFFERS",
				  psprintf("it is in %s, its account in %s", currency,
						   account_currency));
	else if (DatumGetBool(column(reading, COLUMN_TIMES_DIFFER, &isnull)))
		tell_line(reading, "POSTING_DIFFERS",
				  "its times are not those of the journal");
	else if (!is_amount || (strcmp(side, "debit") != 0 &&
							strcmp(side, "credit") != 0))
		tell_line(reading, "POSTING_DIFFERS",
				  psprintf("%s %s is no posting", side,
						   DatumGetCString(DirectFunctionCall1(numeric_out,
															   amount))));
	reading->postings[k].credit = strcmp(side, "credit") == 0;
}

static void
add_line(Reading *reading)
{
	int			k = reading->journal.n_postings;
	bool		isnull;
	Datum		line = column(reading, COLUMN_LINE, &isnull);

	if (isnull)
		return;					/* a journal without lines */
	make_room(reading);
	reading->postings[k].line = DatumGetInt32(line);
	reading->account_ids[k] = column_int64(reading, COLUMN_ACCOUNT_ID);
	reading->journal.n_postings++;
	check_line(reading);
}

static void
add_row(Reading *reading)
{
	if (!reading->begun ||
		column_int64(reading, COLUMN_ID) != reading->journal.journal_id)
	{
		end_journal(reading);
		begin_journal(reading);
	}
	add_line(reading);
}

void
uaef_audit_lines(FunctionCallInfo fcinfo, int64 from)
{
	Reading		reading = {.fcinfo = fcinfo};
	Oid			type = INT8OID;
	Datum		arg = Int64GetDatum(from);
	Portal		portal = SPI_cursor_open_with_args(NULL, read_lines, 1, &type,
												   &arg, NULL, true, 0);
	MemoryContext back;

	reading.context = AllocSetContextCreate(CurrentMemoryContext,
											"uaef journal",
											ALLOCSET_DEFAULT_SIZES);
	back = MemoryContextSwitchTo(reading.context);
	for (;;)
	{
		SPITupleTable *table;

		SPI_cursor_fetch(portal, true, FETCH_ROWS);
		table = SPI_tuptable;
		if (SPI_processed == 0)
			break;
		reading.desc = table->tupdesc;
		for (uint64 i = 0; i < SPI_processed; i++)
		{
			CHECK_FOR_INTERRUPTS();
			reading.row = table->vals[i];
			add_row(&reading);
		}
		SPI_freetuptable(table);
	}
	end_journal(&reading);
	MemoryContextSwitchTo(back);
	MemoryContextDelete(reading.context);
	SPI_cursor_close(portal);
}
