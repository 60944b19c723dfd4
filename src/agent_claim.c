/*-------------------------------------------------------------------------
 *
 * agent_claim.c
 *	  Tasks that agents take by their keys, and what they use for them.
 *
 * Whatever an agent has ended since its last claim is added up by its next
 * one: so its totals are written by its claims alone, one at a time, and at
 * most max_concurrent rows wait to be added up.
 *
 * Locking: a claim locks its agent's row in agent_metric until the transaction
 * ends, so that two claims of one agent see each other's tasks; then it takes
 * rows out of the ready set, skipping those that others are just taking, and
 * only then locks the executions.  Whoever holds an execution never asks for a
 * row of agent_metric.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "advance.h"
#include "agent.h"
#include "agent_claim.h"
#include "agent_task.h"
#include "errcodes.h"
#include "failure.h"
#include "own_execution.h"
#include "spi_util.h"
#include "task_input.h"
#include "wake.h"

static UaefQuery find_ready = {
	"SELECT 1 FROM unnest($1) q WHERE EXISTS ("
	" SELECT FROM uaef.task_ready r"
	" WHERE r.queue = q AND r.run_as = 1::pg_catalog.oid::pg_catalog.regrole)"
	" LIMIT 1",
	1, {TEXTARRAYOID}
};

static UaefQuery lock_metric = {
	"SELECT FROM uaef.agent_metric WHERE agent_id = $1 FOR NO KEY UPDATE",
	1, {UUIDOID}
};

/*
 * Add up what has ended.  The row is written in any case: under a snapshot
 * that is older than another claim, this raises rather than miscounts.
 */
static UaefQuery fold = {
	"WITH gone AS ("
	" DELETE FROM uaef.agent_task"
	" WHERE agent_id = $1 AND ended_at IS NOT NULL"
	" RETURNING outcome, tokens_in, tokens_out, cost_minor, unknown, bucket,"
	"  (ended_at AT TIME ZONE 'UTC')::date AS day),"
	" today AS (SELECT ($2 AT TIME ZONE 'UTC')::date AS day),"
	" s AS (SELECT"
	"  count(*) FILTER (WHERE outcome = 'completed') AS completed,"
	"  count(*) FILTER (WHERE outcome = 'failed') AS failed,"
	"  count(*) FILTER (WHERE outcome = 'lost') AS lost,"
	"  count(*) FILTER (WHERE outcome = 'cancelled') AS cancelled,"
	"  coalesce(sum(tokens_in), 0) AS tokens_in,"
	"  coalesce(sum(tokens_out), 0) AS tokens_out,"
	"  coalesce(sum(cost_minor), 0) AS cost_minor,"
	"  coalesce(sum(unknown), 0) AS unknown_calls,"
	"  coalesce(sum(tokens_in + tokens_out)"
	"   FILTER (WHERE day = (SELECT day FROM today)), 0) AS day_tokens,"
	"  coalesce(sum(cost_minor)"
	"   FILTER (WHERE day = (SELECT day FROM today)), 0) AS day_cost"
	" FROM gone)"
	" UPDATE uaef.agent_metric m SET"
	"  completed = m.completed + s.completed,"
	"  failed = m.failed + s.failed,"
	"  lost = m.lost + s.lost,"
	"  cancelled = m.cancelled + s.cancelled,"
	"  tokens_in = m.tokens_in + s.tokens_in,"
	"  tokens_out = m.tokens_out + s.tokens_out,"
	"  cost_minor = m.cost_minor + s.cost_minor,"
	"  unknown_calls = m.unknown_calls + s.unknown_calls,"
	"  latency = CASE WHEN s.completed = 0 THEN m.latency ELSE ARRAY("
	"   SELECT h.n + (SELECT count(*) FROM gone g"
	"    WHERE g.outcome = 'completed' AND g.bucket = h.i)"
	"   FROM unnest(m.latency) WITH ORDINALITY h (n, i) ORDER BY h.i) END,"
	"  day = today.day,"
	"  day_tokens = s.day_tokens +"
	"   CASE WHEN m.day = today.day THEN m.day_tokens ELSE 0 END,"
	"  day_cost = s.day_cost +"
	"   CASE WHEN m.day = today.day THEN m.day_cost ELSE 0 END,"
	"  claimed_at = $2"
	" FROM s, today WHERE m.agent_id = $1",
	2, {UUIDOID, TIMESTAMPTZOID}
};

/* How many tasks more an agent may have; after fold. */
static UaefQuery find_room = {
	"SELECT CASE WHEN a.status <> 'active'"
	"  OR m.day_tokens + t.tokens >= a.max_tokens_per_day"
	"  OR m.day_cost + t.cost >= a.max_cost_per_day THEN 0"
	"  ELSE greatest(0, a.max_concurrent - t.running)::integer END"
	" FROM uaef.agent a JOIN uaef.agent_metric m USING (agent_id),"
	" (SELECT count(*) AS running,"
	"   coalesce(sum(tokens_in + tokens_out), 0) AS tokens,"
	"   coalesce(sum(cost_minor), 0) AS cost"
	"  FROM uaef.agent_task WHERE agent_id = $1) t"
	" WHERE a.agent_id = $1",
	1, {UUIDOID}
};

/*
 * The first of each queue, and of those the first.  What is locked and not
 * taken is what others skip until the claim is committed.
 */
static UaefQuery take_ready = {
	"DELETE FROM uaef.task_ready WHERE ctid = ANY (ARRAY("
	" SELECT r.ctid FROM unnest($1) q CROSS JOIN LATERAL ("
	"  SELECT ctid, rank, task_id FROM uaef.task_ready"
	"  WHERE queue = q"
	"  AND run_as = 1::pg_catalog.oid::pg_catalog.regrole"
	"  ORDER BY queue, run_as, rank, task_id"
	"  LIMIT $2 FOR UPDATE SKIP LOCKED) r"
	" ORDER BY r.rank, r.task_id LIMIT $2))"
	" RETURNING execution_id, task_no::integer, item, rank, task_id",
	2, {TEXTARRAYOID, INT4OID}
};

static UaefQuery insert_task = {
	"INSERT INTO uaef.agent_task (agent_id, task_id, execution_id,"
	" lease_token, claimed_at) VALUES ($1, $2, $3, $4, $5)",
	5, {UUIDOID, INT8OID, UUIDOID, UUIDOID, TIMESTAMPTZOID}
};

static UaefQuery find_claimed = {
	"SELECT t.execution_id, a.currency FROM uaef.agent_task t"
	" JOIN uaef.agent a USING (agent_id)"
	" WHERE t.task_id = $1 AND t.lease_token = $2 AND t.ended_at IS NULL",
	2, {INT8OID, UUIDOID}
};

static UaefQuery set_usage = {
	"UPDATE uaef.agent_task SET tokens_in = $3, tokens_out = $4,"
	" cost_minor = $5"
	" WHERE task_id = $1 AND lease_token = $2 AND ended_at IS NULL",
	5, {INT8OID, UUIDOID, INT8OID, INT8OID, INT8OID}
};

/* A row of the ready set. */
typedef struct Ready
{
	pg_uuid_t	execution_id;
	int			no;
	int			item;
	int64		rank;
	int64		task_id;
} Ready;

typedef struct Usage
{
	int64		tokens_in;
	int64		tokens_out;
	int64		cost_minor;
	char	   *currency;
} Usage;

/*
 * The agent of a key, to claim.  Neither the key nor the statement that has it
 * goes into the log.
 */
static void
authenticate(const char *api_key, UaefAgent *agent)
{
	if (!uaef_agent_by_key(api_key, agent))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
				 errmsg("the key is not that of an agent"),
				 errhint("uaef.rotate_agent_key() makes a new one."),
				 errhidestmt(true), errhidecontext(true)));
	if (strcmp(agent->status, "active") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("agent \"%s\" is %s", agent->name, agent->status),
				 errhint("Use uaef.activate_agent() to let it work."),
				 errhidestmt(true), errhidecontext(true)));
}

/*
 * The queues of what an agent may do.
 */
Datum
uaef_agent_queues(const UaefAgent *agent)
{
	Datum	   *capabilities;
	Datum	   *queues;
	int			n;

	deconstruct_array(agent->capabilities, TEXTOID, -1, false, TYPALIGN_INT,
					  &capabilities, NULL, &n);
	queues = palloc(sizeof(Datum) * (n + 1));
	for (int i = 0; i < n; i++)
		queues[i] = CStringGetTextDatum(psprintf(UAEF_CAPABILITY_QUEUE "%s",
												 TextDatumGetCString(capabilities[i])));
	queues[n] = CStringGetTextDatum(psprintf(UAEF_AGENT_QUEUE "%s",
											 agent->name));
	return uaef_array(queues, NULL, n + 1, TEXTOID);
}

/*
 * Add up what the agent has ended, and see how many tasks it may take.
 */
int
uaef_agent_room(const UaefAgent *agent, TimestampTz now)
{
	Datum		args[2];

	args[0] = UUIDPGetDatum(&agent->id);
	args[1] = TimestampTzGetDatum(now);
	if (uaef_spi_run(&lock_metric, args, NULL) == 0)
		return 0;
	uaef_spi_run(&fold, args, NULL);
	uaef_spi_run(&find_room, args, NULL);
	return uaef_spi_int32(0, 1);
}

static int
compare_ready(const void *a, const void *b)
{
	const Ready *x = a;
	const Ready *y = b;

	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	return x->task_id < y->task_id ? -1 : x->task_id > y->task_id;
}

/*
 * Take rows out of the ready set, in their order.  The worker, which calls other
 * agents, passes over what is taken or only locked, and looks again when that is
 * there once more.
 */
static Ready *
take(Datum queues, int limit, int *n)
{
	Datum		args[2];
	Ready	   *ready;

	args[0] = queues;
	args[1] = Int32GetDatum(limit);
	*n = (int) uaef_spi_run(&take_ready, args, NULL);
	uaef_wake_worker_on_abort(UAEF_WAKE_AGENTS);
	if (*n == limit)
		uaef_wake_worker_on_commit(UAEF_WAKE_AGENTS);
	ready = palloc(sizeof(Ready) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
	{
		ready[i].execution_id = uaef_spi_uuid(i, 1);
		ready[i].no = uaef_spi_int32(i, 2);
		ready[i].item = uaef_spi_int32(i, 3);
		ready[i].rank = uaef_spi_int64(i, 4);
		ready[i].task_id = uaef_spi_int64(i, 5);
	}
	qsort(ready, *n, sizeof(Ready), compare_ready);
	return ready;
}

/*
 * What the agent is told, besides what every claim has; false on failure.
 */
bool
uaef_agent_fill(UaefTask *task, UaefAgentClaim *claim, UaefEvalError *error)
{
	const UaefAgentConfig *config = &task->def->config.agent;
	UaefScope  *scope = uaef_task_scope(task);

	claim->claim.input = uaef_task_input(task, error);
	if (claim->claim.input == NULL)
		return false;
	if (config->prompt != NULL)
	{
		claim->prompt = uaef_template_fill_text(config->prompt, scope,
												UAEF_ENCODE_TEXT, error);
		if (claim->prompt == NULL)
			return false;
	}
	if (config->context != NULL)
	{
		claim->context = uaef_template_fill(config->context, scope, error);
		if (claim->context == NULL)
			return false;
	}
	if (config->messages != NULL)
	{
		claim->messages = uaef_template_fill(config->messages, scope, error);
		if (claim->messages == NULL)
			return false;
	}
	if (config->tools != NULL)
	{
		claim->tools = uaef_template_fill(config->tools, scope, error);
		if (claim->tools == NULL)
			return false;
	}
	claim->output_schema = config->output_schema;
	return true;
}

void
uaef_agent_take(UaefTask *task, const UaefAgent *agent,
				TimestampTz lease_expires_at)
{
	UaefExecution *execution = task->execution;
	Datum		args[5];

	uaef_advance_claimed(task, agent->id_text, lease_expires_at);
	execution->step->events[execution->last_event].agent_id = agent->id_text;
	args[0] = UUIDPGetDatum(&agent->id);
	args[1] = Int64GetDatum(task->task_id);
	args[2] = UUIDPGetDatum(&execution->id);
	args[3] = UUIDPGetDatum(&task->lease_token);
	args[4] = TimestampTzGetDatum(execution->step->now);
	uaef_spi_run(&insert_task, args, NULL);
}

/*
 * Give a task to the agent.  One that cannot be filled in fails instead.
 */
static bool
claim_one(UaefTask *task, const UaefAgent *agent,
		  TimestampTz lease_expires_at, UaefAgentClaim *claim)
{
	UaefExecution *execution = task->execution;
	UaefEvalError error = {0};

	memset(claim, 0, sizeof(UaefAgentClaim));
	if (!uaef_agent_fill(task, claim, &error))
	{
		UaefFailure failure;

		uaef_failure_from_eval(&failure, &error);
		uaef_advance_fail(task, &failure);
		return false;
	}
	uaef_agent_take(task, agent, lease_expires_at);
	claim->claim.task_id = task->task_id;
	claim->claim.execution_id = execution->id;
	claim->claim.workflow = execution->def->name;
	claim->claim.task = execution->def->tasks[task->no].id;
	claim->claim.item = task->item;
	claim->claim.attempt = task->attempt;
	claim->claim.lease_token = task->lease_token;
	claim->claim.lease_expires_at = lease_expires_at;
	return true;
}

/*
 * Take tasks from the queues, as many as there is room for.
 */
static int
claim_ready(UaefStep *step, const UaefAgent *agent, Datum queues, int limit,
			int64 lease_us, UaefAgentClaim *claims)
{
	int			found;
	int			n = 0;
	Ready	   *ready = take(queues, limit, &found);
	pg_uuid_t  *ids = palloc(sizeof(pg_uuid_t) * Max(found, 1));

	for (int i = 0; i < found; i++)
		ids[i] = ready[i].execution_id;
	uaef_step_lock(step, ids, found);
	for (int i = 0; i < found; i++)
	{
		UaefExecution *execution = uaef_step_execution(step, &ids[i]);
		UaefTask   *task = execution == NULL ? NULL :
			uaef_execution_find(execution, ready[i].no, ready[i].item);

		if (task != NULL && task->status == UAEF_TASK_QUEUED &&
			execution->status == UAEF_EXECUTION_RUNNING &&
			claim_one(task, agent, step->now + lease_us, &claims[n]))
			n++;
	}
	uaef_step_write(step);
	return n;
}

UaefAgentClaim *
uaef_agent_claim(const char *api_key, int limit, int64 lease_us, int *n)
{
	MemoryContext context = CurrentMemoryContext;
	UaefAgentClaim *claims = palloc(sizeof(UaefAgentClaim) * limit);
	UaefCaller	back = uaef_spi_begin();
	UaefAgent	agent;
	UaefStep   *step;
	Datum		queues;

	/* What is claimed is returned, so it must outlive SPI's context. */
	MemoryContextSwitchTo(context);
	authenticate(api_key, &agent);
	step = uaef_step_begin("agent", agent.id_text);
	queues = uaef_agent_queues(&agent);
	*n = 0;
	if (uaef_spi_run(&find_ready, &queues, NULL) > 0)
	{
		limit = Min(limit, uaef_agent_room(&agent, step->now));
		if (limit > 0)
			*n = claim_ready(step, &agent, queues, limit, lease_us, claims);
	}
	uaef_spi_end(back);
	return claims;
}

/*----------
 * What tasks use
 * ----------
 */

/*
 * A count of tokens or minor units; 0 when it is not said.
 */
static int64
read_count(Jsonb *usage, const char *key)
{
	JsonbValue	value;
	int64		count = -1;

	if (!uaef_json_get(usage, key, &value) || value.type == jbvNull)
		return 0;
	if (value.type == jbvNumeric)
	{
		char	   *text = numeric_normalize(value.val.numeric);

		/* Fifteen digits leave room for sums of them. */
		if (strlen(text) <= 15 && strspn(text, "0123456789") == strlen(text))
			count = strtoll(text, NULL, 10);
	}
	if (count < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" of the usage must be a whole number from 0 to 999999999999999",
						key)));
	return count;
}

static void
refuse_other_keys(Jsonb *usage)
{
	static const char *const keys[] =
	{"tokens_in", "tokens_out", "cost_minor", "currency"};
	JsonbIterator *iterator = JsonbIteratorInit(&usage->root);
	JsonbIteratorToken token;
	JsonbValue	value;

	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		bool		known = token != WJB_KEY;

		for (int i = 0; i < lengthof(keys) && !known; i++)
			known = strlen(keys[i]) == value.val.string.len &&
				strncmp(keys[i], value.val.string.val,
						value.val.string.len) == 0;
		if (!known)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("unknown key \"%s\" in the usage",
							pnstrdup(value.val.string.val,
									 value.val.string.len)),
					 errhint("The keys are: tokens_in, tokens_out, cost_minor, currency.")));
	}
}

static void
read_usage(Jsonb *json, Usage *usage)
{
	JsonbValue	value;

	if (!JB_ROOT_IS_OBJECT(json))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the usage must be an object")));
	refuse_other_keys(json);
	usage->tokens_in = read_count(json, "tokens_in");
	usage->tokens_out = read_count(json, "tokens_out");
	usage->cost_minor = read_count(json, "cost_minor");
	usage->currency = uaef_json_get_text(json, "currency");
	if (usage->currency == NULL && uaef_json_get(json, "currency", &value) &&
		value.type != jbvNull)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"currency\" of the usage must be a string")));
}

/*
 * Costs are added up, so they are all in the agent's currency.
 */
static void
check_currency(const Usage *usage, const char *currency)
{
	if (usage->currency != NULL ?
		currency == NULL || strcmp(usage->currency, currency) != 0 :
		usage->cost_minor > 0 && currency == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the cost is not in the currency of the agent"),
				 errdetail("The agent's currency is %s.",
						   currency != NULL ? currency : "not set"),
				 errhint("Use uaef.update_agent() to set it.")));
}

/*
 * Write what a claimed task has used; false when the lease is over.  The
 * execution is locked first, as everybody does who then writes agent_task.
 */
static bool
write_usage(int64 task_id, Jsonb *json, const pg_uuid_t *token)
{
	UaefStep   *step = uaef_step_begin("worker", NULL);
	Usage		usage;
	Datum		args[5];
	pg_uuid_t	execution_id;

	read_usage(json, &usage);
	args[0] = Int64GetDatum(task_id);
	args[1] = UUIDPGetDatum(token);
	if (uaef_spi_run(&find_claimed, args, NULL) == 0)
		return false;
	execution_id = uaef_spi_uuid(0, 1);
	check_currency(&usage, uaef_spi_text(0, 2));
	(void) uaef_lock_execution(step, &execution_id);
	args[2] = Int64GetDatum(usage.tokens_in);
	args[3] = Int64GetDatum(usage.tokens_out);
	args[4] = Int64GetDatum(usage.cost_minor);
	return uaef_spi_run(&set_usage, args, NULL) > 0;
}

void
uaef_agent_report_usage(int64 task_id, Jsonb *usage, const pg_uuid_t *token)
{
	UaefCaller	back = uaef_spi_begin();

	if (!write_usage(task_id, usage, token))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_LEASE_LOST),
				 errmsg("lease token is not that of task %lld",
						(long long) task_id),
				 errdetail("The task has ended, was given to another agent, or the token is wrong.")));
	uaef_spi_end(back);
}

void
uaef_agent_complete(int64 task_id, Jsonb *output, Jsonb *usage,
					const pg_uuid_t *token)
{
	if (usage != NULL)
	{
		UaefCaller	back = uaef_spi_begin();

		/* What is wrong with the lease, the completion says. */
		(void) write_usage(task_id, usage, token);
		uaef_spi_end(back);
	}
	uaef_claim_complete(task_id, output, token);
}
