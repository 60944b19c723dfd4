/*-------------------------------------------------------------------------
 *
 * policy_check.h
 *	  Policies over tasks that are about to begin an attempt.
 *
 * Only the engine includes this.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_POLICY_CHECK_H
#define UAEF_POLICY_CHECK_H

#include "execution.h"
#include "policy.h"

/* The code of a failure that a policy brought about; never tried again. */
#define UAEF_POLICY_DENIED "policy_denied"

/*
 * Whether a task may begin its next attempt now.  If not, it has been failed,
 * or waits: for a time (timer "policy") or for people.
 */
extern bool uaef_policy_admits(UaefTask *task);

/* The timer "policy": look again. */
extern void uaef_policy_fire(UaefTask *task);

/*
 * An approval has been decided or has expired.  False when no policy had asked
 * for it; otherwise what follows has been done.
 */
extern bool uaef_policy_decided(UaefTask *task, int64 approval_id,
								const char *outcome);

/*
 * The guard of a task that is about to run SQL, in the current context; NULL
 * when no policy asks for one.  The identity must be the owner.
 */
extern UaefGuard *uaef_policy_guard(UaefTask *task);

/* Record what a guard has found, once the SQL is judged. */
extern void uaef_policy_record_guard(UaefTask *task, const UaefGuard *guard);

/* The failure of SQL that a strict policy has stopped; false: none has. */
extern bool uaef_policy_failure(UaefFailure *failure, const UaefGuard *guard);

/* What came of a check, for the record. */
typedef enum UaefPolicyDecision
{
	UAEF_POLICY_DENY,
	UAEF_POLICY_WARNED,
	UAEF_POLICY_LOGGED,
	UAEF_POLICY_PUT_OFF,
	UAEF_POLICY_ASKED,
	UAEF_POLICY_APPROVED
} UaefPolicyDecision;

/*
 * Write a decision to its table and the ledger.  until is when a task that is
 * put off goes on; 0: not put off.
 */
extern void uaef_policy_record(UaefTask *task, const UaefPolicy *policy,
							   UaefPolicyDecision decision,
							   const char *reason, TimestampTz until);

/*
 * A policy is broken: what its enforcement makes of it.  Returns whether the
 * task goes on; if not, it has failed.
 */
extern bool uaef_policy_breach(UaefTask *task, const UaefPolicy *policy,
							   const char *reason);

/*
 * policy_rate.c: count an attempt.  Returns 0 when it may begin, otherwise when
 * it may; with reserve, it has a place then.
 */
extern TimestampTz uaef_policy_rate_take(UaefTask *task,
										 const UaefPolicy *policy,
										 const char *key, bool reserve);

#endif							/* UAEF_POLICY_CHECK_H */
