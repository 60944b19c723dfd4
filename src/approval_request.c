/*-------------------------------------------------------------------------
 *
 * approval_request.c
 *	  Asking people for a decision, and withdrawing the question.
 *
 * Everything that data says of it (whom, in which stages, what is shown) is
 * evaluated when it is asked, and kept: what happens to the data afterwards
 * does not change the question.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "advance.h"
#include "approval_request.h"
#include "approval_row.h"
#include "approval_time.h"
#include "digest.h"
#include "errcodes.h"
#include "spi_util.h"
#include "task_kind.h"

/* Most roles that a list can come to when it is filled in. */
#define MAX_ROLES 1000

static UaefQuery insert_approval = {
	"INSERT INTO uaef.human_approval (execution_id, task_no, item, task_id,"
	" task, description, stages, approvers, need, reject_need, four_eyes,"
	" distinct_stages, initiated_by, shown, shown_digest, form, status,"
	" requested_at, stage_at, expires_at, expires_again, remind_every,"
	" remind_at, notify)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14,"
	" $15, $16, 'pending', $17, $17, $17 + $18, $19, $20, $17 + $20,"
	" $21) RETURNING approval_id",
	21, {UUIDOID, INT2OID, INT4OID, INT8OID, TEXTOID, TEXTOID, INT4OID,
		TEXTARRAYOID, INT4OID, INT4OID, BOOLOID, BOOLOID, REGROLEOID, JSONBOID,
		BYTEAOID, JSONBOID, TIMESTAMPTZOID, INTERVALOID, INTERVALOID,
	INTERVALOID, TEXTOID}
};

static UaefQuery insert_stage = {
	"INSERT INTO uaef.human_approval_stage"
	" (approval_id, stage, approvers, need, reject_need)"
	" VALUES ($1, $2, $3, $4, $5)",
	5, {INT8OID, INT4OID, TEXTARRAYOID, INT4OID, INT4OID}
};

static UaefQuery insert_group = {
	"INSERT INTO uaef.human_approval_group"
	" (approval_id, stage, group_no, approvers, need)"
	" VALUES ($1, $2, $3, $4, $5)",
	5, {INT8OID, INT4OID, INT4OID, TEXTARRAYOID, INT4OID}
};

static UaefQuery insert_escalation = {
	"INSERT INTO uaef.human_approval_escalation"
	" (approval_id, escalation, after, approvers) VALUES ($1, $2, $3, $4)",
	4, {INT8OID, INT4OID, INTERVALOID, TEXTARRAYOID}
};

static UaefQuery close_approval = {
	"UPDATE uaef.human_approval SET status = $4, decided_at = $5"
	" WHERE execution_id = $1 AND task_no = $2 AND item = $3"
	" AND status = 'pending' RETURNING approval_id",
	5, {UUIDOID, INT2OID, INT4OID, TEXTOID, TIMESTAMPTZOID}
};

/* A stage whose roles are known. */
typedef struct Stage
{
	Datum		approvers;		/* text[], or 0: whoever may approve */
	int			need;
	int			reject_need;
	const UaefApprovalStage *def;
	Datum	   *groups;			/* text[] of each of its groups */
} Stage;

/* A question whose data is known. */
typedef struct Question
{
	const char *description;	/* or NULL */
	Jsonb	   *shown;
	int			n_stages;
	Stage	   *stages;
	Datum	   *escalations;	/* text[] of each */
} Question;

static void hand_out_approval(UaefTask *task);
static void withdraw_approval(UaefTask *task);

const UaefTaskKind uaef_approval_task = {
	.hand_out = hand_out_approval,
	.withdraw = withdraw_approval
};

void
uaef_approval_event_begin(UaefJson *json, UaefTask *task, int64 approval_id)
{
	uaef_json_begin(json);
	uaef_json_text(json, "task", task->execution->def->tasks[task->no].id);
	uaef_json_int(json, "approval_id", approval_id);
}

/*
 * A role of a list that was filled in: it exists, and counts once.
 */
static bool
add_role(List **names, const JsonbValue *value, UaefEvalError *error)
{
	char	   *name;
	ListCell   *cell;

	if (value->type != jbvString)
		return uaef_eval_fail(error, ERRCODE_UAEF_WRONG_TYPE, "approvers",
							  NULL, "approvers must be names of roles, not of type %s",
							  uaef_value_type(value));
	name = pnstrdup(value->val.string.val, value->val.string.len);
	if (!OidIsValid(get_role_oid(name, true)))
		return uaef_eval_fail(error, ERRCODE_UNDEFINED_OBJECT, "approvers",
							  NULL, "role \"%s\", which shall approve, does not exist",
							  uaef_eval_clip(name, strlen(name)));
	foreach(cell, *names)
		if (strcmp(lfirst(cell), name) == 0)
		return true;
	if (list_length(*names) == MAX_ROLES)
		return uaef_eval_fail(error, ERRCODE_UAEF_TOO_LARGE, "approvers",
							  NULL, "more than %d roles shall approve",
							  MAX_ROLES);
	*names = lappend(*names, name);
	return true;
}

/*
 * Add a list's roles to names.  Data may give a role or a list at each place.
 */
static bool
add_roles(List **names, const UaefRoleList *list, UaefScope *scope,
		  UaefEvalError *error)
{
	Jsonb	   *filled = uaef_template_fill(list->roles, scope, error);
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	value;
	bool		any = false;

	if (filled == NULL)
		return false;
	iterator = JsonbIteratorInit(&filled->root);
	while ((token = JsonbIteratorNext(&iterator, &value, false)) != WJB_DONE)
	{
		if (token == WJB_BEGIN_OBJECT)
			return uaef_eval_fail(error, ERRCODE_UAEF_WRONG_TYPE, "approvers",
								  NULL, "approvers must be names of roles, not an object");
		if (token != WJB_ELEM)
			continue;
		if (!add_role(names, &value, error))
			return false;
		any = true;
	}
	if (!any)
		return uaef_eval_fail(error, ERRCODE_UAEF_WRONG_TYPE, "approvers",
							  NULL, "the list of roles that shall approve is empty");
	return true;
}

/*
 * A list's roles as text[].
 */
static bool
fill_roles(const UaefRoleList *list, UaefScope *scope, Datum *roles,
		   UaefEvalError *error)
{
	List	   *names = NIL;

	if (!add_roles(&names, list, scope, error))
		return false;
	*roles = uaef_text_array(names);
	return true;
}

/*
 * The roles of a stage, and of each of its groups.
 */
static bool
fill_stage(Stage *stage, UaefScope *scope, UaefEvalError *error)
{
	const UaefApprovalStage *def = stage->def;
	List	   *all = NIL;

	if (def->approvers.roles != NULL)
		return fill_roles(&def->approvers, scope, &stage->approvers, error);
	if (def->n_groups == 0)
		return true;
	stage->groups = palloc(sizeof(Datum) * def->n_groups);
	for (int i = 0; i < def->n_groups; i++)
		if (!fill_roles(&def->groups[i].approvers, scope, &stage->groups[i],
						error) ||
			!add_roles(&all, &def->groups[i].approvers, scope, error))
			return false;
	stage->approvers = uaef_text_array(all);
	return true;
}

/*
 * The stages whose condition holds.  That none does is a failure: silence
 * never approves.
 */
static bool
fill_stages(const UaefApprovalConfig *config, UaefScope *scope,
			Question *question, UaefEvalError *error)
{
	question->stages = palloc0(sizeof(Stage) * config->n_stages);
	for (int i = 0; i < config->n_stages; i++)
	{
		const UaefApprovalStage *def = &config->stages[i];
		Stage	   *stage = &question->stages[question->n_stages];
		bool		applies = true;

		if (def->when != NULL &&
			!uaef_condition_eval(def->when, scope, &applies, error))
			return false;
		if (!applies)
			continue;
		stage->def = def;
		if (!fill_stage(stage, scope, error))
			return false;
		stage->need = def->need;
		stage->reject_need = def->reject_need;
		question->n_stages++;
	}
	if (question->n_stages == 0)
		return uaef_eval_fail(error, ERRCODE_UAEF_NO_DECISION, "stages", NULL,
							  "no stage of the approval applies");
	return true;
}

static bool
fill_question(UaefTask *task, const UaefApprovalConfig *config,
			  Question *question, UaefEvalError *error)
{
	UaefScope  *scope = uaef_task_scope(task);

	if (question->description == NULL && config->description != NULL &&
		(question->description =
		 uaef_template_fill_text(config->description, scope, UAEF_ENCODE_TEXT,
								 error)) == NULL)
		return false;
	if (question->shown == NULL && config->show == NULL)
		question->shown = uaef_execution_input(task->execution);
	if (question->shown == NULL &&
		(question->shown = uaef_template_fill(config->show, scope,
											  error)) == NULL)
		return false;
	if (!fill_stages(config, scope, question, error))
		return false;
	question->escalations = palloc0(sizeof(Datum) *
									Max(config->n_escalations, 1));
	for (int i = 0; i < config->n_escalations; i++)
		if (!fill_roles(&config->escalations[i].to, scope,
						&question->escalations[i], error))
			return false;
	return true;
}

static Datum
interval_of_ms(int64 ms, char *isnull)
{
	Interval   *interval = palloc0(sizeof(Interval));

	interval->time = ms * 1000;
	*isnull = ms > 0 ? ' ' : 'n';
	return IntervalPGetDatum(interval);
}

static int64
store_approval(UaefTask *task, const UaefApprovalConfig *config,
			   const Question *question)
{
	UaefExecution *execution = task->execution;
	const Stage *stage = &question->stages[0];
	Datum		args[21];
	char		nulls[21];

	memset(nulls, ' ', sizeof(nulls));
	args[0] = UUIDPGetDatum(&execution->id);
	args[1] = Int16GetDatum(task->no);
	args[2] = Int32GetDatum(task->item);
	args[3] = Int64GetDatum(task->task_id);
	args[4] = CStringGetTextDatum(execution->def->tasks[task->no].id);
	if (question->description != NULL)
		args[5] = CStringGetTextDatum(question->description);
	else
		nulls[5] = 'n';
	args[6] = Int32GetDatum(question->n_stages);
	args[7] = stage->approvers;
	nulls[7] = stage->approvers != (Datum) 0 ? ' ' : 'n';
	args[8] = Int32GetDatum(stage->need);
	args[9] = Int32GetDatum(stage->reject_need);
	args[10] = BoolGetDatum(config->four_eyes);
	args[11] = BoolGetDatum(config->distinct);
	args[12] = ObjectIdGetDatum(execution->initiated_by);
	args[13] = JsonbPGetDatum(question->shown);
	args[14] = PointerGetDatum(uaef_digest_bytea(question->shown));
	args[15] = JsonbPGetDatum(config->form);
	nulls[15] = config->form != NULL ? ' ' : 'n';
	args[16] = TimestampTzGetDatum(execution->step->now);
	args[17] = interval_of_ms(config->expires_ms, &nulls[17]);
	args[18] = interval_of_ms(config->expiry_escalates ?
							  config->expires_ms : 0, &nulls[18]);
	args[19] = interval_of_ms(config->remind_ms, &nulls[19]);
	if (config->notify.connector != NULL)
		args[20] = CStringGetTextDatum(config->notify.connector);
	else
		nulls[20] = 'n';
	uaef_spi_run(&insert_approval, args, nulls);
	return uaef_spi_int64(0, 1);
}

static void
store_groups(int64 approval_id, int stage_no, const Stage *stage)
{
	Datum		args[5];

	args[0] = Int64GetDatum(approval_id);
	args[1] = Int32GetDatum(stage_no);
	for (int i = 0; i < stage->def->n_groups; i++)
	{
		args[2] = Int32GetDatum(i + 1);
		args[3] = stage->groups[i];
		args[4] = Int32GetDatum(stage->def->groups[i].need);
		uaef_spi_run(&insert_group, args, NULL);
	}
}

/*
 * The stages, where there are several, their groups, and the escalations.
 */
static void
store_plan(int64 approval_id, const UaefApprovalConfig *config,
		   const Question *question)
{
	Datum		args[5];
	char		nulls[5];

	args[0] = Int64GetDatum(approval_id);
	for (int i = 0; i < question->n_stages && question->n_stages > 1; i++)
	{
		const Stage *stage = &question->stages[i];

		memset(nulls, ' ', sizeof(nulls));
		args[1] = Int32GetDatum(i + 1);
		args[2] = stage->approvers;
		nulls[2] = stage->approvers != (Datum) 0 ? ' ' : 'n';
		args[3] = Int32GetDatum(stage->need);
		args[4] = Int32GetDatum(stage->reject_need);
		uaef_spi_run(&insert_stage, args, nulls);
	}
	for (int i = 0; i < question->n_stages; i++)
		store_groups(approval_id, i + 1, &question->stages[i]);
	for (int i = 0; i < config->n_escalations; i++)
	{
		memset(nulls, ' ', sizeof(nulls));
		args[1] = Int32GetDatum(i + 1);
		args[2] = interval_of_ms(config->escalations[i].after_ms, &nulls[2]);
		args[3] = question->escalations[i];
		uaef_spi_run(&insert_escalation, args, nulls);
	}
}

static void
set_timers(UaefTask *task, const UaefApprovalConfig *config)
{
	UaefExecution *execution = task->execution;
	TimestampTz now = execution->step->now;

	if (config->expires_ms > 0)
		uaef_step_timer(execution, task, "expiry",
						now + config->expires_ms * 1000);
	if (config->remind_ms > 0)
		uaef_step_timer(execution, task, "reminder",
						now + config->remind_ms * 1000);
	if (config->n_escalations > 0 && config->escalations[0].after_ms > 0)
		uaef_step_timer(execution, task, "escalation",
						now + config->escalations[0].after_ms * 1000);
}

int64
uaef_approval_request(UaefTask *task, const UaefApprovalConfig *config,
					  const char *description, Jsonb *shown,
					  UaefEvalError *error)
{
	Question	question = {.description = description,.shown = shown};
	UaefJson	json;
	int64		approval_id;

	if (!fill_question(task, config, &question, error))
		return 0;
	approval_id = store_approval(task, config, &question);
	store_plan(approval_id, config, &question);
	uaef_approval_event_begin(&json, task, approval_id);
	uaef_json_text(&json, "shown_sha256", uaef_digest_hex(question.shown));
	uaef_json_int(&json, "need", question.stages[0].need);
	uaef_approval_json_roles(&json, "approvers",
							 (ArrayType *) DatumGetPointer(question.stages[0].approvers));
	uaef_step_event(task->execution, task, "approval_requested",
					uaef_json_end(&json));
	set_timers(task, config);
	if (config->notify.connector != NULL)
		uaef_approval_notify(task, approval_id, "requested");
	return approval_id;
}

static void
hand_out_approval(UaefTask *task)
{
	UaefEvalError error = {0};

	if (uaef_approval_request(task, &task->def->config.approval, NULL, NULL,
							  &error) == 0)
	{
		uaef_advance_fail_evaluation(task, &error);
		return;
	}
	uaef_task_become(task, UAEF_TASK_WAITING_INPUT);
	task->started_at = task->execution->step->now;
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
