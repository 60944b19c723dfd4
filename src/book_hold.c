/*-------------------------------------------------------------------------
 *
 * book_hold.c
 *	  Holds: money of an account that is set aside, until it is captured,
 *	  released or expires.
 *
 * What an account holds counts against its least balance.  A hold that has
 * expired counts no more for who reads; its row is ended by the next posting
 * that would need the money, under the lock of the balance, so that no timer
 * is needed.
 *
 * Locking: a hold before the balance.  Who has the balance and ends holds that
 * have expired skips those that are locked.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "blank.h"
#include "book_internal.h"
#include "clock.h"
#include "errcodes.h"
#include "json_util.h"
#include "spi_util.h"

static UaefQuery find_hold_key = {
	"SELECT h.hold_id, (a.code = $2 AND h.amount = $3"
	" AND coalesce(h.expires_at, 'infinity') = $4"
	" AND coalesce(h.reason, '') = $5)"
	" FROM uaef.account_hold h JOIN uaef.account a USING (account_id)"
	" WHERE h.idempotency_key = $1",
	5, {TEXTOID, TEXTOID, NUMERICOID, TIMESTAMPTZOID, TEXTOID}
};

static UaefQuery insert_hold = {
	"INSERT INTO uaef.account_hold (account_id, amount, captured, status,"
	" expires_at, idempotency_key, reason, created_by, created_at)"
	" VALUES ($1, $2, 0, 'held', $3, $4, $5, $6, $7) RETURNING hold_id",
	7, {INT8OID, NUMERICOID, TIMESTAMPTZOID, TEXTOID, TEXTOID, TEXTOID,
	TIMESTAMPTZOID}
};

static UaefQuery lock_hold = {
	"SELECT a.code, a.kind, h.amount - h.captured, h.status,"
	" h.expires_at <= $2 IS TRUE"
	" FROM uaef.account_hold h JOIN uaef.account a USING (account_id)"
	" WHERE h.hold_id = $1 FOR UPDATE OF h",
	2, {INT8OID, TIMESTAMPTZOID}
};

static UaefQuery find_engine_hold = {
	"SELECT 1 FROM uaef.account_hold WHERE hold_id = $1"
	" AND idempotency_key LIKE '" UAEF_BOOK_ENGINE_KEY "%'",
	1, {INT8OID}
};

static UaefQuery end_hold = {
	"UPDATE uaef.account_hold SET captured = captured + $2, status = $3,"
	" ended_at = CASE WHEN $3 <> 'held' THEN $4 END WHERE hold_id = $1",
	4, {INT8OID, NUMERICOID, TEXTOID, TIMESTAMPTZOID}
};

static UaefQuery expire_holds = {
	"UPDATE uaef.account_hold h SET status = 'expired', ended_at = $2"
	" WHERE h.hold_id IN (SELECT i.hold_id FROM uaef.account_hold i"
	"  WHERE i.account_id = $1 AND i.status = 'held' AND i.expires_at <= $2"
	"  ORDER BY i.hold_id FOR UPDATE SKIP LOCKED)"
	" RETURNING h.hold_id, h.amount - h.captured",
	2, {INT8OID, TIMESTAMPTZOID}
};

/* A hold whose row is locked. */
typedef struct LockedHold
{
	char	   *account;
	bool		credit_adds;
	UaefMinor	left;
	char	   *status;
	bool		expired;
} LockedHold;

static Jsonb *hold_payload(const char *account, int64 hold_id,
						   UaefMinor amount, TimestampTz expires_at,
						   const char *reason);
static int64 placed_before(const UaefHoldSpec *spec, UaefMinor amount);
static int64 insert_new(const UaefBookActor *actor,
						const BookBalance *balance, const UaefHoldSpec *spec,
						UaefMinor amount);
static void check_hold(const UaefHoldSpec *spec);
static int64 store_hold(const UaefBookActor *actor, BookBalance *balance,
						const UaefHoldSpec *spec, UaefMinor amount);
static void read_hold(int64 hold_id, LockedHold *hold);
static void require_held(int64 hold_id, const LockedHold *hold);
static int64 captured_before(int64 hold_id, const char *to_account,
							 UaefMinor amount, const char *key);
static int64 post_capture(const UaefBookActor *actor, int64 hold_id,
						  const LockedHold *hold, const char *to_account,
						  UaefMinor amount, bool release_rest,
						  const char *key);
static void write_end(int64 hold_id, UaefMinor captured, const char *status);

static Jsonb *
hold_payload(const char *account, int64 hold_id, UaefMinor amount,
			 TimestampTz expires_at, const char *reason)
{
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_int(&json, "hold", hold_id);
	uaef_json_text(&json, "account", account);
	uaef_json_numeric(&json, "amount", uaef_minor_numeric(amount));
	uaef_json_time(&json, "expires_at", expires_at);
	uaef_json_text(&json, "reason", reason);
	return uaef_json_end(&json);
}

/*
 * The hold that was placed with this key before, or 0.
 */
static int64
placed_before(const UaefHoldSpec *spec, UaefMinor amount)
{
	Datum		args[5];

	if (spec->key == NULL)
		return 0;
	args[0] = CStringGetTextDatum(spec->key);
	args[1] = CStringGetTextDatum(spec->account);
	args[2] = NumericGetDatum(uaef_minor_numeric(amount));
	args[3] = TimestampTzGetDatum(spec->expires_at ? spec->expires_at :
								  DT_NOEND);
	args[4] = CStringGetTextDatum(spec->reason ? spec->reason : "");
	if (uaef_spi_read_latest(&find_hold_key, args) == 0)
		return 0;
	if (!uaef_spi_bool(0, 2))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_KEY_REUSED),
				 errmsg("idempotency key \"%s\" was used for another hold",
						spec->key),
				 errhint("Use a new key for a new hold.")));
	return uaef_spi_int64(0, 1);
}

static int64
insert_new(const UaefBookActor *actor, const BookBalance *balance,
		   const UaefHoldSpec *spec, UaefMinor amount)
{
	Datum		args[7];
	char		nulls[8] = "       ";

	args[0] = Int64GetDatum(balance->account->account_id);
	args[1] = NumericGetDatum(uaef_minor_numeric(amount));
	args[2] = TimestampTzGetDatum(spec->expires_at);
	nulls[2] = spec->expires_at ? ' ' : 'n';
	args[3] = spec->key ? CStringGetTextDatum(spec->key) : (Datum) 0;
	nulls[3] = spec->key ? ' ' : 'n';
	args[4] = spec->reason ? CStringGetTextDatum(spec->reason) : (Datum) 0;
	nulls[4] = spec->reason ? ' ' : 'n';
	args[5] = CStringGetTextDatum(actor->id ? actor->id : actor->type);
	args[6] = TimestampTzGetDatum(uaef_clock_now());
	(void) uaef_spi_run(&insert_hold, args, nulls);
	return uaef_spi_int64(0, 1);
}

/*
 * The number of a hold, which is there already if its key is.
 */
static int64
store_hold(const UaefBookActor *actor, BookBalance *balance,
		   const UaefHoldSpec *spec, UaefMinor amount)
{
	int64		hold_id = placed_before(spec, amount);

	if (hold_id != 0)
		return hold_id;
	if (spec->expires_at != 0 && spec->expires_at <= uaef_clock_now())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a hold expires in the future")));
	uaef_balance_require_open(balance);
	uaef_minor_add(&balance->held, amount);
	balance->dirty = true;
	uaef_balance_require_limits(balance, actor);
	hold_id = insert_new(actor, balance, spec, amount);
	(void) uaef_book_event(actor, "hold_placed",
						   hold_payload(spec->account, hold_id, amount,
										spec->expires_at, spec->reason));
	return hold_id;
}

static void
check_hold(const UaefHoldSpec *spec)
{
	if (spec->key != NULL && (strlen(spec->key) > MAX_KEY ||
							  uaef_blank_at_ends(spec->key)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid idempotency key"),
				 errdetail("It has 1 to %d bytes, and no blank at its ends.",
						   MAX_KEY)));
	if (spec->reason != NULL && strlen(spec->reason) > MAX_DESCRIPTION)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_TOO_LARGE),
				 errmsg("reason of a hold has more than %d bytes",
						MAX_DESCRIPTION)));
	if (spec->expires_at != 0 && TIMESTAMP_NOT_FINITE(spec->expires_at))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("a hold expires at a finite time"),
				 errhint("Leave the time out for a hold that never expires.")));
}

int64
uaef_book_hold(const UaefBookActor *actor, const UaefHoldSpec *spec)
{
	UaefMinor	amount = uaef_minor_require(spec->amount, "amount of the hold");
	UaefCaller	caller = uaef_spi_begin();
	BookAccounts accounts;
	BookAccount *account;
	int64		hold_id;

	check_hold(spec);
	uaef_accounts_begin(&accounts);
	account = uaef_accounts_get(&accounts, spec->account);
	if (account->stripes > 1)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("an account with holds has one stripe"),
				 errdetail("Account \"%s\" has %d.", spec->account,
						   account->stripes)));
	uaef_accounts_lock(&accounts, 0);
	hold_id = store_hold(actor, account->balance, spec, amount);
	uaef_accounts_end(&accounts);
	uaef_spi_end(caller);
	return hold_id;
}

void
uaef_hold_expire(BookBalance *balance, const UaefBookActor *actor)
{
	UaefCaller	caller = uaef_spi_begin();
	Datum		args[2] = {Int64GetDatum(balance->account->account_id), TimestampTzGetDatum(uaef_clock_now())};
	uint64		rows = uaef_spi_run(&expire_holds, args, NULL);

	for (uint64 row = 0; row < rows; row++)
	{
		bool		isnull;
		UaefMinor	left = uaef_minor_from_numeric(DatumGetNumeric(uaef_spi_value(row, 2, &isnull)));

		balance->held -= left;
		balance->dirty = true;
		(void) uaef_book_event(actor, "hold_expired",
							   hold_payload(balance->account->code,
											uaef_spi_int64(row, 1), left, 0,
											NULL));
	}
	uaef_spi_end(caller);
}

/* ----------
 * Capturing and releasing
 * ----------
 */

void
uaef_hold_require_manual(int64 hold_id)
{
	UaefCaller	caller = uaef_spi_begin();
	Datum		arg = Int64GetDatum(hold_id);

	if (uaef_spi_run(&find_engine_hold, &arg, NULL) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("hold " INT64_FORMAT " is the engine's", hold_id),
				 errdetail("What it is held for decides about it.")));
	uaef_spi_end(caller);
}

static void
read_hold(int64 hold_id, LockedHold *hold)
{
	Datum		args[2] = {Int64GetDatum(hold_id), TimestampTzGetDatum(uaef_clock_now())};
	char	   *kind;
	bool		isnull;

	if (uaef_spi_run(&lock_hold, args, NULL) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_UNDEFINED_HOLD),
				 errmsg("hold " INT64_FORMAT " does not exist", hold_id)));
	hold->account = uaef_spi_text(0, 1);
	kind = uaef_spi_text(0, 2);
	hold->credit_adds = strcmp(kind, "liability") == 0 ||
		strcmp(kind, "income") == 0 || strcmp(kind, "equity") == 0;
	hold->left = uaef_minor_from_numeric(DatumGetNumeric(uaef_spi_value(0, 3, &isnull)));
	hold->status = uaef_spi_text(0, 4);
	hold->expired = uaef_spi_bool(0, 5);
}

static void
require_held(int64 hold_id, const LockedHold *hold)
{
	if (strcmp(hold->status, "held") != 0 || hold->expired)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_HOLD_STATE),
				 errmsg("hold " INT64_FORMAT " is %s", hold_id,
						hold->expired && strcmp(hold->status, "held") == 0 ?
						"expired" : hold->status)));
}

/*
 * The journal of a capture that was made with this key before, or 0; amount 0
 * is any.
 */
static int64
captured_before(int64 hold_id, const char *to_account, UaefMinor amount,
				const char *key)
{
	static UaefQuery find = {
		"SELECT j.journal_id, (j.hold_id = $2 IS TRUE AND a.code = $3"
		" AND ($4 = 0 OR p.amount = $4))"
		" FROM uaef.journal j JOIN uaef.posting p USING (journal_id)"
		" JOIN uaef.account a USING (account_id)"
		" WHERE j.idempotency_key = $1 AND p.line = 2",
		4, {TEXTOID, INT8OID, TEXTOID, NUMERICOID}
	};
	Datum		args[4];

	if (key == NULL)
		return 0;
	args[0] = CStringGetTextDatum(key);
	args[1] = Int64GetDatum(hold_id);
	args[2] = CStringGetTextDatum(to_account);
	args[3] = NumericGetDatum(uaef_minor_numeric(amount));
	if (uaef_spi_read_latest(&find, args) == 0)
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
 * The money leaves the account that holds it: the first line.
 */
static int64
post_capture(const UaefBookActor *actor, int64 hold_id,
			 const LockedHold *hold, const char *to_account,
			 UaefMinor amount, bool release_rest, const char *key)
{
	UaefPosting postings[2] = {
		{.account = hold->account,.credit = !hold->credit_adds},
		{.account = to_account,.credit = hold->credit_adds}
	};
	UaefJournal journal = {
		.kind = "hold_capture",
		.key = key,
		.hold_id = hold_id,
		.postings = postings,
		.n_postings = 2
	};

	postings[0].amount = postings[1].amount = uaef_minor_numeric(amount);
	journal.unheld = release_rest ? uaef_minor_numeric(hold->left) :
		postings[0].amount;
	uaef_book_post(actor, &journal, 1);
	return journal.journal_id;
}

static void
write_end(int64 hold_id, UaefMinor captured, const char *status)
{
	Datum		args[4];

	args[0] = Int64GetDatum(hold_id);
	args[1] = NumericGetDatum(uaef_minor_numeric(captured));
	args[2] = CStringGetTextDatum(status);
	args[3] = TimestampTzGetDatum(uaef_clock_now());
	(void) uaef_spi_run(&end_hold, args, NULL);
}

int64
uaef_book_capture(const UaefBookActor *actor, int64 hold_id,
				  const char *to_account, Numeric amount, bool release_rest,
				  const char *key)
{
	UaefMinor	wanted = amount == NULL ? 0 :
		uaef_minor_require(amount, "amount of the capture");
	UaefCaller	caller = uaef_spi_begin();
	LockedHold	hold;
	int64		journal_id;

	read_hold(hold_id, &hold);
	journal_id = captured_before(hold_id, to_account, wanted, key);
	if (journal_id == 0)
	{
		require_held(hold_id, &hold);
		if (wanted > hold.left)
			ereport(ERROR,
					(errcode(ERRCODE_UAEF_HOLD_STATE),
					 errmsg("hold " INT64_FORMAT " has %s left, not %s",
							hold_id, uaef_minor_text(hold.left),
							uaef_minor_text(wanted))));
		if (wanted == 0)
			wanted = hold.left;
		journal_id = post_capture(actor, hold_id, &hold, to_account, wanted,
								  release_rest, key);
		write_end(hold_id, wanted, release_rest || wanted == hold.left ?
				  "captured" : "held");
	}
	uaef_spi_end(caller);
	return journal_id;
}

void
uaef_book_release(const UaefBookActor *actor, int64 hold_id,
				  const char *reason)
{
	UaefCaller	caller = uaef_spi_begin();
	LockedHold	hold;
	BookAccounts accounts;
	BookAccount *account;

	read_hold(hold_id, &hold);
	if (strcmp(hold.status, "released") != 0)
	{
		/* One that has expired is given free by whoever comes first. */
		hold.expired = false;
		require_held(hold_id, &hold);
		uaef_accounts_begin(&accounts);
		account = uaef_accounts_get(&accounts, hold.account);
		uaef_accounts_lock(&accounts, 0);
		account->balance->held -= hold.left;
		account->balance->dirty = true;
		uaef_accounts_end(&accounts);
		write_end(hold_id, 0, "released");
		(void) uaef_book_event(actor, "hold_released",
							   hold_payload(hold.account, hold_id, hold.left,
											0, reason));
	}
	uaef_spi_end(caller);
}
