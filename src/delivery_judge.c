/*-------------------------------------------------------------------------
 *
 * delivery_judge.c
 *	  What the result of an attempt means for its delivery.
 *
 * How far the request got decides first.  Before anything was sent, another
 * attempt risks nothing.  Once it was sent, and as long as no complete answer
 * came, the other side may have acted on it or not: only a delivery that is
 * idempotent is sent again.  An answer speaks for itself.
 *
 * A delivery that may have had its effect and cannot be tried again is in
 * doubt, not failed; only GET and HEAD, which have no effect, just fail.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/numeric.h"

#include "connector_config.h"
#include "delivery_connector.h"
#include "delivery_judge.h"
#include "delivery_retry.h"
#include "delivery_session.h"
#include "guc.h"
#include "http_status.h"
#include "json_util.h"

/* Attempts that a crash took are not the server's fault; but not for ever. */
#define MAX_EXTRA_ATTEMPTS 3

#define HTTP_TOO_MANY 429

static bool status_expected(Jsonb *expect, int status);
static bool status_transient(int status);
static bool ask_type(const UaefDelivery *delivery,
					 const UaefHttpResult *result,
					 const UaefResponse *response, UaefAnswerVerdict *answer);
static bool may_be_paid(const UaefDelivery *delivery, int status);
static void judge_answer(const UaefDelivery *delivery,
						 const UaefHttpResult *result,
						 const UaefResponse *response,
						 UaefAnswerVerdict *answer);
static bool end_session(const UaefDelivery *delivery,
						const UaefHttpResult *result,
						const UaefResponse *response,
						UaefDeliveryVerdict *verdict);
static void decide(const UaefDelivery *delivery, const UaefHttpResult *result,
				   bool transient, int64 delay_ms,
				   UaefDeliveryVerdict *verdict);

/*
 * Listed in expect's "status", or without such a list 200 to 299.
 */
static bool
status_expected(Jsonb *expect, int status)
{
	JsonbValue	list;

	if (!uaef_json_get(expect, "status", &list) || list.type != jbvBinary ||
		!JsonContainerIsArray(list.val.binary.data))
		return status >= 200 && status <= 299;
	for (uint32 i = 0; i < JsonContainerSize(list.val.binary.data); i++)
	{
		JsonbValue *item = getIthJsonbValueFromContainer(list.val.binary.data,
														 i);

		if (item->type == jbvNumeric &&
			DatumGetBool(DirectFunctionCall2(numeric_eq,
											 NumericGetDatum(item->val.numeric),
											 NumericGetDatum(int64_to_numeric(status)))))
			return true;
	}
	return false;
}

/*
 * Request timeout, too early, too many requests, and all errors of servers.
 */
static bool
status_transient(int status)
{
	return status == 408 || status == 425 || status == 429 || status >= 500;
}

/*
 * What the connector's type makes of the answer; false when it leaves that to
 * the status.
 */
static bool
ask_type(const UaefDelivery *delivery, const UaefHttpResult *result,
		 const UaefResponse *response, UaefAnswerVerdict *answer)
{
	UaefCall	call;

	memset(answer, 0, sizeof(*answer));
	if (delivery->via == NULL || delivery->via->problem != NULL ||
		delivery->via->type->judge == NULL)
		return false;
	uaef_delivery_call(delivery, &call);
	return delivery->via->type->judge(delivery->via, &call, result, response,
									  answer);
}

/*
 * What a provider of payments neither takes nor refuses may have been paid,
 * whatever the connector is: an error comes after the payment as well.
 */
static bool
may_be_paid(const UaefDelivery *delivery, int status)
{
	return delivery->has_payout && status != HTTP_TOO_MANY &&
		!uaef_http_status_refuses(status);
}

/*
 * A complete answer.
 */
static void
judge_answer(const UaefDelivery *delivery, const UaefHttpResult *result,
			 const UaefResponse *response, UaefAnswerVerdict *answer)
{
	if (!ask_type(delivery, result, response, answer))
		answer->answer = status_expected(delivery->expect, result->status)
			? UAEF_ANSWER_SUCCESS
			: status_transient(result->status) ? UAEF_ANSWER_TRANSIENT
			: UAEF_ANSWER_PERMANENT;
	if (answer->answer == UAEF_ANSWER_SUCCESS)
		return;
	if (may_be_paid(delivery, result->status))
		answer->answer = UAEF_ANSWER_UNCERTAIN;
	if (answer->code == NULL)
		answer->code = psprintf("http_%d", result->status);
	if (answer->message == NULL)
		answer->message = psprintf("the server answered with status %d",
								   result->status);
}

/*
 * Try again, or end it.
 */
static void
decide(const UaefDelivery *delivery, const UaefHttpResult *result,
	   bool transient, int64 delay_ms, UaefDeliveryVerdict *verdict)
{
	bool		lost = strcmp(verdict->code, UAEF_CODE_WORKER_LOST) == 0;
	bool		repeatable = !verdict->uncertain || delivery->idempotent;
	int			attempt = delivery->attempt - delivery->attempts_before -
		delivery->free_attempts;
	UaefRetry	retry;

	uaef_delivery_retry_parse(delivery->retry, &retry);
	if (lost && repeatable &&
		attempt < retry.max_attempts + MAX_EXTRA_ATTEMPTS)
	{
		verdict->outcome = UAEF_DELIVERY_RETRY;
		verdict->delay_ms = 0;
		return;
	}
	if (repeatable &&
		uaef_delivery_retry_wanted(&retry, attempt, verdict->code, transient))
	{
		int64		at_least_ms = Min(Max(result->retry_after_ms, delay_ms),
									  uaef_http_retry_after_max_s * (int64) 1000);

		verdict->outcome = UAEF_DELIVERY_RETRY;
		verdict->delay_ms = uaef_delivery_retry_delay_ms(&retry, attempt,
														 at_least_ms);
		return;
	}

	verdict->detail = psprintf("It was attempt %d of %d.",
							   attempt, retry.max_attempts);
	if ((verdict->uncertain || delivery->uncertain) &&
		!uaef_http_method_is_safe(delivery->method))
	{
		verdict->outcome = UAEF_DELIVERY_IN_DOUBT;
		verdict->detail = psprintf("The last failure was %s: %s.  %s",
								   verdict->code, verdict->message,
								   verdict->detail);
		verdict->code = "in_doubt";
		verdict->message = "the request was sent, and whether it took effect is not known";
	}
}

/*
 * An answer that only says that the session does not hold any more has the
 * request sent again at once, with a new one.  That happens once for each
 * attempt that counts; then the answer is taken for what it is.
 */
static bool
end_session(const UaefDelivery *delivery, const UaefHttpResult *result,
			const UaefResponse *response, UaefDeliveryVerdict *verdict)
{
	if (!uaef_session_refused(delivery, result, response))
		return false;
	verdict->session_over = true;
	if (delivery->free_attempts * 2 >=
		delivery->attempt - delivery->attempts_before)
		return false;
	verdict->outcome = UAEF_DELIVERY_RETRY;
	verdict->free = true;
	verdict->code = "session_expired";
	verdict->message = psprintf("the server answered with status %d: the session does not hold any more",
								result->status);
	return true;
}

void
uaef_delivery_judge(const UaefDelivery *delivery, const UaefHttpResult *result,
					const UaefResponse *response,
					UaefDeliveryVerdict *verdict)
{
	UaefAnswerVerdict answer = {0};
	bool		transient = result->transient;

	memset(verdict, 0, sizeof(*verdict));
	verdict->outcome = UAEF_DELIVERY_FAILED;
	verdict->code = result->code;
	verdict->message = result->message;
	if (result->phase == UAEF_HTTP_SENT)
		verdict->uncertain = delivery->has_payout ||
			strcmp(result->code, "response_too_large") != 0;
	else if (result->phase == UAEF_HTTP_ANSWERED)
	{
		if (end_session(delivery, result, response, verdict))
			return;
		judge_answer(delivery, result, response, &answer);
		if (answer.answer == UAEF_ANSWER_SUCCESS)
		{
			verdict->outcome = UAEF_DELIVERY_SUCCEEDED;
			verdict->code = verdict->message = NULL;
			return;
		}
		verdict->code = answer.code;
		verdict->message = answer.message;
		verdict->uncertain = answer.answer == UAEF_ANSWER_UNCERTAIN;
		transient = answer.answer != UAEF_ANSWER_PERMANENT;
	}
	decide(delivery, result, transient, answer.delay_ms, verdict);
}
