/*-------------------------------------------------------------------------
 *
 * claim.h
 *	  Tasks that outside workers take, under leases.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_CLAIM_H
#define UAEF_CLAIM_H

#include "execution.h"

/* A task that was claimed. */
typedef struct UaefClaim
{
	int64		task_id;
	pg_uuid_t	execution_id;
	char	   *workflow;
	char	   *task;
	int			item;			/* UAEF_NO_ITEM */
	int			attempt;
	Jsonb	   *input;
	pg_uuid_t	lease_token;
	TimestampTz lease_expires_at;
} UaefClaim;

/* What a worker asks for. */
typedef struct UaefClaimRequest
{
	const char *worker;
	int			n_keys;
	char	  **keys;			/* uaef_queue_key(), each once */
	int			limit;
	int64		lease_us;		/* 0: as the tasks say */
} UaefClaimRequest;

/*
 * Take tasks of queues for a worker, the first by priority and age; allocated
 * in the current context.
 */
extern UaefClaim *uaef_claim_tasks(const UaefClaimRequest *request, int *n);

/*
 * The same, and wait at most so long for the first.  Raises 25001 in a
 * transaction that has written or cannot see what others commit.
 */
extern UaefClaim *uaef_claim_wait(const UaefClaimRequest *request,
								  int64 wait_us, int *n);

/*
 * Results, by the current user.  token NULL: only for members of the role that
 * started the execution.  They raise UA304 (no such task), UA305 (it has ended
 * or was not claimed) or UA306 (another lease).
 */
extern void uaef_claim_complete(int64 task_id, Jsonb *output,
								const pg_uuid_t *token);
extern const char *uaef_claim_fail(int64 task_id, const UaefFailure *failure,
								   const pg_uuid_t *token);

/* progress: what to show of the work, or NULL for no change. */
extern TimestampTz uaef_claim_heartbeat(int64 task_id, const pg_uuid_t *token,
										int64 extend_us, Jsonb *progress);

/* Give a task back under its lease; the attempt does not count. */
extern void uaef_claim_release(int64 task_id, const pg_uuid_t *token);

/* One result of many, and what became of it. */
typedef struct UaefResult
{
	int64		task_id;
	Jsonb	   *output;
	bool		has_token;
	pg_uuid_t	token;
	int			sqlstate;		/* 0: the task is completed by it */
	const char *message;
} UaefResult;

/*
 * Complete tasks under their leases, and take others for a worker, in one step;
 * a result that is refused stays without effect, and the others count.  request
 * NULL: take none.
 */
extern UaefClaim *uaef_claim_exchange(UaefResult *results, int n,
									  const UaefClaimRequest *request,
									  int *n_claims);

/* The parts of a claim: out of the ready set; when they are locked, a lease. */
extern int	uaef_claim_take(const UaefClaimRequest *request,
							UaefTaskRef *refs);
extern int	uaef_claim_lease(UaefStep *step, const UaefClaimRequest *request,
							 const UaefTaskRef *refs, int n,
							 UaefClaim *claims);

/* Whether a completion has been made before, in the same words. */
extern bool uaef_claim_completed_so(UaefTask *task, Jsonb *output,
									const pg_uuid_t *token);

#endif							/* UAEF_CLAIM_H */
