/*-------------------------------------------------------------------------
 *
 * policy.h
 *	  Policies: rules that operators put over tasks.
 *
 * A policy has a type, a scope that says which tasks it is for, and an
 * enforcement (docs/policies.md).  Its newest version is in force, at the time
 * of each check.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_POLICY_H
#define UAEF_POLICY_H

#include "data_access.h"
#include "definition.h"

/* In the order in which they are checked before an attempt. */
typedef enum UaefPolicyType
{
	UAEF_POLICY_COMPLIANCE,		/* a condition must hold */
	UAEF_POLICY_APPROVAL,		/* people must agree first */
	UAEF_POLICY_RATE_LIMIT,		/* so many in so much time */
	UAEF_POLICY_DATA_ACCESS		/* of SQL, while it runs: data_access.h */
} UaefPolicyType;

typedef enum UaefEnforcement
{
	UAEF_ENFORCE_STRICT,		/* what breaks it does not happen */
	UAEF_ENFORCE_WARN,			/* it happens, is recorded, and warned of */
	UAEF_ENFORCE_LOG			/* it happens, and is recorded */
} UaefEnforcement;

/* Texts of which one must match, with "*" for any characters; 0: any. */
typedef struct UaefPatterns
{
	int			n;
	char	  **patterns;
} UaefPatterns;

typedef struct UaefPolicyScope
{
	bool		named;			/* only where a definition names it */
	UaefPatterns workflows;
	UaefPatterns tasks;			/* ids */
	UaefPatterns agents;
	uint32		task_types;		/* bits by UaefTaskType; 0: any */
} UaefPolicyScope;

typedef struct UaefRateLimit
{
	int			max;			/* attempts ... */
	int64		window_ms;		/* ... in any time of this length */
	UaefTemplate *key;			/* counted apart by this; NULL: together */
	bool		deny;			/* over it: denied, else put off */
} UaefRateLimit;

typedef struct UaefCompliance
{
	UaefCondition *require;		/* or NULL, then checkpoint */
	char	   *reason;			/* for people, or NULL */
	char	   *checkpoint;		/* the name of one that is to be passed */
	UaefTemplate *data;			/* what it looks at; NULL: all that paths read */
} UaefCompliance;

typedef struct UaefPolicy
{
	char	   *name;
	int32		version;		/* 0: not stored */
	char	   *digest;			/* of rules, scope and enforcement, in hex */
	UaefPolicyType type;
	UaefEnforcement enforcement;
	UaefPolicyScope scope;
	union
	{
		UaefApprovalConfig approval;
		UaefRateLimit rate;
		UaefCompliance compliance;
		UaefDataAccess access;
	}			rules;
} UaefPolicy;

/* All policies in force, by name. */
typedef struct UaefPolicies
{
	int			n;
	UaefPolicy **policies;
} UaefPolicies;

extern const char *uaef_policy_type_name(UaefPolicyType type);
extern const char *uaef_enforcement_name(UaefEnforcement enforcement);

/*
 * Check and compile a policy, in the current context.  Raises 22023 for an
 * unknown type or enforcement, UA300 with the place for anything wrong in
 * rules or scope.
 */
extern UaefPolicy *uaef_policy_compile(const char *name, const char *type,
									   Jsonb *rules, const char *enforcement,
									   Jsonb *scope);

/*
 * How a policy comes to a task of a definition: "scope", "workflow" or "task"
 * (named by it); NULL: it does not.  def is the task, or what an item of its
 * map runs.
 */
extern const char *uaef_policy_applies(const UaefPolicy *policy,
									   const UaefDefinition *definition,
									   const UaefTaskDef *def);

/*
 * The policies in force, from the backend's cache; none costs nothing.  They
 * stay where they are until the transaction ends.
 */
extern const UaefPolicies *uaef_policies_get(void);

/* What people do to policies (policy_store.c). */
extern int32 uaef_policy_create(const char *name, const char *type,
								Jsonb *rules, const char *enforcement,
								Jsonb *scope, const char *description);
extern void uaef_policy_set_enabled(const char *name, bool enabled);
extern void uaef_policy_drop(const char *name);

#endif							/* UAEF_POLICY_H */
