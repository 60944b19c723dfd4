/*-------------------------------------------------------------------------
 *
 * api_task.c
 *	  SQL entry points of tasks: fetch arguments, call, return.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

#include "arguments.h"
#include "claim.h"
#include "definition_read.h"
#include "errcodes.h"
#include "failure.h"
#include "json_util.h"
#include "payload_check.h"
#include "set_result.h"
#include "task_override.h"

#define CLAIM_COLUMNS 9

/* Most tasks that one call may claim. */
#define MAX_CLAIM 10000

/* Most pairs of queues and capabilities that one call may look at. */
#define MAX_CLAIM_QUEUES 1000

/* Longest wait of one call. */
#define MAX_WAIT_US (10 * USECS_PER_MINUTE)

static void
claim_row(const UaefClaim *claim, Datum *values, bool *nulls)
{
	memset(nulls, 0, sizeof(bool) * CLAIM_COLUMNS);
	values[0] = Int64GetDatum(claim->task_id);
	values[1] = UUIDPGetDatum(&claim->execution_id);
	values[2] = CStringGetTextDatum(claim->task);
	values[3] = Int32GetDatum(claim->attempt);
	values[4] = JsonbPGetDatum(claim->input);
	values[5] = UUIDPGetDatum(&claim->lease_token);
	values[6] = TimestampTzGetDatum(claim->lease_expires_at);
	values[7] = CStringGetTextDatum(claim->workflow);
	values[8] = Int32GetDatum(claim->item);
	nulls[8] = claim->item < 0;
}

static void
add_key(UaefClaimRequest *request, char *key)
{
	for (int i = 0; i < request->n_keys; i++)
		if (strcmp(request->keys[i], key) == 0)
			return;
	request->keys[request->n_keys++] = key;
}

/*
 * Raise for a name that nobody can have.
 */
static void
check_not_empty(const char *argument, const char *name)
{
	if (*name == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("empty name in \"%s\"", argument)));
}

/*
 * The queues of a request: each without, and with each of the capabilities.
 * queue and more are the places of the arguments "queue" and "queues", which
 * "capabilities" follows.
 */
static void
read_keys(FunctionCallInfo fcinfo, int queue, int more,
		  UaefClaimRequest *request)
{
	int			n_queues;
	int			n_capabilities;
	char	  **queues = uaef_arg_text_array_or_null(fcinfo, more, "queues",
													 &n_queues);
	char	  **capabilities = uaef_arg_text_array_or_null(fcinfo, more + 1,
														   "capabilities",
														   &n_capabilities);
	char	   *one;

	if (PG_ARGISNULL(more))
	{
		one = uaef_arg_text(fcinfo, queue, "queue");
		queues = &one;
		n_queues = 1;
	}
	if (n_queues == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"queues\" names no queue"),
				 errhint("Leave it out for the one that \"queue\" names.")));
	if ((int64) n_queues * (n_capabilities + 1) > MAX_CLAIM_QUEUES)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%d queues with %d capabilities are too many", n_queues,
						n_capabilities),
				 errdetail("Queues, times capabilities and one, can be %d at most.",
						   MAX_CLAIM_QUEUES)));
	request->keys = palloc(sizeof(char *) * n_queues * (n_capabilities + 1));
	for (int i = 0; i < n_queues; i++)
	{
		check_not_empty(PG_ARGISNULL(more) ? "queue" : "queues", queues[i]);
		add_key(request, uaef_queue_key(queues[i], NULL));
		for (int j = 0; j < n_capabilities; j++)
			add_key(request, uaef_queue_key(queues[i], capabilities[j]));
	}
}

/*
 * How long to wait for a task; 0: not at all.
 */
static int64
wait_arg(FunctionCallInfo fcinfo, int arg)
{
	int64		us = uaef_arg_interval_us_or_zero(fcinfo, arg, "wait");

	if (us > MAX_WAIT_US)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"wait\" can be 10 minutes at most"),
				 errdetail("A transaction that waits holds back VACUUM."),
				 errhint("Call claim_tasks() again.")));
	return us;
}

/*
 * What a worker asks for: its name is the first argument; queue is the place of
 * "queue", which "max_tasks", "lease", "queues" and "capabilities" follow.
 */
static void
read_request(FunctionCallInfo fcinfo, int queue, UaefClaimRequest *request)
{
	memset(request, 0, sizeof(*request));
	request->worker = uaef_arg_text(fcinfo, 0, "worker");
	check_not_empty("worker", request->worker);
	request->limit = uaef_arg_int32(fcinfo, queue + 1, "max_tasks");
	if (request->limit < 1 || request->limit > MAX_CLAIM)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"max_tasks\" must be between 1 and %d", MAX_CLAIM)));
	request->lease_us = uaef_arg_interval_us_or_zero(fcinfo, queue + 2,
													 "lease");
	read_keys(fcinfo, queue, queue + 3, request);
}

/*
 * uaef.claim_tasks(worker text, queue text, max_tasks int, lease interval,
 * queues text[], capabilities text[], wait interval) returns setof record
 */
PG_FUNCTION_INFO_V1(uaef_claim);
Datum
uaef_claim(PG_FUNCTION_ARGS)
{
	UaefClaimRequest request;
	UaefClaim  *claims;
	int			n;

	read_request(fcinfo, 1, &request);
	uaef_begin_set(fcinfo);
	claims = uaef_claim_wait(&request, wait_arg(fcinfo, 6), &n);
	for (int i = 0; i < n; i++)
	{
		Datum		values[CLAIM_COLUMNS];
		bool		nulls[CLAIM_COLUMNS];

		claim_row(&claims[i], values, nulls);
		uaef_put_row(fcinfo, values, nulls);
	}
	return (Datum) 0;
}

/*
 * The results of complete_tasks(), by three arrays of one length, of which the
 * first is argument arg.
 */
static UaefResult *
read_results(FunctionCallInfo fcinfo, int arg, int *n)
{
	static const Oid types[] = {INT8OID, JSONBOID, UUIDOID};
	Datum	   *values[3];
	bool	   *nulls[3];
	int			lengths[3];
	UaefResult *results;

	values[0] = uaef_array_elements(uaef_arg_array(fcinfo, arg, "task_ids"),
									types[0], "task_ids", &lengths[0]);
	deconstruct_array(uaef_arg_array(fcinfo, arg + 1, "outputs"), types[1],
					  -1, false, TYPALIGN_INT, &values[1], &nulls[1],
					  &lengths[1]);
	deconstruct_array(uaef_arg_array(fcinfo, arg + 2, "lease_tokens"), types[2],
					  UUID_LEN, false, TYPALIGN_CHAR, &values[2], &nulls[2],
					  &lengths[2]);
	if (lengths[0] != lengths[1] || lengths[0] != lengths[2] ||
		lengths[0] > MAX_CLAIM)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("\"task_ids\", \"outputs\" and \"lease_tokens\" must be of one length, at most %d",
						MAX_CLAIM),
				 errdetail("They have %d, %d and %d elements.",
						   lengths[0], lengths[1], lengths[2])));
	*n = lengths[0];
	results = palloc0(sizeof(UaefResult) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
	{
		results[i].task_id = DatumGetInt64(values[0][i]);
		results[i].output = nulls[1][i] ? uaef_json_empty() :
			DatumGetJsonbP(values[1][i]);
		results[i].has_token = !nulls[2][i];
		if (results[i].has_token)
			results[i].token = *DatumGetUUIDP(values[2][i]);
	}
	return results;
}

/*
 * Why a result was refused: code, message.
 */
static void
refusal(const UaefResult *result, Datum *values)
{
	values[0] = CStringGetTextDatum(unpack_sql_state(result->sqlstate));
	values[1] = CStringGetTextDatum(result->message);
}

/*
 * Complete tasks, and return what became of each.
 */
static void
complete_many(FunctionCallInfo fcinfo, UaefResult *results, int n)
{
	uaef_begin_set(fcinfo);
	(void) uaef_claim_exchange(results, n, NULL, NULL);
	for (int i = 0; i < n; i++)
	{
		bool		completed = results[i].sqlstate == 0;
		Datum		values[4] = {Int64GetDatum(results[i].task_id)};
		bool		nulls[4] = {false, false, completed, completed};

		values[1] = BoolGetDatum(completed);
		if (!completed)
			refusal(&results[i], &values[2]);
		uaef_put_row(fcinfo, values, nulls);
	}
}

/*
 * uaef.complete_tasks(task_ids bigint[], outputs jsonb[], lease_tokens uuid[])
 * returns setof (task_id bigint, completed bool, code text, message text)
 */
PG_FUNCTION_INFO_V1(uaef_complete_tasks);
Datum
uaef_complete_tasks(PG_FUNCTION_ARGS)
{
	int			n;
	UaefResult *results = read_results(fcinfo, 0, &n);

	complete_many(fcinfo, results, n);
	return (Datum) 0;
}

/*
 * uaef.complete_and_claim(worker text, task_ids bigint[], outputs jsonb[],
 * lease_tokens uuid[], queue text, max_tasks int, lease interval, queues text[],
 * capabilities text[]) returns setof record: the tasks claimed, then the results
 * refused
 */
PG_FUNCTION_INFO_V1(uaef_complete_and_claim);
Datum
uaef_complete_and_claim(PG_FUNCTION_ARGS)
{
	Datum		values[CLAIM_COLUMNS + 2];
	bool		nulls[CLAIM_COLUMNS + 2];
	UaefClaimRequest request;
	UaefClaim  *claims;
	int			n_claims;
	int			n;
	UaefResult *results = read_results(fcinfo, 1, &n);

	read_request(fcinfo, 4, &request);
	uaef_begin_set(fcinfo);
	claims = uaef_claim_exchange(results, n, &request, &n_claims);
	memset(nulls, true, sizeof(nulls));
	for (int i = 0; i < n_claims; i++)
	{
		claim_row(&claims[i], values, nulls);
		uaef_put_row(fcinfo, values, nulls);
	}
	memset(nulls, true, sizeof(nulls));
	for (int i = 0; i < n; i++)
	{
		if (results[i].sqlstate == 0)
			continue;
		values[0] = Int64GetDatum(results[i].task_id);
		refusal(&results[i], &values[CLAIM_COLUMNS]);
		nulls[0] = nulls[CLAIM_COLUMNS] = nulls[CLAIM_COLUMNS + 1] = false;
		uaef_put_row(fcinfo, values, nulls);
	}
	return (Datum) 0;
}

static int64
read_task_id(const UaefObject *object)
{
	JsonbValue	value;
	char	   *digits;
	char	   *end;
	int64		task_id;

	if (!uaef_read_value(object, "task_id", &value) ||
		value.type != jbvNumeric)
		uaef_read_wrong(object, "task_id", "a number");
	digits = numeric_normalize(value.val.numeric);
	errno = 0;
	task_id = strtoll(digits, &end, 10);
	if (*end != '\0' || errno != 0)
		uaef_read_wrong(object, "task_id", "the number of a task");
	return task_id;
}

/*
 * A result of complete_tasks(), by an object.
 */
static void
read_result(JsonbValue *value, const char *where, UaefResult *result)
{
	static const char *const keys[] = {
		"task_id", "output", "lease_token", NULL
	};
	UaefObject	object = uaef_read_object(NULL, value, keys, where);
	JsonbValue	output;
	char	   *token;

	result->task_id = read_task_id(&object);
	result->output = uaef_read_value(&object, "output", &output) ?
		uaef_json_from_value(&output) : uaef_json_empty();
	token = uaef_read_text(&object, "lease_token", false);
	result->has_token = token != NULL;
	if (token != NULL)
		result->token = *DatumGetUUIDP(DirectFunctionCall1(uuid_in,
														   CStringGetDatum(token)));
}

/*
 * All of them, before anything is done; raises 22023, and 22P02 for a token, with
 * the place.
 */
static UaefResult *
read_result_list(JsonbContainer *list, int n)
{
	MemoryContext context = CurrentMemoryContext;
	UaefResult *results = palloc0(sizeof(UaefResult) * Max(n, 1));
	volatile int no = 0;

	PG_TRY();
	{
		for (; no < n; no++)
		{
			JsonbValue	value = uaef_read_element(list, no);

			read_result(&value, psprintf("result %d", no + 1), &results[no]);
		}
	}
	PG_CATCH();
	{
		if (geterrcode() == ERRCODE_INVALID_TEXT_REPRESENTATION)
			uaef_read_rethrow(context, psprintf("\"lease_token\" in result %d",
												no + 1), NULL);
		uaef_read_rethrow_argument(context);
	}
	PG_END_TRY();
	return results;
}

/*
 * uaef.complete_tasks(results jsonb)
 * returns setof (task_id bigint, completed bool, code text, message text)
 */
PG_FUNCTION_INFO_V1(uaef_complete_tasks_json);
Datum
uaef_complete_tasks_json(PG_FUNCTION_ARGS)
{
	Jsonb	   *list = uaef_arg_jsonb(fcinfo, 0, "results");
	int			n = JB_ROOT_COUNT(list);
	UaefResult *results;

	if (!JB_ROOT_IS_ARRAY(list) || JB_ROOT_IS_SCALAR(list) || n > MAX_CLAIM)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"results\" must be an array of at most %d objects",
						MAX_CLAIM)));
	results = read_result_list(&list->root, n);
	complete_many(fcinfo, results, n);
	return (Datum) 0;
}

/* uaef.release_task(task_id bigint, lease_token uuid) returns void */
PG_FUNCTION_INFO_V1(uaef_release_task);
Datum
uaef_release_task(PG_FUNCTION_ARGS)
{
	uaef_claim_release(uaef_arg_int64(fcinfo, 0, "task_id"),
					   uaef_arg_uuid(fcinfo, 1, "lease_token"));
	PG_RETURN_VOID();
}

/* uaef.complete_task(task_id bigint, output jsonb, lease_token uuid) */
PG_FUNCTION_INFO_V1(uaef_complete_task);
Datum
uaef_complete_task(PG_FUNCTION_ARGS)
{
	uaef_claim_complete(uaef_arg_int64(fcinfo, 0, "task_id"),
						PG_ARGISNULL(1) ? uaef_json_empty() :
						PG_GETARG_JSONB_P(1),
						uaef_arg_uuid_or_null(fcinfo, 2));
	PG_RETURN_VOID();
}

/*
 * The code that a worker gives to a failure.
 */
static const char *
failure_code(FunctionCallInfo fcinfo, int i)
{
	char	   *code = PG_ARGISNULL(i) ? "task_error" :
		text_to_cstring(PG_GETARG_TEXT_PP(i));

	if (!uaef_is_failure_code(code))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is no code of an error", uaef_clip(code)),
				 errhint("Give a word of small letters, digits and \"_\" such as paper_jam, or a SQLSTATE.")));
	return code;
}

/*
 * uaef.fail_task(task_id bigint, error text, retryable bool,
 * lease_token uuid, code text, details jsonb) returns text
 */
PG_FUNCTION_INFO_V1(uaef_fail_task);
Datum
uaef_fail_task(PG_FUNCTION_ARGS)
{
	int64		task_id = uaef_arg_int64(fcinfo, 0, "task_id");
	UaefFailure failure = {0};
	const char *status;

	failure.message = PG_ARGISNULL(1) ? "failed" :
		uaef_clip(text_to_cstring(PG_GETARG_TEXT_PP(1)));
	failure.transient = PG_ARGISNULL(2) || PG_GETARG_BOOL(2);
	failure.code = failure_code(fcinfo, 4);
	failure.details = uaef_arg_jsonb_or_null(fcinfo, 5);
	if (failure.details != NULL)
		uaef_check_payload("details of the failure", failure.details);
	status = uaef_claim_fail(task_id, &failure,
							 uaef_arg_uuid_or_null(fcinfo, 3));
	PG_RETURN_TEXT_P(cstring_to_text(status));
}

/*
 * uaef.heartbeat_task(task_id bigint, lease_token uuid, extend interval,
 * progress jsonb) returns timestamptz
 */
PG_FUNCTION_INFO_V1(uaef_heartbeat_task);
Datum
uaef_heartbeat_task(PG_FUNCTION_ARGS)
{
	PG_RETURN_TIMESTAMPTZ(uaef_claim_heartbeat(uaef_arg_int64(fcinfo, 0,
															  "task_id"),
											   uaef_arg_uuid(fcinfo, 1,
															 "lease_token"),
											   uaef_arg_interval_us(fcinfo, 2,
																	"extend"),
											   uaef_arg_jsonb_or_null(fcinfo,
																	  3)));
}

/*
 * uaef.alter_task(execution_id uuid, task text, retry jsonb,
 * timeout interval, priority int, queue text, reason text)
 */
PG_FUNCTION_INFO_V1(uaef_alter_task);
Datum
uaef_alter_task(PG_FUNCTION_ARGS)
{
	UaefTaskChange change = {0};

	change.retry = uaef_arg_jsonb_or_null(fcinfo, 2);
	change.timeout_ms = PG_ARGISNULL(3) ? -1 :
		uaef_interval_us(PG_GETARG_INTERVAL_P(3), "timeout", true) / 1000;
	change.has_priority = !PG_ARGISNULL(4);
	if (change.has_priority)
		change.priority = PG_GETARG_INT32(4);
	change.queue = uaef_arg_text_or_null(fcinfo, 5);
	uaef_task_alter(uaef_arg_uuid(fcinfo, 0, "execution_id"),
					uaef_arg_text(fcinfo, 1, "task"), &change,
					uaef_arg_text_or_null(fcinfo, 6));
	PG_RETURN_VOID();
}

/* uaef.retry_task_now(task_id bigint) */
PG_FUNCTION_INFO_V1(uaef_retry_task_now);
Datum
uaef_retry_task_now(PG_FUNCTION_ARGS)
{
	uaef_task_retry_now(uaef_arg_int64(fcinfo, 0, "task_id"));
	PG_RETURN_VOID();
}
