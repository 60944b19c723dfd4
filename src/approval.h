/*-------------------------------------------------------------------------
 *
 * approval.h
 *	  People's decisions on what they were asked.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_APPROVAL_H
#define UAEF_APPROVAL_H

#include "approval_row.h"
#include "approval_voter.h"

/* A person's decision, on one approval or on several. */
typedef struct UaefDecision
{
	bool		approve;
	const char *reason;			/* or NULL */
	Jsonb	   *response;		/* or NULL */
	bytea	   *shown_digest;	/* of what the person saw; or NULL */
	Oid			on_behalf_of;	/* or InvalidOid */
} UaefDecision;

/*
 * Decide as the current user, on all approvals or, by an error, on none.
 * Sets the status of each after it.
 */
extern void uaef_approval_decide(const int64 *approval_ids, int n,
								 const UaefDecision *decision,
								 const char **statuses);

/* Take the current user's vote back. */
extern void uaef_approval_withdraw_vote(int64 approval_id);

/*
 * The task goes on, or fails, by what came of its approval: "approved",
 * "rejected" or "expired".  voter is who decided last, or NULL.
 */
typedef struct UaefLastVote
{
	const UaefVoter *voter;
	const UaefDecision *decision;
} UaefLastVote;

extern void uaef_approval_end(UaefTask *task, const char *outcome,
							  int64 approval_id, const UaefLastVote *last);

#endif							/* UAEF_APPROVAL_H */
