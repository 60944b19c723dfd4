/*-------------------------------------------------------------------------
 *
 * ledger_retire.h
 *	  Moving old events out of the ledger's table, with their proofs kept.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_LEDGER_RETIRE_H
#define UAEF_LEDGER_RETIRE_H

#include "datatype/timestamp.h"
#include "utils/uuid.h"

#include "hash256.h"
#include "ledger_report.h"

/*
 * Retire at most max_events events that were recorded before a time; the rows
 * are kept in a table of their own if archive is true, else they are gone.
 * Returns how many.  Raises 22023 without a reason, UA102 when an event is not
 * what the tree says.
 */
extern int64 uaef_retire_events(TimestampTz before, const char *reason,
								bool archive, int64 max_events);

/* For verifiers: the leaves that are retired now. */
typedef struct UaefRetired
{
	int			n;				/* ranges, in order */
	int64	   *first;
	int64	   *end;			/* the leaf after the last */
} UaefRetired;

/*
 * What the active snapshot sees, as the events do that are looked at.  Within
 * SPI, as the owner, whose last result stays; palloc'd.
 */
extern void uaef_retired_read(UaefRetired *retired);
extern bool uaef_retired_has(const UaefRetired *retired, int64 leaf);

/* The last retired event of a stream. */
typedef struct UaefRetiredHead
{
	int64		stream_seq;
	int64		event_id;
	TimestampTz recorded_at;
	int64		leaf;			/* with this hash, as the tree has it */
	uint8		hash[UAEF_HASH_LEN];
} UaefRetiredHead;

/*
 * What the first event of a stream follows that does not begin at its first;
 * false when none of it is retired, or what the table says of it is not what
 * the tree has.  Uses no SPI.
 */
extern bool uaef_retired_head(const pg_uuid_t *stream,
							  const UaefRetired *retired,
							  UaefRetiredHead *head);

/*
 * Report RETIRED for what is retired as an event tells, LEAF_MISSING for what
 * no event tells; within SPI, as the owner.
 */
extern void uaef_check_retirements(const UaefReport *report);

#endif							/* UAEF_LEDGER_RETIRE_H */
