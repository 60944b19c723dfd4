/*-------------------------------------------------------------------------
 *
 * condition_explain.c
 *	  Why a condition holds or does not, and what would change that.
 *
 * Every clause is put to the data, also those that an evaluation would not
 * have come to.  The change that is told is the smallest that makes the
 * condition true: all that fails where everything must hold, the cheapest
 * choice where one is enough.
 *
 * Locking: none.  Memory: what is palloc'd is left to the current context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/builtins.h"

#include "condition_internal.h"
#include "errcodes.h"
#include "json_util.h"
#include "numeric_util.h"

typedef struct Explanation
{
	UaefScope  *scope;
	List	   *clauses;		/* of Jsonb: each clause, in order */
} Explanation;

/* What can be done to make a part of a condition true, or false. */
typedef struct Plan
{
	bool		done;			/* it is already */
	List	   *changes;		/* of Jsonb */
} Plan;

static char *clause_name(const ConditionClause *clause, bool want);
static Jsonb *change_of(const char *path, const ConditionClause *clause,
						bool want, const JsonbValue *value);
static void add_shortfall(UaefJson *json, const ConditionClause *clause,
						  const JsonbValue *value);
static bool put_clause(const ConditionNode *node, int no,
					   const JsonbValue *value, bool *holds,
					   UaefEvalError *error);
static void note_clause(Explanation *explanation, const char *path,
						const ConditionClause *clause,
						const JsonbValue *value, bool answered, bool holds,
						const UaefEvalError *error);
static Plan plan_field(Explanation *explanation, const ConditionNode *node,
					   bool want);
static Plan plan_node(Explanation *explanation, const ConditionNode *node,
					  bool want);
static void add_list(UaefJson *json, const char *key, const List *items);

/* The operator that must hold of the value: its own, or the opposite one. */
static char *
clause_name(const ConditionClause *clause, bool want)
{
	static const struct
	{
		ConditionOp op;
		char	   *opposite;
	}			opposites[] = {
		{OP_EQ, "$ne"}, {OP_NE, "$eq"}, {OP_GT, "$lte"}, {OP_GTE, "$lt"},
		{OP_LT, "$gte"}, {OP_LTE, "$gt"}, {OP_IN, "$nin"}, {OP_NIN, "$in"}
	};

	if (want)
		return pstrdup(clause->name);
	for (int i = 0; i < lengthof(opposites); i++)
	{
		if (opposites[i].op == clause->op)
			return opposites[i].opposite;
	}
	return NULL;
}

/* {"path": "in.amount", "needs": {"$gte": 100}, "was": 99.99, "by": 0.01} */
static Jsonb *
change_of(const char *path, const ConditionClause *clause, bool want,
		  const JsonbValue *value)
{
	JsonbValue	operand = clause->operand;
	JsonbValue	was;
	UaefJson	needs;
	UaefJson	json;
	char	   *name = clause_name(clause, want);

	uaef_json_begin(&needs);
	if (clause->op == OP_EXISTS)
		uaef_json_bool(&needs, "$exists", clause->operand.val.boolean == want);
	else if (name != NULL)
		uaef_json_jsonb(&needs, name, uaef_json_from_value(&operand));
	else
	{
		UaefJson	inner;

		uaef_json_begin(&inner);
		uaef_json_jsonb(&inner, clause->name, uaef_json_from_value(&operand));
		uaef_json_jsonb(&needs, "$not", uaef_json_end(&inner));
	}
	uaef_json_begin(&json);
	uaef_json_text(&json, "path", path);
	uaef_json_jsonb(&json, "needs", uaef_json_end(&needs));
	if (value != NULL)
	{
		was = *value;
		uaef_json_jsonb(&json, "was", uaef_json_from_value(&was));
		if (want || clause->op != OP_BETWEEN)
			add_shortfall(&json, clause, value);
	}
	return uaef_json_end(&json);
}

/* How far a number is from the bound. */
static void
add_shortfall(UaefJson *json, const ConditionClause *clause,
			  const JsonbValue *value)
{
	const JsonbValue *bound = &clause->operand;

	if (value->type != jbvNumeric)
		return;
	if (clause->op == OP_BETWEEN && clause->list[0].type == jbvNumeric)
		bound = uaef_condition_compare(value, &clause->list[0]) < 0 ?
			&clause->list[0] : &clause->list[1];
	else if (clause->op != OP_GT && clause->op != OP_GTE &&
			 clause->op != OP_LT && clause->op != OP_LTE)
		return;
	if (bound->type == jbvNumeric)
		uaef_json_numeric(json, "by",
						  uaef_numeric_op(numeric_sub, bound->val.numeric,
										  value->val.numeric));
}

/* Put one clause of a field to its value; NULL: there is none. */
static bool
put_clause(const ConditionNode *node, int no, const JsonbValue *value,
		   bool *holds, UaefEvalError *error)
{
	ConditionNode single = *node;
	UaefCondition condition = {&single};

	single.clauses.n = 1;
	single.clauses.items = &node->clauses.items[no];
	return uaef_condition_eval_value(&condition, value, holds, error);
}

/* {"path", "op", "want", "got", "holds"}, or with "error" in place of holds */
static void
note_clause(Explanation *explanation, const char *path,
			const ConditionClause *clause, const JsonbValue *value,
			bool answered, bool holds, const UaefEvalError *error)
{
	JsonbValue	operand = clause->operand;
	JsonbValue	got;
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_text(&json, "path", path);
	uaef_json_text(&json, "op", clause->name);
	uaef_json_jsonb(&json, "want", uaef_json_from_value(&operand));
	if (value != NULL)
	{
		got = *value;
		uaef_json_jsonb(&json, "got", uaef_json_from_value(&got));
	}
	if (answered)
		uaef_json_bool(&json, "holds", holds);
	else
	{
		UaefJson	below;

		uaef_json_begin(&below);
		uaef_json_text(&below, "code", unpack_sql_state(error->sqlstate));
		uaef_json_text(&below, "message", error->message);
		uaef_json_jsonb(&json, "error", uaef_json_end(&below));
	}
	explanation->clauses = lappend(explanation->clauses, uaef_json_end(&json));
}

/* A field's clauses must all hold; to fail, one that does not is enough. */
static Plan
plan_field(Explanation *explanation, const ConditionNode *node, bool want)
{
	const char *path = node->path == NULL ? "" : uaef_path_text(node->path);
	Plan		plan = {want, NIL};
	JsonbValue	value;
	bool		found;

	if (node->path != NULL)
		found = uaef_path_get(node->path, explanation->scope, &value);
	else
	{
		uaef_document_value(explanation->scope->document, &value);
		found = true;
	}
	for (int i = 0; i < node->clauses.n; i++)
	{
		const ConditionClause *clause = &node->clauses.items[i];
		UaefEvalError error;
		bool		holds = false;
		bool		answered = put_clause(node, i, found ? &value : NULL,
										  &holds, &error);

		note_clause(explanation, path, clause, found ? &value : NULL,
					answered, holds, &error);
		if (answered && holds == want && !want)
			plan.done = true;
		else if (!answered || holds != want)
		{
			plan.done = plan.done && !want;
			if (want || plan.changes == NIL)
				plan.changes = lappend(plan.changes,
									   change_of(path, clause, want,
												 found ? &value : NULL));
		}
	}
	if (plan.done)
		plan.changes = NIL;
	return plan;
}

/* The smallest change that makes a node what is wanted. */
static Plan
plan_node(Explanation *explanation, const ConditionNode *node, bool want)
{
	bool		is_or = node->kind == CONDITION_OR ||
		node->kind == CONDITION_NOR;
	bool		wanted = node->kind == CONDITION_NOT ||
		node->kind == CONDITION_NOR ? !want : want;
	bool		all = is_or != wanted;	/* each child must be as is wanted */
	Plan		plan = {all, NIL};

	if (node->kind == CONDITION_FIELD)
		return plan_field(explanation, node, want);
	for (int i = 0; i < node->n; i++)
	{
		Plan		child = plan_node(explanation, node->children[i], wanted);

		if (all)
		{
			plan.done = plan.done && child.done;
			plan.changes = list_concat(plan.changes, child.changes);
		}
		else if (child.done)
			plan.done = true;
		else if (i == 0 ||
				 list_length(child.changes) < list_length(plan.changes))
			plan.changes = child.changes;
	}
	if (plan.done)
		plan.changes = NIL;
	return plan;
}

static void
add_list(UaefJson *json, const char *key, const List *items)
{
	JsonbValue	value = {.type = jbvString};
	ListCell   *cell;

	value.val.string.val = unconstify(char *, key);
	value.val.string.len = strlen(key);
	(void) pushJsonbValue(&json->state, WJB_KEY, &value);
	(void) pushJsonbValue(&json->state, WJB_BEGIN_ARRAY, NULL);
	foreach(cell, items)
	{
		JsonbToJsonbValue(lfirst(cell), &value);
		(void) pushJsonbValue(&json->state, WJB_ELEM, &value);
	}
	(void) pushJsonbValue(&json->state, WJB_END_ARRAY, NULL);
}

/*
 * uaef_condition_explain -- why a condition holds or not, as an object
 */
Jsonb *
uaef_condition_explain(const UaefCondition *condition, UaefScope *scope)
{
	Explanation explanation = {scope, NIL};
	UaefEvalError error;
	UaefJson	json;
	bool		result;
	bool		answered = uaef_condition_eval(condition, scope, &result,
											   &error);
	Plan		plan = plan_node(&explanation, condition->root, true);

	uaef_json_begin(&json);
	if (answered)
		uaef_json_bool(&json, "result", result);
	else
	{
		UaefJson	below;

		uaef_json_begin(&below);
		uaef_json_text(&below, "code", unpack_sql_state(error.sqlstate));
		uaef_json_text(&below, "message", error.message);
		uaef_json_text(&below, "path", error.path);
		uaef_json_text(&below, "detail", error.detail);
		uaef_json_jsonb(&json, "error", uaef_json_end(&below));
	}
	add_list(&json, "clauses", explanation.clauses);
	if (!answered || !result)
		add_list(&json, "change", plan.changes);
	return uaef_json_end(&json);
}
