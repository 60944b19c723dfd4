/*-------------------------------------------------------------------------
 *
 * agent_prompt.c
 *	  What an agent that is called is asked, and what its answer says.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "agent_prompt.h"
#include "connector_read.h"
#include "json_util.h"
#include "model_answer.h"

static bool is_chat(const char *platform);
static char *prompt_text(const UaefAgentClaim *claim);
static void copy(UaefJson *json, Jsonb *from, const char *key);
static void push_message(JsonbParseState **state, const char *role,
						 const char *text);
static void push_all(JsonbParseState **state, Jsonb *array);
static Jsonb *make_messages(const char *platform, Jsonb *configuration,
							const UaefAgentClaim *claim);
static char *strip_fence(char *text);

static bool
is_chat(const char *platform)
{
	return strcmp(platform, "anthropic") == 0 ||
		strcmp(platform, "openai") == 0;
}

/*
 * The prompt, or else the input, then the context, then what the output must be.
 */
static char *
prompt_text(const UaefAgentClaim *claim)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfoString(&text, claim->prompt != NULL ? claim->prompt
						   : uaef_payload_text(claim->claim.input));
	if (claim->context != NULL)
		appendStringInfo(&text, "\n\nContext:\n%s",
						 uaef_payload_text(claim->context));
	if (claim->output_schema != NULL)
		appendStringInfo(&text,
						 "\n\nAnswer with nothing but JSON that fits this JSON Schema:\n%s",
						 uaef_payload_text(claim->output_schema));
	return text.data;
}

static void
copy(UaefJson *json, Jsonb *from, const char *key)
{
	JsonbValue	value;

	if (uaef_json_get(from, key, &value))
		uaef_json_jsonb(json, key, uaef_json_from_value(&value));
}

static void
push_message(JsonbParseState **state, const char *role, const char *text)
{
	JsonbValue	message;
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_text(&json, "role", role);
	uaef_json_text(&json, "content", text);
	uaef_document_value(uaef_json_end(&json), &message);
	(void) pushJsonbValue(state, WJB_ELEM, &message);
}

static void
push_all(JsonbParseState **state, Jsonb *array)
{
	for (uint32 i = 0; i < JB_ROOT_COUNT(array); i++)
		(void) pushJsonbValue(state, WJB_ELEM,
							  getIthJsonbValueFromContainer(&array->root, i));
}

/*
 * OpenAI has the system's word as a message.
 */
static Jsonb *
make_messages(const char *platform, Jsonb *configuration,
			  const UaefAgentClaim *claim)
{
	JsonbParseState *state = NULL;
	char	   *system = uaef_json_get_text(configuration, "system");

	(void) pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	if (system != NULL && strcmp(platform, "openai") == 0)
		push_message(&state, "system", system);
	if (claim->messages != NULL && JB_ROOT_IS_ARRAY(claim->messages) &&
		!JB_ROOT_IS_SCALAR(claim->messages))
		push_all(&state, claim->messages);
	else
		push_message(&state, "user", prompt_text(claim));
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
}

Jsonb *
uaef_agent_payload(const char *platform, Jsonb *configuration,
				   const UaefAgentClaim *claim)
{
	UaefJson	json;

	uaef_json_begin(&json);
	if (!is_chat(platform))
	{
		uaef_json_text(&json, "prompt", prompt_text(claim));
		uaef_json_jsonb(&json, "input", claim->claim.input);
		uaef_json_jsonb(&json, "context", claim->context);
		uaef_json_jsonb(&json, "output_schema", claim->output_schema);
		return uaef_json_end(&json);
	}
	copy(&json, configuration, "model");
	copy(&json, configuration, "max_tokens");
	copy(&json, configuration, "temperature");
	if (strcmp(platform, "anthropic") == 0)
		copy(&json, configuration, "system");
	if (claim->tools != NULL)
		uaef_json_jsonb(&json, "tools", claim->tools);
	else
		copy(&json, configuration, "tools");
	uaef_json_jsonb(&json, "messages",
					make_messages(platform, configuration, claim));
	return uaef_json_end(&json);
}

Jsonb *
uaef_agent_repair_payload(const char *platform, Jsonb *payload,
						  const char *answer, const char *problem)
{
	char	   *request = psprintf("That is not what was asked for: %s\nAnswer once more, with nothing but JSON that fits.",
								   problem);
	JsonbIterator *it = JsonbIteratorInit(&payload->root);
	JsonbParseState *state = NULL;
	JsonbIteratorToken token;
	JsonbValue	key;
	UaefJson	json;

	uaef_json_begin(&json);
	while ((token = JsonbIteratorNext(&it, &key, true)) != WJB_DONE)
	{
		char	   *name;

		if (token != WJB_KEY)
			continue;
		name = pnstrdup(key.val.string.val, key.val.string.len);
		if (strcmp(name, "messages") != 0 && strcmp(name, "prompt") != 0)
			copy(&json, payload, name);
	}
	if (is_chat(platform))
	{
		(void) pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
		push_all(&state, uaef_answer_array(payload, "messages"));
		push_message(&state, "assistant", *answer == '\0' ? "-" : answer);
		push_message(&state, "user", request);
		uaef_json_jsonb(&json, "messages",
						JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY,
														 NULL)));
	}
	else
		uaef_json_text(&json, "prompt",
					   psprintf("%s\n\nYour answer was:\n%s\n\n%s",
								uaef_json_get_text(payload, "prompt"), answer,
								request));
	return uaef_json_end(&json);
}

/*
 * Models like to put JSON between two lines of backquotes.
 */
static char *
strip_fence(char *text)
{
	char	   *end;

	text += strspn(text, " \t\r\n");
	if (strncmp(text, "```", 3) != 0 || strchr(text, '\n') == NULL)
		return text;
	text = strchr(text, '\n') + 1;
	end = strstr(text, "```");
	return end == NULL ? text : pnstrdup(text, end - text);
}

bool
uaef_agent_wants_tools(Jsonb *answer)
{
	Jsonb	   *calls = uaef_answer_array(answer, "tool_calls");

	return calls != NULL && JB_ROOT_COUNT(calls) > 0;
}

Jsonb *
uaef_agent_output(Jsonb *answer, bool has_schema)
{
	static const char *const parts[] = {
		"text", "tool_calls", "content", "output", "stop_reason", "model"
	};
	char	   *text = uaef_json_get_text(answer, "text");
	UaefJson	json;

	if (has_schema && !uaef_agent_wants_tools(answer))
	{
		JsonbValue	value;

		if (text != NULL)
			return uaef_message_body(strip_fence(text));
		return uaef_json_get(answer, "output", &value)
			? uaef_json_from_value(&value) : NULL;
	}
	uaef_json_begin(&json);
	for (int i = 0; i < lengthof(parts); i++)
		copy(&json, answer, parts[i]);
	return uaef_json_end(&json);
}
