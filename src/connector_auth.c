/*-------------------------------------------------------------------------
 *
 * connector_auth.c
 *	  How a connector says who it is, whatever its type.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

#include "base64.h"
#include "connector_auth.h"
#include "connector_config.h"
#include "connector_read.h"
#include "json_util.h"
#include "url.h"

/* A token lives so long when nobody says for how long. */
#define DEFAULT_TOKEN_MS	(INT64CONST(5) * 60 * 1000)

/* Longest token; the header has to pass the servers on the way. */
#define MAX_TOKEN			16384

static const char *const kinds[] = {
	[UAEF_AUTH_NONE] = "none",
	[UAEF_AUTH_BASIC] = "basic",
	[UAEF_AUTH_BEARER] = "bearer",
	[UAEF_AUTH_HEADER] = "header",
	[UAEF_AUTH_OAUTH2] = "oauth2",
	NULL
};

static void read_oauth2(Jsonb *document, UaefAuth *auth);
static char *basic(const char *user, const char *password);
static void add_field(StringInfo body, const char *name, const char *value);
static const char *token_url(const UaefConnector *connector);
static void ask_token(const UaefConnector *connector, UaefHttpDraft *draft);
static bool read_token(const UaefConnector *connector,
					   const UaefHttpResult *result,
					   const UaefResponse *response, UaefSessionPart *part,
					   UaefAnswerVerdict *verdict);
static bool token_refused(const UaefHttpResult *result,
						  const UaefResponse *response);
static void refuse_token(const UaefHttpResult *result,
						 const UaefResponse *response,
						 UaefAnswerVerdict *verdict);

static const UaefSessionType token_session = {
	.name = "token",
	.method = "POST",
	.url = token_url,
	.ask = ask_token,
	.read = read_token,
	.refused = token_refused
};

UaefAuth *
uaef_auth_parse(Jsonb *config)
{
	static const char *const keys[] = {
		"type", "username", "header", "token_url", "client_id", "scope",
		"audience", "client", NULL
	};
	Jsonb	   *document = uaef_config_object(config, "auth");
	UaefAuth   *auth = palloc0(sizeof(UaefAuth));

	if (document == NULL)
		return auth;
	uaef_config_keys(document, keys, "\"auth\" of a connector's config");
	auth->kind = uaef_config_choice(document, "type", kinds, -1);
	if (auth->kind == UAEF_AUTH_BASIC)
	{
		auth->username = uaef_config_text(document, "username", true);
		if (strchr(auth->username, ':') != NULL)
			uaef_connector_bad_config("username", "a string without a colon");
	}
	else if (auth->kind == UAEF_AUTH_HEADER)
	{
		auth->header = uaef_config_text(document, "header", true);
		uaef_config_header(auth->header);
	}
	else if (auth->kind == UAEF_AUTH_OAUTH2)
		read_oauth2(document, auth);
	return auth;
}

static void
read_oauth2(Jsonb *document, UaefAuth *auth)
{
	static const char *const places[] = {"basic", "post", NULL};
	UaefUrl		url;

	uaef_url_require(uaef_config_text(document, "token_url", true), &url);
	auth->token_url = uaef_url_text(&url);
	auth->client_id = uaef_config_text(document, "client_id", true);
	auth->scope = uaef_config_text(document, "scope", false);
	auth->audience = uaef_config_text(document, "audience", false);
	auth->in_body = uaef_config_choice(document, "client", places, 0) == 1;
}

/*
 * The value of "Authorization: Basic" (RFC 7617, in UTF-8).
 */
static char *
basic(const char *user, const char *password)
{
	char	   *both = psprintf("%s:%s", user, password);
	char	   *utf8 = pg_server_to_any(both, strlen(both), PG_UTF8);

	return psprintf("Basic %s", uaef_base64(utf8, strlen(utf8)));
}

void
uaef_auth_headers(const UaefConnector *connector, UaefHttpDraft *draft)
{
	const UaefAuth *auth = connector->config.auth;

	switch (auth->kind)
	{
		case UAEF_AUTH_BASIC:
			uaef_draft_header(draft, "Authorization",
							  basic(auth->username,
									uaef_secret_header(connector, "password", true)));
			break;
		case UAEF_AUTH_BEARER:
			uaef_draft_header(draft, "Authorization",
							  psprintf("Bearer %s",
									   uaef_secret_header(connector, "token", true)));
			break;
		case UAEF_AUTH_HEADER:
			uaef_draft_header(draft, auth->header,
							  uaef_secret_header(connector, "value", true));
			break;
		case UAEF_AUTH_NONE:
		case UAEF_AUTH_OAUTH2:
			break;
	}
}

const UaefSessionType *
uaef_auth_session(const UaefAuth *auth)
{
	return auth->kind == UAEF_AUTH_OAUTH2 ? &token_session : NULL;
}

static const char *
token_url(const UaefConnector *connector)
{
	return connector->config.auth->token_url;
}

static void
add_field(StringInfo body, const char *name, const char *value)
{
	if (value != NULL)
		appendStringInfo(body, "%s%s=%s", body->len > 0 ? "&" : "", name,
						 uaef_percent_encode(value, ""));
}

/*
 * RFC 6749, 4.4.  In the header the id and the secret are encoded as in a form
 * before they are put together (2.3.1).
 */
static void
ask_token(const UaefConnector *connector, UaefHttpDraft *draft)
{
	const UaefAuth *auth = connector->config.auth;
	char	   *secret = uaef_secret_text(connector, "client_secret", true);
	StringInfoData body;

	initStringInfo(&body);
	add_field(&body, "grant_type", "client_credentials");
	add_field(&body, "scope", auth->scope);
	add_field(&body, "audience", auth->audience);
	if (auth->in_body)
	{
		add_field(&body, "client_id", auth->client_id);
		add_field(&body, "client_secret", secret);
	}
	else
		uaef_draft_header(draft, "Authorization",
						  basic(uaef_percent_encode(auth->client_id, ""),
								uaef_percent_encode(secret, "")));
	uaef_draft_header(draft, "Accept", "application/json");
	uaef_draft_text(draft, body.data, "application/x-www-form-urlencoded");
}

/*
 * What servers call the token's life is a number; some write it as a string.
 */
static bool
read_token(const UaefConnector *connector, const UaefHttpResult *result,
		   const UaefResponse *response, UaefSessionPart *part,
		   UaefAnswerVerdict *verdict)
{
	char	   *token = uaef_json_get_text(response->body, "access_token");
	char	   *type = uaef_json_get_text(response->body, "token_type");
	JsonbValue	value;

	if (result->status != 200 || token == NULL)
	{
		refuse_token(result, response, verdict);
		return false;
	}
	if ((type != NULL && pg_strcasecmp(type, "bearer") != 0) ||
		*token == '\0' || strlen(token) > MAX_TOKEN ||
		strspn(token, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			   "0123456789-._~+/=") != strlen(token))
	{
		verdict->answer = UAEF_ANSWER_PERMANENT;
		verdict->message = "the answer holds no bearer token";
		return false;
	}
	part->life_ms = DEFAULT_TOKEN_MS;
	if (uaef_json_get(response->body, "expires_in", &value))
	{
		char	   *text = value.type == jbvString
			? pnstrdup(value.val.string.val, value.val.string.len)
			: value.type == jbvNumeric
			? DatumGetCString(DirectFunctionCall1(numeric_out,
												  NumericGetDatum(value.val.numeric)))
			: "";
		double		seconds = strtod(text, NULL);

		if (seconds > 0)
			part->life_ms = (int64) Min(seconds, 86400.0) * 1000;
	}
	uaef_draft_header(&part->headers, "Authorization",
					  psprintf("Bearer %s", token));
	return true;
}

/*
 * RFC 6749, 5.2: {"error":...,"error_description":...}.  Only the word of it is
 * told: what a server repeats in a sentence may be the secret.
 */
static void
refuse_token(const UaefHttpResult *result, const UaefResponse *response,
			 UaefAnswerVerdict *verdict)
{
	char	   *error = uaef_json_get_text(response->body, "error");

	verdict->answer = uaef_http_status_passes(result->status)
		? UAEF_ANSWER_TRANSIENT : UAEF_ANSWER_PERMANENT;
	verdict->message = error == NULL
		? psprintf("status %d", result->status)
		: psprintf("status %d, %s", result->status, uaef_error_word(error));
}

static bool
token_refused(const UaefHttpResult *result, const UaefResponse *response)
{
	return result->status == 401;
}
