/*-------------------------------------------------------------------------
 *
 * handler_event.h
 *	  Events of serverless functions: of API Gateway, of EventBridge, plain.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_HANDLER_EVENT_H
#define UAEF_HANDLER_EVENT_H

#include "utils/jsonb.h"

#include "http_headers.h"
#include "mac.h"

typedef enum UaefEventShape
{
	UAEF_EVENT_PLAIN,			/* what is asked for is the event itself */
	UAEF_EVENT_HTTP,			/* API Gateway, payload format 1.0 or 2.0 */
	UAEF_EVENT_BRIDGE			/* EventBridge: what is asked for is "detail" */
} UaefEventShape;

typedef struct UaefHandlerEvent
{
	UaefEventShape shape;
	Jsonb	   *document;
	Jsonb	   *header_document;	/* HTTP; or NULL */
	UaefHeaders headers;
	bool		has_bytes;		/* HTTP: the body came as text */
	UaefBytes	bytes;
	const char *id;				/* of the event or the request, or NULL */
	const char *time;			/* EventBridge; or NULL */
} UaefHandlerEvent;

/* Take an event apart; raises 22023 for one that cannot be. */
extern void uaef_event_read(Jsonb *document, UaefHandlerEvent *event);

/* What is asked for; raises 22023 unless it is an object. */
extern Jsonb *uaef_event_request(const UaefHandlerEvent *event);

/* A parameter of the path or, failing that, of the query; NULL: none. */
extern char *uaef_event_parameter(const UaefHandlerEvent *event,
								  const char *name);

#endif							/* UAEF_HANDLER_EVENT_H */
