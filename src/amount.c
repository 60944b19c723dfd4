/*-------------------------------------------------------------------------
 *
 * amount.c
 *	  Amounts: expressions, tier tables and decision tables, compiled and
 *	  evaluated.
 *
 * Locking: none.  Memory: a compiled amount lives in the context that was
 * current when it was compiled and points to nothing outside itself.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "amount_internal.h"
#include "errcodes.h"
#include "json_util.h"

static bool tier_amount(const AmountTiers *tiers, const UaefFraction *base,
						UaefFraction *result, UaefEvalError *error);
static bool eval_tiers(const AmountTiers *tiers, AmountValue *value, UaefEvalError *error);
static bool eval_amount(const UaefAmount *amount, UaefScope *scope, List **trace,
						UaefRational *exact, const char **currency, UaefEvalError *error);
static Jsonb *step_json(const AmountStep *step);
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

/* Evaluate; with trace, note each step there. */
static bool
eval_amount(const UaefAmount *amount, UaefScope *scope, List **trace,
			UaefRational *exact, const char **currency, UaefEvalError *error)
{
	AmountEvaluation eval;
	AmountValue value;

	eval.scope = scope;
	eval.error = error;
	eval.steps = 0;
	eval.trace = trace;
	if (amount->table != NULL ?
		!uaef_amount_eval_table(&eval, amount->table, &value) :
		!uaef_amount_eval_scale(&eval, amount->root, &value))
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
 * uaef_amount_eval -- evaluate to an exact amount and its currency
 *
 * Returns false and sets *error on failure.
 */
bool
uaef_amount_eval(const UaefAmount *amount, UaefScope *scope,
				 UaefRational *exact, const char **currency,
				 UaefEvalError *error)
{
	return eval_amount(amount, scope, NULL, exact, currency, error);
}

/* {"at": 5, "what": "min", "value": "30.864", "currency": "USD"} */
static Jsonb *
step_json(const AmountStep *step)
{
	const AmountValue *value = &step->value;
	const char *path = step->node->path == NULL ? NULL :
		uaef_path_text(step->node->path);
	UaefJson	json;
	UaefRational exact;
	JsonbValue	read = value->json;

	uaef_json_begin(&json);
	uaef_json_int(&json, "at", step->node->position + 1);
	uaef_json_text(&json, "what", path != NULL ? path :
				   uaef_amount_node_name(step->node));
	switch (value->type)
	{
		case AMOUNT_BOOL:
			uaef_json_bool(&json, "value", value->boolean);
			break;
		case AMOUNT_NUMBER:
		case AMOUNT_PERCENT:
		case AMOUNT_MONEY:
			uaef_fraction_to_rational(&value->number, &exact);
			uaef_json_text(&json, "value", uaef_rational_text(&exact));
			if (value->type == AMOUNT_MONEY)
				uaef_json_text(&json, "currency", value->currency);
			break;
		default:
			uaef_json_jsonb(&json, "value", uaef_json_from_value(&read));
	}
	return uaef_json_end(&json);
}

/*
 * uaef_amount_explain -- evaluate, and tell each step
 *
 * Returns false and sets *error on failure; *steps is set in any case.
 */
bool
uaef_amount_explain(const UaefAmount *amount, UaefScope *scope,
					UaefRational *exact, const char **currency,
					Jsonb **steps, UaefEvalError *error)
{
	List	   *trace = NIL;
	bool		done = eval_amount(amount, scope, &trace, exact, currency,
								   error);
	JsonbParseState *state = NULL;
	JsonbValue	value;
	ListCell   *cell;

	(void) pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	foreach(cell, trace)
	{
		JsonbToJsonbValue(step_json(lfirst(cell)), &value);
		(void) pushJsonbValue(&state, WJB_ELEM, &value);
	}
	*steps = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
	return done;
}

/*
 * uaef_amount_compile -- compile an expression
 *
 * Raises UA221 with the position, or UA208 for currencies.
 */
UaefAmount *
uaef_amount_compile(const char *text, const char *currency, bool any_root,
					const UaefTyping *typing)
{
	UaefAmount *amount = palloc0(sizeof(UaefAmount));

	if (currency != NULL)
		uaef_currency_require(currency);
	amount->root = uaef_amount_parse(text, any_root, typing);
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
	const AmountTable *table = amount->table;

	if (amount->root != NULL)
		visit_node(amount->root, visit, arg);
	if (table == NULL)
		return;
	for (int i = 0; i < table->ncolumns; i++)
		visit(table->columns[i].path, arg);
	for (int i = 0; i < table->nrows; i++)
		visit_node(table->rows[i].output, visit, arg);
	if (table->on != NULL)
		visit_node(table->on, visit, arg);
	if (table->otherwise != NULL)
		visit_node(table->otherwise, visit, arg);
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
