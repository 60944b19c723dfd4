/*-------------------------------------------------------------------------
 *
 * api_workflow_def.c
 *	  SQL functions: defining workflows, drawing and comparing them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

#include "arguments.h"
#include "definition.h"
#include "set_result.h"
#include "workflow_dependency.h"
#include "workflow_export.h"
#include "workflow_graph.h"

/*
 * create_workflow(name text, definition jsonb, description text) RETURNS integer
 */
PG_FUNCTION_INFO_V1(uaef_create_workflow);
Datum
uaef_create_workflow(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(uaef_definition_create(uaef_arg_text(fcinfo, 0, "name"),
										   uaef_arg_jsonb(fcinfo, 1,
														  "definition"),
										   uaef_arg_text_or_null(fcinfo, 2)));
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

static int32
version_arg(FunctionCallInfo fcinfo, int no)
{
	if (PG_ARGISNULL(no))
		return 0;
	if (PG_GETARG_INT32(no) < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a version is 1 or more, not %d",
						PG_GETARG_INT32(no))));
	return PG_GETARG_INT32(no);
}

/*
 * export_workflow(name text, version integer) RETURNS text
 */
PG_FUNCTION_INFO_V1(uaef_export_workflow_script);
Datum
uaef_export_workflow_script(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(uaef_export_workflow(uaef_arg_text(fcinfo, 0, "name"),
														  version_arg(fcinfo, 1))));
}

/*
 * compare_workflow(name text, old_version integer, new_version integer)
 * RETURNS TABLE (part text, path text, change text, old jsonb, new jsonb)
 */
PG_FUNCTION_INFO_V1(uaef_compare_versions);
Datum
uaef_compare_versions(PG_FUNCTION_ARGS)
{
	char	   *name = uaef_arg_text(fcinfo, 0, "name");
	int32		old_version = version_arg(fcinfo, 1);
	int32		new_version = version_arg(fcinfo, 2);

	uaef_begin_set(fcinfo);
	uaef_compare_workflow(fcinfo, name, old_version, new_version);
	return (Datum) 0;
}

/*
 * workflow_dependencies(name text)
 * RETURNS TABLE (task text, kind text, object text)
 */
PG_FUNCTION_INFO_V1(uaef_workflow_dependencies);
Datum
uaef_workflow_dependencies(PG_FUNCTION_ARGS)
{
	char	   *name = uaef_arg_text(fcinfo, 0, "name");

	uaef_begin_set(fcinfo);
	uaef_dependency_list(fcinfo, name);
	return (Datum) 0;
}

/*
 * workflow_ddl() RETURNS event_trigger
 */
PG_FUNCTION_INFO_V1(uaef_workflow_ddl);
Datum
uaef_workflow_ddl(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be called as an event trigger",
						"workflow_ddl")));
	uaef_dependency_heed_ddl((EventTriggerData *) fcinfo->context);
	return (Datum) 0;
}
