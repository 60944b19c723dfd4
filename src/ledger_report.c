/*-------------------------------------------------------------------------
 *
 * ledger_report.c
 *	  The rows that tell of problems of the ledger.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "ledger_report.h"
#include "spi_util.h"

void
uaef_report_problem(const UaefReport *report, const char *code,
					const UaefPlace *place, const char *detail)
{
	bool		info = strcmp(code, "UNSEALED_OVERDUE") == 0 ||
		strcmp(code, "REDACTED") == 0 || strcmp(code, "RETIRED") == 0;
	Datum		values[7];
	bool		nulls[7] = {false};

	values[0] = CStringGetTextDatum(info ? "info" : "error");
	values[1] = CStringGetTextDatum(code);
	values[2] = UUIDPGetDatum(place->stream);
	nulls[2] = (place->stream == NULL);
	values[3] = Int64GetDatum(place->stream_seq);
	nulls[3] = (place->stream_seq == 0);
	values[4] = Int64GetDatum(place->event_id);
	nulls[4] = (place->event_id == 0);
	values[5] = Int64GetDatum(place->block_no);
	nulls[5] = (place->block_no == 0);
	values[6] = CStringGetTextDatum(detail);
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
