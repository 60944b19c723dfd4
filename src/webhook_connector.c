/*-------------------------------------------------------------------------
 *
 * webhook_connector.c
 *	  Webhooks: a payload sent by HTTP to one address.
 *
 * Its config adds {"body","sign"}.  "body" is json (the default), text (the
 * payload is a string), binary (a string in base64) or form (an object whose
 * values are scalars, or arrays of them).  "sign" is "standard", for the
 * signatures of Standard Webhooks 1.0: an HMAC-SHA256 of id, time and body by
 * each of the secret's keys "signing_key" and "second_signing_key", so that a
 * receiver may change from one to the other.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

#include "base64.h"
#include "clock.h"
#include "connector_read.h"
#include "errcodes.h"
#include "json_util.h"
#include "mac.h"
#include "utils/timestamp.h"

#define KEY_PREFIX	"whsec_"

typedef enum BodyKind
{
	BODY_JSON,
	BODY_TEXT,
	BODY_BINARY,
	BODY_FORM
} BodyKind;

typedef struct WebhookConfig
{
	BodyKind	body;
	bool		sign;
} WebhookConfig;

static void *parse(Jsonb *config);
static void address(const UaefConnector *connector, UaefCall *call);
static char *string_payload(const UaefCall *call);
static bytea *binary_payload(const UaefCall *call);
static void add_field(StringInfo form, const char *name,
					  const JsonbValue *value);
static char *form_payload(const UaefCall *call);
static void set_body(const WebhookConfig *own, const UaefCall *call,
					 UaefHttpDraft *draft);
static char *signature(const UaefConnector *connector, const char *key_name,
					   const char *id, const char *seconds,
					   const UaefHttpDraft *draft);
static void sign(const UaefConnector *connector, const UaefCall *call,
				 UaefHttpDraft *draft);
static void build(const UaefConnector *connector, const UaefCall *call,
				  UaefHttpDraft *draft);

static const char *const operations[] = {"send", NULL};
static const char *const keys[] = {"body", "sign", NULL};
static const char *const secret_keys[] = {
	"signing_key", "second_signing_key", NULL
};

const UaefConnectorType uaef_webhook_connector = {
	.name = "webhook",
	.operations = operations,
	.keys = keys,
	.secret_keys = secret_keys,
	.needs_url = true,
	.parse = parse,
	.address = address,
	.build = build
};

static void *
parse(Jsonb *config)
{
	static const char *const kinds[] = {
		[BODY_JSON] = "json",
		[BODY_TEXT] = "text",
		[BODY_BINARY] = "binary",
		[BODY_FORM] = "form",
		NULL
	};
	static const char *const schemes[] = {"none", "standard", NULL};
	WebhookConfig *own = palloc0(sizeof(WebhookConfig));

	own->body = uaef_config_choice(config, "body", kinds, BODY_JSON);
	own->sign = uaef_config_choice(config, "sign", schemes, 0) == 1;
	return own;
}

/*
 * A payload that is not what the body needs is refused before it is queued.
 */
static void
address(const UaefConnector *connector, UaefCall *call)
{
	UaefHttpDraft draft = {0};

	set_body(connector->own, call, &draft);
}

static char *
string_payload(const UaefCall *call)
{
	JsonbValue	value;

	if (!JB_ROOT_IS_SCALAR(call->body) ||
		!JsonbExtractScalar(&call->body->root, &value) ||
		value.type != jbvString)
		uaef_payload_wrong(call->operation, "a string");
	return pnstrdup(value.val.string.val, value.val.string.len);
}

static bytea *
binary_payload(const UaefCall *call)
{
	char	   *text = string_payload(call);
	size_t		len;
	uint8	   *bytes = uaef_base64_bytes(text, strlen(text), &len);
	bytea	   *body;

	if (bytes == NULL)
		uaef_payload_wrong(call->operation, "a string in base64");
	body = palloc(VARHDRSZ + len);
	SET_VARSIZE(body, VARHDRSZ + len);
	memcpy(VARDATA(body), bytes, len);
	return body;
}

static void
add_field(StringInfo form, const char *name, const JsonbValue *value)
{
	char	   *text = NULL;

	if (value->type == jbvString)
		text = pnstrdup(value->val.string.val, value->val.string.len);
	else if (value->type == jbvNumeric)
		text = DatumGetCString(DirectFunctionCall1(numeric_out,
												   NumericGetDatum(value->val.numeric)));
	else if (value->type == jbvBool)
		text = value->val.boolean ? "true" : "false";
	else if (value->type == jbvNull)
		return;
	else
		uaef_payload_wrong("send",
						   "an object whose values are scalars, or arrays of scalars");
	appendStringInfo(form, "%s%s=%s", form->len > 0 ? "&" : "",
					 uaef_percent_encode(name, ""),
					 uaef_percent_encode(text, ""));
}

/*
 * application/x-www-form-urlencoded; a name comes once for each of its values.
 */
static char *
form_payload(const UaefCall *call)
{
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	value;
	char	   *name = NULL;
	StringInfoData form;

	if (!JB_ROOT_IS_OBJECT(call->body))
		uaef_payload_wrong(call->operation, "an object");
	initStringInfo(&form);
	it = JsonbIteratorInit(&call->body->root);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			name = pnstrdup(value.val.string.val, value.val.string.len);
		else if (token == WJB_VALUE && value.type == jbvBinary &&
				 JsonContainerIsArray(value.val.binary.data))
		{
			for (uint32 i = 0; i < JsonContainerSize(value.val.binary.data); i++)
				add_field(&form, name,
						  getIthJsonbValueFromContainer(value.val.binary.data,
														i));
		}
		else if (token == WJB_VALUE)
			add_field(&form, name, &value);
	}
	return form.data;
}

static void
set_body(const WebhookConfig *own, const UaefCall *call, UaefHttpDraft *draft)
{
	if (call->body == NULL)
	{
		if (call->bytes != NULL)
			uaef_draft_bytes(draft, call->bytes);
		return;
	}
	switch (own->body)
	{
		case BODY_JSON:
			uaef_draft_json(draft, call->body);
			break;
		case BODY_TEXT:
			uaef_draft_text(draft, string_payload(call),
							"text/plain; charset=utf-8");
			break;
		case BODY_BINARY:
			uaef_draft_bytes(draft, binary_payload(call));
			break;
		case BODY_FORM:
			uaef_draft_text(draft, form_payload(call),
							"application/x-www-form-urlencoded");
			break;
	}
}

/*
 * "v1," and the code; NULL when the secret has no such key.
 */
static char *
signature(const UaefConnector *connector, const char *key_name,
		  const char *id, const char *seconds, const UaefHttpDraft *draft)
{
	char	   *text = uaef_secret_text(connector, key_name, false);
	UaefBytes	parts[] = {
		{id, strlen(id)},
		{".", 1},
		{seconds, strlen(seconds)},
		{".", 1},
		{draft->body, draft->body_len}
	};
	UaefBytes	key;
	uint8		mac[UAEF_MAC_MAX_LEN];
	size_t		len;

	if (text == NULL)
		return NULL;
	if (strncmp(text, KEY_PREFIX, strlen(KEY_PREFIX)) == 0)
		text += strlen(KEY_PREFIX);
	key.data = uaef_base64_bytes(text, strlen(text), &key.len);
	if (key.data == NULL || key.len == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_CONNECTOR_SECRET),
				 errmsg("secret \"%s\" of connector \"%s\" is no key",
						key_name, connector->name),
				 errhint("A key is \"" KEY_PREFIX "\" and base64.")));
	len = uaef_mac(UAEF_SHA256, key, parts, lengthof(parts), mac);
	return psprintf("v1,%s", uaef_base64(mac, len));
}

static void
sign(const UaefConnector *connector, const UaefCall *call,
	 UaefHttpDraft *draft)
{
	char	   *seconds = psprintf("%lld",
								   (long long) timestamptz_to_time_t(uaef_clock_now()));
	char	   *first = signature(connector, "signing_key",
								  call->idempotency_key, seconds, draft);
	char	   *second = signature(connector, "second_signing_key",
								   call->idempotency_key, seconds, draft);

	if (first == NULL)
		(void) uaef_secret_text(connector, "signing_key", true);
	uaef_draft_header(draft, "webhook-timestamp", seconds);
	uaef_draft_header(draft, "webhook-signature",
					  second == NULL ? first
					  : psprintf("%s %s", first, second));
}

static void
build(const UaefConnector *connector, const UaefCall *call,
	  UaefHttpDraft *draft)
{
	const WebhookConfig *own = connector->own;

	set_body(own, call, draft);
	if (own->sign)
		sign(connector, call, draft);
}
