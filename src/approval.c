/*-------------------------------------------------------------------------
 *
 * approval.c
 *	  People's decisions on what they were asked.
 *
 * A decision is bound to the digest of what was shown, which is compared with
 * what is stored each time.  Votes are counted by stage; the last one that a
 * stage needs begins the next, and the last of all ends the task.
 *
 * Locking: the execution's row first, as everywhere; it makes the votes on an
 * approval serial.  Several approvals are locked in the order of their
 * executions.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "advance.h"
#include "approval.h"
#include "approval_group.h"
#include "approval_request.h"
#include "approval_time.h"
#include "digest.h"
#include "errcodes.h"
#include "failure.h"
#include "json_schema.h"
#include "payload_check.h"
#include "policy_check.h"
#include "spi_util.h"

/* So many things that are wrong with a response are told at once. */
#define MAX_FAILURES 10

static UaefQuery insert_vote = {
	"INSERT INTO uaef.human_approval_vote (approval_id, stage, approver,"
	" session_role, on_behalf_of, delegator_session, delegation_id, decision,"
	" reason, response, shown_digest, decided_at, groups)"
	" VALUES ($1, $2, $3, $4, nullif($5, 0::oid), nullif($6, 0::oid),"
	" nullif($7, 0), $8, $9, $10, $11, $12, $13)",
	13, {INT8OID, INT4OID, REGROLEOID, REGROLEOID, OIDOID, OIDOID, INT8OID,
	TEXTOID, TEXTOID, JSONBOID, BYTEAOID, TIMESTAMPTZOID, INT4ARRAYOID}
};

static UaefQuery delete_vote = {
	"DELETE FROM uaef.human_approval_vote"
	" WHERE approval_id = $1 AND stage = $2 AND approver = $3"
	" AND session_role = $4 RETURNING decision",
	4, {INT8OID, INT4OID, REGROLEOID, REGROLEOID}
};

/* Votes are counted by a snapshot: one that is too old fails here (40001). */
static UaefQuery note_vote = {
	"UPDATE uaef.human_approval SET voted_at = $2 WHERE approval_id = $1",
	2, {INT8OID, TIMESTAMPTZOID}
};

static UaefQuery decide_approval = {
	"UPDATE uaef.human_approval SET status = $2, decided_at = $3"
	" WHERE approval_id = $1",
	3, {INT8OID, TEXTOID, TIMESTAMPTZOID}
};

static UaefQuery begin_stage = {
	"UPDATE uaef.human_approval a SET stage = s.stage, approvers = s.approvers,"
	" need = s.need, reject_need = s.reject_need, stage_at = $2,"
	" remind_at = $2 + remind_every, escalated = 0, reassigned_by = NULL,"
	" reassigned_session = NULL"
	" FROM uaef.human_approval_stage s"
	" WHERE a.approval_id = $1 AND s.approval_id = $1"
	" AND s.stage = a.stage + 1",
	2, {INT8OID, TIMESTAMPTZOID}
};

static UaefQuery find_votes = {
	"SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object('stage', stage,"
	" 'approver', approver, 'on_behalf_of', on_behalf_of,"
	" 'decision', decision, 'reason', reason, 'response', response))"
	" ORDER BY decided_at), count(*) FROM uaef.human_approval_vote"
	" WHERE approval_id = $1",
	1, {INT8OID}
};

/*
 * What the task gives when it is decided; several votes are listed.
 */
static Jsonb *
outcome_output(const char *outcome, int64 approval_id,
			   const UaefLastVote *last)
{
	Datum		arg = Int64GetDatum(approval_id);
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_text(&json, "decision", outcome);
	uaef_json_int(&json, "approval_id", approval_id);
	if (last != NULL)
	{
		uaef_json_text(&json, "approver", uaef_role_name(last->voter->role));
		uaef_json_text(&json, "on_behalf_of",
					   uaef_role_name(last->voter->on_behalf_of));
		uaef_json_text(&json, "reason", last->decision->reason);
		uaef_json_jsonb(&json, "response", last->decision->response);
	}
	uaef_spi_run(&find_votes, &arg, NULL);
	if (uaef_spi_int64(0, 2) > 1)
		uaef_json_jsonb(&json, "votes", uaef_spi_jsonb(0, 1));
	return uaef_json_end(&json);
}

/*
 * What a policy asked for only lets the task begin.  Otherwise the outcome of
 * an approval is a label for the edges.  Where no edge has
 * labels, anything but approval fails the task: silence never approves.
 */
void
uaef_approval_end(UaefTask *task, const char *outcome, int64 approval_id,
				  const UaefLastVote *last)
{
	bool		approved = strcmp(outcome, "approved") == 0;
	UaefFailure failure = {0};

	if (uaef_policy_decided(task, approval_id, outcome))
		return;
	if (approved || task->def->has_labels)
	{
		uaef_advance_complete(task,
							  outcome_output(outcome, approval_id, last),
							  outcome);
		return;
	}
	uaef_failure_set(&failure, ERRCODE_UAEF_REJECTED,
					 psprintf("approval was %s", outcome));
	uaef_advance_fail_now(task, &failure);
}

/*
 * Raise unless the stored document is what people were asked about, and what
 * this person saw.
 */
static void
check_shown(const UaefApproval *approval, const bytea *seen)
{
	const bytea *digest = approval->shown_digest;
	const bytea *stored = uaef_digest_bytea(approval->shown);

	if (VARSIZE(stored) != VARSIZE(digest) ||
		memcmp(stored, digest, VARSIZE(digest)) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("what approval %lld shows is not what was asked",
						(long long) approval->approval_id),
				 errdetail("Its SHA-256 differs from the one that was stored with it.")));
	if (seen != NULL &&
		(VARSIZE_ANY_EXHDR(seen) != VARSIZE_ANY_EXHDR(digest) ||
		 memcmp(VARDATA_ANY(seen), VARDATA_ANY(digest),
				VARSIZE_ANY_EXHDR(digest)) != 0))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_APPROVAL),
				 errmsg("the digest is not that of what approval %lld shows",
						(long long) approval->approval_id),
				 errhint("Look at \"shown\" and \"shown_digest\" in the view uaef.pending_approval.")));
}

/*
 * Raise unless who approves has filled in the form.  No response is null to
 * it, which a form may allow.
 */
static void
check_response(const UaefApproval *approval, Jsonb *response)
{
	JsonbValue	none = {.type = jbvNull};
	UaefEvalError error = {0};
	UaefSchema *schema;
	List	   *failures;

	if (approval->form == NULL)
		return;
	schema = uaef_schema_compile(approval->form, "form");
	if (uaef_schema_failures(schema,
							 response ? response : uaef_json_from_value(&none),
							 MAX_FAILURES, &failures, &error))
		return;
	if (failures == NIL)
		uaef_eval_raise(&error);
	ereport(ERROR,
			(errcode(ERRCODE_UAEF_SCHEMA_MISMATCH),
			 response ? errmsg("the response does not fit the form of approval %lld",
							   (long long) approval->approval_id) :
			 errmsg("approval %lld asks for a response",
					(long long) approval->approval_id),
			 errdetail("%s", uaef_schema_failures_text(failures)),
			 errhint("\"form\" in the view uaef.pending_approval is the JSON Schema of the response.")));
}

static void
touch(int64 approval_id, TimestampTz now)
{
	Datum		args[2];

	args[0] = Int64GetDatum(approval_id);
	args[1] = TimestampTzGetDatum(now);
	uaef_spi_run(&note_vote, args, NULL);
}

static void
record_vote(const UaefApproval *approval, const UaefVoter *voter,
			const UaefDecision *decision, TimestampTz now)
{
	Datum		args[13];
	char		nulls[13];

	memset(nulls, ' ', sizeof(nulls));
	args[0] = Int64GetDatum(approval->approval_id);
	args[1] = Int32GetDatum(approval->stage);
	args[2] = ObjectIdGetDatum(voter->role);
	args[3] = ObjectIdGetDatum(voter->session);
	args[4] = ObjectIdGetDatum(voter->on_behalf_of);
	args[5] = ObjectIdGetDatum(voter->delegator_session);
	args[6] = Int64GetDatum(voter->delegation_id);
	args[7] = CStringGetTextDatum(decision->approve ? "approved" : "rejected");
	args[8] = decision->reason ? CStringGetTextDatum(decision->reason)
		: (Datum) 0;
	nulls[8] = decision->reason ? ' ' : 'n';
	args[9] = JsonbPGetDatum(decision->response);
	nulls[9] = decision->response ? ' ' : 'n';
	args[10] = PointerGetDatum(approval->shown_digest);
	args[11] = TimestampTzGetDatum(now);
	args[12] = uaef_approval_groups_of(approval,
									   OidIsValid(voter->on_behalf_of) ?
									   voter->on_behalf_of : voter->role);
	nulls[12] = args[12] != (Datum) 0 ? ' ' : 'n';
	uaef_spi_run(&insert_vote, args, nulls);
	touch(approval->approval_id, now);
}

static void
vote_event(UaefTask *task, const UaefApproval *approval,
		   const UaefVoter *voter, const UaefDecision *decision)
{
	UaefJson	json;

	uaef_approval_event_begin(&json, task, approval->approval_id);
	uaef_json_int(&json, "stage", approval->stage);
	uaef_json_text(&json, "approver", uaef_role_name(voter->role));
	uaef_json_text(&json, "session_role", uaef_role_name(voter->session));
	uaef_json_text(&json, "on_behalf_of", uaef_role_name(voter->on_behalf_of));
	uaef_json_text(&json, "shown_sha256", uaef_digest_hex(approval->shown));
	uaef_json_text(&json, "reason", decision->reason);
	uaef_json_jsonb(&json, "response", decision->response);
	uaef_step_event(task->execution, task,
					decision->approve ? "approval_granted" : "approval_rejected",
					uaef_json_end(&json));
}

static void
next_stage(UaefTask *task, int64 approval_id)
{
	UaefApproval approval;
	Datum		args[2];
	UaefJson	json;

	args[0] = Int64GetDatum(approval_id);
	args[1] = TimestampTzGetDatum(task->execution->step->now);
	if (uaef_spi_run(&begin_stage, args, NULL) == 0)
		elog(ERROR, "approval %lld has no next stage",
			 (long long) approval_id);
	uaef_approval_read(approval_id, &approval);
	uaef_approval_event_begin(&json, task, approval_id);
	uaef_json_int(&json, "stage", approval.stage);
	uaef_json_int(&json, "need", approval.need);
	uaef_approval_json_roles(&json, "approvers", approval.approvers);
	uaef_step_event(task->execution, task, "approval_stage_begun",
					uaef_json_end(&json));
	uaef_approval_stage_timers(task, &approval);
	uaef_approval_notify(task, approval_id, "stage");
}

/*
 * Whether the stage is decided by this vote, which is stored.
 */
static bool
decides_stage(const UaefApproval *approval, bool approve)
{
	if (!approve)
		return approval->rejected + 1 >= approval->reject_need;
	return approval->approved + 1 >= approval->need &&
		(approval->n_groups == 0 || uaef_approval_groups_met(approval));
}

/*
 * Count the vote; returns the approval's status after it.
 */
static const char *
count_vote(UaefTask *task, const UaefApproval *approval,
		   const UaefLastVote *last)
{
	bool		approve = last->decision->approve;
	const char *outcome = approve ? "approved" : "rejected";
	Datum		args[3];

	if (!decides_stage(approval, approve))
		return "pending";
	if (approve && approval->stage < approval->stages)
	{
		next_stage(task, approval->approval_id);
		return "pending";
	}
	args[0] = Int64GetDatum(approval->approval_id);
	args[1] = CStringGetTextDatum(outcome);
	args[2] = TimestampTzGetDatum(task->execution->step->now);
	uaef_spi_run(&decide_approval, args, NULL);
	uaef_approval_end(task, outcome, approval->approval_id, last);
	return outcome;
}

/*
 * One decision, with the execution locked.
 */
static const char *
decide(UaefStep *step, int64 approval_id, Oid caller,
	   const UaefDecision *decision)
{
	UaefApproval approval;
	UaefVoter	voter;
	UaefLastVote last = {&voter, decision};
	UaefTask   *task;

	uaef_approval_read(approval_id, &approval);
	task = uaef_approval_task_of(step, &approval);
	uaef_approval_require_pending(&approval);
	uaef_voter_choose(&voter, &approval, task->execution, caller,
					  decision->on_behalf_of);
	check_shown(&approval, decision->shown_digest);
	if (decision->approve)
		check_response(&approval, decision->response);
	record_vote(&approval, &voter, decision, step->now);
	vote_event(task, &approval, &voter, decision);
	return count_vote(task, &approval, &last);
}

void
uaef_approval_decide(const int64 *approval_ids, int n,
					 const UaefDecision *decision, const char **statuses)
{
	Oid			caller = GetUserId();
	char	   *caller_name = GetUserNameFromId(caller, false);
	UaefDecision clipped = *decision;
	UaefCaller	back;
	UaefStep   *step;

	if (decision->response != NULL)
		uaef_check_payload("response to the approval", decision->response);
	clipped.reason = uaef_clip(decision->reason);
	back = uaef_spi_begin();
	for (int i = 0; i < n; i++)
		uaef_approval_require_sight(approval_ids[i], caller);
	step = uaef_step_begin("user", caller_name);
	uaef_approval_lock(step, approval_ids, n);
	for (int i = 0; i < n; i++)
		statuses[i] = decide(step, approval_ids[i], caller, &clipped);
	uaef_step_write(step);
	uaef_spi_end(back);
}

void
uaef_approval_withdraw_vote(int64 approval_id)
{
	Oid			caller = GetUserId();
	char	   *caller_name = GetUserNameFromId(caller, false);
	UaefCaller	back = uaef_spi_begin();
	UaefStep   *step;
	UaefApproval approval;
	UaefTask   *task;
	char	   *decision;
	UaefJson	json;
	Datum		args[4];

	uaef_approval_require_sight(approval_id, caller);
	step = uaef_step_begin("user", caller_name);
	uaef_approval_lock(step, &approval_id, 1);
	uaef_approval_read(approval_id, &approval);
	task = uaef_approval_task_of(step, &approval);
	uaef_approval_require_pending(&approval);
	args[0] = Int64GetDatum(approval_id);
	args[1] = Int32GetDatum(approval.stage);
	args[2] = ObjectIdGetDatum(caller);
	args[3] = ObjectIdGetDatum(GetSessionUserId());
	if (uaef_spi_run(&delete_vote, args, NULL) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_APPROVAL),
				 errmsg("role \"%s\" has no vote on approval %lld to withdraw",
						caller_name, (long long) approval_id),
				 errdetail("A vote can be withdrawn until the stage that it belongs to is decided.")));
	decision = uaef_spi_text(0, 1);
	touch(approval_id, step->now);
	uaef_approval_event_begin(&json, task, approval_id);
	uaef_json_int(&json, "stage", approval.stage);
	uaef_json_text(&json, "approver", caller_name);
	uaef_json_text(&json, "session_role", uaef_role_name(GetSessionUserId()));
	uaef_json_text(&json, "decision", decision);
	uaef_step_event(task->execution, task, "approval_vote_withdrawn",
					uaef_json_end(&json));
	uaef_step_write(step);
	uaef_spi_end(back);
}
