/*-------------------------------------------------------------------------
 *
 * agent_claim.h
 *	  Tasks that agents take by their keys, and what they use for them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_AGENT_CLAIM_H
#define UAEF_AGENT_CLAIM_H

#include "agent.h"
#include "claim.h"
#include "execution.h"

/* A task that an agent has claimed; what it does not have is NULL. */
typedef struct UaefAgentClaim
{
	UaefClaim	claim;
	char	   *prompt;
	Jsonb	   *context;
	Jsonb	   *messages;
	Jsonb	   *tools;
	Jsonb	   *output_schema;
} UaefAgentClaim;

/*
 * Take at most limit tasks that the agent of this key may do: those that name
 * it, and those that ask for what it can; never more at a time than it may
 * have, and none when it has used up its day's limits.  Raises 28000 for a key
 * of nobody, 55000 when the agent is not active.
 */
extern UaefAgentClaim *uaef_agent_claim(const char *api_key, int limit,
										int64 lease_us, int *n);

/*
 * What the current attempt has used up to now: {"tokens_in", "tokens_out",
 * "cost_minor", "currency"}, each if it is known.  Said again, it replaces
 * what was said.  Raises 22023 for anything else, UA306 for a lease that is
 * over.
 */
extern void uaef_agent_report_usage(int64 task_id, Jsonb *usage,
									const pg_uuid_t *token);

/*
 * The output of a task, with what it has used (or NULL); made again with the
 * same output it does nothing.
 */
extern void uaef_agent_complete(int64 task_id, Jsonb *output, Jsonb *usage,
								const pg_uuid_t *token);

/*
 * The parts of a claim, for agent_call.c: the queues of what an agent may do;
 * add up what it has ended, with its row of agent_metric locked, and tell how
 * many tasks more it may have; what it is told; and that it has the task.
 */
extern Datum uaef_agent_queues(const UaefAgent *agent);
extern int	uaef_agent_room(const UaefAgent *agent, TimestampTz now);
extern bool uaef_agent_fill(UaefTask *task, UaefAgentClaim *claim,
							UaefEvalError *error);
extern void uaef_agent_take(UaefTask *task, const UaefAgent *agent,
							TimestampTz lease_expires_at);

#endif							/* UAEF_AGENT_CLAIM_H */
