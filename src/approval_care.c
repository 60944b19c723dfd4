/*-------------------------------------------------------------------------
 *
 * approval_care.c
 *	  What people do about approvals besides deciding.
 *
 * Comments and reassignments change an approval, so they lock its execution,
 * and are events of its stream.  Delegations concern no execution: their events
 * are in the stream of the session.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "approval_care.h"
#include "approval_request.h"
#include "approval_voter.h"
#include "arguments.h"
#include "clock.h"
#include "errcodes.h"
#include "failure.h"
#include "own_execution.h"
#include "spi_util.h"

/* Most roles that one call may ask. */
#define MAX_ROLES 1000

static UaefQuery insert_comment = {
	"INSERT INTO uaef.human_approval_comment"
	" (approval_id, author, session_role, comment, commented_at)"
	" VALUES ($1, $2, $3, $4, $5)",
	5, {INT8OID, REGROLEOID, REGROLEOID, TEXTOID, TIMESTAMPTZOID}
};

static UaefQuery reassign_approval = {
	"UPDATE uaef.human_approval SET approvers = $2, reassigned_by = $3,"
	" reassigned_session = $4 WHERE approval_id = $1",
	4, {INT8OID, TEXTARRAYOID, REGROLEOID, REGROLEOID}
};

/* Who was asked by groups is asked no more. */
static UaefQuery drop_groups = {
	"DELETE FROM uaef.human_approval_group"
	" WHERE approval_id = $1 AND stage = $2",
	2, {INT8OID, INT4OID}
};

static UaefQuery insert_delegation = {
	"INSERT INTO uaef.human_approval_delegation (delegator, delegator_session,"
	" delegate, valid_from, valid_until, workflow, reason, created_at)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING delegation_id",
	8, {REGROLEOID, REGROLEOID, REGROLEOID, TIMESTAMPTZOID, TIMESTAMPTZOID,
	TEXTOID, TEXTOID, TIMESTAMPTZOID}
};

static UaefQuery find_delegation = {
	"SELECT delegator::oid FROM uaef.human_approval_delegation"
	" WHERE delegation_id = $1",
	1, {INT8OID}
};

static UaefQuery revoke_delegation = {
	"UPDATE uaef.human_approval_delegation SET revoked_at = $2, revoked_by = $3"
	" WHERE delegation_id = $1 AND revoked_at IS NULL",
	3, {INT8OID, TIMESTAMPTZOID, REGROLEOID}
};

/*
 * The approval's task, with the execution locked.
 */
static UaefTask *
lock_pending(UaefStep *step, int64 approval_id, UaefApproval *approval)
{
	UaefTask   *task;

	uaef_approval_lock(step, &approval_id, 1);
	uaef_approval_read(approval_id, approval);
	task = uaef_approval_task_of(step, approval);
	uaef_approval_require_pending(approval);
	return task;
}

void
uaef_approval_comment(int64 approval_id, const char *comment)
{
	Oid			caller = GetUserId();
	char	   *clipped = uaef_clip(comment);
	UaefCaller	back;
	UaefStep   *step;
	UaefApproval approval;
	UaefTask   *task;
	UaefJson	json;
	Datum		args[5];

	if (strspn(comment, " \t\r\n") == strlen(comment))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a comment cannot be empty")));
	back = uaef_spi_begin();
	uaef_approval_require_sight(approval_id, caller);
	step = uaef_step_begin("user", GetUserNameFromId(caller, false));
	task = lock_pending(step, approval_id, &approval);
	args[0] = Int64GetDatum(approval_id);
	args[1] = ObjectIdGetDatum(caller);
	args[2] = ObjectIdGetDatum(GetSessionUserId());
	args[3] = CStringGetTextDatum(clipped);
	args[4] = TimestampTzGetDatum(step->now);
	uaef_spi_run(&insert_comment, args, NULL);
	uaef_approval_event_begin(&json, task, approval_id);
	uaef_json_text(&json, "comment", clipped);
	uaef_step_event(task->execution, task, "approval_commented",
					uaef_json_end(&json));
	uaef_step_write(step);
	uaef_spi_end(back);
}

/*
 * The names of roles, in an array of regrole.
 */
static char **
names_of_roles(ArrayType *roles, int *n)
{
	Datum	   *oids = uaef_array_elements(roles, REGROLEOID, "to_roles", n);
	char	  **names;

	if (*n == 0 || *n > MAX_ROLES)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an approval needs 1 to %d roles to ask", MAX_ROLES)));
	names = palloc(sizeof(char *) * *n);
	for (int i = 0; i < *n; i++)
		names[i] = GetUserNameFromId(DatumGetObjectId(oids[i]), false);
	return names;
}

/*
 * Who may control the execution may choose who is asked, but under four eyes
 * not who started it: they would choose their own approver.
 */
static void
check_reassign(const UaefApproval *approval, const UaefExecution *execution,
			   Oid caller)
{
	if (!has_privs_of_role(caller, execution->initiated_by))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to reassign approval %lld",
						(long long) approval->approval_id),
				 errhint("Members of the role that started the execution can do it.")));
	if (approval->four_eyes &&
		(uaef_started_by(execution, caller) ||
		 uaef_started_by(execution, GetSessionUserId())))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("approval %lld needs four eyes",
						(long long) approval->approval_id),
				 errdetail("Role \"%s\" started the execution and cannot choose who is asked.",
						   uaef_role_name(execution->initiated_by))));
}

void
uaef_approval_reassign(int64 approval_id, ArrayType *roles,
					   const char *reason)
{
	Oid			caller = GetUserId();
	int			n;
	char	  **names = names_of_roles(roles, &n);
	Datum	   *texts = palloc(sizeof(Datum) * n);
	UaefCaller	back = uaef_spi_begin();
	UaefStep   *step;
	UaefApproval approval;
	UaefTask   *task;
	UaefJson	json;
	Datum		args[4];

	uaef_approval_require_sight(approval_id, caller);
	step = uaef_step_begin("user", GetUserNameFromId(caller, false));
	task = lock_pending(step, approval_id, &approval);
	check_reassign(&approval, task->execution, caller);
	for (int i = 0; i < n; i++)
		texts[i] = CStringGetTextDatum(names[i]);
	args[0] = Int64GetDatum(approval_id);
	args[1] = uaef_array(texts, NULL, n, TEXTOID);
	args[2] = ObjectIdGetDatum(caller);
	args[3] = ObjectIdGetDatum(GetSessionUserId());
	uaef_spi_run(&reassign_approval, args, NULL);
	args[1] = Int32GetDatum(approval.stage);
	uaef_spi_run(&drop_groups, args, NULL);
	uaef_approval_event_begin(&json, task, approval_id);
	uaef_json_int(&json, "stage", approval.stage);
	uaef_json_texts(&json, "to", names, n);
	uaef_json_text(&json, "reason", uaef_clip(reason));
	uaef_step_event(task->execution, task, "approval_reassigned",
					uaef_json_end(&json));
	uaef_step_write(step);
	uaef_spi_end(back);
}

/*----------
 * Delegations
 * ----------
 */

static void
delegation_event(const char *type, Oid caller, int64 delegation_id,
				 const UaefDelegation *delegation)
{
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_int(&json, "delegation_id", delegation_id);
	if (delegation != NULL)
	{
		uaef_json_text(&json, "to",
					   GetUserNameFromId(delegation->delegate, false));
		uaef_json_time(&json, "valid_from", delegation->valid_from);
		uaef_json_time(&json, "valid_until", delegation->valid_until);
		uaef_json_text(&json, "workflow", delegation->workflow);
		uaef_json_text(&json, "reason", delegation->reason);
	}
	uaef_ledger_note_user(type, caller, uaef_json_end(&json));
}

static void
check_delegation(const UaefDelegation *delegation, Oid caller,
				 TimestampTz now)
{
	(void) GetUserNameFromId(delegation->delegate, false);
	if (delegation->delegate == caller ||
		delegation->delegate == GetSessionUserId())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a role cannot delegate to itself")));
	if (delegation->valid_until <= delegation->valid_from ||
		delegation->valid_until <= now)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a delegation must end after it begins, and not in the past"),
				 errdetail("It would begin at %s and end at %s.",
						   pstrdup(timestamptz_to_str(delegation->valid_from)),
						   pstrdup(timestamptz_to_str(delegation->valid_until)))));
}

int64
uaef_approval_delegate(const UaefDelegation *given)
{
	Oid			caller = GetUserId();
	TimestampTz now = uaef_clock_now();
	UaefDelegation delegation = *given;
	UaefCaller	back;
	int64		delegation_id;
	Datum		args[8];
	char		nulls[8];

	if (delegation.valid_from == 0)
		delegation.valid_from = now;
	delegation.reason = uaef_clip(given->reason);
	check_delegation(&delegation, caller, now);
	back = uaef_spi_begin();
	if (delegation.workflow != NULL)
		(void) uaef_definition_find(delegation.workflow, 0);
	memset(nulls, ' ', sizeof(nulls));
	args[0] = ObjectIdGetDatum(caller);
	args[1] = ObjectIdGetDatum(GetSessionUserId());
	args[2] = ObjectIdGetDatum(delegation.delegate);
	args[3] = TimestampTzGetDatum(delegation.valid_from);
	args[4] = TimestampTzGetDatum(delegation.valid_until);
	args[5] = delegation.workflow ? CStringGetTextDatum(delegation.workflow)
		: (Datum) 0;
	nulls[5] = delegation.workflow ? ' ' : 'n';
	args[6] = delegation.reason ? CStringGetTextDatum(delegation.reason)
		: (Datum) 0;
	nulls[6] = delegation.reason ? ' ' : 'n';
	args[7] = TimestampTzGetDatum(now);
	uaef_spi_run(&insert_delegation, args, nulls);
	delegation_id = uaef_spi_int64(0, 1);
	delegation_event("approvals_delegated", caller, delegation_id,
					 &delegation);
	uaef_spi_end(back);
	return delegation_id;
}

/*
 * Waits for votes under the delegation that have not been committed.
 */
bool
uaef_approval_revoke_delegation(int64 delegation_id)
{
	Oid			caller = GetUserId();
	UaefCaller	back = uaef_spi_begin();
	Datum		args[3];
	bool		revoked;

	args[0] = Int64GetDatum(delegation_id);
	if (uaef_spi_run(&find_delegation, args, NULL) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("delegation %lld does not exist",
						(long long) delegation_id),
				 errhint("See the view uaef.approval_delegation.")));
	if (!has_privs_of_role(caller, uaef_spi_oid(0, 1)))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for delegation %lld",
						(long long) delegation_id)));
	args[1] = TimestampTzGetDatum(uaef_clock_now());
	args[2] = ObjectIdGetDatum(caller);
	revoked = uaef_spi_run(&revoke_delegation, args, NULL) > 0;
	if (revoked)
		delegation_event("delegation_revoked", caller, delegation_id, NULL);
	uaef_spi_end(back);
	return revoked;
}
