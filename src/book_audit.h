/*-------------------------------------------------------------------------
 *
 * book_audit.h
 *	  Whether the books are as they must be.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_BOOK_AUDIT_H
#define UAEF_BOOK_AUDIT_H

#include "commands/trigger.h"
#include "set_result.h"

/*
 * Put a row for each thing that is not: problem, subject, detail; of all, or of
 * what came since the last audit that found nothing (55000 when there was none).
 * One that finds nothing is remembered, where the transaction may write.
 */
extern void uaef_book_audit(FunctionCallInfo fcinfo, bool since_last,
							const char *actor);

/*
 * The body of trigger posting_balanced: raises UA512 unless what a statement
 * wrote, its transition table "written", balances in each journal and currency.
 */
extern void uaef_book_check_written(TriggerData *trigger);

#endif							/* UAEF_BOOK_AUDIT_H */
