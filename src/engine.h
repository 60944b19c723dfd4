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

/* Item number of a task that is no item of a map. */
#define UAEF_NO_ITEM (-1)

/* Item number of what undoes a task. */
#define UAEF_COMPENSATION (-2)

/* One task of one execution. */
typedef struct UaefTaskRef
{
	pg_uuid_t	execution_id;
	int16		task_no;
	int32		item;
	int			attempt;		/* 0: whichever is current */
} UaefTaskRef;

/* Why an attempt failed. */
typedef struct UaefFailure
{
	const char *code;			/* SQLSTATE or a word: "22012", "http_500" */
	const char *message;
	const char *detail;			/* or NULL */
	bool		transient;		/* worth another try by default */
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
} UaefStart;

/* Start an execution as the current user; returns its id. */
extern pg_uuid_t uaef_engine_start(const UaefStart *start);

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
 * *next is when the next one is due (DT_NOEND: none).
 */
extern int	uaef_engine_fire_timers(int limit, int *claimed,
									TimestampTz *next);

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

/*
 * Run ready SQL tasks of the session's role and apply what they gave, in
 * transactions of their own (sql_task.c).  Must be called outside of a
 * transaction, in a process whose session user is that role.  Returns how many
 * tasks it ran; 0: none was ready.
 */
extern int	uaef_sql_run_batch(Oid role);

#endif							/* UAEF_ENGINE_H */
