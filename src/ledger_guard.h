/*-------------------------------------------------------------------------
 *
 * ledger_guard.h
 *	  Whether what keeps the ledger append-only is as it was made.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_LEDGER_GUARD_H
#define UAEF_LEDGER_GUARD_H

#include "ledger_verify_internal.h"

/* Report changed triggers, indexes, rules, as the owner, within SPI. */
extern void uaef_check_guards(const UaefReport *report);

/*
 * Report where an index of a table of the ledger is not what the table is; as
 * the owner, within SPI.  Raises 55000 without the extension amcheck.
 */
extern void uaef_check_index_contents(VerifyScan *scan);

#endif							/* UAEF_LEDGER_GUARD_H */
