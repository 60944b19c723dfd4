/*-------------------------------------------------------------------------
 *
 * policy_store.c
 *	  Stored policies: create, switch on and off, drop, find those in force.
 *
 * Versions are kept for ever; the newest one of a name says whether the policy
 * is switched on, or dropped.
 *
 * Locking: whoever changes policies locks uaef.policy in SHARE ROW EXCLUSIVE
 * mode until the transaction ends; readers are not held up.
 *
 * Each backend keeps the policies in force.  The statement trigger on
 * uaef.policy sends a relcache invalidation of the table, which reaches every
 * backend when the change commits, and the own one also when it is rolled back;
 * DROP EXTENSION sends one too.  The callback only takes a note.
 *
 * Memory: the list has a context under CacheMemoryContext.  One that is
 * replaced goes to the transaction, since some of it may be in use.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type_d.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "clock.h"
#include "compliance.h"
#include "errcodes.h"
#include "guc.h"
#include "json_util.h"
#include "ledger.h"
#include "policy.h"
#include "spi_util.h"
#include "versioned_name.h"

static UaefQuery lock_policies = {
	"LOCK TABLE uaef.policy IN SHARE ROW EXCLUSIVE MODE"
};

static UaefQuery find_newest = {
	"SELECT version, type, enabled, dropped,"
	" encode(digest, 'hex') = $2,"
	" (SELECT created_by::pg_catalog.oid FROM uaef.policy"
	"  WHERE name = $1 AND version = 1)"
	" FROM uaef.policy WHERE name = $1 ORDER BY version DESC LIMIT 1",
	2, {TEXTOID, TEXTOID}
};

static UaefQuery insert_policy = {
	"INSERT INTO uaef.policy (name, version, type, rules, enforcement, scope,"
	" digest, description, created_by, created_at)"
	" VALUES ($1, $2, $3, $4, $5, $6, decode($7, 'hex'), $8, $9, $10)",
	10, {TEXTOID, INT4OID, TEXTOID, JSONBOID, TEXTOID, JSONBOID, TEXTOID,
	TEXTOID, REGROLEOID, TIMESTAMPTZOID}
};

static UaefQuery update_policy = {
	"UPDATE uaef.policy SET enabled = $3, dropped = $4"
	" WHERE name = $1 AND version = $2",
	4, {TEXTOID, INT4OID, BOOLOID, BOOLOID}
};

static UaefQuery find_user = {
	"SELECT n.name FROM (SELECT DISTINCT ON (name) name, definition"
	"  FROM uaef.workflow_definition ORDER BY name, version DESC) n"
	" WHERE n.definition->'policies' ? $1"
	" OR jsonb_path_exists(n.definition, '$.tasks[*].policies[*] ? (@ == $p)',"
	"  jsonb_build_object('p', $1)) ORDER BY 1 LIMIT 1",
	1, {TEXTOID}
};

static UaefQuery select_policies = {
	"SELECT name, version, type, rules, enforcement, scope FROM ("
	" SELECT DISTINCT ON (name) name, version, type, rules, enforcement,"
	"  scope, enabled, dropped FROM uaef.policy ORDER BY name, version DESC) n"
	" WHERE enabled AND NOT dropped ORDER BY name",
	0
};

/* The newest version of a policy; version is 0 when there is none. */
typedef struct Newest
{
	int32		version;
	char	   *type;
	bool		enabled;
	bool		dropped;
	bool		same;			/* as what is to be stored */
} Newest;

/* The cache, the context it is in, and the table that it was read from. */
static UaefPolicies *cached = NULL;
static MemoryContext cached_context = NULL;
static Oid	cached_table = InvalidOid;
static bool registered = false;

/* Changes noted so far, and how many of them the cache has seen. */
static uint64 n_changes = 1;
static uint64 n_seen = 0;

static void check_size(const char *name, Jsonb *rules, Jsonb *scope);
static Newest newest_of(const char *name, const char *digest, Oid actor);
static Newest existing(const char *name, Oid actor);
static void check_approvers(const UaefPolicy *policy);
static void record(const char *type, const UaefPolicy *policy,
				   const char *name, int32 version, Oid actor);
static void load(void);
static void note_change(Datum arg, Oid relid);

PG_FUNCTION_INFO_V1(uaef_policy_changed);

/*
 * Raises what the compiler raises, UA001 for what is too large, 42704 for a
 * role that does not exist, 42501 for another's policy, 22023 for one of
 * another type.
 */
int32
uaef_policy_create(const char *name, const char *type, Jsonb *rules,
				   const char *enforcement, Jsonb *scope,
				   const char *description)
{
	Oid			actor = GetUserId();
	UaefPolicy *policy;
	UaefCaller	caller;
	Newest		newest;
	Datum		args[10];
	char		nulls[10];

	uaef_check_name("policy", name);
	check_size(name, rules, scope);
	policy = uaef_policy_compile(name, type, rules, enforcement, scope);
	check_approvers(policy);

	caller = uaef_spi_begin();
	if (policy->type == UAEF_POLICY_COMPLIANCE &&
		policy->rules.compliance.checkpoint != NULL)
		uaef_checkpoint_require(policy->rules.compliance.checkpoint,
								psprintf("rules of policy \"%s\"", name));
	(void) uaef_spi_run(&lock_policies, NULL, NULL);
	newest = newest_of(name, policy->digest, actor);
	if (newest.version > 0 && strcmp(newest.type, type) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("policy \"%s\" is of type %s", name, newest.type),
				 errhint("Use another name for a policy of type %s.", type)));
	if (newest.same && newest.enabled && !newest.dropped)
	{
		uaef_spi_end(caller);
		return newest.version;
	}

	memset(nulls, ' ', sizeof(nulls));
	args[0] = CStringGetTextDatum(name);
	args[1] = Int32GetDatum(newest.version + 1);
	args[2] = CStringGetTextDatum(type);
	args[3] = JsonbPGetDatum(rules);
	args[4] = CStringGetTextDatum(enforcement);
	args[5] = JsonbPGetDatum(scope);
	args[6] = CStringGetTextDatum(policy->digest);
	args[7] = description ? CStringGetTextDatum(description) : (Datum) 0;
	nulls[7] = description ? ' ' : 'n';
	args[8] = ObjectIdGetDatum(actor);
	args[9] = TimestampTzGetDatum(uaef_clock_now());
	(void) uaef_spi_run(&insert_policy, args, nulls);
	record("policy_created", policy, name, newest.version + 1, actor);
	uaef_spi_end(caller);
	return newest.version + 1;
}

static void
check_size(const char *name, Jsonb *rules, Jsonb *scope)
{
	if ((int64) VARSIZE(rules) + VARSIZE(scope) >
		uaef_max_payload_kb * (int64) 1024)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_TOO_LARGE),
				 errmsg("policy \"%s\" is too large", name),
				 errdetail("The limit is %d kB (uaef.max_payload_size).",
						   uaef_max_payload_kb)));
}

/*
 * What there is of a policy's name.  It belongs to the role that made its
 * first version, so that no operator undoes another's.
 */
static Newest
newest_of(const char *name, const char *digest, Oid actor)
{
	Newest		newest = {0};
	Datum		args[2];

	args[0] = CStringGetTextDatum(name);
	args[1] = CStringGetTextDatum(digest);
	if (uaef_spi_run(&find_newest, args, NULL) == 0)
		return newest;
	newest.version = uaef_spi_int32(0, 1);
	newest.type = uaef_spi_text(0, 2);
	newest.enabled = uaef_spi_bool(0, 3);
	newest.dropped = uaef_spi_bool(0, 4);
	newest.same = uaef_spi_bool(0, 5);
	uaef_require_membership(actor, uaef_spi_oid(0, 6),
							psprintf("policy \"%s\"", name));
	return newest;
}

/*
 * The same for a policy that must be there.
 */
static Newest
existing(const char *name, Oid actor)
{
	Newest		newest = newest_of(name, "", actor);

	if (newest.version == 0 || newest.dropped)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("policy \"%s\" does not exist", name),
				 errhint("See the view uaef.policy_status.")));
	return newest;
}

static void
check_approvers(const UaefPolicy *policy)
{
	const UaefRoleList *approvers;

	if (policy->type != UAEF_POLICY_APPROVAL)
		return;
	approvers = &policy->rules.approval.stages[0].approvers;
	for (int i = 0; i < approvers->n_fixed; i++)
		(void) get_role_oid(approvers->fixed[i], false);
}

static void
change(const char *name, int32 version, bool enabled, bool dropped)
{
	Datum		args[4];

	args[0] = CStringGetTextDatum(name);
	args[1] = Int32GetDatum(version);
	args[2] = BoolGetDatum(enabled);
	args[3] = BoolGetDatum(dropped);
	(void) uaef_spi_run(&update_policy, args, NULL);
}

/*
 * Raises 42704 when there is no such policy, 42501 for another's.
 */
void
uaef_policy_set_enabled(const char *name, bool enabled)
{
	Oid			actor = GetUserId();
	UaefCaller	caller = uaef_spi_begin();
	Newest		newest;

	(void) uaef_spi_run(&lock_policies, NULL, NULL);
	newest = existing(name, actor);
	if (newest.enabled != enabled)
	{
		change(name, newest.version, enabled, false);
		record(enabled ? "policy_enabled" : "policy_disabled", NULL, name,
			   newest.version, actor);
	}
	uaef_spi_end(caller);
}

/*
 * The same, and 2BP01 while the newest version of a workflow names it.  Whoever
 * defines one holds the policy's row, so the look comes after the change.
 */
void
uaef_policy_drop(const char *name)
{
	Oid			actor = GetUserId();
	UaefCaller	caller = uaef_spi_begin();
	Datum		arg = CStringGetTextDatum(name);
	Newest		newest;

	(void) uaef_spi_run(&lock_policies, NULL, NULL);
	newest = existing(name, actor);
	change(name, newest.version, newest.enabled, true);
	if (uaef_spi_run(&find_user, &arg, NULL) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("workflow \"%s\" names policy \"%s\"",
						uaef_spi_text(0, 1), name),
				 errhint("Define the workflow without it, or use uaef.disable_policy().")));
	record("policy_dropped", NULL, name, newest.version, actor);
	uaef_spi_end(caller);
}

/*
 * Policies say who may do what, so their history is in the ledger too.
 */
static void
record(const char *type, const UaefPolicy *policy, const char *name,
	   int32 version, Oid actor)
{
	UaefEvent	event = {.type = type,.actor_type = "user"};
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_text(&json, "policy", name);
	uaef_json_int(&json, "version", version);
	if (policy != NULL)
	{
		uaef_json_text(&json, "type", uaef_policy_type_name(policy->type));
		uaef_json_text(&json, "enforcement",
					   uaef_enforcement_name(policy->enforcement));
		uaef_json_text(&json, "digest", policy->digest);
	}
	event.actor_id = GetUserNameFromId(actor, true);
	event.payload = uaef_json_end(&json);
	(void) uaef_ledger_append(&event, 1);
}

/*
 * Trigger of policy, for each statement that changes it: tell every backend.
 */
Datum
uaef_policy_changed(PG_FUNCTION_ARGS)
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
 * Accepting invalidations first means that a policy which was committed before
 * is seen, however long the running transaction has held its locks.
 */
const UaefPolicies *
uaef_policies_get(void)
{
	AcceptInvalidationMessages();
	if (n_seen != n_changes)
		load();
	return cached;
}

/*
 * Read all that are in force, as of now, whatever the snapshot.  A change that
 * is noted meanwhile makes the next look read them again.
 */
static void
load(void)
{
	UaefCaller	caller = uaef_spi_begin();
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "uaef policies",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	uint64		changes;
	UaefPolicies *fresh = palloc0(sizeof(UaefPolicies));

	if (!registered)
		CacheRegisterRelcacheCallback(note_change, (Datum) 0);
	registered = true;
	cached_table = get_relname_relid("policy",
									 get_namespace_oid("uaef", false));
	changes = n_changes;
	fresh->n = (int) uaef_spi_read_latest(&select_policies, NULL);
	fresh->policies = palloc(sizeof(UaefPolicy *) * Max(fresh->n, 1));
	for (int i = 0; i < fresh->n; i++)
	{
		fresh->policies[i] = uaef_policy_compile(uaef_spi_text(i, 1),
												 uaef_spi_text(i, 3),
												 uaef_spi_jsonb(i, 4),
												 uaef_spi_text(i, 5),
												 uaef_spi_jsonb(i, 6));
		fresh->policies[i]->version = uaef_spi_int32(i, 2);
	}
	MemoryContextSwitchTo(old);

	if (cached_context != NULL)
		MemoryContextSetParent(cached_context, TopTransactionContext);
	MemoryContextSetParent(context, CacheMemoryContext);
	cached_context = context;
	cached = fresh;
	n_seen = changes;
	uaef_spi_end(caller);
}

/*
 * May come at any time, also while policies are in use: only take a note.
 */
static void
note_change(Datum arg, Oid relid)
{
	if (relid == InvalidOid || relid == cached_table)
		n_changes++;
}
