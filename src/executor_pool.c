/*-------------------------------------------------------------------------
 *
 * executor_pool.c
 *	  Which executors a database needs, decided by its worker.
 *
 * A role without an executor comes first.  Where all places are taken, an
 * idle executor of another role ends for it, or a busy one after its batch,
 * once it has had its turn.  What is left, and idle executors of other roles,
 * go to roles whose executors are all busy.
 *
 * Memory: process handles and the list of failing roles live as long as the
 * worker.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "engine.h"
#include "executor.h"
#include "executor_pool.h"
#include "guc.h"
#include "ready_news.h"
#include "running_mark.h"

/* How long a busy executor may keep its place when another role has none. */
#define TURN_MS			1000

/* A reserved slot that nobody took over after so long is free again. */
#define START_LIMIT_MS	10000

/* A failing role, or a server without a free slot, is tried again after. */
#define FIRST_BACKOFF_MS 1000
#define MAX_BACKOFF_MS	60000

#define MAX_TROUBLED	32

/* A role whose executors die, or that can have none. */
typedef struct TroubledRole
{
	Oid			role;
	int			failures;
	TimestampTz until;
} TroubledRole;

/* Roles to leave out of the search for work. */
typedef struct RoleSet
{
	int			n;
	Oid			roles[UAEF_MAX_EXECUTORS + 2 * MAX_TROUBLED];
} RoleSet;

/* Processes that we started, by slot. */
static BackgroundWorkerHandle *handles[UAEF_MAX_EXECUTORS];

static TroubledRole troubled[MAX_TROUBLED];
static int	n_troubled = 0;

/*
 * Of the roles that had work and no executor, the one that was given one last;
 * InvalidOid: since then there was a time when there were no such roles.
 */
static Oid	last_served = InvalidOid;

/* Failures in a row to get a background worker from the server. */
static int	no_slot_failures = 0;

/* When to look again for more work of roles that are served. */
static TimestampTz served_due = 0;

/*
 * If it takes longer than this, at most one part in so many of the time, but no
 * later than that: a look that took very long has waited for something.
 */
#define LONG_LOOK_US	500
#define SERVED_SHARE	20
#define SERVED_LATEST_US (10 * USECS_PER_SEC)

/* Whether the log says so. */
static bool told_no_slot = false;

/* Whether tasks that a crash took with it have been counted. */
static bool crash_counted = false;

static void reap(void);
static bool loss_is_due(UaefExecutorSlot *slot, UaefTaskRef *ref,
						TimestampTz *next);
static TimestampTz count_losses(void);
static Oid	next_role(RoleSet *refused, bool *served, TimestampTz *next);
static bool has_died(int number);
static TimestampTz backoff(int failures);
static void note_failure(Oid role);
static Oid	find_role(const RoleSet *leave_out, RoleSet *refused);
static Oid	find_busy_role(const RoleSet *leave_out);
static bool can_have_executor(Oid role);
static void collect(RoleSet *set, bool busy_ones);
static bool is_in(const RoleSet *set, Oid role);
static void add_troubled(RoleSet *set);
static bool start(Oid role);
static TimestampTz make_room(Oid role, bool served);
static void report(UaefWorkerSlot *worker, const RoleSet *refused);
static TimestampTz next_retry(void);

void
uaef_executor_pool_init(void)
{
	int			i;

	LWLockAcquire(&uaef_shared->lock, LW_EXCLUSIVE);
	for (i = 0; i < UAEF_MAX_EXECUTORS; i++)
	{
		UaefExecutorSlot *slot = &uaef_shared->executors[i];

		if (pg_atomic_read_u32(&slot->state) == UAEF_EXECUTOR_FAILED &&
			pg_atomic_read_u32(&slot->database) == MyDatabaseId)
			pg_atomic_write_u32(&slot->state, UAEF_EXECUTOR_FREE);
	}
	LWLockRelease(&uaef_shared->lock);
}

bool
uaef_executor_pool_full(void)
{
	return uaef_executor_count(MyDatabaseId) >= uaef_max_executors;
}

TimestampTz
uaef_executor_pool_tend(UaefWorkerSlot *worker)
{
	RoleSet		refused = {0};
	TimestampTz counting;
	TimestampTz next = DT_NOEND;
	bool		started = true;
	int			i;

	reap();
	counting = count_losses();
	pg_atomic_write_u32(&worker->wanting, 0);
	for (i = 0; i <= uaef_max_executors && started; i++)
	{
		bool		served;
		Oid			role = next_role(&refused, &served, &next);

		if (!OidIsValid(role))
			break;
		if (uaef_executor_pool_full())
		{
			/* Before we look who is idle: who is later tells us. */
			pg_atomic_write_u32(&worker->wanting, 1);
			pg_memory_barrier();
			next = Min(next, make_room(role, served));
			break;
		}
		started = start(role);
		if (started && !served)
			last_served = role;
		/* For a role that is served, one executor is enough to live with. */
		if (!started && !served)
			next = Min(next, backoff(no_slot_failures));
	}
	if (started)
		no_slot_failures = 0;
	report(worker, &refused);
	return Min(counting, Min(next, next_retry()));
}

/*
 * A role that nobody serves and that has work, or else one whose executors
 * are all busy (*served).  The search for the latter may walk over what these have
 * taken, which an old snapshot may keep; so it is not made each time, and *next
 * is no later than when it is due.
 */
static Oid
next_role(RoleSet *refused, bool *served, TimestampTz *next)
{
	RoleSet		leave_out = *refused;
	TimestampTz began;
	int64		took;
	Oid			role;

	*served = false;
	add_troubled(&leave_out);
	collect(&leave_out, true);
	role = find_role(&leave_out, refused);
	if (OidIsValid(role))
		return role;

	*served = true;
	began = GetCurrentTimestamp();

	/* A clock that was set back puts nothing off. */
	if (began < served_due && served_due - began <= SERVED_LATEST_US)
	{
		*next = Min(*next, served_due);
		return InvalidOid;
	}
	leave_out = *refused;
	add_troubled(&leave_out);
	collect(&leave_out, false);
	role = find_busy_role(&leave_out);
	took = GetCurrentTimestamp() - began;
	served_due = took <= LONG_LOOK_US ? 0 : began + took +
		Min((SERVED_SHARE - 1) * took, SERVED_LATEST_US);
	return role;
}

/*
 * Look after what became of the executors.
 */
static void
reap(void)
{
	int			i;

	for (i = 0; i < UAEF_MAX_EXECUTORS; i++)
	{
		UaefExecutorSlot *slot = &uaef_shared->executors[i];
		Oid			role = pg_atomic_read_u32(&slot->role);
		uint32		state = pg_atomic_read_u32(&slot->state);

		if (pg_atomic_read_u32(&slot->database) != MyDatabaseId)
			continue;
		if (handles[i] != NULL && state != UAEF_EXECUTOR_STARTING)
		{
			pfree(handles[i]);
			handles[i] = NULL;
		}
		if (state != UAEF_EXECUTOR_FAILED && !has_died(i))
			continue;
		LWLockAcquire(&uaef_shared->lock, LW_EXCLUSIVE);
		pg_atomic_write_u32(&slot->state, UAEF_EXECUTOR_FREE);
		LWLockRelease(&uaef_shared->lock);
		if (handles[i] != NULL)
		{
			pfree(handles[i]);
			handles[i] = NULL;
		}
		note_failure(role);
	}
}

static void
count_loss(const UaefTaskRef *ref)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	uaef_engine_task_lost(ref);
	PopActiveSnapshot();
	CommitTransactionCommand();
}

/*
 * Whether a slot tells of a loss that is to be counted now; *next is no later
 * than when it is.  An executor writes down its loss under the lock.
 */
static bool
loss_is_due(UaefExecutorSlot *slot, UaefTaskRef *ref, TimestampTz *next)
{
	bool		due = false;

	if (!slot->lost || pg_atomic_read_u32(&slot->database) != MyDatabaseId)
		return false;
	LWLockAcquire(&uaef_shared->lock, LW_SHARED);
	if (slot->lost)
	{
		due = slot->count_from <= GetCurrentTimestamp();
		*ref = slot->lost_task;
		if (!due)
			*next = Min(*next, slot->count_from);
	}
	LWLockRelease(&uaef_shared->lock);
	return due;
}

/*
 * Whether a slot has an executor of this database, or will have one.
 */
static bool
is_ours(UaefExecutorSlot *slot)
{
	return pg_atomic_read_u32(&slot->state) != UAEF_EXECUTOR_FREE &&
		pg_atomic_read_u32(&slot->database) == MyDatabaseId;
}

/*
 * Count the tasks that executors died of; once, those that they were at when
 * the server crashed, before any executor can write another mark.  Returns
 * when one has to be counted that may yet turn out to be a shutdown.
 */
static TimestampTz
count_losses(void)
{
	TimestampTz next = DT_NOEND;

	for (int i = 0; i < UAEF_MAX_EXECUTORS; i++)
	{
		UaefExecutorSlot *slot = &uaef_shared->executors[i];
		UaefTaskRef ref;

		if (loss_is_due(slot, &ref, &next))
		{
			count_loss(&ref);
			slot->lost = false;
		}
		if (!crash_counted && !is_ours(slot) && uaef_running_left(i, &ref))
		{
			count_loss(&ref);
			uaef_running_forget(i);
		}
	}
	crash_counted = true;
	return next;
}

/*
 * Whether a reserved slot will not be taken over: its process ended before
 * that, or we do not know of one and it has had time enough.
 */
static bool
has_died(int number)
{
	UaefExecutorSlot *slot = &uaef_shared->executors[number];
	pid_t		pid;

	if (pg_atomic_read_u32(&slot->state) != UAEF_EXECUTOR_STARTING ||
		pg_atomic_read_u32(&slot->proc) != 0)
		return false;
	if (handles[number] != NULL)
		return GetBackgroundWorkerPid(handles[number], &pid) == BGWH_STOPPED;
	return TimestampDifferenceExceeds(slot->started, GetCurrentTimestamp(),
									  START_LIMIT_MS);
}

static TimestampTz
backoff(int failures)
{
	long		ms = FIRST_BACKOFF_MS << Min(Max(failures - 1, 0), 6);

	return TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
									   Min(ms, MAX_BACKOFF_MS));
}

/*
 * Leave a role alone for a while.  A role that failed long ago starts anew;
 * where the list is full, the role that is due first gives way.
 */
static void
note_failure(Oid role)
{
	TroubledRole *entry = NULL;
	int			i;

	for (i = 0; i < n_troubled && entry == NULL; i++)
	{
		if (troubled[i].role == role)
			entry = &troubled[i];
	}
	if (entry == NULL)
	{
		entry = &troubled[0];
		if (n_troubled < MAX_TROUBLED)
			entry = &troubled[n_troubled++];
		else
			for (i = 1; i < n_troubled; i++)
				if (troubled[i].until < entry->until)
					entry = &troubled[i];
		entry->role = role;
		entry->failures = 0;
	}
	else if (TimestampDifferenceExceeds(entry->until, GetCurrentTimestamp(),
										MAX_BACKOFF_MS))
		entry->failures = 0;

	entry->failures++;
	entry->until = backoff(entry->failures);
}

/*
 * The first role after this one that has work and can have an executor.  Those
 * that cannot are added to refused on the way, as far as it has room.
 */
static Oid
find_role_after(Oid role, const RoleSet *leave_out, RoleSet *refused)
{
	for (;;)
	{
		role = uaef_engine_role_with_work(role, leave_out->roles, leave_out->n);
		if (!OidIsValid(role) || can_have_executor(role))
			return role;
		if (refused->n < MAX_TROUBLED && !is_in(refused, role))
			refused->roles[refused->n++] = role;
	}
}

/*
 * A role that has work, in a transaction of its own.  They take turns: one whose
 * executor had to go for another does not come before those that still wait.
 */
static Oid
find_role(const RoleSet *leave_out, RoleSet *refused)
{
	Oid			role;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	role = find_role_after(last_served, leave_out, refused);
	if (!OidIsValid(role) && OidIsValid(last_served))
	{
		role = find_role_after(InvalidOid, leave_out, refused);
		if (!OidIsValid(role))
			last_served = InvalidOid;
	}
	PopActiveSnapshot();
	CommitTransactionCommand();
	return role;
}

static bool
has_work(Oid role, int64 rank)
{
	bool		found;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	found = uaef_engine_role_has_work(role, rank);
	PopActiveSnapshot();
	CommitTransactionCommand();
	return found;
}

/*
 * From which rank on the busy executors of a role may have left something.
 */
static int64
left_by_busy(Oid role)
{
	int64		rank = UAEF_NO_RANK;

	for (int i = 0; i < UAEF_MAX_EXECUTORS; i++)
	{
		UaefExecutorSlot *slot = &uaef_shared->executors[i];

		if (pg_atomic_read_u32(&slot->state) == UAEF_EXECUTOR_BUSY &&
			pg_atomic_read_u32(&slot->database) == MyDatabaseId &&
			pg_atomic_read_u32(&slot->role) == role)
			rank = Min(rank, uaef_ready_news_left(slot));
	}
	return rank;
}

/*
 * A role with busy executors that has work which they have not taken.
 */
static Oid
find_busy_role(const RoleSet *leave_out)
{
	RoleSet		seen = *leave_out;

	for (int i = 0; i < UAEF_MAX_EXECUTORS; i++)
	{
		UaefExecutorSlot *slot = &uaef_shared->executors[i];
		Oid			role = pg_atomic_read_u32(&slot->role);
		int64		rank;

		if (pg_atomic_read_u32(&slot->state) != UAEF_EXECUTOR_BUSY ||
			pg_atomic_read_u32(&slot->database) != MyDatabaseId ||
			is_in(&seen, role))
			continue;
		rank = left_by_busy(role);
		if (rank != UAEF_NO_RANK && has_work(role, rank))
			return role;
		seen.roles[seen.n++] = role;
	}
	return InvalidOid;
}

/*
 * Whether an executor could connect as the role.
 */
static bool
can_have_executor(Oid role)
{
	HeapTuple	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(role));
	bool		can;

	if (!HeapTupleIsValid(tuple))
		return false;
#ifdef UAEF_HAVE_NOLOGIN_WORKERS
	can = true;
#else
	can = ((Form_pg_authid) GETSTRUCT(tuple))->rolcanlogin;
#endif
	ReleaseSysCache(tuple);
	return can;
}

/*
 * Add the roles that have an executor: all of them, or only those with one
 * that will take work at once.
 */
static void
collect(RoleSet *set, bool busy_ones)
{
	int			i;

	for (i = 0; i < UAEF_MAX_EXECUTORS; i++)
	{
		UaefExecutorSlot *slot = &uaef_shared->executors[i];
		uint32		state = pg_atomic_read_u32(&slot->state);

		if (pg_atomic_read_u32(&slot->database) != MyDatabaseId)
			continue;
		if (state == UAEF_EXECUTOR_STARTING || state == UAEF_EXECUTOR_IDLE ||
			(busy_ones && state == UAEF_EXECUTOR_BUSY))
			set->roles[set->n++] = pg_atomic_read_u32(&slot->role);
	}
}

static bool
is_in(const RoleSet *set, Oid role)
{
	for (int i = 0; i < set->n; i++)
		if (set->roles[i] == role)
			return true;
	return false;
}

static void
add_troubled(RoleSet *set)
{
	TimestampTz now = GetCurrentTimestamp();
	int			i;

	for (i = 0; i < n_troubled; i++)
	{
		if (troubled[i].until > now)
			set->roles[set->n++] = troubled[i].role;
	}
}

/*
 * Start an executor.  Where the server has no background worker slot left, an
 * idle executor of any database is asked to give its up.  This is logged once,
 * until it has worked again.
 */
static bool
start(Oid role)
{
	MemoryContext before = MemoryContextSwitchTo(TopMemoryContext);
	BackgroundWorkerHandle *handle = NULL;
	int			number = uaef_executor_start(role, &handle);

	MemoryContextSwitchTo(before);
	if (number >= 0)
	{
		handles[number] = handle;
		told_no_slot = false;
		return true;
	}

	uaef_executor_end_idle();
	no_slot_failures++;
	if (!told_no_slot)
		ereport(WARNING,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("no background worker slot is free for an executor of uaef"),
				 errhint("Raise max_worker_processes, or lower uaef.max_executors.")));
	told_no_slot = true;
	return false;
}

/*
 * All places are taken, and a role has none, or (served) too few.  Ask an
 * executor to end that can be spared: one that is idle, or for a role that has
 * none also the busy one that has had its turn first.  Its end wakes us, as does
 * one that becomes idle.  Returns when a turn ends (DT_NOEND: that need not be
 * waited for).
 */
static TimestampTz
make_room(Oid role, bool served)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz next = DT_NOEND;
	UaefExecutorSlot *idle = NULL;
	UaefExecutorSlot *busy = NULL;
	bool		ending = false;
	int			i;

	LWLockAcquire(&uaef_shared->lock, LW_EXCLUSIVE);
	for (i = 0; i < UAEF_MAX_EXECUTORS; i++)
	{
		UaefExecutorSlot *slot = &uaef_shared->executors[i];
		uint32		state = pg_atomic_read_u32(&slot->state);
		TimestampTz turn_ends = TimestampTzPlusMilliseconds(slot->started,
															TURN_MS);

		if (pg_atomic_read_u32(&slot->database) != MyDatabaseId ||
			(state != UAEF_EXECUTOR_IDLE && state != UAEF_EXECUTOR_BUSY))
			continue;
		if (pg_atomic_read_u32(&slot->end) != 0)
			ending = true;
		else if (state == UAEF_EXECUTOR_IDLE)
		{
			/* One of the role's own has become idle since we looked. */
			if (pg_atomic_read_u32(&slot->role) != role)
				idle = slot;
		}
		else if (turn_ends > now)
			next = Min(next, turn_ends);
		else if (busy == NULL || slot->started < busy->started)
			busy = slot;
	}
	if (idle == NULL && !served)
		idle = busy;
	if (idle != NULL && !ending)
	{
		pg_atomic_write_u32(&idle->end, 1);
		uaef_shmem_set_latch(pg_atomic_read_u32(&idle->proc));
	}
	LWLockRelease(&uaef_shared->lock);
	return idle != NULL || ending || served ? DT_NOEND : next;
}

/*
 * Say in worker_status what is wrong with executors, or that nothing is; and
 * once in the log that a role cannot have one.
 */
static void
report(UaefWorkerSlot *worker, const RoleSet *refused)
{
	UaefWorkerNote what = UAEF_NOTE_NONE;
	Oid			role = InvalidOid;
	RoleSet		failing = {0};

	add_troubled(&failing);
	if (no_slot_failures > 0)
		what = UAEF_NOTE_EXECUTOR_NO_SLOT;
	else if (failing.n > 0)
	{
		what = UAEF_NOTE_EXECUTOR_FAILED;
		role = failing.roles[0];
	}
	else if (refused->n > 0)
	{
		what = UAEF_NOTE_NOLOGIN;
		role = refused->roles[0];
	}
	if (worker->note == what && worker->note_role == role)
		return;

	LWLockAcquire(&uaef_shared->lock, LW_EXCLUSIVE);
	uaef_shmem_note(worker, what, role);
	LWLockRelease(&uaef_shared->lock);
	if (what == UAEF_NOTE_NOLOGIN)
		ereport(WARNING,
				(errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
				 errmsg("role with OID %u has SQL tasks, but cannot log in", role),
				 errhint("Give the role LOGIN; executors connect as it.")));
}

static TimestampTz
next_retry(void)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz next = DT_NOEND;
	int			i;

	for (i = 0; i < n_troubled; i++)
	{
		if (troubled[i].until > now)
			next = Min(next, troubled[i].until);
	}
	return next;
}
