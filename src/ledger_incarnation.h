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

#endif							/* UAEF_LEDGER_INCARNATION_H */
