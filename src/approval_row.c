/*-------------------------------------------------------------------------
 *
 * approval_row.c
 *	  Approvals as their rows tell, and who may see them.
 *
 * Locking: an approval changes only under the lock of its execution, which
 * uaef_approval_lock() takes; what is read before that is read again after.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "approval_row.h"
#include "clock.h"
#include "errcodes.h"
#include "own_execution.h"
#include "spi_util.h"

#define APPROVAL_COLUMNS \
	"SELECT a.approval_id, a.execution_id, a.task_no, a.item, a.task," \
	" a.status, a.description, a.stage, a.stages, a.approvers, a.need," \
	" a.reject_need, a.four_eyes, a.distinct_stages," \
	" coalesce(a.reassigned_by::oid, 0), coalesce(a.reassigned_session::oid, 0)," \
	" a.shown, a.shown_digest, a.form, a.expires_at, a.remind_at, a.escalated," \
	" a.expires_again IS NOT NULL," \
	" (SELECT count(*)::int FROM uaef.human_approval_vote v" \
	"  WHERE v.approval_id = a.approval_id AND v.stage = a.stage" \
	"  AND v.decision = 'approved')," \
	" (SELECT count(*)::int FROM uaef.human_approval_vote v" \
	"  WHERE v.approval_id = a.approval_id AND v.stage = a.stage" \
	"  AND v.decision = 'rejected')," \
	" a.notify," \
	" (SELECT count(*)::int FROM uaef.human_approval_group g" \
	"  WHERE g.approval_id = a.approval_id AND g.stage = a.stage)" \
	" FROM uaef.human_approval a"

static UaefQuery read_approval = {
	APPROVAL_COLUMNS " WHERE a.approval_id = $1", 1, {INT8OID}
};

static UaefQuery read_pending = {
	APPROVAL_COLUMNS
	" WHERE a.execution_id = $1 AND a.task_no = $2 AND a.item = $3"
	" AND a.status = 'pending'",
	3, {UUIDOID, INT2OID, INT4OID}
};

/* The same as in the view pending_approval. */
static UaefQuery may_see = {
	"SELECT pg_has_role($2, a.initiated_by, 'USAGE')"
	" OR (a.approvers IS NULL AND has_function_privilege($2,"
	"  'uaef.approve(bigint, text, jsonb, bytea, regrole)', 'EXECUTE'))"
	" OR EXISTS (SELECT FROM unnest(a.approvers) r (role)"
	"  JOIN pg_roles p ON p.rolname = r.role"
	"  WHERE pg_has_role($2, p.oid, 'USAGE')"
	"  OR EXISTS (SELECT FROM uaef.human_approval_delegation o"
	"   WHERE o.revoked_at IS NULL"
	"   AND o.valid_from <= $3 AND $3 < o.valid_until"
	"   AND (o.workflow IS NULL OR o.workflow = d.name)"
	"   AND pg_has_role($2, o.delegate, 'USAGE')"
	"   AND pg_has_role(o.delegator, p.oid, 'USAGE')))"
	" FROM uaef.human_approval a"
	" JOIN uaef.workflow_execution e USING (execution_id)"
	" JOIN uaef.workflow_definition d USING (definition_id)"
	" WHERE approval_id = $1",
	3, {INT8OID, OIDOID, TIMESTAMPTZOID}
};

static UaefQuery find_executions = {
	"SELECT DISTINCT execution_id FROM uaef.human_approval"
	" WHERE approval_id = ANY ($1)",
	1, {INT8ARRAYOID}
};

pg_noreturn static void
raise_undefined(int64 approval_id)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("approval %lld does not exist", (long long) approval_id),
			 errhint("See the view uaef.pending_approval.")));
}

/*
 * Take the approval out of the last result.
 */
static void
take_approval(UaefApproval *approval)
{
	bool		isnull;
	Datum		value;

	approval->approval_id = uaef_spi_int64(0, 1);
	approval->execution_id = uaef_spi_uuid(0, 2);
	approval->task_no = DatumGetInt16(uaef_spi_value(0, 3, &isnull));
	approval->item = uaef_spi_int32(0, 4);
	approval->task = uaef_spi_text(0, 5);
	approval->status = uaef_spi_text(0, 6);
	approval->description = uaef_spi_text(0, 7);
	approval->stage = uaef_spi_int32(0, 8);
	approval->stages = uaef_spi_int32(0, 9);
	value = uaef_spi_value(0, 10, &isnull);
	approval->approvers = isnull ? NULL : DatumGetArrayTypePCopy(value);
	approval->need = uaef_spi_int32(0, 11);
	approval->reject_need = uaef_spi_int32(0, 12);
	approval->four_eyes = uaef_spi_bool(0, 13);
	approval->distinct_stages = uaef_spi_bool(0, 14);
	approval->reassigned_by = uaef_spi_oid(0, 15);
	approval->reassigned_session = uaef_spi_oid(0, 16);
	approval->shown = uaef_spi_jsonb(0, 17);
	approval->shown_digest = uaef_spi_bytea(0, 18);
	approval->form = uaef_spi_jsonb(0, 19);
	approval->expires_at = uaef_spi_time(0, 20);
	approval->remind_at = uaef_spi_time(0, 21);
	approval->escalated = uaef_spi_int32(0, 22);
	approval->expires_again = uaef_spi_bool(0, 23);
	approval->approved = uaef_spi_int32(0, 24);
	approval->rejected = uaef_spi_int32(0, 25);
	approval->notify = uaef_spi_text(0, 26);
	approval->n_groups = uaef_spi_int32(0, 27);
}

void
uaef_approval_read(int64 approval_id, UaefApproval *approval)
{
	Datum		arg = Int64GetDatum(approval_id);

	if (uaef_spi_run(&read_approval, &arg, NULL) == 0)
		raise_undefined(approval_id);
	take_approval(approval);
}

bool
uaef_approval_read_pending(UaefTask *task, UaefApproval *approval)
{
	Datum		args[3];

	args[0] = UUIDPGetDatum(&task->execution->id);
	args[1] = Int16GetDatum(task->no);
	args[2] = Int32GetDatum(task->item);
	if (uaef_spi_run(&read_pending, args, NULL) == 0)
		return false;
	take_approval(approval);
	return true;
}

void
uaef_approval_require_sight(int64 approval_id, Oid role)
{
	Datum		args[3];

	args[0] = Int64GetDatum(approval_id);
	args[1] = ObjectIdGetDatum(role);
	args[2] = TimestampTzGetDatum(uaef_clock_now());
	if (uaef_spi_run(&may_see, args, NULL) == 0)
		raise_undefined(approval_id);
	if (!uaef_spi_bool(0, 1))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for approval %lld",
						(long long) approval_id),
				 errdetail("Role \"%s\" is a member of none of its approvers.",
						   GetUserNameFromId(role, false))));
}

void
uaef_approval_require_pending(const UaefApproval *approval)
{
	if (strcmp(approval->status, "pending") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_ILLEGAL_TRANSITION),
				 errmsg("approval %lld is already %s",
						(long long) approval->approval_id, approval->status)));
}

void
uaef_approval_json_roles(UaefJson *json, const char *key, ArrayType *roles)
{
	Datum	   *names;
	char	  **texts;
	int			n;

	if (roles == NULL)
		return;
	deconstruct_array(roles, TEXTOID, -1, false, TYPALIGN_INT, &names, NULL,
					  &n);
	texts = palloc(sizeof(char *) * Max(n, 1));
	for (int i = 0; i < n; i++)
		texts[i] = TextDatumGetCString(names[i]);
	uaef_json_texts(json, key, texts, n);
}

bool
uaef_approval_asks(const UaefApproval *approval, Oid role)
{
	return approval->approvers == NULL ||
		uaef_is_member_of_any(role, approval->approvers);
}

bool
uaef_is_member_of_any(Oid role, ArrayType *roles)
{
	Datum	   *names;
	int			n;

	deconstruct_array(roles, TEXTOID, -1, false, TYPALIGN_INT,
					  &names, NULL, &n);
	for (int i = 0; i < n; i++)
	{
		Oid			asked = get_role_oid(TextDatumGetCString(names[i]), true);

		if (OidIsValid(asked) && has_privs_of_role(role, asked))
			return true;
	}
	return false;
}

void
uaef_approval_lock(UaefStep *step, const int64 *approval_ids, int n)
{
	Datum	   *values = palloc(sizeof(Datum) * Max(n, 1));
	pg_uuid_t  *ids;
	int			found;
	Datum		arg;

	for (int i = 0; i < n; i++)
		values[i] = Int64GetDatum(approval_ids[i]);
	arg = uaef_array(values, NULL, n, INT8OID);
	found = (int) uaef_spi_run(&find_executions, &arg, NULL);
	ids = palloc(sizeof(pg_uuid_t) * Max(found, 1));
	for (int i = 0; i < found; i++)
		ids[i] = uaef_spi_uuid(i, 1);
	uaef_step_lock(step, ids, found);
}

UaefTask *
uaef_approval_task_of(UaefStep *step, const UaefApproval *approval)
{
	UaefExecution *execution = uaef_step_execution(step,
												   &approval->execution_id);
	UaefTask   *task;

	if (execution == NULL)
		raise_undefined(approval->approval_id);
	task = uaef_execution_find(execution, approval->task_no, approval->item);
	if (task == NULL)
		raise_undefined(approval->approval_id);
	return task;
}
