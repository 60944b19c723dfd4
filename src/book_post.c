/*-------------------------------------------------------------------------
 *
 * book_post.c
 *	  Posting journals: checked, applied to balances, written with their event.
 *
 * All of a call is worked out in memory, over balances that are locked: first
 * what needs no lock (amounts, that each journal balances, digests), then what
 * does (keys, states, limits), journal by journal in their order.  Rows go to
 * the heap at the end, after the event that names them.
 *
 * A key that is just being written by another transaction is waited for.  Two
 * calls that bring the same content with the same key meet at the lock of a
 * balance before they look for the key: what has several is chosen by the
 * first key.  So the unique index stops only a key that comes with two
 * contents at the same moment, and then one of the two is told to try again.
 *
 * To look for a key costs as much as to write it.  So of the keys of a batch
 * only some are looked for, and if all of these are new it is written in a
 * subtransaction: where the unique index finds another one that is not, that is
 * undone, and all are looked for.
 *
 * Locking: see book.h.  Memory: a context of its own for each call.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_type_d.h"
#include "commands/sequence.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "blank.h"
#include "book_internal.h"
#include "clock.h"
#include "compat.h"
#include "errcodes.h"
#include "event_hash.h"
#include "identity.h"
#include "json_util.h"
#include "ledger.h"
#include "subtransaction.h"

#define MAX_KIND		63

/* More lines than these are not listed in the event of one journal. */
#define MAX_TOLD_LINES	20

/* Of a batch of more journals only each so many-th key is looked for at first. */
#define KEY_SAMPLE		64

/* More subtransactions than these would cost every snapshot. */
#define MAX_SUBXACTS	(PGPROC_MAX_CACHED_SUBXIDS / 2)

/* A posting as it is worked with. */
typedef struct Line
{
	BookAccount *account;
	UaefMinor	amount;
} Line;

/* A key of this call. */
typedef struct SeenKey
{
	char		key[MAX_KEY + 1];	/* hash key */
	int			journal;
} SeenKey;

typedef struct PostCall
{
	const UaefBookActor *actor;
	UaefJournal *journals;
	int			n;
	int			current;		/* for the context of errors */
	Line	   *lines;			/* of all journals, one after the other */
	int			n_lines;
	int		   *first;			/* each journal's first line */
	int		   *same;			/* the earlier one with the same key, or -1 */
	BookAccounts accounts;
	TimestampTz recorded_at;
	int64		event_id;
	int			n_new;
	Datum		posted_by;		/* texts that all rows share */
	Datum		side[2];		/* debit, credit */
} PostCall;

static void tell_journal(void *arg);
static void check_word(const UaefJournal *journal);
static void check_journal(const UaefJournal *journal);
static void resolve_journal(PostCall *call, int i);
static void check_balanced(const UaefJournal *journal, const Line *lines);
static void check_moves(const UaefJournal *journal, const Line *lines);
static void resolve(PostCall *call);
static void find_repeated(PostCall *call);
static void reuse(UaefJournal *journal, int64 journal_id,
				  const uint8 *digest);
static void find_key(UaefScan *scan, SnapshotData *dirty,
					 UaefJournal *journal);
static bool find_keys(PostCall *call, int step);
static void apply_journal(PostCall *call, int i);
static void apply(PostCall *call);
static void draw_ids(PostCall *call);
static Jsonb *one_payload(const PostCall *call, const UaefJournal *journal);
static Jsonb *batch_payload(const PostCall *call, int64 first, int64 last);
static void record(PostCall *call);
static void set_text(BookRow *row, int column, const char *text);
static HeapTuple journal_row(const PostCall *call, TupleDesc desc,
							 const UaefJournal *journal);
static HeapTuple *line_rows(const PostCall *call, TupleDesc desc, int i,
							HeapTuple *rows);
static void write_all(PostCall *call);
static void post_new(void *arg);
static bool post_unsure(PostCall *call);
static void post_sure(PostCall *call);

static void
tell_journal(void *arg)
{
	PostCall   *call = arg;

	if (call->n > 1 && call->current >= 0)
		errcontext("journal %d of %d", call->current + 1, call->n);
}

/* ----------
 * What needs no lock
 * ----------
 */

/*
 * A kind is a lower-case word.
 */
static void
check_word(const UaefJournal *journal)
{
	const char *kind = journal->kind;
	size_t		len = kind == NULL ? 0 : strlen(kind);

	if (len == 0 || len > MAX_KIND || *kind < 'a' || *kind > 'z' ||
		strspn(kind, "abcdefghijklmnopqrstuvwxyz0123456789_") != len)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid kind of journal"),
				 errdetail("It is a lower-case letter, then at most %d lower-case letters, digits and underscores.",
						   MAX_KIND - 1)));
}

static void
check_journal(const UaefJournal *journal)
{
	check_word(journal);
	if (journal->key != NULL && (strlen(journal->key) > MAX_KEY ||
								 uaef_blank_at_ends(journal->key)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid idempotency key"),
				 errdetail("It has 1 to %d bytes, and no blank at its ends.",
						   MAX_KEY)));
	if (journal->description != NULL &&
		strlen(journal->description) > MAX_DESCRIPTION)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_TOO_LARGE),
				 errmsg("description of a journal has more than %d bytes",
						MAX_DESCRIPTION)));
	if (journal->has_effective_at &&
		TIMESTAMP_NOT_FINITE(journal->effective_at))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("a journal takes effect at a finite time")));
	if (journal->n_postings == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_UNBALANCED),
				 errmsg("a journal has no lines")));
}

/*
 * Accounts and amounts of a journal, and its digest.
 */
static void
resolve_journal(PostCall *call, int i)
{
	UaefJournal *journal = &call->journals[i];
	Line	   *lines = &call->lines[call->first[i]];
	BookDigest	digest;

	check_journal(journal);
	uaef_book_digest_begin(&digest, journal);
	for (int k = 0; k < journal->n_postings; k++)
	{
		UaefPosting *posting = &journal->postings[k];

		if (posting->line == 0)
			posting->line = k + 1;
		lines[k].account = uaef_accounts_get(&call->accounts,
											 posting->account);
		if (k > 0 && posting->amount == posting[-1].amount)
			lines[k].amount = lines[k - 1].amount;	/* of a transfer */
		else if (!uaef_minor_is_amount(posting->amount, &lines[k].amount))
			(void) uaef_minor_require(posting->amount,
									  psprintf("amount of line %d", posting->line));
		if (posting->currency != NULL &&
			strcmp(posting->currency, lines[k].account->currency) != 0)
			ereport(ERROR,
					(errcode(ERRCODE_UAEF_CURRENCY),
					 errmsg("account \"%s\" is in %s, not in %s",
							posting->account, lines[k].account->currency,
							posting->currency)));
		uaef_book_digest_line(&digest, posting->line,
							  lines[k].account->account_id, posting->credit,
							  lines[k].amount);
	}
	uaef_book_digest_end(&digest, journal->digest);
	check_balanced(journal, lines);
	check_moves(journal, lines);
}

/*
 * What goes from an account to itself goes nowhere: whoever asks for it has
 * mistaken one of two accounts.
 */
static void
check_moves(const UaefJournal *journal, const Line *lines)
{
	if (journal->reverses != 0)
		return;					/* a part of one may be all of one account */
	for (int k = 1; k < journal->n_postings; k++)
		if (lines[k].account != lines[0].account)
			return;
	ereport(ERROR,
			(errcode(ERRCODE_UAEF_SAME_ACCOUNT),
			 errmsg("a journal moves money from account \"%s\" to itself",
					lines[0].account->code),
			 errhint("Name the account that the money comes from, and another one that it goes to.")));
}

/*
 * Debits are credits, in each currency.
 */
static void
check_balanced(const UaefJournal *journal, const Line *lines)
{
	bool	   *done = palloc0(sizeof(bool) * journal->n_postings);
	int			left = journal->n_postings;

	for (int from = 0; left > 0; from++)
	{
		const char *currency = lines[from].account->currency;
		UaefMinor	debit = 0;
		UaefMinor	credit = 0;

		if (done[from])
			continue;
		for (int k = from; k < journal->n_postings; k++)
		{
			if (done[k] || strcmp(lines[k].account->currency, currency) != 0)
				continue;
			uaef_minor_add(journal->postings[k].credit ? &credit : &debit,
						   lines[k].amount);
			done[k] = true;
			left--;
		}
		if (debit != credit)
			ereport(ERROR,
					(errcode(ERRCODE_UAEF_UNBALANCED),
					 errmsg("a journal does not balance"),
					 errdetail("In %s it debits %s and credits %s minor units.",
							   currency, uaef_minor_text(debit),
							   uaef_minor_text(credit)),
					 left > 0 || from > 0 ?
					 errhint("Each currency must balance by itself: exchange through an account of kind control in each.") : 0));
	}
	pfree(done);
}

static void
resolve(PostCall *call)
{
	int64		n_lines = 0;

	call->first = palloc(sizeof(int) * call->n);
	call->same = palloc(sizeof(int) * call->n);
	for (int i = 0; i < call->n; i++)
	{
		call->first[i] = (int) n_lines;
		call->same[i] = -1;
		n_lines += call->journals[i].n_postings;
		if (n_lines > UAEF_BOOK_MAX_LINES)
			ereport(ERROR,
					(errcode(ERRCODE_UAEF_TOO_LARGE),
					 errmsg("more than %d lines are posted at once",
							UAEF_BOOK_MAX_LINES),
					 errhint("Post them in several calls.")));
	}
	call->n_lines = (int) n_lines;
	call->lines = palloc(sizeof(Line) * Max(n_lines, 1));
	for (int i = 0; i < call->n; i++)
	{
		call->current = i;
		resolve_journal(call, i);
	}
	find_repeated(call);
}

/*
 * A key may come twice in a call, with the same content: the second journal is
 * the first one, which has no number yet.
 */
static void
find_repeated(PostCall *call)
{
	HASHCTL		ctl = {
		.keysize = MAX_KEY + 1,
		.entrysize = sizeof(SeenKey),
		.hcxt = CurrentMemoryContext
	};
	HTAB	   *seen;

	if (call->n < 2)
		return;
	seen = hash_create("uaef keys", call->n, &ctl,
					   HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	for (int i = 0; i < call->n; i++)
	{
		UaefJournal *journal = &call->journals[i];
		char		key[MAX_KEY + 1];
		SeenKey    *entry;
		bool		found;

		if (journal->key == NULL)
			continue;
		call->current = i;
		strlcpy(key, journal->key, sizeof(key));
		entry = hash_search(seen, key, HASH_ENTER, &found);
		if (!found)
			entry->journal = i;
		else
		{
			call->same[i] = entry->journal;
			reuse(journal, 0, call->journals[entry->journal].digest);
		}
	}
	hash_destroy(seen);
}

/* ----------
 * Keys
 * ----------
 */

/*
 * A journal's key was posted before: it is that journal, if the content is.
 */
static void
reuse(UaefJournal *journal, int64 journal_id, const uint8 *digest)
{
	if (memcmp(journal->digest, digest, UAEF_HASH_LEN) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_KEY_REUSED),
				 errmsg("idempotency key \"%s\" was used for another journal",
						journal->key),
				 errhint("Use a new key for a new journal.")));
	journal->existed = true;
	journal->journal_id = journal_id;
}

/*
 * Look for a key among all rows, also of transactions that have not ended,
 * which are waited for.
 */
static void
find_key(UaefScan *scan, SnapshotData *dirty, UaefJournal *journal)
{
	ScanKeyData key;

	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_TEXTEQ,
				CStringGetTextDatum(journal->key));
	for (;;)
	{
		TransactionId writer;
		ItemPointerData tid;

		if (scan->rel == NULL)
			uaef_scan_begin(scan, "journal", "journal_idempotency_key", dirty,
							1, &key);
		else
			uaef_scan_again(scan, 1, &key);
		if (!uaef_scan_next(scan, ForwardScanDirection))
			return;
		writer = dirty->xmin;
		if (!TransactionIdIsValid(writer))
			break;
		tid = scan->slot->tts_tid;
		ExecClearTuple(scan->slot);
		XactLockTableWait(writer, scan->rel, &tid, XLTW_InsertIndex);
	}
	reuse(journal,
		  DatumGetInt64(uaef_scan_value(scan, JOURNAL_ID + 1)),
		  uaef_datum_hash(uaef_scan_value(scan, JOURNAL_DIGEST + 1)));
}

/*
 * Look for each step-th key; returns whether one was found.
 */
static bool
find_keys(PostCall *call, int step)
{
	SnapshotData dirty;
	UaefScan	scan = {0};
	bool		found = false;

	InitDirtySnapshot(dirty);
	for (int i = 0; i < call->n; i += step)
	{
		UaefJournal *journal = &call->journals[i];

		call->current = i;
		if (journal->key != NULL && !journal->existed)
			find_key(&scan, &dirty, journal);
		if (journal->existed && call->same[i] < 0)
			found = true;
	}
	if (scan.rel != NULL)
		uaef_scan_end(&scan);
	return found;
}

/* ----------
 * What depends on balances
 * ----------
 */

static void
apply_journal(PostCall *call, int i)
{
	const UaefJournal *journal = &call->journals[i];
	const Line *lines = &call->lines[call->first[i]];

	for (int k = 0; k < journal->n_postings; k++)
	{
		BookBalance *balance = lines[k].account->balance;

		uaef_balance_require_open(balance);
		uaef_minor_add(journal->postings[k].credit ?
					   &balance->credit : &balance->debit, lines[k].amount);
		balance->postings++;
		balance->dirty = true;
	}
	if (journal->unheld != NULL)
		lines[0].account->balance->held -=
			uaef_minor_from_numeric(journal->unheld);
	for (int k = 0; k < journal->n_postings; k++)
		uaef_balance_require_limits(lines[k].account->balance, call->actor);
}

static void
apply(PostCall *call)
{
	for (int i = 0; i < call->n; i++)
	{
		call->current = i;
		if (call->journals[i].existed)
			continue;
		apply_journal(call, i);
		call->n_new++;
	}
	call->current = -1;
}

/* ----------
 * Writing
 * ----------
 */

static void
draw_ids(PostCall *call)
{
	Oid			sequence = get_relname_relid("journal_id",
											 get_namespace_oid("uaef", false));

	for (int i = 0; i < call->n; i++)
	{
		UaefJournal *journal = &call->journals[i];

		if (call->same[i] >= 0)
			journal->journal_id = call->journals[call->same[i]].journal_id;
		else if (!journal->existed)
			journal->journal_id = nextval_internal(sequence, false);
	}
}

/*
 * What the event of one journal says.
 */
static Jsonb *
one_payload(const PostCall *call, const UaefJournal *journal)
{
	const Line *lines = &call->lines[call->first[journal - call->journals]];
	char	   *texts[MAX_TOLD_LINES];
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_int(&json, "journal", journal->journal_id);
	uaef_json_text(&json, "kind", journal->kind);
	uaef_json_text(&json, "key", journal->key);
	uaef_json_text(&json, "description", journal->description);
	if (journal->has_effective_at)
		uaef_json_time(&json, "effective_at", journal->effective_at);
	uaef_json_time(&json, "recorded_at", call->recorded_at);
	if (journal->reverses != 0)
		uaef_json_int(&json, "reverses", journal->reverses);
	if (journal->hold_id != 0)
		uaef_json_int(&json, "hold", journal->hold_id);
	uaef_json_text(&json, "digest", uaef_hex(journal->digest, UAEF_HASH_LEN));
	if (journal->n_postings <= MAX_TOLD_LINES)
	{
		for (int k = 0; k < journal->n_postings; k++)
			texts[k] = psprintf("%s %s %s %s",
								journal->postings[k].credit ? "credit" : "debit",
								lines[k].account->code,
								uaef_minor_text(lines[k].amount),
								lines[k].account->currency);
		uaef_json_texts(&json, "lines", texts, journal->n_postings);
	}
	return uaef_json_end(&json);
}

/*
 * What the event of several journals says: their digests, in the order of
 * their numbers, as one.
 */
static Jsonb *
batch_payload(const PostCall *call, int64 first, int64 last)
{
	uint8	   *digests = palloc(UAEF_HASH_LEN * call->n_new);
	uint8	   *next = digests;
	uint8		hash[UAEF_HASH_LEN];
	UaefJson	json;

	for (int i = 0; i < call->n; i++)
	{
		if (call->journals[i].existed)
			continue;
		memcpy(next, call->journals[i].digest, UAEF_HASH_LEN);
		next += UAEF_HASH_LEN;
	}
	uaef_sha256(digests, next - digests, hash);
	pfree(digests);

	uaef_json_begin(&json);
	uaef_json_int(&json, "journals", call->n_new);
	uaef_json_int(&json, "first", first);
	uaef_json_int(&json, "last", last);
	uaef_json_time(&json, "recorded_at", call->recorded_at);
	uaef_json_text(&json, "digest", uaef_hex(hash, UAEF_HASH_LEN));
	return uaef_json_end(&json);
}

int64
uaef_book_event(const UaefBookActor *actor, const char *type, Jsonb *payload)
{
	pg_uuid_t	stream;
	UaefEvent	event = {
		.type = type,
		.actor_type = actor->type,
		.actor_id = actor->id,
		.payload = payload
	};

	if (actor->stream != NULL)
	{
		stream = *actor->stream;
		event.stream = &stream;
	}
	return uaef_ledger_append(&event, 1);
}

static void
record(PostCall *call)
{
	UaefJournal *first = NULL;
	UaefJournal *last = NULL;

	for (int i = 0; i < call->n; i++)
	{
		if (call->journals[i].existed)
			continue;
		last = &call->journals[i];
		if (first == NULL)
			first = last;
	}
	call->event_id = first == last ?
		uaef_book_event(call->actor, "journal_posted",
						one_payload(call, first)) :
		uaef_book_event(call->actor, "journals_posted",
						batch_payload(call, first->journal_id,
									  last->journal_id));
}

static void
set_text(BookRow *row, int column, const char *text)
{
	row->nulls[column] = (text == NULL);
	if (text != NULL)
		row->values[column] = CStringGetTextDatum(text);
}

static HeapTuple
journal_row(const PostCall *call, TupleDesc desc, const UaefJournal *journal)
{
	BookRow		row = {0};

	row.values[JOURNAL_ID] = Int64GetDatum(journal->journal_id);
	row.values[JOURNAL_EVENT_ID] = Int64GetDatum(call->event_id);
	row.values[JOURNAL_REVERSES] = Int64GetDatum(journal->reverses);
	row.nulls[JOURNAL_REVERSES] = journal->reverses == 0;
	row.values[JOURNAL_HOLD_ID] = Int64GetDatum(journal->hold_id);
	row.nulls[JOURNAL_HOLD_ID] = journal->hold_id == 0;
	row.values[JOURNAL_EFFECTIVE_AT] =
		TimestampTzGetDatum(journal->has_effective_at ?
							journal->effective_at : call->recorded_at);
	row.values[JOURNAL_RECORDED_AT] = TimestampTzGetDatum(call->recorded_at);
	row.values[JOURNAL_LINES] = Int32GetDatum(journal->n_postings);
	row.values[JOURNAL_DIGEST] = PointerGetDatum(journal->digest);
	set_text(&row, JOURNAL_KIND, journal->kind);
	set_text(&row, JOURNAL_KEY, journal->key);
	set_text(&row, JOURNAL_DESCRIPTION, journal->description);
	row.values[JOURNAL_POSTED_BY] = call->posted_by;
	row.values[JOURNAL_METADATA] = JsonbPGetDatum(journal->metadata);
	row.nulls[JOURNAL_METADATA] = journal->metadata == NULL;
	return heap_form_tuple(desc, row.values, row.nulls);
}

/*
 * The rows of a journal's lines; returns the place after them.
 */
static HeapTuple *
line_rows(const PostCall *call, TupleDesc desc, int i, HeapTuple *rows)
{
	const UaefJournal *journal = &call->journals[i];
	const Line *lines = &call->lines[call->first[i]];
	BookRow		row = {0};

	row.values[POSTING_JOURNAL_ID] = Int64GetDatum(journal->journal_id);
	row.values[POSTING_EFFECTIVE_AT] =
		TimestampTzGetDatum(journal->has_effective_at ?
							journal->effective_at : call->recorded_at);
	row.values[POSTING_RECORDED_AT] = TimestampTzGetDatum(call->recorded_at);
	for (int k = 0; k < journal->n_postings; k++)
	{
		const BookAccount *account = lines[k].account;

		row.values[POSTING_ACCOUNT_ID] = Int64GetDatum(account->account_id);
		row.values[POSTING_LINE] = Int32GetDatum(journal->postings[k].line);
		row.values[POSTING_STRIPE] = Int16GetDatum(account->balance->stripe);
		row.values[POSTING_SIDE] = call->side[journal->postings[k].credit];
		if (k == 0 || lines[k].amount != lines[k - 1].amount)
			row.values[POSTING_AMOUNT] =
				NumericGetDatum(uaef_minor_numeric(lines[k].amount));
		if (k == 0 || strcmp(account->currency,
							 lines[k - 1].account->currency) != 0)
			set_text(&row, POSTING_CURRENCY, account->currency);
		*rows++ = heap_form_tuple(desc, row.values, row.nulls);
	}
	return rows;
}

/*
 * Both tables are written without the executor, so their CHECKs are ours.
 */
static void
write_all(PostCall *call)
{
	UaefTable	journals;
	UaefTable	postings;
	HeapTuple  *rows = palloc(sizeof(HeapTuple) * Max(call->n_new, 1));
	HeapTuple  *lines = palloc(sizeof(HeapTuple) * call->n_lines);
	HeapTuple  *next = lines;
	int			n = 0;

	call->posted_by = CStringGetTextDatum(call->actor->id != NULL ?
										  call->actor->id : call->actor->type);
	call->side[false] = CStringGetTextDatum("debit");
	call->side[true] = CStringGetTextDatum("credit");
	uaef_table_open(&journals, "journal");
	uaef_table_open(&postings, "posting");
	uaef_require_columns(RelationGetDescr(journals.rel), "journal",
						 N_JOURNAL_COLUMNS);
	uaef_require_columns(RelationGetDescr(postings.rel), "posting",
						 N_POSTING_COLUMNS);
	for (int i = 0; i < call->n; i++)
	{
		if (call->journals[i].existed)
			continue;
		rows[n++] = journal_row(call, RelationGetDescr(journals.rel),
								&call->journals[i]);
		next = line_rows(call, RelationGetDescr(postings.rel), i, next);
	}
	uaef_table_insert_many(&journals, rows, n);
	uaef_table_insert_many(&postings, lines, (int) (next - lines));
	uaef_table_close(&postings);
	uaef_table_close(&journals);
}

/* ----------
 * The call
 * ----------
 */

/*
 * Calls with the same first key take the same rows of balances.
 */
static uint32
stripe_hash(const UaefJournal *first)
{
	if (first->key == NULL)
		return (uint32) uaef_backend_slot();
	return hash_bytes((const unsigned char *) first->key,
					  strlen(first->key));
}

/*
 * Post what was not there.
 */
static void
post_new(void *arg)
{
	PostCall   *call = arg;

	call->n_new = 0;
	apply(call);
	call->recorded_at = uaef_clock_now();
	draw_ids(call);
	if (call->n_new > 0)
	{
		record(call);
		write_all(call);
	}
}

/*
 * Post a batch whose keys seem to be new; false when one is not.
 */
static bool
post_unsure(PostCall *call)
{
	ErrorData  *error;

	if (call->n <= KEY_SAMPLE ||
		MyProc->subxidStatus.count >= MAX_SUBXACTS ||
		find_keys(call, KEY_SAMPLE))
		return false;
	error = uaef_try(post_new, call);
	if (error == NULL)
		return true;
	if (error->sqlerrcode != ERRCODE_UNIQUE_VIOLATION)
		ReThrowError(error);
	uaef_accounts_lock(&call->accounts, stripe_hash(call->journals));	/* as they were */
	return false;
}

/*
 * What the unique index of keys refuses was not there when we looked.
 */
static void
post_sure(PostCall *call)
{
	MemoryContext context = CurrentMemoryContext;

	(void) find_keys(call, 1);
	PG_TRY();
	{
		post_new(call);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		if (error->sqlerrcode != ERRCODE_UNIQUE_VIOLATION)
			PG_RE_THROW();
		FlushErrorState();
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("an idempotency key is just being used by another transaction"),
				 errdetail("%s", error->detail != NULL ? error->detail : ""),
				 errhint("Retry the transaction.")));
	}
	PG_END_TRY();
}

void
uaef_book_post(const UaefBookActor *actor, UaefJournal *journals, int n)
{
	PostCall	call = {.actor = actor,.journals = journals,.n = n};
	ErrorContextCallback context = {
		.previous = error_context_stack,
		.callback = tell_journal,
		.arg = &call
	};
	MemoryContext memory = AllocSetContextCreate(CurrentMemoryContext,
												 "uaef posting",
												 ALLOCSET_DEFAULT_SIZES);
	MemoryContext back;
	UaefCaller	caller;

	if (n == 0)
		return;
	back = MemoryContextSwitchTo(memory);
	caller = uaef_become_owner();
	error_context_stack = &context;
	call.current = -1;

	uaef_accounts_begin(&call.accounts);
	resolve(&call);
	uaef_accounts_lock(&call.accounts, stripe_hash(&journals[0]));
	if (!post_unsure(&call))
		post_sure(&call);
	uaef_accounts_end(&call.accounts);

	error_context_stack = context.previous;
	uaef_become_caller(caller);
	MemoryContextSwitchTo(back);
	MemoryContextDelete(memory);
}
