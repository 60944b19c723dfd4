/*-------------------------------------------------------------------------
 *
 * agent_task.h
 *	  Tasks that agents do, and what their attempts leave behind.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_AGENT_TASK_H
#define UAEF_AGENT_TASK_H

#include "execution.h"

/*
 * Under which tasks for agents stand in the ready set: no role, so that who
 * claims external tasks, or runs SQL, never meets them.
 */
#define UAEF_AGENT_ROLE ((Oid) 1)

/*
 * An attempt that an agent claimed is over: the task, which is running, is to
 * become this.
 */
extern void uaef_agent_attempt_ends(UaefTask *task, UaefTaskStatus status);

/* Write those of a step, and name the agents in its events. */
extern void uaef_agent_write_ends(UaefStep *step);

/*
 * Raise UA231 when an output is not what an agent's task asks for; nothing for
 * other tasks.
 */
extern void uaef_agent_check_output(const UaefTask *task, Jsonb *output);

#endif							/* UAEF_AGENT_TASK_H */
