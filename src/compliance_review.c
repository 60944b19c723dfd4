/*-------------------------------------------------------------------------
 *
 * compliance_review.c
 *	  Reviews: people are asked to look at an execution before money leaves.
 *
 * Locking: the execution's row, then the review's, until the transaction ends.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "errcodes.h"
#include "json_util.h"
#include "ledger.h"
#include "own_execution.h"
#include "settlement_gate.h"
#include "spi_util.h"
#include "uuid7.h"

static UaefQuery insert_review = {
	"INSERT INTO uaef.compliance_review (execution_id, checkpoint, reason,"
	" reviewers, status, requested_by, requested_session, requested_at)"
	" VALUES ($1, $2, $3, $4, 'open', $5, $6, $7) RETURNING review_id",
	7, {UUIDOID, TEXTOID, TEXTOID, REGROLEOID, REGROLEOID, REGROLEOID,
	TIMESTAMPTZOID}
};

static UaefQuery find_execution = {
	"SELECT execution_id FROM uaef.compliance_review WHERE review_id = $1",
	1, {INT8OID}
};

static UaefQuery lock_review = {
	"SELECT r.status, coalesce(r.reviewers::oid, 0),"
	" coalesce(r.requested_by::oid, 0), coalesce(r.requested_session::oid, 0),"
	" e.initiated_by::oid, e.session_role::oid, r.checkpoint"
	" FROM uaef.compliance_review r"
	" JOIN uaef.workflow_execution e USING (execution_id)"
	" WHERE r.review_id = $1 FOR NO KEY UPDATE OF r",
	1, {INT8OID}
};

static UaefQuery close_review = {
	"UPDATE uaef.compliance_review SET status = $2, decided_by = $3,"
	" decided_session = $4, decided_at = $5, finding = $6"
	" WHERE review_id = $1",
	6, {INT8OID, TEXTOID, REGROLEOID, REGROLEOID, TIMESTAMPTZOID, TEXTOID}
};

static UaefQuery find_open_signals = {
	"SELECT signal_id FROM uaef.settlement_signal WHERE execution_id = $1"
	" AND status IN ('pending_approval', 'approved', 'scheduled')"
	" ORDER BY signal_id",
	1, {UUIDOID}
};

/* A review that is locked. */
typedef struct Review
{
	int64		review_id;
	pg_uuid_t	execution_id;
	char	   *status;
	Oid			reviewers;		/* 0: whoever may review */
	Oid			parties[4];		/* who asked for it, and who started */
	char	   *checkpoint;
} Review;

static void
record(const char *type, const pg_uuid_t *execution_id, int64 review_id,
	   const char *checkpoint, const char *reason, Oid actor)
{
	pg_uuid_t	stream = *execution_id;
	UaefEvent	event = {
		.type = type,
		.stream = &stream,
		.actor_type = OidIsValid(actor) ? "user" : "system"
	};
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_int(&json, "review_id", review_id);
	uaef_json_text(&json, "checkpoint", checkpoint);
	uaef_json_text(&json, "reason", reason);
	if (OidIsValid(actor))
		event.actor_id = GetUserNameFromId(actor, true);
	event.payload = uaef_json_end(&json);
	(void) uaef_ledger_append(&event, 1);
}

void
uaef_review_open(const pg_uuid_t *execution_id, const char *checkpoint,
				 const char *reason, Oid reviewers, Oid actor,
				 int64 *review_id)
{
	Datum		args[7];
	char		nulls[] = "       ";

	args[0] = UUIDPGetDatum(execution_id);
	args[1] = checkpoint ? CStringGetTextDatum(checkpoint) : (Datum) 0;
	nulls[1] = checkpoint ? ' ' : 'n';
	args[2] = CStringGetTextDatum(reason);
	args[3] = ObjectIdGetDatum(reviewers);
	nulls[3] = OidIsValid(reviewers) ? ' ' : 'n';
	args[4] = ObjectIdGetDatum(actor);
	args[5] = ObjectIdGetDatum(GetSessionUserId());
	nulls[4] = nulls[5] = OidIsValid(actor) ? ' ' : 'n';
	args[6] = TimestampTzGetDatum(uaef_clock_now());
	(void) uaef_spi_run(&insert_review, args, nulls);
	*review_id = uaef_spi_int64(0, 1);
	record("review_required", execution_id, *review_id, checkpoint, reason,
		   actor);
}

/*
 * What is owed and on its way to a payout is blocked; what is in one is past
 * that.
 */
static void
block_open_signals(const pg_uuid_t *execution_id, int64 review_id,
				   const char *reason)
{
	Datum		arg = UUIDPGetDatum(execution_id);
	int			n = (int) uaef_spi_run(&find_open_signals, &arg, NULL);
	int64	   *ids = palloc(Max(n, 1) * sizeof(int64));
	Jsonb	  **blocked = palloc(Max(n, 1) * sizeof(Jsonb *));
	JsonbParseState *state = NULL;
	JsonbValue	value;
	UaefJson	json;
	Jsonb	   *refusals;
	UaefSignal *signals;

	for (int i = 0; i < n; i++)
		ids[i] = uaef_spi_int64(i, 1);
	uaef_json_begin(&json);
	uaef_json_int(&json, "review", review_id);
	uaef_json_text(&json, "status", "open");
	uaef_json_text(&json, "reason", reason);
	(void) pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	JsonbToJsonbValue(uaef_json_end(&json), &value);
	(void) pushJsonbValue(&state, WJB_ELEM, &value);
	refusals = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
	for (int i = 0; i < n; i++)
		blocked[i] = refusals;
	if (n == 0)
		return;
	signals = uaef_signals_read(ids, n);
	uaef_settlement_block(signals, n, blocked, false);
}

int64
uaef_review_require(const pg_uuid_t *execution_id, const char *reason,
					Oid reviewers, Oid actor)
{
	UaefCaller	caller = uaef_spi_begin();
	UaefStep   *step = uaef_step_begin("user", GetUserNameFromId(actor, false));
	int64		review_id;

	uaef_signal_require_reason(reason);
	(void) uaef_lock_own_execution(step, execution_id, actor);
	uaef_review_open(execution_id, NULL, reason, reviewers, actor, &review_id);
	block_open_signals(execution_id, review_id, reason);
	uaef_spi_end(caller);
	return review_id;
}

static void
lock(Review *review)
{
	Datum		arg = Int64GetDatum(review->review_id);
	UaefStep   *step = uaef_step_begin("user", NULL);

	if (uaef_spi_run(&find_execution, &arg, NULL) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_REVIEW),
				 errmsg("review %lld does not exist",
						(long long) review->review_id)));
	review->execution_id = uaef_spi_uuid(0, 1);
	(void) uaef_lock_execution(step, &review->execution_id);
	(void) uaef_spi_run(&lock_review, &arg, NULL);
	review->status = uaef_spi_text(0, 1);
	review->reviewers = uaef_spi_oid(0, 2);
	for (int i = 0; i < 4; i++)
		review->parties[i] = uaef_spi_oid(0, 3 + i);
	review->checkpoint = uaef_spi_text(0, 7);
}

static void
check_reviewer(const Review *review, Oid actor)
{
	Oid			session = GetSessionUserId();

	if (strcmp(review->status, "open") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_REVIEW),
				 errmsg("review %lld is %s", (long long) review->review_id,
						review->status)));
	if (OidIsValid(review->reviewers) &&
		!has_privs_of_role(actor, review->reviewers))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to decide review %lld",
						(long long) review->review_id),
				 errdetail("Members of role \"%s\" may.",
						   GetUserNameFromId(review->reviewers, true))));
	for (int i = 0; i < 4; i++)
		if (OidIsValid(review->parties[i]) &&
			(review->parties[i] == actor || review->parties[i] == session))
			ereport(ERROR,
					(errcode(ERRCODE_UAEF_APPROVAL),
					 errmsg("who started an execution or asked for its review cannot decide it")));
}

const char *
uaef_review_decide(int64 review_id, bool passed, const char *finding,
				   Oid actor)
{
	Review		review = {.review_id = review_id};
	const char *status = passed ? "passed" : "failed";
	UaefCaller	caller = uaef_spi_begin();
	Datum		args[6];

	uaef_signal_require_reason(finding);
	lock(&review);
	check_reviewer(&review, actor);
	args[0] = Int64GetDatum(review_id);
	args[1] = CStringGetTextDatum(status);
	args[2] = ObjectIdGetDatum(actor);
	args[3] = ObjectIdGetDatum(GetSessionUserId());
	args[4] = TimestampTzGetDatum(uaef_clock_now());
	args[5] = CStringGetTextDatum(finding);
	(void) uaef_spi_run(&close_review, args, NULL);
	record(passed ? "review_passed" : "review_failed", &review.execution_id,
		   review_id, review.checkpoint, finding, actor);
	if (passed)
		(void) uaef_settlement_unblock(&review.execution_id);
	uaef_spi_end(caller);
	return status;
}
