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
#include "fmgr.h"
#include "storage/itemptr.h"
#include "utils/sharedtuplestore.h"
#include "utils/tuplestore.h"
#include "utils/uuid.h"

/* Columns of a row. */
enum
{
	UAEF_REPORT_SEVERITY = 1,
	UAEF_REPORT_CODE,
	UAEF_REPORT_STREAM,
	UAEF_REPORT_STREAM_SEQ,
	UAEF_REPORT_EVENT_ID,
	UAEF_REPORT_LEAF_INDEX,
	UAEF_REPORT_BLOCK_NO,
	UAEF_REPORT_CTID,
	UAEF_REPORT_EXPECTED,
	UAEF_REPORT_ACTUAL,
	UAEF_REPORT_DETAIL
};
#define UAEF_REPORT_COLUMNS UAEF_REPORT_DETAIL

/* How many problems there are, by severity. */
typedef struct UaefTally
{
	int64		errors;
	int64		warnings;
	int64		infos;
} UaefTally;

/*
 * Where problems go: into store, a row each, or, from a process that helps,
 * into shared.  With neither they are only counted in tally.
 */
typedef struct UaefReport
{
	Tuplestorestate *store;
	TupleDesc	desc;
	SharedTuplestoreAccessor *shared;
	MemoryContext context;		/* of shared */
	UaefTally  *tally;			/* may be NULL */
} UaefReport;

/* Where a problem is; what is 0 or NULL does not apply. */
typedef struct UaefPlace
{
	const pg_uuid_t *stream;
	int64		stream_seq;
	int64		event_id;
	int64		leaf_no;		/* index of the leaf, plus 1 */
	int64		block_no;
	const ItemPointerData *ctid;	/* of the table that detail tells of */
	const char *expected;
	const char *actual;
	const char *severity;		/* if not the usual one of the code */
} UaefPlace;

/* Make the result of a SQL function that returns problems. */
extern void uaef_report_begin(FunctionCallInfo fcinfo, UaefReport *report);

/* Add a row. */
extern void uaef_report_problem(const UaefReport *report, const char *code,
								const UaefPlace *place, const char *detail);

/*
 * Add as many rows as a query has just returned, of columns stream,
 * stream_seq, event_id, block_no, detail.
 */
extern void uaef_report_rows(const UaefReport *report, const char *code,
							 uint64 rows);

/* The form of the rows. */
extern TupleDesc uaef_report_desc(void);

/* Add the rows that other processes have put into shared. */
extern void uaef_report_collect(const UaefReport *report,
								SharedTuplestoreAccessor *shared);

#endif							/* UAEF_LEDGER_REPORT_H */
