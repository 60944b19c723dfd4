/*-------------------------------------------------------------------------
 *
 * handler.h
 *	  Handlers of events of serverless functions: what they ask for is done,
 *	  and answered as HTTP has it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_HANDLER_H
#define UAEF_HANDLER_H

#include "handler_event.h"

/* What a handler answers. */
typedef struct UaefHandlerAnswer
{
	int			status;
	const char *content_type;
	const char *body;
	bool		asks_for_token;
	int			retry_after_s;	/* 0: nothing said */
} UaefHandlerAnswer;

/* One handler. */
typedef struct UaefHandler
{
	const char *name;
	bool		by_token;		/* else what is handed in proves itself */

	/*
	 * Do what an event asks for; claims are those of its token, or NULL.
	 * Whatever is wrong raises.
	 */
	void		(*run) (const UaefHandlerEvent *event, Jsonb *claims,
						UaefHandlerAnswer *answer);
} UaefHandler;

extern const UaefHandler uaef_handler_trigger;
extern const UaefHandler uaef_handler_task;
extern const UaefHandler uaef_handler_webhook;
extern const UaefHandler uaef_handler_schedule;

/*
 * Run a handler: {"statusCode", "headers", "body"}.  Errors become answers,
 * and leave nothing half done; but a cancel raises.  Tokens must be for
 * uaef.handler_audience or, where that is empty, for audience; where both are,
 * or this is NULL, none is needed.
 */
extern Jsonb *uaef_handle(const UaefHandler *handler, Jsonb *event,
						  const char *audience);

/* Answer 200 with a document. */
extern void uaef_answer_json(UaefHandlerAnswer *answer, Jsonb *document);

#endif							/* UAEF_HANDLER_H */
