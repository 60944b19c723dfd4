/*-------------------------------------------------------------------------
 *
 * history.c
 *	  Executions that ended long ago: how long they are kept.
 *
 * An execution goes with all its rows, a batch in one transaction.  Its id
 * begins with the time when it was made, so that old ones are found by the
 * primary key alone.  What is ended does not change any more; its row is locked
 * nevertheless, because a retry may begin it again.
 *
 * Locking: rows of workflow_execution, in the order of their ids, skipping
 * those that are locked.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "definition.h"
#include "guc.h"
#include "history.h"
#include "json_util.h"
#include "ledger.h"
#include "spi_util.h"
#include "uuid7.h"
#include "wake.h"

/* Executions that the worker deletes in one transaction, and its pauses. */
#define BATCH			500
#define BATCH_PAUSE_MS	200

/* What a rule of history_rule says. */
typedef struct Rule
{
	char	   *workflow;		/* NULL: all that have no rule of their own */
	ArrayType  *statuses;		/* NULL: any */
	TimestampTz before;
} Rule;

/*
 * Money that is not decided or not paid yet, and calls that are not over, keep
 * an execution; a parent keeps its children.
 */
static UaefQuery find_old = {
	"SELECT e.execution_id FROM uaef.workflow_execution e"
	" JOIN uaef.workflow_definition d USING (definition_id)"
	" WHERE e.execution_id < $1 AND e.completed_at < $2"
	" AND ($3 IS NULL AND NOT d.name = ANY (ARRAY(SELECT r.workflow"
	"  FROM uaef.history_rule r WHERE $6 AND r.workflow IS NOT NULL))"
	"  OR d.name = $3)"
	" AND ($4 IS NULL OR e.status = ANY ($4))"
	" AND NOT EXISTS (SELECT FROM uaef.settlement_signal s"
	"  WHERE s.execution_id = e.execution_id"
	"  AND s.status IN ('error', 'pending_approval', 'approved'))"
	" AND NOT EXISTS (SELECT FROM uaef.delivery q"
	"  WHERE q.execution_id = e.execution_id"
	"  AND q.status IN ('pending', 'sending', 'retry'))"
	" AND NOT EXISTS (SELECT FROM uaef.workflow_execution p"
	"  WHERE p.execution_id = e.parent_execution_id)"
	" ORDER BY e.execution_id LIMIT $5 FOR UPDATE OF e SKIP LOCKED",
	6, {UUIDOID, TIMESTAMPTZOID, TEXTOID, TEXTARRAYOID, INT4OID, BOOLOID}
};

#define OF_APPROVALS \
	" WHERE approval_id IN (SELECT approval_id FROM uaef.human_approval" \
	" WHERE execution_id = ANY ($1))"

/* In the order in which one row leads to another. */
static UaefQuery deletions[] = {
	{"DELETE FROM uaef.delivery_attempt WHERE delivery_id IN ("
		" SELECT delivery_id FROM uaef.delivery WHERE execution_id = ANY ($1))",
	1, {UUIDARRAYOID}},
	{"DELETE FROM uaef.delivery WHERE execution_id = ANY ($1)",
	1, {UUIDARRAYOID}},
	{"DELETE FROM uaef.human_approval_vote" OF_APPROVALS, 1, {UUIDARRAYOID}},
	{"DELETE FROM uaef.human_approval_comment" OF_APPROVALS,
	1, {UUIDARRAYOID}},
	{"DELETE FROM uaef.human_approval_stage" OF_APPROVALS, 1, {UUIDARRAYOID}},
	{"DELETE FROM uaef.human_approval_group" OF_APPROVALS, 1, {UUIDARRAYOID}},
	{"DELETE FROM uaef.human_approval_escalation" OF_APPROVALS,
	1, {UUIDARRAYOID}},
	{"DELETE FROM uaef.human_approval WHERE execution_id = ANY ($1)",
	1, {UUIDARRAYOID}},
	{"DELETE FROM uaef.policy_decision WHERE execution_id = ANY ($1)",
	1, {UUIDARRAYOID}},
	{"DELETE FROM uaef.workflow_signal WHERE execution_id = ANY ($1)",
	1, {UUIDARRAYOID}},
	{"DELETE FROM uaef.workflow_signal_wait WHERE execution_id = ANY ($1)",
	1, {UUIDARRAYOID}},
	{"DELETE FROM uaef.compliance_result WHERE execution_id = ANY ($1)",
	1, {UUIDARRAYOID}},
	{"DELETE FROM uaef.workflow_start_key WHERE execution_id = ANY ($1)",
	1, {UUIDARRAYOID}},
	{"DELETE FROM uaef.workflow_start_once WHERE execution_id = ANY ($1)",
	1, {UUIDARRAYOID}},
	{"DELETE FROM uaef.workflow_family WHERE root_execution_id = ANY ($1)",
	1, {UUIDARRAYOID}},
	{"DELETE FROM uaef.task_execution WHERE execution_id = ANY ($1)",
	1, {UUIDARRAYOID}},
	{"DELETE FROM uaef.workflow_execution WHERE execution_id = ANY ($1)",
	1, {UUIDARRAYOID}},
};

static UaefQuery put_rule = {
	"INSERT INTO uaef.history_rule AS r (workflow, keep, statuses, set_by)"
	" VALUES ($1, $2, $3, $4) ON CONFLICT (coalesce(workflow, ''))"
	" DO UPDATE SET keep = excluded.keep, statuses = excluded.statuses,"
	" set_by = excluded.set_by",
	4, {TEXTOID, INTERVALOID, TEXTARRAYOID, REGROLEOID}
};

static UaefQuery delete_rule = {
	"DELETE FROM uaef.history_rule WHERE workflow IS NOT DISTINCT FROM $1",
	1, {TEXTOID}
};

static UaefQuery find_rules = {
	"SELECT workflow, statuses, $1 - keep FROM uaef.history_rule"
	" ORDER BY workflow",
	1, {TIMESTAMPTZOID}
};

static UaefQuery count_purged = {
	"UPDATE uaef.history_rule SET purged = purged + $2, last_purged_at = $3"
	" WHERE workflow IS NOT DISTINCT FROM $1",
	3, {TEXTOID, INT8OID, TIMESTAMPTZOID}
};

/*
 * One event for a batch, in a stream of no execution: theirs are closed.
 */
static void
record_purge(const char *workflow, TimestampTz before, Datum *ids, int n,
			 Oid role)
{
	UaefEvent	event = {0};
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_text(&json, "workflow", workflow);
	uaef_json_time(&json, "ended_before", before);
	uaef_json_int(&json, "executions", n);
	uaef_json_uuid(&json, "first", DatumGetUUIDP(ids[0]));
	uaef_json_uuid(&json, "last", DatumGetUUIDP(ids[n - 1]));
	event.type = "executions_purged";
	event.actor_type = "user";
	event.actor_id = GetUserNameFromId(role, false);
	event.payload = uaef_json_end(&json);
	(void) uaef_ledger_append(&event, 1);
}

/*
 * Delete one batch.  others_only: where workflow is NULL, those that have a
 * rule of their own are left to it.
 */
static int
purge_batch(const Rule *rule, bool others_only, int limit, Oid role)
{
	pg_uuid_t	floor;
	Datum		args[6];
	char		nulls[6] = {' ', ' ', ' ', ' ', ' ', ' '};
	Datum	   *ids;
	Datum		array;
	int			n;

	uaef_uuid7_floor(rule->before, &floor);
	args[0] = UUIDPGetDatum(&floor);
	args[1] = TimestampTzGetDatum(rule->before);
	args[2] = uaef_text_or_null(rule->workflow, &nulls[2]);
	args[3] = uaef_pointer_or_null(rule->statuses, &nulls[3]);
	args[4] = Int32GetDatum(limit);
	args[5] = BoolGetDatum(others_only);
	n = (int) uaef_spi_run(&find_old, args, nulls);
	if (n == 0)
		return 0;

	ids = palloc(sizeof(Datum) * n);
	for (int i = 0; i < n; i++)
	{
		pg_uuid_t  *id = palloc(sizeof(pg_uuid_t));

		*id = uaef_spi_uuid(i, 1);
		ids[i] = UUIDPGetDatum(id);
	}
	SPI_freetuptable(SPI_tuptable);
	array = uaef_array(ids, NULL, n, UUIDOID);
	for (int i = 0; i < lengthof(deletions); i++)
		(void) uaef_spi_run(&deletions[i], &array, NULL);
	record_purge(rule->workflow, rule->before, ids, n, role);
	return n;
}

int64
uaef_history_purge(const char *workflow, ArrayType *statuses,
				   TimestampTz before, int limit)
{
	Oid			role = GetUserId();
	UaefCaller	back = uaef_spi_begin();
	Rule		rule = {unconstify(char *, workflow), statuses, before};
	int64		total = 0;
	int			n;

	if (workflow != NULL)
		(void) uaef_definition_find(workflow, 0);
	do
	{
		CHECK_FOR_INTERRUPTS();
		n = purge_batch(&rule, false, Min(BATCH, limit - total), role);
		total += n;
	} while (n > 0 && total < limit);
	uaef_spi_end(back);
	return total;
}

static void
record_rule(const char *type, const char *workflow, ArrayType *statuses,
			Interval *keep, Oid role)
{
	UaefEvent	event = {0};
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_text(&json, "workflow", workflow);
	if (keep != NULL)
		uaef_json_text(&json, "keep",
					   DatumGetCString(DirectFunctionCall1(interval_out,
														   IntervalPGetDatum(keep))));
	if (statuses != NULL)
		uaef_json_text(&json, "statuses",
					   OidOutputFunctionCall(F_ARRAY_OUT,
											 PointerGetDatum(statuses)));
	event.type = type;
	event.actor_type = "user";
	event.actor_id = GetUserNameFromId(role, false);
	event.payload = uaef_json_end(&json);
	(void) uaef_ledger_append(&event, 1);
}

void
uaef_history_keep(const char *workflow, ArrayType *statuses, Interval *keep)
{
	Oid			role = GetUserId();
	UaefCaller	back = uaef_spi_begin();
	Datum		args[4];
	char		nulls[4] = {' ', ' ', ' ', ' '};

	if (workflow != NULL)
		(void) uaef_definition_find(workflow, 0);
	args[0] = uaef_text_or_null(workflow, &nulls[0]);
	args[1] = IntervalPGetDatum(keep);
	args[2] = uaef_pointer_or_null(statuses, &nulls[2]);
	args[3] = ObjectIdGetDatum(role);
	(void) uaef_spi_run(&put_rule, args, nulls);
	record_rule("retention_set", workflow, statuses, keep, role);
	uaef_wake_worker_on_commit(UAEF_WAKE_CONTROL);
	uaef_spi_end(back);
}

void
uaef_history_keep_all(const char *workflow)
{
	Oid			role = GetUserId();
	UaefCaller	back = uaef_spi_begin();
	Datum		arg;
	char		isnull;

	arg = uaef_text_or_null(workflow, &isnull);
	if (uaef_spi_run(&delete_rule, &arg, &isnull) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 workflow == NULL ?
				 errmsg("there is no retention for all workflows") :
				 errmsg("workflow \"%s\" has no retention of its own",
						workflow),
				 errhint("See the view uaef.retention.")));
	record_rule("retention_dropped", workflow, NULL, NULL, role);
	uaef_spi_end(back);
}

/*
 * The rules, with the time before which each lets go.
 */
static Rule *
read_rules(TimestampTz now, int *n)
{
	Datum		arg = TimestampTzGetDatum(now);
	Rule	   *rules;

	*n = (int) uaef_spi_run(&find_rules, &arg, NULL);
	rules = palloc(sizeof(Rule) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
	{
		bool		isnull;
		Datum		statuses = uaef_spi_value(i, 2, &isnull);

		rules[i].workflow = uaef_spi_text(i, 1);
		rules[i].statuses = isnull ? NULL : DatumGetArrayTypePCopy(statuses);
		rules[i].before = DatumGetTimestampTz(uaef_spi_value(i, 3, &isnull));
	}
	SPI_freetuptable(SPI_tuptable);
	return rules;
}

TimestampTz
uaef_history_work(void)
{
	UaefCaller	back = uaef_spi_begin();
	TimestampTz now = uaef_clock_now();
	bool		more = false;
	int			n_rules;
	Rule	   *rules = read_rules(now, &n_rules);

	for (int i = 0; i < n_rules; i++)
	{
		Datum		args[3];
		char		nulls[3] = {' ', ' ', ' '};
		int			n = purge_batch(&rules[i], true, BATCH, back.user);

		if (n == 0)
			continue;
		args[0] = uaef_text_or_null(rules[i].workflow, &nulls[0]);
		args[1] = Int64GetDatum(n);
		args[2] = TimestampTzGetDatum(now);
		(void) uaef_spi_run(&count_purged, args, nulls);
		more = more || n > 0;
	}
	uaef_spi_end(back);
	if (n_rules == 0)
		return DT_NOEND;
	return TimestampTzPlusMilliseconds(now, more ? BATCH_PAUSE_MS :
									   uaef_retention_interval_ms);
}
