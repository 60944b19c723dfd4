/*-------------------------------------------------------------------------
 *
 * definition_catalog.c
 *	  What a new definition says about the database: SQL, roles, connectors,
 *	  checkpoints, policies, agents.
 *
 * SQL is parsed and planned, not run, as the current user and with the
 * search_path that a new session of that user has, since that is where it
 * will run.  The current identity must still be the caller's, because
 * planning may call immutable functions.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_authid_d.h"
#include "catalog/pg_type_d.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/plancache.h"

#include "agent.h"
#include "compliance.h"
#include "connector_config.h"
#include "definition_read.h"
#include "errcodes.h"
#include "limit_config.h"
#include "settlement_rule.h"
#include "spi_util.h"

static UaefQuery find_connector = {
	"SELECT 1 FROM uaef.connector WHERE name = $1", 1, {TEXTOID}
};

static UaefQuery find_policy = {
	"SELECT 1 FROM uaef.policy WHERE name = $1"
	" AND version = (SELECT max(version) FROM uaef.policy WHERE name = $1)"
	" AND NOT dropped FOR SHARE",
	1, {TEXTOID}
};

static int	use_search_path(const char *search_path);
static void add_objects(UaefDefinition *def, const UaefTaskDef *task,
						List *objects);
static List *check_task(const UaefDefinition *def, const UaefTaskDef *task,
						const char *where);
static List *check_sql(const char *sql, bool is_query, const char *where);
static List *plan(const char *sql, bool is_query, MemoryContext context);
static UaefQuery find_limit = {
	"SELECT 1 FROM uaef.workflow_limit WHERE name = $1", 1, {TEXTOID}
};

static bool may_be_task(const RawStmt *raw);
static bool only_reads(const CachedPlanSource *source);
static List *check_roles(List *objects, const UaefRoleList *roles,
						 const char *what, const char *where);
static List *check_approval(const UaefApprovalConfig *approval,
							const char *where);
static void check_connector(const char *name, const char *where);
static void check_call(const UaefConnectorCall *call, const char *where);
static void check_policies(int n, char *const *names, const char *where);
static void check_limits(const UaefLimitDef *limits, int n, const char *where);
static void check_workflow(const UaefDefinition *def,
						   const UaefWorkflowConfig *config,
						   const char *where);

/*
 * Raises the planner's error, or 42704 for a role or a policy, UA405 for a
 * connector, UA341 for a checkpoint and UA360 for an agent, with the id of the
 * task.  Afterwards def->objects is what it needs.
 */
void
uaef_definition_check_catalog(UaefDefinition *def, const char *search_path)
{
	int			level = use_search_path(search_path);

	check_policies(def->n_policies, def->policies, "the definition");
	check_limits(def->limits, def->n_limits, "the definition");
	for (int i = 0; i < def->n_tasks; i++)
	{
		const UaefTaskDef *task = &def->tasks[i];
		char	   *where = psprintf("task \"%s\"", task->id);

		CHECK_FOR_INTERRUPTS();
		if (task->type == UAEF_TASK_PARALLEL &&
			task->config.parallel.task != NULL)
			task = task->config.parallel.task;
		add_objects(def, task, check_task(def, task, where));
		if (def->tasks[i].compensate != NULL)
			add_objects(def, def->tasks[i].compensate,
						check_task(def, def->tasks[i].compensate,
								   psprintf("compensate of %s", where)));
		check_policies(def->tasks[i].n_policies, def->tasks[i].policies,
					   where);
		pfree(where);
	}
	AtEOXact_GUC(true, level);
}

/*
 * Apart from the rest, since rules come and go without breaking a definition.
 */
void
uaef_definition_check_rules(const UaefDefinition *def)
{
	for (int i = 0; i < def->n_tasks; i++)
	{
		const UaefTaskDef *task = &def->tasks[i];

		if (task->type != UAEF_TASK_SETTLE)
			continue;
		for (int j = 0; j < task->config.settle.n_rules; j++)
			uaef_settlement_rule_require(task->config.settle.rules[j],
										 def->name, task->id,
										 psprintf("task \"%s\"", task->id));
	}
	uaef_settlement_rules_warn(def);
}

static void
add_objects(UaefDefinition *def, const UaefTaskDef *task, List *objects)
{
	ListCell   *cell;

	foreach(cell, objects)
		((UaefObjectUse *) lfirst(cell))->task = task->id;
	def->objects = list_concat(def->objects, objects);
}

/*
 * The functions that people call pin their search_path; use another one, by
 * default that which the session began with.  Returns the level for
 * AtEOXact_GUC().
 */
static int
use_search_path(const char *search_path)
{
	int			level = NewGUCNestLevel();

	if (search_path == NULL)
		search_path = GetConfigOptionResetString("search_path");

	(void) set_config_option("search_path", search_path, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
	return level;
}

/* The objects that it needs. */
static List *
check_task(const UaefDefinition *def, const UaefTaskDef *task,
		   const char *where)
{
	check_limits(task->limits, task->n_limits, where);
	switch (task->type)
	{
		case UAEF_TASK_SQL:
			return check_sql(task->config.sql.sql, false, where);
		case UAEF_TASK_WAIT:
			if (uaef_task_sql(task) != NULL)
				return check_sql(uaef_task_sql(task)->sql, true, where);
			break;
		case UAEF_TASK_HUMAN_APPROVAL:
			return check_approval(&task->config.approval, where);
		case UAEF_TASK_HTTP:
			if (task->config.http.connector != NULL)
				check_connector(task->config.http.connector, where);
			break;
		case UAEF_TASK_CONNECTOR:
			check_call(&task->config.call, where);
			break;
		case UAEF_TASK_WORKFLOW:
			check_workflow(def, &task->config.workflow, where);
			break;
		case UAEF_TASK_CHECKPOINT:
			uaef_checkpoint_require(task->config.checkpoint.name, where);
			break;
		case UAEF_TASK_AGENT:
			uaef_agent_require(task->config.agent.agent,
							   task->config.agent.capability, where);
			break;
		default:
			break;
	}
	return NIL;
}

static List *
check_sql(const char *sql, bool is_query, const char *where)
{
	MemoryContext context = CurrentMemoryContext;
	List	   *objects = NIL;

	PG_TRY();
	{
		objects = plan(sql, is_query, context);
	}
	PG_CATCH();
	{
		uaef_read_rethrow(context, where, NULL);
	}
	PG_END_TRY();
	return objects;
}

/*
 * Parse, analyse and plan one statement whose only parameter is $1 jsonb: that
 * of a SQL task, or the query of a wait.  Returns the objects that it needs,
 * in the context.
 */
static List *
plan(const char *sql, bool is_query, MemoryContext context)
{
	Oid			types[] = {JSONBOID};
	SPIPlanPtr	prepared;
	List	   *sources;
	CachedPlanSource *source;
	CachedPlan *cached;
	MemoryContext old;
	List	   *objects;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	prepared = SPI_prepare(sql, 1, types);
	if (prepared == NULL)
		elog(ERROR, "could not prepare: %s",
			 SPI_result_code_string(SPI_result));

	sources = SPI_plan_get_plan_sources(prepared);
	if (list_length(sources) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_DEFINITION),
				 errmsg("\"%s\" must be one statement",
						is_query ? "query" : "sql"),
				 errdetail("It has %d statements.", list_length(sources)),
				 is_query ? 0 :
				 errhint("Use several tasks, or WITH, or a function.")));
	source = linitial(sources);
	if (is_query && !only_reads(source))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_DEFINITION),
				 errmsg("\"query\" must be a SELECT that changes and locks nothing"),
				 errdetail("It is run again and again until it is true."),
				 errhint("Change what is to be changed in a task that follows.")));
	if (!is_query && !may_be_task(source->raw_parse_tree))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_DEFINITION),
				 errmsg("this statement cannot be a task: %s",
						GetCommandTagName(source->commandTag)),
				 errdetail("A task is SELECT, INSERT, UPDATE, DELETE, MERGE, CALL, TRUNCATE or REFRESH MATERIALIZED VIEW.")));

	cached = SPI_plan_get_cached_plan(prepared);
	if (cached != NULL)
		ReleaseCachedPlan(cached, NULL);
	old = MemoryContextSwitchTo(context);
	objects = uaef_definition_objects(source);
	MemoryContextSwitchTo(old);
	SPI_finish();
	return objects;
}

/*
 * Whether a statement works in a transaction that others share, and leaves
 * nothing behind in the session.
 */
static bool
may_be_task(const RawStmt *raw)
{
	switch (nodeTag(raw->stmt))
	{
		case T_SelectStmt:
		case T_InsertStmt:
		case T_UpdateStmt:
		case T_DeleteStmt:
#if PG_VERSION_NUM >= 150000
		case T_MergeStmt:
#endif
		case T_CallStmt:
		case T_TruncateStmt:
		case T_RefreshMatViewStmt:
			return true;
		default:
			return false;
	}
}

static bool
only_reads(const CachedPlanSource *source)
{
	ListCell   *cell;

	foreach(cell, source->query_list)
	{
		const Query *query = lfirst(cell);

		if (query->commandType != CMD_SELECT || query->hasModifyingCTE ||
			query->hasForUpdate)
			return false;
	}
	return true;
}

/*
 * Roles that are written out, added to the objects that are needed; those out
 * of data are looked up when people are asked.
 */
static List *
check_roles(List *objects, const UaefRoleList *roles, const char *what,
			const char *where)
{
	for (int i = 0; i < roles->n_fixed; i++)
	{
		UaefObjectUse *use = palloc0(sizeof(UaefObjectUse));

		use->classid = AuthIdRelationId;
		use->objid = get_role_oid(roles->fixed[i], true);
		if (!OidIsValid(use->objid))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("%s: role \"%s\" does not exist", where,
							roles->fixed[i]),
					 errdetail("It is one of the %s.", what)));
		objects = lappend(objects, use);
	}
	return objects;
}

static List *
check_approval(const UaefApprovalConfig *approval, const char *where)
{
	List	   *objects = NIL;

	for (int i = 0; i < approval->n_stages; i++)
	{
		const UaefApprovalStage *stage = &approval->stages[i];

		objects = check_roles(objects, &stage->approvers, "approvers", where);
		for (int j = 0; j < stage->n_groups; j++)
			objects = check_roles(objects, &stage->groups[j].approvers,
								  "approvers", where);
	}
	for (int i = 0; i < approval->n_escalations; i++)
		objects = check_roles(objects, &approval->escalations[i].to,
							  "roles of an escalation", where);
	if (approval->notify.connector != NULL)
		check_connector(approval->notify.connector, where);
	return objects;
}

static void
check_limits(const UaefLimitDef *limits, int n, const char *where)
{
	for (int i = 0; i < n; i++)
	{
		Datum		arg = CStringGetTextDatum(limits[i].name);
		UaefCaller	caller;
		uint64		found;

		if (!limits[i].shared)
			continue;
		caller = uaef_spi_begin();
		found = uaef_spi_run(&find_limit, &arg, NULL);
		uaef_spi_end(caller);
		if (found == 0)
		{
			const char *hint = uaef_limit_hint(limits[i].name);

			ereport(ERROR,
					(errcode(ERRCODE_UAEF_UNDEFINED_LIMIT),
					 errmsg("%s: limit \"%s\" does not exist", where,
							limits[i].name),
					 errhint("%s", hint)));
		}
	}
}

static void
check_connector(const char *name, const char *where)
{
	Datum		args[] = {CStringGetTextDatum(name)};
	UaefCaller	caller = uaef_spi_begin();
	uint64		found = uaef_spi_run(&find_connector, args, NULL);
	const char *hint;

	uaef_spi_end(caller);
	if (found > 0)
		return;
	hint = uaef_connector_hint(name);
	ereport(ERROR,
			(errcode(ERRCODE_UAEF_UNDEFINED_CONNECTOR),
			 errmsg("%s: connector \"%s\" does not exist", where, name),
			 errhint("%s", hint)));
}

static void
check_call(const UaefConnectorCall *call, const char *where)
{
	MemoryContext context = CurrentMemoryContext;
	UaefConnector connector;

	check_connector(call->connector, where);
	PG_TRY();
	{
		uaef_connector_load(call->connector, &connector);
		(void) uaef_connector_operation(&connector, call->operation);
	}
	PG_CATCH();
	{
		uaef_read_rethrow(context, where, NULL);
	}
	PG_END_TRY();
}

/*
 * A policy that does not exist would protect nothing, and nobody would know.
 */
static void
check_policies(int n, char *const *names, const char *where)
{
	for (int i = 0; i < n; i++)
	{
		Datum		args[] = {CStringGetTextDatum(names[i])};
		UaefCaller	caller = uaef_spi_begin();
		uint64		found = uaef_spi_run(&find_policy, args, NULL);

		uaef_spi_end(caller);
		if (found == 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("%s: policy \"%s\" does not exist", where,
							names[i]),
					 errhint("Use uaef.create_policy() to create it.")));
	}
}

/*
 * A workflow may run itself, so the name of the one that is being made will
 * do; a certain version must be there already.
 */
static void
check_workflow(const UaefDefinition *def, const UaefWorkflowConfig *config,
			   const char *where)
{
	if (config->version == 0 && strcmp(config->name, def->name) == 0)
		return;
	if (uaef_definition_look_up(config->name, config->version) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_UNDEFINED_WORKFLOW),
				 config->version == 0 ?
				 errmsg("%s: workflow \"%s\" does not exist", where,
						config->name) :
				 errmsg("%s: workflow \"%s\" has no version %d", where,
						config->name, config->version),
				 errhint("Create it first.  Of two workflows that run each other, create one without that task, then add a version that has it.")));
}
