/*-------------------------------------------------------------------------
 *
 * agent.h
 *	  Agents: who they are, what they can do, and their keys.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_AGENT_H
#define UAEF_AGENT_H

#include "utils/array.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

/* What is said of an agent; NULL, or -1 for a number: nothing is said. */
typedef struct UaefAgentSpec
{
	const char *name;
	const char *platform;
	const char *endpoint_url;
	ArrayType  *capabilities;
	Jsonb	   *configuration;
	int			max_concurrent;
	int64		max_tokens_per_day; /* 0: no limit */
	int64		max_cost_per_day;	/* in minor units; 0: no limit */
	const char *currency;
	const char *description;
} UaefAgentSpec;

/* An agent, as it shows itself by its key. */
typedef struct UaefAgent
{
	pg_uuid_t	id;
	char	   *id_text;
	char	   *name;
	char	   *status;
	ArrayType  *capabilities;
} UaefAgent;

/*
 * Register an agent as active; *key is its key, which is stored nowhere.
 * Raises 42710 when there is one of this name, 22023 or 42602 for bad input.
 */
extern pg_uuid_t uaef_agent_register(const UaefAgentSpec *spec, char **key);

/* Change what is said.  This, and what follows, raises UA360 for no agent. */
extern void uaef_agent_update(const UaefAgentSpec *spec);

/* "active", "inactive" or "suspended"; the reason may be NULL. */
extern void uaef_agent_set_status(const char *name, const char *status,
								  const char *reason);

/* A new key; the old one is worth nothing from now on. */
extern char *uaef_agent_rotate_key(const char *name);

/* Raises 55006 while the agent has tasks. */
extern void uaef_agent_drop(const char *name);

/* The names of those that have a capability; palloc'd. */
extern char **uaef_agent_capable(const char *capability, int *n);

/*
 * The agent of a key; false when the key is nobody's.  The identity must be
 * the owner.
 */
extern bool uaef_agent_by_key(const char *api_key, UaefAgent *agent);

/* The id of the active agent of a key; false for any other key. */
extern bool uaef_agent_verify_key(const char *api_key, pg_uuid_t *id);

/* An agent that would take a task now; false when there is none. */
extern bool uaef_agent_find_available(const char *capability, pg_uuid_t *id);

/*
 * Raise UA360 unless there is an agent of this name, or (name NULL) one with
 * this capability; where comes first in the message.
 */
extern void uaef_agent_require(const char *name, const char *capability,
							   const char *where);

#endif							/* UAEF_AGENT_H */
