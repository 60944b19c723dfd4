/*-------------------------------------------------------------------------
 *
 * sql_task.c
 *	  Claiming SQL tasks, running them, and applying what they gave: all in
 *	  one transaction, so that a task takes effect exactly once.
 *
 * An executor takes several short tasks into one transaction, because a
 * commit costs more than they do.  Each runs in a subtransaction.  Executions
 * are locked only after all of them have run, so a long task holds nothing
 * that others need.
 *
 * A task that fails in company is not judged: its effects are undone, it goes
 * back to the ready set, and it runs again alone, so that neither a
 * neighbour's temporary table nor its row locks can be the cause.  The same
 * goes for a whole batch that fails at its commit.
 *
 * Only tasks that were short before are taken along; another one is claimed
 * alone, for what is claimed is out of everybody's sight until the transaction
 * ends.
 *
 * A task that kills its executor leaves nothing in any table.  The executor
 * marks which task it is at where it survives (running_mark.c), and the worker
 * counts it afterwards (uaef_engine_task_lost).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type_d.h"
#include "commands/async.h"
#include "commands/prepare.h"
#include "commands/sequence.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "advance.h"
#include "engine.h"
#include "errcodes.h"
#include "failure.h"
#include "guc.h"
#include "policy_check.h"
#include "ready_claim.h"
#include "ready_news.h"
#include "running_mark.h"
#include "spi_util.h"
#include "sql_run.h"
#include "task_input.h"
#include "uuid7.h"
#include "wake.h"

/* The kind of advisory lock that is ours; pg_advisory_lock() has 1 and 2. */
#define SUSPECT_LOCK 0x7561

/* One transaction's tasks. */
typedef struct Batch
{
	int			limit;			/* how many it may claim */
	int			n_claimed;
	int			again_ms;		/* there may be more then; 0: no */
	UaefStep   *peek;			/* executions as they were when claimed */
	UaefSqlJob *jobs;			/* as long as the transaction */
	UaefTaskRef first;			/* that of the first one */
	int			n_jobs;			/* to be run */
	int			n_run;			/* that were run; the rest goes back */
	int			n_succeeded;
	bool		met_long;		/* the first that was not run may take long */
	bool		may_grow;		/* none of those that were run usually does */
} Batch;

/* What the execution has become of a task that has been run. */
typedef enum Standing
{
	WANTED,						/* it is as it was claimed */
	ENDED_HERE,					/* it ended its own task */
	ENDED_ELSEWHERE				/* another did, or may have: undo what it did */
} Standing;

/*
 * How many tasks the next claim takes: grown while batches stay short, shrunk
 * when they do not, 1 after a batch that failed as a whole, and for a task that
 * may take long.  For what is claimed and not run goes back to the ready set, it is
 * grown with care for a while after that.
 */
static int	claim_size = 1;
static int	careful = 0;		/* for so many batches */

#define CAREFUL_BATCHES 32

static bool may_run(const UaefExecution *execution, const UaefTask *task);
static void claim_batch(Batch *batch, Oid role);
static void run_batch(Batch *batch);
static bool apply_batch(Batch *batch, Oid role);
static bool run_in_transaction(Batch *batch, Oid role);
static void judge_failure(const Batch *batch, const ErrorData *error,
						  Oid role);
static void fail_alone(const UaefTaskRef *ref, const ErrorData *error,
					   Oid role);

Oid
uaef_engine_role_with_work(Oid after, const Oid *busy, int n_busy)
{
	UaefCaller	back = uaef_spi_begin();
	Oid			role = uaef_ready_next_role(UAEF_SQL_QUEUE, after, busy, n_busy);

	uaef_spi_end(back);
	return role;
}

bool
uaef_engine_role_has_work(Oid role, int64 rank)
{
	UaefCaller	back = uaef_spi_begin();
	bool		found = uaef_ready_has(UAEF_SQL_QUEUE, role, rank);

	uaef_spi_end(back);
	return found;
}

/*
 * A lock_timeout of the role, for its own SQL, is not for what we wait for: it
 * would make a failure of a task that has none.  Lasts until the end of the
 * nest level.
 */
static void
wait_for_locks(void)
{
	if (LockTimeout != 0)
		(void) set_config_option("lock_timeout", "0", PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
								 false);
}

/*
 * Set settings of the role aside; returns the nest level.
 */
static int
pin_settings(void)
{
	int			level = uaef_pin_search_path();

	wait_for_locks();
	return level;
}

/*
 * A paused execution begins nothing, but what it waits for may come about.
 */
static bool
may_run(const UaefExecution *execution, const UaefTask *task)
{
	return uaef_task_stands_ready(task) &&
		(execution->status == UAEF_EXECUTION_RUNNING ||
		 (execution->status == UAEF_EXECUTION_PAUSED &&
		  task->status == UAEF_TASK_RUNNING));
}

/*
 * Make a job of a claimed task, unless it is no longer to be run.  A task
 * whose input cannot be filled in is a job that has failed already.
 */
static void
add_job(Batch *batch, const UaefTaskRef *ref)
{
	UaefExecution *execution = uaef_step_execution(batch->peek,
												   &ref->execution_id);
	UaefTask   *task = execution == NULL ? NULL :
		uaef_execution_find(execution, ref->task_no, ref->item);
	UaefSqlJob *job = &batch->jobs[batch->n_jobs];
	UaefEvalError error = {0};

	if (task == NULL || !may_run(execution, task))
		return;

	memset(job, 0, sizeof(UaefSqlJob));
	job->task = task;
	job->ref = *ref;
	job->ref.attempt = task->attempt;
	job->input = uaef_task_input(task, &error);
	if (job->input == NULL)
		uaef_failure_from_eval(&job->failure, &error);
	job->guard = uaef_policy_guard(task);
	batch->n_jobs++;
}

/*
 * Take tasks out of the ready set.  All is allocated in the current context.
 */
static void
claim_batch(Batch *batch, Oid role)
{
	MemoryContext context = CurrentMemoryContext;
	UaefTaskRef *refs = palloc0(sizeof(UaefTaskRef) * batch->limit);
	pg_uuid_t  *ids = palloc(sizeof(pg_uuid_t) * batch->limit);
	UaefCaller	back = uaef_spi_begin();
	int			n;

	MemoryContextSwitchTo(context);
	n = uaef_ready_claim(UAEF_SQL_QUEUE, role, batch->limit, refs);
	batch->again_ms = uaef_ready_again_ms();
	for (int i = 0; i < n; i++)
		ids[i] = refs[i].execution_id;

	batch->n_claimed = n;
	batch->peek = uaef_step_begin("system", NULL);
	batch->jobs = palloc(sizeof(UaefSqlJob) * Max(n, 1));
	uaef_step_peek(batch->peek, ids, n);
	uaef_step_fetch(batch->peek, refs, n);
	for (int i = 0; i < n; i++)
		add_job(batch, &refs[i]);
	if (batch->n_jobs > 0)
		batch->first = batch->jobs[0].ref;
	uaef_spi_end(back);
}

/*
 * A task that was running when its executor or the server went down runs while
 * no other such task does, until the transaction ends: so that the next time it
 * is known which of them it was.
 */
static void
be_alone(void)
{
	LOCKTAG		tag;
	int			guc_level = NewGUCNestLevel();

	/* Like an advisory lock, but no function of SQL can have it. */
	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, 0, 0, SUSPECT_LOCK);
	wait_for_locks();
	(void) LockAcquire(&tag, ExclusiveLock, false, false);
	AtEOXact_GUC(true, guc_level);
}

/*
 * Whether a task is known to take no longer than a batch may.  One that is not to
 * be run at all, for want of an input, takes no time.
 */
static bool
is_short(const UaefSqlJob *job)
{
	double		usual;

	if (job->input == NULL)
		return true;
	usual = uaef_sql_usual_us(job->task);
	return job->task->losses == 0 && usual >= 0 &&
		usual <= uaef_executor_batch_ms * 1000.0;
}

/*
 * Whether the first job may take long while others are claimed, which nobody
 * else could run meanwhile.
 */
static bool
holds_up_others(const Batch *batch)
{
	return batch->n_jobs > 1 && !is_short(&batch->jobs[0]);
}

/*
 * Have others told of those that they passed over, when the claim is undone.
 */
static void
offer_others(const Batch *batch, Oid role)
{
	for (int i = 1; i < batch->n_jobs; i++)
		uaef_wake_executor_on_abort(role, uaef_task_rank(batch->jobs[i].task));
}

/*
 * Have others run what we leave while we are at a task that may take long.  What
 * a batch of short ones leaves is offered by the executor after it.
 */
static void
offer_rest(const Batch *batch, Oid role)
{
	int64		rank = uaef_ready_news_rest();

	/* Of two tasks we take one ourselves. */
	if (batch->n_jobs == 1 && rank != UAEF_NO_RANK &&
		!is_short(&batch->jobs[0]))
		uaef_wake_executors(role, 2, rank);
}

/*
 * Run jobs until the time for one commit is over, or one comes that may take
 * longer than that.
 */
static void
run_batch(Batch *batch)
{
	instr_time	start;
	double		limit_us = uaef_executor_batch_ms * 1000.0;

	INSTR_TIME_SET_CURRENT(start);
	for (int i = 0; i < batch->n_jobs; i++)
	{
		UaefSqlJob *job = &batch->jobs[i];
		instr_time	now;

		if (i > 0)
		{
			batch->met_long = !is_short(job);
			INSTR_TIME_SET_CURRENT(now);
			INSTR_TIME_SUBTRACT(now, start);
			if (batch->met_long ||
				INSTR_TIME_GET_DOUBLE(now) * 1000000.0 > limit_us)
				break;
		}
		if (job->task->losses > 0)
			be_alone();
		if (job->input != NULL)
		{
			uaef_running_mark(&job->ref);
			uaef_sql_run(job, true);
		}
		batch->n_run++;
		if (job->succeeded)
			batch->n_succeeded++;
		if (job->task->losses > 0)
			break;

		/* What it left there, no other task of this transaction may see. */
		if (MyXactFlags & XACT_FLAGS_ACCESSEDTEMPNAMESPACE)
			break;
	}
	batch->may_grow = batch->n_jobs == batch->limit &&
		(batch->n_run > 1 || is_short(&batch->jobs[0]));
}

/*
 * What has become of a job's task since it was claimed.  A task's SQL may have
 * ended its own execution, say by uaef.cancel_workflow(): that stands, with the
 * rest of what it did.  In company it may have been a neighbour that did so; it is
 * told apart when each runs alone.
 */
static Standing
standing_of(const Batch *batch, UaefExecution *execution, UaefTask *task,
			const UaefSqlJob *job)
{
	if (task != NULL && uaef_task_stands_ready(task) &&
		task->attempt == job->ref.attempt &&
		!uaef_execution_ended(execution->status))
		return WANTED;
	if (batch->n_run == 1 && execution != NULL &&
		(execution->ours || (task && task->ours)))
		return ENDED_HERE;
	return ENDED_ELSEWHERE;
}

/*
 * Apply what one job gave; false when its effects must not be committed.
 */
static bool
apply_job(Batch *batch, UaefStep *step, UaefSqlJob *job)
{
	UaefExecution *execution = uaef_step_execution(step,
												   &job->ref.execution_id);
	UaefTask   *task = execution == NULL ? NULL :
		uaef_execution_find(execution, job->ref.task_no, job->ref.item);
	Standing	standing = standing_of(batch, execution, task, job);

	if (standing != WANTED)
		return standing == ENDED_HERE || !job->succeeded || job->not_yet;
	if (job->succeeded || batch->n_run == 1 || job->input == NULL)
		uaef_sql_job_end(task, job);
	return true;
}

/*
 * Put back what was claimed and is not to be judged now.
 */
static void
return_jobs(Batch *batch, UaefStep *step)
{
	for (int i = 0; i < batch->n_jobs; i++)
	{
		UaefSqlJob *job = &batch->jobs[i];

		if (i >= batch->n_run ||
			(!job->succeeded && batch->n_run > 1 && job->input != NULL))
			step->ready = lappend(step->ready, job->task);
	}
}

/*
 * Apply what the jobs gave.  Returns false when one of the tasks has been
 * cancelled meanwhile, by another session or by its neighbour: its effects must not
 * be committed.
 */
static bool
apply_batch(Batch *batch, Oid role)
{
	int			guc_level = pin_settings();
	MemoryContext context = CurrentMemoryContext;
	pg_uuid_t  *ids = palloc(sizeof(pg_uuid_t) * Max(batch->n_jobs, 1));
	UaefTaskRef *refs = palloc(sizeof(UaefTaskRef) * Max(batch->n_jobs, 1));
	char	   *actor = GetUserNameFromId(role, true);
	UaefCaller	back = uaef_spi_begin();
	UaefStep   *step;
	bool		good = true;

	MemoryContextSwitchTo(context);
	step = uaef_step_begin("system", actor);
	for (int i = 0; i < batch->n_run; i++)
	{
		refs[i] = batch->jobs[i].ref;
		ids[i] = refs[i].execution_id;
	}
	uaef_step_lock(step, ids, batch->n_run);
	uaef_step_fetch(step, refs, batch->n_run);

	for (int i = 0; i < batch->n_run && good; i++)
		good = apply_job(batch, step, &batch->jobs[i]);
	if (good)
	{
		return_jobs(batch, step);
		uaef_step_write(step);
	}
	uaef_spi_end(back);
	AtEOXact_GUC(true, guc_level);
	return good;
}

/*
 * Leave the session as a task should find it: without the prepared statements,
 * held cursors, session locks, sequence values and temporary tables of those
 * before it.  A transaction that is undone takes only its tables along.
 */
static void
clean_session(bool temporary_tables)
{
	DropAllPreparedStatements();
	PortalHashTableDeleteAll();
	LockReleaseAll(USER_LOCKMETHOD, true);
	ResetSequenceCaches();
	if (temporary_tables)
	{
		StartTransactionCommand();
		PushActiveSnapshot(GetTransactionSnapshot());
		ResetTempTableNamespace();
		PopActiveSnapshot();
		CommitTransactionCommand();
	}
}

/*
 * What we were told of went with the extension; who believes that there is
 * something left would look again and again.
 */
static void
forget_news(void)
{
	int64		rank;

	(void) uaef_ready_news_hear(&rank);
	uaef_ready_news_left_at(UAEF_NO_RANK);
}

/*
 * Claim, run and apply; false when the batch had to be undone, or its claim.
 */
static bool
run_in_transaction(Batch *batch, Oid role)
{
	bool		temporary_tables;
	int			guc_level;
	bool		good;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	guc_level = pin_settings();
	if (!uaef_lock_extension())
	{
		CommitTransactionCommand();
		forget_news();
		return true;
	}
	PushActiveSnapshot(GetTransactionSnapshot());
	claim_batch(batch, role);
	AtEOXact_GUC(true, guc_level);
	good = !holds_up_others(batch);
	if (good)
	{
		offer_rest(batch, role);
		run_batch(batch);
	}
	else
		offer_others(batch, role);
	temporary_tables = (MyXactFlags & XACT_FLAGS_ACCESSEDTEMPNAMESPACE) != 0;
	if (good && batch->n_jobs > 0)
		good = apply_batch(batch, role);
	if (good)
	{
		Async_UnlistenAll();
		PopActiveSnapshot();
		CommitTransactionCommand();
	}
	else
		AbortOutOfAnyTransaction();
	clean_session(temporary_tables);
	return good;
}

/*
 * How many tasks to claim next.
 */
static void
adapt_claim_size(const Batch *batch, bool good)
{
	if (!good || batch->n_succeeded < batch->n_jobs)
		uaef_ready_given_back();
	if (!good || batch->n_succeeded < batch->n_run)
		claim_size = 1;			/* so that the failed ones run alone */
	else if (batch->n_run < batch->n_jobs)
	{
		claim_size = batch->met_long ? 1 : Max(1, batch->n_run);
		careful = CAREFUL_BATCHES;
	}
	else if (batch->may_grow)
	{
		claim_size += careful > 0 ? claim_size / 16 + 1 : claim_size;
		claim_size = Min(claim_size, uaef_executor_batch_size);
		careful = Max(careful - 1, 0);
	}
}

/*
 * Whether a transaction lost against another one, which says nothing of its
 * tasks: a deadlock, a serialization failure.
 */
static bool
is_conflict(const ErrorData *error)
{
	return ERRCODE_TO_CATEGORY(error->sqlerrcode) ==
		ERRCODE_TRANSACTION_ROLLBACK;
}

int
uaef_sql_run_batch(Oid role, int *again_ms)
{
	MemoryContext context = CurrentMemoryContext;
	Batch	   *volatile batch = palloc0(sizeof(Batch));

	batch->limit = claim_size;
	PG_TRY();
	{
		bool		good = run_in_transaction(batch, role);

		adapt_claim_size(batch, good);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		AbortOutOfAnyTransaction();
		clean_session(false);
		claim_size = 1;
		uaef_ready_given_back();
		judge_failure(batch, error, role);
	}
	PG_END_TRY();
	uaef_running_mark(NULL);
	MemoryContextSwitchTo(context);
	*again_ms = batch->again_ms;
	return batch->n_claimed;
}

/*
 * The task that is about to come, and its execution, will stand at the end of the
 * indexes, where those of now would.
 */
void
uaef_sql_make_ready(Oid role)
{
	UaefCaller	back;
	pg_uuid_t	id;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	(void) pin_settings();
	if (uaef_lock_extension())
	{
		PushActiveSnapshot(GetTransactionSnapshot());
		back = uaef_spi_begin();
		(void) uaef_ready_has(UAEF_SQL_QUEUE, role, GetCurrentTimestamp());
		uaef_uuid7(&id);
		uaef_step_peek(uaef_step_begin("system", NULL), &id, 1);
		uaef_spi_end(back);
		PopActiveSnapshot();
	}
	CommitTransactionCommand();
}

/*
 * A transaction has failed as a whole.  One task alone answers for it; several
 * are run again one by one.
 */
static void
judge_failure(const Batch *batch, const ErrorData *error, Oid role)
{
	if (batch->n_jobs == 0)
		ReThrowError(unconstify(ErrorData *, error));
	if (batch->n_jobs == 1 && !is_conflict(error))
		fail_alone(&batch->first, error, role);
}

/*
 * A task whose transaction failed at its commit, alone: its failure is
 * recorded by another transaction.
 */
static void
fail_alone(const UaefTaskRef *ref, const ErrorData *error, Oid role)
{
	UaefFailure failure;
	UaefCaller	back;
	UaefStep   *step;
	UaefExecution *execution;
	int			guc_level;

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	guc_level = pin_settings();
	uaef_failure_from_error(&failure, error);
	back = uaef_spi_begin();
	step = uaef_step_begin("system", GetUserNameFromId(role, true));
	uaef_step_lock(step, &ref->execution_id, 1);
	execution = uaef_step_execution(step, &ref->execution_id);
	if (execution != NULL && !uaef_execution_ended(execution->status))
	{
		UaefTask   *task = uaef_execution_find(execution, ref->task_no,
											   ref->item);

		if (task != NULL && uaef_task_stands_ready(task) &&
			task->attempt == ref->attempt)
		{
			(void) uaef_step_unready(task);
			uaef_advance_fail(task, &failure);
			uaef_step_write(step);
		}
	}
	uaef_spi_end(back);
	AtEOXact_GUC(true, guc_level);
	PopActiveSnapshot();
	CommitTransactionCommand();
}
