/*-------------------------------------------------------------------------
 *
 * history.h
 *	  Executions that ended long ago: how long they are kept.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_HISTORY_H
#define UAEF_HISTORY_H

#include "datatype/timestamp.h"
#include "utils/array.h"

/*
 * Delete executions that ended before a time, oldest first, at most limit of
 * them; of one workflow (NULL: of all), and with one of these states (NULL:
 * any).  Returns how many.  Those that money or a delivery still waits for, and
 * those that somebody holds, stay.  Their events stay in the ledger.
 */
extern int64 uaef_history_purge(const char *workflow, ArrayType *statuses,
								TimestampTz before, int limit);

/*
 * Keep executions of a workflow (NULL: of all that have no rule of their own)
 * for so long after their end; those with other states than these are kept for
 * ever (NULL: none are).  Replaces the rule that there is.
 */
extern void uaef_history_keep(const char *workflow, ArrayType *statuses,
							  Interval *keep);

/* Undo it; raises 42704 when there is no such rule. */
extern void uaef_history_keep_all(const char *workflow);

/*
 * For the worker: apply the rules, a batch of each.  Returns when to do so
 * again (DT_NOEND: there are no rules).
 */
extern TimestampTz uaef_history_work(void);

#endif							/* UAEF_HISTORY_H */
