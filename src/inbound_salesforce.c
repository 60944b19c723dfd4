/*-------------------------------------------------------------------------
 *
 * inbound_salesforce.c
 *	  Outbound messages of Salesforce: SOAP, several notifications in one.
 *
 * They are not signed.  What can be checked here is the organization's id,
 * which is no secret, and headers that a front end sets, such as that the
 * client's certificate was Salesforce's: "require_headers".
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "inbound_kind.h"
#include "inbound_xml.h"
#include "json_util.h"

/* Notifications in a message; Salesforce sends 100 at most. */
#define MAX_NOTIFICATIONS 1000

/* The part of an organization's id that has a case that counts. */
#define SHORT_ID	15
#define LONG_ID		18

static void
configure(const UaefObject *config, UaefInboundSource *source)
{
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	value;

	source->n_organizations = uaef_read_texts(config, "organizations",
											  &source->organizations);
	if (source->n_organizations < 1)
		uaef_read_wrong(config, "organizations",
						"an array of ids of organizations");
	for (int i = 0; i < source->n_organizations; i++)
	{
		size_t		len = strlen(source->organizations[i]);

		if (len != SHORT_ID && len != LONG_ID)
			uaef_read_wrong(config, "organizations",
							"ids of 15 or 18 characters");
	}
	source->require_headers = uaef_read_document(config, "require_headers");
	if (source->require_headers == NULL)
		return;
	it = JsonbIteratorInit(&source->require_headers->root);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
		if (token == WJB_VALUE && value.type != jbvString)
			uaef_read_wrong(config, "require_headers",
							"an object of strings");
}

static bool
has_required_headers(const UaefInboundSource *source,
					 const UaefInboundRequest *request)
{
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	value;
	const char *given = NULL;

	if (source->require_headers == NULL)
		return true;
	it = JsonbIteratorInit(&source->require_headers->root);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		char	   *text;

		if (token != WJB_KEY && token != WJB_VALUE)
			continue;
		text = pnstrdup(value.val.string.val, value.val.string.len);
		if (token == WJB_KEY)
			given = uaef_header(&request->headers, uaef_header_lower(text));
		else if (given == NULL || !uaef_same_secret(text, given))
			return false;
	}
	return true;
}

/*
 * "notifications" in the envelope; NULL when there are none.
 */
static Jsonb *
notifications_of(const UaefInboundRequest *request)
{
	static const char *const way[] = {"Envelope", "Body", "notifications"};
	Jsonb	   *at = uaef_xml_json(request->body.data, request->body.len);

	for (int i = 0; i < lengthof(way) && at != NULL; i++)
	{
		JsonbValue	value;

		at = JB_ROOT_IS_OBJECT(at) && uaef_json_get(at, way[i], &value) &&
			value.type == jbvBinary ? uaef_json_from_value(&value) : NULL;
	}
	return at != NULL && JB_ROOT_IS_OBJECT(at) ? at : NULL;
}

/*
 * An id of 18 characters is one of 15 with a checksum of its case.
 */
static bool
is_same_organization(const char *one, const char *other)
{
	size_t		len = strlen(one);

	if (len != SHORT_ID && len != LONG_ID)
		return false;
	if (strlen(other) == len)
		return strcmp(one, other) == 0;
	return strlen(other) == SHORT_ID + LONG_ID - len &&
		strncmp(one, other, SHORT_ID) == 0;
}

static UaefInboundRefusal
verify(const UaefInboundSource *source, const UaefInboundRequest *request,
	   const UaefInboundKeys *keys, UaefInboundProof *proof)
{
	Jsonb	   *notifications;
	char	   *organization;

	if (!has_required_headers(source, request))
		return UAEF_REFUSAL_NOT_ALLOWED;
	notifications = notifications_of(request);
	if (notifications == NULL)
		return UAEF_REFUSAL_BAD_BODY;
	organization = uaef_json_get_text(notifications, "OrganizationId");
	for (int i = 0; organization != NULL && i < source->n_organizations; i++)
	{
		if (is_same_organization(organization, source->organizations[i]))
		{
			proof->id_is_signed = true;
			return UAEF_REFUSAL_NONE;
		}
	}
	return UAEF_REFUSAL_NOT_ALLOWED;
}

/*
 * One notification with what all of them share, but for the session id, which
 * is a credential.
 */
static bool
read_notification(Jsonb *all, JsonbValue *value, UaefInboundMessage *message)
{
	static const char *const shared[] = {
		"OrganizationId", "ActionId", "EnterpriseUrl", "PartnerUrl"
	};
	Jsonb	   *notification;
	UaefJson	json;

	if (value->type != jbvBinary ||
		!JsonContainerIsObject(value->val.binary.data))
		return false;
	notification = uaef_json_from_value(value);
	message->id = uaef_json_get_text(notification, "Id");
	uaef_json_begin(&json);
	for (int i = 0; i < lengthof(shared); i++)
		uaef_json_text(&json, shared[i], uaef_json_get_text(all, shared[i]));
	uaef_json_jsonb(&json, "Notification", notification);
	message->body = uaef_json_end(&json);
	return message->id != NULL && *message->id != '\0';
}

static int
read_notifications(const UaefInboundSource *source,
				   const UaefInboundRequest *request,
				   const UaefInboundProof *proof,
				   UaefInboundMessage **messages)
{
	Jsonb	   *all = notifications_of(request);
	JsonbValue	value;
	JsonbContainer *list;
	int			n;

	if (all == NULL || !uaef_json_get(all, "Notification", &value) ||
		value.type != jbvBinary)
		return 0;
	list = value.val.binary.data;
	if (!JsonContainerIsArray(list))
	{
		*messages = palloc(sizeof(UaefInboundMessage));
		return read_notification(all, &value, *messages) ? 1 : 0;
	}
	n = JsonContainerSize(list);
	if (n > MAX_NOTIFICATIONS)
		return 0;
	*messages = palloc(sizeof(UaefInboundMessage) * n);
	for (int i = 0; i < n; i++)
	{
		value = uaef_read_element(list, i);
		if (!read_notification(all, &value, &(*messages)[i]))
			return 0;
	}
	return n;
}

/*
 * Without an Ack of true the message comes again, for up to a day.
 */
static const char *
acknowledge(bool done, const char **type)
{
	*type = "text/xml; charset=utf-8";
	return psprintf("<?xml version=\"1.0\" encoding=\"UTF-8\"?>"
					"<soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\">"
					"<soapenv:Body>"
					"<notificationsResponse xmlns=\"http://soap.sforce.com/2005/09/outbound\">"
					"<Ack>%s</Ack></notificationsResponse>"
					"</soapenv:Body></soapenv:Envelope>",
					done ? "true" : "false");
}

static const char *const config_keys[] = {
	"organizations", "require_headers", NULL
};

const UaefInboundKind uaef_inbound_salesforce = {
	.name = "salesforce",
	.secret_headers = uaef_inbound_none,
	.config_keys = config_keys,
	.configure = configure,
	.verify = verify,
	.read = read_notifications,
	.acknowledge = acknowledge
};
