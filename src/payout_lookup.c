/*-------------------------------------------------------------------------
 *
 * payout_lookup.c
 *	  Asking providers what became of payouts, until they tell or people must.
 *
 * A channel whose connector can look up, and whose contract says what the
 * provider's words mean, is asked by itself: each question is a delivery of its
 * own that waits in the queue for its time, so nothing is polled.  The times
 * between grow; after the last one people have to find out.
 *
 * Only the answer to the last question brings the next one, so there is one
 * chain of them, whoever else says what in between.
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
#include "delivery_retry.h"
#include "json_util.h"
#include "payout.h"
#include "spi_util.h"
#include "subtransaction.h"

/* The longest time between two questions. */
#define MAX_DELAY_MS	INT64CONST(3600000)

static UaefQuery sender_of = {
	"SELECT role FROM uaef.delivery WHERE delivery_id = $1",
	1, {INT8OID}
};

static UaefQuery note_question = {
	"UPDATE uaef.payout SET lookup_id = $2, lookups = $3 WHERE payout_id = $1",
	3, {UUIDOID, INT8OID, INT4OID}
};

/* A question in the making. */
typedef struct Question
{
	UaefPayout *payout;
	const UaefPayoutChannel *channel;
	Oid			role;			/* that sent the payout */
	TimestampTz at;
	int64		delivery_id;	/* once it is asked */
} Question;

static bool
is_open(const UaefPayout *payout)
{
	return payout->status == UAEF_PAYOUT_UNKNOWN ||
		payout->status == UAEF_PAYOUT_NOT_FOUND;
}

/*
 * What the template of the address may use.
 */
static Jsonb *
question_body(const UaefPayout *payout)
{
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_members(&json, payout->body);
	uaef_json_text(&json, "idempotency_key", payout->idempotency_key);
	uaef_json_text(&json, "external_ref", payout->external_ref);
	return uaef_json_end(&json);
}

static void
enqueue(void *arg)
{
	Question   *question = arg;
	UaefRetry	once;
	UaefDeliveryRequest request = {
		.connector = question->channel->connector,
		.operation = UAEF_PAYOUT_LOOKUP,
		.role = question->role,
		.send_at = question->at,
		.payout_id = &question->payout->payout_id,
		.body = question_body(question->payout),
		.retry = &once,
		.exact_retry = true
	};

	uaef_delivery_retry_parse(NULL, &once);
	once.max_attempts = 1;
	question->delivery_id = uaef_delivery_enqueue(&request);
}

static TimestampTz
next_time(const UaefPayout *payout, const UaefPayoutChannel *channel)
{
	int64		delay_ms = channel->contract.lookup_after_ms;

	for (int i = 0; i < payout->lookups && delay_ms < MAX_DELAY_MS; i++)
		delay_ms = Min(delay_ms * 2, MAX_DELAY_MS);
	return uaef_clock_now() + delay_ms * 1000;
}

static void
store(UaefPayout *payout, int64 delivery_id)
{
	Datum		args[3];

	payout->lookup_id = delivery_id;
	payout->lookups++;
	args[0] = UUIDPGetDatum(&payout->payout_id);
	args[1] = Int64GetDatum(payout->lookup_id);
	args[2] = Int32GetDatum(payout->lookups);
	(void) uaef_spi_run(&note_question, args, NULL);
}

/*
 * A question that cannot be asked - the connector was changed, the role may not
 * send there any more - is for people as well.
 */
void
uaef_payout_look_up(UaefPayout *payout, const UaefPayoutChannel *channel)
{
	Question	question = {.payout = payout,.channel = channel};
	Datum		arg = Int64GetDatum(payout->delivery_id);
	ErrorData  *error;

	if (!is_open(payout) || channel->contract.states == NULL ||
		channel->contract.lookups == 0 ||
		uaef_spi_run(&sender_of, &arg, NULL) == 0)
		return;
	if (payout->lookups >= channel->contract.lookups)
	{
		uaef_payout_move(payout, UAEF_PAY_REVIEW, InvalidOid,
						 psprintf("%d lookups did not tell", payout->lookups),
						 NULL);
		return;
	}
	question.role = uaef_spi_oid(0, 1);
	question.at = next_time(payout, channel);
	error = uaef_attempt(enqueue, &question);
	if (error == NULL)
		store(payout, question.delivery_id);
	else
		uaef_payout_move(payout, UAEF_PAY_REVIEW, InvalidOid,
						 psprintf("it cannot be looked up: %s", error->message),
						 NULL);
}

/*----------
 * Answers
 * ----------
 */

/*
 * What an answer says of the payout; NULL: nothing.  A word that the contract
 * does not know is none.
 */
static const char *
meaning(const UaefPayoutChannel *channel, const UaefPayoutAnswer *answer)
{
	JsonbValue	found;
	char	   *state;

	if (!answer->succeeded || answer->output == NULL)
		return NULL;
	if (uaef_json_get(answer->output, "found", &found) &&
		found.type == jbvBool && !found.val.boolean)
		return "not_found";
	state = uaef_json_get_text(answer->output, "state");
	if (state == NULL || channel->contract.states == NULL)
		return "unknown";
	state = uaef_json_get_text(channel->contract.states, state);
	return state != NULL ? state : "unknown";
}

static Jsonb *
answer_detail(const UaefPayoutAnswer *answer)
{
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_int(&json, "delivery_id", answer->delivery_id);
	uaef_json_int(&json, "status", answer->status);
	uaef_json_text(&json, "state", uaef_json_get_text(answer->output, "state"));
	return uaef_json_end(&json);
}

void
uaef_payout_lookup_answer(UaefPayout *payout, const UaefPayoutChannel *channel,
						  const UaefPayoutAnswer *answer)
{
	UaefEvidence evidence = {
		.kind = "lookup",
		.says = meaning(channel, answer)
	};

	if (evidence.says != NULL)
	{
		evidence.reference = uaef_json_get_text(answer->output, "reference");
		evidence.detail = answer_detail(answer);
		(void) uaef_payout_take_evidence(payout, &evidence);
	}
	if (answer->delivery_id == payout->lookup_id)
		uaef_payout_look_up(payout, channel);
}
