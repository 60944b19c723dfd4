/*-------------------------------------------------------------------------
 *
 * webhook_connector.c
 *	  Webhooks: a payload sent by HTTP to one address.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "connector_type.h"

static const char *const operations[] = {"send", NULL};
static const char *const no_keys[] = {NULL};

const UaefConnectorType uaef_webhook_connector = {
	.name = "webhook",
	.operations = operations,
	.keys = no_keys,
	.secret_keys = no_keys,
	.needs_url = true
};
