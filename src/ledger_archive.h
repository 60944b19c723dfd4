/*-------------------------------------------------------------------------
 *
 * ledger_archive.h
 *	  Tables of retired events: checking them, and taking them back.
 *
 * A table of retired events has the columns of uaef.ledger_event and, last,
 * leaf_index.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_LEDGER_ARCHIVE_H
#define UAEF_LEDGER_ARCHIVE_H

#include "ledger_report.h"

/*
 * Report what is wrong with a table: rows that are not what the tree says, or
 * whose payload was changed, rows that are missing or do not belong there.
 * With a NULL report the first problem raises UA152.  The caller must be
 * allowed to read the table; raises UA152 when it is of another form.
 */
extern void uaef_archive_verify(const UaefReport *report, Oid table);

/*
 * The same, within SPI and as the owner, without a look at whether all rows
 * are there.
 */
extern void uaef_archive_check_rows(const UaefReport *report, Oid table);

/*
 * Put the events of a table back; returns how many.  Retirements are undone
 * from the last one back, or streams would have holes: raises UA152.
 */
extern int64 uaef_restore_events(Oid table, const char *reason);

#endif							/* UAEF_LEDGER_ARCHIVE_H */
