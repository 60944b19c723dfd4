/*-------------------------------------------------------------------------
 *
 * inbound_kind.c
 *	  The types of webhook sources, and what several of them share.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "http_body.h"
#include "inbound_kind.h"
#include "json_util.h"

static const UaefInboundKind *const kinds[] = {
	&uaef_inbound_github,
	&uaef_inbound_stripe,
	&uaef_inbound_standard,
	&uaef_inbound_slack,
	&uaef_inbound_hmac,
	&uaef_inbound_salesforce
};

const char *const uaef_inbound_none[] = {NULL};

const UaefInboundKind *
uaef_inbound_kind(const char *name)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < lengthof(kinds); i++)
	{
		if (strcmp(kinds[i]->name, name) == 0)
			return kinds[i];
		appendStringInfo(&names, "%s%s", i > 0 ? ", " : "", kinds[i]->name);
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown type \"%s\" of a webhook source", name),
			 errhint("The types are: %s.", names.data)));
}

const char *
uaef_inbound_header(const UaefInboundRequest *request, const char *name,
					UaefInboundRefusal missing, UaefInboundRefusal *refusal)
{
	const char *value = uaef_header(&request->headers, name);

	if (value == NULL || *value == '\0')
	{
		*refusal = missing;
		return NULL;
	}
	return value;
}

bool
uaef_inbound_is_time(const char *text)
{
	size_t		len = strlen(text);

	return len > 0 && len <= 12 && strspn(text, "0123456789") == len;
}

UaefInboundRefusal
uaef_inbound_check_time(const UaefInboundSource *source,
						const UaefInboundRequest *request,
						const char *seconds)
{
	int64		age = request->now - strtoll(seconds, NULL, 10);

	if (age > source->tolerance_s)
		return UAEF_REFUSAL_TOO_OLD;
	if (age < -source->tolerance_s)
		return UAEF_REFUSAL_TOO_NEW;
	return UAEF_REFUSAL_NONE;
}

static bool
is_form(const char *type)
{
	static const char form[] = "application/x-www-form-urlencoded";

	return type != NULL && strcspn(type, "; \t") == sizeof(form) - 1 &&
		pg_strncasecmp(type, form, sizeof(form) - 1) == 0;
}

/*
 * A form whose one field is "payload" stands for the JSON in it: so GitHub
 * and Slack send what they would send as JSON otherwise.
 */
static Jsonb *
form_body(const UaefInboundRequest *request)
{
	Jsonb	   *form = uaef_http_form(request->body.data, request->body.len);
	char	   *payload;

	if (form == NULL || JB_ROOT_COUNT(form) != 1)
		return form;
	payload = uaef_json_get_text(form, "payload");
	return payload == NULL ? form : uaef_http_parse_json(payload);
}

Jsonb *
uaef_inbound_body(const UaefInboundRequest *request)
{
	const char *type = uaef_header(&request->headers, "content-type");
	const char *data = request->body.data;
	size_t		len = request->body.len;

	if (is_form(type))
		return form_body(request);
	if (uaef_http_is_json(type))
		return uaef_http_is_text(data, len) ?
			uaef_http_parse_json(pnstrdup(data, len)) : NULL;
	return uaef_http_body(data, len, type == NULL ||
						  pg_strcasecmp(type, "application/octet-stream") == 0);
}

int
uaef_inbound_read_one(const UaefInboundSource *source,
					  const UaefInboundRequest *request,
					  const UaefInboundProof *proof,
					  UaefInboundMessage **messages)
{
	Jsonb	   *body = uaef_inbound_body(request);

	if (body == NULL)
		return 0;
	*messages = palloc(sizeof(UaefInboundMessage));
	(*messages)->id = proof->id;
	(*messages)->body = body;
	return 1;
}

int
uaef_inbound_read_id(const UaefInboundRequest *request, const char *member,
					 UaefInboundMessage **messages)
{
	Jsonb	   *body = uaef_inbound_body(request);

	if (body == NULL)
		return 0;
	*messages = palloc(sizeof(UaefInboundMessage));
	(*messages)->id = uaef_json_get_text(body, member);
	(*messages)->body = body;
	return 1;
}
