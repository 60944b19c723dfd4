/*-------------------------------------------------------------------------
 *
 * model_answer.c
 *	  What connectors to models share: requests, tools, tokens and prices.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "connector_config.h"
#include "connector_read.h"
#include "json_util.h"
#include "model_answer.h"
#include "numeric_util.h"

/* Counts of tokens beyond this are no counts. */
#define MAX_TOKENS	INT64CONST(999999999999)

static Numeric read_price(Jsonb *prices, const char *key);
static Jsonb *user_message(Jsonb *text);
static void check_chat(const UaefCall *call);

/*
 * A number, or a string of one, which keeps its digits in every language.
 */
static Numeric
read_price(Jsonb *prices, const char *key)
{
	static const char *const wanted =
		"a price for a million tokens, as a number that is not negative";
	JsonbValue	value;
	Numeric		price = NULL;

	if (!uaef_json_get(prices, key, &value))
		uaef_connector_bad_config(key, wanted);
	if (value.type == jbvNumeric)
		price = value.val.numeric;
	else if (value.type == jbvString && value.val.string.len <= 30)
	{
		char	   *text = pnstrdup(value.val.string.val, value.val.string.len);

		if (*text >= '0' && *text <= '9' && text[strlen(text) - 1] != '.' &&
			strspn(text, "0123456789.") == strlen(text) &&
			strchr(text, '.') == strrchr(text, '.'))
			price = uaef_numeric_from_text(text);
	}
	if (price == NULL || numeric_is_nan(price) || uaef_numeric_sign(price) < 0)
		uaef_connector_bad_config(key, wanted);
	return price;
}

void
uaef_prices_parse(Jsonb *config, UaefPrices *prices)
{
	static const char *const keys[] = {"input", "output", "currency", NULL};
	Jsonb	   *object = uaef_config_object(config, "prices");

	memset(prices, 0, sizeof(*prices));
	if (object == NULL)
		return;
	uaef_config_keys(object, keys, "\"prices\" of a connector's config");
	prices->input = read_price(object, "input");
	prices->output = read_price(object, "output");
	prices->currency = uaef_config_text(object, "currency", false);
}

UaefPath *
uaef_config_path(Jsonb *config, const char *key)
{
	char	   *text = uaef_config_text(config, key, false);

	return text == NULL ? NULL : uaef_path_compile(text, strlen(text), true);
}

bool
uaef_answer_get(const UaefPath *path, Jsonb *body, JsonbValue *value)
{
	UaefScope	scope = {.document = body};

	return body != NULL && JB_ROOT_IS_OBJECT(body) &&
		uaef_path_get(path, &scope, value);
}

char *
uaef_answer_text(const UaefPath *path, Jsonb *body)
{
	JsonbValue	value;

	if (path == NULL || !uaef_answer_get(path, body, &value))
		return NULL;
	if (value.type == jbvString)
		return pnstrdup(value.val.string.val, value.val.string.len);
	return value.type == jbvNumeric ? uaef_numeric_text(value.val.numeric)
		: NULL;
}

static Jsonb *
user_message(Jsonb *text)
{
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_text(&json, "role", "user");
	uaef_json_jsonb(&json, "content", text);
	return uaef_json_end(&json);
}

static void
check_chat(const UaefCall *call)
{
	JsonbValue	value;

	if (!uaef_json_get(call->body, "messages", &value) ||
		value.type != jbvBinary ||
		!JsonContainerIsArray(value.val.binary.data) ||
		JsonContainerSize(value.val.binary.data) == 0)
		uaef_payload_wrong(call->operation,
						   "a string, or an object whose \"messages\" is an array that is not empty");
	if (uaef_json_get(call->body, "stream", &value) &&
		!(value.type == jbvBool && !value.val.boolean))
		uaef_payload_wrong(call->operation,
						   "an object without \"stream\": answers come whole");
}

Jsonb *
uaef_chat_request(const UaefCall *call, Jsonb *defaults)
{
	JsonbIterator *it = JsonbIteratorInit(&defaults->root);
	JsonbIteratorToken token;
	JsonbValue	name;
	JsonbValue	value;
	UaefJson	json;
	bool		text;

	if (call->body == NULL)
		uaef_payload_wrong(call->operation, "a string or an object");
	text = JB_ROOT_IS_SCALAR(call->body) &&
		JsonbExtractScalar(&call->body->root, &value) &&
		value.type == jbvString;
	if (!text)
		check_chat(call);
	uaef_json_begin(&json);
	while ((token = JsonbIteratorNext(&it, &name, true)) != WJB_DONE)
	{
		char	   *key;

		if (token != WJB_KEY)
			continue;
		key = pnstrdup(name.val.string.val, name.val.string.len);
		if ((text || !uaef_json_get(call->body, key, &value)) &&
			uaef_json_get(defaults, key, &value))
			uaef_json_jsonb(&json, key, uaef_json_from_value(&value));
	}
	if (text)
	{
		JsonbValue	key = {.type = jbvString};
		JsonbValue	message;

		key.val.string.val = "messages";
		key.val.string.len = strlen("messages");
		uaef_document_value(user_message(call->body), &message);
		(void) pushJsonbValue(&json.state, WJB_KEY, &key);
		(void) pushJsonbValue(&json.state, WJB_BEGIN_ARRAY, NULL);
		(void) pushJsonbValue(&json.state, WJB_ELEM, &message);
		(void) pushJsonbValue(&json.state, WJB_END_ARRAY, NULL);
	}
	else
		uaef_json_members(&json, call->body);
	return uaef_json_end(&json);
}

UaefAnswer
uaef_answer_by_status(const UaefCall *call, int status)
{
	if (status >= 200 && status <= 299)
		return UAEF_ANSWER_SUCCESS;
	if (status == 502 || status == 504)
		return uaef_http_method_is_safe(call->method) ? UAEF_ANSWER_TRANSIENT
			: UAEF_ANSWER_UNCERTAIN;
	return uaef_http_status_passes(status) ? UAEF_ANSWER_TRANSIENT
		: UAEF_ANSWER_PERMANENT;
}

Jsonb *
uaef_answer_object(Jsonb *object, const char *key)
{
	JsonbValue	value;

	if (!uaef_json_get(object, key, &value) || value.type != jbvBinary ||
		!JsonContainerIsObject(value.val.binary.data))
		return NULL;
	return uaef_json_from_value(&value);
}

Jsonb *
uaef_answer_array(Jsonb *object, const char *key)
{
	JsonbValue	value;

	if (!uaef_json_get(object, key, &value) || value.type != jbvBinary ||
		!JsonContainerIsArray(value.val.binary.data))
		return NULL;
	return uaef_json_from_value(&value);
}

int64
uaef_answer_count(Jsonb *object, const char *key)
{
	JsonbValue	value;
	char	   *text;

	if (!uaef_json_get(object, key, &value) || value.type != jbvNumeric)
		return -1;
	text = numeric_normalize(value.val.numeric);
	if (strlen(text) > 12 || strspn(text, "0123456789") != strlen(text))
		return -1;
	return Min(strtoll(text, NULL, 10), MAX_TOKENS);
}

char *
uaef_request_message(const char *message, const char *request_id)
{
	if (message == NULL || request_id == NULL)
		return message == NULL ? NULL : pstrdup(message);
	return psprintf("%s (request %s)", message, uaef_clip_text(request_id));
}

Numeric
uaef_tokens_cost(const UaefPrices *prices, int64 input, int64 output)
{
	Numeric		sum;

	if (prices->input == NULL || input < 0 || output < 0)
		return NULL;
	sum = uaef_numeric_op(numeric_add,
						  uaef_numeric_op(numeric_mul, prices->input,
										  int64_to_numeric(input)),
						  uaef_numeric_op(numeric_mul, prices->output,
										  int64_to_numeric(output)));
	return uaef_numeric_from_text(numeric_normalize(uaef_numeric_op(numeric_mul,
																	sum,
																	uaef_numeric_from_text("0.000001"))));
}

Jsonb *
uaef_model_output(const UaefModelAnswer *answer, const UaefPrices *prices,
				  Jsonb *more)
{
	Numeric		cost = uaef_tokens_cost(prices, answer->input_tokens,
										answer->output_tokens);
	UaefJson	json;
	UaefJson	usage;

	uaef_json_begin(&json);
	uaef_json_text(&json, "text", answer->text);
	uaef_json_jsonb(&json, "content", answer->content);
	uaef_json_jsonb(&json, "tool_calls", answer->tool_calls);
	uaef_json_text(&json, "stop_reason", answer->stop_reason);
	uaef_json_text(&json, "model", answer->model);
	uaef_json_text(&json, "id", answer->id);
	uaef_json_text(&json, "request_id", answer->request_id);
	if (answer->input_tokens >= 0 && answer->output_tokens >= 0)
	{
		uaef_json_begin(&usage);
		uaef_json_int(&usage, "input_tokens", answer->input_tokens);
		uaef_json_int(&usage, "output_tokens", answer->output_tokens);
		uaef_json_jsonb(&json, "usage", uaef_json_end(&usage));
	}
	if (cost != NULL)
	{
		uaef_json_numeric(&json, "cost", cost);
		uaef_json_text(&json, "currency", prices->currency);
	}
	uaef_json_members(&json, more);
	return uaef_json_end(&json);
}
