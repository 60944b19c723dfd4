/*-------------------------------------------------------------------------
 *
 * ledger_table_history.h
 *	  What happened to one row of a ledgered table.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_LEDGER_TABLE_HISTORY_H
#define UAEF_LEDGER_TABLE_HISTORY_H

#include "access/tupdesc.h"
#include "utils/jsonb.h"
#include "utils/tuplestore.h"

/*
 * Put the history of a row, oldest first, as rows of uaef.row_history().
 * Raises 42501 when the current user may not read the table as a whole and is
 * no auditor, 42704 when it is not attached, 22023 for what is no key of it.
 */
extern void uaef_row_history(Oid relation, Jsonb *key,
							 Tuplestorestate *store, TupleDesc desc);

#endif							/* UAEF_LEDGER_TABLE_HISTORY_H */
