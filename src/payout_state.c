/*-------------------------------------------------------------------------
 *
 * payout_state.c
 *	  States of payouts, and what may happen to them.
 *
 * What is sent again from UNKNOWN or NOT_FOUND goes under the same key; a payout
 * has only one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "payout_state.h"

static const char *const names[] = {
	[UAEF_PAYOUT_CREATED] = "created",
	[UAEF_PAYOUT_RESERVED] = "reserved",
	[UAEF_PAYOUT_SENDING] = "sending",
	[UAEF_PAYOUT_ACCEPTED] = "accepted",
	[UAEF_PAYOUT_IN_TRANSIT] = "in_transit",
	[UAEF_PAYOUT_SETTLED] = "settled",
	[UAEF_PAYOUT_RETURNED] = "returned",
	[UAEF_PAYOUT_UNKNOWN] = "unknown",
	[UAEF_PAYOUT_NOT_FOUND] = "not_found_confirmed",
	[UAEF_PAYOUT_REVIEW] = "manual_review",
	[UAEF_PAYOUT_REJECTED] = "rejected_final",
	[UAEF_PAYOUT_RELEASED] = "released",
};

static const char *const action_names[] = {
	[UAEF_PAY_RESERVE] = "reserve",
	[UAEF_PAY_SEND] = "send",
	[UAEF_PAY_ACCEPT] = "accept",
	[UAEF_PAY_TRANSIT] = "transit",
	[UAEF_PAY_SETTLE] = "settle",
	[UAEF_PAY_RETURN] = "return",
	[UAEF_PAY_DOUBT] = "doubt",
	[UAEF_PAY_NOT_FOUND] = "not_found",
	[UAEF_PAY_REVIEW] = "review",
	[UAEF_PAY_REJECT] = "reject",
	[UAEF_PAY_RELEASE] = "release",
	[UAEF_PAY_CANCEL] = "cancel",
};

/* Everything that may happen; what is not here is refused. */
static const struct
{
	UaefPayoutStatus from;
	UaefPayoutAction action;
	UaefPayoutStatus to;
}			changes[] =

{
	{UAEF_PAYOUT_CREATED, UAEF_PAY_RESERVE, UAEF_PAYOUT_RESERVED},
	{UAEF_PAYOUT_CREATED, UAEF_PAY_CANCEL, UAEF_PAYOUT_RELEASED},

	{UAEF_PAYOUT_RESERVED, UAEF_PAY_SEND, UAEF_PAYOUT_SENDING},
	{UAEF_PAYOUT_RESERVED, UAEF_PAY_CANCEL, UAEF_PAYOUT_RELEASED},

	{UAEF_PAYOUT_SENDING, UAEF_PAY_ACCEPT, UAEF_PAYOUT_ACCEPTED},
	{UAEF_PAYOUT_SENDING, UAEF_PAY_REJECT, UAEF_PAYOUT_REJECTED},
	{UAEF_PAYOUT_SENDING, UAEF_PAY_DOUBT, UAEF_PAYOUT_UNKNOWN},
	{UAEF_PAYOUT_SENDING, UAEF_PAY_NOT_FOUND, UAEF_PAYOUT_NOT_FOUND},

	{UAEF_PAYOUT_UNKNOWN, UAEF_PAY_SEND, UAEF_PAYOUT_SENDING},
	{UAEF_PAYOUT_UNKNOWN, UAEF_PAY_ACCEPT, UAEF_PAYOUT_ACCEPTED},
	{UAEF_PAYOUT_UNKNOWN, UAEF_PAY_REJECT, UAEF_PAYOUT_REJECTED},
	{UAEF_PAYOUT_UNKNOWN, UAEF_PAY_NOT_FOUND, UAEF_PAYOUT_NOT_FOUND},
	{UAEF_PAYOUT_UNKNOWN, UAEF_PAY_REVIEW, UAEF_PAYOUT_REVIEW},

	{UAEF_PAYOUT_NOT_FOUND, UAEF_PAY_SEND, UAEF_PAYOUT_SENDING},
	{UAEF_PAYOUT_NOT_FOUND, UAEF_PAY_ACCEPT, UAEF_PAYOUT_ACCEPTED},
	{UAEF_PAYOUT_NOT_FOUND, UAEF_PAY_DOUBT, UAEF_PAYOUT_UNKNOWN},
	{UAEF_PAYOUT_NOT_FOUND, UAEF_PAY_REVIEW, UAEF_PAYOUT_REVIEW},

	{UAEF_PAYOUT_REVIEW, UAEF_PAY_ACCEPT, UAEF_PAYOUT_ACCEPTED},
	{UAEF_PAYOUT_REVIEW, UAEF_PAY_REJECT, UAEF_PAYOUT_REJECTED},

	{UAEF_PAYOUT_ACCEPTED, UAEF_PAY_TRANSIT, UAEF_PAYOUT_IN_TRANSIT},
	{UAEF_PAYOUT_ACCEPTED, UAEF_PAY_SETTLE, UAEF_PAYOUT_SETTLED},
	{UAEF_PAYOUT_ACCEPTED, UAEF_PAY_RETURN, UAEF_PAYOUT_RETURNED},
	{UAEF_PAYOUT_IN_TRANSIT, UAEF_PAY_SETTLE, UAEF_PAYOUT_SETTLED},
	{UAEF_PAYOUT_IN_TRANSIT, UAEF_PAY_RETURN, UAEF_PAYOUT_RETURNED},
	{UAEF_PAYOUT_SETTLED, UAEF_PAY_RETURN, UAEF_PAYOUT_RETURNED},

	{UAEF_PAYOUT_REJECTED, UAEF_PAY_RELEASE, UAEF_PAYOUT_RELEASED},
};

const char *
uaef_payout_status_name(UaefPayoutStatus status)
{
	return names[status];
}

UaefPayoutStatus
uaef_payout_status_by_name(const char *name)
{
	for (int i = 0; i < lengthof(names); i++)
	{
		if (strcmp(names[i], name) == 0)
			return (UaefPayoutStatus) i;
	}
	elog(ERROR, "unknown status of a payout: \"%s\"", name);
}

const char *
uaef_payout_action_name(UaefPayoutAction action)
{
	return action_names[action];
}

bool
uaef_payout_next(UaefPayoutStatus from, UaefPayoutAction action,
				 UaefPayoutStatus *to)
{
	for (int i = 0; i < lengthof(changes); i++)
	{
		if (changes[i].from == from && changes[i].action == action)
		{
			*to = changes[i].to;
			return true;
		}
	}
	return false;
}
