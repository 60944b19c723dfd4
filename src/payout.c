/*-------------------------------------------------------------------------
 *
 * payout.c
 *	  Payouts: locking and moving them, and taking evidence about them.
 *
 * Memory: what is read lies in the context that was current at
 * uaef_spi_begin(), or in the current one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "delivery_queue.h"
#include "digest.h"
#include "errcodes.h"
#include "json_util.h"
#include "ledger.h"
#include "payout.h"
#include "settlement_book.h"
#include "spi_util.h"
#include "uuid7.h"

/* How long one waits to be sent again; each time twice as long. */
#define FIRST_REPLAY_US (10 * USECS_PER_SEC)

static UaefQuery lock_payout = {
	"SELECT payout_id, batch_id, channel, recipient, currency, amount_minor,"
	" amount, status, idempotency_key, end_to_end_id, body, body_digest, fence,"
	" coalesce(delivery_id, 0), external_ref, first_sent_at, replay_until,"
	" hold_reason, hold_id FROM uaef.payout WHERE payout_id = $1 FOR NO KEY UPDATE",
	1, {UUIDOID}
};

static UaefQuery update_payout = {
	"UPDATE uaef.payout SET status = $2, external_ref = $3, fence = $4,"
	" first_sent_at = $5, replay_until = $6, hold_reason = $7,"
	" delivery_id = nullif($8, 0), changed_at = $9, replay_at = $10,"
	" hold_id = $11 WHERE payout_id = $1",
	11, {UUIDOID, TEXTOID, TEXTOID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID,
	TEXTOID, INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID}
};

static UaefQuery find_legs = {
	"SELECT signal_id FROM uaef.payout_leg WHERE payout_id = $1 AND live"
	" ORDER BY signal_id",
	1, {UUIDOID}
};

static UaefQuery free_legs = {
	"UPDATE uaef.payout_leg SET live = false WHERE payout_id = $1",
	1, {UUIDOID}
};

static UaefQuery free_reversals = {
	"UPDATE uaef.settlement_reversal SET payout_id = NULL"
	" WHERE payout_id = $1",
	1, {UUIDOID}
};

static UaefQuery insert_evidence = {
	"INSERT INTO uaef.payout_evidence (payout_id, kind, says, source_key,"
	" fence, reference, detail, status_before, status_after, applied, actor,"
	" session_role, recorded_at) VALUES ($1, $2, $3, $4, nullif($5, 0), $6, $7,"
	" $8, $9, $10, $11, $12, $13)",
	13, {UUIDOID, TEXTOID, TEXTOID, TEXTOID, INT4OID, TEXTOID, JSONBOID,
	TEXTOID, TEXTOID, BOOLOID, REGROLEOID, REGROLEOID, TIMESTAMPTZOID}
};

static UaefQuery find_evidence = {
	"SELECT payout_id FROM uaef.payout_evidence"
	" WHERE kind = $1 AND source_key = $2",
	2, {TEXTOID, TEXTOID}
};

/*----------
 * Reading and writing
 * ----------
 */

static Numeric
read_numeric(uint64 row, int column)
{
	bool		isnull;

	return DatumGetNumericCopy(uaef_spi_value(row, column, &isnull));
}

void
uaef_payout_lock(const pg_uuid_t *payout_id, UaefPayout *payout)
{
	Datum		arg = UUIDPGetDatum(payout_id);

	if (uaef_spi_run(&lock_payout, &arg, NULL) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_UNDEFINED_PAYOUT),
				 errmsg("payout %s does not exist",
						uaef_uuid_text(payout_id))));
	memset(payout, 0, sizeof(*payout));
	payout->payout_id = uaef_spi_uuid(0, 1);
	payout->batch_id = uaef_spi_int64(0, 2);
	payout->channel = uaef_spi_text(0, 3);
	payout->recipient = uaef_spi_text(0, 4);
	payout->currency = uaef_spi_text(0, 5);
	payout->minor = read_numeric(0, 6);
	payout->amount = read_numeric(0, 7);
	payout->status = uaef_payout_status_by_name(uaef_spi_text(0, 8));
	payout->idempotency_key = uaef_spi_text(0, 9);
	payout->end_to_end_id = uaef_spi_text(0, 10);
	payout->body = uaef_spi_jsonb(0, 11);
	payout->body_digest = uaef_spi_bytea(0, 12);
	payout->fence = uaef_spi_int32(0, 13);
	payout->delivery_id = uaef_spi_int64(0, 14);
	payout->external_ref = uaef_spi_text(0, 15);
	payout->first_sent_at = uaef_spi_time(0, 16);
	payout->replay_until = uaef_spi_time(0, 17);
	payout->hold_reason = uaef_spi_text(0, 18);
	payout->hold_id = uaef_spi_int64(0, 19);
	uaef_ledger_hold_stream(&payout->payout_id, false);
}

static void
write_payout(const UaefPayout *payout)
{
	TimestampTz now = uaef_clock_now();
	bool		waits = payout->status == UAEF_PAYOUT_UNKNOWN ||
		payout->status == UAEF_PAYOUT_NOT_FOUND;
	Datum		args[11];
	char		nulls[] = "           ";

	args[0] = UUIDPGetDatum(&payout->payout_id);
	args[1] = CStringGetTextDatum(uaef_payout_status_name(payout->status));
	args[2] = payout->external_ref ? CStringGetTextDatum(payout->external_ref)
		: (Datum) 0;
	nulls[2] = payout->external_ref ? ' ' : 'n';
	args[3] = Int32GetDatum(payout->fence);
	args[4] = TimestampTzGetDatum(payout->first_sent_at);
	nulls[4] = payout->first_sent_at ? ' ' : 'n';
	args[5] = TimestampTzGetDatum(payout->replay_until);
	nulls[5] = payout->replay_until ? ' ' : 'n';
	args[6] = payout->hold_reason ? CStringGetTextDatum(payout->hold_reason)
		: (Datum) 0;
	nulls[6] = payout->hold_reason ? ' ' : 'n';
	args[7] = Int64GetDatum(payout->delivery_id);
	args[8] = TimestampTzGetDatum(now);
	args[9] = TimestampTzGetDatum(now + (FIRST_REPLAY_US <<
										 Min(Max(payout->fence - 1, 0), 8)));
	nulls[9] = waits ? ' ' : 'n';
	args[10] = Int64GetDatum(payout->hold_id);
	(void) uaef_spi_run(&update_payout, args, nulls);
}

static void
record(const UaefPayout *payout, const char *type, Oid actor,
	   const char *reason, Jsonb *detail)
{
	pg_uuid_t	stream = payout->payout_id;
	UaefEvent	event = {
		.type = type,
		.stream = &stream,
		.actor_type = OidIsValid(actor) ? "user" : "system"
	};
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_uuid(&json, "payout_id", &payout->payout_id);
	uaef_json_text(&json, "status", uaef_payout_status_name(payout->status));
	uaef_json_text(&json, "recipient", payout->recipient);
	uaef_json_numeric(&json, "amount", payout->amount);
	uaef_json_text(&json, "currency", payout->currency);
	uaef_json_text(&json, "external_ref", payout->external_ref);
	uaef_json_text(&json, "reason", reason);
	uaef_json_members(&json, detail);
	if (OidIsValid(actor))
		event.actor_id = GetUserNameFromId(actor, true);
	event.payload = uaef_json_end(&json);
	(void) uaef_ledger_append(&event, 1);
}

void
uaef_payout_check_body(const UaefPayout *payout)
{
	bytea	   *digest = uaef_digest_bytea(payout->body);

	if (VARSIZE_ANY_EXHDR(digest) != VARSIZE_ANY_EXHDR(payout->body_digest) ||
		memcmp(VARDATA_ANY(digest), VARDATA_ANY(payout->body_digest),
			   VARSIZE_ANY_EXHDR(digest)) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_PAYOUT_CHANNEL),
				 errmsg("the body of payout %s is not the one that it was made with",
						uaef_uuid_text(&payout->payout_id))));
}

/*----------
 * Moving
 * ----------
 */

/* What happens to its signals; UAEF_N_SIGNAL_ACTIONS: nothing. */
static UaefSignalAction
signal_action(UaefPayoutAction action)
{
	switch (action)
	{
		case UAEF_PAY_RESERVE:
			return UAEF_ACT_RESERVE;
		case UAEF_PAY_SETTLE:
			return UAEF_ACT_PAY;
		case UAEF_PAY_RETURN:
			return UAEF_ACT_RETURN;
		case UAEF_PAY_REJECT:
		case UAEF_PAY_CANCEL:
			return UAEF_ACT_FAIL;
		default:
			return UAEF_N_SIGNAL_ACTIONS;
	}
}

static void
move_signals(const UaefPayout *payout, UaefPayoutAction action, Oid actor,
			 const char *reason)
{
	UaefSignalMove move = {
		.action = signal_action(action),
		.actor = actor,
		.reason = reason,
		.approvals = -1
	};
	Datum		arg = UUIDPGetDatum(&payout->payout_id);
	UaefJson	json;
	int64	   *ids;
	int			n;

	if (move.action == UAEF_N_SIGNAL_ACTIONS)
		return;
	n = (int) uaef_spi_run(&find_legs, &arg, NULL);
	ids = palloc(Max(n, 1) * sizeof(int64));
	for (int i = 0; i < n; i++)
		ids[i] = uaef_spi_int64(i, 1);
	uaef_json_begin(&json);
	uaef_json_uuid(&json, "payout_id", &payout->payout_id);
	move.detail = uaef_json_end(&json);
	uaef_signals_move(uaef_signals_lock(ids, n), n, &move);
}

/*
 * Its signals may be in another payout, and what was netted is owed again.
 */
static void
set_free(const UaefPayout *payout)
{
	Datum		arg = UUIDPGetDatum(&payout->payout_id);

	(void) uaef_spi_run(&free_legs, &arg, NULL);
	(void) uaef_spi_run(&free_reversals, &arg, NULL);
}

void
uaef_payout_move(UaefPayout *payout, UaefPayoutAction action, Oid actor,
				 const char *reason, Jsonb *detail)
{
	UaefPayoutStatus from = payout->status;
	UaefPayoutStatus to;

	if (!uaef_payout_next(from, action, &to))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_PAYOUT_STATE),
				 errmsg("payout %s is %s: action \"%s\" is not possible",
						uaef_uuid_text(&payout->payout_id),
						uaef_payout_status_name(payout->status),
						uaef_payout_action_name(action))));
	payout->status = to;
	move_signals(payout, action, actor, reason);
	uaef_settlement_book_payout(payout, from, action);
	if (to == UAEF_PAYOUT_RELEASED || to == UAEF_PAYOUT_RETURNED)
		set_free(payout);
	write_payout(payout);
	record(payout, psprintf("payout_%s", uaef_payout_status_name(to)), actor,
		   reason, detail);
}

void
uaef_payout_unhold(UaefPayout *payout, Oid actor, const char *reason)
{
	payout->hold_reason = NULL;
	write_payout(payout);
	record(payout, "payout_hold_ended", actor, reason, NULL);
}

void
uaef_payout_sent(UaefPayout *payout, const UaefPayoutChannel *channel,
				 Oid actor)
{
	TimestampTz now = uaef_clock_now();
	UaefJson	json;

	payout->fence++;
	if (payout->first_sent_at == 0)
	{
		payout->first_sent_at = now;
		if (channel->contract.native_key)
			payout->replay_until = now + (int64)
				(channel->contract.key_ttl_ms * (1 - channel->contract.key_margin)) * 1000;
	}
	uaef_json_begin(&json);
	uaef_json_int(&json, "fence", payout->fence);
	uaef_json_text(&json, "idempotency_key", payout->idempotency_key);
	uaef_payout_move(payout, UAEF_PAY_SEND, actor, NULL, uaef_json_end(&json));
}

/*----------
 * Evidence
 * ----------
 */

/*
 * What a word of evidence does, one action after the other; ends by
 * UAEF_N_PAYOUT_ACTIONS.
 */
static const struct
{
	const char *says;
	bool		positive;		/* the money goes, or went */
	UaefPayoutAction actions[4];
}			words[] = {
	{"accepted", true, {UAEF_PAY_ACCEPT, UAEF_N_PAYOUT_ACTIONS}},
	{"in_transit", true, {UAEF_PAY_ACCEPT, UAEF_PAY_TRANSIT, UAEF_N_PAYOUT_ACTIONS}},
	{"settled", true, {UAEF_PAY_ACCEPT, UAEF_PAY_SETTLE, UAEF_N_PAYOUT_ACTIONS}},
	{"returned", true, {UAEF_PAY_ACCEPT, UAEF_PAY_RETURN, UAEF_N_PAYOUT_ACTIONS}},
	{"rejected", false, {UAEF_PAY_REVIEW, UAEF_PAY_REJECT, UAEF_PAY_RELEASE, UAEF_N_PAYOUT_ACTIONS}},
	{"unknown", false, {UAEF_PAY_DOUBT, UAEF_N_PAYOUT_ACTIONS}},
	{"not_found", false, {UAEF_PAY_NOT_FOUND, UAEF_N_PAYOUT_ACTIONS}},
	{"not_sent", false, {UAEF_PAY_NOT_FOUND, UAEF_N_PAYOUT_ACTIONS}},
};

static int
word_of(const char *says)
{
	for (int i = 0; i < lengthof(words); i++)
		if (strcmp(words[i].says, says) == 0)
			return i;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("\"%s\" is no outcome of a payout", says),
			 errhint("Outcomes are accepted, in_transit, settled, returned, rejected, unknown, not_found and not_sent.")));
}

/*
 * A step that only leads to the next one is left out where the payout is past
 * it: what is accepted need not be accepted to be settled.  A review is asked
 * for on the way from "not found" to "refused" alone.
 */
static bool
is_skipped(const UaefPayout *payout, UaefPayoutAction action,
		   UaefPayoutAction next)
{
	UaefPayoutStatus to;

	if (next == UAEF_N_PAYOUT_ACTIONS)
		return false;
	if (action == UAEF_PAY_REVIEW)
		return payout->status != UAEF_PAYOUT_NOT_FOUND;
	return action == UAEF_PAY_ACCEPT &&
		uaef_payout_next(payout->status, next, &to);
}

/*
 * Whether all that the word stands for may happen to the payout as it is.
 */
static bool
is_applicable(const UaefPayout *payout, int word, const UaefEvidence *evidence)
{
	const UaefPayoutAction *actions = words[word].actions;
	UaefPayout	probe = *payout;

	/* An answer to what was not sent last says nothing of what was. */
	if (!words[word].positive && evidence->fence != 0 &&
		evidence->fence != payout->fence)
		return false;

	/* While it is under way, only who sends it knows that it is not. */
	if (strcmp(evidence->says, "not_found") == 0 &&
		payout->status == UAEF_PAYOUT_SENDING)
		return false;
	if (strcmp(evidence->says, "not_sent") == 0 &&
		payout->status != UAEF_PAYOUT_SENDING)
		return false;
	if (strcmp(evidence->says, "rejected") == 0 &&
		payout->status == UAEF_PAYOUT_NOT_FOUND &&
		strcmp(evidence->kind, "manual") != 0)
		return false;
	for (int i = 0; actions[i] != UAEF_N_PAYOUT_ACTIONS; i++)
	{
		if (is_skipped(&probe, actions[i], actions[i + 1]))
			continue;
		if (!uaef_payout_next(probe.status, actions[i], &probe.status))
			return false;
	}
	return true;
}

/*
 * Nobody but its delivery says no while that is, or may be, sent: the money
 * would be free, and leave all the same.  What is known to go is not sent again.
 */
static bool
stops_delivery(const UaefPayout *payout, int word, const UaefEvidence *evidence)
{
	bool		decides = words[word].positive ||
		strcmp(evidence->says, "rejected") == 0;

	if (!decides || payout->delivery_id == 0 ||
		strcmp(evidence->kind, "delivery") == 0)
		return true;
	return uaef_delivery_withdraw(payout->delivery_id) || words[word].positive;
}

static void
apply(UaefPayout *payout, int word, const UaefEvidence *evidence)
{
	const UaefPayoutAction *actions = words[word].actions;
	UaefJson	json;

	if (evidence->reference != NULL && words[word].positive &&
		payout->external_ref == NULL)
		payout->external_ref = pstrdup(evidence->reference);
	uaef_json_begin(&json);
	uaef_json_text(&json, "evidence", evidence->kind);
	uaef_json_text(&json, "source_key", evidence->source_key);
	for (int i = 0; actions[i] != UAEF_N_PAYOUT_ACTIONS; i++)
	{
		if (is_skipped(payout, actions[i], actions[i + 1]))
			continue;
		uaef_payout_move(payout, actions[i], evidence->actor,
						 evidence->reference,
						 i == 0 ? uaef_json_end(&json) : NULL);
	}
}

/*
 * Of some channels nothing more is ever heard.
 */
static void
settle_at_once(UaefPayout *payout, Oid actor)
{
	UaefPayoutChannel channel;

	uaef_payout_channel_get(payout->channel, &channel);
	if (channel.contract.settles)
		uaef_payout_move(payout, UAEF_PAY_SETTLE, actor, NULL, NULL);
}

static void
keep(const UaefPayout *payout, const UaefEvidence *evidence,
	 UaefPayoutStatus before, bool applied)
{
	Datum		args[13];
	char		nulls[] = "             ";

	args[0] = UUIDPGetDatum(&payout->payout_id);
	args[1] = CStringGetTextDatum(evidence->kind);
	args[2] = CStringGetTextDatum(evidence->says);
	args[3] = evidence->source_key ? CStringGetTextDatum(evidence->source_key)
		: (Datum) 0;
	nulls[3] = evidence->source_key ? ' ' : 'n';
	args[4] = Int32GetDatum(evidence->fence);
	args[5] = evidence->reference ? CStringGetTextDatum(evidence->reference)
		: (Datum) 0;
	nulls[5] = evidence->reference ? ' ' : 'n';
	args[6] = JsonbPGetDatum(evidence->detail);
	nulls[6] = evidence->detail ? ' ' : 'n';
	args[7] = CStringGetTextDatum(uaef_payout_status_name(before));
	args[8] = CStringGetTextDatum(uaef_payout_status_name(payout->status));
	args[9] = BoolGetDatum(applied);
	args[10] = ObjectIdGetDatum(evidence->actor);
	args[11] = ObjectIdGetDatum(GetSessionUserId());
	nulls[10] = nulls[11] = OidIsValid(evidence->actor) ? ' ' : 'n';
	args[12] = TimestampTzGetDatum(uaef_clock_now());
	(void) uaef_spi_run(&insert_evidence, args, nulls);
}

/*
 * What says that money went, or did not, against what is known, is for people
 * to look at.
 */
static bool
is_conflict(const UaefPayout *payout, int word)
{
	if (words[word].positive)
		return payout->status == UAEF_PAYOUT_RELEASED ||
			payout->status == UAEF_PAYOUT_REJECTED ||
			payout->status == UAEF_PAYOUT_RESERVED ||
			payout->status == UAEF_PAYOUT_CREATED;
	return strcmp(words[word].says, "rejected") == 0 &&
		(payout->status == UAEF_PAYOUT_ACCEPTED ||
		 payout->status == UAEF_PAYOUT_IN_TRANSIT ||
		 payout->status == UAEF_PAYOUT_SETTLED);
}

static bool
is_known(const UaefEvidence *evidence)
{
	Datum		args[2];

	if (evidence->source_key == NULL)
		return false;
	args[0] = CStringGetTextDatum(evidence->kind);
	args[1] = CStringGetTextDatum(evidence->source_key);
	return uaef_spi_run(&find_evidence, args, NULL) > 0;
}

bool
uaef_payout_take_evidence(UaefPayout *payout, const UaefEvidence *evidence)
{
	int			word = word_of(evidence->says);
	UaefPayoutStatus before = payout->status;
	bool		applicable;
	UaefJson	json;

	if (is_known(evidence))
		return false;
	applicable = is_applicable(payout, word, evidence) &&
		stops_delivery(payout, word, evidence);
	if (!applicable && strcmp(evidence->kind, "manual") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_PAYOUT_STATE),
				 errmsg("payout %s is %s and cannot be %s",
						uaef_uuid_text(&payout->payout_id),
						uaef_payout_status_name(payout->status),
						evidence->says)));
	if (applicable)
		apply(payout, word, evidence);
	if (payout->status == UAEF_PAYOUT_ACCEPTED && applicable)
		settle_at_once(payout, evidence->actor);
	keep(payout, evidence, before, applicable);
	if (!applicable && is_conflict(payout, word))
	{
		uaef_json_begin(&json);
		uaef_json_text(&json, "evidence", evidence->kind);
		uaef_json_text(&json, "says", evidence->says);
		uaef_json_text(&json, "reference", evidence->reference);
		uaef_json_text(&json, "source_key", evidence->source_key);
		record(payout, "payout_conflict", evidence->actor, NULL,
			   uaef_json_end(&json));
	}
	return applicable;
}
