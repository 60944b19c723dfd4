/*-------------------------------------------------------------------------
 *
 * inbound_github.c
 *	  Webhooks of GitHub: X-Hub-Signature-256 over the body.
 *
 * Nothing that is signed says when it was, and the id of the delivery is not
 * signed: so equal signed bytes are taken for the same delivery.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "hash256.h"
#include "inbound_kind.h"

#define SIGNATURE	"x-hub-signature-256"
#define PREFIX		"sha256="

static UaefInboundRefusal
verify(const UaefInboundSource *source, const UaefInboundRequest *request,
	   const UaefInboundKeys *keys, UaefInboundProof *proof)
{
	UaefInboundRefusal refusal = UAEF_REFUSAL_NONE;
	const char *given = uaef_inbound_header(request, SIGNATURE,
											UAEF_REFUSAL_NO_SIGNATURE,
											&refusal);
	uint8		mac[UAEF_MAC_MAX_LEN];

	if (given == NULL)
		return refusal;
	for (int i = 0; i < keys->n; i++)
	{
		UaefBytes	key = {keys->keys[i], strlen(keys->keys[i])};
		size_t		len = uaef_mac(UAEF_SHA256, key, &request->body, 1, mac);
		char	   *signature = psprintf(PREFIX "%s", uaef_hex(mac, len));

		if (uaef_same_secret(signature, given))
		{
			uaef_sha256(request->body.data, request->body.len, proof->digest);
			proof->id = uaef_header(&request->headers, "x-github-delivery");
			return UAEF_REFUSAL_NONE;
		}
	}
	return UAEF_REFUSAL_BAD_SIGNATURE;
}

static const char *const secret_headers[] = {
	SIGNATURE, "x-hub-signature", NULL
};

const UaefInboundKind uaef_inbound_github = {
	.name = "github",
	.signs = true,
	.secret_headers = secret_headers,
	.config_keys = uaef_inbound_none,
	.verify = verify,
	.read = uaef_inbound_read_one
};
