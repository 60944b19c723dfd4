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

#include "connector_read.h"
#include "json_util.h"
#include "receive_rule.h"

static const struct
{
	const char *name;
	const char *keys[6];
}			actions[] = {

	[UAEF_RECEIVE_START] =
	{"start", {"workflow", "version", "input", "name", "priority"}},
	[UAEF_RECEIVE_SIGNAL] =
	{"signal", {"execution", "signal", "payload"}}
};

UaefReceiveConfig *
uaef_receive_parse(Jsonb *config)
{
	static const char *const keys[] = {
		"start", "signal", "max_messages", "wait", "visibility",
		"max_receives", NULL
	};
	Jsonb	   *document = uaef_config_object(config, "receive");
	UaefReceiveConfig *receive;

	if (document == NULL)
		return NULL;
	uaef_config_keys(document, keys, "\"receive\" of a connector's config");
	receive = palloc0(sizeof(UaefReceiveConfig));
	for (int i = 0; i < lengthof(actions); i++)
	{
		Jsonb	   *what = uaef_config_object(document, actions[i].name);

		if (what == NULL)
			continue;
		if (receive->what != NULL)
			uaef_connector_bad_config("receive", "either a \"start\" or a \"signal\"");
		uaef_config_keys(what, actions[i].keys,
						 psprintf("\"%s\" of a connector's config",
								  actions[i].name));
		(void) uaef_config_text(what, actions[i].keys[0], true);
		receive->action = i;
		receive->what = uaef_config_template(document, actions[i].name);
	}
	if (receive->what == NULL)
		uaef_connector_bad_config("receive", "either a \"start\" or a \"signal\"");
	receive->max_messages = uaef_config_int(document, "max_messages", 10, 1, 10);
	receive->wait_s = uaef_config_int(document, "wait", 20, 0, 20);
	receive->visibility_s = uaef_config_int(document, "visibility", 30, 1,
											43200);
	receive->max_receives = uaef_config_int(document, "max_receives", 5, 1,
											1000);
	return receive;
}
