/*-------------------------------------------------------------------------
 *
 * approval_group.h
 *	  Groups of approvers that have quorums of their own.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_APPROVAL_GROUP_H
#define UAEF_APPROVAL_GROUP_H

#include "approval_row.h"

/*
 * The groups of the stage that a role's vote can count for, as int[]: those it
 * is a member of; for who is asked beside them, all.  0 when there are none.
 */
extern Datum uaef_approval_groups_of(const UaefApproval *approval, Oid role);

/*
 * Whether the votes that are stored meet all quorums of the stage, when each
 * counts for one group: whichever of its own serves best.
 */
extern bool uaef_approval_groups_met(const UaefApproval *approval);

#endif							/* UAEF_APPROVAL_GROUP_H */
