/*-------------------------------------------------------------------------
 *
 * payout_send.c
 *	  Sending payouts: by connectors, and by workers outside.
 *
 * A payout is marked as being sent, with its fence, in a transaction that is
 * committed before anything leaves: a connector's by the queue of deliveries, a
 * worker's by the worker, who commits what it claimed.
 *
 * What a connector's delivery is told of is what it is sure of: that the
 * provider accepted or refused, or that nothing was sent.  All else is unknown.
 *
 * Locking: the payout's row, then its delivery's.  Memory: the current context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "delivery_queue.h"
#include "errcodes.h"
#include "http_status.h"
#include "json_util.h"
#include "model_answer.h"
#include "payout.h"
#include "spi_util.h"
#include "uuid7.h"

static UaefQuery find_batch = {
	"SELECT FROM uaef.payout_batch WHERE batch_id = $1",
	1, {INT8OID}
};

static UaefQuery find_sendable = {
	"SELECT p.payout_id FROM uaef.payout p"
	" JOIN uaef.payout_channel c ON c.name = p.channel"
	" WHERE p.batch_id = $1 AND p.status = 'reserved'"
	" AND p.hold_reason IS NULL AND c.kind = 'connector'"
	" ORDER BY p.payout_id",
	1, {INT8OID}
};

static UaefQuery find_claimable = {
	"SELECT payout_id FROM uaef.payout WHERE channel = $1"
	" AND hold_reason IS NULL AND (status = 'reserved'"
	"  OR status IN ('unknown', 'not_found_confirmed')"
	"  AND replay_at <= $2 AND replay_until > $2)"
	" ORDER BY payout_id LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED",
	3, {TEXTOID, TIMESTAMPTZOID, INT4OID}
};

static UaefQuery find_lost = {
	"SELECT payout_id FROM uaef.payout WHERE channel = $1"
	" AND status = 'sending' AND changed_at <= $2"
	" ORDER BY payout_id LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED",
	3, {TEXTOID, TIMESTAMPTZOID, INT4OID}
};

static UaefQuery find_leaving = {
	"SELECT status IN ('sending', 'unknown')"
	" AND (NOT $2 OR coalesce(replay_until > $3, false))"
	" FROM uaef.payout WHERE payout_id = $1",
	3, {UUIDOID, BOOLOID, TIMESTAMPTZOID}
};

static UaefQuery replay_now = {
	"UPDATE uaef.payout SET replay_at = $2 WHERE payout_id = $1",
	2, {UUIDOID, TIMESTAMPTZOID}
};

static pg_uuid_t *
read_ids(uint64 n)
{
	pg_uuid_t  *ids = palloc(Max(n, 1) * sizeof(pg_uuid_t));

	for (uint64 i = 0; i < n; i++)
		ids[i] = uaef_spi_uuid(i, 1);
	return ids;
}

/*
 * Queue the first delivery of a payout, or the same one once more.
 */
static void
deliver(UaefPayout *payout, const UaefPayoutChannel *channel, Oid actor)
{
	UaefDeliveryRequest request = {
		.connector = channel->connector,
		.role = actor,
		.payout_id = &payout->payout_id,
		.body = payout->body,
		.idempotent = channel->contract.native_key,
		.idempotency_key = payout->idempotency_key
	};

	if (payout->delivery_id == 0)
		payout->delivery_id = uaef_delivery_enqueue(&request);
	else if (!uaef_delivery_resend(payout->delivery_id))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_PAYOUT_STATE),
				 errmsg("delivery %lld of payout %s has not ended",
						(long long) payout->delivery_id,
						uaef_uuid_text(&payout->payout_id))));
}

int
uaef_payouts_send(int64 batch_id, Oid actor)
{
	UaefCaller	caller = uaef_spi_begin();
	Datum		arg = Int64GetDatum(batch_id);
	pg_uuid_t  *ids;
	int			n;
	int			sent = 0;

	if (uaef_spi_run(&find_batch, &arg, NULL) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_UNDEFINED_PAYOUT),
				 errmsg("batch %lld does not exist", (long long) batch_id)));
	n = (int) uaef_spi_run(&find_sendable, &arg, NULL);
	ids = read_ids(n);
	for (int i = 0; i < n; i++)
	{
		UaefPayoutChannel channel;
		UaefPayout	payout;

		uaef_payout_lock(&ids[i], &payout);
		if (payout.status != UAEF_PAYOUT_RESERVED || payout.hold_reason)
			continue;
		uaef_payout_check_body(&payout);
		uaef_payout_channel_get(payout.channel, &channel);
		deliver(&payout, &channel, actor);
		uaef_payout_sent(&payout, &channel, actor);
		sent++;
	}
	uaef_spi_end(caller);
	return sent;
}

/*----------
 * Workers
 * ----------
 */

/*
 * Whoever claimed these has not said what came of it.
 */
static void
give_up_lost(const char *channel, TimestampTz before, int max)
{
	Datum		args[3];
	pg_uuid_t  *ids;
	int			n;

	args[0] = CStringGetTextDatum(channel);
	args[1] = TimestampTzGetDatum(before);
	args[2] = Int32GetDatum(max);
	n = (int) uaef_spi_run(&find_lost, args, NULL);
	ids = read_ids(n);
	for (int i = 0; i < n; i++)
	{
		UaefPayout	payout;

		uaef_payout_lock(&ids[i], &payout);
		uaef_payout_move(&payout, UAEF_PAY_DOUBT, InvalidOid, "lease expired",
						 NULL);
	}
}

int
uaef_payouts_claim(const char *channel_name, int max, int64 lease_us,
				   Oid actor, UaefPayout **payouts)
{
	MemoryContext context = CurrentMemoryContext;
	UaefCaller	caller = uaef_spi_begin();
	TimestampTz now = uaef_clock_now();
	UaefPayoutChannel channel;
	Datum		args[3];
	pg_uuid_t  *ids;
	int			n;

	uaef_payout_channel_get(channel_name, &channel);
	uaef_payout_channel_require(&channel, actor);
	if (strcmp(channel.kind, "worker") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_PAYOUT_CHANNEL),
				 errmsg("payout channel \"%s\" is not for workers",
						channel_name)));
	give_up_lost(channel_name, now - lease_us, max);
	args[0] = CStringGetTextDatum(channel_name);
	args[1] = TimestampTzGetDatum(now);
	args[2] = Int32GetDatum(max);
	n = (int) uaef_spi_run(&find_claimable, args, NULL);
	ids = read_ids(n);
	*payouts = MemoryContextAlloc(context, Max(n, 1) * sizeof(UaefPayout));
	for (int i = 0; i < n; i++)
	{
		UaefPayout *payout = &(*payouts)[i];

		uaef_payout_lock(&ids[i], payout);
		uaef_payout_check_body(payout);
		uaef_payout_sent(payout, &channel, actor);
	}
	uaef_spi_end(caller);
	return n;
}

/*----------
 * Once more
 * ----------
 */

/*
 * After the time in which the provider is sure to know the key, another request
 * could be another payment: only people can find out then.
 */
UaefPayoutStatus
uaef_payout_replay(const pg_uuid_t *payout_id, Oid actor)
{
	UaefCaller	caller = uaef_spi_begin();
	TimestampTz now = uaef_clock_now();
	UaefPayoutChannel channel;
	UaefPayout	payout;
	Datum		args[2];

	uaef_payout_lock(payout_id, &payout);
	uaef_payout_channel_get(payout.channel, &channel);
	if (payout.status != UAEF_PAYOUT_UNKNOWN &&
		payout.status != UAEF_PAYOUT_NOT_FOUND)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_PAYOUT_STATE),
				 errmsg("payout %s is %s and is not sent again",
						uaef_uuid_text(payout_id),
						uaef_payout_status_name(payout.status))));
	uaef_payout_check_body(&payout);
	if (payout.replay_until <= now)
		uaef_payout_move(&payout, UAEF_PAY_REVIEW, actor,
						 "the key may be forgotten", NULL);
	else if (strcmp(channel.kind, "worker") == 0)
	{
		args[0] = UUIDPGetDatum(payout_id);
		args[1] = TimestampTzGetDatum(now);
		(void) uaef_spi_run(&replay_now, args, NULL);
	}
	else
	{
		deliver(&payout, &channel, actor);
		uaef_payout_sent(&payout, &channel, actor);
	}
	uaef_spi_end(caller);
	return payout.status;
}

/*----------
 * Deliveries
 * ----------
 */

/*
 * Attempts wait: for a connector that is paused, for a server that is down, for
 * a worker that is.  Meanwhile the key may have been forgotten, or somebody may
 * have said what became of the payout.
 */
bool
uaef_payout_may_leave(const pg_uuid_t *payout_id, bool again)
{
	UaefCaller	caller = uaef_spi_begin();
	Datum		args[3];
	bool		may;

	args[0] = UUIDPGetDatum(payout_id);
	args[1] = BoolGetDatum(again);
	args[2] = TimestampTzGetDatum(uaef_clock_now());
	may = uaef_spi_run(&find_leaving, args, NULL) > 0 && uaef_spi_bool(0, 1);
	uaef_spi_end(caller);
	return may;
}

static const char *
meaning(const UaefPayoutAnswer *answer)
{
	if (answer->succeeded)
		return "accepted";
	if (answer->uncertain)
		return "unknown";
	if (!answer->sent)
		return "not_sent";
	return uaef_http_status_refuses(answer->status) ? "rejected" : "unknown";
}

static Jsonb *
answer_detail(const UaefPayoutAnswer *answer)
{
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_int(&json, "delivery_id", answer->delivery_id);
	uaef_json_int(&json, "attempt", answer->attempt);
	if (answer->status != 0)
		uaef_json_int(&json, "status", answer->status);
	uaef_json_text(&json, "code", answer->code);
	return uaef_json_end(&json);
}

void
uaef_payout_answer(const pg_uuid_t *payout_id, const UaefPayoutAnswer *answer)
{
	UaefCaller	caller = uaef_spi_begin();
	UaefPayoutChannel channel;
	UaefPayout	payout;
	UaefEvidence evidence = {.kind = "delivery",.says = meaning(answer)};

	uaef_payout_lock(payout_id, &payout);
	uaef_payout_channel_get(payout.channel, &channel);
	evidence.fence = payout.fence;
	evidence.reference = uaef_answer_text(channel.contract.reference,
										  answer->body);
	evidence.detail = answer_detail(answer);
	(void) uaef_payout_take_evidence(&payout, &evidence);
	uaef_spi_end(caller);
}
