/*-------------------------------------------------------------------------
 *
 * agent_prompt.h
 *	  What an agent that is called is asked, and what its answer says.
 *
 * Pure, but for the parsing of JSON, which needs a transaction.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_AGENT_PROMPT_H
#define UAEF_AGENT_PROMPT_H

#include "agent_claim.h"

/*
 * The payload for the connector of a platform: the configuration's "system",
 * "tools", "model", "max_tokens" and "temperature", and what the claim says.
 */
extern Jsonb *uaef_agent_payload(const char *platform, Jsonb *configuration,
								 const UaefAgentClaim *claim);

/* The same once more, with the answer that it gave and what is wrong with it. */
extern Jsonb *uaef_agent_repair_payload(const char *platform, Jsonb *payload,
										const char *answer,
										const char *problem);

/*
 * What a task's output is made of: with a schema the JSON in the text, or NULL
 * when there is none in it; else the answer without what it cost.
 */
extern Jsonb *uaef_agent_output(Jsonb *answer, bool has_schema);

/* Whether a model wants tools to be called, and has given no answer yet. */
extern bool uaef_agent_wants_tools(Jsonb *answer);

#endif							/* UAEF_AGENT_PROMPT_H */
