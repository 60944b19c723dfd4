/*-------------------------------------------------------------------------
 *
 * worker_status.c
 *	  What the processes of uaef do, for people.
 *
 * Locking: the slots are copied under the lock, and described without it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "miscadmin.h"

#include "guc.h"
#include "identity.h"
#include "shmem.h"
#include "worker_status.h"

static void describe_launcher(UaefProcessStatus *row, const UaefShared *copy);
static void describe_worker(UaefProcessStatus *row, UaefWorkerSlot *slot);
static void describe_no_worker(UaefProcessStatus *row, const UaefShared *copy);
static void describe_executor(UaefProcessStatus *row, UaefExecutorSlot *slot);
static const char *worker_state(const UaefWorkerSlot *slot);
static const char *note_text(const UaefWorkerSlot *slot);

int
uaef_worker_status_get(UaefProcessStatus **rows)
{
	UaefShared *copy = palloc(sizeof(UaefShared));
	UaefProcessStatus *row;
	bool		here = false;
	int			i;

	uaef_shmem_attach();
	LWLockAcquire(&uaef_shared->lock, LW_SHARED);
	memcpy(copy, uaef_shared, sizeof(UaefShared));
	LWLockRelease(&uaef_shared->lock);

	row = palloc0(sizeof(UaefProcessStatus) *
				  (2 + UAEF_MAX_WORKERS + UAEF_MAX_EXECUTORS));
	*rows = row;
	describe_launcher(row++, copy);
	for (i = 0; i < UAEF_MAX_WORKERS; i++)
	{
		UaefWorkerSlot *slot = &copy->workers[i];

		if (!OidIsValid(pg_atomic_read_u32(&slot->database)))
			continue;
		describe_worker(row++, slot);
		here |= pg_atomic_read_u32(&slot->database) == MyDatabaseId;
	}
	if (!here)
		describe_no_worker(row++, copy);
	for (i = 0; i < UAEF_MAX_EXECUTORS; i++)
	{
		UaefExecutorSlot *slot = &copy->executors[i];

		if (pg_atomic_read_u32(&slot->state) != UAEF_EXECUTOR_FREE)
			describe_executor(row++, slot);
	}
	pfree(copy);
	return (int) (row - *rows);
}

static void
describe_launcher(UaefProcessStatus *row, const UaefShared *copy)
{
	row->kind = "launcher";
	row->pid = copy->launcher_pid;
	row->since = copy->launcher_since;
	row->state = row->pid != 0 ? "running" : "not running";
	if (row->pid == 0 && RecoveryInProgress())
		row->detail = "the server is in recovery";
	else if (row->pid == 0)
		row->detail = "uaef is not in shared_preload_libraries";
	else if (!uaef_start_workers)
		row->detail = "uaef.start_workers is off";
}

static void
describe_worker(UaefProcessStatus *row, UaefWorkerSlot *slot)
{
	row->kind = "worker";
	row->database = pg_atomic_read_u32(&slot->database);
	row->pid = slot->pid;
	row->since = slot->since;
	row->state = worker_state(slot);
	row->detail = note_text(slot);
}

static void
describe_no_worker(UaefProcessStatus *row, const UaefShared *copy)
{
	row->kind = "worker";
	row->database = MyDatabaseId;
	row->state = "not running";
	row->detail = copy->launcher_pid != 0 ? "the launcher has not come to it yet"
		: "SELECT uaef.start_worker() starts it";
}

static void
describe_executor(UaefProcessStatus *row, UaefExecutorSlot *slot)
{
	static const char *const states[] = {
		"", "starting", "idle", "busy", "failed"
	};

	row->kind = "executor";
	row->database = pg_atomic_read_u32(&slot->database);
	row->role = pg_atomic_read_u32(&slot->role);
	row->pid = slot->pid;
	row->since = slot->since;
	row->state = states[pg_atomic_read_u32(&slot->state)];
	if (pg_atomic_read_u32(&slot->end) != 0)
		row->detail = "asked to end";
}

static const char *
worker_state(const UaefWorkerSlot *slot)
{
	switch (slot->state)
	{
		case UAEF_WORKER_STARTING:
			return "starting";
		case UAEF_WORKER_IDLE:
			return "idle";
		case UAEF_WORKER_BUSY:
			return "busy";
		case UAEF_WORKER_NONE:
			break;
	}
	if (slot->held > 0)
		return "held";
	if (slot->stopped)
		return "stopped";
	return slot->note == UAEF_NOTE_NO_SLOT ? "no free slot" : "not running";
}

/*
 * What is wrong and what to do about it, or NULL.
 */
static const char *
note_text(const UaefWorkerSlot *slot)
{
	if (slot->held > 0)
		return "a command wants the database for itself";
	if (slot->stopped && slot->pid == 0)
		return "SELECT uaef.start_worker() starts it";

	switch (slot->note)
	{
		case UAEF_NOTE_NONE:
			break;
		case UAEF_NOTE_ENDED:
			return psprintf("it ended %d times in a row; the server log says why",
							slot->failures);
		case UAEF_NOTE_NO_SLOT:
			return "no background worker slot is free; raise max_worker_processes";
		case UAEF_NOTE_EXECUTOR_NO_SLOT:
			return "no background worker slot is free for an executor; raise max_worker_processes";
		case UAEF_NOTE_EXECUTOR_FAILED:
			return psprintf("an executor of role \"%s\" failed; the server log says why",
							uaef_role_name(slot->note_role));
		case UAEF_NOTE_NOLOGIN:
			return psprintf("role \"%s\" has SQL tasks, but cannot log in",
							uaef_role_name(slot->note_role));
	}
	return NULL;
}
