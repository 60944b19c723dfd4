/*-------------------------------------------------------------------------
 *
 * ledger_table_pending.h
 *	  Changes of ledgered rows that wait to be recorded together.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_LEDGER_TABLE_PENDING_H
#define UAEF_LEDGER_TABLE_PENDING_H

#include "commands/trigger.h"

/* Install our hooks and callbacks. */
extern void uaef_pending_rows_init(void);

/* The body of trigger uaef_ledger_row: record one change, now or later. */
extern void uaef_pending_row_add(TriggerData *trigger);

/* The body of trigger uaef_ledger_truncate. */
extern void uaef_pending_truncate(TriggerData *trigger);

/*
 * Record what waits.  To be called by whoever is about to look at the table of
 * events without the executor.
 */
extern void uaef_pending_rows_write(void);

#endif							/* UAEF_LEDGER_TABLE_PENDING_H */
