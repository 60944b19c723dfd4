/*-------------------------------------------------------------------------
 *
 * sql_run.c
 *	  Running the SQL of one task, in a subtransaction of its own.
 *
 * The SQL runs with the rights of the current user, through a plan that the
 * backend keeps by definition and task, as long as there is room.  Settings that
 * it changes are put back, and a timer of its own stops it when the task's time
 * is over.  The guard of data_access policies is up while it runs, and while what
 * it deferred fires.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type_d.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timeout.h"

#include "advance.h"
#include "clock.h"
#include "errcodes.h"
#include "failure.h"
#include "guc.h"
#include "policy_check.h"
#include "sql_run.h"
#include "task_kind.h"
#include "wait_task.h"

/* Whose plan it is.  The table's OID tells one installation from the next. */
typedef struct PlanKey
{
	Oid			table;
	int32		definition_id;
	int32		task_no;
	int32		compensation;	/* 1: what undoes the task */
} PlanKey;

typedef struct PlanEntry
{
	PlanKey		key;
	SPIPlanPtr	plan;
	double		usual_us;		/* moving average; -1: never run */
} PlanEntry;

/* Plans kept, and tasks of which it is known how long they take. */
#define MAX_PLANS 512
#define MAX_KNOWN 16384

/* What this backend keeps of tasks, and how many plans are in it. */
static HTAB *plans = NULL;
static int	n_plans = 0;

/* The timer's reason in this process, once registered, and whether it rang. */
static bool timer_registered = false;
static TimeoutId timer;
static volatile sig_atomic_t timed_out = false;

/* Whether a task's SQL is running; they do not nest. */
static bool running = false;

static PlanEntry *plan_entry(const UaefTask *task);
static Jsonb *run_plan(UaefSqlJob *job);
static bool is_true(void);
static Jsonb *result_to_jsonb(int rc);

/*
 * Runs in a signal handler: ask for a cancel, as statement_timeout does.
 */
static void
task_timeout_handler(void)
{
	timed_out = true;
	InterruptPending = true;
	QueryCancelPending = true;
	SetLatch(MyLatch);
}

static void
start_timer(int64 timeout_ms)
{
	timed_out = false;
	if (timeout_ms <= 0)
		return;
	if (!timer_registered)
	{
		timer = RegisterTimeout(USER_TIMEOUT, task_timeout_handler);
		timer_registered = true;
	}
	enable_timeout_after(timer, (int) Min(timeout_ms, PG_INT32_MAX));
}

/*
 * The timer may have rung when the SQL was just done: then nothing is left to
 * cancel.
 */
static void
stop_timer(int64 timeout_ms)
{
	if (timeout_ms <= 0)
		return;
	disable_timeout(timer, false);
	if (timed_out)
		QueryCancelPending = false;
}

static PlanEntry *
plan_entry(const UaefTask *task)
{
	PlanKey		key = {0};
	PlanEntry  *entry;
	bool		found;

	if (plans == NULL)
	{
		HASHCTL		info = {0};

		info.keysize = sizeof(PlanKey);
		info.entrysize = sizeof(PlanEntry);
		plans = hash_create("uaef SQL tasks", 64, &info,
							HASH_ELEM | HASH_BLOBS);
	}
	key.table = get_relname_relid("workflow_definition",
								  get_namespace_oid("uaef", false));
	key.definition_id = task->execution->def->definition_id;
	key.task_no = task->no;
	key.compensation = task->item == UAEF_COMPENSATION ? 1 : 0;
	entry = hash_search(plans, &key, HASH_ENTER, &found);
	if (!found)
	{
		entry->plan = NULL;
		entry->usual_us = -1;
	}
	return entry;
}

/*
 * Make room for one more plan, while none is in use, for tasks do not nest.  All
 * go: to plan those again that are needed costs no more than filling the room did.
 */
static void
make_room(const PlanEntry *keep)
{
	HASH_SEQ_STATUS scan;
	PlanEntry  *entry;
	bool		forget = hash_get_num_entries(plans) > MAX_KNOWN;

	if (n_plans < MAX_PLANS && !forget)
		return;
	hash_seq_init(&scan, plans);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		if (entry->plan != NULL)
			SPI_freeplan(entry->plan);
		entry->plan = NULL;
		if (forget && entry != keep)
			(void) hash_search(plans, &entry->key, HASH_REMOVE, NULL);
	}
	n_plans = 0;
}

double
uaef_sql_usual_us(const UaefTask *task)
{
	return plan_entry(task)->usual_us;
}

/*
 * Execute the task's statement and turn its result into the output, which is
 * allocated in the context that was current before.
 */
static Jsonb *
run_plan(UaefSqlJob *job)
{
	PlanEntry  *entry = plan_entry(job->task);
	const char *sql = uaef_task_sql(job->task->def)->sql;
	Oid			type = JSONBOID;
	Datum		arg = JsonbPGetDatum(job->input);
	UaefFailure failure;
	Jsonb	   *output = NULL;
	int			rc;

	SPI_connect();
	if (entry->plan == NULL)
	{
		SPIPlanPtr	plan = SPI_prepare(sql, 1, &type);

		make_room(entry);
		if (plan == NULL || SPI_keepplan(plan) != 0)
			elog(ERROR, "could not prepare the task's statement: %s",
				 SPI_result_code_string(SPI_result));
		entry->plan = plan;
		n_plans++;
	}
	rc = SPI_execute_plan(entry->plan, &arg, NULL, false, 0);
	if (rc < 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a SQL task cannot run this kind of statement"),
				 errdetail("SPI says %s.", SPI_result_code_string(rc))));
	job->not_yet = job->task->def->type == UAEF_TASK_WAIT && !is_true();
	if (!job->not_yet)
		output = result_to_jsonb(rc);

	/* An output that does not fit is an error, so what the SQL did is undone. */
	if (output != NULL &&
		!uaef_failure_unless_fits(&failure, "output of the task",
								  job->task->def->output_schema, output))
		uaef_failure_raise(&failure);
	SPI_finish();
	return output;
}

/*
 * What the query of a wait says: a boolean alone is the answer; anything else
 * is true when there is a row.
 */
static bool
is_true(void)
{
	SPITupleTable *table = SPI_tuptable;
	bool		isnull;
	Datum		value;

	if (table == NULL || table->numvals == 0)
		return false;
	if (table->tupdesc->natts != 1 ||
		SPI_gettypeid(table->tupdesc, 1) != BOOLOID)
		return true;
	if (table->numvals > 1)
		ereport(ERROR,
				(errcode(ERRCODE_CARDINALITY_VIOLATION),
				 errmsg("the query of a wait gave %llu booleans",
						(unsigned long long) table->numvals),
				 errhint("Use bool_and() or bool_or() to make one of them, or a WHERE clause and another column.")));
	value = SPI_getbinval(table->vals[0], table->tupdesc, 1, &isnull);
	return !isnull && DatumGetBool(value);
}

/*
 * One row gives an object, several an array of objects, none {"rows": n}.
 */
static Jsonb *
result_to_jsonb(int rc)
{
	SPITupleTable *table = SPI_tuptable;
	StringInfoData buffer;
	Jsonb	   *document;
	Jsonb	   *copy;
	UaefJson	json;

	if (table == NULL || table->numvals == 0)
	{
		uaef_json_begin(&json);
		uaef_json_int(&json, "rows", (int64) SPI_processed);
		document = uaef_json_end(&json);
	}
	else
	{
		TupleDesc	desc = BlessTupleDesc(table->tupdesc);

		initStringInfo(&buffer);
		if (table->numvals > 1)
			appendStringInfoChar(&buffer, '[');
		for (uint64 i = 0; i < table->numvals; i++)
		{
			Datum		row = heap_copy_tuple_as_datum(table->vals[i], desc);
			Datum		row_json = DirectFunctionCall1(row_to_json, row);

			if (i > 0)
				appendStringInfoChar(&buffer, ',');
			appendStringInfoString(&buffer, TextDatumGetCString(row_json));
			CHECK_FOR_INTERRUPTS();
		}
		if (table->numvals > 1)
			appendStringInfoChar(&buffer, ']');
		document = DatumGetJsonbP(DirectFunctionCall1(jsonb_in,
													  CStringGetDatum(buffer.data)));
	}

	if (VARSIZE(document) > (Size) uaef_max_payload_kb * 1024)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_TOO_LARGE),
				 errmsg("output of the task is too large"),
				 errdetail("It takes %zu kB; uaef.max_payload_size is %d kB.",
						   (Size) VARSIZE(document) / 1024,
						   uaef_max_payload_kb)));
	copy = SPI_palloc(VARSIZE(document));
	memcpy(copy, document, VARSIZE(document));
	return copy;
}

/*
 * Fire the triggers and check the constraints that the SQL deferred, so that
 * their errors are the task's and not the commit's.
 *
 * They stay immediate until the transaction ends.  So a later task of a batch
 * whose SQL needs a constraint that is initially deferred fails in company, and
 * is run again alone, where nothing came before it.
 */
static void
check_deferred_constraints(void)
{
	ConstraintsSetStmt stmt;

	memset(&stmt, 0, sizeof(stmt));
	NodeSetTag(&stmt, T_ConstraintsSetStmt);
	stmt.constraints = NIL;
	stmt.deferred = false;
	AfterTriggerSetState(&stmt);
}

static void
note_duration(const UaefTask *task, instr_time start)
{
	PlanEntry  *entry = plan_entry(task);
	instr_time	now;
	double		us;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, start);
	us = INSTR_TIME_GET_DOUBLE(now) * 1000000.0;
	entry->usual_us = entry->usual_us < 0 ? us :
		0.8 * entry->usual_us + 0.2 * us;
}

/*
 * The time after which the SQL is stopped; 0: none.
 */
static int64
time_limit_ms(const UaefSqlJob *job)
{
	int64		own = job->task->def->timeout_ms;
	int64		given = uaef_guard_timeout_ms(job->guard);

	return own > 0 && given > 0 ? Min(own, given) : Max(own, given);
}

/*
 * Tell the guard how long it was.
 */
static void
judge_time(const UaefSqlJob *job, instr_time start)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, start);
	uaef_guard_took(job->guard, (int64) INSTR_TIME_GET_MILLISEC(now));
}

static void
failure_of(UaefSqlJob *job, const ErrorData *error)
{
	job->timed_out = timed_out && error->sqlerrcode == ERRCODE_QUERY_CANCELED;
	if (uaef_policy_failure(&job->failure, job->guard))
		job->timed_out = false;
	else if (job->timed_out)
		uaef_failure_timeout(&job->failure, job->task->def);
	else
		uaef_failure_from_error(&job->failure, error);
}

void
uaef_sql_job_end(UaefTask *task, const UaefSqlJob *job)
{
	bool		is_wait = task->def->type == UAEF_TASK_WAIT;

	if (job->began_at != 0 && !is_wait)
		task->started_at = job->began_at;
	if (!job->not_yet)
		uaef_policy_record_guard(task, job->guard);
	if (job->not_yet)
		uaef_wait_task_again(task);
	else if (job->succeeded)
		uaef_advance_complete(task, job->output, is_wait ? "met" : NULL);
	else if (is_wait && job->timed_out)
		uaef_task_kind(task)->time_out(task);
	else
		uaef_advance_fail(task, &job->failure);
}

bool
uaef_sql_running(void)
{
	return running;
}

void
uaef_sql_run(UaefSqlJob *job, bool whole_transaction)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	int64		timeout_ms = time_limit_ms(job);
	instr_time	start;

	/*
	 * What the caller has deferred is not for the task's guard to judge; from
	 * here on nothing is deferred, so that what the task does is.
	 */
	if (job->guard != NULL && !whole_transaction)
		check_deferred_constraints();
	INSTR_TIME_SET_CURRENT(start);
	job->began_at = uaef_clock_now();
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		int			level = NewGUCNestLevel();

		running = true;
		start_timer(timeout_ms);
		uaef_guard_up(job->guard);
		job->output = run_plan(job);
		if (whole_transaction && !job->not_yet)
			check_deferred_constraints();
		stop_timer(timeout_ms);
		judge_time(job, start);
		uaef_guard_down();
		running = false;
		AtEOXact_GUC(false, level);
		if (job->not_yet)
			RollbackAndReleaseCurrentSubTransaction();
		else
			ReleaseCurrentSubTransaction();
		job->succeeded = true;
	}
	PG_CATCH();
	{
		ErrorData  *error;

		uaef_guard_drop();
		stop_timer(timeout_ms);
		running = false;
		MemoryContextSwitchTo(context);
		judge_time(job, start);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		if (!whole_transaction && !timed_out &&
			error->sqlerrcode == ERRCODE_QUERY_CANCELED)
			ReThrowError(error);
		failure_of(job, error);
		job->succeeded = false;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	note_duration(job->task, start);
}
