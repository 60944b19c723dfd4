/*-------------------------------------------------------------------------
 *
 * approval_care.h
 *	  What people do about approvals besides deciding.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_APPROVAL_CARE_H
#define UAEF_APPROVAL_CARE_H

#include "datatype/timestamp.h"
#include "utils/array.h"

/* All act as the current user. */

/* Say something about a pending approval. */
extern void uaef_approval_comment(int64 approval_id, const char *comment);

/* Ask these roles (regrole[]) in place of the approvers of the stage. */
extern void uaef_approval_reassign(int64 approval_id, ArrayType *roles,
								   const char *reason);

typedef struct UaefDelegation
{
	Oid			delegate;
	TimestampTz valid_from;		/* 0: now */
	TimestampTz valid_until;
	const char *workflow;		/* NULL: all */
	const char *reason;			/* or NULL */
} UaefDelegation;

/* Let another role decide in the current user's place; returns its number. */
extern int64 uaef_approval_delegate(const UaefDelegation *delegation);

/* False when it was revoked before. */
extern bool uaef_approval_revoke_delegation(int64 delegation_id);

#endif							/* UAEF_APPROVAL_CARE_H */
