/*-------------------------------------------------------------------------
 *
 * data_access.c
 *	  What the SQL of a task may reach: tables, functions, rows, cost, time.
 *
 * Statements are judged by what the planner made of them, when the executor
 * begins: every table that they name, also by way of views, functions and
 * triggers, whoever owns those.  Commands other than CALL are refused.
 * Functions are judged when the server looks them up to be called.
 *
 * Two kinds of statements are not the user's and are not judged: our own
 * (spi_util.h), and the SELECTs of referential integrity, which do nothing but
 * look for a key.  What a trigger runs inside one of the latter is judged.
 *
 * A breach of a strict rule is an error.  SQL can catch errors, so the guard
 * remembers it, and raises it again at the end.
 *
 * The processes of a parallel plan would know of no guard: under one, plans
 * run in this process alone.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_proc.h"
#include "executor/executor.h"
#include "executor/instrument.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "compat.h"
#include "data_access.h"
#include "errcodes.h"
#include "spi_util.h"

static ExecutorStart_hook_type previous_start = NULL;
static ExecutorRun_hook_type previous_run = NULL;
static ExecutorFinish_hook_type previous_finish = NULL;
static ProcessUtility_hook_type previous_utility = NULL;
static object_access_hook_type previous_access = NULL;

/* The guard that is up, and the subtransaction that it ends with. */
static UaefGuard *guard = NULL;
static SubTransactionId guard_subxact = InvalidSubTransactionId;
static bool registered = false;

/* Statements being run under it, and whether one is of referential integrity. */
static int	depth = 0;
static bool in_key_check = false;

static const char *const privilege_names[] = {
	[UAEF_SELECT] = "SELECT",
	[UAEF_INSERT] = "INSERT",
	[UAEF_UPDATE] = "UPDATE",
	[UAEF_DELETE] = "DELETE"
};

static const AclMode privilege_bits[] = {
	[UAEF_SELECT] = ACL_SELECT,
	[UAEF_INSERT] = ACL_INSERT,
	[UAEF_UPDATE] = ACL_UPDATE,
	[UAEF_DELETE] = ACL_DELETE
};

/* Volatile functions of the server that touch nothing. */
static const char *const harmless[] = {
	"clock_timestamp", "gen_random_uuid", "random", "timeofday"
};

static void on_start(QueryDesc *query, int flags);
static void on_run(QueryDesc *query, ScanDirection direction,
				   uint64 count UAEF_EXECUTE_ONCE_PARAM);
static void on_finish(QueryDesc *query);
static void on_utility(PlannedStmt *pstmt, const char *text,
					   bool read_only_tree, ProcessUtilityContext context,
					   ParamListInfo params, QueryEnvironment *environment,
					   DestReceiver *dest, QueryCompletion *completion);
static void on_access(ObjectAccessType access, Oid class_id, Oid object_id,
					  int sub_id, void *arg);
static void at_subxact_end(SubXactEvent event, SubTransactionId own,
						   SubTransactionId parent, void *arg);
static void at_xact_end(XactEvent event, void *arg);

void
uaef_data_access_init(void)
{
	previous_start = ExecutorStart_hook;
	ExecutorStart_hook = on_start;
	previous_run = ExecutorRun_hook;
	ExecutorRun_hook = on_run;
	previous_finish = ExecutorFinish_hook;
	ExecutorFinish_hook = on_finish;
	previous_utility = ProcessUtility_hook;
	ProcessUtility_hook = on_utility;
	previous_access = object_access_hook;
	object_access_hook = on_access;
}

bool
uaef_glob_match(const char *pattern, const char *text)
{
	for (; *pattern != '\0' && *pattern != '*'; pattern++, text++)
		if (*pattern != *text)
			return false;
	if (*pattern == '\0')
		return *text == '\0';
	while (*pattern == '*')
		pattern++;
	for (;; text++)
	{
		if (uaef_glob_match(pattern, text))
			return true;
		if (*text == '\0')
			return false;
	}
}

/*----------
 * Up and down
 * ----------
 */

void
uaef_guard_up(UaefGuard *new_guard)
{
	if (new_guard == NULL)
		return;
	if (!registered)
	{
		RegisterSubXactCallback(at_subxact_end, NULL);
		RegisterXactCallback(at_xact_end, NULL);
		registered = true;
	}
	guard = new_guard;
	guard_subxact = GetCurrentSubTransactionId();
	depth = 0;
	in_key_check = false;
}

void
uaef_guard_drop(void)
{
	guard = NULL;
	guard_subxact = InvalidSubTransactionId;
}

static void
at_subxact_end(SubXactEvent event, SubTransactionId own,
			   SubTransactionId parent, void *arg)
{
	if (guard != NULL && own == guard_subxact &&
		(event == SUBXACT_EVENT_COMMIT_SUB || event == SUBXACT_EVENT_ABORT_SUB))
		uaef_guard_drop();
}

static void
at_xact_end(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT ||
		event == XACT_EVENT_PREPARE)
		uaef_guard_drop();
}

static void
deny(const UaefGuardFinding *finding)
{
	ereport(ERROR,
			(errcode(ERRCODE_UAEF_POLICY),
			 errmsg("policy \"%s\" denies the task's SQL",
					finding->rule->name),
			 errdetail_internal("%s", finding->reason)));
}

void
uaef_guard_down(void)
{
	UaefGuard  *old = guard;

	uaef_guard_drop();
	if (old != NULL && old->breach != NULL)
		deny(old->breach);
}

/*
 * Note a breach, once for each reason.
 */
static const UaefGuardFinding *
note(UaefGuard *of, const UaefGuardRule *rule, const char *reason)
{
	MemoryContext old;
	UaefGuardFinding *finding;
	ListCell   *cell;

	foreach(cell, of->findings)
	{
		finding = lfirst(cell);
		if (finding->rule == rule && strcmp(finding->reason, reason) == 0)
			return finding;
	}
	old = MemoryContextSwitchTo(GetMemoryChunkContext(of));
	finding = palloc(sizeof(UaefGuardFinding));
	finding->rule = rule;
	finding->reason = pstrdup(reason);
	of->findings = lappend(of->findings, finding);
	if (rule->strict && of->breach == NULL)
		of->breach = finding;
	MemoryContextSwitchTo(old);
	return finding;
}

static void
breach(const UaefGuardRule *rule, const char *reason)
{
	const UaefGuardFinding *finding = note(guard, rule, reason);

	if (rule->strict)
		deny(finding);
}

int64
uaef_guard_timeout_ms(const UaefGuard *of)
{
	int64		least = 0;

	for (int i = 0; of != NULL && i < of->n_rules; i++)
	{
		int64		ms = of->rules[i].access->timeout_ms;

		if (of->rules[i].strict && ms > 0 && (least == 0 || ms < least))
			least = ms;
	}
	return least;
}

void
uaef_guard_took(UaefGuard *of, int64 ms)
{
	for (int i = 0; of != NULL && i < of->n_rules; i++)
	{
		int64		limit = of->rules[i].access->timeout_ms;

		if (limit > 0 && ms >= limit)
			(void) note(of, &of->rules[i],
						psprintf("it takes longer than %lld ms",
								 (long long) limit));
	}
}

/* Whether what happens now is to be judged. */
static bool
guarded(void)
{
	return guard != NULL && !uaef_spi_running();
}

/*----------
 * Tables
 * ----------
 */

static bool
lists_column(const UaefTableRight *right, const char *column)
{
	for (int i = 0; i < right->n_columns; i++)
		if (strcmp(right->columns[i], column) == 0)
			return true;
	return false;
}

/*
 * Whether some entry for a table gives a privilege: on a column, on all of them
 * (whole), or at all (neither).
 */
static bool
gives(const UaefDataAccess *access, const char *table, UaefPrivilege privilege,
	  const char *column, bool whole)
{
	for (int i = 0; i < access->n_tables; i++)
	{
		const UaefTableRight *right = &access->tables[i].rights[privilege];

		if (!right->granted || !uaef_glob_match(access->tables[i].name, table))
			continue;
		if (right->n_columns == 0 || (!whole && column == NULL) ||
			(column != NULL && lists_column(right, column)))
			return true;
	}
	return false;
}

/*
 * A row as a whole is all its columns; those of the system come with any.
 */
static void
judge_columns(const UaefGuardRule *rule, const char *table, Oid relid,
			  UaefPrivilege privilege, const Bitmapset *columns)
{
	int			member = -1;

	while ((member = bms_next_member(columns, member)) >= 0)
	{
		AttrNumber	number = member + FirstLowInvalidHeapAttributeNumber;
		char	   *column = number <= 0 ? NULL :
			get_attname(relid, number, false);

		if (!gives(rule->access, table, privilege, column, number == 0))
			breach(rule, psprintf("%s on column \"%s\" of \"%s\"",
								  privilege_names[privilege],
								  column ? column : "*", table));
	}
}

static void
judge_table(const UaefGuardRule *rule, const UaefPermInfo *info)
{
	const Bitmapset *columns[] = {
		[UAEF_SELECT] = info->selectedCols,
		[UAEF_INSERT] = info->insertedCols,
		[UAEF_UPDATE] = info->updatedCols,
		[UAEF_DELETE] = NULL
	};
	char	   *schema = get_namespace_name(get_rel_namespace(info->relid));
	char	   *name = get_rel_name(info->relid);
	char	   *table;

	if (schema == NULL || name == NULL)
		elog(ERROR, "cache lookup failed for relation %u", info->relid);
	table = psprintf("%s.%s", schema, name);
	for (int p = 0; p < UAEF_N_PRIVILEGES; p++)
	{
		if ((info->requiredPerms & privilege_bits[p]) == 0)
			continue;
		if (!gives(rule->access, table, p, NULL, false))
			breach(rule, psprintf("%s on \"%s\"", privilege_names[p], table));
		else
			judge_columns(rule, table, info->relid, p, columns[p]);
	}
}

/*----------
 * Statements
 * ----------
 */

/*
 * A look for a key by referential integrity, which runs as the table's owner
 * in a way that nothing else of the server does.
 */
static bool
is_key_check(const QueryDesc *query)
{
	return query->operation == CMD_SELECT && !in_key_check &&
		InNoForceRLSOperation();
}

static void
judge_statement(const UaefGuardRule *rule, const PlannedStmt *stmt)
{
	ListCell   *cell;

	if (rule->access->n_tables >= 0)
	{
		foreach(cell, uaef_perm_infos(stmt))
		{
			const UaefPermInfo *info = lfirst(cell);

			if (uaef_is_perm_info(info) && info->requiredPerms != 0)
				judge_table(rule, info);
		}
	}
	if (rule->access->max_cost >= 0 &&
		stmt->planTree->total_cost > rule->access->max_cost)
		breach(rule, psprintf("a statement's plan costs more than %g",
							  rule->access->max_cost));
}

/*
 * Rows that a WITH writes are counted by instrumentation.
 */
static void
on_start(QueryDesc *query, int flags)
{
	if (guarded() && !is_key_check(query))
	{
		for (int i = 0; i < guard->n_rules; i++)
			judge_statement(&guard->rules[i], query->plannedstmt);
		query->instrument_options |= INSTRUMENT_ROWS;
	}
	if (previous_start)
		previous_start(query, flags);
	else
		standard_ExecutorStart(query, flags);
}

static void
judge_rows(uint64 rows)
{
	for (int i = 0; i < guard->n_rules; i++)
	{
		int64		max = guard->rules[i].access->max_rows;

		if (max >= 0 && rows > (uint64) max)
			breach(&guard->rules[i],
				   psprintf("a statement returns or changes more than %lld rows",
							(long long) max));
	}
}

/*
 * What a statement at the top is asked for is one row more than it may give, at
 * most, so that a long result is not made only to be thrown away.
 */
static uint64
rows_to_fetch(uint64 count)
{
	for (int i = 0; i < guard->n_rules; i++)
	{
		int64		max = guard->rules[i].access->max_rows;

		if (guard->rules[i].strict && max >= 0 &&
			(count == 0 || count > (uint64) max + 1))
			count = (uint64) max + 1;
	}
	return count;
}

static void
run(QueryDesc *query, ScanDirection direction,
	uint64 count UAEF_EXECUTE_ONCE_PARAM)
{
	if (previous_run)
		previous_run(query, direction, count UAEF_EXECUTE_ONCE_ARG);
	else
		standard_ExecutorRun(query, direction, count UAEF_EXECUTE_ONCE_ARG);
}

/*
 * Run a judged statement, in this process alone.
 */
static void
run_guarded(QueryDesc *query, ScanDirection direction,
			uint64 count UAEF_EXECUTE_ONCE_PARAM)
{
	bool		outer_key_check = in_key_check;
	bool		parallel = query->plannedstmt->parallelModeNeeded;

	PG_TRY();
	{
		depth++;
		in_key_check = in_key_check || InNoForceRLSOperation();
		query->plannedstmt->parallelModeNeeded = false;
		run(query, direction, count UAEF_EXECUTE_ONCE_ARG);
	}
	PG_FINALLY();
	{
		query->plannedstmt->parallelModeNeeded = parallel;
		in_key_check = outer_key_check;
		depth--;
	}
	PG_END_TRY();
}

static void
on_run(QueryDesc *query, ScanDirection direction,
	   uint64 count UAEF_EXECUTE_ONCE_PARAM)
{
	bool		reads = query->operation == CMD_SELECT;

	if (!guarded())
	{
		run(query, direction, count UAEF_EXECUTE_ONCE_ARG);
		return;
	}
	run_guarded(query, direction,
				reads && depth == 0 ? rows_to_fetch(count) :
				count UAEF_EXECUTE_ONCE_ARG);
	if (!reads || depth == 0)
		judge_rows(query->estate->es_processed);
}

/*
 * Rows that have come to the writing parts of a WITH.
 */
static uint64
rows_of_with(const EState *estate)
{
	double		rows = 0;
	ListCell   *cell;

	foreach(cell, estate->es_auxmodifytables)
	{
		const PlanState *source = outerPlanState(lfirst(cell));

		if (source != NULL && source->instrument != NULL)
			rows += source->instrument->tuplecount +
				source->instrument->ntuples;
	}
	return (uint64) rows;
}

/*
 * The triggers that fire here run statements of their own.
 */
static void
on_finish(QueryDesc *query)
{
	bool		judged = guarded();

	if (!judged)
	{
		if (previous_finish)
			previous_finish(query);
		else
			standard_ExecutorFinish(query);
		return;
	}
	PG_TRY();
	{
		depth++;
		if (previous_finish)
			previous_finish(query);
		else
			standard_ExecutorFinish(query);
	}
	PG_FINALLY();
	{
		depth--;
	}
	PG_END_TRY();
	judge_rows(rows_of_with(query->estate));
}

/*----------
 * Commands and functions
 * ----------
 */

/*
 * CALL looks its procedure up as a function.
 */
static void
on_utility(PlannedStmt *pstmt, const char *text, bool read_only_tree,
		   ProcessUtilityContext context, ParamListInfo params,
		   QueryEnvironment *environment, DestReceiver *dest,
		   QueryCompletion *completion)
{
	ProcessUtility_hook_type next = previous_utility;

	if (guarded() && !IsA(pstmt->utilityStmt, CallStmt))
	{
		for (int i = 0; i < guard->n_rules; i++)
			breach(&guard->rules[i],
				   psprintf("command %s",
							GetCommandTagName(CreateCommandTag(pstmt->utilityStmt))));
	}
	if (next == NULL)
		next = standard_ProcessUtility;
	next(pstmt, text, read_only_tree, context, params, environment, dest,
		 completion);
}

/*
 * Functions of the server that only compute or look are always allowed; what
 * those read that run queries is judged by itself.
 */
static bool
is_of_server(Oid function, const char *name)
{
	if (function >= FirstNormalObjectId)
		return false;
	if (func_volatile(function) != PROVOLATILE_VOLATILE)
		return true;
	for (int i = 0; i < lengthof(harmless); i++)
		if (strcmp(harmless[i], name) == 0)
			return true;
	return false;
}

static void
judge_function(const UaefGuardRule *rule, Oid function)
{
	const UaefDataAccess *access = rule->access;
	char	   *name = get_func_name(function);
	char	   *schema;
	char	   *full;

	if (access->n_functions < 0 || name == NULL ||
		is_of_server(function, name))
		return;
	schema = get_namespace_name(get_func_namespace(function));
	full = psprintf("%s.%s", schema ? schema : "?", name);
	for (int i = 0; i < access->n_functions; i++)
		if (uaef_glob_match(access->functions[i], full))
			return;
	breach(rule, psprintf("function \"%s\"", full));
}

static void
on_access(ObjectAccessType access, Oid class_id, Oid object_id, int sub_id,
		  void *arg)
{
	if (previous_access)
		previous_access(access, class_id, object_id, sub_id, arg);
	if (access != OAT_FUNCTION_EXECUTE || class_id != ProcedureRelationId ||
		!guarded())
		return;
	for (int i = 0; i < guard->n_rules; i++)
		judge_function(&guard->rules[i], object_id);
}
