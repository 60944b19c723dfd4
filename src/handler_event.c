/*-------------------------------------------------------------------------
 *
 * handler_event.c
 *	  Events of serverless functions: of API Gateway, of EventBridge, plain.
 *
 * Pure, but for the subtransaction in which a body is parsed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "base64.h"
#include "compat.h"
#include "handler_event.h"
#include "http_body.h"
#include "json_util.h"

pg_noreturn static void
refuse(const char *message)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s", message)));
}

/*
 * A member that is an object; NULL when it is missing or null.
 */
static Jsonb *
object_member(Jsonb *document, const char *key)
{
	JsonbValue	value;

	if (!uaef_json_get(document, key, &value) || value.type == jbvNull)
		return NULL;
	if (value.type != jbvBinary ||
		!JsonContainerIsObject(value.val.binary.data))
		refuse(psprintf("\"%s\" of the event must be an object", key));
	return uaef_json_from_value(&value);
}

static UaefEventShape
shape_of(Jsonb *document)
{
	static const char *const of_http[] = {
		"body", "headers", "multiValueHeaders", "requestContext", "httpMethod"
	};
	JsonbValue	value;

	if (uaef_json_get(document, "detail-type", &value) &&
		uaef_json_get(document, "detail", &value))
		return UAEF_EVENT_BRIDGE;
	for (int i = 0; i < lengthof(of_http); i++)
		if (uaef_json_get(document, of_http[i], &value))
			return UAEF_EVENT_HTTP;
	return UAEF_EVENT_PLAIN;
}

/*
 * The bytes that were sent: API Gateway hands on what is no text as base64.
 */
static void
read_bytes(UaefHandlerEvent *event)
{
	char	   *body = uaef_json_get_text(event->document, "body");
	JsonbValue	encoded;

	if (body == NULL)
		return;
	event->has_bytes = true;
	if (uaef_json_get(event->document, "isBase64Encoded", &encoded) &&
		encoded.type == jbvBool && encoded.val.boolean)
	{
		event->bytes.data = uaef_base64_bytes(body, strlen(body),
											  &event->bytes.len);
		if (event->bytes.data == NULL)
			refuse("the body is not base64");
		return;
	}
	event->bytes.data = pg_server_to_any(body, strlen(body), PG_UTF8);
	event->bytes.len = strlen(event->bytes.data);
}

static void
read_http(UaefHandlerEvent *event)
{
	Jsonb	   *context = object_member(event->document, "requestContext");
	const char *problem;

	/* Format 1.0 has each header twice: with its last value, and with all. */
	event->header_document = object_member(event->document,
										   "multiValueHeaders");
	if (event->header_document == NULL)
		event->header_document = object_member(event->document, "headers");
	problem = uaef_headers_read(event->header_document, &event->headers);
	if (problem != NULL)
		refuse("the headers are malformed");
	if (context != NULL)
		event->id = uaef_json_get_text(context, "requestId");
	read_bytes(event);
}

void
uaef_event_read(Jsonb *document, UaefHandlerEvent *event)
{
	memset(event, 0, sizeof(*event));
	event->document = document;
	if (!JB_ROOT_IS_OBJECT(document))
		refuse("the event must be an object");
	event->shape = shape_of(document);
	if (event->shape == UAEF_EVENT_HTTP)
		read_http(event);
	else if (event->shape == UAEF_EVENT_BRIDGE)
	{
		event->id = uaef_json_get_text(document, "id");
		event->time = uaef_json_get_text(document, "time");
	}
}

Jsonb *
uaef_event_request(const UaefHandlerEvent *event)
{
	Jsonb	   *request = NULL;

	if (event->shape == UAEF_EVENT_PLAIN)
		return event->document;
	if (event->shape == UAEF_EVENT_BRIDGE)
		request = object_member(event->document, "detail");
	else if (!event->has_bytes)
		request = object_member(event->document, "body");
	else if (uaef_http_is_text(event->bytes.data, event->bytes.len))
		request = uaef_http_parse_json(pnstrdup(event->bytes.data,
												event->bytes.len));
	if (request == NULL || !JB_ROOT_IS_OBJECT(request))
		refuse(event->shape == UAEF_EVENT_BRIDGE ?
			   "\"detail\" of the event must be an object" :
			   "the body must be a JSON object");
	return request;
}

char *
uaef_event_parameter(const UaefHandlerEvent *event, const char *name)
{
	static const char *const places[] = {
		"pathParameters", "queryStringParameters"
	};

	for (int i = 0; i < lengthof(places); i++)
	{
		Jsonb	   *parameters = object_member(event->document, places[i]);
		char	   *value = parameters == NULL ? NULL :
			uaef_json_get_text(parameters, name);

		if (value != NULL)
			return value;
	}
	return NULL;
}
