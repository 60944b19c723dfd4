/*-------------------------------------------------------------------------
 *
 * openai_connector.c
 *	  Models behind chat completions, as OpenAI and many others offer them.
 *
 * The url is the API's with its version, as in https://api.openai.com/v1.  The
 * config adds {"model","max_tokens","prices"}; the secret is {"api_key"}, which
 * a server of one's own may do without.  A payload is what /chat/completions
 * takes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "connector_read.h"
#include "connector_rest.h"
#include "json_util.h"
#include "model_answer.h"

#define MOST_TOKENS 10000000

typedef struct OpenaiConfig
{
	Jsonb	   *defaults;		/* members of a request */
	UaefPrices	prices;
} OpenaiConfig;

static void *parse(Jsonb *config);
static void address(const UaefConnector *connector, UaefCall *call);
static void build(const UaefConnector *connector, const UaefCall *call,
				  UaefHttpDraft *draft);
static Jsonb *first_choice(Jsonb *body);
static bool judge(const UaefConnector *connector, const UaefCall *call,
				  const UaefHttpResult *result, const UaefResponse *response,
				  UaefAnswerVerdict *verdict);
static Jsonb *read_call(Jsonb *call);
static Jsonb *read_calls(Jsonb *calls);
static Jsonb *output(const UaefConnector *connector, const UaefCall *call,
					 const UaefHttpResult *result,
					 const UaefResponse *response);

static const char *const operations[] = {"chat", NULL};
static const char *const keys[] = {"model", "max_tokens", "prices", NULL};
static const char *const secret_keys[] = {"api_key", NULL};

const UaefConnectorType uaef_openai_connector = {
	.name = "openai",
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
	OpenaiConfig *own = palloc0(sizeof(OpenaiConfig));
	int			max_tokens = uaef_config_int(config, "max_tokens", 0, 1,
											 MOST_TOKENS);
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_text(&json, "model", uaef_config_text(config, "model", true));
	if (max_tokens > 0)
		uaef_json_int(&json, "max_tokens", max_tokens);
	own->defaults = uaef_json_end(&json);
	uaef_prices_parse(config, &own->prices);
	return own;
}

static void
address(const UaefConnector *connector, UaefCall *call)
{
	const OpenaiConfig *own = connector->own;

	(void) uaef_chat_request(call, own->defaults);
	call->method = "POST";
	call->url = uaef_rest_url(connector->config.url, "chat/completions");
}

static void
build(const UaefConnector *connector, const UaefCall *call,
	  UaefHttpDraft *draft)
{
	const OpenaiConfig *own = connector->own;
	char	   *key = uaef_secret_header(connector, "api_key", false);

	if (key != NULL)
		uaef_draft_header(draft, "Authorization", psprintf("Bearer %s", key));
	uaef_draft_json(draft, uaef_chat_request(call, own->defaults));
}

/*
 * The first choice; NULL when there is none, or no message in it.
 */
static Jsonb *
first_choice(Jsonb *body)
{
	Jsonb	   *choices = uaef_answer_array(body, "choices");
	Jsonb	   *choice;

	if (choices == NULL || JB_ROOT_COUNT(choices) == 0)
		return NULL;
	choice = uaef_json_from_value(getIthJsonbValueFromContainer(&choices->root,
																0));
	return uaef_answer_object(choice, "message") == NULL ? NULL : choice;
}

/*
 * {"error":{"message","type","param","code"}}.  A quota that is used up does
 * not come back by waiting.
 */
static bool
judge(const UaefConnector *connector, const UaefCall *call,
	  const UaefHttpResult *result, const UaefResponse *response,
	  UaefAnswerVerdict *verdict)
{
	Jsonb	   *error = uaef_answer_object(response->body, "error");
	char	   *code = uaef_json_get_text(error, "code");
	char	   *type = uaef_json_get_text(error, "type");
	char	   *request_id = uaef_json_get_text(response->headers,
												"x-request-id");

	verdict->answer = uaef_answer_by_status(call, result->status);
	if (verdict->answer == UAEF_ANSWER_SUCCESS)
	{
		if (first_choice(response->body) != NULL)
			return true;
		verdict->answer = UAEF_ANSWER_UNCERTAIN;
		verdict->code = "openai_bad_answer";
		verdict->message = uaef_request_message("the answer is no completion",
												request_id);
		return true;
	}
	if (code == NULL || *code == '\0')
		code = type;
	if ((code != NULL && strcmp(code, "insufficient_quota") == 0) ||
		(type != NULL && strcmp(type, "insufficient_quota") == 0))
	{
		verdict->answer = UAEF_ANSWER_PERMANENT;
		code = "insufficient_quota";
	}
	if (code != NULL && *code != '\0')
		verdict->code = psprintf("openai_%s", uaef_error_word(code));
	verdict->message = uaef_request_message(uaef_error_text(error, "message"),
											request_id);
	return true;
}

/*
 * The arguments are JSON in a string; what is none stays one.
 */
static Jsonb *
read_call(Jsonb *call)
{
	Jsonb	   *function = uaef_answer_object(call, "function");
	char	   *arguments = uaef_json_get_text(function, "arguments");
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_text(&json, "id", uaef_json_get_text(call, "id"));
	uaef_json_text(&json, "name", uaef_json_get_text(function, "name"));
	if (arguments != NULL)
		uaef_json_jsonb(&json, "input", uaef_message_body(arguments));
	return uaef_json_end(&json);
}

static Jsonb *
read_calls(Jsonb *calls)
{
	JsonbParseState *state = NULL;

	if (calls == NULL || JB_ROOT_COUNT(calls) == 0)
		return NULL;
	(void) pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < (int) JB_ROOT_COUNT(calls); i++)
	{
		JsonbValue	value;
		Jsonb	   *call;

		call = uaef_json_from_value(getIthJsonbValueFromContainer(&calls->root,
																  i));
		uaef_document_value(read_call(call), &value);
		(void) pushJsonbValue(&state, WJB_ELEM, &value);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
}

static Jsonb *
output(const UaefConnector *connector, const UaefCall *call,
	   const UaefHttpResult *result, const UaefResponse *response)
{
	const OpenaiConfig *own = connector->own;
	UaefModelAnswer answer = UAEF_MODEL_ANSWER_NONE;
	Jsonb	   *choice = first_choice(response->body);
	Jsonb	   *usage = uaef_answer_object(response->body, "usage");

	answer.content = uaef_answer_object(choice, "message");
	answer.text = uaef_json_get_text(answer.content, "content");
	answer.tool_calls = read_calls(uaef_answer_array(answer.content,
													 "tool_calls"));
	answer.stop_reason = uaef_json_get_text(choice, "finish_reason");
	answer.model = uaef_json_get_text(response->body, "model");
	answer.id = uaef_json_get_text(response->body, "id");
	answer.request_id = uaef_json_get_text(response->headers, "x-request-id");
	answer.input_tokens = uaef_answer_count(usage, "prompt_tokens");
	answer.output_tokens = uaef_answer_count(usage, "completion_tokens");
	return uaef_model_output(&answer, &own->prices, NULL);
}
