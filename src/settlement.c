/*-------------------------------------------------------------------------
 *
 * settlement.c
 *	  Settlement of a completed execution: evaluate, store, record.
 *
 * One execution costs one statement for each of run, outcomes, signals and
 * events, whatever the number of rules.  An execution of a workflow for which
 * no rule is in force has no run.
 *
 * Locking: the caller holds the execution's row, so two settlements of one
 * execution cannot meet; the run's primary key is the second line.
 *
 * Memory: everything dies with uaef_spi_end().
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "errcodes.h"
#include "json_util.h"
#include "ledger.h"
#include "settlement.h"
#include "settlement_book.h"
#include "settlement_eval.h"
#include "settlement_gate.h"
#include "settlement_rule.h"
#include "spi_util.h"
#include "wake.h"

/* Columns of the signals of one execution, to be inserted at once. */
typedef struct Signals
{
	int			n;
	int			size;
	Datum	   *rule_id;
	Datum	   *part_no;
	Datum	   *part;
	Datum	   *recipient;
	Datum	   *minor;
	Datum	   *amount;
	Datum	   *currency;
	Datum	   *status;
	Datum	   *error;
	Datum	   *approval;
	Datum	   *due_at;
	Datum	   *expires_at;
	bool	   *has_amount;		/* part, recipient, minor, amount */
	bool	   *has_error;
	bool	   *has_approval;
	bool	   *has_expiry;
} Signals;

static bool store_run(const UaefSettlementInput *input,
					  const UaefRuleOutcome *outcomes, int n,
					  int in_force);
static void store_outcomes(const UaefSettlementInput *input,
						   const UaefRuleOutcome *outcomes, int n, int run);
static int	store_signals(const UaefSettlementInput *input,
						  const UaefRuleOutcome *outcomes, int n, int run,
						  int64 **gated);
static void put_to_gate(const UaefSettlementInput *input, const int64 *ids,
						int n);
static void book_outcomes(const UaefSettlementInput *input,
						  const UaefRuleOutcome *outcomes, int n);
static void signals_init(Signals *signals, int size);
static int	add_signal(Signals *signals, const UaefRuleOutcome *outcome,
					   int part_no, UaefSignalStatus status);
static void add_shares(Signals *signals, const UaefRuleOutcome *outcome);
static void add_error(Signals *signals, const UaefRuleOutcome *outcome);
static Jsonb *approval_json(const UaefApprovalBand *band,
							const UaefSettlementTerms *terms);
static Datum nullable_array(Datum *values, const bool *present, int n,
							Oid type);
static void record_events(const UaefSettlementInput *input,
						  const UaefRuleOutcome *outcomes, int n, int run);
static Jsonb *run_payload(const UaefSettlementInput *input,
						  const UaefRuleOutcome *outcomes, int n, int run);

void
uaef_settlement_evaluate(const UaefSettlementInput *input)
{
	UaefCaller	caller;
	const UaefSettlementRule **rules;
	UaefRuleOutcome *outcomes;
	int			in_force;
	int			n;

	rules = uaef_settlement_rules_get(input->workflow, NULL,
									  input->completed_at, input->scope,
									  &in_force, &n);
	if (in_force == 0)
		return;

	caller = uaef_spi_begin();
	n = uaef_settlement_rules_select(rules, n, input->scope);
	outcomes = palloc(n * sizeof(UaefRuleOutcome));
	for (int i = 0; i < n; i++)
		uaef_settlement_rule_settle(rules[i], input->scope,
									input->completed_at, &outcomes[i]);

	if (store_run(input, outcomes, n, in_force))
		uaef_settlement_store(input, outcomes, n, 1);
	uaef_spi_end(caller);
}

UaefRuleOutcome *
uaef_settlement_outcomes(const UaefSettlementInput *input,
						 bool (*skip) (const char *rule, void *arg),
						 void *arg, int *n)
{
	int			in_force;
	int			n_rules;
	int			n_wanted = 0;
	const UaefSettlementRule **rules =
		uaef_settlement_rules_get(input->workflow, input->task,
								  input->completed_at, input->scope,
								  &in_force, &n_rules);
	UaefRuleOutcome *outcomes = palloc(Max(n_rules, 1) *
									   sizeof(UaefRuleOutcome));

	for (int i = 0; i < n_rules; i++)
		if (!skip(rules[i]->name, arg))
			rules[n_wanted++] = rules[i];
	for (int i = 0; i < n_wanted; i++)
		uaef_settlement_rule_settle(rules[i], input->scope,
									input->completed_at, &outcomes[i]);
	*n = n_wanted;
	return outcomes;
}

void
uaef_settlement_store(const UaefSettlementInput *input,
					  UaefRuleOutcome *outcomes, int n, int run)
{
	int64	   *gated;
	int			n_gated;

	store_outcomes(input, outcomes, n, run);
	for (int i = 0; i < n; i++)
		if (input->task != NULL && outcomes[i].result == UAEF_RULE_ERROR)
		{
			record_events(input, outcomes, n, run);
			return;
		}
	n_gated = store_signals(input, outcomes, n, run, &gated);
	record_events(input, outcomes, n, run);
	if (n_gated > 0)
		put_to_gate(input, gated, n_gated);
	else
		book_outcomes(input, outcomes, n);
	for (int i = 0; i < n; i++)
	{
		if (outcomes[i].band != NULL &&
			outcomes[i].rule->terms.expires_ms > 0)
		{
			uaef_settlement_set_timers(&input->execution_id);
			break;
		}
	}
}

/*
 * Returns false when the execution has its run already.
 */
static bool
store_run(const UaefSettlementInput *input, const UaefRuleOutcome *outcomes,
		  int n, int in_force)
{
	static UaefQuery insert_run = {
		"INSERT INTO uaef.settlement_run (execution_id, workflow,"
		" completed_at, outcome, rules_evaluated, recorded_at)"
		" VALUES ($1, $2, $3, $4, $5, $6)"
		" ON CONFLICT (execution_id) DO NOTHING",
		6, {UUIDOID, TEXTOID, TIMESTAMPTZOID, TEXTOID, INT4OID, TIMESTAMPTZOID}
	};
	UaefRuleResult worst = UAEF_RULE_NOT_FIRED;
	Datum		args[6];

	for (int i = 0; i < n; i++)
		worst = Max(worst, outcomes[i].result);

	args[0] = UUIDPGetDatum(&input->execution_id);
	args[1] = CStringGetTextDatum(input->workflow);
	args[2] = TimestampTzGetDatum(input->completed_at);
	args[3] = CStringGetTextDatum(uaef_rule_result_name(worst));
	args[4] = Int32GetDatum(in_force);
	args[5] = TimestampTzGetDatum(uaef_clock_now());
	return uaef_spi_run(&insert_run, args, NULL) == 1;
}

static void
store_outcomes(const UaefSettlementInput *input,
			   const UaefRuleOutcome *outcomes, int n, int run)
{
	static UaefQuery insert_evaluations = {
		"INSERT INTO uaef.rule_evaluation (execution_id, rule_id, result,"
		" trace, run)"
		" SELECT $1, rule_id, result, trace, $5"
		" FROM unnest($2, $3, $4) AS r (rule_id, result, trace)",
		5, {UUIDOID, INT4ARRAYOID, TEXTARRAYOID, JSONBARRAYOID, INT4OID}
	};
	Datum	   *ids = palloc(n * sizeof(Datum));
	Datum	   *results = palloc(n * sizeof(Datum));
	Datum	   *traces = palloc(n * sizeof(Datum));
	Datum		args[5];

	for (int i = 0; i < n; i++)
	{
		ids[i] = Int32GetDatum(outcomes[i].rule->rule_id);
		results[i] =
			CStringGetTextDatum(uaef_rule_result_name(outcomes[i].result));
		traces[i] = JsonbPGetDatum(outcomes[i].trace);
	}
	args[0] = UUIDPGetDatum(&input->execution_id);
	args[1] = uaef_array(ids, NULL, n, INT4OID);
	args[2] = uaef_array(results, NULL, n, TEXTOID);
	args[3] = uaef_array(traces, NULL, n, JSONBOID);
	args[4] = Int32GetDatum(run);
	(void) uaef_spi_run(&insert_evaluations, args, NULL);
}

/*
 * Returns how many signals there are that have to pass a gate, and which.
 * Whether there is anything to pass costs no statement of its own.
 */
static int
store_signals(const UaefSettlementInput *input,
			  const UaefRuleOutcome *outcomes, int n, int run, int64 **gated)
{
	static UaefQuery insert_signals = {
		"INSERT INTO uaef.settlement_signal (execution_id, rule_id, part_no,"
		" part, recipient, amount_minor, amount, currency, status, error,"
		" approval, due_at, expires_at, created_at, run, task_id)"
		" SELECT $1, r.*, $14, $15, $17"
		" FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) AS r"
		" RETURNING signal_id, status IN ('approved', 'pending_approval')"
		" AND (SELECT EXISTS (SELECT FROM uaef.budget WHERE active)"
		"  OR EXISTS (SELECT FROM uaef.settlement_requirement"
		"   WHERE workflow = $16)"
		"  OR EXISTS (SELECT FROM uaef.compliance_review"
		"   WHERE execution_id = $1))",
		17, {UUIDOID, INT4ARRAYOID, INT2ARRAYOID, TEXTARRAYOID, TEXTARRAYOID,
			NUMERICARRAYOID, NUMERICARRAYOID, TEXTARRAYOID, TEXTARRAYOID,
			JSONBARRAYOID, JSONBARRAYOID, TIMESTAMPTZARRAYOID,
		TIMESTAMPTZARRAYOID, TIMESTAMPTZOID, INT4OID, TEXTOID, INT8OID}
	};
	Signals		s;
	int			size = 0;
	int			rows;
	int			n_gated = 0;
	Datum		args[17];
	char		nulls[] = "                 ";

	for (int i = 0; i < n; i++)
		size += Max(outcomes[i].n_shares, 1);
	signals_init(&s, size);
	for (int i = 0; i < n; i++)
	{
		if (outcomes[i].result == UAEF_RULE_FIRED)
			add_shares(&s, &outcomes[i]);
		else if (outcomes[i].result == UAEF_RULE_ERROR)
			add_error(&s, &outcomes[i]);
	}
	if (s.n == 0)
		return 0;

	args[0] = UUIDPGetDatum(&input->execution_id);
	args[1] = uaef_array(s.rule_id, NULL, s.n, INT4OID);
	args[2] = uaef_array(s.part_no, NULL, s.n, INT2OID);
	args[3] = nullable_array(s.part, s.has_amount, s.n, TEXTOID);
	args[4] = nullable_array(s.recipient, s.has_amount, s.n, TEXTOID);
	args[5] = nullable_array(s.minor, s.has_amount, s.n, NUMERICOID);
	args[6] = nullable_array(s.amount, s.has_amount, s.n, NUMERICOID);
	args[7] = uaef_array(s.currency, NULL, s.n, TEXTOID);
	args[8] = uaef_array(s.status, NULL, s.n, TEXTOID);
	args[9] = nullable_array(s.error, s.has_error, s.n, JSONBOID);
	args[10] = nullable_array(s.approval, s.has_approval, s.n, JSONBOID);
	args[11] = uaef_array(s.due_at, NULL, s.n, TIMESTAMPTZOID);
	args[12] = nullable_array(s.expires_at, s.has_expiry, s.n, TIMESTAMPTZOID);
	args[13] = TimestampTzGetDatum(uaef_clock_now());
	args[14] = Int32GetDatum(run);
	args[15] = CStringGetTextDatum(input->workflow);
	args[16] = Int64GetDatum(input->task_id);
	nulls[16] = input->task == NULL ? 'n' : ' ';
	rows = (int) uaef_spi_run(&insert_signals, args, nulls);
	*gated = palloc(rows * sizeof(int64));
	for (int i = 0; i < rows; i++)
		if (uaef_spi_bool(i, 2))
			(*gated)[n_gated++] = uaef_spi_int64(i, 1);
	return n_gated;
}

/*
 * One timer for each time at which approvals of the execution expire.
 */
void
uaef_settlement_set_timers(const pg_uuid_t *execution_id)
{
	static UaefQuery insert_timers = {
		"INSERT INTO uaef.task_timer (due_at, execution_id, task_no, item,"
		" attempt, kind) SELECT DISTINCT expires_at, execution_id, -1, -1, 0,"
		" 'settlement' FROM uaef.settlement_signal WHERE execution_id = $1"
		" AND status = 'pending_approval' AND expires_at IS NOT NULL",
		1, {UUIDOID}
	};
	Datum		arg = UUIDPGetDatum(execution_id);

	if (uaef_spi_run(&insert_timers, &arg, NULL) > 0)
		uaef_wake_worker_on_commit(UAEF_WAKE_TIMERS);
}

/*
 * What is new and could be paid, or approved, may be refused.
 */
static void
put_to_gate(const UaefSettlementInput *input, const int64 *ids, int n)
{
	UaefSignal *signals = uaef_signals_read(ids, n);
	Jsonb	  **blocked = palloc(n * sizeof(Jsonb *));

	uaef_settlement_gate(input, signals, n, blocked);
	uaef_settlement_block(signals, n, blocked, true);
	for (int i = 0; i < n; i++)
	{
		UaefDebt	debt = {signals[i].recipient, signals[i].minor};

		if (signals[i].status == UAEF_SIGNAL_APPROVED)
			uaef_settlement_book_debts(&input->execution_id,
									   signals[i].currency, &debt, 1, false);
	}
}

/*
 * What needs nobody's approval is owed at once.
 */
static void
book_outcomes(const UaefSettlementInput *input,
			  const UaefRuleOutcome *outcomes, int n)
{
	for (int i = 0; i < n; i++)
	{
		const UaefRuleOutcome *outcome = &outcomes[i];
		UaefDebt   *debts = palloc(Max(outcome->n_shares, 1) *
								   sizeof(UaefDebt));
		int			n_debts = 0;

		if (outcome->result != UAEF_RULE_FIRED)
			continue;
		for (int part = 0; part < outcome->n_shares; part++)
		{
			if (uaef_share_status(outcome, part) != UAEF_SIGNAL_APPROVED)
				continue;
			debts[n_debts].recipient = outcome->shares[part].recipient;
			debts[n_debts++].minor = outcome->shares[part].minor;
		}
		if (n_debts > 0)
			uaef_settlement_book_debts(&input->execution_id,
									   outcome->rule->currency, debts,
									   n_debts, false);
	}
}

static void
signals_init(Signals *signals, int size)
{
	Datum	  **columns[] = {
		&signals->rule_id, &signals->part_no, &signals->part,
		&signals->recipient, &signals->minor, &signals->amount,
		&signals->currency, &signals->status, &signals->error,
		&signals->approval, &signals->due_at, &signals->expires_at
	};

	signals->n = 0;
	signals->size = size;
	for (int i = 0; i < lengthof(columns); i++)
		*columns[i] = palloc0(size * sizeof(Datum));
	signals->has_amount = palloc0(size * sizeof(bool));
	signals->has_error = palloc0(size * sizeof(bool));
	signals->has_approval = palloc0(size * sizeof(bool));
	signals->has_expiry = palloc0(size * sizeof(bool));
}

/*
 * Set what every signal has; returns its place.
 */
static int
add_signal(Signals *signals, const UaefRuleOutcome *outcome, int part_no,
		   UaefSignalStatus status)
{
	int			i = signals->n++;

	Assert(i < signals->size);
	signals->rule_id[i] = Int32GetDatum(outcome->rule->rule_id);
	signals->part_no[i] = Int16GetDatum(part_no);
	signals->currency[i] = CStringGetTextDatum(outcome->rule->currency);
	signals->status[i] = CStringGetTextDatum(uaef_signal_status_name(status));
	signals->due_at[i] = TimestampTzGetDatum(outcome->due_at);
	return i;
}

/*
 * One signal for each part, also for a part that gets nothing: so the parts
 * of a settlement always add up.
 */
static void
add_shares(Signals *signals, const UaefRuleOutcome *outcome)
{
	for (int part = 0; part < outcome->n_shares; part++)
	{
		const UaefShare *share = &outcome->shares[part];
		UaefSignalStatus status = uaef_share_status(outcome, part);
		int			i = add_signal(signals, outcome,
								   outcome->first_part + part + 1, status);

		signals->part[i] = CStringGetTextDatum(outcome->rule->parts[part].name);
		signals->recipient[i] = CStringGetTextDatum(share->recipient);
		signals->minor[i] = NumericGetDatum(share->minor);
		signals->amount[i] =
			NumericGetDatum(uaef_money_from_minor(share->minor,
												  outcome->rule->currency));
		signals->has_amount[i] = true;
		if (status == UAEF_SIGNAL_PENDING_APPROVAL)
		{
			const UaefSettlementTerms *terms = &outcome->rule->terms;

			signals->approval[i] =
				JsonbPGetDatum(approval_json(outcome->band, terms));
			signals->has_approval[i] = true;
			signals->has_expiry[i] = terms->expires_ms > 0;
			signals->expires_at[i] =
				TimestampTzGetDatum(uaef_clock_now() +
									terms->expires_ms * 1000);
		}
	}
}

/*
 * A rule that failed is one signal without an amount, number 0, which waits
 * for a person.
 */
static void
add_error(Signals *signals, const UaefRuleOutcome *outcome)
{
	int			i = add_signal(signals, outcome, 0, UAEF_SIGNAL_ERROR);

	signals->error[i] = JsonbPGetDatum(uaef_settlement_error_payload(outcome));
	signals->has_error[i] = true;
}

static Jsonb *
approval_json(const UaefApprovalBand *band, const UaefSettlementTerms *terms)
{
	UaefJson	json;
	char	   *distinct[3];
	int			n = 0;

	if (band->not_initiator)
		distinct[n++] = "initiator";
	if (band->not_author)
		distinct[n++] = "rule_author";
	if (band->not_recipient)
		distinct[n++] = "recipient";

	uaef_json_begin(&json);
	uaef_json_int(&json, "need", band->need);
	uaef_json_text(&json, "of", band->of);
	uaef_json_texts(&json, "distinct_from", distinct, n);
	if (terms->expires_ms > 0)
	{
		uaef_json_int(&json, "expires_ms", terms->expires_ms);
		uaef_json_text(&json, "on_expiry",
					   terms->reject_expired ? "reject" : "expire");
	}
	return uaef_json_end(&json);
}

static Datum
nullable_array(Datum *values, const bool *present, int n, Oid type)
{
	bool	   *nulls = palloc(n * sizeof(bool));

	for (int i = 0; i < n; i++)
		nulls[i] = !present[i];
	return uaef_array(values, nulls, n, type);
}

/*
 * One event for the run, and one for each rule that failed.
 */
static void
record_events(const UaefSettlementInput *input,
			  const UaefRuleOutcome *outcomes, int n, int run)
{
	UaefEvent  *events = palloc0((n + 1) * sizeof(UaefEvent));
	pg_uuid_t	stream = input->execution_id;
	int			n_events = 1;

	events[0].type = run == 1 || input->task != NULL
		? "settlement_triggered" : "settlement_reevaluated";
	events[0].payload = run_payload(input, outcomes, n, run);
	for (int i = 0; i < n; i++)
	{
		if (outcomes[i].result != UAEF_RULE_ERROR)
			continue;
		events[n_events].type = "settlement_error";
		events[n_events].payload = uaef_settlement_error_payload(&outcomes[i]);
		n_events++;
	}
	for (int i = 0; i < n_events; i++)
	{
		events[i].stream = &stream;
		events[i].actor_type = "system";
	}
	(void) uaef_ledger_append(events, n_events);
}

/*
 * {"workflow","version","rules":{name:{"version","result","amount",...}}}
 */
static Jsonb *
run_payload(const UaefSettlementInput *input, const UaefRuleOutcome *outcomes,
			int n, int run)
{
	UaefJson	rules;
	UaefJson	payload;

	uaef_json_begin(&rules);
	for (int i = 0; i < n; i++)
	{
		const UaefRuleOutcome *outcome = &outcomes[i];
		UaefJson	rule;

		uaef_json_begin(&rule);
		uaef_json_int(&rule, "version", outcome->rule->version);
		uaef_json_text(&rule, "result",
					   uaef_rule_result_name(outcome->result));
		if (outcome->result == UAEF_RULE_FIRED)
		{
			uaef_json_numeric(&rule, "amount",
							  uaef_money_from_minor(outcome->minor,
													outcome->rule->currency));
			uaef_json_text(&rule, "currency", outcome->rule->currency);
			uaef_json_int(&rule, "parts", outcome->n_shares);
		}
		uaef_json_jsonb(&rules, outcome->rule->name, uaef_json_end(&rule));
	}

	uaef_json_begin(&payload);
	uaef_json_text(&payload, "workflow", input->workflow);
	uaef_json_int(&payload, "version", input->version);
	uaef_json_text(&payload, "task", input->task);
	if (run > 1)
		uaef_json_int(&payload, "run", run);
	uaef_json_jsonb(&payload, "rules", uaef_json_end(&rules));
	return uaef_json_end(&payload);
}

/*
 * {"rule","version","code","message","path","detail"}
 */
Jsonb *
uaef_settlement_error_payload(const UaefRuleOutcome *outcome)
{
	UaefJson	json;
	const UaefEvalError *error = &outcome->error;

	uaef_json_begin(&json);
	uaef_json_text(&json, "rule", outcome->rule->name);
	uaef_json_int(&json, "version", outcome->rule->version);
	uaef_settlement_error_add(&json, error);
	return uaef_json_end(&json);
}
