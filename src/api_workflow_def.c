/*-------------------------------------------------------------------------
 *
 * api_workflow_def.c
 *	  SQL functions: defining workflows and drawing them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

#include "definition.h"
#include "workflow_graph.h"

/*
 * create_workflow(name text, definition jsonb, description text) RETURNS integer
 */
PG_FUNCTION_INFO_V1(uaef_create_workflow);
Datum
uaef_create_workflow(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("name and definition must not be null")));
	PG_RETURN_INT32(uaef_definition_create(text_to_cstring(PG_GETARG_TEXT_PP(0)),
										   PG_GETARG_JSONB_P(1),
										   PG_ARGISNULL(2) ? NULL :
										   text_to_cstring(PG_GETARG_TEXT_PP(2))));
}

/*
 * workflow_graph(workflow text, format text) RETURNS text
 */
PG_FUNCTION_INFO_V1(uaef_workflow_graph);
Datum
uaef_workflow_graph(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(
									 uaef_graph_of_workflow(text_to_cstring(PG_GETARG_TEXT_PP(0)),
															text_to_cstring(PG_GETARG_TEXT_PP(1)))));
}

/*
 * workflow_graph(execution_id uuid, format text) RETURNS text
 */
PG_FUNCTION_INFO_V1(uaef_execution_graph);
Datum
uaef_execution_graph(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(
									 uaef_graph_of_execution(PG_GETARG_UUID_P(0),
															 text_to_cstring(PG_GETARG_TEXT_PP(1)))));
}
