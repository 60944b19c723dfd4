/*-------------------------------------------------------------------------
 *
 * definition_parse.c
 *	  From the JSON of a workflow definition to its compiled form.
 *
 * Here is what a document may say; definition_config.c reads the config of
 * each type, definition_check.c judges the graph, definition_catalog.c what
 * the definition says about the database.
 *
 * Memory: all of it is palloc'd in the current context, which becomes the
 * definition's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "definition_read.h"
#include "errcodes.h"
#include "guc.h"
#include "json_util.h"
#include "money.h"
#include "payload_check.h"

/* Deepest nesting of a document. */
#define MAX_DEPTH 64

/* Longest id of a task. */
#define MAX_ID 200

/* Longest code of a failure, in bytes. */
#define MAX_FAILURE_CODE 100

/* Names of types; "map" is parallel that must have "over". */
static const struct
{
	const char *name;
	UaefTaskType type;
}			types[] = {
	{"sql", UAEF_TASK_SQL},
	{"decision", UAEF_TASK_DECISION},
	{"condition", UAEF_TASK_CONDITION},
	{"parallel", UAEF_TASK_PARALLEL},
	{"map", UAEF_TASK_PARALLEL},
	{"human_approval", UAEF_TASK_HUMAN_APPROVAL},
	{"http", UAEF_TASK_HTTP},
	{"wait", UAEF_TASK_WAIT},
	{"external", UAEF_TASK_EXTERNAL},
	{"signal", UAEF_TASK_SIGNAL},
	{"checkpoint", UAEF_TASK_CHECKPOINT},
	{"agent", UAEF_TASK_AGENT},
	{"workflow", UAEF_TASK_WORKFLOW},
	{"connector", UAEF_TASK_CONNECTOR},
	{"settle", UAEF_TASK_SETTLE}
};

static void set_reader(UaefBuilder *builder, int task, bool after);
static void check_size(Jsonb *document);
static void read_tasks(UaefBuilder *builder, JsonbContainer *tasks, int n,
					   bool is_new);
static void read_task(UaefBuilder *builder, UaefTaskDef *task,
					  JsonbValue *value);
static char *read_id(JsonbValue *value, int no);
static void read_common(const UaefObject *object, UaefTaskDef *task);
static void read_type(const UaefObject *object, UaefTaskDef *task);
static void require_map(const UaefObject *object);
static void read_compensation(const UaefObject *object, UaefTaskDef *task);
static void read_retry(const UaefObject *object, UaefRetry *retry);
static int	read_codes(const UaefObject *object, const char *key,
					   char ***codes);
static void read_edges(UaefBuilder *builder, JsonbContainer *edges, int n);
static void read_edge(UaefBuilder *builder, UaefEdge *edge, JsonbValue *value,
					  int no);
static int	read_end(const UaefObject *object, const char *key);
static bool is_pure(const UaefDefinition *def);
static void read_budget(UaefBuilder *builder, Jsonb *document);

/*
 * {"max_tokens_per_day","max_cost_per_day","currency"}, as agents have them.
 */
static void
read_budget(UaefBuilder *builder, Jsonb *document)
{
	static const char *const keys[] = {
		"max_tokens_per_day", "max_cost_per_day", "currency", NULL
	};
	UaefBudget *budget = &builder->def->budget;
	JsonbValue	value;
	UaefObject	object;

	if (document == NULL)
		return;
	uaef_document_value(document, &value);
	object = uaef_read_object(builder, &value, keys, "\"budget\"");
	budget->max_tokens = uaef_read_int(&object, "max_tokens_per_day", 0, 1,
									   PG_INT32_MAX);
	budget->max_cost = uaef_read_int(&object, "max_cost_per_day", 0, 1,
									 PG_INT32_MAX);
	budget->currency = uaef_read_text(&object, "currency",
									  budget->max_cost > 0);
	if (budget->currency != NULL &&
		uaef_currency_exponent(budget->currency) < 0)
		uaef_read_wrong(&object, "currency", "a currency");
}

UaefDefinition *
uaef_definition_compile(const char *name, Jsonb *document, bool plan_sql)
{
	static const char *const keys[] =
	{
		"tasks", "edges", "output", "context", "description", "timeout",
		"limits", "on_limit", "policies", "input_schema", "output_schema",
		"budget", NULL
	};
	static const char *const on_limit[] =
	{"queue", "skip", "cancel_oldest", NULL};
	UaefBuilder builder = {palloc0(sizeof(UaefDefinition))};
	UaefDefinition *def = builder.def;
	JsonbValue	root = {.type = jbvBinary};
	UaefObject	object;
	JsonbContainer *tasks;
	JsonbContainer *edges;
	int			n_tasks;
	int			n_edges;

	if (plan_sql)
		check_size(document);
	def->name = pstrdup(name);

	if (JB_ROOT_IS_SCALAR(document))
		(void) JsonbExtractScalar(&document->root, &root);
	else
	{
		root.val.binary.data = &document->root;
		root.val.binary.len = VARSIZE(document) - VARHDRSZ;
	}
	object = uaef_read_object(&builder, &root, keys, "the definition");
	tasks = uaef_read_array(&object, "tasks", true, &n_tasks);
	edges = uaef_read_array(&object, "edges", false, &n_edges);
	(void) uaef_read_text(&object, "description", false);
	def->context = uaef_read_document(&object, "context");
	def->n_policies = Max(uaef_read_texts(&object, "policies", &def->policies),
						  0);
	def->input_schema = uaef_read_schema(&object, "input_schema");
	def->output_schema = uaef_read_schema(&object, "output_schema");
	def->timeout_ms = uaef_read_duration(&object, "timeout", 0);
	read_budget(&builder, uaef_read_document(&object, "budget"));

	read_tasks(&builder, tasks, n_tasks, plan_sql);
	uaef_definition_index(def);
	read_edges(&builder, edges, n_edges);
	set_reader(&builder, -1, false);
	def->output = uaef_read_template(&object, "output");
	def->n_limits = uaef_read_limits(&object, NULL, &def->limits);
	def->on_limit = uaef_read_choice(&object, "on_limit", on_limit,
									 UAEF_ON_LIMIT_QUEUE);
	if (def->n_limits == 0 && def->on_limit != UAEF_ON_LIMIT_QUEUE)
		uaef_read_missing(&object, "limits");

	uaef_definition_check(&builder);
	def->only_pure = is_pure(def);
	if (plan_sql)
	{
		uaef_definition_check_catalog(def, NULL);
		uaef_definition_check_rules(def);
	}
	return def;
}

/*
 * Say who reads the paths that come next.
 */
static void
set_reader(UaefBuilder *builder, int task, bool after)
{
	builder->reader.task = task;
	builder->reader.after = after;
	builder->reader.item = false;
	builder->reader.last = false;
}

/*
 * Refuse what is too long or too deep.
 */
static void
check_size(Jsonb *document)
{
	StringInfoData text;

	if (uaef_is_nested_deeper(document, MAX_DEPTH))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_TOO_LARGE),
				 errmsg("the definition is nested too deeply"),
				 errdetail("Objects and arrays may be nested %d deep.",
						   MAX_DEPTH)));
	initStringInfo(&text);
	(void) JsonbToCString(&text, &document->root, VARSIZE(document));
	if (text.len > uaef_max_payload_kb * (int64) 1024)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_TOO_LARGE),
				 errmsg("the definition is too large"),
				 errdetail("It has %d bytes, and uaef.max_payload_size is %d kB.",
						   text.len, uaef_max_payload_kb)));
	pfree(text.data);
}

/*----------
 * Tasks
 * ----------
 */

static void
read_tasks(UaefBuilder *builder, JsonbContainer *tasks, int n, bool is_new)
{
	UaefDefinition *def = builder->def;

	if (n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_DEFINITION),
				 errmsg("the definition has no tasks")));
	if (is_new && n > uaef_max_tasks)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_TOO_LARGE),
				 errmsg("the definition has too many tasks"),
				 errdetail("It has %d tasks, and uaef.max_tasks is %d.",
						   n, uaef_max_tasks)));

	def->tasks = MemoryContextAllocHuge(CurrentMemoryContext,
										sizeof(UaefTaskDef) * (Size) n);
	memset(def->tasks, 0, sizeof(UaefTaskDef) * (Size) n);
	def->n_tasks = n;
	for (int i = 0; i < n; i++)
	{
		JsonbValue	value = uaef_read_element(tasks, i);

		def->tasks[i].no = i;
		read_task(builder, &def->tasks[i], &value);
	}
}

static void
read_task(UaefBuilder *builder, UaefTaskDef *task, JsonbValue *value)
{
	static const char *const keys[] =
	{
		"id", "type", "config", "description", "timeout", "retry",
		"on_failure", "queue", "priority", "join", "limits", "compensate",
		"policies", "output_schema", NULL
	};
	static const char *const outcomes[] = {"fail", "continue", "skip", NULL};
	UaefObject	object;

	task->id = read_id(value, task->no + 1);
	set_reader(builder, task->no, false);
	object = uaef_read_object(builder, value, keys,
							  psprintf("task \"%s\"", task->id));
	read_common(&object, task);
	task->on_failure = uaef_read_choice(&object, "on_failure", outcomes,
										UAEF_FAIL_EXECUTION);
	task->join = uaef_read_join(&object, "join");
	task->n_policies = Max(uaef_read_texts(&object, "policies",
										   &task->policies), 0);
	read_compensation(&object, task);
	if (task->type == UAEF_TASK_SETTLE && task->config.settle.reverse)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_DEFINITION),
				 errmsg("\"reverse\" in config of %s is for what compensates a settle task",
						object.where)));
}

/*
 * The id comes first, because every other message names it.
 */
static char *
read_id(JsonbValue *value, int no)
{
	static const char first[] =
		"_ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	static const char other[] =
		"_ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-";
	UaefObject	object = {.where = psprintf("task number %d", no)};
	char	   *id;

	if (value->type != jbvBinary ||
		!JsonContainerIsObject(value->val.binary.data))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_DEFINITION),
				 errmsg("%s must be an object", object.where)));
	object.container = value->val.binary.data;
	id = uaef_read_text(&object, "id", true);
	if (strchr(first, *id) == NULL || strspn(id, other) != strlen(id) ||
		strlen(id) > MAX_ID)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_DEFINITION),
				 errmsg("\"%s\" is no id for a task", id),
				 errdetail("An id has letters, digits, \"_\" and \"-\", begins with a letter or \"_\", and has at most %d characters.",
						   MAX_ID)));
	return id;
}

/*
 * What a task has that the task of a map has too.
 */
static void
read_common(const UaefObject *object, UaefTaskDef *task)
{
	JsonbValue	config = {.type = jbvBinary};

	read_type(object, task);
	task->description = uaef_read_text(object, "description", false);
	task->timeout_ms = uaef_read_duration(object, "timeout", 0);
	read_retry(object, &task->retry);
	task->priority = uaef_read_int(object, "priority", 0, -1000000, 1000000);
	task->n_limits = uaef_read_limits(object, task, &task->limits);

	task->queue = uaef_read_text(object, "queue", false);
	if (task->queue == NULL)
		task->queue = pstrdup("default");
	else if (task->type != UAEF_TASK_EXTERNAL &&
			 strcmp(task->queue, "default") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_DEFINITION),
				 errmsg("%s cannot have queue \"%s\"", object->where,
						task->queue),
				 errdetail("Only external tasks are claimed from a queue.")));

	task->output_schema = uaef_read_schema(object, "output_schema");
	if (task->output_schema != NULL && task->type != UAEF_TASK_SQL &&
		task->type != UAEF_TASK_HTTP && task->type != UAEF_TASK_CONNECTOR &&
		task->type != UAEF_TASK_EXTERNAL)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_DEFINITION),
				 errmsg("%s cannot have \"output_schema\"", object->where),
				 errdetail("Only the output of sql, http, connector and external tasks comes from outside.")));

	if (!uaef_read_value(object, "config", &config))
	{
		Jsonb	   *empty = uaef_json_empty();

		config.type = jbvBinary;
		config.val.binary.data = &empty->root;
		config.val.binary.len = VARSIZE(empty) - VARHDRSZ;
	}
	uaef_read_config(object->builder, task, &config, object->where);
}

static void
read_type(const UaefObject *object, UaefTaskDef *task)
{
	char	   *name = uaef_read_text(object, "type", true);
	StringInfoData valid;

	for (int i = 0; i < lengthof(types); i++)
	{
		if (strcmp(name, types[i].name) != 0)
			continue;
		task->type = types[i].type;
		if (strcmp(name, "map") == 0)
			require_map(object);
		pfree(name);
		return;
	}

	initStringInfo(&valid);
	for (int i = 0; i < lengthof(types); i++)
		appendStringInfo(&valid, "%s%s", i > 0 ? ", " : "", types[i].name);
	ereport(ERROR,
			(errcode(ERRCODE_UAEF_BAD_DEFINITION),
			 errmsg("unknown type \"%s\" of %s", name, object->where),
			 errhint("The types are: %s.", valid.data)));
}

/*
 * Unlike "parallel", "map" is never a fork.
 */
static void
require_map(const UaefObject *object)
{
	JsonbValue	config;

	if (!uaef_read_value(object, "config", &config))
		uaef_read_missing(object, "config");
	if (config.type == jbvBinary &&
		JsonContainerSize(config.val.binary.data) == 0)
		uaef_read_wrong(object, "config",
						"an object with \"over\" and \"task\"");
}

/*
 * A task within a task, of one of some types: a plain task, without what
 * belongs to a node of the graph.
 */
static UaefTaskDef *
read_inner_task(UaefBuilder *builder, const UaefTaskDef *outer,
				JsonbValue *value, const char *where,
				const UaefTaskType *allowed, int n_allowed, const char *hint)
{
	static const char *const keys[] =
	{
		"type", "config", "description", "timeout", "retry", "queue",
		"priority", "limits", "output_schema", NULL
	};
	UaefTaskDef *task = palloc0(sizeof(UaefTaskDef));
	UaefObject	object = uaef_read_object(builder, value, keys, where);

	task->no = outer->no;
	task->id = outer->id;
	read_common(&object, task);
	for (int i = 0; i < n_allowed; i++)
		if (task->type == allowed[i])
			return task;
	ereport(ERROR,
			(errcode(ERRCODE_UAEF_BAD_DEFINITION),
			 errmsg("%s cannot be of type \"%s\"", where,
					uaef_task_type_name(task->type)),
			 errhint("%s", hint)));
}

/*
 * The task that each item of a map runs.
 */
UaefTaskDef *
uaef_read_map_task(UaefBuilder *builder, const UaefTaskDef *map,
				   JsonbValue *value, const char *where)
{
	static const UaefTaskType allowed[] =
	{
		UAEF_TASK_SQL, UAEF_TASK_HTTP, UAEF_TASK_WAIT, UAEF_TASK_EXTERNAL,
		UAEF_TASK_SIGNAL, UAEF_TASK_CHECKPOINT, UAEF_TASK_AGENT,
		UAEF_TASK_WORKFLOW, UAEF_TASK_CONNECTOR
	};
	UaefTaskDef *task;

	builder->reader.item = true;
	task = read_inner_task(builder, map, value, where, allowed,
						   lengthof(allowed),
						   "The types of a map's task are: sql, http, wait, external, signal, checkpoint, agent, workflow, connector.");
	builder->reader.item = false;
	return task;
}

bool
uaef_task_type_by_name(const char *name, UaefTaskType *type)
{
	for (int i = 0; i < lengthof(types); i++)
	{
		if (strcmp(types[i].name, name) != 0)
			continue;
		*type = types[i].type;
		return true;
	}
	return false;
}

/*
 * What undoes a task: it reads what the task itself can read, and its output.
 */
static void
read_compensation(const UaefObject *object, UaefTaskDef *task)
{
	static const UaefTaskType allowed[] =
	{
		UAEF_TASK_SQL, UAEF_TASK_HTTP, UAEF_TASK_EXTERNAL,
		UAEF_TASK_WORKFLOW, UAEF_TASK_CONNECTOR, UAEF_TASK_SETTLE
	};
	UaefBuilder *builder = object->builder;
	JsonbValue	value;

	if (!uaef_read_value(object, "compensate", &value))
		return;
	set_reader(builder, task->no, true);
	task->compensate =
		read_inner_task(builder, task, &value,
						psprintf("compensate of %s", object->where), allowed,
						lengthof(allowed),
						"The types of what compensates are: sql, http, external, workflow, connector, settle.");

	if (task->compensate->type == UAEF_TASK_SETTLE &&
		(task->type != UAEF_TASK_SETTLE ||
		 !task->compensate->config.settle.reverse))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_DEFINITION),
				 errmsg("compensate of %s cannot settle", object->where),
				 errhint("What compensates a settle task is {\"type\":\"settle\",\"config\":{\"reverse\":true}}.")));

	/* Its limits are not those of the task, whose id it has. */
	for (int i = 0; i < task->compensate->n_limits; i++)
	{
		UaefLimitDef *limit = &task->compensate->limits[i];

		if (!limit->shared)
			limit->name = psprintf("%s/compensate", limit->name);
	}
	builder->def->n_compensated++;
}

const UaefSqlConfig *
uaef_task_sql(const UaefTaskDef *task)
{
	if (task->type == UAEF_TASK_SQL)
		return &task->config.sql;
	if (task->type == UAEF_TASK_WAIT && task->config.wait.query.sql != NULL)
		return &task->config.wait.query;
	return NULL;
}

const char *
uaef_task_type_name(UaefTaskType type)
{
	for (int i = 0; i < lengthof(types); i++)
		if (types[i].type == type)
			return types[i].name;
	elog(ERROR, "unknown task type %d", type);
}

/*----------
 * Retry
 * ----------
 */

static void
read_retry(const UaefObject *object, UaefRetry *retry)
{
	static const UaefRetry defaults = {
		.max_attempts = 1,
		.exponential = true,
		.initial_ms = 1000,
		.factor = 2,
		.max_ms = 5 * 60 * 1000,
		.jitter = 0.2
	};
	JsonbValue	value;

	*retry = defaults;
	if (uaef_read_value(object, "retry", &value))
		uaef_read_retry(object->builder, &value, object->where, retry);
}

void
uaef_read_retry(UaefBuilder *builder, JsonbValue *value, const char *where,
				UaefRetry *retry)
{
	static const char *const keys[] =
	{
		"max_attempts", "backoff", "initial", "factor", "max", "jitter",
		"on", "not_on", NULL
	};
	static const char *const backoffs[] = {"fixed", "exponential", NULL};
	UaefObject	own = uaef_read_object(builder, value, keys,
									   psprintf("retry of %s", where));
	JsonbValue	given;

	retry->max_attempts = uaef_read_int(&own, "max_attempts",
										retry->max_attempts, 1, 1000);
	retry->exponential = uaef_read_choice(&own, "backoff", backoffs,
										  retry->exponential) == 1;
	retry->initial_ms = uaef_read_duration(&own, "initial", retry->initial_ms);
	retry->factor = uaef_read_double(&own, "factor", retry->factor, 1, 100);
	retry->max_ms = uaef_read_duration(&own, "max",
									   Max(retry->max_ms, retry->initial_ms));
	retry->jitter = uaef_read_double(&own, "jitter", retry->jitter, 0, 1);
	if (retry->max_ms < retry->initial_ms)
		uaef_read_wrong(&own, "max", "at least \"initial\"");
	if (uaef_read_value(&own, "on", &given))
		retry->n_on = read_codes(&own, "on", &retry->on);
	if (uaef_read_value(&own, "not_on", &given))
		retry->n_not_on = read_codes(&own, "not_on", &retry->not_on);
}

/*
 * A SQLSTATE ("40001"), the class of one ("40"), or the word of a failure
 * that is none ("http_503").
 */
bool
uaef_is_error_code(const char *code, bool classes)
{
	static const char state[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
	static const char word[] = "0123456789_abcdefghijklmnopqrstuvwxyz";
	int			len = strlen(code);

	if (strspn(code, state) == len && (len == 5 || (classes && len == 2)))
		return true;
	return *code >= 'a' && *code <= 'z' && strspn(code, word) == len;
}

bool
uaef_is_failure_code(const char *code)
{
	return strlen(code) <= MAX_FAILURE_CODE && uaef_is_error_code(code, false);
}

static void
check_retry_code(const UaefObject *object, const char *key, const char *code)
{
	if (uaef_is_error_code(code, true))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_UAEF_BAD_DEFINITION),
			 errmsg("\"%s\" in \"%s\" of %s is no code of an error", code, key,
					object->where),
			 errhint("Give a SQLSTATE such as 40001, a class of them such as 40, or a word such as http_503.")));
}

static int
read_codes(const UaefObject *object, const char *key, char ***codes)
{
	int			n = Max(uaef_read_texts(object, key, codes), 0);

	for (int i = 0; i < n; i++)
		check_retry_code(object, key, (*codes)[i]);
	return n;
}

/*----------
 * Edges
 * ----------
 */

static void
read_edges(UaefBuilder *builder, JsonbContainer *edges, int n)
{
	UaefDefinition *def = builder->def;

	def->edges = palloc0(sizeof(UaefEdge) * Max(n, 1));
	def->n_edges = n;
	for (int i = 0; i < n; i++)
	{
		JsonbValue	value = uaef_read_element(edges, i);

		read_edge(builder, &def->edges[i], &value, i + 1);
	}
}

static void
read_edge(UaefBuilder *builder, UaefEdge *edge, JsonbValue *value, int no)
{
	static const char *const keys[] = {"from", "to", "on", "when", NULL};
	UaefObject	object = uaef_read_object(builder, value, keys,
										  psprintf("edge number %d", no));

	edge->from = read_end(&object, "from");
	edge->to = read_end(&object, "to");
	object.where = psprintf("edge \"%s\" -> \"%s\"",
							builder->def->tasks[edge->from].id,
							builder->def->tasks[edge->to].id);
	edge->on = uaef_read_text(&object, "on", false);
	set_reader(builder, edge->from, true);
	edge->when = uaef_read_condition(&object, "when", false);
	if (edge->when != NULL)
		edge->when_json = uaef_read_document(&object, "when");
}

/*
 * The number of the task that an end of an edge names.
 */
static int
read_end(const UaefObject *object, const char *key)
{
	char	   *id = uaef_read_text(object, key, true);
	int			no = uaef_definition_task_no(object->builder->def, id,
											 strlen(id));

	if (no < 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_DEFINITION),
				 errmsg("unknown task \"%s\" in \"%s\" of %s", id, key,
						object->where),
				 errhint("Ids are case-sensitive.")));
	return no;
}

/*
 * Whether every task is done as soon as it can begin.
 */
static bool
is_pure(const UaefDefinition *def)
{
	for (int i = 0; i < def->n_tasks; i++)
	{
		const UaefTaskDef *task = &def->tasks[i];

		if (task->type != UAEF_TASK_DECISION &&
			task->type != UAEF_TASK_CONDITION &&
			!(task->type == UAEF_TASK_PARALLEL &&
			  task->config.parallel.over == NULL))
			return false;
	}
	return true;
}
