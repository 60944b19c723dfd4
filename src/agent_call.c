/*-------------------------------------------------------------------------
 *
 * agent_call.c
 *	  Agents that the worker calls, through a connector.
 *
 * The best agent gets tasks first, as far as it has room.  What a call may use
 * is estimated before it is made and counts at once, so that calls under way
 * cannot go beyond a budget together; the answer's usage then takes its place.
 * Where no answer tells, the estimate stays, as a call of unknown cost.
 *
 * Which agents could not do a task, and what its calls have used so far, stands
 * in the task's progress.
 *
 * Locking: as agent_claim.c for taking tasks: the agent's row of agent_metric,
 * the ready set, executions.  Only the worker writes agent_spending.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "advance.h"
#include "agent_call.h"
#include "agent_claim.h"
#include "agent_prompt.h"
#include "agent_task.h"
#include "clock.h"
#include "connector_config.h"
#include "connector_read.h"
#include "delivery_offer.h"
#include "errcodes.h"
#include "failure.h"
#include "json_util.h"
#include "model_answer.h"
#include "money.h"
#include "numeric_util.h"
#include "spi_util.h"
#include "uuid7.h"
#include "wake.h"

/* Tasks that are taken in one transaction, for one agent. */
#define MAX_CALLS			50

/* Output of a call that says of none; as the connector for Anthropic has it. */
#define USUAL_MAX_TOKENS	1024

/* Bytes of a prompt for each token that it is estimated at. */
#define BYTES_PER_TOKEN		4

/* An agent that is called. */
typedef struct Callee
{
	UaefAgent	agent;
	char	   *platform;
	Jsonb	   *configuration;
	char	   *connector;
	char	   *currency;		/* or NULL */
} Callee;

/* What a call uses, or may use. */
typedef struct Usage
{
	int64		tokens_in;
	int64		tokens_out;
	Numeric		cost;			/* in minor units */
	bool		unknown;
} Usage;

/*
 * Agents to be called that have tasks waiting, the best first; and since when
 * their connector's breaker lets requests through.
 */
static UaefQuery find_callees = {
	"SELECT a.agent_id, a.name, a.platform, a.capabilities, a.configuration,"
	" a.currency, g.opens_at FROM uaef.agent_reputation r"
	" JOIN uaef.agent a USING (agent_id)"
	" JOIN uaef.connector c ON c.name = a.configuration ->> 'connector'"
	" LEFT JOIN uaef.delivery_gate g ON g.name = 'connector ' || c.name"
	"  AND g.breaker = 'open' AND g.opens_at > $1"
	" WHERE a.status = 'active' AND a.platform <> 'custom' AND NOT c.paused"
	" AND EXISTS (SELECT FROM uaef.task_ready t"
	"  WHERE t.run_as = 1::pg_catalog.oid::pg_catalog.regrole"
	"  AND t.queue = ANY (ARRAY['#agent/' || a.name] ||"
	"   ARRAY(SELECT '#capability/' || x FROM unnest(a.capabilities) x)))"
	" ORDER BY r.score DESC, r.running::float8 / r.max_concurrent, a.agent_id",
	1, {TIMESTAMPTZOID}
};

static UaefQuery find_callee = {
	"SELECT agent_id, name, platform, capabilities, configuration, currency"
	" FROM uaef.agent WHERE agent_id = $1::uuid",
	1, {TEXTOID}
};

/* As agent_claim.c takes them, but for those that it could not do. */
static UaefQuery take_ready = {
	"DELETE FROM uaef.task_ready WHERE ctid = ANY (ARRAY("
	" SELECT r.ctid FROM unnest($1) q CROSS JOIN LATERAL ("
	"  SELECT t.ctid, rank, task_id FROM uaef.task_ready t"
	"  WHERE queue = q"
	"  AND run_as = 1::pg_catalog.oid::pg_catalog.regrole"
	"  AND NOT EXISTS (SELECT FROM uaef.task_execution e"
	"   WHERE e.task_id = t.task_id"
	"   AND e.progress -> 'agents_tried' ? $3)"
	"  ORDER BY queue, run_as, rank, task_id"
	"  LIMIT $2 FOR UPDATE SKIP LOCKED) r"
	" ORDER BY r.rank, r.task_id LIMIT $2))"
	" RETURNING execution_id, task_no::integer, item",
	3, {TEXTARRAYOID, INT4OID, TEXTOID}
};

/* How many tasks more it may have, whatever it has used. */
static UaefQuery find_places = {
	"SELECT greatest(0, max_concurrent - (SELECT count(*)"
	" FROM uaef.agent_task WHERE agent_id = $1))::integer"
	" FROM uaef.agent WHERE agent_id = $1",
	1, {UUIDOID}
};

/* Somebody else who could do a task, called or not. */
static UaefQuery find_other = {
	"SELECT 1 FROM uaef.agent WHERE status = 'active'"
	" AND $1 = ANY (capabilities) AND NOT agent_id::text = ANY ($2) LIMIT 1",
	2, {TEXTOID, TEXTARRAYOID}
};

/* What an agent may still use today: tokens, cost; null: any amount. */
static UaefQuery agent_left = {
	"SELECT a.max_tokens_per_day - m.day_tokens - t.tokens,"
	" a.max_cost_per_day - m.day_cost - t.cost"
	" FROM uaef.agent a JOIN uaef.agent_metric m USING (agent_id),"
	" (SELECT coalesce(sum(tokens_in + tokens_out), 0) AS tokens,"
	"   coalesce(sum(cost_minor), 0) AS cost"
	"  FROM uaef.agent_task WHERE agent_id = $1) t"
	" WHERE a.agent_id = $1",
	1, {UUIDOID}
};

static UaefQuery workflow_left = {
	"SELECT nullif($3, 0) - coalesce(sum(tokens), 0), nullif($4, 0)"
	" - coalesce(sum(cost_minor) FILTER (WHERE currency = $5), 0)"
	" FROM uaef.agent_spending WHERE workflow = $1"
	" AND day = ($2 AT TIME ZONE 'UTC')::date",
	5, {TEXTOID, TIMESTAMPTZOID, INT8OID, INT8OID, TEXTOID}
};

/* Returns what is new of it, and the day to which it belongs. */
static UaefQuery set_usage = {
	"WITH old AS (SELECT ctid, tokens_in + tokens_out AS tokens, cost_minor"
	" FROM uaef.agent_task WHERE task_id = $1 AND ended_at IS NULL)"
	" UPDATE uaef.agent_task t SET tokens_in = $2, tokens_out = $3,"
	" cost_minor = $4 FROM old"
	" WHERE t.ctid = old.ctid RETURNING t.tokens_in + t.tokens_out"
	" - old.tokens, t.cost_minor - old.cost_minor, t.claimed_at",
	4, {INT8OID, INT8OID, INT8OID, NUMERICOID}
};

static UaefQuery mark_unknown = {
	"UPDATE uaef.agent_task SET unknown = unknown + 1"
	" WHERE task_id = $1 AND ended_at IS NULL"
	" RETURNING tokens_in, tokens_out, cost_minor, claimed_at",
	1, {INT8OID}
};

static UaefQuery spend = {
	"INSERT INTO uaef.agent_spending AS s (workflow, day, currency, calls,"
	" tokens, cost_minor, unknown_calls)"
	" VALUES ($1, ($2 AT TIME ZONE 'UTC')::date, $3, $4, $5, $6, $7)"
	" ON CONFLICT (workflow, day, currency) DO UPDATE SET"
	" calls = s.calls + excluded.calls, tokens = s.tokens + excluded.tokens,"
	" cost_minor = s.cost_minor + excluded.cost_minor,"
	" unknown_calls = s.unknown_calls + excluded.unknown_calls",
	7, {TEXTOID, TIMESTAMPTZOID, TEXTOID, INT8OID, INT8OID, NUMERICOID,
	INT8OID}
};

static void read_callee(uint64 row, Callee *callee);
static bool load_callee(const char *agent_id, Callee *callee);
static Numeric minor_cost(Numeric cost, const char *cost_currency,
						  const Callee *callee);
static void estimate(const Callee *callee, Jsonb *payload, Usage *usage);
static void add_up(Usage *usage, Jsonb *progress);
static void count_spending(const UaefTask *task, const Callee *callee,
						   const Usage *spent, int calls, TimestampTz since);
static void keep_estimate(UaefTask *task, const Callee *callee, Usage *used);
static void meter(UaefTask *task, const Callee *callee, const Usage *usage,
				  int calls);
static bool is_over(const Usage *usage, char **what);
static bool over_agent(const Callee *callee, const Usage *usage, char **what);
static bool over_workflow(const UaefTask *task, const Usage *usage,
						  char **what);
static int	agents_tried(Jsonb *progress, char ***ids);
static Jsonb *progress_of(const UaefTask *task, const Usage *used,
						  int repairs, const char *tried);
static bool others_can(const UaefTask *task, Jsonb *progress);
static void refuse(UaefTask *task, const Callee *callee,
				   const UaefFailure *failure);
static void send_call(UaefTask *task, const Callee *callee, Jsonb *payload);
static void begin_call(UaefTask *task, const Callee *callee);
static int	serve(const Callee *callee);
static void read_usage(const Callee *callee, Jsonb *answer, Usage *usage);
static const char *what_is_wrong(const UaefTask *task, Jsonb *output);
static bool repair(UaefTask *task, const Callee *callee, Jsonb *answer,
				   const char *problem, const Usage *used);

/*----------
 * Agents, and what they use
 * ----------
 */

static void
read_callee(uint64 row, Callee *callee)
{
	bool		isnull;

	callee->agent.id = uaef_spi_uuid(row, 1);
	callee->agent.id_text = uaef_uuid_text(&callee->agent.id);
	callee->agent.name = uaef_spi_text(row, 2);
	callee->agent.status = "active";
	callee->platform = uaef_spi_text(row, 3);
	callee->agent.capabilities =
		DatumGetArrayTypePCopy(uaef_spi_value(row, 4, &isnull));
	callee->configuration = uaef_spi_jsonb(row, 5);
	callee->currency = uaef_spi_text(row, 6);
	callee->connector = uaef_json_get_text(callee->configuration,
										   "connector");
}

static bool
load_callee(const char *agent_id, Callee *callee)
{
	Datum		arg = CStringGetTextDatum(agent_id ? agent_id : "");

	if (agent_id == NULL || uaef_spi_run(&find_callee, &arg, NULL) == 0)
		return false;
	read_callee(0, callee);
	return callee->connector != NULL;
}

/*
 * A cost in minor units of the agent's currency, with all its digits; NULL when
 * it is in another one.
 */
static Numeric
minor_cost(Numeric cost, const char *cost_currency, const Callee *callee)
{
	int			exponent;
	Numeric		factor = int64_to_numeric(1);

	if (cost == NULL || callee->currency == NULL || cost_currency == NULL ||
		strcmp(cost_currency, callee->currency) != 0)
		return NULL;
	exponent = uaef_currency_exponent(callee->currency);
	for (int i = 0; i < exponent; i++)
		factor = uaef_numeric_op(numeric_mul, factor, int64_to_numeric(10));
	return uaef_numeric_from_text(numeric_normalize(uaef_numeric_op(numeric_mul,
																	cost,
																	factor)));
}

/*
 * What a call may use: its request by its length, the answer by the limit that
 * the request sets.
 */
static void
estimate(const Callee *callee, Jsonb *payload, Usage *usage)
{
	UaefPrices	prices = {0};
	UaefConnector connector;
	Jsonb	   *config = NULL;
	int64		most;
	Numeric		cost;

	if (uaef_connector_find(callee->connector, &connector))
	{
		config = connector.document;
		uaef_prices_parse(config, &prices);
	}
	most = uaef_answer_count(payload, "max_tokens");
	if (most < 0)
		most = uaef_answer_count(config, "max_tokens");
	if (most < 0)
		most = strcmp(callee->platform, "anthropic") == 0 ? USUAL_MAX_TOKENS
			: 0;
	usage->tokens_in = (strlen(uaef_payload_text(payload)) +
						BYTES_PER_TOKEN - 1) / BYTES_PER_TOKEN;
	usage->tokens_out = most;
	cost = minor_cost(uaef_tokens_cost(&prices, usage->tokens_in,
									   usage->tokens_out),
					  prices.currency, callee);
	usage->cost = cost != NULL ? cost : int64_to_numeric(0);
	usage->unknown = false;
}

/*
 * What earlier calls for the same attempt have used comes on top.  A worker that
 * had the task before may have left any progress.
 */
static void
add_up(Usage *usage, Jsonb *progress)
{
	Jsonb	   *used = uaef_answer_object(progress, "used");
	JsonbValue	cost;

	usage->tokens_in += Max(uaef_answer_count(used, "tokens_in"), 0);
	usage->tokens_out += Max(uaef_answer_count(used, "tokens_out"), 0);
	if (uaef_json_get(used, "cost_minor", &cost) &&
		cost.type == jbvNumeric && uaef_numeric_sign(cost.val.numeric) > 0)
		usage->cost = uaef_numeric_op(numeric_add, usage->cost,
									  cost.val.numeric);
}

/*
 * Add to what the workflow has used on that day.
 */
static void
count_spending(const UaefTask *task, const Callee *callee, const Usage *spent,
			   int calls, TimestampTz since)
{
	Datum		args[7];

	args[0] = CStringGetTextDatum(task->execution->def->name);
	args[1] = TimestampTzGetDatum(since);
	args[2] = CStringGetTextDatum(callee->currency ? callee->currency : "");
	args[3] = Int64GetDatum(calls);
	args[4] = Int64GetDatum(spent->tokens_in + spent->tokens_out);
	args[5] = NumericGetDatum(spent->cost);
	args[6] = Int64GetDatum(spent->unknown ? 1 : 0);
	uaef_spi_run(&spend, args, NULL);
}

/*
 * Count what the attempt has used, all in all: for the agent and its workflow.
 */
static void
meter(UaefTask *task, const Callee *callee, const Usage *usage, int calls)
{
	Usage		spent = {0};
	Datum		args[4];
	TimestampTz since;
	bool		isnull;

	args[0] = Int64GetDatum(task->task_id);
	args[1] = Int64GetDatum(usage->tokens_in);
	args[2] = Int64GetDatum(usage->tokens_out);
	args[3] = NumericGetDatum(usage->cost);
	if (uaef_spi_run(&set_usage, args, NULL) == 0)
		return;
	spent.tokens_in = uaef_spi_int64(0, 1);
	spent.cost = DatumGetNumericCopy(uaef_spi_value(0, 2, &isnull));
	since = DatumGetTimestampTz(uaef_spi_value(0, 3, &isnull));
	count_spending(task, callee, &spent, calls, since);
}

/*
 * Nobody knows what the last call has used: its estimate stays.
 */
static void
keep_estimate(UaefTask *task, const Callee *callee, Usage *used)
{
	Datum		arg = Int64GetDatum(task->task_id);
	Usage		nothing = {.cost = int64_to_numeric(0),.unknown = true};
	TimestampTz since;
	bool		isnull;

	if (uaef_spi_run(&mark_unknown, &arg, NULL) == 0)
		return;
	used->tokens_in = uaef_spi_int64(0, 1);
	used->tokens_out = uaef_spi_int64(0, 2);
	used->cost = DatumGetNumericCopy(uaef_spi_value(0, 3, &isnull));
	since = DatumGetTimestampTz(uaef_spi_value(0, 4, &isnull));
	count_spending(task, callee, &nothing, 0, since);
}

/*
 * Whether a call would use more than what a query has just said is left.
 */
static bool
is_over(const Usage *usage, char **what)
{
	bool		isnull;
	Datum		left = uaef_spi_value(0, 1, &isnull);

	if (!isnull && uaef_numeric_compare(DatumGetNumeric(left),
										int64_to_numeric(usage->tokens_in + usage->tokens_out)) < 0)
	{
		*what = psprintf("%lld tokens, of which %s are left today",
						 (long long) (usage->tokens_in + usage->tokens_out),
						 uaef_numeric_text(DatumGetNumeric(left)));
		return true;
	}
	left = uaef_spi_value(0, 2, &isnull);
	if (!isnull &&
		uaef_numeric_compare(DatumGetNumeric(left), usage->cost) < 0)
	{
		*what = psprintf("%s minor units, of which %s are left today",
						 uaef_numeric_text(usage->cost),
						 uaef_numeric_text(DatumGetNumeric(left)));
		return true;
	}
	return false;
}

static bool
over_agent(const Callee *callee, const Usage *usage, char **what)
{
	Datum		arg = UUIDPGetDatum(&callee->agent.id);

	return uaef_spi_run(&agent_left, &arg, NULL) > 0 && is_over(usage, what);
}

static bool
over_workflow(const UaefTask *task, const Usage *usage, char **what)
{
	const UaefDefinition *def = task->execution->def;
	const UaefBudget *budget = &def->budget;
	Datum		args[5];

	if (budget->max_tokens == 0 && budget->max_cost == 0)
		return false;
	args[0] = CStringGetTextDatum(def->name);
	args[1] = TimestampTzGetDatum(task->execution->step->now);
	args[2] = Int64GetDatum(budget->max_tokens);
	args[3] = Int64GetDatum(budget->max_cost);
	args[4] = CStringGetTextDatum(budget->currency ? budget->currency : "");
	return uaef_spi_run(&workflow_left, args, NULL) > 0 &&
		is_over(usage, what);
}

/*
 * The agents that have had the task, with room for one more; returns how many.
 */
static int
agents_tried(Jsonb *progress, char ***ids)
{
	Jsonb	   *list = uaef_answer_array(progress, "agents_tried");
	int			max = list ? (int) JB_ROOT_COUNT(list) : 0;
	int			n = 0;

	*ids = palloc((max + 1) * sizeof(char *));
	for (int i = 0; i < max; i++)
	{
		JsonbValue *id = getIthJsonbValueFromContainer(&list->root, i);

		if (id->type == jbvString)
			(*ids)[n++] = pnstrdup(id->val.string.val, id->val.string.len);
	}
	return n;
}

/*----------
 * Other agents
 * ----------
 */

/*
 * {"agents_tried","repairs","used"}; tried is one more agent, or NULL.
 */
static Jsonb *
progress_of(const UaefTask *task, const Usage *used, int repairs,
			const char *tried)
{
	char	  **ids;
	int			n = agents_tried(task->progress, &ids);
	UaefJson	json;

	if (tried != NULL)
		ids[n++] = pstrdup(tried);
	uaef_json_begin(&json);
	if (n > 0)
		uaef_json_texts(&json, "agents_tried", ids, n);
	if (repairs > 0)
		uaef_json_int(&json, "repairs", repairs);
	if (used != NULL)
	{
		UaefJson	inner;

		uaef_json_begin(&inner);
		uaef_json_int(&inner, "tokens_in", used->tokens_in);
		uaef_json_int(&inner, "tokens_out", used->tokens_out);
		uaef_json_numeric(&inner, "cost_minor", used->cost);
		uaef_json_jsonb(&json, "used", uaef_json_end(&inner));
	}
	return uaef_json_end(&json);
}

static bool
others_can(const UaefTask *task, Jsonb *progress)
{
	const char *capability = task->def->config.agent.capability;
	char	  **tried;
	int			n = agents_tried(progress, &tried);
	Datum	   *ids = palloc((n + 1) * sizeof(Datum));
	Datum		args[2];

	if (capability == NULL)
		return false;
	for (int i = 0; i < n; i++)
		ids[i] = CStringGetTextDatum(tried[i]);
	args[0] = CStringGetTextDatum(capability);
	args[1] = uaef_array(ids, NULL, n, TEXTOID);
	return uaef_spi_run(&find_other, args, NULL) > 0;
}

/*
 * Another agent may have the task, if there is one; else it fails.  A task that
 * the agent has not begun goes back as it is.
 */
static void
refuse(UaefTask *task, const Callee *callee, const UaefFailure *failure)
{
	Jsonb	   *progress = progress_of(task, NULL, 0, callee->agent.id_text);
	UaefJson	json;

	if (!others_can(task, progress))
		uaef_advance_fail(task, failure);
	else if (task->status == UAEF_TASK_RUNNING)
		uaef_advance_pass_on(task, failure, progress);
	else
	{
		uaef_task_event_begin(&json, task);
		uaef_json_text(&json, "agent", callee->agent.name);
		uaef_json_text(&json, "code", failure->code);
		uaef_json_text(&json, "message", failure->message);
		uaef_step_event(task->execution, task, "agent_call_refused",
						uaef_json_end(&json));
		task->progress = progress;
		task->dirty = true;
		task->execution->step->ready = lappend(task->execution->step->ready,
											   task);
	}
}

/*----------
 * Calls
 * ----------
 */

/*
 * Leave a call of the agent that has the task for delivery.
 */
static void
send_call(UaefTask *task, const Callee *callee, Jsonb *payload)
{
	UaefDeliveryRequest request;
	UaefFailure failure;
	ErrorData  *refusal;
	int64		delivery_id;

	uaef_delivery_of_task(task, &request);
	request.connector = callee->connector;
	request.body = payload;
	request.retry = NULL;
	refusal = uaef_delivery_offer(&request, &delivery_id);
	if (refusal == NULL)
		return;
	uaef_failure_from_error(&failure, refusal);
	failure.transient = false;
	uaef_agent_call_failed(task, &failure);
}

static void
begin_call(UaefTask *task, const Callee *callee)
{
	UaefAgentClaim claim = {{0}};
	UaefEvalError error = {0};
	UaefFailure failure;
	Usage		usage;
	Jsonb	   *payload;
	char	   *what;

	if (!uaef_agent_fill(task, &claim, &error))
	{
		uaef_failure_from_eval(&failure, &error);
		uaef_advance_fail(task, &failure);
		return;
	}
	payload = uaef_agent_payload(callee->platform, callee->configuration,
								 &claim);
	estimate(callee, payload, &usage);
	if (over_workflow(task, &usage, &what))
	{
		uaef_failure_set(&failure, ERRCODE_UAEF_AGENT_BUDGET,
						 psprintf("the call of agent \"%s\" would be beyond the budget of workflow \"%s\"",
								  callee->agent.name,
								  task->execution->def->name));
		failure.detail = psprintf("It may use %s.", what);
		uaef_advance_fail(task, &failure);
		return;
	}
	if (over_agent(callee, &usage, &what))
	{
		uaef_failure_set(&failure, ERRCODE_UAEF_AGENT_BUDGET,
						 psprintf("the call would be beyond the budget of agent \"%s\"",
								  callee->agent.name));
		failure.detail = psprintf("It may use %s.", what);
		refuse(task, callee, &failure);
		return;
	}
	uaef_agent_take(task, &callee->agent, 0);
	meter(task, callee, &usage, 1);
	send_call(task, callee, payload);
}

/*
 * Take tasks for an agent, as many as it has room for; returns how many.
 */
static int
serve(const Callee *callee)
{
	UaefStep   *step = uaef_step_begin("worker", "uaef");
	Datum		args[3];
	UaefTaskRef refs[MAX_CALLS];
	pg_uuid_t	ids[MAX_CALLS];
	int			places = 0;
	int			n;

	/* One whose day is used up is asked too, so that tasks are told. */
	args[0] = UUIDPGetDatum(&callee->agent.id);
	(void) uaef_agent_room(&callee->agent, step->now);
	if (uaef_spi_run(&find_places, args, NULL) > 0)
		places = Min(uaef_spi_int32(0, 1), MAX_CALLS);
	if (places == 0)
		return 0;
	args[0] = uaef_agent_queues(&callee->agent);
	args[1] = Int32GetDatum(places);
	args[2] = CStringGetTextDatum(callee->agent.id_text);
	n = (int) uaef_spi_run(&take_ready, args, NULL);
	for (int i = 0; i < n; i++)
	{
		refs[i].execution_id = ids[i] = uaef_spi_uuid(i, 1);
		refs[i].task_no = (int16) uaef_spi_int32(i, 2);
		refs[i].item = uaef_spi_int32(i, 3);
	}
	if (n > 0)
		uaef_step_lock(step, ids, n);
	for (int i = 0; i < n; i++)
	{
		UaefExecution *execution = uaef_step_execution(step, &ids[i]);
		UaefTask   *task = execution == NULL ? NULL :
			uaef_execution_find(execution, refs[i].task_no, refs[i].item);

		if (task != NULL && task->status == UAEF_TASK_QUEUED &&
			execution->status == UAEF_EXECUTION_RUNNING)
			begin_call(task, callee);
	}
	uaef_step_write(step);
	return n;
}

TimestampTz
uaef_agent_call_work(void)
{
	UaefCaller	back = uaef_spi_begin();
	TimestampTz now = uaef_clock_now();
	TimestampTz next = DT_NOEND;
	Datum		arg = TimestampTzGetDatum(now);
	int			n = (int) uaef_spi_read(&find_callees, &arg);
	Callee	   *callees = palloc0(sizeof(Callee) * Max(n, 1));
	int			open = 0;

	for (int i = 0; i < n; i++)
	{
		bool		isnull;
		Datum		opens_at = uaef_spi_value(i, 7, &isnull);

		if (isnull)
			read_callee(i, &callees[open++]);
		else
			next = Min(next, DatumGetTimestampTz(opens_at));
	}
	for (int i = 0; i < open; i++)
	{
		if (serve(&callees[i]) == MAX_CALLS)
			next = now;
	}
	uaef_spi_end(back);
	return next;
}

/*----------
 * Answers
 * ----------
 */

/*
 * What an answer says that it used; where it does not, the estimate stays.
 */
static void
read_usage(const Callee *callee, Jsonb *answer, Usage *usage)
{
	Jsonb	   *said = uaef_answer_object(answer, "usage");
	JsonbValue	cost;
	Numeric		minor = NULL;

	usage->tokens_in = uaef_answer_count(said, "input_tokens");
	usage->tokens_out = uaef_answer_count(said, "output_tokens");
	usage->unknown = usage->tokens_in < 0 || usage->tokens_out < 0;
	if (uaef_json_get(answer, "cost", &cost) && cost.type == jbvNumeric)
		minor = minor_cost(cost.val.numeric,
						   uaef_json_get_text(answer, "currency"), callee);
	usage->cost = minor != NULL ? minor : int64_to_numeric(0);
}

/*
 * NULL, or why the output is not what the task asks for.
 */
static const char *
what_is_wrong(const UaefTask *task, Jsonb *output)
{
	const UaefSchema *schema = task->def->config.agent.schema;
	List	   *failures = NIL;
	UaefEvalError error = {0};

	if (output == NULL)
		return "there is no text in it";
	if (uaef_schema_failures(schema, output, 10, &failures, &error))
		return NULL;
	return failures == NIL ? error.message
		: uaef_schema_failures_text(failures);
}

/*
 * Ask once more, telling what is wrong; false when that has been done, or may
 * not be.
 */
static bool
repair(UaefTask *task, const Callee *callee, Jsonb *answer,
	   const char *problem, const Usage *used)
{
	UaefAgentClaim claim = {{0}};
	UaefEvalError error = {0};
	char	   *text = uaef_json_get_text(answer, "text");
	Jsonb	   *payload;
	Usage		usage;
	char	   *what;

	if (uaef_answer_count(task->progress, "repairs") > 0 ||
		!uaef_agent_fill(task, &claim, &error))
		return false;
	payload = uaef_agent_payload(callee->platform, callee->configuration,
								 &claim);
	payload = uaef_agent_repair_payload(callee->platform, payload,
										text ? text : "", problem);
	estimate(callee, payload, &usage);
	if (over_workflow(task, &usage, &what) || over_agent(callee, &usage, &what))
		return false;
	task->progress = progress_of(task, used, 1, NULL);
	task->dirty = true;
	add_up(&usage, task->progress);
	meter(task, callee, &usage, 1);
	send_call(task, callee, payload);
	return true;
}

void
uaef_agent_call_answered(UaefTask *task, Jsonb *answer)
{
	bool		has_schema = task->def->config.agent.schema != NULL &&
		!uaef_agent_wants_tools(answer);
	Jsonb	   *output = uaef_agent_output(answer, has_schema);
	const char *problem;
	UaefFailure failure;
	Callee		callee = {{{{0}}}};
	Usage		used = {0};

	uaef_wake_worker_on_commit(UAEF_WAKE_AGENTS);
	if (load_callee(task->worker, &callee))
	{
		read_usage(&callee, answer, &used);
		if (used.unknown)
			keep_estimate(task, &callee, &used);
		else
		{
			add_up(&used, task->progress);
			meter(task, &callee, &used, 0);
		}
	}
	problem = has_schema ? what_is_wrong(task, output) : NULL;
	if (problem == NULL)
		(void) uaef_advance_result(task, output);
	else if (callee.connector == NULL ||
			 !repair(task, &callee, answer, problem, &used))
	{
		uaef_failure_set(&failure, ERRCODE_UAEF_SCHEMA_MISMATCH,
						 "the answer is not what the task asks for");
		failure.detail = uaef_clip(problem);
		uaef_advance_fail(task, &failure);
	}
}

/*
 * A call that failed has used nothing; of one that is in doubt nobody knows.
 */
void
uaef_agent_call_failed(UaefTask *task, const UaefFailure *failure)
{
	bool		in_doubt = strcmp(failure->code, "in_doubt") == 0;
	bool		unread = strcmp(failure->code, "response_too_large") == 0;
	Callee		callee = {{{{0}}}};
	Usage		used = {.cost = int64_to_numeric(0)};

	uaef_wake_worker_on_commit(UAEF_WAKE_AGENTS);
	if (!load_callee(task->worker, &callee))
	{
		uaef_advance_fail(task, failure);
		return;
	}
	if (in_doubt || unread)
		keep_estimate(task, &callee, &used);
	else
	{
		add_up(&used, task->progress);
		meter(task, &callee, &used, 0);
	}
	if (in_doubt)
		uaef_advance_fail(task, failure);
	else
		refuse(task, &callee, failure);
}

/*----------
 * Configurations
 * ----------
 */

void
uaef_agent_check_connector(const char *platform, Jsonb *configuration)
{
	char	   *name = uaef_json_get_text(configuration, "connector");
	const char *type = strcmp(platform, "http") == 0 ? "agent_http" : platform;
	UaefConnector connector;
	JsonbValue	value;

	if (name == NULL)
	{
		if (uaef_json_get(configuration, "connector", &value))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("\"connector\" of the configuration must be a string")));
		return;
	}
	uaef_connector_load(name, &connector);
	if (strcmp(connector.type->name, type) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("connector \"%s\" is of type \"%s\", and not for agents of platform \"%s\"",
						name, connector.type->name, platform)));
}
