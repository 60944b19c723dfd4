/*-------------------------------------------------------------------------
 *
 * api_history.c
 *	  SQL entry points: how long executions are kept.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "arguments.h"
#include "history.h"

PG_FUNCTION_INFO_V1(uaef_set_retention);
PG_FUNCTION_INFO_V1(uaef_drop_retention);
PG_FUNCTION_INFO_V1(uaef_purge_executions);

/*
 * An array of states in which an execution has ended, or NULL.
 */
static ArrayType *
optional_statuses(FunctionCallInfo fcinfo, int argno)
{
	int			n;
	char	  **statuses = uaef_arg_text_array_or_null(fcinfo, argno,
													   "statuses", &n);

	for (int i = 0; i < n; i++)
	{
		const char *status = statuses[i];

		if (strcmp(status, "completed") != 0 &&
			strcmp(status, "failed") != 0 &&
			strcmp(status, "cancelled") != 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("\"%s\" is no state in which an execution has ended",
							status),
					 errhint("The states are: completed, failed, cancelled.")));
	}
	return uaef_arg_array_or_null(fcinfo, argno);
}

/*
 * uaef.set_retention(keep interval, workflow text, statuses text[])
 *	 returns void
 */
Datum
uaef_set_retention(PG_FUNCTION_ARGS)
{
	Interval	zero = {0};

	uaef_arg_require(fcinfo, 0, "keep");
	if (DatumGetBool(DirectFunctionCall2(interval_lt, PG_GETARG_DATUM(0),
										 IntervalPGetDatum(&zero))))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("keep must not be negative")));
	uaef_history_keep(uaef_arg_text_or_null(fcinfo, 1), optional_statuses(fcinfo, 2),
					  PG_GETARG_INTERVAL_P(0));
	PG_RETURN_VOID();
}

/*
 * uaef.drop_retention(workflow text) returns void
 */
Datum
uaef_drop_retention(PG_FUNCTION_ARGS)
{
	uaef_history_keep_all(uaef_arg_text_or_null(fcinfo, 0));
	PG_RETURN_VOID();
}

/*
 * uaef.purge_executions(before timestamptz, workflow text, statuses text[],
 *	 max_executions integer) returns bigint
 */
Datum
uaef_purge_executions(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(3) || PG_GETARG_INT32(3) < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_executions must be at least 1")));
	PG_RETURN_INT64(uaef_history_purge(uaef_arg_text_or_null(fcinfo, 1),
									   optional_statuses(fcinfo, 2),
									   uaef_arg_time(fcinfo, 0, "before"),
									   PG_GETARG_INT32(3)));
}
