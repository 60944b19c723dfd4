/*-------------------------------------------------------------------------
 *
 * book_balance.c
 *	  The accounts of one call, and their balances under lock.
 *
 * A balance is one row, or several (stripes) that are summed: a call locks and
 * changes one of them, so that calls do not wait for each other.  What a limit
 * or a hold bounds has one row only, so one lock tells its balance.
 *
 * Locking: rows of account_stripe in the order of account_id, each as it is
 * now, whatever the snapshot of the transaction; until the transaction ends.
 * Memory: the hash table is in the context that was current at the begin.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_type_d.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "book_internal.h"
#include "errcodes.h"
#include "eval_error.h"
#include "near_name.h"

static void read_account(UaefScan *scan, BookAccount *account);
static bool find_account(BookAccounts *accounts, const char *code);
static void init_stripe_keys(ScanKeyData *keys, int64 account_id, int stripe);
static void lock_row(UaefScan *scan, TupleTableSlot *slot, Snapshot snapshot);
static UaefMinor read_minor(TupleTableSlot *slot, int column, bool *given);
static void read_balance(TupleTableSlot *slot, BookBalance *balance);
static BookAccount **sorted_accounts(BookAccounts *accounts, int *n);
static int	compare_accounts(const void *a, const void *b);
static void write_balance(BookAccounts *accounts, BookBalance *balance);

void
uaef_accounts_begin(BookAccounts *accounts)
{
	HASHCTL		ctl = {
		.keysize = MAX_ACCOUNT_CODE + 1,
		.entrysize = sizeof(BookAccount),
		.hcxt = CurrentMemoryContext
	};

	accounts->by_code = hash_create("uaef accounts", 64, &ctl,
									HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	uaef_table_open(&accounts->balances, "account_stripe");
	uaef_require_columns(RelationGetDescr(accounts->balances.rel),
						 "account_stripe", N_STRIPE_COLUMNS);
	accounts->snapshot = RegisterSnapshot(GetLatestSnapshot());
	accounts->scanning = false;
}

static void
read_account(UaefScan *scan, BookAccount *account)
{
	char	   *kind = TextDatumGetCString(uaef_scan_value(scan, ACCOUNT_KIND + 1));
	char	   *currency = TextDatumGetCString(uaef_scan_value(scan, ACCOUNT_CURRENCY + 1));

	account->account_id = DatumGetInt64(uaef_scan_value(scan, ACCOUNT_ID + 1));
	account->credit_adds = strcmp(kind, "liability") == 0 ||
		strcmp(kind, "income") == 0 || strcmp(kind, "equity") == 0;
	strlcpy(account->currency, currency, sizeof(account->currency));
	account->stripes =
		DatumGetInt16(uaef_scan_value(scan, ACCOUNT_STRIPES + 1));
	account->balance = NULL;
	pfree(kind);
	pfree(currency);
}

/*
 * Find an account that this backend does not know; the scan stands on its row.
 */
static bool
find_account(BookAccounts *accounts, const char *code)
{
	ScanKeyData key;

	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_TEXTEQ,
				CStringGetTextDatum(code));
	if (accounts->scanning)
		uaef_scan_again(&accounts->scan, 1, &key);
	else
		uaef_scan_begin(&accounts->scan, "account", "account_code",
						accounts->snapshot, 1, &key);
	accounts->scanning = true;
	return uaef_scan_next(&accounts->scan, ForwardScanDirection);
}

void
uaef_account_undefined(const char *code)
{
	static UaefQuery near_accounts = {
		UAEF_NAMES_AROUND("code", "account"), 1, {TEXTOID}
	};
	const char *hint = "It is bank:CHANNEL:CURRENCY, of a payout channel that takes the currency.";

	if (strncmp(code, "bank:", strlen("bank:")) != 0)
		hint = uaef_name_hint_around(code, &near_accounts,
									 "Make it with uaef.create_account(); the view uaef.account_balance lists those that are there.");
	ereport(ERROR,
			(errcode(ERRCODE_UAEF_UNDEFINED_ACCOUNT),
			 errmsg("account \"%s\" does not exist",
					uaef_eval_clip(code, strlen(code))),
			 errhint("%s", hint)));
}

/*
 * What our own transaction has made is not known yet: it may be undone.
 */
BookAccount *
uaef_accounts_get(BookAccounts *accounts, const char *code)
{
	const BookAccount *known;
	BookAccount *account;

	/* What is longer is no account, and must not be cut to one. */
	if (strlen(code) > MAX_ACCOUNT_CODE)
		uaef_account_undefined(code);
	account = hash_search(accounts->by_code, code, HASH_FIND, NULL);
	if (account != NULL)
		return account;
	known = uaef_known_account(code);
	if (known == NULL && !find_account(accounts, code))
		uaef_account_undefined(code);
	account = hash_search(accounts->by_code, code, HASH_ENTER, NULL);
	if (known != NULL)
		*account = *known;
	else
	{
		read_account(&accounts->scan, account);
		if (!uaef_row_is_ours(accounts->scan.slot))
			uaef_know_account(RelationGetRelid(accounts->scan.rel), account);
	}
	return account;
}

/* ----------
 * Locking
 * ----------
 */

static void
init_stripe_keys(ScanKeyData *keys, int64 account_id, int stripe)
{
	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_INT8EQ,
				Int64GetDatum(account_id));
	ScanKeyInit(&keys[1], 2, BTEqualStrategyNumber, F_INT2EQ,
				Int16GetDatum(stripe));
}

/*
 * Lock the row that the scan stands on; the slot has its last version.
 */
static void
lock_row(UaefScan *scan, TupleTableSlot *slot, Snapshot snapshot)
{
	ItemPointerData tid = scan->slot->tts_tid;
	TM_FailureData failure;
	TM_Result	result;

	ExecClearTuple(scan->slot);
	result = table_tuple_lock(scan->rel, &tid, snapshot, slot,
							  GetCurrentCommandId(false),
							  LockTupleNoKeyExclusive, LockWaitBlock,
							  TUPLE_LOCK_FLAG_FIND_LAST_VERSION, &failure);
	if (result != TM_Ok)
		elog(ERROR, "could not lock a balance: %d", (int) result);
}

static UaefMinor
read_minor(TupleTableSlot *slot, int column, bool *given)
{
	bool		isnull;
	Datum		value = slot_getattr(slot, column + 1, &isnull);

	if (given != NULL)
		*given = !isnull;
	return isnull ? 0 : uaef_minor_from_numeric(DatumGetNumeric(value));
}

static void
read_balance(TupleTableSlot *slot, BookBalance *balance)
{
	bool		isnull;
	text	   *status = DatumGetTextPP(slot_getattr(slot, STRIPE_STATUS + 1,
													 &isnull));

	balance->tid = slot->tts_tid;
	balance->postings = DatumGetInt64(slot_getattr(slot, STRIPE_POSTINGS + 1,
												   &isnull));
	balance->debit = read_minor(slot, STRIPE_DEBIT, NULL);
	balance->credit = read_minor(slot, STRIPE_CREDIT, NULL);
	balance->held = read_minor(slot, STRIPE_HELD, NULL);
	balance->min_balance = read_minor(slot, STRIPE_MIN_BALANCE,
									  &balance->has_min);
	balance->max_balance = read_minor(slot, STRIPE_MAX_BALANCE,
									  &balance->has_max);
	text_to_cstring_buffer(status, balance->status, sizeof(balance->status));
	balance->dirty = false;
}

static int
compare_accounts(const void *a, const void *b)
{
	int64		left = (*(BookAccount *const *) a)->account_id;
	int64		right = (*(BookAccount *const *) b)->account_id;

	return left < right ? -1 : left > right;
}

/*
 * All accounts that were got, by number.
 */
static BookAccount **
sorted_accounts(BookAccounts *accounts, int *n)
{
	BookAccount **sorted = palloc(sizeof(BookAccount *) *
								  hash_get_num_entries(accounts->by_code));
	HASH_SEQ_STATUS status;
	BookAccount *account;

	*n = 0;
	hash_seq_init(&status, accounts->by_code);
	while ((account = hash_seq_search(&status)) != NULL)
		sorted[(*n)++] = account;
	qsort(sorted, *n, sizeof(BookAccount *), compare_accounts);
	return sorted;
}

void
uaef_accounts_lock(BookAccounts *accounts, uint32 hash)
{
	int			n;
	BookAccount **sorted = sorted_accounts(accounts, &n);
	TupleTableSlot *slot = table_slot_create(accounts->balances.rel, NULL);
	UaefScan	scan;
	ScanKeyData keys[2];

	for (int i = 0; i < n; i++)
	{
		BookAccount *account = sorted[i];
		int			stripe = hash % account->stripes;

		init_stripe_keys(keys, account->account_id, stripe);
		if (i == 0)
			uaef_scan_begin(&scan, "account_stripe", "account_stripe_pkey",
							accounts->snapshot, 2, keys);
		else
			uaef_scan_again(&scan, 2, keys);
		if (!uaef_scan_next(&scan, ForwardScanDirection))
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("account \"%s\" lacks its balance %d",
							account->code, stripe),
					 errhint("SELECT * FROM uaef.audit_money();")));
		lock_row(&scan, slot, accounts->snapshot);
		account->balance = palloc(sizeof(BookBalance));
		account->balance->account = account;
		account->balance->stripe = stripe;
		read_balance(slot, account->balance);
		ExecClearTuple(slot);
	}
	if (n > 0)
		uaef_scan_end(&scan);
	ExecDropSingleTupleTableSlot(slot);
	pfree(sorted);
}

/* ----------
 * Looking at balances, and writing them
 * ----------
 */

UaefMinor
uaef_balance_of(const BookBalance *balance)
{
	return balance->account->credit_adds ?
		balance->credit - balance->debit : balance->debit - balance->credit;
}

void
uaef_balance_require_open(const BookBalance *balance)
{
	if (strcmp(balance->status, "open") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_ACCOUNT_STATE),
				 errmsg("account \"%s\" is %s", balance->account->code,
						balance->status)));
}

void
uaef_balance_require_limits(BookBalance *balance, const UaefBookActor *actor)
{
	UaefMinor	sum = uaef_balance_of(balance);

	if (balance->has_min && sum - balance->held < balance->min_balance &&
		balance->held > 0)
		uaef_hold_expire(balance, actor);
	if (balance->has_min && sum - balance->held < balance->min_balance)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BALANCE_LIMIT),
				 errmsg("account \"%s\" does not have enough",
						balance->account->code),
				 errdetail("Its balance would be %s, of which %s are held; the least is %s.",
						   uaef_minor_text(sum),
						   uaef_minor_text(balance->held),
						   uaef_minor_text(balance->min_balance))));
	if (balance->has_max && sum > balance->max_balance)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BALANCE_LIMIT),
				 errmsg("account \"%s\" would have too much",
						balance->account->code),
				 errdetail("Its balance would be %s; the most is %s.",
						   uaef_minor_text(sum),
						   uaef_minor_text(balance->max_balance))));
}

static void
write_balance(BookAccounts *accounts, BookBalance *balance)
{
	Datum		values[N_STRIPE_COLUMNS];
	bool		nulls[N_STRIPE_COLUMNS] = {0};

	values[STRIPE_ACCOUNT_ID] = Int64GetDatum(balance->account->account_id);
	values[STRIPE_POSTINGS] = Int64GetDatum(balance->postings);
	values[STRIPE_STRIPE] = Int16GetDatum(balance->stripe);
	values[STRIPE_STATUS] = CStringGetTextDatum(balance->status);
	values[STRIPE_DEBIT] = NumericGetDatum(uaef_minor_numeric(balance->debit));
	values[STRIPE_CREDIT] = NumericGetDatum(uaef_minor_numeric(balance->credit));
	values[STRIPE_HELD] = NumericGetDatum(uaef_minor_numeric(balance->held));
	values[STRIPE_MIN_BALANCE] =
		NumericGetDatum(uaef_minor_numeric(balance->min_balance));
	values[STRIPE_MAX_BALANCE] =
		NumericGetDatum(uaef_minor_numeric(balance->max_balance));
	nulls[STRIPE_MIN_BALANCE] = !balance->has_min;
	nulls[STRIPE_MAX_BALANCE] = !balance->has_max;
	uaef_table_update(&accounts->balances, values, nulls, &balance->tid);
}

void
uaef_accounts_end(BookAccounts *accounts)
{
	HASH_SEQ_STATUS status;
	BookAccount *account;

	hash_seq_init(&status, accounts->by_code);
	while ((account = hash_seq_search(&status)) != NULL)
		if (account->balance != NULL && account->balance->dirty)
			write_balance(accounts, account->balance);
	if (accounts->scanning)
		uaef_scan_end(&accounts->scan);
	UnregisterSnapshot(accounts->snapshot);
	uaef_table_close(&accounts->balances);
	hash_destroy(accounts->by_code);
}
