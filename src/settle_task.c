/*-------------------------------------------------------------------------
 *
 * settle_task.c
 *	  Settle tasks: settlement rules evaluated within a workflow.
 *
 * The rules that name the task are evaluated when it begins, and what they
 * give becomes signals in the transaction that ends the attempt.  A rule that
 * has signals of the task which may still be paid, or were, is not evaluated
 * again: not by a later attempt, and not by a fork of the execution.  Where
 * one rule fails, the task does, and nothing comes of the others.
 *
 * A task that waits for its signals is woken by a timer that whoever moves
 * one of them sets (settlement_signal.c); so no move has to advance an
 * execution.  Of those that a fork waits for, which are of the execution that it
 * comes from, nobody tells it: it looks again from time to time.
 *
 * Locking: the execution's row, as everywhere; then what settlement locks.
 * Memory: the step's context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "lib/stringinfo.h"
#include "nodes/pg_list.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "advance.h"
#include "errcodes.h"
#include "explain.h"
#include "failure.h"
#include "numeric_util.h"
#include "rule_data.h"
#include "settle_task.h"
#include "settlement.h"
#include "settlement_eval.h"
#include "spi_util.h"
#include "subtransaction.h"
#include "task_kind.h"

/* How long until a fork looks again. */
#define LOOK_AGAIN_US	(60 * USECS_PER_SEC)

/* Of signals that nobody will be paid by. */
#define DEAD "('error', 'rejected', 'expired', 'cancelled', 'superseded'," \
	" 'reversed', 'written_off')"

static UaefQuery find_earlier = {
	"SELECT r.name, s.rule_id, max(s.part_no)::integer,"
	" bool_or(s.status NOT IN " DEAD ")"
	" FROM uaef.settlement_signal s JOIN uaef.settlement_rule r USING (rule_id)"
	" WHERE s.execution_id = $1 AND s.task_id = $2 GROUP BY 1, 2",
	2, {UUIDOID, INT8OID}
};

/*
 * Signals of the task of the same id, of those that this is a fork of: live ones,
 * and those that were refused since.
 */
static UaefQuery find_inherited = {
	"WITH RECURSIVE line (id) AS (SELECT $1"
	" UNION SELECT e.forked_from FROM uaef.workflow_execution e"
	"  JOIN line ON e.execution_id = line.id WHERE e.forked_from IS NOT NULL)"
	" SELECT r.name, s.signal_id FROM line"
	" JOIN uaef.settlement_signal s ON s.execution_id = line.id"
	" JOIN uaef.task_execution t ON t.execution_id = line.id"
	"  AND t.task_id = s.task_id AND t.task = $2"
	" JOIN uaef.settlement_rule r USING (rule_id)"
	" WHERE s.status NOT IN " DEAD " OR s.decided_at >= $3",
	3, {UUIDOID, TEXTOID, TIMESTAMPTZOID}
};

static UaefQuery next_run = {
	"SELECT coalesce(max(run), 0) + 1 FROM uaef.rule_evaluation"
	" WHERE execution_id = $1 AND rule_id = ANY ($2)",
	2, {UUIDOID, INT4ARRAYOID}
};

static UaefQuery select_signals = {
	"SELECT s.signal_id, s.execution_id, r.name, r.version, s.part,"
	" s.recipient, s.amount, s.currency, s.status,"
	" s.status IN " DEAD " AND s.decided_at >= $4"
	" FROM uaef.settlement_signal s JOIN uaef.settlement_rule r USING (rule_id)"
	" WHERE (s.execution_id = $1 AND s.task_id = $2 OR s.signal_id = ANY ($3))"
	" AND (s.status NOT IN " DEAD " OR s.decided_at >= $4)"
	" ORDER BY s.signal_id",
	4, {UUIDOID, INT8OID, INT8ARRAYOID, TIMESTAMPTZOID}
};

static UaefQuery select_ids = {
	"SELECT signal_id FROM uaef.settlement_signal"
	" WHERE execution_id = $1 AND task_id = $2"
	" AND status NOT IN " DEAD " ORDER BY signal_id",
	2, {UUIDOID, INT8OID}
};

/* What a rule gave before. */
typedef struct Earlier
{
	char	   *rule;
	int			rule_id;		/* 0: in another execution */
	int			parts;			/* the highest of their numbers */
	bool		live;			/* some of it may be paid, or was */
} Earlier;

/* A signal, as the task tells of it. */
typedef struct Share
{
	int64		signal_id;		/* 0: of a dry run */
	pg_uuid_t	execution_id;
	char	   *rule;
	int			version;
	char	   *part;
	char	   *recipient;
	Numeric		amount;
	char	   *currency;
	UaefSignalStatus status;
	bool		refused;		/* since the task began to wait */
} Share;

/* A task that settles. */
typedef struct Settling
{
	UaefTask   *task;
	UaefSettlementInput input;
	UaefScope	scope;
	List	   *earlier;		/* Earlier * */
	List	   *inherited;		/* int64 * of signals of other executions */
	UaefRuleOutcome *outcomes;
	int			n_outcomes;
	UaefEvalError error;		/* sqlstate 0: no rule failed */
	const char *failed;			/* name of the rule that did */
} Settling;

static Datum since_when(const UaefTask *task);
static void hand_out_settle(UaefTask *task);
static void withdraw_settle(UaefTask *task);
static void time_out_settle(UaefTask *task);

const UaefTaskKind uaef_settle_task = {
	.hand_out = hand_out_settle,
	.withdraw = withdraw_settle,
	.time_out = time_out_settle
};

/*----------
 * What there is already
 * ----------
 */

static void
add_earlier(Settling *settling, uint64 rows)
{
	for (uint64 i = 0; i < rows; i++)
	{
		Earlier    *earlier = palloc(sizeof(Earlier));

		earlier->rule = uaef_spi_text(i, 1);
		earlier->rule_id = uaef_spi_int32(i, 2);
		earlier->parts = uaef_spi_int32(i, 3);
		earlier->live = uaef_spi_bool(i, 4);
		settling->earlier = lappend(settling->earlier, earlier);
	}
}

static void
add_inherited(Settling *settling, uint64 rows)
{
	for (uint64 i = 0; i < rows; i++)
	{
		Earlier    *earlier = palloc0(sizeof(Earlier));
		int64	   *id = palloc(sizeof(int64));

		earlier->rule = uaef_spi_text(i, 1);
		earlier->live = true;
		*id = uaef_spi_int64(i, 2);
		settling->earlier = lappend(settling->earlier, earlier);
		settling->inherited = lappend(settling->inherited, id);
	}
}

/*
 * From when on a refusal is one of what the task waits for.
 */
static Datum
since_when(const UaefTask *task)
{
	return TimestampTzGetDatum(task->status == UAEF_TASK_WAITING_INPUT ?
							   task->started_at : DT_NOEND);
}

/*
 * A first attempt has nothing behind it but where the execution comes from.
 */
static void
look_back(Settling *settling)
{
	UaefTask   *task = settling->task;
	UaefExecution *execution = task->execution;
	Datum		args[3];

	if (task->attempt > 1)
	{
		args[0] = UUIDPGetDatum(&execution->id);
		args[1] = Int64GetDatum(task->task_id);
		add_earlier(settling, uaef_spi_run(&find_earlier, args, NULL));
	}
	if (execution->is_fork)
	{
		args[0] = UUIDPGetDatum(&execution->forked_from);
		args[1] = CStringGetTextDatum(task->def->id);
		args[2] = since_when(task);
		add_inherited(settling, uaef_spi_run(&find_inherited, args, NULL));
	}
}

static bool
has_live(const Settling *settling, const char *rule)
{
	ListCell   *cell;

	foreach(cell, settling->earlier)
	{
		const Earlier *earlier = lfirst(cell);

		if (earlier->live && strcmp(earlier->rule, rule) == 0)
			return true;
	}
	return false;
}

static bool
is_wanted(const UaefSettleConfig *config, const char *rule)
{
	for (int i = 0; i < config->n_rules; i++)
		if (strcmp(config->rules[i], rule) == 0)
			return true;
	return config->n_rules == 0;
}

static bool
skips(const char *rule, void *arg)
{
	const Settling *settling = arg;

	return !is_wanted(&settling->task->def->config.settle, rule) ||
		has_live(settling, rule);
}

/* Parts of a rule that gave some before, and is asked again, follow on these. */
static int
first_part(const Settling *settling, int rule_id)
{
	ListCell   *cell;

	foreach(cell, settling->earlier)
	{
		const Earlier *earlier = lfirst(cell);

		if (earlier->rule_id == rule_id)
			return earlier->parts;
	}
	return 0;
}

/*----------
 * Settling
 * ----------
 */

static void
make_input(Settling *settling)
{
	UaefTask   *task = settling->task;
	UaefExecution *execution = task->execution;
	UaefSettlementInput *input = &settling->input;

	settling->scope = *uaef_task_scope(task);
	settling->scope.tables = &uaef_rule_tables;
	settling->scope.at = execution->step->now;
	settling->scope.known_at = DT_NOEND;
	input->execution_id = execution->id;
	input->workflow = execution->def->name;
	input->version = execution->def->version;
	input->initiated_by = execution->initiated_by;
	input->completed_at = execution->step->now;
	input->task = task->def->id;
	input->task_id = task->task_id;
	input->scope = &settling->scope;
}

/*
 * What the rules read as in; false when the template leads nowhere.
 */
static bool
fill_input(Settling *settling, UaefEvalError *error)
{
	const UaefTemplate *template = settling->task->def->config.settle.input;
	Jsonb	   *document;

	if (template == NULL)
		return true;
	document = uaef_template_fill(template, uaef_task_scope(settling->task),
								  error);
	settling->scope.in = document;
	return document != NULL;
}

/*
 * Of the rules that the task names, one that has said nothing, now or before;
 * NULL: there is none.
 */
static const char *
silent_rule(const Settling *settling)
{
	const UaefSettleConfig *config = &settling->task->def->config.settle;

	for (int i = 0; i < config->n_rules; i++)
	{
		bool		found = has_live(settling, config->rules[i]);

		for (int j = 0; j < settling->n_outcomes && !found; j++)
			found = strcmp(settling->outcomes[j].rule->name,
						   config->rules[i]) == 0;
		if (!found)
			return config->rules[i];
	}
	return NULL;
}

static int
run_number(const Settling *settling)
{
	Datum	   *ids = palloc(settling->n_outcomes * sizeof(Datum));
	Datum		args[2];

	for (int i = 0; i < settling->n_outcomes; i++)
		ids[i] = Int32GetDatum(settling->outcomes[i].rule->rule_id);
	args[0] = UUIDPGetDatum(&settling->task->execution->id);
	args[1] = uaef_array(ids, NULL, settling->n_outcomes, INT4OID);
	(void) uaef_spi_run(&next_run, args, NULL);
	return uaef_spi_int32(0, 1);
}

static void
evaluate(Settling *settling)
{
	const char *silent;

	settling->outcomes = uaef_settlement_outcomes(&settling->input, skips,
												  settling,
												  &settling->n_outcomes);
	for (int i = 0; i < settling->n_outcomes; i++)
	{
		UaefRuleOutcome *outcome = &settling->outcomes[i];

		outcome->first_part = first_part(settling, outcome->rule->rule_id);
		if (outcome->result == UAEF_RULE_ERROR && settling->failed == NULL)
		{
			settling->failed = outcome->rule->name;
			settling->error = outcome->error;
		}
	}
	silent = silent_rule(settling);
	if (silent != NULL && settling->failed == NULL)
	{
		settling->failed = silent;
		uaef_eval_fail(&settling->error, ERRCODE_UAEF_RULE_NOT_IN_FORCE, NULL,
					   NULL, "no version of it is in force for task \"%s\"",
					   settling->task->def->id);
	}
}

/*
 * What may raise, for accounts that are closed and the like, is undone then,
 * and fails the task.
 */
static void
settle(void *arg)
{
	Settling   *settling = arg;

	look_back(settling);
	evaluate(settling);
	if (settling->n_outcomes > 0 &&
		settling->task->execution->step->dry == NULL)
		uaef_settlement_store(&settling->input, settling->outcomes,
							  settling->n_outcomes, run_number(settling));
}

/*----------
 * What the task tells
 * ----------
 */

static List *
read_shares(UaefTask *task, List *inherited)
{
	Datum	   *ids = palloc(Max(list_length(inherited), 1) * sizeof(Datum));
	List	   *shares = NIL;
	ListCell   *cell;
	Datum		args[4];
	uint64		rows;
	int			n = 0;

	foreach(cell, inherited)
		ids[n++] = Int64GetDatum(*(int64 *) lfirst(cell));
	args[0] = UUIDPGetDatum(&task->execution->id);
	args[1] = Int64GetDatum(task->task_id);
	args[2] = uaef_array(ids, NULL, n, INT8OID);
	args[3] = since_when(task);
	rows = uaef_spi_run(&select_signals, args, NULL);
	for (uint64 i = 0; i < rows; i++)
	{
		Share	   *share = palloc0(sizeof(Share));

		share->signal_id = uaef_spi_int64(i, 1);
		share->execution_id = uaef_spi_uuid(i, 2);
		share->rule = uaef_spi_text(i, 3);
		share->version = uaef_spi_int32(i, 4);
		share->part = uaef_spi_text(i, 5);
		share->recipient = uaef_spi_text(i, 6);
		share->amount = uaef_spi_numeric(i, 7);
		share->currency = uaef_spi_text(i, 8);
		share->status = uaef_signal_status_by_name(uaef_spi_text(i, 9));
		share->refused = uaef_spi_bool(i, 10);
		shares = lappend(shares, share);
	}
	return shares;
}

/*
 * What there would be, in a dry run.
 */
static List *
dry_shares(const Settling *settling)
{
	List	   *shares = NIL;

	for (int i = 0; i < settling->n_outcomes; i++)
	{
		const UaefRuleOutcome *outcome = &settling->outcomes[i];

		for (int part = 0; part < outcome->n_shares; part++)
		{
			Share	   *share = palloc0(sizeof(Share));

			share->rule = outcome->rule->name;
			share->version = outcome->rule->version;
			share->part = outcome->rule->parts[part].name;
			share->recipient = outcome->shares[part].recipient;
			share->amount =
				uaef_money_from_minor(outcome->shares[part].minor,
									  outcome->rule->currency);
			share->currency = outcome->rule->currency;
			share->status = uaef_share_status(outcome, part);
			shares = lappend(shares, share);
		}
	}
	return shares;
}

static Jsonb *
share_json(const UaefTask *task, const Share *share)
{
	UaefJson	json;

	uaef_json_begin(&json);
	if (share->signal_id != 0)
		uaef_json_int(&json, "signal_id", share->signal_id);
	if (share->signal_id != 0 &&
		memcmp(&share->execution_id, &task->execution->id,
			   sizeof(pg_uuid_t)) != 0)
		uaef_json_uuid(&json, "execution_id", &share->execution_id);
	uaef_json_text(&json, "rule", share->rule);
	uaef_json_int(&json, "version", share->version);
	uaef_json_text(&json, "part", share->part);
	uaef_json_text(&json, "recipient", share->recipient);
	uaef_json_numeric(&json, "amount", share->amount);
	uaef_json_text(&json, "currency", share->currency);
	uaef_json_text(&json, "status", uaef_signal_status_name(share->status));
	return uaef_json_end(&json);
}

/*
 * {"EUR": 12.50}: the sum of the shares of each currency.
 */
static Jsonb *
totals(List *shares)
{
	UaefJson	json;
	ListCell   *cell;

	uaef_json_begin(&json);
	for (int i = 0; i < list_length(shares); i++)
	{
		const Share *first = list_nth(shares, i);
		Numeric		sum = NULL;
		bool		seen = false;

		foreach(cell, shares)
		{
			const Share *share = lfirst(cell);

			if (strcmp(share->currency, first->currency) != 0)
				continue;
			if (sum == NULL && share != first)
				seen = true;
			sum = sum == NULL ? share->amount :
				uaef_numeric_op(numeric_add, sum, share->amount);
		}
		if (!seen)
			uaef_json_numeric(&json, first->currency, sum);
	}
	return uaef_json_end(&json);
}

/*
 * {"settled", "signals", "total"}
 */
static Jsonb *
output_of(const UaefTask *task, List *shares)
{
	JsonbParseState *state = NULL;
	JsonbValue	value;
	UaefJson	json;
	ListCell   *cell;

	(void) pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	foreach(cell, shares)
	{
		JsonbToJsonbValue(share_json(task, lfirst(cell)), &value);
		(void) pushJsonbValue(&state, WJB_ELEM, &value);
	}

	uaef_json_begin(&json);
	uaef_json_bool(&json, "settled", shares != NIL);
	uaef_json_jsonb(&json, "signals",
					JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY,
													 NULL)));
	uaef_json_jsonb(&json, "total", totals(shares));
	return uaef_json_end(&json);
}

static char *
describe(List *shares)
{
	StringInfoData text;
	ListCell   *cell;

	if (shares == NIL)
		return "nothing to settle";
	initStringInfo(&text);
	foreach(cell, shares)
	{
		const Share *share = lfirst(cell);

		appendStringInfo(&text, "%s%s %s to %s (%s, %s)",
						 text.len > 0 ? "; " : "",
						 uaef_numeric_text(share->amount), share->currency,
						 share->recipient, share->rule,
						 uaef_signal_status_name(share->status));
	}
	return text.data;
}

/*----------
 * How it ends
 * ----------
 */

static bool
asks_for(const UaefTask *task, const char *label)
{
	const UaefEdge *edges = task->execution->def->edges;

	for (int i = 0; i < task->def->n_out; i++)
	{
		const UaefEdge *edge = &edges[task->def->out[i]];

		if (edge->on != NULL && strcmp(edge->on, label) == 0)
			return true;
	}
	return false;
}

/*
 * Which way an end leads that is not the good one: a label, where an edge asks
 * for it, or a failure.  later: the execution is not being advanced just now.
 */
static void
end_badly(UaefTask *task, const char *label, const UaefFailure *failure,
		  bool later)
{
	UaefJson	json;

	if (!asks_for(task, label))
	{
		if (later)
			uaef_advance_fail_now(task, failure);
		else
			uaef_advance_fail_finally(task, failure);
		return;
	}
	uaef_json_begin(&json);
	uaef_json_bool(&json, "settled", false);
	uaef_json_jsonb(&json, "error",
					uaef_failure_json(failure, NULL, task->attempt));
	if (later)
		uaef_advance_complete(task, uaef_json_end(&json), label);
	else
		uaef_advance_finish_task(task, uaef_json_end(&json), label);
}

/*
 * Whether a signal has come as far as the task waits for.
 */
static bool
has_come(UaefSettleWait wait, UaefSignalStatus status)
{
	switch (status)
	{
		case UAEF_SIGNAL_ZERO_SKIPPED:
		case UAEF_SIGNAL_PAID:
		case UAEF_SIGNAL_DISPUTED:
			return true;
		case UAEF_SIGNAL_BLOCKED:
		case UAEF_SIGNAL_PENDING_APPROVAL:
			return wait == UAEF_SETTLE_NO_WAIT;
		default:
			return wait != UAEF_SETTLE_WAIT_PAID;
	}
}

static bool
all_have_come(const UaefTask *task, List *shares)
{
	ListCell   *cell;

	foreach(cell, shares)
		if (!has_come(task->def->config.settle.wait,
					  ((Share *) lfirst(cell))->status))
		return false;
	return true;
}

/*
 * With signals of before, the wait may be over already: it is looked at anew
 * by a transaction that sees all of them.
 */
static void
begin_wait(UaefTask *task, const Settling *settling)
{
	UaefExecution *execution = task->execution;
	TimestampTz now = execution->step->now;

	uaef_task_become(task, UAEF_TASK_WAITING_INPUT);
	task->started_at = now;
	if (settling->inherited != NIL)
		uaef_step_timer(execution, task, "inherited", now);
	else if (settling->earlier != NIL)
		uaef_step_timer(execution, task, "settled", now);
	if (task->def->timeout_ms > 0)
		uaef_step_timer(execution, task, "timeout",
						now + task->def->timeout_ms * 1000);
}

static void
end_attempt(Settling *settling)
{
	UaefTask   *task = settling->task;
	UaefDryRun *dry = task->execution->step->dry;
	List	   *shares = dry != NULL ? dry_shares(settling) :
		read_shares(task, settling->inherited);

	if (dry != NULL)
		dry->detail = describe(shares);
	if (dry == NULL && !all_have_come(task, shares))
		begin_wait(task, settling);
	else
		uaef_advance_finish_task(task, output_of(task, shares),
								 shares == NIL ? "nothing" : "settled");
}

static void
fail_of_rule(const Settling *settling)
{
	UaefFailure failure;

	uaef_failure_from_eval(&failure, &settling->error);
	failure.message = psprintf("settlement rule \"%s\": %s", settling->failed,
							   failure.message);
	end_badly(settling->task, "failed", &failure, false);
}

/*----------
 * Taking back
 * ----------
 */

/* Signals of a task that are to be taken back. */
typedef struct TakingBack
{
	UaefExecution *execution;
	int64		task_id;
	const char *reason;
	const char *key;			/* of reversals; NULL: what is paid stays paid */
	int			cancelled;
	int			reversed;
	int64		stuck;			/* one that cannot be; 0: none */
	const char *status;			/* of that */
} TakingBack;

static void
take_back_one(TakingBack *back, UaefSignal *signal)
{
	UaefSignalMove move = {
		.action = UAEF_ACT_CANCEL,
		.actor = back->execution->initiated_by,
		.reason = back->reason,
		.approvals = -1
	};
	UaefSignalStatus to;

	if (uaef_signal_next(signal->status, UAEF_ACT_CANCEL, &to))
	{
		uaef_signals_move(signal, 1, &move);
		back->cancelled++;
	}
	else if (back->key != NULL &&
			 uaef_signal_next(signal->status, UAEF_ACT_REVERSE, &to))
	{
		(void) uaef_settlement_reverse(signal->signal_id, NULL, back->reason,
									   back->key, move.actor);
		back->reversed++;
	}
	else if (signal->status != UAEF_SIGNAL_ZERO_SKIPPED)
	{
		back->stuck = signal->signal_id;
		back->status = uaef_signal_status_name(signal->status);
	}
}

static void
take_back(void *arg)
{
	TakingBack *back = arg;
	UaefSignal *signals;
	int64	   *ids;
	Datum		args[2];
	int			n;

	args[0] = UUIDPGetDatum(&back->execution->id);
	args[1] = Int64GetDatum(back->task_id);
	n = (int) uaef_spi_run(&select_ids, args, NULL);
	ids = palloc(Max(n, 1) * sizeof(int64));
	for (int i = 0; i < n; i++)
		ids[i] = uaef_spi_int64(i, 1);
	signals = uaef_signals_read(ids, n);
	for (int i = 0; i < n; i++)
		take_back_one(back, &signals[i]);
}

/*
 * The compensation of a settle task: what is not under way is cancelled, what
 * is paid is reversed.  One under way, or returned, is for a later attempt, or
 * for people.
 */
static void
compensate(UaefTask *task)
{
	UaefExecution *execution = task->execution;
	TakingBack	back = {
		.execution = execution,
		.task_id = uaef_execution_task(execution, task->no)->task_id,
		.reason = "the task that settled is compensated",
		.key = psprintf("compensation of task %s", task->def->id)
	};
	ErrorData  *error = uaef_attempt(take_back, &back);
	UaefFailure failure;
	UaefJson	json;

	if (error == NULL && back.stuck == 0)
	{
		uaef_json_begin(&json);
		uaef_json_int(&json, "cancelled", back.cancelled);
		uaef_json_int(&json, "reversed", back.reversed);
		uaef_advance_finish_task(task, uaef_json_end(&json), NULL);
		return;
	}
	if (error != NULL)
		uaef_failure_from_error(&failure, error);
	else
		uaef_failure_set(&failure, ERRCODE_UAEF_SETTLEMENT_STATE,
						 psprintf("settlement signal %lld is %s, and cannot be taken back",
								  (long long) back.stuck, back.status));
	if (uaef_failure_retries(task, &failure))
		uaef_failure_schedule_retry(task, &failure);
	else
		uaef_advance_fail_finally(task, &failure);
}

/*
 * A task that ends before its signals have come so far leaves none behind that
 * could still be paid, but for those that are in a payout.
 */
static void
give_up(UaefTask *task, const char *reason)
{
	TakingBack	back = {
		.execution = task->execution,
		.task_id = task->task_id,
		.reason = reason
	};

	take_back(&back);
}

/*----------
 * The callbacks
 * ----------
 */

static void
hand_out_settle(UaefTask *task)
{
	Settling	settling = {.task = task};
	UaefEvalError error = {0};
	ErrorData  *raised;

	if (task->execution->step->dry == NULL)
		uaef_step_write_so_far(task->execution->step);
	if (task->item == UAEF_COMPENSATION)
	{
		compensate(task);
		return;
	}
	make_input(&settling);
	if (!fill_input(&settling, &error))
	{
		uaef_advance_fail_evaluation(task, &error);
		return;
	}
	raised = uaef_attempt(settle, &settling);
	if (raised != NULL)
	{
		UaefFailure failure;

		uaef_failure_from_error(&failure, raised);
		end_badly(task, "failed", &failure, false);
	}
	else if (settling.failed != NULL)
		fail_of_rule(&settling);
	else
		end_attempt(&settling);
}

static void
end_refused(UaefTask *task, const char *message)
{
	UaefFailure failure;

	uaef_failure_set(&failure, ERRCODE_UAEF_SETTLEMENT_REFUSED, message);
	give_up(task, "another signal of the task was refused");
	end_badly(task, "refused", &failure, true);
}

/*
 * There is always one that it waits for; where none is left, a refusal came
 * about that a fork did not see when it began to wait.
 */
void
uaef_settle_task_look(UaefTask *task)
{
	Settling	settling = {.task = task};
	List	   *shares;
	ListCell   *cell;

	if (task->status != UAEF_TASK_WAITING_INPUT)
		return;
	look_back(&settling);
	shares = read_shares(task, settling.inherited);
	foreach(cell, shares)
	{
		const Share *share = lfirst(cell);

		if (!share->refused)
			continue;
		end_refused(task, psprintf("settlement signal %lld was %s",
								   (long long) share->signal_id,
								   uaef_signal_status_name(share->status)));
		return;
	}
	if (shares == NIL)
		end_refused(task, "no settlement signal is left that could come");
	else if (all_have_come(task, shares))
		uaef_advance_complete(task, output_of(task, shares), "settled");
}

void
uaef_settle_task_look_again(UaefTask *task)
{
	uaef_settle_task_look(task);
	if (task->status == UAEF_TASK_WAITING_INPUT)
		uaef_step_timer(task->execution, task, "inherited",
						task->execution->step->now + LOOK_AGAIN_US);
}

static void
withdraw_settle(UaefTask *task)
{
	if (task->status == UAEF_TASK_WAITING_INPUT)
		give_up(task, "the task that waits for it is cancelled");
}

/*
 * Who asks for "timeout" decides what becomes of the signals.
 */
static void
time_out_settle(UaefTask *task)
{
	UaefFailure failure;

	if (!asks_for(task, "timeout"))
		give_up(task, "it was not settled within the timeout of its task");
	uaef_failure_timeout(&failure, task->def);
	end_badly(task, "timeout", &failure, true);
}
