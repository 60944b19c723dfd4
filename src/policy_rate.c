/*-------------------------------------------------------------------------
 *
 * policy_rate.c
 *	  Rate limits of policies: at most so many attempts in any such time.
 *
 * Each attempt that is counted has a row of uaef.policy_use, with the time that
 * it began, or, if it is put off, will begin: its place.  The next attempt may
 * begin when the last but (max - 1) place is a whole window old.
 *
 * Locking: a lock of the policy and its key, held only while places are counted
 * and one is taken.  Places of transactions that have not ended yet count (a
 * dirty snapshot sees them), so nobody waits for anybody's transaction, and a
 * transaction that rolls back has made others wait for nothing at the worst.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "catalog/namespace.h"
#include "catalog/pg_type_d.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "policy_check.h"
#include "row_write.h"
#include "spi_util.h"
#include "table_scan.h"

/* Columns of policy_use. */
enum
{
	USE_POLICY, USE_KEY, USE_AT, USE_EXPIRES_AT, USE_TASK_ID, USE_ATTEMPT,
	N_USE_COLUMNS
};

static UaefQuery find_own = {
	"SELECT at FROM uaef.policy_use"
	" WHERE task_id = $1 AND attempt = $2 AND policy = $3 AND key = $4"
	" ORDER BY at DESC LIMIT 1",
	4, {INT8OID, INT4OID, TEXTOID, TEXTOID}
};

/* A few at a time, so that no attempt pays for all. */
static UaefQuery forget_old = {
	"DELETE FROM uaef.policy_use WHERE ctid = ANY (ARRAY("
	" SELECT ctid FROM uaef.policy_use WHERE expires_at <= $1"
	" ORDER BY expires_at LIMIT 10 FOR UPDATE SKIP LOCKED))",
	1, {TIMESTAMPTZOID}
};

/*
 * The place that was reserved when the attempt was put off; 0: none.
 */
static TimestampTz
own_place(UaefTask *task, const UaefPolicy *policy, const char *key)
{
	Datum		args[4];
	bool		isnull;

	if (!task->stored)
		return 0;
	args[0] = Int64GetDatum(task->task_id);
	args[1] = Int32GetDatum(task->attempt);
	args[2] = CStringGetTextDatum(policy->name);
	args[3] = CStringGetTextDatum(key);
	if (uaef_spi_run(&find_own, args, NULL) == 0)
		return 0;
	return DatumGetTimestampTz(uaef_spi_value(0, 1, &isnull));
}

/*
 * When the next attempt may begin, by the places that are taken.
 */
static TimestampTz
next_place(const UaefPolicy *policy, const char *key, TimestampTz now)
{
	const UaefRateLimit *rate = &policy->rules.rate;
	TimestampTz window = rate->window_ms * 1000;
	TimestampTz next = now;
	SnapshotData dirty;
	ScanKeyData keys[3];
	UaefScan	scan;
	int			n = 0;

	InitDirtySnapshot(dirty);
	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_TEXTEQ,
				CStringGetTextDatum(policy->name));
	ScanKeyInit(&keys[1], 2, BTEqualStrategyNumber, F_TEXTEQ,
				CStringGetTextDatum(key));
	ScanKeyInit(&keys[2], 3, BTGreaterStrategyNumber, F_TIMESTAMPTZ_GT,
				TimestampTzGetDatum(now - window));
	uaef_scan_begin(&scan, "policy_use", "policy_use_key", &dirty, 3, keys);
	while (uaef_scan_next(&scan, BackwardScanDirection))
	{
		if (++n < rate->max)
			continue;
		next = DatumGetTimestampTz(uaef_scan_value(&scan, USE_AT + 1)) +
			window;
		break;
	}
	uaef_scan_end(&scan);
	return Max(next, now);
}

static void
take(UaefTask *task, const UaefPolicy *policy, const char *key,
	 TimestampTz at)
{
	UaefTable	table;
	Datum		values[N_USE_COLUMNS];
	bool		nulls[N_USE_COLUMNS] = {false};

	values[USE_POLICY] = CStringGetTextDatum(policy->name);
	values[USE_KEY] = CStringGetTextDatum(key);
	values[USE_AT] = TimestampTzGetDatum(at);
	values[USE_EXPIRES_AT] =
		TimestampTzGetDatum(at + policy->rules.rate.window_ms * 1000);
	values[USE_TASK_ID] = Int64GetDatum(task->task_id);
	values[USE_ATTEMPT] = Int32GetDatum(task->attempt);
	uaef_table_open(&table, "policy_use");
	uaef_require_columns(RelationGetDescr(table.rel), "policy_use",
						 N_USE_COLUMNS);
	uaef_table_insert(&table, values, nulls, NULL);
	uaef_table_close(&table);
}

static void
lock_key(LOCKTAG *tag, const UaefPolicy *policy, const char *key)
{
	Oid			table = get_relname_relid("policy_use",
										  get_namespace_oid("uaef", false));
	uint32		hash;

	hash = hash_combine(hash_bytes((const unsigned char *) policy->name,
								   strlen(policy->name)),
						hash_bytes((const unsigned char *) key, strlen(key)));
	SET_LOCKTAG_OBJECT(*tag, MyDatabaseId, table, hash, 0);
	(void) LockAcquire(tag, ExclusiveLock, false, false);
}

TimestampTz
uaef_policy_rate_take(UaefTask *task, const UaefPolicy *policy,
					  const char *key, bool reserve)
{
	TimestampTz now = task->execution->step->now;
	TimestampTz place = own_place(task, policy, key);
	Datum		arg = TimestampTzGetDatum(now);
	LOCKTAG		tag;

	if (place != 0)
		return place <= now ? 0 : place;
	(void) uaef_spi_run(&forget_old, &arg, NULL);

	lock_key(&tag, policy, key);
	place = next_place(policy, key, now);
	if (place <= now || reserve)
		take(task, policy, key, place);
	LockRelease(&tag, ExclusiveLock, false);
	return place <= now ? 0 : place;
}
