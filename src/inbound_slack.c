/*-------------------------------------------------------------------------
 *
 * inbound_slack.c
 *	  Webhooks of Slack: events, commands and interactions.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "hash256.h"
#include "inbound_kind.h"
#include "json_util.h"

#define SIGNATURE	"x-slack-signature"
#define TIMESTAMP	"x-slack-request-timestamp"
#define PREFIX		"v0="

static UaefInboundRefusal
verify(const UaefInboundSource *source, const UaefInboundRequest *request,
	   const UaefInboundKeys *keys, UaefInboundProof *proof)
{
	UaefInboundRefusal refusal = UAEF_REFUSAL_NONE;
	const char *given = uaef_inbound_header(request, SIGNATURE,
											UAEF_REFUSAL_NO_SIGNATURE,
											&refusal);
	const char *time = given == NULL ? NULL :
		uaef_inbound_header(request, TIMESTAMP, UAEF_REFUSAL_NO_TIMESTAMP,
							&refusal);
	uint8		mac[UAEF_MAC_MAX_LEN];

	if (time == NULL)
		return refusal;
	if (!uaef_inbound_is_time(time))
		return UAEF_REFUSAL_NO_TIMESTAMP;
	for (int i = 0; i < keys->n; i++)
	{
		UaefBytes	key = {keys->keys[i], strlen(keys->keys[i])};
		UaefBytes	parts[4] = {
			{"v0:", 3}, {time, strlen(time)}, {":", 1}, request->body
		};
		size_t		len = uaef_mac(UAEF_SHA256, key, parts, 4, mac);
		char	   *signature = psprintf(PREFIX "%s", uaef_hex(mac, len));

		if (!uaef_same_secret(signature, given))
			continue;
		proof->id_is_signed = true;
		return uaef_inbound_check_time(source, request, time);
	}
	return UAEF_REFUSAL_BAD_SIGNATURE;
}

static int
read_event(const UaefInboundSource *source, const UaefInboundRequest *request,
		   const UaefInboundProof *proof, UaefInboundMessage **messages)
{
	int			n = uaef_inbound_read_id(request, "event_id", messages);

	if (n > 0 && (*messages)->id == NULL)
		(*messages)->id = uaef_json_get_text((*messages)->body, "trigger_id");
	return n;
}

/*
 * Slack asks once whether the address is ours.
 */
static Jsonb *
challenge(const UaefInboundMessage *message)
{
	char	   *type = uaef_json_get_text(message->body, "type");
	char	   *word = uaef_json_get_text(message->body, "challenge");
	UaefJson	json;

	if (type == NULL || word == NULL || strcmp(type, "url_verification") != 0)
		return NULL;
	uaef_json_begin(&json);
	uaef_json_text(&json, "challenge", word);
	return uaef_json_end(&json);
}

/*
 * Slack shows what is answered to a command to whoever gave it.
 */
static const char *
acknowledge(bool done, const char **type)
{
	*type = "text/plain";
	return done ? "" : NULL;
}

static const char *const secret_headers[] = {SIGNATURE, NULL};

const UaefInboundKind uaef_inbound_slack = {
	.name = "slack",
	.signs = true,
	.has_timestamp = true,
	.secret_headers = secret_headers,
	.config_keys = uaef_inbound_none,
	.verify = verify,
	.read = read_event,
	.challenge = challenge,
	.acknowledge = acknowledge
};
