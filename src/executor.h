/*-------------------------------------------------------------------------
 *
 * executor.h
 *	  SQL executors: processes that run SQL tasks as the role they belong to.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_EXECUTOR_H
#define UAEF_EXECUTOR_H

#include "fmgr.h"
#include "postmaster/bgworker.h"

/*
 * Start an executor of this database for a role.  Returns its number among
 * the executor slots, or -1 when there is no slot, ours or the server's, to be
 * had.  *handle is allocated in the current context.
 */
extern int	uaef_executor_start(Oid role, BackgroundWorkerHandle **handle);

/*
 * Ask the executor of any database that has been idle longest to end, so that
 * its background worker slot becomes free.  Returns false if none is idle.
 */
extern bool uaef_executor_end_idle(void);

/* Ask all executors of a database to end; with kill, by SIGTERM. */
extern void uaef_executor_end_all(Oid database, bool kill_them);

/* How many executors of a database there are, starting ones included. */
extern int	uaef_executor_count(Oid database);

extern PGDLLEXPORT void uaef_executor_main(Datum arg);

#endif							/* UAEF_EXECUTOR_H */
