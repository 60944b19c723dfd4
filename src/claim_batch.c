/*-------------------------------------------------------------------------
 *
 * claim_batch.c
 *	  Results of many tasks, and claims of others, in one step.
 *
 * Tasks to claim are taken out of the ready set first (claim.c).  Then all executions are locked at once, in their order, and written at once.  What
 * is wrong with one result is told in its row, for a worker that has lost one
 * lease has not lost the others.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "miscadmin.h"

#include "advance.h"
#include "claim.h"
#include "errcodes.h"
#include "guc.h"
#include "spi_util.h"

static UaefQuery find_tasks = {
	"SELECT task_id, execution_id, task_no, item FROM uaef.task_execution"
	" WHERE task_id = ANY ($1) ORDER BY task_id",
	1, {INT8ARRAYOID}
};

/* Where a task is. */
typedef struct Place
{
	int64		task_id;
	UaefTaskRef ref;
} Place;

static int
compare_places(const void *a, const void *b)
{
	int64		left = ((const Place *) a)->task_id;
	int64		right = ((const Place *) b)->task_id;

	return left < right ? -1 : left > right ? 1 : 0;
}

/*
 * Find tasks by their ids; in the order of these.
 */
static Place *
find_places(const UaefResult *results, int n, int *found)
{
	Datum	   *ids = palloc(sizeof(Datum) * n);
	Datum		arg;
	Place	   *places;

	for (int i = 0; i < n; i++)
		ids[i] = Int64GetDatum(results[i].task_id);
	arg = uaef_array(ids, NULL, n, INT8OID);
	*found = (int) uaef_spi_run(&find_tasks, &arg, NULL);
	places = palloc(sizeof(Place) * Max(*found, 1));
	for (int i = 0; i < *found; i++)
	{
		bool		isnull;

		places[i].task_id = uaef_spi_int64(i, 1);
		places[i].ref.execution_id = uaef_spi_uuid(i, 2);
		places[i].ref.task_no = DatumGetInt16(uaef_spi_value(i, 3, &isnull));
		places[i].ref.item = uaef_spi_int32(i, 4);
	}
	return places;
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
complete_all(UaefStep *step, UaefResult *results, int n, const Place *places,
			 int found)
{
	for (int i = 0; i < n; i++)
	{
		Place		key = {.task_id = results[i].task_id};
		Place	   *place = bsearch(&key, places, found, sizeof(Place),
									compare_places);
		UaefExecution *execution = place == NULL ? NULL :
			uaef_step_execution(step, &place->ref.execution_id);
		UaefTask   *task = execution == NULL ? NULL :
			uaef_execution_find(execution, place->ref.task_no,
								place->ref.item);

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
	Place	   *places = NULL;
	int			taken = 0;
	int			found = 0;

	/* What is claimed and said is returned, so it must outlive SPI's context. */
	MemoryContextSwitchTo(context);
	step = uaef_step_begin("worker", GetUserNameFromId(caller, false));
	if (request != NULL)
		taken = uaef_claim_take(request, refs);
	if (n > 0)
		places = find_places(results, n, &found);
	for (int i = 0; i < found; i++)
		refs[taken + i] = places[i].ref;
	lock_tasks(step, refs, taken + found);

	if (n > 0)
	{
		complete_all(step, results, n, places, found);
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
