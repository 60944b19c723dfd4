/*-------------------------------------------------------------------------
 *
 * bulk.c
 *	  Control of many executions at once, by the worker, in batches.
 *
 * An operation is a row with a place: the last execution that was looked at.
 * A batch takes the next ones that the filter names, does each in a
 * subtransaction, and moves the place, in one transaction; so that nothing is
 * done twice or left out whatever happens to the worker.  What somebody else holds
 * is not waited for: another round comes back to it.  Only executions that
 * were there, and had ended, when the operation was asked for are looked at, so
 * that what fails again is not tried again for ever.
 *
 * Locking: the operation's row, until the transaction ends; executions as
 * everywhere, but one at a time and never waiting.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "advance.h"
#include "bulk.h"
#include "clock.h"
#include "errcodes.h"
#include "failure.h"
#include "retry.h"
#include "spi_util.h"
#include "subtransaction.h"
#include "wake.h"

/* Most executions of one transaction. */
#define MAX_BATCH 100

/* Time between two batches, and before another round for what was busy. */
#define BATCH_PAUSE_US	INT64CONST(20000)
#define ROUND_PAUSE_US	INT64CONST(1000000)

/* With a rate, so many batches a second, as long as each has an execution. */
#define BATCHES_PER_S	5.0

static UaefQuery insert_job = {
	"INSERT INTO uaef.bulk_job (operation, workflow, max_executions, rate,"
	" reason, filter, statuses, codes, name_like, min_priority, max_priority,"
	" versions, started_from, started_to, requested_by, requested_at, due_at)"
	" SELECT $1, $2, $3, $4, $5, f,"
	" CASE WHEN f->'status' IS NULL THEN $9 ELSE ARRAY("
	"  SELECT * FROM pg_catalog.jsonb_array_elements_text(f->'status')) END,"
	" CASE WHEN f->'code' IS NOT NULL THEN ARRAY("
	"  SELECT * FROM pg_catalog.jsonb_array_elements_text(f->'code')) END,"
	" f->>'name', (f->>'min_priority')::integer, (f->>'max_priority')::integer,"
	" CASE WHEN f->'version' IS NOT NULL THEN ARRAY("
	"  SELECT v::integer FROM pg_catalog.jsonb_array_elements_text(f->'version') v)"
	" END,"
	" (f->>'started_from')::timestamptz, (f->>'started_to')::timestamptz,"
	" $7, $8, $8 FROM (SELECT $6 AS f) AS filter RETURNING bulk_id",
	9, {TEXTOID, TEXTOID, INT4OID, FLOAT8OID, TEXTOID, JSONBOID, REGROLEOID,
	TIMESTAMPTZOID, TEXTARRAYOID}
};

static UaefQuery cancel_job = {
	"UPDATE uaef.bulk_job SET status = 'cancelled', finished_at = $2"
	" WHERE bulk_id = $1 AND status = 'running'"
	" AND pg_catalog.pg_has_role($3, requested_by, 'USAGE')",
	3, {INT8OID, TIMESTAMPTZOID, OIDOID}
};

static UaefQuery claim_job = {
	"SELECT bulk_id, operation, requested_by::pg_catalog.oid,"
	" COALESCE(rate, 0), COALESCE(max_executions, 0), done, busy, reason, place,"
	" again_from"
	" FROM uaef.bulk_job WHERE status = 'running' AND due_at <= $1"
	" ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED",
	1, {TIMESTAMPTZOID}
};

static UaefQuery next_due = {
	"SELECT due_at FROM uaef.bulk_job WHERE status = 'running'"
	" ORDER BY due_at LIMIT 1",
	0
};

static UaefQuery find_executions = {
	"SELECT e.execution_id FROM uaef.workflow_execution e"
	" JOIN uaef.workflow_definition d USING (definition_id)"
	" CROSS JOIN uaef.bulk_job b"
	" WHERE b.bulk_id = $1 AND e.execution_id > $3"
	" AND e.status = ANY (b.statuses)"
	" AND (b.workflow IS NULL OR d.name = b.workflow)"
	" AND e.created_at <= b.requested_at"
	" AND (e.completed_at IS NULL OR e.completed_at <= b.requested_at)"
	" AND (b.codes IS NULL OR e.error->>'code' = ANY (b.codes))"
	" AND (b.name_like IS NULL OR e.name LIKE b.name_like)"
	" AND (b.min_priority IS NULL OR e.priority >= b.min_priority)"
	" AND (b.max_priority IS NULL OR e.priority <= b.max_priority)"
	" AND (b.versions IS NULL OR d.version = ANY (b.versions))"
	" AND (b.started_from IS NULL OR e.started_at >= b.started_from)"
	" AND (b.started_to IS NULL OR e.started_at < b.started_to)"
	" AND pg_catalog.pg_has_role(b.requested_by::pg_catalog.oid,"
	"  e.initiated_by::pg_catalog.oid, 'USAGE')"
	" ORDER BY e.execution_id LIMIT $2",
	3, {INT8OID, INT4OID, UUIDOID}
};

static UaefQuery move_job = {
	"UPDATE uaef.bulk_job SET place = $2, done = done + $3,"
	" refused = refused + $4, busy = $5, due_at = $6, status = $7,"
	" finished_at = CASE WHEN $7 = 'completed' THEN $8 END,"
	" error = COALESCE($9, error), again_from = $10 WHERE bulk_id = $1",
	10, {INT8OID, UUIDOID, INT8OID, INT8OID, INT8OID, TIMESTAMPTZOID, TEXTOID,
	TIMESTAMPTZOID, TEXTOID, UUIDOID}
};

/* A batch of an operation. */
typedef struct Batch
{
	int64		bulk_id;
	char	   *operation;
	Oid			requested_by;
	double		rate;
	int64		limit;			/* in all; 0: none */
	int64		done_before;
	pg_uuid_t	place;
	int64		busy;			/* passed over in this round */
	pg_uuid_t	again_from;		/* the place before the first of those */
	const char *reason;
	int64		done;
	int64		refused;
	const char *error;			/* the last refusal */
} Batch;

static void cancel(UaefExecution *execution, const char *reason);

/* What an operation does, and to executions in which states. */
static const struct
{
	const char *name;
	const char *statuses[3];
	void		(*apply) (UaefExecution *execution, const char *reason);
}			operations[] = {
	{"cancel", {"pending", "running", "paused"}, cancel},
	{"pause", {"pending", "running"}, uaef_advance_pause},
	{"resume", {"paused"}, uaef_advance_resume},
	{"retry", {"failed", "cancelled"}, NULL}
};

static void
cancel(UaefExecution *execution, const char *reason)
{
	uaef_advance_cancel(execution, reason, true);
}

static int
operation_no(const char *name)
{
	for (int i = 0; i < lengthof(operations); i++)
		if (strcmp(operations[i].name, name) == 0)
			return i;
	elog(ERROR, "no bulk operation \"%s\"", name);
}

static bool
suits(const char *status, const char *operation)
{
	const char *const *statuses = operations[operation_no(operation)].statuses;

	for (int i = 0; i < 3 && statuses[i] != NULL; i++)
		if (strcmp(statuses[i], status) == 0)
			return true;
	return false;
}

/*
 * The states that are meant where the filter names none: of a retry the failed
 * ones, since a cancel was wanted.
 */
static Datum
default_statuses(const char *operation)
{
	const char *const *statuses = operations[operation_no(operation)].statuses;
	int			n_max = strcmp(operation, "retry") == 0 ? 1 : 3;
	Datum		values[3];
	int			n = 0;

	while (n < n_max && statuses[n] != NULL)
	{
		values[n] = CStringGetTextDatum(statuses[n]);
		n++;
	}
	return uaef_array(values, NULL, n, TEXTOID);
}

static void
refuse_filter(const char *key, const char *must_be)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("\"%s\" of the filter must be %s", key, must_be)));
}

/*
 * A state in which the operation can do nothing is an error rather than an
 * operation that finds nothing.
 */
static void
check_statuses(const JsonbValue *list, const char *operation)
{
	JsonbContainer *container = list->val.binary.data;

	for (uint32 i = 0; i < JsonContainerSize(container); i++)
	{
		JsonbValue *value = getIthJsonbValueFromContainer(container, i);

		if (value->type != jbvString ||
			!suits(pnstrdup(value->val.string.val, value->val.string.len),
				   operation))
			refuse_filter("status",
						  psprintf("an array of states that \"%s\" applies to",
								   operation));
	}
}

/*
 * A key of an object: they stand before its values.
 */
static char *
key_at(Jsonb *object, uint32 i)
{
	JsonbIterator *iterator = JsonbIteratorInit(&object->root);
	JsonbValue	key;

	(void) JsonbIteratorNext(&iterator, &key, true);
	for (uint32 k = 0; k <= i; k++)
	{
		JsonbValue	value;

		(void) JsonbIteratorNext(&iterator, &key, true);
		if (k < i)
			(void) JsonbIteratorNext(&iterator, &value, true);
	}
	return pnstrdup(key.val.string.val, key.val.string.len);
}

static void
check_filter(const UaefBulk *bulk)
{
	static const struct
	{
		const char *key;
		enum jbvType type;
		const char *must_be;
	}			keys[] = {
		{"status", jbvBinary, "an array of strings"},
		{"code", jbvBinary, "an array of strings"},
		{"version", jbvBinary, "an array of numbers"},
		{"name", jbvString, "a pattern as LIKE has them"},
		{"min_priority", jbvNumeric, "a number"},
		{"max_priority", jbvNumeric, "a number"},
		{"started_from", jbvString, "a time"},
		{"started_to", jbvString, "a time"},
	};
	JsonbValue	value;

	if (!JB_ROOT_IS_OBJECT(bulk->filter))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the filter must be a JSON object")));
	for (int i = 0; i < lengthof(keys); i++)
	{
		if (!uaef_json_get(bulk->filter, keys[i].key, &value))
			continue;
		if (value.type != keys[i].type ||
			(value.type == jbvBinary &&
			 !JsonContainerIsArray(value.val.binary.data)))
			refuse_filter(keys[i].key, keys[i].must_be);
		if (i == 0)
			check_statuses(&value, bulk->operation);
	}
	for (uint32 i = 0; i < JB_ROOT_COUNT(bulk->filter); i++)
	{
		char	   *key = key_at(bulk->filter, i);
		int			k = 0;

		while (k < lengthof(keys) && strcmp(keys[k].key, key) != 0)
			k++;
		if (k == lengthof(keys))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("the filter has an unknown key \"%s\"", key),
					 errhint("Its keys are: status, code, version, name, min_priority, max_priority, started_from, started_to.")));
	}
}

static void
record(const char *type, int64 bulk_id, const UaefBulk *bulk, Oid caller)
{
	UaefEvent	event = {.type = type,.actor_type = "user"};
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_int(&json, "bulk_id", bulk_id);
	if (bulk != NULL)
	{
		uaef_json_text(&json, "operation", bulk->operation);
		uaef_json_text(&json, "workflow", bulk->workflow);
		uaef_json_jsonb(&json, "filter", bulk->filter);
		uaef_json_text(&json, "reason", uaef_clip(bulk->reason));
	}
	event.actor_id = GetUserNameFromId(caller, false);
	event.payload = uaef_json_end(&json);
	(void) uaef_ledger_append(&event, 1);
}

int64
uaef_bulk_request(const UaefBulk *bulk)
{
	Oid			caller = GetUserId();
	char		nulls[9];
	Datum		args[9];
	UaefCaller	back;
	int64		bulk_id;

	check_filter(bulk);
	back = uaef_spi_begin();
	memset(nulls, ' ', sizeof(nulls));
	args[0] = CStringGetTextDatum(bulk->operation);
	args[1] = CStringGetTextDatum(bulk->workflow ? bulk->workflow : "");
	nulls[1] = bulk->workflow ? ' ' : 'n';
	args[2] = Int32GetDatum(bulk->limit);
	nulls[2] = bulk->limit > 0 ? ' ' : 'n';
	args[3] = Float8GetDatum(bulk->rate);
	nulls[3] = bulk->rate > 0 ? ' ' : 'n';
	args[4] = CStringGetTextDatum(bulk->reason ? uaef_clip(bulk->reason) : "");
	nulls[4] = bulk->reason ? ' ' : 'n';
	args[5] = JsonbPGetDatum(bulk->filter);
	args[6] = ObjectIdGetDatum(caller);
	args[7] = TimestampTzGetDatum(uaef_clock_now());
	args[8] = default_statuses(bulk->operation);
	if (bulk->workflow != NULL)
		(void) uaef_definition_find(bulk->workflow, 0);
	uaef_spi_run(&insert_job, args, nulls);
	bulk_id = uaef_spi_int64(0, 1);
	record("bulk_requested", bulk_id, bulk, caller);
	uaef_wake_worker_on_commit(UAEF_WAKE_BULK);
	uaef_spi_end(back);
	return bulk_id;
}

bool
uaef_bulk_cancel(int64 bulk_id)
{
	Oid			caller = GetUserId();
	UaefCaller	back = uaef_spi_begin();
	Datum		args[3];
	bool		found;

	args[0] = Int64GetDatum(bulk_id);
	args[1] = TimestampTzGetDatum(uaef_clock_now());
	args[2] = ObjectIdGetDatum(caller);
	found = uaef_spi_run(&cancel_job, args, NULL) > 0;
	if (found)
		record("bulk_cancelled", bulk_id, NULL, caller);
	uaef_spi_end(back);
	return found;
}

/*
 * Do it to one execution; false when somebody else holds it.  One that has got
 * into another state meanwhile is left alone.
 */
static bool
apply_one(const Batch *batch, const pg_uuid_t *id, bool *applied)
{
	UaefStep   *step = uaef_step_begin("user",
									   GetUserNameFromId(batch->requested_by,
														 false));
	int			no = operation_no(batch->operation);
	UaefExecution *execution;

	*applied = false;
	uaef_step_try_lock(step, id, 1);
	execution = uaef_step_execution(step, id);
	if (execution == NULL)
		return false;
	if (!suits(uaef_execution_status_name(execution->status),
			   batch->operation) ||
		(execution->is_ending && operations[no].apply == cancel))
		return true;
	if (operations[no].apply != NULL)
		operations[no].apply(execution, batch->reason);
	else
		uaef_retry_execution(execution, NULL, batch->reason);
	uaef_step_write(step);
	*applied = true;
	return true;
}

typedef struct One
{
	Batch	   *batch;
	const pg_uuid_t *id;
	const pg_uuid_t *before;	/* the one that came before it */
} One;

static void
count_one(void *arg)
{
	One		   *one = arg;
	bool		applied;

	if (!apply_one(one->batch, one->id, &applied))
	{
		if (one->batch->busy == 0)
			one->batch->again_from = *one->before;
		one->batch->busy++;
	}
	else if (applied)
		one->batch->done++;
}

/*
 * The same in a subtransaction: an execution that raises an error is counted,
 * and holds nobody up.  before is the place of the one before.
 */
static void
try_one(Batch *batch, const pg_uuid_t *id, const pg_uuid_t *before)
{
	One			one = {batch, id, before};
	ErrorData  *error = uaef_try(count_one, &one);

	if (error == NULL)
		return;
	batch->refused++;
	batch->error = uaef_clip(error->message);
}

static bool
claim(Batch *batch, TimestampTz now)
{
	Datum		arg = TimestampTzGetDatum(now);
	bool		isnull;

	memset(batch, 0, sizeof(Batch));
	if (uaef_spi_run(&claim_job, &arg, NULL) == 0)
		return false;
	batch->bulk_id = uaef_spi_int64(0, 1);
	batch->operation = uaef_spi_text(0, 2);
	batch->requested_by = uaef_spi_oid(0, 3);
	batch->rate = DatumGetFloat8(uaef_spi_value(0, 4, &isnull));
	batch->limit = uaef_spi_int32(0, 5);
	batch->done_before = uaef_spi_int64(0, 6);
	batch->busy = uaef_spi_int64(0, 7);
	batch->reason = uaef_spi_text(0, 8);
	batch->place = uaef_spi_uuid(0, 9);
	batch->again_from = uaef_spi_uuid(0, 10);
	return true;
}

static int
batch_size(const Batch *batch)
{
	int64		size = MAX_BATCH;

	if (batch->rate > 0)
		size = Max(Min(size, (int64) (batch->rate / BATCHES_PER_S)), 1);
	if (batch->limit > 0)
		size = Min(size, batch->limit - batch->done_before);
	return (int) size;
}

/*
 * Say how far the operation has got, and when it goes on: after a time that
 * keeps the rate, or at the first that was busy, or never.
 */
static void
move(const Batch *batch, const pg_uuid_t *last, int found, TimestampTz now)
{
	bool		full = batch->limit > 0 &&
		batch->done_before + batch->done >= batch->limit;
	bool		round_over = found < batch_size(batch);
	bool		again = round_over && batch->busy > 0;
	int64		pause = batch->rate > 0 ?
		(int64) (batch->done / batch->rate * USECS_PER_SEC) : 0;
	char		nulls[10];
	Datum		args[10];

	pause = Max(pause, again ? ROUND_PAUSE_US : BATCH_PAUSE_US);
	memset(nulls, ' ', sizeof(nulls));
	args[0] = Int64GetDatum(batch->bulk_id);
	args[1] = UUIDPGetDatum(again ? &batch->again_from :
							last != NULL ? last : &batch->place);
	args[2] = Int64GetDatum(batch->done);
	args[3] = Int64GetDatum(batch->refused);
	args[4] = Int64GetDatum(again ? 0 : batch->busy);
	args[5] = TimestampTzGetDatum(now + pause);
	args[6] = CStringGetTextDatum(full || (round_over && !again) ?
								  "completed" : "running");
	args[7] = TimestampTzGetDatum(now);
	args[8] = CStringGetTextDatum(batch->error ? batch->error : "");
	nulls[8] = batch->error ? ' ' : 'n';
	args[9] = UUIDPGetDatum(&batch->again_from);
	uaef_spi_run(&move_job, args, nulls);
}

static void
work(Batch *batch, TimestampTz now)
{
	Datum		args[3];
	int			n;
	pg_uuid_t  *ids;

	args[0] = Int64GetDatum(batch->bulk_id);
	args[1] = Int32GetDatum(batch_size(batch));
	args[2] = UUIDPGetDatum(&batch->place);
	n = (int) uaef_spi_run(&find_executions, args, NULL);
	ids = palloc(sizeof(pg_uuid_t) * Max(n, 1));
	for (int i = 0; i < n; i++)
		ids[i] = uaef_spi_uuid(i, 1);
	for (int i = 0; i < n; i++)
		try_one(batch, &ids[i], i == 0 ? &batch->place : &ids[i - 1]);
	move(batch, n > 0 ? &ids[n - 1] : NULL, n, now);
}

TimestampTz
uaef_bulk_work(void)
{
	UaefCaller	back = uaef_spi_begin();
	TimestampTz now = uaef_clock_now();
	TimestampTz next = DT_NOEND;
	Batch		batch;

	if (claim(&batch, now))
		work(&batch, now);
	if (uaef_spi_run(&next_due, NULL, NULL) > 0)
	{
		bool		isnull;

		next = DatumGetTimestampTz(uaef_spi_value(0, 1, &isnull));
	}
	uaef_spi_end(back);
	return next;
}
