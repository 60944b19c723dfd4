/*-------------------------------------------------------------------------
 *
 * wake.h
 *	  Waking the worker, executors and waiters when a transaction commits.
 *
 * Nothing polls and nothing is NOTIFYed: the one commit callback of a backend
 * looks at what the transaction asked for and sets latches through shared
 * memory (shmem.h).  A rollback wakes only for the tasks that it gives back.  A
 * request that was made in a subtransaction that rolled back may wake for
 * nothing.  PREPARE TRANSACTION forgets the requests; COMMIT PREPARED and ROLLBACK
 * PREPARED then wake for every reason (by the utility hook of worker_hook.c, in
 * a session that has loaded the library).
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_WAKE_H
#define UAEF_WAKE_H

#include "datatype/timestamp.h"
#include "utils/uuid.h"

/* What the committing transaction leaves behind. */
#define UAEF_WAKE_EVENTS	0x01	/* ledger events to seal */
#define UAEF_WAKE_TIMERS	0x02	/* a timer that may be the next one due */
#define UAEF_WAKE_HTTP		0x04	/* deliveries to send */
#define UAEF_WAKE_CONTROL	0x08	/* settings, DROP EXTENSION: look around */
#define UAEF_WAKE_EXECUTORS 0x10	/* SQL tasks that no idle executor takes */
#define UAEF_WAKE_ANCHORS	0x20	/* a checkpoint to send to anchors */
#define UAEF_WAKE_SCHEDULES 0x40	/* a schedule that may be the next one due */
#define UAEF_WAKE_BULK		0x80	/* an operation on many executions */
#define UAEF_WAKE_LIMITS	0x100	/* who came to a limit, or left it */
#define UAEF_WAKE_RECEIVE	0x200	/* a queue to be asked for messages */
#define UAEF_WAKE_AGENTS	0x400	/* tasks that agents may be called for */
#define UAEF_WAKE_WORK		0x7F7	/* all but CONTROL */

/* From _PG_init: register the commit callback. */
extern void uaef_wake_init(void);

/* At commit, wake this database's worker for these reasons. */
extern void uaef_wake_worker_on_commit(int reasons);

/* The same for a timer that is due then. */
extern void uaef_wake_timers_on_commit(TimestampTz due_at);

/*
 * For the worker, before it looks at timers: when the first one is due of those
 * that were set since it asked last (DT_NOEND: none were, DT_NOBEGIN: some, any time).
 */
extern TimestampTz uaef_wake_timers_heard(void);

/*
 * At commit, wake an executor of this role, or have one started.  Each call
 * stands for one task that became ready, with its rank.
 */
extern void uaef_wake_executor_on_commit(Oid role, int64 rank);

/* The same for a task that was taken, when a rollback gives it back. */
extern void uaef_wake_executor_on_abort(Oid role, int64 rank);

/* When a rollback gives back what was taken, wake this database's worker. */
extern void uaef_wake_worker_on_abort(int reasons);

/* At commit, wake whoever waits for this execution to end. */
extern void uaef_wake_waiters_on_commit(const pg_uuid_t *execution_id);

/* At commit, look for work of every kind in this database. */
extern void uaef_wake_all_on_commit(void);

/* What has been asked for so far; and back to that, forgetting the rest. */
extern void *uaef_wake_save(void);
extern void uaef_wake_restore(const void *saved);

/* At once, wake a database's worker; the launcher, if it has none. */
extern void uaef_wake_worker(Oid database, int reasons);

/* Whether a worker runs in this database. */
extern bool uaef_worker_is_there(void);

/*
 * At once, wake up to n more executors of a role of this database, for tasks of
 * this rank and higher ones.
 */
extern void uaef_wake_executors(Oid role, int n, int64 rank);

/*
 * Wait until an execution may have ended, at most timeout_ms; returns early
 * on any doubt, so the caller looks again and loops.  Register first, look at
 * the execution, then wait, so that no end is missed.  The end of the
 * transaction unregisters too.
 */
extern void uaef_wait_register(const pg_uuid_t *execution_id);
extern void uaef_wait(long timeout_ms);
extern void uaef_wait_unregister(void);

#endif							/* UAEF_WAKE_H */
