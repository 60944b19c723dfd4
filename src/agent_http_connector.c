/*-------------------------------------------------------------------------
 *
 * agent_http_connector.c
 *	  Agents behind an address of their own that takes and gives JSON.
 *
 * The config adds {"body","text","input_tokens","output_tokens","tool_calls",
 * "prices"}: "body" is a template over {{payload}}, and is all of it if nothing
 * is said; the others but prices are paths into the answer.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "connector_read.h"
#include "connector_rest.h"
#include "json_util.h"
#include "model_answer.h"

typedef struct AgentHttpConfig
{
	UaefTemplate *body;			/* or NULL */
	UaefPath   *text;			/* or NULL, as those below */
	UaefPath   *tool_calls;
	UaefPath   *input_tokens;
	UaefPath   *output_tokens;
	UaefPrices	prices;
} AgentHttpConfig;

static void *parse(Jsonb *config);
static Jsonb *body(const AgentHttpConfig *own, const UaefCall *call);
static void address(const UaefConnector *connector, UaefCall *call);
static void build(const UaefConnector *connector, const UaefCall *call,
				  UaefHttpDraft *draft);
static bool judge(const UaefConnector *connector, const UaefCall *call,
				  const UaefHttpResult *result, const UaefResponse *response,
				  UaefAnswerVerdict *verdict);
static int64 count_at(const UaefPath *path, Jsonb *body);
static Jsonb *output(const UaefConnector *connector, const UaefCall *call,
					 const UaefHttpResult *result,
					 const UaefResponse *response);

static const char *const operations[] = {"ask", NULL};
static const char *const keys[] = {
	"body", "text", "tool_calls", "input_tokens", "output_tokens", "prices",
	NULL
};
static const char *const secret_keys[] = {NULL};

const UaefConnectorType uaef_agent_http_connector = {
	.name = "agent_http",
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
	AgentHttpConfig *own = palloc0(sizeof(AgentHttpConfig));

	own->body = uaef_config_template(config, "body");
	own->text = uaef_config_path(config, "text");
	own->tool_calls = uaef_config_path(config, "tool_calls");
	own->input_tokens = uaef_config_path(config, "input_tokens");
	own->output_tokens = uaef_config_path(config, "output_tokens");
	uaef_prices_parse(config, &own->prices);
	return own;
}

static Jsonb *
body(const AgentHttpConfig *own, const UaefCall *call)
{
	if (call->body == NULL)
		uaef_payload_wrong(call->operation, "any JSON");
	return own->body == NULL ? call->body
		: uaef_payload_fill(own->body, call->body);
}

static void
address(const UaefConnector *connector, UaefCall *call)
{
	(void) body(connector->own, call);
}

static void
build(const UaefConnector *connector, const UaefCall *call,
	  UaefHttpDraft *draft)
{
	uaef_draft_json(draft, body(connector->own, call));
}

static bool
judge(const UaefConnector *connector, const UaefCall *call,
	  const UaefHttpResult *result, const UaefResponse *response,
	  UaefAnswerVerdict *verdict)
{
	const AgentHttpConfig *own = connector->own;

	verdict->answer = uaef_answer_by_status(call, result->status);
	if (verdict->answer == UAEF_ANSWER_SUCCESS && own->text != NULL &&
		uaef_answer_text(own->text, response->body) == NULL)
	{
		verdict->answer = UAEF_ANSWER_UNCERTAIN;
		verdict->code = "agent_bad_answer";
		verdict->message = psprintf("the answer has no text at \"%s\"",
									uaef_path_text(own->text));
	}
	return true;
}

static int64
count_at(const UaefPath *path, Jsonb *body)
{
	JsonbValue	value;
	UaefJson	json;

	if (path == NULL || !uaef_answer_get(path, body, &value))
		return -1;
	uaef_json_begin(&json);
	uaef_json_jsonb(&json, "count", uaef_json_from_value(&value));
	return uaef_answer_count(uaef_json_end(&json), "count");
}

static Jsonb *
output(const UaefConnector *connector, const UaefCall *call,
	   const UaefHttpResult *result, const UaefResponse *response)
{
	const AgentHttpConfig *own = connector->own;
	UaefModelAnswer answer = UAEF_MODEL_ANSWER_NONE;
	JsonbValue	value;
	UaefJson	more;

	answer.text = uaef_answer_text(own->text, response->body);
	if (own->text == NULL && response->body != NULL &&
		JB_ROOT_IS_SCALAR(response->body) &&
		JsonbExtractScalar(&response->body->root, &value) &&
		value.type == jbvString)
		answer.text = pnstrdup(value.val.string.val, value.val.string.len);
	if (own->tool_calls != NULL &&
		uaef_answer_get(own->tool_calls, response->body, &value))
		answer.tool_calls = uaef_json_from_value(&value);
	answer.input_tokens = count_at(own->input_tokens, response->body);
	answer.output_tokens = count_at(own->output_tokens, response->body);
	uaef_json_begin(&more);
	uaef_json_jsonb(&more, "output", response->body);
	return uaef_model_output(&answer, &own->prices, uaef_json_end(&more));
}
