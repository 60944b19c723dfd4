/*-------------------------------------------------------------------------
 *
 * amount_check.c
 *	  The amount language: types.
 *
 * Money mixes only with money of the same currency; text is never a number;
 * a percentage is a type of its own, so that pct(x, 2.5) cannot mean either
 * of two things.  What a path leads to is known only when it is evaluated and
 * checked then; here it passes for anything but money.
 *
 * Locking: none.  Memory: none kept.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "amount_internal.h"
#include "compat.h"
#include "errcodes.h"

static const char *type_name(AmountType type);
pg_noreturn static void bad(const AmountSource *source,
							const AmountNode *node, const char *detail);
static bool is_number(const AmountNode *node);
static bool may_be(const AmountNode *node, AmountType type);
static void require(const AmountSource *source, const AmountNode *node,
					AmountType type);
static void require_scale(const AmountSource *source, const AmountNode *node);
static void take_currency(const AmountSource *source, AmountNode *node,
						  const AmountNode *other);
static void unify(const AmountSource *source, AmountNode *node, int first);
static void check_sum(const AmountSource *source, AmountNode *node);
static void check_product(const AmountSource *source, AmountNode *node);
static void check_quotient(const AmountSource *source, AmountNode *node);
static void check_comparison(const AmountSource *source, AmountNode *node);
static void check_membership(const AmountSource *source, AmountNode *node);
static void check_list(const AmountSource *source, AmountNode *node);
static void check_bools(const AmountSource *source, AmountNode *node);
static void check_scales(const AmountSource *source, AmountNode *node);
static void check_pct(const AmountSource *source, AmountNode *node);
static char *constant_text(const AmountSource *source,
						   const AmountNode *node, const char *what);
static void take_digits(const AmountSource *source, AmountNode *node,
						const AmountNode *arg);
static void check_round(const AmountSource *source, AmountNode *node);
static void check_money(const AmountSource *source, AmountNode *node);
static void check_path_argument(const AmountSource *source, AmountNode *node);
static void check_default(const AmountSource *source, AmountNode *node);
static void check_aggregate(const AmountSource *source, AmountNode *node);
static void check_if(const AmountSource *source, AmountNode *node);
static void check_let(const AmountSource *source, AmountNode *node);
static void check_percent(const AmountSource *source, AmountNode *node);
static void check_number(const AmountSource *source, AmountNode *node);
static void check_exists(const AmountSource *source, AmountNode *node);
static void check_days_between(const AmountSource *source, AmountNode *node);
static void check_currency_text(const AmountSource *source,
								const AmountNode *node, AmountNode *result);
static void check_rate(const AmountSource *source, AmountNode *node);
static void check_convert(const AmountSource *source, AmountNode *node);
static void check_look_up(const AmountSource *source, AmountNode *node);
static void check_pool_points(const AmountSource *source, AmountNode *node);

static const char *
type_name(AmountType type)
{
	static const char *const names[] = {
		[AMOUNT_BOOL] = "a truth value",
		[AMOUNT_NUMBER] = "a number",
		[AMOUNT_PERCENT] = "a percentage",
		[AMOUNT_MONEY] = "money",
		[AMOUNT_TEXT] = "a text",
		[AMOUNT_JSON] = "a path",
		[AMOUNT_LIST] = "a list"
	};

	return names[type];
}

static void
bad(const AmountSource *source, const AmountNode *node, const char *detail)
{
	uaef_amount_bad(source, node->position, ERRCODE_UAEF_BAD_EXPRESSION,
					detail);
}

static bool
is_number(const AmountNode *node)
{
	return node->type == AMOUNT_NUMBER || node->type == AMOUNT_PERCENT ||
		node->type == AMOUNT_JSON;
}

/* Is a node of that type, or a path that can lead to it? */
static bool
may_be(const AmountNode *node, AmountType type)
{
	if (type == AMOUNT_NUMBER)
		return is_number(node);
	return node->type == type ||
		(node->type == AMOUNT_JSON && type != AMOUNT_MONEY);
}

static void
require(const AmountSource *source, const AmountNode *node, AmountType type)
{
	if (!may_be(node, type))
		bad(source, node, psprintf("This must be %s, not %s.",
								   type_name(type), type_name(node->type)));
}

/* What can be added and compared: a number or money. */
static void
require_scale(const AmountSource *source, const AmountNode *node)
{
	if (node->type != AMOUNT_MONEY)
		require(source, node, AMOUNT_NUMBER);
}

/* Note another's currency; two that differ do not mix. */
static void
take_currency(const AmountSource *source, AmountNode *node,
			  const AmountNode *other)
{
	if (node->currency[0] == '\0')
		strlcpy(node->currency, other->currency, sizeof(node->currency));
	else if (other->currency[0] != '\0' &&
			 strcmp(node->currency, other->currency) != 0)
		uaef_amount_bad(source, node->position, ERRCODE_UAEF_CURRENCY,
						psprintf("%s and %s do not mix.", node->currency,
								 other->currency));
}

/*
 * The one type of all arguments from first on.  A currency is known only when
 * it is of all of them.
 */
static void
unify(const AmountSource *source, AmountNode *node, int first)
{
	bool		all_known = true;

	node->type = node->args[first]->type;
	for (int i = first; i < node->nargs; i++)
	{
		const AmountNode *arg = node->args[i];

		if (arg->type == AMOUNT_MONEY && node->type == AMOUNT_MONEY)
		{
			take_currency(source, node, arg);
			all_known = all_known && arg->currency[0] != '\0';
		}
		else if (arg->type == node->type || may_be(arg, node->type))
		{
			/* A percentage among numbers is a number. */
			if (node->type == AMOUNT_PERCENT)
				node->type = arg->type == AMOUNT_PERCENT ?
					AMOUNT_PERCENT : AMOUNT_NUMBER;
		}
		else if (node->type == AMOUNT_PERCENT && is_number(arg))
			node->type = AMOUNT_NUMBER;
		else if (node->type == AMOUNT_JSON && arg->type != AMOUNT_MONEY)
			node->type = arg->type == AMOUNT_PERCENT ?
				AMOUNT_NUMBER : arg->type;
		else
			bad(source, arg, psprintf("These do not mix: %s and %s.",
									  type_name(node->type),
									  type_name(arg->type)));
	}
	if (!all_known)
		node->currency[0] = '\0';
}

/* a + b, a - b */
static void
check_sum(const AmountSource *source, AmountNode *node)
{
	require_scale(source, node->args[0]);
	require_scale(source, node->args[1]);
	unify(source, node, 0);
	if (node->type == AMOUNT_JSON)
		node->type = AMOUNT_NUMBER;
}

/* a * b: at most one is money */
static void
check_product(const AmountSource *source, AmountNode *node)
{
	const AmountNode *left = node->args[0];
	const AmountNode *right = node->args[1];

	require_scale(source, left);
	require_scale(source, right);
	if (left->type == AMOUNT_MONEY && right->type == AMOUNT_MONEY)
		bad(source, node, "Money times money has no meaning.");
	node->type = AMOUNT_NUMBER;
	if (left->type == AMOUNT_MONEY || right->type == AMOUNT_MONEY)
	{
		node->type = AMOUNT_MONEY;
		take_currency(source, node, left);
		take_currency(source, node, right);
	}
}

/* a / b: money by a number is money, by money a number */
static void
check_quotient(const AmountSource *source, AmountNode *node)
{
	const AmountNode *left = node->args[0];
	const AmountNode *right = node->args[1];

	require_scale(source, left);
	require_scale(source, right);
	if (left->type != AMOUNT_MONEY && right->type == AMOUNT_MONEY)
		bad(source, node, "A number over money has no meaning.");
	take_currency(source, node, left);
	take_currency(source, node, right);
	node->type = AMOUNT_NUMBER;
	if (left->type == AMOUNT_MONEY && right->type != AMOUNT_MONEY)
		node->type = AMOUNT_MONEY;
	else
		node->currency[0] = '\0';
}

static void
check_comparison(const AmountSource *source, AmountNode *node)
{
	unify(source, node, 0);
	if (node->type == AMOUNT_LIST)
		bad(source, node, "Lists cannot be compared.");
	if (node->type == AMOUNT_BOOL &&
		node->kind != NODE_EQ && node->kind != NODE_NE)
		bad(source, node, "Truth values have no order.");
	node->type = AMOUNT_BOOL;
	node->currency[0] = '\0';
}

/* a in list: a list that is written, or a path to an array */
static void
check_membership(const AmountSource *source, AmountNode *node)
{
	const AmountNode *list = node->args[1];

	require(source, list, AMOUNT_LIST);
	if (node->args[0]->type == AMOUNT_LIST)
		bad(source, node, "A list is in no list.");
	if (list->type == AMOUNT_LIST)
	{
		for (int i = 0; i < list->nargs; i++)
		{
			AmountNode	pair = {.position = node->position,.nargs = 2};
			AmountNode *args[2] = {node->args[0], list->args[i]};

			pair.args = args;
			unify(source, &pair, 0);
		}
	}
	node->type = AMOUNT_BOOL;
}

static void
check_list(const AmountSource *source, AmountNode *node)
{
	for (int i = 0; i < node->nargs; i++)
	{
		if (node->args[i]->kind != NODE_CONSTANT &&
			!(node->args[i]->kind == NODE_NEGATE &&
			  node->args[i]->args[0]->kind == NODE_CONSTANT))
			bad(source, node->args[i], "A list is of constants.");
	}
	unify(source, node, 0);
	node->type = AMOUNT_LIST;
	node->currency[0] = '\0';
}

static void
check_bools(const AmountSource *source, AmountNode *node)
{
	for (int i = 0; i < node->nargs; i++)
		require(source, node->args[i], AMOUNT_BOOL);
	node->type = AMOUNT_BOOL;
}

/* min, max, clamp, abs, and the sign: any scale, the same for all */
static void
check_scales(const AmountSource *source, AmountNode *node)
{
	for (int i = 0; i < node->nargs; i++)
		require_scale(source, node->args[i]);
	unify(source, node, 0);
	if (node->type == AMOUNT_JSON)
		node->type = AMOUNT_NUMBER;
}

static void
check_pct(const AmountSource *source, AmountNode *node)
{
	require_scale(source, node->args[0]);
	if (node->args[1]->type != AMOUNT_PERCENT)
		bad(source, node->args[1], "A percentage is needed here: 2.5%, or percent(...).");
	node->type = node->args[0]->type == AMOUNT_MONEY ?
		AMOUNT_MONEY : AMOUNT_NUMBER;
	take_currency(source, node, node->args[0]);
}

/* A text that stands in the expression itself. */
static char *
constant_text(const AmountSource *source, const AmountNode *node,
			  const char *what)
{
	if (node->kind != NODE_CONSTANT || node->type != AMOUNT_TEXT)
		bad(source, node, psprintf("%s must be a text in double quotes.",
								   what));
	return pnstrdup(node->constant.json.val.string.val,
					node->constant.json.val.string.len);
}

/* The digits to round to. */
static void
take_digits(const AmountSource *source, AmountNode *node,
			const AmountNode *arg)
{
	const UaefFraction *number = &arg->constant.number;

	if (arg->kind != NODE_CONSTANT || arg->type != AMOUNT_NUMBER ||
		number->big_num != NULL || number->den != 1 ||
		number->num > UAEF_MAX_FRACTION_DIGITS)
		bad(source, arg, "The digits must be a whole number from 0 to 18.");
	node->digits = number->num;
}

/* round(x [, digits] [, "mode"]), floor(x [, digits]), ceil(x [, digits]) */
static void
check_round(const AmountSource *source, AmountNode *node)
{
	require_scale(source, node->args[0]);
	node->type = node->args[0]->type == AMOUNT_MONEY ?
		AMOUNT_MONEY : AMOUNT_NUMBER;
	take_currency(source, node, node->args[0]);
	node->digits = node->type == AMOUNT_MONEY ? -1 : 0;
	node->rounding = node->kind == NODE_FLOOR ? UAEF_ROUND_FLOOR :
		node->kind == NODE_CEIL ? UAEF_ROUND_CEIL : UAEF_ROUND_HALF_EVEN;

	for (int i = 1; i < node->nargs; i++)
	{
		if (node->kind == NODE_ROUND && i == node->nargs - 1 &&
			node->args[i]->type == AMOUNT_TEXT)
			node->rounding =
				uaef_rounding_by_name(constant_text(source, node->args[i],
													"The rounding mode"));
		else if (i == 1)
			take_digits(source, node, node->args[i]);
		else
			bad(source, node->args[i], "A rounding mode is needed here.");
	}
	node->nargs = 1;
}

/* money(x, "EUR"); a currency that is a path is checked when evaluated */
static void
check_money(const AmountSource *source, AmountNode *node)
{
	require(source, node->args[0], AMOUNT_NUMBER);
	if (node->args[0]->type == AMOUNT_PERCENT)
		bad(source, node->args[0], "A percentage is no amount of money.");
	node->type = AMOUNT_MONEY;
	check_currency_text(source, node->args[1], node);
}

/* A currency; one that is written is known, and is the result's. */
static void
check_currency_text(const AmountSource *source, const AmountNode *node,
					AmountNode *result)
{
	char	   *code;

	require(source, node, AMOUNT_TEXT);
	if (node->kind != NODE_CONSTANT)
		return;
	code = constant_text(source, node, "The currency");
	if (uaef_currency_exponent(code) < 0)
		uaef_amount_bad(source, node->position, ERRCODE_UAEF_CURRENCY,
						psprintf("There is no currency \"%s\".", code));
	if (result != NULL)
		strlcpy(result->currency, code, sizeof(result->currency));
}

/* rate(source, base, quote [, time]) */
static void
check_rate(const AmountSource *source, AmountNode *node)
{
	require(source, node->args[0], AMOUNT_TEXT);
	check_currency_text(source, node->args[1], NULL);
	check_currency_text(source, node->args[2], NULL);
	if (node->nargs > 3)
		require(source, node->args[3], AMOUNT_TEXT);
	node->type = AMOUNT_NUMBER;
}

/* convert(money, currency, source [, time]) */
static void
check_convert(const AmountSource *source, AmountNode *node)
{
	if (node->args[0]->type != AMOUNT_MONEY)
		bad(source, node->args[0], "Only money can be converted: money(..., \"JPY\").");
	check_currency_text(source, node->args[1], node);
	require(source, node->args[2], AMOUNT_TEXT);
	if (node->nargs > 3)
		require(source, node->args[3], AMOUNT_TEXT);
	node->type = AMOUNT_MONEY;
}

/* lookup(table, key, ...): texts and whole numbers; what it finds is JSON */
static void
check_look_up(const AmountSource *source, AmountNode *node)
{
	require(source, node->args[0], AMOUNT_TEXT);
	for (int i = 1; i < node->nargs; i++)
	{
		if (node->args[i]->type != AMOUNT_NUMBER)
			require(source, node->args[i], AMOUNT_TEXT);
	}
	node->type = AMOUNT_JSON;
}

/* pool_points(pool [, member]) */
static void
check_pool_points(const AmountSource *source, AmountNode *node)
{
	for (int i = 0; i < node->nargs; i++)
		require(source, node->args[i], AMOUNT_TEXT);
	node->type = AMOUNT_NUMBER;
}

static void
check_path_argument(const AmountSource *source, AmountNode *node)
{
	const AmountNode *arg = node->args[0];

	if (arg->kind != NODE_PATH && arg->kind != NODE_LOOK_UP &&
		(arg->kind != NODE_VARIABLE || arg->type != AMOUNT_JSON))
		bad(source, arg, psprintf("%s takes a path, or lookup(...).", node->name));
}

/* default(path, value) */
static void
check_default(const AmountSource *source, AmountNode *node)
{
	const AmountNode *value = node->args[1];

	check_path_argument(source, node);
	if (value->type == AMOUNT_MONEY || value->type == AMOUNT_PERCENT ||
		value->type == AMOUNT_LIST)
		bad(source, value, "A path leads to no money and no percentage: write money(default(...), \"EUR\") or percent(default(...)).");
	node->type = value->type;
}

/* sum(i in path: body) and its like */
static void
check_aggregate(const AmountSource *source, AmountNode *node)
{
	const AmountNode *body = node->args[1];

	require(source, node->args[0], AMOUNT_LIST);
	switch (node->kind)
	{
		case NODE_ANY_OF:
		case NODE_ALL_OF:
		case NODE_COUNT_OF:
			require(source, body, AMOUNT_BOOL);
			node->type = node->kind == NODE_COUNT_OF ?
				AMOUNT_NUMBER : AMOUNT_BOOL;
			break;
		default:
			require_scale(source, body);
			node->type = body->type == AMOUNT_MONEY ?
				AMOUNT_MONEY : AMOUNT_NUMBER;
			take_currency(source, node, body);
	}
}

/* if condition then a else b */
static void
check_if(const AmountSource *source, AmountNode *node)
{
	require(source, node->args[0], AMOUNT_BOOL);
	unify(source, node, 1);
}

/* let name = a in b: what b is */
static void
check_let(const AmountSource *source, AmountNode *node)
{
	node->type = node->args[1]->type;
	take_currency(source, node, node->args[1]);
}

/* percent(n) */
static void
check_percent(const AmountSource *source, AmountNode *node)
{
	require(source, node->args[0], AMOUNT_NUMBER);
	if (node->args[0]->type == AMOUNT_PERCENT)
		bad(source, node->args[0], "It is a percentage already.");
	node->type = AMOUNT_PERCENT;
}

/* number(x) */
static void
check_number(const AmountSource *source, AmountNode *node)
{
	if (!is_number(node->args[0]))
		require(source, node->args[0], AMOUNT_TEXT);
	node->type = AMOUNT_NUMBER;
}

/* exists(path) */
static void
check_exists(const AmountSource *source, AmountNode *node)
{
	check_path_argument(source, node);
	node->type = AMOUNT_BOOL;
}

/* days_between(a, b) */
static void
check_days_between(const AmountSource *source, AmountNode *node)
{
	require(source, node->args[0], AMOUNT_TEXT);
	require(source, node->args[1], AMOUNT_TEXT);
	node->type = AMOUNT_NUMBER;
}

/* By kind; constants, paths and variables have their types already. */
static void (*const checks[]) (const AmountSource *source,
							   AmountNode *node) =
{
	[NODE_LIST] = check_list,
		[NODE_NEGATE] = check_scales,
		[NODE_ADD] = check_sum,
		[NODE_SUBTRACT] = check_sum,
		[NODE_MULTIPLY] = check_product,
		[NODE_DIVIDE] = check_quotient,
		[NODE_EQ] = check_comparison,
		[NODE_NE] = check_comparison,
		[NODE_LT] = check_comparison,
		[NODE_LE] = check_comparison,
		[NODE_GT] = check_comparison,
		[NODE_GE] = check_comparison,
		[NODE_IN] = check_membership,
		[NODE_AND] = check_bools,
		[NODE_OR] = check_bools,
		[NODE_NOT] = check_bools,
		[NODE_IF] = check_if,
		[NODE_LET] = check_let,
		[NODE_MIN] = check_scales,
		[NODE_MAX] = check_scales,
		[NODE_ABS] = check_scales,
		[NODE_CLAMP] = check_scales,
		[NODE_PCT] = check_pct,
		[NODE_PERCENT] = check_percent,
		[NODE_ROUND] = check_round,
		[NODE_FLOOR] = check_round,
		[NODE_CEIL] = check_round,
		[NODE_NUMBER] = check_number,
		[NODE_MONEY] = check_money,
		[NODE_DEFAULT] = check_default,
		[NODE_EXISTS] = check_exists,
		[NODE_DAYS_BETWEEN] = check_days_between,
		[NODE_RATE] = check_rate,
		[NODE_CONVERT] = check_convert,
		[NODE_LOOK_UP] = check_look_up,
		[NODE_POOL_POINTS] = check_pool_points,
		[NODE_SUM_OF] = check_aggregate,
		[NODE_COUNT_OF] = check_aggregate,
		[NODE_MIN_OF] = check_aggregate,
		[NODE_MAX_OF] = check_aggregate,
		[NODE_ANY_OF] = check_aggregate,
		[NODE_ALL_OF] = check_aggregate
};

/*
 * uaef_amount_check -- give a node its type
 *
 * The types of its arguments are known.  Raises UA221 or UA208.
 */
void
uaef_amount_check(const AmountSource *source, AmountNode *node)
{
	checks[node->kind] (source, node);
}

/*
 * uaef_amount_check_result -- may an expression's value be the amount?
 *
 * Money of the currency that was declared, if one was; or a number, which
 * then is of that currency.
 */
void
uaef_amount_check_result(const char *text, const AmountNode *root,
						 const char *currency)
{
	AmountSource source;

	source.text = text;

	source.len = strlen(text);
	if (root->type == AMOUNT_PERCENT)
		bad(&source, root, "A percentage is no amount of money.");
	if (root->type != AMOUNT_MONEY)
	{
		if (!is_number(root))
			bad(&source, root, psprintf("The result is %s, not money.",
										type_name(root->type)));
		if (currency == NULL)
			bad(&source, root, "The result is a number without a currency: use money(..., \"EUR\").");
	}
	else if (currency != NULL && root->currency[0] != '\0' &&
			 strcmp(root->currency, currency) != 0)
		uaef_amount_bad(&source, root->position, ERRCODE_UAEF_CURRENCY,
						psprintf("The result is in %s, not in %s.",
								 root->currency, currency));
}
