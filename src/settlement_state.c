/*-------------------------------------------------------------------------
 *
 * settlement_state.c
 *	  States of signals, and the changes between them that are legal.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "settlement_state.h"

static const char *const names[] = {
	[UAEF_SIGNAL_ERROR] = "error",
	[UAEF_SIGNAL_ZERO_SKIPPED] = "zero_skipped",
	[UAEF_SIGNAL_PENDING_APPROVAL] = "pending_approval",
	[UAEF_SIGNAL_APPROVED] = "approved",
	[UAEF_SIGNAL_REJECTED] = "rejected",
	[UAEF_SIGNAL_CANCELLED] = "cancelled",
};

/* Every legal change; what is not here is refused. */
static const struct
{
	UaefSignalStatus from;
	UaefSignalStatus to;
}			changes[] =

{
	{UAEF_SIGNAL_PENDING_APPROVAL, UAEF_SIGNAL_APPROVED},
	{UAEF_SIGNAL_PENDING_APPROVAL, UAEF_SIGNAL_REJECTED},
	{UAEF_SIGNAL_PENDING_APPROVAL, UAEF_SIGNAL_CANCELLED},
	{UAEF_SIGNAL_APPROVED, UAEF_SIGNAL_CANCELLED},
	{UAEF_SIGNAL_ERROR, UAEF_SIGNAL_CANCELLED},
};

const char *
uaef_signal_status_name(UaefSignalStatus status)
{
	return names[status];
}

UaefSignalStatus
uaef_signal_status_by_name(const char *name)
{
	for (int i = 0; i < lengthof(names); i++)
	{
		if (strcmp(names[i], name) == 0)
			return (UaefSignalStatus) i;
	}
	elog(ERROR, "unknown status of a signal: \"%s\"", name);
}

bool
uaef_signal_change_is_legal(UaefSignalStatus from, UaefSignalStatus to)
{
	for (int i = 0; i < lengthof(changes); i++)
	{
		if (changes[i].from == from && changes[i].to == to)
			return true;
	}
	return false;
}
