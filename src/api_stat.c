/*-------------------------------------------------------------------------
 *
 * api_stat.c
 *	  SQL entry points: counts of what workflows did.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "arguments.h"
#include "set_result.h"
#include "workflow_stat.h"

#define STAT_COLUMNS 15

PG_FUNCTION_INFO_V1(uaef_stat_workflow);
PG_FUNCTION_INFO_V1(uaef_reset_stat_workflow);

static void
put_percentile(Datum *value, bool *isnull, const UaefStat *stat, double share)
{
	double		ms = uaef_stat_percentile(stat, share);

	*value = Float8GetDatum(ms);
	*isnull = ms < 0;
}

static void
put_stat(FunctionCallInfo fcinfo, const UaefStat *stat)
{
	Datum		values[STAT_COLUMNS];
	bool		nulls[STAT_COLUMNS] = {false};
	uint64		timed = 0;
	int			i = 0;

	for (int b = 0; b < UAEF_STAT_BUCKETS; b++)
		timed += stat->bucket[b];
	values[i++] = CStringGetTextDatum(stat->workflow);
	nulls[i] = stat->task[0] == '\0';
	values[i++] = CStringGetTextDatum(stat->task);
	for (int kind = 0; kind < UAEF_N_STATS; kind++)
		values[i++] = Int64GetDatum((int64) stat->count[kind]);
	values[i++] = Float8GetDatum(stat->total_us / 1000.0);
	nulls[i] = timed == 0;
	values[i++] = Float8GetDatum(timed == 0 ? 0 :
								 stat->total_us / 1000.0 / timed);
	nulls[i] = timed == 0;
	values[i++] = Float8GetDatum(stat->max_us / 1000.0);
	put_percentile(&values[i], &nulls[i], stat, 0.50);
	i++;
	put_percentile(&values[i], &nulls[i], stat, 0.95);
	i++;
	put_percentile(&values[i], &nulls[i], stat, 0.99);
	i++;
	values[i++] = TimestampTzGetDatum(stat->since);
	Assert(i == STAT_COLUMNS);
	uaef_put_row(fcinfo, values, nulls);
}

/*
 * uaef._stat_workflow() returns setof (workflow text, task text, started
 *	 bigint, completed bigint, failed bigint, cancelled bigint, skipped bigint,
 *	 retried bigint, total_ms float8, mean_ms float8, max_ms float8,
 *	 p50_ms float8, p95_ms float8, p99_ms float8, since timestamptz)
 */
Datum
uaef_stat_workflow(PG_FUNCTION_ARGS)
{
	UaefStat   *stats;
	uint64		lost;
	int			n = uaef_stat_read(&stats, &lost);

	if (n < 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("nothing is counted, because uaef is not preloaded"),
				 errhint("Put uaef into shared_preload_libraries, and restart the server.")));
	if (lost > 0)
		ereport(NOTICE,
				(errmsg("there is no room to count all tasks"),
				 errdetail("%llu counts were lost.", (unsigned long long) lost),
				 errhint("uaef.reset_stat_workflow() makes room.")));
	uaef_begin_set(fcinfo);
	for (int i = 0; i < n; i++)
		put_stat(fcinfo, &stats[i]);
	return (Datum) 0;
}

/*
 * uaef.reset_stat_workflow(workflow text) returns void
 */
Datum
uaef_reset_stat_workflow(PG_FUNCTION_ARGS)
{
	uaef_stat_reset(uaef_arg_text_or_null(fcinfo, 0));
	PG_RETURN_VOID();
}
