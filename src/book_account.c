/*-------------------------------------------------------------------------
 *
 * book_account.c
 *	  Accounts: making them, freezing and closing them, bounding them.
 *
 * The row of an account never changes and is never deleted.  What changes is
 * in its balances, so that who locks one of them knows it.
 *
 * Locking: all balances of the account, in order.
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
#include "eval_error.h"
#include "json_util.h"
#include "money.h"
#include "numeric_util.h"
#include "spi_util.h"

#define MAX_OWNER_ID	200
#define MAX_NAME		200
#define MAX_STRIPES		64

static UaefQuery insert_account = {
	"INSERT INTO uaef.account (code, kind, currency, stripes, owner_type,"
	" owner_id, name, created_by, created_at)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
	" ON CONFLICT (code) DO NOTHING RETURNING account_id",
	9, {TEXTOID, TEXTOID, TEXTOID, INT2OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID,
	TIMESTAMPTZOID}
};

static UaefQuery insert_stripes = {
	"INSERT INTO uaef.account_stripe (account_id, postings, stripe, status,"
	" debit, credit, held, min_balance, max_balance)"
	" SELECT $1, 0, i, 'open', 0, 0, 0, $3, $4"
	" FROM generate_series(0, $2 - 1) AS i",
	4, {INT8OID, INT4OID, NUMERICOID, NUMERICOID}
};

static UaefQuery find_account = {
	"SELECT a.account_id, (a.kind = $2 AND a.currency = $3"
	" AND a.stripes = $4 AND a.owner_type IS NOT DISTINCT FROM $5"
	" AND a.owner_id IS NOT DISTINCT FROM $6"
	" AND s.min_balance IS NOT DISTINCT FROM $7"
	" AND s.max_balance IS NOT DISTINCT FROM $8)"
	" FROM uaef.account a JOIN uaef.account_stripe s USING (account_id)"
	" WHERE a.code = $1 AND s.stripe = 0",
	8, {TEXTOID, TEXTOID, TEXTOID, INT2OID, TEXTOID, TEXTOID, NUMERICOID,
	NUMERICOID}
};

static UaefQuery lock_stripes = {
	"SELECT a.account_id, a.kind, s.status, s.debit, s.credit, s.held"
	" FROM uaef.account a JOIN uaef.account_stripe s USING (account_id)"
	" WHERE a.code = $1 ORDER BY s.stripe FOR NO KEY UPDATE OF s",
	1, {TEXTOID}
};

/* An account whose balances are all locked. */
typedef struct LockedAccount
{
	int64		account_id;
	char	   *status;
	int			stripes;
	UaefMinor	balance;
	UaefMinor	held;
} LockedAccount;

static void check_one_of(const char *value, const char *const *allowed,
						 int n, const char *what);
static void check_text(const char *text, int max, const char *what);
static void check_limits(Numeric min_balance, Numeric max_balance);
static void check_spec(const UaefAccountSpec *spec);
static int64 account_as_specified(const UaefAccountSpec *spec);
static Jsonb *created_payload(const UaefAccountSpec *spec, int64 account_id);
static void lock_account(const char *code, LockedAccount *account);
static void set_arg(Datum *args, char *nulls, int i, const char *text);
static void set_numeric_arg(Datum *args, char *nulls, int i, Numeric number);

static void
check_one_of(const char *value, const char *const *allowed, int n,
			 const char *what)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < n; i++)
	{
		if (value != NULL && strcmp(value, allowed[i]) == 0)
			return;
		appendStringInfo(&names, "%s%s", i == 0 ? "" :
						 i == n - 1 ? " or " : ", ", allowed[i]);
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid %s", what),
			 value == NULL ? 0 : errdetail("It is \"%s\".",
										   uaef_eval_clip(value, strlen(value))),
			 errhint("Use %s.", names.data)));
}

static void
check_text(const char *text, int max, const char *what)
{
	if (text == NULL || strlen(text) > max || uaef_blank_at_ends(text))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid %s", what),
				 errdetail("It has 1 to %d bytes, and no blank at its ends.",
						   max)));
}

static void
check_limits(Numeric min_balance, Numeric max_balance)
{
	UaefMinor	min = min_balance == NULL ? 0 :
		uaef_minor_require_limit(min_balance, "min_balance");
	UaefMinor	max = max_balance == NULL ? 0 :
		uaef_minor_require_limit(max_balance, "max_balance");

	if (min_balance != NULL && max_balance != NULL && min > max)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("min_balance is above max_balance")));
}

static void
check_spec(const UaefAccountSpec *spec)
{
	static const char *const kinds[] = {
		"asset", "liability", "income", "expense", "equity", "control"
	};
	static const char *const owners[] = {
		"agent", "user", "external", "pool", "platform"
	};

	check_text(spec->code, MAX_ACCOUNT_CODE, "code of an account");
	check_one_of(spec->kind, kinds, lengthof(kinds), "kind of account");
	uaef_currency_require(spec->currency == NULL ? "" : spec->currency);
	if (spec->owner_type != NULL)
		check_one_of(spec->owner_type, owners, lengthof(owners),
					 "type of owner");
	if ((spec->owner_type == NULL) != (spec->owner_id == NULL) &&
		(spec->owner_type == NULL || strcmp(spec->owner_type, "platform") != 0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("account \"%s\" has an owner without type or id", spec->code),
				 errhint("Give owner_type and owner_id; only a platform may lack the id.")));
	if (spec->owner_id != NULL)
		check_text(spec->owner_id, MAX_OWNER_ID, "owner of an account");
	if (spec->name != NULL)
		check_text(spec->name, MAX_NAME, "name of an account");
	if (spec->stripes < 0 || spec->stripes > MAX_STRIPES)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an account has 1 to %d stripes", MAX_STRIPES)));
	check_limits(spec->min_balance, spec->max_balance);
	if (spec->stripes > 1 &&
		(spec->min_balance != NULL || spec->max_balance != NULL))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("an account with limits has one stripe"),
				 errdetail("Its balance must be known under one lock.")));
}

static void
set_arg(Datum *args, char *nulls, int i, const char *text)
{
	nulls[i] = text == NULL ? 'n' : ' ';
	args[i] = text == NULL ? (Datum) 0 : CStringGetTextDatum(text);
}

static void
set_numeric_arg(Datum *args, char *nulls, int i, Numeric number)
{
	nulls[i] = number == NULL ? 'n' : ' ';
	args[i] = NumericGetDatum(number);
}

/*
 * The account that has the code, which must be what is asked for.
 */
static int64
account_as_specified(const UaefAccountSpec *spec)
{
	Datum		args[8];
	char		nulls[9] = "        ";

	set_arg(args, nulls, 0, spec->code);
	set_arg(args, nulls, 1, spec->kind);
	set_arg(args, nulls, 2, spec->currency);
	args[3] = Int16GetDatum(Max(spec->stripes, 1));
	set_arg(args, nulls, 4, spec->owner_type);
	set_arg(args, nulls, 5, spec->owner_id);
	set_numeric_arg(args, nulls, 6, spec->min_balance);
	set_numeric_arg(args, nulls, 7, spec->max_balance);
	if (uaef_spi_run(&find_account, args, nulls) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not see the account that has the same code"),
				 errhint("Retry the transaction.")));
	if (!uaef_spi_bool(0, 2))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("account \"%s\" is another one", spec->code),
				 errdetail("It differs in kind, currency, owner, limits or stripes.")));
	return uaef_spi_int64(0, 1);
}

static Jsonb *
created_payload(const UaefAccountSpec *spec, int64 account_id)
{
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_int(&json, "account_id", account_id);
	uaef_json_text(&json, "account", spec->code);
	uaef_json_text(&json, "kind", spec->kind);
	uaef_json_text(&json, "currency", spec->currency);
	uaef_json_text(&json, "owner_type", spec->owner_type);
	uaef_json_text(&json, "owner_id", spec->owner_id);
	uaef_json_numeric(&json, "min_balance", spec->min_balance);
	uaef_json_numeric(&json, "max_balance", spec->max_balance);
	if (spec->stripes > 1)
		uaef_json_int(&json, "stripes", spec->stripes);
	return uaef_json_end(&json);
}

int64
uaef_book_account(const UaefAccountSpec *spec, const UaefBookActor *actor)
{
	UaefCaller	caller;
	Datum		args[9];
	char		nulls[10] = "         ";
	Datum		stripe_args[4];
	char		stripe_nulls[5] = "    ";
	int64		account_id;

	check_spec(spec);
	caller = uaef_spi_begin();
	set_arg(args, nulls, 0, spec->code);
	set_arg(args, nulls, 1, spec->kind);
	set_arg(args, nulls, 2, spec->currency);
	args[3] = Int16GetDatum(Max(spec->stripes, 1));
	set_arg(args, nulls, 4, spec->owner_type);
	set_arg(args, nulls, 5, spec->owner_id);
	set_arg(args, nulls, 6, spec->name);
	set_arg(args, nulls, 7, actor->id != NULL ? actor->id : actor->type);
	args[8] = TimestampTzGetDatum(uaef_clock_now());
	if (uaef_spi_run(&insert_account, args, nulls) == 0)
		account_id = account_as_specified(spec);
	else
	{
		account_id = uaef_spi_int64(0, 1);
		stripe_args[0] = Int64GetDatum(account_id);
		stripe_args[1] = Int32GetDatum(Max(spec->stripes, 1));
		set_numeric_arg(stripe_args, stripe_nulls, 2, spec->min_balance);
		set_numeric_arg(stripe_args, stripe_nulls, 3, spec->max_balance);
		(void) uaef_spi_run(&insert_stripes, stripe_args, stripe_nulls);
		(void) uaef_book_event(actor, "account_created",
							   created_payload(spec, account_id));
	}
	uaef_spi_end(caller);
	return account_id;
}

/* ----------
 * Changing what is in the balances
 * ----------
 */

/*
 * Lock all balances of an account, and sum them.
 */
static void
lock_account(const char *code, LockedAccount *account)
{
	Datum		args[1] = {CStringGetTextDatum(code)};
	uint64		rows = uaef_spi_run(&lock_stripes, args, NULL);
	UaefMinor	debit = 0;
	UaefMinor	credit = 0;
	char	   *kind;
	bool		isnull;

	if (rows == 0)
		uaef_account_undefined(code);
	account->account_id = uaef_spi_int64(0, 1);
	kind = uaef_spi_text(0, 2);
	account->status = uaef_spi_text(0, 3);
	account->stripes = (int) rows;
	account->held = 0;
	for (uint64 row = 0; row < rows; row++)
	{
		uaef_minor_add(&debit, uaef_minor_from_numeric(DatumGetNumeric(uaef_spi_value(row, 4, &isnull))));
		uaef_minor_add(&credit, uaef_minor_from_numeric(DatumGetNumeric(uaef_spi_value(row, 5, &isnull))));
		uaef_minor_add(&account->held, uaef_minor_from_numeric(DatumGetNumeric(uaef_spi_value(row, 6, &isnull))));
	}
	account->balance = strcmp(kind, "liability") == 0 ||
		strcmp(kind, "income") == 0 || strcmp(kind, "equity") == 0 ?
		credit - debit : debit - credit;
}

bool
uaef_book_set_status(const UaefBookActor *actor, const char *code,
					 const char *status, const char *reason)
{
	static const char *const statuses[] = {"open", "frozen", "closed"};
	static UaefQuery set_status = {
		"UPDATE uaef.account_stripe SET status = $2 WHERE account_id = $1",
		2, {INT8OID, TEXTOID}
	};
	UaefCaller	caller;
	LockedAccount account;
	Datum		args[2];
	UaefJson	json;
	bool		changes;

	check_one_of(status, statuses, lengthof(statuses), "status of account");
	caller = uaef_spi_begin();
	lock_account(code, &account);
	changes = strcmp(account.status, status) != 0;
	if (changes && strcmp(account.status, "closed") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_ACCOUNT_STATE),
				 errmsg("account \"%s\" is closed", code)));
	if (changes && strcmp(status, "closed") == 0 &&
		(account.balance != 0 || account.held != 0))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_ACCOUNT_STATE),
				 errmsg("account \"%s\" is not empty", code),
				 errdetail("Its balance is %s, and %s are held.",
						   uaef_minor_text(account.balance),
						   uaef_minor_text(account.held))));
	if (changes)
	{
		args[0] = Int64GetDatum(account.account_id);
		args[1] = CStringGetTextDatum(status);
		(void) uaef_spi_run(&set_status, args, NULL);
		uaef_json_begin(&json);
		uaef_json_text(&json, "account", code);
		uaef_json_text(&json, "from", account.status);
		uaef_json_text(&json, "to", status);
		uaef_json_text(&json, "reason", reason);
		(void) uaef_book_event(actor, "account_status_changed",
							   uaef_json_end(&json));
	}
	uaef_spi_end(caller);
	return changes;
}

void
uaef_book_set_limits(const UaefBookActor *actor, const char *code,
					 Numeric min_balance, Numeric max_balance,
					 const char *reason)
{
	static UaefQuery set_limits = {
		"UPDATE uaef.account_stripe SET min_balance = $2, max_balance = $3"
		" WHERE account_id = $1",
		3, {INT8OID, NUMERICOID, NUMERICOID}
	};
	UaefCaller	caller;
	LockedAccount account;
	Datum		args[3];
	char		nulls[4] = "   ";
	UaefJson	json;

	check_limits(min_balance, max_balance);
	caller = uaef_spi_begin();
	lock_account(code, &account);
	if (account.stripes > 1 && (min_balance != NULL || max_balance != NULL))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("an account with limits has one stripe"),
				 errdetail("Account \"%s\" has %d.", code, account.stripes)));
	if ((min_balance != NULL && account.balance - account.held <
		 uaef_minor_from_numeric(min_balance)) ||
		(max_balance != NULL && account.balance >
		 uaef_minor_from_numeric(max_balance)))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BALANCE_LIMIT),
				 errmsg("the balance of account \"%s\" is not within these limits",
						code),
				 errdetail("Its balance is %s, of which %s are held.",
						   uaef_minor_text(account.balance),
						   uaef_minor_text(account.held))));
	args[0] = Int64GetDatum(account.account_id);
	set_numeric_arg(args, nulls, 1, min_balance);
	set_numeric_arg(args, nulls, 2, max_balance);
	(void) uaef_spi_run(&set_limits, args, nulls);
	uaef_json_begin(&json);
	uaef_json_text(&json, "account", code);
	uaef_json_numeric(&json, "min_balance", min_balance);
	uaef_json_numeric(&json, "max_balance", max_balance);
	uaef_json_text(&json, "reason", reason);
	(void) uaef_book_event(actor, "account_limits_changed",
						   uaef_json_end(&json));
	uaef_spi_end(caller);
}
