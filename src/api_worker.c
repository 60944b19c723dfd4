/*-------------------------------------------------------------------------
 *
 * api_worker.c
 *	  SQL entry points: the worker.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "wake.h"
#include "worker_control.h"
#include "worker_status.h"

PG_FUNCTION_INFO_V1(uaef_start_worker);
PG_FUNCTION_INFO_V1(uaef_stop_worker);
PG_FUNCTION_INFO_V1(uaef_announce_worker);
PG_FUNCTION_INFO_V1(uaef_worker_status);

static HeapTuple status_tuple(TupleDesc desc, const UaefProcessStatus *row);

/* uaef.start_worker() RETURNS integer */
Datum
uaef_start_worker(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32((int32) uaef_worker_start());
}

/* uaef.stop_worker() RETURNS boolean */
Datum
uaef_stop_worker(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(uaef_worker_stop());
}

/* uaef._announce_worker() RETURNS void */
Datum
uaef_announce_worker(PG_FUNCTION_ARGS)
{
	uaef_wake_worker_on_commit(UAEF_WAKE_CONTROL);
	PG_RETURN_VOID();
}

/* uaef._worker_status() RETURNS TABLE (...) */
Datum
uaef_worker_status(PG_FUNCTION_ARGS)
{
	FuncCallContext *call;
	UaefProcessStatus *rows;

	if (SRF_IS_FIRSTCALL())
	{
		MemoryContext before;
		TupleDesc	desc;

		call = SRF_FIRSTCALL_INIT();
		before = MemoryContextSwitchTo(call->multi_call_memory_ctx);
		if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
			elog(ERROR, "return type must be a row type");
		call->tuple_desc = BlessTupleDesc(desc);
		call->max_calls = uaef_worker_status_get(&rows);
		call->user_fctx = rows;
		MemoryContextSwitchTo(before);
	}

	call = SRF_PERCALL_SETUP();
	rows = call->user_fctx;
	if (call->call_cntr < call->max_calls)
	{
		HeapTuple	tuple = status_tuple(call->tuple_desc,
										 &rows[call->call_cntr]);

		SRF_RETURN_NEXT(call, HeapTupleGetDatum(tuple));
	}
	SRF_RETURN_DONE(call);
}

static HeapTuple
status_tuple(TupleDesc desc, const UaefProcessStatus *row)
{
	Datum		values[7] = {0};
	bool		nulls[7] = {false};

	values[0] = CStringGetTextDatum(row->kind);
	values[1] = ObjectIdGetDatum(row->database);
	nulls[1] = !OidIsValid(row->database);
	values[2] = ObjectIdGetDatum(row->role);
	nulls[2] = !OidIsValid(row->role);
	values[3] = Int32GetDatum((int32) row->pid);
	nulls[3] = row->pid == 0;
	values[4] = CStringGetTextDatum(row->state);
	values[5] = TimestampTzGetDatum(row->since);
	nulls[5] = row->since == 0;
	nulls[6] = row->detail == NULL;
	if (row->detail != NULL)
		values[6] = CStringGetTextDatum(row->detail);
	return heap_form_tuple(desc, values, nulls);
}
