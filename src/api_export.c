/*-------------------------------------------------------------------------
 *
 * api_export.c
 *	  SQL entry points of exports: fetch arguments, call, return.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"

#include "arguments.h"
#include "event_hash.h"
#include "ledger_export.h"
#include "ledger_export_folder.h"
#include "ledger_export_tiles.h"

/* What tile_files() keeps between its rows. */
typedef struct Files
{
	UaefFiles  *files;
	StringInfoData content;
} Files;

/*
 * uaef.export_ledger(from_event bigint) returns setof text
 */
PG_FUNCTION_INFO_V1(uaef_export_ledger);
Datum
uaef_export_ledger(PG_FUNCTION_ARGS)
{
	FuncCallContext *context;
	MemoryContext caller;
	char	   *line;

	if (SRF_IS_FIRSTCALL())
	{
		int64		from = PG_ARGISNULL(0) ? 0 : PG_GETARG_INT64(0);

		if (from < 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("from_event must not be negative"),
					 errhint("Leave it out for the whole ledger.")));
		context = SRF_FIRSTCALL_INIT();
		caller = MemoryContextSwitchTo(context->multi_call_memory_ctx);
		context->user_fctx = uaef_export_begin(PG_ARGISNULL(0) ? NULL : &from);
		MemoryContextSwitchTo(caller);
	}
	context = SRF_PERCALL_SETUP();
	line = uaef_export_next((UaefExport *) context->user_fctx);
	if (line != NULL)
	{
		Datum		result = CStringGetTextDatum(line);

		pfree(line);
		SRF_RETURN_NEXT(context, result);
	}
	SRF_RETURN_DONE(context);
}

/*
 * uaef.tile_files(from_size bigint) returns table (path text, content bytea)
 */
PG_FUNCTION_INFO_V1(uaef_tile_files);
Datum
uaef_tile_files(PG_FUNCTION_ARGS)
{
	FuncCallContext *context;
	MemoryContext caller;
	Files	   *files;
	UaefFile	file;

	if (SRF_IS_FIRSTCALL())
	{
		context = SRF_FIRSTCALL_INIT();
		caller = MemoryContextSwitchTo(context->multi_call_memory_ctx);
		files = palloc(sizeof(Files));
		files->files = uaef_files_begin(PG_ARGISNULL(0) ? 0 :
										PG_GETARG_INT64(0));
		initStringInfo(&files->content);
		if (get_call_result_type(fcinfo, NULL, &context->tuple_desc) !=
			TYPEFUNC_COMPOSITE)
			elog(ERROR, "return type must be a row type");
		context->tuple_desc = BlessTupleDesc(context->tuple_desc);
		context->user_fctx = files;
		MemoryContextSwitchTo(caller);
	}
	context = SRF_PERCALL_SETUP();
	files = context->user_fctx;
	while (uaef_files_next(files->files, &file))
	{
		Datum		values[2];
		bool		nulls[2] = {false, false};

		if (!uaef_files_read(files->files, &files->content))
			continue;
		values[0] = CStringGetTextDatum(file.path);
		values[1] = uaef_bytea(files->content.data, files->content.len);
		SRF_RETURN_NEXT(context,
						HeapTupleGetDatum(heap_form_tuple(context->tuple_desc,
														  values, nulls)));
	}
	SRF_RETURN_DONE(context);
}

/*
 * uaef.export_tiles(directory text, OUT files bigint, OUT bytes bigint,
 *					 OUT tree_size bigint)
 */
PG_FUNCTION_INFO_V1(uaef_export_tiles);
Datum
uaef_export_tiles(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	UaefFolder	folder;
	Datum		values[3];
	bool		nulls[3] = {false, false, false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	uaef_export_folder(uaef_arg_text(fcinfo, 0, "directory"), &folder);
	values[0] = Int64GetDatum(folder.files);
	values[1] = Int64GetDatum(folder.bytes);
	values[2] = Int64GetDatum(folder.tree_size);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc),
													  values, nulls)));
}
