/*-------------------------------------------------------------------------
 *
 * executor.c
 *	  SQL executors: processes that run SQL tasks as the role they belong to.
 *
 * An executor connects as the role itself, so that no RESET ROLE or SET
 * SESSION AUTHORIZATION in a task's SQL leads anywhere.  It runs batches until
 * nothing is ready, then sleeps on its latch, and ends after uaef.
 * executor_idle_timeout.
 *
 * Locking: a worker reserves the slot (STARTING) under the lock, the executor
 * takes it over in attach() and frees it in detach().  IDLE and BUSY change
 * without the lock: by the executor, and from IDLE to BUSY by whoever wakes it.
 *
 * Memory: what a batch leaves behind lies in a context that is reset before
 * the next.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sched.h>
#include <signal.h>

#include "miscadmin.h"
#include "pgstat.h"
#include "portability/instr_time.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "engine.h"
#include "executor.h"
#include "guc.h"
#include "ready_news.h"
#include "running_mark.h"
#include "shmem.h"
#include "wait_event.h"
#include "wake.h"

/* An executor that is busy for so long has work to share. */
#define SHARE_AFTER_MS 20

/*
 * Longest time in which an executor that is ready for a task stays awake, and how
 * long giving way to others takes where there are any, in microseconds.
 */
#define AWAKE_US	1000
#define GAVE_WAY_US	50

/*
 * A server that shuts down has told the worker to end by then too.
 */
#define SHUTDOWN_MS 500

/* A loss that no worker has counted by then is forgotten. */
#define FORGET_LOSS_MS 10000

/* What a starting executor is told. */
typedef struct ExecutorArgs
{
	Oid			database;
	Oid			role;
} ExecutorArgs;

/* Whether somebody, or the server's shutdown, ended us by a signal. */
static volatile sig_atomic_t asked_to_die = false;

static int	reserve(Oid role);
static void release(int number);
static void pin_settings(void);
static UaefExecutorSlot *attach(int number, const ExecutorArgs *args);
static void detach(int code, Datum arg);
static int	work_until_idle(UaefExecutorSlot *slot, Oid role);
static int	run_batch(Oid role, int *again_ms);
static bool sleep_idle(UaefExecutorSlot *slot, int again_ms);
static void stay_awake(void);
static bool is_wanted(UaefExecutorSlot *slot);
static bool was_announcement(UaefExecutorSlot *slot);
static void offer_place(void);
static void set_state(UaefExecutorSlot *slot, UaefExecutorState state);
static void end_if_asked(UaefExecutorSlot *slot);

int
uaef_executor_start(Oid role, BackgroundWorkerHandle **handle)
{
	BackgroundWorker process;
	ExecutorArgs args;
	int			number = reserve(role);

	if (number < 0)
		return -1;

	memset(&process, 0, sizeof(process));
	process.bgw_flags = BGWORKER_SHMEM_ACCESS |
		BGWORKER_BACKEND_DATABASE_CONNECTION;
	process.bgw_start_time = BgWorkerStart_RecoveryFinished;
	process.bgw_restart_time = BGW_NEVER_RESTART;
	process.bgw_notify_pid = MyProcPid;
	process.bgw_main_arg = Int32GetDatum(number);
	strlcpy(process.bgw_library_name, "uaef", BGW_MAXLEN);
	strlcpy(process.bgw_function_name, "uaef_executor_main", BGW_MAXLEN);
	strlcpy(process.bgw_type, "uaef executor", BGW_MAXLEN);
	snprintf(process.bgw_name, BGW_MAXLEN,
			 "uaef executor of role %u in database %u", role, MyDatabaseId);
	args.database = MyDatabaseId;
	args.role = role;
	memcpy(process.bgw_extra, &args, sizeof(args));

	if (!RegisterDynamicBackgroundWorker(&process, handle))
	{
		release(number);
		return -1;
	}
	return number;
}

/*
 * Whether a worker has still to count the loss that a slot tells of; if it
 * does not, it is gone.
 */
static bool
loss_is_open(const UaefExecutorSlot *slot, TimestampTz now)
{
	return slot->lost &&
		now < TimestampTzPlusMilliseconds(slot->count_from, FORGET_LOSS_MS);
}

/*
 * Take a free slot for a role; returns its number, or -1.
 */
static int
reserve(Oid role)
{
	TimestampTz now = GetCurrentTimestamp();
	int			number = -1;
	int			i;

	LWLockAcquire(&uaef_shared->lock, LW_EXCLUSIVE);
	for (i = 0; i < UAEF_MAX_EXECUTORS; i++)
	{
		UaefExecutorSlot *slot = &uaef_shared->executors[i];

		if (pg_atomic_read_u32(&slot->state) != UAEF_EXECUTOR_FREE ||
			loss_is_open(slot, now))
			continue;
		slot->lost = false;
		slot->pid = 0;
		slot->started = slot->since = now;
		pg_atomic_write_u32(&slot->proc, 0);
		pg_atomic_write_u32(&slot->end, 0);
		pg_atomic_write_u32(&slot->announced, 0);
		uaef_ready_news_reset(slot);
		pg_atomic_write_u32(&slot->role, role);
		pg_atomic_write_u32(&slot->database, MyDatabaseId);
		pg_atomic_write_u32(&slot->state, UAEF_EXECUTOR_STARTING);
		number = i;
		break;
	}
	LWLockRelease(&uaef_shared->lock);
	return number;
}

static void
release(int number)
{
	LWLockAcquire(&uaef_shared->lock, LW_EXCLUSIVE);
	pg_atomic_write_u32(&uaef_shared->executors[number].state,
						UAEF_EXECUTOR_FREE);
	LWLockRelease(&uaef_shared->lock);
}

bool
uaef_executor_end_idle(void)
{
	UaefExecutorSlot *chosen = NULL;
	int			i;

	LWLockAcquire(&uaef_shared->lock, LW_EXCLUSIVE);
	for (i = 0; i < UAEF_MAX_EXECUTORS; i++)
	{
		UaefExecutorSlot *slot = &uaef_shared->executors[i];

		if (pg_atomic_read_u32(&slot->state) == UAEF_EXECUTOR_IDLE &&
			pg_atomic_read_u32(&slot->end) == 0 &&
			(chosen == NULL || slot->since < chosen->since))
			chosen = slot;
	}
	if (chosen != NULL)
	{
		pg_atomic_write_u32(&chosen->end, 1);
		uaef_shmem_set_latch(pg_atomic_read_u32(&chosen->proc));
	}
	LWLockRelease(&uaef_shared->lock);
	return chosen != NULL;
}

void
uaef_executor_end_all(Oid database, bool kill_them)
{
	int			i;

	LWLockAcquire(&uaef_shared->lock, LW_EXCLUSIVE);
	for (i = 0; i < UAEF_MAX_EXECUTORS; i++)
	{
		UaefExecutorSlot *slot = &uaef_shared->executors[i];

		if (pg_atomic_read_u32(&slot->state) == UAEF_EXECUTOR_FREE ||
			pg_atomic_read_u32(&slot->database) != database)
			continue;
		pg_atomic_write_u32(&slot->end, 1);
		uaef_shmem_set_latch(pg_atomic_read_u32(&slot->proc));
		if (kill_them && slot->pid != 0)
			kill(slot->pid, SIGTERM);
	}
	LWLockRelease(&uaef_shared->lock);
}

int
uaef_executor_count(Oid database)
{
	int			count = 0;
	int			i;

	for (i = 0; i < UAEF_MAX_EXECUTORS; i++)
	{
		UaefExecutorSlot *slot = &uaef_shared->executors[i];
		uint32		state = pg_atomic_read_u32(&slot->state);

		if (state != UAEF_EXECUTOR_FREE && state != UAEF_EXECUTOR_FAILED &&
			pg_atomic_read_u32(&slot->database) == database)
			count++;
	}
	return count;
}

static void
die_asked(SIGNAL_ARGS)
{
	asked_to_die = true;
	die(postgres_signal_arg);
}

/*
 * An error ends the process; the worker sees the failed slot, waits a while,
 * and starts another.
 */
void
uaef_executor_main(Datum arg)
{
	ExecutorArgs args;
	UaefExecutorSlot *slot;
	int			again_ms;

	pqsignal(SIGTERM, die_asked);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();

	memcpy(&args, MyBgworkerEntry->bgw_extra, sizeof(args));
	uaef_shmem_attach();
	slot = attach(DatumGetInt32(arg), &args);
	if (slot == NULL)
		proc_exit(0);
	before_shmem_exit(detach, PointerGetDatum(slot));
	uaef_ready_news_attach(slot);

	BackgroundWorkerInitializeConnectionByOid(args.database, args.role,
											  UAEF_EXECUTOR_CONNECT_FLAGS);
	uaef_running_attach(DatumGetInt32(arg));
	pin_settings();
	CurrentMemoryContext = AllocSetContextCreate(TopMemoryContext,
												 "uaef executor",
												 ALLOCSET_DEFAULT_SIZES);
	do
		again_ms = work_until_idle(slot, args.role);
	while (sleep_idle(slot, again_ms));

	proc_exit(0);
}

/*
 * Settings of the role that would reach our own statements are set aside.
 */
static void
pin_settings(void)
{
	static const char *const settings[][2] = {
		{"application_name", "uaef executor"},
		{"default_transaction_isolation", "read committed"},
		{"default_transaction_read_only", "off"},
		{"default_transaction_deferrable", "off"},
		{"session_replication_role", "origin"},
#if PG_VERSION_NUM >= 170000
		/* It ends the process, and a task has a timeout of its own. */
		{"transaction_timeout", "0"},
#endif
	};
	int			i;

	for (i = 0; i < lengthof(settings); i++)
		SetConfigOption(settings[i][0], settings[i][1], PGC_SUSET,
						PGC_S_OVERRIDE);
}

/*
 * Take over the slot that the worker reserved; NULL if it is ours no more.
 */
static UaefExecutorSlot *
attach(int number, const ExecutorArgs *args)
{
	UaefExecutorSlot *slot = &uaef_shared->executors[number];
	bool		ours;

	LWLockAcquire(&uaef_shared->lock, LW_EXCLUSIVE);
	ours = pg_atomic_read_u32(&slot->state) == UAEF_EXECUTOR_STARTING &&
		pg_atomic_read_u32(&slot->database) == args->database &&
		pg_atomic_read_u32(&slot->role) == args->role &&
		slot->pid == 0;
	if (ours)
	{
		slot->pid = MyProcPid;
		pg_atomic_write_u32(&slot->proc, uaef_shmem_me());
	}
	LWLockRelease(&uaef_shared->lock);
	return ours ? slot : NULL;
}

/*
 * Give the slot back.  What we were at or were just woken for is there again
 * for another executor of the role, or for one that the worker starts; the
 * launcher may need the background worker slot.  What task we died of, the
 * worker counts.  A shutdown must not count: it ends the worker as well, if
 * perhaps a moment later, so what may be one is left for a while.
 */
static void
detach(int code, Datum arg)
{
	UaefExecutorSlot *slot = (UaefExecutorSlot *) DatumGetPointer(arg);
	bool		failed = code != 0 && pg_atomic_read_u32(&slot->end) == 0;
	Oid			database = pg_atomic_read_u32(&slot->database);
	Oid			role = pg_atomic_read_u32(&slot->role);
	UaefTaskRef at;
	bool		running = uaef_running_current(&at);
	int64		left_at = PG_INT64_MIN;

	uaef_running_mark(NULL);
	LWLockAcquire(&uaef_shared->lock, LW_EXCLUSIVE);
	slot->pid = 0;
	if (failed && running)
	{
		slot->lost = true;
		slot->lost_task = at;
		slot->count_from = GetCurrentTimestamp();
		if (asked_to_die)
			slot->count_from = TimestampTzPlusMilliseconds(slot->count_from,
														   SHUTDOWN_MS);
	}
	pg_atomic_write_u32(&slot->proc, 0);

	/*
	 * Whoever woke us before this has told us why, and nobody takes the slot
	 * until we release the lock; it is a full barrier.
	 */
	(void) pg_atomic_exchange_u32(&slot->state, failed ? UAEF_EXECUTOR_FAILED :
								  UAEF_EXECUTOR_FREE);
	if (code == 0)
		left_at = uaef_ready_news_left(slot);
	LWLockRelease(&uaef_shared->lock);

	uaef_wake_executors(role, 1, left_at);
	uaef_wake_worker(database, UAEF_WAKE_EXECUTORS);
	uaef_shmem_set_latch(pg_atomic_read_u32(&uaef_shared->launcher));
	ConditionVariableBroadcast(&uaef_shared->changed);
}

/*
 * Run batches until one is empty.  Work that goes on and on is offered to
 * another executor of the role.  Returns in which time to look again even when
 * nobody wakes us; 0: not.
 */
static int
work_until_idle(UaefExecutorSlot *slot, Oid role)
{
	TimestampTz offered = GetCurrentTimestamp();
	int			again_ms;
	int			n;

	set_state(slot, UAEF_EXECUTOR_BUSY);
	do
	{
		ResetLatch(MyLatch);
		end_if_asked(slot);
		n = run_batch(role, &again_ms);

		if (n >= uaef_executor_batch_size ||
			(n > 0 && TimestampDifferenceExceeds(offered,
												 GetCurrentTimestamp(),
												 SHARE_AFTER_MS)))
		{
			/* Of two tasks we take one ourselves. */
			uaef_wake_executors(role, 2, uaef_ready_news_left(slot));
			offered = GetCurrentTimestamp();
		}
	} while (n > 0);
	return again_ms;
}

static int
run_batch(Oid role, int *again_ms)
{
	MemoryContext context = CurrentMemoryContext;
	int			n;

	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
	n = uaef_sql_run_batch(role, again_ms);

	MemoryContextSwitchTo(context);
	MemoryContextReset(context);
	return n;
}

/*
 * Sleep until woken; returns false when it is time to end.
 *
 * Who commits work and sees us idle wakes only us.  So before we end for lack
 * of work we stop being idle, and look once more; who comes later sees us busy
 * and tells the worker too.
 */
static bool
sleep_idle(UaefExecutorSlot *slot, int again_ms)
{
	int			rc;

	pg_atomic_write_u32(&slot->announced, 0);
	set_state(slot, UAEF_EXECUTOR_IDLE);
	offer_place();
	uaef_report_stat();
	pgstat_report_activity(STATE_IDLE, NULL);

	/* An announcement resets the latch, so before each sleep we are asked. */
	do
	{
		end_if_asked(slot);
		if (again_ms == 0 && is_wanted(slot))
			return true;
		rc = WaitLatch(MyLatch,
					   WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					   again_ms > 0 ? Min(again_ms, uaef_executor_idle_ms) :
					   uaef_executor_idle_ms,
					   uaef_wait_event(UAEF_WAIT_EXECUTOR));
	} while (again_ms == 0 && was_announcement(slot));
	end_if_asked(slot);
	if ((rc & WL_TIMEOUT) == 0 || again_ms > 0)
		return true;

	set_state(slot, UAEF_EXECUTOR_BUSY);
	return run_batch(pg_atomic_read_u32(&slot->role), &again_ms) > 0 ||
		again_ms > 0;
}

/*
 * Stay awake for as long as a flush of the disk takes, unless somebody else wants
 * the processor: falling asleep and being woken takes as long as running a task.
 */
static void
stay_awake(void)
{
	instr_time	began;
	instr_time	now;
	double		us = 0;
	double		before;

	INSTR_TIME_SET_CURRENT(began);
	do
	{
		before = us;
		sched_yield();
		INSTR_TIME_SET_CURRENT(now);
		INSTR_TIME_SUBTRACT(now, began);
		us = INSTR_TIME_GET_DOUBLE(now) * 1000000.0;
	} while (!MyLatch->is_set && us < AWAKE_US && us - before < GAVE_WAY_US);
}

/*
 * Whether somebody has work for us, and has told us so.  The latch alone does not
 * say it: who waits for a lock waits on it and resets it.
 */
static bool
is_wanted(UaefExecutorSlot *slot)
{
	return pg_atomic_read_u32(&slot->state) != UAEF_EXECUTOR_IDLE ||
		uaef_ready_news_left(slot) != UAEF_NO_RANK;
}

/*
 * Whether we were woken only because somebody is about to commit a task: then we
 * have made ready for it.  Whoever wakes us for what is there has made us busy or
 * has told us news before, and sets the latch after that.
 */
static bool
was_announcement(UaefExecutorSlot *slot)
{
	MemoryContext context = CurrentMemoryContext;

	if (pg_atomic_exchange_u32(&slot->announced, 0) == 0)
		return false;
	ResetLatch(MyLatch);
	if (is_wanted(slot) || ConfigReloadPending)
		return false;
	uaef_sql_make_ready(pg_atomic_read_u32(&slot->role));
	stay_awake();
	MemoryContextSwitchTo(context);
	MemoryContextReset(context);
	return true;
}

/*
 * Tell the worker that we are idle, if it has a use for our place.
 */
static void
offer_place(void)
{
	UaefWorkerSlot *worker = uaef_shmem_worker(MyDatabaseId);

	if (worker != NULL && pg_atomic_read_u32(&worker->wanting) != 0)
		uaef_wake_worker(MyDatabaseId, UAEF_WAKE_EXECUTORS);
}

static void
set_state(UaefExecutorSlot *slot, UaefExecutorState state)
{
	if (pg_atomic_exchange_u32(&slot->state, state) != (uint32) state)
		slot->since = GetCurrentTimestamp();
}

/*
 * Between batches, SIGTERM and a request to end are the same: nothing is
 * going on that could be lost.
 */
static void
end_if_asked(UaefExecutorSlot *slot)
{
	if (ProcDiePending || pg_atomic_read_u32(&slot->end) != 0)
		proc_exit(0);

	/*
	 * DROP DATABASE and others wait until every process has done this.  There
	 * is nothing to cancel here.
	 */
	QueryCancelPending = false;
	CHECK_FOR_INTERRUPTS();
}
