/*-------------------------------------------------------------------------
 *
 * book_internal.h
 *	  What the parts of double entry share: the tables, and balances that are
 *	  locked.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_BOOK_INTERNAL_H
#define UAEF_BOOK_INTERNAL_H

#include "lib/stringinfo.h"
#include "storage/itemptr.h"
#include "utils/hsearch.h"

#include "book.h"
#include "compat.h"
#include "minor.h"
#include "row_write.h"
#include "table_scan.h"

/* Longest texts, in bytes. */
#define MAX_ACCOUNT_CODE 200
#define MAX_KEY			200
#define MAX_DESCRIPTION 1000

/* Columns of the tables, in their order. */
enum
{
	ACCOUNT_ID, ACCOUNT_CODE, ACCOUNT_KIND, ACCOUNT_CURRENCY, ACCOUNT_STRIPES,
	ACCOUNT_OWNER_TYPE, ACCOUNT_OWNER_ID, ACCOUNT_NAME, ACCOUNT_CREATED_BY,
	ACCOUNT_CREATED_AT,
	N_ACCOUNT_COLUMNS
};

enum
{
	STRIPE_ACCOUNT_ID, STRIPE_POSTINGS, STRIPE_STRIPE, STRIPE_STATUS,
	STRIPE_DEBIT, STRIPE_CREDIT, STRIPE_HELD, STRIPE_MIN_BALANCE,
	STRIPE_MAX_BALANCE,
	N_STRIPE_COLUMNS
};

enum
{
	JOURNAL_ID, JOURNAL_EVENT_ID, JOURNAL_REVERSES, JOURNAL_HOLD_ID,
	JOURNAL_EFFECTIVE_AT, JOURNAL_RECORDED_AT, JOURNAL_LINES, JOURNAL_DIGEST,
	JOURNAL_KIND, JOURNAL_KEY, JOURNAL_DESCRIPTION, JOURNAL_POSTED_BY,
	JOURNAL_METADATA,
	N_JOURNAL_COLUMNS
};

enum
{
	POSTING_JOURNAL_ID, POSTING_ACCOUNT_ID, POSTING_EFFECTIVE_AT,
	POSTING_RECORDED_AT, POSTING_LINE, POSTING_STRIPE, POSTING_SIDE,
	POSTING_AMOUNT, POSTING_CURRENCY,
	N_POSTING_COLUMNS
};

/* An account, as its row says, which never changes. */
typedef struct BookAccount
{
	char		code[MAX_ACCOUNT_CODE + 1]; /* hash key */
	int64		account_id;
	bool		credit_adds;	/* liability, income, equity */
	char		currency[4];
	int			stripes;
	struct BookBalance *balance;	/* the stripe of this call; NULL: not yet
									 * locked */
} BookAccount;

/* One row of a balance, locked. */
typedef struct BookBalance
{
	const BookAccount *account;
	int			stripe;
	ItemPointerData tid;
	int64		postings;
	UaefMinor	debit;
	UaefMinor	credit;
	UaefMinor	held;			/* also what has expired, and not been given
								 * free */
	bool		has_min;
	bool		has_max;
	UaefMinor	min_balance;
	UaefMinor	max_balance;
	char		status[8];		/* open, frozen, closed */
	bool		dirty;
} BookBalance;

/* The accounts of one call. */
typedef struct BookAccounts
{
	HTAB	   *by_code;
	UaefTable	balances;		/* account_stripe, for writing */
	Snapshot	snapshot;		/* the latest when the call began */
	UaefScan	scan;			/* of account by code, once begun */
	bool		scanning;
} BookAccounts;

/* Begin and end with the accounts of a call; the end writes balances. */
extern void uaef_accounts_begin(BookAccounts *accounts);
extern void uaef_accounts_end(BookAccounts *accounts);

/* An account by its code; raises UA510 when there is none. */
extern BookAccount *uaef_accounts_get(BookAccounts *accounts,
									  const char *code);

/* Raise UA510: no such account, and which one was perhaps meant. */
pg_noreturn extern void uaef_account_undefined(const char *code);

/* An account that this backend has met; NULL: it must be looked up. */
extern const BookAccount *uaef_known_account(const char *code);

/* Remember an account of a transaction that has committed. */
extern void uaef_know_account(Oid table, const BookAccount *account);

/*
 * Lock the balances of all accounts that were got, in their order: one row of
 * each, which of several the hash says.
 */
extern void uaef_accounts_lock(BookAccounts *accounts, uint32 hash);

/* Of a locked balance: on the side that adds to it. */
extern UaefMinor uaef_balance_of(const BookBalance *balance);

/* Raise UA511 unless postings may be made. */
extern void uaef_balance_require_open(const BookBalance *balance);

/*
 * Raise UA513 when a limit is broken.  Holds that have expired are given free,
 * if it depends on them.
 */
extern void uaef_balance_require_limits(BookBalance *balance,
										const UaefBookActor *actor);

/* A row being made: columns from 0. */
typedef struct BookRow
{
	Datum		values[N_JOURNAL_COLUMNS];
	bool		nulls[N_JOURNAL_COLUMNS];
} BookRow;

StaticAssertDecl((int) N_STRIPE_COLUMNS <= (int) N_JOURNAL_COLUMNS &&
				 (int) N_ACCOUNT_COLUMNS <= (int) N_JOURNAL_COLUMNS &&
				 (int) N_POSTING_COLUMNS <= (int) N_JOURNAL_COLUMNS,
				 "a row must have room for all columns");

/*
 * What is kept of a journal and its lines, as SHA-256: begin with the journal,
 * add its lines in order, end.  One at a time in a process.
 */
typedef struct BookDigest
{
	StringInfoData bytes;
} BookDigest;

extern void uaef_book_digest_begin(BookDigest *digest,
								   const UaefJournal *journal);
extern void uaef_book_digest_line(BookDigest *digest, int line,
								  int64 account_id, bool credit,
								  UaefMinor amount);
extern void uaef_book_digest_end(BookDigest *digest, uint8 *hash);

/* Give the holds of an account free that have expired. */
extern void uaef_hold_expire(BookBalance *balance,
							 const UaefBookActor *actor);

/* One event of double entry. */
extern int64 uaef_book_event(const UaefBookActor *actor, const char *type,
							 Jsonb *payload);

#endif							/* UAEF_BOOK_INTERNAL_H */
