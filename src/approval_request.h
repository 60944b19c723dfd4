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
 * Ask about a task, of whatever type, that the caller then lets wait for input.
 * description and shown are those of the config when they are NULL.  Returns
 * the number of the approval; 0, with nothing written, when a template or
 * condition cannot be evaluated, or names a role that does not exist.
 */
extern int64 uaef_approval_request(UaefTask *task,
								   const UaefApprovalConfig *config,
								   const char *description, Jsonb *shown,
								   UaefEvalError *error);

/*
 * Close a pending approval without a decision; returns its id, or 0 when it
 * was decided already.
 */
extern int64 uaef_approval_close(UaefTask *task, const char *status);

/*
 * The members that all events of an approval begin with.
 */
extern void uaef_approval_event_begin(UaefJson *json, UaefTask *task,
									  int64 approval_id);

#endif							/* UAEF_APPROVAL_REQUEST_H */
