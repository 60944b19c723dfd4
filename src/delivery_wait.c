/*-------------------------------------------------------------------------
 *
 * delivery_wait.c
 *	  Deliveries that are claimed, and wait before anything is sent.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"

#include "clock.h"
#include "delivery_wait.h"
#include "spi_util.h"

static UaefQuery hold_attempts = {
	"UPDATE uaef.delivery_attempt a SET phase = 'not_sent'"
	" FROM unnest($1, $2) AS held (delivery_id, attempt)"
	" WHERE a.delivery_id = held.delivery_id AND a.attempt = held.attempt",
	2, {INT8ARRAYOID, INT4ARRAYOID}
};

static UaefQuery begin_attempt = {
	"UPDATE uaef.delivery_attempt a SET phase = NULL, started_at = $3"
	" FROM uaef.delivery d"
	" WHERE a.delivery_id = $1 AND a.attempt = $2"
	" AND d.delivery_id = $1 AND NOT d.cancel_requested",
	3, {INT8OID, INT4OID, TIMESTAMPTZOID}
};

void
uaef_delivery_hold(List *deliveries)
{
	int			n = list_length(deliveries);
	Datum	   *ids = palloc(Max(n, 1) * sizeof(Datum));
	Datum	   *attempts = palloc(Max(n, 1) * sizeof(Datum));
	Datum		args[2];
	UaefCaller	caller;

	if (n == 0)
		return;
	for (int i = 0; i < n; i++)
	{
		UaefDelivery *delivery = list_nth(deliveries, i);

		ids[i] = Int64GetDatum(delivery->delivery_id);
		attempts[i] = Int32GetDatum(delivery->attempt);
	}
	caller = uaef_spi_begin();
	args[0] = uaef_array(ids, NULL, n, INT8OID);
	args[1] = uaef_array(attempts, NULL, n, INT4OID);
	(void) uaef_spi_run(&hold_attempts, args, NULL);
	uaef_spi_end(caller);
}

bool
uaef_delivery_begin(const UaefDelivery *delivery)
{
	UaefCaller	caller = uaef_spi_begin();
	Datum		args[3];
	bool		wanted;

	args[0] = Int64GetDatum(delivery->delivery_id);
	args[1] = Int32GetDatum(delivery->attempt);
	args[2] = TimestampTzGetDatum(uaef_clock_now());
	wanted = uaef_spi_run(&begin_attempt, args, NULL) > 0;
	uaef_spi_end(caller);
	return wanted;
}
