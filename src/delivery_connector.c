/*-------------------------------------------------------------------------
 *
 * delivery_connector.c
 *	  The connectors that deliveries go through.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "subtransaction.h"
#include "connector_config.h"
#include "connector_secret.h"
#include "delivery_connector.h"

/* A connector in the making. */
typedef struct Lookup
{
	const char *name;
	bool		with_secret;
	UaefConnector *connector;
	bool		found;
} Lookup;

static void look_up(void *arg);

static void
look_up(void *arg)
{
	Lookup	   *lookup = arg;

	lookup->found = uaef_connector_find(lookup->name, lookup->connector);
	if (lookup->found && lookup->with_secret)
		uaef_connector_open_secret(lookup->connector);
}

/*
 * NULL when there is none.  One that cannot be read, perhaps because the key of
 * its secret is away, says so itself and holds no other one up.
 */
UaefConnector *
uaef_delivery_connector(const char *name, bool with_secret)
{
	UaefConnector *connector = palloc0(sizeof(UaefConnector));
	Lookup		lookup = {name, with_secret, connector, false};
	ErrorData  *error = uaef_attempt(look_up, &lookup);

	if (error != NULL)
	{
		connector->name = pstrdup(name);
		connector->problem_code = pstrdup(unpack_sql_state(error->sqlerrcode));
		connector->problem = error->message;
		return connector;
	}
	return lookup.found ? connector : NULL;
}

void
uaef_delivery_attach(List *deliveries, bool with_secret)
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
			connector = uaef_delivery_connector(delivery->connector,
												with_secret);
		if (connector == NULL)
			continue;
		connectors = list_append_unique_ptr(connectors, connector);
		delivery->via = connector;
	}
}

void
uaef_delivery_detach(List *deliveries)
{
	ListCell   *cell;

	foreach(cell, deliveries)
	{
		UaefDelivery *delivery = lfirst(cell);
		UaefConnector *connector = unconstify(UaefConnector *, delivery->via);

		if (connector == NULL)
			continue;
		uaef_connector_close_secret(connector);
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
