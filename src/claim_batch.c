/*-------------------------------------------------------------------------
 *
 * claim_batch.c
 *	  Results of many tasks, and claims of others, in one step.
 *
 * Tasks to claim are taken out of the ready set first (claim.c).  Then all
 * executions are locked at once, in their order, and written at once.  What is
 * wrong with one result is told in its row, for a worker that has lost one lease
 * has not lost the others.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/fmgroids.h"

#include "advance.h"
#include "claim.h"
#include "errcodes.h"
#include "execution_row.h"
#include "guc.h"
#include "spi_util.h"
#include "table_scan.h"

/* Longest name of a worker, in bytes: it stands in the ledger for ever. */
#define MAX_WORKER_NAME 255

static void
check_worker(const char *name)
{
	if (strlen(name) > MAX_WORKER_NAME)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("name of the worker is too long"),
				 errdetail("It has %zu bytes, and may have %d.", strlen(name),
						   MAX_WORKER_NAME)));
}

/*
 * Find tasks by their ids: places[i] is which of refs is that of results[i], -1
 * where there is no such task.  Returns how many refs there are.
 */
static int
find_tasks(const UaefResult *results, int n, UaefTaskRef *refs, int *places)
{
	UaefScan	scan;
	ScanKeyData key;
	int			found = 0;

	for (int i = 0; i < n; i++)
	{
		UaefTaskRef *ref = &refs[found];

		ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_INT8EQ,
					Int64GetDatum(results[i].task_id));
		if (i == 0)
			uaef_scan_begin_now(&scan, "task_execution",
								"task_execution_task_id", 1, &key);
		else
			uaef_scan_again(&scan, 1, &key);
		places[i] = -1;
		if (!uaef_scan_next(&scan, ForwardScanDirection))
			continue;
		places[i] = found++;
		memset(ref, 0, sizeof(*ref));
		(void) uaef_row_uuid(scan.slot, TASK_EXECUTION_ID + 1,
							 &ref->execution_id);
		ref->task_no = DatumGetInt16(uaef_scan_value(&scan,
													 TASK_TASK_NO + 1));
		ref->item = DatumGetInt32(uaef_scan_value(&scan, TASK_ITEM + 1));
	}
	if (n > 0)
		uaef_scan_end(&scan);
	return found;
}

static void
refuse(UaefResult *result, int sqlstate, const char *message)
{
	result->sqlstate = sqlstate;
	result->message = message;
}

/*
 * Complete one task, or say why not.
 */
static void
complete_one(UaefTask *task, UaefResult *result)
{
	if (VARSIZE(result->output) > (Size) uaef_max_payload_kb * 1024)
		refuse(result, ERRCODE_UAEF_TOO_LARGE, "output is too large");
	else if (task->def->type != UAEF_TASK_EXTERNAL)
		refuse(result, ERRCODE_UAEF_ILLEGAL_TRANSITION,
			   psprintf("task is of type %s",
						uaef_task_type_name(task->def->type)));
	else if (!result->has_token || !task->has_lease ||
			 memcmp(&result->token, &task->lease_token,
					sizeof(pg_uuid_t)) != 0)
		refuse(result, ERRCODE_UAEF_LEASE_LOST,
			   "lease token is not that of the task");
	else if (task->status == UAEF_TASK_RUNNING)
	{
		if (!uaef_advance_result(task, result->output))
			refuse(result, ERRCODE_UAEF_SCHEMA_MISMATCH,
				   uaef_json_get_text(task->error, "message"));
	}
	else if (!uaef_claim_completed_so(task, result->output, &result->token))
		refuse(result, ERRCODE_UAEF_ILLEGAL_TRANSITION,
			   psprintf("task is %s", uaef_task_status_name(task->status)));
}

/*
 * Complete tasks that the step has locked.
 */
static void
complete_all(UaefStep *step, UaefResult *results, int n,
			 const UaefTaskRef *refs, const int *places)
{
	for (int i = 0; i < n; i++)
	{
		const UaefTaskRef *ref = places[i] < 0 ? NULL : &refs[places[i]];
		UaefExecution *execution = ref == NULL ? NULL :
			uaef_step_execution(step, &ref->execution_id);
		UaefTask   *task = execution == NULL ? NULL :
			uaef_execution_find(execution, ref->task_no, ref->item);

		if (task == NULL)
			refuse(&results[i], ERRCODE_UAEF_UNDEFINED_TASK,
				   "task does not exist");
		else
			complete_one(task, &results[i]);
	}
}

/*
 * Lock the executions of tasks, all at once, and look at the tasks.
 */
static void
lock_tasks(UaefStep *step, const UaefTaskRef *refs, int n)
{
	pg_uuid_t  *ids = palloc(sizeof(pg_uuid_t) * Max(n, 1));

	for (int i = 0; i < n; i++)
		ids[i] = refs[i].execution_id;
	if (n > 0)
		uaef_step_lock(step, ids, n);
	uaef_step_fetch(step, refs, n);
}

/*
 * What the results set free is in the ready set only when the step has been
 * written, so it is not among what is taken.
 */
UaefClaim *
uaef_claim_exchange(UaefResult *results, int n,
					const UaefClaimRequest *request, int *n_claims)
{
	MemoryContext context = CurrentMemoryContext;
	int			limit = request == NULL ? 0 : request->limit;
	UaefTaskRef *refs = palloc(sizeof(UaefTaskRef) * (limit + n + 1));
	UaefClaim  *claims = palloc0(sizeof(UaefClaim) * (limit + 1));
	Oid			caller = GetUserId();
	UaefCaller	back = uaef_spi_begin();
	UaefStep   *step;
	int		   *places = palloc(sizeof(int) * (n + 1));
	int			taken = 0;
	int			found;

	if (request != NULL)
		check_worker(request->worker);

	/* What is claimed and said is returned, so it must outlive SPI's context. */
	MemoryContextSwitchTo(context);
	step = uaef_step_begin("worker", GetUserNameFromId(caller, false));
	if (request != NULL)
		taken = uaef_claim_take(request, refs);
	found = find_tasks(results, n, refs + taken, places);
	lock_tasks(step, refs, taken + found);

	if (n > 0)
	{
		complete_all(step, results, n, refs + taken, places);
		uaef_step_end_notes(step);
	}
	if (request != NULL)
	{
		step->actor_id = request->worker;
		*n_claims = uaef_claim_lease(step, request, refs, taken, claims);
	}
	if (taken + found > 0)
		uaef_step_write(step);
	uaef_spi_end(back);
	return claims;
}
