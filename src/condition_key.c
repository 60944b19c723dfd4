/*-------------------------------------------------------------------------
 *
 * condition_key.c
 *	  By which text a condition can be found among many.
 *
 * A condition that asks a path to be one of some texts is false for every
 * other text, provided that what it looks at before that gives no failure.
 * So the paths that come before, and the types that their operators can
 * judge, belong to the key.
 *
 * Locking: none.  Memory: none; a key points into its condition.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "condition_internal.h"

static bool judged_types(const ConditionNode *node, uint32 *types);
static bool is_key(const ConditionNode *node, UaefConditionKey *key);

/* The types for which the operators of a field have an answer. */
static bool
judged_types(const ConditionNode *node, uint32 *types)
{
	*types = UAEF_TYPE_ANY;
	if (node->kind != CONDITION_FIELD || node->path == NULL)
		return false;
	for (int i = 0; i < node->clauses.n; i++)
	{
		const ConditionClause *clause = &node->clauses.items[i];

		switch (clause->op)
		{
			case OP_EQ:
			case OP_NE:
			case OP_IN:
			case OP_NIN:
			case OP_GT:
			case OP_GTE:
			case OP_LT:
			case OP_LTE:
			case OP_BETWEEN:
				*types &= clause->types;
				break;
			default:
				return false;
		}
	}
	return *types != 0;
}

/* Is it path: text, or path: {"$in": [texts]}? */
static bool
is_key(const ConditionNode *node, UaefConditionKey *key)
{
	const ConditionClause *clause;

	if (node->kind != CONDITION_FIELD || node->path == NULL ||
		node->clauses.n != 1)
		return false;
	clause = &node->clauses.items[0];
	if (clause->types != TYPE_STRING)
		return false;
	key->path = node->path;
	if (clause->op == OP_EQ)
	{
		key->nvalues = 1;
		key->values = &clause->operand;
		return true;
	}
	key->nvalues = clause->nlist;
	key->values = clause->list;
	return clause->op == OP_IN;
}

bool
uaef_condition_key(const UaefCondition *condition, UaefConditionKey *key)
{
	const ConditionNode *root = condition->root;

	key->nbefore = 0;
	if (is_key(root, key))
		return true;
	if (root->kind != CONDITION_AND)
		return false;
	for (int i = 0; i < root->n; i++)
	{
		const ConditionNode *child = root->children[i];

		if (is_key(child, key))
			return true;
		if (key->nbefore == UAEF_KEY_MAX_BEFORE ||
			!judged_types(child, &key->before[key->nbefore].types))
			return false;
		key->before[key->nbefore++].path = child->path;
	}
	return false;
}
