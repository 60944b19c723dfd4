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

#include "datatype/timestamp.h"
#include "miscadmin.h"
#include "utils/datetime.h"

#include "amount_internal.h"
#include "errcodes.h"

typedef struct Evaluation
{
	UaefScope  *scope;
	UaefEvalError *error;
	int			steps;
	AmountValue slots[UAEF_AMOUNT_MAX_DEPTH];	/* variables */
} Evaluation;

static const char *node_path(const AmountNode *node);
static const char *value_type(const AmountValue *value);
static bool fail_type(Evaluation *eval, const AmountNode *node,
					  const AmountValue *value, const char *wanted);
static bool fail_at(Evaluation *eval, const AmountNode *node);
static bool from_json(Evaluation *eval, const AmountNode *node,
					  const JsonbValue *json, AmountValue *value);
static bool look_up(Evaluation *eval, const AmountNode *node,
					JsonbValue *json);
static bool eval_path(Evaluation *eval, const AmountNode *node,
					  AmountValue *value);
static bool eval_node(Evaluation *eval, const AmountNode *node,
					  AmountValue *value);
static bool eval_as(Evaluation *eval, const AmountNode *node,
					AmountType type, const char *wanted, AmountValue *value);
static bool eval_number(Evaluation *eval, const AmountNode *node,
						AmountValue *value);
static bool eval_scale(Evaluation *eval, const AmountNode *node,
					   AmountValue *value);
static bool eval_bool(Evaluation *eval, const AmountNode *node, bool *value);
static bool same_currency(Evaluation *eval, const AmountValue *a,
						  const AmountValue *b);
static bool eval_sum(Evaluation *eval, const AmountNode *node,
					 AmountValue *value);
static bool eval_product(Evaluation *eval, const AmountNode *node,
						 AmountValue *value);
static bool eval_quotient(Evaluation *eval, const AmountNode *node,
						  AmountValue *value);
static bool compare_values(Evaluation *eval, const AmountNode *node,
						   const AmountValue *a, const AmountValue *b,
						   int *order);
static bool eval_comparison(Evaluation *eval, const AmountNode *node,
							AmountValue *value);
static bool array_of(Evaluation *eval, const AmountNode *node,
					 const AmountValue *value, JsonbIterator **it);
static bool in_array(Evaluation *eval, const AmountNode *node,
					 const AmountValue *left, bool *found);
static bool eval_membership(Evaluation *eval, const AmountNode *node,
							AmountValue *value);
static bool eval_logic(Evaluation *eval, const AmountNode *node,
					   AmountValue *value);
static bool eval_let(Evaluation *eval, const AmountNode *node,
					 AmountValue *value);
static bool pick(Evaluation *eval, const AmountNode *node,
				 const AmountValue *candidate, bool want_less,
				 AmountValue *value);
static bool eval_extreme(Evaluation *eval, const AmountNode *node,
						 AmountValue *value);
static bool eval_clamp(Evaluation *eval, const AmountNode *node,
					   AmountValue *value);
static bool eval_sign(Evaluation *eval, const AmountNode *node,
					  AmountValue *value);
static bool eval_pct(Evaluation *eval, const AmountNode *node,
					 AmountValue *value);
static bool eval_percent(Evaluation *eval, const AmountNode *node,
						 AmountValue *value);
static bool eval_round(Evaluation *eval, const AmountNode *node,
					   AmountValue *value);
static bool eval_to_number(Evaluation *eval, const AmountNode *node,
						   AmountValue *value);
static bool eval_money(Evaluation *eval, const AmountNode *node,
					   AmountValue *value);
static bool eval_default(Evaluation *eval, const AmountNode *node,
						 AmountValue *value);
static bool read_date(Evaluation *eval, const AmountNode *node, int *days);
static bool eval_days_between(Evaluation *eval, const AmountNode *node,
							  AmountValue *value);
static void begin_aggregate(const AmountNode *node, AmountValue *value);
static bool add_element(Evaluation *eval, const AmountNode *node,
						AmountValue *value, bool is_first, bool *done);
static bool end_aggregate(Evaluation *eval, const AmountNode *node,
						  int n, AmountValue *value);
static bool eval_aggregate(Evaluation *eval, const AmountNode *node,
						   AmountValue *value);
static bool tier_amount(const AmountTiers *tiers, const UaefFraction *base,
						UaefFraction *result, UaefEvalError *error);
static bool eval_tiers(const AmountTiers *tiers, AmountValue *value,
					   UaefEvalError *error);

/* The path of a node that reads data, else NULL. */
static const char *
node_path(const AmountNode *node)
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

static bool
fail_type(Evaluation *eval, const AmountNode *node, const AmountValue *value,
		  const char *wanted)
{
	const char *path = node_path(node);

	return uaef_eval_fail(eval->error, ERRCODE_UAEF_WRONG_TYPE, path, NULL,
						  "%s is %s where %s is needed",
						  path ? psprintf("\"%s\"", path) : "a value",
						  value_type(value), wanted);
}

/* A failure that happened below this node: name its path. */
static bool
fail_at(Evaluation *eval, const AmountNode *node)
{
	if (eval->error->path == NULL && node_path(node) != NULL)
		eval->error->path = pstrdup(node_path(node));
	return false;
}

/* A value of the data; its own JSON stays with it, for paths below it. */
static bool
from_json(Evaluation *eval, const AmountNode *node, const JsonbValue *json,
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
			return fail_at(eval, node);
	}
	return true;
}

/* What a path or a variable leads to; false when it is missing. */
static bool
look_up(Evaluation *eval, const AmountNode *node, JsonbValue *json)
{
	if (node->kind == NODE_VARIABLE)
		return uaef_path_get_below(node->path, 1,
								   &eval->slots[node->slot].json, json);
	return uaef_path_get(node->path, eval->scope, json);
}

static bool
eval_path(Evaluation *eval, const AmountNode *node, AmountValue *value)
{
	JsonbValue	json;

	if (node->kind == NODE_VARIABLE && node->type != AMOUNT_JSON)
	{
		*value = eval->slots[node->slot];
		return true;
	}
	if (!look_up(eval, node, &json))
		return uaef_eval_fail(eval->error, ERRCODE_UAEF_MISSING_PATH,
							  node_path(node), NULL, "\"%s\" is missing",
							  node_path(node));
	return from_json(eval, node, &json, value);
}

/* Evaluate a node whose value must be of a type. */
static bool
eval_as(Evaluation *eval, const AmountNode *node, AmountType type,
		const char *wanted, AmountValue *value)
{
	if (!eval_node(eval, node, value))
		return false;
	if (value->type != type)
		return fail_type(eval, node, value, wanted);
	return true;
}

static bool
eval_number(Evaluation *eval, const AmountNode *node, AmountValue *value)
{
	return eval_as(eval, node, AMOUNT_NUMBER, "a number", value);
}

/* A number or money. */
static bool
eval_scale(Evaluation *eval, const AmountNode *node, AmountValue *value)
{
	if (!eval_node(eval, node, value))
		return false;
	if (value->type != AMOUNT_NUMBER && value->type != AMOUNT_MONEY)
		return fail_type(eval, node, value, "a number");
	return true;
}

static bool
eval_bool(Evaluation *eval, const AmountNode *node, bool *value)
{
	AmountValue result;

	if (!eval_as(eval, node, AMOUNT_BOOL, "true or false", &result))
		return false;
	*value = result.boolean;
	return true;
}

/* Two values that are to be put together: both numbers, or of one currency. */
static bool
same_currency(Evaluation *eval, const AmountValue *a, const AmountValue *b)
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
eval_sum(Evaluation *eval, const AmountNode *node, AmountValue *value)
{
	AmountValue right;

	if (!eval_scale(eval, node->args[0], value) ||
		!eval_scale(eval, node->args[1], &right) ||
		!same_currency(eval, value, &right))
		return false;
	if (node->kind == NODE_SUBTRACT)
		return uaef_fraction_sub(&value->number, &right.number,
								 &value->number, eval->error);
	return uaef_fraction_add(&value->number, &right.number, &value->number,
							 eval->error);
}

/* a * b; the check has seen that at most one is money */
static bool
eval_product(Evaluation *eval, const AmountNode *node, AmountValue *value)
{
	AmountValue right;

	if (!eval_scale(eval, node->args[0], value) ||
		!eval_scale(eval, node->args[1], &right))
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
eval_quotient(Evaluation *eval, const AmountNode *node, AmountValue *value)
{
	AmountValue right;

	if (!eval_scale(eval, node->args[0], value) ||
		!eval_scale(eval, node->args[1], &right))
		return false;
	if (right.type == AMOUNT_MONEY)
	{
		if (!same_currency(eval, value, &right))
			return false;
		value->type = AMOUNT_NUMBER;
	}
	if (!uaef_fraction_div(&value->number, &right.number, &value->number,
						   eval->error))
		return fail_at(eval, node->args[1]);
	return true;
}

/* The order of two values of one type. */
static bool
compare_values(Evaluation *eval, const AmountNode *node, const AmountValue *a,
			   const AmountValue *b, int *order)
{
	if (a->type == AMOUNT_JSON || b->type == AMOUNT_JSON)
		return fail_type(eval, node->args[a->type == AMOUNT_JSON ? 0 : 1],
						 a->type == AMOUNT_JSON ? a : b,
						 "a value that can be compared");
	if (!same_currency(eval, a, b))
		return fail_at(eval, node->args[0]);
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
eval_comparison(Evaluation *eval, const AmountNode *node, AmountValue *value)
{
	AmountValue right;
	int			order;

	if (!eval_node(eval, node->args[0], value) ||
		!eval_node(eval, node->args[1], &right) ||
		!compare_values(eval, node, value, &right, &order))
		return false;
	if (value->type == AMOUNT_BOOL &&
		node->kind != NODE_EQ && node->kind != NODE_NE)
		return fail_type(eval, node->args[0], value,
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
static bool
array_of(Evaluation *eval, const AmountNode *node, const AmountValue *value,
		 JsonbIterator **it)
{
	JsonbValue	ignored;

	if (value->type != AMOUNT_JSON || value->json.type != jbvBinary ||
		!JsonContainerIsArray(value->json.val.binary.data))
		return fail_type(eval, node, value, "an array");
	*it = JsonbIteratorInit(value->json.val.binary.data);
	(void) JsonbIteratorNext(it, &ignored, false);
	return true;
}

/* a in path; a null in the array is equal to nothing */
static bool
in_array(Evaluation *eval, const AmountNode *node, const AmountValue *left,
		 bool *found)
{
	AmountValue array;
	JsonbIterator *it;
	JsonbValue	json;

	if (!eval_node(eval, node->args[1], &array) ||
		!array_of(eval, node->args[1], &array, &it))
		return false;
	while (!*found && JsonbIteratorNext(&it, &json, true) == WJB_ELEM)
	{
		AmountValue element;
		int			order;

		if (json.type == jbvNull)
			continue;
		if (++eval->steps > UAEF_AMOUNT_MAX_STEPS)
			return uaef_eval_fail(eval->error, ERRCODE_UAEF_COST_LIMIT,
								  node_path(node->args[1]), NULL,
								  "amount needs more than %d steps",
								  UAEF_AMOUNT_MAX_STEPS);
		if (!from_json(eval, node->args[1], &json, &element) ||
			!compare_values(eval, node, left, &element, &order))
			return false;
		*found = order == 0;
	}
	return true;
}

/* a in ["US", "CA"], a in path */
static bool
eval_membership(Evaluation *eval, const AmountNode *node, AmountValue *value)
{
	const AmountNode *list = node->args[1];
	AmountValue left;
	bool		found = false;

	if (!eval_node(eval, node->args[0], &left))
		return false;
	if (list->kind != NODE_LIST && !in_array(eval, node, &left, &found))
		return false;
	for (int i = 0; list->kind == NODE_LIST && !found && i < list->nargs; i++)
	{
		AmountValue item;
		int			order;

		if (!eval_node(eval, list->args[i], &item) ||
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
eval_logic(Evaluation *eval, const AmountNode *node, AmountValue *value)
{
	bool		result;

	if (!eval_bool(eval, node->args[0], &result))
		return false;
	if (node->kind == NODE_NOT)
		result = !result;
	else if (result == (node->kind == NODE_AND) &&
			 !eval_bool(eval, node->args[1], &result))
		return false;
	value->type = AMOUNT_BOOL;
	value->boolean = result;
	return true;
}

/* let name = a in b; a may use the slot itself, for variables of its own */
static bool
eval_let(Evaluation *eval, const AmountNode *node, AmountValue *value)
{
	AmountValue bound;

	if (!eval_node(eval, node->args[0], &bound))
		return false;
	eval->slots[node->slot] = bound;
	return eval_node(eval, node->args[1], value);
}

/* Replace *value by a candidate that is less, or more. */
static bool
pick(Evaluation *eval, const AmountNode *node, const AmountValue *candidate,
	 bool want_less, AmountValue *value)
{
	int			order;

	if (!same_currency(eval, value, candidate))
		return false;
	order = uaef_fraction_compare(&candidate->number, &value->number);
	if (want_less ? order < 0 : order > 0)
		*value = *candidate;
	return true;
}

/* min(a, b, ...), max(a, b, ...) */
static bool
eval_extreme(Evaluation *eval, const AmountNode *node, AmountValue *value)
{
	if (!eval_scale(eval, node->args[0], value))
		return false;
	for (int i = 1; i < node->nargs; i++)
	{
		AmountValue candidate;

		if (!eval_scale(eval, node->args[i], &candidate) ||
			!pick(eval, node, &candidate, node->kind == NODE_MIN, value))
			return false;
	}
	return true;
}

/* clamp(x, low, high) */
static bool
eval_clamp(Evaluation *eval, const AmountNode *node, AmountValue *value)
{
	AmountValue low;
	AmountValue high;

	if (!eval_scale(eval, node->args[0], value) ||
		!eval_scale(eval, node->args[1], &low) ||
		!eval_scale(eval, node->args[2], &high) ||
		!same_currency(eval, &low, &high))
		return false;
	if (uaef_fraction_compare(&low.number, &high.number) > 0)
		return uaef_eval_fail(eval->error, ERRCODE_UAEF_BAD_NUMBER, NULL, NULL,
							  "the low bound of clamp is above the high one");
	return pick(eval, node, &low, false, value) &&
		pick(eval, node, &high, true, value);
}

/* -x, abs(x) */
static bool
eval_sign(Evaluation *eval, const AmountNode *node, AmountValue *value)
{
	if (!eval_scale(eval, node->args[0], value))
		return false;
	if (node->kind == NODE_NEGATE || uaef_fraction_sign(&value->number) < 0)
		uaef_fraction_negate(&value->number, &value->number);
	return true;
}

/* pct(x, 2.5%) */
static bool
eval_pct(Evaluation *eval, const AmountNode *node, AmountValue *value)
{
	AmountValue rate;

	return eval_scale(eval, node->args[0], value) &&
		eval_number(eval, node->args[1], &rate) &&
		uaef_fraction_mul(&value->number, &rate.number, &value->number,
						  eval->error);
}

/* percent(2.5) is 2.5% */
static bool
eval_percent(Evaluation *eval, const AmountNode *node, AmountValue *value)
{
	UaefFraction hundred;

	uaef_fraction_from_int(100, &hundred);
	return eval_number(eval, node->args[0], value) &&
		uaef_fraction_div(&value->number, &hundred, &value->number,
						  eval->error);
}

/* round, floor, ceil */
static bool
eval_round(Evaluation *eval, const AmountNode *node, AmountValue *value)
{
	int			digits = node->digits;

	if (!eval_scale(eval, node->args[0], value))
		return false;
	if (digits < 0)
		digits = uaef_currency_exponent(value->currency);
	return uaef_fraction_round(&value->number, digits, node->rounding,
							   &value->number, eval->error);
}

/* number("12.34"): the one way from a text to a number */
static bool
eval_to_number(Evaluation *eval, const AmountNode *node, AmountValue *value)
{
	if (!eval_node(eval, node->args[0], value))
		return false;
	if (value->type == AMOUNT_NUMBER)
		return true;
	if (value->type != AMOUNT_TEXT)
		return fail_type(eval, node->args[0], value,
						 "a number or a decimal string");
	value->type = AMOUNT_NUMBER;
	if (!uaef_fraction_parse(value->json.val.string.val,
							 value->json.val.string.len, &value->number,
							 eval->error))
		return fail_at(eval, node->args[0]);
	return true;
}

/* money(x, "EUR") */
static bool
eval_money(Evaluation *eval, const AmountNode *node, AmountValue *value)
{
	AmountValue code;
	char	   *currency;

	if (!eval_number(eval, node->args[0], value))
		return false;
	value->type = AMOUNT_MONEY;
	if (node->currency[0] != '\0')
	{
		strlcpy(value->currency, node->currency, sizeof(value->currency));
		return true;
	}
	if (!eval_as(eval, node->args[1], AMOUNT_TEXT, "a currency", &code))
		return false;
	currency = pnstrdup(code.json.val.string.val, code.json.val.string.len);
	if (uaef_currency_exponent(currency) < 0)
		return uaef_eval_fail(eval->error, ERRCODE_UAEF_CURRENCY,
							  node_path(node->args[1]), NULL,
							  "unknown currency \"%.*s\"",
							  Min(code.json.val.string.len, 20), currency);
	strlcpy(value->currency, currency, sizeof(value->currency));
	return true;
}

/* default(path, value): for what is missing; a null is there */
static bool
eval_default(Evaluation *eval, const AmountNode *node, AmountValue *value)
{
	JsonbValue	json;

	if (!look_up(eval, node->args[0], &json))
		return eval_node(eval, node->args[1], value);
	return from_json(eval, node->args[0], &json, value);
}

/* YYYY-MM-DD, or the date of a UTC time YYYY-MM-DDT...Z, as a Julian day. */
static bool
read_date(Evaluation *eval, const AmountNode *node, int *days)
{
	AmountValue value;
	const char *text;
	int			len;
	int			year,
				month,
				day;

	if (!eval_as(eval, node, AMOUNT_TEXT, "a date", &value))
		return false;
	text = value.json.val.string.val;
	len = value.json.val.string.len;
	if (len < 10 || (len > 10 && (text[10] != 'T' || text[len - 1] != 'Z')) ||
		strspn(text, "0123456789-") < 10 || text[4] != '-' || text[7] != '-' ||
		sscanf(pnstrdup(text, 10), "%4d-%2d-%2d", &year, &month, &day) != 3 ||
		month < 1 || month > 12 || day < 1 ||
		day > day_tab[isleap(year)][month - 1])
		return uaef_eval_fail(eval->error, ERRCODE_UAEF_WRONG_TYPE,
							  node_path(node), NULL,
							  "\"%.*s\" is not a date", Min(len, 40), text);
	*days = date2j(year, month, day);
	return true;
}

/* days_between(a, b): b - a in days */
static bool
eval_days_between(Evaluation *eval, const AmountNode *node,
				  AmountValue *value)
{
	int			from;
	int			to;

	if (!read_date(eval, node->args[0], &from) ||
		!read_date(eval, node->args[1], &to))
		return false;
	value->type = AMOUNT_NUMBER;
	uaef_fraction_from_int(to - from, &value->number);
	return true;
}

/* The value of an aggregate over nothing. */
static void
begin_aggregate(const AmountNode *node, AmountValue *value)
{
	value->type = node->type;
	value->boolean = node->kind == NODE_ALL_OF;
	uaef_fraction_from_int(0, &value->number);
	strlcpy(value->currency, node->currency, sizeof(value->currency));
}

/* Take one more element in; sets *done when the rest cannot matter. */
static bool
add_element(Evaluation *eval, const AmountNode *node, AmountValue *value,
			bool is_first, bool *done)
{
	AmountValue element;
	UaefFraction one;

	switch (node->kind)
	{
		case NODE_ANY_OF:
		case NODE_ALL_OF:
			if (!eval_bool(eval, node->args[1], &value->boolean))
				return false;
			*done = value->boolean == (node->kind == NODE_ANY_OF);
			return true;
		case NODE_COUNT_OF:
			if (!eval_bool(eval, node->args[1], &element.boolean))
				return false;
			uaef_fraction_from_int(element.boolean ? 1 : 0, &one);
			return uaef_fraction_add(&value->number, &one, &value->number,
									 eval->error);
		default:
			break;
	}

	if (!eval_scale(eval, node->args[1], &element))
		return false;
	if (is_first)
	{
		*value = element;
		return true;
	}
	if (node->kind != NODE_SUM_OF)
		return pick(eval, node, &element, node->kind == NODE_MIN_OF, value);
	return same_currency(eval, value, &element) &&
		uaef_fraction_add(&value->number, &element.number, &value->number,
						  eval->error);
}

/* What a list without elements cannot give. */
static bool
end_aggregate(Evaluation *eval, const AmountNode *node, int n,
			  AmountValue *value)
{
	if (n > 0)
		return true;
	if (node->kind == NODE_MIN_OF || node->kind == NODE_MAX_OF)
		return uaef_eval_fail(eval->error, ERRCODE_UAEF_MISSING_PATH,
							  node_path(node->args[0]), NULL,
							  "an empty list has no %s", node->name);
	if (value->type == AMOUNT_MONEY && value->currency[0] == '\0')
		return uaef_eval_fail(eval->error, ERRCODE_UAEF_CURRENCY,
							  node_path(node->args[0]), NULL,
							  "the sum of an empty list has no currency");
	return true;
}

/* sum(i in path: body) and its like */
static bool
eval_aggregate(Evaluation *eval, const AmountNode *node, AmountValue *value)
{
	AmountValue list;
	JsonbIterator *it;
	JsonbValue	json;
	bool		done = false;
	int			n = 0;

	if (!eval_node(eval, node->args[0], &list) ||
		!array_of(eval, node->args[0], &list, &it))
		return false;
	begin_aggregate(node, value);
	while (!done && JsonbIteratorNext(&it, &json, true) == WJB_ELEM)
	{
		if (node->max_items > 0 && n == node->max_items)
			return uaef_eval_fail(eval->error, ERRCODE_UAEF_COST_LIMIT,
								  node_path(node->args[0]), NULL,
								  "\"%s\" has more than %d elements",
								  node_path(node->args[0]), node->max_items);
		if (!from_json(eval, node->args[0], &json,
					   &eval->slots[node->slot]) ||
			!add_element(eval, node, value, n == 0, &done))
		{
			const char *detail = eval->error->detail;

			eval->error->detail = psprintf("%s%sin element %d of \"%s\"",
										   detail ? detail : "",
										   detail ? ", " : "", n,
										   node_path(node->args[0]));
			return false;
		}
		n++;
	}
	return end_aggregate(eval, node, n, value);
}

/* Evaluate any node. */
static bool
eval_node(Evaluation *eval, const AmountNode *node, AmountValue *value)
{
	bool		chosen;

	if (++eval->steps > UAEF_AMOUNT_MAX_STEPS)
		return uaef_eval_fail(eval->error, ERRCODE_UAEF_COST_LIMIT, NULL, NULL,
							  "amount needs more than %d steps",
							  UAEF_AMOUNT_MAX_STEPS);
	switch (node->kind)
	{
		case NODE_CONSTANT:
			*value = node->constant;
			return true;
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
			return eval_bool(eval, node->args[0], &chosen) &&
				eval_node(eval, node->args[chosen ? 1 : 2], value);
		case NODE_LET:
			return eval_let(eval, node, value);
		case NODE_MIN:
		case NODE_MAX:
			return eval_extreme(eval, node, value);
		case NODE_CLAMP:
			return eval_clamp(eval, node, value);
		case NODE_NEGATE:
		case NODE_ABS:
			return eval_sign(eval, node, value);
		case NODE_PCT:
			return eval_pct(eval, node, value);
		case NODE_PERCENT:
			return eval_percent(eval, node, value);
		case NODE_ROUND:
		case NODE_FLOOR:
		case NODE_CEIL:
			return eval_round(eval, node, value);
		case NODE_NUMBER:
			return eval_to_number(eval, node, value);
		case NODE_MONEY:
			return eval_money(eval, node, value);
		case NODE_DEFAULT:
			return eval_default(eval, node, value);
		case NODE_EXISTS:
			value->type = AMOUNT_BOOL;
			value->boolean = look_up(eval, node->args[0], &value->json);
			return true;
		case NODE_DAYS_BETWEEN:
			return eval_days_between(eval, node, value);
		case NODE_SUM_OF:
		case NODE_COUNT_OF:
		case NODE_MIN_OF:
		case NODE_MAX_OF:
		case NODE_ANY_OF:
		case NODE_ALL_OF:
			return eval_aggregate(eval, node, value);
		case NODE_LIST:
			break;
	}
	elog(ERROR, "unexpected amount node %d", (int) node->kind);
	return false;
}

/* The amount that a tier table gives for a base. */
static bool
tier_amount(const AmountTiers *tiers, const UaefFraction *base,
			UaefFraction *result, UaefEvalError *error)
{
	UaefFraction below;

	uaef_fraction_from_int(0, &below);
	uaef_fraction_from_int(0, result);
	for (int i = 0; i < tiers->nbands; i++)
	{
		const AmountBand *band = &tiers->bands[i];
		bool		is_here = band->is_last ||
		uaef_fraction_compare(base, &band->to) <= 0;
		UaefFraction part = is_here ? *base : band->to;

		if (!tiers->is_marginal)
		{
			if (is_here)
				return uaef_fraction_mul(base, &band->rate, result, error);
			continue;
		}
		if (!uaef_fraction_sub(&part, &below, &part, error) ||
			!uaef_fraction_mul(&part, &band->rate, &part, error) ||
			!uaef_fraction_add(result, &part, result, error))
			return false;
		if (is_here)
			return true;
		below = band->to;
	}
	elog(ERROR, "tier table without a last band");
	return false;
}

/* Replace a base by its amount, within min and max. */
static bool
eval_tiers(const AmountTiers *tiers, AmountValue *value, UaefEvalError *error)
{
	UaefFraction result;

	if (uaef_fraction_sign(&value->number) < 0)
		return uaef_eval_fail(error, ERRCODE_UAEF_NEGATIVE_AMOUNT, NULL, NULL,
							  "tiers are on a negative amount");
	if (!tier_amount(tiers, &value->number, &result, error))
		return false;
	value->number = result;
	if (tiers->min != NULL && uaef_fraction_compare(&result, tiers->min) < 0)
		value->number = *tiers->min;
	if (tiers->max != NULL && uaef_fraction_compare(&result, tiers->max) > 0)
		value->number = *tiers->max;
	return true;
}

/*
 * uaef_amount_eval -- evaluate to an exact amount and its currency
 *
 * Returns false and sets *error on failure.
 */
bool
uaef_amount_eval(const UaefAmount *amount, UaefScope *scope,
				 UaefRational *exact, const char **currency,
				 UaefEvalError *error)
{
	Evaluation	eval;
	AmountValue value;

	eval.scope = scope;
	eval.error = error;
	eval.steps = 0;
	if (!eval_scale(&eval, amount->root, &value))
		return false;
	if (value.type != AMOUNT_MONEY)
		*currency = amount->currency;
	else if (amount->currency[0] != '\0' &&
			 strcmp(amount->currency, value.currency) != 0)
		return uaef_eval_fail(error, ERRCODE_UAEF_CURRENCY, NULL, NULL,
							  "amount is in %s, not in %s", value.currency,
							  amount->currency);
	else
		*currency = amount->currency[0] != '\0' ?
			amount->currency : pstrdup(value.currency);
	if (amount->tiers != NULL && !eval_tiers(amount->tiers, &value, error))
		return false;
	uaef_fraction_to_rational(&value.number, exact);
	return true;
}

/*
 * uaef_amount_compile -- compile an expression
 *
 * Raises UA221 with the position, or UA208 for currencies.
 */
UaefAmount *
uaef_amount_compile(const char *text, const char *currency, bool any_root)
{
	UaefAmount *amount = palloc0(sizeof(UaefAmount));

	if (currency != NULL && uaef_currency_exponent(currency) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_CURRENCY),
				 errmsg("unknown currency \"%s\"", currency)));
	amount->root = uaef_amount_parse(text, any_root);
	uaef_amount_check_result(text, amount->root, currency);
	strlcpy(amount->currency, currency ? currency : amount->root->currency,
			sizeof(amount->currency));
	return amount;
}

static void
visit_node(const AmountNode *node,
		   void (*visit) (const UaefPath *path, void *arg), void *arg)
{
	if (node->kind == NODE_PATH)
		visit(node->path, arg);
	for (int i = 0; i < node->nargs; i++)
		visit_node(node->args[i], visit, arg);
}

/*
 * uaef_amount_paths -- call visit for each path into the scope
 */
void
uaef_amount_paths(const UaefAmount *amount,
				  void (*visit) (const UaefPath *path, void *arg), void *arg)
{
	visit_node(amount->root, visit, arg);
}

/*
 * uaef_amount_currency -- the currency of the result
 *
 * NULL when only the data knows it.
 */
const char *
uaef_amount_currency(const UaefAmount *amount)
{
	return amount->currency[0] == '\0' ? NULL : amount->currency;
}
