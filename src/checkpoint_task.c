/*-------------------------------------------------------------------------
 *
 * checkpoint_task.c
 *	  Checkpoint tasks: whether what an execution holds is as it must be.
 *
 * The result is kept in compliance_result, besides being the output: what an
 * execution has passed can be asked for without knowing its tasks.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "advance.h"
#include "checkpoint_task.h"
#include "compliance.h"
#include "digest.h"
#include "errcodes.h"
#include "failure.h"
#include "spi_util.h"
#include "task_kind.h"

static UaefQuery insert_result = {
	"INSERT INTO uaef.compliance_result (execution_id, task_id, checkpoint,"
	" version, passed, failures, evaluated_at)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7)",
	7, {UUIDOID, INT8OID, TEXTOID, INT4OID, BOOLOID, JSONBOID, TIMESTAMPTZOID}
};

static void hand_out_checkpoint(UaefTask *task);

const UaefTaskKind uaef_checkpoint_task = {.hand_out = hand_out_checkpoint};

/*
 * Keep the result, and tell the ledger.
 */
static void
record(UaefTask *task, const UaefStoredCheckpoint *stored,
	   const UaefCheckpointResult *result, Jsonb *data)
{
	Datum		args[7];
	UaefJson	json;

	args[0] = UUIDPGetDatum(&task->execution->id);
	args[1] = Int64GetDatum(task->task_id);
	args[2] = CStringGetTextDatum(stored->name);
	args[3] = Int32GetDatum(stored->version);
	args[4] = BoolGetDatum(result->passed);
	args[5] = JsonbPGetDatum(result->failures);
	args[6] = TimestampTzGetDatum(task->execution->step->now);
	uaef_spi_run(&insert_result, args, NULL);

	uaef_task_event_begin(&json, task);
	uaef_json_text(&json, "checkpoint", stored->name);
	uaef_json_int(&json, "version", stored->version);
	if (!result->passed)
		uaef_json_jsonb(&json, "failures", result->failures);
	if (data != NULL)
		uaef_json_text(&json, "data_sha256", uaef_digest_hex(data));
	uaef_step_event(task->execution, task, result->passed ?
					"checkpoint_passed" : "checkpoint_failed",
					uaef_json_end(&json));
}

/*
 * A result is a label; where no edge has labels, what does not pass fails.
 */
static void
end_task(UaefTask *task, const UaefStoredCheckpoint *stored,
		 const UaefCheckpointResult *result)
{
	UaefFailure failure;

	if (result->passed || task->def->has_labels)
	{
		uaef_advance_finish_task(task,
								 uaef_checkpoint_result_json(stored, result),
								 result->passed ? "passed" : "failed");
		return;
	}
	uaef_failure_set(&failure, ERRCODE_UAEF_CHECKPOINT_FAILED,
					 psprintf("checkpoint \"%s\" is not passed: %s",
							  stored->name, result->first_failure));
	if (result->n_failures > 1)
		failure.detail = psprintf("It has %d failures; see uaef.checkpoint_run.",
								  result->n_failures);
	uaef_advance_fail_finally(task, &failure);
}

/*
 * Put what is named to the checkpoint; returns the document, if data makes
 * one.  One that cannot be made, because a path leads nowhere, does not pass.
 */
static Jsonb *
evaluate(UaefTask *task, const UaefStoredCheckpoint *stored,
		 const UaefTemplate *data, UaefCheckpointResult *result)
{
	UaefScope  *scope = uaef_task_scope(task);
	UaefScope	own = {0};
	UaefEvalError error = {0};

	if (data == NULL)
	{
		uaef_checkpoint_evaluate(stored->checkpoint, scope, result);
		return NULL;
	}
	own.document = uaef_template_fill(data, scope, &error);
	if (own.document != NULL)
		uaef_checkpoint_evaluate(stored->checkpoint, &own, result);
	else
		uaef_checkpoint_no_data(&error, result);
	return own.document;
}

void
uaef_checkpoint_judge(UaefTask *task, const UaefStoredCheckpoint *stored,
					  const UaefTemplate *data, UaefCheckpointResult *result)
{
	Jsonb	   *document = evaluate(task, stored, data, result);

	record(task, stored, result, document);
}

static void
hand_out_checkpoint(UaefTask *task)
{
	const char *name = task->def->config.checkpoint.name;
	UaefStoredCheckpoint stored;
	UaefCheckpointResult result;
	UaefFailure failure;

	if (!uaef_checkpoint_find(name, &stored))
	{
		uaef_failure_set(&failure, ERRCODE_UAEF_UNDEFINED_CHECKPOINT,
						 psprintf("checkpoint \"%s\" does not exist", name));
		uaef_advance_fail_finally(task, &failure);
		return;
	}
	uaef_checkpoint_judge(task, &stored, task->def->config.checkpoint.data,
						  &result);
	end_task(task, &stored, &result);
}
