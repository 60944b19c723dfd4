/*-------------------------------------------------------------------------
 *
 * settlement_rule_index.h
 *	  Many rules of one workflow, found by texts of the data.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_SETTLEMENT_RULE_INDEX_H
#define UAEF_SETTLEMENT_RULE_INDEX_H

#include "settlement_rule.h"

typedef struct UaefRuleIndex UaefRuleIndex;

/*
 * Make one over n rules, in the current context.  It keeps pointers to their
 * conditions.
 */
extern UaefRuleIndex *uaef_rule_index_make(const UaefSettlementRule *const *rules,
										   int n);

/*
 * The numbers of the rules whose condition can be true of the data, or can
 * fail on it, in their order; palloc'd.  Returns how many.
 */
extern int	uaef_rule_index_find(const UaefRuleIndex *index,
								 UaefScope *scope, int **numbers);

#endif							/* UAEF_SETTLEMENT_RULE_INDEX_H */
