/*-------------------------------------------------------------------------
 *
 * approval.h
 *	  Decisions that people are asked for.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_APPROVAL_H
#define UAEF_APPROVAL_H

#include "execution.h"

/* Ask: write the row; false when a template could not be filled in. */
extern bool uaef_approval_request(UaefTask *task, UaefEvalError *error);

/* Withdraw the question of a task that is cancelled. */
extern void uaef_approval_cancel(UaefTask *task);

/* Time is up: the approval of this task expires, unless it was decided. */
extern void uaef_approval_expire(UaefTask *task);

/*
 * A person's decision, as the current user.  Returns the approval's status
 * after it.
 */
extern const char *uaef_approval_decide(int64 approval_id, bool approve,
										const char *reason, Jsonb *response);

#endif							/* UAEF_APPROVAL_H */
