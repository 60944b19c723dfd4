/*-------------------------------------------------------------------------
 *
 * execution_scope.c
 *	  The data of an execution: outputs of its tasks, and what paths read.
 *
 * Memory: as in execution.c; what is fetched for a path lives as long as the
 * step.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "execution.h"
#include "spi_util.h"

static UaefQuery find_outputs = {
	"SELECT task_no, output FROM uaef.task_execution"
	" WHERE execution_id = $1 AND item = -1 AND task_no = ANY ($2)"
	" AND output IS NOT NULL",
	2, {UUIDOID, INT2ARRAYOID}
};

static UaefQuery find_item_outputs = {
	"SELECT coalesce(jsonb_agg(output ORDER BY item), '[]')"
	" FROM uaef.task_execution"
	" WHERE execution_id = $1 AND task_no = $2 AND item >= 0"
	" AND status = 'completed'",
	2, {UUIDOID, INT2OID}
};

static Jsonb *scope_task_output(UaefScope *scope, const char *id, int len);
static Jsonb *scope_in(UaefScope *scope);
static Jsonb *scope_sys(UaefScope *scope);
static Jsonb *build_sys(UaefExecution *execution);

Jsonb *
uaef_execution_item_outputs(UaefExecution *execution, int no)
{
	Datum		args[2];
	Jsonb	   *outputs;

	uaef_step_write_tasks(execution->step);
	args[0] = UUIDPGetDatum(&execution->id);
	args[1] = Int16GetDatum(no);
	uaef_spi_run(&find_item_outputs, args, NULL);
	outputs = uaef_spi_jsonb(0, 1);
	SPI_freetuptable(SPI_tuptable);
	return outputs;
}

Jsonb *
uaef_execution_outputs(UaefExecution *execution, const int *nos, int n)
{
	Datum	   *unknown = palloc(sizeof(Datum) * Max(n, 1));
	Jsonb	  **outputs = palloc0(sizeof(Jsonb *) * Max(n, 1));
	int			n_unknown = 0;
	UaefJson	json;

	for (int i = 0; i < n; i++)
	{
		if (execution->tasks[nos[i]] != NULL)
			outputs[i] = execution->tasks[nos[i]]->output;
		else if (uaef_execution_may_have_row(execution, nos[i]))
			unknown[n_unknown++] = Int16GetDatum(nos[i]);
	}

	if (n_unknown > 0)
	{
		Datum		args[2];
		uint64		found;

		args[0] = UUIDPGetDatum(&execution->id);
		args[1] = uaef_array(unknown, NULL, n_unknown, INT2OID);
		found = uaef_spi_run(&find_outputs, args, NULL);
		for (uint64 row = 0; row < found; row++)
		{
			bool		isnull;
			int			no = DatumGetInt16(uaef_spi_value(row, 1, &isnull));

			for (int i = 0; i < n; i++)
				if (nos[i] == no)
					outputs[i] = uaef_spi_jsonb(row, 2);
		}
		SPI_freetuptable(SPI_tuptable);
	}

	uaef_json_begin(&json);
	for (int i = 0; i < n; i++)
		uaef_json_jsonb(&json, execution->def->tasks[nos[i]].id, outputs[i]);
	return uaef_json_end(&json);
}

/*
 * The output of a task by its id, for paths task.<id>; NULL when it has none.
 * What a workflow gave that is to be repeated is not yet an output.
 */
static Jsonb *
scope_task_output(UaefScope *scope, const char *id, int len)
{
	UaefExecution *execution = scope->task_arg;
	int			no = uaef_definition_task_no(execution->def, id, len);
	UaefTask   *task;

	if (no < 0)
		return NULL;
	task = uaef_execution_find(execution, no, UAEF_NO_ITEM);
	return task == NULL || !uaef_task_ended(task->status) ? NULL :
		task->output;
}

Jsonb *
uaef_execution_input(UaefExecution *execution)
{
	if (execution->input == NULL)
	{
		MemoryContext back = MemoryContextSwitchTo(execution->step->context);

		execution->input = DatumGetJsonbP(PointerGetDatum(execution->stored_input));
		MemoryContextSwitchTo(back);
	}
	return execution->input;
}

static Jsonb *
scope_in(UaefScope *scope)
{
	return uaef_execution_input(scope->task_arg);
}

static Jsonb *
scope_sys(UaefScope *scope)
{
	UaefExecution *execution = scope->task_arg;
	MemoryContext back = MemoryContextSwitchTo(execution->step->context);
	Jsonb	   *sys = build_sys(execution);

	MemoryContextSwitchTo(back);
	return sys;
}

UaefScope *
uaef_execution_scope(UaefExecution *execution)
{
	execution->scope.in = execution->input;
	execution->scope.fetch_in = scope_in;
	execution->scope.fetch_sys = scope_sys;
	execution->scope.item = NULL;
	execution->scope.ctx = execution->def->context != NULL ?
		execution->def->context : uaef_json_empty();
	execution->scope.sys = NULL;
	execution->scope.task = scope_task_output;
	execution->scope.task_arg = execution;
	return &execution->scope;
}

UaefScope *
uaef_task_scope(UaefTask *task)
{
	UaefScope  *scope = &task->execution->scope;

	if (scope->task == NULL)
		scope = uaef_execution_scope(task->execution);
	scope->item = task->item_value;
	scope->last = NULL;
	return scope;
}

static Jsonb *
build_sys(UaefExecution *execution)
{
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_uuid(&json, "execution_id", &execution->id);
	uaef_json_text(&json, "workflow", execution->def->name);
	uaef_json_int(&json, "version", execution->def->version);
	uaef_json_text(&json, "name", execution->name);
	uaef_json_text(&json, "initiated_by",
				   GetUserNameFromId(execution->initiated_by, true));
	uaef_json_time(&json, "started_at", execution->started_at);
	uaef_json_time(&json, "completed_at", execution->completed_at);
	uaef_json_text(&json, "status",
				   uaef_execution_status_name(execution->status));
	uaef_json_text(&json, "agent", execution->agent);
	return uaef_json_end(&json);
}
