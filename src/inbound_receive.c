/*-------------------------------------------------------------------------
 *
 * inbound_receive.c
 *	  Receiving webhooks: believe, record once, act.
 *
 * The order is what makes it safe: the size, then the signature over the raw
 * bytes, and only then the parser, the inbox and the rules.  What the rules do
 * runs in a subtransaction: where it fails, the delivery stands in the inbox
 * as failed, with its content, and can be tried again by the sender or by
 * replay_webhook().
 *
 * Locking: the delivery's row in the inbox, then what its effect locks.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "errcodes.h"
#include "error_class.h"
#include "hash256.h"
#include "http_status.h"
#include "inbound_inbox.h"
#include "inbound_receive.h"
#include "inbound_refusal.h"
#include "inbound_source.h"
#include "json_util.h"
#include "ledger.h"
#include "spi_util.h"
#include "subtransaction.h"

/* How the keys begin by which a delivery starts or signals only once. */
#define KEY_PREFIX	"webhook/"

/* Of a source's old deliveries, so many go with every so-manieth new one. */
#define PURGE_EVERY	64
#define PURGE_BATCH	256

/* Deliveries that purge_webhook_inbox() forgets in one statement. */
#define PURGE_MANY	10000

static UaefQuery list_sources = {
	"SELECT source_id FROM uaef.webhook_source ORDER BY source_id", 0, {0}
};

/* One message under way. */
typedef struct Message
{
	UaefInboundRow row;
	UaefArrivalOutcome outcome;
	const char *result;			/* accepted, ignored, duplicate, failed */
	ErrorData  *error;
	Jsonb	   *headers;
	Jsonb	   *body;
	char	   *body_sha256;	/* hex */
} Message;

/*----------
 * Answers
 * ----------
 */

static void
answer_word(UaefInboundAnswer *answer, const char *key, const char *word)
{
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_text(&json, key, word);
	answer->json = uaef_json_end(&json);
	answer->content_type = "application/json";
}

static void
answer_refusal(const UaefInboundSource *source, UaefInboundRefusal refusal,
			   UaefInboundAnswer *answer)
{
	uaef_inbound_refused(source, refusal);
	answer->status = uaef_inbound_refusal_status(refusal);
	answer->outcome = "refused";
	answer->reason = uaef_inbound_refusal_word(refusal);
	answer_word(answer, "error", uaef_inbound_refusal_text(refusal));
}

/*
 * Whether what was sent is why a rule failed, rather than the rule.
 */
static bool
is_sender_to_blame(const ErrorData *error)
{
	return error->sqlerrcode != ERRCODE_UAEF_UNDEFINED_WORKFLOW &&
		error->sqlerrcode != ERRCODE_INSUFFICIENT_PRIVILEGE &&
		uaef_http_status(error->sqlerrcode) < 500;
}

/*
 * What the sender is told about messages that were believed.
 */
static void
answer_messages(const UaefInboundSource *source, const Message *messages,
				int n, UaefInboundAnswer *answer)
{
	bool		done = true;

	answer->status = 200;
	answer->n_messages = n;
	for (int i = 0; i < n; i++)
	{
		if (messages[i].error == NULL)
			continue;
		done = false;
		answer->status = Max(answer->status,
							 is_sender_to_blame(messages[i].error) ? 422 : 500);
	}
	answer->outcome = done ? messages[0].result : "failed";
	if (n == 1)
	{
		answer->inbox_id = messages[0].row.inbox_id;
		answer->has_execution = messages[0].outcome.has_execution;
		answer->execution_id = messages[0].outcome.execution_id;
	}
	answer->text = source->kind->acknowledge == NULL ? NULL :
		source->kind->acknowledge(done, &answer->content_type);
	if (answer->text == NULL)
		answer_word(answer, done ? "status" : "error",
					!done ? "The webhook could not be processed" :
					strcmp(answer->outcome, "duplicate") == 0 ? "duplicate" :
					"received");
}

static void
message_json(const Message *message, UaefJson *json)
{
	uaef_json_int(json, "inbox_id", message->row.inbox_id);
	uaef_json_text(json, "outcome", message->result);
	if (message->outcome.has_execution)
		uaef_json_uuid(json, "execution_id", &message->outcome.execution_id);
}

static Jsonb *
messages_json(const Message *messages, int n)
{
	JsonbParseState *state = NULL;

	(void) pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < n; i++)
	{
		UaefJson	json;
		JsonbValue	value;

		uaef_json_begin(&json);
		message_json(&messages[i], &json);
		uaef_document_value(uaef_json_end(&json), &value);
		(void) pushJsonbValue(&state, WJB_ELEM, &value);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
}

Jsonb *
uaef_inbound_answer_json(const UaefInboundAnswer *answer)
{
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_int(&json, "status", answer->status);
	uaef_json_text(&json, "content_type", answer->content_type);
	uaef_json_jsonb(&json, "body", answer->json);
	if (answer->json == NULL)
		uaef_json_text(&json, "body", answer->text);
	uaef_json_text(&json, "outcome", answer->outcome);
	uaef_json_text(&json, "reason", answer->reason);
	if (answer->inbox_id != 0)
		uaef_json_int(&json, "inbox_id", answer->inbox_id);
	if (answer->has_execution)
		uaef_json_uuid(&json, "execution_id", &answer->execution_id);
	uaef_json_jsonb(&json, "messages", answer->messages);
	return uaef_json_end(&json);
}

/*----------
 * Acting
 * ----------
 */

static Jsonb *
arrival_data(const UaefInboundSource *source, const char *delivery_id,
			 Jsonb *headers, Jsonb *body)
{
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_text(&json, "source", source->name);
	uaef_json_text(&json, "delivery_id", delivery_id);
	uaef_json_jsonb(&json, "headers", headers);
	uaef_json_jsonb(&json, "body", body);
	return uaef_json_end(&json);
}

typedef struct Act
{
	const UaefInboundSource *source;
	Jsonb	   *data;
	UaefArrivalOutcome *outcome;
} Act;

static void
act(void *arg)
{
	Act		   *it = arg;

	UaefArrival arrival = {
		.data = it->data,
		.key = psprintf(KEY_PREFIX "%s/%s", it->source->name,
						uaef_json_get_text(it->data, "delivery_id")),
		.source = psprintf("webhook source \"%s\"", it->source->name),
		.owner = it->source->owner
	};

	uaef_arrival_act(it->source->rules, &arrival, it->outcome);
}

/*
 * Do what the rules say.  Returns NULL, or the error that undid it; what the
 * transaction is to be tried again for raises.
 */
static ErrorData *
try_act(const UaefInboundSource *source, Jsonb *data,
		UaefArrivalOutcome *outcome)
{
	Act			it = {source, data, outcome};
	ErrorData  *error = uaef_try(act, &it);

	if (error == NULL)
		return NULL;
	if (uaef_error_is_transient(error->sqlerrcode) ||
		error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE)
		ReThrowError(error);
	outcome->has_execution = false;
	return error;
}

static Jsonb *
error_json(const ErrorData *error)
{
	UaefJson	json;

	if (error == NULL)
		return NULL;
	uaef_json_begin(&json);
	uaef_json_text(&json, "code", unpack_sql_state(error->sqlerrcode));
	uaef_json_text(&json, "message", error->message);
	uaef_json_text(&json, "detail", error->detail);
	return uaef_json_end(&json);
}

static void
record(const char *type, const UaefInboundSource *source,
	   const Message *message, Oid caller)
{
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_text(&json, "source", source->name);
	uaef_json_text(&json, "delivery_id", message->row.delivery_id);
	uaef_json_text(&json, "body_sha256", message->body_sha256);
	message_json(message, &json);
	if (message->outcome.rule > 0)
		uaef_json_int(&json, "rule", message->outcome.rule);
	uaef_json_text(&json, "action", message->outcome.action);
	if (message->error != NULL)
		uaef_json_text(&json, "error",
					   unpack_sql_state(message->error->sqlerrcode));
	uaef_ledger_note_user(type, caller, uaef_json_end(&json));
}

/*
 * Have the rules act on a delivery whose row is locked, and write it down.
 */
static void
process(const UaefInboundSource *source, Message *message, const char *event,
		Oid caller)
{
	Jsonb	   *data = arrival_data(source, message->row.delivery_id,
									message->headers, message->body);
	bool		keep;

	message->error = try_act(source, data, &message->outcome);
	message->result = message->error != NULL ? "failed" :
		message->outcome.ignored ? "ignored" : "accepted";
	keep = source->keep_all || message->error != NULL;
	uaef_inbox_write(&message->row, &message->outcome,
					 error_json(message->error),
					 keep ? message->headers : NULL,
					 keep ? message->body : NULL);
	record(event, source, message, caller);
}

/*----------
 * Taking in
 * ----------
 */

/*
 * The id that a source's path leads to in the delivery, or NULL.
 */
static char *
id_by_path(const UaefInboundSource *source, const Message *message)
{
	UaefScope	scope = {
		.document = arrival_data(source, NULL, message->headers,
								 message->body)
	};
	JsonbValue	value;

	if (!uaef_path_get(uaef_path_compile(source->id_path,
										 strlen(source->id_path), true),
					   &scope, &value))
		return NULL;
	if (value.type == jbvNumeric)
		return DatumGetCString(DirectFunctionCall1(numeric_out,
												   NumericGetDatum(value.val.numeric)));
	if (value.type != jbvString)
		return NULL;
	return pnstrdup(value.val.string.val, value.val.string.len);
}

/*
 * What a delivery is known by: the id that the source or its type names, else
 * its bytes.
 */
static const char *
delivery_id(const UaefInboundSource *source, const Message *message,
			const char *id, bool id_is_signed, const uint8 *digest)
{
	uint8		hash[UAEF_HASH_LEN];

	if (source->id_path != NULL)
		id = id_by_path(source, message);
	if (id == NULL || *id == '\0')
		return psprintf("sha256:%s", id_is_signed ? message->body_sha256 :
						uaef_hex(digest, UAEF_HASH_LEN));
	if (strlen(id) <= UAEF_INBOUND_MAX_ID)
		return id;
	uaef_sha256(id, strlen(id), hash);
	return psprintf("sha256:%s", uaef_hex(hash, UAEF_HASH_LEN));
}

/*
 * Take one message in, unless it was before.  One that failed before is tried
 * again: its sender sent it again because of that.
 */
static void
take_message(const UaefInboundSource *source, const UaefInboundProof *proof,
			 const uint8 *body_sha256, const char *id, Message *message,
			 Oid caller)
{
	const uint8 *digest = proof->id_is_signed || source->same_body ? NULL :
		proof->digest;

	id = delivery_id(source, message, id, proof->id_is_signed, proof->digest);
	if (!uaef_inbox_take(source, id, digest, body_sha256, &message->row) &&
		strcmp(message->row.status, "failed") != 0)
	{
		message->result = "duplicate";
		message->outcome.has_execution = message->row.has_execution;
		message->outcome.execution_id = message->row.execution_id;
		return;
	}
	process(source, message, "webhook_received", caller);
	if (message->row.inbox_id % PURGE_EVERY == 0)
		(void) uaef_inbox_purge(source->id, uaef_clock_now() -
								source->keep_ms * 1000, PURGE_BATCH);
}

/*
 * What is to be known of a request before it may be read.
 */
static UaefInboundRefusal
verify(const UaefInboundSource *source, Jsonb *headers,
	   UaefInboundRequest *request, UaefInboundProof *proof)
{
	UaefInboundKeys keys;
	UaefInboundRefusal refusal;

	if (request->body.len > (size_t) source->max_body)
		return UAEF_REFUSAL_TOO_LARGE;
	if (uaef_headers_read(headers, &request->headers) != NULL)
		return UAEF_REFUSAL_BAD_HEADERS;
	if (!uaef_inbound_keys_get(source, &keys))
		return UAEF_REFUSAL_NO_SECRET;
	refusal = source->kind->verify(source, request, &keys, proof);
	uaef_inbound_keys_wipe(&keys);
	return refusal;
}

/*
 * Read a request that is believed, and act on its messages.
 */
static void
take_request(const UaefInboundSource *source,
			 const UaefInboundRequest *request, const UaefInboundProof *proof,
			 Oid caller, UaefInboundAnswer *answer)
{
	UaefInboundMessage *read;
	Message    *messages;
	Jsonb	   *headers;
	uint8		sha256[UAEF_HASH_LEN];
	int			n = source->kind->read(source, request, proof, &read);

	if (n == 0)
	{
		answer_refusal(source, UAEF_REFUSAL_BAD_BODY, answer);
		return;
	}
	answer->json = source->kind->challenge == NULL ? NULL :
		source->kind->challenge(&read[0]);
	if (answer->json != NULL)
	{
		answer->status = 200;
		answer->content_type = "application/json";
		answer->outcome = "challenge";
		return;
	}
	uaef_sha256(request->body.data, request->body.len, sha256);
	headers = uaef_headers_json(&request->headers,
								source->kind->secret_headers);
	messages = palloc0(sizeof(Message) * n);
	for (int i = 0; i < n; i++)
	{
		messages[i].headers = headers;
		messages[i].body = read[i].body;
		messages[i].body_sha256 = uaef_hex(sha256, UAEF_HASH_LEN);
		take_message(source, proof, sha256, read[i].id, &messages[i], caller);
	}
	answer_messages(source, messages, n, answer);
	if (n > 1)
		answer->messages = messages_json(messages, n);
}

void
uaef_inbound_receive(const char *name, Jsonb *headers, UaefBytes body,
					 UaefInboundAnswer *answer)
{
	MemoryContext context = CurrentMemoryContext;
	Oid			caller = GetUserId();
	UaefInboundRequest request = {.body = body};
	UaefInboundProof proof = {0};
	UaefInboundSource *source;
	UaefInboundRefusal refusal;
	UaefCaller	back;

	memset(answer, 0, sizeof(*answer));
	request.now = uaef_unix_us(uaef_clock_now()) / USECS_PER_SEC;
	back = uaef_spi_begin();
	MemoryContextSwitchTo(context);
	source = uaef_inbound_source_load(name);
	if (source == NULL)
		uaef_inbound_source_undefined(name, caller);
	if (source->paused)
	{
		answer->status = 503;
		answer->outcome = "refused";
		answer->reason = "paused";
		answer_word(answer, "error", "Webhook source is paused");
	}
	else
	{
		refusal = verify(source, headers, &request, &proof);
		if (refusal != UAEF_REFUSAL_NONE)
			answer_refusal(source, refusal, answer);
		else
			take_request(source, &request, &proof, caller, answer);
	}
	uaef_spi_end(back);
}

/*----------
 * Afterwards
 * ----------
 */

void
uaef_inbound_replay(int64 inbox_id, UaefInboundAnswer *answer)
{
	MemoryContext context = CurrentMemoryContext;
	Oid			caller = GetUserId();
	UaefCaller	back = uaef_spi_begin();
	Message		message = {0};
	UaefInboundSource *source;

	MemoryContextSwitchTo(context);
	memset(answer, 0, sizeof(*answer));
	uaef_inbox_lock(inbox_id, &message.row);
	source = uaef_inbound_source_of(message.row.source_id);
	if (source == NULL || !has_privs_of_role(caller, source->owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for delivery %lld of a webhook",
						(long long) inbox_id)));
	if (strcmp(message.row.status, "accepted") == 0 ||
		message.row.body == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_NOT_REPLAYABLE),
				 errmsg("delivery %lld of a webhook cannot be replayed",
						(long long) inbox_id),
				 errdetail(message.row.body == NULL ?
						   "It is %s, and its content was not kept." :
						   "It is %s.", message.row.status),
				 errhint("Failed deliveries can be replayed, and ignored ones of a source with \"keep_content\": \"all\".")));
	message.headers = message.row.headers;
	message.body = message.row.body;
	process(source, &message, "webhook_replayed", caller);
	answer_messages(source, &message, 1, answer);
	uaef_spi_end(back);
}

int64
uaef_inbound_purge(const char *name, int64 older_us)
{
	MemoryContext context = CurrentMemoryContext;
	UaefCaller	back = uaef_spi_begin();
	uint64		rows;
	int32	   *ids;
	int64		purged = 0;

	MemoryContextSwitchTo(context);
	rows = uaef_spi_run(&list_sources, NULL, NULL);
	ids = palloc(sizeof(int32) * Max(rows, 1));
	for (uint64 row = 0; row < rows; row++)
		ids[row] = uaef_spi_int32(row, 1);
	for (uint64 row = 0; row < rows; row++)
	{
		UaefInboundSource *source = uaef_inbound_source_of(ids[row]);
		TimestampTz before;
		int64		n;

		if (source == NULL || (name != NULL && strcmp(source->name, name) != 0))
			continue;
		before = uaef_clock_now() - (older_us > 0 ? older_us :
									 source->keep_ms * 1000);
		do
		{
			n = uaef_inbox_purge(source->id, before, PURGE_MANY);
			purged += n;
		} while (n == PURGE_MANY);
	}
	uaef_spi_end(back);
	return purged;
}
