/*-------------------------------------------------------------------------
 *
 * execution_load.h
 *	  What execution.c and execution_load.c share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_EXECUTION_LOAD_H
#define UAEF_EXECUTION_LOAD_H

#include "execution.h"

/* A task in memory, pending, which its execution does not know yet. */
extern UaefTask *uaef_execution_make_task(UaefExecution *execution,
										  const UaefTaskDef *def, int no,
										  int item);

/* Let an execution know an item, or a compensation. */
extern void uaef_execution_add_item(UaefExecution *execution, UaefTask *task);

/* The definition of what a task number, or an item of it, runs. */
extern const UaefTaskDef *uaef_execution_task_def(UaefExecution *execution,
												  int no, int item);

/* Load the tasks and items that have not ended. */
extern void uaef_execution_load_open_tasks(UaefExecution *execution);

#endif							/* UAEF_EXECUTION_LOAD_H */
