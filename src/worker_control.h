/*-------------------------------------------------------------------------
 *
 * worker_control.h
 *	  Starting and ending the worker of a database, from another process.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_WORKER_CONTROL_H
#define UAEF_WORKER_CONTROL_H

#include "postmaster/bgworker.h"

/* A worker without a launcher comes back after a failure by itself. */
#define UAEF_WORKER_RESTART_S	5

/*
 * Ask the postmaster for a worker of a database.  Returns false when there is
 * no free background worker slot.  *handle is allocated in the current
 * context.
 */
extern bool uaef_worker_register(Oid database, int restart_time,
								 BackgroundWorkerHandle **handle);

/*
 * Start the worker of this database, unless it runs, and wait until it does.
 * Returns its pid.  Raises UA501 when there is no free slot.
 */
extern pid_t uaef_worker_start(void);

/*
 * End the worker and the executors of a database and wait until they have
 * ended; the caller has said in the worker's slot that they are to stay so.
 * After a while SIGTERM cuts off what they are at.  Returns false when some
 * were still there after timeout_ms.
 */
extern bool uaef_worker_await_end(Oid database, long timeout_ms);

/* End this database's worker and executors, until uaef_worker_start(). */
extern bool uaef_worker_stop(void);

/* A database has been dropped: give up what was kept for it. */
extern void uaef_worker_forget(Oid database);

#endif							/* UAEF_WORKER_CONTROL_H */
