/*-------------------------------------------------------------------------
 *
 * inbound_inbox.c
 *	  The inbox: which deliveries of webhooks have come, each once.
 *
 * A row is inserted in the transaction of its effect, and its unique keys are
 * what a second copy waits for: it finds the first one done, or gone.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "errcodes.h"
#include "inbound_inbox.h"
#include "spi_util.h"

static UaefQuery insert_row = {
	"INSERT INTO uaef.webhook_inbox (source_id, delivery_id, signed_digest,"
	" body_sha256, status, received_at) VALUES ($1, $2, $3, $4, 'received', $5)"
	" ON CONFLICT DO NOTHING RETURNING inbox_id",
	5, {INT4OID, TEXTOID, BYTEAOID, BYTEAOID, TIMESTAMPTZOID}
};

#define ROW_COLUMNS \
	"inbox_id, source_id, delivery_id, status, execution_id, headers, body"

static UaefQuery find_row = {
	"SELECT " ROW_COLUMNS " FROM uaef.webhook_inbox WHERE source_id = $1"
	" AND (delivery_id = $2 OR signed_digest = $3)"
	" ORDER BY delivery_id = $2 DESC LIMIT 1 FOR UPDATE",
	3, {INT4OID, TEXTOID, BYTEAOID}
};

static UaefQuery lock_row = {
	"SELECT " ROW_COLUMNS " FROM uaef.webhook_inbox WHERE inbox_id = $1"
	" FOR UPDATE",
	1, {INT8OID}
};

static UaefQuery update_row = {
	"UPDATE uaef.webhook_inbox SET status = $2, rule = $3, action = $4,"
	" execution_id = $5, task_id = $6, error = $7, headers = $8, body = $9,"
	" processed_at = $10, attempts = attempts + 1 WHERE inbox_id = $1",
	10, {INT8OID, TEXTOID, INT4OID, TEXTOID, UUIDOID, INT8OID, JSONBOID,
	JSONBOID, JSONBOID, TIMESTAMPTZOID}
};

static UaefQuery delete_rows = {
	"DELETE FROM uaef.webhook_inbox WHERE inbox_id = ANY (ARRAY("
	"SELECT inbox_id FROM uaef.webhook_inbox WHERE source_id = $1"
	" AND received_at < $2 ORDER BY received_at LIMIT $3"
	" FOR UPDATE SKIP LOCKED))",
	3, {INT4OID, TIMESTAMPTZOID, INT4OID}
};

static void
read_row(UaefInboundRow *row)
{
	bool		isnull;
	Datum		execution;

	memset(row, 0, sizeof(*row));
	row->inbox_id = uaef_spi_int64(0, 1);
	row->source_id = uaef_spi_int32(0, 2);
	row->delivery_id = uaef_spi_text(0, 3);
	row->status = uaef_spi_text(0, 4);
	execution = uaef_spi_value(0, 5, &isnull);
	row->has_execution = !isnull;
	if (!isnull)
		row->execution_id = *DatumGetUUIDP(execution);
	row->headers = uaef_spi_jsonb(0, 6);
	row->body = uaef_spi_jsonb(0, 7);
}

bool
uaef_inbox_take(const UaefInboundSource *source, const char *id,
				const uint8 *digest, const uint8 *body_sha256,
				UaefInboundRow *row)
{
	char		nulls[5] = {' ', ' ', digest == NULL ? 'n' : ' ', ' ', ' '};
	Datum		args[5];

	args[0] = Int32GetDatum(source->id);
	args[1] = CStringGetTextDatum(id);
	args[2] = digest == NULL ? (Datum) 0 : uaef_bytea(digest, UAEF_HASH_LEN);
	args[3] = uaef_bytea(body_sha256, UAEF_HASH_LEN);
	args[4] = TimestampTzGetDatum(uaef_clock_now());

	/* One that was there may be purged before it is found. */
	for (;;)
	{
		if (uaef_spi_run(&insert_row, args, nulls) > 0)
		{
			memset(row, 0, sizeof(*row));
			row->inbox_id = uaef_spi_int64(0, 1);
			row->source_id = source->id;
			row->delivery_id = pstrdup(id);
			row->status = "received";
			return true;
		}
		if (uaef_spi_run(&find_row, args, nulls) > 0)
		{
			read_row(row);
			return false;
		}
		CHECK_FOR_INTERRUPTS();
	}
}

void
uaef_inbox_lock(int64 inbox_id, UaefInboundRow *row)
{
	Datum		arg = Int64GetDatum(inbox_id);

	if (uaef_spi_run(&lock_row, &arg, NULL) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_UNDEFINED_WEBHOOK),
				 errmsg("delivery %lld of a webhook does not exist",
						(long long) inbox_id),
				 errhint("See the view uaef.webhook_delivery.")));
	read_row(row);
}

void
uaef_inbox_write(const UaefInboundRow *row, const UaefArrivalOutcome *outcome,
				 Jsonb *error, Jsonb *headers, Jsonb *body)
{
	const char *status = error != NULL ? "failed" :
		outcome->ignored ? "ignored" : "accepted";
	char		nulls[10];
	Datum		args[10];

	memset(nulls, ' ', sizeof(nulls));
	memset(args, 0, sizeof(args));
	args[0] = Int64GetDatum(row->inbox_id);
	args[1] = CStringGetTextDatum(status);
	args[2] = Int32GetDatum(outcome->rule);
	if (outcome->action != NULL)
		args[3] = CStringGetTextDatum(outcome->action);
	nulls[2] = nulls[3] = outcome->action == NULL ? 'n' : ' ';
	args[4] = UUIDPGetDatum(&outcome->execution_id);
	nulls[4] = outcome->has_execution ? ' ' : 'n';
	args[5] = Int64GetDatum(outcome->task_id);
	nulls[5] = outcome->task_id != 0 ? ' ' : 'n';
	args[6] = PointerGetDatum(error);
	nulls[6] = error != NULL ? ' ' : 'n';
	args[7] = PointerGetDatum(headers);
	nulls[7] = headers != NULL ? ' ' : 'n';
	args[8] = PointerGetDatum(body);
	nulls[8] = body != NULL ? ' ' : 'n';
	args[9] = TimestampTzGetDatum(uaef_clock_now());
	(void) uaef_spi_run(&update_row, args, nulls);
}

int64
uaef_inbox_purge(int32 source_id, TimestampTz before, int limit)
{
	Datum		args[3];

	args[0] = Int32GetDatum(source_id);
	args[1] = TimestampTzGetDatum(before);
	args[2] = Int32GetDatum(limit);
	return (int64) uaef_spi_run(&delete_rows, args, NULL);
}
