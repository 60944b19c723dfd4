/*-------------------------------------------------------------------------
 *
 * settlement.h
 *	  Settlement: rules evaluated in the transaction that completes an
 *	  execution, and what people decide about what came of it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_SETTLEMENT_H
#define UAEF_SETTLEMENT_H

#include "datatype/timestamp.h"
#include "utils/uuid.h"

#include "scope.h"
#include "settlement_signal.h"

typedef struct UaefRuleOutcome UaefRuleOutcome;

/* The completed execution, as rules see it; or one that is at a settle task. */
typedef struct UaefSettlementInput
{
	pg_uuid_t	execution_id;
	const char *workflow;
	int32		version;
	Oid			initiated_by;
	TimestampTz completed_at;	/* the execution, or all before the task */
	const char *task;			/* that settles; NULL: the completion does */
	int64		task_id;
	UaefScope  *scope;			/* in, task, ctx, sys */
} UaefSettlementInput;

/*
 * Evaluate the rules in force for a completed execution: store the run, each
 * rule's outcome, and the signals; record their events.  Errors of a rule are
 * held in its signal, and never raised.  Costs nearly nothing when no rule
 * is in force for the workflow, and does nothing for an execution that has
 * its run.  The current identity must be the owner and the execution's row
 * locked.
 */
extern void uaef_settlement_evaluate(const UaefSettlementInput *input);

/*
 * What the rules in force for a settle task say, but for those that skip says
 * true of; n of them.  Stores nothing.
 */
extern UaefRuleOutcome *uaef_settlement_outcomes(const UaefSettlementInput *input,
												 bool (*skip) (const char *rule,
															   void *arg),
												 void *arg, int *n);

/*
 * Decide about a signal on behalf of actor: approve, reject or cancel it.
 * Returns its status then, which after an approval of several that it needs is
 * still UAEF_SIGNAL_PENDING_APPROVAL.  Locks the execution's row until the
 * transaction ends.
 */
extern UaefSignalStatus uaef_settlement_decide(int64 signal_id,
											   UaefSignalAction action,
											   const char *reason, Oid actor);

/*
 * Raise 42501 unless actor may do what stands for the money's owners: its
 * approvers, who started the execution, and the owner of the rule.
 */
extern void uaef_settlement_check_manager(const UaefSignal *signal, Oid actor,
										  const char *verb);

/*
 * settlement_care.c: hold, release, schedule, dispute, uphold or write off a
 * signal; due_at is for UAEF_ACT_SCHEDULE, 0: now.  Returns its status.
 */
extern UaefSignalStatus uaef_settlement_care(int64 signal_id,
											 UaefSignalAction action,
											 const char *reason,
											 TimestampTz due_at, Oid actor);

/* Give it another amount, which another person then must approve. */
extern UaefSignalStatus uaef_settlement_adjust(int64 signal_id, Numeric amount,
											   const char *reason, Oid actor);

/*
 * Take back what was paid, or a part of it (amount NULL: all that is left);
 * once for each key.  Returns the reversal's number.
 */
extern int64 uaef_settlement_reverse(int64 signal_id, Numeric amount,
									 const char *reason, const char *key,
									 Oid actor);

/* {"rule", "version", "code", "message", "path", "detail"} of one that failed. */
extern Jsonb *uaef_settlement_error_payload(const UaefRuleOutcome *outcome);

/*
 * settlement_again.c: evaluate the held rules of an execution again, and look
 * again at what blocks its signals.  Returns how many left their status.
 */
extern int	uaef_settlement_reevaluate(const pg_uuid_t *execution_id,
									   const char *reason, Oid actor);

/* Look again at what blocks the signals of an execution; it gets locked. */
extern int	uaef_settlement_unblock(const pg_uuid_t *execution_id);

/* Timers for the approvals of an execution that may expire. */
extern void uaef_settlement_set_timers(const pg_uuid_t *execution_id);

/*
 * Store what rules said in evaluation number run, and what comes of it; where
 * one of a settle task's rules failed, nothing comes of any.  As for
 * uaef_settlement_evaluate().
 */
extern void uaef_settlement_store(const UaefSettlementInput *input,
								  UaefRuleOutcome *outcomes, int n, int run);

#endif							/* UAEF_SETTLEMENT_H */
