/*-------------------------------------------------------------------------
 *
 * amount_eval.c
 *	  The amount language: evaluating.
 *
 * Types that only the data knows are checked here, and what fails is a
 * failure with the path that led to it.  No failure leaves a number behind.
 * The number of steps is bounded, whatever lists the data holds.
 *
 * Locking: none.  Memory: what is palloc'd is left to the current context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "amount_internal.h"
#include "errcodes.h"

static const char *value_type(const AmountValue *value);
static bool eval_path(AmountEvaluation *eval, const AmountNode *node, AmountValue *value);
static bool eval_sum(AmountEvaluation *eval, const AmountNode *node, AmountValue *value);
static bool eval_product(AmountEvaluation *eval, const AmountNode *node, AmountValue *value);
static bool eval_quotient(AmountEvaluation *eval, const AmountNode *node, AmountValue *value);
static bool compare_values(AmountEvaluation *eval, const AmountNode *node, const AmountValue *a,
						   const AmountValue *b, int *order);
static bool eval_comparison(AmountEvaluation *eval, const AmountNode *node, AmountValue *value);
static bool in_array(AmountEvaluation *eval, const AmountNode *node, const AmountValue *left,
					 bool *found);
static bool eval_membership(AmountEvaluation *eval, const AmountNode *node, AmountValue *value);
static bool eval_logic(AmountEvaluation *eval, const AmountNode *node, AmountValue *value);
static bool eval_let(AmountEvaluation *eval, const AmountNode *node, AmountValue *value);
static bool eval_by_kind(AmountEvaluation *eval, const AmountNode *node, AmountValue *value);

/* The path of a node that reads data, else NULL. */
const char *
uaef_amount_node_path(const AmountNode *node)
{
	if (node->kind == NODE_DEFAULT)
		node = node->args[0];
	return node->path == NULL ? NULL : uaef_path_text(node->path);
}

static const char *
value_type(const AmountValue *value)
{
	switch (value->type)
	{
		case AMOUNT_BOOL:
			return "boolean";
		case AMOUNT_NUMBER:
		case AMOUNT_PERCENT:
			return "number";
		case AMOUNT_MONEY:
			return "money";
		case AMOUNT_TEXT:
			return "string";
		case AMOUNT_JSON:
			return uaef_value_type(&value->json);
		case AMOUNT_LIST:
			return "list";
	}
	return "nothing";
}

bool
uaef_amount_fail_type(AmountEvaluation *eval, const AmountNode *node, const AmountValue *value,
					  const char *wanted)
{
	const char *path = uaef_amount_node_path(node);

	return uaef_eval_fail(eval->error, ERRCODE_UAEF_WRONG_TYPE, path, NULL,
						  "%s is %s where %s is needed",
						  path ? psprintf("\"%s\"", path) : "a value",
						  value_type(value), wanted);
}

/* A failure that happened below this node: name its path. */
bool
uaef_amount_fail_at(AmountEvaluation *eval, const AmountNode *node)
{
	if (eval->error->path == NULL && uaef_amount_node_path(node) != NULL)
		eval->error->path = pstrdup(uaef_amount_node_path(node));
	return false;
}

/* A value of the data; its own JSON stays with it, for paths below it. */
bool
uaef_amount_from_json(AmountEvaluation *eval, const AmountNode *node, const JsonbValue *json,
					  AmountValue *value)
{
	value->json = *json;
	value->type = AMOUNT_JSON;
	if (json->type == jbvString)
		value->type = AMOUNT_TEXT;
	else if (json->type == jbvBool)
	{
		value->type = AMOUNT_BOOL;
		value->boolean = json->val.boolean;
	}
	else if (json->type == jbvNumeric)
	{
		value->type = AMOUNT_NUMBER;
		if (!uaef_fraction_from_numeric(json->val.numeric, &value->number,
										eval->error))
			return uaef_amount_fail_at(eval, node);
	}
	return true;
}

/* What a path or a variable leads to; false when it is missing. */
bool
uaef_amount_look_up(AmountEvaluation *eval, const AmountNode *node, JsonbValue *json)
{
	if (node->kind == NODE_VARIABLE)
		return uaef_path_get_below(node->path, 1,
								   &eval->slots[node->slot].json, json);
	return uaef_path_get(node->path, eval->scope, json);
}

static bool
eval_path(AmountEvaluation *eval, const AmountNode *node, AmountValue *value)
{
	JsonbValue	json;

	if (node->kind == NODE_VARIABLE && node->type != AMOUNT_JSON)
	{
		*value = eval->slots[node->slot];
		return true;
	}
	if (!uaef_amount_look_up(eval, node, &json))
		return uaef_eval_fail(eval->error, ERRCODE_UAEF_MISSING_PATH,
							  uaef_amount_node_path(node), NULL, "\"%s\" is missing",
							  uaef_amount_node_path(node));
	return uaef_amount_from_json(eval, node, &json, value);
}

/* Evaluate a node whose value must be of a type. */
bool
uaef_amount_eval_as(AmountEvaluation *eval, const AmountNode *node, AmountType type,
					const char *wanted, AmountValue *value)
{
	if (!uaef_amount_eval_node(eval, node, value))
		return false;
	if (value->type != type)
		return uaef_amount_fail_type(eval, node, value, wanted);
	return true;
}

bool
uaef_amount_eval_number(AmountEvaluation *eval, const AmountNode *node, AmountValue *value)
{
	return uaef_amount_eval_as(eval, node, AMOUNT_NUMBER, "a number", value);
}

/* A number or money. */
bool
uaef_amount_eval_scale(AmountEvaluation *eval, const AmountNode *node, AmountValue *value)
{
	if (!uaef_amount_eval_node(eval, node, value))
		return false;
	if (value->type != AMOUNT_NUMBER && value->type != AMOUNT_MONEY)
		return uaef_amount_fail_type(eval, node, value, "a number");
	return true;
}

bool
uaef_amount_eval_bool(AmountEvaluation *eval, const AmountNode *node, bool *value)
{
	AmountValue result;

	if (!uaef_amount_eval_as(eval, node, AMOUNT_BOOL, "true or false", &result))
		return false;
	*value = result.boolean;
	return true;
}

/* Two values that are to be put together: both numbers, or of one currency. */
bool
uaef_amount_same_currency(AmountEvaluation *eval, const AmountValue *a, const AmountValue *b)
{
	if (a->type != b->type)
		return uaef_eval_fail(eval->error, ERRCODE_UAEF_WRONG_TYPE, NULL, NULL,
							  "%s and %s do not mix", value_type(a),
							  value_type(b));
	if (a->type == AMOUNT_MONEY && strcmp(a->currency, b->currency) != 0)
		return uaef_eval_fail(eval->error, ERRCODE_UAEF_CURRENCY, NULL, NULL,
							  "%s and %s do not mix", a->currency,
							  b->currency);
	return true;
}

/* a + b, a - b */
static bool
eval_sum(AmountEvaluation *eval, const AmountNode *node, AmountValue *value)
{
	AmountValue right;

	if (!uaef_amount_eval_scale(eval, node->args[0], value) ||
		!uaef_amount_eval_scale(eval, node->args[1], &right) ||
		!uaef_amount_same_currency(eval, value, &right))
		return false;
	if (node->kind == NODE_SUBTRACT)
		return uaef_fraction_sub(&value->number, &right.number,
								 &value->number, eval->error);
	return uaef_fraction_add(&value->number, &right.number, &value->number,
							 eval->error);
}

/* a * b; the check has seen that at most one is money */
static bool
eval_product(AmountEvaluation *eval, const AmountNode *node, AmountValue *value)
{
	AmountValue right;

	if (!uaef_amount_eval_scale(eval, node->args[0], value) ||
		!uaef_amount_eval_scale(eval, node->args[1], &right))
		return false;
	if (right.type == AMOUNT_MONEY)
	{
		value->type = AMOUNT_MONEY;
		strlcpy(value->currency, right.currency, sizeof(value->currency));
	}
	return uaef_fraction_mul(&value->number, &right.number, &value->number,
							 eval->error);
}

/* a / b; money over money is a number */
static bool
eval_quotient(AmountEvaluation *eval, const AmountNode *node, AmountValue *value)
{
	AmountValue right;

	if (!uaef_amount_eval_scale(eval, node->args[0], value) ||
		!uaef_amount_eval_scale(eval, node->args[1], &right))
		return false;
	if (right.type == AMOUNT_MONEY)
	{
		if (!uaef_amount_same_currency(eval, value, &right))
			return false;
		value->type = AMOUNT_NUMBER;
	}
	if (!uaef_fraction_div(&value->number, &right.number, &value->number,
						   eval->error))
		return uaef_amount_fail_at(eval, node->args[1]);
	return true;
}

/* The order of two values of one type. */
static bool
compare_values(AmountEvaluation *eval, const AmountNode *node, const AmountValue *a,
			   const AmountValue *b, int *order)
{
	if (a->type == AMOUNT_JSON || b->type == AMOUNT_JSON)
		return uaef_amount_fail_type(eval, node->args[a->type == AMOUNT_JSON ? 0 : 1],
									 a->type == AMOUNT_JSON ? a : b,
									 "a value that can be compared");
	if (!uaef_amount_same_currency(eval, a, b))
		return uaef_amount_fail_at(eval, node->args[0]);
	if (a->type == AMOUNT_TEXT)
	{
		int			a_len = a->json.val.string.len;
		int			b_len = b->json.val.string.len;

		*order = memcmp(a->json.val.string.val, b->json.val.string.val,
						Min(a_len, b_len));
		if (*order == 0)
			*order = a_len - b_len;
	}
	else if (a->type == AMOUNT_BOOL)
		*order = (int) a->boolean - (int) b->boolean;
	else
		*order = uaef_fraction_compare(&a->number, &b->number);
	return true;
}

static bool
eval_comparison(AmountEvaluation *eval, const AmountNode *node, AmountValue *value)
{
	AmountValue right;
	int			order;

	if (!uaef_amount_eval_node(eval, node->args[0], value) ||
		!uaef_amount_eval_node(eval, node->args[1], &right) ||
		!compare_values(eval, node, value, &right, &order))
		return false;
	if (value->type == AMOUNT_BOOL &&
		node->kind != NODE_EQ && node->kind != NODE_NE)
		return uaef_amount_fail_type(eval, node->args[0], value,
									 "a value that has an order");
	value->type = AMOUNT_BOOL;
	value->boolean =
		node->kind == NODE_EQ ? order == 0 :
		node->kind == NODE_NE ? order != 0 :
		node->kind == NODE_LT ? order < 0 :
		node->kind == NODE_LE ? order <= 0 :
		node->kind == NODE_GT ? order > 0 : order >= 0;
	return true;
}

/* Begin to go over the elements of a value. */
bool
uaef_amount_array_of(AmountEvaluation *eval, const AmountNode *node, const AmountValue *value,
					 JsonbIterator **it)
{
	JsonbValue	ignored;

	if (value->type != AMOUNT_JSON || value->json.type != jbvBinary ||
		!JsonContainerIsArray(value->json.val.binary.data))
		return uaef_amount_fail_type(eval, node, value, "an array");
	*it = JsonbIteratorInit(value->json.val.binary.data);
	(void) JsonbIteratorNext(it, &ignored, false);
	return true;
}

/* a in path; a null in the array is equal to nothing */
static bool
in_array(AmountEvaluation *eval, const AmountNode *node, const AmountValue *left,
		 bool *found)
{
	AmountValue array;
	JsonbIterator *it;
	JsonbValue	json;

	if (!uaef_amount_eval_node(eval, node->args[1], &array) ||
		!uaef_amount_array_of(eval, node->args[1], &array, &it))
		return false;
	while (!*found && JsonbIteratorNext(&it, &json, true) == WJB_ELEM)
	{
		AmountValue element;
		int			order;

		if (json.type == jbvNull)
			continue;
		if (++eval->steps > UAEF_AMOUNT_MAX_STEPS)
			return uaef_eval_fail(eval->error, ERRCODE_UAEF_COST_LIMIT,
								  uaef_amount_node_path(node->args[1]), NULL,
								  "amount needs more than %d steps",
								  UAEF_AMOUNT_MAX_STEPS);
		if (!uaef_amount_from_json(eval, node->args[1], &json, &element) ||
			!compare_values(eval, node, left, &element, &order))
			return false;
		*found = order == 0;
	}
	return true;
}

/* a in ["US", "CA"], a in path */
static bool
eval_membership(AmountEvaluation *eval, const AmountNode *node, AmountValue *value)
{
	const AmountNode *list = node->args[1];
	AmountValue left;
	bool		found = false;

	if (!uaef_amount_eval_node(eval, node->args[0], &left))
		return false;
	if (list->kind != NODE_LIST && !in_array(eval, node, &left, &found))
		return false;
	for (int i = 0; list->kind == NODE_LIST && !found && i < list->nargs; i++)
	{
		AmountValue item;
		int			order;

		if (!uaef_amount_eval_node(eval, list->args[i], &item) ||
			!compare_values(eval, node, &left, &item, &order))
			return false;
		found = order == 0;
	}
	value->type = AMOUNT_BOOL;
	value->boolean = found;
	return true;
}

/* and, or, not: left to right, no further than needed */
static bool
eval_logic(AmountEvaluation *eval, const AmountNode *node, AmountValue *value)
{
	bool		result;

	if (!uaef_amount_eval_bool(eval, node->args[0], &result))
		return false;
	if (node->kind == NODE_NOT)
		result = !result;
	else if (result == (node->kind == NODE_AND) &&
			 !uaef_amount_eval_bool(eval, node->args[1], &result))
		return false;
	value->type = AMOUNT_BOOL;
	value->boolean = result;
	return true;
}

/* let name = a in b; a may use the slot itself, for variables of its own */
static bool
eval_let(AmountEvaluation *eval, const AmountNode *node, AmountValue *value)
{
	AmountValue bound;

	if (!uaef_amount_eval_node(eval, node->args[0], &bound))
		return false;
	eval->slots[node->slot] = bound;
	return uaef_amount_eval_node(eval, node->args[1], value);
}

/* Evaluate any node but those of values that are written. */
static bool
eval_by_kind(AmountEvaluation *eval, const AmountNode *node, AmountValue *value)
{
	bool		chosen;

	if (++eval->steps > UAEF_AMOUNT_MAX_STEPS)
		return uaef_eval_fail(eval->error, ERRCODE_UAEF_COST_LIMIT, NULL, NULL,
							  "amount needs more than %d steps",
							  UAEF_AMOUNT_MAX_STEPS);
	switch (node->kind)
	{
		case NODE_PATH:
		case NODE_VARIABLE:
			return eval_path(eval, node, value);
		case NODE_ADD:
		case NODE_SUBTRACT:
			return eval_sum(eval, node, value);
		case NODE_MULTIPLY:
			return eval_product(eval, node, value);
		case NODE_DIVIDE:
			return eval_quotient(eval, node, value);
		case NODE_EQ:
		case NODE_NE:
		case NODE_LT:
		case NODE_LE:
		case NODE_GT:
		case NODE_GE:
			return eval_comparison(eval, node, value);
		case NODE_IN:
			return eval_membership(eval, node, value);
		case NODE_AND:
		case NODE_OR:
		case NODE_NOT:
			return eval_logic(eval, node, value);
		case NODE_IF:
			return uaef_amount_eval_bool(eval, node->args[0], &chosen) &&
				uaef_amount_eval_node(eval, node->args[chosen ? 1 : 2], value);
		case NODE_LET:
			return eval_let(eval, node, value);
		case NODE_LIST:
			break;
		default:
			return uaef_amount_eval_function(eval, node, value);
	}
	elog(ERROR, "unexpected amount node %d", (int) node->kind);
	return false;
}

/*
 * uaef_amount_eval_node -- evaluate any node
 */
bool
uaef_amount_eval_node(AmountEvaluation *eval, const AmountNode *node, AmountValue *value)
{
	AmountStep *step;

	if (node->kind == NODE_CONSTANT)
	{
		eval->steps++;
		*value = node->constant;
		return true;
	}
	if (!eval_by_kind(eval, node, value))
		return false;
	if (eval->trace != NULL)
	{
		step = palloc(sizeof(AmountStep));
		step->node = node;
		step->value = *value;
		*eval->trace = lappend(*eval->trace, step);
	}
	return true;
}

/* What a node is called in a trace. */
const char *
uaef_amount_node_name(const AmountNode *node)
{
	static const char *const names[] = {
		[NODE_NEGATE] = "-",[NODE_ADD] = "+",[NODE_SUBTRACT] = "-",
		[NODE_MULTIPLY] = "*",[NODE_DIVIDE] = "/",[NODE_EQ] = "=",
		[NODE_NE] = "!=",[NODE_LT] = "<",[NODE_LE] = "<=",[NODE_GT] = ">",
		[NODE_GE] = ">=",[NODE_IN] = "in",[NODE_AND] = "and",
		[NODE_OR] = "or",[NODE_NOT] = "not",[NODE_IF] = "if",
		[NODE_LET] = "let"
	};

	if (node->name != NULL)
		return node->name;
	return node->kind < lengthof(names) && names[node->kind] != NULL ?
		names[node->kind] : "value";
}
