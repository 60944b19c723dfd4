/*-------------------------------------------------------------------------
 *
 * ledger_report.c
 *	  The rows that tell of problems of the ledger.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "executor/tuptable.h"
#include "nodes/execnodes.h"
#include "utils/builtins.h"

#include "compat.h"
#include "ledger_report.h"
#include "set_result.h"
#include "spi_util.h"

static const char *severity_of(const char *code);
static void count_problem(const UaefReport *report, const char *severity);
static void put_text(Datum *values, bool *nulls, int column, const char *text);
static void put_number(Datum *values, bool *nulls, int column, int64 number,
					   bool isnull);

void
uaef_report_begin(FunctionCallInfo fcinfo, UaefReport *report)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	memset(report, 0, sizeof(UaefReport));
	uaef_begin_set(fcinfo);
	report->store = result->setResult;
	report->desc = result->setDesc;
}

/*
 * How bad the problems of a code usually are; what is in no list is an error.
 */
static const char *
severity_of(const char *code)
{
	static const char *const infos[] = {
		"REDACTED", "RETIRED", "UNSEALED_OVERDUE"
	};

	for (int i = 0; i < lengthof(infos); i++)
		if (strcmp(code, infos[i]) == 0)
			return "info";
	return strcmp(code, "INCARNATION_UNDECLARED") == 0 ? "warning" : "error";
}

static void
count_problem(const UaefReport *report, const char *severity)
{
	UaefTally  *tally = report->tally;

	if (tally == NULL)
		return;
	if (strcmp(severity, "error") == 0)
		tally->errors++;
	else if (strcmp(severity, "warning") == 0)
		tally->warnings++;
	else
		tally->infos++;
}

static void
put_text(Datum *values, bool *nulls, int column, const char *text)
{
	nulls[column - 1] = (text == NULL);
	if (text != NULL)
		values[column - 1] = CStringGetTextDatum(text);
}

static void
put_number(Datum *values, bool *nulls, int column, int64 number, bool isnull)
{
	nulls[column - 1] = isnull;
	values[column - 1] = Int64GetDatum(number);
}

void
uaef_report_problem(const UaefReport *report, const char *code,
					const UaefPlace *place, const char *detail)
{
	const char *severity = place->severity ? place->severity :
		severity_of(code);
	Datum		values[UAEF_REPORT_COLUMNS];
	bool		nulls[UAEF_REPORT_COLUMNS] = {false};

	count_problem(report, severity);
	put_text(values, nulls, UAEF_REPORT_SEVERITY, severity);
	put_text(values, nulls, UAEF_REPORT_CODE, code);
	values[UAEF_REPORT_STREAM - 1] = UUIDPGetDatum(place->stream);
	nulls[UAEF_REPORT_STREAM - 1] = (place->stream == NULL);
	put_number(values, nulls, UAEF_REPORT_STREAM_SEQ, place->stream_seq,
			   place->stream_seq == 0);
	put_number(values, nulls, UAEF_REPORT_EVENT_ID, place->event_id,
			   place->event_id == 0);
	put_number(values, nulls, UAEF_REPORT_LEAF_INDEX, place->leaf_no - 1,
			   place->leaf_no == 0);
	put_number(values, nulls, UAEF_REPORT_BLOCK_NO, place->block_no,
			   place->block_no == 0);
	values[UAEF_REPORT_CTID - 1] = PointerGetDatum(place->ctid);
	nulls[UAEF_REPORT_CTID - 1] = (place->ctid == NULL);
	put_text(values, nulls, UAEF_REPORT_EXPECTED, place->expected);
	put_text(values, nulls, UAEF_REPORT_ACTUAL, place->actual);
	put_text(values, nulls, UAEF_REPORT_DETAIL, detail);

	if (report->shared != NULL)
	{
		MemoryContext old_context = MemoryContextSwitchTo(report->context);
		MinimalTuple tuple = uaef_form_minimal_tuple(report->desc, values,
													 nulls);

		/* What it allocates stays with it. */
		sts_puttuple(report->shared, NULL, tuple);
		pfree(tuple);
		MemoryContextSwitchTo(old_context);
	}
	else if (report->store != NULL)
		tuplestore_putvalues(report->store, report->desc, values, nulls);
}

void
uaef_report_rows(const UaefReport *report, const char *code, uint64 rows)
{
	for (uint64 row = 0; row < rows; row++)
	{
		UaefPlace	place = {0};
		bool		isnull;
		Datum		value = uaef_spi_value(row, 1, &isnull);

		if (!isnull)
			place.stream = DatumGetUUIDP(value);
		value = uaef_spi_value(row, 2, &isnull);
		place.stream_seq = isnull ? 0 : DatumGetInt64(value);
		value = uaef_spi_value(row, 3, &isnull);
		place.event_id = isnull ? 0 : DatumGetInt64(value);
		value = uaef_spi_value(row, 4, &isnull);
		place.block_no = isnull ? 0 : DatumGetInt64(value);
		uaef_report_problem(report, code, &place, uaef_spi_text(row, 5));
	}
}

TupleDesc
uaef_report_desc(void)
{
	static const Oid types[UAEF_REPORT_COLUMNS] = {
		TEXTOID, TEXTOID, UUIDOID, INT8OID, INT8OID, INT8OID, INT8OID, TIDOID,
		TEXTOID, TEXTOID, TEXTOID
	};
	TupleDesc	desc = CreateTemplateTupleDesc(UAEF_REPORT_COLUMNS);

	for (int i = 0; i < UAEF_REPORT_COLUMNS; i++)
		TupleDescInitEntry(desc, i + 1, NULL, types[i], -1, 0);
	return desc;
}

void
uaef_report_collect(const UaefReport *report, SharedTuplestoreAccessor *shared)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(uaef_report_desc(),
													&TTSOpsMinimalTuple);
	MinimalTuple tuple;

	sts_begin_parallel_scan(shared);
	while ((tuple = sts_parallel_scan_next(shared, NULL)) != NULL)
	{
		bool		isnull;
		Datum		severity;

		ExecStoreMinimalTuple(tuple, slot, false);
		severity = slot_getattr(slot, UAEF_REPORT_SEVERITY, &isnull);
		count_problem(report, TextDatumGetCString(severity));
		if (report->store != NULL)
			tuplestore_puttupleslot(report->store, slot);
	}
	sts_end_parallel_scan(shared);
	ExecDropSingleTupleTableSlot(slot);
}
