/*-------------------------------------------------------------------------
 *
 * explain_rows.c
 *	  What a dry run has shown, as rows for people.
 *
 * First the tasks in the order in which they ended, then those that nothing
 * reached, then the workflow as a whole.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "explain.h"
#include "policy.h"

/*
 * What the edges of a task were compared with.
 */
static const char *
label_of(const UaefTask *task)
{
	return task->status == UAEF_TASK_COMPLETED ? task->label : NULL;
}

/*
 * {"code", "message"} as a text.
 */
static char *
error_text(Jsonb *error)
{
	char	   *detail = uaef_json_get_text(error, "detail");

	return psprintf("%s: %s%s%s%s", uaef_json_get_text(error, "code"),
					uaef_json_get_text(error, "message"),
					detail == NULL ? "" : " (", detail == NULL ? "" : detail,
					detail == NULL ? "" : ")");
}

/*
 * Why an edge is dead.
 */
static char *
dead_edge(const UaefExecution *execution, const UaefEdge *edge)
{
	const UaefTask *from = execution->tasks[edge->from];
	const char *label = from == NULL ? NULL : label_of(from);
	const char *id = execution->def->tasks[edge->from].id;

	if (from == NULL || from->status == UAEF_TASK_SKIPPED ||
		(from->status == UAEF_TASK_FAILED &&
		 from->def->on_failure != UAEF_FAIL_CONTINUE))
		return psprintf("%s %s", id, from == NULL ? "was not reached" :
						from->status == UAEF_TASK_SKIPPED ? "is skipped" :
						"failed");
	if (edge->on != NULL && (label == NULL || strcmp(label, edge->on) != 0))
		return psprintf("%s gave %s, not %s", id,
						label == NULL ? "no label" : label, edge->on);
	if (edge->when_json != NULL)
		return psprintf("%s: not %s", id,
						JsonbToCString(NULL, &edge->when_json->root, 0));
	return NULL;
}

static char *
why_skipped(const UaefTask *task)
{
	const UaefExecution *execution = task->execution;
	StringInfoData text;

	initStringInfo(&text);
	for (int i = 0; i < task->def->n_in; i++)
	{
		const UaefEdge *edge = &execution->def->edges[task->def->in[i]];
		char	   *reason = dead_edge(execution, edge);

		if (reason != NULL)
			appendStringInfo(&text, "%s%s", text.len > 0 ? "; " : "", reason);
	}
	return text.data;
}

/*
 * The policies in force for a task, as texts.
 */
static List *
policies_of(const UaefDefinition *definition, const UaefTaskDef *def)
{
	const UaefPolicies *all = uaef_policies_get();
	List	   *names = NIL;

	for (int i = 0; i < all->n; i++)
	{
		const UaefPolicy *policy = all->policies[i];

		if (uaef_policy_applies(policy, definition, def) != NULL)
			names = lappend(names,
							psprintf("%s (%s, %s)", policy->name,
									 uaef_policy_type_name(policy->type),
									 uaef_enforcement_name(policy->enforcement)));
	}
	return names;
}

static char *
detail_of(const UaefDryTask *ended)
{
	UaefTask   *task = ended->task;

	switch (task->status)
	{
		case UAEF_TASK_SKIPPED:
			return why_skipped(task);
		case UAEF_TASK_FAILED:
			return error_text(task->error);
		case UAEF_TASK_CANCELLED:
			return pstrdup(task->item == UAEF_NO_ITEM ?
						   "the workflow ended without it" :
						   "the map ended without it");
		default:
			break;
	}
	if (task->items_total >= 0)
		return psprintf("%d items, %d completed, %d failed",
						task->items_total, task->items_completed,
						task->items_failed);
	return ended->detail;
}

/*
 * The number of attempts that a task may have; 0: it makes none.
 */
static int
attempts_of(const UaefTask *task)
{
	switch (task->def->type)
	{
		case UAEF_TASK_DECISION:
		case UAEF_TASK_CONDITION:
		case UAEF_TASK_PARALLEL:
		case UAEF_TASK_CHECKPOINT:
		case UAEF_TASK_SETTLE:
			return 0;
		default:
			return task->def->retry.max_attempts;
	}
}

/*
 * The id of a task; below those of the tasks, and the items, that run its
 * workflow.
 */
static char *
row_name(const UaefTask *task)
{
	char	   *name = task->def->id;

	while ((task = task->execution->parent_task) != NULL)
		name = task->item < 0 ? psprintf("%s/%s", task->def->id, name) :
			psprintf("%s[%d]/%s", task->def->id, task->item, name);
	return name;
}

static UaefExplainRow *
row_of_task(const UaefDryTask *ended)
{
	UaefExplainRow *row = palloc0(sizeof(UaefExplainRow));
	UaefTask   *task = ended->task;

	row->label = label_of(task);
	row->task = row_name(task);
	row->item = task->item;
	row->type = uaef_task_type_name(task->def->type);
	row->outcome = uaef_task_status_name(task->status);
	row->detail = detail_of(ended);
	row->max_attempts = attempts_of(task);
	row->policies = policies_of(task->execution->def, task->def);
	row->output = task->output;
	return row;
}

/*
 * A task that was never looked at, because the workflow failed before.
 */
static UaefExplainRow *
row_of_unreached(const UaefDefinition *definition, const UaefTaskDef *def)
{
	UaefExplainRow *row = palloc0(sizeof(UaefExplainRow));

	row->task = def->id;
	row->item = UAEF_NO_ITEM;
	row->type = uaef_task_type_name(def->type);
	row->outcome = "not reached";
	row->policies = policies_of(definition, def);
	return row;
}

static UaefExplainRow *
row_of_workflow(const UaefExecution *execution)
{
	UaefExplainRow *row = palloc0(sizeof(UaefExplainRow));
	char	   *task;

	row->item = UAEF_NO_ITEM;
	row->type = "workflow";
	row->outcome = uaef_execution_status_name(execution->status);
	row->output = execution->output;
	if (execution->error != NULL)
	{
		task = uaef_json_get_text(execution->error, "task");
		row->detail = error_text(execution->error);
		if (task != NULL)
			row->detail = psprintf("after %s: %s", task, row->detail);
	}
	return row;
}

List *
uaef_explain_rows(UaefExecution *execution)
{
	const UaefDefinition *definition = execution->def;
	List	   *rows = NIL;
	ListCell   *cell;

	foreach(cell, execution->step->dry->ended)
		rows = lappend(rows, row_of_task(lfirst(cell)));
	for (int no = 0; no < definition->n_tasks; no++)
		if (execution->tasks[no] == NULL)
			rows = lappend(rows, row_of_unreached(definition,
												  &definition->tasks[no]));
	return lappend(rows, row_of_workflow(execution));
}
