/*-------------------------------------------------------------------------
 *
 * wait_task.h
 *	  Waits: for a while, or until a time.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_WAIT_TASK_H
#define UAEF_WAIT_TASK_H

#include "execution.h"

/* Its time has come. */
extern void uaef_wait_task_fire(UaefTask *task);

#endif							/* UAEF_WAIT_TASK_H */
