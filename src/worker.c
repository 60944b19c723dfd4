/*-------------------------------------------------------------------------
 *
 * worker.c
 *	  The background worker of a database: one event loop.
 *
 * The loop sleeps on its latch and on the descriptor of the HTTP transfers.
 * What it does is cut into steps.  A step runs when somebody committed a
 * reason for it, or when its time has come, and never because it might be
 * worth a look: an idle system runs no query.  Each step opens the
 * transactions it needs and leaves none open.  After an error a step waits
 * longer and longer; the others go on.
 *
 * A worker that starts runs every step once.  The tables are the truth; what
 * is in shared memory only saves looking.
 *
 * Locking: the slot in shared memory makes a worker the only one of its
 * database; it is taken under the lock before the connection is made, and
 * given back at exit.
 *
 * Memory: what a step leaves behind lies in a context that is reset after it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
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

#include "agent_call.h"
#include "bulk.h"
#include "clock.h"
#include "compat.h"
#include "delivery.h"
#include "engine.h"
#include "executor.h"
#include "executor_pool.h"
#include "guc.h"
#include "history.h"
#include "identity.h"
#include "ledger.h"
#include "ledger_anchor.h"
#include "ledger_checkpoint.h"
#include "receive.h"
#include "schedule.h"
#include "shmem.h"
#include "wait_event.h"
#include "wake.h"
#include "worker.h"

/* Timers fired in one transaction. */
#define TIMER_BATCH			500

/* A step that failed is tried again after. */
#define FIRST_BACKOFF_MS	1000
#define MAX_BACKOFF_MS		60000

/* A worker that lived so long before it failed starts anew at once. */
#define GOOD_LIFE_MS		60000

/* Starts in a row that do not reach the database, before one gives up. */
#define MAX_FAILED_STARTS	3

/* One kind of work of the loop. */
typedef struct Step
{
	const char *activity;		/* for pg_stat_activity */
	int			reasons;		/* UAEF_WAKE_* that make it due */
	TimestampTz (*run) (void);	/* returns when it is due again */
	long		(*delay_ms) (void); /* from reason to run; NULL: none */
	long		pause_ms;		/* at least between two runs */
	TimestampTz due;			/* DT_NOEND: when there is a reason */
	TimestampTz not_before;
	int			failures;
} Step;

static TimestampTz run_control(void);
static TimestampTz run_limits(void);
static TimestampTz run_timers(void);
static TimestampTz run_schedules(void);
static TimestampTz run_executors(void);
static TimestampTz run_deliveries(void);
static TimestampTz run_receivers(void);
static TimestampTz run_seal(void);
static TimestampTz run_checkpoint(void);
static TimestampTz run_anchors(void);
static TimestampTz run_bulk(void);
static TimestampTz run_history(void);
static TimestampTz run_agents(void);
static long seal_delay_ms(void);

/* In the order in which they run. */
static Step steps[] = {
	{"looking around", UAEF_WAKE_CONTROL, run_control, NULL, 0},
	{"granting limits", UAEF_WAKE_LIMITS, run_limits, NULL, 1},
	{"firing timers", UAEF_WAKE_TIMERS, run_timers, NULL, 5},
	{"starting what is scheduled", UAEF_WAKE_SCHEDULES, run_schedules, NULL, 0},
	{"starting executors", UAEF_WAKE_EXECUTORS, run_executors, NULL, 5},
	{"delivering", UAEF_WAKE_HTTP, run_deliveries, NULL, 2},
	{"sealing the ledger", UAEF_WAKE_EVENTS, run_seal, seal_delay_ms, 0},
	{"signing a checkpoint", 0, run_checkpoint, NULL, 0},
	{"anchoring the ledger", UAEF_WAKE_ANCHORS, run_anchors, NULL, 5},
	{"controlling executions", UAEF_WAKE_BULK, run_bulk, NULL, 5},
	{"deleting old executions", 0, run_history, NULL, 100},
	{"receiving", UAEF_WAKE_RECEIVE, run_receivers, NULL, 2},
	{"calling agents", UAEF_WAKE_AGENTS, run_agents, NULL, 2},
};

#define CONTROL_STEP	(&steps[0])
#define TIMER_STEP		(&steps[2])
#define EXECUTOR_STEP	(&steps[4])
#define DELIVERY_STEP	(&steps[5])
#define CHECKPOINT_STEP	(&steps[7])
#define RECEIVE_STEP	(&steps[11])

/* Executors are looked after less often while no more of them may run. */
#define EXECUTOR_PAUSE_MS	5
#define FULL_PAUSE_MS		50

/* Our slot in shared memory. */
static UaefWorkerSlot *my_slot = NULL;

/* Set when the extension is not, or no longer, in the database. */
static bool extension_gone = false;

/* Whether libcurl is set up and its descriptor can be waited on. */
static bool delivering = false;

/* Whether that descriptor has news, and whether to look for rows too. */
static bool sockets_ready = false;
static bool look_for_deliveries = false;

/* Whether somebody asked for messages of queues. */
static bool messages_asked = false;

/* The reasons that are set, and whose steps we have made due. */
static uint32 noted_reasons = 0;

/*
 * Timers to be fired one by one, after a batch of them has raised an error, so
 * that the bad one is found and the others are not held up.
 */
static int	timers_alone = 0;

/* How many the last run took; 0 when it failed before it took any. */
static int	timers_claimed = 0;

/* When this process took its slot. */
static TimestampTz life_began;

static UaefWorkerSlot *take_slot(Oid database);
static void give_slot_back(int code, Datum arg);
static void connect_to(Oid database);
static void announce_life(void);
static void end_if_told(void);
static void note_reasons(void);
static void run_due_steps(MemoryContext context);
static void run_step(Step *step, MemoryContext context);
static void try_step(Step *step, MemoryContext context);
static bool is_news(const Step *step);
static bool is_told(void);
static void recover_from_error(Step *step, MemoryContext context);
static void wait_for_event(void);
static void set_idle(bool idle);
static void begin(void);
static void commit(void);
static void make_all_due(void);
static TimestampTz wall_time(TimestampTz due);

/*
 * The process: take the slot, connect, then loop until told to end.
 */
void
uaef_worker_main(Datum arg)
{
	Oid			database = DatumGetObjectId(arg);
	MemoryContext context;

	pqsignal(SIGTERM, die);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();

	uaef_shmem_attach();
	my_slot = take_slot(database);
	if (my_slot == NULL)
		proc_exit(0);
	before_shmem_exit(give_slot_back, (Datum) 0);

	connect_to(database);
	context = AllocSetContextCreate(TopMemoryContext, "uaef worker",
									ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(context);

	/* Whoever finds no extension has only had a look. */
	run_control();
	end_if_told();
	announce_life();
	uaef_executor_pool_init();
	make_all_due();

	for (;;)
	{
		note_reasons();
		run_due_steps(context);
		end_if_told();
		wait_for_event();
		end_if_told();
	}
}

/*
 * Become the worker of the database; NULL if another one is, or none is
 * wanted.  A worker that comes back by itself, without a launcher, gives up
 * when it cannot reach its database, which may have been dropped.
 */
static UaefWorkerSlot *
take_slot(Oid database)
{
	bool		by_itself = MyBgworkerEntry->bgw_restart_time != BGW_NEVER_RESTART;
	UaefWorkerSlot *slot;

	LWLockAcquire(&uaef_shared->lock, LW_EXCLUSIVE);
	slot = uaef_shmem_claim_worker(database);
	if (slot != NULL &&
		(slot->pid != 0 || slot->stopped || slot->held > 0 ||
		 (by_itself && !slot->connected &&
		  slot->failures >= MAX_FAILED_STARTS)))
		slot = NULL;
	if (slot != NULL)
	{
		life_began = GetCurrentTimestamp();
		slot->pid = MyProcPid;
		slot->state = UAEF_WORKER_STARTING;
		slot->since = life_began;
		slot->connected = false;
		pg_atomic_write_u32(&slot->proc, uaef_shmem_me());
		pg_atomic_write_u32(&slot->reasons, 0);
	}
	LWLockRelease(&uaef_shared->lock);
	return slot;
}

/*
 * At exit: say why, and tell the launcher and whoever waits for our end.
 *
 * Whoever asked for a look around after ours, perhaps because the extension
 * has been created meanwhile, is not forgotten: the launcher looks again.
 */
static void
give_slot_back(int code, Datum arg)
{
	bool		gone = extension_gone;
	TimestampTz now = GetCurrentTimestamp();

	LWLockAcquire(&uaef_shared->lock, LW_EXCLUSIVE);
	my_slot->pid = 0;
	my_slot->state = UAEF_WORKER_NONE;
	my_slot->note = UAEF_NOTE_NONE;
	my_slot->since = now;
	pg_atomic_write_u32(&my_slot->proc, 0);

	if (gone)
	{
		if ((pg_atomic_read_u32(&my_slot->reasons) & UAEF_WAKE_CONTROL) == 0)
			uaef_shmem_free_worker(my_slot);
	}
	else if (!my_slot->stopped && my_slot->held == 0)
	{
		if (TimestampDifferenceExceeds(life_began, now, GOOD_LIFE_MS))
			my_slot->failures = 0;
		my_slot->failures++;
		my_slot->note = UAEF_NOTE_ENDED;
		pg_atomic_fetch_or_u32(&my_slot->reasons, UAEF_WAKE_CONTROL);
	}
	LWLockRelease(&uaef_shared->lock);

	uaef_shmem_set_latch(pg_atomic_read_u32(&uaef_shared->launcher));
	ConditionVariableBroadcast(&uaef_shared->changed);
}

/*
 * Connect as the bootstrap superuser and shut out settings that an
 * administrator may have made for people.
 */
static void
connect_to(Oid database)
{
	static const char *const settings[][2] = {
		{"application_name", "uaef worker"},
		{"search_path", "pg_catalog, pg_temp"},
		{"default_transaction_isolation", "read committed"},
		{"default_transaction_read_only", "off"},
		/* A client that holds an execution and idles must not stop us all. */
		{"lock_timeout", "1s"},
		{"row_security", "off"},
		{"session_replication_role", "origin"},
#if PG_VERSION_NUM >= 170000
		{"transaction_timeout", "0"},
#endif
	};
	int			i;

	BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
	for (i = 0; i < lengthof(settings); i++)
		SetConfigOption(settings[i][0], settings[i][1], PGC_SUSET,
						PGC_S_OVERRIDE);
}

/*
 * The extension is here: from now on we count as running.
 */
static void
announce_life(void)
{
	LWLockAcquire(&uaef_shared->lock, LW_EXCLUSIVE);
	my_slot->state = UAEF_WORKER_BUSY;
	my_slot->connected = true;
	uaef_shmem_note(my_slot, UAEF_NOTE_NONE, InvalidOid);
	LWLockRelease(&uaef_shared->lock);

	uaef_shmem_set_latch(pg_atomic_read_u32(&uaef_shared->launcher));
	ConditionVariableBroadcast(&uaef_shared->changed);
	ereport(DEBUG1,
			(errmsg_internal("uaef worker of database %u has started",
							 MyDatabaseId)));
}

/*
 * Between steps nothing is going on, so that SIGTERM, a request to stop and
 * the end of the extension all end the process at once and quietly.  What is
 * in flight stays begun, for the next worker to judge.
 */
static void
end_if_told(void)
{
	if (!ProcDiePending && !extension_gone && !my_slot->stopped &&
		my_slot->held == 0)
		return;

	if (extension_gone)
		uaef_executor_end_all(MyDatabaseId, false);
	if (delivering)
		uaef_delivery_shutdown();
	proc_exit(0);
}

static void
make_all_due(void)
{
	TimestampTz now = GetCurrentTimestamp();
	int			i;

	for (i = 0; i < lengthof(steps); i++)
		steps[i].due = Max(now, steps[i].not_before);
}

/*
 * Make the steps due that somebody has a reason for.  The reasons stay set
 * until the step runs: so nobody wakes us once more meanwhile.
 */
static void
note_reasons(void)
{
	TimestampTz now = GetCurrentTimestamp();
	uint32		reasons;
	int			i;

	ResetLatch(MyLatch);

	/*
	 * DROP DATABASE and others wait until every process has done this.  There
	 * is nothing to cancel here.
	 */
	QueryCancelPending = false;
	CHECK_FOR_INTERRUPTS();
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
		make_all_due();
	}

	reasons = noted_reasons = pg_atomic_read_u32(&my_slot->reasons);
	if ((reasons & UAEF_WAKE_CONTROL) != 0)
		make_all_due();
	if ((reasons & UAEF_WAKE_RECEIVE) != 0)
		messages_asked = true;
	for (i = 0; i < lengthof(steps); i++)
	{
		Step	   *step = &steps[i];
		TimestampTz due = now;

		if ((reasons & step->reasons) == 0)
			continue;
		if (step->delay_ms != NULL)
			due = TimestampTzPlusMilliseconds(now, step->delay_ms());
		due = Max(due, step->not_before);
		step->due = Min(step->due, due);
	}
}

static void
run_due_steps(MemoryContext context)
{
	int			i;

	for (i = 0; i < lengthof(steps); i++)
	{
		Step	   *step = &steps[i];
		TimestampTz now = GetCurrentTimestamp();

		if (step->due <= now)
		{
			look_for_deliveries = true;
			run_step(step, context);
		}
		else if (step == DELIVERY_STEP && sockets_ready &&
				 step->not_before <= now)
		{
			look_for_deliveries = false;
			run_step(step, context);
		}
		if (ProcDiePending || extension_gone)
			return;
	}
}

/*
 * Run a step, and survive it.  A run for the sake of sockets has looked at no
 * rows, and leaves the reasons and the time of the next look alone.
 */
static void
run_step(Step *step, MemoryContext context)
{
	TimestampTz look_again = DT_NOEND;

	set_idle(false);
	pgstat_report_activity(STATE_RUNNING, step->activity);
	step->not_before = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
												   step->pause_ms);
	if (step == DELIVERY_STEP && !look_for_deliveries)
		look_again = step->due;
	else
	{
		noted_reasons &= ~(uint32) step->reasons;
		pg_atomic_fetch_and_u32(&my_slot->reasons, ~(uint32) step->reasons);
	}

	step->due = DT_NOEND;
	try_step(step, context);
	step->due = Min(Max(step->due, step->not_before), look_again);
	MemoryContextSwitchTo(context);
	MemoryContextReset(context);
}

static void
try_step(Step *step, MemoryContext context)
{
	QueryCancelPending = false;
	PG_TRY();
	{
		step->due = step->run();
		step->failures = 0;
	}
	PG_CATCH();
	{
		recover_from_error(step, context);
	}
	PG_END_TRY();
}

/*
 * Whether a step has failed otherwise than the last time.  A signer may be away
 * for hours, and its absence is worth one line.
 */
static bool
is_news(const Step *step)
{
	static int	last_code = 0;
	bool		news = step->failures == 0 || geterrcode() != last_code;

	last_code = geterrcode();
	return news;
}

/*
 * Log the error, clean up, and have the step wait.  Perhaps the extension has
 * been dropped under it, so that is looked at first.
 */
static void
recover_from_error(Step *step, MemoryContext context)
{
	long		ms = FIRST_BACKOFF_MS << Min(step->failures, 6);

	HOLD_INTERRUPTS();
	MemoryContextSwitchTo(context);
	if (step != CHECKPOINT_STEP || is_news(step))
		EmitErrorReport();
	AbortOutOfAnyTransaction();
	LWLockReleaseAll();
	ConditionVariableCancelSleep();
	pgstat_report_wait_end();
	FlushErrorState();
	RESUME_INTERRUPTS();

	step->failures++;
	step->not_before = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
												   Min(ms, MAX_BACKOFF_MS));
	step->due = step->not_before;
	if (step != CONTROL_STEP)
		CONTROL_STEP->due = GetCurrentTimestamp();
}

/*
 * Has anybody told us of something since note_reasons()?  The latch alone does
 * not say so: a step that waited for a lock has waited on it and reset it, and
 * who finds a reason set does not set the latch again.
 */
static bool
is_told(void)
{
	return ConfigReloadPending ||
		(pg_atomic_read_u32(&my_slot->reasons) & ~noted_reasons) != 0;
}

/*
 * Sleep until there is a reason, news of a transfer, or something due.
 */
static void
wait_for_event(void)
{
	int			events = WL_LATCH_SET | WL_EXIT_ON_PM_DEATH;
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz next = DT_NOEND;
	long		timeout_ms = -1;
	pgsocket	fd = PGINVALID_SOCKET;
	int			i;
	int			rc;

	for (i = 0; i < lengthof(steps); i++)
		next = Min(next, steps[i].due);
	if (delivering && DELIVERY_STEP->not_before <= now)
	{
		fd = uaef_delivery_fd();
		events |= WL_SOCKET_READABLE;
	}
	else if (delivering)
		next = Min(next, DELIVERY_STEP->not_before);

	if (next <= now || is_told())
		timeout_ms = 0;
	else
	{
		if (next != DT_NOEND)
			timeout_ms = TimestampDifferenceMilliseconds(now, next);
		uaef_report_stat();
	}

	if (timeout_ms >= 0)
		events |= WL_TIMEOUT;
	if (timeout_ms != 0)
		set_idle(true);
	rc = WaitLatchOrSocket(MyLatch, events, fd, timeout_ms,
						   uaef_wait_event(UAEF_WAIT_WORKER));
	sockets_ready = (rc & WL_SOCKET_READABLE) != 0;
}

/*
 * For worker_status and pg_stat_activity.  Only we write this field, and a
 * reader that comes too early does no harm, so it takes no lock.
 */
static void
set_idle(bool idle)
{
	UaefWorkerState state = idle ? UAEF_WORKER_IDLE : UAEF_WORKER_BUSY;

	if (my_slot->state == state)
		return;
	my_slot->state = state;
	if (idle)
		pgstat_report_activity(STATE_IDLE, NULL);
}

/*
 * Begin a transaction; there is none to begin once the extension is gone.
 */
static void
begin(void)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	if (!uaef_lock_extension())
	{
		CommitTransactionCommand();
		extension_gone = true;
		end_if_told();
	}
	PushActiveSnapshot(GetTransactionSnapshot());
}

static void
commit(void)
{
	PopActiveSnapshot();
	CommitTransactionCommand();
}

/*
 * When a time on the clock of workflows, which a test may have frozen, comes
 * on the wall clock.
 */
static TimestampTz
wall_time(TimestampTz due)
{
	if (due == DT_NOEND)
		return DT_NOEND;
	return TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
									   uaef_clock_ms_until(due, INT_MAX));
}

/*
 * Is the extension still there?
 */
static TimestampTz
run_control(void)
{
	begin();
	commit();
	return DT_NOEND;
}

static TimestampTz
run_limits(void)
{
	TimestampTz next = DT_NOEND;

	begin();
	uaef_engine_grant_limits(&next);
	commit();
	return wall_time(next);
}

static TimestampTz
run_timers(void)
{
	TimestampTz next = DT_NOEND;
	bool		all = TIMER_STEP->failures > 0 || timers_alone > 0;
	int			limit;
	int			n;

	if (TIMER_STEP->failures > 0)
	{
		if (timers_alone > 0 && timers_claimed == 1)
		{
			begin();
			uaef_engine_put_off_timer();
			commit();
		}
		timers_alone = timers_claimed > 0 ? TIMER_BATCH : 0;
	}

	limit = timers_alone > 0 ? 1 : TIMER_BATCH;
	begin();
	timers_claimed = 0;
	n = uaef_engine_fire_timers(limit, all, &timers_claimed, &next);
	commit();
	timers_alone = n < limit ? 0 : Max(timers_alone - 1, 0);
	return n >= limit ? GetCurrentTimestamp() : wall_time(next);
}

/*
 * One tick in each transaction, so that many late ones hold nothing else up.
 */
static TimestampTz
run_schedules(void)
{
	TimestampTz next;
	bool		fired;

	begin();
	fired = uaef_schedule_fire(&next);
	commit();
	return fired ? GetCurrentTimestamp() : wall_time(next);
}

static TimestampTz
run_executors(void)
{
	TimestampTz next = uaef_executor_pool_tend(my_slot);

	EXECUTOR_STEP->pause_ms = uaef_executor_pool_full() ? FULL_PAUSE_MS
		: EXECUTOR_PAUSE_MS;
	return next;
}

static TimestampTz
run_deliveries(void)
{
	TimestampTz next = DT_NOEND;

	if (!delivering)
	{
		uaef_delivery_init();
		delivering = true;
	}
	uaef_delivery_work(look_for_deliveries, &next);
	sockets_ready = false;
	if (uaef_receive_has_results())
		RECEIVE_STEP->due = Min(RECEIVE_STEP->due, GetCurrentTimestamp());
	return wall_time(next);
}

static TimestampTz
run_receivers(void)
{
	bool		asked = messages_asked;

	messages_asked = false;
	return uaef_receive_work(asked);
}

static long
seal_delay_ms(void)
{
	return uaef_seal_interval_ms;
}

/*
 * Seal what there is.  While another session is at it, which may not see the
 * newest events, look again.
 */
static TimestampTz
run_seal(void)
{
	int64		block;

	begin();
	block = uaef_ledger_seal(uaef_seal_max_events, false);
	commit();
	CHECKPOINT_STEP->due = Min(CHECKPOINT_STEP->due,
							   Max(CHECKPOINT_STEP->not_before,
								   GetCurrentTimestamp()));

	if (block != UAEF_SEAL_BUSY)
		return DT_NOEND;
	return TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
									   uaef_seal_interval_ms);
}

static TimestampTz
run_anchors(void)
{
	TimestampTz next;

	begin();
	next = uaef_anchor_work();
	commit();
	return wall_time(next);
}

static TimestampTz
run_bulk(void)
{
	TimestampTz next;

	begin();
	next = uaef_bulk_work();
	commit();
	return wall_time(next);
}

static TimestampTz
run_agents(void)
{
	TimestampTz next;

	begin();
	next = uaef_agent_call_work();
	commit();
	return wall_time(next);
}

static TimestampTz
run_history(void)
{
	TimestampTz next;

	begin();
	next = uaef_history_work();
	commit();
	return wall_time(next);
}

/*
 * Have the newest block signed, if there is anything to sign with; look again
 * soon when somebody else is at it.
 */
static TimestampTz
run_checkpoint(void)
{
	bool		done;

	CHECKPOINT_STEP->pause_ms = uaef_checkpoint_interval_ms;
	if (!uaef_checkpoint_is_automatic())
		return DT_NOEND;
	begin();
	done = uaef_checkpoint_sign_new();
	commit();
	return done ? DT_NOEND : GetCurrentTimestamp();
}
