/*-------------------------------------------------------------------------
 *
 * policy_check.c
 *	  Policies over tasks that are about to begin an attempt.
 *
 * What can refuse comes first, then what asks people, then what counts, so that
 * an attempt that does not begin takes no place of a rate limit.  A task that
 * waited, for people or for its place, is checked by all of them again.
 *
 * With no policy in force nothing is read and nothing is written.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "advance.h"
#include "approval_request.h"
#include "checkpoint_task.h"
#include "digest.h"
#include "errcodes.h"
#include "failure.h"
#include "human_review.h"
#include "policy_check.h"
#include "spi_util.h"

/* Longest key of a rate limit, in bytes. */
#define MAX_KEY 1000

static UaefQuery find_approved = {
	"SELECT 1 FROM uaef.human_approval"
	" WHERE execution_id = $1 AND task_no = $2 AND item = $3"
	" AND policy = $4 AND policy_version = $5 AND shown_digest = $6"
	" AND status = 'approved' LIMIT 1",
	6, {UUIDOID, INT2OID, INT4OID, TEXTOID, INT4OID, BYTEAOID}
};

static UaefQuery name_policy = {
	"UPDATE uaef.human_approval SET policy = $2, policy_version = $3"
	" WHERE approval_id = $1",
	3, {INT8OID, TEXTOID, INT4OID}
};

static UaefQuery find_policy = {
	"SELECT a.policy, a.policy_version, p.type, p.rules, p.enforcement, p.scope"
	" FROM uaef.human_approval a LEFT JOIN uaef.policy p"
	" ON p.name = a.policy AND p.version = a.policy_version"
	" WHERE a.approval_id = $1 AND a.policy IS NOT NULL",
	1, {INT8OID}
};

static UaefQuery insert_decision = {
	"INSERT INTO uaef.policy_decision (execution_id, task_no, item, task_id,"
	" task, attempt, policy, version, enforcement, decision, reason, until,"
	" decided_at)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
	13, {UUIDOID, INT2OID, INT4OID, INT8OID, TEXTOID, INT4OID, TEXTOID,
		INT4OID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID,
	TIMESTAMPTZOID}
};

static const char *const decision_names[] = {
	[UAEF_POLICY_DENY] = "denied",
	[UAEF_POLICY_WARNED] = "warned",
	[UAEF_POLICY_LOGGED] = "logged",
	[UAEF_POLICY_PUT_OFF] = "put_off",
	[UAEF_POLICY_ASKED] = "asked",
	[UAEF_POLICY_APPROVED] = "approved"
};

static bool admits(UaefTask *task, const UaefPolicy *policy);
static bool complies(UaefTask *task, const UaefPolicy *policy);
static bool is_approved(UaefTask *task, const UaefPolicy *policy);
static bool is_reviewed(UaefTask *task);
static bool has_place(UaefTask *task, const UaefPolicy *policy);
static void hold(UaefTask *task);

bool
uaef_policy_admits(UaefTask *task)
{
	const UaefPolicies *all = uaef_policies_get();
	int			end = UAEF_POLICY_DATA_ACCESS;

	if (task->overrides != NULL && !is_reviewed(task))
		return false;

	/* A dry run asks nobody, and takes no place of a rate limit. */
	if (task->execution->step->dry != NULL)
		end = UAEF_POLICY_COMPLIANCE + 1;
	for (int type = UAEF_POLICY_COMPLIANCE; all->n > 0 && type < end; type++)
	{
		for (int i = 0; i < all->n; i++)
		{
			const UaefPolicy *policy = all->policies[i];

			if (policy->type == type &&
				uaef_policy_applies(policy, task->execution->def,
									task->def) != NULL &&
				!admits(task, policy))
				return false;
		}
	}
	return true;
}

static bool
admits(UaefTask *task, const UaefPolicy *policy)
{
	switch (policy->type)
	{
		case UAEF_POLICY_COMPLIANCE:
			return complies(task, policy);
		case UAEF_POLICY_APPROVAL:
			return is_approved(task, policy);
		case UAEF_POLICY_RATE_LIMIT:
			return has_place(task, policy);
		case UAEF_POLICY_DATA_ACCESS:
			break;
	}
	return true;
}

/*----------
 * Decisions
 * ----------
 */

void
uaef_policy_record(UaefTask *task, const UaefPolicy *policy,
				   UaefPolicyDecision decision, const char *reason,
				   TimestampTz until)
{
	UaefExecution *execution = task->execution;
	const char *id = execution->def->tasks[task->no].id;
	UaefJson	json;
	Datum		args[13];
	char		nulls[13];

	memset(nulls, ' ', sizeof(nulls));
	args[0] = UUIDPGetDatum(&execution->id);
	args[1] = Int16GetDatum(task->no);
	args[2] = Int32GetDatum(task->item);
	args[3] = Int64GetDatum(task->task_id);
	args[4] = CStringGetTextDatum(id);
	args[5] = Int32GetDatum(task->attempt);
	args[6] = CStringGetTextDatum(policy->name);
	args[7] = Int32GetDatum(policy->version);
	args[8] = CStringGetTextDatum(uaef_enforcement_name(policy->enforcement));
	args[9] = CStringGetTextDatum(decision_names[decision]);
	args[10] = reason ? CStringGetTextDatum(reason) : (Datum) 0;
	nulls[10] = reason ? ' ' : 'n';
	args[11] = TimestampTzGetDatum(until);
	nulls[11] = until != 0 ? ' ' : 'n';
	args[12] = TimestampTzGetDatum(execution->step->now);
	(void) uaef_spi_run(&insert_decision, args, nulls);

	uaef_task_event_begin(&json, task);
	uaef_json_text(&json, "policy", policy->name);
	uaef_json_int(&json, "version", policy->version);
	uaef_json_text(&json, "policy_digest", policy->digest);
	uaef_json_text(&json, "enforcement",
				   uaef_enforcement_name(policy->enforcement));
	uaef_json_text(&json, "reason", reason);
	uaef_json_time(&json, "until", until);
	uaef_step_event(execution, task,
					psprintf("policy_%s", decision_names[decision]),
					uaef_json_end(&json));
}

static void
deny(UaefFailure *failure, const UaefPolicy *policy, const char *reason)
{
	memset(failure, 0, sizeof(UaefFailure));
	failure->code = UAEF_POLICY_DENIED;
	failure->message = psprintf("policy \"%s\" denies the task", policy->name);
	failure->detail = reason;
}

bool
uaef_policy_breach(UaefTask *task, const UaefPolicy *policy,
				   const char *reason)
{
	UaefFailure failure;

	switch (policy->enforcement)
	{
		case UAEF_ENFORCE_LOG:
			uaef_policy_record(task, policy, UAEF_POLICY_LOGGED, reason, 0);
			return true;
		case UAEF_ENFORCE_WARN:
			uaef_policy_record(task, policy, UAEF_POLICY_WARNED, reason, 0);
			ereport(WARNING,
					(errcode(ERRCODE_UAEF_POLICY),
					 errmsg("policy \"%s\" warns of task \"%s\"",
							policy->name,
							task->execution->def->tasks[task->no].id),
					 errdetail_internal("%s", reason)));
			return true;
		case UAEF_ENFORCE_STRICT:
			break;
	}
	uaef_policy_record(task, policy, UAEF_POLICY_DENY, reason, 0);
	deny(&failure, policy, reason);
	uaef_advance_fail_finally(task, &failure);
	return false;
}

/*
 * An attempt that was made is not the one that waits.
 */
static void
hold(UaefTask *task)
{
	task->worker = NULL;
	task->has_lease = false;
	task->lease_expires_at = 0;
	task->started_at = 0;
	if (task->status != UAEF_TASK_PENDING)
		uaef_task_become(task, UAEF_TASK_PENDING);
	task->dirty = true;
}

void
uaef_policy_fire(UaefTask *task)
{
	if (task->status == UAEF_TASK_PENDING && uaef_advance_was_reached(task))
		uaef_advance_begin(task);
}

/*----------
 * compliance
 * ----------
 */

/*
 * The result is kept, as that of a checkpoint task.
 */
static bool
passes_checkpoint(UaefTask *task, const UaefPolicy *policy)
{
	const UaefCompliance *rules = &policy->rules.compliance;
	UaefStoredCheckpoint stored;
	UaefCheckpointResult result;

	if (!uaef_checkpoint_find(rules->checkpoint, &stored))
		return uaef_policy_breach(task, policy,
								  psprintf("checkpoint \"%s\" does not exist",
										   rules->checkpoint));
	uaef_checkpoint_judge(task, &stored, rules->data, &result);
	if (result.passed)
		return true;
	return uaef_policy_breach(task, policy, rules->reason != NULL ?
							  rules->reason :
							  psprintf("checkpoint \"%s\" is not passed: %s",
									   stored.name, result.first_failure));
}

/*
 * What cannot be evaluated is not fulfilled.
 */
static bool
complies(UaefTask *task, const UaefPolicy *policy)
{
	const UaefCompliance *rules = &policy->rules.compliance;
	UaefEvalError error = {0};
	bool		holds = false;

	if (rules->checkpoint != NULL)
		return passes_checkpoint(task, policy);
	if (!uaef_condition_eval(rules->require, uaef_task_scope(task), &holds,
							 &error))
		return uaef_policy_breach(task, policy,
								  psprintf("\"require\" cannot be evaluated: %s",
										   error.message));
	if (holds)
		return true;
	return uaef_policy_breach(task, policy, rules->reason != NULL ?
							  rules->reason : "\"require\" does not hold");
}

/*----------
 * approval
 * ----------
 */

/*
 * What people are shown, and what their approval is bound to.
 */
static Jsonb *
shown_to_approvers(UaefTask *task, const UaefPolicy *policy, Jsonb *review)
{
	UaefExecution *execution = task->execution;
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_text(&json, "policy", policy->name);
	uaef_json_int(&json, "version", policy->version);
	uaef_json_text(&json, "workflow", execution->def->name);
	uaef_json_text(&json, "task", execution->def->tasks[task->no].id);
	uaef_json_jsonb(&json, "in", uaef_execution_input(execution));
	uaef_json_jsonb(&json, "item", task->item_value);
	uaef_json_jsonb(&json, "review", review);
	return uaef_json_end(&json);
}

static bool
was_approved(UaefTask *task, const UaefPolicy *policy, Jsonb *shown)
{
	Datum		args[6];

	if (!task->stored)
		return false;
	args[0] = UUIDPGetDatum(&task->execution->id);
	args[1] = Int16GetDatum(task->no);
	args[2] = Int32GetDatum(task->item);
	args[3] = CStringGetTextDatum(policy->name);
	args[4] = Int32GetDatum(policy->version);
	args[5] = PointerGetDatum(uaef_digest_bytea(shown));
	return uaef_spi_run(&find_approved, args, NULL) > 0;
}

/*
 * Ask; the task waits until approval.c tells what was decided.
 */
static bool
ask(UaefTask *task, const UaefPolicy *policy, Jsonb *shown)
{
	const UaefApprovalConfig *rules = &policy->rules.approval;
	UaefEvalError error = {0};
	char	   *description = rules->description != NULL ? NULL :
		psprintf("policy \"%s\" asks before task \"%s\" begins", policy->name,
				 task->execution->def->tasks[task->no].id);
	int64		approval_id = uaef_approval_request(task, rules, description,
													shown, &error);
	Datum		args[3];

	if (approval_id == 0)
		return uaef_policy_breach(task, policy,
								  psprintf("nobody can be asked: %s",
										   error.message));
	hold(task);
	args[0] = Int64GetDatum(approval_id);
	args[1] = CStringGetTextDatum(policy->name);
	args[2] = Int32GetDatum(policy->version);
	(void) uaef_spi_run(&name_policy, args, NULL);
	uaef_policy_record(task, policy, UAEF_POLICY_ASKED, NULL, 0);
	uaef_task_become(task, UAEF_TASK_WAITING_INPUT);
	return false;
}

/*
 * An approval is for all attempts of the task, and for all items of a map,
 * unless only they are in the scope.
 */
static bool
is_approved(UaefTask *task, const UaefPolicy *policy)
{
	const UaefDefinition *def = task->execution->def;
	Jsonb	   *shown;

	if (task->item != UAEF_NO_ITEM &&
		uaef_policy_applies(policy, def, &def->tasks[task->no]) != NULL)
		return true;
	if (policy->enforcement != UAEF_ENFORCE_STRICT)
		return uaef_policy_breach(task, policy, "it would need an approval");
	shown = shown_to_approvers(task, policy, NULL);
	return was_approved(task, policy, shown) || ask(task, policy, shown);
}

/*
 * The same for what was asked for this task alone.
 */
static bool
is_reviewed(UaefTask *task)
{
	Jsonb	   *review = NULL;
	UaefPolicy *policy = uaef_human_review_of(task, &review);
	Jsonb	   *shown;

	if (policy == NULL)
		return true;
	shown = shown_to_approvers(task, policy, review);
	return was_approved(task, policy, shown) || ask(task, policy, shown);
}

/*
 * The policy that an approval was asked for by, of the last result; NULL when
 * nothing of it is left.
 */
static UaefPolicy *
policy_of_approval(const UaefTask *task)
{
	char	   *type = uaef_spi_text(0, 3);
	int32		version = uaef_spi_int32(0, 2);
	UaefPolicy *policy;
	Jsonb	   *review;

	if (type == NULL)
		return uaef_human_review_of(task, &review);
	policy = uaef_policy_compile(uaef_spi_text(0, 1), type,
								 uaef_spi_jsonb(0, 4), uaef_spi_text(0, 5),
								 uaef_spi_jsonb(0, 6));
	policy->version = version;
	return policy;
}

bool
uaef_policy_decided(UaefTask *task, int64 approval_id, const char *outcome)
{
	Datum		arg = Int64GetDatum(approval_id);
	UaefPolicy *policy;
	UaefFailure failure;
	char	   *reason;

	if (uaef_spi_run(&find_policy, &arg, NULL) == 0)
		return false;
	policy = policy_of_approval(task);
	if (policy == NULL)
		return false;
	if (strcmp(outcome, "approved") == 0)
	{
		uaef_policy_record(task, policy, UAEF_POLICY_APPROVED, NULL, 0);
		hold(task);
		uaef_advance_begin(task);
		return true;
	}
	reason = psprintf("approval was %s", outcome);
	uaef_policy_record(task, policy, UAEF_POLICY_DENY, reason, 0);
	deny(&failure, policy, reason);
	uaef_advance_fail_now(task, &failure);
	return true;
}

/*----------
 * rate_limit
 * ----------
 */

/*
 * Whether the attempt is within the limit.  The node of a map is none: its
 * items are what runs.
 */
static bool
has_place(UaefTask *task, const UaefPolicy *policy)
{
	const UaefRateLimit *rate = &policy->rules.rate;
	bool		delays = policy->enforcement == UAEF_ENFORCE_STRICT &&
		!rate->deny;
	UaefEvalError error = {0};
	char	   *key = "";
	TimestampTz due;

	if (task->def->type == UAEF_TASK_PARALLEL)
		return true;
	if (rate->key != NULL)
		key = uaef_template_fill_text(rate->key, uaef_task_scope(task),
									  UAEF_ENCODE_TEXT, &error);
	if (key == NULL)
		return uaef_policy_breach(task, policy,
								  psprintf("\"key\" cannot be filled in: %s",
										   error.message));
	if (strlen(key) > MAX_KEY)
		return uaef_policy_breach(task, policy,
								  psprintf("\"key\" gives more than %d bytes",
										   MAX_KEY));
	due = uaef_policy_rate_take(task, policy, key, delays);
	if (due == 0)
		return true;
	if (!delays)
		return uaef_policy_breach(task, policy,
								  psprintf("more than %d within %lld s",
										   rate->max,
										   (long long) (rate->window_ms / 1000)));
	hold(task);
	uaef_policy_record(task, policy, UAEF_POLICY_PUT_OFF, NULL, due);
	uaef_step_timer(task->execution, task, "policy", due);
	return false;
}

/*----------
 * data_access
 * ----------
 */

UaefGuard *
uaef_policy_guard(UaefTask *task)
{
	const UaefPolicies *all = uaef_policies_get();
	UaefGuard  *guard = NULL;

	for (int i = 0; i < all->n; i++)
	{
		const UaefPolicy *policy = all->policies[i];
		UaefGuardRule *rule;

		if (policy->type != UAEF_POLICY_DATA_ACCESS ||
			uaef_policy_applies(policy, task->execution->def,
								task->def) == NULL)
			continue;
		if (guard == NULL)
		{
			guard = palloc0(sizeof(UaefGuard));
			guard->rules = palloc0(sizeof(UaefGuardRule) * all->n);
		}
		rule = &guard->rules[guard->n_rules++];
		rule->policy = policy;
		rule->name = policy->name;
		rule->access = &policy->rules.access;
		rule->strict = policy->enforcement == UAEF_ENFORCE_STRICT;
	}
	return guard;
}

void
uaef_policy_record_guard(UaefTask *task, const UaefGuard *guard)
{
	ListCell   *cell;

	if (guard == NULL)
		return;
	foreach(cell, guard->findings)
	{
		const UaefGuardFinding *finding = lfirst(cell);
		const UaefPolicy *policy = finding->rule->policy;

		if (policy->enforcement == UAEF_ENFORCE_STRICT)
			uaef_policy_record(task, policy, UAEF_POLICY_DENY,
							   finding->reason, 0);
		else
			(void) uaef_policy_breach(task, policy, finding->reason);
	}
}

bool
uaef_policy_failure(UaefFailure *failure, const UaefGuard *guard)
{
	if (guard == NULL || guard->breach == NULL)
		return false;
	deny(failure, guard->breach->rule->policy, guard->breach->reason);
	return true;
}
