/*-------------------------------------------------------------------------
 *
 * ledger.h
 *	  Append-only, hash-chained events; blocks of sealed events.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_LEDGER_H
#define UAEF_LEDGER_H

#include "access/htup.h"
#include "datatype/timestamp.h"
#include "utils/jsonb.h"
#include "utils/relcache.h"
#include "utils/uuid.h"

/*
 * Classes of our advisory lock tags (the tag's last field).  SQL's advisory
 * locks are of the classes 1 and 2, so nobody can take ours by accident.
 */
#define UAEF_LOCK_STREAM	3	/* by a hash of the stream */
#define UAEF_LOCK_SEALER	4	/* one per database */
#define UAEF_LOCK_CHECKPOINT 5	/* one per database */

/* The type of the event that describes a block. */
#define UAEF_SEAL_EVENT "ledger_sealed"

/* The type of the event that keeps a time stamp of a checkpoint. */
#define UAEF_TIMESTAMP_EVENT "ledger_timestamped"

/* The type of the event that tells that a witness has seen another tree. */
#define UAEF_CONTRADICTED_EVENT "anchor_contradicted"

/*
 * The types of events that follow from the sealing of others: only the engine
 * makes them, and they wait for company to be sealed.  For SQL.
 */
#define UAEF_ECHOES "'" UAEF_SEAL_EVENT "', '" UAEF_TIMESTAMP_EVENT "'"

/*
 * Of an event that is written later than what it tells of happened: as whom,
 * when, and in which command of the transaction, whose later ones see it.
 */
typedef struct UaefOrigin
{
	Oid			user;
	Oid			session_user;
	Oid			outer_user;
	const char *application_name;
	TimestampTz at;
	CommandId	command;
} UaefOrigin;

/* One event to append.  What is NULL or 0 is absent. */
typedef struct UaefEvent
{
	const char *type;			/* "task_completed": the event's name */
	pg_uuid_t  *stream;			/* NULL: a stream of this backend */
	const char *actor_type;		/* system, user, agent, worker */
	const char *actor_id;		/* role name, agent or worker id */
	int64		task_id;
	const char *agent_id;
	Jsonb	   *payload;
	const char *signer;			/* whose signature follows */
	bytea	   *signature;
	Oid			application;	/* who records it by SQL; 0: the engine does */

	/*
	 * The stream is that of a row of an app's table, which the transaction
	 * has locked by writing it: no other lock is needed, and its head is not
	 * kept, for there are as many as rows.  All events of the stream must say
	 * so.
	 */
	bool		row_stream;

	const UaefOrigin *origin;	/* NULL: here and now */
} UaefEvent;

/*
 * Called before events are appended: writes those that wait, so that the
 * numbers of events are in the order of what they tell of.
 */
extern void (*uaef_before_append) (void);

/*
 * Append events; their order within a stream is theirs in the array.  The
 * chain fills in everything else.  Returns the event_id of the last one.  The
 * current identity must be the owner (uaef_become_owner()).
 */
extern int64 uaef_ledger_append(UaefEvent *events, int n);

/* The same of one event outside of executions, which a user has caused. */
extern void uaef_ledger_note_user(const char *type, Oid user, Jsonb *payload);

/*
 * Say that this transaction alone can write the stream: it has just made it
 * up, and it is empty (fresh), or it holds the row lock of the stream's
 * execution (not fresh).  The trigger then takes no lock of its own.
 */
extern void uaef_ledger_hold_stream(const pg_uuid_t *stream, bool fresh);

/*
 * Append one event for a caller of SQL, with its rights: checks the arguments
 * and, when an execution is given, locks its row and requires its initiator's
 * rights.  The actor is the current user, unless an agent or a worker is
 * named.  The event is marked as an application's.  Returns the event_id.
 */
extern int64 uaef_ledger_record(const UaefEvent *event);

/* Raise 22023 unless this can be the type of an event. */
extern void uaef_ledger_check_type(const char *type, size_t len);

/* Is this one of the types that follow from sealing? */
extern bool uaef_ledger_is_echo(const char *type, size_t len);

/* The identity of the ledger; valid until the extension's objects change. */
extern const pg_uuid_t *uaef_ledger_id(void);

/* The table of events. */
extern Oid	uaef_ledger_event_table(void);

/* The body of trigger ledger_chain: the row to insert, chained or checked. */
extern HeapTuple uaef_ledger_chain_row(Relation rel, HeapTuple tuple);

/*
 * The body of trigger ledger_identity: makes way for the identity that a
 * restore inserts.  Raises when the ledger has events that were made with
 * another one.
 */
extern void uaef_ledger_replace_identity(Relation rel, HeapTuple identity);

/*
 * Seal what has been committed since the last block, in as many blocks of at
 * most max_events events as it takes.  Returns the last one's number, 0 when
 * there was nothing to seal.  While another session is sealing it waits, or
 * returns UAEF_SEAL_BUSY.  Raises when this transaction has written; the caller
 * commits soon, for the lock of the sealer is held until then.
 */
extern int64 uaef_ledger_seal(int max_events, bool wait);
#define UAEF_SEAL_BUSY	(-1)

/*
 * The block that holds a committed event; if there is none yet, seals it.
 * Waits so long for another session that is sealing, then raises UA103.
 * Raises P0002 when there is no such committed event, and like
 * uaef_ledger_seal() when this transaction has written.
 */
extern int64 uaef_ledger_seal_and_wait(int64 event_id, int timeout_ms);

#endif							/* UAEF_LEDGER_H */
