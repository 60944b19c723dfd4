/*-------------------------------------------------------------------------
 *
 * hold.h
 *	  Workflows whose executions are accepted but do not begin.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_HOLD_H
#define UAEF_HOLD_H

#include "execution.h"

/*
 * Hold back the starts of a workflow, or let go those that were held back.
 * False when it was so already.  Raises UA302, or 42501 unless the workflow
 * belongs to the current user.
 */
extern bool uaef_workflow_hold(const char *workflow, const char *reason);
extern bool uaef_workflow_release(const char *workflow, const char *reason);

/* Whether a start is to be held back; true until the transaction ends. */
extern bool uaef_workflow_is_held(const char *workflow);

/* Keep a pending execution until its workflow is released. */
extern void uaef_execution_hold(UaefExecution *execution);

/*
 * Begin an execution whose time has come, unless its workflow is held.  One
 * whose limits have a key that cannot be evaluated is cancelled.
 */
extern void uaef_execution_begin(UaefExecution *execution);

#endif							/* UAEF_HOLD_H */
