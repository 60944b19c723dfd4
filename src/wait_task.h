/*-------------------------------------------------------------------------
 *
 * wait_task.h
 *	  Waits: for a while, until a time, or until a query is true.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_WAIT_TASK_H
#define UAEF_WAIT_TASK_H

#include "execution.h"

/* Its time has come. */
extern void uaef_wait_task_fire(UaefTask *task);

/* It is time to run its query. */
extern void uaef_wait_task_look(UaefTask *task);

/* The query is not true yet. */
extern void uaef_wait_task_again(UaefTask *task);

#endif							/* UAEF_WAIT_TASK_H */
