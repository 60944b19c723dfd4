/*-------------------------------------------------------------------------
 *
 * settlement_signal.c
 *	  Signals of settlement rules: locking, reading and moving them.
 *
 * Memory: what is read lies in the context that was current at
 * uaef_spi_begin(), or in the current one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "budget.h"
#include "clock.h"
#include "digest.h"
#include "errcodes.h"
#include "json_util.h"
#include "ledger.h"
#include "settlement_book.h"
#include "settlement_signal.h"
#include "spi_util.h"
#include "wake.h"

/* What an action is called in the ledger. */
static const char *const event_types[] = {
	[UAEF_ACT_SUPERSEDE] = "settlement_superseded",
	[UAEF_ACT_BLOCK] = "settlement_blocked",
	[UAEF_ACT_ASK] = "settlement_unblocked",
	[UAEF_ACT_CLEAR] = "settlement_unblocked",
	[UAEF_ACT_APPROVE] = "settlement_approved",
	[UAEF_ACT_REJECT] = "settlement_rejected",
	[UAEF_ACT_EXPIRE] = "settlement_expired",
	[UAEF_ACT_CANCEL] = "settlement_cancelled",
	[UAEF_ACT_ADJUST] = "settlement_adjusted",
	[UAEF_ACT_HOLD] = "settlement_held",
	[UAEF_ACT_RELEASE] = "settlement_released",
	[UAEF_ACT_SCHEDULE] = "settlement_scheduled",
	[UAEF_ACT_RESERVE] = "settlement_reserved",
	[UAEF_ACT_PAY] = "settlement_completed",
	[UAEF_ACT_FAIL] = "settlement_failed",
	[UAEF_ACT_RETURN] = "settlement_returned",
	[UAEF_ACT_DISPUTE] = "settlement_disputed",
	[UAEF_ACT_UPHOLD] = "settlement_upheld",
	[UAEF_ACT_REVERSE_PART] = "settlement_reversed",
	[UAEF_ACT_REVERSE] = "settlement_reversed",
	[UAEF_ACT_WRITE_OFF] = "settlement_written_off",
};

static UaefQuery find_executions = {
	"SELECT DISTINCT execution_id FROM uaef.settlement_signal"
	" WHERE signal_id = ANY ($1) ORDER BY execution_id",
	1, {INT8ARRAYOID}
};

static UaefQuery lock_executions = {
	"SELECT execution_id FROM uaef.workflow_execution"
	" WHERE execution_id = ANY ($1) ORDER BY execution_id"
	" FOR NO KEY UPDATE",
	1, {UUIDARRAYOID}
};

static UaefQuery select_signals = {
	"SELECT s.signal_id, s.execution_id, e.initiated_by::oid,"
	" e.session_role::oid, r.workflow, r.created_by::oid, f.created_by::oid,"
	" r.rule_id, r.name, r.version, s.run, s.part_no::integer, s.recipient,"
	" s.amount_minor, s.amount, s.currency, s.status, s.approval, s.approvals,"
	" s.due_at, s.expires_at, s.held_by IS NOT NULL, s.reversed_minor,"
	" coalesce(s.adjusted_by::oid, 0), coalesce(s.adjusted_session::oid, 0),"
	" coalesce(s.task_id, 0)"
	" FROM uaef.settlement_signal s"
	" JOIN uaef.workflow_execution e USING (execution_id)"
	" JOIN uaef.settlement_rule r USING (rule_id)"
	" JOIN uaef.settlement_rule f ON f.name = r.name AND f.version = 1"
	" WHERE s.signal_id = ANY ($1)"
	" ORDER BY s.execution_id, s.signal_id",
	1, {INT8ARRAYOID}
};

/*
 * The execution's id lets the rows be found by the primary key's index as
 * well; only the actions that decide set who did.
 */
static UaefQuery update_signals = {
	"UPDATE uaef.settlement_signal s SET status = n.status,"
	" approvals = n.approvals,"
	" blocked = CASE WHEN n.status = 'blocked'"
	"  THEN coalesce($10, s.blocked) END,"
	" decided_at = CASE WHEN $5 THEN $6 ELSE s.decided_at END,"
	" decided_by = CASE WHEN $5 THEN $7 ELSE s.decided_by END,"
	" held_by = CASE WHEN $8 = 'hold' THEN $7"
	"  WHEN $8 = 'release' THEN NULL ELSE s.held_by END,"
	" held_at = CASE WHEN $8 = 'hold' THEN $6"
	"  WHEN $8 = 'release' THEN NULL ELSE s.held_at END,"
	" hold_reason = CASE WHEN $8 = 'hold' THEN $9"
	"  WHEN $8 = 'release' THEN NULL ELSE s.hold_reason END"
	" FROM unnest($1, $2, $3, $4)"
	"  AS n (execution_id, signal_id, status, approvals)"
	" WHERE s.execution_id = n.execution_id AND s.signal_id = n.signal_id",
	10, {UUIDARRAYOID, INT8ARRAYOID, TEXTARRAYOID, INT4ARRAYOID, BOOLOID,
	TIMESTAMPTZOID, REGROLEOID, TEXTOID, TEXTOID, JSONBOID}
};

static UaefQuery select_trace = {
	"SELECT trace FROM uaef.rule_evaluation"
	" WHERE execution_id = $1 AND rule_id = $2 AND run = $3",
	3, {UUIDOID, INT4OID, INT4OID}
};

static UaefQuery count_approvals = {
	"SELECT count(*) FROM uaef.settlement_approval"
	" WHERE signal_id = $1 AND decision = 'approved' AND digest = $2",
	2, {INT8OID, BYTEAOID}
};

static UaefQuery wake_task = {
	"INSERT INTO uaef.task_timer (due_at, execution_id, task_no, item,"
	" attempt, kind) SELECT $3, execution_id, task_no, item, attempt,"
	" 'settled' FROM uaef.task_execution"
	" WHERE execution_id = $1 AND task_id = $2 AND status = 'waiting_input'",
	3, {UUIDOID, INT8OID, TIMESTAMPTZOID}
};

static UaefQuery find_owners = {
	"SELECT registered_by::oid FROM uaef.agent"
	" WHERE $1 LIKE 'agent:%' AND substr($1, 7) IN (name, agent_id::text)"
	" UNION SELECT oid FROM pg_roles"
	" WHERE $1 LIKE 'user:%' AND substr($1, 6) = rolname"
	" UNION SELECT owner::oid FROM uaef.payee"
	" WHERE recipient = $1 AND owner IS NOT NULL",
	1, {TEXTOID}
};

/*----------
 * Reading
 * ----------
 */

static void
read_row(uint64 row, UaefSignal *signal)
{
	memset(signal, 0, sizeof(*signal));
	signal->signal_id = uaef_spi_int64(row, 1);
	signal->execution_id = uaef_spi_uuid(row, 2);
	signal->initiated_by = uaef_spi_oid(row, 3);
	signal->started_session = uaef_spi_oid(row, 4);
	signal->workflow = uaef_spi_text(row, 5);
	signal->author = uaef_spi_oid(row, 6);
	signal->rule_owner = uaef_spi_oid(row, 7);
	signal->rule_id = uaef_spi_int32(row, 8);
	signal->rule = uaef_spi_text(row, 9);
	signal->version = uaef_spi_int32(row, 10);
	signal->run = uaef_spi_int32(row, 11);
	signal->part_no = uaef_spi_int32(row, 12);
	signal->recipient = uaef_spi_text(row, 13);
	signal->minor = uaef_spi_numeric(row, 14);
	signal->amount = uaef_spi_numeric(row, 15);
	signal->currency = uaef_spi_text(row, 16);
	signal->status = uaef_signal_status_by_name(uaef_spi_text(row, 17));
	signal->approval = uaef_spi_jsonb(row, 18);
	signal->approvals = uaef_spi_int32(row, 19);
	signal->due_at = uaef_spi_time(row, 20);
	signal->expires_at = uaef_spi_time(row, 21);
	signal->held = uaef_spi_bool(row, 22);
	signal->reversed = uaef_spi_numeric(row, 23);
	signal->adjusted_by = uaef_spi_oid(row, 24);
	signal->adjusted_session = uaef_spi_oid(row, 25);
	signal->task_id = uaef_spi_int64(row, 26);
}

static Datum
id_array(const int64 *ids, int n)
{
	Datum	   *values = palloc(Max(n, 1) * sizeof(Datum));

	for (int i = 0; i < n; i++)
		values[i] = Int64GetDatum(ids[i]);
	return uaef_array(values, NULL, n, INT8OID);
}

UaefSignal *
uaef_signals_read(const int64 *ids, int n)
{
	UaefSignal *signals = palloc(Max(n, 1) * sizeof(UaefSignal));
	Datum		arg = id_array(ids, n);

	if (uaef_spi_run(&select_signals, &arg, NULL) != n)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_UNDEFINED_SETTLEMENT),
				 n == 1 ? errmsg("settlement signal %lld does not exist",
								 (long long) ids[0])
				 : errmsg("a settlement signal does not exist")));
	for (int i = 0; i < n; i++)
		read_row(i, &signals[i]);
	return signals;
}

/*
 * Executions are found without a lock, as a signal's never changes.
 */
UaefSignal *
uaef_signals_lock(const int64 *ids, int n)
{
	Datum		arg = id_array(ids, n);
	int			n_executions = (int) uaef_spi_run(&find_executions, &arg, NULL);
	Datum	   *executions = palloc(Max(n_executions, 1) * sizeof(Datum));

	for (int i = 0; i < n_executions; i++)
	{
		pg_uuid_t  *id = palloc(sizeof(pg_uuid_t));

		*id = uaef_spi_uuid(i, 1);
		executions[i] = UUIDPGetDatum(id);
	}
	arg = uaef_array(executions, NULL, n_executions, UUIDOID);
	(void) uaef_spi_run(&lock_executions, &arg, NULL);
	for (int i = 0; i < n_executions; i++)
		uaef_ledger_hold_stream(DatumGetUUIDP(executions[i]), false);
	return uaef_signals_read(ids, n);
}

void
uaef_signal_lock(int64 signal_id, UaefSignal *signal)
{
	*signal = *uaef_signals_lock(&signal_id, 1);
}

/*----------
 * Moving
 * ----------
 */

/* Whether an action decides: the row then tells who did. */
static bool
is_decision(UaefSignalAction action)
{
	return action == UAEF_ACT_APPROVE || action == UAEF_ACT_REJECT ||
		action == UAEF_ACT_CANCEL || action == UAEF_ACT_EXPIRE ||
		action == UAEF_ACT_WRITE_OFF;
}

/*
 * The status that it gets; raises UA321 where that is not legal.
 */
static UaefSignalStatus
next_status(const UaefSignal *signal, UaefSignalAction action)
{
	UaefSignalStatus to;

	if (!uaef_signal_next(signal->status, action, &to))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_SETTLEMENT_STATE),
				 errmsg("settlement signal %lld is %s: action \"%s\" is not possible",
						(long long) signal->signal_id,
						uaef_signal_status_name(signal->status),
						uaef_signal_action_name(action))));
	if (signal->held &&
		(action == UAEF_ACT_SCHEDULE || action == UAEF_ACT_RESERVE))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_SETTLEMENT_STATE),
				 errmsg("settlement signal %lld is held",
						(long long) signal->signal_id),
				 errhint("Use uaef.release_settlement() first.")));
	if (action == UAEF_ACT_HOLD && signal->held)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_SETTLEMENT_STATE),
				 errmsg("settlement signal %lld is held already",
						(long long) signal->signal_id)));
	if (action == UAEF_ACT_RELEASE && !signal->held)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_SETTLEMENT_STATE),
				 errmsg("settlement signal %lld is not held",
						(long long) signal->signal_id)));
	return to;
}

static void
write_signals(const UaefSignal *signals, int n, const UaefSignalMove *move)
{
	Datum	   *executions = palloc(n * sizeof(Datum));
	Datum	   *ids = palloc(n * sizeof(Datum));
	Datum	   *statuses = palloc(n * sizeof(Datum));
	Datum	   *approvals = palloc(n * sizeof(Datum));
	bool		decides = is_decision(move->action) && !move->waits;
	Datum		args[10];
	char		nulls[] = "          ";

	for (int i = 0; i < n; i++)
	{
		executions[i] = UUIDPGetDatum(&signals[i].execution_id);
		ids[i] = Int64GetDatum(signals[i].signal_id);
		statuses[i] =
			CStringGetTextDatum(uaef_signal_status_name(signals[i].status));
		approvals[i] = Int32GetDatum(signals[i].approvals);
	}
	args[0] = uaef_array(executions, NULL, n, UUIDOID);
	args[1] = uaef_array(ids, NULL, n, INT8OID);
	args[2] = uaef_array(statuses, NULL, n, TEXTOID);
	args[3] = uaef_array(approvals, NULL, n, INT4OID);
	args[4] = BoolGetDatum(decides);
	args[5] = TimestampTzGetDatum(uaef_clock_now());
	args[6] = ObjectIdGetDatum(move->actor);
	nulls[6] = OidIsValid(move->actor) ? ' ' : 'n';
	args[7] = CStringGetTextDatum(uaef_signal_action_name(move->action));
	if (move->reason != NULL)
		args[8] = CStringGetTextDatum(move->reason);
	else
		nulls[8] = 'n';
	args[9] = JsonbPGetDatum(move->blocked);
	nulls[9] = move->blocked ? ' ' : 'n';
	if (uaef_spi_run(&update_signals, args, nulls) != n)
		elog(ERROR, "%d settlement signals are not as many rows", n);
}

static Jsonb *
event_payload(const UaefSignal *signal, const UaefSignalMove *move)
{
	UaefJson	payload;

	uaef_json_begin(&payload);
	uaef_json_int(&payload, "signal_id", signal->signal_id);
	uaef_json_text(&payload, "rule", signal->rule);
	uaef_json_int(&payload, "version", signal->version);
	uaef_json_int(&payload, "part_no", signal->part_no);
	uaef_json_text(&payload, "recipient", signal->recipient);
	uaef_json_numeric(&payload, "amount", signal->amount);
	uaef_json_text(&payload, "currency", signal->currency);
	uaef_json_text(&payload, "status",
				   uaef_signal_status_name(signal->status));
	if (move->approvals >= 0)
		uaef_json_int(&payload, "approvals", move->approvals);
	uaef_json_text(&payload, "reason", move->reason);
	if (move->blocked != NULL)
		uaef_json_jsonb(&payload, "blocked", move->blocked);
	uaef_json_members(&payload, move->detail);
	return uaef_json_end(&payload);
}

static void
record_moves(UaefSignal *signals, int n, const UaefSignalMove *move)
{
	UaefEvent  *events = palloc0(n * sizeof(UaefEvent));

	for (int i = 0; i < n; i++)
	{
		events[i].type = event_types[move->action];
		events[i].stream = &signals[i].execution_id;
		events[i].actor_type = OidIsValid(move->actor) ? "user" : "system";
		if (OidIsValid(move->actor))
			events[i].actor_id = GetUserNameFromId(move->actor, true);
		events[i].payload = event_payload(&signals[i], move);
	}
	(void) uaef_ledger_append(events, n);
}

/*
 * A settle task may wait for a signal to come this far; it looks in a step of
 * its own, by the worker.
 */
static void
wake_tasks(const UaefSignal *signals, int n)
{
	for (int i = 0; i < n; i++)
	{
		Datum		args[3];

		if (signals[i].task_id == 0)
			continue;
		args[0] = UUIDPGetDatum(&signals[i].execution_id);
		args[1] = Int64GetDatum(signals[i].task_id);
		args[2] = TimestampTzGetDatum(uaef_clock_now());
		if (uaef_spi_run(&wake_task, args, NULL) > 0)
			uaef_wake_worker_on_commit(UAEF_WAKE_TIMERS);
	}
}

/*
 * What will not be paid after all no longer counts against budgets.
 */
static void
free_budgets(const UaefSignal *signals, int n)
{
	int64	   *ids = palloc(n * sizeof(int64));
	int			n_ids = 0;

	for (int i = 0; i < n; i++)
	{
		switch (signals[i].status)
		{
			case UAEF_SIGNAL_BLOCKED:
			case UAEF_SIGNAL_REJECTED:
			case UAEF_SIGNAL_EXPIRED:
			case UAEF_SIGNAL_CANCELLED:
			case UAEF_SIGNAL_SUPERSEDED:
			case UAEF_SIGNAL_WRITTEN_OFF:
				ids[n_ids++] = signals[i].signal_id;
				break;
			default:
				break;
		}
	}
	if (n_ids > 0)
		uaef_budget_give_back(ids, n_ids);
}

void
uaef_signals_move(UaefSignal *signals, int n, const UaefSignalMove *move)
{
	UaefSignalStatus *from = palloc(Max(n, 1) * sizeof(UaefSignalStatus));

	if (n == 0)
		return;
	for (int i = 0; i < n; i++)
	{
		UaefSignalStatus to = next_status(&signals[i], move->action);

		from[i] = signals[i].status;
		if (!move->waits)
			signals[i].status = to;
		if (move->approvals >= 0)
			signals[i].approvals = move->approvals;
		if (move->action == UAEF_ACT_HOLD || move->action == UAEF_ACT_RELEASE)
			signals[i].held = move->action == UAEF_ACT_HOLD;
	}
	write_signals(signals, n, move);
	for (int i = 0; i < n; i++)
		if (from[i] != signals[i].status && !move->fresh)
			uaef_settlement_book_move(&signals[i], from[i], move->action);
	record_moves(signals, n, move);
	free_budgets(signals, n);
	wake_tasks(signals, n);
}

/*----------
 * What approvals are bound to
 * ----------
 */

static void
digest_field(StringInfo buffer, const char *field)
{
	if (field != NULL)
		appendStringInfo(buffer, "%d:%s", (int) strlen(field), field);
	appendStringInfoChar(buffer, ',');
}

static char *
trace_digest(const UaefSignal *signal)
{
	Datum		args[3];

	args[0] = UUIDPGetDatum(&signal->execution_id);
	args[1] = Int32GetDatum(signal->rule_id);
	args[2] = Int32GetDatum(signal->run);
	if (uaef_spi_run(&select_trace, args, NULL) == 0)
		return NULL;
	return uaef_digest_hex(uaef_spi_jsonb(0, 1));
}

/*
 * SHA-256 of the fields in the order of docs/settlement.md, each as its length
 * in bytes, a colon, the bytes and a comma; what is null is just a comma.
 */
bytea *
uaef_signal_digest(const UaefSignal *signal)
{
	StringInfoData buffer;
	bytea	   *bytes;

	initStringInfo(&buffer);
	digest_field(&buffer, "uaef settlement 2");
	digest_field(&buffer, psprintf("%lld", (long long) signal->signal_id));
	digest_field(&buffer, signal->minor == NULL ? NULL :
				 DatumGetCString(DirectFunctionCall1(numeric_out,
													 NumericGetDatum(signal->minor))));
	digest_field(&buffer, signal->currency);
	digest_field(&buffer, signal->recipient);
	digest_field(&buffer, signal->rule);
	digest_field(&buffer, psprintf("%d", signal->version));
	digest_field(&buffer, trace_digest(signal));

	bytes = palloc(VARHDRSZ + buffer.len);
	SET_VARSIZE(bytes, VARHDRSZ + buffer.len);
	memcpy(VARDATA(bytes), buffer.data, buffer.len);
	return DatumGetByteaP(DirectFunctionCall1(sha256_bytea,
											  PointerGetDatum(bytes)));
}

int
uaef_signal_approvals(const UaefSignal *signal, bytea *digest)
{
	Datum		args[2];

	args[0] = Int64GetDatum(signal->signal_id);
	args[1] = PointerGetDatum(digest);
	(void) uaef_spi_run(&count_approvals, args, NULL);
	return (int) uaef_spi_int64(0, 1);
}

int
uaef_signal_approvals_needed(const UaefSignal *signal)
{
	JsonbValue	value;

	if (signal->approval == NULL)
		return 0;
	if (!uaef_json_get(signal->approval, "need", &value) ||
		value.type != jbvNumeric)
		elog(ERROR, "settlement signal %lld needs approval, but not how many",
			 (long long) signal->signal_id);
	return DatumGetInt32(DirectFunctionCall1(numeric_int4,
											 NumericGetDatum(value.val.numeric)));
}

/*
 * Money that somebody expected is not withheld without a word.
 */
void
uaef_signal_require_reason(const char *reason)
{
	if (reason == NULL || reason[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a reason is missing")));
}

/*----------
 * Whose money it is
 * ----------
 */

List *
uaef_recipient_owners(const char *recipient)
{
	Datum		arg;
	List	   *owners = NIL;
	uint64		n;

	if (recipient == NULL)
		return NIL;
	arg = CStringGetTextDatum(recipient);
	n = uaef_spi_run(&find_owners, &arg, NULL);
	for (uint64 i = 0; i < n; i++)
		owners = lappend_oid(owners, uaef_spi_oid(i, 1));
	return owners;
}

bool
uaef_is_among_owners(Oid role, List *owners)
{
	ListCell   *cell;

	foreach(cell, owners)
		if (is_member_of_role_nosuper(role, lfirst_oid(cell)))
		return true;
	return false;
}
