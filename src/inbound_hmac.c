/*-------------------------------------------------------------------------
 *
 * inbound_hmac.c
 *	  Webhooks of anybody who signs by HMAC, as the source's config says.
 *
 * "signed" says what is signed: {body}, {timestamp}, {id}, {header:Name}, and
 * what stands between them.  A time stamp or an id that is not in it proves
 * nothing: the one is refused when the source is made, the other is believed
 * only together with the signed bytes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base64.h"
#include "hash256.h"
#include "inbound_kind.h"

/* What is signed: placeholders, and what stands around them. */
#define MAX_PLACEHOLDERS 8
#define MAX_PARTS (2 * MAX_PLACEHOLDERS + 1)

/* Signatures that one header may have. */
#define MAX_SIGNATURES 16

typedef enum Encoding
{
	HEX,
	UPPER_HEX,
	BASE64,
	BASE64URL
} Encoding;

typedef enum KeyEncoding
{
	KEY_TEXT,
	KEY_HEX,
	KEY_BASE64
} KeyEncoding;

static const char *const encodings[] = {
	"hex", "upper_hex", "base64", "base64url", NULL
};
static const char *const key_encodings[] = {"text", "hex", "base64", NULL};
static const char *const units[] = {"seconds", "milliseconds", NULL};

static char *
read_header_name(const UaefObject *config, const char *key, bool required)
{
	char	   *name = uaef_read_text(config, key, required);

	return name == NULL ? NULL : uaef_header_lower(name);
}

/*
 * Whether a placeholder is one that there is; *header is the name after
 * "header:", or NULL.
 */
static bool
is_placeholder(const char *word, size_t len, char **header)
{
	*header = NULL;
	if (len > 7 && strncmp(word, "header:", 7) == 0)
	{
		*header = uaef_header_lower(pnstrdup(word + 7, len - 7));
		return true;
	}
	return (len == 4 && strncmp(word, "body", len) == 0) ||
		(len == 9 && strncmp(word, "timestamp", len) == 0) ||
		(len == 2 && strncmp(word, "id", len) == 0);
}

/*
 * Raise unless the body is signed once, and what is signed can be known.
 */
static void
check_signed(const UaefObject *config, const UaefInboundHmac *hmac)
{
	const char *body = strstr(hmac->sign, "{body}");
	const char *at = hmac->sign;
	int			placeholders = 0;
	char	   *header;

	if (body == NULL || strstr(body + 1, "{body}") != NULL)
		uaef_read_wrong(config, "signed", "a text with {body} in it, once");
	while ((at = strchr(at, '{')) != NULL)
	{
		const char *end = strchr(at, '}');

		if (end == NULL || !is_placeholder(at + 1, end - at - 1, &header) ||
			++placeholders > MAX_PLACEHOLDERS)
			uaef_read_wrong(config, "signed",
							"made of {body}, {timestamp}, {id} and {header:Name}");
		at = end;
	}
	if ((strstr(hmac->sign, "{timestamp}") != NULL) !=
		(hmac->timestamp_header != NULL))
		uaef_read_wrong(config, "signed",
						"with {timestamp} in it if, and only if, there is a \"timestamp_header\"");
	if (strstr(hmac->sign, "{id}") != NULL && hmac->id_header == NULL)
		uaef_read_wrong(config, "signed",
						"without {id} where there is no \"id_header\"");
}

static void
configure(const UaefObject *config, UaefInboundSource *source)
{
	UaefInboundHmac *hmac = &source->hmac;
	char	   *algorithm = uaef_read_text(config, "algorithm", false);

	hmac->header = read_header_name(config, "header", true);
	hmac->timestamp_header = read_header_name(config, "timestamp_header",
											  false);
	hmac->id_header = read_header_name(config, "id_header", false);
	hmac->hash = UAEF_SHA256;
	if (algorithm != NULL && !uaef_hash_by_name(algorithm, &hmac->hash))
		uaef_read_wrong(config, "algorithm", "sha1, sha256 or sha512");
	hmac->encoding = uaef_read_choice(config, "encoding", encodings, HEX);
	hmac->key_encoding = uaef_read_choice(config, "key_encoding",
										  key_encodings, KEY_TEXT);
	hmac->milliseconds = uaef_read_choice(config, "timestamp_unit", units,
										  0) == 1;
	hmac->prefix = uaef_read_text(config, "prefix", false);
	hmac->separator = uaef_read_text(config, "separator", false);
	hmac->sign = uaef_read_text(config, "signed", false);
	if (hmac->sign == NULL)
		hmac->sign = hmac->timestamp_header != NULL ? "{timestamp}.{body}"
			: "{body}";
	if (hmac->separator != NULL && strlen(hmac->separator) != 1)
		uaef_read_wrong(config, "separator", "one character");
	check_signed(config, hmac);
}

/*
 * The bytes of a key; NULL when it is not in the encoding.
 */
static uint8 *
key_bytes(const UaefInboundHmac *hmac, const char *key, size_t *len)
{
	uint8	   *bytes;

	*len = strlen(key);
	switch ((KeyEncoding) hmac->key_encoding)
	{
		case KEY_BASE64:
			return uaef_base64_bytes(key, *len, len);
		case KEY_HEX:
			*len /= 2;
			bytes = palloc(*len + 1);
			return strlen(key) == *len * 2 && uaef_unhex(key, bytes, *len) ?
				bytes : NULL;
		case KEY_TEXT:
			break;
	}
	return (uint8 *) pstrdup(key);
}

static const char *
check_key(const UaefInboundSource *source, const char *key)
{
	size_t		len;
	uint8	   *bytes = key_bytes(&source->hmac, key, &len);

	if (bytes == NULL)
		return "It is not in the encoding that \"key_encoding\" says.";
	explicit_bzero(bytes, len);
	pfree(bytes);
	return NULL;
}

static char *
encode(Encoding encoding, const uint8 *mac, size_t len)
{
	char	   *text;

	switch (encoding)
	{
		case BASE64:
			return uaef_base64(mac, len);
		case BASE64URL:
			return uaef_base64url(mac, len);
		case HEX:
		case UPPER_HEX:
			break;
	}
	text = uaef_hex(mac, len);
	for (char *p = text; encoding == UPPER_HEX && *p != '\0'; p++)
		*p = pg_ascii_toupper((unsigned char) *p);
	return text;
}

/*
 * Whether one of the given signatures is the expected one.
 */
static bool
is_among(const UaefInboundHmac *hmac, const char *expected, const char *given)
{
	char	   *rest = pstrdup(given);
	char	   *one;

	if (hmac->separator == NULL)
		return uaef_same_secret(expected, given);
	for (int n = 0; n < MAX_SIGNATURES; n++)
	{
		if ((one = strsep(&rest, hmac->separator)) == NULL)
			break;
		if (uaef_same_secret(expected, one + strspn(one, " ")))
			return true;
	}
	return false;
}

/*
 * What is signed, in parts; returns how many, or -1 with why there are none.
 */
static int
take_parts(const UaefInboundSource *source, const UaefInboundRequest *request,
		   const char *time, UaefBytes *parts, UaefInboundRefusal *refusal)
{
	const UaefInboundHmac *hmac = &source->hmac;
	const char *at = hmac->sign;
	int			n = 0;

	while (*at != '\0' && n < MAX_PARTS)
	{
		const char *end = strchr(at, '}');
		char	   *header;
		const char *value;

		if (*at != '{')
		{
			parts[n].data = at;
			parts[n].len = strcspn(at, "{");
			at += parts[n++].len;
			continue;
		}
		(void) is_placeholder(at + 1, end - at - 1, &header);
		if (header == NULL && at[1] == 'b')
			parts[n++] = request->body;
		else
		{
			value = at[1] == 't' && header == NULL ? time :
				uaef_inbound_header(request,
									header != NULL ? header : hmac->id_header,
									UAEF_REFUSAL_BAD_HEADERS, refusal);
			if (value == NULL)
				return -1;
			parts[n].data = value;
			parts[n++].len = strlen(value);
		}
		at = end + 1;
	}
	return n;
}

/*
 * The time stamp of a request, if there has to be one.
 */
static const char *
take_time(const UaefInboundHmac *hmac, const UaefInboundRequest *request,
		  UaefInboundRefusal *refusal)
{
	const char *time;

	if (hmac->timestamp_header == NULL)
		return NULL;
	time = uaef_inbound_header(request, hmac->timestamp_header,
							   UAEF_REFUSAL_NO_TIMESTAMP, refusal);
	if (time != NULL && (strlen(time) > 15 ||
						 strspn(time, "0123456789") != strlen(time)))
		*refusal = UAEF_REFUSAL_NO_TIMESTAMP;
	return time;
}

static bool
is_signed(const UaefInboundHmac *hmac, const UaefInboundKeys *keys,
		  const UaefBytes *parts, int n, const char *given)
{
	uint8		mac[UAEF_MAC_MAX_LEN];
	bool		same = false;

	for (int i = 0; i < keys->n && !same; i++)
	{
		size_t		len;
		uint8	   *bytes = key_bytes(hmac, keys->keys[i], &len);
		UaefBytes	key = {bytes, len};
		char	   *expected;

		if (bytes == NULL)
			continue;
		len = uaef_mac(hmac->hash, key, parts, n, mac);
		expected = psprintf("%s%s", hmac->prefix == NULL ? "" : hmac->prefix,
							encode(hmac->encoding, mac, len));
		explicit_bzero(bytes, key.len);
		same = is_among(hmac, expected, given);
	}
	return same;
}

static UaefInboundRefusal
verify(const UaefInboundSource *source, const UaefInboundRequest *request,
	   const UaefInboundKeys *keys, UaefInboundProof *proof)
{
	const UaefInboundHmac *hmac = &source->hmac;
	UaefInboundRefusal refusal = UAEF_REFUSAL_NONE;
	const char *given = uaef_inbound_header(request, hmac->header,
											UAEF_REFUSAL_NO_SIGNATURE,
											&refusal);
	const char *time = take_time(hmac, request, &refusal);
	UaefBytes	parts[MAX_PARTS];
	int			n;

	if (refusal != UAEF_REFUSAL_NONE)
		return refusal;
	n = take_parts(source, request, time, parts, &refusal);
	if (n < 0)
		return refusal;
	if (!is_signed(hmac, keys, parts, n, given))
		return UAEF_REFUSAL_BAD_SIGNATURE;
	if (hmac->id_header != NULL)
		proof->id = uaef_header(&request->headers, hmac->id_header);
	proof->id_is_signed = strstr(hmac->sign, "{id}") != NULL;
	uaef_hash_begin();
	for (int i = 0; i < n; i++)
		uaef_hash_add(parts[i].data, parts[i].len);
	uaef_hash_end(proof->digest);
	if (time == NULL)
		return UAEF_REFUSAL_NONE;
	if (hmac->milliseconds)
		time = psprintf("%lld", strtoll(time, NULL, 10) / 1000);
	return uaef_inbound_check_time(source, request, time);
}

static const char *const config_keys[] = {
	"header", "algorithm", "encoding", "key_encoding", "prefix", "separator",
	"signed", "timestamp_header", "timestamp_unit", "id_header", NULL
};

const UaefInboundKind uaef_inbound_hmac = {
	.name = "hmac",
	.signs = true,
	.secret_headers = uaef_inbound_none,
	.config_keys = config_keys,
	.configure = configure,
	.check_key = check_key,
	.verify = verify,
	.read = uaef_inbound_read_one
};
