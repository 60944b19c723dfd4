/*-------------------------------------------------------------------------
 *
 * handler.c
 *	  Handlers of events of serverless functions: what they share.
 *
 * A handler runs in a subtransaction.  An error is told to whoever asked only
 * as far as it is about what they asked; what is ours gets an id, under which
 * the server's log has it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "compat.h"
#include "errcodes.h"
#include "guc.h"
#include "handler.h"
#include "http_status.h"
#include "json_util.h"
#include "subtransaction.h"
#include "token.h"
#include "uuid7.h"

#define BEARER "Bearer "

void
uaef_answer_json(UaefHandlerAnswer *answer, Jsonb *document)
{
	answer->status = 200;
	answer->content_type = "application/json";
	answer->body = JsonbToCString(NULL, &document->root, VARSIZE(document));
}

/*
 * The claims of the token that an event shows; NULL where none is needed.
 */
static Jsonb *
check_token(const UaefHandler *handler, const UaefHandlerEvent *event,
			const char *audience)
{
	const char *given;

	if (*uaef_handler_audience != '\0')
		audience = uaef_handler_audience;
	if (!handler->by_token || audience == NULL || *audience == '\0')
		return NULL;
	given = event->shape == UAEF_EVENT_HTTP ?
		uaef_header(&event->headers, "authorization") :
		uaef_json_get_text(event->document, "authorization");
	if (given == NULL ||
		pg_strncasecmp(given, BEARER, strlen(BEARER)) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_BAD_TOKEN),
				 errmsg("a bearer token is required")));
	return uaef_token_verify(given + strlen(BEARER), audience);
}

/*
 * What may be said of an error to those outside.
 */
static const char *
public_message(const ErrorData *error, int status)
{
	const char *state = unpack_sql_state(error->sqlerrcode);

	if (status == 503)
		return "Service unavailable, try again";
	if (status >= 500)
		return "Internal server error";
	if (error->sqlerrcode == ERRCODE_INSUFFICIENT_PRIVILEGE)
		return "Permission denied";
	if (strncmp(state, "UA", 2) == 0 || strncmp(state, "22", 2) == 0 ||
		error->sqlerrcode == ERRCODE_RESERVED_NAME)
		return error->message;
	return status == 409 ? "Conflict" : "Bad request";
}

static void
answer_error(const UaefHandler *handler, const ErrorData *error,
			 UaefHandlerAnswer *answer)
{
	int			status = uaef_http_status(error->sqlerrcode);
	UaefJson	json;
	pg_uuid_t	id;

	uaef_json_begin(&json);
	uaef_json_text(&json, "error", public_message(error, status));
	if (status >= 500)
	{
		uaef_uuid7(&id);
		uaef_json_uuid(&json, "error_id", &id);
		ereport(LOG,
				(errmsg("%s failed, error id %s: %s: %s", handler->name,
						uaef_uuid_text(&id),
						unpack_sql_state(error->sqlerrcode), error->message),
				 errhidestmt(true), errhidecontext(true)));
	}
	else if (error->sqlerrcode != ERRCODE_UAEF_BAD_DEFINITION &&
			 strncmp(unpack_sql_state(error->sqlerrcode), "UA", 2) == 0)
		uaef_json_text(&json, "code", unpack_sql_state(error->sqlerrcode));
	memset(answer, 0, sizeof(*answer));
	uaef_answer_json(answer, uaef_json_end(&json));
	answer->status = status;
	answer->asks_for_token = status == 401;
	answer->retry_after_s = status == 503 ? 1 : 0;
}

/* One call of a handler. */
typedef struct Call
{
	const UaefHandler *handler;
	Jsonb	   *document;
	const char *audience;
	UaefHandlerAnswer answer;
} Call;

static void
run(void *arg)
{
	Call	   *call = arg;
	UaefHandlerEvent event;
	Jsonb	   *claims;

	uaef_event_read(call->document, &event);
	claims = check_token(call->handler, &event, call->audience);
	call->handler->run(&event, claims, &call->answer);
}

static Jsonb *
answer_json(const UaefHandlerAnswer *answer)
{
	UaefJson	headers;
	UaefJson	json;

	uaef_json_begin(&headers);
	uaef_json_text(&headers, "content-type", answer->content_type);
	if (answer->asks_for_token)
		uaef_json_text(&headers, "www-authenticate", "Bearer");
	if (answer->retry_after_s > 0)
		uaef_json_text(&headers, "retry-after",
					   psprintf("%d", answer->retry_after_s));
	uaef_json_begin(&json);
	uaef_json_int(&json, "statusCode", answer->status);
	uaef_json_jsonb(&json, "headers", uaef_json_end(&headers));
	uaef_json_text(&json, "body", answer->body);
	return uaef_json_end(&json);
}

Jsonb *
uaef_handle(const UaefHandler *handler, Jsonb *event, const char *audience)
{
	Call		call = {handler, event, audience};
	ErrorData  *error = uaef_try(run, &call);

	if (error != NULL &&
		ERRCODE_TO_CATEGORY(error->sqlerrcode) ==
		ERRCODE_TO_CATEGORY(ERRCODE_OPERATOR_INTERVENTION))
		ReThrowError(error);
	if (error != NULL)
		answer_error(handler, error, &call.answer);
	return answer_json(&call.answer);
}
