/*-------------------------------------------------------------------------
 *
 * verify_event_row.h
 *	  An event as a row of an export of JSON lines.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VERIFY_EVENT_ROW_H
#define VERIFY_EVENT_ROW_H

#include "verify_ledger.h"

/*
 * Read an event and check all that can be said of it alone; what cannot be
 * read is reported, with the number of its line.  Returns whether its hash is
 * known; its number is row->event_id, 0 if unknown; *placed tells whether its
 * place in its stream is.  scratch is memory that is used again and again.
 */
extern bool event_row_read(const Ledger *ledger, const Json *json,
						   int64_t line, Buffer *scratch, Found *found,
						   EventRow *row, bool *placed);

#endif							/* VERIFY_EVENT_ROW_H */
