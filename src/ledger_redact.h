/*-------------------------------------------------------------------------
 *
 * ledger_redact.h
 *	  Erasing what events say, while every proof stays valid.
 *
 * Each function raises 22023 without a reason.  Only payload and salt are
 * erased; each erasure is an event (ledger_keeping.h).
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_LEDGER_REDACT_H
#define UAEF_LEDGER_REDACT_H

#include "datatype/timestamp.h"
#include "utils/jsonpath.h"
#include "utils/uuid.h"

/*
 * Redact one event; returns the number of the event that tells of it.  Raises
 * 02000 when there is no such event, UA150 when it is redacted already, has no
 * payload or must be kept, UA151 when it is retired.
 */
extern int64 uaef_redact_event(int64 event_id, const char *reason);

/*
 * Redact, of the events that can be, at most max_events: those of an
 * execution, those whose payload a jsonpath predicate holds for, or those that
 * were recorded before a time.  Return how many.
 */
extern int64 uaef_redact_execution(const pg_uuid_t *execution_id,
								   const char *reason);
extern int64 uaef_redact_matching(const JsonPath *filter, const char *reason,
								  int64 max_events);
extern int64 uaef_redact_before(TimestampTz before, const char *reason,
								int64 max_events);

/*
 * For verifiers: whether the ledger tells that an event, of this payload_hash,
 * was redacted.  Uses no SPI; sees what is committed now, and our own.
 */
extern bool uaef_redaction_told(int64 event_id, const uint8 *payload_hash);

#endif							/* UAEF_LEDGER_REDACT_H */
