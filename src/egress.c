/*-------------------------------------------------------------------------
 *
 * egress.c
 *	  Where the database may send requests to: an operator's allow-list.
 *
 * Locking: none; a rule that is removed does not stop the request that is
 * under way.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/socket.h>

#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/inet.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "column.h"
#include "connector_config.h"
#include "egress.h"
#include "errcodes.h"
#include "json_util.h"
#include "ledger.h"
#include "spi_util.h"

static UaefQuery matching_rules = {
	"SELECT network FROM uaef.egress_rule"
	" WHERE host = ANY ($2) AND scheme = $3 AND (port IS NULL OR port = $4)"
	" AND (methods IS NULL OR $5 = ANY (methods))"
	" AND (role IS NULL OR pg_has_role($1::oid, role::oid, 'USAGE'))",
	5, {OIDOID, TEXTARRAYOID, TEXTOID, INT4OID, TEXTOID}
};

static UaefQuery insert_rule = {
	"INSERT INTO uaef.egress_rule"
	" (host, port, scheme, network, role, comment, created_by, created_at,"
	" methods)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING rule_id",
	9, {TEXTOID, INT4OID, TEXTOID, CIDROID, REGROLEOID, TEXTOID, REGROLEOID,
	TIMESTAMPTZOID, TEXTARRAYOID}
};

static UaefQuery delete_rule = {
	"DELETE FROM uaef.egress_rule WHERE rule_id = $1"
	" RETURNING host, port::text, scheme, network::text, role::text,"
	" array_to_string(methods, ' ')",
	1, {INT8OID}
};

static Datum rule_hosts(const char *host);
static char *check_host(const char *host);
static void check_methods(const UaefEgressRule *rule);
static Datum method_array(const UaefEgressRule *rule);
static char *method_list(const UaefEgressRule *rule);
static void record(const char *type, Oid caller, Jsonb *payload);

void
uaef_network_from_inet(Datum from, UaefNetwork *network)
{
	inet	   *value = DatumGetInetPP(from);

	memset(network, 0, sizeof(*network));
	network->v6 = ip_family(value) == PGSQL_AF_INET6;
	network->bits = ip_bits(value);
	memcpy(network->bytes, ip_addr(value), network->v6 ? 16 : 4);
	uaef_network_unmap(network);
}

/*
 * What rules for a host may call it: its name, and "*." before each domain that
 * its name ends in.
 */
static Datum
rule_hosts(const char *host)
{
	UaefColumn *names = uaef_column(TEXTOID, strlen(host) + 1);

	uaef_column_text(names, host);
	for (const char *dot = strchr(host, '.'); dot != NULL;
		 dot = strchr(dot + 1, '.'))
	{
		if (dot > host)
			uaef_column_text(names, psprintf("*%s", dot));
	}
	return uaef_column_array(names);
}

bool
uaef_egress_find(Oid role, const char *method, const UaefUrl *url,
				 UaefEgressGrant *grant)
{
	UaefCaller	caller = uaef_spi_begin();
	Datum		args[5];
	uint64		n_rules;

	args[0] = ObjectIdGetDatum(role);
	args[1] = rule_hosts(url->host);
	args[2] = CStringGetTextDatum(uaef_url_scheme(url));
	args[3] = Int32GetDatum(url->port);
	args[4] = CStringGetTextDatum(method);
	n_rules = uaef_spi_run(&matching_rules, args, NULL);

	grant->n_networks = 0;
	grant->networks = SPI_palloc((n_rules + 1) * sizeof(UaefNetwork));
	for (uint64 i = 0; i < n_rules; i++)
	{
		bool		isnull;
		Datum		network = uaef_spi_value(i, 1, &isnull);

		if (!isnull)
			uaef_network_from_inet(network, &grant->networks[grant->n_networks++]);
	}
	uaef_spi_end(caller);
	return n_rules > 0;
}

char *
uaef_egress_refusal(Oid role, const char *method, const UaefUrl *url)
{
	char	   *name = GetUserNameFromId(role, true);

	return psprintf("no egress rule lets role \"%s\" send %s by %s to host \"%s\", port %d",
					name ? name : "unknown", method, uaef_url_scheme(url),
					url->host, url->port);
}

void
uaef_egress_require(Oid role, const char *method, const UaefUrl *url)
{
	UaefEgressGrant grant;

	if (!uaef_egress_find(role, method, url, &grant))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_EGRESS_DENIED),
				 errmsg_internal("%s", uaef_egress_refusal(role, method, url)),
				 errhint("An administrator can allow it with uaef.allow_egress().")));
}

char *
uaef_egress_check(Oid role, const char *method, const UaefUrl *url,
				  const UaefNetwork *address)
{
	UaefEgressGrant grant;
	UaefNetwork written;

	if (!uaef_egress_find(role, method, url, &grant))
		return uaef_egress_refusal(role, method, url);
	if (address == NULL && uaef_network_from_text(url->host, &written))
		address = &written;
	if (address != NULL &&
		!uaef_network_allows(grant.networks, grant.n_networks, address))
		return pstrdup("no egress rule allows the address of the host");
	return NULL;
}

/*
 * Lower case, and either a host or "*." before one.
 */
static char *
check_host(const char *host)
{
	char	   *lower = pstrdup(host);
	const char *name = strncmp(host, "*.", 2) == 0 ? host + 2 : host;

	if (!uaef_url_is_host(name, strlen(name)) || *name == '.')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid host \"%s\" in an egress rule", host),
				 errhint("Use a host name, an address, or \"*.\" and a domain.")));
	for (char *p = lower; *p != '\0'; p++)
		*p = pg_ascii_tolower((unsigned char) *p);
	return lower;
}

/*
 * Known ones, in upper case; sets them so.
 */
static void
check_methods(const UaefEgressRule *rule)
{
	for (int i = 0; i < rule->n_methods; i++)
		rule->methods[i] = uaef_http_method_check(rule->methods[i]);
	if (rule->methods != NULL && rule->n_methods == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an egress rule without a method allows nothing"),
				 errhint("Leave the methods out to allow them all.")));
}

static Datum
method_array(const UaefEgressRule *rule)
{
	Datum	   *texts = palloc((rule->n_methods + 1) * sizeof(Datum));

	for (int i = 0; i < rule->n_methods; i++)
		texts[i] = CStringGetTextDatum(rule->methods[i]);
	return uaef_array(texts, NULL, rule->n_methods, TEXTOID);
}

static char *
method_list(const UaefEgressRule *rule)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < rule->n_methods; i++)
		appendStringInfo(&list, "%s%s", i > 0 ? " " : "", rule->methods[i]);
	return list.data;
}

static void
record(const char *type, Oid caller, Jsonb *payload)
{
	UaefEvent	event = {
		.type = type,
		.actor_type = "user",
		.actor_id = GetUserNameFromId(caller, false),
		.payload = payload
	};

	(void) uaef_ledger_append(&event, 1);
}

/*
 * A rule without a network permits public addresses only, so one for another
 * address permits nothing, and its maker would find out much later.
 */
static void
check_reachable(const char *host, bool has_network)
{
	UaefNetwork address;

	if (!has_network && uaef_network_from_text(host, &address) &&
		!uaef_network_is_global(&address))
		ereport(WARNING,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("address \"%s\" is not public, and the rule names no network",
						host),
				 errdetail("The rule permits nothing."),
				 errhint("Give the network that it permits: network => '%s'.",
						 host)));
}

int64
uaef_egress_allow(const UaefEgressRule *rule)
{
	Oid			user = GetUserId();
	char	   *host = check_host(rule->host);
	UaefCaller	caller;
	UaefJson	json;
	Datum		args[9];
	char		nulls[10] = "         ";
	int64		rule_id;

	if (strcmp(rule->scheme, "https") != 0 && strcmp(rule->scheme, "http") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid scheme \"%s\" in an egress rule", rule->scheme),
				 errhint("Use \"https\" or \"http\".")));
	if (rule->port < 0 || rule->port > 65535)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("port %d is out of range", rule->port)));

	check_reachable(host, rule->has_network);
	check_methods(rule);

	caller = uaef_spi_begin();
	args[0] = CStringGetTextDatum(host);
	args[1] = Int32GetDatum(rule->port);
	args[2] = CStringGetTextDatum(rule->scheme);
	args[3] = rule->network;
	args[4] = ObjectIdGetDatum(rule->role);
	args[5] = rule->comment ? CStringGetTextDatum(rule->comment) : (Datum) 0;
	args[6] = ObjectIdGetDatum(user);
	args[7] = TimestampTzGetDatum(uaef_clock_now());
	nulls[1] = rule->port == 0 ? 'n' : ' ';
	nulls[3] = rule->has_network ? ' ' : 'n';
	nulls[4] = OidIsValid(rule->role) ? ' ' : 'n';
	nulls[5] = rule->comment ? ' ' : 'n';
	args[8] = method_array(rule);
	nulls[8] = rule->methods ? ' ' : 'n';
	(void) uaef_spi_run(&insert_rule, args, nulls);
	rule_id = uaef_spi_int64(0, 1);

	uaef_json_begin(&json);
	uaef_json_int(&json, "rule_id", rule_id);
	uaef_json_text(&json, "host", host);
	if (rule->port != 0)
		uaef_json_int(&json, "port", rule->port);
	uaef_json_text(&json, "scheme", rule->scheme);
	if (rule->methods != NULL)
		uaef_json_text(&json, "methods", method_list(rule));
	if (rule->has_network)
		uaef_json_text(&json, "network",
					   DatumGetCString(DirectFunctionCall1(cidr_out,
														   rule->network)));
	if (OidIsValid(rule->role))
		uaef_json_text(&json, "role", GetUserNameFromId(rule->role, false));
	record("egress_allowed", user, uaef_json_end(&json));
	uaef_spi_end(caller);
	return rule_id;
}

void
uaef_egress_remove(int64 rule_id)
{
	Oid			user = GetUserId();
	UaefCaller	caller = uaef_spi_begin();
	Datum		args[1];
	UaefJson	json;

	args[0] = Int64GetDatum(rule_id);
	if (uaef_spi_run(&delete_rule, args, NULL) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("egress rule %lld does not exist",
						(long long) rule_id)));

	uaef_json_begin(&json);
	uaef_json_int(&json, "rule_id", rule_id);
	uaef_json_text(&json, "host", uaef_spi_text(0, 1));
	uaef_json_text(&json, "port", uaef_spi_text(0, 2));
	uaef_json_text(&json, "scheme", uaef_spi_text(0, 3));
	uaef_json_text(&json, "network", uaef_spi_text(0, 4));
	uaef_json_text(&json, "role", uaef_spi_text(0, 5));
	uaef_json_text(&json, "methods", uaef_spi_text(0, 6));
	record("egress_removed", user, uaef_json_end(&json));
	uaef_spi_end(caller);
}
