/*-------------------------------------------------------------------------
 *
 * timer.c
 *	  Timers of executions: what happens when one is due.
 *
 * Timers are not taken back when their reason goes away; firing therefore
 * looks whether the task still is in the state, and the attempt, that the timer
 * was set for.
 *
 * Fired timers leave dead entries at the front of the index, which stay while
 * some old snapshot might see them.  So where a look from the front takes long, the
 * next ones begin where it ended, or at the first timer that was set since
 * (wake.h); what nobody tells of, as a timer that somebody held and left, is
 * found from the front, where the worker looks now and then as long as there
 * is anything to do, and once when there is not.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "portability/instr_time.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "advance.h"
#include "approval_time.h"
#include "clock.h"
#include "failure.h"
#include "hold.h"
#include "limit.h"
#include "policy_check.h"
#include "settle_task.h"
#include "settlement_timer.h"
#include "spi_util.h"
#include "start_once.h"
#include "task_kind.h"
#include "uuid7.h"
#include "wait_task.h"
#include "wake.h"
#include "workflow_task.h"

static UaefQuery claim_timers = {
	"DELETE FROM uaef.task_timer WHERE ctid = ANY (ARRAY("
	" SELECT ctid FROM uaef.task_timer WHERE due_at >= $3 AND due_at <= $1"
	" ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED))"
	" RETURNING execution_id, task_no, item, attempt, kind, due_at",
	3, {TIMESTAMPTZOID, INT4OID, TIMESTAMPTZOID}
};

static UaefQuery put_off_timer = {
	"INSERT INTO uaef.task_timer"
	" (due_at, execution_id, task_no, item, attempt, kind)"
	" SELECT $1, $2, $3, $4, $5, $6 WHERE EXISTS ("
	" SELECT FROM uaef.workflow_execution WHERE execution_id = $2)",
	6, {TIMESTAMPTZOID, UUIDOID, INT2OID, INT4OID, INT4OID, TEXTOID}
};

static UaefQuery put_off_first = {
	"UPDATE uaef.task_timer SET due_at = $1 WHERE ctid = ANY (ARRAY("
	" SELECT ctid FROM uaef.task_timer WHERE due_at <= $2"
	" ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED))"
	" RETURNING execution_id, task_no, item, attempt, kind",
	2, {TIMESTAMPTZOID, TIMESTAMPTZOID}
};

static UaefQuery next_timer = {
	"SELECT due_at FROM uaef.task_timer WHERE due_at >= $1"
	" ORDER BY due_at LIMIT 1",
	1, {TIMESTAMPTZOID}
};

typedef struct Timer
{
	pg_uuid_t	execution_id;
	int			task_no;
	int			item;
	int			attempt;
	char	   *kind;
	TimestampTz due_at;
} Timer;

/* Looking from the front takes at most one part in so many of the time. */
#define FRONT_SHARE		100

/* Even so, the next look is no later than this. */
#define FRONT_LATEST_MS	10000.0

/* From which time on that is long. */
#define LONG_LOOK_MS	0.5

/* Where this process has looked. */
typedef struct Look
{
	TimestampTz from;			/* there may be timers from here on */
	double		front_ms;		/* how long the last look from the front took */
	instr_time	front_end;		/* when that was */
} Look;

static Look last = {DT_NOBEGIN};

static void fire(UaefExecution *execution, const Timer *timer);
static void fire_start(UaefExecution *execution);
static void fire_deadline(UaefExecution *execution);
static void fire_granted_start(UaefExecution *execution);
static void fire_limit_skip(UaefExecution *execution);
static void fire_limit_cancel(UaefExecution *execution);
static void fire_retry(UaefTask *task);
static void fire_timeout(UaefTask *task);
static void fire_lease(UaefTask *task);
static void fire_cancel(UaefExecution *execution);
static void fire_stop(UaefExecution *execution);

/*
 * The timers of an execution, and those of its tasks.  That an execution has
 * ended is the reason of one of them; all others are over then.
 */
static const struct
{
	const char *kind;
	bool		ended;
	void		(*fire) (UaefExecution *execution);
}			execution_timers[] = {
	{"start", false, fire_start},
	{"deadline", false, fire_deadline},
	{"debounce", false, uaef_start_once_fire},
	{"granted", false, fire_granted_start},
	{"limit_skip", false, fire_limit_skip},
	{"limit_cancel", false, fire_limit_cancel},
	{"cancel", false, fire_cancel},
	{"stop", false, fire_stop},
	{"ended", true, uaef_workflow_task_ended},
	{"settlement", true, uaef_settlement_fire},
	{"settlement", false, uaef_settlement_fire}
};

static const struct
{
	const char *kind;
	void		(*fire) (UaefTask *task);
}			task_timers[] = {
	{"wait", uaef_wait_task_fire},
	{"query", uaef_wait_task_look},
	{"retry", fire_retry},
	{"timeout", fire_timeout},
	{"lease", fire_lease},
	{"expiry", uaef_approval_expire},
	{"reminder", uaef_approval_remind},
	{"escalation", uaef_approval_escalate},
	{"policy", uaef_policy_fire},
	{"granted", uaef_advance_granted},
	{"settled", uaef_settle_task_look},
	{"inherited", uaef_settle_task_look_again},
	{"child", uaef_workflow_task_fire},
	{"repeat", uaef_workflow_task_fire}
};

/* How long a timer of a busy execution waits, and one that raises errors. */
#define BUSY_DELAY_MS	INT64CONST(100)
#define BAD_DELAY_MS	INT64CONST(60000)

static Timer *
claim(TimestampTz now, int limit, TimestampTz from, int *n)
{
	Datum		args[3];
	Timer	   *timers;

	args[0] = TimestampTzGetDatum(now);
	args[1] = Int32GetDatum(limit);
	args[2] = TimestampTzGetDatum(from);
	*n = (int) uaef_spi_run(&claim_timers, args, NULL);
	timers = palloc(sizeof(Timer) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
	{
		bool		isnull;

		timers[i].execution_id = uaef_spi_uuid(i, 1);
		timers[i].task_no = DatumGetInt16(uaef_spi_value(i, 2, &isnull));
		timers[i].item = uaef_spi_int32(i, 3);
		timers[i].attempt = uaef_spi_int32(i, 4);
		timers[i].kind = uaef_spi_text(i, 5);
		timers[i].due_at = uaef_spi_time(i, 6);
	}
	return timers;
}

static double
ms_since(instr_time began)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, began);
	return INSTR_TIME_GET_MILLISEC(now);
}

/*
 * In how many milliseconds to look from the front again.
 */
static double
front_due_ms(void)
{
	double		pause = last.front_ms < LONG_LOOK_MS ? 0 :
		Min((FRONT_SHARE - 1) * last.front_ms, FRONT_LATEST_MS);

	return pause - ms_since(last.front_end);
}

static TimestampTz
look_from(bool all)
{
	TimestampTz heard = uaef_wake_timers_heard();

	return all || last.from == DT_NOBEGIN || front_due_ms() <= 0 ?
		DT_NOBEGIN : Min(last.from, heard);
}

/*
 * When the first timer is due, of those from then on.
 */
static TimestampTz
first_due(TimestampTz from)
{
	Datum		arg = TimestampTzGetDatum(from);

	return uaef_spi_run(&next_timer, &arg, NULL) > 0 ? uaef_spi_time(0, 1)
		: DT_NOEND;
}

/*
 * Somebody holds the execution, perhaps for long: come back soon, rather than
 * wait here.  The timer of an execution that is gone goes too.
 */
static void
put_off(const Timer *timer, TimestampTz now)
{
	Datum		args[6];

	args[0] = TimestampTzGetDatum(now + BUSY_DELAY_MS * 1000);
	args[1] = UUIDPGetDatum(&timer->execution_id);
	args[2] = Int16GetDatum(timer->task_no);
	args[3] = Int32GetDatum(timer->item);
	args[4] = Int32GetDatum(timer->attempt);
	args[5] = CStringGetTextDatum(timer->kind);
	uaef_spi_run(&put_off_timer, args, NULL);
}

void
uaef_engine_put_off_timer(void)
{
	UaefCaller	back = uaef_spi_begin();
	TimestampTz now = uaef_clock_now();
	Datum		args[2];

	args[0] = TimestampTzGetDatum(now + BAD_DELAY_MS * 1000);
	args[1] = TimestampTzGetDatum(now);
	if (uaef_spi_run(&put_off_first, args, NULL) > 0)
	{
		pg_uuid_t	id = uaef_spi_uuid(0, 1);

		ereport(WARNING,
				(errmsg("a timer of execution %s cannot be fired and is put off",
						uaef_uuid_text(&id)),
				 errdetail("The error before this one says why."),
				 errhint("Use uaef.cancel_workflow() to end the execution.")));
	}
	uaef_spi_end(back);
}

static void
fire_all(UaefStep *step, const Timer *timers, int n)
{
	pg_uuid_t  *ids = palloc(sizeof(pg_uuid_t) * Max(n, 1));

	for (int i = 0; i < n; i++)
		ids[i] = timers[i].execution_id;
	uaef_step_try_lock(step, ids, n);
	for (int i = 0; i < n; i++)
	{
		UaefExecution *execution = uaef_step_execution(step, &ids[i]);

		if (execution == NULL)
			put_off(&timers[i], step->now);
		else
			fire(execution, &timers[i]);
	}
	uaef_step_write(step);
}

/*
 * Where the next look may begin: what is due by now was fired, or, if there were
 * too many, what is due before the last that was.
 */
static TimestampTz
look_end(TimestampTz now, const Timer *timers, int n, int limit)
{
	TimestampTz end = n < limit ? now : DT_NOBEGIN;

	for (int i = 0; i < n && n == limit; i++)
		end = Max(end, timers[i].due_at);
	return end;
}

int
uaef_engine_fire_timers(int limit, bool all, int *claimed, TimestampTz *next)
{
	UaefCaller	back = uaef_spi_begin();
	UaefStep   *step = uaef_step_begin("system", "timer");
	TimestampTz from = look_from(all);
	instr_time	began;
	double		took_ms;
	Timer	   *timers;
	int			n;

	INSTR_TIME_SET_CURRENT(began);
	timers = claim(step->now, limit, from, &n);
	took_ms = ms_since(began);
	*claimed = n;
	fire_all(step, timers, n);
	last.from = look_end(step->now, timers, n, limit);
	if (from == DT_NOBEGIN)
	{
		INSTR_TIME_SET_CURRENT(began);
		*next = first_due(DT_NOBEGIN);
		INSTR_TIME_SET_CURRENT(last.front_end);
		last.front_ms = took_ms + ms_since(began);
	}
	else
		*next = Min(first_due(last.from),
					step->now + (int64) (front_due_ms() * 1000.0));
	uaef_spi_end(back);
	return n;
}

static void
fire(UaefExecution *execution, const Timer *timer)
{
	bool		ended = uaef_execution_ended(execution->status);
	UaefTask   *task;

	if (timer->task_no < 0)
	{
		for (int i = 0; i < lengthof(execution_timers); i++)
			if (strcmp(timer->kind, execution_timers[i].kind) == 0 &&
				execution_timers[i].ended == ended)
				execution_timers[i].fire(execution);
		return;
	}
	if (ended)
		return;
	task = uaef_execution_find(execution, timer->task_no, timer->item);
	if (task == NULL || task->attempt != timer->attempt)
		return;
	for (int i = 0; i < lengthof(task_timers); i++)
		if (strcmp(timer->kind, task_timers[i].kind) == 0)
			task_timers[i].fire(task);
}

/*
 * One that was retried before its time came may stand in line already.
 */
static void
fire_start(UaefExecution *execution)
{
	if (execution->started_at == 0 &&
		(execution->def->n_limits == 0 || !uaef_limit_is_asked(execution)))
		uaef_execution_begin(execution);
}

static void
fire_granted_start(UaefExecution *execution)
{
	if (execution->started_at != 0 || !uaef_limit_holds(execution, NULL))
		return;
	if (uaef_workflow_is_held(execution->def->name))
	{
		uaef_limit_release(execution, NULL);
		uaef_execution_hold(execution);
	}
	else
		uaef_advance_start(execution);
}

/*
 * A retry may have set another deadline.  What is being compensated has failed
 * already, and takes the time that it takes.
 */
static void
fire_deadline(UaefExecution *execution)
{
	UaefFailure failure = {0};

	if (execution->deadline_at == 0 || execution->is_ending ||
		execution->deadline_at > execution->step->now)
		return;
	failure.code = "deadline";
	failure.message = psprintf("execution did not end within its timeout of %lld ms",
							   (long long) execution->timeout_ms);
	uaef_advance_fail_execution(execution, &failure);
}

/*
 * One that was retried since may wait again.
 */
static void
fire_limit_skip(UaefExecution *execution)
{
	if (execution->started_at == 0 && !uaef_limit_is_asked(execution))
		uaef_advance_cancel(execution, "a limit of the workflow was reached",
							true);
}

/*
 * One that was retried since holds a place that nobody asked it to leave.
 */
static void
fire_limit_cancel(UaefExecution *execution)
{
	if (!execution->is_ending && uaef_limit_is_leaving(execution))
		uaef_advance_cancel(execution,
							"a limit of the workflow was reached by a later execution",
							true);
}

/*
 * Its parent has ended, and could not cancel it then.
 */
static void
fire_cancel(UaefExecution *execution)
{
	uaef_workflow_task_cancel_child(execution, true);
}

static void
fire_stop(UaefExecution *execution)
{
	uaef_workflow_task_cancel_child(execution, false);
}

/*
 * What was reset by a retry of the execution waits for its edges instead.
 */
static void
fire_retry(UaefTask *task)
{
	if (task->status == UAEF_TASK_PENDING &&
		task->attempt > task->attempts_before)
		uaef_advance_dispatch(task);
}

static void
fire_timeout(UaefTask *task)
{
	const UaefTaskKind *kind = uaef_task_kind(task);
	TimestampTz due = task->started_at + task->def->timeout_ms * 1000;
	UaefFailure failure;

	/*
	 * What waits for people, as a policy asked, has not begun; a workflow
	 * that is repeated is queued again before each run.
	 */
	if (task->status != UAEF_TASK_RUNNING &&
		(task->status != UAEF_TASK_WAITING_INPUT || task->started_at == 0) &&
		!(task->status == UAEF_TASK_QUEUED && task->runs > 0))
		return;

	/*
	 * alter_task() sets another timer when it changes the timeout; a task
	 * that was released, and taken again as the same attempt, has another one
	 * too.
	 */
	if (task->def->timeout_ms == 0 || due > task->execution->step->now)
		return;
	if (kind->time_out != NULL)
	{
		kind->time_out(task);
		return;
	}
	uaef_failure_timeout(&failure, task->def);
	uaef_advance_fail(task, &failure);
}

/*
 * A lease that was extended has its timer set again.  One that ran out says
 * that the worker is lost.  That need not be the task's fault, so it gets other
 * tries even where its definition asks for no retry; but not for ever.
 */
static void
fire_lease(UaefTask *task)
{
	UaefStep   *step = task->execution->step;

	if (task->status != UAEF_TASK_RUNNING || !task->has_lease)
		return;
	if (task->lease_expires_at > step->now)
	{
		uaef_step_timer(task->execution, task, "lease", task->lease_expires_at);
		return;
	}
	if (!uaef_failure_lost(task))
		uaef_advance_requeue(task, "lease expired");
}
