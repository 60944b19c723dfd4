/*-------------------------------------------------------------------------
 *
 * settlement_again.c
 *	  Later looks at a settlement: rules that were held, what blocks signals,
 *	  approvals whose time is over.
 *
 * A rule that was held is evaluated by the version that is in force now for the
 * time of completion, so that a version that mends it can be made.
 *
 * Locking: the execution's row, by a step of its own that changes nothing of
 * it.  Memory: the current context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "errcodes.h"
#include "json_util.h"
#include "ledger.h"
#include "own_execution.h"
#include "settlement_eval.h"
#include "settlement_gate.h"
#include "settlement_timer.h"
#include "spi_util.h"
#include "uuid7.h"

static UaefQuery find_signals = {
	"SELECT signal_id FROM uaef.settlement_signal"
	" WHERE execution_id = $1 AND status = $2 ORDER BY signal_id",
	2, {UUIDOID, TEXTOID}
};

static UaefQuery find_expired = {
	"SELECT signal_id FROM uaef.settlement_signal"
	" WHERE execution_id = $1 AND status = 'pending_approval'"
	" AND expires_at <= $2 ORDER BY signal_id",
	2, {UUIDOID, TIMESTAMPTZOID}
};

static UaefQuery begin_run = {
	"UPDATE uaef.settlement_run SET run = run + 1 WHERE execution_id = $1"
	" RETURNING run",
	1, {UUIDOID}
};

static UaefQuery update_error = {
	"UPDATE uaef.settlement_signal SET error = $3, run = $4"
	" WHERE execution_id = $1 AND signal_id = $2",
	4, {UUIDOID, INT8OID, JSONBOID, INT4OID}
};

static UaefQuery insert_evaluation = {
	"INSERT INTO uaef.rule_evaluation (execution_id, rule_id, result, trace,"
	" run) VALUES ($1, $2, 'error', $3, $4)",
	4, {UUIDOID, INT4OID, JSONBOID, INT4OID}
};

static UaefQuery set_expiry = {
	"UPDATE uaef.settlement_signal SET expires_at = $3"
	" WHERE execution_id = $1 AND signal_id = $2",
	3, {UUIDOID, INT8OID, TIMESTAMPTZOID}
};

/* An execution that is looked at again. */
typedef struct Again
{
	UaefSettlementInput input;
	const char *reason;
	Oid			actor;
	int			run;			/* 0: not begun yet */
	int			moved;
	int			n_outcomes;		/* to be stored as those of a new run */
	UaefRuleOutcome *outcomes;
} Again;

static void
make_input(UaefExecution *execution, UaefSettlementInput *input)
{
	input->execution_id = execution->id;
	input->workflow = execution->def->name;
	input->version = execution->def->version;
	input->initiated_by = execution->initiated_by;
	input->completed_at = execution->completed_at != 0 ?
		execution->completed_at : execution->step->now;
	input->scope = uaef_execution_scope(execution);
}

/*
 * The signals of an execution with a status; NULL: none.
 */
static UaefSignal *
signals_with(const pg_uuid_t *execution_id, UaefSignalStatus status, int *n)
{
	Datum		args[2];
	int64	   *ids;

	args[0] = UUIDPGetDatum(execution_id);
	args[1] = CStringGetTextDatum(uaef_signal_status_name(status));
	*n = (int) uaef_spi_run(&find_signals, args, NULL);
	ids = palloc(Max(*n, 1) * sizeof(int64));
	for (int i = 0; i < *n; i++)
		ids[i] = uaef_spi_int64(i, 1);
	return *n == 0 ? NULL : uaef_signals_read(ids, *n);
}

/*----------
 * What blocks signals
 * ----------
 */

static void
renew_expiry(const UaefSignal *signal)
{
	JsonbValue	value;
	Datum		args[3];
	int64		ms;

	if (!uaef_json_get(signal->approval, "expires_ms", &value) ||
		value.type != jbvNumeric)
		return;
	ms = DatumGetInt64(DirectFunctionCall1(numeric_int8,
										   NumericGetDatum(value.val.numeric)));
	args[0] = UUIDPGetDatum(&signal->execution_id);
	args[1] = Int64GetDatum(signal->signal_id);
	args[2] = TimestampTzGetDatum(uaef_clock_now() + ms * 1000);
	(void) uaef_spi_run(&set_expiry, args, NULL);
	uaef_settlement_set_timers(&signal->execution_id);
}

/*
 * Returns how many nothing blocks any longer.
 */
static int
unblock(const UaefSettlementInput *input, Oid actor, const char *reason)
{
	int			n;
	UaefSignal *signals = signals_with(&input->execution_id,
									   UAEF_SIGNAL_BLOCKED, &n);
	Jsonb	  **blocked = palloc(Max(n, 1) * sizeof(Jsonb *));
	int			moved = 0;

	if (n == 0)
		return 0;
	uaef_settlement_gate(input, signals, n, blocked);
	uaef_settlement_block(signals, n, blocked, false);
	for (int i = 0; i < n; i++)
	{
		UaefSignalMove move = {
			.actor = actor,
			.reason = reason,
			.approvals = -1
		};

		if (blocked[i] != NULL)
			continue;
		move.action = signals[i].approval == NULL ? UAEF_ACT_CLEAR
			: UAEF_ACT_ASK;
		uaef_signals_move(&signals[i], 1, &move);
		renew_expiry(&signals[i]);
		moved++;
	}
	return moved;
}

int
uaef_settlement_unblock(const pg_uuid_t *execution_id)
{
	UaefStep   *step = uaef_step_begin("system", NULL);
	UaefSettlementInput input = {0};

	make_input(uaef_lock_execution(step, execution_id), &input);
	return unblock(&input, InvalidOid, NULL);
}

/*----------
 * Rules that were held
 * ----------
 */

static const UaefSettlementRule *
rule_in_force(const UaefSettlementInput *input, const char *name)
{
	int			in_force;
	int			n;
	const UaefSettlementRule **rules =
		uaef_settlement_rules_get(input->workflow, NULL, input->completed_at,
								  input->scope, &in_force, &n);

	for (int i = 0; i < n; i++)
		if (strcmp(rules[i]->name, name) == 0)
			return rules[i];
	return NULL;
}

static int
run_number(Again *again)
{
	Datum		arg = UUIDPGetDatum(&again->input.execution_id);

	if (again->run == 0)
	{
		(void) uaef_spi_run(&begin_run, &arg, NULL);
		again->run = uaef_spi_int32(0, 1);
	}
	return again->run;
}

/*
 * The same version fails once more: the signal stays, with what is wrong now.
 */
static void
keep_held(Again *again, const UaefSignal *signal,
		  const UaefRuleOutcome *outcome)
{
	pg_uuid_t	stream = signal->execution_id;
	UaefEvent	event = {
		.type = "settlement_error",
		.stream = &stream,
		.actor_type = "user",
		.actor_id = GetUserNameFromId(again->actor, true)
	};
	Datum		args[4];

	event.payload = uaef_settlement_error_payload(outcome);
	args[0] = UUIDPGetDatum(&stream);
	args[1] = Int64GetDatum(signal->signal_id);
	args[2] = JsonbPGetDatum(event.payload);
	args[3] = Int32GetDatum(run_number(again));
	(void) uaef_spi_run(&update_error, args, NULL);
	args[1] = Int32GetDatum(outcome->rule->rule_id);
	args[2] = JsonbPGetDatum(outcome->trace);
	(void) uaef_spi_run(&insert_evaluation, args, NULL);
	(void) uaef_ledger_append(&event, 1);
}

/*
 * A rule that is no longer in force stays held: it can be cancelled.
 */
static void
evaluate_again(Again *again, UaefSignal *signal)
{
	const UaefSettlementRule *rule = rule_in_force(&again->input,
												   signal->rule);
	UaefRuleOutcome *outcome = &again->outcomes[again->n_outcomes];
	UaefSignalMove move = {
		.action = UAEF_ACT_SUPERSEDE,
		.actor = again->actor,
		.reason = again->reason,
		.approvals = -1
	};

	if (rule == NULL)
		return;
	uaef_settlement_rule_settle(rule, again->input.scope,
								again->input.completed_at, outcome);
	if (outcome->result == UAEF_RULE_ERROR && rule->rule_id == signal->rule_id)
	{
		keep_held(again, signal, outcome);
		return;
	}
	uaef_signals_move(signal, 1, &move);
	(void) run_number(again);
	again->n_outcomes++;
	again->moved++;
}

int
uaef_settlement_reevaluate(const pg_uuid_t *execution_id, const char *reason,
						   Oid actor)
{
	UaefCaller	caller = uaef_spi_begin();
	UaefStep   *step = uaef_step_begin("user", GetUserNameFromId(actor, false));
	Again		again = {.reason = reason,.actor = actor};
	UaefSignal *held;
	int			n;

	uaef_signal_require_reason(reason);
	make_input(uaef_lock_execution(step, execution_id), &again.input);
	held = signals_with(execution_id, UAEF_SIGNAL_BLOCKED, &n);
	for (int i = 0; i < n; i++)
		uaef_settlement_check_manager(&held[i], actor, "evaluate");
	held = signals_with(execution_id, UAEF_SIGNAL_ERROR, &n);
	again.outcomes = palloc(Max(n, 1) * sizeof(UaefRuleOutcome));
	for (int i = 0; i < n; i++)
		uaef_settlement_check_manager(&held[i], actor, "evaluate");
	for (int i = 0; i < n; i++)
		evaluate_again(&again, &held[i]);
	again.moved += unblock(&again.input, actor, reason);
	if (again.n_outcomes > 0)
		uaef_settlement_store(&again.input, again.outcomes, again.n_outcomes,
							  again.run);
	uaef_spi_end(caller);
	return again.moved;
}

/*----------
 * Time
 * ----------
 */

static bool
is_rejected_then(const UaefSignal *signal)
{
	char	   *word = uaef_json_get_text(signal->approval, "on_expiry");

	return word != NULL && strcmp(word, "reject") == 0;
}

void
uaef_settlement_fire(UaefExecution *execution)
{
	Datum		args[2];
	UaefSignal *signals;
	int64	   *ids;
	int			n;

	args[0] = UUIDPGetDatum(&execution->id);
	args[1] = TimestampTzGetDatum(execution->step->now);
	n = (int) uaef_spi_run(&find_expired, args, NULL);
	if (n == 0)
		return;
	ids = palloc(n * sizeof(int64));
	for (int i = 0; i < n; i++)
		ids[i] = uaef_spi_int64(i, 1);
	signals = uaef_signals_read(ids, n);
	for (int i = 0; i < n; i++)
	{
		UaefSignalMove move = {
			.action = is_rejected_then(&signals[i]) ? UAEF_ACT_REJECT
			: UAEF_ACT_EXPIRE,
			.reason = "nobody decided in time",
			.approvals = -1
		};

		uaef_signals_move(&signals[i], 1, &move);
	}
}
