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
#include "definition.h"
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
	char	   *task;			/* that settles by it; NULL: the completion
								 * does */
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
 * first defect with its place.  With typing, not NULL, paths are checked by
 * what is known of the data.
 */
extern UaefSettlementRule *uaef_settlement_rule_compile(const char *name,
														Jsonb *definition,
														const UaefTyping *typing);

/* One thing that is wrong with a definition. */
typedef struct UaefRuleDefect
{
	const char *severity;		/* "error", "warning" */
	const char *path;			/* "split.parts[2]"; "": the whole */
	const char *problem;
	const char *hint;			/* or NULL */
} UaefRuleDefect;

/* All that is wrong with it: a list of UaefRuleDefect. */
extern List *uaef_settlement_rule_check(Jsonb *definition,
										const UaefTyping *typing);

/*
 * A definition in the flat form of amount_type, recipient_type and so on, in
 * ours; another one as it is.  Raises UA221, UA244 for a formula.
 */
extern Jsonb *uaef_settlement_rule_from_seed(Jsonb *definition);

/* Raise UA210 for what is no recipient: kind:id, or "house" alone. */
extern void uaef_recipient_check(const char *text);

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

/*
 * Raise 42501 for who has not the privileges of the role that a rule's name,
 * or a workflow, belongs to; UA302 for a workflow that does not exist.
 */
extern void uaef_settlement_rule_check_owner(const char *name, Oid owner,
											 Oid actor);
extern void uaef_settlement_rule_check_workflow_owner(const char *workflow,
													  Oid actor);

/*
 * The same, and UA304 for a task that the workflow does not have, or what the
 * compiler raises for a path that its schemas do not allow.
 */
extern void uaef_settlement_rule_check_workflow(const UaefSettlementRule *rule,
												Jsonb *document, Oid author);

/* An event about a rule; more, which may be NULL, is added to its payload. */
extern void uaef_settlement_rule_record(const char *type, const char *name,
										int32 version, const char *workflow,
										Oid actor, Jsonb *more);

/*
 * Raise UA320 unless there is a rule of this name for a settle task of the
 * workflow, UA322 when no version of it is active; where is put before.
 */
extern void uaef_settlement_rule_require(const char *name,
										 const char *workflow,
										 const char *task, const char *where);

/* Warn of active rules for settle tasks that a new definition does not have. */
extern void uaef_settlement_rules_warn(const UaefDefinition *definition);

/*
 * Of the rules in force for a workflow's completion, or for a settle task of
 * it, at a time, in_force in number, those
 * that can fire or fail on the data, by name: the newest active version of
 * each whose period holds the time.  Few rules are all given.  Good until the
 * next call.
 */
extern const UaefSettlementRule **uaef_settlement_rules_get(const char *workflow,
															const char *task,
															TimestampTz at,
															UaefScope *scope,
															int *in_force,
															int *n);

#endif							/* UAEF_SETTLEMENT_RULE_H */
