/*-------------------------------------------------------------------------
 *
 * servicebus_connector.c
 *	  Queues and topics of Azure Service Bus.
 *
 * The url is that of the queue or topic.  Its config adds
 *
 *	{"key_name":..., "subscription":..., "body":template, "session_id":template,
 *	 "subject":template, "properties":{name:template}, "time_to_live":seconds}
 *
 * The templates read the payload.  The secret is {"key"}, the key of the shared
 * access policy that key_name names.  A request carries a token that is signed
 * right before it leaves and holds for five minutes.
 *
 * The delivery's key is the message's id.  A queue that detects duplicates
 * drops a message whose id it has seen; then say "idempotent":true.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "base64.h"
#include "connector_read.h"
#include "json_util.h"
#include "mac.h"
#include "receive_rule.h"
#include "url.h"

#define TOKEN_LIFE_S	300
#define MAX_ID			128

/* What encodeURIComponent() leaves alone, which clients of Azure use. */
#define ALSO_PLAIN		"!*'()"

typedef struct Property
{
	char	   *name;
	UaefTemplate *value;
} Property;

typedef struct ServicebusConfig
{
	char	   *entity;			/* the URL, as tokens name it */
	char	   *key_name;
	char	   *subscription;	/* of a topic, to receive from; or NULL */
	UaefTemplate *body;			/* or NULL */
	UaefTemplate *session_id;	/* or NULL */
	UaefTemplate *subject;		/* or NULL */
	int			time_to_live;	/* seconds; 0: the queue's */
	int			n_properties;
	Property   *properties;
} ServicebusConfig;

static void *parse(Jsonb *config);
static char *entity_of(const char *text);
static void read_properties(Jsonb *config, ServicebusConfig *own);
static char *make_token(const char *uri, const char *key_name, const char *key,
						int64 expires);
static void sign(const UaefConnector *connector, UaefHttpDraft *draft);
static void address(const UaefConnector *connector, UaefCall *call);
static char *message_body(const ServicebusConfig *own, Jsonb *payload);
static char *ascii_json(Jsonb *document);
static Jsonb *broker_properties(const ServicebusConfig *own,
								const UaefCall *call);
static void set_properties(const ServicebusConfig *own, Jsonb *payload,
						   UaefHttpDraft *draft);
static void build(const UaefConnector *connector, const UaefCall *call,
				  UaefHttpDraft *draft);
static bool judge(const UaefConnector *connector, const UaefCall *call,
				  const UaefHttpResult *result, const UaefResponse *response,
				  UaefAnswerVerdict *verdict);
static Jsonb *output(const UaefConnector *connector, const UaefCall *call,
					 const UaefHttpResult *result,
					 const UaefResponse *response);

static char *source(const ServicebusConfig *own);
static void poll(const UaefConnector *connector, UaefReceiveCall *call,
				 UaefHttpDraft *draft);
static int	read_message(const UaefConnector *connector,
						 const UaefHttpResult *result,
						 const UaefResponse *response, UaefMessage **messages,
						 UaefAnswerVerdict *verdict);
static void settle(const UaefConnector *connector,
				   const UaefMessage *messages, int n, UaefReceiveCall *call,
				   UaefHttpDraft *draft);

static const char *const operations[] = {"send", NULL};
static const char *const keys[] = {
	"key_name", "subscription", "body", "session_id", "subject", "properties", "time_to_live",
	NULL
};
static const char *const secret_keys[] = {"key", NULL};

static const UaefReceiverType receiver = {
	.poll = poll,
	.read = read_message,
	.settle = settle
};

const UaefConnectorType uaef_servicebus_connector = {
	.name = "servicebus",
	.operations = operations,
	.keys = keys,
	.secret_keys = secret_keys,
	.needs_url = true,
	.parse = parse,
	.address = address,
	.build = build,
	.judge = judge,
	.receiver = &receiver,
	.output = output
};

static void *
parse(Jsonb *config)
{
	ServicebusConfig *own = palloc0(sizeof(ServicebusConfig));

	own->entity = entity_of(uaef_config_text(config, "url", true));
	own->key_name = uaef_config_text(config, "key_name", true);
	own->subscription = uaef_config_text(config, "subscription", false);
	own->body = uaef_config_template(config, "body");
	own->session_id = uaef_config_template(config, "session_id");
	own->subject = uaef_config_template(config, "subject");
	own->time_to_live = uaef_config_int(config, "time_to_live", 0, 0,
										10 * 365 * 24 * 3600);
	read_properties(config, own);
	return own;
}

/*
 * Without a slash at the end, and without a port that the scheme implies.
 */
static char *
entity_of(const char *text)
{
	UaefUrl		url;
	bool		plain;
	int			len;

	uaef_url_require(text, &url);
	if (strchr(url.target, '?') != NULL)
		uaef_connector_bad_config("url", "a URL without a query");
	len = strlen(url.target);
	while (len > 0 && url.target[len - 1] == '/')
		len--;
	if (len == 0)
		uaef_connector_bad_config("url", "the URL of a queue or topic");
	plain = url.port == (url.tls ? 443 : 80);
	return psprintf("%s://%s%s%.*s", uaef_url_scheme(&url), url.host,
					plain ? "" : psprintf(":%d", url.port), len, url.target);
}

/*
 * A property is a header.
 */
static void
read_properties(Jsonb *config, ServicebusConfig *own)
{
	Jsonb	   *document = uaef_config_object(config, "properties");
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	value;

	if (document == NULL)
		return;
	own->properties = palloc0(sizeof(Property) * (JB_ROOT_COUNT(document) + 1));
	it = JsonbIteratorInit(&document->root);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		Property   *next = &own->properties[own->n_properties];

		if (token != WJB_KEY)
			continue;
		next->name = pnstrdup(value.val.string.val, value.val.string.len);
		uaef_config_header(next->name);
		next->value = uaef_config_template(document, next->name);
		own->n_properties++;
	}
}

static char *
make_token(const char *uri, const char *key_name, const char *key,
		   int64 expires)
{
	char	   *resource = uaef_percent_encode(uri, ALSO_PLAIN);
	char	   *signed_text = psprintf("%s\n%lld", resource,
									   (long long) expires);
	UaefBytes	secret = {key, strlen(key)};
	UaefBytes	text = {signed_text, strlen(signed_text)};
	uint8		mac[UAEF_MAC_MAX_LEN];
	size_t		len = uaef_mac(UAEF_SHA256, secret, &text, 1, mac);

	return psprintf("SharedAccessSignature sr=%s&sig=%s&se=%lld&skn=%s",
					resource,
					uaef_percent_encode(uaef_base64(mac, len), ALSO_PLAIN),
					(long long) expires,
					uaef_percent_encode(key_name, ALSO_PLAIN));
}

static void
sign(const UaefConnector *connector, UaefHttpDraft *draft)
{
	const ServicebusConfig *own = connector->own;
	int64		now = timestamptz_to_time_t(GetCurrentTimestamp());

	uaef_draft_header(draft, "Authorization",
					  make_token(own->entity, own->key_name,
								 uaef_secret_text(connector, "key",
												  true),
								 now + TOKEN_LIFE_S));
}

static void
address(const UaefConnector *connector, UaefCall *call)
{
	const ServicebusConfig *own = connector->own;
	UaefHttpDraft draft = {0};

	if (call->body == NULL)
		uaef_payload_wrong(call->operation, "there");
	(void) message_body(own, call->body);
	(void) broker_properties(own, call);
	set_properties(own, call->body, &draft);
	call->method = "POST";
	call->url = psprintf("%s/messages", own->entity);
}

static char *
message_body(const ServicebusConfig *own, Jsonb *payload)
{
	return own->body != NULL ? uaef_payload_fill_text(own->body, payload)
		: uaef_payload_text(payload);
}

/*
 * JSON for a header: what is not ASCII is written as \u escapes.
 */
static char *
ascii_json(Jsonb *document)
{
	char	   *text = JsonbToCString(NULL, &document->root, VARSIZE(document));
	char	   *utf8 = pg_server_to_any(text, strlen(text), PG_UTF8);
	StringInfoData out;

	initStringInfo(&out);
	while (*utf8 != '\0')
	{
		int			len = pg_encoding_mblen(PG_UTF8, utf8);
		pg_wchar	c = utf8_to_unicode((unsigned char *) utf8);

		if (len == 1)
			appendStringInfoChar(&out, *utf8);
		else if (c < 0x10000)
			appendStringInfo(&out, "\\u%04x", (unsigned int) c);
		else
			appendStringInfo(&out, "\\u%04x\\u%04x",
							 (unsigned int) (0xd800 + ((c - 0x10000) >> 10)),
							 (unsigned int) (0xdc00 + ((c - 0x10000) & 0x3ff)));
		utf8 += len;
	}
	return out.data;
}

static Jsonb *
broker_properties(const ServicebusConfig *own, const UaefCall *call)
{
	UaefJson	json;

	uaef_json_begin(&json);
	if (call->idempotency_key != NULL)
		uaef_json_text(&json, "MessageId",
					   uaef_short_id(call->idempotency_key, MAX_ID));
	if (own->session_id != NULL)
		uaef_json_text(&json, "SessionId",
					   uaef_payload_fill_text(own->session_id, call->body));
	if (own->subject != NULL)
		uaef_json_text(&json, "Label",
					   uaef_payload_fill_text(own->subject, call->body));
	if (own->time_to_live > 0)
		uaef_json_int(&json, "TimeToLive", own->time_to_live);
	return uaef_json_end(&json);
}

/*
 * The value of a property is written as JSON, so that its type is kept.
 */
static void
set_properties(const ServicebusConfig *own, Jsonb *payload,
			   UaefHttpDraft *draft)
{
	for (int i = 0; i < own->n_properties; i++)
		uaef_draft_header(draft, own->properties[i].name,
						  ascii_json(uaef_payload_fill(own->properties[i].value,
													   payload)));
}

static void
build(const UaefConnector *connector, const UaefCall *call,
	  UaefHttpDraft *draft)
{
	const ServicebusConfig *own = connector->own;

	set_properties(own, call->body, draft);
	uaef_draft_header(draft, "BrokerProperties",
					  ascii_json(broker_properties(own, call)));
	uaef_draft_text(draft, message_body(own, call->body),
					own->body == NULL ? "application/json"
					: "text/plain; charset=utf-8");
	sign(connector, draft);
}

/*
 * 403 stands for a queue that is full, which passes, and for a message that is
 * too large, which does not.
 */
static bool
judge(const UaefConnector *connector, const UaefCall *call,
	  const UaefHttpResult *result, const UaefResponse *response,
	  UaefAnswerVerdict *verdict)
{
	bool		full = result->body_len > 0 &&
		uaef_bytes_contain(result->body, result->body_len, "QuotaExceeded");

	switch (result->status)
	{
		case 201:
			return true;
		case 200:
		case 202:
		case 204:
			verdict->answer = UAEF_ANSWER_UNCERTAIN;
			verdict->code = "bad_answer";
			verdict->message = "the answer is not what Service Bus sends";
			return true;
		case 401:
			verdict->answer = UAEF_ANSWER_PERMANENT;
			verdict->code = "servicebus_unauthorized";
			return true;
		case 403:
			verdict->answer = full ? UAEF_ANSWER_TRANSIENT
				: UAEF_ANSWER_PERMANENT;
			verdict->code = full ? "servicebus_quota" : "servicebus_forbidden";
			return true;
		case 404:
		case 410:
			verdict->answer = UAEF_ANSWER_PERMANENT;
			verdict->code = "servicebus_gone";
			verdict->message = "there is no such queue or topic";
			return true;
		default:
			return false;
	}
}

static Jsonb *
output(const UaefConnector *connector, const UaefCall *call,
	   const UaefHttpResult *result, const UaefResponse *response)
{
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_text(&json, "message_id",
				   uaef_short_id(call->idempotency_key, MAX_ID));
	return uaef_json_end(&json);
}

/*----------
 * Receiving: a message is locked, handled and then completed
 * ----------
 */

static char *
source(const ServicebusConfig *own)
{
	return own->subscription == NULL ? own->entity
		: psprintf("%s/subscriptions/%s", own->entity,
				   uaef_percent_encode(own->subscription, ""));
}

static void
poll(const UaefConnector *connector, UaefReceiveCall *call,
	 UaefHttpDraft *draft)
{
	sign(connector, draft);
	call->method = "POST";
	call->url = psprintf("%s/messages/head?timeout=%d",
						 source(connector->own),
						 connector->config.receive->wait_s);
}

/*
 * The place of the lock is made of what the answer says of the message, not
 * taken from its Location, which could lead anywhere.
 */
static int
read_message(const UaefConnector *connector, const UaefHttpResult *result,
			 const UaefResponse *response, UaefMessage **messages,
			 UaefAnswerVerdict *verdict)
{
	char	   *text = uaef_json_get_text(response->headers,
										  "brokerproperties");
	Jsonb	   *properties = text ? uaef_message_body(text) : NULL;
	UaefMessage *message = palloc0(sizeof(UaefMessage));
	char	   *token = uaef_json_get_text(properties, "LockToken");
	JsonbValue	value;

	if (result->status == 204)
		return 0;
	*messages = message;
	if ((result->status != 200 && result->status != 201) || token == NULL ||
		!uaef_json_get(properties, "SequenceNumber", &value) ||
		value.type != jbvNumeric)
		return -1;
	text = DatumGetCString(DirectFunctionCall1(numeric_out,
											   NumericGetDatum(value.val.numeric)));
	message->handle = psprintf("%s/messages/%s/%s", source(connector->own),
							   text, uaef_percent_encode(token, ""));
	message->id = uaef_json_get_text(properties, "MessageId");
	if (message->id == NULL || *message->id == '\0')
		message->id = text;
	message->receives = 1;
	if (uaef_json_get(properties, "DeliveryCount", &value) &&
		value.type == jbvNumeric)
		message->receives = DatumGetInt32(DirectFunctionCall1(numeric_int4,
															  NumericGetDatum(value.val.numeric)));
	message->attributes = properties;
	message->body = response->body;
	if (message->body == NULL)
		message->body = uaef_message_body("");
	return 1;
}

static void
settle(const UaefConnector *connector, const UaefMessage *messages, int n,
	   UaefReceiveCall *call, UaefHttpDraft *draft)
{
	Assert(n == 1);
	sign(connector, draft);
	call->method = "DELETE";
	call->url = messages[0].handle;
}
