/*-------------------------------------------------------------------------
 *
 * limit.c
 *	  Limits of tasks and executions: asking for a place, giving it back.
 *
 * A task that has limits is put in a line (limit_waiter) instead of the ready
 * set, and what it has been given (limit_slot) goes when its attempt ends.
 * Both leave a note (limit_change) for the granter, which runs when they have
 * committed (limit_grant.c).
 *
 * Locking: no step locks anything that another execution's step writes.  A
 * step takes its waiters out first, waiting for the granter if that is just
 * moving them, and looks for slots after that, so that it sees what was
 * granted meanwhile.  The granter waits for nobody.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "utils/builtins.h"

#include "errcodes.h"
#include "limit.h"
#include "row_write.h"
#include "spi_util.h"
#include "wake.h"

/* Longest key. */
#define MAX_KEY 500

static UaefQuery delete_waiter = {
	"WITH gone AS (DELETE FROM uaef.limit_waiter"
	" WHERE execution_id = $1 AND task_no = $2 AND item = $3"
	" RETURNING limits, keys)"
	" INSERT INTO uaef.limit_change (limit_name, key, freed)"
	" SELECT l, k, 0 FROM gone,"
	" ROWS FROM (pg_catalog.unnest(limits), pg_catalog.unnest(keys)) AS u (l, k)",
	3, {UUIDOID, INT2OID, INT4OID}
};

static UaefQuery delete_slots = {
	"WITH gone AS (DELETE FROM uaef.limit_slot"
	" WHERE execution_id = $1 AND task_no = $2 AND item = $3"
	" RETURNING limit_name, key)"
	" INSERT INTO uaef.limit_change (limit_name, key, freed)"
	" SELECT limit_name, key, 1 FROM gone",
	3, {UUIDOID, INT2OID, INT4OID}
};

static UaefQuery find_slot = {
	"SELECT 1 FROM uaef.limit_slot"
	" WHERE execution_id = $1 AND task_no = $2 AND item = $3 LIMIT 1",
	3, {UUIDOID, INT2OID, INT4OID}
};

static UaefQuery find_asked = {
	"SELECT 1 FROM uaef.limit_waiter"
	" WHERE execution_id = $1 AND task_no = $2 AND item = $3"
	" UNION ALL SELECT 1 FROM uaef.limit_slot"
	" WHERE execution_id = $1 AND task_no = $2 AND item = $3 LIMIT 1",
	3, {UUIDOID, INT2OID, INT4OID}
};

static UaefQuery find_leaving = {
	"SELECT 1 FROM uaef.limit_slot"
	" WHERE execution_id = $1 AND task_no = $2 AND item = $3 AND leaving LIMIT 1",
	3, {UUIDOID, INT2OID, INT4OID}
};

/* The columns of limit_waiter and limit_change. */
enum
{
	WAITER_LIMIT_NAME, WAITER_KEY, WAITER_RANK, WAITER_TASK_ID,
	WAITER_EXECUTION_ID, WAITER_TASK_NO, WAITER_ITEM, WAITER_ATTEMPT,
	WAITER_QUEUE, WAITER_RUN_AS, WAITER_ON_LIMIT, WAITER_LIMITS, WAITER_KEYS,
	WAITER_CONCURRENCIES, WAITER_INTERVALS_US, WAITER_BURSTS,
	N_WAITER_COLUMNS
};

enum
{
	CHANGE_LIMIT_NAME, CHANGE_KEY, CHANGE_FREED, N_CHANGE_COLUMNS
};

/*
 * The limits of a task, or of an execution.
 */
static const UaefLimitDef *
limits_of(const UaefLimitRequest *request, int *n)
{
	if (request->task != NULL)
	{
		*n = request->task->def->n_limits;
		return request->task->def->limits;
	}
	*n = request->execution->def->n_limits;
	return request->execution->def->limits;
}

static char *
evaluate_key(const UaefLimitDef *limit, UaefScope *scope,
			 UaefEvalError *error)
{
	char	   *key;

	if (limit->key == NULL)
		return pstrdup("");
	key = uaef_template_fill_text(limit->key, scope, UAEF_ENCODE_TEXT, error);
	if (key != NULL && strlen(key) > MAX_KEY)
	{
		uaef_eval_fail(error, ERRCODE_UAEF_TOO_LARGE, "key", NULL,
					   "key of limit \"%s\" has more than %d bytes",
					   limit->name, MAX_KEY);
		return NULL;
	}
	return key;
}

bool
uaef_limit_ask(UaefExecution *execution, UaefTask *task, UaefEvalError *error)
{
	UaefStep   *step = execution->step;
	MemoryContext back = MemoryContextSwitchTo(step->context);
	UaefLimitRequest *request = palloc(sizeof(UaefLimitRequest));
	UaefScope  *scope = task != NULL ? uaef_task_scope(task) :
		uaef_execution_scope(execution);
	const UaefLimitDef *limits;
	bool		good = true;
	int			n;

	request->execution = execution;
	request->task = task;
	limits = limits_of(request, &n);
	request->keys = palloc(sizeof(char *) * n);
	for (int i = 0; i < n && good; i++)
	{
		request->keys[i] = evaluate_key(&limits[i], scope, error);
		good = request->keys[i] != NULL;
	}
	if (good)
		step->limit_requests = lappend(step->limit_requests, request);
	MemoryContextSwitchTo(back);
	return good;
}

void
uaef_limit_release(UaefExecution *execution, UaefTask *task)
{
	UaefStep   *step = execution->step;
	MemoryContext back = MemoryContextSwitchTo(step->context);
	UaefLimitRequest *request = palloc0(sizeof(UaefLimitRequest));

	request->execution = execution;
	request->task = task;
	step->limit_releases = lappend(step->limit_releases, request);
	MemoryContextSwitchTo(back);
}

static void
set_owner(Datum *args, UaefExecution *execution, UaefTask *task)
{
	args[0] = UUIDPGetDatum(&execution->id);
	args[1] = Int16GetDatum(task != NULL ? task->no : -1);
	args[2] = Int32GetDatum(task != NULL ? task->item : UAEF_NO_ITEM);
}

bool
uaef_limit_holds(UaefExecution *execution, UaefTask *task)
{
	Datum		args[3];

	set_owner(args, execution, task);
	return uaef_spi_run(&find_slot, args, NULL) > 0;
}

bool
uaef_limit_is_asked(UaefExecution *execution)
{
	Datum		args[3];

	set_owner(args, execution, NULL);
	return uaef_spi_run(&find_asked, args, NULL) > 0;
}

bool
uaef_limit_is_leaving(UaefExecution *execution)
{
	Datum		args[3];

	set_owner(args, execution, NULL);
	return uaef_spi_run(&find_leaving, args, NULL) > 0;
}

bool
uaef_limit_withdraw(UaefTask *task)
{
	Datum		args[3];

	set_owner(args, task->execution, task);
	if (uaef_spi_run(&delete_waiter, args, NULL) == 0)
	{
		if (!uaef_step_unready(task))
			return false;
		uaef_spi_run(&delete_slots, args, NULL);
	}
	uaef_wake_worker_on_commit(UAEF_WAKE_LIMITS);
	return true;
}

/*
 * The definition's limits as arrays, each of one property.
 */
static void
set_limits(Datum *values, const UaefLimitRequest *request)
{
	int			n;
	const UaefLimitDef *limits = limits_of(request, &n);
	Datum	   *columns[5];

	for (int column = 0; column < 5; column++)
		columns[column] = palloc(sizeof(Datum) * n);
	for (int i = 0; i < n; i++)
	{
		columns[0][i] = CStringGetTextDatum(limits[i].name);
		columns[1][i] = CStringGetTextDatum(request->keys[i]);
		columns[2][i] = Int32GetDatum(limits[i].shared ? -1 :
									  limits[i].bound.concurrency);
		columns[3][i] = Int64GetDatum(limits[i].bound.interval_us);
		columns[4][i] = Int32GetDatum(limits[i].bound.burst);
	}
	values[WAITER_LIMIT_NAME] = columns[0][0];
	values[WAITER_KEY] = columns[1][0];
	values[WAITER_LIMITS] = uaef_array(columns[0], NULL, n, TEXTOID);
	values[WAITER_KEYS] = uaef_array(columns[1], NULL, n, TEXTOID);
	values[WAITER_CONCURRENCIES] = uaef_array(columns[2], NULL, n, INT4OID);
	values[WAITER_INTERVALS_US] = uaef_array(columns[3], NULL, n, INT8OID);
	values[WAITER_BURSTS] = uaef_array(columns[4], NULL, n, INT4OID);
}

/*
 * Who waits, and what to do when it has been granted: a row of the ready set,
 * or, where there is no queue, a timer.
 */
static void
set_waiter(Datum *values, bool *nulls, const UaefLimitRequest *request)
{
	static const char *const on_limit[] = {
		[UAEF_ON_LIMIT_QUEUE] = "queue",
		[UAEF_ON_LIMIT_SKIP] = "skip",
		[UAEF_ON_LIMIT_CANCEL_OLDEST] = "cancel_oldest"
	};
	UaefExecution *execution = request->execution;
	UaefTask   *task = request->task;
	bool		ready = task != NULL &&
		(task->def->type == UAEF_TASK_SQL ||
		 task->def->type == UAEF_TASK_AGENT ||
		 task->def->type == UAEF_TASK_EXTERNAL);
	UaefOnLimit what = task != NULL ? UAEF_ON_LIMIT_QUEUE :
		execution->def->on_limit;

	memset(nulls, 0, sizeof(bool) * N_WAITER_COLUMNS);
	values[WAITER_RANK] = Int64GetDatum(task != NULL ? uaef_task_rank(task) :
										uaef_rank(execution->created_at,
												  execution->priority));
	values[WAITER_TASK_ID] = Int64GetDatum(task != NULL ? task->task_id : 0);
	values[WAITER_EXECUTION_ID] = UUIDPGetDatum(&execution->id);
	values[WAITER_TASK_NO] = Int16GetDatum(task != NULL ? task->no : -1);
	values[WAITER_ITEM] = Int32GetDatum(task != NULL ? task->item :
										UAEF_NO_ITEM);
	values[WAITER_ATTEMPT] = Int32GetDatum(task != NULL ? task->attempt : 0);
	if (ready)
		values[WAITER_QUEUE] = CStringGetTextDatum(uaef_task_queue(task));
	else
		nulls[WAITER_QUEUE] = true;
	values[WAITER_RUN_AS] = ObjectIdGetDatum(ready ? uaef_task_run_as(task) :
											 InvalidOid);
	values[WAITER_ON_LIMIT] = CStringGetTextDatum(on_limit[what]);
	set_limits(values, request);
}

/*
 * Note that somebody came to a key, once for each key and step.
 */
static void
note_arrival(UaefTable *changes, HTAB *noted, Datum limit, Datum key)
{
	bool		nulls[N_CHANGE_COLUMNS] = {false};
	Datum		values[N_CHANGE_COLUMNS];
	char	   *name = TextDatumGetCString(limit);
	char	   *which = TextDatumGetCString(key);
	char		both[MAX_KEY * 2 + 2] = {0};
	bool		found;

	snprintf(both, sizeof(both), "%s\n%s", name, which);
	hash_search(noted, both, HASH_ENTER, &found);
	if (found)
		return;
	values[CHANGE_LIMIT_NAME] = limit;
	values[CHANGE_KEY] = key;
	values[CHANGE_FREED] = Int32GetDatum(0);
	uaef_table_insert(changes, values, nulls, NULL);
}

static void
write_requests(UaefStep *step)
{
	HASHCTL		control = {
		.keysize = MAX_KEY * 2 + 2,
		.entrysize = MAX_KEY * 2 + 2,
		.hcxt = CurrentMemoryContext
	};
	HTAB	   *noted = hash_create("uaef limit arrivals", 16, &control,
									HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	UaefTable	waiters;
	UaefTable	changes;
	ListCell   *cell;

	uaef_table_open(&waiters, "limit_waiter");
	uaef_table_open(&changes, "limit_change");
	foreach(cell, step->limit_requests)
	{
		UaefLimitRequest *request = lfirst(cell);
		Datum		values[N_WAITER_COLUMNS];
		bool		nulls[N_WAITER_COLUMNS];

		/* What was cancelled in the same step waits for nothing. */
		if (request->task != NULL ? request->task->status != UAEF_TASK_QUEUED
			: uaef_execution_ended(request->execution->status))
			continue;
		set_waiter(values, nulls, request);
		uaef_table_insert(&waiters, values, nulls, NULL);
		note_arrival(&changes, noted, values[WAITER_LIMIT_NAME],
					 values[WAITER_KEY]);
	}
	uaef_table_close(&changes);
	uaef_table_close(&waiters);
	hash_destroy(noted);
}

void
uaef_limit_write(UaefStep *step)
{
	ListCell   *cell;

	if (step->limit_requests == NIL && step->limit_releases == NIL)
		return;
	foreach(cell, step->limit_releases)
	{
		UaefLimitRequest *request = lfirst(cell);
		Datum		args[3];

		set_owner(args, request->execution, request->task);
		uaef_spi_run(&delete_waiter, args, NULL);
		uaef_spi_run(&delete_slots, args, NULL);
	}
	if (step->limit_requests != NIL)
		write_requests(step);
	step->limit_releases = NIL;
	step->limit_requests = NIL;
	uaef_wake_worker_on_commit(UAEF_WAKE_LIMITS);
}
