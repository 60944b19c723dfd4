/*-------------------------------------------------------------------------
 *
 * approval_row.h
 *	  Approvals as their rows tell, and who may see them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_APPROVAL_ROW_H
#define UAEF_APPROVAL_ROW_H

#include "utils/array.h"

#include "execution.h"

typedef struct UaefApproval
{
	int64		approval_id;
	pg_uuid_t	execution_id;
	int16		task_no;
	int32		item;
	char	   *task;
	char	   *status;
	char	   *description;
	int			stage;			/* from 1 on */
	int			stages;
	ArrayType  *approvers;		/* of the stage; NULL: whoever may approve */
	int			need;
	int			reject_need;
	int			approved;		/* votes in the stage */
	int			rejected;
	int			n_groups;		/* of the stage; 0: need is all there is */
	bool		four_eyes;
	bool		distinct_stages;
	Oid			reassigned_by;	/* or InvalidOid */
	Oid			reassigned_session;
	Jsonb	   *shown;
	bytea	   *shown_digest;
	Jsonb	   *form;			/* or NULL */
	char	   *notify;			/* connector, or NULL */
	TimestampTz expires_at;		/* times: 0 is null */
	TimestampTz remind_at;
	int			escalated;
	bool		expires_again;
} UaefApproval;

/* Read an approval; raises 42704 when there is none. */
extern void uaef_approval_read(int64 approval_id, UaefApproval *approval);

/* The pending one of a task; false when there is none. */
extern bool uaef_approval_read_pending(UaefTask *task,
									   UaefApproval *approval);

/*
 * Raise unless the role may see the approval: it belongs to an execution of
 * its own, or it is asked, or who is asked delegated to it.  Asked before
 * anything is locked or told.
 */
extern void uaef_approval_require_sight(int64 approval_id, Oid role);

/* Raise UA305 unless it is pending. */
extern void uaef_approval_require_pending(const UaefApproval *approval);

/* A key with the names of roles, text[]; nothing when it is NULL. */
extern void uaef_approval_json_roles(UaefJson *json, const char *key,
									 ArrayType *roles);

/* Whether the role is a member of one of the approvers. */
extern bool uaef_approval_asks(const UaefApproval *approval, Oid role);

/* The same for text[]; names of no role have no members. */
extern bool uaef_is_member_of_any(Oid role, ArrayType *roles);

/*
 * Lock the executions of approvals, and load them; the second finds the task
 * of one that was locked.
 */
extern void uaef_approval_lock(UaefStep *step, const int64 *approval_ids,
							   int n);
extern UaefTask *uaef_approval_task_of(UaefStep *step,
									   const UaefApproval *approval);

#endif							/* UAEF_APPROVAL_ROW_H */
