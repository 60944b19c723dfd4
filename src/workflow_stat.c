/*-------------------------------------------------------------------------
 *
 * workflow_stat.c
 *	  Counts of what workflows and their tasks did, since the server's start.
 *
 * A hash table of fixed size in shared memory, which is only there when the
 * library was preloaded: there is not that much to spare otherwise.  What a
 * transaction did gathers in its own memory, and is added when it commits; what
 * a subtransaction did that rolled back is dropped.  A prepared transaction is
 * not counted.
 *
 * Locking: the table's lock is shared for finding an entry and exclusive for
 * making or deleting one; an entry's spinlock protects what it counts.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "mb/pg_wchar.h"
#include "nodes/pg_list.h"
#include "port/pg_bitutils.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "shmem_area.h"
#include "workflow_stat.h"

/* Workflows and tasks that are counted, in the whole server. */
#define MAX_STATS	4000

/* How many of the newest gathered counts are looked at for the same task. */
#define LOOK_BACK	16

typedef struct StatKey
{
	Oid			database;
	char		workflow[UAEF_STAT_NAME];
	char		task[UAEF_STAT_NAME];
} StatKey;

/* An entry of the table. */
typedef struct Entry
{
	StatKey		key;
	slock_t		lock;
	UaefStat	stat;
} Entry;

typedef struct StatControl
{
	LWLock		lock;
	pg_atomic_uint64 lost;
} StatControl;

/* What a (sub)transaction did and has not committed. */
typedef struct Gathered
{
	SubTransactionId subid;
	UaefStat	stat;
} Gathered;

static StatControl *control = NULL;
static HTAB *entries = NULL;
static List *gathered = NIL;	/* in TopTransactionContext */

static void
startup(void)
{
	HASHCTL		how = {0};
	bool		found;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	control = ShmemInitStruct("uaef statistics", sizeof(StatControl), &found);
	if (!found)
	{
		LWLockInitialize(&control->lock, LWLockNewTrancheId());
		pg_atomic_init_u64(&control->lost, 0);
	}
	how.keysize = sizeof(StatKey);
	how.entrysize = sizeof(Entry);
	entries = ShmemInitHash("uaef statistics by task", MAX_STATS, MAX_STATS,
							&how, HASH_ELEM | HASH_BLOBS);
	LWLockRelease(AddinShmemInitLock);
	LWLockRegisterTranche(control->lock.tranche, "uaef statistics");
}

/* ----------
 * Gathering
 * ----------
 */

static int
bucket_of(int64 us)
{
	uint64		ms = (uint64) us / 1000;

	return ms == 0 ? 0 :
		Min(pg_leftmost_one_pos64(ms) + 1, UAEF_STAT_BUCKETS - 1);
}

/*
 * How many times were counted.
 */
static uint64
timed(const UaefStat *stat)
{
	uint64		total = 0;

	for (int i = 0; i < UAEF_STAT_BUCKETS; i++)
		total += stat->bucket[i];
	return total;
}

static void
add(UaefStat *to, const UaefStat *what)
{
	for (int i = 0; i < UAEF_N_STATS; i++)
		to->count[i] += what->count[i];
	if (timed(what) > 0)
		to->min_us = timed(to) == 0 ? what->min_us :
			Min(to->min_us, what->min_us);
	for (int i = 0; i < UAEF_STAT_BUCKETS; i++)
		to->bucket[i] += what->bucket[i];
	to->total_us += what->total_us;
	to->max_us = Max(to->max_us, what->max_us);
}

/*
 * Where to gather for a task: one of the newest, or a new one.
 */
static Gathered *
gather_for(const char *workflow, const char *task)
{
	SubTransactionId subid = GetCurrentSubTransactionId();
	MemoryContext old_context;
	Gathered   *own;

	for (int i = list_length(gathered) - 1;
		 i >= Max(list_length(gathered) - LOOK_BACK, 0); i--)
	{
		own = list_nth(gathered, i);
		if (own->subid == subid && strcmp(own->stat.task, task) == 0 &&
			strcmp(own->stat.workflow, workflow) == 0)
			return own;
	}
	old_context = MemoryContextSwitchTo(TopTransactionContext);
	own = palloc0(sizeof(Gathered));
	own->subid = subid;
	strcpy(own->stat.workflow, workflow);
	strcpy(own->stat.task, task);
	gathered = lappend(gathered, own);
	MemoryContextSwitchTo(old_context);
	return own;
}

/*
 * Cut a name as a key needs it: whole characters, the rest zero.
 */
static void
cut(char *key, const char *name)
{
	int			len = strlen(name);

	if (len >= UAEF_STAT_NAME)
		len = pg_mbcliplen(name, len, UAEF_STAT_NAME - 1);
	memset(key, 0, UAEF_STAT_NAME);
	memcpy(key, name, len);
}

void
uaef_stat_count(const char *workflow, const char *task, UaefStatKind kind,
				int64 duration_us)
{
	char		workflow_key[UAEF_STAT_NAME];
	char		task_key[UAEF_STAT_NAME];
	UaefStat   *stat;

	if (entries == NULL)
		return;
	cut(workflow_key, workflow);
	cut(task_key, task == NULL ? "" : task);
	stat = &gather_for(workflow_key, task_key)->stat;
	stat->count[kind]++;
	if (duration_us < 0)
		return;
	stat->min_us = timed(stat) == 0 ? (uint64) duration_us :
		Min(stat->min_us, (uint64) duration_us);
	stat->bucket[bucket_of(duration_us)]++;
	stat->total_us += duration_us;
	stat->max_us = Max(stat->max_us, (uint64) duration_us);
}

/* ----------
 * Adding at the end of the transaction
 * ----------
 */

static void
make_key(StatKey *key, const UaefStat *stat)
{
	memset(key, 0, sizeof(StatKey));
	key->database = MyDatabaseId;
	memcpy(key->workflow, stat->workflow, UAEF_STAT_NAME);
	memcpy(key->task, stat->task, UAEF_STAT_NAME);
}

/*
 * A new entry; NULL when there is no room.  Needs the lock exclusively.
 */
static Entry *
enter(const StatKey *key)
{
	bool		found;
	Entry	   *entry;

	if (hash_get_num_entries(entries) >= MAX_STATS)
		return NULL;
	entry = hash_search(entries, key, HASH_ENTER_NULL, &found);
	if (entry == NULL || found)
		return entry;
	memset(&entry->stat, 0, sizeof(UaefStat));
	entry->stat.database = key->database;
	memcpy(entry->stat.workflow, key->workflow, UAEF_STAT_NAME);
	memcpy(entry->stat.task, key->task, UAEF_STAT_NAME);
	entry->stat.since = GetCurrentTimestamp();
	SpinLockInit(&entry->lock);
	return entry;
}

static void
add_to_shared(const UaefStat *stat)
{
	StatKey		key;
	Entry	   *entry;

	make_key(&key, stat);
	LWLockAcquire(&control->lock, LW_SHARED);
	entry = hash_search(entries, &key, HASH_FIND, NULL);
	if (entry == NULL)
	{
		LWLockRelease(&control->lock);
		LWLockAcquire(&control->lock, LW_EXCLUSIVE);
		entry = enter(&key);
	}
	if (entry == NULL)
		pg_atomic_fetch_add_u64(&control->lost, 1);
	else
	{
		SpinLockAcquire(&entry->lock);
		add(&entry->stat, stat);
		SpinLockRelease(&entry->lock);
	}
	LWLockRelease(&control->lock);
}

static void
at_xact_end(XactEvent event, void *arg)
{
	ListCell   *cell;

	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT &&
		event != XACT_EVENT_PREPARE)
		return;
	if (event == XACT_EVENT_COMMIT)
		foreach(cell, gathered)
			add_to_shared(&((Gathered *) lfirst(cell))->stat);
	gathered = NIL;
}

static void
at_subxact_end(SubXactEvent event, SubTransactionId subid,
			   SubTransactionId parent, void *arg)
{
	ListCell   *cell;

	if (event != SUBXACT_EVENT_COMMIT_SUB && event != SUBXACT_EVENT_ABORT_SUB)
		return;
	foreach(cell, gathered)
	{
		Gathered   *own = lfirst(cell);

		if (own->subid < subid)
			continue;
		if (event == SUBXACT_EVENT_COMMIT_SUB)
			own->subid = parent;
		else
			gathered = foreach_delete_current(gathered, cell);
	}
}

void
uaef_stat_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		return;

	uaef_shmem_area(add_size(MAXALIGN(sizeof(StatControl)),
							 hash_estimate_size(MAX_STATS, sizeof(Entry))), startup);
	RegisterXactCallback(at_xact_end, NULL);
	RegisterSubXactCallback(at_subxact_end, NULL);
}

/* ----------
 * Reading and forgetting
 * ----------
 */

int
uaef_stat_read(UaefStat **stats, uint64 *lost)
{
	HASH_SEQ_STATUS scan;
	Entry	   *entry;
	int			n = 0;

	if (entries == NULL)
		return -1;
	*stats = palloc(sizeof(UaefStat) * MAX_STATS);
	LWLockAcquire(&control->lock, LW_SHARED);
	hash_seq_init(&scan, entries);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		if (entry->key.database != MyDatabaseId)
			continue;
		SpinLockAcquire(&entry->lock);
		(*stats)[n++] = entry->stat;
		SpinLockRelease(&entry->lock);
	}
	LWLockRelease(&control->lock);
	*lost = pg_atomic_read_u64(&control->lost);
	return n;
}

void
uaef_stat_reset(const char *workflow)
{
	HASH_SEQ_STATUS scan;
	char		key[UAEF_STAT_NAME];
	Entry	   *entry;

	if (entries == NULL)
		return;
	if (workflow != NULL)
		cut(key, workflow);
	LWLockAcquire(&control->lock, LW_EXCLUSIVE);
	hash_seq_init(&scan, entries);
	while ((entry = hash_seq_search(&scan)) != NULL)
		if (entry->key.database == MyDatabaseId &&
			(workflow == NULL || strcmp(entry->key.workflow, key) == 0))
			(void) hash_search(entries, &entry->key, HASH_REMOVE, NULL);
	LWLockRelease(&control->lock);
}

double
uaef_stat_percentile(const UaefStat *stat, double share)
{
	uint64		total = timed(stat);
	double		wanted;
	double		below = 0;

	if (total == 0)
		return -1;
	wanted = share * total;
	for (int i = 0; i < UAEF_STAT_BUCKETS; i++)
	{
		double		low = Max(i == 0 ? 0 : (double) (UINT64CONST(1) << (i - 1)),
							  stat->min_us / 1000.0);
		double		high = Min((double) (UINT64CONST(1) << i),
							   stat->max_us / 1000.0);

		if (below + stat->bucket[i] >= wanted && stat->bucket[i] > 0)
			return low + (Max(high, low) - low) * (wanted - below) / stat->bucket[i];
		below += stat->bucket[i];
	}
	return stat->max_us / 1000.0;
}
