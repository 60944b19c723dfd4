/*-------------------------------------------------------------------------
 *
 * connector_read.c
 *	  Reading what the configs, secrets and payloads of connectors hold.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

#include "subtransaction.h"
#include "connector_config.h"
#include "connector_read.h"
#include "digest.h"
#include "errcodes.h"
#include "json_util.h"

/* Longest word for an error, and longest text of a server in a message. */
#define MAX_WORD	60
#define MAX_TEXT	300

/* A text that may be JSON. */
typedef struct Parsing
{
	char	   *text;
	Jsonb	   *document;
} Parsing;

static void parse_body(void *arg);
static Jsonb *payload_document(Jsonb *payload);

char *
uaef_config_text(Jsonb *config, const char *key, bool required)
{
	char	   *text = uaef_json_get_text(config, key);
	JsonbValue	value;

	if (text == NULL && uaef_json_get(config, key, &value))
		uaef_connector_bad_config(key, "a string");
	if (text == NULL && required)
		uaef_connector_lacks(key);
	if (text != NULL && *text == '\0')
		uaef_connector_bad_config(key, "a string that is not empty");
	return text;
}

bool
uaef_config_bool(Jsonb *config, const char *key, bool fallback)
{
	JsonbValue	value;

	if (!uaef_json_get(config, key, &value))
		return fallback;
	if (value.type != jbvBool)
		uaef_connector_bad_config(key, "true or false");
	return value.val.boolean;
}

int
uaef_config_int(Jsonb *config, const char *key, int fallback, int min,
				int max)
{
	char	   *wanted = psprintf("a whole number from %d to %d", min, max);
	JsonbValue	value;
	double		number;

	if (!uaef_json_get(config, key, &value))
		return fallback;
	if (value.type != jbvNumeric)
		uaef_connector_bad_config(key, wanted);
	number = DatumGetFloat8(DirectFunctionCall1(numeric_float8,
												NumericGetDatum(value.val.numeric)));
	if (!(number >= min && number <= max) || number != (int) number)
		uaef_connector_bad_config(key, wanted);
	return (int) number;
}

int
uaef_config_choice(Jsonb *config, const char *key, const char *const *words,
				   int fallback)
{
	char	   *text = uaef_config_text(config, key, fallback < 0);
	StringInfoData wanted;

	if (text == NULL)
		return fallback;
	initStringInfo(&wanted);
	for (int i = 0; words[i] != NULL; i++)
	{
		if (strcmp(words[i], text) == 0)
			return i;
		appendStringInfo(&wanted, "%s\"%s\"",
						 i == 0 ? "" : words[i + 1] == NULL ? " or " : ", ",
						 words[i]);
	}
	uaef_connector_bad_config(key, wanted.data);
}

Jsonb *
uaef_config_object(Jsonb *config, const char *key)
{
	JsonbValue	value;
	Jsonb	   *object;

	if (!uaef_json_get(config, key, &value))
		return NULL;
	object = uaef_json_from_value(&value);
	if (!JB_ROOT_IS_OBJECT(object))
		uaef_connector_bad_config(key, "an object");
	return object;
}

void
uaef_config_keys(Jsonb *object, const char *const *known, const char *what)
{
	JsonbIterator *it = JsonbIteratorInit(&object->root);
	JsonbIteratorToken token;
	JsonbValue	key;

	while ((token = JsonbIteratorNext(&it, &key, true)) != WJB_DONE)
	{
		if (token == WJB_KEY && !uaef_is_one_of(known, key.val.string.val,
												key.val.string.len))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("unknown key \"%s\" in %s",
							pnstrdup(key.val.string.val, key.val.string.len),
							what)));
	}
}

void
uaef_config_header(const char *name)
{
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_text(&json, name, "x");
	uaef_http_headers_check(uaef_json_end(&json));
}

UaefTemplate *
uaef_config_template(Jsonb *config, const char *key)
{
	JsonbValue	value;

	if (!uaef_json_get(config, key, &value))
		return NULL;
	return uaef_template_compile_any_root(uaef_json_from_value(&value));
}

static Jsonb *
payload_document(Jsonb *payload)
{
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_jsonb(&json, "payload", payload);
	return uaef_json_end(&json);
}

Jsonb *
uaef_payload_fill(const UaefTemplate *template, Jsonb *payload)
{
	UaefScope	scope = {.document = payload_document(payload)};
	UaefEvalError error = {0};
	Jsonb	   *filled = uaef_template_fill(template, &scope, &error);

	if (filled == NULL)
		uaef_eval_raise(&error);
	return filled;
}

char *
uaef_payload_fill_text(const UaefTemplate *template, Jsonb *payload)
{
	return uaef_payload_text(uaef_payload_fill(template, payload));
}

void
uaef_payload_wrong(const char *operation, const char *wanted)
{
	ereport(ERROR,
			(errcode(ERRCODE_UAEF_BAD_PAYLOAD),
			 errmsg("invalid payload for operation \"%s\"", operation),
			 errdetail("It must be %s.", wanted)));
}

char *
uaef_payload_text(Jsonb *payload)
{
	JsonbValue	scalar;

	if (JB_ROOT_IS_SCALAR(payload) &&
		JsonbExtractScalar(&payload->root, &scalar) &&
		scalar.type == jbvString)
		return pnstrdup(scalar.val.string.val, scalar.val.string.len);
	return JsonbToCString(NULL, &payload->root, VARSIZE(payload));
}

static void
parse_body(void *arg)
{
	Parsing    *parsing = arg;

	parsing->document = DatumGetJsonbP(DirectFunctionCall1(jsonb_in,
														   CStringGetDatum(parsing->text)));
}

Jsonb *
uaef_message_body(char *text)
{
	Parsing		parsing = {text, NULL};
	JsonbValue	value;

	if (uaef_attempt(parse_body, &parsing) == NULL)
		return parsing.document;
	value.type = jbvString;
	value.val.string.val = text;
	value.val.string.len = strlen(text);
	return uaef_json_from_value(&value);
}

char *
uaef_secret_text(const UaefConnector *connector, const char *key,
				 bool required)
{
	char	   *text = uaef_json_get_text(connector->secret, key);

	if (required && (text == NULL || *text == '\0'))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_CONNECTOR_SECRET),
				 errmsg("connector \"%s\" has no secret \"%s\"",
						connector->name, key),
				 errhint("Use uaef.set_connector_secret() to give it one.")));
	return text;
}

/*
 * A control character would begin another header.
 */
char *
uaef_secret_header(const UaefConnector *connector, const char *key,
				   bool required)
{
	char	   *text = uaef_secret_text(connector, key, required);

	for (char *p = text; p != NULL && *p != '\0'; p++)
	{
		if ((unsigned char) *p < ' ' || *p == 0x7f)
			ereport(ERROR,
					(errcode(ERRCODE_UAEF_CONNECTOR_SECRET),
					 errmsg("secret \"%s\" of connector \"%s\" has a control character",
							key, connector->name)));
	}
	return text;
}

char *
uaef_percent_encode(const char *text, const char *also)
{
	const char *utf8 = pg_server_to_any(text, strlen(text), PG_UTF8);
	StringInfoData out;

	initStringInfo(&out);
	for (; *utf8 != '\0'; utf8++)
	{
		unsigned char c = *utf8;

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			(c >= '0' && c <= '9') || strchr("-._~", c) != NULL ||
			strchr(also, c) != NULL)
			appendStringInfoChar(&out, c);
		else
			appendStringInfo(&out, "%%%02X", c);
	}
	return out.data;
}

char *
uaef_short_id(const char *text, int max)
{
	UaefJson	json;

	if (strlen(text) <= max)
		return pstrdup(text);
	uaef_json_begin(&json);
	uaef_json_text(&json, "id", text);
	return uaef_digest_hex(uaef_json_end(&json));
}

bool
uaef_bytes_contain(const char *bytes, size_t len, const char *text)
{
	return memmem(bytes, len, text, strlen(text)) != NULL;
}

/*
 * "ReceiptHandleIsInvalid" becomes "receipt_handle_is_invalid".
 */
char *
uaef_error_word(const char *name)
{
	StringInfoData word;
	bool		lower = false;

	initStringInfo(&word);
	for (; *name != '\0' && word.len < MAX_WORD; name++)
	{
		char		c = *name;

		if (c >= 'A' && c <= 'Z')
		{
			if (lower)
				appendStringInfoChar(&word, '_');
			appendStringInfoChar(&word, c - 'A' + 'a');
			lower = false;
		}
		else if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
		{
			appendStringInfoChar(&word, c);
			lower = true;
		}
		else if (word.len > 0 && word.data[word.len - 1] != '_')
		{
			appendStringInfoChar(&word, '_');
			lower = false;
		}
	}
	return word.data;
}

bool
uaef_http_status_passes(int status)
{
	return status == 408 || status == 425 || status == 429 || status >= 500;
}

char *
uaef_clip_text(const char *text)
{
	return pnstrdup(text, pg_mbcliplen(text, strlen(text), MAX_TEXT));
}

char *
uaef_error_text(Jsonb *body, const char *key)
{
	char	   *text = uaef_json_get_text(body, key);

	return text == NULL ? NULL : uaef_clip_text(text);
}
