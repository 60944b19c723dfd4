/*-------------------------------------------------------------------------
 *
 * api_build.c
 *	  SQL entry points that build definitions: fetch arguments, call, return.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "definition_build.h"

static const char *text_arg(FunctionCallInfo fcinfo, int no);
static Jsonb *jsonb_arg(FunctionCallInfo fcinfo, int no);
static int	int_arg(FunctionCallInfo fcinfo, int no);

static const char *
text_arg(FunctionCallInfo fcinfo, int no)
{
	return PG_ARGISNULL(no) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(no));
}

static Jsonb *
jsonb_arg(FunctionCallInfo fcinfo, int no)
{
	return PG_ARGISNULL(no) ? NULL : PG_GETARG_JSONB_P(no);
}

static int
int_arg(FunctionCallInfo fcinfo, int no)
{
	return PG_ARGISNULL(no) ? 0 : PG_GETARG_INT32(no);
}

/*
 * task(id text, type text, config jsonb, timeout text, attempts integer,
 *		retry jsonb, on_failure text, queue text, priority integer, join text,
 *		description text, output_schema jsonb) RETURNS jsonb
 */
PG_FUNCTION_INFO_V1(uaef_task);
Datum
uaef_task(PG_FUNCTION_ARGS)
{
	UaefTaskParts parts = {
		.id = text_arg(fcinfo, 0),
		.type = text_arg(fcinfo, 1),
		.config = jsonb_arg(fcinfo, 2),
		.timeout = text_arg(fcinfo, 3),
		.attempts = int_arg(fcinfo, 4),
		.retry = jsonb_arg(fcinfo, 5),
		.on_failure = text_arg(fcinfo, 6),
		.queue = text_arg(fcinfo, 7),
		.priority = int_arg(fcinfo, 8),
		.join = text_arg(fcinfo, 9),
		.description = text_arg(fcinfo, 10),
		.output_schema = jsonb_arg(fcinfo, 11)
	};

	if (parts.id == NULL || parts.type == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("id and type of a task must not be null")));
	PG_RETURN_JSONB_P(uaef_build_task(&parts));
}

/* workflow(chain text, VARIADIC parts jsonb[]) RETURNS jsonb */
PG_FUNCTION_INFO_V1(uaef_workflow_of_parts);
Datum
uaef_workflow_of_parts(PG_FUNCTION_ARGS)
{
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(1);
	Datum	   *datums;
	Jsonb	  **parts;
	int			n;

	if (array_contains_nulls(array))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("a part of a workflow must not be null")));
	deconstruct_array(array, JSONBOID, -1, false, TYPALIGN_INT, &datums, NULL,
					  &n);
	parts = palloc(Max(n, 1) * sizeof(Jsonb *));
	for (int i = 0; i < n; i++)
		parts[i] = DatumGetJsonbP(datums[i]);
	PG_RETURN_JSONB_P(uaef_build_workflow(text_to_cstring(PG_GETARG_TEXT_PP(0)),
										  parts, n));
}
