/*-------------------------------------------------------------------------
 *
 * settlement_rule.c
 *	  Settlement rules: check and compile a definition.
 *
 * What can be known to be wrong is refused here, so that at the end of an
 * execution only the data can be: an unknown key or operator, a split that is
 * not the whole, a limit finer than a cent.  Where a defect stands is told by
 * the error's context, for our own findings and for those of the compilers of
 * conditions, amounts and templates alike.
 *
 * Memory: everything is allocated in the current context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "blank.h"
#include "errcodes.h"
#include "json_util.h"
#include "numeric_util.h"
#include "settlement_rule.h"

/* Limits of a definition. */
#define MAX_PARTS		1000
#define MAX_BANDS		100
#define MAX_NEED		100
#define MAX_DECIMAL		60		/* bytes of a number's text */

/* Whose rule is parsed, and where in it we are. */
typedef struct Parser
{
	const char *name;
	char		place[100];
	ErrorContextCallback callback;
} Parser;

static const char *const rule_keys[] = {
	"workflow", "when", "currency", "amount", "fixed", "percentage", "tiers",
	"min", "max", "round", "split", "recipient", "approval", "on_error",
	"on_zero", "effective", "schedule", NULL
};
static const char *const amount_keys[] = {
	"amount", "fixed", "percentage", "tiers", NULL
};
static const char *const percentage_keys[] = {
	"of", "rate", "min", "max", NULL
};
static const char *const split_keys[] = {"remainder", "parts", NULL};
static const char *const part_keys[] = {"name", "to", "share", NULL};
static const char *const approval_keys[] = {
	"bands", "expires", "on_expiry", NULL
};
static const char *const band_keys[] = {
	"to", "need", "of", "distinct_from", NULL
};
static const char *const recipient_kinds[] = {
	"agent", "user", "external", "pool", "acct", "house", NULL
};

static void parser_begin(Parser *parser, const char *name);
static void parser_end(Parser *parser);
static void say_place(void *arg);
static void at(Parser *parser, const char *format,...)
			__attribute__((format(printf, 2, 3)));
static bool is_one_of(const char *const *list, const char *text, int len);
static void check_keys(Jsonb *object, const char *const *known);
static Jsonb *container_of(JsonbValue *value, bool array);
static char *text_at(Jsonb *object, const char *key, bool required);
static Numeric parse_decimal(const char *key, const char *text, int len);
static Numeric decimal_at(Jsonb *object, const char *key);
static Numeric minor_of(const UaefSettlementRule *rule, const char *key,
						Numeric amount);
static char *parse_choice(Jsonb *definition, const char *key,
						  const char *first, const char *second);
static void parse_scope(Parser *parser, UaefSettlementRule *rule,
						Jsonb *definition);
static void parse_amount(Parser *parser, UaefSettlementRule *rule,
						 Jsonb *definition);
static UaefAmount *compile_fixed(UaefSettlementRule *rule, Jsonb *definition);
static UaefAmount *compile_percentage(UaefSettlementRule *rule,
									  JsonbValue *value);
static UaefAmount *compile_tiers(UaefSettlementRule *rule, JsonbValue *value);
static void parse_bounds(UaefSettlementRule *rule, Jsonb *object);
static void parse_recipients(Parser *parser, UaefSettlementRule *rule,
							 Jsonb *definition);
static void parse_split(Parser *parser, UaefSettlementRule *rule,
						Jsonb *split);
static void parse_part(UaefSplitPart *part, JsonbValue *value);
static void check_shares(UaefSettlementRule *rule);
static UaefTemplate *compile_recipient(const char *text);
static void parse_approval(Parser *parser, UaefSettlementRule *rule,
						   Jsonb *definition);
static void parse_band(UaefSettlementRule *rule, int no, JsonbValue *value);
static void parse_distinct_from(UaefApprovalBand *band, Jsonb *object);
static void check_root(const UaefPath *path, void *arg);
static TimestampTz parse_time(JsonbValue *value, TimestampTz otherwise);

#define refuse(code, ...) \
	ereport(ERROR, (errcode(code), errmsg(__VA_ARGS__)))

/*
 * Compile a definition.  Raises UA221 for its form, UA208 for currencies,
 * UA209 for a split, UA210 for a recipient, and what the compilers of
 * conditions (UA220), amounts (UA221) and templates (UA222) raise.
 */
UaefSettlementRule *
uaef_settlement_rule_compile(const char *name, Jsonb *definition)
{
	UaefSettlementRule *rule = palloc0(sizeof(UaefSettlementRule));
	Parser		parser;

	parser_begin(&parser, name);
	if (!JB_ROOT_IS_OBJECT(definition))
		refuse(ERRCODE_UAEF_BAD_EXPRESSION,
			   "definition of a settlement rule must be an object");
	check_keys(definition, rule_keys);

	rule->name = pstrdup(name);
	rule->effective_from = DT_NOBEGIN;
	rule->effective_to = DT_NOEND;
	parse_scope(&parser, rule, definition);
	parse_amount(&parser, rule, definition);
	parse_recipients(&parser, rule, definition);
	parse_approval(&parser, rule, definition);

	at(&parser, "on_error");
	(void) parse_choice(definition, "on_error", "hold", NULL);
	at(&parser, "on_zero");
	rule->skip_zero = strcmp(parse_choice(definition, "on_zero",
										  "error", "skip"), "skip") == 0;

	at(&parser, "%s", "");
	uaef_settlement_terms_read(&rule->terms, definition);

	at(&parser, "its paths");
	uaef_settlement_rule_paths(rule, check_root, NULL);
	parser_end(&parser);
	return rule;
}

/*
 * "effective": [from, to]; null, or no such key, is no limit.  Apart from
 * compiling, because a time without a zone means another instant in another
 * session: it is read once, when the rule is made.
 */
void
uaef_settlement_rule_set_period(UaefSettlementRule *rule, Jsonb *definition)
{
	Parser		parser;
	JsonbValue	value;
	Jsonb	   *period;

	if (!uaef_json_get(definition, "effective", &value))
		return;

	parser_begin(&parser, rule->name);
	at(&parser, "effective");
	period = container_of(&value, true);
	if (JB_ROOT_COUNT(period) != 2)
		refuse(ERRCODE_UAEF_BAD_EXPRESSION,
			   "period must be an array of two times");
	rule->effective_from =
		parse_time(getIthJsonbValueFromContainer(&period->root, 0), DT_NOBEGIN);
	rule->effective_to =
		parse_time(getIthJsonbValueFromContainer(&period->root, 1), DT_NOEND);
	if (rule->effective_from >= rule->effective_to)
		refuse(ERRCODE_UAEF_BAD_EXPRESSION,
			   "period must begin before it ends");
	parser_end(&parser);
}

void
uaef_settlement_rule_paths(const UaefSettlementRule *rule,
						   void (*visit) (const UaefPath *path, void *arg),
						   void *arg)
{
	if (rule->when != NULL)
		uaef_condition_paths(rule->when, visit, arg);
	uaef_amount_paths(rule->amount, visit, arg);
	for (int i = 0; i < rule->n_parts; i++)
		uaef_template_paths(rule->parts[i].recipient, visit, arg);
}

/*
 * From here to parser_end(), errors say in their context where they arose.
 */
static void
parser_begin(Parser *parser, const char *name)
{
	parser->name = name;
	parser->place[0] = '\0';
	parser->callback.callback = say_place;
	parser->callback.arg = parser;
	parser->callback.previous = error_context_stack;
	error_context_stack = &parser->callback;
}

static void
parser_end(Parser *parser)
{
	error_context_stack = parser->callback.previous;
}

static void
say_place(void *arg)
{
	Parser	   *parser = arg;

	if (parser->place[0] != '\0')
		errcontext("settlement rule \"%s\", at %s",
				   parser->name, parser->place);
	else
		errcontext("settlement rule \"%s\"", parser->name);
}

static void
at(Parser *parser, const char *format,...)
{
	va_list		args;

	va_start(args, format);
	vsnprintf(parser->place, sizeof(parser->place), format, args);
	va_end(args);
}

static bool
is_one_of(const char *const *list, const char *text, int len)
{
	for (; *list != NULL; list++)
	{
		if (strlen(*list) == len && memcmp(*list, text, len) == 0)
			return true;
	}
	return false;
}

/*
 * Raise UA221 for the first key that is not among known.
 */
static void
check_keys(Jsonb *object, const char *const *known)
{
	JsonbIterator *it = JsonbIteratorInit(&object->root);
	JsonbIteratorToken token;
	JsonbValue	value;

	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY &&
			!is_one_of(known, value.val.string.val, value.val.string.len))
			refuse(ERRCODE_UAEF_BAD_EXPRESSION, "unknown key \"%.*s\"",
				   Min(value.val.string.len, 60), value.val.string.val);
	}
}

/*
 * A value that must be an array, or an object, as a document.
 */
static Jsonb *
container_of(JsonbValue *value, bool array)
{
	Jsonb	   *document = uaef_json_from_value(value);

	if (array ? !JB_ROOT_IS_ARRAY(document) || JB_ROOT_IS_SCALAR(document)
		: !JB_ROOT_IS_OBJECT(document))
		refuse(ERRCODE_UAEF_BAD_EXPRESSION,
			   array ? "value must be an array" : "value must be an object");
	return document;
}

/*
 * A key's text, which must not be empty; NULL where it is missing and not
 * required.
 */
static char *
text_at(Jsonb *object, const char *key, bool required)
{
	JsonbValue	value;

	if (!uaef_json_get(object, key, &value))
	{
		if (required)
			refuse(ERRCODE_UAEF_BAD_EXPRESSION, "key \"%s\" is missing", key);
		return NULL;
	}
	if (value.type != jbvString || value.val.string.len == 0)
		refuse(ERRCODE_UAEF_BAD_EXPRESSION,
			   "value of \"%s\" must be a text that is not empty", key);
	return pnstrdup(value.val.string.val, value.val.string.len);
}

/*
 * Digits with at most one point: no sign, exponent, space or NaN.
 */
static Numeric
parse_decimal(const char *key, const char *text, int len)
{
	int			points = 0;
	int			digits = 0;

	for (int i = 0; i < len; i++)
	{
		if (text[i] == '.')
			points++;
		else if (text[i] >= '0' && text[i] <= '9')
			digits++;
	}
	if (digits == 0 || points > 1 || digits + points != len ||
		len > MAX_DECIMAL)
		refuse(ERRCODE_UAEF_BAD_NUMBER,
			   "value \"%.*s\" of \"%s\" is not a decimal number",
			   Min(len, MAX_DECIMAL), text, key);
	return uaef_numeric_from_text(pnstrdup(text, len));
}

/*
 * A key's number, written as a text or as a JSON number; NULL when missing.
 */
static Numeric
decimal_at(Jsonb *object, const char *key)
{
	JsonbValue	value;
	char	   *text;

	if (!uaef_json_get(object, key, &value))
		return NULL;
	if (value.type == jbvString)
		return parse_decimal(key, value.val.string.val,
							 value.val.string.len);
	if (value.type != jbvNumeric)
		refuse(ERRCODE_UAEF_BAD_NUMBER,
			   "value of \"%s\" must be a decimal number", key);
	text = uaef_numeric_text(value.val.numeric);

	return parse_decimal(key, text, strlen(text));
}

/*
 * The amount of a key in minor units of the rule's currency.  Raises UA206 when it has
 * more digits than the currency.
 */
static Numeric
minor_of(const UaefSettlementRule *rule, const char *key, Numeric amount)
{
	UaefEvalError error = {0};
	Numeric		minor;

	if (!uaef_money_exact_minor(amount, rule->currency, &minor, &error))
		refuse(error.sqlstate, "value of \"%s\": %s", key, error.message);
	return minor;
}

/*
 * A key with one or two legal values, of which the first is the default.
 */
static char *
parse_choice(Jsonb *definition, const char *key, const char *first,
			 const char *second)
{
	char	   *text = text_at(definition, key, false);

	if (text == NULL)
		return pstrdup(first);
	if (strcmp(text, first) != 0 &&
		(second == NULL || strcmp(text, second) != 0))
		refuse(ERRCODE_UAEF_BAD_EXPRESSION, "unknown value \"%s\" of \"%s\"",
			   text, key);
	return text;
}

/*
 * "workflow", "when", "currency": for what the rule is.
 *
 * An empty condition is true of everything.  That is what a rule means that
 * has none, and is refused where somebody meant to write one.
 */
static void
parse_scope(Parser *parser, UaefSettlementRule *rule, Jsonb *definition)
{
	JsonbValue	value;

	rule->workflow = text_at(definition, "workflow", true);
	rule->currency = text_at(definition, "currency", true);
	at(parser, "currency");
	if (uaef_currency_exponent(rule->currency) < 0)
		refuse(ERRCODE_UAEF_CURRENCY, "unknown currency \"%s\"",
			   rule->currency);

	at(parser, "when");
	if (uaef_json_get(definition, "when", &value))
	{
		Jsonb	   *when = container_of(&value, false);

		if (JB_ROOT_COUNT(when) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_UAEF_BAD_CONDITION),
					 errmsg("condition is empty"),
					 errhint("Leave \"when\" out for a rule that always applies.")));
		rule->when = uaef_condition_compile(when, false);
	}
	at(parser, "%s", "");
}

/*
 * The one of "amount", "fixed", "percentage" and "tiers" that is there, with
 * its bounds and rounding.
 */
static void
parse_amount(Parser *parser, UaefSettlementRule *rule, Jsonb *definition)
{
	const char *form = NULL;
	const char *currency;
	JsonbValue	value;

	for (int i = 0; amount_keys[i] != NULL; i++)
	{
		if (!uaef_json_get(definition, amount_keys[i], &value))
			continue;
		if (form != NULL)
			refuse(ERRCODE_UAEF_BAD_EXPRESSION,
				   "\"%s\" and \"%s\" exclude each other", form,
				   amount_keys[i]);
		form = amount_keys[i];
	}
	if (form == NULL)
		refuse(ERRCODE_UAEF_BAD_EXPRESSION,
			   "one of \"amount\", \"fixed\", \"percentage\" and \"tiers\" is missing");

	parse_bounds(rule, definition);
	at(parser, "%s", form);
	(void) uaef_json_get(definition, form, &value);
	if (strcmp(form, "fixed") == 0)
		rule->amount = compile_fixed(rule, definition);
	else if (strcmp(form, "percentage") == 0)
		rule->amount = compile_percentage(rule, &value);
	else if (strcmp(form, "tiers") == 0)
		rule->amount = compile_tiers(rule, &value);
	else
		rule->amount = uaef_amount_compile(text_at(definition, form, true),
										   rule->currency, false);
	currency = uaef_amount_currency(rule->amount);
	if (currency != NULL && strcmp(currency, rule->currency) != 0)
		refuse(ERRCODE_UAEF_CURRENCY, "amount is in %s but the rule in %s",
			   currency, rule->currency);

	at(parser, "round");
	rule->round = text_at(definition, "round", false);
	if (rule->round == NULL)
		rule->round = pstrdup("half_even");
	rule->rounding = uaef_rounding_by_name(rule->round);
	at(parser, "%s", "");
}

static UaefAmount *
compile_fixed(UaefSettlementRule *rule, Jsonb *definition)
{
	Numeric		amount = decimal_at(definition, "fixed");

	if (uaef_numeric_sign(minor_of(rule, "fixed", amount)) == 0)
		refuse(ERRCODE_UAEF_ZERO_AMOUNT, "fixed amount must not be zero");
	return uaef_amount_compile(uaef_numeric_text(amount), rule->currency,
							   false);
}

/*
 * A percentage is a tier table of one band.
 */
static UaefAmount *
compile_percentage(UaefSettlementRule *rule, JsonbValue *value)
{
	Jsonb	   *percentage = container_of(value, false);
	UaefJson	band;
	UaefJson	tiers;
	JsonbValue	element;

	check_keys(percentage, percentage_keys);
	parse_bounds(rule, percentage);

	uaef_json_begin(&band);
	uaef_json_text(&band, "rate", text_at(percentage, "rate", true));

	uaef_json_begin(&tiers);
	uaef_json_text(&tiers, "mode", "marginal");
	uaef_json_text(&tiers, "on", text_at(percentage, "of", true));
	element.type = jbvString;
	element.val.string.val = "bands";
	element.val.string.len = strlen("bands");
	(void) pushJsonbValue(&tiers.state, WJB_KEY, &element);
	(void) pushJsonbValue(&tiers.state, WJB_BEGIN_ARRAY, NULL);
	JsonbToJsonbValue(uaef_json_end(&band), &element);
	(void) pushJsonbValue(&tiers.state, WJB_ELEM, &element);
	(void) pushJsonbValue(&tiers.state, WJB_END_ARRAY, NULL);
	return uaef_amount_compile_tiers(uaef_json_end(&tiers), rule->currency,
									 false);
}

/*
 * Bounds inside of the table and bounds of the rule would hide each other.
 */
static UaefAmount *
compile_tiers(UaefSettlementRule *rule, JsonbValue *value)
{
	Jsonb	   *tiers = container_of(value, false);

	parse_bounds(rule, tiers);
	return uaef_amount_compile_tiers(tiers, rule->currency, false);
}

/*
 * "min" and "max" of the rule, or of its amount's form, but not of both.
 */
static void
parse_bounds(UaefSettlementRule *rule, Jsonb *object)
{
	Numeric		min = decimal_at(object, "min");
	Numeric		max = decimal_at(object, "max");

	if ((min != NULL && rule->min != NULL) ||
		(max != NULL && rule->max != NULL))
		refuse(ERRCODE_UAEF_BAD_EXPRESSION,
			   "\"min\" or \"max\" is given twice");
	if (min != NULL)
	{
		(void) minor_of(rule, "min", min);
		rule->min = min;
	}
	if (max != NULL)
	{
		(void) minor_of(rule, "max", max);
		rule->max = max;
	}
	if (rule->min != NULL && rule->max != NULL &&
		uaef_numeric_compare(rule->min, rule->max) > 0)
		refuse(ERRCODE_UAEF_BAD_EXPRESSION, "\"min\" is greater than \"max\"");
}

/*
 * "recipient" for one, or "split" for several.
 */
static void
parse_recipients(Parser *parser, UaefSettlementRule *rule, Jsonb *definition)
{
	char	   *recipient = text_at(definition, "recipient", false);
	JsonbValue	value;
	bool		split = uaef_json_get(definition, "split", &value);

	if ((recipient != NULL) == split)
		refuse(ERRCODE_UAEF_BAD_RECIPIENT,
			   "exactly one of \"recipient\" and \"split\" must be there");
	if (split)
	{
		at(parser, "split");
		parse_split(parser, rule, container_of(&value, false));
	}
	else
	{
		at(parser, "recipient");
		rule->n_parts = 1;
		rule->parts = palloc0(sizeof(UaefSplitPart));
		rule->parts->name = recipient;
		rule->parts->share = pstrdup("100%");
		rule->parts->weight = int64_to_numeric(100);
		rule->parts->recipient = compile_recipient(recipient);
	}
	at(parser, "%s", "");
}

static void
parse_split(Parser *parser, UaefSettlementRule *rule, Jsonb *split)
{
	char	   *remainder;
	JsonbValue	value;
	Jsonb	   *parts;

	check_keys(split, split_keys);
	remainder = text_at(split, "remainder", false);
	rule->remainder = remainder == NULL ? UAEF_REMAINDER_LARGEST
		: uaef_remainder_by_name(remainder);

	at(parser, "split.parts");
	if (!uaef_json_get(split, "parts", &value))
		refuse(ERRCODE_UAEF_BAD_SPLIT, "key \"parts\" is missing");
	parts = container_of(&value, true);
	rule->n_parts = JB_ROOT_COUNT(parts);
	if (rule->n_parts < 1 || rule->n_parts > MAX_PARTS)
		refuse(ERRCODE_UAEF_BAD_SPLIT, "split must have 1 to %d parts",
			   MAX_PARTS);

	rule->parts = palloc0(rule->n_parts * sizeof(UaefSplitPart));
	for (int i = 0; i < rule->n_parts; i++)
	{
		at(parser, "split.parts[%d]", i);
		parse_part(&rule->parts[i],
				   getIthJsonbValueFromContainer(&parts->root, i));
	}
	at(parser, "split.parts");
	check_shares(rule);
}

static void
parse_part(UaefSplitPart *part, JsonbValue *value)
{
	Jsonb	   *object = container_of(value, false);
	char	   *to;
	int			len;

	check_keys(object, part_keys);
	to = text_at(object, "to", true);
	part->name = text_at(object, "name", false);
	if (part->name == NULL)
		part->name = to;
	part->recipient = compile_recipient(to);

	part->share = text_at(object, "share", true);
	if (strcmp(part->share, "rest") == 0)
		return;
	len = strlen(part->share);
	if (part->share[0] == '-')
		refuse(ERRCODE_UAEF_BAD_SPLIT, "share \"%s\" is negative",
			   part->share);
	if (part->share[len - 1] != '%')
		refuse(ERRCODE_UAEF_BAD_SPLIT,
			   "share \"%s\" is neither a percentage nor \"rest\"",
			   part->share);
	part->weight = parse_decimal("share", part->share, len - 1);
}

/*
 * The shares must be the whole; "rest" is what the others leave of it.
 */
static void
check_shares(UaefSettlementRule *rule)
{
	Numeric		left = int64_to_numeric(100);
	UaefSplitPart *rest = NULL;
	int			sign;

	for (int i = 0; i < rule->n_parts; i++)
	{
		if (rule->parts[i].weight != NULL)
			left = uaef_numeric_op(numeric_sub, left, rule->parts[i].weight);
		else if (rest != NULL)
			refuse(ERRCODE_UAEF_BAD_SPLIT, "split has more than one \"rest\"");
		else
			rest = &rule->parts[i];
	}

	sign = uaef_numeric_sign(left);
	if (sign < 0 || (sign > 0 && rest == NULL))
		refuse(ERRCODE_UAEF_BAD_SPLIT,
			   "shares are %s than 100%%", sign < 0 ? "more" : "less");
	if (rest != NULL)
		rest->weight = left;
}

/*
 * A recipient is kind:id, or "house" alone.  Its kind must stand in the rule:
 * data may say which agent is paid, and not that an outsider is.  Blanks that
 * stand around the id would make an error of every evaluation.
 */
static UaefTemplate *
compile_recipient(const char *text)
{
	const char *colon = strchr(text, ':');
	int			len = colon ? colon - text : strlen(text);

	if (!is_one_of(recipient_kinds, text, len) ||
		(colon == NULL && strcmp(text, "house") != 0) ||
		(colon != NULL && uaef_blank_at_ends(colon + 1)))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_RECIPIENT),
				 errmsg("\"%s\" is not a recipient", text),
				 errdetail("A recipient is agent, user, external, pool, acct or house, a colon, and an id without blanks around it.")));
	return uaef_template_compile_text(text);
}

/*
 * "approval": bands by amount, the last without a limit.
 */
static void
parse_approval(Parser *parser, UaefSettlementRule *rule, Jsonb *definition)
{
	JsonbValue	value;
	Jsonb	   *object;

	if (!uaef_json_get(definition, "approval", &value))
		return;
	at(parser, "approval");
	object = container_of(&value, false);
	check_keys(object, approval_keys);
	if (!uaef_json_get(object, "bands", &value))
		refuse(ERRCODE_UAEF_BAD_EXPRESSION, "key \"%s\" is missing", "bands");

	object = container_of(&value, true);
	rule->n_bands = JB_ROOT_COUNT(object);
	if (rule->n_bands < 1 || rule->n_bands > MAX_BANDS)
		refuse(ERRCODE_UAEF_BAD_EXPRESSION,
			   "approval must have 1 to %d bands", MAX_BANDS);
	rule->bands = palloc0(rule->n_bands * sizeof(UaefApprovalBand));
	for (int i = 0; i < rule->n_bands; i++)
	{
		at(parser, "approval.bands[%d]", i);
		parse_band(rule, i, getIthJsonbValueFromContainer(&object->root, i));
	}
	at(parser, "%s", "");
}

static void
parse_band(UaefSettlementRule *rule, int no, JsonbValue *value)
{
	UaefApprovalBand *band = &rule->bands[no];
	Jsonb	   *object = container_of(value, false);
	bool		last = no == rule->n_bands - 1;
	Numeric		to;
	Numeric		need;

	check_keys(object, band_keys);

	to = decimal_at(object, "to");
	if ((to == NULL) != last)
		refuse(ERRCODE_UAEF_BAD_EXPRESSION,
			   "every band but the last must have \"to\"");
	if (to != NULL)
		band->to_minor = minor_of(rule, "to", to);
	if (no > 0 && !last &&
		uaef_numeric_compare(band->to_minor,
							 rule->bands[no - 1].to_minor) <= 0)
		refuse(ERRCODE_UAEF_BAD_EXPRESSION, "bands must ascend");

	need = decimal_at(object, "need");
	if (need == NULL ||
		uaef_numeric_compare(need, int64_to_numeric(MAX_NEED)) > 0)
		refuse(ERRCODE_UAEF_BAD_EXPRESSION,
			   "\"need\" must be a number from 0 to %d", MAX_NEED);
	band->need = DatumGetInt32(DirectFunctionCall1(numeric_int4,
												   NumericGetDatum(need)));
	if (uaef_numeric_compare(need, int64_to_numeric(band->need)) != 0)
		refuse(ERRCODE_UAEF_BAD_EXPRESSION, "\"need\" must be a whole number");

	band->of = text_at(object, "of", false);
	parse_distinct_from(band, object);
}

/*
 * "distinct_from": who may not approve; without it none of the one who started
 * the execution, the one who wrote the rule, and who owns the recipient.
 */
static void
parse_distinct_from(UaefApprovalBand *band, Jsonb *object)
{
	JsonbValue	value;
	Jsonb	   *list;

	if (!uaef_json_get(object, "distinct_from", &value))
	{
		band->not_initiator = true;
		band->not_author = true;
		band->not_recipient = true;
		return;
	}
	list = container_of(&value, true);
	for (int i = 0; i < JB_ROOT_COUNT(list); i++)
	{
		JsonbValue *who = getIthJsonbValueFromContainer(&list->root, i);
		const char *initiator[] = {"initiator", NULL};
		const char *author[] = {"rule_author", NULL};
		const char *recipient[] = {"recipient", NULL};

		if (who->type == jbvString &&
			is_one_of(initiator, who->val.string.val, who->val.string.len))
			band->not_initiator = true;
		else if (who->type == jbvString &&
				 is_one_of(author, who->val.string.val, who->val.string.len))
			band->not_author = true;
		else if (who->type == jbvString &&
				 is_one_of(recipient, who->val.string.val, who->val.string.len))
			band->not_recipient = true;
		else
			refuse(ERRCODE_UAEF_BAD_EXPRESSION,
				   "\"distinct_from\" may name \"initiator\", \"rule_author\" and \"recipient\" only");
	}
}

/*
 * item, last and signal are names of single tasks; an execution that has
 * ended has none.
 */
static void
check_root(const UaefPath *path, void *arg)
{
	if (strcmp(uaef_path_root(path), "item") == 0 ||
		strcmp(uaef_path_root(path), "last") == 0 ||
		strcmp(uaef_path_root(path), "signal") == 0)
		refuse(ERRCODE_UAEF_BAD_TEMPLATE,
			   "path \"%s\" has no meaning in a settlement rule",
			   uaef_path_text(path));
}

/*
 * A time as text, or the other value for null.
 */
static TimestampTz
parse_time(JsonbValue *value, TimestampTz otherwise)
{
	char	   *text;
	TimestampTz time;

	if (value->type == jbvNull)
		return otherwise;
	if (value->type != jbvString)
		refuse(ERRCODE_UAEF_BAD_EXPRESSION, "time must be a text or null");
	text = pnstrdup(value->val.string.val, value->val.string.len);

	time = DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in,
												   CStringGetDatum(text),
												   ObjectIdGetDatum(InvalidOid),
												   Int32GetDatum(-1)));
	if (TIMESTAMP_NOT_FINITE(time))
		refuse(ERRCODE_UAEF_BAD_EXPRESSION, "time must be finite");
	return time;
}
