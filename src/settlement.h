/*-------------------------------------------------------------------------
 *
 * settlement.h
 *	  Settlement: rules evaluated in the transaction that completes an
 *	  execution.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_SETTLEMENT_H
#define UAEF_SETTLEMENT_H

#include "datatype/timestamp.h"
#include "utils/uuid.h"

#include "scope.h"

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
 * is in force for the workflow.  The current identity must be the owner and
 * the execution's row locked.
 */
extern void uaef_settlement_evaluate(const UaefSettlementInput *input);

#endif							/* UAEF_SETTLEMENT_H */
