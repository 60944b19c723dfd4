/*-------------------------------------------------------------------------
 *
 * ledger_report.h
 *	  The rows that tell of problems of the ledger.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_LEDGER_REPORT_H
#define UAEF_LEDGER_REPORT_H

#include "access/tupdesc.h"
#include "utils/tuplestore.h"
#include "utils/uuid.h"

/* Where problems go: a row each. */
typedef struct UaefReport
{
	Tuplestorestate *store;
	TupleDesc	desc;
} UaefReport;

/* Where a problem is; what is 0 or NULL does not apply. */
typedef struct UaefPlace
{
	const pg_uuid_t *stream;
	int64		stream_seq;
	int64		event_id;
	int64		block_no;
} UaefPlace;

/*
 * Add a row.  UNSEALED_OVERDUE is for your information, all else is an error.
 */
extern void uaef_report_problem(const UaefReport *report, const char *code,
								const UaefPlace *place, const char *detail);

/*
 * Add as many rows as a query has just returned, of columns stream,
 * stream_seq, event_id, block_no, detail.
 */
extern void uaef_report_rows(const UaefReport *report, const char *code,
							 uint64 rows);

#endif							/* UAEF_LEDGER_REPORT_H */
