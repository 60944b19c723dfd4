/*-------------------------------------------------------------------------
 *
 * settlement_eval.h
 *	  What a settlement rule says about one execution.
 *
 * Stores nothing.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_SETTLEMENT_EVAL_H
#define UAEF_SETTLEMENT_EVAL_H

#include "json_util.h"
#include "settlement.h"
#include "settlement_rule.h"

typedef enum UaefRuleResult
{
	UAEF_RULE_NOT_FIRED,
	UAEF_RULE_FIRED,
	UAEF_RULE_ERROR
} UaefRuleResult;

/* What one recipient gets. */
typedef struct UaefShare
{
	char	   *recipient;
	Numeric		minor;			/* units of the currency; 0: nothing */
	bool		is_zero;
} UaefShare;

struct UaefRuleOutcome
{
	const UaefSettlementRule *rule;
	UaefRuleResult result;
	UaefEvalError error;		/* of UAEF_RULE_ERROR */
	/* the rest of UAEF_RULE_FIRED */
	UaefRational exact;			/* within the bounds, before rounding */
	Numeric		minor;			/* the sum of the shares */
	int			n_shares;		/* one for each part of the rule */
	UaefShare  *shares;
	const UaefApprovalBand *band;	/* NULL: no approval needed */
	TimestampTz due_at;			/* to be paid then; 0 in a simulation */
	int			first_part;		/* 0, or how many parts the rule gave before */
	/* of all */
	Jsonb	   *trace;			/* why: what was read and what came of it */
};

/*
 * Evaluate a rule.  Whatever goes wrong with it is its outcome; only what has
 * nothing to do with the rule is raised (cancel, shutdown, no memory).
 */
extern void uaef_settlement_rule_evaluate(const UaefSettlementRule *rule,
										  UaefScope *scope,
										  UaefRuleOutcome *outcome);

/*
 * Of many rules, bring those to the front that may fire or fail; returns how
 * many.  The others say no to the data, all that they read being there.  Few
 * rules all stay, so that each is evaluated and traced.
 */
extern int	uaef_settlement_rules_select(const UaefSettlementRule **rules,
										 int n, UaefScope *scope);

/*
 * The same for an execution that completed at a time, from which the payment
 * is due as the rule says.  The identity must be the owner.
 */
extern void uaef_settlement_rule_settle(const UaefSettlementRule *rule,
										UaefScope *scope,
										TimestampTz completed_at,
										UaefRuleOutcome *outcome);

/*
 * The same for a definition that is not stored, and a document with in, task,
 * ctx and sys.  Returns false when the definition is not in force at that
 * time.  Raises what is wrong with the definition.
 */
extern bool uaef_settlement_simulate(Jsonb *definition, Jsonb *data,
									 TimestampTz at,
									 UaefRuleOutcome *outcome);

extern const char *uaef_rule_result_name(UaefRuleResult result);

/* The state that a share's signal begins in. */
extern UaefSignalStatus uaef_share_status(const UaefRuleOutcome *outcome,
										  int share);

/* Add "code", "message", "path" and "detail" to an object. */
extern void uaef_settlement_error_add(UaefJson *json,
									  const UaefEvalError *error);

/*
 * Run a function in a subtransaction.  When it raises, undo what it did, note
 * the error and return false; what is no fault of the data is raised again.
 */
extern bool uaef_settlement_guard(void (*function) (void *arg), void *arg,
								  UaefEvalError *error);

#endif							/* UAEF_SETTLEMENT_EVAL_H */
