/*-------------------------------------------------------------------------
 *
 * settle_task.h
 *	  Settle tasks: settlement rules evaluated within a workflow.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_SETTLE_TASK_H
#define UAEF_SETTLE_TASK_H

#include "execution.h"

/* A signal of a task that waits has moved, or may have. */
extern void uaef_settle_task_look(UaefTask *task);

/* The same for signals of another execution, of which nobody tells. */
extern void uaef_settle_task_look_again(UaefTask *task);

#endif							/* UAEF_SETTLE_TASK_H */
