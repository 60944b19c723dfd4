/*-------------------------------------------------------------------------
 *
 * api_attach.c
 *	  SQL entry points of triggers that start workflows.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

#include "arguments.h"
#include "attach_workflow.h"

PG_FUNCTION_INFO_V1(uaef_attach_workflow_sql);
PG_FUNCTION_INFO_V1(uaef_detach_workflow_sql);

/*
 * uaef.attach_workflow("table" regclass, workflow text, key text,
 * condition text, event text, input jsonb, columns text[], per text,
 * name text) -> text
 */
Datum
uaef_attach_workflow_sql(PG_FUNCTION_ARGS)
{
	UaefAttach	attach = {0};
	char	   *per = uaef_arg_text(fcinfo, 7, "per");

	if (strcmp(per, "row") != 0 && strcmp(per, "statement") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"per\" cannot be \"%s\"", per),
				 errhint("It is one of: \"row\", \"statement\".")));
	attach.table = uaef_arg_oid(fcinfo, 0, "table");
	attach.workflow = uaef_arg_text(fcinfo, 1, "workflow");
	attach.key = uaef_arg_text_or_null(fcinfo, 2);
	attach.condition = uaef_arg_text_or_null(fcinfo, 3);
	attach.event = uaef_arg_text(fcinfo, 4, "event");
	attach.input = uaef_arg_jsonb_or_null(fcinfo, 5);
	attach.columns = uaef_arg_text_array_or_null(fcinfo, 6, "columns",
												 &attach.n_columns);
	attach.by_statement = strcmp(per, "statement") == 0;
	attach.name = uaef_arg_text_or_null(fcinfo, 8);
	PG_RETURN_TEXT_P(cstring_to_text(uaef_attach_workflow(&attach)));
}

/* uaef.detach_workflow("table" regclass, workflow text) -> void */
Datum
uaef_detach_workflow_sql(PG_FUNCTION_ARGS)
{
	uaef_detach_workflow(uaef_arg_oid(fcinfo, 0, "table"),
						 uaef_arg_text(fcinfo, 1, "workflow"));
	PG_RETURN_VOID();
}
