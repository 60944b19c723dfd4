/*-------------------------------------------------------------------------
 *
 * workflow_task.h
 *	  Tasks that run a workflow: executions below executions.
 *
 * Only the engine includes this.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_WORKFLOW_TASK_H
#define UAEF_WORKFLOW_TASK_H

#include "execution.h"

/*
 * See to what the step's executions ask of those below and above them, until
 * nothing is left: children begin, end, and are cancelled.
 */
extern void uaef_workflow_task_see_to(UaefStep *step);

/*
 * A new child of a task, with its input, that is not begun yet; NULL, and the
 * task has failed.  For dry runs.
 */
extern UaefExecution *uaef_workflow_task_make_child(UaefTask *task);

/* Lock the open executions below one that is to be cancelled. */
extern void uaef_workflow_task_lock_children(UaefExecution *execution);

/* Timers: a child or a run that may begin now; a child that has ended. */
extern void uaef_workflow_task_fire(UaefTask *task);
extern void uaef_workflow_task_ended(UaefExecution *child);

/* Cancel a child whose parent does not want it. */
extern void uaef_workflow_task_cancel_child(UaefExecution *child,
											bool compensate);

#endif							/* UAEF_WORKFLOW_TASK_H */
