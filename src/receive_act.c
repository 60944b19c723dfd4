/*-------------------------------------------------------------------------
 *
 * receive_act.c
 *	  What becomes of the messages of a queue.
 *
 * It is done as the role that made the connector, with the rights that this
 * role has by then.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "errcodes.h"
#include "json_util.h"
#include "receive_act.h"
#include "receive_rule.h"

/* How the keys begin by which a message starts or signals only once. */
#define KEY_PREFIX	"queue/"

static Jsonb *message_data(const UaefConnector *connector,
						   const UaefMessage *message);

static Jsonb *
message_data(const UaefConnector *connector, const UaefMessage *message)
{
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_jsonb(&json, "body", message->body);
	uaef_json_jsonb(&json, "attributes", message->attributes);
	uaef_json_text(&json, "message_id", message->id);
	uaef_json_int(&json, "receives", message->receives);
	uaef_json_text(&json, "connector", connector->name);
	return uaef_json_end(&json);
}

/*
 * The queue's id is the key, so that not even a message whose row is gone
 * starts a second execution.
 */
void
uaef_receive_act(const UaefConnector *connector, Oid role,
				 const UaefMessage *message, UaefArrivalOutcome *outcome)
{
	UaefArrival arrival = {
		.data = message_data(connector, message),
		.key = psprintf(KEY_PREFIX "%s/%s", connector->name, message->id),
		.source = psprintf("connector \"%s\"", connector->name),
		.owner = role
	};

	uaef_arrival_act(connector->config.receive->rules, &arrival, outcome);
	if (outcome->rule == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_NO_RULE_FITS),
				 errmsg("no rule of connector \"%s\" fits the message",
						connector->name),
				 errhint("Add a rule for such messages by uaef.alter_connector(), perhaps one that ignores them.")));
}
