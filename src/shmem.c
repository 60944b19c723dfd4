/*-------------------------------------------------------------------------
 *
 * shmem.c
 *	  What the processes of uaef share: who works, who is idle, who waits.
 *
 * Locking and memory: see shmem.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "shmem.h"
#include "shmem_area.h"

UaefShared *uaef_shared = NULL;

static void startup(void);
static void initialize(UaefShared *shared);

/*
 * Arrange for the memory when the server starts.  Without preloading there is
 * nothing to arrange: the first uaef_shmem_attach() makes it.
 */
void
uaef_shmem_init(void)
{
	if (process_shared_preload_libraries_in_progress)
		uaef_shmem_area(MAXALIGN(sizeof(UaefShared)), startup);
}

/*
 * After a crash of a process what we knew is gone with the processes.
 */
static void
startup(void)
{
	uaef_shared = NULL;
	uaef_shmem_attach();
}

void
uaef_shmem_attach(void)
{
	UaefShared *shared;
	bool		found;

	if (uaef_shared != NULL)
		return;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared = ShmemInitStruct("uaef", sizeof(UaefShared), &found);
	if (!found)
		initialize(shared);
	LWLockRelease(AddinShmemInitLock);

	LWLockRegisterTranche(shared->lock.tranche, "uaef");
	uaef_shared = shared;
}

static void
initialize(UaefShared *shared)
{
	int			i;

	memset(shared, 0, sizeof(UaefShared));
	LWLockInitialize(&shared->lock, LWLockNewTrancheId());
	ConditionVariableInit(&shared->changed);
	pg_atomic_init_u32(&shared->launcher, 0);
	pg_atomic_init_u32(&shared->n_waiters, 0);

	for (i = 0; i < UAEF_MAX_WORKERS; i++)
	{
		pg_atomic_init_u32(&shared->workers[i].database, InvalidOid);
		pg_atomic_init_u32(&shared->workers[i].reasons, 0);
		pg_atomic_init_u32(&shared->workers[i].proc, 0);
		pg_atomic_init_u32(&shared->workers[i].wanting, 0);
		pg_atomic_init_u64(&shared->workers[i].timer_news, 0);
	}
	for (i = 0; i < UAEF_MAX_EXECUTORS; i++)
	{
		pg_atomic_init_u32(&shared->executors[i].state, UAEF_EXECUTOR_FREE);
		pg_atomic_init_u32(&shared->executors[i].database, InvalidOid);
		pg_atomic_init_u32(&shared->executors[i].role, InvalidOid);
		pg_atomic_init_u32(&shared->executors[i].proc, 0);
		pg_atomic_init_u32(&shared->executors[i].end, 0);
		pg_atomic_init_u32(&shared->executors[i].announced, 0);
		pg_atomic_init_u64(&shared->executors[i].news, 0);
		pg_atomic_init_u64(&shared->executors[i].left_at, 0);
		shared->executors[i].lost = false;
	}
	for (i = 0; i < UAEF_MAX_WAITERS; i++)
		pg_atomic_init_u32(&shared->waiters[i].proc, 0);
	pg_atomic_init_u32(&shared->n_claimers, 0);
	for (i = 0; i < UAEF_MAX_CLAIMERS; i++)
	{
		pg_atomic_init_u32(&shared->claimers[i].proc, 0);
		pg_atomic_init_u32(&shared->claimers[i].waiting, 0);
		pg_atomic_init_u32(&shared->claimers[i].database, InvalidOid);
	}
}

uint32
uaef_shmem_me(void)
{
	return (uint32) uaef_backend_slot() + 1;
}

void
uaef_shmem_set_latch(uint32 proc)
{
	if (proc != 0)
		SetLatch(&ProcGlobal->allProcs[proc - 1].procLatch);
}

void
uaef_shmem_lower(pg_atomic_uint64 *number, int64 to)
{
	uint64		now = pg_atomic_read_u64(number);

	while (to < (int64) now &&
		   !pg_atomic_compare_exchange_u64(number, &now, (uint64) to))
		;
}

UaefWorkerSlot *
uaef_shmem_worker(Oid database)
{
	int			i;

	for (i = 0; i < UAEF_MAX_WORKERS; i++)
	{
		UaefWorkerSlot *slot = &uaef_shared->workers[i];

		if (pg_atomic_read_u32(&slot->database) == database)
			return slot;
	}
	return NULL;
}

UaefWorkerSlot *
uaef_shmem_claim_worker(Oid database)
{
	UaefWorkerSlot *slot = uaef_shmem_worker(database);

	Assert(LWLockHeldByMeInMode(&uaef_shared->lock, LW_EXCLUSIVE));
	if (slot != NULL)
		return slot;

	slot = uaef_shmem_worker(InvalidOid);
	if (slot == NULL)
		return NULL;

	slot->pid = 0;
	slot->state = UAEF_WORKER_NONE;
	slot->note = UAEF_NOTE_NONE;
	slot->note_role = InvalidOid;
	slot->stopped = false;
	slot->connected = false;
	slot->held = 0;
	slot->failures = 0;
	slot->since = GetCurrentTimestamp();
	pg_atomic_write_u32(&slot->reasons, 0);
	pg_atomic_write_u32(&slot->proc, 0);
	pg_atomic_write_u32(&slot->wanting, 0);
	pg_atomic_write_u64(&slot->timer_news, (uint64) DT_NOBEGIN);
	pg_write_barrier();
	pg_atomic_write_u32(&slot->database, database);
	return slot;
}

void
uaef_shmem_free_worker(UaefWorkerSlot *slot)
{
	Assert(LWLockHeldByMeInMode(&uaef_shared->lock, LW_EXCLUSIVE));
	if (slot->pid == 0 && slot->held == 0)
		pg_atomic_write_u32(&slot->database, InvalidOid);
}

void
uaef_shmem_note(UaefWorkerSlot *slot, UaefWorkerNote note, Oid role)
{
	Assert(LWLockHeldByMeInMode(&uaef_shared->lock, LW_EXCLUSIVE));
	slot->note = note;
	slot->note_role = role;
	slot->since = GetCurrentTimestamp();
}
