/*-------------------------------------------------------------------------
 *
 * inbound_refusal.c
 *	  Requests of webhooks that are refused: the answer, and the count.
 *
 * Anybody may send rubbish, as fast as they can.  So what it costs is small
 * and does not grow: one row for each source, reason and session, added to
 * without waiting for anybody, and an event a minute.
 *
 * Locking: a session's own row; the row of the source, if nobody else has it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "compat.h"
#include "inbound_refusal.h"
#include "json_util.h"
#include "ledger.h"
#include "spi_util.h"

/* How often an event tells of refusals. */
#define TELL_US USECS_PER_MINUTE

static const struct
{
	const char *word;
	int			status;
	const char *text;
}			refusals[] = {
	[UAEF_REFUSAL_NONE] = {"none", 200, ""},
	[UAEF_REFUSAL_TOO_LARGE] = {"too_large", 413, "Webhook body too large"},
	[UAEF_REFUSAL_BAD_HEADERS] = {"bad_headers", 400, "Malformed headers"},
	[UAEF_REFUSAL_NO_SIGNATURE] = {"no_signature", 401, "Missing webhook signature"},
	[UAEF_REFUSAL_BAD_SIGNATURE] = {"bad_signature", 401, "Invalid webhook signature"},
	[UAEF_REFUSAL_NO_TIMESTAMP] = {"no_timestamp", 401, "Missing or malformed webhook timestamp"},
	[UAEF_REFUSAL_TOO_OLD] = {"too_old", 401, "Webhook timestamp too old"},
	[UAEF_REFUSAL_TOO_NEW] = {"too_new", 401, "Webhook timestamp in the future"},
	[UAEF_REFUSAL_NO_ID] = {"no_id", 401, "Missing or malformed webhook id"},
	[UAEF_REFUSAL_BAD_BODY] = {"bad_body", 400, "Malformed webhook body"},
	[UAEF_REFUSAL_NOT_ALLOWED] = {"not_allowed", 403, "Sender not allowed"},
	[UAEF_REFUSAL_NO_SECRET] = {"no_secret", 503, "Webhook source not ready"}
};

static UaefQuery count_refusal = {
	"INSERT INTO uaef.webhook_refusal AS r (source_id, reason, backend, refused)"
	" VALUES ($1, $2, $3, 1) ON CONFLICT (source_id, reason, backend)"
	" DO UPDATE SET refused = r.refused + 1",
	3, {INT4OID, TEXTOID, INT4OID}
};

static UaefQuery lock_teller = {
	"SELECT FROM uaef.webhook_source WHERE source_id = $1"
	" AND refusals_told_at <= $2 FOR NO KEY UPDATE SKIP LOCKED",
	2, {INT4OID, TIMESTAMPTZOID}
};

static UaefQuery take_counts = {
	"WITH gone AS (DELETE FROM uaef.webhook_refusal WHERE ctid = ANY (ARRAY("
	"SELECT ctid FROM uaef.webhook_refusal WHERE source_id = $1"
	" FOR UPDATE SKIP LOCKED)) RETURNING reason, refused)"
	" SELECT reason, pg_catalog.sum(refused)::bigint FROM gone"
	" GROUP BY reason ORDER BY reason",
	1, {INT4OID}
};

static UaefQuery write_told = {
	"UPDATE uaef.webhook_source SET refusals_told_at = $2,"
	" refused = refused + $3 WHERE source_id = $1",
	3, {INT4OID, TIMESTAMPTZOID, INT8OID}
};

const char *
uaef_inbound_refusal_word(UaefInboundRefusal refusal)
{
	return refusals[refusal].word;
}

int
uaef_inbound_refusal_status(UaefInboundRefusal refusal)
{
	return refusals[refusal].status;
}

const char *
uaef_inbound_refusal_text(UaefInboundRefusal refusal)
{
	return refusals[refusal].text;
}

/*
 * Tell of all that were counted; returns how many.
 */
static int64
tell(const UaefInboundSource *source)
{
	Datum		arg = Int32GetDatum(source->id);
	UaefJson	json;
	UaefJson	counts;
	UaefEvent	event = {.type = "webhook_refused",.actor_type = "system"};
	uint64		rows = uaef_spi_run(&take_counts, &arg, NULL);
	int64		all = 0;

	uaef_json_begin(&counts);
	for (uint64 row = 0; row < rows; row++)
	{
		uaef_json_int(&counts, uaef_spi_text(row, 1), uaef_spi_int64(row, 2));
		all += uaef_spi_int64(row, 2);
	}
	uaef_json_begin(&json);
	uaef_json_text(&json, "source", source->name);
	uaef_json_jsonb(&json, "refused", uaef_json_end(&counts));
	event.payload = uaef_json_end(&json);
	(void) uaef_ledger_append(&event, 1);
	return all;
}

void
uaef_inbound_refused(const UaefInboundSource *source, UaefInboundRefusal refusal)
{
	TimestampTz now = uaef_clock_now();
	UaefCaller	back = uaef_spi_begin();
	Datum		args[3];
	int64		all;

	args[0] = Int32GetDatum(source->id);
	args[1] = CStringGetTextDatum(refusals[refusal].word);
	args[2] = Int32GetDatum(uaef_backend_slot());
	(void) uaef_spi_run(&count_refusal, args, NULL);
	args[1] = TimestampTzGetDatum(now - TELL_US);
	if (uaef_spi_run(&lock_teller, args, NULL) > 0)
	{
		all = tell(source);
		args[1] = TimestampTzGetDatum(now);
		args[2] = Int64GetDatum(all);
		(void) uaef_spi_run(&write_told, args, NULL);
		ereport(LOG,
				(errmsg("webhook source \"%s\" refused requests: %lld since it last said so",
						source->name, (long long) all),
				 errdetail("The last reason is %s.",
						   refusals[refusal].word),
				 errhidestmt(true), errhidecontext(true)));
	}
	uaef_spi_end(back);
}
