/*-------------------------------------------------------------------------
 *
 * arrival_rule.c
 *	  What is done with what arrives, by webhook or from a queue: the rules.
 *
 * Pure.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/fmgrprotos.h"

#include "arrival_rule.h"
#include "errcodes.h"
#include "json_util.h"

/* Rules of one source. */
#define MAX_RULES 100

static const char *const start_keys[] = {
	"workflow", "version", "input", "idempotency_key", "name", "priority",
	NULL
};

static const char *const signal_keys[] = {
	"execution", "workflow", "key", "signal", "payload", NULL
};

static const char *const complete_keys[] = {
	"task_id", "execution", "workflow", "key", "task", "item", "output", NULL
};

static const char *const fail_keys[] = {
	"task_id", "execution", "workflow", "key", "task", "item", "error",
	"code", "retryable", NULL
};

static const char *const ignore_keys[] = {NULL};

static const struct
{
	const char *name;
	const char *const *keys;
}			actions[] = {
	[UAEF_ARRIVAL_START] = {"start", start_keys},
	[UAEF_ARRIVAL_SIGNAL] = {"signal", signal_keys},
	[UAEF_ARRIVAL_COMPLETE] = {"complete", complete_keys},
	[UAEF_ARRIVAL_FAIL] = {"fail", fail_keys},
	[UAEF_ARRIVAL_IGNORE] = {"ignore", ignore_keys}
};

static bool
has_key(const UaefObject *object, const char *key)
{
	JsonbValue	value;

	return uaef_read_value(object, key, &value);
}

/*
 * Is it a text in which something is filled in?
 */
static bool
is_template(const UaefObject *what, const char *key)
{
	JsonbValue	value;

	return uaef_read_value(what, key, &value) && value.type == jbvString &&
		strstr(pnstrdup(value.val.string.val, value.val.string.len),
			   "{{") != NULL;
}

static void
check_uuid(const UaefObject *what, const char *key)
{
	MemoryContext context = CurrentMemoryContext;
	char	   *text = uaef_read_text(what, key, true);

	PG_TRY();
	{
		(void) DirectFunctionCall1(uuid_in, CStringGetDatum(text));
	}
	PG_CATCH();
	{
		uaef_read_rethrow(context,
						  psprintf("\"%s\" in %s", key, what->where),
						  "Give the id of an execution, or a template for it.");
	}
	PG_END_TRY();
}

static void
check_task_id(const UaefObject *what)
{
	JsonbValue	value;

	(void) uaef_read_value(what, "task_id", &value);
	if (value.type != jbvNumeric)
		uaef_read_wrong(what, "task_id", "a number, or a template for one");
}

char *
uaef_arrival_text(const UaefObject *what, const char *key, bool required)
{
	JsonbValue	value;

	if (uaef_read_value(what, key, &value) && value.type == jbvNumeric)
		return DatumGetCString(DirectFunctionCall1(numeric_out,
												   NumericGetDatum(value.val.numeric)));
	return uaef_read_text(what, key, required);
}

char *
uaef_arrival_code(const UaefObject *what)
{
	char	   *code = uaef_arrival_text(what, "code", false);

	if (code != NULL && !uaef_is_failure_code(code))
		uaef_read_wrong(what, "code",
						"a word of small letters, digits and \"_\" such as paper_jam, or a SQLSTATE");
	return code;
}

/*
 * Raise for what can never be right, whatever arrives.
 */
static void
check_constants(const UaefObject *what)
{
	static const char *const numbers[] = {"version", "priority", "item"};
	static const int least[] = {1, PG_INT32_MIN, 0};

	for (int i = 0; i < lengthof(numbers); i++)
	{
		if (!is_template(what, numbers[i]))
			(void) uaef_read_int(what, numbers[i], 0, least[i], PG_INT32_MAX);
	}
	if (!is_template(what, "retryable"))
		(void) uaef_read_bool(what, "retryable", false);
	if (!is_template(what, "code"))
		(void) uaef_arrival_code(what);
	if (has_key(what, "execution") && !is_template(what, "execution"))
		check_uuid(what, "execution");
	if (has_key(what, "task_id") && !is_template(what, "task_id"))
		check_task_id(what);
}

/*
 * Raise unless an action says what it must; what templates give is seen later.
 */
static void
check_action(const UaefObject *what, UaefArrivalAction action)
{
	bool		by_execution = has_key(what, "execution");
	bool		by_key = has_key(what, "workflow") && has_key(what, "key");
	bool		by_task = action >= UAEF_ARRIVAL_COMPLETE &&
		has_key(what, "task_id");

	check_constants(what);
	if (action == UAEF_ARRIVAL_IGNORE)
		return;
	if (action == UAEF_ARRIVAL_START)
	{
		(void) uaef_read_text(what, "workflow", true);
		return;
	}
	if (by_execution + by_key + by_task != 1)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_DEFINITION),
				 errmsg("%s must name one execution%s", what->where,
						action == UAEF_ARRIVAL_SIGNAL ? "" : " or task"),
				 errhint("Use \"execution\"; or \"workflow\" and \"key\", the idempotency key of its start%s.",
						 action == UAEF_ARRIVAL_SIGNAL ? "" :
						 "; or \"task_id\"")));
	if (action == UAEF_ARRIVAL_SIGNAL)
		(void) uaef_read_text(what, "signal", true);
	else if (!by_task)
		(void) uaef_read_text(what, "task", true);
	else if (has_key(what, "task") || has_key(what, "item") ||
			 has_key(what, "workflow") || has_key(what, "key"))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_DEFINITION),
				 errmsg("%s names a task twice", what->where),
				 errhint("A \"task_id\" is enough; \"task\" and \"item\" are for a task of an execution.")));
}

static void
check_root(const UaefPath *path, void *arg)
{
	const char *const *roots = *(const char *const **) arg;
	const char *root = uaef_path_root(path);
	StringInfoData known;

	if (uaef_is_one_of(roots, root, strlen(root)))
		return;
	initStringInfo(&known);
	for (int i = 0; roots[i] != NULL; i++)
		appendStringInfo(&known, "%s%s", i == 0 ? "" :
						 roots[i + 1] == NULL ? " or " : ", ", roots[i]);
	ereport(ERROR,
			(errcode(ERRCODE_UAEF_BAD_TEMPLATE),
			 errmsg("path \"%s\" leads nowhere", uaef_path_text(path)),
			 errhint("Paths begin with %s here.", known.data)));
}

static UaefTemplate *
compile_what(const UaefObject *what, JsonbValue *value,
			 const char *const *roots)
{
	MemoryContext context = CurrentMemoryContext;
	UaefTemplate *volatile compiled = NULL;

	PG_TRY();
	{
		compiled = uaef_template_compile_any_root(uaef_json_from_value(value));
		uaef_template_paths(compiled, check_root, &roots);
	}
	PG_CATCH();
	{
		uaef_read_rethrow(context, what->where, NULL);
	}
	PG_END_TRY();
	return compiled;
}

static UaefCondition *
compile_when(const UaefObject *rule, const char *const *roots)
{
	MemoryContext context = CurrentMemoryContext;
	UaefCondition *volatile compiled = NULL;
	JsonbValue	value;

	if (!uaef_read_value(rule, "when", &value))
		return NULL;
	PG_TRY();
	{
		compiled = uaef_condition_compile(uaef_json_from_value(&value), true,
										  NULL);
		uaef_condition_paths(compiled, check_root,
							 &roots);
	}
	PG_CATCH();
	{
		uaef_read_rethrow(context, psprintf("\"when\" in %s", rule->where),
						  NULL);
	}
	PG_END_TRY();
	return compiled;
}

static void
read_rule(const UaefObject *config, JsonbValue *value, int no,
		  const char *const *roots, UaefArrivalRule *rule)
{
	static const char *const keys[] = {
		"when", "start", "signal", "complete", "fail", "ignore", NULL
	};
	UaefObject	object = uaef_read_object(config->builder, value, keys,
										  psprintf("rule %d of \"on\"", no));
	int			found = 0;

	rule->when = compile_when(&object, roots);
	for (int i = 0; i < lengthof(actions); i++)
	{
		JsonbValue	member;
		UaefObject	what;

		if (!uaef_read_value(&object, actions[i].name, &member))
			continue;
		what = uaef_read_object(config->builder, &member, actions[i].keys,
								psprintf("\"%s\" of rule %d", actions[i].name,
										 no));
		check_action(&what, i);
		rule->action = i;
		rule->what = compile_what(&what, &member, roots);
		if (has_key(&what, "workflow") && !is_template(&what, "workflow"))
			rule->workflow = uaef_read_text(&what, "workflow", true);
		found++;
	}
	if (found != 1)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_DEFINITION),
				 errmsg("rule %d of \"on\" must say what to do, once", no),
				 errhint("Give it one of \"start\", \"signal\", \"complete\", \"fail\" and \"ignore\".")));
}

UaefArrivalRules *
uaef_arrival_rules_read(const UaefObject *config, bool required,
						const char *const *roots)
{
	UaefArrivalRules *rules = palloc0(sizeof(UaefArrivalRules));
	JsonbContainer *list = uaef_read_array(config, "on", required, &rules->n);

	if (rules->n > MAX_RULES)
		uaef_read_wrong(config, "on",
						psprintf("an array of at most %d rules", MAX_RULES));
	if (rules->n == 0 && required)
		uaef_read_wrong(config, "on", "an array of one rule at least");
	rules->rules = palloc0(sizeof(UaefArrivalRule) * Max(rules->n, 1));
	for (int i = 0; i < rules->n; i++)
	{
		JsonbValue	value = uaef_read_element(list, i);

		read_rule(config, &value, i + 1, roots, &rules->rules[i]);
		if (i > 0 && rules->rules[i - 1].when == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UAEF_BAD_DEFINITION),
					 errmsg("rule %d of \"on\" never acts", i + 1),
					 errdetail("Rule %d has no \"when\", so it acts always.",
							   i),
					 errhint("Put the rule without a condition last.")));
	}
	return rules;
}

const char *
uaef_arrival_action_name(UaefArrivalAction action)
{
	return actions[action].name;
}

UaefObject
uaef_arrival_filled(UaefArrivalAction action, int rule, UaefBuilder *builder,
					Jsonb *filled)
{
	JsonbValue	value;

	uaef_document_value(filled, &value);
	return uaef_read_object(builder, &value, actions[action].keys,
							psprintf("\"%s\" of rule %d",
									 actions[action].name, rule));
}
