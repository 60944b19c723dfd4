/*-------------------------------------------------------------------------
 *
 * approval_time.c
 *	  What time does to approvals: reminders, escalations, expiry.
 *
 * All of it comes from timers of the task (timer.c), under the lock of the
 * execution.  A timer is never taken back; the approval's row says what is due.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "approval.h"
#include "approval_request.h"
#include "approval_time.h"
#include "delivery_offer.h"
#include "failure.h"
#include "spi_util.h"

static UaefQuery next_escalation = {
	"SELECT a.stage_at + e.after, e.approvers FROM uaef.human_approval a"
	" JOIN uaef.human_approval_escalation e USING (approval_id)"
	" WHERE a.approval_id = $1 AND e.escalation = a.escalated + 1",
	1, {INT8OID}
};

static UaefQuery escalate_approval = {
	"UPDATE uaef.human_approval a SET escalated = escalated + 1,"
	" approvers = approvers ||"
	"  ARRAY(SELECT r FROM unnest($2) r WHERE r <> ALL (a.approvers))"
	" WHERE approval_id = $1",
	2, {INT8OID, TEXTARRAYOID}
};

static UaefQuery extend_approval = {
	"UPDATE uaef.human_approval SET expires_at = $2 + expires_again"
	" WHERE approval_id = $1 RETURNING expires_at",
	2, {INT8OID, TIMESTAMPTZOID}
};

static UaefQuery remind_approval = {
	"UPDATE uaef.human_approval SET reminded = reminded + 1, reminded_at = $2,"
	" remind_at = $2 + remind_every WHERE approval_id = $1"
	" RETURNING remind_at, reminded",
	2, {INT8OID, TIMESTAMPTZOID}
};

/* An escalation that is still to be made. */
typedef struct Escalation
{
	TimestampTz due_at;			/* 0: when time is up */
	ArrayType  *to;
} Escalation;

/*
 * False when there is none.
 */
static bool
read_escalation(int64 approval_id, Escalation *escalation)
{
	Datum		arg = Int64GetDatum(approval_id);
	Datum		value;
	bool		isnull;

	if (uaef_spi_run(&next_escalation, &arg, NULL) == 0)
		return false;
	value = uaef_spi_value(0, 1, &isnull);
	escalation->due_at = isnull ? 0 : DatumGetTimestampTz(value);
	escalation->to =
		DatumGetArrayTypePCopy(uaef_spi_value(0, 2, &isnull));
	return true;
}

static void
set_escalation_timer(UaefTask *task, int64 approval_id)
{
	Escalation	next;

	if (read_escalation(approval_id, &next) && next.due_at != 0)
		uaef_step_timer(task->execution, task, "escalation", next.due_at);
}

void
uaef_approval_stage_timers(UaefTask *task, const UaefApproval *approval)
{
	if (approval->remind_at != 0)
		uaef_step_timer(task->execution, task, "reminder", approval->remind_at);
	set_escalation_timer(task, approval->approval_id);
}

/*
 * Ask those roles too.
 */
static void
escalate(UaefTask *task, const UaefApproval *approval,
		 const Escalation *escalation)
{
	Datum		args[2];
	UaefJson	json;

	args[0] = Int64GetDatum(approval->approval_id);
	args[1] = PointerGetDatum(escalation->to);
	uaef_spi_run(&escalate_approval, args, NULL);
	uaef_approval_event_begin(&json, task, approval->approval_id);
	uaef_json_int(&json, "stage", approval->stage);
	uaef_json_int(&json, "escalation", approval->escalated + 1);
	uaef_approval_json_roles(&json, "to", escalation->to);
	uaef_step_event(task->execution, task, "approval_escalated",
					uaef_json_end(&json));
	set_escalation_timer(task, approval->approval_id);
	uaef_approval_notify(task, approval->approval_id, "escalation");
}

void
uaef_approval_escalate(UaefTask *task)
{
	UaefApproval approval;
	Escalation	next;

	if (uaef_approval_read_pending(task, &approval) &&
		read_escalation(approval.approval_id, &next) &&
		next.due_at != 0 && next.due_at <= task->execution->step->now)
		escalate(task, &approval, &next);
}

/*
 * Time is up: an escalation that is left is made, with as much time again;
 * else the answer is no.
 */
void
uaef_approval_expire(UaefTask *task)
{
	UaefApproval approval;
	Escalation	next;
	UaefJson	json;

	if (!uaef_approval_read_pending(task, &approval) ||
		approval.expires_at == 0 ||
		approval.expires_at > task->execution->step->now)
		return;
	if (approval.expires_again &&
		read_escalation(approval.approval_id, &next))
	{
		Datum		args[2];
		bool		isnull;
		TimestampTz expires_at;

		args[0] = Int64GetDatum(approval.approval_id);
		args[1] = TimestampTzGetDatum(task->execution->step->now);
		uaef_spi_run(&extend_approval, args, NULL);
		expires_at = DatumGetTimestampTz(uaef_spi_value(0, 1, &isnull));
		uaef_step_timer(task->execution, task, "expiry", expires_at);
		escalate(task, &approval, &next);
		return;
	}
	(void) uaef_approval_close(task, "expired");
	uaef_approval_event_begin(&json, task, approval.approval_id);
	uaef_step_event(task->execution, task, "approval_expired",
					uaef_json_end(&json));
	uaef_approval_end(task, "expired", approval.approval_id, NULL);
}

void
uaef_approval_remind(UaefTask *task)
{
	TimestampTz now = task->execution->step->now;
	UaefApproval approval;
	Datum		args[2];
	bool		isnull;
	UaefJson	json;

	if (!uaef_approval_read_pending(task, &approval) ||
		approval.remind_at == 0 || approval.remind_at > now)
		return;
	args[0] = Int64GetDatum(approval.approval_id);
	args[1] = TimestampTzGetDatum(now);
	uaef_spi_run(&remind_approval, args, NULL);
	uaef_step_timer(task->execution, task, "reminder",
					DatumGetTimestampTz(uaef_spi_value(0, 1, &isnull)));
	uaef_approval_event_begin(&json, task, approval.approval_id);
	uaef_json_int(&json, "reminder", uaef_spi_int32(0, 2));
	uaef_step_event(task->execution, task, "approval_reminded",
					uaef_json_end(&json));
	uaef_approval_notify(task, approval.approval_id, "reminder");
}

/*----------
 * Telling people
 * ----------
 */

/*
 * What a body can read as sys.approval, and is by default.
 */
static Jsonb *
approval_data(const UaefApproval *approval, const char *about)
{
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_text(&json, "about", about);
	uaef_json_int(&json, "approval_id", approval->approval_id);
	uaef_json_uuid(&json, "execution_id", &approval->execution_id);
	uaef_json_text(&json, "task", approval->task);
	uaef_json_text(&json, "description",
				   approval->description ? approval->description : "");
	uaef_json_int(&json, "stage", approval->stage);
	uaef_json_int(&json, "stages", approval->stages);
	uaef_json_int(&json, "need", approval->need);
	uaef_json_int(&json, "approved", approval->approved);
	uaef_approval_json_roles(&json, "approvers", approval->approvers);
	uaef_json_time(&json, "expires_at", approval->expires_at);
	return uaef_json_end(&json);
}

/*
 * The template of messages of this approval, which the task itself asked for;
 * NULL: the approval's data.
 */
static const UaefTemplate *
body_template(const UaefTask *task, const UaefApproval *approval)
{
	const UaefNotifyConfig *config = &task->def->config.approval.notify;

	if (task->def->type != UAEF_TASK_HUMAN_APPROVAL ||
		config->connector == NULL ||
		strcmp(config->connector, approval->notify) != 0)
		return NULL;
	return config->body;
}

/*
 * The body of a message; NULL on failure.
 */
static Jsonb *
fill_body(UaefTask *task, const UaefApproval *approval, Jsonb *data,
		  UaefEvalError *error)
{
	const UaefTemplate *tmpl = body_template(task, approval);
	UaefScope  *scope = uaef_task_scope(task);
	Jsonb	   *sys = scope->sys != NULL ? scope->sys : scope->fetch_sys(scope);
	Jsonb	   *body;
	UaefJson	json;

	if (tmpl == NULL)
		return data;
	uaef_json_begin(&json);
	uaef_json_members(&json, sys);
	uaef_json_jsonb(&json, "approval", data);
	scope->sys = uaef_json_end(&json);
	body = uaef_template_fill(tmpl, scope, error);
	scope->sys = sys;
	return body;
}

/*
 * Queue a message; returns why not, or NULL.
 */
static Jsonb *
send_message(UaefTask *task, const UaefApproval *approval, Jsonb *data,
			 int64 *delivery_id)
{
	UaefDeliveryRequest request = {0};
	UaefEvalError error = {0};
	UaefFailure failure;
	ErrorData  *refusal;

	request.connector = approval->notify;
	request.role = task->execution->initiated_by;
	request.body = fill_body(task, approval, data, &error);
	if (request.body == NULL)
	{
		uaef_failure_from_eval(&failure, &error);
		return uaef_failure_json(&failure, NULL, 0);
	}
	refusal = uaef_delivery_offer(&request, delivery_id);
	if (refusal == NULL)
		return NULL;
	uaef_failure_from_error(&failure, refusal);
	return uaef_failure_json(&failure, NULL, 0);
}

void
uaef_approval_notify(UaefTask *task, int64 approval_id, const char *about)
{
	UaefApproval approval;
	UaefJson	json;
	int64		delivery_id = 0;
	Jsonb	   *error;

	uaef_approval_read(approval_id, &approval);
	if (approval.notify == NULL)
		return;
	error = send_message(task, &approval, approval_data(&approval, about),
						 &delivery_id);
	uaef_approval_event_begin(&json, task, approval_id);
	uaef_json_text(&json, "about", about);
	uaef_json_text(&json, "connector", approval.notify);
	if (error == NULL)
		uaef_json_int(&json, "delivery_id", delivery_id);
	uaef_json_jsonb(&json, "error", error);
	uaef_step_event(task->execution, task, "approval_notified",
					uaef_json_end(&json));
}
