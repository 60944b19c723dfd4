/*-------------------------------------------------------------------------
 *
 * limit_config.c
 *	  Limits that workflows share: making and dropping them.
 *
 * Locking: the limit's row.  A change is a change at every key of the limit,
 * which the granter looks at when it has committed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "definition.h"
#include "errcodes.h"
#include "json_util.h"
#include "ledger.h"
#include "limit_config.h"
#include "near_name.h"
#include "spi_util.h"
#include "wake.h"

#define MAX_NAME 200
#define MAX_COUNT 1000000

static UaefQuery store_limit = {
	"INSERT INTO uaef.workflow_limit AS l (name, concurrency, rate,"
	" interval_us, burst, created_by, created_at)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7)"
	" ON CONFLICT (name) DO UPDATE SET concurrency = EXCLUDED.concurrency,"
	" rate = EXCLUDED.rate, interval_us = EXCLUDED.interval_us,"
	" burst = EXCLUDED.burst RETURNING l.created_by::pg_catalog.oid",
	7, {TEXTOID, INT4OID, TEXTOID, INT8OID, INT4OID, REGROLEOID,
	TIMESTAMPTZOID}
};

static UaefQuery drop_limit = {
	"DELETE FROM uaef.workflow_limit WHERE name = $1"
	" RETURNING created_by::pg_catalog.oid",
	1, {TEXTOID}
};

static UaefQuery note_change = {
	"INSERT INTO uaef.limit_change (limit_name, key, freed)"
	" SELECT limit_name, key, 0 FROM uaef.limit_key WHERE limit_name = $1",
	1, {TEXTOID}
};

static void
check_limit(const char *name, int concurrency, const char *rate, int burst,
			int64 *interval_us)
{
	if (*name == '\0' || strlen(name) > MAX_NAME || strchr(name, '/') != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("\"%s\" is no name for a limit", name),
				 errdetail("A name has 1 to %d bytes and no \"/\".", MAX_NAME)));
	if (concurrency < 0 || concurrency > MAX_COUNT || burst < 0 ||
		burst > MAX_COUNT)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" of limit \"%s\" must be between 1 and %d",
						burst < 0 || burst > MAX_COUNT ? "burst" : "concurrency",
						name, MAX_COUNT)));
	if (rate == NULL && burst > 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"burst\" of limit \"%s\" goes with a rate", name)));
	if (rate == NULL && concurrency == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("limit \"%s\" needs a concurrency or a rate", name)));
	if (rate != NULL && !uaef_rate_parse(rate, interval_us))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is no rate", rate),
				 errhint("Give a number of starts in a unit of time, such as 100/min (s, min, h, d).")));
}

static void
require_owner(const char *name, Oid caller, Oid owner)
{
	if (!has_privs_of_role(caller, owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("limit \"%s\" belongs to role \"%s\"", name,
						uaef_role_name(owner))));
}

/*
 * Say so in the ledger, and to the granter.
 */
static void
note(const char *type, const char *name, int concurrency, const char *rate,
	 int burst, Oid caller)
{
	Datum		arg = CStringGetTextDatum(name);
	UaefEvent	event = {0};
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_text(&json, "limit", name);
	if (concurrency > 0)
		uaef_json_int(&json, "concurrency", concurrency);
	uaef_json_text(&json, "rate", rate);
	if (burst > 0)
		uaef_json_int(&json, "burst", burst);
	event.type = type;
	event.actor_type = "user";
	event.actor_id = GetUserNameFromId(caller, false);
	event.payload = uaef_json_end(&json);
	uaef_ledger_append(&event, 1);

	uaef_spi_run(&note_change, &arg, NULL);
	uaef_wake_worker_on_commit(UAEF_WAKE_LIMITS);
}

void
uaef_limit_create(const char *name, int concurrency, const char *rate,
				  int burst)
{
	Oid			caller = GetUserId();
	int64		interval_us = 0;
	char		nulls[7] = "       ";
	Datum		args[7];
	UaefCaller	back;

	check_limit(name, concurrency, rate, burst, &interval_us);
	back = uaef_spi_begin();
	args[0] = CStringGetTextDatum(name);
	args[1] = Int32GetDatum(concurrency);
	args[2] = rate != NULL ? CStringGetTextDatum(rate) : (Datum) 0;
	args[3] = Int64GetDatum(interval_us);
	args[4] = Int32GetDatum(Max(burst, 1));
	args[5] = ObjectIdGetDatum(caller);
	args[6] = TimestampTzGetDatum(uaef_clock_now());
	if (concurrency == 0)
		nulls[1] = 'n';
	if (rate == NULL)
		nulls[2] = nulls[3] = nulls[4] = 'n';
	uaef_spi_run(&store_limit, args, nulls);
	require_owner(name, caller, uaef_spi_oid(0, 1));
	note("limit_created", name, concurrency, rate, burst, caller);
	uaef_spi_end(back);
}

const char *
uaef_limit_hint(const char *name)
{
	static UaefQuery near_limits = {
		UAEF_NAMES_AROUND("name", "workflow_limit"), 1, {TEXTOID}
	};

	return uaef_name_hint_around(name, &near_limits,
								 "Use uaef.create_limit() to create it.");
}

void
uaef_limit_drop(const char *name)
{
	Oid			caller = GetUserId();
	UaefCaller	back = uaef_spi_begin();
	Datum		arg = CStringGetTextDatum(name);

	if (uaef_spi_run(&drop_limit, &arg, NULL) == 0)
	{
		const char *hint = uaef_limit_hint(name);

		ereport(ERROR,
				(errcode(ERRCODE_UAEF_UNDEFINED_LIMIT),
				 errmsg("limit \"%s\" does not exist", name),
				 errhint("%s", hint)));
	}
	require_owner(name, caller, uaef_spi_oid(0, 1));
	note("limit_dropped", name, 0, NULL, 0, caller);
	uaef_spi_end(back);
}
