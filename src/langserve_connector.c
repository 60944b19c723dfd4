/*-------------------------------------------------------------------------
 *
 * langserve_connector.c
 *	  Chains that LangServe serves.
 *
 * The url is a chain's.  The config adds {"config","kwargs","prices"}, which go
 * with each call; the payload is the chain's input, or for the operation
 * "batch" an array of inputs.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "connector_read.h"
#include "connector_rest.h"
#include "json_util.h"
#include "model_answer.h"

typedef struct LangserveConfig
{
	Jsonb	   *config;			/* or NULL */
	Jsonb	   *kwargs;			/* or NULL */
	UaefPrices	prices;
} LangserveConfig;

static void *parse(Jsonb *config);
static bool is_batch(const UaefCall *call);
static void address(const UaefConnector *connector, UaefCall *call);
static void build(const UaefConnector *connector, const UaefCall *call,
				  UaefHttpDraft *draft);
static bool judge(const UaefConnector *connector, const UaefCall *call,
				  const UaefHttpResult *result, const UaefResponse *response,
				  UaefAnswerVerdict *verdict);
static Jsonb *output(const UaefConnector *connector, const UaefCall *call,
					 const UaefHttpResult *result,
					 const UaefResponse *response);

static const char *const operations[] = {"invoke", "batch", NULL};
static const char *const keys[] = {"config", "kwargs", "prices", NULL};
static const char *const secret_keys[] = {NULL};

const UaefConnectorType uaef_langserve_connector = {
	.name = "langserve",
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

static void *
parse(Jsonb *config)
{
	LangserveConfig *own = palloc0(sizeof(LangserveConfig));

	own->config = uaef_config_object(config, "config");
	own->kwargs = uaef_config_object(config, "kwargs");
	uaef_prices_parse(config, &own->prices);
	return own;
}

static bool
is_batch(const UaefCall *call)
{
	return strcmp(call->operation, "batch") == 0;
}

static void
address(const UaefConnector *connector, UaefCall *call)
{
	if (call->body == NULL)
		uaef_payload_wrong(call->operation, "the input of the chain");
	if (is_batch(call) &&
		(!JB_ROOT_IS_ARRAY(call->body) || JB_ROOT_IS_SCALAR(call->body) ||
		 JB_ROOT_COUNT(call->body) == 0))
		uaef_payload_wrong(call->operation,
						   "an array of inputs that is not empty");
	call->method = "POST";
	call->url = uaef_rest_url(connector->config.url, call->operation);
}

static void
build(const UaefConnector *connector, const UaefCall *call,
	  UaefHttpDraft *draft)
{
	const LangserveConfig *own = connector->own;
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_jsonb(&json, is_batch(call) ? "inputs" : "input", call->body);
	uaef_json_jsonb(&json, "config",
					own->config ? own->config : uaef_json_empty());
	uaef_json_jsonb(&json, "kwargs",
					own->kwargs ? own->kwargs : uaef_json_empty());
	uaef_draft_json(draft, uaef_json_end(&json));
}

/*
 * What is wrong with an input is told by 422 and {"detail"}.
 */
static bool
judge(const UaefConnector *connector, const UaefCall *call,
	  const UaefHttpResult *result, const UaefResponse *response,
	  UaefAnswerVerdict *verdict)
{
	JsonbValue	value;

	verdict->answer = uaef_answer_by_status(call, result->status);
	if (verdict->answer == UAEF_ANSWER_SUCCESS)
	{
		if (is_batch(call) ? uaef_answer_array(response->body, "output") != NULL
			: uaef_json_get(response->body, "output", &value))
			return true;
		verdict->answer = UAEF_ANSWER_UNCERTAIN;
		verdict->code = "langserve_bad_answer";
		verdict->message = "the answer has no output";
		return true;
	}
	if (result->status == 422)
		verdict->code = "langserve_invalid_input";
	if (uaef_json_get(response->body, "detail", &value))
		verdict->message = uaef_clip_text(uaef_payload_text(uaef_json_from_value(&value)));
	return true;
}

/*
 * The output is what the chain gives: a text, a message with a text in it, or
 * anything else.
 */
static Jsonb *
output(const UaefConnector *connector, const UaefCall *call,
	   const UaefHttpResult *result, const UaefResponse *response)
{
	const LangserveConfig *own = connector->own;
	UaefModelAnswer answer = UAEF_MODEL_ANSWER_NONE;
	Jsonb	   *said = uaef_answer_object(response->body, "output");
	Jsonb	   *usage = uaef_answer_object(said, "usage_metadata");
	Jsonb	   *metadata = uaef_answer_object(response->body, "metadata");
	JsonbValue	value;
	UaefJson	more;

	answer.text = said != NULL ? uaef_json_get_text(said, "content")
		: uaef_json_get_text(response->body, "output");
	answer.tool_calls = uaef_answer_array(said, "tool_calls");
	answer.request_id = uaef_json_get_text(metadata, "run_id");
	answer.input_tokens = uaef_answer_count(usage, "input_tokens");
	answer.output_tokens = uaef_answer_count(usage, "output_tokens");
	uaef_json_begin(&more);
	if (uaef_json_get(response->body, "output", &value))
		uaef_json_jsonb(&more, "output", uaef_json_from_value(&value));
	return uaef_model_output(&answer, &own->prices, uaef_json_end(&more));
}
