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

/* Put a row for each thing that is not: problem, subject, detail. */
extern void uaef_book_audit(FunctionCallInfo fcinfo);

/*
 * The body of trigger posting_balanced: raises UA512 unless what a statement
 * wrote, its transition table "written", balances in each journal and currency.
 */
extern void uaef_book_check_written(TriggerData *trigger);

#endif							/* UAEF_BOOK_AUDIT_H */
