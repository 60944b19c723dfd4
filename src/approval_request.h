/*-------------------------------------------------------------------------
 *
 * approval_request.h
 *	  Asking people for a decision, and withdrawing the question.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_APPROVAL_REQUEST_H
#define UAEF_APPROVAL_REQUEST_H

#include "execution.h"

/*
 * Ask for a decision on a task; description may be NULL.  Returns the number of
 * the approval.  The caller makes the task wait.
 */
extern int64 uaef_approval_insert(UaefTask *task,
								  const UaefApprovalConfig *config,
								  const char *description, Jsonb *shown);

/*
 * Close a pending approval without a decision; returns its id, or 0 when it
 * was decided already.  As "expired" only one is closed that is due.
 */
extern int64 uaef_approval_close(UaefTask *task, const char *status);

/* Note an event about an approval. */
extern void uaef_approval_event(UaefTask *task, const char *type,
								int64 approval_id, const char *reason,
								Jsonb *response);

#endif							/* UAEF_APPROVAL_REQUEST_H */
