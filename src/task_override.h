/*-------------------------------------------------------------------------
 *
 * task_override.h
 *	  Changes of a live task's settings: retry, timeout, priority, queue.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_TASK_OVERRIDE_H
#define UAEF_TASK_OVERRIDE_H

#include "execution.h"

/* What alter_task() is to change. */
typedef struct UaefTaskChange
{
	Jsonb	   *retry;			/* keys of "retry", or NULL */
	int64		timeout_ms;		/* 0: none; -1: as it is */
	bool		has_priority;
	int			priority;
	const char *queue;			/* or NULL */
} UaefTaskChange;

/* Put the overrides of a task in force: its def becomes a copy. */
extern void uaef_task_apply_overrides(UaefTask *task);

/*
 * Change a task of an execution, and the items of a map, as the current user.
 * Raises UA304 (no such task), UA305 (it has ended), UA300 (bad retry).
 */
extern void uaef_task_alter(const pg_uuid_t *id, const char *task,
							const UaefTaskChange *change, const char *reason);

/* End a task's wait for its next attempt; raises UA304, UA305. */
extern void uaef_task_retry_now(int64 task_id);

#endif							/* UAEF_TASK_OVERRIDE_H */
