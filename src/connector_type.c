/*-------------------------------------------------------------------------
 *
 * connector_type.c
 *	  The types of connectors.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "connector_type.h"

static const UaefConnectorType *const types[] = {
	&uaef_webhook_connector,
	&uaef_sqs_connector,
	&uaef_servicebus_connector,
	&uaef_sap_connector,
	&uaef_oracle_connector,
	&uaef_anthropic_connector,
	&uaef_openai_connector,
	&uaef_langserve_connector,
	&uaef_agent_http_connector,
	&uaef_payout_connector
};

const UaefConnectorType *
uaef_connector_type(const char *name)
{
	StringInfoData known;

	for (int i = 0; i < lengthof(types); i++)
	{
		if (strcmp(types[i]->name, name) == 0)
			return types[i];
	}
	initStringInfo(&known);
	for (int i = 0; i < lengthof(types); i++)
		appendStringInfo(&known, "%s\"%s\"", i > 0 ? ", " : "",
						 types[i]->name);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown connector type \"%s\"", name),
			 errhint("Types are %s.", known.data)));
}

void
uaef_connector_lacks(const char *key)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("missing key \"%s\" in a connector's config", key)));
}

void
uaef_connector_bad_config(const char *key, const char *wanted)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for \"%s\" in a connector's config", key),
			 errdetail("It must be %s.", wanted)));
}
