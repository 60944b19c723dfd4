/*-------------------------------------------------------------------------
 *
 * receive_store.c
 *	  Messages of queues in their table: each is taken once.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "subtransaction.h"
#include "clock.h"
#include "connector_config.h"
#include "errcodes.h"
#include "json_util.h"
#include "ledger.h"
#include "receive_act.h"
#include "receive_rule.h"
#include "receive_store.h"
#include "spi_util.h"

static UaefQuery select_connectors = {
	"SELECT name FROM uaef.connector WHERE config ? 'receive' AND NOT paused"
	" ORDER BY name",
	0
};

static UaefQuery insert_message = {
	"INSERT INTO uaef.queue_inbox (connector, message_id, received_at,"
	" receives, status) VALUES ($1, $2, $3, $4, 'accepted')"
	" ON CONFLICT DO NOTHING",
	4, {TEXTOID, TEXTOID, TIMESTAMPTZOID, INT4OID}
};

static UaefQuery set_execution = {
	"UPDATE uaef.queue_inbox SET execution_id = $3, status = 'accepted',"
	" body = NULL, attributes = NULL, error = NULL"
	" WHERE connector = $1 AND message_id = $2",
	3, {TEXTOID, TEXTOID, UUIDOID}
};

static UaefQuery insert_parked = {
	"INSERT INTO uaef.queue_inbox (connector, message_id, received_at,"
	" receives, status, body, attributes, error)"
	" VALUES ($1, $2, $3, $4, 'parked', $5, $6, $7)"
	" ON CONFLICT DO NOTHING",
	7, {TEXTOID, TEXTOID, TIMESTAMPTZOID, INT4OID, JSONBOID, JSONBOID, JSONBOID}
};

static UaefQuery lock_parked = {
	"SELECT receives, body, attributes FROM uaef.queue_inbox"
	" WHERE connector = $1 AND message_id = $2 AND status = 'parked'"
	" FOR UPDATE",
	2, {TEXTOID, TEXTOID}
};

/* Queues keep messages for two weeks at most. */
static UaefQuery delete_old = {
	"DELETE FROM uaef.queue_inbox WHERE ctid = ANY (ARRAY("
	" SELECT ctid FROM uaef.queue_inbox"
	" WHERE status = 'accepted' AND received_at < $1 - interval '15 days'"
	" LIMIT 1000))",
	1, {TIMESTAMPTZOID}
};

/* A message that is being taken. */
typedef struct Taking
{
	const UaefConnector *connector;
	const UaefMessage *message;
} Taking;

static void act(const UaefConnector *connector, const UaefMessage *message);
static void take(void *arg);
static void park(const UaefConnector *connector, const UaefMessage *message,
				 const char *code, const char *reason);
static void record(const char *type, const char *connector,
				   const UaefMessage *message, const char *code);

List *
uaef_receive_connectors(void)
{
	MemoryContext context = CurrentMemoryContext;
	UaefCaller	caller = uaef_spi_begin();
	List	   *names = NIL;
	uint64		n = uaef_spi_run(&select_connectors, NULL, NULL);

	for (uint64 i = 0; i < n; i++)
	{
		char	   *name = uaef_spi_text(i, 1);
		MemoryContext spi_context = MemoryContextSwitchTo(context);

		names = lappend(names, name);
		MemoryContextSwitchTo(spi_context);
	}
	uaef_spi_end(caller);
	return names;
}

/*
 * Do what the rules say of a message, and write down what came of it.
 */
static void
act(const UaefConnector *connector, const UaefMessage *message)
{
	UaefArrivalOutcome outcome;
	UaefCaller	caller;
	Datum		args[3];
	char		nulls[4] = "   ";

	uaef_receive_act(connector, connector->created_by, message, &outcome);
	caller = uaef_spi_begin();

	args[0] = CStringGetTextDatum(connector->name);
	args[1] = CStringGetTextDatum(message->id);
	args[2] = UUIDPGetDatum(&outcome.execution_id);
	nulls[2] = outcome.has_execution ? ' ' : 'n';
	(void) uaef_spi_run(&set_execution, args, nulls);
	uaef_spi_end(caller);
}

static void
take(void *arg)
{
	Taking	   *taking = arg;
	const UaefConnector *connector = taking->connector;
	const UaefMessage *message = taking->message;
	UaefCaller	caller = uaef_spi_begin();
	Datum		args[4];
	bool		is_new;

	args[0] = CStringGetTextDatum(connector->name);
	args[1] = CStringGetTextDatum(message->id);
	args[2] = TimestampTzGetDatum(uaef_clock_now());
	args[3] = Int32GetDatum(message->receives);
	is_new = uaef_spi_run(&insert_message, args, NULL) > 0;
	uaef_spi_end(caller);
	if (!is_new)
		return;
	act(connector, message);
	record("message_received", connector->name, message, NULL);
}

static void
park(const UaefConnector *connector, const UaefMessage *message,
	 const char *code, const char *reason)
{
	UaefCaller	caller;
	Datum		args[7];
	char		nulls[8] = "       ";
	UaefJson	json;
	bool		is_new;

	uaef_json_begin(&json);
	uaef_json_text(&json, "code", code);
	uaef_json_text(&json, "message", reason);
	caller = uaef_spi_begin();
	args[0] = CStringGetTextDatum(connector->name);
	args[1] = CStringGetTextDatum(message->id);
	args[2] = TimestampTzGetDatum(uaef_clock_now());
	args[3] = Int32GetDatum(message->receives);
	args[4] = JsonbPGetDatum(message->body);
	nulls[4] = message->body ? ' ' : 'n';
	args[5] = JsonbPGetDatum(message->attributes);
	nulls[5] = message->attributes ? ' ' : 'n';
	args[6] = JsonbPGetDatum(uaef_json_end(&json));
	is_new = uaef_spi_run(&insert_parked, args, nulls) > 0;
	uaef_spi_end(caller);
	if (is_new)
		record("message_parked", connector->name, message, code);
}

static void
record(const char *type, const char *connector, const UaefMessage *message,
	   const char *code)
{
	UaefJson	json;
	UaefEvent	event = {
		.type = type,
		.actor_type = "worker",
		.actor_id = "uaef"
	};

	uaef_json_begin(&json);
	uaef_json_text(&json, "connector", connector);
	uaef_json_text(&json, "message_id", message->id);
	uaef_json_int(&json, "receives", message->receives);
	uaef_json_text(&json, "code", code);
	event.payload = uaef_json_end(&json);
	(void) uaef_ledger_append(&event, 1);
}

/*
 * A message that came too often may be what takes the worker down each time, so
 * it is not looked at any more.
 */
bool
uaef_receive_take(const UaefConnector *connector, const UaefMessage *message)
{
	Taking		taking = {connector, message};
	ErrorData  *error;

	if (message->receives > connector->config.receive->max_receives)
	{
		park(connector, message, "too_many_receives",
			 psprintf("it was received %d times", message->receives));
		return true;
	}
	error = uaef_attempt(take, &taking);
	if (error == NULL)
		return true;

	/* What is locked or paused now may not be so when it comes again. */
	if (ERRCODE_TO_CATEGORY(error->sqlerrcode) ==
		ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE)
		return false;
	park(connector, message, unpack_sql_state(error->sqlerrcode),
		 error->message);
	return true;
}

int
uaef_receive_forget(void)
{
	UaefCaller	caller = uaef_spi_begin();
	Datum		args[1];
	int			n;

	args[0] = TimestampTzGetDatum(uaef_clock_now());
	n = (int) uaef_spi_run(&delete_old, args, NULL);
	uaef_spi_end(caller);
	return n;
}

void
uaef_receive_replay(const char *connector_name, const char *message_id)
{
	UaefConnector connector;
	UaefMessage message = {.id = pstrdup(message_id)};
	UaefCaller	caller;
	Datum		args[2];
	bool		found;

	uaef_connector_load(connector_name, &connector);
	caller = uaef_spi_begin();
	args[0] = CStringGetTextDatum(connector_name);
	args[1] = CStringGetTextDatum(message_id);
	found = uaef_spi_run(&lock_parked, args, NULL) > 0;
	if (found)
	{
		message.receives = uaef_spi_int32(0, 1);
		message.body = uaef_spi_jsonb(0, 2);
		message.attributes = uaef_spi_jsonb(0, 3);
	}
	uaef_spi_end(caller);
	if (!found || connector.config.receive == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_UNDEFINED_MESSAGE),
				 errmsg("connector \"%s\" has no parked message \"%s\"",
						connector_name, message_id)));
	act(&connector, &message);
	record("message_replayed", connector_name, &message, NULL);
}
