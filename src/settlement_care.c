/*-------------------------------------------------------------------------
 *
 * settlement_care.c
 *	  What people do with a signal besides deciding: hold, adjust, reverse.
 *
 * Locking: the execution's row first, until the transaction ends.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "budget.h"
#include "clock.h"
#include "errcodes.h"
#include "json_util.h"
#include "money.h"
#include "numeric_util.h"
#include "settlement.h"
#include "settlement_book.h"
#include "spi_util.h"

#define MAX_KEY_LENGTH 255

static UaefQuery set_due = {
	"UPDATE uaef.settlement_signal SET due_at = $3"
	" WHERE execution_id = $1 AND signal_id = $2",
	3, {UUIDOID, INT8OID, TIMESTAMPTZOID}
};

static UaefQuery set_amount = {
	"UPDATE uaef.settlement_signal SET amount_minor = $3, amount = $4,"
	" approval = $5, adjusted_by = $6, adjusted_session = $7"
	" WHERE execution_id = $1 AND signal_id = $2",
	7, {UUIDOID, INT8OID, NUMERICOID, NUMERICOID, JSONBOID, REGROLEOID,
	REGROLEOID}
};

static UaefQuery find_reversal = {
	"SELECT reversal_id, amount_minor FROM uaef.settlement_reversal"
	" WHERE signal_id = $1 AND idempotency_key = $2",
	2, {INT8OID, TEXTOID}
};

static UaefQuery insert_reversal = {
	"INSERT INTO uaef.settlement_reversal (signal_id, execution_id, recipient,"
	" currency, amount_minor, reason, idempotency_key, reversed_by,"
	" session_role, reversed_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9,"
	" $10) RETURNING reversal_id",
	10, {INT8OID, UUIDOID, TEXTOID, TEXTOID, NUMERICOID, TEXTOID, TEXTOID,
	REGROLEOID, REGROLEOID, TIMESTAMPTZOID}
};

static UaefQuery add_reversed = {
	"UPDATE uaef.settlement_signal SET reversed_minor = reversed_minor + $3"
	" WHERE execution_id = $1 AND signal_id = $2",
	3, {UUIDOID, INT8OID, NUMERICOID}
};

UaefSignalStatus
uaef_settlement_care(int64 signal_id, UaefSignalAction action,
					 const char *reason, TimestampTz due_at, Oid actor)
{
	UaefSignal	signal;
	UaefSignalMove move = {
		.action = action,
		.actor = actor,
		.reason = reason,
		.approvals = -1
	};
	UaefCaller	caller = uaef_spi_begin();
	Datum		args[3];

	uaef_signal_require_reason(reason);
	uaef_signal_lock(signal_id, &signal);
	uaef_settlement_check_manager(&signal, actor,
								  uaef_signal_action_name(action));
	if (action == UAEF_ACT_SCHEDULE)
	{
		args[0] = UUIDPGetDatum(&signal.execution_id);
		args[1] = Int64GetDatum(signal_id);
		args[2] = TimestampTzGetDatum(due_at ? due_at : uaef_clock_now());
		(void) uaef_spi_run(&set_due, args, NULL);
	}
	uaef_signals_move(&signal, 1, &move);
	uaef_spi_end(caller);
	return signal.status;
}

/*
 * An amount in minor units; raises what is wrong with it.
 */
static Numeric
minor_units(Numeric amount, const char *currency)
{
	UaefEvalError error = {0};
	Numeric		minor;

	if (numeric_is_nan(amount) || numeric_is_inf(amount))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_NUMBER),
				 errmsg("amount is not a number")));
	if (!uaef_money_exact_minor(amount, currency, &minor, &error))
		uaef_eval_raise(&error);
	if (uaef_numeric_sign(minor) <= 0)
		ereport(ERROR,
				(errcode(uaef_numeric_sign(minor) < 0
						 ? ERRCODE_UAEF_NEGATIVE_AMOUNT
						 : ERRCODE_UAEF_ZERO_AMOUNT),
				 errmsg("amount must be above 0")));
	if (uaef_numeric_compare(minor, uaef_numeric_from_text("1e38")) >= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_OVERFLOW),
				 errmsg("amount has more than 38 digits")));
	return minor;
}

/*
 * What an adjusted amount needs: what the rule asked for, but one approval of
 * another person at least.
 */
static Jsonb *
adjusted_approval(const UaefSignal *signal)
{
	char	   *distinct[] = {"initiator", "rule_author", "recipient"};
	UaefJson	json;

	if (signal->approval != NULL)
		return signal->approval;
	uaef_json_begin(&json);
	uaef_json_int(&json, "need", 1);
	uaef_json_texts(&json, "distinct_from", distinct, lengthof(distinct));
	return uaef_json_end(&json);
}

static Jsonb *
adjustment_detail(Numeric after)
{
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_numeric(&json, "amount_after", after);
	return uaef_json_end(&json);
}

/*
 * What was owed is owed no longer, until the other amount is approved.
 */
UaefSignalStatus
uaef_settlement_adjust(int64 signal_id, Numeric amount, const char *reason,
					   Oid actor)
{
	UaefSignal	signal;
	UaefSignalMove move = {
		.action = UAEF_ACT_ADJUST,
		.actor = actor,
		.reason = reason
	};
	UaefCaller	caller = uaef_spi_begin();
	Numeric		minor;
	Datum		args[7];

	uaef_signal_require_reason(reason);
	uaef_signal_lock(signal_id, &signal);
	uaef_settlement_check_manager(&signal, actor, "adjust");
	minor = minor_units(amount, signal.currency);
	amount = uaef_money_from_minor(minor, signal.currency);
	move.detail = adjustment_detail(amount);
	uaef_signals_move(&signal, 1, &move);

	signal.minor = minor;
	signal.amount = amount;
	args[0] = UUIDPGetDatum(&signal.execution_id);
	args[1] = Int64GetDatum(signal_id);
	args[2] = NumericGetDatum(minor);
	args[3] = NumericGetDatum(amount);
	args[4] = JsonbPGetDatum(adjusted_approval(&signal));
	args[5] = ObjectIdGetDatum(actor);
	args[6] = ObjectIdGetDatum(GetSessionUserId());
	(void) uaef_spi_run(&set_amount, args, NULL);
	uaef_budget_give_back(&signal_id, 1);
	uaef_budget_require(&signal);
	uaef_spi_end(caller);
	return signal.status;
}

/*
 * The reversal that has the key already, or 0; raises UA307 when it is of
 * another amount.
 */
static int64
existing_reversal(int64 signal_id, const char *key, Numeric minor)
{
	Datum		args[2];
	bool		isnull;

	args[0] = Int64GetDatum(signal_id);
	args[1] = CStringGetTextDatum(key);
	if (uaef_spi_run(&find_reversal, args, NULL) == 0)
		return 0;
	if (minor != NULL &&
		uaef_numeric_compare(minor,
							 DatumGetNumeric(uaef_spi_value(0, 2, &isnull))) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_KEY_REUSED),
				 errmsg("idempotency key \"%s\" was used for the reversal of another amount",
						key)));
	return uaef_spi_int64(0, 1);
}

/*
 * Store it, and bring the signal's row up to date; returns its number.
 */
static int64
store_reversal(const UaefSignal *signal, Numeric minor, const char *reason,
			   const char *key, Oid actor)
{
	Datum		args[10];
	int64		id;

	args[0] = Int64GetDatum(signal->signal_id);
	args[1] = UUIDPGetDatum(&signal->execution_id);
	args[2] = CStringGetTextDatum(signal->recipient);
	args[3] = CStringGetTextDatum(signal->currency);
	args[4] = NumericGetDatum(minor);
	args[5] = CStringGetTextDatum(reason);
	args[6] = CStringGetTextDatum(key);
	args[7] = ObjectIdGetDatum(actor);
	args[8] = ObjectIdGetDatum(GetSessionUserId());
	args[9] = TimestampTzGetDatum(uaef_clock_now());
	(void) uaef_spi_run(&insert_reversal, args, NULL);
	id = uaef_spi_int64(0, 1);

	args[0] = UUIDPGetDatum(&signal->execution_id);
	args[1] = Int64GetDatum(signal->signal_id);
	args[2] = NumericGetDatum(minor);
	(void) uaef_spi_run(&add_reversed, args, NULL);
	return id;
}

/*
 * What is to be reversed, in minor units; raises UA532 when less is left.
 */
static Numeric
reversed_amount(const UaefSignal *signal, Numeric wanted)
{
	Numeric		left = uaef_numeric_op(numeric_sub, signal->minor,
									   signal->reversed);

	if (wanted == NULL)
		wanted = left;
	if (uaef_numeric_compare(wanted, left) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_REVERSAL),
				 errmsg("settlement signal %lld has only %s %s left to reverse",
						(long long) signal->signal_id,
						uaef_numeric_text(uaef_money_from_minor(left,
																signal->currency)),
						signal->currency)));
	return wanted;
}

static Jsonb *
reversal_detail(const UaefSignal *signal, int64 id, Numeric minor,
				const char *key)
{
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_int(&json, "reversal_id", id);
	uaef_json_numeric(&json, "reversed",
					  uaef_money_from_minor(minor, signal->currency));
	uaef_json_text(&json, "idempotency_key", key);
	return uaef_json_end(&json);
}

int64
uaef_settlement_reverse(int64 signal_id, Numeric amount, const char *reason,
						const char *key, Oid actor)
{
	UaefSignal	signal;
	UaefSignalMove move = {.actor = actor,.reason = reason,.approvals = -1};
	UaefCaller	caller = uaef_spi_begin();
	Numeric		minor = NULL;
	int64		id;

	uaef_signal_require_reason(reason);
	if (*key == '\0' || strlen(key) > MAX_KEY_LENGTH)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an idempotency key has 1 to %d bytes",
						MAX_KEY_LENGTH)));
	uaef_signal_lock(signal_id, &signal);
	uaef_settlement_check_manager(&signal, actor, "reverse");
	if (amount != NULL)
		minor = minor_units(amount, signal.currency);
	id = existing_reversal(signal_id, key, minor);
	if (id == 0)
	{
		UaefSignalStatus to;
		Numeric		left;

		move.action = UAEF_ACT_REVERSE;
		if (uaef_signal_next(signal.status, UAEF_ACT_REVERSE, &to))
		{
			minor = reversed_amount(&signal, minor);
			left = uaef_numeric_op(numeric_sub, signal.minor, signal.reversed);
			if (uaef_numeric_compare(minor, left) < 0)
				move.action = UAEF_ACT_REVERSE_PART;
			id = store_reversal(&signal, minor, reason, key, actor);
			move.detail = reversal_detail(&signal, id, minor, key);
		}
		uaef_signals_move(&signal, 1, &move);
		uaef_settlement_book_reversal(&signal, minor, id);
	}
	uaef_spi_end(caller);
	return id;
}
