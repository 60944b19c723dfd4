/*-------------------------------------------------------------------------
 *
 * anthropic_connector.c
 *	  Models behind the Messages API of Anthropic.
 *
 * The url is the API's, as in https://api.anthropic.com.  The config adds
 * {"model","max_tokens","version","prices"}; the secret is {"api_key"}.  A
 * payload is what /v1/messages takes: messages, system, tools and the rest are
 * passed through.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "connector_read.h"
#include "connector_rest.h"
#include "json_util.h"
#include "model_answer.h"

#define DEFAULT_VERSION		"2023-06-01"
#define DEFAULT_MAX_TOKENS	1024
#define MOST_TOKENS			10000000

/* The error of a spending limit that only people lift. */
#define SPEND_LIMIT			"enforced_spend_limit_reached"

typedef struct AnthropicConfig
{
	Jsonb	   *defaults;		/* members of a request */
	char	   *version;
	UaefPrices	prices;
} AnthropicConfig;

static void *parse(Jsonb *config);
static void address(const UaefConnector *connector, UaefCall *call);
static void build(const UaefConnector *connector, const UaefCall *call,
				  UaefHttpDraft *draft);
static bool is_spend_limit(Jsonb *error);
static bool judge(const UaefConnector *connector, const UaefCall *call,
				  const UaefHttpResult *result, const UaefResponse *response,
				  UaefAnswerVerdict *verdict);
static void read_content(Jsonb *content, UaefModelAnswer *answer);
static int64 input_tokens(Jsonb *usage);
static Jsonb *output(const UaefConnector *connector, const UaefCall *call,
					 const UaefHttpResult *result,
					 const UaefResponse *response);

static const char *const operations[] = {"messages", NULL};
static const char *const keys[] = {
	"model", "max_tokens", "version", "prices", NULL
};
static const char *const secret_keys[] = {"api_key", NULL};

const UaefConnectorType uaef_anthropic_connector = {
	.name = "anthropic",
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
	AnthropicConfig *own = palloc0(sizeof(AnthropicConfig));
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_text(&json, "model", uaef_config_text(config, "model", true));
	uaef_json_int(&json, "max_tokens",
				  uaef_config_int(config, "max_tokens", DEFAULT_MAX_TOKENS, 1,
								  MOST_TOKENS));
	own->defaults = uaef_json_end(&json);
	own->version = uaef_config_text(config, "version", false);
	if (own->version == NULL)
		own->version = DEFAULT_VERSION;
	if (strspn(own->version, "0123456789-") != strlen(own->version))
		uaef_connector_bad_config("version", "a date such as \"" DEFAULT_VERSION "\"");
	uaef_prices_parse(config, &own->prices);
	return own;
}

static void
address(const UaefConnector *connector, UaefCall *call)
{
	const AnthropicConfig *own = connector->own;

	(void) uaef_chat_request(call, own->defaults);
	call->method = "POST";
	call->url = uaef_rest_url(connector->config.url, "v1/messages");
}

static void
build(const UaefConnector *connector, const UaefCall *call,
	  UaefHttpDraft *draft)
{
	const AnthropicConfig *own = connector->own;

	uaef_draft_header(draft, "anthropic-version", own->version);
	uaef_draft_header(draft, "x-api-key",
					  uaef_secret_header(connector, "api_key", true));
	uaef_draft_json(draft, uaef_chat_request(call, own->defaults));
}

static bool
is_spend_limit(Jsonb *error)
{
	char	   *code = uaef_json_get_text(uaef_answer_object(error, "details"),
										  "error_code");

	return code != NULL && strcmp(code, SPEND_LIMIT) == 0;
}

/*
 * {"type":"error","error":{"type","message","details"},"request_id"}
 */
static bool
judge(const UaefConnector *connector, const UaefCall *call,
	  const UaefHttpResult *result, const UaefResponse *response,
	  UaefAnswerVerdict *verdict)
{
	Jsonb	   *error = uaef_answer_object(response->body, "error");
	char	   *type = uaef_json_get_text(error, "type");
	char	   *request_id = uaef_json_get_text(response->body, "request_id");

	verdict->answer = uaef_answer_by_status(call, result->status);
	if (request_id == NULL)
		request_id = uaef_json_get_text(response->headers, "request-id");
	if (verdict->answer == UAEF_ANSWER_SUCCESS)
	{
		if (uaef_answer_array(response->body, "content") != NULL)
			return true;
		verdict->answer = UAEF_ANSWER_UNCERTAIN;
		verdict->code = "anthropic_bad_answer";
		verdict->message = uaef_request_message("the answer is no message",
												request_id);
		return true;
	}
	if (is_spend_limit(error) || is_spend_limit(response->body))
	{
		verdict->answer = UAEF_ANSWER_PERMANENT;
		verdict->code = "anthropic_spend_limit";
	}
	else if (type != NULL && *type != '\0')
		verdict->code = psprintf("anthropic_%s", uaef_error_word(type));
	verdict->message = uaef_request_message(uaef_error_text(error, "message"),
											request_id);
	return true;
}

/*
 * All texts in one, and the tools that it wants to be called.
 */
static void
read_content(Jsonb *content, UaefModelAnswer *answer)
{
	JsonbParseState *calls = NULL;
	StringInfoData text;
	int			n = content ? (int) JB_ROOT_COUNT(content) : 0;
	int			n_calls = 0;

	initStringInfo(&text);
	(void) pushJsonbValue(&calls, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < n; i++)
	{
		JsonbValue *value = getIthJsonbValueFromContainer(&content->root, i);
		Jsonb	   *part = uaef_json_from_value(value);
		char	   *type = uaef_json_get_text(part, "type");
		char	   *said = uaef_json_get_text(part, "text");
		JsonbValue	input;
		UaefJson	json;

		if (type != NULL && strcmp(type, "text") == 0 && said != NULL)
			appendStringInfoString(&text, said);
		if (type == NULL || strcmp(type, "tool_use") != 0)
			continue;
		uaef_json_begin(&json);
		uaef_json_text(&json, "id", uaef_json_get_text(part, "id"));
		uaef_json_text(&json, "name", uaef_json_get_text(part, "name"));
		if (uaef_json_get(part, "input", &input))
			uaef_json_jsonb(&json, "input", uaef_json_from_value(&input));
		uaef_document_value(uaef_json_end(&json), &input);
		(void) pushJsonbValue(&calls, WJB_ELEM, &input);
		n_calls++;
	}
	answer->text = text.data;
	if (n_calls > 0)
		answer->tool_calls = JsonbValueToJsonb(pushJsonbValue(&calls,
															  WJB_END_ARRAY,
															  NULL));
}

/*
 * What was read from a cache, or written to one, is counted as if it were not:
 * so a cost is never too low.
 */
static int64
input_tokens(Jsonb *usage)
{
	int64		tokens = uaef_answer_count(usage, "input_tokens");

	if (tokens < 0)
		return tokens;
	return tokens +
		Max(uaef_answer_count(usage, "cache_creation_input_tokens"), 0) +
		Max(uaef_answer_count(usage, "cache_read_input_tokens"), 0);
}

static Jsonb *
output(const UaefConnector *connector, const UaefCall *call,
	   const UaefHttpResult *result, const UaefResponse *response)
{
	const AnthropicConfig *own = connector->own;
	UaefModelAnswer answer = UAEF_MODEL_ANSWER_NONE;
	Jsonb	   *usage = uaef_answer_object(response->body, "usage");

	answer.content = uaef_answer_array(response->body, "content");
	read_content(answer.content, &answer);
	answer.stop_reason = uaef_json_get_text(response->body, "stop_reason");
	answer.model = uaef_json_get_text(response->body, "model");
	answer.id = uaef_json_get_text(response->body, "id");
	answer.request_id = uaef_json_get_text(response->headers, "request-id");
	answer.input_tokens = input_tokens(usage);
	answer.output_tokens = uaef_answer_count(usage, "output_tokens");
	return uaef_model_output(&answer, &own->prices, NULL);
}
