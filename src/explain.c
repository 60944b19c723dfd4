/*-------------------------------------------------------------------------
 *
 * explain.c
 *	  Dry runs: what an execution would do, without anything being done.
 *
 * The execution is started in memory, in a subtransaction that is always
 * rolled back.  Pure tasks are evaluated as ever; what is handed out comes to
 * uaef_dry_task instead of its own type.  That lets people be asked, requests
 * be queued and waits begin as they really would, so that everything they
 * check is checked, and ends the task at once with what the caller assumes of
 * it.  SQL is planned and not run.  Of policies only those that must hold are
 * checked (policy_check.c).
 *
 * Memory: everything is in the context of the call, so that it outlives the
 * subtransaction.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "nodes/plannodes.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/resowner.h"

#include "advance.h"
#include "agent.h"
#include "errcodes.h"
#include "explain.h"
#include "failure.h"
#include "payload_check.h"
#include "spi_util.h"
#include "task_input.h"
#include "task_kind.h"
#include "wake.h"
#include "workflow_task.h"

/* Items of a map beyond these end as assumed, and are not told of. */
#define MAX_ITEMS 100

/* With so many tasks in memory no more workflows of tasks are followed. */
#define MAX_FOLLOWED 5000

static UaefQuery tell_approval = {
	"SELECT 'asks ' || coalesce(array_to_string(approvers, ', '),"
	" 'whoever may approve')"
	" || CASE WHEN need > 1 THEN ', ' || need || ' must agree' ELSE '' END"
	" || CASE WHEN stages > 1 THEN ', first of ' || stages || ' stages'"
	" ELSE '' END"
	" || coalesce(', expires after ' || (expires_at - requested_at), '')"
	" FROM uaef.human_approval WHERE execution_id = $1 AND task_id = $2",
	2, {UUIDOID, INT8OID}
};

static UaefQuery tell_delivery = {
	"SELECT 'sends ' || method || coalesce(' through connector ' || connector,"
	" ' to ' || url)"
	" FROM uaef.delivery WHERE execution_id = $1 AND task_id = $2",
	2, {UUIDOID, INT8OID}
};

static void dry_hand_out(UaefTask *task);

const UaefTaskKind uaef_dry_task = {.hand_out = dry_hand_out};

/*----------
 * What is assumed
 * ----------
 */

/*
 * What is assumed of a task, NULL if nothing is.  A task of a workflow that
 * another task runs is named after that.
 */
static Jsonb *
assumption(const UaefTask *task)
{
	Jsonb	   *assume = task->execution->step->dry->assume;
	char	   *path = task->def->id;
	JsonbValue	value;

	while ((task = task->execution->parent_task) != NULL)
		path = psprintf("%s/%s", task->def->id, path);
	return uaef_json_get(assume, path, &value) ?
		uaef_json_from_value(&value) : NULL;
}

static const char *
usual_label(const UaefTaskDef *def)
{
	static const char *const labels[] = {"approved", "met", "received"};

	for (int i = 0; i < lengthof(labels); i++)
		if (uaef_task_gives_label(def, labels[i]))
			return labels[i];
	return NULL;
}

static void
bad_assumption(const char *id, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("nothing like that can be assumed of task \"%s\"", id),
			 errdetail("%s", detail),
			 errhint("Write {\"task\": {\"output\": ..., \"label\": \"...\", \"error\": \"...\"}}, each member as needed.")));
}

/*
 * Whether a type of task is evaluated, so that nothing need be assumed.
 */
static bool
is_evaluated(const UaefTaskDef *def)
{
	return def->type == UAEF_TASK_DECISION ||
		def->type == UAEF_TASK_CONDITION ||
		def->type == UAEF_TASK_PARALLEL ||
		def->type == UAEF_TASK_CHECKPOINT ||
		def->type == UAEF_TASK_SETTLE;
}

static void
check_member(const UaefTaskDef *def, const char *key, const JsonbValue *value)
{
	if (strcmp(key, "output") == 0)
		return;
	if (strcmp(key, "label") != 0 && strcmp(key, "error") != 0)
		bad_assumption(def->id, psprintf("There is no member \"%s\".", key));
	if (value->type != jbvString)
		bad_assumption(def->id, psprintf("\"%s\" must be a string.", key));
	if (strcmp(key, "label") == 0 &&
		!uaef_task_gives_label(def, pnstrdup(value->val.string.val,
											 value->val.string.len)))
		bad_assumption(def->id, uaef_task_labels(def));
}

/*
 * The task of this id, or what an item of it runs; NULL if there is none.
 */
static const UaefTaskDef *
find_own_task(const UaefDefinition *definition, const char *id, int len)
{
	int			no = uaef_definition_task_no(definition, id, len);
	const UaefTaskDef *def = no < 0 ? NULL : &definition->tasks[no];

	if (def != NULL && def->type == UAEF_TASK_PARALLEL &&
		def->config.parallel.task != NULL)
		return def->config.parallel.task;
	return def;
}

/*
 * The same for a task of a workflow that a task runs: "task/id".
 */
static const UaefTaskDef *
find_task(const UaefDefinition *definition, const char *path)
{
	const UaefTaskDef *found = find_own_task(definition, path, strlen(path));

	check_stack_depth();
	for (const char *slash = strchr(path, '/'); found == NULL && slash != NULL;
		 slash = strchr(slash + 1, '/'))
	{
		const UaefTaskDef *def = find_own_task(definition, path, slash - path);
		int32		child = def == NULL || def->type != UAEF_TASK_WORKFLOW ? 0 :
			uaef_definition_look_up(def->config.workflow.name,
									def->config.workflow.version);

		if (child != 0)
			found = find_task(uaef_definition_get(child), slash + 1);
	}
	return found;
}

/*
 * Check what is assumed of one task.
 */
static void
check_task(const UaefDefinition *definition, const char *id, Jsonb *assumed)
{
	const UaefTaskDef *def = find_task(definition, id);
	JsonbIterator *iterator;
	JsonbValue	key;
	JsonbValue	value;

	if (def == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_UNDEFINED_TASK),
				 errmsg("workflow \"%s\" has no task \"%s\"",
						definition->name, id)));
	if (is_evaluated(def))
		bad_assumption(id, "The task is evaluated.");
	if (!JB_ROOT_IS_OBJECT(assumed))
		bad_assumption(id, "It must be an object.");
	iterator = JsonbIteratorInit(&assumed->root);
	(void) JsonbIteratorNext(&iterator, &key, true);
	while (JsonbIteratorNext(&iterator, &key, true) == WJB_KEY)
	{
		(void) JsonbIteratorNext(&iterator, &value, true);
		check_member(def, pnstrdup(key.val.string.val, key.val.string.len),
					 &value);
	}
}

static void
check_assume(const UaefDefinition *definition, Jsonb *assume)
{
	JsonbIterator *iterator;
	JsonbValue	key;
	JsonbValue	value;

	if (!JB_ROOT_IS_OBJECT(assume))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("what is assumed must be a JSON object"),
				 errhint("Its members are named by tasks.")));
	iterator = JsonbIteratorInit(&assume->root);
	(void) JsonbIteratorNext(&iterator, &key, true);
	while (JsonbIteratorNext(&iterator, &key, true) == WJB_KEY)
	{
		(void) JsonbIteratorNext(&iterator, &value, true);
		check_task(definition,
				   pnstrdup(key.val.string.val, key.val.string.len),
				   uaef_json_from_value(&value));
	}
}

/*----------
 * Tasks that are handed out
 * ----------
 */

/*
 * The cost of a statement, as a text.  It must be one that can be planned.
 */
static char *
plan_statement(const char *sql)
{
	Oid			type = JSONBOID;
	SPIPlanPtr	plan = SPI_prepare(sql, 1, &type);
	CachedPlan *cached;
	char	   *text = "statements without a plan";

	if (plan == NULL)
		elog(ERROR, "could not prepare the task's statement: %s",
			 SPI_result_code_string(SPI_result));
	cached = SPI_plan_get_cached_plan(plan);
	if (cached == NULL)
		return text;
	if (list_length(cached->stmt_list) == 1)
	{
		PlannedStmt *statement = linitial_node(PlannedStmt, cached->stmt_list);

		if (statement->planTree != NULL)
			text = psprintf("cost %.2f, rows %.0f",
							statement->planTree->total_cost,
							statement->planTree->plan_rows);
	}
	ReleaseCachedPlan(cached, NULL);
	return text;
}

/*
 * Plan the SQL of a task as the caller.  False, with the failure, when that is
 * an error.
 */
static bool
plan_sql(UaefTask *task, UaefFailure *failure)
{
	UaefDryRun *run = task->execution->step->dry;
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		char	   *text;

		uaef_become_caller(run->caller);
		SPI_connect();
		text = plan_statement(uaef_task_sql(task->def)->sql);
		run->detail = MemoryContextStrdup(context, text);
		SPI_finish();
		MemoryContextSwitchTo(context);
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		if (error->sqlerrcode == ERRCODE_QUERY_CANCELED)
			ReThrowError(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	if (error != NULL)
		uaef_failure_from_error(failure, error);
	return error == NULL;
}

/*
 * What a query tells of a task that has left something in a table.
 */
static char *
tell(UaefTask *task, UaefQuery *query)
{
	Datum		args[2];

	args[0] = UUIDPGetDatum(&task->execution->id);
	args[1] = Int64GetDatum(task->task_id);
	return uaef_spi_run(query, args, NULL) > 0 ? uaef_spi_text(0, 1) : NULL;
}

static char *
tell_wait(const UaefTask *task)
{
	const UaefTimerRow *timer;

	if (task->execution->step->timers == NIL)
		return NULL;
	timer = llast(task->execution->step->timers);
	return psprintf("waits until %s", uaef_time_text(timer->due_at));
}

/*
 * Let a task ask for what it needs, in tables that are rolled back, and tell
 * what it is.  It may fail of it.
 */
static void
ask_for_real(UaefTask *task)
{
	UaefDryRun *run = task->execution->step->dry;
	bool		waits = task->def->type == UAEF_TASK_WAIT;

	uaef_task_kind_real(task)->hand_out(task);
	if (uaef_task_ended(task->status))
		return;
	if (task->def->type == UAEF_TASK_HUMAN_APPROVAL)
		run->detail = tell(task, &tell_approval);
	else if (task->def->type == UAEF_TASK_HTTP ||
			 task->def->type == UAEF_TASK_CONNECTOR)
		run->detail = tell(task, &tell_delivery);
	else if (task->def->type == UAEF_TASK_SIGNAL)
		run->detail = psprintf("waits for signal %s",
							   task->def->config.signal.name);
	else if (waits && uaef_task_sql(task->def) == NULL)
		run->detail = tell_wait(task);
}

/*
 * Make the input of a task and plan its SQL; each may fail it.
 */
static void
prepare_input(UaefTask *task)
{
	UaefDryRun *run = task->execution->step->dry;
	UaefEvalError error = {0};
	UaefFailure failure;

	if (uaef_task_input(task, &error) == NULL)
		uaef_advance_fail_evaluation(task, &error);
	else if (uaef_task_sql(task->def) == NULL)
		run->detail = psprintf("waits in queue %s", task->def->queue);
	else if (task->item <= 0 && !plan_sql(task, &failure))
		uaef_advance_fail_finally(task, &failure);
}

/*
 * The agents that may come for a task.
 */
static void
prepare_agent(UaefTask *task)
{
	const UaefAgentConfig *config = &task->def->config.agent;
	UaefEvalError error = {0};
	StringInfoData names;
	char	  **capable;
	int			n;

	if (uaef_task_input(task, &error) == NULL)
	{
		uaef_advance_fail_evaluation(task, &error);
		return;
	}
	initStringInfo(&names);
	if (config->agent != NULL)
		appendStringInfo(&names, "waits for agent %s", config->agent);
	else
	{
		capable = uaef_agent_capable(config->capability, &n);
		appendStringInfo(&names, "waits for an agent with capability %s: ",
						 config->capability);
		for (int i = 0; i < n; i++)
			appendStringInfo(&names, "%s%s", i > 0 ? ", " : "", capable[i]);
		if (n == 0)
			appendStringInfoString(&names, "none has it");
	}
	task->execution->step->dry->detail = names.data;
}

/*
 * Run the workflow of a task dry too, once, unless it is said how that ends.
 */
static void
follow(UaefTask *task)
{
	UaefStep   *step = task->execution->step;
	UaefExecution *child;
	UaefFailure failure;

	check_stack_depth();
	if (assumption(task) != NULL)
		return;
	if (step->n_tasks > MAX_FOLLOWED)
	{
		step->dry->detail = "not followed: it would be too much to tell";
		return;
	}
	child = uaef_workflow_task_make_child(task);
	if (child == NULL)
		return;
	uaef_advance_start(child);
	step->dry->detail = psprintf("workflow %s, version %d%s", child->def->name,
								 child->def->version,
								 task->def->config.workflow.repeat.until == NULL ?
								 "" : ", the first run of it");
	if (child->status == UAEF_EXECUTION_COMPLETED)
		uaef_advance_finish_task(task, child->output, NULL);
	else
	{
		uaef_failure_from_child(&failure, child);
		failure.detail = NULL;
		uaef_advance_fail_finally(task, &failure);
	}
}

static void
prepare(UaefTask *task)
{
	switch (task->def->type)
	{
		case UAEF_TASK_HUMAN_APPROVAL:
		case UAEF_TASK_HTTP:
		case UAEF_TASK_CONNECTOR:
		case UAEF_TASK_SIGNAL:
		case UAEF_TASK_CHECKPOINT:
		case UAEF_TASK_SETTLE:
			ask_for_real(task);
			break;
		case UAEF_TASK_WAIT:
			ask_for_real(task);
			if (!uaef_task_ended(task->status) &&
				uaef_task_sql(task->def) != NULL)
				prepare_input(task);
			break;
		case UAEF_TASK_SQL:
		case UAEF_TASK_EXTERNAL:
			prepare_input(task);
			break;
		case UAEF_TASK_AGENT:
			prepare_agent(task);
			break;
		case UAEF_TASK_WORKFLOW:
			follow(task);
			break;
		default:
			break;
	}
}

/*
 * A label that no edge asks for fails the task, unless it is the good one.
 */
static bool
label_fails(const UaefTask *task, const char *label, UaefFailure *failure)
{
	if (label == NULL || task->def->has_labels ||
		strcmp(label, usual_label(task->def)) == 0)
		return false;
	if (strcmp(label, "timeout") == 0)
		uaef_failure_timeout(failure, task->def);
	else
		uaef_failure_set(failure, ERRCODE_UAEF_REJECTED,
						 psprintf("approval was %s", label));
	return true;
}

/*
 * End a task as it is assumed to end.
 */
static void
end_as_assumed(UaefTask *task)
{
	Jsonb	   *given_of = assumption(task);
	Jsonb	   *assumed = given_of != NULL ? given_of : uaef_json_empty();
	const char *label = uaef_json_get_text(assumed, "label");
	char	   *error = uaef_json_get_text(assumed, "error");
	UaefFailure failure = {0};
	Jsonb	   *output = uaef_json_empty();
	JsonbValue	value;
	bool		given = uaef_json_get(assumed, "output", &value);

	if (given)
		output = uaef_json_from_value(&value);
	if (label == NULL)
		label = usual_label(task->def);
	if (!given && task->def->type == UAEF_TASK_HUMAN_APPROVAL)
	{
		UaefJson	json;

		uaef_json_begin(&json);
		uaef_json_text(&json, "decision", label);
		output = uaef_json_end(&json);
	}
	if (error != NULL)
	{
		failure.code = "assumed";
		failure.message = error;
	}
	if (error != NULL || label_fails(task, label, &failure) ||
		(given &&
		 !uaef_failure_unless_fits(&failure, "output of the task",
								   task->def->output_schema, output)))
		uaef_advance_fail_finally(task, &failure);
	else
		uaef_advance_finish_task(task, output, label);
}

static void
dry_hand_out(UaefTask *task)
{
	task->execution->step->dry->detail = NULL;
	if (task->item < MAX_ITEMS)
		prepare(task);
	if (!uaef_task_ended(task->status))
		end_as_assumed(task);
}

void
uaef_dry_run_ended(UaefTask *task)
{
	UaefDryRun *run = task->execution->step->dry;
	UaefDryTask *ended;

	if (task->item >= MAX_ITEMS && task->status != UAEF_TASK_FAILED)
		return;
	ended = palloc(sizeof(UaefDryTask));
	ended->task = task;
	ended->detail = run->detail;
	run->detail = NULL;
	run->ended = lappend(run->ended, ended);
}

/*----------
 * The run
 * ----------
 */

static List *
dry_run(const char *workflow, int32 version, Jsonb *input, UaefDryRun *run)
{
	Oid			caller = GetUserId();
	MemoryContext context = CurrentMemoryContext;
	UaefFailure failure;
	UaefStep   *step;
	UaefExecution *execution;
	List	   *rows;

	run->caller = uaef_spi_begin();
	MemoryContextSwitchTo(context);
	step = uaef_step_begin("user", GetUserNameFromId(caller, false));
	step->dry = run;
	execution = uaef_step_new_execution(step,
										uaef_definition_get(uaef_definition_find(workflow, version)));
	check_assume(execution->def, run->assume);
	if (!uaef_failure_unless_fits(&failure, psprintf("input of workflow \"%s\"",
													 execution->def->name),
								  execution->def->input_schema, input))
		uaef_failure_raise(&failure);
	execution->initiated_by = caller;
	execution->session_role = GetSessionUserId();
	execution->input = input;
	uaef_advance_start(execution);
	rows = uaef_explain_rows(execution);
	uaef_spi_end(run->caller);
	return rows;
}

List *
uaef_explain_run(const char *workflow, int32 version, Jsonb *input,
				 Jsonb *assume)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	void	   *wakes = uaef_wake_save();
	UaefDryRun	run = {.assume = assume};
	List	   *volatile rows = NIL;

	uaef_check_payload("input of the workflow", input);
	uaef_check_payload("what is assumed", assume);
	if (!JB_ROOT_IS_OBJECT(input))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("input of a workflow must be a JSON object")));
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		rows = dry_run(workflow, version, input, &run);
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		uaef_wake_restore(wakes);
		ReThrowError(error);
	}
	PG_END_TRY();
	uaef_wake_restore(wakes);
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return rows;
}
