/*-------------------------------------------------------------------------
 *
 * sqs_connector.c
 *	  Queues of Amazon SQS, and of whatever speaks its JSON protocol.
 *
 * Its config adds to the url, which is the queue's:
 *
 *	{"region":..., "endpoint":..., "body":template, "group_id":template,
 *	 "deduplication_id":template, "delay":seconds, "attributes":{name:template}}
 *
 * The templates read the payload.  Without "body" the payload is the message.
 * The secret is {"access_key_id","secret_access_key","session_token"}.
 *
 * A queue whose name ends in .fifo drops a message whose deduplication id it
 * has seen within five minutes.  That id is the delivery's key unless the config
 * says otherwise, so that such a message may be sent again when in doubt.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <openssl/evp.h>

#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "connector_read.h"
#include "json_util.h"
#include "receive_rule.h"
#include "url.h"

#define MAX_BATCH		10
#define MAX_ATTRIBUTES	9		/* one of ten is ours */
#define MAX_ID			128
#define MAX_BYTES		(1000 * 1000)	/* of the messages of a request */
#define KEY_ATTRIBUTE	"uaef-idempotency-key"

typedef struct SqsAttribute
{
	char	   *name;
	UaefTemplate *value;
} SqsAttribute;

typedef struct SqsConfig
{
	char	   *queue_url;		/* as it was given */
	char	   *endpoint;
	char	   *region;
	bool		fifo;
	UaefTemplate *body;			/* or NULL */
	UaefTemplate *group_id;		/* or NULL */
	UaefTemplate *deduplication_id; /* or NULL */
	int			delay;
	int			n_attributes;
	SqsAttribute *attributes;
} SqsConfig;

static void *parse(Jsonb *config);
static char *read_region(Jsonb *config, const UaefUrl *url);
static void read_attributes(Jsonb *config, SqsConfig *own);
static void address(const UaefConnector *connector, UaefCall *call);
static bool is_batch(const UaefCall *call);
static int	count_messages(const UaefCall *call);
static Jsonb *message(const UaefCall *call, int i);
static char *message_body(const SqsConfig *own, Jsonb *payload);
static void check_body(const UaefCall *call, const char *body);
static void add_attribute(UaefJson *json, const char *name,
						  const char *value);
static Jsonb *attributes(const SqsConfig *own, Jsonb *payload,
						 const char *key);
static void put_message(const SqsConfig *own, Jsonb *payload,
						const char *key, UaefJson *json);
static void push_element(JsonbParseState **state, Jsonb *element);
static Jsonb *batch(const SqsConfig *own, const UaefCall *call);
static void sign(const UaefConnector *connector, const char *target,
				 UaefHttpDraft *draft);
static void build(const UaefConnector *connector, const UaefCall *call,
				  UaefHttpDraft *draft);
static bool same_md5(const char *text, const char *hex);
static void judge_error(const UaefHttpResult *result,
						const UaefResponse *response,
						UaefAnswerVerdict *verdict);
static void judge_message(const SqsConfig *own, Jsonb *payload,
						  Jsonb *answer, UaefAnswerVerdict *verdict);
static Jsonb *listed(Jsonb *answer, const char *key, int i);
static int	entry_number(const UaefCall *call, Jsonb *entry);
static void judge_batch(const SqsConfig *own, const UaefCall *call,
						Jsonb *answer, UaefAnswerVerdict *verdict);
static bool judge(const UaefConnector *connector, const UaefCall *call,
				  const UaefHttpResult *result, const UaefResponse *response,
				  UaefAnswerVerdict *verdict);
static Jsonb *output(const UaefConnector *connector, const UaefCall *call,
					 const UaefHttpResult *result,
					 const UaefResponse *response);

static void poll(const UaefConnector *connector, UaefReceiveCall *call,
				 UaefHttpDraft *draft);
static Jsonb *plain_attributes(Jsonb *message);
static bool read_message(Jsonb *received, UaefMessage *message);
static int	read_messages(const UaefConnector *connector,
						  const UaefHttpResult *result,
						  const UaefResponse *response,
						  UaefMessage **messages,
						  UaefAnswerVerdict *verdict);
static void settle(const UaefConnector *connector,
				   const UaefMessage *messages, int n, UaefReceiveCall *call,
				   UaefHttpDraft *draft);

static const char *const operations[] = {"send", "send_batch", NULL};
static const char *const keys[] = {
	"region", "endpoint", "body", "group_id", "deduplication_id", "delay",
	"attributes", NULL
};
static const char *const secret_keys[] = {
	"access_key_id", "secret_access_key", "session_token", NULL
};

static const UaefReceiverType receiver = {
	.poll = poll,
	.read = read_messages,
	.settle = settle
};

const UaefConnectorType uaef_sqs_connector = {
	.name = "sqs",
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
	SqsConfig  *own = palloc0(sizeof(SqsConfig));
	char	   *endpoint = uaef_config_text(config, "endpoint", false);
	UaefUrl		url;

	own->queue_url = uaef_config_text(config, "url", true);
	uaef_url_require(own->queue_url, &url);
	own->region = read_region(config, &url);
	own->fifo = strlen(url.target) > 5 &&
		strcmp(url.target + strlen(url.target) - 5, ".fifo") == 0;

	/* The signature is computed for the root, and nothing behind it. */
	if (endpoint != NULL)
		uaef_url_require(endpoint, &url);
	url.target = "/";
	own->endpoint = uaef_url_text(&url);

	own->body = uaef_config_template(config, "body");
	own->group_id = uaef_config_template(config, "group_id");
	own->deduplication_id = uaef_config_template(config, "deduplication_id");
	own->delay = uaef_config_int(config, "delay", 0, 0, 900);
	read_attributes(config, own);
	if (own->fifo && own->group_id == NULL)
		uaef_connector_bad_config("group_id", "there for a FIFO queue");
	if (own->fifo && own->delay > 0)
		uaef_connector_bad_config("delay", "left out for a FIFO queue");
	if (!own->fifo && own->deduplication_id != NULL)
		uaef_connector_bad_config("deduplication_id", "left out unless the queue is FIFO");
	return own;
}

/*
 * The region is part of what is signed; the hosts of Amazon have it in their
 * name.
 */
static char *
read_region(Jsonb *config, const UaefUrl *url)
{
	char	   *region = uaef_config_text(config, "region", false);

	if (region == NULL && strncmp(url->host, "sqs.", 4) == 0 &&
		strstr(url->host, ".amazonaws.com") != NULL)
		region = pnstrdup(url->host + 4, strcspn(url->host + 4, "."));
	if (region == NULL ||
		strspn(region, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(region))
		uaef_connector_bad_config("region", "the name of a region, such as \"eu-west-1\"");
	return region;
}

static void
read_attributes(Jsonb *config, SqsConfig *own)
{
	Jsonb	   *document = uaef_config_object(config, "attributes");
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	value;

	if (document == NULL)
		return;
	if (JB_ROOT_COUNT(document) > MAX_ATTRIBUTES)
		uaef_connector_bad_config("attributes",
								  psprintf("an object of at most %d keys", MAX_ATTRIBUTES));
	own->attributes = palloc0(sizeof(SqsAttribute) *
							  (JB_ROOT_COUNT(document) + 1));
	it = JsonbIteratorInit(&document->root);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		SqsAttribute *next = &own->attributes[own->n_attributes];

		if (token != WJB_KEY)
			continue;
		next->name = pnstrdup(value.val.string.val, value.val.string.len);
		next->value = uaef_config_template(document, next->name);
		own->n_attributes++;
	}
}

/*
 * What can be known to be refused is refused before it is queued.
 */
static void
address(const UaefConnector *connector, UaefCall *call)
{
	const SqsConfig *own = connector->own;
	int			n = count_messages(call);
	size_t		bytes = 0;

	if (call->body == NULL)
		uaef_payload_wrong(call->operation, "there");
	if (n < 1 || n > MAX_BATCH)
		uaef_payload_wrong(call->operation,
						   psprintf("an array of 1 to %d messages", MAX_BATCH));
	for (int i = 0; i < n; i++)
	{
		Jsonb	   *payload = message(call, i);
		char	   *body = message_body(own, payload);

		check_body(call, body);
		bytes += strlen(body);
		(void) attributes(own, payload, "");
		if (own->group_id != NULL)
			(void) uaef_payload_fill_text(own->group_id, payload);
		if (own->deduplication_id != NULL)
			(void) uaef_payload_fill_text(own->deduplication_id, payload);
	}
	if (bytes > MAX_BYTES)
		uaef_payload_wrong(call->operation,
						   psprintf("of at most %d bytes", MAX_BYTES));
	call->method = "POST";
	call->url = own->endpoint;
	call->idempotent |= own->fifo;
}

static bool
is_batch(const UaefCall *call)
{
	return strcmp(call->operation, "send_batch") == 0;
}

/*
 * How many messages the payload is; 0: it is none.
 */
static int
count_messages(const UaefCall *call)
{
	if (call->body == NULL)
		return 0;
	if (!is_batch(call))
		return 1;
	return JB_ROOT_IS_ARRAY(call->body) && !JB_ROOT_IS_SCALAR(call->body)
		? JB_ROOT_COUNT(call->body) : 0;
}

static Jsonb *
message(const UaefCall *call, int i)
{
	if (!is_batch(call))
		return call->body;
	return uaef_json_from_value(getIthJsonbValueFromContainer(&call->body->root,
															  i));
}

static char *
message_body(const SqsConfig *own, Jsonb *payload)
{
	return own->body != NULL ? uaef_payload_fill_text(own->body, payload)
		: uaef_payload_text(payload);
}

/*
 * A message is text of XML 1.0: no control characters but tab and line ends,
 * and not U+FFFE and U+FFFF.
 */
static void
check_body(const UaefCall *call, const char *body)
{
	const char *utf8 = pg_server_to_any(unconstify(char *, body),
										strlen(body), PG_UTF8);

	if (*utf8 == '\0')
		uaef_payload_wrong(call->operation, "a message that is not empty");
	for (const unsigned char *p = (const unsigned char *) utf8; *p != '\0'; p++)
	{
		if ((*p < ' ' && strchr("\t\r\n", *p) == NULL) ||
			(p[0] == 0xef && p[1] == 0xbf && p[2] >= 0xbe))
			uaef_payload_wrong(call->operation,
							   "without characters that XML does not have");
	}
}

static void
add_attribute(UaefJson *json, const char *name, const char *value)
{
	UaefJson	attribute;

	uaef_json_begin(&attribute);
	uaef_json_text(&attribute, "DataType", "String");
	uaef_json_text(&attribute, "StringValue", value);
	uaef_json_jsonb(json, name, uaef_json_end(&attribute));
}

/*
 * The delivery's key goes along: a FIFO queue forgets it after five minutes,
 * and whoever reads the queue does not.
 */
static Jsonb *
attributes(const SqsConfig *own, Jsonb *payload, const char *key)
{
	UaefJson	json;

	uaef_json_begin(&json);
	for (int i = 0; i < own->n_attributes; i++)
		add_attribute(&json, own->attributes[i].name,
					  uaef_payload_fill_text(own->attributes[i].value,
											 payload));
	add_attribute(&json, KEY_ATTRIBUTE, key);
	return uaef_json_end(&json);
}

static void
put_message(const SqsConfig *own, Jsonb *payload, const char *key,
			UaefJson *json)
{
	uaef_json_text(json, "MessageBody", message_body(own, payload));
	uaef_json_jsonb(json, "MessageAttributes", attributes(own, payload, key));
	if (own->delay > 0)
		uaef_json_int(json, "DelaySeconds", own->delay);
	if (own->group_id != NULL)
		uaef_json_text(json, "MessageGroupId",
					   uaef_payload_fill_text(own->group_id, payload));
	if (own->fifo)
		uaef_json_text(json, "MessageDeduplicationId",
					   own->deduplication_id == NULL ? uaef_short_id(key, MAX_ID)
					   : uaef_short_id(uaef_payload_fill_text(own->deduplication_id,
															  payload), MAX_ID));
}

static void
push_element(JsonbParseState **state, Jsonb *element)
{
	JsonbValue	value;

	value.type = jbvBinary;
	value.val.binary.data = &element->root;
	value.val.binary.len = VARSIZE(element) - VARHDRSZ;
	(void) pushJsonbValue(state, WJB_ELEM, &value);
}

/*
 * The entries are numbered, and have keys of their own.
 */
static Jsonb *
batch(const SqsConfig *own, const UaefCall *call)
{
	JsonbParseState *state = NULL;
	int			n = count_messages(call);

	(void) pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < n; i++)
	{
		UaefJson	entry;

		uaef_json_begin(&entry);
		uaef_json_text(&entry, "Id", psprintf("%d", i));
		put_message(own, message(call, i),
					psprintf("%s-%d", call->idempotency_key, i), &entry);
		push_element(&state, uaef_json_end(&entry));
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
}

static void
sign(const UaefConnector *connector, const char *target, UaefHttpDraft *draft)
{
	const SqsConfig *own = connector->own;
	char	   *token = uaef_secret_header(connector, "session_token", false);

	uaef_draft_header(draft, "Content-Type", "application/x-amz-json-1.0");
	uaef_draft_header(draft, "X-Amz-Target", psprintf("AmazonSQS.%s", target));
	if (token != NULL)
		uaef_draft_header(draft, "X-Amz-Security-Token", token);
	draft->aws_sigv4 = psprintf("aws:amz:%s:sqs", own->region);
	draft->user_password =
		psprintf("%s:%s", uaef_secret_header(connector, "access_key_id", true),
				 uaef_secret_text(connector, "secret_access_key", true));
}

static void
build(const UaefConnector *connector, const UaefCall *call,
	  UaefHttpDraft *draft)
{
	const SqsConfig *own = connector->own;
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_text(&json, "QueueUrl", own->queue_url);
	if (is_batch(call))
		uaef_json_jsonb(&json, "Entries", batch(own, call));
	else
		put_message(own, call->body, call->idempotency_key, &json);
	sign(connector, is_batch(call) ? "SendMessageBatch" : "SendMessage",
		 draft);
	uaef_draft_json(draft, uaef_json_end(&json));
}

/*
 * Whether a server got the text that we sent; true when this process cannot
 * compute MD5.
 */
static bool
same_md5(const char *text, const char *hex)
{
	char	   *utf8 = pg_server_to_any(unconstify(char *, text), strlen(text),
										PG_UTF8);
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned int len;
	char		ours[2 * EVP_MAX_MD_SIZE + 1];

	if (EVP_Digest(utf8, strlen(utf8), digest, &len, EVP_md5(), NULL) != 1)
		return true;
	ours[hex_encode((const char *) digest, len, ours)] = '\0';
	return pg_strcasecmp(ours, hex) == 0;
}

/*
 * The name of the error decides, the status does not: it is 400 for most.
 */
static void
judge_error(const UaefHttpResult *result, const UaefResponse *response,
			UaefAnswerVerdict *verdict)
{
	static const char *const passing[] = {
		"RequestThrottled", "RequestThrottledException", "Throttling",
		"ThrottlingException", "ServiceUnavailable", "InternalError",
		"InternalFailure", "KmsThrottled", "OverLimit"
	};
	char	   *type = uaef_json_get_text(response->body, "__type");
	char	   *text = uaef_error_text(response->body, "message");
	char	   *name;

	verdict->answer = uaef_http_status_passes(result->status)
		? UAEF_ANSWER_TRANSIENT : UAEF_ANSWER_PERMANENT;
	if (type == NULL)
		return;
	name = strchr(type, '#') ? strchr(type, '#') + 1 : type;
	if (strncmp(name, "AWS.SimpleQueueService.", 23) == 0)
		name += 23;
	for (int i = 0; i < lengthof(passing); i++)
	{
		if (strcmp(passing[i], name) == 0)
			verdict->answer = UAEF_ANSWER_TRANSIENT;
	}
	verdict->code = psprintf("sqs_%s", uaef_error_word(name));
	verdict->message = text != NULL ? text : uaef_error_text(response->body,
															 "Message");
}

/*
 * What came back of one message.  One that arrived as another one is there, and
 * wrong: nobody can say that it had no effect.
 */
static void
judge_message(const SqsConfig *own, Jsonb *payload, Jsonb *answer,
			  UaefAnswerVerdict *verdict)
{
	char	   *md5 = uaef_json_get_text(answer, "MD5OfMessageBody");

	if (uaef_json_get_text(answer, "MessageId") == NULL)
	{
		verdict->answer = UAEF_ANSWER_UNCERTAIN;
		verdict->code = "bad_answer";
		verdict->message = "the answer has no message id";
	}
	else if (md5 != NULL && !same_md5(message_body(own, payload), md5))
	{
		verdict->answer = UAEF_ANSWER_UNCERTAIN;
		verdict->code = "sqs_md5_mismatch";
		verdict->message = "the queue has another message than the one that was sent";
	}
}

/*
 * What is in a list of the answer, one after the other; NULL at its end.
 */
static Jsonb *
listed(Jsonb *answer, const char *key, int i)
{
	JsonbValue	list;

	if (!uaef_json_get(answer, key, &list) || list.type != jbvBinary ||
		!JsonContainerIsArray(list.val.binary.data) ||
		i >= JsonContainerSize(list.val.binary.data))
		return NULL;
	return uaef_json_from_value(getIthJsonbValueFromContainer(list.val.binary.data,
															  i));
}

/*
 * Which message of the batch an entry of the answer is about; -1: none.
 */
static int
entry_number(const UaefCall *call, Jsonb *entry)
{
	char	   *id = uaef_json_get_text(entry, "Id");
	int			n = count_messages(call);

	for (int i = 0; id != NULL && i < n; i++)
	{
		if (strcmp(id, psprintf("%d", i)) == 0)
			return i;
	}
	return -1;
}

/*
 * A batch of which a part was taken is sent again only to a FIFO queue, which
 * drops what it has.
 */
static void
judge_batch(const SqsConfig *own, const UaefCall *call, Jsonb *answer,
			UaefAnswerVerdict *verdict)
{
	int			n_taken = 0;
	bool		final = false;
	Jsonb	   *entry;
	JsonbValue	fault;

	for (; (entry = listed(answer, "Successful", n_taken)) != NULL; n_taken++)
	{
		int			number = entry_number(call, entry);

		if (number >= 0)
			judge_message(own, message(call, number), entry, verdict);
	}
	for (int i = 0; (entry = listed(answer, "Failed", i)) != NULL; i++)
	{
		char	   *code = uaef_json_get_text(entry, "Code");

		final |= uaef_json_get(entry, "SenderFault", &fault) &&
			fault.type == jbvBool && fault.val.boolean;
		verdict->code = psprintf("sqs_%s",
								 uaef_error_word(code ? code : "failed"));
		verdict->message = uaef_error_text(entry, "Message");
		verdict->answer = UAEF_ANSWER_TRANSIENT;
	}
	if (verdict->answer == UAEF_ANSWER_TRANSIENT &&
		(final || (n_taken > 0 && !own->fifo)))
		verdict->answer = UAEF_ANSWER_PERMANENT;
	if (verdict->answer == UAEF_ANSWER_SUCCESS &&
		n_taken != count_messages(call))
	{
		verdict->answer = UAEF_ANSWER_UNCERTAIN;
		verdict->code = "bad_answer";
		verdict->message = "the answer does not tell of all messages";
	}
	if (n_taken > 0 && verdict->answer != UAEF_ANSWER_SUCCESS &&
		verdict->message == NULL)
		verdict->message = psprintf("the queue took %d of %d messages",
									n_taken, count_messages(call));
}

static bool
judge(const UaefConnector *connector, const UaefCall *call,
	  const UaefHttpResult *result, const UaefResponse *response,
	  UaefAnswerVerdict *verdict)
{
	const SqsConfig *own = connector->own;

	if (result->status != 200)
		judge_error(result, response, verdict);
	else if (is_batch(call))
		judge_batch(own, call, response->body, verdict);
	else
		judge_message(own, call->body, response->body, verdict);
	return true;
}

/*
 * {"message_id","sequence_number"}, or the answer of a batch.
 */
static Jsonb *
output(const UaefConnector *connector, const UaefCall *call,
	   const UaefHttpResult *result, const UaefResponse *response)
{
	UaefJson	json;

	if (is_batch(call))
		return response->body;
	uaef_json_begin(&json);
	uaef_json_text(&json, "message_id",
				   uaef_json_get_text(response->body, "MessageId"));
	uaef_json_text(&json, "sequence_number",
				   uaef_json_get_text(response->body, "SequenceNumber"));
	return uaef_json_end(&json);
}

/*----------
 * Receiving
 * ----------
 */

static void
poll(const UaefConnector *connector, UaefReceiveCall *call,
	 UaefHttpDraft *draft)
{
	const SqsConfig *own = connector->own;
	const UaefReceiveConfig *receive = connector->config.receive;
	char	   *all[] = {"All"};
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_text(&json, "QueueUrl", own->queue_url);
	uaef_json_int(&json, "MaxNumberOfMessages", receive->max_messages);
	uaef_json_int(&json, "WaitTimeSeconds", receive->wait_s);
	uaef_json_int(&json, "VisibilityTimeout", receive->visibility_s);
	uaef_json_texts(&json, "MessageSystemAttributeNames", all, 1);
	uaef_json_texts(&json, "MessageAttributeNames", all, 1);
	sign(connector, "ReceiveMessage", draft);
	uaef_draft_json(draft, uaef_json_end(&json));
	call->method = "POST";
	call->url = own->endpoint;
}

/*
 * name: value of the message's own attributes that are strings or numbers.
 */
static Jsonb *
plain_attributes(Jsonb *message)
{
	JsonbValue	value;
	Jsonb	   *given;
	JsonbIterator *it;
	JsonbIteratorToken token;
	char	   *name = NULL;
	UaefJson	json;

	if (!uaef_json_get(message, "MessageAttributes", &value))
		return NULL;
	given = uaef_json_from_value(&value);
	if (!JB_ROOT_IS_OBJECT(given))
		return NULL;
	uaef_json_begin(&json);
	it = JsonbIteratorInit(&given->root);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			name = pnstrdup(value.val.string.val, value.val.string.len);
		else if (token == WJB_VALUE)
			uaef_json_text(&json, name,
						   uaef_json_get_text(uaef_json_from_value(&value),
											  "StringValue"));
	}
	return uaef_json_end(&json);
}

static bool
read_message(Jsonb *received, UaefMessage *message)
{
	char	   *body = uaef_json_get_text(received, "Body");
	char	   *md5 = uaef_json_get_text(received, "MD5OfBody");
	char	   *count = NULL;
	JsonbValue	value;

	if (uaef_json_get(received, "Attributes", &value))
		count = uaef_json_get_text(uaef_json_from_value(&value),
								   "ApproximateReceiveCount");
	message->id = uaef_json_get_text(received, "MessageId");
	message->handle = uaef_json_get_text(received, "ReceiptHandle");
	message->receives = count ? atoi(count) : 1;
	message->attributes = plain_attributes(received);
	if (message->id == NULL || message->handle == NULL || body == NULL ||
		(md5 != NULL && !same_md5(body, md5)))
		return false;
	message->body = uaef_message_body(body);
	return true;
}

/*
 * A message that is damaged is not taken, and comes again.
 */
static int
read_messages(const UaefConnector *connector, const UaefHttpResult *result,
			  const UaefResponse *response, UaefMessage **messages,
			  UaefAnswerVerdict *verdict)
{
	Jsonb	   *received;
	int			n = 0;

	if (result->status != 200)
	{
		judge_error(result, response, verdict);
		return -1;
	}
	if (response->body == NULL || !JB_ROOT_IS_OBJECT(response->body))
		return -1;
	*messages = palloc0(sizeof(UaefMessage) * MAX_BATCH);
	for (int i = 0; i < MAX_BATCH &&
		 (received = listed(response->body, "Messages", i)) != NULL; i++)
		n += read_message(received, &(*messages)[n]);
	return n;
}

static void
settle(const UaefConnector *connector, const UaefMessage *messages, int n,
	   UaefReceiveCall *call, UaefHttpDraft *draft)
{
	const SqsConfig *own = connector->own;
	JsonbParseState *state = NULL;
	UaefJson	json;

	(void) pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < n; i++)
	{
		UaefJson	entry;

		uaef_json_begin(&entry);
		uaef_json_text(&entry, "Id", psprintf("%d", i));
		uaef_json_text(&entry, "ReceiptHandle", messages[i].handle);
		push_element(&state, uaef_json_end(&entry));
	}
	uaef_json_begin(&json);
	uaef_json_text(&json, "QueueUrl", own->queue_url);
	uaef_json_jsonb(&json, "Entries",
					JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY,
													 NULL)));
	sign(connector, "DeleteMessageBatch", draft);
	uaef_draft_json(draft, uaef_json_end(&json));
	call->method = "POST";
	call->url = own->endpoint;
}
