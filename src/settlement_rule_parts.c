/*-------------------------------------------------------------------------
 *
 * settlement_rule_parts.c
 *	  Settlement rules: who gets which part, and who must approve it.
 *
 * Memory: everything is allocated in the current context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "blank.h"
#include "errcodes.h"
#include "json_util.h"
#include "numeric_util.h"
#include "settlement_rule_parse.h"

/* Limits of a definition. */
#define MAX_PARTS		1000
#define MAX_BANDS		100
#define MAX_NEED		100

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

static void parse_split(UaefRuleParser *parser, UaefSettlementRule *rule,
						Jsonb *split);
static void check_part(UaefRuleParser *parser, UaefSplitPart *part,
					   JsonbValue *value);
static void check_parts(UaefRuleParser *parser, UaefSettlementRule *rule,
						Jsonb *parts);
static void find_remainder_part(UaefSettlementRule *rule);
static void parse_part(UaefSplitPart *part, JsonbValue *value);
static void check_shares(UaefSettlementRule *rule);
static UaefTemplate *compile_recipient(const char *text);
static char *sole_part_name(const char *recipient);
static void parse_band(UaefSettlementRule *rule, int no, JsonbValue *value);
static void parse_distinct_from(UaefApprovalBand *band, Jsonb *object);

/*
 * The part of one who gets all: who that is, or of what kind, where the data say
 * who.
 */
static char *
sole_part_name(const char *recipient)
{
	return strstr(recipient, "{{") == NULL ? pstrdup(recipient) :
		pnstrdup(recipient, strcspn(recipient, ":"));
}

/*
 * "recipient" for one, or "split" for several.
 */
void
uaef_rule_parse_recipients(UaefRuleParser *parser, UaefSettlementRule *rule, Jsonb *definition)
{
	char	   *recipient = uaef_rule_text(definition, "recipient", false);
	JsonbValue	value;
	bool		split = uaef_json_get(definition, "split", &value);

	if ((recipient != NULL) == split)
		refuse(ERRCODE_UAEF_BAD_RECIPIENT,
			   "exactly one of \"recipient\" and \"split\" must be there");
	if (split)
	{
		uaef_rule_at(parser, "split");
		parse_split(parser, rule, uaef_rule_container(&value, false));
	}
	else
	{
		uaef_rule_at(parser, "recipient");
		rule->n_parts = 1;
		rule->parts = palloc0(sizeof(UaefSplitPart));
		rule->parts->name = sole_part_name(recipient);
		rule->parts->share = pstrdup("100%");
		rule->parts->weight = int64_to_numeric(100);
		rule->parts->recipient = compile_recipient(recipient);
	}
	uaef_rule_at(parser, "%s", "");
}

static void
parse_split(UaefRuleParser *parser, UaefSettlementRule *rule, Jsonb *split)
{
	char	   *remainder;
	JsonbValue	value;
	Jsonb	   *parts;

	uaef_rule_check_keys(split, split_keys);
	remainder = uaef_rule_text(split, "remainder", false);
	rule->remainder = uaef_remainder_by_name(remainder == NULL ? "largest"
											 : remainder);

	uaef_rule_at(parser, "split.parts");
	if (!uaef_json_get(split, "parts", &value))
		refuse(ERRCODE_UAEF_BAD_SPLIT, "key \"parts\" is missing");
	parts = uaef_rule_container(&value, true);
	rule->n_parts = JB_ROOT_COUNT(parts);
	if (rule->n_parts < 1 || rule->n_parts > MAX_PARTS)
		refuse(ERRCODE_UAEF_BAD_SPLIT, "split must have 1 to %d parts",
			   MAX_PARTS);

	rule->parts = palloc0(rule->n_parts * sizeof(UaefSplitPart));
	if (parser->defects != NULL)
		check_parts(parser, rule, parts);
	for (int i = 0; i < rule->n_parts; i++)
	{
		uaef_rule_at(parser, "split.parts[%d]", i);
		parse_part(&rule->parts[i],
				   getIthJsonbValueFromContainer(&parts->root, i));
	}
	uaef_rule_at(parser, "split.parts");
	check_shares(rule);
	uaef_rule_at(parser, "split.remainder");
	find_remainder_part(rule);
}

/*
 * Each part alone, to note what is wrong with it; one is enough to end the
 * whole, which makes no sense without it.
 */
static void
check_parts(UaefRuleParser *parser, UaefSettlementRule *rule, Jsonb *parts)
{
	int			before = list_length(*parser->defects);
	int			wrong;

	for (int i = 0; i < rule->n_parts; i++)
	{
		uaef_rule_at(parser, "split.parts[%d]", i);
		check_part(parser, &rule->parts[i],
				   getIthJsonbValueFromContainer(&parts->root, i));
	}
	wrong = list_length(*parser->defects) - before;
	uaef_rule_at(parser, "split.parts");
	if (wrong > 0)
		refuse(ERRCODE_UAEF_BAD_SPLIT, "%d of its parts are wrong", wrong);
}

static void
check_part(UaefRuleParser *parser, UaefSplitPart *part, JsonbValue *value)
{
	PG_TRY();
	{
		parse_part(part, value);
	}
	PG_CATCH();
	{
		uaef_rule_note_defect(parser);
	}
	PG_END_TRY();
}

/* "to:house": by the part's name, or its number. */
static void
find_remainder_part(UaefSettlementRule *rule)
{
	UaefRemainder *remainder = &rule->remainder;

	for (int i = 0; remainder->kind == UAEF_REMAINDER_TO && i < rule->n_parts; i++)
	{
		if (strcmp(rule->parts[i].name, remainder->text) == 0)
		{
			remainder->part = i;
			return;
		}
	}
	uaef_remainder_set_part(remainder, rule->n_parts);
}

static void
parse_part(UaefSplitPart *part, JsonbValue *value)
{
	Jsonb	   *object = uaef_rule_container(value, false);
	char	   *to;
	int			len;

	uaef_rule_check_keys(object, part_keys);
	to = uaef_rule_text(object, "to", true);
	part->name = uaef_rule_text(object, "name", false);
	if (part->name == NULL)
		part->name = to;
	part->recipient = compile_recipient(to);

	part->share = uaef_rule_text(object, "share", true);
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
	part->weight = uaef_rule_parse_decimal("share", part->share, len - 1);
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
 * A recipient is kind:id, or "house" alone.  Blanks around the id would make
 * another recipient that looks the same.
 */
void
uaef_recipient_check(const char *text)
{
	const char *colon = strchr(text, ':');
	int			len = colon ? colon - text : strlen(text);

	if (!uaef_is_one_of(recipient_kinds, text, len) ||
		(colon == NULL && strcmp(text, "house") != 0) ||
		(colon != NULL && uaef_blank_at_ends(colon + 1)))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_RECIPIENT),
				 errmsg("\"%s\" is not a recipient", text),
				 errdetail("A recipient is agent, user, external, pool, acct or house, a colon, and an id without blanks around it.")));
}

/*
 * The kind must stand in the rule: data may say which agent is paid, and not
 * that an outsider is.
 */
static UaefTemplate *
compile_recipient(const char *text)
{
	uaef_recipient_check(text);
	return uaef_template_compile_text(text);
}

/*
 * "approval": bands by amount, the last without a limit.
 */
void
uaef_rule_parse_approval(UaefRuleParser *parser, UaefSettlementRule *rule, Jsonb *definition)
{
	JsonbValue	value;
	Jsonb	   *object;

	if (!uaef_json_get(definition, "approval", &value) ||
		rule->currency == NULL)
		return;
	uaef_rule_at(parser, "approval");
	object = uaef_rule_container(&value, false);
	uaef_rule_check_keys(object, approval_keys);
	if (!uaef_json_get(object, "bands", &value))
		refuse(ERRCODE_UAEF_BAD_EXPRESSION, "key \"%s\" is missing", "bands");

	object = uaef_rule_container(&value, true);
	rule->n_bands = JB_ROOT_COUNT(object);
	if (rule->n_bands < 1 || rule->n_bands > MAX_BANDS)
		refuse(ERRCODE_UAEF_BAD_EXPRESSION,
			   "approval must have 1 to %d bands", MAX_BANDS);
	rule->bands = palloc0(rule->n_bands * sizeof(UaefApprovalBand));
	for (int i = 0; i < rule->n_bands; i++)
	{
		uaef_rule_at(parser, "approval.bands[%d]", i);
		parse_band(rule, i, getIthJsonbValueFromContainer(&object->root, i));
	}
	uaef_rule_at(parser, "%s", "");
}

static void
parse_band(UaefSettlementRule *rule, int no, JsonbValue *value)
{
	UaefApprovalBand *band = &rule->bands[no];
	Jsonb	   *object = uaef_rule_container(value, false);
	bool		last = no == rule->n_bands - 1;
	Numeric		to;
	Numeric		need;

	uaef_rule_check_keys(object, band_keys);

	to = uaef_rule_decimal(object, "to");
	if ((to == NULL) != last)
		refuse(ERRCODE_UAEF_BAD_EXPRESSION,
			   "every band but the last must have \"to\"");
	if (to != NULL)
		band->to_minor = uaef_rule_minor(rule, "to", to);
	if (no > 0 && !last &&
		uaef_numeric_compare(band->to_minor,
							 rule->bands[no - 1].to_minor) <= 0)
		refuse(ERRCODE_UAEF_BAD_EXPRESSION, "bands must ascend");

	need = uaef_rule_decimal(object, "need");
	if (need == NULL ||
		uaef_numeric_compare(need, int64_to_numeric(MAX_NEED)) > 0)
		refuse(ERRCODE_UAEF_BAD_EXPRESSION,
			   "\"need\" must be a number from 0 to %d", MAX_NEED);
	band->need = DatumGetInt32(DirectFunctionCall1(numeric_int4,
												   NumericGetDatum(need)));
	if (uaef_numeric_compare(need, int64_to_numeric(band->need)) != 0)
		refuse(ERRCODE_UAEF_BAD_EXPRESSION, "\"need\" must be a whole number");

	band->of = uaef_rule_text(object, "of", false);
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
	list = uaef_rule_container(&value, true);
	for (int i = 0; i < JB_ROOT_COUNT(list); i++)
	{
		JsonbValue *who = getIthJsonbValueFromContainer(&list->root, i);
		const char *initiator[] = {"initiator", NULL};
		const char *author[] = {"rule_author", NULL};
		const char *recipient[] = {"recipient", NULL};

		if (who->type == jbvString &&
			uaef_is_one_of(initiator, who->val.string.val, who->val.string.len))
			band->not_initiator = true;
		else if (who->type == jbvString &&
				 uaef_is_one_of(author, who->val.string.val, who->val.string.len))
			band->not_author = true;
		else if (who->type == jbvString &&
				 uaef_is_one_of(recipient, who->val.string.val,
								who->val.string.len))
			band->not_recipient = true;
		else
			refuse(ERRCODE_UAEF_BAD_EXPRESSION,
				   "\"distinct_from\" may name \"initiator\", \"rule_author\" and \"recipient\" only");
	}
}
