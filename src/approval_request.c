/*-------------------------------------------------------------------------
 *
 * approval_request.c
 *	  Asking people for a decision, and withdrawing the question.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "advance.h"
#include "approval_request.h"
#include "digest.h"
#include "spi_util.h"
#include "task_kind.h"

static UaefQuery insert_approval = {
	"INSERT INTO uaef.human_approval (execution_id, task_no, item, task_id,"
	" task, description, approvers, need, four_eyes, initiated_by, shown,"
	" shown_digest, form, status, requested_at, expires_at)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13,"
	" 'pending', $14, $15) RETURNING approval_id",
	15, {UUIDOID, INT2OID, INT4OID, INT8OID, TEXTOID, TEXTOID, TEXTARRAYOID,
		INT4OID, BOOLOID, REGROLEOID, JSONBOID, BYTEAOID, JSONBOID,
	TIMESTAMPTZOID, TIMESTAMPTZOID}
};

static UaefQuery close_approval = {
	"UPDATE uaef.human_approval SET status = $4, decided_at = $5"
	" WHERE execution_id = $1 AND task_no = $2 AND item = $3"
	" AND status = 'pending' RETURNING approval_id",
	5, {UUIDOID, INT2OID, INT4OID, TEXTOID, TIMESTAMPTZOID}
};

static void hand_out_approval(UaefTask *task);
static void withdraw_approval(UaefTask *task);
static bool request_approval(UaefTask *task, UaefEvalError *error);

const UaefTaskKind uaef_approval_task = {
	.hand_out = hand_out_approval,
	.withdraw = withdraw_approval
};

void
uaef_approval_event(UaefTask *task, const char *type, int64 approval_id,
					const char *reason, Jsonb *response)
{
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_text(&json, "task", task->execution->def->tasks[task->no].id);
	uaef_json_int(&json, "approval_id", approval_id);
	uaef_json_text(&json, "reason", reason);
	uaef_json_jsonb(&json, "response", response);
	uaef_step_event(task->execution, task, type, uaef_json_end(&json));
}

/*
 * The texts of an array argument; null when there is none.
 */
static Datum
role_names(const UaefApprovalConfig *config, char *isnull)
{
	Datum	   *names;

	if (config->n_approvers == 0)
	{
		*isnull = 'n';
		return (Datum) 0;
	}
	names = palloc(sizeof(Datum) * config->n_approvers);
	for (int i = 0; i < config->n_approvers; i++)
		names[i] = CStringGetTextDatum(config->approvers[i]);
	return uaef_array(names, NULL, config->n_approvers, TEXTOID);
}

static void
hand_out_approval(UaefTask *task)
{
	UaefEvalError error = {0};

	if (!request_approval(task, &error))
	{
		uaef_advance_fail_evaluation(task, &error);
		return;
	}
	uaef_task_become(task, UAEF_TASK_WAITING_INPUT);
	task->started_at = task->execution->step->now;
}

/*
 * Ask: write the row; false when a template could not be filled in.
 */
static bool
request_approval(UaefTask *task, UaefEvalError *error)
{
	const UaefApprovalConfig *config = &task->def->config.approval;
	UaefExecution *execution = task->execution;
	TimestampTz expires_at = execution->step->now + config->expires_ms * 1000;
	char	   *description = NULL;
	Jsonb	   *shown = uaef_execution_input(execution);
	Datum		args[15];
	char		nulls[15];

	if (config->description != NULL &&
		(description = uaef_template_fill_text(config->description,
											   uaef_task_scope(task),
											   UAEF_ENCODE_TEXT, error)) == NULL)
		return false;
	if (config->show != NULL &&
		(shown = uaef_template_fill(config->show, uaef_task_scope(task),
									error)) == NULL)
		return false;

	memset(nulls, ' ', sizeof(nulls));
	args[0] = UUIDPGetDatum(&execution->id);
	args[1] = Int16GetDatum(task->no);
	args[2] = Int32GetDatum(task->item);
	args[3] = Int64GetDatum(task->task_id);
	args[4] = CStringGetTextDatum(execution->def->tasks[task->no].id);
	if (description != NULL)
		args[5] = CStringGetTextDatum(description);
	else
		nulls[5] = 'n';
	args[6] = role_names(config, &nulls[6]);
	args[7] = Int32GetDatum(config->need);
	args[8] = BoolGetDatum(config->four_eyes);
	args[9] = ObjectIdGetDatum(execution->initiated_by);
	args[10] = JsonbPGetDatum(shown);
	args[11] = PointerGetDatum(uaef_digest_bytea(shown));
	args[12] = JsonbPGetDatum(config->form);
	if (config->form == NULL)
		nulls[12] = 'n';
	args[13] = TimestampTzGetDatum(execution->step->now);
	args[14] = TimestampTzGetDatum(expires_at);
	if (config->expires_ms == 0)
		nulls[14] = 'n';
	else
		uaef_step_timer(execution, task, "expiry", expires_at);
	uaef_spi_run(&insert_approval, args, nulls);
	uaef_approval_event(task, "approval_requested", uaef_spi_int64(0, 1), NULL, NULL);
	return true;
}

int64
uaef_approval_close(UaefTask *task, const char *status)
{
	Datum		args[5];

	args[0] = UUIDPGetDatum(&task->execution->id);
	args[1] = Int16GetDatum(task->no);
	args[2] = Int32GetDatum(task->item);
	args[3] = CStringGetTextDatum(status);
	args[4] = TimestampTzGetDatum(task->execution->step->now);
	if (uaef_spi_run(&close_approval, args, NULL) == 0)
		return 0;
	return uaef_spi_int64(0, 1);
}

static void
withdraw_approval(UaefTask *task)
{
	(void) uaef_approval_close(task, "cancelled");
}
