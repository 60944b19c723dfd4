/*-------------------------------------------------------------------------
 *
 * api_attach.c
 *	  SQL entry points of triggers that start workflows.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "attach_workflow.h"

PG_FUNCTION_INFO_V1(uaef_attach_workflow_sql);
PG_FUNCTION_INFO_V1(uaef_detach_workflow_sql);

static char *
text_arg(FunctionCallInfo fcinfo, int arg)
{
	return PG_ARGISNULL(arg) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(arg));
}

static void
read_columns(FunctionCallInfo fcinfo, int arg, UaefAttach *attach)
{
	Datum	   *names;
	bool	   *nulls;

	if (PG_ARGISNULL(arg))
		return;
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(arg), TEXTOID, -1, false,
					  TYPALIGN_INT, &names, &nulls, &attach->n_columns);
	attach->columns = palloc(sizeof(char *) * Max(attach->n_columns, 1));
	for (int i = 0; i < attach->n_columns; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("\"columns\" cannot hold null")));
		attach->columns[i] = TextDatumGetCString(names[i]);
	}
}

/*
 * uaef.attach_workflow("table" regclass, workflow text, key text,
 * condition text, event text, input jsonb, columns text[], per text,
 * name text) -> text
 */
Datum
uaef_attach_workflow_sql(PG_FUNCTION_ARGS)
{
	UaefAttach	attach = {0};
	char	   *per = text_arg(fcinfo, 7);

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(4) || per == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("\"table\", \"workflow\", \"event\" and \"per\" cannot be null")));
	if (strcmp(per, "row") != 0 && strcmp(per, "statement") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"per\" cannot be \"%s\"", per),
				 errhint("It is one of: \"row\", \"statement\".")));
	attach.table = PG_GETARG_OID(0);
	attach.workflow = text_arg(fcinfo, 1);
	attach.key = text_arg(fcinfo, 2);
	attach.condition = text_arg(fcinfo, 3);
	attach.event = text_arg(fcinfo, 4);
	attach.input = PG_ARGISNULL(5) ? NULL : PG_GETARG_JSONB_P(5);
	read_columns(fcinfo, 6, &attach);
	attach.by_statement = strcmp(per, "statement") == 0;
	attach.name = text_arg(fcinfo, 8);
	PG_RETURN_TEXT_P(cstring_to_text(uaef_attach_workflow(&attach)));
}

/* uaef.detach_workflow("table" regclass, workflow text) -> void */
Datum
uaef_detach_workflow_sql(PG_FUNCTION_ARGS)
{
	uaef_detach_workflow(PG_GETARG_OID(0),
						 text_to_cstring(PG_GETARG_TEXT_PP(1)));
	PG_RETURN_VOID();
}
