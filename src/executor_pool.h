/*-------------------------------------------------------------------------
 *
 * executor_pool.h
 *	  Which executors a database needs, decided by its worker.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_EXECUTOR_POOL_H
#define UAEF_EXECUTOR_POOL_H

#include "datatype/timestamp.h"

#include "shmem.h"

/* Once per worker process: free what an earlier worker left behind. */
extern void uaef_executor_pool_init(void);

/*
 * Start executors for the roles that have SQL tasks ready, as far as uaef.
 * max_executors allows, and make room for roles that have none.  Called
 * outside of a transaction.  Returns when to look again (DT_NOEND: when told).
 */
extern TimestampTz uaef_executor_pool_tend(UaefWorkerSlot *worker);

/* Whether all executors that may run do run. */
extern bool uaef_executor_pool_full(void);

#endif							/* UAEF_EXECUTOR_POOL_H */
