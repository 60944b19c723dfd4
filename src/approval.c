/*-------------------------------------------------------------------------
 *
 * approval.c
 *	  People's decisions on what they were asked.
 *
 * Who may decide is a matter of database roles: a member of one of the
 * approvers, and under four eyes neither the role that started the execution
 * nor a session of it.  A decision is bound to the digest of what was shown.
 *
 * Locking: the execution's row first, as everywhere; it makes the votes on an
 * approval serial.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "advance.h"
#include "approval.h"
#include "approval_request.h"
#include "errcodes.h"
#include "failure.h"
#include "own_execution.h"
#include "policy_check.h"
#include "spi_util.h"

static UaefQuery find_approval = {
	"SELECT execution_id, task_no, item FROM uaef.human_approval"
	" WHERE approval_id = $1",
	1, {INT8OID}
};

static UaefQuery read_approval = {
	"SELECT status, need, four_eyes, approvers, shown_digest,"
	" (SELECT count(*) FROM uaef.human_approval_vote v"
	"  WHERE v.approval_id = a.approval_id AND v.decision = 'approved')"
	" FROM uaef.human_approval a WHERE approval_id = $1",
	1, {INT8OID}
};

static UaefQuery insert_vote = {
	"INSERT INTO uaef.human_approval_vote (approval_id, approver,"
	" session_role, decision, reason, response, shown_digest, decided_at)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
	8, {INT8OID, REGROLEOID, REGROLEOID, TEXTOID, TEXTOID, JSONBOID, BYTEAOID,
	TIMESTAMPTZOID}
};

static UaefQuery decide_approval = {
	"UPDATE uaef.human_approval SET status = $2, decided_at = $3"
	" WHERE approval_id = $1",
	3, {INT8OID, TEXTOID, TIMESTAMPTZOID}
};

/* What a decision is about. */
typedef struct Approval
{
	int64		approval_id;
	char	   *status;
	int			need;
	bool		four_eyes;
	ArrayType  *approvers;		/* NULL: whoever may approve at all */
	bytea	   *shown_digest;
	int64		approvals;		/* so far */
} Approval;

/*
 * What the task gives when it is decided.
 */
static Jsonb *
outcome_output(const char *outcome, int64 approval_id, const char *approver,
			   const char *reason, Jsonb *response)
{
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_text(&json, "decision", outcome);
	uaef_json_int(&json, "approval_id", approval_id);
	uaef_json_text(&json, "approver", approver);
	uaef_json_text(&json, "reason", reason);
	uaef_json_jsonb(&json, "response", response);
	return uaef_json_end(&json);
}

/*
 * What a policy asked for only lets the task begin.  Otherwise the outcome of
 * an approval is a label for the edges.  Where no edge has
 * labels, anything but approval fails the task: silence never approves.
 */
static void
end_approval(UaefTask *task, int64 approval_id, const char *outcome,
			 Jsonb *output)
{
	bool		approved = strcmp(outcome, "approved") == 0;
	UaefFailure failure = {0};

	if (uaef_policy_decided(task, approval_id, outcome))
		return;
	if (approved || task->def->has_labels)
	{
		uaef_advance_complete(task, output, outcome);
		return;
	}
	uaef_failure_set(&failure, ERRCODE_UAEF_REJECTED,
					 psprintf("approval was %s", outcome));
	uaef_advance_fail_now(task, &failure);
}

void
uaef_approval_expire(UaefTask *task)
{
	int64		approval_id = uaef_approval_close(task, "expired");

	if (approval_id == 0)
		return;
	uaef_approval_event(task, "approval_expired", approval_id, NULL, NULL);
	end_approval(task, approval_id, "expired",
				 outcome_output("expired", approval_id, NULL, NULL,
								NULL));
}

/*
 * Read an approval under the lock of its execution.
 */
static void
load_approval(int64 approval_id, Approval *approval)
{
	Datum		arg = Int64GetDatum(approval_id);
	bool		isnull;
	Datum		value;

	uaef_spi_run(&read_approval, &arg, NULL);
	approval->approval_id = approval_id;
	approval->status = uaef_spi_text(0, 1);
	approval->need = uaef_spi_int32(0, 2);
	approval->four_eyes = uaef_spi_bool(0, 3);
	value = uaef_spi_value(0, 4, &isnull);
	approval->approvers = isnull ? NULL : DatumGetArrayTypePCopy(value);
	value = uaef_spi_value(0, 5, &isnull);
	approval->shown_digest = DatumGetByteaPCopy(value);
	approval->approvals = uaef_spi_int64(0, 6);
}

static void
check_pending(const Approval *approval)
{
	if (strcmp(approval->status, "pending") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_ILLEGAL_TRANSITION),
				 errmsg("approval %lld is already %s",
						(long long) approval->approval_id, approval->status)));
}

/*
 * Whether the caller is a member of one of the approvers.
 */
static bool
is_approver(const ArrayType *approvers, Oid caller)
{
	Datum	   *names;
	int			n;

	if (approvers == NULL)
		return true;
	deconstruct_array(unconstify(ArrayType *, approvers), TEXTOID, -1, false,
					  TYPALIGN_INT, &names, NULL, &n);
	for (int i = 0; i < n; i++)
	{
		Oid			role = get_role_oid(TextDatumGetCString(names[i]), true);

		if (OidIsValid(role) && has_privs_of_role(caller, role))
			return true;
	}
	return false;
}

/*
 * Whether whoever decides is whoever started the execution: as the role that
 * acts, or as the one that is logged in, whatever SET ROLE chose.
 */
static bool
is_starter(const UaefExecution *execution, Oid caller)
{
	Oid			session = GetSessionUserId();

	return caller == execution->initiated_by ||
		caller == execution->session_role ||
		session == execution->initiated_by ||
		session == execution->session_role;
}

/*
 * Raise unless the caller, who was noted before we became the owner, may
 * decide.
 */
static void
check_caller(const Approval *approval, const UaefExecution *execution,
			 Oid caller)
{
	if (approval->four_eyes && is_starter(execution, caller))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("approval %lld needs four eyes",
						(long long) approval->approval_id),
				 errdetail("Role \"%s\" started the execution and cannot decide on it.",
						   GetUserNameFromId(execution->initiated_by, true))));
	if (!is_approver(approval->approvers, caller))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for approval %lld",
						(long long) approval->approval_id),
				 errdetail("Role \"%s\" is a member of none of its approvers.",
						   GetUserNameFromId(caller, false))));
}

/*
 * A role votes once, and so does the role that the session belongs to, whatever
 * it chose by SET ROLE.
 */
static void
record_vote(const Approval *approval, Oid caller, const char *decision,
			const char *reason, Jsonb *response, TimestampTz now)
{
	Oid			session = GetSessionUserId();
	Datum		args[8];
	char		nulls[8];

	memset(nulls, ' ', sizeof(nulls));
	args[0] = Int64GetDatum(approval->approval_id);
	args[1] = ObjectIdGetDatum(caller);
	args[2] = ObjectIdGetDatum(session);
	args[3] = CStringGetTextDatum(decision);
	args[4] = reason ? CStringGetTextDatum(reason) : (Datum) 0;
	nulls[4] = reason ? ' ' : 'n';
	args[5] = JsonbPGetDatum(response);
	nulls[5] = response ? ' ' : 'n';
	args[6] = PointerGetDatum(approval->shown_digest);
	args[7] = TimestampTzGetDatum(now);
	if (uaef_spi_run(&insert_vote, args, nulls) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_APPROVAL),
				 errmsg("role \"%s\" has already decided on approval %lld",
						GetUserNameFromId(caller, false),
						(long long) approval->approval_id),
				 errdetail("The session belongs to role \"%s\", which decides once, whatever SET ROLE chose.",
						   GetUserNameFromId(session, false))));
}

/*
 * The waiting task of an approval, with its execution locked.
 */
static UaefTask *
lock_approval_task(UaefStep *step, int64 approval_id)
{
	Datum		arg = Int64GetDatum(approval_id);
	pg_uuid_t	id;
	int			no;
	int			item;
	bool		isnull;
	UaefExecution *execution;

	if (uaef_spi_run(&find_approval, &arg, NULL) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("approval %lld does not exist",
						(long long) approval_id),
				 errhint("See the view uaef.pending_approval.")));
	id = uaef_spi_uuid(0, 1);
	no = DatumGetInt16(uaef_spi_value(0, 2, &isnull));
	item = uaef_spi_int32(0, 3);
	execution = uaef_lock_execution(step, &id);
	return uaef_execution_find(execution, no, item);
}

const char *
uaef_approval_decide(int64 approval_id, bool approve, const char *reason,
					 Jsonb *response)
{
	Oid			caller = GetUserId();
	char	   *caller_name = GetUserNameFromId(caller, false);
	const char *outcome = approve ? "approved" : "rejected";
	UaefCaller	back;
	UaefStep   *step;
	UaefTask   *task;
	Approval	approval;
	bool		decided;
	Datum		args[3];

	if (response != NULL)
		uaef_check_payload("response to the approval", response);
	reason = uaef_clip(reason);
	back = uaef_spi_begin();
	step = uaef_step_begin("user", caller_name);
	task = lock_approval_task(step, approval_id);
	load_approval(approval_id, &approval);
	check_pending(&approval);
	check_caller(&approval, task->execution, caller);
	record_vote(&approval, caller, outcome, reason, response, step->now);
	uaef_approval_event(task, approve ? "approval_granted" : "approval_rejected",
						approval_id, reason, response);

	decided = !approve || approval.approvals + 1 >= approval.need;
	if (decided)
	{
		args[0] = Int64GetDatum(approval_id);
		args[1] = CStringGetTextDatum(outcome);
		args[2] = TimestampTzGetDatum(step->now);
		uaef_spi_run(&decide_approval, args, NULL);
		end_approval(task, approval_id, outcome,
					 outcome_output(outcome, approval_id, caller_name,
									reason, response));
	}
	uaef_step_write(step);
	uaef_spi_end(back);
	return decided ? outcome : "pending";
}
