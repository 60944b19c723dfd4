/*-------------------------------------------------------------------------
 *
 * amount_function.c
 *	  The amount language: evaluating functions and aggregates.
 *
 * Locking: none.  Memory: as for amount_eval.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/datetime.h"

#include "amount_internal.h"
#include "errcodes.h"

static bool pick(AmountEvaluation *eval, const AmountNode *node, const AmountValue *candidate,
				 bool want_less, AmountValue *value);
static bool eval_extreme(AmountEvaluation *eval, const AmountNode *node, AmountValue *value);
static bool eval_clamp(AmountEvaluation *eval, const AmountNode *node, AmountValue *value);
static bool eval_sign(AmountEvaluation *eval, const AmountNode *node, AmountValue *value);
static bool eval_pct(AmountEvaluation *eval, const AmountNode *node, AmountValue *value);
static bool eval_percent(AmountEvaluation *eval, const AmountNode *node, AmountValue *value);
static bool eval_round(AmountEvaluation *eval, const AmountNode *node, AmountValue *value);
static bool eval_to_number(AmountEvaluation *eval, const AmountNode *node, AmountValue *value);
static bool eval_money(AmountEvaluation *eval, const AmountNode *node, AmountValue *value);
static bool find_argument(AmountEvaluation *eval, const AmountNode *node, JsonbValue *json,
						  bool *found);
static bool eval_default(AmountEvaluation *eval, const AmountNode *node, AmountValue *value);
static bool eval_exists(AmountEvaluation *eval, const AmountNode *node, AmountValue *value);
static bool read_date(AmountEvaluation *eval, const AmountNode *node, int *days);
static bool eval_days_between(AmountEvaluation *eval, const AmountNode *node,
							  AmountValue *value);
static void begin_aggregate(const AmountNode *node, AmountValue *value);
static bool add_element(AmountEvaluation *eval, const AmountNode *node, AmountValue *value,
						bool is_first, bool *done);
static bool end_aggregate(AmountEvaluation *eval, const AmountNode *node, int n,
						  AmountValue *value);
static bool eval_aggregate(AmountEvaluation *eval, const AmountNode *node, AmountValue *value);

/* Replace *value by a candidate that is less, or more. */
static bool
pick(AmountEvaluation *eval, const AmountNode *node, const AmountValue *candidate,
	 bool want_less, AmountValue *value)
{
	int			order;

	if (!uaef_amount_same_currency(eval, value, candidate))
		return false;
	order = uaef_fraction_compare(&candidate->number, &value->number);
	if (want_less ? order < 0 : order > 0)
		*value = *candidate;
	return true;
}

/* min(a, b, ...), max(a, b, ...) */
static bool
eval_extreme(AmountEvaluation *eval, const AmountNode *node, AmountValue *value)
{
	if (!uaef_amount_eval_scale(eval, node->args[0], value))
		return false;
	for (int i = 1; i < node->nargs; i++)
	{
		AmountValue candidate;

		if (!uaef_amount_eval_scale(eval, node->args[i], &candidate) ||
			!pick(eval, node, &candidate, node->kind == NODE_MIN, value))
			return false;
	}
	return true;
}

/* clamp(x, low, high) */
static bool
eval_clamp(AmountEvaluation *eval, const AmountNode *node, AmountValue *value)
{
	AmountValue low;
	AmountValue high;

	if (!uaef_amount_eval_scale(eval, node->args[0], value) ||
		!uaef_amount_eval_scale(eval, node->args[1], &low) ||
		!uaef_amount_eval_scale(eval, node->args[2], &high) ||
		!uaef_amount_same_currency(eval, &low, &high))
		return false;
	if (uaef_fraction_compare(&low.number, &high.number) > 0)
		return uaef_eval_fail(eval->error, ERRCODE_UAEF_BAD_NUMBER, NULL, NULL,
							  "the low bound of clamp is above the high one");
	return pick(eval, node, &low, false, value) &&
		pick(eval, node, &high, true, value);
}

/* -x, abs(x) */
static bool
eval_sign(AmountEvaluation *eval, const AmountNode *node, AmountValue *value)
{
	if (!uaef_amount_eval_scale(eval, node->args[0], value))
		return false;
	if (node->kind == NODE_NEGATE || uaef_fraction_sign(&value->number) < 0)
		uaef_fraction_negate(&value->number, &value->number);
	return true;
}

/* pct(x, 2.5%) */
static bool
eval_pct(AmountEvaluation *eval, const AmountNode *node, AmountValue *value)
{
	AmountValue rate;

	return uaef_amount_eval_scale(eval, node->args[0], value) &&
		uaef_amount_eval_number(eval, node->args[1], &rate) &&
		uaef_fraction_mul(&value->number, &rate.number, &value->number,
						  eval->error);
}

/* percent(2.5) is 2.5% */
static bool
eval_percent(AmountEvaluation *eval, const AmountNode *node, AmountValue *value)
{
	UaefFraction hundred;

	uaef_fraction_from_int(100, &hundred);
	return uaef_amount_eval_number(eval, node->args[0], value) &&
		uaef_fraction_div(&value->number, &hundred, &value->number,
						  eval->error);
}

/* round, floor, ceil */
static bool
eval_round(AmountEvaluation *eval, const AmountNode *node, AmountValue *value)
{
	int			digits = node->digits;

	if (!uaef_amount_eval_scale(eval, node->args[0], value))
		return false;
	if (digits < 0)
		digits = uaef_currency_exponent(value->currency);
	return uaef_fraction_round(&value->number, digits, node->rounding,
							   &value->number, eval->error);
}

/* number("12.34"): the one way from a text to a number */
static bool
eval_to_number(AmountEvaluation *eval, const AmountNode *node, AmountValue *value)
{
	if (!uaef_amount_eval_node(eval, node->args[0], value))
		return false;
	if (value->type == AMOUNT_NUMBER)
		return true;
	if (value->type != AMOUNT_TEXT)
		return uaef_amount_fail_type(eval, node->args[0], value,
									 "a number or a decimal string");
	value->type = AMOUNT_NUMBER;
	if (!uaef_fraction_parse(value->json.val.string.val,
							 value->json.val.string.len, &value->number,
							 eval->error))
		return uaef_amount_fail_at(eval, node->args[0]);
	return true;
}

/* money(x, "EUR") */
static bool
eval_money(AmountEvaluation *eval, const AmountNode *node, AmountValue *value)
{
	AmountValue code;
	char	   *currency;

	if (!uaef_amount_eval_number(eval, node->args[0], value))
		return false;
	value->type = AMOUNT_MONEY;
	if (node->currency[0] != '\0')
	{
		strlcpy(value->currency, node->currency, sizeof(value->currency));
		return true;
	}
	if (!uaef_amount_eval_as(eval, node->args[1], AMOUNT_TEXT, "a currency", &code))
		return false;
	currency = pnstrdup(code.json.val.string.val, code.json.val.string.len);
	if (uaef_currency_exponent(currency) < 0)
		return uaef_eval_fail(eval->error, ERRCODE_UAEF_CURRENCY,
							  uaef_amount_node_path(node->args[1]), NULL,
							  "unknown currency \"%s\"",
							  uaef_eval_clip(currency, strlen(currency)));
	strlcpy(value->currency, currency, sizeof(value->currency));
	return true;
}

/* What a path, a variable or lookup() leads to, if it does. */
static bool
find_argument(AmountEvaluation *eval, const AmountNode *node, JsonbValue *json,
			  bool *found)
{
	if (node->kind == NODE_LOOK_UP)
		return uaef_amount_find_kept(eval, node, json, found);
	*found = uaef_amount_look_up(eval, node, json);
	return true;
}

/* default(path, value): for what is missing; a null is there */
static bool
eval_default(AmountEvaluation *eval, const AmountNode *node, AmountValue *value)
{
	JsonbValue	json;
	bool		found;

	if (!find_argument(eval, node->args[0], &json, &found))
		return false;
	if (!found)
		return uaef_amount_eval_node(eval, node->args[1], value);
	return uaef_amount_from_json(eval, node->args[0], &json, value);
}

/* exists(path) */
static bool
eval_exists(AmountEvaluation *eval, const AmountNode *node, AmountValue *value)
{
	value->type = AMOUNT_BOOL;
	return find_argument(eval, node->args[0], &value->json, &value->boolean);
}

/* YYYY-MM-DD, or the date of a UTC time YYYY-MM-DDT...Z, as a Julian day. */
static bool
read_date(AmountEvaluation *eval, const AmountNode *node, int *days)
{
	AmountValue value;
	const char *text;
	int			len;
	int			year,
				month,
				day;

	if (!uaef_amount_eval_as(eval, node, AMOUNT_TEXT, "a date", &value))
		return false;
	len = value.json.val.string.len;
	text = pnstrdup(value.json.val.string.val, len);
	if (len < 10 || (len > 10 && (text[10] != 'T' || text[len - 1] != 'Z')) ||
		strspn(text, "0123456789-") < 10 || text[4] != '-' || text[7] != '-' ||
		sscanf(text, "%4d-%2d-%2d", &year, &month, &day) != 3 ||
		month < 1 || month > 12 || day < 1 ||
		day > day_tab[isleap(year)][month - 1])
		return uaef_eval_fail(eval->error, ERRCODE_UAEF_WRONG_TYPE,
							  uaef_amount_node_path(node), NULL,
							  "\"%s\" is not a date",
							  uaef_eval_clip(text, len));
	*days = date2j(year, month, day);
	return true;
}

/* days_between(a, b): b - a in days */
static bool
eval_days_between(AmountEvaluation *eval, const AmountNode *node,
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
add_element(AmountEvaluation *eval, const AmountNode *node, AmountValue *value,
			bool is_first, bool *done)
{
	AmountValue element;
	UaefFraction one;

	switch (node->kind)
	{
		case NODE_ANY_OF:
		case NODE_ALL_OF:
			if (!uaef_amount_eval_bool(eval, node->args[1], &value->boolean))
				return false;
			*done = value->boolean == (node->kind == NODE_ANY_OF);
			return true;
		case NODE_COUNT_OF:
			if (!uaef_amount_eval_bool(eval, node->args[1], &element.boolean))
				return false;
			uaef_fraction_from_int(element.boolean ? 1 : 0, &one);
			return uaef_fraction_add(&value->number, &one, &value->number,
									 eval->error);
		default:
			break;
	}

	if (!uaef_amount_eval_scale(eval, node->args[1], &element))
		return false;
	if (is_first)
	{
		*value = element;
		return true;
	}
	if (node->kind != NODE_SUM_OF)
		return pick(eval, node, &element, node->kind == NODE_MIN_OF, value);
	return uaef_amount_same_currency(eval, value, &element) &&
		uaef_fraction_add(&value->number, &element.number, &value->number,
						  eval->error);
}

/* What a list without elements cannot give. */
static bool
end_aggregate(AmountEvaluation *eval, const AmountNode *node, int n,
			  AmountValue *value)
{
	if (n > 0)
		return true;
	if (node->kind == NODE_MIN_OF || node->kind == NODE_MAX_OF)
		return uaef_eval_fail(eval->error, ERRCODE_UAEF_MISSING_PATH,
							  uaef_amount_node_path(node->args[0]), NULL,
							  "an empty list has no %s", node->name);
	if (value->type == AMOUNT_MONEY && value->currency[0] == '\0')
		return uaef_eval_fail(eval->error, ERRCODE_UAEF_CURRENCY,
							  uaef_amount_node_path(node->args[0]), NULL,
							  "the sum of an empty list has no currency");
	return true;
}

/* sum(i in path: body) and its like */
static bool
eval_aggregate(AmountEvaluation *eval, const AmountNode *node, AmountValue *value)
{
	AmountValue list;
	JsonbIterator *it;
	JsonbValue	json;
	bool		done = false;
	int			n = 0;

	if (!uaef_amount_eval_node(eval, node->args[0], &list) ||
		!uaef_amount_array_of(eval, node->args[0], &list, &it))
		return false;
	begin_aggregate(node, value);
	while (!done && JsonbIteratorNext(&it, &json, true) == WJB_ELEM)
	{
		if (node->max_items > 0 && n == node->max_items)
			return uaef_eval_fail(eval->error, ERRCODE_UAEF_COST_LIMIT,
								  uaef_amount_node_path(node->args[0]), NULL,
								  "\"%s\" has more than %d elements",
								  uaef_amount_node_path(node->args[0]), node->max_items);
		if (!uaef_amount_from_json(eval, node->args[0], &json,
								   &eval->slots[node->slot]) ||
			!add_element(eval, node, value, n == 0, &done))
		{
			const char *detail = eval->error->detail;

			eval->error->detail = psprintf("%s%sin element %d of \"%s\"",
										   detail ? detail : "",
										   detail ? ", " : "", n,
										   uaef_amount_node_path(node->args[0]));
			return false;
		}
		n++;
	}
	return end_aggregate(eval, node, n, value);
}

/*
 * uaef_amount_eval_function -- evaluate a call, or the sign
 */
bool
uaef_amount_eval_function(AmountEvaluation *eval, const AmountNode *node,
						  AmountValue *value)
{
	switch (node->kind)
	{
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
			return eval_exists(eval, node, value);
		case NODE_DAYS_BETWEEN:
			return eval_days_between(eval, node, value);
		case NODE_RATE:
		case NODE_CONVERT:
		case NODE_LOOK_UP:
		case NODE_POOL_POINTS:
			return uaef_amount_eval_kept(eval, node, value);
		case NODE_SUM_OF:
		case NODE_COUNT_OF:
		case NODE_MIN_OF:
		case NODE_MAX_OF:
		case NODE_ANY_OF:
		case NODE_ALL_OF:
			return eval_aggregate(eval, node, value);
		default:
			elog(ERROR, "unexpected amount node %d", (int) node->kind);
			return false;
	}
}
