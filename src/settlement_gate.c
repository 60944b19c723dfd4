/*-------------------------------------------------------------------------
 *
 * settlement_gate.c
 *	  What may keep a signal from being paid: checkpoints, reviews, budgets.
 *
 * Checkpoints and reviews are of the execution, and refuse all of its signals;
 * then no budget is asked.
 *
 * Memory: the current context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "utils/acl.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "budget.h"
#include "clock.h"
#include "compliance.h"
#include "definition.h"
#include "errcodes.h"
#include "json_util.h"
#include "ledger.h"
#include "settlement_gate.h"
#include "spi_util.h"

static UaefQuery find_requirements = {
	"SELECT checkpoint, on_failure FROM uaef.settlement_requirement"
	" WHERE workflow = $1 ORDER BY checkpoint",
	1, {TEXTOID}
};

static UaefQuery find_reviews = {
	"SELECT review_id, status, reason FROM uaef.compliance_review"
	" WHERE execution_id = $1 AND status <> 'passed' ORDER BY review_id",
	1, {UUIDOID}
};

static UaefQuery has_review = {
	"SELECT status FROM uaef.compliance_review"
	" WHERE execution_id = $1 AND checkpoint = $2"
	" ORDER BY review_id DESC LIMIT 1",
	2, {UUIDOID, TEXTOID}
};

static UaefQuery insert_result = {
	"INSERT INTO uaef.compliance_result (execution_id, checkpoint, version,"
	" passed, failures, evaluated_at) VALUES ($1, $2, $3, $4, $5, $6)",
	6, {UUIDOID, TEXTOID, INT4OID, BOOLOID, JSONBOID, TIMESTAMPTZOID}
};

static UaefQuery put_requirement = {
	"INSERT INTO uaef.settlement_requirement AS r (workflow, checkpoint,"
	" on_failure, created_by, created_at) VALUES ($1, $2, $3, $4, $5)"
	" ON CONFLICT (workflow, checkpoint) DO UPDATE SET"
	" on_failure = excluded.on_failure, created_by = excluded.created_by,"
	" created_at = excluded.created_at",
	5, {TEXTOID, TEXTOID, TEXTOID, REGROLEOID, TIMESTAMPTZOID}
};

static UaefQuery delete_requirement = {
	"DELETE FROM uaef.settlement_requirement"
	" WHERE workflow = $1 AND checkpoint = $2",
	2, {TEXTOID, TEXTOID}
};

static UaefQuery find_owner = {
	"SELECT created_by::oid FROM uaef.workflow_definition"
	" WHERE name = $1 AND version = 1",
	1, {TEXTOID}
};

/* What is required of a workflow. */
typedef struct Requirement
{
	char	   *checkpoint;
	char	   *on_failure;
} Requirement;

/* The refusals of an execution, as they are found. */
typedef struct Gate
{
	const UaefSettlementInput *input;
	JsonbParseState *refusals;
	int			n_refusals;
} Gate;

static void
refuse(Gate *gate, Jsonb *refusal)
{
	JsonbValue	value;

	if (gate->n_refusals++ == 0)
		(void) pushJsonbValue(&gate->refusals, WJB_BEGIN_ARRAY, NULL);
	JsonbToJsonbValue(refusal, &value);
	(void) pushJsonbValue(&gate->refusals, WJB_ELEM, &value);
}

static Jsonb *
result_payload(const UaefStoredCheckpoint *stored,
			   const UaefCheckpointResult *result, const char *on_failure)
{
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_text(&json, "checkpoint", stored->name);
	uaef_json_int(&json, "version", stored->version);
	if (!result->passed)
	{
		uaef_json_text(&json, "on_failure", on_failure);
		uaef_json_jsonb(&json, "failures", result->failures);
	}
	return uaef_json_end(&json);
}

static void
record_result(const Gate *gate, const UaefStoredCheckpoint *stored,
			  const UaefCheckpointResult *result, const char *on_failure)
{
	pg_uuid_t	stream = gate->input->execution_id;
	UaefEvent	event = {.stream = &stream,.actor_type = "system"};
	Datum		args[6];

	args[0] = UUIDPGetDatum(&stream);
	args[1] = CStringGetTextDatum(stored->name);
	args[2] = Int32GetDatum(stored->version);
	args[3] = BoolGetDatum(result->passed);
	args[4] = JsonbPGetDatum(result->failures);
	args[5] = TimestampTzGetDatum(uaef_clock_now());
	(void) uaef_spi_run(&insert_result, args, NULL);

	event.type = result->passed ? "checkpoint_passed" : "checkpoint_failed";
	event.payload = result_payload(stored, result, on_failure);
	(void) uaef_ledger_append(&event, 1);
}

/*
 * People who passed a review of this checkpoint have the last word.
 */
static bool
is_reviewed(const Gate *gate, const char *checkpoint)
{
	Datum		args[2];

	args[0] = UUIDPGetDatum(&gate->input->execution_id);
	args[1] = CStringGetTextDatum(checkpoint);
	return uaef_spi_run(&has_review, args, NULL) > 0;
}

static void
put_to_checkpoint(Gate *gate, const Requirement *requirement)
{
	UaefStoredCheckpoint stored;
	UaefCheckpointResult result;

	if (!uaef_checkpoint_find(requirement->checkpoint, &stored))
		elog(ERROR, "checkpoint \"%s\" does not exist",
			 requirement->checkpoint);
	uaef_checkpoint_evaluate(stored.checkpoint, gate->input->scope, &result);
	record_result(gate, &stored, &result, requirement->on_failure);
	if (result.passed || strcmp(requirement->on_failure, "log") == 0)
		return;
	if (strcmp(requirement->on_failure, "warn") == 0)
		ereport(WARNING,
				(errmsg("checkpoint \"%s\" is not passed: %s",
						requirement->checkpoint, result.first_failure)));
	else if (strcmp(requirement->on_failure, "block") == 0)
		refuse(gate, uaef_checkpoint_result_json(&stored, &result));
	else if (!is_reviewed(gate, requirement->checkpoint))
	{
		int64		review_id;

		uaef_review_open(&gate->input->execution_id, requirement->checkpoint,
						 result.first_failure, InvalidOid, InvalidOid,
						 &review_id);
	}
}

static void
put_to_checkpoints(Gate *gate)
{
	Datum		arg = CStringGetTextDatum(gate->input->workflow);
	int			n = (int) uaef_spi_run(&find_requirements, &arg, NULL);
	Requirement *requirements = palloc(Max(n, 1) * sizeof(Requirement));

	for (int i = 0; i < n; i++)
	{
		requirements[i].checkpoint = uaef_spi_text(i, 1);
		requirements[i].on_failure = uaef_spi_text(i, 2);
	}
	for (int i = 0; i < n; i++)
		put_to_checkpoint(gate, &requirements[i]);
}

static void
look_for_reviews(Gate *gate)
{
	Datum		arg = UUIDPGetDatum(&gate->input->execution_id);
	int			n = (int) uaef_spi_run(&find_reviews, &arg, NULL);

	for (int i = 0; i < n; i++)
	{
		UaefJson	json;

		uaef_json_begin(&json);
		uaef_json_int(&json, "review", uaef_spi_int64(i, 1));
		uaef_json_text(&json, "status", uaef_spi_text(i, 2));
		uaef_json_text(&json, "reason", uaef_spi_text(i, 3));
		refuse(gate, uaef_json_end(&json));
	}
}

void
uaef_settlement_gate(const UaefSettlementInput *input,
					 const UaefSignal *signals, int n, Jsonb **blocked)
{
	Gate		gate = {.input = input};
	Jsonb	   *refusals;

	memset(blocked, 0, n * sizeof(Jsonb *));
	put_to_checkpoints(&gate);
	look_for_reviews(&gate);
	if (gate.n_refusals == 0)
	{
		uaef_budget_admit(signals, n, blocked);
		return;
	}
	refusals = JsonbValueToJsonb(pushJsonbValue(&gate.refusals, WJB_END_ARRAY,
												NULL));
	for (int i = 0; i < n; i++)
		blocked[i] = refusals;
}

/*
 * Signals that are refused together move together.
 */
void
uaef_settlement_block(UaefSignal *signals, int n, Jsonb **blocked,
					  bool fresh)
{
	for (int i = 0; i < n; i++)
	{
		UaefSignalMove move = {
			.action = UAEF_ACT_BLOCK,
			.approvals = -1,
			.blocked = blocked[i],
			.fresh = fresh
		};
		int			same = 1;

		if (blocked[i] == NULL)
			continue;
		while (i + same < n && blocked[i + same] == blocked[i])
			same++;
		uaef_signals_move(&signals[i], same, &move);
		i += same - 1;
	}
}

/*----------
 * What a workflow must have passed
 * ----------
 */

/*
 * What must be passed is, like the rules, for the owner of the workflow.
 */
static void
check_workflow_owner(const char *workflow, Oid actor)
{
	Datum		arg = CStringGetTextDatum(workflow);

	if (uaef_spi_run(&find_owner, &arg, NULL) == 0)
		uaef_definition_undefined(workflow);
	if (!has_privs_of_role(actor, uaef_spi_oid(0, 1)))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for workflow \"%s\"", workflow)));
}

static void
record_requirement(const char *type, const char *workflow,
				   const char *checkpoint, const char *on_failure, Oid actor)
{
	UaefEvent	event = {.type = type,.actor_type = "user"};
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_text(&json, "workflow", workflow);
	uaef_json_text(&json, "checkpoint", checkpoint);
	uaef_json_text(&json, "on_failure", on_failure);
	event.actor_id = GetUserNameFromId(actor, true);
	event.payload = uaef_json_end(&json);
	(void) uaef_ledger_append(&event, 1);
}

void
uaef_requirement_set(const char *workflow, const char *checkpoint,
					 const char *on_failure, Oid actor)
{
	static const char *const words[] = {"block", "review", "warn", "log"};
	bool		known = false;
	UaefCaller	caller = uaef_spi_begin();
	Datum		args[5];

	for (int i = 0; i < lengthof(words); i++)
		known |= strcmp(words[i], on_failure) == 0;
	if (!known)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("on_failure must be block, review, warn or log, and not \"%s\"",
						on_failure)));
	check_workflow_owner(workflow, actor);
	uaef_checkpoint_require(checkpoint, NULL);
	args[0] = CStringGetTextDatum(workflow);
	args[1] = CStringGetTextDatum(checkpoint);
	args[2] = CStringGetTextDatum(on_failure);
	args[3] = ObjectIdGetDatum(actor);
	args[4] = TimestampTzGetDatum(uaef_clock_now());
	(void) uaef_spi_run(&put_requirement, args, NULL);
	record_requirement("checkpoint_required", workflow, checkpoint,
					   on_failure, actor);
	uaef_spi_end(caller);
}

void
uaef_requirement_drop(const char *workflow, const char *checkpoint, Oid actor)
{
	UaefCaller	caller = uaef_spi_begin();
	Datum		args[2];

	check_workflow_owner(workflow, actor);
	args[0] = CStringGetTextDatum(workflow);
	args[1] = CStringGetTextDatum(checkpoint);
	if (uaef_spi_run(&delete_requirement, args, NULL) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_UNDEFINED_CHECKPOINT),
				 errmsg("workflow \"%s\" does not require checkpoint \"%s\"",
						workflow, checkpoint)));
	record_requirement("checkpoint_unrequired", workflow, checkpoint, NULL,
					   actor);
	uaef_spi_end(caller);
}
