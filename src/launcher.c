/*-------------------------------------------------------------------------
 *
 * launcher.c
 *	  The launcher: keeps a worker in every database with the extension.
 *
 * Which databases have the extension can only be seen from inside of them.  So
 * at its start the launcher sends a worker into each database, one after
 * another; a worker that finds no extension ends.  After that it sleeps on its
 * latch until somebody asks for a look around: CREATE EXTENSION, a worker that
 * ended, a command on a database that is through.
 *
 * What it knows of a database is the worker's slot in shared memory: it is
 * due when UAEF_WAKE_CONTROL is set and no worker runs that could see to it.
 * The launcher itself may end and start again at any time.
 *
 * Locking: slots are looked at and changed under the lock.
 *
 * Memory: the list of databases still to be visited, and the handle of the
 * worker that is starting, live in TopMemoryContext.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "executor.h"
#include "guc.h"
#include "launcher.h"
#include "shmem.h"
#include "wait_event.h"
#include "wake.h"
#include "worker_control.h"

#define LAUNCHER_RESTART_S		5

/* A worker that failed is started again after. */
#define FIRST_BACKOFF_MS		1000
#define MAX_BACKOFF_MS			60000

/* Where no background worker slot is free, it is tried again after. */
#define FIRST_NO_SLOT_MS		2000
#define MAX_NO_SLOT_MS			10000
#define RETRY_SOON_MS			500

/* Databases that have not been visited since our start. */
static List *unvisited = NIL;

/* The worker that is starting; NULL: none. */
static BackgroundWorkerHandle *starting = NULL;
static Oid	starting_database = InvalidOid;

/* Failures in a row to get a background worker slot, and when to go on. */
static int	no_slot_failures = 0;
static TimestampTz no_slot_until = 0;

static void attach(void);
static void detach(int code, Datum arg);
static void retry_soon(void);
static void check_interrupts(void);
static List *startable_databases(void);
static bool startable(Form_pg_database database);
static bool is_startable(Oid database);
static void check_starting(void);
static TimestampTz start_what_is_due(void);
static Oid	next_database(TimestampTz *next);
static TimestampTz slot_due(UaefWorkerSlot *slot);
static bool visit_next(void);
static bool start_worker(Oid database);
static void no_slot(Oid database);
static void forget_database(Oid database);

/*
 * Recovery must have finished: a standby has no launcher until it is promoted.
 */
void
uaef_launcher_init(void)
{
	BackgroundWorker process;

	if (!process_shared_preload_libraries_in_progress)
		return;

	memset(&process, 0, sizeof(process));
	process.bgw_flags = BGWORKER_SHMEM_ACCESS |
		BGWORKER_BACKEND_DATABASE_CONNECTION;
	process.bgw_start_time = BgWorkerStart_RecoveryFinished;
	process.bgw_restart_time = LAUNCHER_RESTART_S;
	strlcpy(process.bgw_library_name, "uaef", BGW_MAXLEN);
	strlcpy(process.bgw_function_name, "uaef_launcher_main", BGW_MAXLEN);
	strlcpy(process.bgw_name, "uaef launcher", BGW_MAXLEN);
	strlcpy(process.bgw_type, "uaef launcher", BGW_MAXLEN);
	RegisterBackgroundWorker(&process);
}

/*
 * The process.  An error ends it, and the postmaster starts it again; by its
 * exit code, since 0 would be for good.
 */
void
uaef_launcher_main(Datum arg)
{
	pqsignal(SIGTERM, die);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();

	attach();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	SetConfigOption("application_name", "uaef launcher", PGC_USERSET,
					PGC_S_OVERRIDE);
	CurrentMemoryContext = AllocSetContextCreate(TopMemoryContext,
												 "uaef launcher",
												 ALLOCSET_DEFAULT_SIZES);
	unvisited = startable_databases();

	for (;;)
	{
		TimestampTz next;
		int			events = WL_LATCH_SET | WL_EXIT_ON_PM_DEATH;
		long		timeout_ms = -1;

		ResetLatch(MyLatch);
		check_interrupts();
		check_starting();
		next = start_what_is_due();

		if (next != DT_NOEND)
		{
			events |= WL_TIMEOUT;
			timeout_ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
														 next);
		}
		MemoryContextReset(CurrentMemoryContext);
		if ((WaitLatch(MyLatch, events, timeout_ms,
					   uaef_wait_event(UAEF_WAIT_LAUNCHER)) & WL_LATCH_SET) != 0)
			retry_soon();
	}
}

/*
 * Somebody ended, perhaps, and the postmaster will free a slot for us.
 */
static void
retry_soon(void)
{
	TimestampTz soon = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
												   RETRY_SOON_MS);

	no_slot_until = Min(no_slot_until, soon);
}

static void
attach(void)
{
	uaef_shmem_attach();
	LWLockAcquire(&uaef_shared->lock, LW_EXCLUSIVE);
	uaef_shared->launcher_pid = MyProcPid;
	uaef_shared->launcher_since = GetCurrentTimestamp();
	pg_atomic_write_u32(&uaef_shared->launcher, uaef_shmem_me());
	LWLockRelease(&uaef_shared->lock);
	before_shmem_exit(detach, (Datum) 0);
}

static void
detach(int code, Datum arg)
{
	LWLockAcquire(&uaef_shared->lock, LW_EXCLUSIVE);
	uaef_shared->launcher_pid = 0;
	uaef_shared->launcher_since = GetCurrentTimestamp();
	pg_atomic_write_u32(&uaef_shared->launcher, 0);
	LWLockRelease(&uaef_shared->lock);
}

static void
check_interrupts(void)
{
	if (ProcDiePending)
		proc_exit(1);
	CHECK_FOR_INTERRUPTS();
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
}

/*
 * The databases that a worker could start in, in a list that outlives the
 * transaction.
 */
static List *
startable_databases(void)
{
	MemoryContext context = CurrentMemoryContext;
	List	   *databases = NIL;
	Relation	rel;
	TableScanDesc scan;
	HeapTuple	tuple;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	rel = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(rel, 0, NULL);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_database database = (Form_pg_database) GETSTRUCT(tuple);

		if (startable(database))
		{
			MemoryContext before = MemoryContextSwitchTo(TopMemoryContext);

			databases = lappend_oid(databases, database->oid);
			MemoryContextSwitchTo(before);
		}
	}
	table_endscan(scan);
	table_close(rel, AccessShareLock);
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	return databases;
}

/*
 * A worker in a template would be in the way of CREATE DATABASE.
 */
static bool
startable(Form_pg_database database)
{
	return database->datallowconn && !database->datistemplate &&
		database->datconnlimit != DATCONNLIMIT_INVALID_DB;
}

static bool
is_startable(Oid database)
{
	List	   *databases = startable_databases();
	bool		found = list_member_oid(databases, database);

	list_free(databases);
	return found;
}

/*
 * See whether the worker that is starting has started, or ended.  One whose
 * end left the request in its slot untouched has not got as far as taking it.
 */
static void
check_starting(void)
{
	UaefWorkerSlot *slot;
	pid_t		pid;
	bool		stopped;
	bool		running;

	if (starting == NULL)
		return;

	stopped = GetBackgroundWorkerPid(starting, &pid) == BGWH_STOPPED;
	LWLockAcquire(&uaef_shared->lock, LW_EXCLUSIVE);
	slot = uaef_shmem_worker(starting_database);
	running = slot != NULL && slot->state >= UAEF_WORKER_IDLE;
	if (stopped && slot != NULL && slot->pid == 0 && !slot->stopped &&
		slot->held == 0 && slot->note != UAEF_NOTE_ENDED &&
		(pg_atomic_read_u32(&slot->reasons) & UAEF_WAKE_CONTROL) != 0)
	{
		slot->failures++;
		uaef_shmem_note(slot, UAEF_NOTE_ENDED, InvalidOid);
	}
	LWLockRelease(&uaef_shared->lock);

	if (stopped || running)
	{
		pfree(starting);
		starting = NULL;
	}
}

/*
 * Start a worker, if one is due and none is starting already.  Returns when
 * there is something to do again (DT_NOEND: when the latch is set).
 */
static TimestampTz
start_what_is_due(void)
{
	TimestampTz next = DT_NOEND;
	TimestampTz now = GetCurrentTimestamp();
	Oid			database;

	if (!uaef_start_workers)
		return DT_NOEND;
	if (no_slot_until > now)
		return no_slot_until;

	while (starting == NULL)
	{
		database = next_database(&next);
		if (!OidIsValid(database))
		{
			if (visit_next())
				continue;
			return next;
		}
		if (!is_startable(database))
			forget_database(database);
		else if (!start_worker(database))
			return no_slot_until;
	}
	return DT_NOEND;
}

/*
 * A database whose worker is due, or InvalidOid and when the first will be.
 */
static Oid
next_database(TimestampTz *next)
{
	TimestampTz now = GetCurrentTimestamp();
	Oid			database = InvalidOid;
	int			i;

	*next = DT_NOEND;
	LWLockAcquire(&uaef_shared->lock, LW_SHARED);
	for (i = 0; i < UAEF_MAX_WORKERS && !OidIsValid(database); i++)
	{
		TimestampTz due = slot_due(&uaef_shared->workers[i]);

		if (due <= now)
			database = pg_atomic_read_u32(&uaef_shared->workers[i].database);
		*next = Min(*next, due);
	}
	LWLockRelease(&uaef_shared->lock);
	return database;
}

/*
 * When a worker should be started for a slot; DT_NOEND: it should not.
 */
static TimestampTz
slot_due(UaefWorkerSlot *slot)
{
	long		ms = FIRST_BACKOFF_MS << Min(Max(slot->failures - 1, 0), 6);

	if (!OidIsValid(pg_atomic_read_u32(&slot->database)) ||
		slot->pid != 0 || slot->stopped || slot->held > 0 ||
		(pg_atomic_read_u32(&slot->reasons) & UAEF_WAKE_CONTROL) == 0)
		return DT_NOEND;
	if (slot->failures == 0)
		return 0;
	return TimestampTzPlusMilliseconds(slot->since, Min(ms, MAX_BACKOFF_MS));
}

/*
 * Ask for a worker in the next database that has not been visited; returns
 * false when there is none left.
 */
static bool
visit_next(void)
{
	Oid			database;
	UaefWorkerSlot *slot;

	if (unvisited == NIL)
		return false;
	database = linitial_oid(unvisited);
	unvisited = list_delete_first(unvisited);

	LWLockAcquire(&uaef_shared->lock, LW_EXCLUSIVE);
	slot = uaef_shmem_claim_worker(database);
	if (slot != NULL && slot->pid == 0)
		pg_atomic_fetch_or_u32(&slot->reasons, UAEF_WAKE_CONTROL);
	LWLockRelease(&uaef_shared->lock);

	if (slot == NULL)
		ereport(WARNING,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("database with OID %u has no uaef worker", database),
				 errdetail("At most %d databases can have one.",
						   UAEF_MAX_WORKERS)));
	return true;
}

/*
 * Have a worker started; returns false when no slot is free for it.
 */
static bool
start_worker(Oid database)
{
	MemoryContext before = MemoryContextSwitchTo(TopMemoryContext);
	UaefWorkerSlot *slot;
	bool		registered;

	/* So that check_starting() can tell what this worker came to. */
	LWLockAcquire(&uaef_shared->lock, LW_EXCLUSIVE);
	slot = uaef_shmem_worker(database);
	if (slot != NULL && slot->pid == 0)
		uaef_shmem_note(slot, UAEF_NOTE_NONE, InvalidOid);
	LWLockRelease(&uaef_shared->lock);

	registered = uaef_worker_register(database, BGW_NEVER_RESTART, &starting);
	MemoryContextSwitchTo(before);
	if (!registered)
	{
		starting = NULL;
		no_slot(database);
		return false;
	}
	starting_database = database;
	no_slot_failures = 0;
	no_slot_until = 0;
	return true;
}

/*
 * Say that there is no slot, once in the log, and put the next try off.  An
 * idle executor is asked to give its slot up.
 */
static void
no_slot(Oid database)
{
	UaefWorkerSlot *slot;
	long		ms = FIRST_NO_SLOT_MS << Min(no_slot_failures, 3);

	if (no_slot_failures++ == 0)
		ereport(WARNING,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("no background worker slot is free for the uaef worker of database %u",
						database),
				 errhint("Raise max_worker_processes and restart the server.")));
	no_slot_until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
												Min(ms, MAX_NO_SLOT_MS));
	LWLockAcquire(&uaef_shared->lock, LW_EXCLUSIVE);
	slot = uaef_shmem_worker(database);
	if (slot != NULL)
		uaef_shmem_note(slot, UAEF_NOTE_NO_SLOT, InvalidOid);
	LWLockRelease(&uaef_shared->lock);
	uaef_executor_end_idle();
}

/*
 * The database is gone, or has become a template.
 */
static void
forget_database(Oid database)
{
	UaefWorkerSlot *slot;

	LWLockAcquire(&uaef_shared->lock, LW_EXCLUSIVE);
	slot = uaef_shmem_worker(database);
	if (slot != NULL)
	{
		pg_atomic_fetch_and_u32(&slot->reasons, ~UAEF_WAKE_CONTROL);
		uaef_shmem_free_worker(slot);
	}
	LWLockRelease(&uaef_shared->lock);
}
