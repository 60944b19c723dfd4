/*-------------------------------------------------------------------------
 *
 * token.c
 *	  Tokens: JSON Web Tokens (RFC 7519), signed by HS256.
 *
 * Strict: there is one algorithm, one form of a header, and one text of each
 * part; a document with a member twice is refused, since readers differ in
 * which of the two they take.  The claims are not parsed before the signature
 * is found right.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

#include "base64.h"
#include "clock.h"
#include "compat.h"
#include "errcodes.h"
#include "event_hash.h"
#include "guc.h"
#include "http_body.h"
#include "json_util.h"
#include "ledger.h"
#include "mac.h"
#include "spi_util.h"
#include "token.h"
#include "token_key.h"
#include "uuid7.h"

/* Longest subject or audience, and id of a key. */
#define MAX_NAME	255

/* A token in its parts. */
typedef struct Parts
{
	UaefBytes	header;			/* each as it is in the token */
	UaefBytes	claims;
	UaefBytes	signed_text;	/* both, with the point between */
	char	   *signature;
} Parts;

/*----------
 * Making
 * ----------
 */

static const char *const registered[] = {
	"iss", "sub", "aud", "exp", "nbf", "iat", "jti"
};

static const char *
issuer(void)
{
	return *uaef_token_issuer == '\0' ? "uaef" : uaef_token_issuer;
}

static void
check_name(const char *what, const char *name)
{
	if (*name == '\0' || strlen(name) > MAX_NAME)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s of a token must have 1 to %d bytes", what,
						MAX_NAME)));
}

static void
check_claims(Jsonb *claims)
{
	JsonbValue	value;

	if (claims == NULL)
		return;
	if (JB_ROOT_IS_SCALAR(claims) || !JB_ROOT_IS_OBJECT(claims))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("claims of a token must be an object")));
	for (int i = 0; i < lengthof(registered); i++)
		if (uaef_json_get(claims, registered[i], &value))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("claim \"%s\" of a token is not for a caller to set",
							registered[i])));
}

static int64
unix_seconds(TimestampTz time)
{
	return uaef_unix_us(time) / USECS_PER_SEC;
}

/*
 * A document as a part of a token.
 */
static char *
part_of(Jsonb *document)
{
	char	   *text = JsonbToCString(NULL, &document->root, VARSIZE(document));
	char	   *utf8 = pg_server_to_any(text, strlen(text), PG_UTF8);

	return uaef_base64url(utf8, strlen(utf8));
}

/*
 * The signature of a text, as a part of a token.
 */
static char *
sign(const UaefTokenKey *key, UaefBytes text)
{
	UaefBytes	bytes = {key->bytes, sizeof(key->bytes)};
	uint8		mac[UAEF_MAC_MAX_LEN];
	size_t		len = uaef_mac(UAEF_SHA256, bytes, &text, 1, mac);

	return uaef_base64url(mac, len);
}

static void
record(const char *subject, const char *audience, const char *id,
	   const UaefTokenKey *key, TimestampTz expires, Oid caller)
{
	UaefCaller	back = uaef_spi_begin();
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_text(&json, "subject", subject);
	uaef_json_text(&json, "audience", audience);
	uaef_json_text(&json, "token_id", id);
	uaef_json_text(&json, "key_id", key->id);
	uaef_json_time(&json, "expires_at", expires);
	uaef_ledger_note_user("token_created", caller, uaef_json_end(&json));
	uaef_spi_end(back);
}

static Jsonb *
header_json(const UaefTokenKey *key)
{
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_text(&json, "alg", "HS256");
	uaef_json_text(&json, "typ", "JWT");
	uaef_json_text(&json, "kid", key->id);
	return uaef_json_end(&json);
}

char *
uaef_token_create(const char *subject, const char *audience, int64 expires_us,
				  Jsonb *claims)
{
	TimestampTz now = uaef_clock_now();
	UaefTokenKey key;
	UaefJson	json;
	pg_uuid_t	id;
	char	   *text;
	UaefBytes	bytes;
	char	   *token;

	check_name("subject", subject);
	check_name("audience", audience);
	check_claims(claims);
	uaef_uuid7(&id);
	uaef_token_key_newest(&key);
	uaef_json_begin(&json);
	uaef_json_text(&json, "iss", issuer());
	uaef_json_text(&json, "sub", subject);
	uaef_json_text(&json, "aud", audience);
	uaef_json_int(&json, "exp", unix_seconds(now + expires_us));
	uaef_json_int(&json, "nbf", unix_seconds(now));
	uaef_json_int(&json, "iat", unix_seconds(now));
	uaef_json_text(&json, "jti", uaef_uuid_text(&id));
	uaef_json_members(&json, claims);
	text = psprintf("%s.%s", part_of(header_json(&key)),
					part_of(uaef_json_end(&json)));
	bytes.data = text;
	bytes.len = strlen(text);
	token = psprintf("%s.%s", text, sign(&key, bytes));
	uaef_token_key_wipe(&key);
	if (strlen(token) > UAEF_TOKEN_MAX_LEN)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_TOO_LARGE),
				 errmsg("claims of the token are too large"),
				 errdetail("A token has at most %d bytes.",
						   UAEF_TOKEN_MAX_LEN)));
	record(subject, audience, uaef_uuid_text(&id), &key, now + expires_us,
		   GetUserId());
	return token;
}

/*----------
 * Believing
 * ----------
 */

pg_noreturn static void
refuse(int sqlstate, const char *message)
{
	ereport(ERROR, (errcode(sqlstate), errmsg("%s", message)));
}

static void
take_apart(const char *token, Parts *parts)
{
	const char *first = strchr(token, '.');
	const char *second = first == NULL ? NULL : strchr(first + 1, '.');

	if (strlen(token) > UAEF_TOKEN_MAX_LEN || second == NULL ||
		strchr(second + 1, '.') != NULL)
		refuse(ERRCODE_UAEF_BAD_TOKEN, "the token is not three parts");
	parts->header.data = token;
	parts->header.len = first - token;
	parts->claims.data = first + 1;
	parts->claims.len = second - first - 1;
	parts->signed_text.data = token;
	parts->signed_text.len = second - token;
	parts->signature = pstrdup(second + 1);
}

/*
 * How many members the objects of a valid JSON text have: one for each colon
 * outside of strings.
 */
static int
count_members(const char *text)
{
	bool		in_string = false;
	int			n = 0;

	for (; *text != '\0'; text++)
	{
		if (in_string && *text == '\\')
			text++;
		else if (*text == '"')
			in_string = !in_string;
		else if (*text == ':' && !in_string)
			n++;
	}
	return n;
}

/*
 * How many it has as jsonb, which keeps one of each name.
 */
static int
count_keys(Jsonb *document)
{
	JsonbIterator *it = JsonbIteratorInit(&document->root);
	JsonbIteratorToken token;
	JsonbValue	value;
	int			n = 0;

	while ((token = JsonbIteratorNext(&it, &value, false)) != WJB_DONE)
		n += token == WJB_KEY;
	return n;
}

/*
 * The object of a part; raises unless it is one, and each member there once.
 */
static Jsonb *
object_of(UaefBytes part)
{
	size_t		len = 0;
	uint8	   *bytes = uaef_base64url_bytes(part.data, part.len, &len);
	Jsonb	   *object = NULL;
	char	   *text;

	if (bytes != NULL && len > 0 && uaef_http_is_text((char *) bytes, len))
	{
		text = pnstrdup((char *) bytes, len);
		object = uaef_http_parse_json(text);
		if (object != NULL && (!JB_ROOT_IS_OBJECT(object) ||
							   count_members(text) != count_keys(object)))
			object = NULL;
	}
	if (object == NULL)
		refuse(ERRCODE_UAEF_BAD_TOKEN,
			   "a part of the token is not base64url of an object whose members are there once");
	return object;
}

static bool
is_text(Jsonb *object, const char *key, const char *wanted)
{
	char	   *text = uaef_json_get_text(object, key);

	return text != NULL && strcmp(text, wanted) == 0;
}

/*
 * Raise unless the token is signed by one of our keys.
 */
static void
check_signature(const Parts *parts)
{
	Jsonb	   *header = object_of(parts->header);
	char	   *key_id = uaef_json_get_text(header, "kid");
	UaefTokenKey key;
	bool		same;

	if (!is_text(header, "alg", "HS256") || !is_text(header, "typ", "JWT") ||
		key_id == NULL || JB_ROOT_COUNT(header) != 3)
		refuse(ERRCODE_UAEF_BAD_TOKEN,
			   "the header of the token is not that of one of ours");
	if (strlen(key_id) > MAX_NAME || !uaef_token_key_find(key_id, &key))
		refuse(ERRCODE_UAEF_TOKEN_SIGNATURE,
			   "the key of the token is not known, or retired");
	same = uaef_same_secret(sign(&key, parts->signed_text), parts->signature);
	uaef_token_key_wipe(&key);
	if (!same)
		refuse(ERRCODE_UAEF_TOKEN_SIGNATURE,
			   "the signature of the token is not right");
}

/*
 * A time of the claims, in Unix seconds.
 */
static int64
time_claim(Jsonb *claims, const char *name)
{
	JsonbValue	value;
	char	   *text;
	char	   *end;
	int64		seconds;

	if (!uaef_json_get(claims, name, &value) || value.type != jbvNumeric)
		refuse(ERRCODE_UAEF_BAD_TOKEN,
			   psprintf("claim \"%s\" of the token is not a number", name));
	text = DatumGetCString(DirectFunctionCall1(numeric_out,
											   NumericGetDatum(value.val.numeric)));
	errno = 0;
	seconds = strtoll(text, &end, 10);
	if (errno != 0 || *end != '\0' || seconds < 0)
		refuse(ERRCODE_UAEF_BAD_TOKEN,
			   psprintf("claim \"%s\" of the token is not a whole number of seconds",
						name));
	return seconds;
}

static void
check_times(Jsonb *claims)
{
	int64		now = unix_seconds(uaef_clock_now());
	JsonbValue	value;

	if (time_claim(claims, "exp") <= now)
		refuse(ERRCODE_UAEF_TOKEN_EXPIRED, "the token has expired");
	if (time_claim(claims, "iat") > now ||
		(uaef_json_get(claims, "nbf", &value) &&
		 time_claim(claims, "nbf") > now))
		refuse(ERRCODE_UAEF_TOKEN_EXPIRED, "the token is not valid yet");
}

Jsonb *
uaef_token_verify(const char *token, const char *audience)
{
	Parts		parts;
	Jsonb	   *claims;

	take_apart(token, &parts);
	check_signature(&parts);
	claims = object_of(parts.claims);
	if (uaef_json_get_text(claims, "sub") == NULL)
		refuse(ERRCODE_UAEF_BAD_TOKEN, "the token has no subject");
	check_times(claims);
	if (!is_text(claims, "iss", issuer()))
		refuse(ERRCODE_UAEF_TOKEN_AUDIENCE, "the token is of another issuer");
	if (!is_text(claims, "aud", audience))
		refuse(ERRCODE_UAEF_TOKEN_AUDIENCE, "the token is for another audience");
	return claims;
}
