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

#endif							/* UAEF_SETTLE_TASK_H */
