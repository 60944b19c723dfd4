/*-------------------------------------------------------------------------
 *
 * human_review.c
 *	  Tasks of one execution that people must agree to before they begin.
 *
 * The rules stand with what alter_task() changes, in the task's overrides, and
 * are checked where policies are (policy_check.c).  A task that is queued goes
 * back, and is asked about at once; the attempt does not count.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/timestamp.h"

#include "advance.h"
#include "errcodes.h"
#include "failure.h"
#include "human_review.h"
#include "limit.h"
#include "own_execution.h"
#include "retry.h"
#include "spi_util.h"
#include "task_override.h"

/*
 * Roles that are written out must be there; who is asked later cannot be
 * looked up by anybody else.
 */
static void
check_approvers(const UaefPolicy *policy)
{
	const UaefRoleList *roles = &policy->rules.approval.stages[0].approvers;

	for (int i = 0; i < roles->n_fixed; i++)
		(void) get_role_oid(roles->fixed[i], false);
}

static Jsonb *
review_json(Jsonb *rules, const char *reason, const char *required_by,
			TimestampTz now)
{
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_jsonb(&json, "rules", rules);
	uaef_json_text(&json, "reason", reason);
	uaef_json_text(&json, "required_by", required_by);
	uaef_json_time(&json, "required_at", now);
	return uaef_json_end(&json);
}

/*
 * Take a queued task back to where it was before its attempt.
 */
static void
take_back(UaefTask *task)
{
	bool		taken = task->def->n_limits > 0 ? uaef_limit_withdraw(task) :
		uaef_step_unready(task);

	if (!taken && task->execution->status != UAEF_EXECUTION_PAUSED)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_ILLEGAL_TRANSITION),
				 errmsg("task \"%s\" is just being taken", task->def->id)));
	task->attempt--;
	uaef_task_become(task, UAEF_TASK_PENDING);
}

static void
require_not_begun(const UaefTask *task)
{
	if (task->status == UAEF_TASK_PENDING || task->status == UAEF_TASK_QUEUED)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_UAEF_ILLEGAL_TRANSITION),
			 errmsg("task \"%s\" is %s already", task->def->id,
					uaef_task_status_name(task->status)),
			 errhint("Use uaef.pause_workflow() to keep what follows from beginning.")));
}

void
uaef_human_review_require(const pg_uuid_t *id, const char *task_id,
						  Jsonb *rules, const char *reason)
{
	Oid			caller = GetUserId();
	const char *name = GetUserNameFromId(caller, false);
	UaefCaller	back;
	UaefStep   *step;
	UaefExecution *execution;
	UaefTask   *task;
	Jsonb	   *review;
	UaefJson	json;

	check_approvers(uaef_policy_compile(UAEF_HUMAN_REVIEW, "approval", rules,
										"strict", uaef_json_empty()));
	back = uaef_spi_begin();
	step = uaef_step_begin("user", name);
	execution = uaef_lock_own_execution(step, id, caller);
	task = uaef_execution_task(execution,
							   uaef_require_task_no(execution->def, task_id));
	require_not_begun(task);
	review = review_json(rules, uaef_clip(reason), name, step->now);

	uaef_json_begin(&json);
	uaef_json_members(&json, task->overrides);
	uaef_json_jsonb(&json, "review", review);
	task->overrides = uaef_json_end(&json);
	task->dirty = true;
	uaef_task_event_begin(&json, task);
	uaef_json_jsonb(&json, "review", review);
	uaef_step_event(execution, task, "review_required", uaef_json_end(&json));
	if (task->status == UAEF_TASK_QUEUED)
	{
		take_back(task);
		if (execution->status == UAEF_EXECUTION_RUNNING)
			uaef_advance_begin(task);
	}
	uaef_step_write(step);
	uaef_spi_end(back);
}

UaefPolicy *
uaef_human_review_of(const UaefTask *task, Jsonb **shown)
{
	JsonbValue	review;
	JsonbValue	rules;

	if (task->overrides == NULL || task->item != UAEF_NO_ITEM ||
		!uaef_json_get(task->overrides, "review", &review))
		return NULL;
	*shown = uaef_json_from_value(&review);
	(void) uaef_json_get(*shown, "rules", &rules);
	return uaef_policy_compile(UAEF_HUMAN_REVIEW, "approval",
							   uaef_json_from_value(&rules), "strict",
							   uaef_json_empty());
}
