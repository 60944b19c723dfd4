/*-------------------------------------------------------------------------
 *
 * worker_control.c
 *	  Starting and ending the worker of a database, from another process.
 *
 * Locking: slots are looked at under the lock, which is never held while
 * waiting.  A pid that stands in a slot is that of a living process, since a
 * process takes it out under the lock before it ends.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "access/xlog.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "errcodes.h"
#include "executor.h"
#include "running_mark.h"
#include "shmem.h"
#include "wait_event.h"
#include "worker_control.h"

/* How long start_worker() and stop_worker() wait. */
#define START_TIMEOUT_MS	10000
#define STOP_TIMEOUT_MS		5000

/* How long processes may end by themselves before they get SIGTERM. */
#define GRACE_MS			1000

static void forget_dropped(void);
static void await_start(BackgroundWorkerHandle *handle, UaefWorkerSlot *slot);
static void no_slot_error(void);
static pid_t running_pid(UaefWorkerSlot *slot);
static bool poke_worker(Oid database, bool kill_it);

bool
uaef_worker_register(Oid database, int restart_time,
					 BackgroundWorkerHandle **handle)
{
	BackgroundWorker process;

	memset(&process, 0, sizeof(process));
	process.bgw_flags = BGWORKER_SHMEM_ACCESS |
		BGWORKER_BACKEND_DATABASE_CONNECTION;
	process.bgw_start_time = BgWorkerStart_RecoveryFinished;
	process.bgw_restart_time = restart_time;
	process.bgw_notify_pid = MyProcPid;
	process.bgw_main_arg = ObjectIdGetDatum(database);
	strlcpy(process.bgw_library_name, "uaef", BGW_MAXLEN);
	strlcpy(process.bgw_function_name, "uaef_worker_main", BGW_MAXLEN);
	strlcpy(process.bgw_type, "uaef worker", BGW_MAXLEN);
	snprintf(process.bgw_name, BGW_MAXLEN, "uaef worker of database %u",
			 database);
	return RegisterDynamicBackgroundWorker(&process, handle);
}

pid_t
uaef_worker_start(void)
{
	BackgroundWorkerHandle *handle = NULL;
	UaefWorkerSlot *slot;
	int			restart_time = UAEF_WORKER_RESTART_S;

	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot start a worker during recovery")));
	uaef_shmem_attach();
	forget_dropped();

	LWLockAcquire(&uaef_shared->lock, LW_EXCLUSIVE);
	slot = uaef_shmem_claim_worker(MyDatabaseId);
	if (slot != NULL)
	{
		slot->stopped = false;
		slot->failures = 0;
	}
	LWLockRelease(&uaef_shared->lock);
	if (slot == NULL)
		no_slot_error();
	if (running_pid(slot) != 0)
		return running_pid(slot);

	/* A launcher sees to it that the worker comes back. */
	if (pg_atomic_read_u32(&uaef_shared->launcher) != 0)
		restart_time = BGW_NEVER_RESTART;
	if (!uaef_worker_register(MyDatabaseId, restart_time, &handle))
	{
		uaef_executor_end_idle();
		no_slot_error();
	}
	await_start(handle, slot);
	return running_pid(slot);
}

/*
 * Without preloading, databases are dropped by sessions that do not have our
 * library, and tell us nothing.
 */
static void
forget_dropped(void)
{
	for (int i = 0; i < UAEF_MAX_WORKERS; i++)
	{
		Oid			database = pg_atomic_read_u32(&uaef_shared->workers[i].database);

		/* What has a slot by now is seen, however new it is. */
		InvalidateCatalogSnapshot();
		if (OidIsValid(database) &&
			!SearchSysCacheExists1(DATABASEOID, ObjectIdGetDatum(database)))
			uaef_worker_forget(database);
	}
}

void
uaef_worker_forget(Oid database)
{
	UaefWorkerSlot *slot;

	LWLockAcquire(&uaef_shared->lock, LW_EXCLUSIVE);
	slot = uaef_shmem_worker(database);
	if (slot != NULL)
	{
		slot->stopped = false;
		uaef_shmem_free_worker(slot);
	}
	for (int i = 0; i < UAEF_MAX_EXECUTORS; i++)
	{
		UaefExecutorSlot *executor = &uaef_shared->executors[i];

		if (pg_atomic_read_u32(&executor->state) == UAEF_EXECUTOR_FAILED &&
			pg_atomic_read_u32(&executor->database) == database)
			pg_atomic_write_u32(&executor->state, UAEF_EXECUTOR_FREE);
	}
	LWLockRelease(&uaef_shared->lock);
	uaef_running_remove(database);
}

/*
 * Wait until the worker has found the extension; raises if it ended instead.
 */
static void
await_start(BackgroundWorkerHandle *handle, UaefWorkerSlot *slot)
{
	TimestampTz began = GetCurrentTimestamp();
	pid_t		pid;

	ConditionVariablePrepareToSleep(&uaef_shared->changed);
	while (running_pid(slot) == 0)
	{
		if ((GetBackgroundWorkerPid(handle, &pid) == BGWH_STOPPED &&
			 running_pid(slot) == 0) ||
			TimestampDifferenceExceeds(began, GetCurrentTimestamp(),
									   START_TIMEOUT_MS))
		{
			TerminateBackgroundWorker(handle);
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("the worker has not started"),
					 errhint("Commit CREATE EXTENSION first; otherwise the server log says why.")));
		}
		ConditionVariableTimedSleep(&uaef_shared->changed, 50,
									uaef_wait_event(UAEF_WAIT_WORKER_CONTROL));
	}
	ConditionVariableCancelSleep();
}

/*
 * The pid of the worker of a slot; 0 unless it runs.
 */
static pid_t
running_pid(UaefWorkerSlot *slot)
{
	pid_t		pid = 0;

	LWLockAcquire(&uaef_shared->lock, LW_SHARED);
	if (pg_atomic_read_u32(&slot->database) == MyDatabaseId &&
		slot->state >= UAEF_WORKER_IDLE)
		pid = slot->pid;
	LWLockRelease(&uaef_shared->lock);
	return pid;
}

static void
no_slot_error(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_UAEF_NO_WORKER_SLOT),
			 errmsg("no background worker slot is free"),
			 errhint("Raise max_worker_processes and restart the server.")));
}

bool
uaef_worker_stop(void)
{
	UaefWorkerSlot *slot;

	uaef_shmem_attach();
	LWLockAcquire(&uaef_shared->lock, LW_EXCLUSIVE);
	slot = uaef_shmem_claim_worker(MyDatabaseId);
	if (slot != NULL)
	{
		slot->stopped = true;
		slot->since = GetCurrentTimestamp();
	}
	LWLockRelease(&uaef_shared->lock);
	return slot == NULL || uaef_worker_await_end(MyDatabaseId,
												 STOP_TIMEOUT_MS);
}

bool
uaef_worker_await_end(Oid database, long timeout_ms)
{
	TimestampTz began = GetCurrentTimestamp();
	bool		ended = false;
	bool		killed = false;

	uaef_executor_end_all(database, false);
	ConditionVariablePrepareToSleep(&uaef_shared->changed);
	for (;;)
	{
		TimestampTz now = GetCurrentTimestamp();
		bool		kill_now = false;

		if (TimestampDifferenceExceeds(began, now, GRACE_MS))
			kill_now = !killed;
		ended = !poke_worker(database, kill_now) &&
			uaef_executor_count(database) == 0;
		if (ended || TimestampDifferenceExceeds(began, now, timeout_ms))
			break;
		if (kill_now)
		{
			uaef_executor_end_all(database, true);
			killed = true;
		}
		ConditionVariableTimedSleep(&uaef_shared->changed, 50,
									uaef_wait_event(UAEF_WAIT_WORKER_CONTROL));
	}
	ConditionVariableCancelSleep();
	return ended;
}

/*
 * Have a database's worker look at its slot, or end by SIGTERM; returns false
 * when there is none.
 */
static bool
poke_worker(Oid database, bool kill_it)
{
	UaefWorkerSlot *slot;
	bool		there = false;

	LWLockAcquire(&uaef_shared->lock, LW_EXCLUSIVE);
	slot = uaef_shmem_worker(database);
	if (slot != NULL && slot->pid != 0)
	{
		there = true;
		uaef_shmem_set_latch(pg_atomic_read_u32(&slot->proc));
		if (kill_it)
			kill(slot->pid, SIGTERM);
	}
	LWLockRelease(&uaef_shared->lock);
	return there;
}
