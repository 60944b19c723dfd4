/*-------------------------------------------------------------------------
 *
 * fork.h
 *	  New executions that take over what another one has done.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_FORK_H
#define UAEF_FORK_H

#include "execution.h"

/* Arguments of uaef_engine_fork(). */
typedef struct UaefFork
{
	pg_uuid_t	source;
	const char *from_task;
	Jsonb	   *input;			/* NULL: the source's */
	int32		version;		/* 0: the source's */
	const char *name;			/* NULL: the source's */
	const char *reason;
} UaefFork;

/*
 * Begin an execution at from_task as the current user: what completed in the
 * source, and does not follow from from_task, is taken over; all else runs.
 * Raises UA300 when a task to be taken over has another type in the version.
 */
extern pg_uuid_t uaef_engine_fork(const UaefFork *fork);

#endif							/* UAEF_FORK_H */
