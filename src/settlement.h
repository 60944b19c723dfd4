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
#include "settlement_state.h"

/* The completed execution, as rules see it. */
typedef struct UaefSettlementInput
{
	pg_uuid_t	execution_id;
	const char *workflow;
	int32		version;
	Oid			initiated_by;
	TimestampTz completed_at;
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
 * Decide about a signal on behalf of actor: UAEF_SIGNAL_APPROVED, _REJECTED or
 * _CANCELLED.  Returns its status then, which after an approval of several
 * that it needs is still UAEF_SIGNAL_PENDING_APPROVAL.  Locks the execution's
 * row until the transaction ends.
 */
extern UaefSignalStatus uaef_settlement_decide(int64 signal_id,
											   UaefSignalStatus decision,
											   const char *reason, Oid actor);

/*
 * Why an execution's rules decided as they did, as far as the reader may see
 * it.
 */
extern Jsonb *uaef_settlement_explain(const pg_uuid_t *execution_id,
									  Oid reader);

#endif							/* UAEF_SETTLEMENT_H */
