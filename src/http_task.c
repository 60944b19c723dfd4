/*-------------------------------------------------------------------------
 *
 * http_task.c
 *	  HTTP tasks: the request that is filled in and left for delivery.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "advance.h"
#include "delivery_offer.h"
#include "task_kind.h"

static void hand_out_http(UaefTask *task);
static void withdraw_http(UaefTask *task);

const UaefTaskKind uaef_http_task = {
	.hand_out = hand_out_http,
	.withdraw = withdraw_http
};

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

static bool
fill_request(UaefTask *task, UaefDeliveryRequest *request,
			 UaefEvalError *error)
{
	const UaefHttpConfig *config = &task->def->config.http;
	UaefScope  *scope = uaef_task_scope(task);

	uaef_delivery_of_task(task, request);
	request->connector = config->connector;
	request->method = config->method;
	request->expect = config->expect;
	request->idempotent = config->idempotent;

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

static void
hand_out_http(UaefTask *task)
{
	UaefDeliveryRequest request;
	UaefEvalError error = {0};

	if (!fill_request(task, &request, &error))
		uaef_advance_fail_evaluation(task, &error);
	else
		uaef_delivery_offer_for_task(task, &request);
}

static void
withdraw_http(UaefTask *task)
{
	uaef_delivery_cancel(&task->execution->id, task->task_id);
}
