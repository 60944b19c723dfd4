/*-------------------------------------------------------------------------
 *
 * oracle_connector.c
 *	  REST services of Oracle Fusion applications.
 *
 * The url ends in the version of the services, as in
 * https://host/fscmRestApi/resources/11.13.18.05.  Its config adds
 * {"resource","framework_version"}, and payloads are
 *
 *	create	{"resource","data"}
 *	upsert	{"resource","data"}			finds the item by its keys, or makes it
 *	update	{"resource","id","data","etag"}
 *	delete	{"resource","id","etag"}
 *	get		{"resource","id","query"}
 *	action	{"resource","id","action","parameters"}
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "connector_config.h"
#include "connector_read.h"
#include "connector_rest.h"
#include "json_util.h"

#define ITEM_TYPE	"application/vnd.oracle.adf.resourceitem+json"
#define ACTION_TYPE "application/vnd.oracle.adf.action+json"

typedef struct OracleConfig
{
	char	   *resource;		/* or NULL */
	char	   *framework_version;	/* or NULL */
} OracleConfig;

static void *parse(Jsonb *config);
static bool is(const UaefCall *call, const char *operation);
static char *item_id(const UaefCall *call, bool required);
static void address(const UaefConnector *connector, UaefCall *call);
static Jsonb *action_body(const UaefCall *call);
static void build(const UaefConnector *connector, const UaefCall *call,
				  UaefHttpDraft *draft);
static bool judge(const UaefConnector *connector, const UaefCall *call,
				  const UaefHttpResult *result, const UaefResponse *response,
				  UaefAnswerVerdict *verdict);
static Jsonb *output(const UaefConnector *connector, const UaefCall *call,
					 const UaefHttpResult *result,
					 const UaefResponse *response);

static const char *const operations[] = {
	"create", "upsert", "update", "delete", "get", "action", NULL
};
static const char *const keys[] = {"resource", "framework_version", NULL};
static const char *const secret_keys[] = {NULL};

const UaefConnectorType uaef_oracle_connector = {
	.name = "oracle",
	.operations = operations,
	.keys = keys,
	.secret_keys = secret_keys,
	.needs_url = true,
	.parse = parse,
	.address = address,
	.build = build,
	.judge = judge,
	.output = output
};

static void *
parse(Jsonb *config)
{
	OracleConfig *own = palloc0(sizeof(OracleConfig));

	own->resource = uaef_config_text(config, "resource", false);
	own->framework_version = uaef_config_text(config, "framework_version",
											  false);
	if (own->framework_version != NULL &&
		strspn(own->framework_version, "0123456789") !=
		strlen(own->framework_version))
		uaef_connector_bad_config("framework_version", "a string of digits");
	return own;
}

static bool
is(const UaefCall *call, const char *operation)
{
	return strcmp(call->operation, operation) == 0;
}

/*
 * "/" and the id, or "".
 */
static char *
item_id(const UaefCall *call, bool required)
{
	Jsonb	   *id = uaef_rest_value(call, "id", required);
	JsonbValue	value;
	char	   *text;

	if (id == NULL)
		return "";
	text = JB_ROOT_IS_SCALAR(id) && JsonbExtractScalar(&id->root, &value)
		? uaef_rest_scalar(&value) : NULL;
	if (text == NULL || strspn(text, ".") == strlen(text))
		uaef_payload_wrong(call->operation,
						   "an object whose \"id\" is a string or a number");
	return psprintf("/%s", uaef_percent_encode(text, ""));
}

static void
address(const UaefConnector *connector, UaefCall *call)
{
	static const char *const known[] = {
		"resource", "id", "data", "etag", "query", "action", "parameters", NULL
	};
	const OracleConfig *own = connector->own;
	UaefHttpDraft draft = {0};
	char	   *resource;
	char	   *id = "";

	uaef_rest_check(call, known);
	resource = uaef_rest_path(call, "resource", own->resource);
	if (!is(call, "create") && !is(call, "upsert"))
		id = item_id(call, is(call, "update") || is(call, "delete"));
	call->method = is(call, "get") ? "GET" : is(call, "delete") ? "DELETE"
		: is(call, "update") ? "PATCH" : "POST";
	if (is(call, "action"))
		(void) action_body(call);
	else if (strcmp(call->method, "POST") == 0 ||
			 strcmp(call->method, "PATCH") == 0)
		(void) uaef_rest_value(call, "data", true);
	uaef_rest_if_match(call, NULL, &draft);
	call->url = uaef_rest_query(call,
								uaef_rest_url(connector->config.url,
											  psprintf("%s%s", resource, id)));
	call->idempotent |= is(call, "upsert") || is(call, "delete");
}

/*
 * {"name","parameters":[{name: value}, ...]}
 */
static Jsonb *
action_body(const UaefCall *call)
{
	Jsonb	   *parameters = uaef_rest_value(call, "parameters", false);
	JsonbParseState *state = NULL;
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	value;
	UaefJson	json;

	(void) pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	if (parameters != NULL && !JB_ROOT_IS_OBJECT(parameters))
		uaef_payload_wrong(call->operation,
						   "an object whose \"parameters\" is an object");
	it = parameters ? JsonbIteratorInit(&parameters->root) : NULL;
	while (it != NULL &&
		   (token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
		if (token == WJB_KEY || token == WJB_VALUE)
			(void) pushJsonbValue(&state, token, &value);
		if (token == WJB_VALUE)
			(void) pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	}
	uaef_json_begin(&json);
	uaef_json_text(&json, "name", uaef_rest_text(call, "action", true));
	uaef_json_jsonb(&json, "parameters",
					JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY,
													 NULL)));
	return uaef_json_end(&json);
}

static void
build(const UaefConnector *connector, const UaefCall *call,
	  UaefHttpDraft *draft)
{
	const OracleConfig *own = connector->own;

	uaef_draft_header(draft, "Accept", "application/json");
	if (own->framework_version != NULL)
		uaef_draft_header(draft, "REST-Framework-Version",
						  own->framework_version);
	if (is(call, "upsert"))
		uaef_draft_header(draft, "Upsert-Mode", "true");
	if (is(call, "update") || is(call, "delete"))
		uaef_rest_if_match(call, NULL, draft);
	if (is(call, "action"))
		uaef_rest_body(draft, action_body(call), ACTION_TYPE);
	else if (!is(call, "get") && !is(call, "delete"))
		uaef_rest_body(draft, uaef_rest_value(call, "data", true), ITEM_TYPE);
}

/*
 * {"title","status","detail","o:errorCode"}, or a plain text.  Something that
 * is to be deleted, and was not there any more when it was tried again, is
 * deleted.
 */
static bool
judge(const UaefConnector *connector, const UaefCall *call,
	  const UaefHttpResult *result, const UaefResponse *response,
	  UaefAnswerVerdict *verdict)
{
	char	   *code;

	uaef_rest_judge(call, result, response, verdict);
	if (is(call, "delete") && result->status == 404 && call->attempt > 1)
		verdict->answer = UAEF_ANSWER_SUCCESS;
	if (verdict->answer == UAEF_ANSWER_SUCCESS || verdict->code != NULL)
		return true;
	code = uaef_json_get_text(response->body, "o:errorCode");
	if (result->status == 412)
		verdict->code = "etag_mismatch";
	else if (code != NULL && *code != '\0')
		verdict->code = psprintf("oracle_%s", uaef_error_word(code));
	verdict->message = uaef_error_text(response->body, "detail");
	if (verdict->message == NULL)
		verdict->message = uaef_error_text(response->body, "title");
	if (verdict->message == NULL && response->body != NULL)
		verdict->message = uaef_clip_text(uaef_payload_text(response->body));
	return true;
}

static Jsonb *
output(const UaefConnector *connector, const UaefCall *call,
	   const UaefHttpResult *result, const UaefResponse *response)
{
	return uaef_rest_output(result, response, response->body);
}
