/*-------------------------------------------------------------------------
 *
 * amount_tiers.c
 *	  Compiling tier tables.
 *
 * {"mode": "marginal", "on": "in.gmv", "bands": [{"to": "1000", "rate": "2.9%"},
 *  {"rate": "2%"}], "min": "25", "max": "300"}
 *
 * A band begins where the one before it ends, so bands can neither overlap
 * nor leave a gap; the last one has no end.
 *
 * Locking: none.  Memory: as for expressions.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "amount_internal.h"
#include "compat.h"
#include "errcodes.h"
#include "numeric_util.h"

#define MAX_BANDS	1000

pg_noreturn static void bad_tiers(const char *detail);
static bool key_is(const JsonbValue *key, const char *name);
static char *value_text(const JsonbValue *value, const char *what);
static void read_amount(const JsonbValue *value, const char *what,
						UaefFraction *result);
static void read_rate(const JsonbValue *value, UaefFraction *result);
static void check_keys(JsonbContainer *object, const char *const *names,
					   int n);
static bool get_member(JsonbContainer *object, const char *key,
					   JsonbValue *value);
static void read_band(JsonbValue *value, AmountBand *band);
static void read_bands(JsonbContainer *object, AmountTiers *tiers);
static UaefFraction *read_bound(JsonbContainer *object, const char *key);
static AmountTiers *read_tiers(JsonbContainer *object);
static const char *read_currency(JsonbContainer *object,
								 const char *currency);

static void
bad_tiers(const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_UAEF_BAD_EXPRESSION),
			 errmsg("invalid tier table"),
			 errdetail_internal("%s", detail)));
}

static bool
key_is(const JsonbValue *key, const char *name)
{
	return key->val.string.len == strlen(name) &&
		memcmp(key->val.string.val, name, key->val.string.len) == 0;
}

/* The text of a string or of a number. */
static char *
value_text(const JsonbValue *value, const char *what)
{
	if (value->type == jbvString)
		return pnstrdup(value->val.string.val, value->val.string.len);
	if (value->type == jbvNumeric)
		return uaef_numeric_text(value->val.numeric);
	bad_tiers(psprintf("\"%s\" must be a number or a text.", what));
}

/* An amount: a number that is not negative. */
static void
read_amount(const JsonbValue *value, const char *what, UaefFraction *result)
{
	char	   *text = value_text(value, what);
	UaefEvalError error;

	if (!uaef_fraction_parse(text, strlen(text), result, &error) ||
		uaef_fraction_sign(result) < 0)
		bad_tiers(psprintf("\"%s\" is not an amount for \"%s\".", text, what));
}

/* A rate: a text with a percent sign, which leaves no doubt. */
static void
read_rate(const JsonbValue *value, UaefFraction *result)
{
	char	   *text = value->type == jbvString ?
		value_text(value, "rate") : pstrdup("");
	int			len = strlen(text);
	UaefFraction hundred;
	UaefEvalError error;

	uaef_fraction_from_int(100, &hundred);
	if (len < 2 || text[len - 1] != '%' ||
		!uaef_fraction_parse(text, len - 1, result, &error) ||
		uaef_fraction_sign(result) < 0 ||
		!uaef_fraction_div(result, &hundred, result, &error))
		bad_tiers("\"rate\" must be a text like \"2.5%\".");
}

/* An object has no key but these. */
static void
check_keys(JsonbContainer *object, const char *const *names, int n)
{
	JsonbIterator *it = JsonbIteratorInit(object);
	JsonbIteratorToken token;
	JsonbValue	value;

	(void) JsonbIteratorNext(&it, &value, false);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		bool		known = false;

		if (token != WJB_KEY)
			continue;
		for (int i = 0; i < n; i++)
			known = known || key_is(&value, names[i]);
		if (!known)
			bad_tiers(psprintf("There is no key \"%s\".",
							   uaef_eval_clip(value.val.string.val,
											  value.val.string.len)));
	}
}

static bool
get_member(JsonbContainer *object, const char *key, JsonbValue *value)
{
	return getKeyJsonValueFromContainer(object, key, strlen(key),
										value) != NULL;
}

static void
read_band(JsonbValue *value, AmountBand *band)
{
	static const char *const names[] = {"to", "rate"};
	JsonbContainer *object;
	JsonbValue	member;

	if (value->type != jbvBinary ||
		!JsonContainerIsObject(value->val.binary.data))
		bad_tiers("A band must be an object.");
	object = value->val.binary.data;
	check_keys(object, names, lengthof(names));
	if (!get_member(object, "rate", &member))
		bad_tiers("A band has no \"rate\".");
	read_rate(&member, &band->rate);
	band->is_last = !get_member(object, "to", &member);
	if (!band->is_last)
		read_amount(&member, "to", &band->to);
}

static void
read_bands(JsonbContainer *object, AmountTiers *tiers)
{
	JsonbValue	bands;
	int			n;

	if (!get_member(object, "bands", &bands) || bands.type != jbvBinary ||
		!JsonContainerIsArray(bands.val.binary.data))
		bad_tiers("\"bands\" must be an array.");
	n = JsonContainerSize(bands.val.binary.data);
	if (n < 1 || n > MAX_BANDS)
		bad_tiers(psprintf("\"bands\" must have 1 to %d bands.", MAX_BANDS));

	tiers->nbands = n;
	tiers->bands = palloc0(n * sizeof(AmountBand));
	for (int i = 0; i < n; i++)
	{
		AmountBand *band = &tiers->bands[i];

		read_band(getIthJsonbValueFromContainer(bands.val.binary.data, i),
				  band);
		if (band->is_last != (i == n - 1))
			bad_tiers("The last band, and no other, must be without \"to\".");
		if (!band->is_last && uaef_fraction_sign(&band->to) <= 0)
			bad_tiers("\"to\" must be above 0.");
		if (!band->is_last && i > 0 &&
			uaef_fraction_compare(&tiers->bands[i - 1].to, &band->to) >= 0)
			bad_tiers("Each \"to\" must be above the one before it.");
	}
}

/* min or max, or NULL */
static UaefFraction *
read_bound(JsonbContainer *object, const char *key)
{
	UaefFraction *bound;
	JsonbValue	value;

	if (!get_member(object, key, &value))
		return NULL;
	bound = palloc(sizeof(UaefFraction));
	read_amount(&value, key, bound);
	return bound;
}

static AmountTiers *
read_tiers(JsonbContainer *object)
{
	AmountTiers *tiers = palloc0(sizeof(AmountTiers));
	JsonbValue	mode;

	if (!get_member(object, "mode", &mode) || mode.type != jbvString ||
		(!key_is(&mode, "marginal") && !key_is(&mode, "slab")))
		bad_tiers("\"mode\" must be \"marginal\" or \"slab\".");
	tiers->is_marginal = key_is(&mode, "marginal");
	read_bands(object, tiers);
	tiers->min = read_bound(object, "min");
	tiers->max = read_bound(object, "max");
	if (tiers->min != NULL && tiers->max != NULL &&
		uaef_fraction_compare(tiers->min, tiers->max) > 0)
		bad_tiers("\"min\" is above \"max\".");
	return tiers;
}

/* The currency: declared by the caller, in the table, or both the same. */
static const char *
read_currency(JsonbContainer *object, const char *currency)
{
	JsonbValue	value;
	char	   *own;

	if (!get_member(object, "ccy", &value))
	{
		if (currency == NULL)
			bad_tiers("The table has no currency in \"ccy\".");
		return currency;
	}
	own = value_text(&value, "ccy");
	if (uaef_currency_exponent(own) < 0 ||
		(currency != NULL && strcmp(own, currency) != 0))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_CURRENCY),
				 errmsg("currency \"%s\" of a tier table is not known or not the declared one",
						own)));
	return own;
}

/*
 * uaef_amount_compile_tiers -- compile a tier table
 *
 * Raises UA221, or UA208 for a currency that does not fit.
 */
UaefAmount *
uaef_amount_compile_tiers(Jsonb *document, const char *currency,
						  bool any_root,
						  const UaefTyping *typing)
{
	static const char *const names[] = {
		"mode", "on", "ccy", "bands", "min", "max"
	};
	UaefAmount *amount = palloc0(sizeof(UaefAmount));
	JsonbValue	on;
	char	   *text;

	if (!JB_ROOT_IS_OBJECT(document))
		bad_tiers("It must be an object.");
	check_keys(&document->root, names, lengthof(names));
	currency = read_currency(&document->root, currency);
	uaef_currency_require(currency);
	strlcpy(amount->currency, currency, sizeof(amount->currency));
	amount->tiers = read_tiers(&document->root);
	if (!get_member(&document->root, "on", &on) || on.type != jbvString)
		bad_tiers("\"on\" must be an expression in a text.");
	text = value_text(&on, "on");

	amount->root = uaef_amount_parse(text, any_root, typing);
	uaef_amount_check_result(text, amount->root, currency);
	return amount;
}
