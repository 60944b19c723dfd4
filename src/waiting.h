/*-------------------------------------------------------------------------
 *
 * waiting.h
 *	  Waiting for an execution to end.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_WAITING_H
#define UAEF_WAITING_H

#include "datatype/timestamp.h"
#include "utils/uuid.h"

/*
 * Wait until the execution has ended, or the time is over; returns its status,
 * palloc'd.  The current user must be a member of the role that started it.
 */
extern char *uaef_wait_for_end(pg_uuid_t *execution_id, Interval *timeout);

#endif							/* UAEF_WAITING_H */
