/*-------------------------------------------------------------------------
 *
 * settlement_rule_store.c
 *	  Stored settlement rules: create, and find those in force.
 *
 * Locking: whoever makes a version locks settlement_rule in SHARE ROW
 * EXCLUSIVE mode until the transaction ends, which makes version numbers
 * gapless; readers are not held up.
 *
 * Each backend keeps the rules of the workflows that it completes.  The
 * statement trigger on settlement_rule sends a relcache invalidation of the
 * table, which reaches every backend when the change commits, and the own
 * backend also when it is rolled back; DROP EXTENSION sends one too.  The
 * callback only notes that the cache is stale, and the next look empties it.
 * What a transaction of isolation level REPEATABLE READ loads may be old
 * already, so it is thrown away at the next look.
 *
 * Memory: the cache lives in a context of its own under CacheMemoryContext.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type_d.h"
#include "commands/trigger.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "definition.h"
#include "errcodes.h"
#include "eval_error.h"
#include "guc.h"
#include "json_util.h"
#include "ledger.h"
#include "rule_typing.h"
#include "settlement_eval.h"
#include "settlement_rule.h"
#include "settlement_rule_index.h"
#include "spi_util.h"

/* Longest name of a rule, in bytes. */
#define MAX_NAME 200

/* From so many rules on, an index is worth its making. */
#define MANY_RULES 64

/* Between a workflow and a task, in a key: unit separator. */
#define TASK_MARK '\x1f'

/* The newest version of a rule; version is 0 when there is none. */
typedef struct Newest
{
	int32		version;
	bool		same;			/* active, and what is to be stored */
} Newest;

/* A stored version; compiled when it is first in force. */
typedef struct StoredRule
{
	UaefSettlementRule rule;	/* until compiled: what is set when broken */
	Jsonb	   *definition;
	bool		compiled;
} StoredRule;

/* When a rule is in force, and how many names come before its own. */
typedef struct Period
{
	TimestampTz from;
	TimestampTz to;
	int			name_no;
} Period;

/* Active versions for a workflow, or a task of it, by name, newest first. */
typedef struct WorkflowRules
{
	const char *key;			/* of the hash: workflow, mark, task */
	const char *workflow;
	const char *task;			/* NULL: for its completion */
	int			n_rules;
	StoredRule *rules;
	const UaefSettlementRule **in_force;	/* room for n_rules */
	Period	   *periods;		/* of the rules, close together */
	UaefRuleIndex *index;		/* of many rules; made at first use */
} WorkflowRules;

/* The cache; NULL before its first use. */
static HTAB *workflow_rules = NULL;
static MemoryContext rules_context = NULL;
static Oid	rules_relid = InvalidOid;
static bool rules_stale = true;

static void check_name(const char *name);
static void check_size(const char *name, Jsonb *definition);
static Newest newest_version(const UaefSettlementRule *rule,
							 Jsonb *definition, Oid author);
static void check_path_task(const UaefPath *path, void *arg);
static const UaefDefinition *check_settle_task(const UaefSettlementRule *rule,
											   const UaefDefinition *definition);
static void check_approvers(const UaefSettlementRule *rule);
static int	count_in_force(const WorkflowRules *entry, TimestampTz at);
static const UaefRuleIndex *rule_index(WorkflowRules *entry);
static void cache_reset(void);
static void cache_invalidate(Datum arg, Oid relid);
static uint32 hash_text_key(const void *key, Size size);
static int	match_text_key(const void *a, const void *b, Size size);
static WorkflowRules *cache_get(const char *workflow, const char *task);
static void cache_load(WorkflowRules *entry);
static void load_rule(StoredRule *stored, uint64 row);
static const UaefSettlementRule *compiled_rule(StoredRule *stored);
static void compile_stored(void *arg);

PG_FUNCTION_INFO_V1(uaef_settlement_rule_changed);

/*
 * Check, number and store a rule.  Raises what the compiler raises, UA001 for
 * a definition that is too large, UA302 for a workflow that does not exist,
 * UA304 for a task that it does not have, 42501 for another's rule or
 * workflow.  What is the newest version already is not stored again.
 */
int32
uaef_settlement_rule_create(const char *name, Jsonb *definition, Oid author)
{
	static UaefQuery lock_rules = {
		"LOCK TABLE uaef.settlement_rule IN SHARE ROW EXCLUSIVE MODE"
	};
	static UaefQuery insert_rule = {
		"INSERT INTO uaef.settlement_rule (name, version, workflow, definition,"
		" currency, effective_from, effective_to, created_by, created_at,"
		" created_session)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
		10, {TEXTOID, INT4OID, TEXTOID, JSONBOID, TEXTOID, TIMESTAMPTZOID,
		TIMESTAMPTZOID, REGROLEOID, TIMESTAMPTZOID, REGROLEOID}
	};
	UaefSettlementRule *rule;
	UaefCaller	caller;
	Newest		newest;
	Datum		args[10];

	check_name(name);
	check_size(name, definition);
	rule = uaef_settlement_rule_compile(name, definition, NULL);
	uaef_settlement_rule_set_period(rule, definition);
	check_approvers(rule);

	caller = uaef_spi_begin();
	uaef_settlement_rule_check_workflow(rule, definition, author);
	(void) uaef_spi_run(&lock_rules, NULL, NULL);
	newest = newest_version(rule, definition, author);
	if (newest.same)
	{
		uaef_spi_end(caller);
		return newest.version;
	}

	args[0] = CStringGetTextDatum(name);
	args[1] = Int32GetDatum(newest.version + 1);
	args[2] = CStringGetTextDatum(rule->workflow);
	args[3] = JsonbPGetDatum(definition);
	args[4] = CStringGetTextDatum(rule->currency);
	args[5] = TimestampTzGetDatum(rule->effective_from);
	args[6] = TimestampTzGetDatum(rule->effective_to);
	args[7] = ObjectIdGetDatum(author);
	args[8] = TimestampTzGetDatum(uaef_clock_now());
	args[9] = ObjectIdGetDatum(GetSessionUserId());
	(void) uaef_spi_run(&insert_rule, args, NULL);
	uaef_settlement_rule_record("settlement_rule_created", name,
								newest.version + 1, rule->workflow, author,
								NULL);
	uaef_spi_end(caller);
	return newest.version + 1;
}

/*
 * A name is shown in one line.
 */
static void
check_name(const char *name)
{
	int			len = strlen(name);

	for (const char *c = name; *c != '\0'; c++)
	{
		if ((unsigned char) *c < ' ' || *c == 0x7f)
			len = 0;
	}
	if (len == 0 || len > MAX_NAME)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("\"%s\" is no name for a settlement rule",
						uaef_eval_clip(name, strlen(name))),
				 errdetail("A name has 1 to %d bytes and no control characters.",
						   MAX_NAME)));
}

static void
check_size(const char *name, Jsonb *definition)
{
	if (VARSIZE(definition) > uaef_max_payload_kb * (int64) 1024)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_TOO_LARGE),
				 errmsg("settlement rule \"%s\" is too large", name),
				 errdetail("The limit is %d kB (uaef.max_payload_size).",
						   uaef_max_payload_kb)));
}

/*
 * What there is of a rule's name.  A rule stays with its workflow and, like a
 * workflow, with the role that made its first version.
 */
static Newest
newest_version(const UaefSettlementRule *rule, Jsonb *definition, Oid author)
{
	static UaefQuery find_newest = {
		"SELECT n.version, n.workflow,"
		" n.definition = $2 AND n.retired_at IS NULL,"
		" f.created_by::oid"
		" FROM uaef.settlement_rule n"
		" JOIN uaef.settlement_rule f ON f.name = n.name AND f.version = 1"
		" WHERE n.name = $1 ORDER BY n.version DESC LIMIT 1",
		2, {TEXTOID, JSONBOID}
	};
	Newest		newest = {0};
	char	   *workflow;
	Datum		args[2];

	args[0] = CStringGetTextDatum(rule->name);
	args[1] = JsonbPGetDatum(definition);
	if (uaef_spi_run(&find_newest, args, NULL) == 0)
		return newest;

	newest.version = uaef_spi_int32(0, 1);
	newest.same = uaef_spi_bool(0, 3);
	uaef_settlement_rule_check_owner(rule->name, uaef_spi_oid(0, 4), author);
	workflow = uaef_spi_text(0, 2);
	if (strcmp(workflow, rule->workflow) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("settlement rule \"%s\" is for workflow \"%s\"",
						rule->name, workflow),
				 errhint("Use another name for a rule of workflow \"%s\".",
						 rule->workflow)));
	return newest;
}

void
uaef_settlement_rule_check_owner(const char *name, Oid owner, Oid actor)
{
	uaef_require_membership(actor, owner,
							psprintf("settlement rule \"%s\"", name));
}

/*
 * A rule for a workflow that does not exist, or that reads a task which it
 * does not have, would never pay and never say so.  Who it belongs to comes
 * first: what tasks it has is not for others to find out.
 */
void
uaef_settlement_rule_check_workflow(const UaefSettlementRule *rule,
									Jsonb *document, Oid author)
{
	int32		definition_id = uaef_definition_find(rule->workflow, 0);
	const UaefDefinition *definition;
	UaefTyping	typing;

	uaef_settlement_rule_check_workflow_owner(rule->workflow, author);
	definition = uaef_definition_get(definition_id);
	uaef_settlement_rule_paths(rule, check_path_task,
							   unconstify(UaefDefinition *, definition));
	if (rule->task != NULL)
		definition = check_settle_task(rule, definition);
	typing = uaef_rule_typing(definition);
	(void) uaef_settlement_rule_compile(rule->name, document, &typing);
}

/* Whether the path leads from a task to another one. */
static bool
comes_before(const UaefDefinition *definition, int task, int other, bool *seen)
{
	const UaefTaskDef *def = &definition->tasks[task];

	check_stack_depth();
	seen[task] = true;
	for (int i = 0; i < def->n_in; i++)
	{
		int			from = definition->edges[def->in[i]].from;

		if (from == other ||
			(!seen[from] && comes_before(definition, from, other, seen)))
			return true;
	}
	return false;
}

/* A rule and the settle task that it is for. */
typedef struct SettleTask
{
	const UaefDefinition *definition;
	int			no;
} SettleTask;

static void
check_path_before(const UaefPath *path, void *arg)
{
	const SettleTask *settle = arg;
	const UaefDefinition *definition = settle->definition;
	const char *task = uaef_path_task(path);
	bool	   *seen = palloc0(definition->n_tasks);

	if (task != NULL &&
		!comes_before(definition, settle->no,
					  uaef_definition_task_no(definition, task, strlen(task)),
					  seen))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_UNDEFINED_TASK),
				 errmsg("task \"%s\" of workflow \"%s\" does not come before task \"%s\"",
						task, definition->name,
						definition->tasks[settle->no].id),
				 errdetail("Path \"%s\" of the settlement rule reads it when task \"%s\" settles.",
						   uaef_path_text(path),
						   definition->tasks[settle->no].id)));
	pfree(seen);
}

/*
 * The task that a rule is for must settle, and the rule read what is there
 * then.  Returns the definition; one without a schema of the input where the
 * task gives the rule another.
 */
static const UaefDefinition *
check_settle_task(const UaefSettlementRule *rule,
				  const UaefDefinition *definition)
{
	SettleTask	settle = {definition};
	UaefDefinition *own;

	settle.no = uaef_definition_task_no(definition, rule->task,
										strlen(rule->task));
	if (settle.no < 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_UNDEFINED_TASK),
				 errmsg("workflow \"%s\" has no task \"%s\"",
						definition->name, rule->task),
				 errdetail("The settlement rule is for it.")));
	if (definition->tasks[settle.no].type != UAEF_TASK_SETTLE)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_EXPRESSION),
				 errmsg("task \"%s\" of workflow \"%s\" is of type %s, and settles nothing",
						rule->task, definition->name,
						uaef_task_type_name(definition->tasks[settle.no].type)),
				 errhint("Without \"task\" a rule is for the completion of the workflow.")));
	uaef_settlement_rule_paths(rule, check_path_before, &settle);
	if (definition->tasks[settle.no].config.settle.input == NULL)
		return definition;
	own = palloc(sizeof(UaefDefinition));
	*own = *definition;
	own->input_schema = NULL;
	return own;
}

void
uaef_settlement_rule_require(const char *name, const char *workflow,
							 const char *task, const char *where)
{
	static UaefQuery find_rule = {
		"SELECT workflow = $2 AND definition->>'task' IS NOT DISTINCT FROM $3,"
		" active"
		" FROM uaef.settlement_rule WHERE name = $1"
		" ORDER BY active DESC, version DESC LIMIT 1",
		3, {TEXTOID, TEXTOID, TEXTOID}
	};
	UaefCaller	caller = uaef_spi_begin();
	Datum		args[3];

	args[0] = CStringGetTextDatum(name);
	args[1] = CStringGetTextDatum(workflow);
	args[2] = CStringGetTextDatum(task);
	if (uaef_spi_run(&find_rule, args, NULL) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_UNDEFINED_SETTLEMENT),
				 errmsg("%s: settlement rule \"%s\" does not exist", where,
						name),
				 errhint("Create the workflow without \"rules\", then the rule with \"task\":\"%s\": the task settles by all rules that are for it.",
						 task)));
	if (!uaef_spi_bool(0, 1))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_UNDEFINED_SETTLEMENT),
				 errmsg("%s: settlement rule \"%s\" is not for this task",
						where, name),
				 errhint("A rule for it has \"workflow\":\"%s\" and \"task\":\"%s\".",
						 workflow, task)));
	if (!uaef_spi_bool(0, 2))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_RULE_NOT_IN_FORCE),
				 errmsg("%s: settlement rule \"%s\" is not active", where,
						name),
				 errhint("Use uaef.activate_settlement_rule() first.")));
	uaef_spi_end(caller);
}

void
uaef_settlement_rules_warn(const UaefDefinition *definition)
{
	static UaefQuery find_rules = {
		"SELECT name, definition->>'task' FROM uaef.settlement_rule"
		" WHERE workflow = $1 AND active AND definition ? 'task'"
		" ORDER BY name, version",
		1, {TEXTOID}
	};
	UaefCaller	caller = uaef_spi_begin();
	Datum		arg = CStringGetTextDatum(definition->name);
	uint64		n = uaef_spi_run(&find_rules, &arg, NULL);

	for (uint64 i = 0; i < n; i++)
	{
		char	   *task = uaef_spi_text(i, 2);
		int			no = uaef_definition_task_no(definition, task,
												 strlen(task));

		if (no < 0 || definition->tasks[no].type != UAEF_TASK_SETTLE)
			ereport(WARNING,
					(errmsg("settlement rule \"%s\" will pay nobody for this version of workflow \"%s\"",
							uaef_spi_text(i, 1), definition->name),
					 errdetail("The rule is for task \"%s\", which does not settle here.",
							   task),
					 errhint("Deactivate the rule, or make a version of it for another task.")));
	}
	uaef_spi_end(caller);
}

/*
 * A rule reads what every execution of its workflow holds, and says who is
 * paid for it: that is for the role that made the workflow's first version.
 */
void
uaef_settlement_rule_check_workflow_owner(const char *workflow, Oid actor)
{
	static UaefQuery find_owner = {
		"SELECT created_by::oid FROM uaef.workflow_definition"
		" WHERE name = $1 AND version = 1",
		1, {TEXTOID}
	};
	Datum		args[1];

	args[0] = CStringGetTextDatum(workflow);
	if (uaef_spi_run(&find_owner, args, NULL) == 0)
		uaef_definition_undefined(workflow);
	uaef_require_membership(actor, uaef_spi_oid(0, 1),
							psprintf("workflow \"%s\"", workflow));
}

static void
check_path_task(const UaefPath *path, void *arg)
{
	const UaefDefinition *definition = arg;
	const char *task = uaef_path_task(path);

	if (task != NULL &&
		uaef_definition_task_no(definition, task, strlen(task)) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_UNDEFINED_TASK),
				 errmsg("workflow \"%s\" has no task \"%s\"",
						definition->name, task),
				 errdetail("Path \"%s\" of the settlement rule names it.",
						   uaef_path_text(path))));
}

static void
check_approvers(const UaefSettlementRule *rule)
{
	for (int i = 0; i < rule->n_bands; i++)
	{
		if (rule->bands[i].of != NULL)
			(void) get_role_oid(rule->bands[i].of, false);
	}
}

/*
 * Rules decide about money, so their history is in the ledger too.
 */
void
uaef_settlement_rule_record(const char *type, const char *name, int32 version,
							const char *workflow, Oid actor, Jsonb *more)
{
	UaefEvent	event = {0};
	UaefJson	payload;

	uaef_json_begin(&payload);
	uaef_json_text(&payload, "rule", name);
	if (version != 0)
		uaef_json_int(&payload, "version", version);
	uaef_json_text(&payload, "workflow", workflow);
	uaef_json_members(&payload, more);

	event.type = type;
	event.actor_type = "user";
	event.actor_id = GetUserNameFromId(actor, true);
	event.payload = uaef_json_end(&payload);
	(void) uaef_ledger_append(&event, 1);
}

/*
 * Trigger of settlement_rule, for each statement that changes it: tell every
 * backend.
 */
Datum
uaef_settlement_rule_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function must be called as a trigger")));
	CacheInvalidateRelcache(trigger->tg_relation);
	return PointerGetDatum(NULL);
}

/*
 * The current identity must be the owner.  Accepting invalidations first means
 * that a rule which was committed before is seen, however long the running
 * transaction has held its locks.
 */
const UaefSettlementRule **
uaef_settlement_rules_get(const char *workflow, const char *task,
						  TimestampTz at, UaefScope *scope, int *in_force,
						  int *n)
{
	WorkflowRules *entry;
	int		   *numbers = NULL;
	int			n_numbers;
	int			last = -1;

	AcceptInvalidationMessages();
	if (rules_stale)
		cache_reset();
	entry = cache_get(workflow, task);
	*in_force = count_in_force(entry, at);
	*n = 0;

	n_numbers = entry->n_rules;
	if (entry->n_rules >= MANY_RULES)
		n_numbers = uaef_rule_index_find(rule_index(entry), scope, &numbers);
	for (int i = 0; i < n_numbers; i++)
	{
		int			no = numbers == NULL ? i : numbers[i];
		const Period *period = &entry->periods[no];

		if (at < period->from || at >= period->to || period->name_no == last)
			continue;
		last = period->name_no;
		entry->in_force[(*n)++] = compiled_rule(&entry->rules[no]);
	}
	return entry->in_force;
}

/* Of each name at most one version. */
static int
count_in_force(const WorkflowRules *entry, TimestampTz at)
{
	int			last = -1;
	int			n = 0;

	for (int i = 0; i < entry->n_rules; i++)
	{
		const Period *period = &entry->periods[i];

		if (at < period->from || at >= period->to || period->name_no == last)
			continue;
		last = period->name_no;
		n++;
	}
	return n;
}

/* The index over a workflow's rules, for which all of them are compiled. */
static const UaefRuleIndex *
rule_index(WorkflowRules *entry)
{
	const UaefSettlementRule **rules;
	MemoryContext old;

	if (entry->index != NULL)
		return entry->index;
	rules = palloc(entry->n_rules * sizeof(UaefSettlementRule *));
	for (int i = 0; i < entry->n_rules; i++)
		rules[i] = compiled_rule(&entry->rules[i]);
	old = MemoryContextSwitchTo(rules_context);
	entry->index = uaef_rule_index_make(rules, entry->n_rules);
	MemoryContextSwitchTo(old);
	pfree(rules);
	return entry->index;
}

static void
cache_reset(void)
{
	HASHCTL		control = {0};

	if (rules_context == NULL)
	{
		CacheRegisterRelcacheCallback(cache_invalidate, (Datum) 0);
		rules_context = AllocSetContextCreate(CacheMemoryContext,
											  "uaef settlement rules",
											  ALLOCSET_DEFAULT_SIZES);
	}
	workflow_rules = NULL;
	MemoryContextReset(rules_context);

	control.keysize = sizeof(char *);
	control.entrysize = sizeof(WorkflowRules);
	control.hash = hash_text_key;
	control.match = match_text_key;
	control.hcxt = rules_context;
	workflow_rules = hash_create("uaef settlement rules", 32, &control,
								 HASH_ELEM | HASH_FUNCTION | HASH_COMPARE |
								 HASH_CONTEXT);
	rules_relid = get_relname_relid("settlement_rule",
									get_namespace_oid("uaef", false));
	rules_stale = false;
}

/*
 * May come at any time, also while rules are in use: only take a note.
 */
static void
cache_invalidate(Datum arg, Oid relid)
{
	if (relid == InvalidOid || relid == rules_relid)
		rules_stale = true;
}

static uint32
hash_text_key(const void *key, Size size)
{
	const char *text = *(const char *const *) key;

	return hash_bytes((const unsigned char *) text, strlen(text));
}

static int
match_text_key(const void *a, const void *b, Size size)
{
	return strcmp(*(const char *const *) a, *(const char *const *) b);
}

static WorkflowRules *
cache_get(const char *workflow, const char *task)
{
	const char *key = task == NULL ? workflow :
		psprintf("%s%c%s", workflow, TASK_MARK, task);
	WorkflowRules *entry = hash_search(workflow_rules, &key, HASH_FIND, NULL);
	WorkflowRules loaded = {0};

	if (entry != NULL)
		return entry;

	loaded.key = MemoryContextStrdup(rules_context, key);
	loaded.workflow = MemoryContextStrdup(rules_context, workflow);
	loaded.task = task == NULL ? NULL :
		MemoryContextStrdup(rules_context, task);
	cache_load(&loaded);
	if (IsolationUsesXactSnapshot())
		rules_stale = true;
	entry = hash_search(workflow_rules, &loaded.key, HASH_ENTER, NULL);
	*entry = loaded;
	return entry;
}

static void
cache_load(WorkflowRules *entry)
{
	static UaefQuery select_rules = {
		"SELECT rule_id, name, version, created_by::oid, currency,"
		" effective_from, effective_to, definition"
		" FROM uaef.settlement_rule WHERE workflow = $1 AND active"
		" AND definition->>'task' IS NOT DISTINCT FROM $2"
		" ORDER BY name, version DESC",
		2, {TEXTOID, TEXTOID}
	};
	UaefCaller	caller = uaef_spi_begin();
	MemoryContext old;
	Datum		args[2];

	args[0] = CStringGetTextDatum(entry->workflow);
	args[1] = entry->task == NULL ? (Datum) 0 :
		CStringGetTextDatum(entry->task);
	entry->n_rules = uaef_spi_run(&select_rules, args,
								  entry->task == NULL ? " n" : NULL);

	old = MemoryContextSwitchTo(rules_context);
	entry->rules = palloc0(entry->n_rules * sizeof(StoredRule));
	entry->in_force = palloc(entry->n_rules * sizeof(UaefSettlementRule *));
	entry->periods = palloc(entry->n_rules * sizeof(Period));
	for (int i = 0; i < entry->n_rules; i++)
	{
		const UaefSettlementRule *rule = &entry->rules[i].rule;
		bool		same;

		load_rule(&entry->rules[i], i);
		same = i > 0 && strcmp(rule->name,
							   entry->rules[i - 1].rule.name) == 0;
		entry->periods[i].from = rule->effective_from;
		entry->periods[i].to = rule->effective_to;
		entry->periods[i].name_no = i == 0 ? 0 :
			entry->periods[i - 1].name_no + (same ? 0 : 1);
	}
	MemoryContextSwitchTo(old);
	uaef_spi_end(caller);
}

static void
load_rule(StoredRule *stored, uint64 row)
{
	bool		isnull;
	Jsonb	   *definition = uaef_spi_jsonb(row, 8);

	stored->rule.rule_id = uaef_spi_int32(row, 1);
	stored->rule.name = pstrdup(uaef_spi_text(row, 2));
	stored->rule.version = uaef_spi_int32(row, 3);
	stored->rule.author = uaef_spi_oid(row, 4);
	stored->rule.currency = pstrdup(uaef_spi_text(row, 5));
	stored->rule.effective_from =
		DatumGetTimestampTz(uaef_spi_value(row, 6, &isnull));
	stored->rule.effective_to =
		DatumGetTimestampTz(uaef_spi_value(row, 7, &isnull));
	stored->definition = palloc(VARSIZE(definition));
	memcpy(stored->definition, definition, VARSIZE(definition));
}

/*
 * A stored rule that no longer compiles (it was written by hand, or for
 * another release) is an error of that rule, and not of the execution.
 */
static const UaefSettlementRule *
compiled_rule(StoredRule *stored)
{
	if (!stored->compiled)
	{
		MemoryContext old = MemoryContextSwitchTo(rules_context);

		(void) uaef_settlement_guard(compile_stored, stored,
									 &stored->rule.broken);
		stored->compiled = true;
		MemoryContextSwitchTo(old);
	}
	return &stored->rule;
}

static void
compile_stored(void *arg)
{
	StoredRule *stored = arg;
	UaefSettlementRule *rule = uaef_settlement_rule_compile(stored->rule.name,
															stored->definition,
															NULL);

	rule->rule_id = stored->rule.rule_id;
	rule->version = stored->rule.version;
	rule->author = stored->rule.author;
	rule->effective_from = stored->rule.effective_from;
	rule->effective_to = stored->rule.effective_to;
	stored->rule = *rule;
}
