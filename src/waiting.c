/*-------------------------------------------------------------------------
 *
 * waiting.c
 *	  Waiting for an execution to end.
 *
 * The waiter registers before it looks, so no end is missed; what ends the
 * execution sets the waiter's latch when it commits (wake.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "errcodes.h"
#include "spi_util.h"
#include "transition.h"
#include "uuid7.h"
#include "waiting.h"
#include "wake.h"

static UaefQuery read_status = {
	"SELECT status, initiated_by::pg_catalog.oid, xmin"
	" FROM uaef.workflow_execution WHERE execution_id = $1",
	1, {UUIDOID}
};

/*
 * The status as of now, whatever the snapshot of the calling statement.
 */
static char *
current_status(const pg_uuid_t *execution_id, Oid caller)
{
	UaefCaller	back = uaef_spi_begin();
	Datum		arg = UUIDPGetDatum(execution_id);
	char	   *status;
	Oid			role;
	bool		isnull;
	TransactionId xmin;

	if (uaef_spi_read_latest(&read_status, &arg) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_UNDEFINED_EXECUTION),
				 errmsg("execution %s does not exist",
						uaef_uuid_text(execution_id))));
	status = uaef_spi_text(0, 1);
	role = uaef_spi_oid(0, 2);
	xmin = DatumGetTransactionId(uaef_spi_value(0, 3, &isnull));
	uaef_spi_end(back);

	if (!has_privs_of_role(caller, role))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for execution %s",
						uaef_uuid_text(execution_id))));
	if (TransactionIdIsCurrentTransactionId(xmin) &&
		!uaef_execution_ended(uaef_execution_status_by_name(status)))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot wait for execution %s in the transaction that has changed it",
						uaef_uuid_text(execution_id)),
				 errdetail("It goes on when that transaction is committed."),
				 errhint("Commit first, then wait.")));
	return status;
}

char *
uaef_wait_for_end(pg_uuid_t *execution_id, Interval *timeout)
{
	Oid			caller = GetUserId();
	TimestampTz start = GetCurrentTimestamp();
	TimestampTz end =
		DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
												TimestampTzGetDatum(start),
												IntervalPGetDatum(timeout)));
	char	   *status;

	uaef_wait_register(execution_id);
	for (;;)
	{
		long		left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
														   end);

		status = current_status(execution_id, caller);
		if (uaef_execution_ended(uaef_execution_status_by_name(status)) ||
			left <= 0)
			break;
		uaef_wait(left);
	}
	uaef_wait_unregister();
	return status;
}
