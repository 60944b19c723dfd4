/*-------------------------------------------------------------------------
 *
 * settlement_gate.h
 *	  What may keep a signal from being paid: checkpoints, reviews, budgets.
 *
 * The identity must be the owner, within uaef_spi_begin(), and the execution's
 * row locked.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_SETTLEMENT_GATE_H
#define UAEF_SETTLEMENT_GATE_H

#include "settlement.h"

/*
 * Put the signals of one execution, that are to be approved or are, to the
 * checkpoints that its workflow must pass, to its reviews, and to budgets.
 * blocked[i] is set to what refuses a signal, else to NULL; then it counts
 * against its budgets.  Outcomes are stored and recorded.
 */
extern void uaef_settlement_gate(const UaefSettlementInput *input,
								 const UaefSignal *signals, int n,
								 Jsonb **blocked);

/*
 * Block those signals for which there is a refusal; fresh ones are not in the
 * books yet.
 */
extern void uaef_settlement_block(UaefSignal *signals, int n, Jsonb **blocked,
								  bool fresh);

/* compliance_review.c: ask for a review by a checkpoint. */
extern void uaef_review_open(const pg_uuid_t *execution_id,
							 const char *checkpoint, const char *reason,
							 Oid reviewers, Oid actor, int64 *review_id);

/* What people do. */
extern int64 uaef_review_require(const pg_uuid_t *execution_id,
								 const char *reason, Oid reviewers, Oid actor);
extern const char *uaef_review_decide(int64 review_id, bool passed,
									  const char *finding, Oid actor);
extern void uaef_requirement_set(const char *workflow, const char *checkpoint,
								 const char *on_failure, Oid actor);
extern void uaef_requirement_drop(const char *workflow,
								  const char *checkpoint, Oid actor);

#endif							/* UAEF_SETTLEMENT_GATE_H */
