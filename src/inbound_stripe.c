/*-------------------------------------------------------------------------
 *
 * inbound_stripe.c
 *	  Webhooks of Stripe: Stripe-Signature over the time and the body.
 *
 * The id of the event is in the body, and so it is signed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "hash256.h"
#include "inbound_kind.h"

#define SIGNATURE	"stripe-signature"

/* Signatures that one header may have. */
#define MAX_SIGNATURES 16

typedef struct Signature
{
	char	   *time;
	int			n;
	char	   *v1[MAX_SIGNATURES];
} Signature;

/*
 * Take "t=1,v1=abc,v1=def,v0=..." apart; what is not known is passed over.
 */
static bool
take_apart(char *header, Signature *signature)
{
	char	   *rest = header;
	char	   *item;

	memset(signature, 0, sizeof(*signature));
	while ((item = strsep(&rest, ",")) != NULL)
	{
		item += strspn(item, " ");
		if (strncmp(item, "t=", 2) == 0)
		{
			if (signature->time != NULL || !uaef_inbound_is_time(item + 2))
				return false;
			signature->time = item + 2;
		}
		else if (strncmp(item, "v1=", 3) == 0)
		{
			if (signature->n == MAX_SIGNATURES)
				return false;
			signature->v1[signature->n++] = item + 3;
		}
	}
	return true;
}

/*
 * Whether a signature of the header is by one of the keys.
 */
static bool
is_signed(const Signature *signature, const UaefBytes *body,
		  const UaefInboundKeys *keys)
{
	UaefBytes	parts[3] = {
		{signature->time, strlen(signature->time)}, {".", 1}, *body
	};
	uint8		mac[UAEF_MAC_MAX_LEN];

	for (int i = 0; i < keys->n; i++)
	{
		UaefBytes	key = {keys->keys[i], strlen(keys->keys[i])};
		size_t		len = uaef_mac(UAEF_SHA256, key, parts, 3, mac);
		char	   *expected = uaef_hex(mac, len);

		for (int j = 0; j < signature->n; j++)
			if (uaef_same_secret(expected, signature->v1[j]))
				return true;
	}
	return false;
}

static UaefInboundRefusal
verify(const UaefInboundSource *source, const UaefInboundRequest *request,
	   const UaefInboundKeys *keys, UaefInboundProof *proof)
{
	char	   *header = uaef_header_joined(&request->headers, SIGNATURE, ",");
	Signature	signature;

	if (header == NULL)
		return UAEF_REFUSAL_NO_SIGNATURE;
	if (!take_apart(header, &signature) || signature.time == NULL)
		return UAEF_REFUSAL_NO_TIMESTAMP;
	if (signature.n == 0)
		return UAEF_REFUSAL_NO_SIGNATURE;
	if (!is_signed(&signature, &request->body, keys))
		return UAEF_REFUSAL_BAD_SIGNATURE;
	proof->id_is_signed = true;
	return uaef_inbound_check_time(source, request, signature.time);
}

static int
read_event(const UaefInboundSource *source, const UaefInboundRequest *request,
		   const UaefInboundProof *proof, UaefInboundMessage **messages)
{
	return uaef_inbound_read_id(request, "id", messages);
}

static const char *const secret_headers[] = {SIGNATURE, NULL};

const UaefInboundKind uaef_inbound_stripe = {
	.name = "stripe",
	.signs = true,
	.has_timestamp = true,
	.secret_headers = secret_headers,
	.config_keys = uaef_inbound_none,
	.verify = verify,
	.read = read_event
};
