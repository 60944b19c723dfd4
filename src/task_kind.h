/*-------------------------------------------------------------------------
 *
 * task_kind.h
 *	  What the types of tasks do: one struct of callbacks for each type.
 *
 * A type is a file of its own that exports its struct; task_kind.c lists them.
 * The callbacks work on tasks in memory (execution.h), within a step; they
 * raise nothing that a definition or an input could bring about, but end the
 * task as failed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_TASK_KIND_H
#define UAEF_TASK_KIND_H

#include "execution.h"

typedef struct UaefTaskKind
{
	/*
	 * Begin a pending task whose edges let it.  NULL: an attempt is counted
	 * and handed out.
	 */
	void		(*begin) (UaefTask *task);

	/* Give a queued attempt to whoever runs it. */
	void		(*hand_out) (UaefTask *task);

	/*
	 * Take back what a running or waiting task has asked of others, before it
	 * is cancelled.  NULL: there is nothing.
	 */
	void		(*withdraw) (UaefTask *task);

	/*
	 * The time of an attempt is over, of a task that runs or waits.  NULL: it
	 * fails.
	 */
	void		(*time_out) (UaefTask *task);
} UaefTaskKind;

extern const UaefTaskKind *uaef_task_kind(const UaefTask *task);

/* The same, whether or not the run is a dry one. */
extern const UaefTaskKind *uaef_task_kind_real(const UaefTask *task);

/* In a dry run: of whatever is handed out. */
extern const UaefTaskKind uaef_dry_task;

extern const UaefTaskKind uaef_decision_task;
extern const UaefTaskKind uaef_condition_task;
extern const UaefTaskKind uaef_map_task;
extern const UaefTaskKind uaef_approval_task;
extern const UaefTaskKind uaef_http_task;
extern const UaefTaskKind uaef_connector_task;
extern const UaefTaskKind uaef_wait_task;
extern const UaefTaskKind uaef_workflow_task;
extern const UaefTaskKind uaef_signal_task;
extern const UaefTaskKind uaef_checkpoint_task;
extern const UaefTaskKind uaef_agent_task;
extern const UaefTaskKind uaef_settle_task;

#endif							/* UAEF_TASK_KIND_H */
