/*-------------------------------------------------------------------------
 *
 * ledger_incarnation.h
 *	  A ledger that goes on elsewhere: from a backup, on a standby, in another
 *	  database.
 *
 * Where a ledger lives is its incarnation (system identifier and database) and
 * the timeline of the server's WAL; each block says both.  The first block's
 * needs no word; every other one must have been declared by an event
 * incarnation_declared (ledger_keeping.h), of kind 1, that names both.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_LEDGER_INCARNATION_H
#define UAEF_LEDGER_INCARNATION_H

#include "ledger_report.h"

/*
 * Declare where the ledger lives now; returns the number of the event.  Raises
 * 22023 without a reason, UA153 when it is where it always was, or declared.
 */
extern int64 uaef_declare_incarnation(const char *reason);

/*
 * For verifiers, within SPI, as the owner: whether blocks of an incarnation
 * and timeline are those of the first block, or declared.
 */
extern bool uaef_incarnation_is_declared(const char *incarnation,
										 int32 timeline);

/*
 * Report INCARNATION_UNDECLARED at the first block of each that is not;
 * within SPI, as the owner.
 */
extern void uaef_check_incarnations(const UaefReport *report);

#endif							/* UAEF_LEDGER_INCARNATION_H */
