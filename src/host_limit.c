/*-------------------------------------------------------------------------
 *
 * host_limit.c
 *	  How much may go to a host, whoever sends.
 *
 * The worker reads a limit when it next looks at that host (delivery_lane.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/formatting.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "definition.h"
#include "host_limit.h"
#include "json_util.h"
#include "ledger.h"
#include "spi_util.h"
#include "url.h"
#include "wake.h"

#define MAX_COUNT 10000

static UaefQuery store_limit = {
	"INSERT INTO uaef.host_limit AS h"
	" (host, max_concurrent, rate_us, burst, rate, created_by, created_at)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7)"
	" ON CONFLICT (host) DO UPDATE SET max_concurrent = EXCLUDED.max_concurrent,"
	"  rate_us = EXCLUDED.rate_us, burst = EXCLUDED.burst,"
	"  rate = EXCLUDED.rate",
	7, {TEXTOID, INT4OID, INT8OID, INT4OID, TEXTOID, REGROLEOID,
	TIMESTAMPTZOID}
};

static UaefQuery delete_limit = {
	"DELETE FROM uaef.host_limit WHERE host = $1",
	1, {TEXTOID}
};

static char *host_key(const char *host, int port);
static void check_count(const char *name, int count, int least);
static void record(const char *type, Oid user, const char *host,
				   const char *rate);

/*
 * "host:port", as lanes name it.
 */
static char *
host_key(const char *host, int port)
{
	if (!uaef_url_is_host(host, strlen(host)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is not the name or address of a host", host)));
	if (port < 1 || port > 65535)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%d is not a port", port)));
	return psprintf("%s:%d", asc_tolower(host, strlen(host)), port);
}

static void
check_count(const char *name, int count, int least)
{
	if (count < least || count > MAX_COUNT)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be between 1 and %d", name, MAX_COUNT)));
}

static void
record(const char *type, Oid user, const char *host, const char *rate)
{
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_text(&json, "host", host);
	uaef_json_text(&json, "rate", rate);
	uaef_ledger_note_user(type, user, uaef_json_end(&json));
}

void
uaef_host_limit_set(const char *host, int port, const char *rate, int burst,
					int max_concurrent)
{
	Oid			user = GetUserId();
	char	   *key = host_key(host, port);
	int64		rate_us = 0;
	UaefCaller	caller;
	Datum		args[7];
	char		nulls[8] = "       ";

	if (rate == NULL && max_concurrent == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a limit of a host needs a rate or a max_concurrent")));
	if (rate != NULL && !uaef_rate_parse(rate, &rate_us))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is no rate", rate),
				 errhint("Give a number of requests in a unit of time, such as 100/min (s, min, h, d).")));
	check_count("burst", burst, 1);
	check_count("max_concurrent", max_concurrent, 0);

	caller = uaef_spi_begin();
	args[0] = CStringGetTextDatum(key);
	args[1] = Int32GetDatum(max_concurrent);
	args[2] = Int64GetDatum(rate_us);
	args[3] = Int32GetDatum(burst);
	args[4] = rate ? CStringGetTextDatum(rate) : (Datum) 0;
	nulls[4] = rate ? ' ' : 'n';
	args[5] = ObjectIdGetDatum(user);
	args[6] = TimestampTzGetDatum(uaef_clock_now());
	(void) uaef_spi_run(&store_limit, args, nulls);
	record("host_limited", user, key, rate);
	uaef_wake_worker_on_commit(UAEF_WAKE_HTTP);
	uaef_spi_end(caller);
}

void
uaef_host_limit_remove(const char *host, int port)
{
	Oid			user = GetUserId();
	char	   *key = host_key(host, port);
	UaefCaller	caller = uaef_spi_begin();
	Datum		args[1];

	args[0] = CStringGetTextDatum(key);
	if (uaef_spi_run(&delete_limit, args, NULL) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("host \"%s\" has no limit", key)));
	record("host_unlimited", user, key, NULL);
	uaef_wake_worker_on_commit(UAEF_WAKE_HTTP);
	uaef_spi_end(caller);
}
