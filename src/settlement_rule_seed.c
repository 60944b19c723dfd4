/*-------------------------------------------------------------------------
 *
 * settlement_rule_seed.c
 *	  Settlement rules in the flat form of one column each.
 *
 * {"workflow", "currency", "trigger_conditions", "amount_type",
 *  "fixed_amount", "amount_formula", "recipient_type", "fixed_recipient_id",
 *  "recipient_selector", "requires_approval", "approval_threshold"}
 *
 * becomes the form that everything else knows, with the safe meaning: what is
 * missing is an error and not zero, an amount that came with the data needs
 * an approval, names without a root are those of the input.
 *
 * Memory: everything is allocated in the current context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "errcodes.h"
#include "formula.h"
#include "json_util.h"
#include "json_walk.h"
#include "numeric_util.h"
#include "settlement_rule_parse.h"

static const char *const seed_keys[] = {
	"trigger_conditions", "amount_type", "fixed_amount", "amount_formula",
	"recipient_type", "fixed_recipient_id", "recipient_selector",
	"requires_approval", "approval_threshold", "name", "description", NULL
};

static bool is_seed(Jsonb *definition);
static bool is_rooted(const char *name);
static char *rooted(const char *name);
static Jsonb *rooted_condition(Jsonb *condition);
static void add_amount(UaefJson *json, Jsonb *definition, bool *from_data);
static char *selected_recipient(Jsonb *definition);
static void add_recipient(UaefJson *json, Jsonb *definition);
static Jsonb *band(const char *to, int need);
static bool flag_at(Jsonb *definition, const char *key);
static void add_approval(UaefJson *json, Jsonb *definition, bool from_data);
static void copy_others(UaefJson *json, Jsonb *definition);

static bool
is_seed(Jsonb *definition)
{
	JsonbValue	ignored;

	return uaef_json_get(definition, "amount_type", &ignored) ||
		uaef_json_get(definition, "recipient_type", &ignored) ||
		uaef_json_get(definition, "trigger_conditions", &ignored);
}

/* Does a path begin with one of our roots? */
static bool
is_rooted(const char *name)
{
	static const char *const roots[] = {"in", "task", "ctx", "sys", NULL};
	const char *dot = strchr(name, '.');

	return dot != NULL && uaef_is_one_of(roots, name, dot - name);
}

static char *
rooted(const char *name)
{
	if (strcmp(name, "status") == 0)
		return pstrdup("sys.status");
	if (strcmp(name, "definition_id") == 0)
		return pstrdup("sys.workflow");
	return is_rooted(name) || name[0] == '$' ? pstrdup(name) :
		psprintf("in.%s", name);
}

/* The same condition, with a root before each path. */
static Jsonb *
rooted_condition(Jsonb *condition)
{
	UaefJson	json;
	JsonbValue	root;
	UaefMembers members;

	uaef_document_value(condition, &root);
	members = uaef_members(&root);
	uaef_json_begin(&json);
	for (int i = 0; i < members.n; i++)
	{
		const JsonbValue *key = &members.keys[i];
		char	   *name = pnstrdup(key->val.string.val,
									key->val.string.len);

		if (name[0] == '$')
			refuse(ERRCODE_UAEF_BAD_CONDITION,
				   "\"%s\" has no place in \"trigger_conditions\"", name);
		uaef_json_jsonb(&json, rooted(name),
						uaef_json_from_value(&members.values[i]));
	}
	return uaef_json_end(&json);
}

/* fixed, variable, calculated */
static void
add_amount(UaefJson *json, Jsonb *definition, bool *from_data)
{
	char	   *type = uaef_rule_text(definition, "amount_type", true);
	Numeric		fixed;

	*from_data = strcmp(type, "variable") == 0;
	if (strcmp(type, "fixed") == 0)
	{
		fixed = uaef_rule_decimal(definition, "fixed_amount");
		if (fixed == NULL)
			refuse(ERRCODE_UAEF_BAD_EXPRESSION, "key \"%s\" is missing",
				   "fixed_amount");
		uaef_json_numeric(json, "fixed", fixed);
	}
	else if (*from_data)
		uaef_json_text(json, "amount", "in.settlement_amount");
	else if (strcmp(type, "calculated") == 0)
		uaef_json_text(json, "amount",
					   uaef_formula_migrate(uaef_rule_text(definition,
														   "amount_formula",
														   true)));
	else
		refuse(ERRCODE_UAEF_BAD_EXPRESSION,
			   "unknown value \"%s\" of \"%s\"", type, "amount_type");
}

/* data['agent_id'], or a path */
static char *
selected_recipient(Jsonb *definition)
{
	char	   *selector = uaef_rule_text(definition, "recipient_selector",
										  true);

	return psprintf("{{%s}}", strncmp(selector, "data", 4) == 0 ?
					uaef_formula_migrate(selector) : rooted(selector));
}

static void
add_recipient(UaefJson *json, Jsonb *definition)
{
	static const char *const kinds[] = {
		"agent", "user", "external", "pool", NULL
	};
	char	   *type = uaef_rule_text(definition, "recipient_type", true);
	char	   *fixed = uaef_rule_text(definition, "fixed_recipient_id", false);

	if (!uaef_is_one_of(kinds, type, strlen(type)))
		refuse(ERRCODE_UAEF_BAD_RECIPIENT, "unknown value \"%s\" of \"%s\"",
			   type, "recipient_type");
	if (fixed != NULL && strstr(fixed, "{{") != NULL)
		refuse(ERRCODE_UAEF_BAD_RECIPIENT,
			   "\"fixed_recipient_id\" must not have {{");
	uaef_json_text(json, "recipient",
				   psprintf("%s:%s", type, fixed != NULL ? fixed :
							selected_recipient(definition)));
}

static Jsonb *
band(const char *to, int need)
{
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_text(&json, "to", to);
	uaef_json_int(&json, "need", need);
	return uaef_json_end(&json);
}

static bool
flag_at(Jsonb *definition, const char *key)
{
	JsonbValue	value;

	if (!uaef_json_get(definition, key, &value) || value.type == jbvNull)
		return false;
	if (value.type != jbvBool)
		refuse(ERRCODE_UAEF_BAD_EXPRESSION, "\"%s\" must be true or false",
			   key);
	return value.val.boolean;
}

/* From the threshold on one approval; without a threshold always. */
static void
add_approval(UaefJson *json, Jsonb *definition, bool from_data)
{
	Numeric		threshold = NULL;
	JsonbValue	value;
	UaefJson	approval;

	if (uaef_json_get(definition, "approval_threshold", &value) &&
		value.type != jbvNull)
		threshold = uaef_rule_decimal(definition, "approval_threshold");
	if (!flag_at(definition, "requires_approval") && threshold == NULL &&
		!from_data)
		return;
	uaef_json_begin(&approval);
	value.type = jbvString;
	value.val.string.val = "bands";
	value.val.string.len = strlen("bands");
	(void) pushJsonbValue(&approval.state, WJB_KEY, &value);
	(void) pushJsonbValue(&approval.state, WJB_BEGIN_ARRAY, NULL);
	if (threshold != NULL && !from_data)
	{
		JsonbToJsonbValue(band(uaef_numeric_text(threshold), 0), &value);
		(void) pushJsonbValue(&approval.state, WJB_ELEM, &value);
	}
	JsonbToJsonbValue(band(NULL, 1), &value);
	(void) pushJsonbValue(&approval.state, WJB_ELEM, &value);
	(void) pushJsonbValue(&approval.state, WJB_END_ARRAY, NULL);
	uaef_json_jsonb(json, "approval", uaef_json_end(&approval));
}

/* What has the same name in both forms. */
static void
copy_others(UaefJson *json, Jsonb *definition)
{
	JsonbValue	root;
	UaefMembers members;

	uaef_document_value(definition, &root);
	members = uaef_members(&root);
	for (int i = 0; i < members.n; i++)
	{
		const JsonbValue *key = &members.keys[i];

		if (!uaef_is_one_of(seed_keys, key->val.string.val,
							key->val.string.len))
			uaef_json_jsonb(json, pnstrdup(key->val.string.val,
										   key->val.string.len),
							uaef_json_from_value(&members.values[i]));
	}
}

Jsonb *
uaef_settlement_rule_from_seed(Jsonb *definition)
{
	UaefJson	json;
	JsonbValue	value;
	bool		from_data;

	if (!JB_ROOT_IS_OBJECT(definition) || !is_seed(definition))
		return definition;
	uaef_json_begin(&json);
	copy_others(&json, definition);
	if (uaef_json_get(definition, "trigger_conditions", &value) &&
		value.type != jbvNull)
	{
		Jsonb	   *condition = uaef_rule_container(&value, false);

		uaef_json_jsonb(&json, "when", JB_ROOT_COUNT(condition) == 0 ?
						condition : rooted_condition(condition));
	}
	add_amount(&json, definition, &from_data);
	add_recipient(&json, definition);
	add_approval(&json, definition, from_data);
	return uaef_json_end(&json);
}
