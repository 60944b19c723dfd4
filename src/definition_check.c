/*-------------------------------------------------------------------------
 *
 * definition_check.c
 *	  The graph of a definition: ids, edges, labels, and who reads whom.
 *
 * A task that no root leads to can only be one on or behind a cycle, so the
 * check for cycles finds it too.
 *
 * Pure.  Memory: the definition's context is current.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "dag.h"
#include "definition_read.h"
#include "errcodes.h"

static int	compare_ids(const void *a, const void *b, void *arg);
static int	compare_edges(const void *a, const void *b, void *arg);
static UaefDag *build_graph(UaefDefinition *def);
static void check_self_edges(const UaefDefinition *def);
static void check_duplicate_edges(const UaefDefinition *def);
static void check_cycle(const UaefDefinition *def, const UaefDag *dag,
						int *order);
static void check_labels(UaefDefinition *def);
static void check_joins(const UaefDefinition *def);
static void check_uses(const UaefBuilder *builder, const UaefDag *dag,
					   const int *order);
static int	resolve_use(const UaefDefinition *def, const UaefPathUse *use);
static void check_sys(const UaefPathUse *use);
static void check_block(const UaefBuilder *builder, const UaefDag *dag,
						const int *order, const int *targets,
						const int *block, int n_block);

/*
 * Sort the ids, and refuse two of a kind.
 */
void
uaef_definition_index(UaefDefinition *def)
{
	def->by_id = palloc(sizeof(int) * def->n_tasks);
	for (int i = 0; i < def->n_tasks; i++)
		def->by_id[i] = i;
	qsort_arg(def->by_id, def->n_tasks, sizeof(int), compare_ids, def);

	for (int i = 1; i < def->n_tasks; i++)
	{
		const char *id = def->tasks[def->by_id[i]].id;

		if (strcmp(def->tasks[def->by_id[i - 1]].id, id) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_UAEF_BAD_DEFINITION),
					 errmsg("duplicate task id \"%s\"", id),
					 errdetail("Tasks number %d and %d have it.",
							   def->by_id[i - 1] + 1, def->by_id[i] + 1)));
	}
}

/*
 * Equal ids stay in the order of their tasks.
 */
static int
compare_ids(const void *a, const void *b, void *arg)
{
	const UaefDefinition *def = arg;
	int			left = *(const int *) a;
	int			right = *(const int *) b;
	int			order = strcmp(def->tasks[left].id, def->tasks[right].id);

	return order != 0 ? order : left - right;
}

int
uaef_definition_task_no(const UaefDefinition *definition, const char *id,
						int len)
{
	int			low = 0;
	int			high = definition->n_tasks;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;
		int			no = definition->by_id[middle];
		const char *other = definition->tasks[no].id;
		int			order = strncmp(other, id, len);

		if (order == 0 && other[len] == '\0')
			return no;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return -1;
}

/*
 * Everything that needs the whole graph.  Raises UA300, UA301.
 */
void
uaef_definition_check(UaefBuilder *builder)
{
	UaefDefinition *def = builder->def;
	int		   *order = palloc(sizeof(int) * def->n_tasks);
	UaefDag    *dag;

	check_self_edges(def);
	check_duplicate_edges(def);
	dag = build_graph(def);
	check_cycle(def, dag, order);
	for (int i = 0; i < def->n_tasks; i++)
		def->tasks[order[i]].rank = i;
	check_labels(def);
	check_joins(def);
	check_uses(builder, dag, order);
}

/*
 * Give each task its edges, and find the roots.
 */
static UaefDag *
build_graph(UaefDefinition *def)
{
	int		   *from = palloc(sizeof(int) * Max(def->n_edges, 1));
	int		   *to = palloc(sizeof(int) * Max(def->n_edges, 1));
	UaefDag    *dag;

	for (int i = 0; i < def->n_edges; i++)
	{
		from[i] = def->edges[i].from;
		to[i] = def->edges[i].to;
	}
	dag = uaef_dag_build(def->n_tasks, def->n_edges, from, to);

	def->roots = palloc(sizeof(int) * def->n_tasks);
	for (int i = 0; i < def->n_tasks; i++)
	{
		UaefTaskDef *task = &def->tasks[i];

		task->in = dag->in + dag->in_start[i];
		task->n_in = dag->in_start[i + 1] - dag->in_start[i];
		task->out = dag->out + dag->out_start[i];
		task->n_out = dag->out_start[i + 1] - dag->out_start[i];
		if (task->n_in == 0)
			def->roots[def->n_roots++] = i;
	}
	return dag;
}

static void
check_self_edges(const UaefDefinition *def)
{
	for (int i = 0; i < def->n_edges; i++)
		if (def->edges[i].from == def->edges[i].to)
			ereport(ERROR,
					(errcode(ERRCODE_UAEF_CYCLE),
					 errmsg("task \"%s\" has an edge to itself",
							def->tasks[def->edges[i].from].id),
					 errdetail("It is edge number %d.", i + 1)));
}

/*
 * Refuse an edge that is there twice.  Two edges between the same tasks are
 * fine when their labels or conditions differ.
 */
static void
check_duplicate_edges(const UaefDefinition *def)
{
	int		   *sorted = palloc(sizeof(int) * Max(def->n_edges, 1));

	for (int i = 0; i < def->n_edges; i++)
		sorted[i] = i;
	qsort_arg(sorted, def->n_edges, sizeof(int), compare_edges,
			  unconstify(UaefDefinition *, def));
	for (int i = 1; i < def->n_edges; i++)
	{
		const UaefEdge *edge = &def->edges[sorted[i]];

		if (compare_edges(&sorted[i - 1], &sorted[i],
						  unconstify(UaefDefinition *, def)) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_UAEF_BAD_DEFINITION),
					 errmsg("duplicate edge \"%s\" -> \"%s\"",
							def->tasks[edge->from].id,
							def->tasks[edge->to].id),
					 errdetail("Edges number %d and %d are the same.",
							   Min(sorted[i - 1], sorted[i]) + 1,
							   Max(sorted[i - 1], sorted[i]) + 1)));
	}
	pfree(sorted);
}

static int
compare_edges(const void *a, const void *b, void *arg)
{
	const UaefDefinition *def = arg;
	const UaefEdge *left = &def->edges[*(const int *) a];
	const UaefEdge *right = &def->edges[*(const int *) b];
	int			order;

	if (left->from != right->from)
		return left->from < right->from ? -1 : 1;
	if (left->to != right->to)
		return left->to < right->to ? -1 : 1;
	order = strcmp(left->on ? left->on : "", right->on ? right->on : "");
	if (order != 0 || (left->when_json == NULL && right->when_json == NULL))
		return order;
	if (left->when_json == NULL || right->when_json == NULL)
		return left->when_json == NULL ? -1 : 1;
	return compareJsonbContainers(&left->when_json->root,
								  &right->when_json->root);
}

static void
check_cycle(const UaefDefinition *def, const UaefDag *dag, int *order)
{
	int		   *cycle;
	int			n;
	StringInfoData path;

	if (uaef_dag_order(dag, order) == def->n_tasks)
		return;
	cycle = palloc(sizeof(int) * def->n_tasks);
	n = uaef_dag_cycle(dag, cycle);
	initStringInfo(&path);
	for (int i = 0; i < n && path.len < 500; i++)
		appendStringInfo(&path, "%s -> ", def->tasks[cycle[i]].id);
	if (path.len >= 500)
		appendStringInfoString(&path, "... -> ");
	appendStringInfoString(&path, def->tasks[cycle[0]].id);
	ereport(ERROR,
			(errcode(ERRCODE_UAEF_CYCLE),
			 errmsg("the edges form a cycle through task \"%s\"",
					def->tasks[cycle[0]].id),
			 errdetail("The cycle is %s.", path.data),
			 errhint("Remove one of these edges.")));
}

/*----------
 * Labels and joins
 * ----------
 */

static void
check_labels(UaefDefinition *def)
{
	for (int i = 0; i < def->n_edges; i++)
	{
		const UaefEdge *edge = &def->edges[i];
		UaefTaskDef *task = &def->tasks[edge->from];

		if (edge->on == NULL)
			continue;
		task->has_labels = true;
		if (!uaef_task_gives_label(task, edge->on))
			ereport(ERROR,
					(errcode(ERRCODE_UAEF_BAD_DEFINITION),
					 errmsg("edge \"%s\" -> \"%s\" is on \"%s\", which task \"%s\" never gives",
							task->id, def->tasks[edge->to].id, edge->on,
							task->id),
					 errdetail("%s", uaef_task_labels(task)),
					 errhint("Use \"when\" for a condition.")));
	}
}

bool
uaef_task_gives_label(const UaefTaskDef *task, const char *label)
{
	const UaefDecisionConfig *decision = &task->config.decision;

	switch (task->type)
	{
		case UAEF_TASK_DECISION:
			for (int i = 0; i < decision->n_cases; i++)
				if (strcmp(decision->cases[i].label, label) == 0)
					return true;
			return decision->default_label != NULL &&
				strcmp(decision->default_label, label) == 0;
		case UAEF_TASK_CONDITION:
			return strcmp(label, "true") == 0 || strcmp(label, "false") == 0;
		case UAEF_TASK_HUMAN_APPROVAL:
			return strcmp(label, "approved") == 0 ||
				strcmp(label, "rejected") == 0 ||
				strcmp(label, "expired") == 0;
		case UAEF_TASK_WAIT:
			return uaef_task_sql(task) != NULL &&
				(strcmp(label, "met") == 0 ||
				 (strcmp(label, "timeout") == 0 && task->timeout_ms > 0));
		case UAEF_TASK_SIGNAL:
			return strcmp(label, "received") == 0 ||
				(strcmp(label, "timeout") == 0 && task->timeout_ms > 0);
		case UAEF_TASK_CHECKPOINT:
			return strcmp(label, "passed") == 0 || strcmp(label, "failed") == 0;
		case UAEF_TASK_SETTLE:
			return strcmp(label, "settled") == 0 ||
				strcmp(label, "nothing") == 0 ||
				strcmp(label, "failed") == 0 ||
				(task->config.settle.wait != UAEF_SETTLE_NO_WAIT &&
				 (strcmp(label, "refused") == 0 ||
				  (strcmp(label, "timeout") == 0 && task->timeout_ms > 0)));
		default:
			return false;
	}
}

char *
uaef_task_labels(const UaefTaskDef *task)
{
	const UaefDecisionConfig *decision = &task->config.decision;
	StringInfoData labels;

	switch (task->type)
	{
		case UAEF_TASK_DECISION:
			initStringInfo(&labels);
			appendStringInfoString(&labels, "Its labels are: ");
			for (int i = 0; i < decision->n_cases; i++)
				appendStringInfo(&labels, "%s%s", i > 0 ? ", " : "",
								 decision->cases[i].label);
			if (decision->default_label != NULL)
				appendStringInfo(&labels, ", %s", decision->default_label);
			appendStringInfoChar(&labels, '.');
			return labels.data;
		case UAEF_TASK_CONDITION:
			return "Its labels are: true, false.";
		case UAEF_TASK_HUMAN_APPROVAL:
			return "Its labels are: approved, rejected, expired.";
		case UAEF_TASK_WAIT:
			return uaef_task_sql(task) != NULL ?
				"Its labels are: met, and, with a timeout, timeout." :
				"Only a wait for a query gives labels.";
		case UAEF_TASK_SIGNAL:
			return "Its labels are: received, and, with a timeout, timeout.";
		case UAEF_TASK_CHECKPOINT:
			return "Its labels are: passed, failed.";
		case UAEF_TASK_SETTLE:
			return task->config.settle.wait == UAEF_SETTLE_NO_WAIT ?
				"Its labels are: settled, nothing, failed, and, with \"wait\", refused and timeout." :
				"Its labels are: settled, nothing, failed, refused, and, with a timeout, timeout.";
		default:
			return psprintf("A task of type %s gives no label.",
							uaef_task_type_name(task->type));
	}
}

static void
check_joins(const UaefDefinition *def)
{
	for (int i = 0; i < def->n_tasks; i++)
		if (def->tasks[i].join > def->tasks[i].n_in)
			ereport(ERROR,
					(errcode(ERRCODE_UAEF_BAD_DEFINITION),
					 errmsg("task \"%s\" can never begin", def->tasks[i].id),
					 errdetail("\"join\" asks for %d of its %d incoming edges.",
							   def->tasks[i].join, def->tasks[i].n_in)));
}

/*----------
 * Paths
 * ----------
 */

/*
 * Check what templates and conditions read: a task's output only where it is
 * sure that the task has ended, so of ancestors.  Targets are taken 64 at a
 * time, which makes the cost (tasks + edges) * targets / 64.
 */
static void
check_uses(const UaefBuilder *builder, const UaefDag *dag, const int *order)
{
	const UaefDefinition *def = builder->def;
	int		   *targets = palloc(sizeof(int) * Max(builder->n_uses, 1));
	bool	   *seen = palloc0(def->n_tasks);
	int			block[UAEF_DAG_SOURCES];
	int			n_block = 0;

	for (int i = 0; i < builder->n_uses; i++)
	{
		int			target = resolve_use(def, &builder->uses[i]);

		targets[i] = target;
		if (target < 0 || builder->uses[i].task < 0 || seen[target])
			continue;
		seen[target] = true;
	}
	for (int i = 0; i < def->n_tasks; i++)
	{
		if (seen[i])
			block[n_block++] = i;
		if (n_block == UAEF_DAG_SOURCES ||
			(i == def->n_tasks - 1 && n_block > 0))
		{
			check_block(builder, dag, order, targets, block, n_block);
			n_block = 0;
		}
	}
	pfree(targets);
	pfree(seen);
}

/*
 * Check the root of a path; returns the task that it reads, or -1.
 */
static int
resolve_use(const UaefDefinition *def, const UaefPathUse *use)
{
	const char *root = uaef_path_root(use->path);
	const char *id;
	int			no;

	if (strcmp(root, "item") == 0 && !use->item)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_DEFINITION),
				 errmsg("\"%s\" in %s reads %s, which only the task of a map has",
						use->key, use->where, uaef_path_text(use->path))));
	if (strcmp(root, "last") == 0 && !use->last)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_DEFINITION),
				 errmsg("\"%s\" in %s reads %s, which only a workflow that repeats has",
						use->key, use->where, uaef_path_text(use->path)),
				 errhint("\"last\" is the output of the run before: \"until\" reads it, and \"input\" where \"repeat\" has \"first\".")));
	if (strcmp(root, "signal") == 0 && !use->signal)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_DEFINITION),
				 errmsg("\"%s\" in %s reads %s, which only the filter of a signal has",
						use->key, use->where, uaef_path_text(use->path)),
				 errhint("What a signal brought is in the output of its task: task.<id>.payload.")));
	if (strcmp(root, "sys") == 0)
		check_sys(use);
	if (strcmp(root, "task") != 0)
		return -1;

	id = uaef_path_task(use->path);
	no = id == NULL ? -1 : uaef_definition_task_no(def, id, strlen(id));
	if (no < 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_DEFINITION),
				 errmsg("\"%s\" in %s reads %s, but there is no such task",
						use->key, use->where, uaef_path_text(use->path)),
				 errhint("Write task.<id>, with the id of a task.")));
	return no;
}

static void
check_sys(const UaefPathUse *use)
{
	static const char *const names[] =
	{
		"execution_id", "workflow", "version", "name", "initiated_by",
		"started_at", "completed_at", "status", "agent"
	};
	const char *rest = uaef_path_text(use->path) + strlen("sys");
	int			len;

	if (*rest == '\0')
		return;
	rest++;
	len = strcspn(rest, ".[");
	if (use->approval && len == strlen("approval") &&
		strncmp(rest, "approval", len) == 0)
		return;
	for (int i = 0; i < lengthof(names); i++)
		if (strlen(names[i]) == len && strncmp(names[i], rest, len) == 0)
			return;
	ereport(ERROR,
			(errcode(ERRCODE_UAEF_BAD_DEFINITION),
			 errmsg("\"%s\" in %s reads %s, which does not exist",
					use->key, use->where, uaef_path_text(use->path)),
			 errhint("sys has: execution_id, workflow, version, name, initiated_by, started_at, completed_at, status, agent.")));
}

/*
 * Check the uses of up to 64 tasks' outputs.
 */
static void
check_block(const UaefBuilder *builder, const UaefDag *dag, const int *order,
			const int *targets, const int *block, int n_block)
{
	const UaefDefinition *def = builder->def;
	uint64	   *reached = palloc(sizeof(uint64) * def->n_tasks);
	int		   *bit = palloc0(sizeof(int) * def->n_tasks);

	uaef_dag_reach(dag, order, block, n_block, reached);
	for (int i = 0; i < n_block; i++)
		bit[block[i]] = i + 1;

	for (int i = 0; i < builder->n_uses; i++)
	{
		const UaefPathUse *use = &builder->uses[i];
		int			target = targets[i];

		if (target < 0 || use->task < 0 || bit[target] == 0 ||
			(use->after && target == use->task) ||
			(reached[use->task] >> (bit[target] - 1)) & 1)
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_DEFINITION),
				 errmsg("\"%s\" in %s reads %s, but task \"%s\" does not come before",
						use->key, use->where, uaef_path_text(use->path),
						def->tasks[target].id),
				 target == use->task ? 0 :
				 errhint("Add edges that lead from \"%s\" to \"%s\".",
						 def->tasks[target].id, def->tasks[use->task].id)));
	}
	pfree(reached);
	pfree(bit);
}
