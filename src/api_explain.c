/*-------------------------------------------------------------------------
 *
 * api_explain.c
 *	  SQL entry points: dry runs, progress.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "arguments.h"
#include "explain.h"
#include "progress.h"
#include "set_result.h"
#include "spi_util.h"

#define COLUMNS 10

PG_FUNCTION_INFO_V1(uaef_explain_workflow);
PG_FUNCTION_INFO_V1(uaef_workflow_progress);

static void
set_text(Datum *value, bool *isnull, const char *text)
{
	*isnull = text == NULL;
	*value = text == NULL ? (Datum) 0 : CStringGetTextDatum(text);
}

static void
put(FunctionCallInfo fcinfo, int step, const UaefExplainRow *row)
{
	Datum		values[COLUMNS];
	bool		nulls[COLUMNS] = {false};

	values[0] = Int32GetDatum(step);
	set_text(&values[1], &nulls[1], row->task);
	values[2] = Int32GetDatum(row->item);
	nulls[2] = row->item == UAEF_NO_ITEM;
	set_text(&values[3], &nulls[3], row->type);
	set_text(&values[4], &nulls[4], row->outcome);
	set_text(&values[5], &nulls[5], row->label);
	set_text(&values[6], &nulls[6], row->detail);
	values[7] = Int32GetDatum(row->max_attempts);
	nulls[7] = row->max_attempts == 0;
	values[8] = uaef_text_array(row->policies);
	nulls[8] = row->policies == NIL;
	values[9] = PointerGetDatum(row->output);
	nulls[9] = row->output == NULL;
	uaef_put_row(fcinfo, values, nulls);
}

/*
 * explain_workflow(workflow text, input jsonb, assume jsonb, version integer)
 * RETURNS TABLE (step integer, task text, item integer, type text, outcome
 * text, label text, detail text, max_attempts integer, policies text[], output
 * jsonb)
 */
Datum
uaef_explain_workflow(PG_FUNCTION_ARGS)
{
	List	   *rows;
	ListCell   *cell;
	int			step = 0;

	rows = uaef_explain_run(uaef_arg_text(fcinfo, 0, "workflow"),
							uaef_arg_int32_or(fcinfo, 3, 0),
							uaef_arg_jsonb(fcinfo, 1, "input"),
							uaef_arg_jsonb(fcinfo, 2, "assume"));
	uaef_begin_set(fcinfo);
	foreach(cell, rows)
		put(fcinfo, ++step, lfirst(cell));
	return (Datum) 0;
}

/*
 * workflow_progress(execution_id uuid) RETURNS TABLE (done bigint, total
 * bigint, running bigint, waiting bigint, percent float8, started_at
 * timestamptz, estimated_end timestamptz)
 */
Datum
uaef_workflow_progress(PG_FUNCTION_ARGS)
{
	UaefProgress progress;
	Datum		values[7];
	bool		nulls[7] = {false};

	uaef_progress_get(PG_GETARG_UUID_P(0), &progress);
	uaef_begin_set(fcinfo);
	values[0] = Int64GetDatum(progress.done);
	values[1] = Int64GetDatum(progress.total);
	values[2] = Int64GetDatum(progress.running);
	values[3] = Int64GetDatum(progress.waiting);
	values[4] = Float8GetDatum(progress.total == 0 ? 100.0 :
							   floor(1000.0 * progress.done /
									 progress.total) / 10.0);
	values[5] = TimestampTzGetDatum(progress.started_at);
	nulls[5] = progress.started_at == 0;
	values[6] = TimestampTzGetDatum(progress.estimated_end);
	nulls[6] = progress.estimated_end == 0;
	uaef_put_row(fcinfo, values, nulls);
	return (Datum) 0;
}
