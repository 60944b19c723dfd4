/*-------------------------------------------------------------------------
 *
 * payout_connector.c
 *	  Providers of payments with one request to create a payment.
 *
 * The config adds
 *
 *	contract	what the provider promises (payout channels take the same)
 *	key_header	the header of the key, if it is not Idempotency-Key
 *	body		template of the request over {{payload}}; else the payload
 *	lookup_url	template of the address where a payment is looked up
 *	state		path in an answer to what became of it
 *
 * A payment is created once: what its provider does not clearly refuse may have
 * been paid, and is only sent again with the same key, while the provider is
 * sure to know it.  A lookup is never in doubt, and finding nothing is an
 * answer.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "connector_config.h"
#include "connector_read.h"
#include "connector_rest.h"
#include "delivery_retry.h"
#include "http_status.h"
#include "json_util.h"
#include "model_answer.h"
#include "payout_contract.h"
#include "url.h"

typedef struct PayoutConfig
{
	UaefPayoutContract contract;
	char	   *key_header;		/* or NULL */
	UaefTemplate *body;			/* or NULL */
	UaefTemplate *lookup_url;	/* or NULL */
	UaefPath   *state;			/* or NULL */
} PayoutConfig;

static void check_horizon(Jsonb *config, const PayoutConfig *own);
static void *parse(Jsonb *config);
static bool is_lookup(const UaefCall *call);
static Jsonb *body(const PayoutConfig *own, const UaefCall *call);
static char *lookup_url(const PayoutConfig *own, const UaefCall *call);
static void address(const UaefConnector *connector, UaefCall *call);
static void build(const UaefConnector *connector, const UaefCall *call,
				  UaefHttpDraft *draft);
static bool judge(const UaefConnector *connector, const UaefCall *call,
				  const UaefHttpResult *result, const UaefResponse *response,
				  UaefAnswerVerdict *verdict);
static Jsonb *output(const UaefConnector *connector, const UaefCall *call,
					 const UaefHttpResult *result,
					 const UaefResponse *response);

static const char *const operations[] = {"create", "lookup", NULL};
static const char *const keys[] = {
	"contract", "key_header", "body", "lookup_url", "state", NULL
};
static const char *const secret_keys[] = {NULL};

const UaefConnectorType uaef_payout_connector = {
	.name = "payout",
	.operations = operations,
	.keys = keys,
	.secret_keys = secret_keys,
	.needs_url = true,
	.parse = parse,
	.address = address,
	.build = build,
	.judge = judge,
	.output = output
};

/*
 * The last attempt must come while the provider is sure to know the key: after
 * that, the same request is another payment.
 */
static void
check_horizon(Jsonb *config, const PayoutConfig *own)
{
	double		horizon = 0;
	double		delay;
	JsonbValue	value;
	UaefRetry	retry;

	uaef_delivery_retry_parse(uaef_json_get(config, "retry", &value)
							  ? uaef_json_from_value(&value) : NULL, &retry);
	delay = retry.initial_ms;
	for (int i = 1; i < retry.max_attempts; i++)
	{
		horizon += Min(delay, retry.max_ms) * (1 + retry.jitter);
		if (retry.exponential)
			delay = Min(delay * retry.factor, retry.max_ms);
	}
	if (own->contract.native_key && horizon > own->contract.key_ttl_ms * (1 - own->contract.key_margin))
		uaef_connector_bad_config("retry",
								  "over before the provider may forget the key (\"key_ttl\" less \"key_margin\")");
}

static void *
parse(Jsonb *config)
{
	PayoutConfig *own = palloc0(sizeof(PayoutConfig));
	Jsonb	   *contract = uaef_config_object(config, "contract");

	if (contract == NULL)
		uaef_connector_lacks("contract");
	uaef_payout_contract_read(contract, &own->contract);
	own->key_header = uaef_config_text(config, "key_header", false);
	if (own->key_header != NULL)
		uaef_config_header(own->key_header);
	own->body = uaef_config_template(config, "body");
	(void) uaef_config_text(config, "lookup_url", own->contract.has_lookup);
	own->lookup_url = uaef_config_template(config, "lookup_url");
	own->state = uaef_config_path(config, "state");
	if (!uaef_payout_contract_tells(&own->contract))
		uaef_connector_bad_config("contract",
								  "one with idempotency keys, lookup or statements: else nobody learns whether a payment was made whose answer is lost");
	if (!own->contract.native_key && uaef_config_bool(config, "idempotent", false))
		uaef_connector_bad_config("idempotent",
								  "false where the contract promises no keys");
	check_horizon(config, own);
	return own;
}

static bool
is_lookup(const UaefCall *call)
{
	return strcmp(call->operation, "lookup") == 0;
}

static Jsonb *
body(const PayoutConfig *own, const UaefCall *call)
{
	if (call->body == NULL || !JB_ROOT_IS_OBJECT(call->body))
		uaef_payload_wrong(call->operation, "an object");
	return own->body == NULL ? call->body
		: uaef_payload_fill(own->body, call->body);
}

static char *
lookup_url(const PayoutConfig *own, const UaefCall *call)
{
	UaefEvalError error = {0};
	UaefScope	scope = {0};
	UaefJson	json;
	char	   *url;

	if (own->lookup_url == NULL)
		uaef_payload_wrong(call->operation,
						   "left out: the connector has no \"lookup_url\"");
	if (call->body == NULL || !JB_ROOT_IS_OBJECT(call->body))
		uaef_payload_wrong(call->operation, "an object");
	uaef_json_begin(&json);
	uaef_json_jsonb(&json, "payload", call->body);
	scope.document = uaef_json_end(&json);
	url = uaef_template_fill_text(own->lookup_url, &scope, UAEF_ENCODE_URL,
								  &error);
	if (url == NULL)
		uaef_eval_raise(&error);
	return url;
}

static void
address(const UaefConnector *connector, UaefCall *call)
{
	const PayoutConfig *own = connector->own;

	if (is_lookup(call))
	{
		call->method = "GET";
		call->url = lookup_url(own, call);
		return;
	}
	(void) body(own, call);
	call->method = "POST";
	call->idempotent = own->contract.native_key;
}

static void
build(const UaefConnector *connector, const UaefCall *call,
	  UaefHttpDraft *draft)
{
	const PayoutConfig *own = connector->own;

	if (is_lookup(call))
		return;
	if (own->key_header != NULL)
		uaef_draft_header(draft, own->key_header, call->idempotency_key);
	uaef_draft_json(draft, body(own, call));
}

/*
 * An answer that does not name the payment, where the contract says that it
 * does, is no proof of one.
 */
static bool
judge(const UaefConnector *connector, const UaefCall *call,
	  const UaefHttpResult *result, const UaefResponse *response,
	  UaefAnswerVerdict *verdict)
{
	const PayoutConfig *own = connector->own;
	int			status = result->status;

	if (is_lookup(call))
	{
		verdict->answer = status == 404 ? UAEF_ANSWER_SUCCESS
			: uaef_answer_by_status(call, status);
		return true;
	}
	if (status >= 200 && status <= 299)
	{
		if (own->contract.reference == NULL ||
			uaef_answer_text(own->contract.reference, response->body) != NULL)
			verdict->answer = UAEF_ANSWER_SUCCESS;
		else
		{
			verdict->answer = UAEF_ANSWER_UNCERTAIN;
			verdict->code = "payout_bad_answer";
			verdict->message = "the answer does not name the payment";
		}
	}
	else if (status == 429)
		verdict->answer = UAEF_ANSWER_TRANSIENT;
	else
		verdict->answer = uaef_http_status_refuses(status) ? UAEF_ANSWER_PERMANENT
			: UAEF_ANSWER_UNCERTAIN;
	return true;
}

static Jsonb *
output(const UaefConnector *connector, const UaefCall *call,
	   const UaefHttpResult *result, const UaefResponse *response)
{
	const PayoutConfig *own = connector->own;
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_int(&json, "status", result->status);
	if (is_lookup(call))
		uaef_json_bool(&json, "found", result->status != 404);
	uaef_json_text(&json, "reference",
				   uaef_answer_text(own->contract.reference, response->body));
	uaef_json_text(&json, "state",
				   uaef_answer_text(own->state, response->body));
	uaef_json_jsonb(&json, "data", response->body);
	return uaef_json_end(&json);
}
