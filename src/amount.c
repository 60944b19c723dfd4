/*-------------------------------------------------------------------------
 *
 * amount.c
 *	  Amounts: expressions and tier tables, compiled and evaluated.
 *
 * Locking: none.  Memory: a compiled amount lives in the context that was
 * current when it was compiled and points to nothing outside itself.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "amount_internal.h"
#include "errcodes.h"

static bool tier_amount(const AmountTiers *tiers, const UaefFraction *base,
						UaefFraction *result, UaefEvalError *error);
static bool eval_tiers(const AmountTiers *tiers, AmountValue *value, UaefEvalError *error);
static void visit_node(const AmountNode *node,
					   void (*visit) (const UaefPath *path, void *arg), void *arg);

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
	AmountEvaluation eval;
	AmountValue value;

	eval.scope = scope;
	eval.error = error;
	eval.steps = 0;
	if (!uaef_amount_eval_scale(&eval, amount->root, &value))
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
