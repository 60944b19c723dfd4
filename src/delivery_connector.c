/*-------------------------------------------------------------------------
 *
 * delivery_connector.c
 *	  The connectors that deliveries go through.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "connector_config.h"
#include "delivery_connector.h"

void
uaef_delivery_attach(List *deliveries)
{
	List	   *connectors = NIL;
	ListCell   *cell;

	foreach(cell, deliveries)
	{
		UaefDelivery *delivery = lfirst(cell);
		UaefConnector *connector = NULL;
		ListCell   *known;

		if (delivery->connector == NULL)
			continue;
		foreach(known, connectors)
		{
			connector = lfirst(known);
			if (strcmp(connector->name, delivery->connector) == 0)
				break;
			connector = NULL;
		}
		if (connector == NULL)
		{
			connector = palloc(sizeof(UaefConnector));
			if (!uaef_connector_find(delivery->connector, connector))
				continue;
			connectors = lappend(connectors, connector);
		}
		delivery->via = connector;
	}
}

void
uaef_delivery_call(const UaefDelivery *delivery, UaefCall *call)
{
	memset(call, 0, sizeof(*call));
	call->operation = delivery->operation;
	call->method = delivery->method;
	call->url = delivery->url;
	call->headers = delivery->headers;
	call->body = delivery->body;
	call->bytes = delivery->bytes;
	call->idempotency_key = delivery->idempotency_key;
	call->attempt = delivery->attempt;
	call->idempotent = delivery->idempotent;
}
