/*-------------------------------------------------------------------------
 *
 * claim_wait.c
 *	  Waiting for tasks of a queue.
 *
 * The session looks once, and sleeps until a commit puts a task into one of
 * its queues (wake_claimers.h).  It runs in one transaction all the while, and
 * in one statement, which holds a snapshot: that is why a wait is limited.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/timestamp.h"

#include "claim.h"
#include "ready_claim.h"
#include "wake_claimers.h"

/*
 * What the transaction has written would be locked for as long as it waits.
 */
static void
check_transaction(void)
{
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("cannot wait for tasks in a transaction that does not see what others commit"),
				 errhint("Use the isolation level READ COMMITTED.")));
	if (TransactionIdIsValid(GetTopTransactionIdIfAny()))
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("cannot wait for tasks in a transaction that has written"),
				 errhint("Commit first; let claim_tasks() be a transaction of its own.")));
}

/*
 * Look, and sleep until there is something to look for.
 */
static UaefClaim *
wait_for_tasks(const UaefClaimRequest *request, TimestampTz end, int *n)
{
	for (;;)
	{
		UaefClaim  *claims;
		int			again_ms;
		long		left;

		uaef_claimer_register(request->keys, request->n_keys);
		claims = uaef_claim_tasks(request, n);
		left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), end);
		if (*n > 0 || left <= 0)
			return claims;
		pfree(claims);
		again_ms = uaef_ready_again_ms();
		uaef_claimer_wait(again_ms > 0 ? Min(left, again_ms) : left);
	}
}

/*
 * An error may be caught, and the transaction go on: nobody may wake it then
 * instead of somebody who waits.
 */
UaefClaim *
uaef_claim_wait(const UaefClaimRequest *request, int64 wait_us, int *n)
{
	TimestampTz end = GetCurrentTimestamp() + wait_us;
	UaefClaim  *claims = NULL;

	if (wait_us <= 0)
		return uaef_claim_tasks(request, n);

	check_transaction();
	PG_TRY();
	{
		claims = wait_for_tasks(request, end, n);
	}
	PG_CATCH();
	{
		uaef_claimer_unregister();
		PG_RE_THROW();
	}
	PG_END_TRY();
	uaef_claimer_unregister();
	return claims;
}
