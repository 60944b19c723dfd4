/*-------------------------------------------------------------------------
 *
 * ledger_keeping.h
 *	  What people do to the ledger itself, and the events that tell of it.
 *
 * All these events are of kind 1 and of the stream derived("keep", 0):
 *
 *	event_redacted		{"event_id", "payload_hash" (hex), "execution_id"
 *						(if it was an execution's), "reason"}
 *	events_retired		{"from_event", "to_event", "count", "tree_size",
 *						"root" (hex), "leaves_hash" (hex), "table" (null when
 *						the rows were not kept), "reason"}; leaves_hash is
 *						SHA-256 of the text of ledger_retirement.leaves
 *	events_restored		{"retirement" (event_id of its events_retired),
 *						"count", "table", "reason"}
 *	incarnation_declared {"incarnation", "timeline", "tree_size", "root" (hex),
 *						"reason"}; tree_size and root are those of the tree
 *						that the incarnation went on from
 *	signer_registered	{"signer", "public_key" (vkey), "role" (may be absent)}
 *	signer_revoked		{"signer", "public_key", "reason"}
 *
 * Locking: one such transaction at a time in a database, by a lock of its own
 * that lasts until the transaction ends.  Neither writers of events nor the
 * sealer take it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_LEDGER_KEEPING_H
#define UAEF_LEDGER_KEEPING_H

#include "access/htup.h"
#include "utils/relcache.h"
#include "utils/uuid.h"

#include "identity.h"
#include "json_util.h"

/* Class of the lock's tag; see ledger.h. */
#define UAEF_LOCK_KEEPER	8

#define UAEF_REDACTED_EVENT		"event_redacted"
#define UAEF_RETIRED_EVENT		"events_retired"
#define UAEF_RESTORED_EVENT		"events_restored"
#define UAEF_DECLARED_EVENT		"incarnation_declared"
#define UAEF_REGISTERED_EVENT	"signer_registered"
#define UAEF_REVOKED_EVENT		"signer_revoked"

typedef struct UaefKeeping
{
	Oid			user;			/* who does it */
	UaefCaller	caller;
	const char *reason;			/* may be NULL */
} UaefKeeping;

/*
 * Begin: wait for others, become the owner, connect to SPI.  Raises 25001 in a
 * transaction whose snapshot may be older than what others did.
 */
extern void uaef_keeping_begin(UaefKeeping *keeping, const char *reason);
extern void uaef_keeping_end(UaefKeeping *keeping);

/* Raise 22023 unless a reason is given; and not too long. */
extern void uaef_keeping_require_reason(const char *reason);

/* Record an event with what json holds, and the reason; returns its number. */
extern int64 uaef_keeping_record(UaefKeeping *keeping, const char *type,
								 UaefJson *json);

/* Whether a stream is named by an execution's id, not by a derived one. */
extern bool uaef_stream_is_execution(const pg_uuid_t *stream);

/* The stream of these events. */
extern void uaef_keeping_stream(pg_uuid_t *stream);

/*
 * The types of the engine's events that verifiers rely on: they are neither
 * redacted nor, but for UAEF_SEAL_EVENT, retired.  The second is a text[].
 */
extern bool uaef_event_is_kept(const char *type);
extern Datum uaef_kept_types(void);

/* A row of one of our tables by a unique index on a bigint, or NULL. */
extern HeapTuple uaef_find_by_int64(Relation rel, const char *index,
									int column, int64 value);

#endif							/* UAEF_LEDGER_KEEPING_H */
