/*-------------------------------------------------------------------------
 *
 * receive_rule.c
 *	  What a connector's config says of messages that it receives.
 *
 * Pure.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "json_util.h"
#include "receive_rule.h"

static UaefReceiveConfig *read_receive(JsonbValue *value);

static UaefReceiveConfig *
read_receive(JsonbValue *value)
{
	static const char *const keys[] = {
		"on", "max_messages", "wait", "visibility", "max_receives", NULL
	};
	static const char *const roots[] = {
		"body", "attributes", "message_id", "receives", "connector", NULL
	};
	UaefReceiveConfig *receive = palloc0(sizeof(UaefReceiveConfig));
	UaefBuilder builder = {0};
	UaefObject	object = uaef_read_object(&builder, value, keys,
										  "\"receive\" of a connector's config");

	receive->rules = uaef_arrival_rules_read(&object, true, roots);
	receive->max_messages = uaef_read_int(&object, "max_messages", 10, 1, 10);
	receive->wait_s = uaef_read_int(&object, "wait", 20, 0, 20);
	receive->visibility_s = uaef_read_int(&object, "visibility", 30, 1, 43200);
	receive->max_receives = uaef_read_int(&object, "max_receives", 5, 1, 1000);
	return receive;
}

UaefReceiveConfig *
uaef_receive_parse(Jsonb *config)
{
	MemoryContext context = CurrentMemoryContext;
	UaefReceiveConfig *volatile receive = NULL;
	JsonbValue	value;

	if (!uaef_json_get(config, "receive", &value))
		return NULL;
	PG_TRY();
	{
		receive = read_receive(&value);
	}
	PG_CATCH();
	{
		uaef_read_rethrow_argument(context);
	}
	PG_END_TRY();
	return receive;
}
