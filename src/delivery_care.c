/*-------------------------------------------------------------------------
 *
 * delivery_care.c
 *	  What people do about deliveries that did not go well.
 *
 * A delivery that is sent again keeps its key and its log, and has all the
 * attempts of its retry policy before it once more.  Its task, if it had one,
 * has ended and stays as it is.  That of a payout is its payout's alone: after
 * the time in which its provider is sure to know the key, or when its money was
 * given free, the same request would be another payment.
 *
 * Locking: the rows of the deliveries.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "connector_config.h"
#include "delivery_care.h"
#include "errcodes.h"
#include "failure.h"
#include "json_util.h"
#include "ledger.h"
#include "spi_util.h"
#include "uuid7.h"
#include "wake.h"

#define AGAIN \
	" status = 'retry', next_attempt_at = $1, finished_at = NULL," \
	" cancel_requested = false, attempts_before = attempt," \
	" free_attempts = 0"

static UaefQuery lock_delivery = {
	"SELECT role, status, payout_id FROM uaef.delivery"
	" WHERE delivery_id = $1 FOR UPDATE",
	1, {INT8OID}
};

static UaefQuery replay_one = {
	"UPDATE uaef.delivery SET" AGAIN " WHERE delivery_id = $2",
	2, {TIMESTAMPTZOID, INT8OID}
};

static UaefQuery replay_all = {
	"UPDATE uaef.delivery SET" AGAIN
	" WHERE delivery_id IN (SELECT d.delivery_id FROM uaef.delivery d"
	"  WHERE d.status IN ('failed', 'in_doubt', 'cancelled')"
	"  AND d.status = ANY ($2) AND d.task_id IS NULL AND d.anchor IS NULL"
	"  AND d.payout_id IS NULL"
	"  AND ($3 IS NULL OR d.connector = $3)"
	"  AND d.finished_at >= $4 AND d.finished_at < $5"
	"  AND ($6 IS NULL OR d.error ->> 'code' = $6)"
	"  AND pg_catalog.pg_has_role($7, d.role, 'USAGE')"
	"  ORDER BY d.delivery_id LIMIT $8 FOR UPDATE SKIP LOCKED)"
	" RETURNING delivery_id",
	8, {TIMESTAMPTZOID, TEXTARRAYOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID,
	TEXTOID, OIDOID, INT4OID}
};

static UaefQuery resolve = {
	"UPDATE uaef.delivery SET status = $2, finished_at = $3,"
	" error = CASE WHEN $2 = 'failed' THEN error END"
	" WHERE delivery_id = $1",
	3, {INT8OID, TEXTOID, TIMESTAMPTZOID}
};

static char *lock(int64 delivery_id, Oid user);
static void record(const char *type, Oid user, UaefJson *json);

/*
 * Lock a delivery and return its status; raises when the user has no part in
 * it, or it is a payout's.
 */
static char *
lock(int64 delivery_id, Oid user)
{
	Datum		args[1];
	bool		isnull;

	args[0] = Int64GetDatum(delivery_id);
	if (uaef_spi_run(&lock_delivery, args, NULL) == 0 ||
		!has_privs_of_role(user, uaef_spi_oid(0, 1)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there is no delivery %lld of yours",
						(long long) delivery_id)));
	(void) uaef_spi_value(0, 3, &isnull);
	if (!isnull)
	{
		pg_uuid_t	payout_id = uaef_spi_uuid(0, 3);

		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("delivery %lld is of payout %s, which decides about it",
						(long long) delivery_id,
						uaef_uuid_text(&payout_id)),
				 errhint("Use uaef.replay_payout() or uaef.resolve_payout().")));
	}
	return uaef_spi_text(0, 2);
}

static void
record(const char *type, Oid user, UaefJson *json)
{
	uaef_ledger_note_user(type, user, uaef_json_end(json));
}

void
uaef_delivery_replay(int64 delivery_id)
{
	Oid			user = GetUserId();
	UaefCaller	caller = uaef_spi_begin();
	char	   *status = lock(delivery_id, user);
	Datum		args[2];
	UaefJson	json;

	if (strcmp(status, "failed") != 0 && strcmp(status, "in_doubt") != 0 &&
		strcmp(status, "cancelled") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("delivery %lld is %s and cannot be sent again",
						(long long) delivery_id, status),
				 errhint("Only what has failed, is in doubt or was cancelled can be sent again.")));
	args[0] = TimestampTzGetDatum(uaef_clock_now());
	args[1] = Int64GetDatum(delivery_id);
	(void) uaef_spi_run(&replay_one, args, NULL);
	uaef_json_begin(&json);
	uaef_json_int(&json, "delivery_id", delivery_id);
	uaef_json_text(&json, "was", status);
	record("delivery_replayed", user, &json);
	uaef_wake_worker_on_commit(UAEF_WAKE_HTTP);
	uaef_spi_end(caller);
}

/*
 * Names that fit nothing are mistakes, and not an empty answer.
 */
static void
check_filter(const UaefReplayFilter *filter)
{
	static const char *const known[] = {"failed", "in_doubt", "cancelled"};
	UaefConnector connector;
	Datum	   *words;
	bool	   *nulls;
	int			n;

	if (filter->max_deliveries < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_deliveries must be at least 1")));
	if (filter->connector != NULL)
		uaef_connector_load(filter->connector, &connector);
	deconstruct_array(filter->status, TEXTOID, -1, false, TYPALIGN_INT,
					  &words, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		char	   *word = nulls[i] ? NULL : TextDatumGetCString(words[i]);
		int			k = 0;

		while (k < lengthof(known) && (word == NULL || strcmp(word, known[k]) != 0))
			k++;
		if (k == lengthof(known))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("deliveries of status \"%s\" cannot be sent again",
							word == NULL ? "null" : uaef_clip(word)),
					 errhint("Only what has failed, is in doubt or was cancelled can be sent again: failed, in_doubt, cancelled.")));
	}
}

int64
uaef_delivery_replay_all(const UaefReplayFilter *filter)
{
	Oid			user = GetUserId();
	UaefCaller	caller = uaef_spi_begin();
	Datum		args[8];
	char		nulls[9] = "        ";
	int64		n;

	check_filter(filter);
	args[0] = TimestampTzGetDatum(uaef_clock_now());
	args[1] = PointerGetDatum(filter->status);
	args[2] = filter->connector ? CStringGetTextDatum(filter->connector)
		: (Datum) 0;
	nulls[2] = filter->connector ? ' ' : 'n';
	args[3] = TimestampTzGetDatum(filter->since);
	args[4] = TimestampTzGetDatum(filter->until);
	args[5] = filter->error_code ? CStringGetTextDatum(filter->error_code)
		: (Datum) 0;
	nulls[5] = filter->error_code ? ' ' : 'n';
	args[6] = ObjectIdGetDatum(user);
	args[7] = Int32GetDatum(filter->max_deliveries);
	n = (int64) uaef_spi_run(&replay_all, args, nulls);
	if (n > 0)
	{
		UaefJson	json;
		char	  **ids = palloc(n * sizeof(char *));

		for (int64 i = 0; i < n; i++)
			ids[i] = psprintf("%lld", (long long) uaef_spi_int64(i, 1));
		uaef_json_begin(&json);
		uaef_json_text(&json, "connector", filter->connector);
		uaef_json_texts(&json, "deliveries", ids, (int) n);
		record("deliveries_replayed", user, &json);
		uaef_wake_worker_on_commit(UAEF_WAKE_HTTP);
	}
	uaef_spi_end(caller);
	return n;
}

void
uaef_delivery_resolve(int64 delivery_id, bool succeeded, const char *reason)
{
	Oid			user = GetUserId();
	UaefCaller	caller = uaef_spi_begin();
	char	   *status = lock(delivery_id, user);
	const char *outcome = succeeded ? "succeeded" : "failed";
	Datum		args[3];
	UaefJson	json;

	if (strcmp(status, "in_doubt") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("delivery %lld is %s, not in doubt",
						(long long) delivery_id, status)));
	args[0] = Int64GetDatum(delivery_id);
	args[1] = CStringGetTextDatum(outcome);
	args[2] = TimestampTzGetDatum(uaef_clock_now());
	(void) uaef_spi_run(&resolve, args, NULL);
	uaef_json_begin(&json);
	uaef_json_int(&json, "delivery_id", delivery_id);
	uaef_json_text(&json, "outcome", outcome);
	uaef_json_text(&json, "reason", reason);
	record("delivery_resolved", user, &json);
	uaef_spi_end(caller);
}
