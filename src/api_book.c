/*-------------------------------------------------------------------------
 *
 * api_book.c
 *	  SQL entry points of double entry: fetch arguments, call, return.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "arguments.h"
#include "book.h"
#include "book_audit.h"
#include "book_parse.h"
#include "book_statement.h"
#include "settlement_book.h"
#include "spi_util.h"

PG_FUNCTION_INFO_V1(uaef_create_account);
PG_FUNCTION_INFO_V1(uaef_freeze_account);
PG_FUNCTION_INFO_V1(uaef_unfreeze_account);
PG_FUNCTION_INFO_V1(uaef_close_account);
PG_FUNCTION_INFO_V1(uaef_set_account_limits);
PG_FUNCTION_INFO_V1(uaef_post);
PG_FUNCTION_INFO_V1(uaef_post_batch);
PG_FUNCTION_INFO_V1(uaef_reverse_journal);
PG_FUNCTION_INFO_V1(uaef_hold_funds);
PG_FUNCTION_INFO_V1(uaef_capture_hold);
PG_FUNCTION_INFO_V1(uaef_release_hold);
PG_FUNCTION_INFO_V1(uaef_balance);
PG_FUNCTION_INFO_V1(uaef_statement);
PG_FUNCTION_INFO_V1(uaef_audit_money);
PG_FUNCTION_INFO_V1(uaef_posting_balanced);

static UaefBookActor me(void);
static char *manual_key(FunctionCallInfo fcinfo, int no);
static char *manual_account(FunctionCallInfo fcinfo, int no,
							const char *name);
static Datum set_status(FunctionCallInfo fcinfo, const char *status);

/*
 * Who calls, as the actor of what is done.
 */
static UaefBookActor
me(void)
{
	UaefBookActor actor = {"user", GetUserNameFromId(GetUserId(), false)};

	return actor;
}

/*
 * An idempotency key that people may give.
 */
static char *
manual_key(FunctionCallInfo fcinfo, int no)
{
	char	   *key = uaef_arg_text_or_null(fcinfo, no);

	uaef_book_require_manual(NULL, key);
	return key;
}

/*
 * An account that people may make, post to, set money aside of, bound and
 * freeze.  Executions must be able to complete, whoever is owed.
 */
static char *
manual_account(FunctionCallInfo fcinfo, int no, const char *name)
{
	char	   *code = uaef_arg_text(fcinfo, no, name);

	uaef_book_require_manual_account(code);
	return code;
}

/*
 * create_account(code text, kind text, currency text, owner_type text,
 *	 owner_id text, min_balance numeric, max_balance numeric,
 *	 stripes integer, name text) -> bigint
 */
Datum
uaef_create_account(PG_FUNCTION_ARGS)
{
	UaefBookActor actor = me();
	UaefAccountSpec spec = {
		.code = manual_account(fcinfo, 0, "code"),
		.kind = uaef_arg_text(fcinfo, 1, "kind"),
		.currency = uaef_arg_text(fcinfo, 2, "currency"),
		.owner_type = uaef_arg_text_or_null(fcinfo, 3),
		.owner_id = uaef_arg_text_or_null(fcinfo, 4),
		.min_balance = uaef_arg_numeric_or_null(fcinfo, 5),
		.max_balance = uaef_arg_numeric_or_null(fcinfo, 6),
		.name = uaef_arg_text_or_null(fcinfo, 8)
	};

	spec.stripes = uaef_arg_int32(fcinfo, 7, "stripes");
	if (spec.stripes == 0)
		spec.stripes = -1;		/* 0 is the default only in C */
	PG_RETURN_INT64(uaef_book_account(&spec, &actor));
}

static Datum
set_status(FunctionCallInfo fcinfo, const char *status)
{
	UaefBookActor actor = me();
	char	   *code = manual_account(fcinfo, 0, "code");
	char	   *reason = uaef_arg_text(fcinfo, 1, "reason");

	PG_RETURN_BOOL(uaef_book_set_status(&actor, code, status, reason));
}

/* freeze_account(code text, reason text) -> boolean */
Datum
uaef_freeze_account(PG_FUNCTION_ARGS)
{
	return set_status(fcinfo, "frozen");
}

/* unfreeze_account(code text, reason text) -> boolean */
Datum
uaef_unfreeze_account(PG_FUNCTION_ARGS)
{
	return set_status(fcinfo, "open");
}

/* close_account(code text, reason text) -> boolean */
Datum
uaef_close_account(PG_FUNCTION_ARGS)
{
	return set_status(fcinfo, "closed");
}

/*
 * set_account_limits(code text, min_balance numeric, max_balance numeric,
 *	 reason text) -> void
 */
Datum
uaef_set_account_limits(PG_FUNCTION_ARGS)
{
	UaefBookActor actor = me();
	char	   *code = manual_account(fcinfo, 0, "code");
	char	   *reason = uaef_arg_text(fcinfo, 3, "reason");

	uaef_book_set_limits(&actor, code, uaef_arg_numeric_or_null(fcinfo, 1),
						 uaef_arg_numeric_or_null(fcinfo, 2), reason);
	PG_RETURN_VOID();
}

/* post(journal jsonb, idempotency_key text) -> bigint */
Datum
uaef_post(PG_FUNCTION_ARGS)
{
	UaefBookActor actor = me();
	UaefJournal journal;

	uaef_book_parse(uaef_arg_jsonb(fcinfo, 0, "journal"),
					uaef_arg_text_or_null(fcinfo, 1), &journal);
	uaef_settlement_book_banks(&journal, 1);
	uaef_book_post(&actor, &journal, 1);
	PG_RETURN_INT64(journal.journal_id);
}

/* post_batch(journals jsonb) -> bigint[] */
Datum
uaef_post_batch(PG_FUNCTION_ARGS)
{
	UaefBookActor actor = me();
	UaefJournal *journals;
	Datum	   *ids;
	int			n;

	journals = uaef_book_parse_list(uaef_arg_jsonb(fcinfo, 0, "journals"), &n);
	uaef_settlement_book_banks(journals, n);
	uaef_book_post(&actor, journals, n);
	ids = palloc(sizeof(Datum) * Max(n, 1));
	for (int i = 0; i < n; i++)
		ids[i] = Int64GetDatum(journals[i].journal_id);
	return uaef_array(ids, NULL, n, INT8OID);
}

/*
 * reverse_journal(journal_id bigint, amount numeric, reason text,
 *	 idempotency_key text) -> bigint
 */
Datum
uaef_reverse_journal(PG_FUNCTION_ARGS)
{
	UaefBookActor actor = me();
	int64		journal_id = uaef_arg_int64(fcinfo, 0, "journal_id");
	char	   *key = manual_key(fcinfo, 3);

	PG_RETURN_INT64(uaef_book_reverse(&actor, journal_id,
									  uaef_arg_numeric_or_null(fcinfo, 1),
									  uaef_arg_text_or_null(fcinfo, 2), key));
}

/*
 * hold_funds(account text, amount numeric, expires_at timestamptz,
 *	 reason text, idempotency_key text) -> bigint
 */
Datum
uaef_hold_funds(PG_FUNCTION_ARGS)
{
	UaefBookActor actor = me();
	UaefHoldSpec spec = {
		.account = manual_account(fcinfo, 0, "account"),
		.expires_at = uaef_arg_time_or(fcinfo, 2, 0),
		.reason = uaef_arg_text_or_null(fcinfo, 3),
		.key = manual_key(fcinfo, 4)
	};

	uaef_arg_require(fcinfo, 1, "amount");
	spec.amount = PG_GETARG_NUMERIC(1);
	PG_RETURN_INT64(uaef_book_hold(&actor, &spec));
}

/*
 * capture_hold(hold_id bigint, to_account text, amount numeric,
 *	 release_rest boolean, idempotency_key text) -> bigint
 */
Datum
uaef_capture_hold(PG_FUNCTION_ARGS)
{
	UaefBookActor actor = me();
	int64		hold_id = uaef_arg_int64(fcinfo, 0, "hold_id");
	char	   *to_account = manual_account(fcinfo, 1, "to_account");
	bool		release_rest = uaef_arg_bool(fcinfo, 3, "release_rest");
	char	   *key = manual_key(fcinfo, 4);

	uaef_hold_require_manual(hold_id);
	PG_RETURN_INT64(uaef_book_capture(&actor, hold_id, to_account,
									  uaef_arg_numeric_or_null(fcinfo, 2),
									  release_rest, key));
}

/* release_hold(hold_id bigint, reason text) -> void */
Datum
uaef_release_hold(PG_FUNCTION_ARGS)
{
	UaefBookActor actor = me();
	int64		hold_id = uaef_arg_int64(fcinfo, 0, "hold_id");

	uaef_hold_require_manual(hold_id);
	uaef_book_release(&actor, hold_id, uaef_arg_text_or_null(fcinfo, 1));
	PG_RETURN_VOID();
}

/*
 * balance(account text, at timestamptz, recorded_at timestamptz) -> numeric
 */
Datum
uaef_balance(PG_FUNCTION_ARGS)
{
	char	   *account = uaef_arg_text(fcinfo, 0, "account");

	PG_RETURN_NUMERIC(uaef_book_balance(account, uaef_arg_time_or(fcinfo, 1, 0),
										uaef_arg_time_or(fcinfo, 2, 0)));
}

/*
 * statement(account text, since timestamptz, until timestamptz) -> setof rows
 */
Datum
uaef_statement(PG_FUNCTION_ARGS)
{
	char	   *account = uaef_arg_text(fcinfo, 0, "account");

	uaef_book_statement(fcinfo, account, uaef_arg_time_or(fcinfo, 1, 0),
						uaef_arg_time_or(fcinfo, 2, 0));
	return (Datum) 0;
}

/* audit_money(since_last boolean) -> setof (problem, subject, detail) */
Datum
uaef_audit_money(PG_FUNCTION_ARGS)
{
	bool		since_last = uaef_arg_bool(fcinfo, 0, "since_last");

	uaef_begin_set(fcinfo);
	uaef_book_audit(fcinfo, since_last, me().id);
	return (Datum) 0;
}

/* _posting_balanced() -> trigger */
Datum
uaef_posting_balanced(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be called as a trigger",
						"_posting_balanced")));
	uaef_book_check_written((TriggerData *) fcinfo->context);
	return PointerGetDatum(NULL);
}
