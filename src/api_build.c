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
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "arguments.h"
#include "definition_build.h"

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
		.id = uaef_arg_text(fcinfo, 0, "id"),
		.type = uaef_arg_text(fcinfo, 1, "type"),
		.config = uaef_arg_jsonb_or_null(fcinfo, 2),
		.timeout = uaef_arg_text_or_null(fcinfo, 3),
		.attempts = uaef_arg_int32_or(fcinfo, 4, 0),
		.retry = uaef_arg_jsonb_or_null(fcinfo, 5),
		.on_failure = uaef_arg_text_or_null(fcinfo, 6),
		.queue = uaef_arg_text_or_null(fcinfo, 7),
		.priority = uaef_arg_int32_or(fcinfo, 8, 0),
		.join = uaef_arg_text_or_null(fcinfo, 9),
		.description = uaef_arg_text_or_null(fcinfo, 10),
		.output_schema = uaef_arg_jsonb_or_null(fcinfo, 11)
	};

	PG_RETURN_JSONB_P(uaef_build_task(&parts));
}

/* workflow(chain text, VARIADIC parts jsonb[]) RETURNS jsonb */
PG_FUNCTION_INFO_V1(uaef_workflow_of_parts);
Datum
uaef_workflow_of_parts(PG_FUNCTION_ARGS)
{
	int			n;
	Datum	   *datums = uaef_array_elements(PG_GETARG_ARRAYTYPE_P(1), JSONBOID,
											 "parts", &n);
	Jsonb	  **parts;

	parts = palloc(Max(n, 1) * sizeof(Jsonb *));
	for (int i = 0; i < n; i++)
		parts[i] = DatumGetJsonbP(datums[i]);
	PG_RETURN_JSONB_P(uaef_build_workflow(text_to_cstring(PG_GETARG_TEXT_PP(0)),
										  parts, n));
}
