/*-------------------------------------------------------------------------
 *
 * rule_backtest.c
 *	  Putting a settlement rule to executions that are past.
 *
 * Executions are read by a cursor, a few hundred at a time, and forgotten;
 * what stays is one sum for each payee.
 *
 * Locking: none; what the caller's snapshot sees.  Memory: the sums live in
 * the caller's context, each batch in one of its own.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "errcodes.h"
#include "numeric_util.h"
#include "rule_backtest.h"
#include "rule_data.h"
#include "settlement_eval.h"
#include "spi_util.h"

#define BATCH		500
#define MAX_KEY		300			/* of a recipient and a currency, in bytes */

/* What rules read of an execution e of a definition d. */
#define EXECUTION_DATA \
	"jsonb_build_object('in', e.input," \
	" 'ctx', coalesce(d.definition->'context', '{}'), 'sys'," \
	" jsonb_strip_nulls(jsonb_build_object('execution_id', e.execution_id," \
	"  'workflow', d.name, 'version', d.version, 'name', e.name," \
	"  'initiated_by', e.initiated_by::text, 'started_at'," \
	"  to_char(e.started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')," \
	"  'completed_at'," \
	"  to_char(e.completed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')," \
	"  'status', e.status, 'agent', e.agent))," \
	" 'task', coalesce((SELECT jsonb_object_agg(t.task, t.output)" \
	"  FROM uaef.task_execution t WHERE t.execution_id = e.execution_id" \
	"  AND t.item = -1 AND t.output IS NOT NULL), '{}'))"

/* A payee's sums, in the hash table; the key is the currency and who. */
typedef struct Sum
{
	char		key[MAX_KEY];
	UaefBacktestPayee payee;
} Sum;

typedef struct Backtest
{
	UaefSettlementRule *rule;
	HTAB	   *sums;
	MemoryContext context;		/* of the sums */
} Backtest;

static Sum *find_sum(Backtest *test, const char *recipient,
					 const char *currency);
static void add_amount(Backtest *test, Numeric *sum, Numeric amount);
static Jsonb *member(Jsonb *object, const char *key);
static Jsonb *sys_at_task(Jsonb *sys);
static bool came_to(Jsonb *data, const char *task);
static void settle(Backtest *test, Jsonb *data, int32 definition_id,
				   TimestampTz completed_at);
static void run_executions(Backtest *test, TimestampTz from, TimestampTz to);
static void add_history(Backtest *test, TimestampTz from, TimestampTz to);
static int	compare_payees(const ListCell *a, const ListCell *b);
static List *list_payees(Backtest *test);

Jsonb *
uaef_rule_execution_data(const pg_uuid_t *execution_id, const char *task,
						 Oid actor)
{
	static UaefQuery find = {
		"SELECT " EXECUTION_DATA ", d.definition_id"
		" FROM uaef.workflow_execution e"
		" JOIN uaef.workflow_definition d USING (definition_id)"
		" WHERE e.execution_id = $1"
		" AND pg_has_role($2, e.initiated_by, 'USAGE')",
		2, {UUIDOID, OIDOID}
	};
	UaefCaller	caller = uaef_spi_begin();
	Jsonb	   *data;
	int32		definition_id;
	Datum		args[2];

	args[0] = UUIDPGetDatum(execution_id);
	args[1] = ObjectIdGetDatum(actor);
	if (uaef_spi_read(&find, args) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_UNDEFINED_EXECUTION),
				 errmsg("execution does not exist")));
	data = uaef_spi_jsonb(0, 1);
	definition_id = uaef_spi_int32(0, 2);
	uaef_spi_end(caller);

	/* What is made of it is returned, so it must not be in SPI's context. */
	if (task != NULL)
		data = uaef_rule_task_data(data, definition_id, task);
	if (data == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_UNDEFINED_TASK),
				 errmsg("task \"%s\" of this execution is no settle task, or its input cannot be made",
						task)));
	return data;
}

/* A member of an object as a document; NULL: it has none. */
static Jsonb *
member(Jsonb *object, const char *key)
{
	JsonbValue	value;

	return uaef_json_get(object, key, &value) ?
		uaef_json_from_value(&value) : NULL;
}

/*
 * An execution that is at a task runs, and is not complete.
 */
static Jsonb *
sys_at_task(Jsonb *sys)
{
	static const char *const kept[] = {
		"execution_id", "workflow", "version", "name", "initiated_by",
		"started_at", "agent"
	};
	UaefJson	json;

	uaef_json_begin(&json);
	for (int i = 0; i < lengthof(kept); i++)
		uaef_json_jsonb(&json, kept[i], member(sys, kept[i]));
	uaef_json_text(&json, "status", "running");
	return uaef_json_end(&json);
}

Jsonb *
uaef_rule_task_data(Jsonb *data, int32 definition_id, const char *task)
{
	const UaefDefinition *definition = uaef_definition_get(definition_id);
	int			no = uaef_definition_task_no(definition, task, strlen(task));
	const UaefTemplate *input;
	UaefEvalError error = {0};
	UaefScope	scope = {0};
	UaefJson	json;

	if (no < 0 || definition->tasks[no].type != UAEF_TASK_SETTLE)
		return NULL;
	input = definition->tasks[no].config.settle.input;
	uaef_json_begin(&json);
	uaef_json_jsonb(&json, "in", member(data, "in"));
	uaef_json_jsonb(&json, "ctx", member(data, "ctx"));
	uaef_json_jsonb(&json, "sys", sys_at_task(member(data, "sys")));
	uaef_json_jsonb(&json, "task", member(data, "task"));
	scope.document = uaef_json_end(&json);
	if (input == NULL)
		return scope.document;

	uaef_json_begin(&json);
	uaef_json_jsonb(&json, "in", uaef_template_fill(input, &scope, &error));
	uaef_json_jsonb(&json, "ctx", member(scope.document, "ctx"));
	uaef_json_jsonb(&json, "sys", member(scope.document, "sys"));
	uaef_json_jsonb(&json, "task", member(scope.document, "task"));
	return error.sqlstate == 0 ? uaef_json_end(&json) : NULL;
}

/* The sums of a payee, made at its first. */
static Sum *
find_sum(Backtest *test, const char *recipient, const char *currency)
{
	char		key[MAX_KEY] = {0};
	MemoryContext old;
	bool		found;
	Sum		   *sum;

	snprintf(key, MAX_KEY, "%s %s", currency, recipient == NULL ? "" :
			 recipient);
	sum = hash_search(test->sums, key, HASH_ENTER, &found);
	if (found)
		return sum;
	old = MemoryContextSwitchTo(test->context);
	sum->payee.recipient = recipient == NULL ? NULL : pstrdup(recipient);
	sum->payee.currency = pstrdup(currency);
	sum->payee.executions = 0;
	sum->payee.was = int64_to_numeric(0);
	sum->payee.would_be = int64_to_numeric(0);
	MemoryContextSwitchTo(old);
	return sum;
}

static void
add_amount(Backtest *test, Numeric *sum, Numeric amount)
{
	MemoryContext old = MemoryContextSwitchTo(test->context);
	Numeric		before = *sum;

	*sum = uaef_numeric_op(numeric_add, before, amount);
	pfree(before);
	MemoryContextSwitchTo(old);
}

/*
 * Whether an execution came to a settle task: each has an output.
 */
static bool
came_to(Jsonb *data, const char *task)
{
	JsonbValue	value;

	return uaef_json_get(member(data, "task"), task, &value);
}

/* One execution, as it would have been settled. */
static void
settle(Backtest *test, Jsonb *data, int32 definition_id,
	   TimestampTz completed_at)
{
	const char *task = test->rule->task;
	UaefScope	scope = {.document = data,.tables = &uaef_rule_tables,
	.at = completed_at,.known_at = completed_at};
	UaefRuleOutcome outcome;

	if (task != NULL)
		scope.document = came_to(data, task) ?
			uaef_rule_task_data(data, definition_id, task) : NULL;
	if (scope.document == NULL)
		return;
	uaef_settlement_rule_evaluate(test->rule, &scope, &outcome);
	if (outcome.result == UAEF_RULE_ERROR)
		find_sum(test, NULL, test->rule->currency)->payee.executions++;
	if (outcome.result != UAEF_RULE_FIRED)
		return;
	for (int i = 0; i < outcome.n_shares; i++)
	{
		const UaefShare *share = &outcome.shares[i];
		Sum		   *sum = find_sum(test, share->recipient,
								   test->rule->currency);

		sum->payee.executions++;
		add_amount(test, &sum->payee.would_be,
				   uaef_money_from_minor(share->minor,
										 test->rule->currency));
	}
}

static void
run_executions(Backtest *test, TimestampTz from, TimestampTz to)
{
	Oid			types[] = {TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID};
	Datum		args[3];
	SPIPlanPtr	plan;
	Portal		portal;
	MemoryContext batch = AllocSetContextCreate(CurrentMemoryContext,
												"uaef backtest",
												ALLOCSET_DEFAULT_SIZES);

	args[0] = CStringGetTextDatum(test->rule->workflow);
	args[1] = TimestampTzGetDatum(from);
	args[2] = TimestampTzGetDatum(to);
	plan = SPI_prepare("SELECT e.completed_at, " EXECUTION_DATA
					   ", d.definition_id"
					   " FROM uaef.workflow_execution e"
					   " JOIN uaef.workflow_definition d USING (definition_id)"
					   " WHERE d.name = $1 AND e.status = 'completed'"
					   " AND e.completed_at >= $2 AND e.completed_at < $3",
					   3, types);
	if (plan == NULL)
		elog(ERROR, "could not prepare the query of a backtest");
	portal = SPI_cursor_open(NULL, plan, args, NULL, true);
	for (;;)
	{
		SPITupleTable *rows;
		uint64		n;

		SPI_cursor_fetch(portal, true, BATCH);
		rows = SPI_tuptable;
		n = SPI_processed;
		for (uint64 i = 0; i < n; i++)
		{
			MemoryContext old = MemoryContextSwitchTo(batch);
			bool		isnull;
			Datum		at = SPI_getbinval(rows->vals[i], rows->tupdesc, 1,
										   &isnull);
			Datum		data = SPI_getbinval(rows->vals[i], rows->tupdesc, 2,
											 &isnull);
			Datum		id = SPI_getbinval(rows->vals[i], rows->tupdesc, 3,
										   &isnull);

			settle(test, DatumGetJsonbP(data), DatumGetInt32(id),
				   DatumGetTimestampTz(at));
			MemoryContextSwitchTo(old);
			MemoryContextReset(batch);
			CHECK_FOR_INTERRUPTS();
		}
		SPI_freetuptable(rows);
		if (n == 0)
			break;
	}
	SPI_cursor_close(portal);
	MemoryContextDelete(batch);
}

/* What the rule of that name gave, whatever became of it. */
static void
add_history(Backtest *test, TimestampTz from, TimestampTz to)
{
	static UaefQuery find = {
		"SELECT s.recipient, s.currency, sum(s.amount)::text"
		" FROM uaef.settlement_rule r"
		" JOIN uaef.settlement_signal s USING (rule_id)"
		" JOIN uaef.settlement_run u USING (execution_id)"
		" WHERE r.name = $1 AND s.part_no > 0"
		" AND u.completed_at >= $2 AND u.completed_at < $3"
		" GROUP BY 1, 2",
		3, {TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID}
	};
	Datum		args[3];
	uint64		n;

	args[0] = CStringGetTextDatum(test->rule->name);
	args[1] = TimestampTzGetDatum(from);
	args[2] = TimestampTzGetDatum(to);
	n = uaef_spi_read(&find, args);
	for (uint64 i = 0; i < n; i++)
	{
		Sum		   *sum = find_sum(test, uaef_spi_text(i, 1),
								   uaef_spi_text(i, 2));

		add_amount(test, &sum->payee.was,
				   uaef_numeric_from_text(uaef_spi_text(i, 3)));
	}
}

static int
compare_payees(const ListCell *a, const ListCell *b)
{
	const UaefBacktestPayee *left = lfirst(a);
	const UaefBacktestPayee *right = lfirst(b);
	int			order;

	if (left->recipient == NULL || right->recipient == NULL)
		return (left->recipient == NULL) - (right->recipient == NULL);
	order = strcmp(left->recipient, right->recipient);
	return order != 0 ? order : strcmp(left->currency, right->currency);
}

static List *
list_payees(Backtest *test)
{
	HASH_SEQ_STATUS scan;
	List	   *payees = NIL;
	Sum		   *sum;

	hash_seq_init(&scan, test->sums);
	while ((sum = hash_seq_search(&scan)) != NULL)
	{
		sum->payee.difference = uaef_numeric_op(numeric_sub,
												sum->payee.would_be,
												sum->payee.was);
		payees = lappend(payees, &sum->payee);
	}
	list_sort(payees, compare_payees);
	return payees;
}

List *
uaef_rule_backtest(const char *name, Jsonb *definition, TimestampTz from,
				   TimestampTz to, Oid actor)
{
	HASHCTL		control = {0};
	Backtest	test = {0};
	UaefCaller	caller;

	test.rule = uaef_settlement_rule_compile(name, definition, NULL);
	test.context = CurrentMemoryContext;
	control.keysize = MAX_KEY;
	control.entrysize = sizeof(Sum);
	control.hcxt = CurrentMemoryContext;
	test.sums = hash_create("uaef backtest", 256, &control,
							HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);

	caller = uaef_spi_begin();
	uaef_settlement_rule_check_workflow_owner(test.rule->workflow, actor);
	run_executions(&test, from, to);
	add_history(&test, from, to);
	uaef_spi_end(caller);
	return list_payees(&test);
}
