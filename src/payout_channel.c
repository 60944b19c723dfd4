/*-------------------------------------------------------------------------
 *
 * payout_channel.c
 *	  Channels of payouts: what they can do, and who is paid through which.
 *
 * A contract is read again whenever it is used: it is small, and checked when
 * the channel is made.
 *
 * Memory: the current context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "connector_config.h"
#include "digest.h"
#include "errcodes.h"
#include "identity.h"
#include "json_util.h"
#include "ledger.h"
#include "money.h"
#include "numeric_util.h"
#include "payout.h"
#include "settlement_rule.h"
#include "near_name.h"
#include "spi_util.h"
#include "versioned_name.h"

static UaefQuery insert_channel = {
	"INSERT INTO uaef.payout_channel (name, kind, connector, contract,"
	" created_by, created_at, role) VALUES ($1, $2, $3, $4, $5, $6, $7)"
	" ON CONFLICT (name) DO NOTHING",
	7, {TEXTOID, TEXTOID, TEXTOID, JSONBOID, REGROLEOID, TIMESTAMPTZOID,
	REGROLEOID}
};

static UaefQuery select_channel = {
	"SELECT kind, connector, contract, role FROM uaef.payout_channel"
	" WHERE name = $1",
	1, {TEXTOID}
};

static UaefQuery put_payee = {
	"INSERT INTO uaef.payee AS p (recipient, channel, destination, owner,"
	" set_by, set_at) VALUES ($1, $2, $3, $4, $5, $6)"
	" ON CONFLICT (recipient) DO UPDATE SET channel = excluded.channel,"
	" destination = excluded.destination, owner = excluded.owner,"
	" set_by = excluded.set_by, set_at = excluded.set_at",
	6, {TEXTOID, TEXTOID, JSONBOID, REGROLEOID, REGROLEOID, TIMESTAMPTZOID}
};

static const char *const kinds[] = {"connector", "worker", "file", "manual"};

static void
read_contract(UaefPayoutChannel *channel, Jsonb *contract)
{
	uaef_payout_contract_read(contract, &channel->contract);
	if ((strcmp(channel->kind, "connector") == 0 ||
		 strcmp(channel->kind, "worker") == 0) &&
		!uaef_payout_contract_tells(&channel->contract))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_PAYOUT_CHANNEL),
				 errmsg("a channel without idempotency keys, lookup and statements cannot send by itself"),
				 errdetail("Nothing could tell whether a payout arrived whose answer was lost."),
				 errhint("Say in the contract what the other side can do, or make it a channel of kind file or manual.")));
}

static bool
find_channel(const char *name, UaefPayoutChannel *channel)
{
	Datum		arg = CStringGetTextDatum(name);

	memset(channel, 0, sizeof(*channel));
	if (uaef_spi_run(&select_channel, &arg, NULL) == 0)
		return false;
	channel->name = pstrdup(name);
	channel->kind = uaef_spi_text(0, 1);
	channel->connector = uaef_spi_text(0, 2);
	channel->role = uaef_spi_oid(0, 4);
	read_contract(channel, uaef_spi_jsonb(0, 3));
	return true;
}

void
uaef_payout_channel_get(const char *name, UaefPayoutChannel *channel)
{
	static UaefQuery near_channels = {
		UAEF_NAMES_AROUND("name", "payout_channel"), 1, {TEXTOID}
	};
	const char *hint;

	if (find_channel(name, channel))
		return;
	hint = uaef_name_hint_around(name, &near_channels,
								 "Use uaef.create_payout_channel() to create it.");
	ereport(ERROR,
			(errcode(ERRCODE_UAEF_PAYOUT_CHANNEL),
			 errmsg("payout channel \"%s\" does not exist", name),
			 errhint("%s", hint)));
}

/*
 * What a channel's role says moves money; an access that every worker has is not
 * enough for that.
 */
void
uaef_payout_channel_require(const UaefPayoutChannel *channel, Oid actor)
{
	uaef_require_membership(actor, channel->role,
							psprintf("payout channel \"%s\"", channel->name));
}

static void
record(const char *type, Jsonb *payload, Oid actor)
{
	UaefEvent	event = {.type = type,.actor_type = "user"};

	event.actor_id = GetUserNameFromId(actor, true);
	event.payload = payload;
	(void) uaef_ledger_append(&event, 1);
}

static void
check_kind(const char *kind, const char *connector)
{
	bool		known = false;

	for (int i = 0; i < lengthof(kinds); i++)
		known |= strcmp(kinds[i], kind) == 0;
	if (!known)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is no kind of a payout channel", kind),
				 errhint("Kinds are connector, worker, file and manual.")));
	if ((strcmp(kind, "connector") == 0) != (connector != NULL))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a channel of kind connector names a connector, and no other does")));
}

void
uaef_payout_channel_create(const char *name, const char *kind, Jsonb *contract,
						   const char *connector, Oid role, Oid actor)
{
	UaefCaller	caller;
	UaefPayoutChannel channel = {0};
	UaefConnector found;
	UaefJson	json;
	Datum		args[7];

	uaef_check_name("payout channel", name);
	check_kind(kind, connector);
	channel.kind = pstrdup(kind);
	read_contract(&channel, contract);
	caller = uaef_spi_begin();
	if (connector != NULL)
	{
		uaef_connector_load(connector, &found);
		if (channel.contract.states != NULL)
			(void) uaef_connector_operation(&found, UAEF_PAYOUT_LOOKUP);
	}
	args[0] = CStringGetTextDatum(name);
	args[1] = CStringGetTextDatum(kind);
	args[2] = connector ? CStringGetTextDatum(connector) : (Datum) 0;
	args[3] = JsonbPGetDatum(contract);
	args[4] = ObjectIdGetDatum(actor);
	args[5] = TimestampTzGetDatum(uaef_clock_now());
	args[6] = ObjectIdGetDatum(role);
	if (uaef_spi_run(&insert_channel, args, connector ? NULL : "  n    ") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("payout channel \"%s\" already exists", name)));
	uaef_json_begin(&json);
	uaef_json_text(&json, "channel", name);
	uaef_json_text(&json, "kind", kind);
	uaef_json_text(&json, "connector", connector);
	uaef_json_text(&json, "role", uaef_role_name(role));
	uaef_json_jsonb(&json, "contract", contract);
	record("payout_channel_created", uaef_json_end(&json), actor);
	uaef_spi_end(caller);
}

/*
 * Where the money goes to is not for the ledger, which anybody may be shown:
 * its digest is.
 */
void
uaef_payee_set(const char *recipient, const char *channel, Jsonb *destination,
			   Oid owner, Oid actor)
{
	UaefCaller	caller = uaef_spi_begin();
	UaefPayoutChannel found;
	UaefJson	json;
	Datum		args[6];

	uaef_recipient_check(recipient);
	if (!JB_ROOT_IS_OBJECT(destination))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("destination must be an object")));
	uaef_payout_channel_get(channel, &found);
	if (strcmp(found.kind, "file") == 0)
		uaef_payout_check_destination(recipient, destination);
	args[0] = CStringGetTextDatum(recipient);
	args[1] = CStringGetTextDatum(channel);
	args[2] = JsonbPGetDatum(destination);
	args[3] = ObjectIdGetDatum(owner);
	args[4] = ObjectIdGetDatum(actor);
	args[5] = TimestampTzGetDatum(uaef_clock_now());
	(void) uaef_spi_run(&put_payee, args,
						OidIsValid(owner) ? NULL : "   n  ");
	uaef_json_begin(&json);
	uaef_json_text(&json, "recipient", recipient);
	uaef_json_text(&json, "channel", channel);
	uaef_json_text(&json, "destination_sha256", uaef_digest_hex(destination));
	if (OidIsValid(owner))
		uaef_json_text(&json, "owner", GetUserNameFromId(owner, true));
	record("payee_set", uaef_json_end(&json), actor);
	uaef_spi_end(caller);
}

bool
uaef_payout_channel_takes(const char *name, const char *currency)
{
	UaefPayoutChannel channel;

	return find_channel(name, &channel) && uaef_payout_contract_takes(&channel.contract, currency);
}

void
uaef_payout_channel_check(const UaefPayoutChannel *channel, Numeric amount,
						  const char *currency)
{
	char	   *most = uaef_json_get_text(channel->contract.max_amount, currency);

	if (!uaef_payout_contract_takes(&channel->contract, currency))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_PAYOUT_CHANNEL),
				 errmsg("payout channel \"%s\" does not take %s",
						channel->name, currency)));
	if (most != NULL &&
		uaef_numeric_compare(amount, uaef_numeric_from_text(most)) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_PAYOUT_CHANNEL),
				 errmsg("payout channel \"%s\" takes at most %s %s at once",
						channel->name, most, currency)));
}
