/*-------------------------------------------------------------------------
 *
 * claim.c
 *	  Tasks that outside workers take, under leases.
 *
 * A claim takes rows out of the ready set, skipping those that others are just
 * taking, and only then locks the executions; whoever holds an execution and
 * wants a task out of the ready set skips locked rows too (uaef_step_unready),
 * so the two cannot wait for each other.  A claim that finds its task no
 * longer queued drops it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "advance.h"
#include "agent_task.h"
#include "claim.h"
#include "errcodes.h"
#include "failure.h"
#include "own_execution.h"
#include "payload_check.h"
#include "ready_claim.h"
#include "spi_util.h"
#include "task_input.h"
#include "wake_claimers.h"

/* How many of each queue are among the first $2 of all. */
static UaefQuery count_ready = {
	"SELECT no, pg_catalog.count(*)::pg_catalog.int4 FROM ("
	" SELECT k.no FROM pg_catalog.unnest($1) WITH ORDINALITY k (queue, no),"
	" LATERAL (SELECT rank, task_id FROM uaef.task_ready t"
	" WHERE t.queue = k.queue AND run_as = 0::pg_catalog.oid::pg_catalog.regrole"
	" ORDER BY t.queue, run_as, rank, task_id LIMIT $2) r"
	" ORDER BY r.rank, r.task_id LIMIT $2) first GROUP BY no",
	2, {TEXTARRAYOID, INT4OID}
};

static UaefQuery find_task = {
	"SELECT execution_id, task_no, item FROM uaef.task_execution"
	" WHERE task_id = $1",
	1, {INT8OID}
};

/* How long a claim holds if nobody says. */
#define USUAL_LEASE_US	(30 * USECS_PER_SEC)

typedef struct Key
{
	pg_uuid_t	execution_id;
	int			no;
	int			item;
} Key;

static void
read_key(uint64 row, Key *key)
{
	bool		isnull;

	key->execution_id = uaef_spi_uuid(row, 1);
	key->no = DatumGetInt16(uaef_spi_value(row, 2, &isnull));
	key->item = uaef_spi_int32(row, 3);
}

/*
 * Claim one task: fill in its input, and give it its lease.  A task whose
 * input cannot be filled in fails instead.
 */
static bool
claim_one(UaefTask *task, const char *worker, TimestampTz lease_expires_at,
		  UaefClaim *claim)
{
	UaefEvalError error = {0};
	Jsonb	   *input = uaef_task_input(task, &error);

	if (input == NULL)
	{
		UaefFailure failure;

		uaef_failure_from_eval(&failure, &error);
		uaef_advance_fail(task, &failure);
		return false;
	}
	uaef_advance_claimed(task, worker, lease_expires_at);
	claim->task_id = task->task_id;
	claim->execution_id = task->execution->id;
	claim->workflow = task->execution->def->name;
	claim->task = task->execution->def->tasks[task->no].id;
	claim->item = task->item;
	claim->attempt = task->attempt;
	claim->input = input;
	claim->lease_token = task->lease_token;
	claim->lease_expires_at = lease_expires_at;
	return true;
}

/*
 * Take rows of one queue out of the ready set; appends them, and returns
 * how many.  A rollback gives them back, for others who may be waiting.
 */
static int
take_ready(const char *queue, int limit, UaefTaskRef *refs)
{
	int			found = uaef_ready_claim(queue, InvalidOid, limit, refs);

	for (int i = 0; i < found; i++)
		uaef_wake_claimer_on_abort(queue);
	return found;
}

/*
 * Take rows of several queues: first see how many of each are among the first
 * of all, then take so many.  What others are taking meanwhile is made up for
 * by any queue.
 */
static int
take_of_many(const UaefClaimRequest *request, UaefTaskRef *refs)
{
	Datum	   *names = palloc(sizeof(Datum) * request->n_keys);
	int		   *wanted = palloc0(sizeof(int) * request->n_keys);
	Datum		args[2];
	int			rows;
	int			seen = 0;
	int			found = 0;

	for (int i = 0; i < request->n_keys; i++)
		names[i] = CStringGetTextDatum(request->keys[i]);
	args[0] = uaef_array(names, NULL, request->n_keys, TEXTOID);
	args[1] = Int32GetDatum(request->limit);
	rows = (int) uaef_spi_run(&count_ready, args, NULL);
	for (int row = 0; row < rows; row++)
	{
		int			n = uaef_spi_int32(row, 2);

		wanted[uaef_spi_int64(row, 1) - 1] = n;
		seen += n;
	}
	for (int i = 0; i < request->n_keys; i++)
		if (wanted[i] > 0)
			found += take_ready(request->keys[i], wanted[i], refs + found);
	for (int i = 0; i < request->n_keys && found < seen; i++)
		found += take_ready(request->keys[i], request->limit - found,
							refs + found);
	return found;
}

/*
 * How long a claim holds: as long as the worker asks for, or the task says.
 */
static TimestampTz
lease_end(const UaefClaimRequest *request, const UaefTask *task)
{
	int64		us = request->lease_us;

	if (us == 0)
		us = task->def->type == UAEF_TASK_EXTERNAL ?
			task->def->config.external.lease_ms * 1000 : 0;
	return task->execution->step->now + (us == 0 ? USUAL_LEASE_US : us);
}

int
uaef_claim_take(const UaefClaimRequest *request, UaefTaskRef *refs)
{
	return request->n_keys == 1 ?
		take_ready(request->keys[0], request->limit, refs) :
		take_of_many(request, refs);
}

int
uaef_claim_lease(UaefStep *step, const UaefClaimRequest *request,
				 const UaefTaskRef *refs, int n, UaefClaim *claims)
{
	int			claimed = 0;

	for (int i = 0; i < n; i++)
	{
		UaefExecution *execution = uaef_step_execution(step,
													   &refs[i].execution_id);
		UaefTask   *task = execution == NULL ? NULL :
			uaef_execution_find(execution, refs[i].task_no, refs[i].item);

		if (task != NULL && task->status == UAEF_TASK_QUEUED &&
			execution->status == UAEF_EXECUTION_RUNNING &&
			claim_one(task, request->worker, lease_end(request, task),
					  &claims[claimed]))
			claimed++;
	}
	return claimed;
}

UaefClaim *
uaef_claim_tasks(const UaefClaimRequest *request, int *n)
{
	return uaef_claim_exchange(NULL, 0, request, n);
}

static void
refuse_state(UaefTask *task)
{
	ereport(ERROR,
			(errcode(ERRCODE_UAEF_ILLEGAL_TRANSITION),
			 errmsg("task %lld is %s%s", (long long) task->task_id,
					uaef_task_ended(task->status) ? "already " : "",
					uaef_task_status_name(task->status)),
			 uaef_task_ended(task->status) ? 0 :
			 errhint("Claim it with uaef.claim_tasks().")));
}

static void
refuse_lease(const UaefTask *task)
{
	ereport(ERROR,
			(errcode(ERRCODE_UAEF_LEASE_LOST),
			 errmsg("lease token is not that of task %lld",
					(long long) task->task_id),
			 errdetail("The lease has expired and the task was given to another worker, or the token is wrong."),
			 errhint("Drop the result: whoever holds the lease gives one.")));
}

/*
 * Lock a task by its id for a result of the caller under this lease.
 */
static UaefTask *
lock_claimed(UaefStep *step, int64 task_id, const pg_uuid_t *token, Oid caller)
{
	Datum		arg = Int64GetDatum(task_id);
	Key			key;
	UaefExecution *execution;
	UaefTask   *task;

	if (uaef_spi_run(&find_task, &arg, NULL) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_UNDEFINED_TASK),
				 errmsg("task %lld does not exist", (long long) task_id)));
	read_key(0, &key);
	if (token == NULL)
		execution = uaef_lock_own_execution(step, &key.execution_id, caller);
	else
		execution = uaef_lock_execution(step, &key.execution_id);
	task = uaef_execution_find(execution, key.no, key.item);
	if (task->def->type != UAEF_TASK_EXTERNAL &&
		!(task->def->type == UAEF_TASK_AGENT && token != NULL))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_ILLEGAL_TRANSITION),
				 errmsg("task %lld is of type %s, not external",
						(long long) task_id,
						uaef_task_type_name(task->def->type)),
				 task->def->type != UAEF_TASK_AGENT ? 0 :
				 errhint("Only the agent that claimed it gives a result, by its lease token.")));
	if (token != NULL && !(task->has_lease &&
						   memcmp(token, &task->lease_token,
								  sizeof(pg_uuid_t)) == 0))
		refuse_lease(task);
	return task;
}

/*
 * Whether the attempt of this lease has failed already, and another one
 * follows.
 */
static bool
failed_so(const UaefTask *task, const pg_uuid_t *token)
{
	return token != NULL && (task->status == UAEF_TASK_PENDING ||
							 task->status == UAEF_TASK_QUEUED);
}

/*
 * Raise unless the task waits for a result: claimed, or, for those who started
 * the execution, not yet.
 */
static void
check_open(UaefTask *task, const pg_uuid_t *token)
{
	if (failed_so(task, token))
		refuse_lease(task);
	if (task->status != UAEF_TASK_RUNNING &&
		!(token == NULL && task->status == UAEF_TASK_QUEUED))
		refuse_state(task);
}

/*
 * Whether this completion has been made before: a worker that lost its
 * connection at the commit may make it again.
 */
bool
uaef_claim_completed_so(UaefTask *task, Jsonb *output,
						const pg_uuid_t *token)
{
	return token != NULL && task->status == UAEF_TASK_COMPLETED &&
		task->output != NULL &&
		compareJsonbContainers(&task->output->root, &output->root) == 0;
}

/*
 * The step of a result; a worker is named by its lease, else it is the caller.
 */
static UaefStep *
begin_result(Oid caller, const pg_uuid_t *token)
{
	return uaef_step_begin(token != NULL ? "worker" : "user",
						   GetUserNameFromId(caller, false));
}

void
uaef_claim_complete(int64 task_id, Jsonb *output, const pg_uuid_t *token)
{
	Oid			caller = GetUserId();
	UaefCaller	back;
	UaefStep   *step;
	UaefTask   *task;

	uaef_check_payload("output of the task", output);
	back = uaef_spi_begin();
	step = begin_result(caller, token);
	task = lock_claimed(step, task_id, token, caller);
	if (!uaef_claim_completed_so(task, output, token))
	{
		check_open(task, token);
		if (task->status == UAEF_TASK_QUEUED)
			(void) uaef_step_unready(task);
		uaef_agent_check_output(task, output);
		if (!uaef_advance_result(task, output))
			ereport(WARNING,
					(errcode(ERRCODE_UAEF_SCHEMA_MISMATCH),
					 errmsg("the task has failed"),
					 errdetail_internal("%s", uaef_json_get_text(task->error,
																 "message"))));
		uaef_step_write(step);
	}
	uaef_spi_end(back);
}

/*
 * A failure that was told before is not counted again; the status is then what
 * it was: pending, or failed.
 */
const char *
uaef_claim_fail(int64 task_id, const UaefFailure *failure,
				const pg_uuid_t *token)
{
	Oid			caller = GetUserId();
	UaefCaller	back = uaef_spi_begin();
	UaefStep   *step = begin_result(caller, token);
	UaefTask   *task = lock_claimed(step, task_id, token, caller);
	UaefTaskStatus status = UAEF_TASK_PENDING;

	if (token != NULL && task->status == UAEF_TASK_FAILED)
		status = UAEF_TASK_FAILED;
	else if (!failed_so(task, token))
	{
		check_open(task, token);
		if (task->status == UAEF_TASK_QUEUED)
			(void) uaef_step_unready(task);
		uaef_advance_fail(task, failure);
		status = task->status;
		uaef_step_write(step);
	}
	uaef_spi_end(back);
	return uaef_task_status_name(status);
}

TimestampTz
uaef_claim_heartbeat(int64 task_id, const pg_uuid_t *token, int64 extend_us,
					 Jsonb *progress)
{
	UaefCaller	back;
	UaefStep   *step;
	UaefTask   *task;
	TimestampTz until;

	if (progress != NULL)
		uaef_check_payload("progress of the task", progress);
	back = uaef_spi_begin();
	step = uaef_step_begin("worker", NULL);
	task = lock_claimed(step, task_id, token, InvalidOid);
	until = step->now + extend_us;
	check_open(task, token);
	if (progress != NULL)
		task->progress = progress;
	if (until < task->lease_expires_at)
		uaef_step_timer(task->execution, task, "lease", until);
	task->lease_expires_at = until;
	task->dirty = true;
	uaef_step_write(step);
	uaef_spi_end(back);
	return until;
}

void
uaef_claim_release(int64 task_id, const pg_uuid_t *token)
{
	Oid			caller = GetUserId();
	UaefCaller	back = uaef_spi_begin();
	UaefStep   *step = begin_result(caller, token);
	UaefTask   *task = lock_claimed(step, task_id, token, caller);

	check_open(task, token);
	uaef_advance_release(task);
	uaef_step_write(step);
	uaef_spi_end(back);
}
