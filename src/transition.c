/*-------------------------------------------------------------------------
 *
 * transition.c
 *	  The states of executions and tasks, and the legal ways between them.
 *
 * One table for each; whatever it does not name is refused.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "transition.h"

#define BIT(status) (1 << (status))

static const char *const execution_status_names[] = {
	[UAEF_EXECUTION_PENDING] = "pending",
	[UAEF_EXECUTION_RUNNING] = "running",
	[UAEF_EXECUTION_PAUSED] = "paused",
	[UAEF_EXECUTION_COMPLETED] = "completed",
	[UAEF_EXECUTION_FAILED] = "failed",
	[UAEF_EXECUTION_CANCELLED] = "cancelled",
};

/* The states that may follow on each. */
static const int execution_next[] = {
	[UAEF_EXECUTION_PENDING] =
	BIT(UAEF_EXECUTION_RUNNING) | BIT(UAEF_EXECUTION_PAUSED) |
	BIT(UAEF_EXECUTION_FAILED) | BIT(UAEF_EXECUTION_CANCELLED),
	[UAEF_EXECUTION_RUNNING] =
	BIT(UAEF_EXECUTION_PAUSED) | BIT(UAEF_EXECUTION_COMPLETED) |
	BIT(UAEF_EXECUTION_FAILED) | BIT(UAEF_EXECUTION_CANCELLED),
	[UAEF_EXECUTION_PAUSED] =
	BIT(UAEF_EXECUTION_PENDING) | BIT(UAEF_EXECUTION_RUNNING) |
	BIT(UAEF_EXECUTION_COMPLETED) | BIT(UAEF_EXECUTION_FAILED) |
	BIT(UAEF_EXECUTION_CANCELLED),
	[UAEF_EXECUTION_COMPLETED] = 0,
	/* Retried.  What completed may have been settled, so it stays. */
	[UAEF_EXECUTION_FAILED] =
	BIT(UAEF_EXECUTION_PENDING) | BIT(UAEF_EXECUTION_RUNNING),
	[UAEF_EXECUTION_CANCELLED] =
	BIT(UAEF_EXECUTION_PENDING) | BIT(UAEF_EXECUTION_RUNNING),
};

#define EXECUTION_ENDINGS \
	(BIT(UAEF_EXECUTION_COMPLETED) | BIT(UAEF_EXECUTION_FAILED) | \
	 BIT(UAEF_EXECUTION_CANCELLED))

static const char *const task_status_names[] = {
	[UAEF_TASK_PENDING] = "pending",
	[UAEF_TASK_QUEUED] = "queued",
	[UAEF_TASK_RUNNING] = "running",
	[UAEF_TASK_WAITING_INPUT] = "waiting_input",
	[UAEF_TASK_COMPLETED] = "completed",
	[UAEF_TASK_FAILED] = "failed",
	[UAEF_TASK_SKIPPED] = "skipped",
	[UAEF_TASK_CANCELLED] = "cancelled",
};

#define TASK_ENDINGS \
	(BIT(UAEF_TASK_COMPLETED) | BIT(UAEF_TASK_FAILED) | \
	 BIT(UAEF_TASK_CANCELLED))

static const int task_next[] = {
	/* A pure task goes from pending to its end at once. */
	[UAEF_TASK_PENDING] =
	BIT(UAEF_TASK_QUEUED) | BIT(UAEF_TASK_RUNNING) |
	BIT(UAEF_TASK_WAITING_INPUT) | BIT(UAEF_TASK_SKIPPED) | TASK_ENDINGS,
	/* A SQL task is run and ended by one transaction. */
	[UAEF_TASK_QUEUED] =
	BIT(UAEF_TASK_PENDING) | BIT(UAEF_TASK_RUNNING) |
	BIT(UAEF_TASK_WAITING_INPUT) | TASK_ENDINGS,
	/* Back to pending: the wait for the next attempt. */
	[UAEF_TASK_RUNNING] =
	BIT(UAEF_TASK_PENDING) | BIT(UAEF_TASK_QUEUED) | TASK_ENDINGS,
	/* Back to pending: people have agreed to what a policy asked for. */
	[UAEF_TASK_WAITING_INPUT] = BIT(UAEF_TASK_PENDING) | TASK_ENDINGS,
	/* Back from an end: its execution is retried. */
	[UAEF_TASK_COMPLETED] = BIT(UAEF_TASK_PENDING),
	[UAEF_TASK_FAILED] = BIT(UAEF_TASK_PENDING),
	[UAEF_TASK_SKIPPED] = BIT(UAEF_TASK_PENDING),
	[UAEF_TASK_CANCELLED] = BIT(UAEF_TASK_PENDING),
};

const char *
uaef_execution_status_name(UaefExecutionStatus status)
{
	return execution_status_names[status];
}

UaefExecutionStatus
uaef_execution_status_by_name(const char *name)
{
	for (int i = 0; i < lengthof(execution_status_names); i++)
		if (strcmp(execution_status_names[i], name) == 0)
			return (UaefExecutionStatus) i;
	elog(ERROR, "no execution status \"%s\"", name);
}

const char *
uaef_task_status_name(UaefTaskStatus status)
{
	return task_status_names[status];
}

UaefTaskStatus
uaef_task_status_by_name(const char *name)
{
	for (int i = 0; i < lengthof(task_status_names); i++)
		if (strcmp(task_status_names[i], name) == 0)
			return (UaefTaskStatus) i;
	elog(ERROR, "no task status \"%s\"", name);
}

bool
uaef_execution_ended(UaefExecutionStatus status)
{
	return (EXECUTION_ENDINGS & BIT(status)) != 0;
}

bool
uaef_task_ended(UaefTaskStatus status)
{
	return ((TASK_ENDINGS | BIT(UAEF_TASK_SKIPPED)) & BIT(status)) != 0;
}

bool
uaef_execution_may_become(UaefExecutionStatus from, UaefExecutionStatus to)
{
	return (execution_next[from] & BIT(to)) != 0;
}

bool
uaef_task_may_become(UaefTaskStatus from, UaefTaskStatus to)
{
	return (task_next[from] & BIT(to)) != 0;
}
