/*-------------------------------------------------------------------------
 *
 * worker_status.h
 *	  What the processes of uaef do, for people.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_WORKER_STATUS_H
#define UAEF_WORKER_STATUS_H

#include "datatype/timestamp.h"

typedef struct UaefProcessStatus
{
	const char *kind;			/* launcher, worker, executor */
	Oid			database;
	Oid			role;
	pid_t		pid;
	const char *state;
	TimestampTz since;			/* 0: unknown */
	const char *detail;			/* or NULL */
} UaefProcessStatus;

/*
 * Describe all processes of uaef, and the missing ones that a person may look
 * for.  Returns how many; *rows is allocated in the current context.
 */
extern int	uaef_worker_status_get(UaefProcessStatus **rows);

#endif							/* UAEF_WORKER_STATUS_H */
