/*-------------------------------------------------------------------------
 *
 * ledger_guard.h
 *	  Whether what keeps the ledger append-only is as it was made.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_LEDGER_GUARD_H
#define UAEF_LEDGER_GUARD_H

#include "ledger_report.h"

/* Report changed triggers, indexes, rules, as the owner, within SPI. */
extern void uaef_check_guards(const UaefReport *report);

#endif							/* UAEF_LEDGER_GUARD_H */
