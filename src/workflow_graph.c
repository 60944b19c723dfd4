/*-------------------------------------------------------------------------
 *
 * workflow_graph.c
 *	  Workflows as pictures: text for psql, Mermaid, Graphviz.
 *
 * Tasks are drawn level by level: a task's level is the length of the longest
 * path that leads to it.  Nothing is locked; an execution is drawn as the
 * statement's snapshot shows it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "dag.h"
#include "definition.h"
#include "errcodes.h"
#include "spi_util.h"
#include "workflow_graph.h"

/* Longest text of a condition on an edge, in bytes. */
#define MAX_LABEL 60

/* A task of the execution that is drawn. */
typedef struct Live
{
	char	   *status;
	int			attempt;
	int			items_total;	/* -1: no map, or not expanded */
	int			items_completed;
	int			runs;			/* of a workflow */
	int			items_failed;
	char	   *waits_for;		/* roles, or NULL */
} Live;

typedef struct Picture
{
	const UaefDefinition *def;
	int		   *order;			/* tasks by level, then number */
	int		   *level;			/* by task */
	Live	   *live;			/* by task; NULL: no execution */
	char	   *status;			/* of the execution */
	char	   *parent;			/* its parent, or NULL */
	StringInfoData out;
} Picture;

static UaefQuery find_execution = {
	"SELECT definition_id, initiated_by, status,"
	" parent_execution_id::pg_catalog.text"
	" FROM uaef.workflow_execution WHERE execution_id = $1",
	1, {UUIDOID}
};
static UaefQuery find_tasks = {
	"SELECT task_no, status, attempt, coalesce(items_total, -1),"
	" coalesce(items_completed, 0), coalesce(items_failed, 0),"
	" coalesce(runs, 0)"
	" FROM uaef.task_execution WHERE execution_id = $1 AND item = -1"
	" AND task_no = ANY (ARRAY(SELECT n::smallint"
	" FROM generate_series(0, $2 - 1) n))",
	2, {UUIDOID, INT4OID}
};

static UaefQuery find_asked = {
	"SELECT task_no, coalesce(array_to_string(approvers, ', '),"
	" 'whoever may approve') FROM uaef.human_approval"
	" WHERE execution_id = $1 AND item = -1 AND status = 'pending'",
	1, {UUIDOID}
};

/* How a status looks. */
static const struct
{
	const char *status;
	const char *fill;
	const char *stroke;
}			colours[] = {
	{"pending", "#f4f4f5", "#a1a1aa"},
	{"queued", "#e0f2fe", "#38bdf8"},
	{"running", "#dbeafe", "#2563eb"},
	{"waiting_input", "#fef3c7", "#d97706"},
	{"completed", "#dcfce7", "#16a34a"},
	{"failed", "#fee2e2", "#dc2626"},
	{"skipped", "#fafafa", "#d4d4d8"},
	{"cancelled", "#f3e8ff", "#9333ea"},
	{"compensated", "#ffedd5", "#ea580c"}
};

static char *draw(Picture *picture, const char *format);
static void arrange(Picture *picture);
static void load_live(Picture *picture, const pg_uuid_t *execution_id);
static void draw_text(Picture *picture);
static void draw_mermaid(Picture *picture);
static void draw_dot(Picture *picture);
static char *status_of(const Picture *picture, int task);
static char *kind_of(const UaefTaskDef *task);
static char *edge_label(const UaefEdge *edge);
static void escape_mermaid(StringInfo out, const char *text);
static void escape_dot(StringInfo out, const char *text);

char *
uaef_graph_of_workflow(const char *name, const char *format)
{
	Picture		picture = {0};

	if (strlen(name) == 36 &&
		strspn(name, "0123456789abcdefABCDEF-") == 36)
		return uaef_graph_of_execution(DatumGetUUIDP(DirectFunctionCall1(uuid_in,
																		 CStringGetDatum(name))),
									   format);
	picture.def = uaef_definition_get(uaef_definition_find(name, 0));
	return draw(&picture, format);
}

char *
uaef_graph_of_execution(const pg_uuid_t *execution_id, const char *format)
{
	Datum		args[] = {UUIDPGetDatum(execution_id)};
	char	   *id = DatumGetCString(DirectFunctionCall1(uuid_out, args[0]));
	Picture		picture = {0};
	UaefCaller	caller = uaef_spi_begin();
	int32		definition_id;
	Oid			role;

	if (uaef_spi_run(&find_execution, args, NULL) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_UNDEFINED_EXECUTION),
				 errmsg("execution %s does not exist", id)));
	definition_id = uaef_spi_int32(0, 1);
	role = uaef_spi_oid(0, 2);
	picture.status = uaef_spi_text(0, 3);
	picture.parent = uaef_spi_text(0, 4);
	uaef_spi_end(caller);

	uaef_require_member(role, psprintf("execution %s", id));
	picture.def = uaef_definition_get(definition_id);
	load_live(&picture, execution_id);
	return draw(&picture, format);
}

/*
 * Read the status of the tasks; those without a row are pending.
 */
static void
load_live(Picture *picture, const pg_uuid_t *execution_id)
{
	int			n = picture->def->n_tasks;
	Datum		args[] = {UUIDPGetDatum(execution_id), Int32GetDatum(n)};
	UaefCaller	caller;
	uint64		rows;

	picture->live = palloc0(sizeof(Live) * n);
	for (int i = 0; i < n; i++)
	{
		picture->live[i].status = "pending";
		picture->live[i].items_total = -1;
	}

	caller = uaef_spi_begin();
	rows = uaef_spi_run(&find_tasks, args, NULL);
	for (uint64 row = 0; row < rows; row++)
	{
		bool		isnull;
		int			no = DatumGetInt16(uaef_spi_value(row, 1, &isnull));

		if (no < 0 || no >= n)
			continue;
		picture->live[no].status = uaef_spi_text(row, 2);
		picture->live[no].attempt = uaef_spi_int32(row, 3);
		picture->live[no].items_total = uaef_spi_int32(row, 4);
		picture->live[no].items_completed = uaef_spi_int32(row, 5);
		picture->live[no].runs = uaef_spi_int32(row, 7);
		picture->live[no].items_failed = uaef_spi_int32(row, 6);
	}
	rows = uaef_spi_run(&find_asked, args, NULL);
	for (uint64 row = 0; row < rows; row++)
	{
		bool		isnull;
		int			no = DatumGetInt16(uaef_spi_value(row, 1, &isnull));

		if (no >= 0 && no < n)
			picture->live[no].waits_for = uaef_spi_text(row, 2);
	}
	uaef_spi_end(caller);
}

static char *
draw(Picture *picture, const char *format)
{
	arrange(picture);
	initStringInfo(&picture->out);
	if (strcmp(format, "text") == 0)
		draw_text(picture);
	else if (strcmp(format, "mermaid") == 0)
		draw_mermaid(picture);
	else if (strcmp(format, "dot") == 0)
		draw_dot(picture);
	else
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown format \"%s\" of a graph", format),
				 errhint("The formats are: text, mermaid, dot.")));
	return picture->out.data;
}

/*
 * Find the levels, and sort the tasks by them.
 */
static void
arrange(Picture *picture)
{
	const UaefDefinition *def = picture->def;
	int		   *from = palloc(sizeof(int) * Max(def->n_edges, 1));
	int		   *to = palloc(sizeof(int) * Max(def->n_edges, 1));
	int		   *next = palloc0(sizeof(int) * (def->n_tasks + 1));
	int		   *order = palloc(sizeof(int) * def->n_tasks);
	UaefDag    *dag;

	for (int i = 0; i < def->n_edges; i++)
	{
		from[i] = def->edges[i].from;
		to[i] = def->edges[i].to;
	}
	dag = uaef_dag_build(def->n_tasks, def->n_edges, from, to);
	(void) uaef_dag_order(dag, order);
	picture->level = palloc(sizeof(int) * def->n_tasks);
	uaef_dag_depth(dag, order, picture->level);

	for (int i = 0; i < def->n_tasks; i++)
		next[picture->level[i] + 1]++;
	for (int i = 0; i < def->n_tasks; i++)
		next[i + 1] += next[i];
	for (int i = 0; i < def->n_tasks; i++)
		order[next[picture->level[i]]++] = i;
	picture->order = order;
}

/*----------
 * What the formats share
 * ----------
 */

/*
 * "completed", "running, attempt 3", "running 17/100, 2 failed", "running, run
 * 5", "waiting_input for boss"; NULL without an execution.
 */
static char *
status_of(const Picture *picture, int task)
{
	const UaefTaskDef *def = &picture->def->tasks[task];
	const Live *live;

	if (picture->live == NULL)
		return NULL;
	live = &picture->live[task];
	if (live->items_failed > 0)
		return psprintf("%s %d/%d, %d failed", live->status,
						live->items_completed, live->items_total,
						live->items_failed);
	if (live->items_total >= 0)
		return psprintf("%s %d/%d", live->status, live->items_completed,
						live->items_total);
	if (live->runs > 1)
		return psprintf("%s, run %d", live->status, live->runs);
	if (strcmp(live->status, "waiting_input") == 0)
		return psprintf("%s for %s", live->status,
						live->waits_for != NULL ? live->waits_for :
						def->type == UAEF_TASK_SIGNAL ?
						psprintf("signal %s", def->config.signal.name) :
						"people");
	if (live->attempt > 1)
		return psprintf("%s, attempt %d", live->status, live->attempt);
	return live->status;
}

/*
 * The type, for a map what it maps over, and for a workflow which.
 */
static char *
kind_of(const UaefTaskDef *task)
{
	if (task->type == UAEF_TASK_WORKFLOW)
		return psprintf("workflow %s", task->config.workflow.name);
	if (task->type == UAEF_TASK_PARALLEL)
		return task->config.parallel.over == NULL ? "parallel" :
			psprintf("map of %s", kind_of(task->config.parallel.task));
	return pstrdup(uaef_task_type_name(task->type));
}

/*
 * The label, the condition, or both; NULL for neither.
 */
static char *
edge_label(const UaefEdge *edge)
{
	char	   *when;

	if (edge->when_json == NULL)
		return edge->on;
	when = JsonbToCString(NULL, &edge->when_json->root, 0);
	if (strlen(when) > MAX_LABEL)
		when = psprintf("%.*s...",
						pg_mbcliplen(when, strlen(when), MAX_LABEL), when);
	return edge->on == NULL ? when : psprintf("%s, %s", edge->on, when);
}

/*----------
 * text
 * ----------
 */

/*
 * One line a task, in columns: level, id, type, status, where it leads.
 */
static void
draw_text(Picture *picture)
{
	const UaefDefinition *def = picture->def;
	StringInfo	out = &picture->out;
	int			wide_id = 0;
	int			wide_kind = 0;
	int			wide_status = 0;

	for (int i = 0; i < def->n_tasks; i++)
	{
		char	   *status = status_of(picture, i);

		wide_id = Max(wide_id, (int) strlen(def->tasks[i].id));
		wide_kind = Max(wide_kind, (int) strlen(kind_of(&def->tasks[i])));
		if (status != NULL)
			wide_status = Max(wide_status, (int) strlen(status));
	}

	appendStringInfo(out, "%s, version %d", def->name, def->version);
	if (picture->status != NULL)
		appendStringInfo(out, ": %s", picture->status);
	if (picture->parent != NULL)
		appendStringInfo(out, ", child of %s", picture->parent);
	for (int i = 0; i < def->n_tasks; i++)
	{
		int			no = picture->order[i];
		const UaefTaskDef *task = &def->tasks[no];
		bool		first = i == 0 ||
			picture->level[no] != picture->level[picture->order[i - 1]];

		if (first)
			appendStringInfo(out, "\n%3d", picture->level[no] + 1);
		else
			appendStringInfoString(out, "\n   ");
		appendStringInfo(out, "  %-*s  %-*s", wide_id, task->id,
						 wide_kind, kind_of(task));
		if (picture->live != NULL)
			appendStringInfo(out, "  %-*s", wide_status,
							 status_of(picture, no));
		for (int j = 0; j < task->n_out; j++)
		{
			const UaefEdge *edge = &def->edges[task->out[j]];
			char	   *label = edge_label(edge);

			appendStringInfo(out, "%s%s", j == 0 ? "  -> " : ", ",
							 def->tasks[edge->to].id);
			if (label != NULL)
				appendStringInfo(out, " [%s]", label);
		}
		while (out->len > 0 && out->data[out->len - 1] == ' ')
			out->data[--out->len] = '\0';
	}
}

/*----------
 * Mermaid
 * ----------
 */

/*
 * Nodes are t0, t1, ...: an id may be a word that Mermaid keeps for itself.
 */
static void
draw_mermaid(Picture *picture)
{
	static const char *const shapes[][2] = {
		[UAEF_TASK_SQL] = {"[\"", "\"]"},
		[UAEF_TASK_DECISION] = {"{\"", "\"}"},
		[UAEF_TASK_CONDITION] = {"{\"", "\"}"},
		[UAEF_TASK_PARALLEL] = {"[[\"", "\"]]"},
		[UAEF_TASK_HUMAN_APPROVAL] = {"([\"", "\"])"},
		[UAEF_TASK_HTTP] = {"[/\"", "\"/]"},
		[UAEF_TASK_WAIT] = {"((\"", "\"))"},
		[UAEF_TASK_EXTERNAL] = {"[\"", "\"]"},
		[UAEF_TASK_SIGNAL] = {">\"", "\"]"},
		[UAEF_TASK_CHECKPOINT] = {"{{\"", "\"}}"},
		[UAEF_TASK_AGENT] = {"[\\\"", "\"/]"},
		[UAEF_TASK_WORKFLOW] = {"[/\"", "\"\\]"},
		[UAEF_TASK_CONNECTOR] = {"[/\"", "\"/]"},
		[UAEF_TASK_SETTLE] = {"[(\"", "\")]"}
	};
	const UaefDefinition *def = picture->def;
	StringInfo	out = &picture->out;

	appendStringInfoString(out, "flowchart TD");
	for (int i = 0; i < def->n_tasks; i++)
	{
		int			no = picture->order[i];
		const UaefTaskDef *task = &def->tasks[no];

		appendStringInfo(out, "\n    t%d%s%s<br/>", no,
						 shapes[task->type][0], task->id);
		escape_mermaid(out, kind_of(task));
		if (picture->live != NULL)
		{
			appendStringInfoString(out, "<br/>");
			escape_mermaid(out, status_of(picture, no));
		}
		appendStringInfoString(out, shapes[task->type][1]);
		if (picture->live != NULL)
			appendStringInfo(out, ":::%s", picture->live[no].status);
	}
	for (int i = 0; i < def->n_edges; i++)
	{
		char	   *label = edge_label(&def->edges[i]);

		appendStringInfo(out, "\n    t%d -->", def->edges[i].from);
		if (label != NULL)
		{
			appendStringInfoString(out, "|\"");
			escape_mermaid(out, label);
			appendStringInfoString(out, "\"|");
		}
		appendStringInfo(out, " t%d", def->edges[i].to);
	}
	for (int i = 0; picture->live != NULL && i < lengthof(colours); i++)
		appendStringInfo(out, "\n    classDef %s fill:%s,stroke:%s,color:#18181b",
						 colours[i].status, colours[i].fill,
						 colours[i].stroke);
}

/*
 * Letters, digits and harmless signs stay; the rest of ASCII becomes an
 * entity, which Mermaid writes without the ampersand.
 */
static void
escape_mermaid(StringInfo out, const char *text)
{
	for (const char *c = text; *c != '\0'; c++)
	{
		if (strchr("\"#&<>\\;`|", *c) != NULL || (unsigned char) *c < ' ')
			appendStringInfo(out, "#%d;", (unsigned char) *c);
		else
			appendStringInfoChar(out, *c);
	}
}

/*----------
 * dot
 * ----------
 */

static void
draw_dot(Picture *picture)
{
	const UaefDefinition *def = picture->def;
	StringInfo	out = &picture->out;

	appendStringInfoString(out, "digraph \"");
	escape_dot(out, def->name);
	appendStringInfoString(out, "\" {\n"
						   "    node [shape=box, style=\"rounded,filled\", fillcolor=\"#f4f4f5\", fontname=\"sans-serif\"];\n"
						   "    edge [fontname=\"sans-serif\", fontsize=10];");
	for (int i = 0; i < def->n_tasks; i++)
	{
		int			no = picture->order[i];

		appendStringInfo(out, "\n    \"%s\" [label=\"%s\\n",
						 def->tasks[no].id, def->tasks[no].id);
		escape_dot(out, kind_of(&def->tasks[no]));
		if (picture->live != NULL)
		{
			appendStringInfoString(out, "\\n");
			escape_dot(out, status_of(picture, no));
		}
		appendStringInfoChar(out, '"');
		for (int j = 0; picture->live != NULL && j < lengthof(colours); j++)
			if (strcmp(colours[j].status, picture->live[no].status) == 0)
				appendStringInfo(out, ", fillcolor=\"%s\", color=\"%s\"",
								 colours[j].fill, colours[j].stroke);
		appendStringInfoString(out, "];");
	}
	for (int i = 0; i < def->n_edges; i++)
	{
		char	   *label = edge_label(&def->edges[i]);

		appendStringInfo(out, "\n    \"%s\" -> \"%s\"",
						 def->tasks[def->edges[i].from].id,
						 def->tasks[def->edges[i].to].id);
		if (label != NULL)
		{
			appendStringInfoString(out, " [label=\"");
			escape_dot(out, label);
			appendStringInfoString(out, "\"]");
		}
		appendStringInfoChar(out, ';');
	}
	appendStringInfoString(out, "\n}");
}

static void
escape_dot(StringInfo out, const char *text)
{
	for (const char *c = text; *c != '\0'; c++)
	{
		if (*c == '"' || *c == '\\')
			appendStringInfoChar(out, '\\');
		if ((unsigned char) *c < ' ')
			appendStringInfoChar(out, ' ');
		else
			appendStringInfoChar(out, *c);
	}
}
