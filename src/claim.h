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

/*
 * Take at most limit tasks of a queue for a worker; allocated in the current
 * context.
 */
extern UaefClaim *uaef_claim_tasks(const char *worker, const char *queue,
								   int limit, int64 lease_us, int *n);

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

#endif							/* UAEF_CLAIM_H */
