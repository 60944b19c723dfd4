/*-------------------------------------------------------------------------
 *
 * receive_act.c
 *	  What becomes of the messages of a queue: a start or a signal.
 *
 * It is done as the role that made the connector, with the rights that this
 * role has by then.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/uuid.h"

#include "access.h"
#include "connector_read.h"
#include "engine.h"
#include "identity.h"
#include "json_util.h"
#include "receive_act.h"
#include "receive_rule.h"
#include "workflow_signal.h"

/* How the keys begin by which a message starts or signals only once. */
#define KEY_PREFIX	"queue/"

static Jsonb *message_data(const UaefConnector *connector,
						   const UaefMessage *message);
static char *filled_text(Jsonb *filled, const char *key);
static int	filled_int(Jsonb *filled, const char *key);
static Jsonb *filled_value(Jsonb *filled, const char *key, Jsonb *otherwise);
static pg_uuid_t start(const UaefConnector *connector, Oid role,
					   const UaefMessage *message, Jsonb *filled);
static pg_uuid_t signal_execution(const UaefConnector *connector,
								  const UaefMessage *message, Jsonb *filled);

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

static char *
filled_text(Jsonb *filled, const char *key)
{
	char	   *text = uaef_json_get_text(filled, key);
	JsonbValue	value;

	if (text == NULL && uaef_json_get(filled, key, &value) &&
		value.type != jbvNull)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" that a message gives is no string", key)));
	return text;
}

static int
filled_int(Jsonb *filled, const char *key)
{
	JsonbValue	value;

	if (!uaef_json_get(filled, key, &value) || value.type == jbvNull)
		return 0;
	if (value.type != jbvNumeric)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" that a message gives is no number", key)));
	return DatumGetInt32(DirectFunctionCall1(numeric_int4,
											 NumericGetDatum(value.val.numeric)));
}

static Jsonb *
filled_value(Jsonb *filled, const char *key, Jsonb *otherwise)
{
	JsonbValue	value;

	return uaef_json_get(filled, key, &value) ? uaef_json_from_value(&value)
		: otherwise;
}

/*
 * The queue's id is the key, so that not even a message whose row is gone
 * starts a second execution.
 */
static pg_uuid_t
start(const UaefConnector *connector, Oid role, const UaefMessage *message,
	  Jsonb *filled)
{
	UaefStart	request = {
		.workflow = filled_text(filled, "workflow"),
		.version = filled_int(filled, "version"),
		.input = filled_value(filled, "input", message->body),
		.name = filled_text(filled, "name"),
		.priority = filled_int(filled, "priority"),
		.idempotency_key = psprintf(KEY_PREFIX "%s/%s", connector->name,
									message->id),
		.session_role = role
	};

	return uaef_engine_start(&request);
}

static pg_uuid_t
signal_execution(const UaefConnector *connector, const UaefMessage *message,
				 Jsonb *filled)
{
	char	   *execution = filled_text(filled, "execution");
	char	   *name = filled_text(filled, "signal");
	pg_uuid_t  *id;

	if (execution == NULL || name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a message gives no execution, or no name of a signal")));
	id = DatumGetUUIDP(DirectFunctionCall1(uuid_in,
										   CStringGetDatum(execution)));
	(void) uaef_signal_send(id, name,
							filled_value(filled, "payload", message->body),
							psprintf(KEY_PREFIX "%s/%s", connector->name,
									 message->id));
	return *id;
}

pg_uuid_t
uaef_receive_act(const UaefConnector *connector, Oid role,
				 const UaefMessage *message)
{
	const UaefReceiveConfig *receive = connector->config.receive;
	UaefScope	scope = {.document = message_data(connector, message)};
	UaefEvalError error = {0};
	Jsonb	   *filled = uaef_template_fill(receive->what, &scope, &error);
	UaefCaller	back;
	pg_uuid_t	id;

	if (filled == NULL)
		uaef_eval_raise(&error);
	uaef_access_require(role, receive->action == UAEF_RECEIVE_START
						? "start_workflow" : "signal_workflow",
						psprintf("connector \"%s\"", connector->name));
	GetUserIdAndSecContext(&back.user, &back.sec_context);
	SetUserIdAndSecContext(role, back.sec_context |
						   SECURITY_LOCAL_USERID_CHANGE);
	if (receive->action == UAEF_RECEIVE_START)
		id = start(connector, role, message, filled);
	else
		id = signal_execution(connector, message, filled);
	uaef_become_caller(back);
	return id;
}
