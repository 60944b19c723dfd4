/*-------------------------------------------------------------------------
 *
 * ledger_record.c
 *	  Events that applications record of their own.
 *
 * Locking: the row of the execution whose stream an event is for.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/guc.h"

#include "errcodes.h"
#include "guc.h"
#include "identity.h"
#include "ledger.h"
#include "ledger_signature.h"
#include "spi_util.h"
#include "uuid7.h"

static void check_recorded(const UaefEvent *event);
static void check_rights(const UaefEvent *event);
static void lock_execution(const pg_uuid_t *execution_id, UaefCaller caller);

int64
uaef_ledger_record(const UaefEvent *given)
{
	UaefEvent	event = *given;
	UaefCaller	caller;
	int64		event_id;
	bool		plain = event.stream == NULL && event.signer == NULL &&
		event.signature == NULL;

	check_recorded(&event);
	event.application = GetUserId();

	/* record_event() leaves the search_path to us, for few calls run SQL. */
	if (!plain)
	{
		int			level = uaef_pin_search_path();

		check_rights(&event);
		AtEOXact_GUC(true, level);
	}
	caller = uaef_become_owner();
	event_id = uaef_ledger_append(&event, 1);
	uaef_become_caller(caller);

	return event_id;
}

static void
check_recorded(const UaefEvent *event)
{
	uaef_ledger_check_type(event->type, strlen(event->type));
	if (event->payload != NULL &&
		VARSIZE(event->payload) / 1024 >= uaef_max_payload_kb)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_TOO_LARGE),
				 errmsg("event payload is too large"),
				 errdetail("It has %zu bytes; the limit is %d kB.",
						   (size_t) VARSIZE(event->payload),
						   uaef_max_payload_kb),
				 errhint("Raise uaef.max_payload_size, or store a reference.")));
}

/*
 * Whether the caller may speak for the signer, and for the execution.
 */
static void
check_rights(const UaefEvent *event)
{
	UaefCaller	caller;

	if (event->signer != NULL || event->signature != NULL)
		uaef_signature_require(event->signer, event->signature, event->type,
							   event->payload, event->stream);
	if (event->stream == NULL)
		return;
	caller = uaef_spi_begin();
	lock_execution(event->stream, caller);
	uaef_spi_end(caller);
}

/*
 * Lock an execution's row, check that the caller may act for it, and hold its
 * stream.  Called as the owner, within SPI.
 */
static void
lock_execution(const pg_uuid_t *execution_id, UaefCaller caller)
{
	static UaefQuery query = {
		"SELECT initiated_by FROM uaef.workflow_execution"
		" WHERE execution_id = $1 FOR NO KEY UPDATE",
		1, {UUIDOID}
	};
	Datum		args[] = {UUIDPGetDatum(execution_id)};
	Oid			initiator;

	if (uaef_spi_run(&query, args, NULL) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_UNDEFINED_EXECUTION),
				 errmsg("execution %s does not exist",
						uaef_uuid_text(execution_id))));
	initiator = uaef_spi_oid(0, 1);

	uaef_become_caller(caller);
	uaef_require_member(initiator, "execution");
	(void) uaef_become_owner();

	uaef_ledger_hold_stream(execution_id, false);
}
