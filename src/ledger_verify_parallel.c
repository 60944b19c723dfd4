/*-------------------------------------------------------------------------
 *
 * ledger_verify_parallel.c
 *	  The part of a check that many processes can share, and running code
 *	  that may raise for damage.
 *
 * Each process takes the next chunk until there is none.  Alone, a process
 * runs chunks in subtransactions, so that what the server cannot read is
 * reported and passed over.  Processes that help cannot have subtransactions:
 * when one raises, what all have found is thrown away, and this one starts
 * again, alone.
 *
 * Memory: with help, the plan is copied into shared memory, and back in the
 * end; problems and records go through shared temporary files.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "storage/sharedfileset.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "ledger_verify_internal.h"

/* What the processes find in shared memory. */
#define KEY_SHARED		UINT64CONST(0xAEF0000000000001)
#define KEY_PLAN		UINT64CONST(0xAEF0000000000002)
#define KEY_PROBLEMS	UINT64CONST(0xAEF0000000000003)
#define KEY_RECORDS		UINT64CONST(0xAEF0000000000004)

/* How often progress is told. */
#define PROGRESS_MS 5000

typedef struct Shared
{
	SharedFileSet files;
	int64		chain_memory;	/* of each process */
} Shared;

/* The shared work, as the process sees it that hands it out. */
typedef struct Help
{
	int			jobs;
	int64		chain_memory;
} Help;

static bool is_damage(int sqlerrcode);
static bool is_helpers_end(int sqlerrcode);
static void run_chunk(VerifyScan *scan, int64 chunk, bool protect);
static void run_chunks(VerifyScan *scan, bool protect);
static void put_shared_record(VerifyScan *scan, Record *record);
static void collect_records(VerifyScan *scan,
							SharedTuplestoreAccessor *records);
static void attach_and_run(VerifyScan *scan, VerifyPlan *plan, Shared *shared,
						   SharedTuplestoreAccessor *problems,
						   SharedTuplestoreAccessor *records);
static void forget_workers(ParallelContext *context);
static void run_with_help(VerifyScan *scan);

/* ----------
 * A process's scan
 * ----------
 */

void
uaef_verify_scan_begin(VerifyScan *scan, VerifyPlan *plan,
					   const UaefReport *report, Snapshot snapshot)
{
	memset(scan, 0, sizeof(VerifyScan));
	scan->plan = plan;
	scan->report = report;
	scan->context = AllocSetContextCreate(CurrentMemoryContext, "uaef verify",
										  ALLOCSET_DEFAULT_SIZES);
	scan->row_context = AllocSetContextCreate(scan->context,
											  "uaef verify row",
											  ALLOCSET_DEFAULT_SIZES);
	scan->owner = CurrentResourceOwner;
	uaef_heap_open(&scan->events, "ledger_event", snapshot);
	uaef_heap_open(&scan->blocks, "ledger_block", snapshot);
	uaef_heap_open(&scan->tiles, "ledger_tile", snapshot);
}

void
uaef_verify_scan_end(VerifyScan *scan)
{
	uaef_heap_close(&scan->events);
	uaef_heap_close(&scan->blocks);
	uaef_heap_close(&scan->tiles);
	MemoryContextDelete(scan->context);
}

/* ----------
 * Code that may raise
 * ----------
 */

/*
 * Whether an error tells of the data, and not of the session: cancelled, in the
 * way of a standby's recovery or of another session, out of memory or disk.
 */
static bool
is_damage(int sqlerrcode)
{
	switch (ERRCODE_TO_CATEGORY(sqlerrcode))
	{
		case ERRCODE_OPERATOR_INTERVENTION:
		case ERRCODE_INSUFFICIENT_RESOURCES:
		case ERRCODE_TRANSACTION_ROLLBACK:
			return false;
		default:
			return sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE;
	}
}

/*
 * Whether an error tells that a process that helps was terminated.  One that is
 * terminated itself does not come to ask.
 */
static bool
is_helpers_end(int sqlerrcode)
{
	return sqlerrcode == ERRCODE_ADMIN_SHUTDOWN;
}

const char *
uaef_verify_protected(VerifyScan *scan, void (*step) (VerifyScan *scan))
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	char	   *volatile problem = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		step(scan);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(scan->context);
		error = CopyErrorData();
		if (!is_damage(error->sqlerrcode) &&
			!(step == run_with_help && is_helpers_end(error->sqlerrcode)))
			PG_RE_THROW();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		problem = error->message ? error->message : "unknown error";
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;

	return problem;
}

/*
 * Say now and then how far the check is.  Called for each page.
 */
void
uaef_verify_progress(VerifyScan *scan)
{
	VerifyPlan *plan = scan->plan;
	uint64		done = pg_atomic_add_fetch_u64(&plan->pages_done, 1);
	TimestampTz now;

	if (scan->told_at == 0 || done % 256 != 0)
		return;
	now = GetCurrentTimestamp();
	if (!TimestampDifferenceExceeds(scan->told_at, now, PROGRESS_MS))
		return;
	scan->told_at = now;
	ereport(NOTICE,
			(errmsg("verify_ledger: %llu of %u pages of events (%d %%)",
					(unsigned long long) done, plan->pages,
					(int) (100 * done / Max(plan->pages, 1)))));
}

/* ----------
 * Chunks
 * ----------
 */

static void
run_chunk(VerifyScan *scan, int64 chunk, bool protect)
{
	VerifyPlan *plan = scan->plan;
	int64		from;

	if (chunk < plan->page_chunks)
	{
		from = chunk * plan->pages_per_chunk;
		uaef_verify_walk(scan, &scan->events, "ledger_event",
						 uaef_verify_event_row, from,
						 Min(from + plan->pages_per_chunk, plan->pages),
						 protect);
		return;
	}
	from = plan->first_tile + (chunk - plan->page_chunks) * TILES_PER_CHUNK;
	uaef_verify_tiles(scan, from, Min(from + TILES_PER_CHUNK, plan->ntiles),
					  protect);
}

static void
run_chunks(VerifyScan *scan, bool protect)
{
	VerifyPlan *plan = scan->plan;
	int64		chunk;

	while ((chunk = pg_atomic_fetch_add_u64(&plan->next_chunk, 1)) <
		   plan->chunks)
		run_chunk(scan, chunk, protect);
	uaef_verify_chain_flush(scan);
	uaef_verify_leaf_flush(scan);
	(void) pg_atomic_fetch_add_u64(&plan->events, scan->events_seen);
	(void) pg_atomic_fetch_add_u64(&plan->damaged, scan->damaged);
}

static void
put_shared_record(VerifyScan *scan, Record *record)
{
	MemoryContext old_context = MemoryContextSwitchTo(scan->report->context);

	/* What it allocates stays with it. */
	sts_puttuple(scan->put_arg, NULL, (MinimalTuple) record);
	MemoryContextSwitchTo(old_context);
}

/*
 * Work of one process among several.
 */
static void
attach_and_run(VerifyScan *scan, VerifyPlan *plan, Shared *shared,
			   SharedTuplestoreAccessor *problems,
			   SharedTuplestoreAccessor *records)
{
	VerifyScan	own;
	UaefReport	report = {
		.desc = uaef_report_desc(),
		.shared = problems,
		.context = CurrentMemoryContext
	};

	uaef_verify_scan_begin(&own, plan, &report, GetActiveSnapshot());
	own.put_record = put_shared_record;
	own.put_arg = records;
	own.told_at = scan == NULL ? 0 : scan->told_at;
	uaef_verify_chain_begin(&own, shared->chain_memory);
	run_chunks(&own, false);
	uaef_verify_scan_end(&own);
	sts_end_write(problems);
	sts_end_write(records);
}

/*
 * The entry of a process that helps.
 */
void
uaef_verify_worker(dsm_segment *segment, shm_toc *toc)
{
	Shared	   *shared = shm_toc_lookup(toc, KEY_SHARED, false);

	SharedFileSetAttach(&shared->files, segment);
	attach_and_run(NULL, shm_toc_lookup(toc, KEY_PLAN, false), shared,
				   sts_attach(shm_toc_lookup(toc, KEY_PROBLEMS, false),
							  ParallelWorkerNumber, &shared->files),
				   sts_attach(shm_toc_lookup(toc, KEY_RECORDS, false),
							  ParallelWorkerNumber, &shared->files));
}

static void
collect_records(VerifyScan *scan, SharedTuplestoreAccessor *records)
{
	Record	   *record;

	sts_begin_parallel_scan(records);
	while ((record = (Record *) sts_parallel_scan_next(records, NULL)) != NULL)
		scan->put_record(scan, record);
	sts_end_parallel_scan(records);
}

/*
 * Let processes that have said that they are done end without being waited
 * for.  What is left to them is to give back the server's shared memory page by
 * page, 3 % of the time that all of the check takes.
 *
 * The server waits since a process that it terminates may still be within our
 * transaction.  These are not: it is the last thing that they say, when their
 * transactions are over, and locks and snapshots gone.  Shared memory, files and
 * the group of locks are cleared away by whoever leaves them last, be it they or
 * we.  An error does not come by here, and then all are waited for.
 */
static void
forget_workers(ParallelContext *context)
{
	for (int i = 0; i < context->nworkers_launched; i++)
	{
		Assert(context->worker[i].error_mqh == NULL);
		pfree(context->worker[i].bgwhandle);
		context->worker[i].bgwhandle = NULL;
	}
}

static void
run_with_help(VerifyScan *scan)
{
	Help	   *help = scan->arg;
	int			workers = help->jobs - 1;
	Size		store_size = sts_estimate(help->jobs);
	ParallelContext *context;
	Shared	   *shared;
	VerifyPlan *plan;
	SharedTuplestoreAccessor *problems;
	SharedTuplestoreAccessor *records;
	SharedTuplestore *stores[2];

	EnterParallelMode();
	context = CreateParallelContext("uaef", "uaef_verify_worker", workers);
	shm_toc_estimate_chunk(&context->estimator, sizeof(Shared));
	shm_toc_estimate_chunk(&context->estimator, scan->plan->size);
	shm_toc_estimate_chunk(&context->estimator, store_size);
	shm_toc_estimate_chunk(&context->estimator, store_size);
	shm_toc_estimate_keys(&context->estimator, 4);
	InitializeParallelDSM(context);
	if (context->seg == NULL)
		elog(ERROR, "no shared memory for processes that help");

	shared = shm_toc_allocate(context->toc, sizeof(Shared));
	shared->chain_memory = help->chain_memory;
	SharedFileSetInit(&shared->files, context->seg);
	shm_toc_insert(context->toc, KEY_SHARED, shared);
	plan = shm_toc_allocate(context->toc, scan->plan->size);
	memcpy(plan, scan->plan, scan->plan->size);
	shm_toc_insert(context->toc, KEY_PLAN, plan);
	for (int i = 0; i < 2; i++)
	{
		stores[i] = shm_toc_allocate(context->toc, store_size);
		shm_toc_insert(context->toc, i == 0 ? KEY_PROBLEMS : KEY_RECORDS,
					   stores[i]);
	}
	problems = sts_initialize(stores[0], help->jobs, workers, 0, 0,
							  &shared->files, "problems");
	records = sts_initialize(stores[1], help->jobs, workers, 0, 0,
							 &shared->files, "records");

	LaunchParallelWorkers(context);
	attach_and_run(scan, plan, shared, problems, records);
	WaitForParallelWorkersToFinish(context);
	memcpy(scan->plan, plan, scan->plan->size);
	uaef_report_collect(scan->report, problems);
	collect_records(scan, records);
	forget_workers(context);
	DestroyParallelContext(context);
	ExitParallelMode();
}

void
uaef_verify_chunks(VerifyScan *scan, int jobs)
{
	Help		help = {.jobs = Min(jobs, scan->plan->chunks)};
	const char *problem = NULL;

	help.chain_memory = (int64) maintenance_work_mem * 1024 / Max(1, jobs);
	scan->arg = &help;
	if (help.jobs > 1)
	{
		problem = uaef_verify_protected(scan, run_with_help);
		if (problem == NULL)
			return;
		ereport(DEBUG1,
				(errmsg_internal("verify_ledger goes on alone: %s", problem)));
	}
	uaef_verify_chain_begin(scan, help.chain_memory);
	run_chunks(scan, true);
}
