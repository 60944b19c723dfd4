/*-------------------------------------------------------------------------
 *
 * transition.h
 *	  The states of executions and tasks, and the legal ways between them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_TRANSITION_H
#define UAEF_TRANSITION_H

typedef enum UaefExecutionStatus
{
	UAEF_EXECUTION_PENDING,		/* its start lies in the future */
	UAEF_EXECUTION_RUNNING,
	UAEF_EXECUTION_PAUSED,
	UAEF_EXECUTION_COMPLETED,
	UAEF_EXECUTION_FAILED,
	UAEF_EXECUTION_CANCELLED
} UaefExecutionStatus;

typedef enum UaefTaskStatus
{
	UAEF_TASK_PENDING,			/* waits for edges, or for its next attempt */
	UAEF_TASK_QUEUED,			/* may run */
	UAEF_TASK_RUNNING,
	UAEF_TASK_WAITING_INPUT,	/* for a person, or for a signal */
	UAEF_TASK_COMPLETED,
	UAEF_TASK_FAILED,
	UAEF_TASK_SKIPPED,
	UAEF_TASK_CANCELLED
} UaefTaskStatus;

extern const char *uaef_execution_status_name(UaefExecutionStatus status);
extern UaefExecutionStatus uaef_execution_status_by_name(const char *name);
extern const char *uaef_task_status_name(UaefTaskStatus status);
extern UaefTaskStatus uaef_task_status_by_name(const char *name);

/* Whether nothing follows on a state, unless the execution is retried. */
extern bool uaef_execution_ended(UaefExecutionStatus status);
extern bool uaef_task_ended(UaefTaskStatus status);

extern bool uaef_execution_may_become(UaefExecutionStatus from,
									  UaefExecutionStatus to);
extern bool uaef_task_may_become(UaefTaskStatus from, UaefTaskStatus to);

#endif							/* UAEF_TRANSITION_H */
