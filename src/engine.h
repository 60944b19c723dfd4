/*-------------------------------------------------------------------------
 *
 * engine.h
 *	  Running workflows: what the outside may ask of the engine.
 *
 * Every function works in the caller's transaction.  Locking: an execution's
 * row in workflow_execution is locked (FOR NO KEY UPDATE) before anything of
 * the execution is looked at or changed, several rows in the order of their
 * ids, until the transaction ends.  So all that happens to one execution is
 * serial, and its ledger stream needs no lock of its own.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_ENGINE_H
#define UAEF_ENGINE_H

#include "datatype/timestamp.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

#include "task_ref.h"

/* How the idempotency keys of schedules begin. */
#define UAEF_SCHEDULE_KEY "uaef.schedule/"

/* Why an attempt failed. */
typedef struct UaefFailure
{
	const char *code;			/* SQLSTATE or a word: "22012", "http_500" */
	const char *message;
	const char *detail;			/* or NULL */
	Jsonb	   *details;		/* of an outside worker, or NULL */
	bool		transient;		/* worth another try by default */
	bool		final;			/* no retry, whatever the definition says */
	int64		retry_after_ms; /* at least; 0: the task's backoff decides */
} UaefFailure;

/* Arguments of uaef_engine_start(). */
typedef struct UaefStart
{
	const char *workflow;
	int32		version;		/* 0: newest */
	Jsonb	   *input;
	const char *idempotency_key;
	const char *name;
	int			priority;
	TimestampTz start_at;		/* 0: now */
	Oid			session_role;	/* instead of who is logged in, or invalid */
	int			schedule_id;	/* 0: none, then the others are not read */
	const char *schedule;
	TimestampTz tick;
	int64		timeout_us;		/* until its deadline; 0: the definition's */
	const char *singleton_key;
	const char *debounce_key;	/* with debounce_us */
	int64		debounce_us;
} UaefStart;

/* Start an execution as the current user; returns its id. */
extern pg_uuid_t uaef_engine_start(const UaefStart *start);

/*
 * Start an execution for each input instead of start's; without keys, which
 * would tell them apart.  ids has room for n.
 */
extern void uaef_engine_start_many(const UaefStart *start,
								   Jsonb *const *inputs, int n,
								   pg_uuid_t *ids);

/*
 * Apply the result of an attempt that something outside of the engine made
 * (HTTP, an outside worker).  Returns false, and does nothing, when the task
 * no longer waits for this attempt.
 */
extern bool uaef_engine_complete(const UaefTaskRef *ref, Jsonb *output,
								 const char *actor_type, const char *actor_id);
extern bool uaef_engine_fail(const UaefTaskRef *ref, const UaefFailure *failure,
							 const char *actor_type, const char *actor_id);

/*
 * Fire the timers that are due, at most limit; returns how many.  *claimed is
 * that number already while they fire, so that it is known after an error.
 * *next is when to look again (DT_NOEND: none is left).  After an error all must
 * be looked at.
 */
extern int	uaef_engine_fire_timers(int limit, bool all, int *claimed,
									TimestampTz *next);

/*
 * Let what waits for limits run, as far as they allow.  *next is when to come
 * again (DT_NOEND: when there is a reason).  limit_grant.c
 */
extern void uaef_engine_grant_limits(TimestampTz *next);

/*
 * Put the first due timer off, after firing it alone has raised an error, so
 * that the others are not held up by it.
 */
extern void uaef_engine_put_off_timer(void);

/*
 * The first role after this one, by OID, that has SQL tasks ready, besides
 * those in busy; InvalidOid: none.
 */
extern Oid	uaef_engine_role_with_work(Oid after, const Oid *busy,
									   int n_busy);

/* Whether a role has SQL tasks ready of at least this rank. */
extern bool uaef_engine_role_has_work(Oid role, int64 rank);

/*
 * Run ready SQL tasks of the session's role and apply what they gave, in
 * transactions of their own (sql_task.c).  Must be called outside of a
 * transaction, in a process whose session user is that role.  Returns how many
 * tasks it ran; 0: none was ready.  Then *again_ms is 0, or tells in which time
 * to look again even if nobody says that there is something.
 */
extern int	uaef_sql_run_batch(Oid role, int *again_ms);

/*
 * Look at what the next claim will look at, so that it finds that in the
 * processor's caches; takes and changes nothing.  To be called as the former.
 */
extern void uaef_sql_make_ready(Oid role);

/*
 * A SQL task was running when its executor went down: count it, and fail the
 * task when it has happened too often.
 */
extern void uaef_engine_task_lost(const UaefTaskRef *ref);

#endif							/* UAEF_ENGINE_H */
