/*-------------------------------------------------------------------------
 *
 * task_request.c
 *	  Filling in what a task asks of the outside.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "errcodes.h"
#include "task_request.h"

Jsonb *
uaef_task_input(UaefTask *task, UaefEvalError *error)
{
	const UaefTemplate *input = task->def->type == UAEF_TASK_SQL ?
		task->def->config.sql.input : task->def->config.external.input;

	if (input != NULL)
		return uaef_template_fill(input, uaef_task_scope(task), error);
	return task->item_value != NULL ? task->item_value : task->execution->input;
}

/*
 * The request's headers, as an object of strings; NULL on failure.
 */
static Jsonb *
fill_headers(const UaefHttpConfig *config, UaefScope *scope,
			 UaefEvalError *error)
{
	UaefJson	json;

	uaef_json_begin(&json);
	for (int i = 0; i < config->n_headers; i++)
	{
		char	   *value = uaef_template_fill_text(config->header_values[i],
													scope, UAEF_ENCODE_HEADER,
													error);

		if (value == NULL)
			return NULL;
		uaef_json_text(&json, config->header_names[i], value);
	}
	return uaef_json_end(&json);
}

bool
uaef_http_request(UaefTask *task, UaefDeliveryRequest *request,
				  UaefEvalError *error)
{
	const UaefHttpConfig *config = &task->def->config.http;
	UaefScope  *scope = uaef_task_scope(task);

	memset(request, 0, sizeof(UaefDeliveryRequest));
	request->connector = config->connector;
	request->role = task->execution->initiated_by;
	request->has_task = true;
	request->execution_id = task->execution->id;
	request->task_no = task->no;
	request->item = task->item;
	request->task_id = task->task_id;
	request->attempt = task->attempt;
	request->method = config->method;
	request->expect = config->expect;
	request->idempotent = config->idempotent;
	request->timeout_ms = task->def->timeout_ms;
	request->retry = &task->def->retry;

	if (config->url != NULL)
	{
		request->url = uaef_template_fill_text(config->url, scope,
											   UAEF_ENCODE_URL, error);
		if (request->url == NULL)
			return false;
	}
	request->headers = fill_headers(config, scope, error);
	if (request->headers == NULL)
		return false;
	if (config->body != NULL)
	{
		request->body = uaef_template_fill(config->body, scope, error);
		if (request->body == NULL)
			return false;
	}
	return true;
}

/*
 * Read a timestamp out of text; an unreadable one is a failure.
 *
 * timestamptz's input function raises, and there is no other way in all of
 * our versions to ask it; it opens nothing that an error would have to close.
 */
static bool
read_time(char *text, TimestampTz *time, UaefEvalError *error)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool good = true;

	PG_TRY();
	{
		*time = DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in,
														CStringGetDatum(text),
														ObjectIdGetDatum(InvalidOid),
														Int32GetDatum(-1)));
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		FlushErrorState();
		good = false;
	}
	PG_END_TRY();

	if (!good)
		uaef_eval_fail(error, ERRCODE_UAEF_WRONG_TYPE, "until", text,
					   "\"until\" is not a time: \"%s\"", text);
	return good;
}

bool
uaef_wait_until(const UaefTemplate *until, UaefScope *scope, TimestampTz *due,
				UaefEvalError *error)
{
	char	   *text = uaef_template_fill_text(until, scope, UAEF_ENCODE_TEXT,
											   error);

	return text != NULL && read_time(text, due, error);
}
