/*-------------------------------------------------------------------------
 *
 * approval.h
 *	  People's decisions on what they were asked.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_APPROVAL_H
#define UAEF_APPROVAL_H

#include "execution.h"

/* Time is up: the approval of this task expires, unless it was decided. */
extern void uaef_approval_expire(UaefTask *task);

/*
 * A person's decision, as the current user.  Returns the approval's status
 * after it.
 */
extern const char *uaef_approval_decide(int64 approval_id, bool approve,
										const char *reason, Jsonb *response);

#endif							/* UAEF_APPROVAL_H */
