/*-------------------------------------------------------------------------
 *
 * approval_voter.h
 *	  Who decides on an approval, and in whose place.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_APPROVAL_VOTER_H
#define UAEF_APPROVAL_VOTER_H

#include "approval_row.h"

/*
 * The roles behind one vote.  All of them count as having decided: none of
 * them can be in another vote.
 */
typedef struct UaefVoter
{
	Oid			role;			/* who acts */
	Oid			session;		/* who is logged in, before any SET ROLE */
	Oid			on_behalf_of;	/* who delegated, or InvalidOid */
	Oid			delegator_session;	/* as whom that one was logged in */
	int64		delegation_id;	/* or 0 */
} UaefVoter;

/*
 * Find how caller may decide on a pending approval: for itself, or else in the
 * place of somebody who delegated to it (of on_behalf_of, if that is given).
 * Raises 42501 or UA311 when it may not.  A delegation that is used cannot be
 * revoked until the transaction ends.
 */
extern void uaef_voter_choose(UaefVoter *voter, const UaefApproval *approval,
							  const UaefExecution *execution, Oid caller,
							  Oid on_behalf_of);

/*
 * Whether the role is whoever started the execution: as the role that acted,
 * or as the one that was logged in, whatever SET ROLE chose.
 */
extern bool uaef_started_by(const UaefExecution *execution, Oid role);

#endif							/* UAEF_APPROVAL_VOTER_H */
