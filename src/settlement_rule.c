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
#include "error_class.h"
#include "json_util.h"
#include "json_walk.h"
#include "numeric_util.h"
#include "settlement_rule_parse.h"

/* Limits of a definition. */
#define MAX_DECIMAL		60		/* bytes of a number's text */

/* One thing to be read; with defects, what is wrong with it is noted. */
typedef void (*Section) (UaefRuleParser *parser, UaefSettlementRule *rule,
						 Jsonb *definition);

static const char *const rule_keys[] = {
	"workflow", "task", "when", "currency", "amount", "fixed", "percentage", "tiers",
	"table", "min", "max", "round", "split", "recipient", "approval", "on_error",
	"on_zero", "effective", "schedule", NULL
};
static const char *const amount_keys[] = {
	"amount", "fixed", "percentage", "tiers", "table", NULL
};
static const char *const percentage_keys[] = {
	"of", "rate", "min", "max", NULL
};

static void parser_begin(UaefRuleParser *parser, const char *name);
static void parser_end(UaefRuleParser *parser);
static void say_place(void *arg);
static char *parse_choice(Jsonb *definition, const char *key,
						  const char *first, const char *second);
static void attempt(UaefRuleParser *parser, Section section, UaefSettlementRule *rule,
					Jsonb *definition);
static void add_defect(UaefRuleParser *parser, const char *severity,
					   const char *problem, const char *hint);
static void parse_all(UaefRuleParser *parser, UaefSettlementRule *rule,
					  Jsonb *definition);
static void parse_form(UaefRuleParser *parser, UaefSettlementRule *rule,
					   Jsonb *definition);
static void parse_workflow(UaefRuleParser *parser, UaefSettlementRule *rule,
						   Jsonb *definition);
static void parse_currency(UaefRuleParser *parser, UaefSettlementRule *rule,
						   Jsonb *definition);
static void parse_when(UaefRuleParser *parser, UaefSettlementRule *rule,
					   Jsonb *definition);
static void compile_condition(UaefRuleParser *parser, UaefSettlementRule *rule,
							  Jsonb *when);
static void check_condition(UaefRuleParser *parser, Jsonb *condition);
static void parse_round(UaefRuleParser *parser, UaefSettlementRule *rule,
						Jsonb *definition);
static void parse_choices(UaefRuleParser *parser, UaefSettlementRule *rule,
						  Jsonb *definition);
static void parse_period(UaefRuleParser *parser, UaefSettlementRule *rule,
						 Jsonb *definition);
static void parse_terms(UaefRuleParser *parser, UaefSettlementRule *rule,
						Jsonb *definition);
static void parse_paths(UaefRuleParser *parser, UaefSettlementRule *rule,
						Jsonb *definition);
static void parse_amount(UaefRuleParser *parser, UaefSettlementRule *rule,
						 Jsonb *definition);
static UaefAmount *compile_fixed(UaefSettlementRule *rule, Jsonb *definition);
static UaefAmount *compile_percentage(UaefRuleParser *parser,
									  UaefSettlementRule *rule,
									  JsonbValue *value);
static UaefAmount *compile_tiers(UaefRuleParser *parser, UaefSettlementRule *rule,
								 JsonbValue *value);
static void parse_bounds(UaefSettlementRule *rule, Jsonb *object);
static void check_path(const UaefPath *path, void *arg);
static TimestampTz parse_time(JsonbValue *value, TimestampTz otherwise);


/*
 * Compile a definition.  Raises UA221 for its form, UA208 for currencies,
 * UA209 for a split, UA210 for a recipient, and what the compilers of
 * conditions (UA220), amounts (UA221) and templates (UA222) raise.
 */
UaefSettlementRule *
uaef_settlement_rule_compile(const char *name, Jsonb *definition,
							 const UaefTyping *typing)
{
	UaefSettlementRule *rule = palloc0(sizeof(UaefSettlementRule));
	UaefRuleParser parser = {.typing = typing};

	rule->name = pstrdup(name);
	parser_begin(&parser, name);
	parse_all(&parser, rule, uaef_settlement_rule_from_seed(definition));
	parser_end(&parser);
	return rule;
}

/*
 * All that is wrong with a definition: a list of UaefRuleDefect.
 */
List *
uaef_settlement_rule_check(Jsonb *definition, const UaefTyping *typing)
{
	UaefSettlementRule *rule = palloc0(sizeof(UaefSettlementRule));
	List	   *defects = NIL;
	UaefRuleParser parser = {.typing = typing,.defects = &defects};

	parser.context = CurrentMemoryContext;
	rule->name = pstrdup("draft");
	parser_begin(&parser, rule->name);
	PG_TRY();
	{
		parse_all(&parser, rule, uaef_settlement_rule_from_seed(definition));
		attempt(&parser, parse_period, rule, definition);
	}
	PG_CATCH();
	{
		uaef_rule_note_defect(&parser);
	}
	PG_END_TRY();
	parser_end(&parser);
	return defects;
}

static void
parse_all(UaefRuleParser *parser, UaefSettlementRule *rule, Jsonb *definition)
{
	static const Section sections[] = {
		parse_form, parse_workflow, parse_currency, parse_when, parse_amount,
		parse_round, uaef_rule_parse_recipients, uaef_rule_parse_approval, parse_terms,
		parse_choices, parse_paths
	};

	if (!JB_ROOT_IS_OBJECT(definition))
		refuse(ERRCODE_UAEF_BAD_EXPRESSION,
			   "definition of a settlement rule must be an object");
	rule->effective_from = DT_NOBEGIN;
	rule->effective_to = DT_NOEND;
	for (int i = 0; i < lengthof(sections); i++)
		attempt(parser, sections[i], rule, definition);
}

/*
 * Read one thing.  What reads does nothing but allocate memory, so that an
 * error of it can be caught without a subtransaction.
 */
static void
attempt(UaefRuleParser *parser, Section section, UaefSettlementRule *rule,
		Jsonb *definition)
{
	uaef_rule_at(parser, "%s", "");
	if (parser->defects == NULL)
	{
		section(parser, rule, definition);
		uaef_rule_at(parser, "%s", "");
		return;
	}
	PG_TRY();
	{
		section(parser, rule, definition);
	}
	PG_CATCH();
	{
		uaef_rule_note_defect(parser);
	}
	PG_END_TRY();
	uaef_rule_at(parser, "%s", "");
}

/* The error that was caught, as a defect; what is no fault of it goes on. */
void
uaef_rule_note_defect(UaefRuleParser *parser)
{
	ErrorData  *edata;

	MemoryContextSwitchTo(parser->context);
	edata = CopyErrorData();
	if (uaef_error_is_transient(edata->sqlerrcode))
		PG_RE_THROW();
	FlushErrorState();
	add_defect(parser, "error",
			   edata->detail == NULL ? edata->message :
			   psprintf("%s: %s", edata->message, edata->detail),
			   edata->hint);
}

static void
add_defect(UaefRuleParser *parser, const char *severity, const char *problem,
		   const char *hint)
{
	UaefRuleDefect *defect = palloc(sizeof(UaefRuleDefect));

	defect->severity = severity;
	defect->path = pstrdup(parser->place);
	defect->problem = pstrdup(problem);
	defect->hint = hint == NULL ? NULL : pstrdup(hint);
	*parser->defects = lappend(*parser->defects, defect);
}

/* Keys that nobody knows: each of them is a defect. */
static void
parse_form(UaefRuleParser *parser, UaefSettlementRule *rule, Jsonb *definition)
{
	JsonbIterator *it = JsonbIteratorInit(&definition->root);
	JsonbIteratorToken token;
	JsonbValue	key;

	if (parser->defects == NULL)
		uaef_rule_check_keys(definition, rule_keys);
	else
		while ((token = JsonbIteratorNext(&it, &key, true)) != WJB_DONE)
		{
			if (token == WJB_KEY &&
				!uaef_is_one_of(rule_keys, key.val.string.val,
								key.val.string.len))
				add_defect(parser, "error",
						   psprintf("unknown key \"%.*s\"",
									Min(key.val.string.len, 60),
									key.val.string.val), NULL);
		}
}

/*
 * "effective": [from, to]; null, or no such key, is no limit.  Apart from
 * compiling, because a time without a zone means another instant in another
 * session: it is read once, when the rule is made.
 */
void
uaef_settlement_rule_set_period(UaefSettlementRule *rule, Jsonb *definition)
{
	UaefRuleParser parser = {0};

	parser_begin(&parser, rule->name);
	parse_period(&parser, rule, definition);
	parser_end(&parser);
}

static void
parse_period(UaefRuleParser *parser, UaefSettlementRule *rule, Jsonb *definition)
{
	JsonbValue	value;
	Jsonb	   *period;

	if (!uaef_json_get(definition, "effective", &value))
		return;

	uaef_rule_at(parser, "effective");
	period = uaef_rule_container(&value, true);
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
}

void
uaef_settlement_rule_paths(const UaefSettlementRule *rule,
						   void (*visit) (const UaefPath *path, void *arg),
						   void *arg)
{
	if (rule->when != NULL)
		uaef_condition_paths(rule->when, visit, arg);
	if (rule->amount != NULL)
		uaef_amount_paths(rule->amount, visit, arg);
	for (int i = 0; i < rule->n_parts; i++)
	{
		if (rule->parts[i].recipient != NULL)
			uaef_template_paths(rule->parts[i].recipient, visit, arg);
	}
}

/*
 * From here to parser_end(), errors say in their context where they arose.
 */
static void
parser_begin(UaefRuleParser *parser, const char *name)
{
	parser->name = name;
	parser->place[0] = '\0';
	parser->callback.callback = say_place;
	parser->callback.arg = parser;
	parser->callback.previous = error_context_stack;
	error_context_stack = &parser->callback;
}

static void
parser_end(UaefRuleParser *parser)
{
	error_context_stack = parser->callback.previous;
}

static void
say_place(void *arg)
{
	UaefRuleParser *parser = arg;

	if (parser->place[0] != '\0')
		errcontext("settlement rule \"%s\", at %s",
				   parser->name, parser->place);
	else
		errcontext("settlement rule \"%s\"", parser->name);
}

void
uaef_rule_at(UaefRuleParser *parser, const char *format,...)
{
	va_list		args;

	va_start(args, format);
	vsnprintf(parser->place, sizeof(parser->place), format, args);
	va_end(args);
}

/*
 * Raise UA221 for the first key that is not among known.
 */
void
uaef_rule_check_keys(Jsonb *object, const char *const *known)
{
	JsonbIterator *it = JsonbIteratorInit(&object->root);
	JsonbIteratorToken token;
	JsonbValue	value;

	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY &&
			!uaef_is_one_of(known, value.val.string.val, value.val.string.len))
			refuse(ERRCODE_UAEF_BAD_EXPRESSION, "unknown key \"%.*s\"",
				   Min(value.val.string.len, 60), value.val.string.val);
	}
}

/*
 * A value that must be an array, or an object, as a document.
 */
Jsonb *
uaef_rule_container(JsonbValue *value, bool array)
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
char *
uaef_rule_text(Jsonb *object, const char *key, bool required)
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
Numeric
uaef_rule_parse_decimal(const char *key, const char *text, int len)
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
Numeric
uaef_rule_decimal(Jsonb *object, const char *key)
{
	JsonbValue	value;
	char	   *text;

	if (!uaef_json_get(object, key, &value))
		return NULL;
	if (value.type == jbvString)
		return uaef_rule_parse_decimal(key, value.val.string.val,
									   value.val.string.len);
	if (value.type != jbvNumeric)
		refuse(ERRCODE_UAEF_BAD_NUMBER,
			   "value of \"%s\" must be a decimal number", key);
	text = uaef_numeric_text(value.val.numeric);

	return uaef_rule_parse_decimal(key, text, strlen(text));
}

/*
 * The amount of a key in minor units of the rule's currency.  Raises UA206 when it has
 * more digits than the currency.
 */
Numeric
uaef_rule_minor(const UaefSettlementRule *rule, const char *key, Numeric amount)
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
	char	   *text = uaef_rule_text(definition, key, false);

	if (text == NULL)
		return pstrdup(first);
	if (strcmp(text, first) != 0 &&
		(second == NULL || strcmp(text, second) != 0))
		refuse(ERRCODE_UAEF_BAD_EXPRESSION, "unknown value \"%s\" of \"%s\"",
			   text, key);
	return text;
}

static void
parse_workflow(UaefRuleParser *parser, UaefSettlementRule *rule, Jsonb *definition)
{
	rule->workflow = uaef_rule_text(definition, "workflow", true);
	rule->task = uaef_rule_text(definition, "task", false);
}

static void
parse_currency(UaefRuleParser *parser, UaefSettlementRule *rule, Jsonb *definition)
{
	char	   *currency = uaef_rule_text(definition, "currency", true);

	uaef_rule_at(parser, "currency");
	uaef_currency_require(currency);
	rule->currency = currency;
}

/*
 * "when": an empty condition is true of everything.  That is what a rule means
 * that has none, and is refused where somebody meant to write one.
 */
static void
parse_when(UaefRuleParser *parser, UaefSettlementRule *rule, Jsonb *definition)
{
	JsonbValue	value;
	Jsonb	   *when;

	if (!uaef_json_get(definition, "when", &value))
		return;
	uaef_rule_at(parser, "when");
	when = uaef_rule_container(&value, false);
	if (JB_ROOT_COUNT(when) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_CONDITION),
				 errmsg("condition is empty"),
				 errhint("Leave \"when\" out for a rule that always applies.")));
	if (parser->defects == NULL)
		compile_condition(parser, rule, when);
	else
		check_condition(parser, when);
}

static void
compile_condition(UaefRuleParser *parser, UaefSettlementRule *rule, Jsonb *when)
{
	uaef_rule_at(parser, "when");
	rule->when = uaef_condition_compile(when, false, parser->typing);
	if (parser->defects != NULL)
		uaef_condition_paths(rule->when, check_path, parser);
}

/* Compile the members of a condition one by one, for all of its defects. */
static void
check_condition(UaefRuleParser *parser, Jsonb *condition)
{
	static const char *const groups[] = {"$and", "$or", "$nor", NULL};
	UaefSettlementRule ignored = {0};
	UaefMembers members;
	JsonbValue	root;

	uaef_document_value(condition, &root);
	members = uaef_members(&root);
	for (int i = 0; i < members.n; i++)
	{
		const JsonbValue *key = &members.keys[i];
		JsonbValue *value = &members.values[i];
		UaefJson	single;

		if (uaef_is_one_of(groups, key->val.string.val, key->val.string.len) &&
			value->type == jbvBinary &&
			JsonContainerIsArray(value->val.binary.data))
		{
			UaefMembers elements = uaef_members(value);

			for (int j = 0; j < elements.n; j++)
			{
				Jsonb	   *element = uaef_json_from_value(&elements.values[j]);

				if (JB_ROOT_IS_OBJECT(element) && JB_ROOT_COUNT(element) > 0)
					check_condition(parser, element);
				else
					attempt(parser, compile_condition, &ignored, element);
			}
			continue;
		}
		uaef_json_begin(&single);
		uaef_json_jsonb(&single, pnstrdup(key->val.string.val,
										  key->val.string.len),
						uaef_json_from_value(value));
		attempt(parser, compile_condition, &ignored, uaef_json_end(&single));
	}
}

/*
 * The one of "amount", "fixed", "percentage" and "tiers" that is there, with
 * its bounds and rounding.
 */
static void
parse_amount(UaefRuleParser *parser, UaefSettlementRule *rule, Jsonb *definition)
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
			   "one of \"amount\", \"fixed\", \"percentage\", \"tiers\" and \"table\" is missing");
	if (rule->currency == NULL)
		return;

	parse_bounds(rule, definition);
	uaef_rule_at(parser, "%s", form);
	(void) uaef_json_get(definition, form, &value);
	if (strcmp(form, "fixed") == 0)
		rule->amount = compile_fixed(rule, definition);
	else if (strcmp(form, "percentage") == 0)
		rule->amount = compile_percentage(parser, rule, &value);
	else if (strcmp(form, "tiers") == 0)
		rule->amount = compile_tiers(parser, rule, &value);
	else if (strcmp(form, "table") == 0)
		rule->amount = uaef_amount_compile_table(uaef_rule_container(&value, false),
												 rule->currency, false,
												 parser->typing);
	else
		rule->amount = uaef_amount_compile(uaef_rule_text(definition, form, true),
										   rule->currency, false,
										   parser->typing);
	currency = uaef_amount_currency(rule->amount);
	if (currency != NULL && strcmp(currency, rule->currency) != 0)
		refuse(ERRCODE_UAEF_CURRENCY, "amount is in %s but the rule in %s",
			   currency, rule->currency);
}

static void
parse_round(UaefRuleParser *parser, UaefSettlementRule *rule, Jsonb *definition)
{
	uaef_rule_at(parser, "round");
	rule->round = uaef_rule_text(definition, "round", false);
	if (rule->round == NULL)
		rule->round = pstrdup("half_even");
	rule->rounding = uaef_rounding_by_name(rule->round);
}

static UaefAmount *
compile_fixed(UaefSettlementRule *rule, Jsonb *definition)
{
	Numeric		amount = uaef_rule_decimal(definition, "fixed");

	if (uaef_numeric_sign(uaef_rule_minor(rule, "fixed", amount)) == 0)
		refuse(ERRCODE_UAEF_ZERO_AMOUNT, "fixed amount must not be zero");
	return uaef_amount_compile(uaef_numeric_text(amount), rule->currency,
							   false, NULL);
}

/*
 * A percentage is a tier table of one band.
 */
static UaefAmount *
compile_percentage(UaefRuleParser *parser, UaefSettlementRule *rule,
				   JsonbValue *value)
{
	Jsonb	   *percentage = uaef_rule_container(value, false);
	UaefJson	band;
	UaefJson	tiers;
	JsonbValue	element;

	uaef_rule_check_keys(percentage, percentage_keys);
	parse_bounds(rule, percentage);

	uaef_json_begin(&band);
	uaef_json_text(&band, "rate", uaef_rule_text(percentage, "rate", true));

	uaef_json_begin(&tiers);
	uaef_json_text(&tiers, "mode", "marginal");
	uaef_json_text(&tiers, "on", uaef_rule_text(percentage, "of", true));
	element.type = jbvString;
	element.val.string.val = "bands";
	element.val.string.len = strlen("bands");
	(void) pushJsonbValue(&tiers.state, WJB_KEY, &element);
	(void) pushJsonbValue(&tiers.state, WJB_BEGIN_ARRAY, NULL);
	JsonbToJsonbValue(uaef_json_end(&band), &element);
	(void) pushJsonbValue(&tiers.state, WJB_ELEM, &element);
	(void) pushJsonbValue(&tiers.state, WJB_END_ARRAY, NULL);
	return uaef_amount_compile_tiers(uaef_json_end(&tiers), rule->currency,
									 false, parser->typing);
}

/*
 * Bounds inside of the table and bounds of the rule would hide each other.
 */
static UaefAmount *
compile_tiers(UaefRuleParser *parser, UaefSettlementRule *rule, JsonbValue *value)
{
	Jsonb	   *tiers = uaef_rule_container(value, false);

	parse_bounds(rule, tiers);
	return uaef_amount_compile_tiers(tiers, rule->currency, false,
									 parser->typing);
}

/*
 * "min" and "max" of the rule, or of its amount's form, but not of both.
 */
static void
parse_bounds(UaefSettlementRule *rule, Jsonb *object)
{
	Numeric		min = uaef_rule_decimal(object, "min");
	Numeric		max = uaef_rule_decimal(object, "max");

	if ((min != NULL && rule->min != NULL) ||
		(max != NULL && rule->max != NULL))
		refuse(ERRCODE_UAEF_BAD_EXPRESSION,
			   "\"min\" or \"max\" is given twice");
	if (min != NULL)
	{
		(void) uaef_rule_minor(rule, "min", min);
		rule->min = min;
	}
	if (max != NULL)
	{
		(void) uaef_rule_minor(rule, "max", max);
		rule->max = max;
	}
	if (rule->min != NULL && rule->max != NULL &&
		uaef_numeric_compare(rule->min, rule->max) > 0)
		refuse(ERRCODE_UAEF_BAD_EXPRESSION, "\"min\" is greater than \"max\"");
}

static void
parse_choices(UaefRuleParser *parser, UaefSettlementRule *rule, Jsonb *definition)
{
	uaef_rule_at(parser, "on_error");
	(void) parse_choice(definition, "on_error", "hold", NULL);
	uaef_rule_at(parser, "on_zero");
	rule->skip_zero = strcmp(parse_choice(definition, "on_zero",
										  "error", "skip"), "skip") == 0;
}

static void
parse_terms(UaefRuleParser *parser, UaefSettlementRule *rule,
			Jsonb *definition)
{
	uaef_settlement_terms_read(&rule->terms, definition);
}

static void
parse_paths(UaefRuleParser *parser, UaefSettlementRule *rule, Jsonb *definition)
{
	uaef_rule_at(parser, "its paths");
	uaef_settlement_rule_paths(rule, check_path, parser);
}

/*
 * item, last and signal are names of single tasks; an execution that has
 * ended has none.
 */
static void
check_path(const UaefPath *path, void *arg)
{
	UaefRuleParser *parser = arg;
	uint32		types;

	if (strcmp(uaef_path_root(path), "item") == 0 ||
		strcmp(uaef_path_root(path), "last") == 0 ||
		strcmp(uaef_path_root(path), "signal") == 0)
		refuse(ERRCODE_UAEF_BAD_TEMPLATE,
			   "path \"%s\" has no meaning in a settlement rule",
			   uaef_path_text(path));
	if (parser->typing == NULL)
		return;
	types = parser->typing->types(path, parser->typing->arg);
	if (types == 0)
		refuse(ERRCODE_UAEF_BAD_TEMPLATE,
			   "path \"%s\" cannot be there, by the schema of the workflow",
			   uaef_path_text(path));
	if ((types & UAEF_TYPE_UNDECLARED) && parser->defects != NULL)
		add_defect(parser, "warning",
				   psprintf("path \"%s\" is not in the schema of the workflow",
							uaef_path_text(path)), NULL);
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
