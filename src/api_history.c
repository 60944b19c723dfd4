/*-------------------------------------------------------------------------
 *
 * api_history.c
 *	  SQL entry points: how long executions are kept.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "history.h"

PG_FUNCTION_INFO_V1(uaef_set_retention);
PG_FUNCTION_INFO_V1(uaef_drop_retention);
PG_FUNCTION_INFO_V1(uaef_purge_executions);

static char *
optional_text(FunctionCallInfo fcinfo, int argno)
{
	return PG_ARGISNULL(argno) ? NULL :
		text_to_cstring(PG_GETARG_TEXT_PP(argno));
}

/*
 * An array of states in which an execution has ended, or NULL.
 */
static ArrayType *
optional_statuses(FunctionCallInfo fcinfo, int argno)
{
	ArrayType  *array;
	Datum	   *values;
	bool	   *nulls;
	int			n;

	if (PG_ARGISNULL(argno))
		return NULL;
	array = PG_GETARG_ARRAYTYPE_P(argno);
	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &values,
					  &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		const char *status = nulls[i] ? "null" :
			TextDatumGetCString(values[i]);

		if (strcmp(status, "completed") != 0 &&
			strcmp(status, "failed") != 0 &&
			strcmp(status, "cancelled") != 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("\"%s\" is no state in which an execution has ended",
							status),
					 errhint("The states are: completed, failed, cancelled.")));
	}
	return array;
}

/*
 * uaef.set_retention(keep interval, workflow text, statuses text[])
 *	 returns void
 */
Datum
uaef_set_retention(PG_FUNCTION_ARGS)
{
	Interval	zero = {0};

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("keep must not be null"),
				 errhint("Use uaef.drop_retention() to keep executions for ever.")));
	if (DatumGetBool(DirectFunctionCall2(interval_lt, PG_GETARG_DATUM(0),
										 IntervalPGetDatum(&zero))))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("keep must not be negative")));
	uaef_history_keep(optional_text(fcinfo, 1), optional_statuses(fcinfo, 2),
					  PG_GETARG_INTERVAL_P(0));
	PG_RETURN_VOID();
}

/*
 * uaef.drop_retention(workflow text) returns void
 */
Datum
uaef_drop_retention(PG_FUNCTION_ARGS)
{
	uaef_history_keep_all(optional_text(fcinfo, 0));
	PG_RETURN_VOID();
}

/*
 * uaef.purge_executions(before timestamptz, workflow text, statuses text[],
 *	 max_executions integer) returns bigint
 */
Datum
uaef_purge_executions(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("before must not be null")));
	if (PG_ARGISNULL(3) || PG_GETARG_INT32(3) < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_executions must be at least 1")));
	PG_RETURN_INT64(uaef_history_purge(optional_text(fcinfo, 1),
									   optional_statuses(fcinfo, 2),
									   PG_GETARG_TIMESTAMPTZ(0),
									   PG_GETARG_INT32(3)));
}
