/*-------------------------------------------------------------------------
 *
 * ledger_table_row.h
 *	  Changes of a ledgered table's rows as events.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_LEDGER_TABLE_ROW_H
#define UAEF_LEDGER_TABLE_ROW_H

#include "executor/tuptable.h"

#include "ledger.h"
#include "ledger_table.h"
#include "ledger_table_plan.h"

/* A row before and after a change: old is NULL when it came, new when it went. */
typedef struct UaefRowVersions
{
	UaefTablePlan *plan;
	TupleTableSlot *old;
	TupleTableSlot *new;
	const UaefOrigin *origin;	/* NULL: here and now */
} UaefRowVersions;

/* The events of a change (0 to 2), in the caller's memory; returns how many. */
#define UAEF_ROW_MAX_EVENTS	2
extern int	uaef_row_events(const UaefRowVersions *versions, UaefEvent *events);

/* Append events of rows, whoever the current user is. */
extern void uaef_append_row_events(UaefEvent *events, int n);

/* Record that a table was truncated. */
extern void uaef_table_record_truncate(UaefTablePlan *plan);

/*
 * Record each row that a table, or a partition, or all partitions of one hold
 * now, as events of a type, done by a role.  The caller holds a lock that keeps writers out.
 */
extern void uaef_record_rows(const UaefLedgerTable *table, Oid relation,
							 const char *type, Oid role);

/* The columns of a row, but the key's: what an event of it says as new. */
extern Jsonb *uaef_row_image(UaefTablePlan *plan, TupleTableSlot *slot);

/* Digests of those that an event may have in place of a value; NULL if none. */
extern Jsonb *uaef_row_digests(UaefTablePlan *plan, TupleTableSlot *slot);

/*
 * The stream of a row of a plan with a key, and the key as an object.
 */
extern void uaef_row_stream(UaefTablePlan *plan, TupleTableSlot *slot,
							pg_uuid_t *stream, Jsonb **key);

/* The same stream by the values of the key, an array in the key's order. */
extern void uaef_key_stream(int64 table_id, Jsonb *values, pg_uuid_t *stream);

#endif							/* UAEF_LEDGER_TABLE_ROW_H */
