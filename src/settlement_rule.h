/*-------------------------------------------------------------------------
 *
 * settlement_rule.h
 *	  Settlement rules: checked and compiled, stored and kept per backend.
 *
 * A rule says for which workflow, under which condition, how much is owed, to
 * whom, and who must approve it (docs/settlement.md).  A version of a rule
 * never changes but for being switched on and off.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_SETTLEMENT_RULE_H
#define UAEF_SETTLEMENT_RULE_H

#include "datatype/timestamp.h"

#include "allocate.h"
#include "amount.h"
#include "condition.h"
#include "settlement_terms.h"
#include "template.h"

/* One recipient and its share of the whole. */
typedef struct UaefSplitPart
{
	char	   *name;			/* "name", or "to" as it was written */
	UaefTemplate *recipient;
	char	   *share;			/* as it was written: "70%", "rest" */
	Numeric		weight;			/* in percent */
} UaefSplitPart;

/* Who must approve amounts up to a limit. */
typedef struct UaefApprovalBand
{
	Numeric		to_minor;		/* up to and with this; NULL: no limit */
	int			need;			/* approvals; 0: none */
	char	   *of;				/* role of the approvers; NULL: any */
	bool		not_initiator;
	bool		not_author;
	bool		not_recipient;	/* nor who owns what is paid */
} UaefApprovalBand;

typedef struct UaefSettlementRule
{
	int32		rule_id;		/* 0: not stored */
	char	   *name;
	int32		version;		/* 0: not stored */
	Oid			author;
	TimestampTz effective_from; /* this and later; DT_NOBEGIN: always was */
	TimestampTz effective_to;	/* before this; DT_NOEND: for ever */
	char	   *currency;

	/*
	 * Why a stored rule no longer compiles; sqlstate 0: it does.  Then
	 * everything below is set.
	 */
	UaefEvalError broken;

	char	   *workflow;
	UaefCondition *when;		/* NULL: always */
	UaefAmount *amount;
	Numeric		min;			/* bounds before rounding, or NULL */
	Numeric		max;
	char	   *round;			/* name of the mode */
	UaefRounding rounding;
	UaefRemainder remainder;
	int			n_parts;
	UaefSplitPart *parts;
	int			n_bands;		/* 0: nothing needs approval */
	UaefApprovalBand *bands;
	bool		skip_zero;		/* "on_zero": "skip" */
	UaefSettlementTerms terms;
} UaefSettlementRule;

/*
 * Check and compile a definition, in the current memory context.  Raises the
 * first defect with its place.
 */
extern UaefSettlementRule *uaef_settlement_rule_compile(const char *name,
														Jsonb *definition);

/* Read "effective" of a definition into the rule. */
extern void uaef_settlement_rule_set_period(UaefSettlementRule *rule,
											Jsonb *definition);

/* Call visit for each path that the rule reads. */
extern void uaef_settlement_rule_paths(const UaefSettlementRule *rule,
									   void (*visit) (const UaefPath *path,
													  void *arg),
									   void *arg);

/*
 * Store a new version of a rule on behalf of author; returns its number.
 * settlement_rule is locked against other writers until the transaction ends.
 */
extern int32 uaef_settlement_rule_create(const char *name, Jsonb *definition,
										 Oid author);

/* Switch a version on or off; 0: every version. */
extern void uaef_settlement_rule_set_active(const char *name, int32 version,
											bool active, Oid actor);

/*
 * The rules in force for a workflow at a time, by name: of each the newest
 * active version whose period holds the time.  Good until the next call.
 */
extern const UaefSettlementRule **uaef_settlement_rules_get(const char *workflow,
															TimestampTz at,
															int *n);

#endif							/* UAEF_SETTLEMENT_RULE_H */
