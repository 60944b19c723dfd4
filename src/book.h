/*-------------------------------------------------------------------------
 *
 * book.h
 *	  Double entry: accounts, journals, holds.
 *
 * What the rest of the engine may call.  Amounts are integers of minor units
 * (cents) in numeric, at most 38 digits.
 *
 * Locking.  A call locks the balances of all accounts that it names, by row, in
 * the order of their numbers, until the transaction ends; then it looks for
 * idempotency keys, and waits for who is just writing one of them.  So calls do
 * not wait in a circle, unless a transaction makes several: then make one call
 * for all journals, or call in the order of the accounts.  Take every other
 * lock (an execution, a signal, a hold) before; the ledger's comes after.
 *
 * Rights.  Nothing here asks who calls; the entry points of SQL do.  Every
 * function becomes the owner by itself.
 *
 * Memory.  What is returned is palloc'd in the current context.
 *
 * Ledger.  Every call that changes something appends one event, in the stream
 * that the actor names.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_BOOK_H
#define UAEF_BOOK_H

#include "datatype/timestamp.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"
#include "utils/uuid.h"

#include "hash256.h"

/*
 * Keys and kinds of journals that only the engine may give begin so; the
 * entry points of SQL refuse them.
 */
#define UAEF_BOOK_ENGINE_KEY	"uaef:"

/*
 * Codes of accounts that only the engine makes and posts to begin so; what is
 * in them is what settlements and payouts say, which audits rely on.
 */
#define UAEF_BOOK_ENGINE_ACCOUNTS \
	"payable:", "disputed:", "settlement:", "clearing:", UAEF_BOOK_BANK

/* Of these, people post what they put at a channel's disposal to the bank's. */
#define UAEF_BOOK_BANK			"bank:"

/* The most postings of one call. */
#define UAEF_BOOK_MAX_LINES		100000

/* Who does it, as the ledger's event says. */
typedef struct UaefBookActor
{
	const char *type;			/* system, user, worker */
	const char *id;				/* NULL for the system */
	const pg_uuid_t *stream;	/* an execution that the transaction has
								 * locked (uaef_ledger_hold_stream()), or NULL */
} UaefBookActor;

/* An account to be.  What is NULL is absent. */
typedef struct UaefAccountSpec
{
	const char *code;			/* its name, at most 200 bytes */
	const char *kind;			/* asset expense control: debit adds;
								 * liability income equity: credit adds */
	const char *currency;		/* ISO 4217 */
	const char *owner_type;		/* agent user external pool platform */
	const char *owner_id;
	const char *name;			/* for people */
	Numeric		min_balance;	/* of balance less holds */
	Numeric		max_balance;	/* of balance */
	int			stripes;		/* rows that share its balance; 0 is 1 */
} UaefAccountSpec;

/* One line of a journal. */
typedef struct UaefPosting
{
	const char *account;		/* code */
	bool		credit;			/* else debit */
	Numeric		amount;			/* minor units, above 0 */
	const char *currency;		/* NULL, or what the account's must be */
	int			line;			/* number; 0: its place, from 1 */
} UaefPosting;

/* A journal to post, and what became of it. */
typedef struct UaefJournal
{
	const char *kind;			/* a word: "settlement_approved" */
	const char *key;			/* idempotency key, or NULL */
	const char *description;
	Jsonb	   *metadata;
	bool		has_effective_at;	/* else: when it is recorded */
	TimestampTz effective_at;
	int64		reverses;		/* journal that it takes back, or 0 */
	int64		hold_id;		/* hold whose money it moves: only by
								 * uaef_book_capture(); else 0 */
	Numeric		unheld;			/* by how much less its first account holds */
	UaefPosting *postings;
	int			n_postings;

	/* Results. */
	int64		journal_id;
	bool		existed;		/* its key was posted before, with the same
								 * content: nothing was done */
	uint8		digest[UAEF_HASH_LEN];	/* of its content */
} UaefJournal;

/*
 * The number of an account; it is made when there is none of the code.  Raises
 * 42710 when there is one of another kind, currency, owner, limits or stripes;
 * UA208 for an unknown currency, 22023 for what else is wrong.
 */
extern int64 uaef_book_account(const UaefAccountSpec *spec,
							   const UaefBookActor *actor);

/*
 * Let an account be "open", "frozen" (no postings, no holds) or, when it is
 * empty, "closed" for good.  False when it was so already.  Raises UA510;
 * UA511 for what cannot be.
 */
extern bool uaef_book_set_status(const UaefBookActor *actor, const char *code,
								 const char *status, const char *reason);

/*
 * Bound the balance of an account of one stripe, or not (NULL).  Raises UA510,
 * UA513 when the balance is not within them.
 */
extern void uaef_book_set_limits(const UaefBookActor *actor, const char *code,
								 Numeric min_balance, Numeric max_balance,
								 const char *reason);

/*
 * Post journals, all or none, one after the other.  Raises UA510 for an
 * unknown account, UA511 for one that is frozen or closed, UA512 for a journal
 * that does not balance in each currency, UA513 when a limit would be broken,
 * UA307 for a key that was used with another content, UA518 for a journal that
 * names one account only, UA203..UA208 and UA223
 * for amounts; the context tells which journal, where there are several.
 */
extern void uaef_book_post(const UaefBookActor *actor, UaefJournal *journals,
						   int n);

/*
 * Take back an amount of a journal, or all that is left of it (NULL).  Returns
 * the number of the journal that does.  Raises UA514 when there is no such
 * journal, 42501 for the engine's own, UA515 when less is left, 0A000 for a part of a journal of several
 * currencies, and what posting raises.
 */
extern int64 uaef_book_reverse(const UaefBookActor *actor, int64 journal_id,
							   Numeric amount, const char *reason,
							   const char *key);

/* Money of an account that is set aside. */
typedef struct UaefHoldSpec
{
	const char *account;
	Numeric		amount;
	TimestampTz expires_at;		/* 0: never */
	const char *reason;
	const char *key;			/* idempotency key, or NULL */
} UaefHoldSpec;

/*
 * Hold, move what is held (NULL: all of it) to another account, and give the
 * rest free.  A capture posts a journal and returns its number; the rest stays
 * held unless release_rest.  Accounts with stripes have no holds (0A000).
 * Raises UA516 for an unknown hold, UA517 when it has ended or has less left.
 */
extern int64 uaef_book_hold(const UaefBookActor *actor,
							const UaefHoldSpec *spec);
extern int64 uaef_book_capture(const UaefBookActor *actor, int64 hold_id,
							   const char *to_account, Numeric amount,
							   bool release_rest, const char *key);
extern void uaef_book_release(const UaefBookActor *actor, int64 hold_id,
							  const char *reason);

/*
 * Raise 42501 for a hold of the engine's: the payout that it is for would not
 * know that people have ended it.
 */
extern void uaef_hold_require_manual(int64 hold_id);

/*
 * The balance of an account in minor units, on the side that adds to it, at a
 * time that the postings take effect, of those that were recorded by a time;
 * 0 for either: now.  Reads by the active snapshot.
 */
extern Numeric uaef_book_balance(const char *account, TimestampTz at,
								 TimestampTz recorded_at);

#endif							/* UAEF_BOOK_H */
