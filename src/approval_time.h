/*-------------------------------------------------------------------------
 *
 * approval_time.h
 *	  What time does to approvals: reminders, escalations, expiry.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_APPROVAL_TIME_H
#define UAEF_APPROVAL_TIME_H

#include "approval_row.h"

/*
 * A timer of the task is due.  They do nothing where its reason is gone: the
 * approval was decided, is at another stage, or has got more time.
 */
extern void uaef_approval_expire(UaefTask *task);
extern void uaef_approval_remind(UaefTask *task);
extern void uaef_approval_escalate(UaefTask *task);

/* A stage has begun: set the timers of it. */
extern void uaef_approval_stage_timers(UaefTask *task,
									   const UaefApproval *approval);

/*
 * Tell people by the connector that the definition names, if it does: about is
 * "requested", "stage", "reminder" or "escalation".  What refuses it is noted
 * in the ledger; the question stands.
 */
extern void uaef_approval_notify(UaefTask *task, int64 approval_id,
								 const char *about);

#endif							/* UAEF_APPROVAL_TIME_H */
