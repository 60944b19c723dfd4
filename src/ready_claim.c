/*-------------------------------------------------------------------------
 *
 * ready_claim.c
 *	  Taking tasks out of the ready set, in its order.
 *
 * What was claimed leaves dead entries at the front of the index, which stay
 * for as long as some old snapshot might see them.  So that claims need not
 * walk over all of them each time, a process begins where its last claim of
 * the queue ended.  An executor that has come to the end is told the rank of
 * what is queued from then on (ready_news.c), and begins there.  Any other
 * process looks a little further down, for transactions that queue tasks at one
 * time end at others.
 *
 * What has a still lower rank is found from the front, where a process looks so
 * often that a small part of its time goes into it, but every few seconds
 * in any case, and where it is short also when it finds nothing else.  Where it is
 * not, who waits for tasks asks when to look again.  Who found nothing before was
 * woken for what is new: that is not kept waiting for a look from the front, which
 * is made with the next claim.
 *
 * Locking: rows are deleted as they are met, and those that somebody else holds
 * are passed over, so nobody waits for anybody here.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/tableam.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "ready_claim.h"
#include "ready_news.h"
#include "table_scan.h"

/*
 * Looking from the front takes at most one part in so many of the time: of an
 * executor's, which has no reason to expect anything there, and else.
 */
#define NO_REASON_SHARE 100
#define FRONT_SHARE 20

/*
 * Even so, the next look is no later than this, in microseconds: one that took
 * very long has waited for a lock, or for the processor.
 */
#define FRONT_LATEST_US	10000000.0

/* From which time on that is long, in microseconds. */
#define LONG_LOOK_US	500.0

/* How much lower than the last claim's a rank may be that is looked for. */
#define NEAR_US		USECS_PER_SEC

/* Longest name of a queue that is remembered. */
#define MAX_QUEUE 200

/* The columns of task_ready. */
enum
{
	READY_QUEUE = 1, READY_RUN_AS, READY_RANK, READY_TASK_ID,
	READY_EXECUTION_ID, READY_TASK_NO, READY_ITEM
};

/* Where the last claim of this process was. */
static struct
{
	char		queue[MAX_QUEUE];
	Oid			run_as;
	int64		first;			/* lowest rank that it took */
	int64		rank;			/* highest one */
	bool		idle;			/* it took nothing */
	int64		next;			/* from where on there may be more */
	bool		told_low;		/* and there is something far below that */
	bool		put_off;		/* it found nothing, and did not look there */
	double		front_us;		/* how long the last look from the front took */
	double		front_end_us;	/* when that was */
}			last;

static double
now_us(void)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	return INSTR_TIME_GET_DOUBLE(now) * 1000000.0;
}

/*
 * Whether the last claim was of this queue and role.
 */
static bool
is_known(const char *queue, Oid run_as)
{
	return last.run_as == run_as && strcmp(last.queue, queue) == 0;
}

static void
init_queue_key(ScanKeyData *key, const char *queue)
{
	ScanKeyInit(key, READY_QUEUE, BTEqualStrategyNumber, F_TEXTEQ,
				CStringGetTextDatum(queue));
}

/*
 * Whether this process is told of what comes to a queue: an executor of its own,
 * which others are not even if a task claims of them.
 */
static bool
is_told(const char *queue)
{
	return uaef_ready_news_is_told() && strcmp(queue, UAEF_SQL_QUEUE) == 0;
}

static void
begin_scan(UaefScan *scan, const char *queue, int n_keys, ScanKeyData *keys)
{
	init_queue_key(&keys[0], queue);
	uaef_scan_begin_now(scan, "task_ready", "task_ready_order", n_keys, keys);
	LockRelationOid(RelationGetRelid(scan->rel), RowExclusiveLock);
}

static void
init_role_key(ScanKeyData *key, Oid run_as)
{
	ScanKeyInit(key, READY_RUN_AS, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(run_as));
}

static void
init_rank_key(ScanKeyData *key, int64 rank)
{
	ScanKeyInit(key, READY_RANK, BTGreaterEqualStrategyNumber, F_INT8GE,
				Int64GetDatum(rank));
}

/*
 * Delete the row that the scan stands on; false when somebody else is about
 * to, or has done so.
 */
static bool
take_row(UaefScan *scan)
{
	TM_FailureData failure;

	return table_tuple_delete(scan->rel, &scan->slot->tts_tid,
							  GetCurrentCommandId(true), GetActiveSnapshot(),
							  InvalidSnapshot, false, &failure,
							  false) == TM_Ok;
}

static int
claim_from(const char *queue, Oid run_as, int64 rank, int limit,
		   UaefTaskRef *refs)
{
	UaefScan	scan;
	ScanKeyData keys[3];
	int			n = 0;

	init_role_key(&keys[1], run_as);
	init_rank_key(&keys[2], rank);
	begin_scan(&scan, queue, 3, keys);
	while (n < limit && uaef_scan_next(&scan, ForwardScanDirection))
	{
		UaefTaskRef *ref = &refs[n];

		CHECK_FOR_INTERRUPTS();
		rank = DatumGetInt64(uaef_scan_value(&scan, READY_RANK));
		ref->execution_id =
			*DatumGetUUIDP(uaef_scan_value(&scan, READY_EXECUTION_ID));
		ref->task_no = DatumGetInt16(uaef_scan_value(&scan, READY_TASK_NO));
		ref->item = DatumGetInt32(uaef_scan_value(&scan, READY_ITEM));
		ref->attempt = 0;
		if (!take_row(&scan))
			continue;
		if (n == 0)
			last.first = rank;
		last.rank = rank;
		n++;
	}
	uaef_scan_end(&scan);
	last.next = n < limit ? UAEF_NO_RANK : Min(last.rank, UAEF_NO_RANK - 1);
	return n;
}

/*
 * The lowest rank that is near the last claim's.
 */
static int64
near_rank(void)
{
	return Max(last.rank, PG_INT64_MIN + NEAR_US) - NEAR_US;
}

/*
 * Hear what has been queued.  Who is told nothing looks on from where it was.
 */
static void
hear_news(const char *queue)
{
	int64		rank;

	if (!is_told(queue) || !uaef_ready_news_hear(&rank))
		last.next = last.rank;
	else if (rank < near_rank())
		last.told_low = true;
	else
		last.next = Min(last.next, rank);
}

static void
tell_rest(void)
{
	if (is_told(last.queue))
		uaef_ready_news_left_at(last.told_low ? PG_INT64_MIN : last.next);
}

/*
 * When to look from the front again in any case.
 */
static double
front_due_us(void)
{
	int			share = is_told(last.queue) && !last.told_low ?
		NO_REASON_SHARE : FRONT_SHARE;

	return last.front_end_us +
		Min((share - 1) * last.front_us, FRONT_LATEST_US);
}

/*
 * A process that has not found anything yet looks for what is queued from now
 * on, if it may not look from the front.
 */
static int
claim_from_front(const char *queue, Oid run_as, int limit, UaefTaskRef *refs)
{
	double		began = now_us();
	int			n = claim_from(queue, run_as, PG_INT64_MIN, limit, refs);

	if (n == 0 && !is_known(queue, run_as))
		last.first = last.rank = GetCurrentTimestamp() - NEAR_US;
	strlcpy(last.queue, queue, MAX_QUEUE);
	last.run_as = run_as;
	last.told_low = false;
	last.front_end_us = now_us();
	last.front_us = last.front_end_us - began;
	return n;
}

static int
claim_near(const char *queue, Oid run_as, int limit, UaefTaskRef *refs)
{
	int			n = 0;

	if (last.next != UAEF_NO_RANK)
		n = claim_from(queue, run_as, last.next, limit, refs);
	if (n == 0 && !is_told(queue))
		n = claim_from(queue, run_as, near_rank(), limit, refs);
	return n;
}

int
uaef_ready_claim(const char *queue, Oid run_as, int limit, UaefTaskRef *refs)
{
	int			n = 0;
	bool		front_is_due;

	hear_news(queue);
	front_is_due = now_us() >= front_due_us();
	if (is_known(queue, run_as) && (last.idle || !front_is_due))
		n = claim_near(queue, run_as, limit, refs);
	if (n == 0)
	{
		if (!is_known(queue, run_as) || front_is_due ||
			last.front_us < LONG_LOOK_US)
			n = claim_from_front(queue, run_as, limit, refs);
		else
			last.put_off = true;
	}
	last.idle = n == 0;
	tell_rest();
	return n;
}

int
uaef_ready_again_ms(void)
{
	if (!last.put_off)
		return 0;
	last.put_off = false;
	return 1 + (int) (Max(front_due_us() - now_us(), 0) / 1000.0);
}

void
uaef_ready_given_back(void)
{
	last.rank = last.first;
	last.next = Min(last.next, last.first);
	tell_rest();
}

/*
 * Take the row with these keys, and its rank; false when there is none, or
 * (*there) somebody else is just taking it.
 */
static bool
take(const char *queue, int n_keys, ScanKeyData *keys, int64 *rank, bool *there)
{
	UaefScan	scan;
	bool		taken = false;

	*there = false;
	begin_scan(&scan, queue, n_keys, keys);
	while (uaef_scan_next(&scan, ForwardScanDirection))
	{
		*there = true;
		if (!take_row(&scan))
			continue;
		taken = true;
		*rank = DatumGetInt64(uaef_scan_value(&scan, READY_RANK));
	}
	uaef_scan_end(&scan);
	return taken;
}

bool
uaef_ready_take(const char *queue, Oid run_as, int64 task_id, int64 *rank,
				bool anywhere)
{
	ScanKeyData keys[4];
	bool		there;
	bool		taken;

	init_role_key(&keys[1], run_as);
	ScanKeyInit(&keys[2], READY_RANK, BTEqualStrategyNumber, F_INT8EQ,
				Int64GetDatum(*rank));
	ScanKeyInit(&keys[3], READY_TASK_ID, BTEqualStrategyNumber, F_INT8EQ,
				Int64GetDatum(task_id));
	taken = take(queue, 4, keys, rank, &there);
	if (there || !anywhere)
		return taken;

	keys[2] = keys[3];
	return take(queue, 3, keys, rank, &there);
}

bool
uaef_ready_has(const char *queue, Oid run_as, int64 rank)
{
	UaefScan	scan;
	SnapshotData now;
	ScanKeyData keys[3];
	bool		found;

	init_queue_key(&keys[0], queue);
	init_role_key(&keys[1], run_as);
	init_rank_key(&keys[2], rank);
	InitDirtySnapshot(now);
	uaef_scan_begin(&scan, "task_ready", "task_ready_order", &now, 3, keys);
	do
	{
		CHECK_FOR_INTERRUPTS();
		found = uaef_scan_next(&scan, ForwardScanDirection);
	} while (found && (TransactionIdIsValid(now.xmin) ||
					   TransactionIdIsValid(now.xmax)));
	uaef_scan_end(&scan);
	return found;
}

static int
compare_oids(const void *a, const void *b)
{
	Oid			left = *(const Oid *) a;
	Oid			right = *(const Oid *) b;

	return left < right ? -1 : left > right;
}

/*
 * The first role of a queue between these two.
 */
static Oid
role_between(const char *queue, Oid after, Oid before)
{
	UaefScan	scan;
	ScanKeyData keys[4];
	Oid			role = InvalidOid;

	ScanKeyInit(&keys[1], READY_RUN_AS, BTGreaterStrategyNumber, F_OIDGT,
				ObjectIdGetDatum(after));
	ScanKeyInit(&keys[2], READY_RUN_AS, BTLessStrategyNumber, F_OIDLT,
				ObjectIdGetDatum(before));
	begin_scan(&scan, queue, 3, keys);
	if (uaef_scan_next(&scan, ForwardScanDirection))
		role = DatumGetObjectId(uaef_scan_value(&scan, READY_RUN_AS));
	uaef_scan_end(&scan);
	return role;
}

/*
 * The rows of the roles to be left out are not even looked at: they may be many,
 * and dead.
 */
Oid
uaef_ready_next_role(const char *queue, Oid after, const Oid *others, int n)
{
	Oid		   *sorted = palloc(sizeof(Oid) * (n + 1));
	Oid			role = InvalidOid;

	memcpy(sorted, others, sizeof(Oid) * n);
	sorted[n] = OID_MAX;
	qsort(sorted, n + 1, sizeof(Oid), compare_oids);
	for (int i = 0; i <= n && !OidIsValid(role); i++)
	{
		if (sorted[i] > after)
		{
			role = role_between(queue, after, sorted[i]);
			after = sorted[i];
		}
	}
	pfree(sorted);
	return role;
}
