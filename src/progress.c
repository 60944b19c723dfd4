/*-------------------------------------------------------------------------
 *
 * progress.c
 *	  How far an execution has come.
 *
 * The rows of its tasks are read, one by one by their keys, and none of the
 * items of maps: a map's row counts them.  Nothing is locked.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "definition.h"
#include "errcodes.h"
#include "progress.h"
#include "spi_util.h"
#include "transition.h"
#include "workflow_stat.h"

static UaefQuery find_execution = {
	"SELECT definition_id, initiated_by, status, started_at, completed_at"
	" FROM uaef.workflow_execution WHERE execution_id = $1",
	1, {UUIDOID}
};

static UaefQuery find_tasks = {
	"SELECT task_no, status, attempt, coalesce(items_total, -1),"
	" coalesce(items_started, 0),"
	" coalesce(items_completed, 0) + coalesce(items_failed, 0)"
	" FROM uaef.task_execution WHERE execution_id = $1 AND item = -1"
	" AND task_no = ANY (ARRAY(SELECT n::smallint"
	" FROM generate_series(0, $2 - 1) n))",
	2, {UUIDOID, INT4OID}
};

/* An execution, as its row has it. */
typedef struct Execution
{
	const UaefDefinition *def;
	UaefExecutionStatus status;
	TimestampTz started_at;
	TimestampTz completed_at;
} Execution;

static TimestampTz
time_at(int column)
{
	bool		isnull;
	Datum		value = uaef_spi_value(0, column, &isnull);

	return isnull ? 0 : DatumGetTimestampTz(value);
}

static void
read_execution(const pg_uuid_t *execution_id, Execution *execution)
{
	Datum		arg = UUIDPGetDatum(execution_id);
	char	   *id = DatumGetCString(DirectFunctionCall1(uuid_out, arg));
	UaefCaller	caller = uaef_spi_begin();
	int32		definition_id;
	Oid			role;

	if (uaef_spi_run(&find_execution, &arg, NULL) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_UNDEFINED_EXECUTION),
				 errmsg("execution %s does not exist", id)));
	definition_id = uaef_spi_int32(0, 1);
	role = uaef_spi_oid(0, 2);
	execution->status = uaef_execution_status_by_name(uaef_spi_text(0, 3));
	execution->started_at = time_at(4);
	execution->completed_at = time_at(5);
	uaef_spi_end(caller);

	uaef_require_member(role, psprintf("execution %s", id));
	execution->def = uaef_definition_get(definition_id);
}

/*
 * Whether an attempt of such a task is a wait for something to happen.
 */
static bool
only_waits(const UaefTaskDef *def)
{
	return def->type == UAEF_TASK_HUMAN_APPROVAL ||
		def->type == UAEF_TASK_SIGNAL || def->type == UAEF_TASK_WAIT;
}

/*
 * A map that has its list: its items.  Those that it can do without are done
 * when it has ended.
 */
static void
count_items(UaefProgress *progress, const UaefTaskDef *def, uint64 row,
			bool ended)
{
	int			total = uaef_spi_int32(row, 4);
	int			begun = uaef_spi_int32(row, 5);
	int			done = ended ? total : uaef_spi_int32(row, 6);
	int			open = ended ? 0 : begun - done;

	progress->total += total - 1;
	progress->done += done;
	if (only_waits(def->config.parallel.task))
		progress->waiting += open;
	else
		progress->running += open;
}

static void
count_task(UaefProgress *progress, const UaefDefinition *def, uint64 row)
{
	bool		isnull;
	int			no = DatumGetInt16(uaef_spi_value(row, 1, &isnull));
	UaefTaskStatus status = uaef_task_status_by_name(uaef_spi_text(row, 2));
	bool		tried = uaef_spi_int32(row, 3) > 0;

	if (uaef_spi_int32(row, 4) >= 0)
		count_items(progress, &def->tasks[no], row, uaef_task_ended(status));
	else if (uaef_task_ended(status))
		progress->done++;
	else if (status == UAEF_TASK_WAITING_INPUT ||
			 (status == UAEF_TASK_PENDING && tried) ||
			 (status == UAEF_TASK_RUNNING && only_waits(&def->tasks[no])))
		progress->waiting++;
	else if (status != UAEF_TASK_PENDING)
		progress->running++;
}

static void
count_tasks(const pg_uuid_t *execution_id, const UaefDefinition *def,
			UaefProgress *progress)
{
	UaefCaller	caller = uaef_spi_begin();
	Datum		args[2];
	uint64		rows;

	args[0] = UUIDPGetDatum(execution_id);
	args[1] = Int32GetDatum(def->n_tasks);
	progress->total = def->n_tasks;
	rows = uaef_spi_run(&find_tasks, args, NULL);
	for (uint64 row = 0; row < rows; row++)
		count_task(progress, def, row);
	uaef_spi_end(caller);
}

/*
 * What executions of a workflow take on average, in microseconds; 0: not
 * known.
 */
static int64
usual_us(const char *workflow)
{
	UaefStat   *stats;
	uint64		lost;
	int			n = uaef_stat_read(&stats, &lost);

	for (int i = 0; i < n; i++)
	{
		uint64		timed = 0;

		if (stats[i].task[0] != '\0' ||
			strcmp(stats[i].workflow, workflow) != 0)
			continue;
		for (int b = 0; b < UAEF_STAT_BUCKETS; b++)
			timed += stats[i].bucket[b];
		return timed > 0 ? (int64) (stats[i].total_us / timed) : 0;
	}
	return 0;
}

/*
 * When it may end: as others did, or, when it is later than that already or
 * nothing is known of others, as fast as it has gone so far.
 */
static TimestampTz
estimate(const Execution *execution, const UaefProgress *progress)
{
	TimestampTz now = uaef_clock_now();
	int64		usual = usual_us(execution->def->name);

	if (execution->started_at == 0 ||
		execution->status != UAEF_EXECUTION_RUNNING)
		return 0;
	if (usual > 0 && execution->started_at + usual > now)
		return execution->started_at + usual;
	if (progress->done == 0 || now <= execution->started_at)
		return 0;
	return execution->started_at +
		(int64) ((double) (now - execution->started_at) *
				 progress->total / progress->done);
}

void
uaef_progress_get(const pg_uuid_t *execution_id, UaefProgress *progress)
{
	Execution	execution;

	memset(progress, 0, sizeof(UaefProgress));
	read_execution(execution_id, &execution);
	count_tasks(execution_id, execution.def, progress);
	progress->started_at = execution.started_at;
	if (uaef_execution_ended(execution.status))
		progress->estimated_end = execution.completed_at;
	else
		progress->estimated_end = estimate(&execution, progress);
}
