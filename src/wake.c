/*-------------------------------------------------------------------------
 *
 * wake.c
 *	  Waking the worker, executors and waiters when a transaction commits.
 *
 * What a transaction asks for gathers in a fixed-size struct of the process;
 * the commit callback, registered once, acts on it after the transaction has
 * become visible.  The callback allocates nothing, takes no lock but
 * for UAEF_WAKE_CONTROL, and does not fail, since the transaction has committed already.
 *
 * No wake-up is lost because both sides write before they read, with a full
 * barrier between: the committer makes its rows visible, then reads the
 * slots; a sleeper marks its slot (idle, waiting), then looks at the rows once
 * more, then sleeps.  Whoever comes second sees the other.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/latch.h"

#include "compat.h"
#include "ready_news.h"
#include "shmem.h"
#include "wait_event.h"
#include "wake.h"
#include "wake_claimers.h"

/* Beyond these, everybody of that kind is woken. */
#define MAX_ROLES	8
#define MAX_ENDED	64

/* An executor that has slept for so long is told before the commit. */
#define COLD_AFTER_US 10000

/* Longest wait of a session that found no waiter slot. */
#define UNREGISTERED_WAIT_MS 100

/* Tasks by the roles whose executors run them. */
typedef struct RoleTasks
{
	int			n;
	bool		all;			/* of any role */
	struct
	{
		Oid			role;
		int			tasks;
		int64		rank;		/* the lowest one */
	}			roles[MAX_ROLES];
} RoleTasks;

/* What the current transaction has asked for. */
typedef struct Pending
{
	int			reasons;
	TimestampTz timer_at;		/* with UAEF_WAKE_TIMERS: the first one */
	RoleTasks	ready;
	RoleTasks	taken;			/* which a rollback gives back */
	int			abort_reasons;	/* for which it wakes the worker */
	int			n_ended;
	bool		all_ended;
	pg_uuid_t	ended[MAX_ENDED];
	bool		any;			/* the others hold anything */
} Pending;

static Pending pending;

/* Our waiter slot, or NULL. */
static UaefWaiterSlot *my_waiter = NULL;

static void at_xact_end(XactEvent event, void *arg);
static void at_subxact_end(SubXactEvent event, SubTransactionId subid,
						   SubTransactionId parent, void *arg);
static void add_task(RoleTasks *list, Oid role, int64 rank);
static void announce(const RoleTasks *list);
static void wake_for_undone(void);
static void wake_roles(const RoleTasks *list);
static void forget(void);
static void wake_worker(Oid database, int reasons, TimestampTz timer_at);
static void wake_for_control(Oid database, int reasons);
static void wake_all_executors(void);
static void wake_waiters(void);
static bool execution_ended(const pg_uuid_t *execution_id);

void
uaef_wake_init(void)
{
	RegisterXactCallback(at_xact_end, NULL);
	RegisterSubXactCallback(at_subxact_end, NULL);
}

void
uaef_wake_worker_on_commit(int reasons)
{
	uaef_shmem_attach();
	pending.reasons |= reasons;
	pending.any = true;
	if ((reasons & UAEF_WAKE_TIMERS) != 0)
		pending.timer_at = DT_NOBEGIN;
}

void
uaef_wake_timers_on_commit(TimestampTz due_at)
{
	TimestampTz before = (pending.reasons & UAEF_WAKE_TIMERS) != 0 ?
		pending.timer_at : DT_NOEND;

	uaef_wake_worker_on_commit(UAEF_WAKE_TIMERS);
	pending.timer_at = Min(before, due_at);
}

TimestampTz
uaef_wake_timers_heard(void)
{
	UaefWorkerSlot *slot = uaef_shmem_worker(MyDatabaseId);

	if (slot == NULL)
		return DT_NOBEGIN;
	return (TimestampTz) pg_atomic_exchange_u64(&slot->timer_news,
												(uint64) DT_NOEND);
}

void
uaef_wake_worker_on_abort(int reasons)
{
	uaef_shmem_attach();
	pending.abort_reasons |= reasons;
	pending.any = true;
}

static void
add_task(RoleTasks *list, Oid role, int64 rank)
{
	int			i;

	uaef_shmem_attach();
	pending.any = true;

	for (i = 0; i < list->n; i++)
	{
		if (list->roles[i].role == role)
		{
			list->roles[i].tasks++;
			list->roles[i].rank = Min(list->roles[i].rank, rank);
			return;
		}
	}
	if (list->n == MAX_ROLES)
	{
		list->all = true;
		return;
	}
	list->roles[list->n].role = role;
	list->roles[list->n].tasks = 1;
	list->roles[list->n].rank = rank;
	list->n++;
}

void
uaef_wake_executor_on_commit(Oid role, int64 rank)
{
	add_task(&pending.ready, role, rank);
}

void
uaef_wake_executor_on_abort(Oid role, int64 rank)
{
	add_task(&pending.taken, role, rank);
}

void
uaef_wake_waiters_on_commit(const pg_uuid_t *execution_id)
{
	uaef_shmem_attach();
	pending.any = true;

	if (pending.n_ended == MAX_ENDED)
		pending.all_ended = true;
	else
		pending.ended[pending.n_ended++] = *execution_id;
}

void
uaef_wake_all_on_commit(void)
{
	uaef_wake_worker_on_commit(UAEF_WAKE_WORK);
	pending.ready.all = true;
	pending.all_ended = true;
	uaef_wake_claimers_on_commit();
}

void *
uaef_wake_save(void)
{
	Pending    *saved = palloc(sizeof(Pending));

	*saved = pending;
	return saved;
}

void
uaef_wake_restore(const void *saved)
{
	pending = *(const Pending *) saved;
}

static void
forget(void)
{
	pending.reasons = pending.abort_reasons = 0;
	pending.ready.n = pending.taken.n = 0;
	pending.ready.all = pending.taken.all = false;
	pending.n_ended = 0;
	pending.all_ended = false;
	pending.any = false;
}

static void
at_xact_end(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_PRE_COMMIT && pending.any)
		announce(&pending.ready);
	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT &&
		event != XACT_EVENT_PREPARE)
		return;

	uaef_wait_unregister();
	if (event == XACT_EVENT_COMMIT)
	{
		/* Our rows are visible before we read who sleeps. */
		pg_memory_barrier();
		uaef_claimers_at_commit();
	}
	else if (event == XACT_EVENT_ABORT)
		uaef_claimers_at_abort();
	else
		uaef_claimers_forget();
	if (!pending.any)
		return;

	if (event == XACT_EVENT_COMMIT)
	{
		wake_roles(&pending.ready);
		if (pending.reasons != 0)
			wake_worker(MyDatabaseId, pending.reasons, pending.timer_at);
		wake_waiters();
	}
	else if (event == XACT_EVENT_ABORT)
		wake_for_undone();
	forget();
}

/*
 * Tasks that it took are there again, and who looked meanwhile passed them over.
 */
static void
at_subxact_end(SubXactEvent event, SubTransactionId subid,
			   SubTransactionId parent, void *arg)
{
	if (event != SUBXACT_EVENT_ABORT_SUB)
		return;
	uaef_claimers_at_subabort();
	wake_for_undone();
}

static void
wake_for_undone(void)
{
	wake_roles(&pending.taken);
	if (pending.abort_reasons != 0)
		wake_worker(MyDatabaseId, pending.abort_reasons, DT_NOEND);
}

/*
 * Tell an executor of a role that a task is about to come, if it has slept for
 * long.
 */
static void
announce_to(Oid role, TimestampTz now)
{
	for (int i = 0; i < UAEF_MAX_EXECUTORS; i++)
	{
		UaefExecutorSlot *slot = &uaef_shared->executors[i];

		if (pg_atomic_read_u32(&slot->state) != UAEF_EXECUTOR_IDLE ||
			pg_atomic_read_u32(&slot->role) != role ||
			pg_atomic_read_u32(&slot->database) != MyDatabaseId)
			continue;
		if (now - slot->since > COLD_AFTER_US &&
			pg_atomic_exchange_u32(&slot->announced, 1) == 0)
			uaef_shmem_set_latch(pg_atomic_read_u32(&slot->proc));
		return;
	}
}

/*
 * Before a commit that waits for the disk: meanwhile the executor that will run
 * the task wakes and makes ready, though it sees the task only afterwards.  An
 * executor that commits runs what comes of its tasks by itself.
 */
static void
announce(const RoleTasks *list)
{
	TimestampTz now;

	if (list->n == 0 || synchronous_commit == SYNCHRONOUS_COMMIT_OFF ||
		uaef_ready_news_is_told())
		return;
	now = GetCurrentTimestamp();
	for (int i = 0; i < list->n; i++)
		announce_to(list->roles[i].role, now);
}

static void
wake_roles(const RoleTasks *list)
{
	if (list->all)
		wake_all_executors();
	else
		for (int i = 0; i < list->n; i++)
			uaef_wake_executors(list->roles[i].role, list->roles[i].tasks,
								list->roles[i].rank);
}

/*
 * Who finds the reasons set already need not set the latch: whoever set them
 * does, and the worker takes them off only before it looks at the tables.
 */
static void
wake_worker(Oid database, int reasons, TimestampTz timer_at)
{
	UaefWorkerSlot *slot;
	uint32		before;

	if ((reasons & UAEF_WAKE_CONTROL) != 0)
	{
		wake_for_control(database, reasons);
		return;
	}

	slot = uaef_shmem_worker(database);
	if (slot == NULL)
		return;
	if ((reasons & UAEF_WAKE_TIMERS) != 0)
		uaef_shmem_lower(&slot->timer_news, timer_at);
	before = pg_atomic_fetch_or_u32(&slot->reasons, (uint32) reasons);
	if ((before & reasons) != (uint32) reasons)
		uaef_shmem_set_latch(pg_atomic_read_u32(&slot->proc));
}

void
uaef_wake_worker(Oid database, int reasons)
{
	wake_worker(database, reasons, DT_NOBEGIN);
}

bool
uaef_worker_is_there(void)
{
	UaefWorkerSlot *slot;

	uaef_shmem_attach();
	slot = uaef_shmem_worker(MyDatabaseId);
	return slot != NULL && pg_atomic_read_u32(&slot->proc) != 0;
}

/*
 * Have a database looked at by its worker, or by the launcher, which tries
 * to start one.  This is rare and takes the lock: a worker that has just found
 * no extension, and gives its slot up, either sees our request first or has
 * freed the slot when we claim one.
 */
static void
wake_for_control(Oid database, int reasons)
{
	uint32		launcher = pg_atomic_read_u32(&uaef_shared->launcher);
	UaefWorkerSlot *slot;

	LWLockAcquire(&uaef_shared->lock, LW_EXCLUSIVE);
	slot = launcher != 0 ? uaef_shmem_claim_worker(database)
		: uaef_shmem_worker(database);
	if (slot != NULL)
	{
		uaef_shmem_lower(&slot->timer_news, DT_NOBEGIN);
		pg_atomic_fetch_or_u32(&slot->reasons, (uint32) reasons);
		uaef_shmem_set_latch(slot->pid != 0
							 ? pg_atomic_read_u32(&slot->proc) : launcher);
	}
	LWLockRelease(&uaef_shared->lock);
}

/*
 * Give n tasks of a role somebody to run them: idle executors first, each
 * turned busy here so that the next committer takes another.  Where they are
 * too few, the busy ones are told to look once more before they sleep, and the
 * worker may start another.  An executor that readies tasks of its own role
 * takes one of them itself.  Who is told their rank will look there.
 */
void
uaef_wake_executors(Oid role, int n, int64 rank)
{
	uint32		me = uaef_shmem_me();
	int			i;

	for (i = 0; i < UAEF_MAX_EXECUTORS && n > 0; i++)
	{
		UaefExecutorSlot *slot = &uaef_shared->executors[i];
		uint32		state = pg_atomic_read_u32(&slot->state);
		uint32		proc;

		if (state != UAEF_EXECUTOR_IDLE && state != UAEF_EXECUTOR_BUSY)
			continue;
		if (pg_atomic_read_u32(&slot->role) != role ||
			pg_atomic_read_u32(&slot->database) != MyDatabaseId)
			continue;

		uaef_ready_news_tell(slot, rank);
		proc = pg_atomic_read_u32(&slot->proc);
		if (proc == me)
			n--;
		else if (state == UAEF_EXECUTOR_IDLE &&
				 pg_atomic_compare_exchange_u32(&slot->state, &state,
												UAEF_EXECUTOR_BUSY))
		{
			uaef_shmem_set_latch(proc);
			n--;
		}
		else
			uaef_shmem_set_latch(proc);
	}

	if (n > 0)
		uaef_wake_worker(MyDatabaseId, UAEF_WAKE_EXECUTORS);
}

static void
wake_all_executors(void)
{
	int			i;

	for (i = 0; i < UAEF_MAX_EXECUTORS; i++)
	{
		UaefExecutorSlot *slot = &uaef_shared->executors[i];

		if (pg_atomic_read_u32(&slot->database) != MyDatabaseId)
			continue;
		uaef_ready_news_tell(slot, PG_INT64_MIN);
		uaef_shmem_set_latch(pg_atomic_read_u32(&slot->proc));
	}
	uaef_wake_worker(MyDatabaseId, UAEF_WAKE_EXECUTORS);
}

/*
 * A waiter that is just writing its slot may be missed, or compared half
 * written: it looks at its execution afterwards, and finds it ended.
 */
static void
wake_waiters(void)
{
	int			i;

	if (pending.n_ended == 0 && !pending.all_ended)
		return;
	if (pg_atomic_read_u32(&uaef_shared->n_waiters) == 0)
		return;

	for (i = 0; i < UAEF_MAX_WAITERS; i++)
	{
		UaefWaiterSlot *slot = &uaef_shared->waiters[i];
		uint32		proc = pg_atomic_read_u32(&slot->proc);

		if (proc != 0 && execution_ended(&slot->execution_id))
			uaef_shmem_set_latch(proc);
	}
}

static bool
execution_ended(const pg_uuid_t *execution_id)
{
	int			i;

	if (pending.all_ended)
		return true;
	for (i = 0; i < pending.n_ended; i++)
	{
		if (memcmp(&pending.ended[i], execution_id, UUID_LEN) == 0)
			return true;
	}
	return false;
}

/*
 * Take a waiter slot, if one is free; without one uaef_wait() looks around
 * often.
 */
void
uaef_wait_register(const pg_uuid_t *execution_id)
{
	int			i;

	uaef_shmem_attach();
	uaef_wait_unregister();

	for (i = 0; i < UAEF_MAX_WAITERS; i++)
	{
		UaefWaiterSlot *slot = &uaef_shared->waiters[i];
		uint32		none = 0;

		if (pg_atomic_compare_exchange_u32(&slot->proc, &none,
										   uaef_shmem_me()))
		{
			my_waiter = slot;
			slot->execution_id = *execution_id;
			pg_atomic_fetch_add_u32(&uaef_shared->n_waiters, 1);
			pg_memory_barrier();
			return;
		}
	}
}

void
uaef_wait(long timeout_ms)
{
	if (my_waiter == NULL)
		timeout_ms = Min(timeout_ms, UNREGISTERED_WAIT_MS);

	(void) WaitLatch(MyLatch,
					 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 timeout_ms, uaef_wait_event(UAEF_WAIT_EXECUTION));
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

void
uaef_wait_unregister(void)
{
	if (my_waiter == NULL)
		return;
	pg_atomic_fetch_sub_u32(&uaef_shared->n_waiters, 1);
	pg_atomic_write_u32(&my_waiter->proc, 0);
	my_waiter = NULL;
}
