/*-------------------------------------------------------------------------
 *
 * inbound_standard.c
 *	  Standard Webhooks: v1 by a shared key, v1a by a key pair.
 *
 * A key is "whsec_" and base64 of the shared key, or "whpk_" and base64 of the
 * sender's public key.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base64.h"
#include "ed25519.h"
#include "inbound_kind.h"

#define SIGNATURE	"webhook-signature"
#define SHARED		"whsec_"
#define PUBLIC		"whpk_"

/* Shared keys, as the standard has them; it calls for 24 bytes at least. */
#define MIN_SHARED	16
#define MAX_SHARED	64

/* Signatures that one header may have. */
#define MAX_SIGNATURES 16

/*
 * The bytes of a key after its prefix; NULL when it has another one.
 */
static uint8 *
key_bytes(const char *key, const char *prefix, size_t *len)
{
	if (strncmp(key, prefix, strlen(prefix)) != 0)
		return NULL;
	key += strlen(prefix);
	return uaef_base64_bytes(key, strlen(key), len);
}

static const char *
check_key(const UaefInboundSource *source, const char *key)
{
	size_t		len;
	uint8	   *bytes = key_bytes(key, SHARED, &len);
	bool		fits = bytes != NULL && len >= MIN_SHARED && len <= MAX_SHARED;

	if (bytes == NULL)
	{
		bytes = key_bytes(key, PUBLIC, &len);
		fits = bytes != NULL && len == UAEF_ED25519_PUBLIC_LEN;
	}
	if (bytes != NULL)
	{
		explicit_bzero(bytes, len);
		pfree(bytes);
	}
	return fits ? NULL :
		"It must be whsec_ and base64 of 16 to 64 bytes, or whpk_ and base64 of a public key.";
}

/*
 * Whether a key made one signature ("v1,..." or "v1a,...") of the parts.
 */
static bool
signed_by(const char *key, const char *signature, const UaefBytes *parts,
		  int n)
{
	uint8		mac[UAEF_MAC_MAX_LEN];
	size_t		len;
	size_t		signature_len;
	uint8	   *bytes;
	bool		same = false;

	if (strncmp(signature, "v1,", 3) == 0 &&
		(bytes = key_bytes(key, SHARED, &len)) != NULL)
	{
		UaefBytes	shared = {bytes, len};
		size_t		mac_len = uaef_mac(UAEF_SHA256, shared, parts, n, mac);

		explicit_bzero(bytes, len);
		return uaef_same_secret(uaef_base64(mac, mac_len), signature + 3);
	}
	if (strncmp(signature, "v1a,", 4) == 0 &&
		(bytes = key_bytes(key, PUBLIC, &len)) != NULL)
	{
		StringInfoData message;
		uint8	   *given = uaef_base64_bytes(signature + 4,
											  strlen(signature + 4),
											  &signature_len);

		initStringInfo(&message);
		for (int i = 0; i < n; i++)
			appendBinaryStringInfo(&message, parts[i].data, parts[i].len);
		same = given != NULL && signature_len == UAEF_ED25519_SIGNATURE_LEN &&
			uaef_ed25519_verify(bytes, message.data, message.len, given);
	}
	return same;
}

/*
 * Whether a signature of the header is by one of the keys.
 */
static bool
is_signed(char *header, const UaefInboundKeys *keys, const UaefBytes *parts,
		  int n_parts)
{
	char	   *rest = header;
	char	   *signature;

	for (int n = 0; n < MAX_SIGNATURES; n++)
	{
		if ((signature = strsep(&rest, " ")) == NULL)
			break;
		for (int i = 0; i < keys->n; i++)
			if (signed_by(keys->keys[i], signature, parts, n_parts))
				return true;
	}
	return false;
}

static UaefInboundRefusal
verify(const UaefInboundSource *source, const UaefInboundRequest *request,
	   const UaefInboundKeys *keys, UaefInboundProof *proof)
{
	UaefInboundRefusal refusal = UAEF_REFUSAL_NONE;
	char	   *header = uaef_header_joined(&request->headers, SIGNATURE, " ");
	const char *time = uaef_inbound_header(request, "webhook-timestamp",
										   UAEF_REFUSAL_NO_TIMESTAMP, &refusal);
	const char *id = uaef_inbound_header(request, "webhook-id",
										 UAEF_REFUSAL_NO_ID, &refusal);
	UaefBytes	parts[5] = {{id}, {".", 1}, {time}, {".", 1}, request->body};

	if (header == NULL)
		return UAEF_REFUSAL_NO_SIGNATURE;
	if (time == NULL || id == NULL)
		return refusal;
	/* A point would let the id's end and the time be told apart otherwise. */
	if (strchr(id, '.') != NULL)
		return UAEF_REFUSAL_NO_ID;
	if (!uaef_inbound_is_time(time))
		return UAEF_REFUSAL_NO_TIMESTAMP;
	parts[0].len = strlen(id);
	parts[2].len = strlen(time);
	if (!is_signed(header, keys, parts, lengthof(parts)))
		return UAEF_REFUSAL_BAD_SIGNATURE;
	proof->id = id;
	proof->id_is_signed = true;
	return uaef_inbound_check_time(source, request, time);
}

static const char *const secret_headers[] = {SIGNATURE, NULL};

const UaefInboundKind uaef_inbound_standard = {
	.name = "standard_webhooks",
	.signs = true,
	.has_timestamp = true,
	.secret_headers = secret_headers,
	.config_keys = uaef_inbound_none,
	.check_key = check_key,
	.verify = verify,
	.read = uaef_inbound_read_one
};
