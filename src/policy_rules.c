/*-------------------------------------------------------------------------
 *
 * policy_rules.c
 *	  Policies: checking and compiling their rules and scope.
 *
 * Memory: all that is returned is palloc'd in the current context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "agent.h"
#include "definition_read.h"
#include "digest.h"
#include "errcodes.h"
#include "json_util.h"
#include "policy.h"

/* Most patterns, roles, tables or functions of one policy. */
#define MAX_LIST 1000

/* Most attempts that a rate limit counts: each check may look at as many. */
#define MAX_RATE 100000

static const char *const type_names[] = {
	[UAEF_POLICY_COMPLIANCE] = "compliance",
	[UAEF_POLICY_APPROVAL] = "approval",
	[UAEF_POLICY_RATE_LIMIT] = "rate_limit",
	[UAEF_POLICY_DATA_ACCESS] = "data_access",
	NULL
};

static const char *const enforcement_names[] = {
	[UAEF_ENFORCE_STRICT] = "strict",
	[UAEF_ENFORCE_WARN] = "warn",
	[UAEF_ENFORCE_LOG] = "log",
	NULL
};

static const char *const privilege_names[] = {
	[UAEF_SELECT] = "select",
	[UAEF_INSERT] = "insert",
	[UAEF_UPDATE] = "update",
	[UAEF_DELETE] = "delete",
	NULL
};

static int	choose(const char *what, const char *word,
				   const char *const *words);
static void read_approval(const UaefObject *rules, UaefPolicy *policy);
static void read_rate(const UaefObject *rules, UaefPolicy *policy);
static void read_compliance(const UaefObject *rules, UaefPolicy *policy);
static void read_access(const UaefObject *rules, UaefPolicy *policy);
static void read_tables(const UaefObject *rules, UaefDataAccess *access);
static void read_rights(const UaefObject *tables, JsonbValue *value,
						UaefTableAccess *table);
static void read_scope(UaefBuilder *builder, Jsonb *document,
					   UaefPolicy *policy);

/* What the rules of a type may hold, and who reads them. */
static const struct
{
	const char *keys[7];
	void		(*read) (const UaefObject *rules, UaefPolicy *policy);
}			readers[] = {
	[UAEF_POLICY_COMPLIANCE] = {{"require", "reason", "checkpoint", "data"},
	read_compliance},
	[UAEF_POLICY_APPROVAL] =
	{{"approvers", "need", "four_eyes", "expires", "description"},
	read_approval},
	[UAEF_POLICY_RATE_LIMIT] = {{"max", "window", "key", "over"}, read_rate},
	[UAEF_POLICY_DATA_ACCESS] =
	{{"tables", "functions", "statement_timeout", "max_rows", "max_cost"},
	read_access}
};

const char *
uaef_policy_type_name(UaefPolicyType type)
{
	return type_names[type];
}

const char *
uaef_enforcement_name(UaefEnforcement enforcement)
{
	return enforcement_names[enforcement];
}

static int
choose(const char *what, const char *word, const char *const *words)
{
	StringInfoData valid;
	int			i;

	initStringInfo(&valid);
	for (i = 0; words[i] != NULL; i++)
	{
		if (strcmp(words[i], word) == 0)
			return i;
		appendStringInfo(&valid, "%s%s", i > 0 ? ", " : "", words[i]);
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown %s \"%s\" of a policy", what, word),
			 errhint("It is one of: %s.", valid.data)));
}

static UaefObject
read_root(UaefBuilder *builder, Jsonb *document, const char *const *keys,
		  const char *where)
{
	JsonbValue	root = {.type = jbvBinary};

	if (JB_ROOT_IS_SCALAR(document))
		(void) JsonbExtractScalar(&document->root, &root);
	else
	{
		root.val.binary.data = &document->root;
		root.val.binary.len = VARSIZE(document) - VARHDRSZ;
	}
	return uaef_read_object(builder, &root, keys, where);
}

static char *
digest_of(const UaefPolicy *policy, Jsonb *rules, Jsonb *scope)
{
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_text(&json, "type", type_names[policy->type]);
	uaef_json_text(&json, "enforcement",
				   enforcement_names[policy->enforcement]);
	uaef_json_jsonb(&json, "rules", rules);
	uaef_json_jsonb(&json, "scope", scope);
	return uaef_digest_hex(uaef_json_end(&json));
}

UaefPolicy *
uaef_policy_compile(const char *name, const char *type, Jsonb *rules,
					const char *enforcement, Jsonb *scope)
{
	UaefPolicy *policy = palloc0(sizeof(UaefPolicy));
	UaefBuilder builder = {palloc0(sizeof(UaefDefinition))};
	UaefObject	object;

	policy->name = pstrdup(name);
	policy->type = choose("type", type, type_names);
	policy->enforcement = choose("enforcement", enforcement,
								 enforcement_names);
	object = read_root(&builder, rules, readers[policy->type].keys,
					   psprintf("rules of policy \"%s\"", name));
	readers[policy->type].read(&object, policy);
	read_scope(&builder, scope, policy);
	policy->digest = digest_of(policy, rules, scope);
	return policy;
}

/*----------
 * Rules, by type
 * ----------
 */

/*
 * The keys of a human_approval task, so far as they fit.
 */
static void
read_approval(const UaefObject *rules, UaefPolicy *policy)
{
	JsonbValue	value;

	if (!uaef_read_value(rules, "approvers", &value))
		uaef_read_missing(rules, "approvers");
	uaef_read_approval(rules, &policy->rules.approval);
}

static void
read_rate(const UaefObject *rules, UaefPolicy *policy)
{
	static const char *const ways[] = {"delay", "deny", NULL};
	UaefRateLimit *rate = &policy->rules.rate;
	JsonbValue	value;

	if (!uaef_read_value(rules, "max", &value))
		uaef_read_missing(rules, "max");
	if (!uaef_read_value(rules, "window", &value))
		uaef_read_missing(rules, "window");
	rate->max = uaef_read_int(rules, "max", 0, 1, MAX_RATE);
	rate->window_ms = uaef_read_duration(rules, "window", 0);
	rate->key = uaef_read_text_template(rules, "key");
	rate->deny = uaef_read_choice(rules, "over", ways, 0) == 1;
}

/*
 * Either a condition, or the name of a checkpoint.
 */
static void
read_compliance(const UaefObject *rules, UaefPolicy *policy)
{
	UaefCompliance *compliance = &policy->rules.compliance;

	compliance->checkpoint = uaef_read_text(rules, "checkpoint", false);
	compliance->data = uaef_read_template(rules, "data");
	compliance->require = uaef_read_condition(rules, "require",
											  compliance->checkpoint == NULL);
	compliance->reason = uaef_read_text(rules, "reason", false);
	if (compliance->checkpoint != NULL && compliance->require != NULL)
		uaef_read_wrong(rules, "require", "left out, where a checkpoint is named");
	if (compliance->checkpoint == NULL && compliance->data != NULL)
		uaef_read_wrong(rules, "data", "left out, where no checkpoint is named");
}

/*
 * Where tables are named and functions are not, no function is: the list of
 * tables would mean little next to a function that does anything.
 */
static void
read_access(const UaefObject *rules, UaefPolicy *policy)
{
	UaefDataAccess *access = &policy->rules.access;

	read_tables(rules, access);
	access->n_functions = uaef_read_texts(rules, "functions",
										  &access->functions);
	if (access->n_functions > MAX_LIST)
		uaef_read_wrong(rules, "functions",
						psprintf("an array of at most %d names", MAX_LIST));
	for (int i = 0; i < access->n_functions; i++)
		if (strchr(access->functions[i], '.') == NULL)
			uaef_read_wrong(rules, "functions",
							"an array of names with their schemas");
	if (access->n_tables >= 0 && access->n_functions < 0)
		access->n_functions = 0;

	access->timeout_ms = uaef_read_duration(rules, "statement_timeout", 0);
	access->max_rows = uaef_read_int(rules, "max_rows", -1, 0, PG_INT32_MAX);
	access->max_cost = uaef_read_double(rules, "max_cost", -1, 0, 1e100);
	if (access->n_tables < 0 && access->n_functions < 0 &&
		access->timeout_ms == 0 && access->max_rows < 0 &&
		access->max_cost < 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_DEFINITION),
				 errmsg("%s limit nothing", rules->where),
				 errhint("Give at least one of: tables, functions, statement_timeout, max_rows, max_cost.")));
}

/*
 * {"app.orders": ["select", "insert"], "app.people": {"select": ["id"]}}
 */
static void
read_tables(const UaefObject *rules, UaefDataAccess *access)
{
	UaefObject	tables = {rules->builder, NULL,
	psprintf("\"tables\" in %s", rules->where)};
	JsonbValue	value;
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	key;
	int			n = 0;

	access->n_tables = -1;
	if (!uaef_read_value(rules, "tables", &value))
		return;
	if (value.type != jbvBinary ||
		!JsonContainerIsObject(value.val.binary.data) ||
		JsonContainerSize(value.val.binary.data) > MAX_LIST)
		uaef_read_wrong(rules, "tables",
						psprintf("an object of at most %d tables", MAX_LIST));
	tables.container = value.val.binary.data;
	access->tables = palloc0(sizeof(UaefTableAccess) *
							 Max(JsonContainerSize(tables.container), 1));

	iterator = JsonbIteratorInit(tables.container);
	while ((token = JsonbIteratorNext(&iterator, &key, true)) != WJB_DONE)
	{
		UaefTableAccess *table = &access->tables[n];

		if (token != WJB_KEY)
			continue;
		table->name = pnstrdup(key.val.string.val, key.val.string.len);
		if (strchr(table->name, '.') == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UAEF_BAD_DEFINITION),
					 errmsg("\"%s\" in %s has no schema", table->name,
							tables.where),
					 errhint("Write \"schema.table\", or \"schema.*\".")));
		(void) JsonbIteratorNext(&iterator, &value, true);
		read_rights(&tables, &value, table);
		n++;
	}
	access->n_tables = n;
}

/*
 * Privileges as an array, or as an object with columns.
 */
static void
read_rights(const UaefObject *tables, JsonbValue *value,
			UaefTableAccess *table)
{
	UaefObject	rights;

	if (value->type == jbvBinary &&
		JsonContainerIsArray(value->val.binary.data))
	{
		int			n = JsonContainerSize(value->val.binary.data);

		for (int i = 0; i < n; i++)
		{
			JsonbValue	word = uaef_read_element(value->val.binary.data, i);
			int			p = 0;

			while (p < UAEF_N_PRIVILEGES && word.type == jbvString &&
				   (strlen(privilege_names[p]) != word.val.string.len ||
					memcmp(privilege_names[p], word.val.string.val,
						   word.val.string.len) != 0))
				p++;
			if (word.type != jbvString || p == UAEF_N_PRIVILEGES)
				uaef_read_wrong(tables, table->name,
								"an array of: select, insert, update, delete");
			table->rights[p].granted = true;
		}
		return;
	}

	rights = uaef_read_object(tables->builder, value, privilege_names,
							  psprintf("\"%s\" of %s", table->name,
									   tables->where));
	for (int p = 0; p < UAEF_N_PRIVILEGES; p++)
	{
		UaefTableRight *right = &table->rights[p];

		right->n_columns = uaef_read_texts(&rights, privilege_names[p],
										   &right->columns);
		right->granted = right->n_columns >= 0;
		if (right->n_columns == 0 || (right->granted && p == UAEF_DELETE))
			uaef_read_wrong(&rights, privilege_names[p],
							p == UAEF_DELETE ? "left to the form without columns" :
							"an array of one column at least");
		right->n_columns = Max(right->n_columns, 0);
	}
}

/*----------
 * Scope
 * ----------
 */

/*
 * One pattern or an array of them.
 */
static UaefPatterns
read_patterns(const UaefObject *scope, const char *key)
{
	UaefPatterns patterns = {0};
	JsonbValue	value;

	if (!uaef_read_value(scope, key, &value))
		return patterns;
	if (value.type == jbvString)
	{
		patterns.n = 1;
		patterns.patterns = palloc(sizeof(char *));
		patterns.patterns[0] = uaef_read_text(scope, key, true);
		return patterns;
	}
	if (value.type != jbvBinary ||
		!JsonContainerIsArray(value.val.binary.data))
		uaef_read_wrong(scope, key, "a string or an array of strings");
	patterns.n = uaef_read_texts(scope, key, &patterns.patterns);
	if (patterns.n == 0 || patterns.n > MAX_LIST)
		uaef_read_wrong(scope, key,
						psprintf("an array of 1 to %d strings", MAX_LIST));
	return patterns;
}

static uint32
read_types(const UaefObject *scope)
{
	UaefPatterns names = read_patterns(scope, "task_type");
	uint32		bits = 0;

	for (int i = 0; i < names.n; i++)
	{
		UaefTaskType type;

		if (!uaef_task_type_by_name(names.patterns[i], &type))
			ereport(ERROR,
					(errcode(ERRCODE_UAEF_BAD_DEFINITION),
					 errmsg("unknown type of tasks \"%s\" in %s",
							names.patterns[i], scope->where)));
		bits |= (uint32) 1 << type;
	}
	return bits;
}

static void
read_scope(UaefBuilder *builder, Jsonb *document, UaefPolicy *policy)
{
	static const char *const keys[] =
	{"workflow", "task", "task_type", "agent", "named", NULL};
	UaefPolicyScope *scope = &policy->scope;
	UaefObject	object = read_root(builder, document, keys,
								   psprintf("scope of policy \"%s\"",
											policy->name));

	scope->workflows = read_patterns(&object, "workflow");
	scope->tasks = read_patterns(&object, "task");
	scope->agents = read_patterns(&object, "agent");
	scope->task_types = read_types(&object);
	scope->named = uaef_read_bool(&object, "named", false);
	if (scope->named &&
		(scope->workflows.n > 0 || scope->tasks.n > 0 ||
		 scope->agents.n > 0 || scope->task_types != 0))
		uaef_read_wrong(&object, "named", "alone in the scope");
}

static bool
matches(const UaefPatterns *patterns, const char *text)
{
	for (int i = 0; i < patterns->n; i++)
		if (uaef_glob_match(patterns->patterns[i], text))
			return true;
	return patterns->n == 0;
}

static bool
is_named(const UaefPolicy *policy, int n, char *const *names)
{
	for (int i = 0; i < n; i++)
		if (strcmp(names[i], policy->name) == 0)
			return true;
	return false;
}

/*
 * Whether a task is for one of these agents.  One that is for whoever has a
 * capability is, as soon as one of them has it.
 */
static bool
is_for_agents(const UaefPatterns *agents, const UaefTaskDef *def)
{
	char	  **names;
	int			n;

	if (agents->n == 0)
		return true;
	if (def->type != UAEF_TASK_AGENT)
		return false;
	if (def->config.agent.agent != NULL)
		return matches(agents, def->config.agent.agent);
	names = uaef_agent_capable(def->config.agent.capability, &n);
	for (int i = 0; i < n; i++)
		if (matches(agents, names[i]))
			return true;
	return false;
}

/*
 * What an item of a map runs has the policies that its map's node names.  To a
 * data_access policy, whatever runs SQL is a SQL task.
 */
const char *
uaef_policy_applies(const UaefPolicy *policy, const UaefDefinition *definition,
					const UaefTaskDef *def)
{
	const UaefPolicyScope *scope = &policy->scope;
	const UaefTaskDef *node = &definition->tasks[def->no];
	uint32		types = (uint32) 1 << def->type;

	if (policy->type == UAEF_POLICY_DATA_ACCESS && uaef_task_sql(def) != NULL)
		types |= (uint32) 1 << UAEF_TASK_SQL;
	if (is_named(policy, node->n_policies, node->policies))
		return "task";
	if (is_named(policy, definition->n_policies, definition->policies))
		return "workflow";
	if (scope->named)
		return NULL;
	if (scope->task_types != 0 && (scope->task_types & types) == 0)
		return NULL;
	if (!matches(&scope->workflows, definition->name) ||
		!matches(&scope->tasks, def->id) ||
		!is_for_agents(&scope->agents, def))
		return NULL;
	return "scope";
}
