/*-------------------------------------------------------------------------
 *
 * ledger_table_verify.h
 *	  Whether a ledgered table holds what the ledger says.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_LEDGER_TABLE_VERIFY_H
#define UAEF_LEDGER_TABLE_VERIFY_H

#include "ledger_report.h"

/*
 * Report rows of a table that are not as the last event says, that are missing
 * or were never recorded; and what is wrong with its triggers.  Raises 42704
 * if the table is not attached.
 */
extern void uaef_verify_table(const UaefReport *report, Oid relation);

/*
 * Report triggers of ledgered tables that are not as they were made, and
 * definitions that changed unseen.  Called as the owner, within SPI.
 */
extern void uaef_check_table_guards(const UaefReport *report);

#endif							/* UAEF_LEDGER_TABLE_VERIFY_H */
