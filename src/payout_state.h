/*-------------------------------------------------------------------------
 *
 * payout_state.h
 *	  States of payouts, and what may happen to them.
 *
 * Pure.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_PAYOUT_STATE_H
#define UAEF_PAYOUT_STATE_H

typedef enum UaefPayoutStatus
{
	UAEF_PAYOUT_CREATED,
	UAEF_PAYOUT_RESERVED,		/* its money is held */
	UAEF_PAYOUT_SENDING,		/* handed over */
	UAEF_PAYOUT_ACCEPTED,		/* the provider has taken it */
	UAEF_PAYOUT_IN_TRANSIT,
	UAEF_PAYOUT_SETTLED,		/* booked; it may still come back */
	UAEF_PAYOUT_RETURNED,
	UAEF_PAYOUT_UNKNOWN,		/* sent, and the outcome not known */
	UAEF_PAYOUT_NOT_FOUND,		/* the provider does not know the key */
	UAEF_PAYOUT_REVIEW,			/* only a person can find out */
	UAEF_PAYOUT_REJECTED,		/* refused for good */
	UAEF_PAYOUT_RELEASED,		/* its money is free again; the end */
	UAEF_N_PAYOUT_STATUSES
} UaefPayoutStatus;

typedef enum UaefPayoutAction
{
	UAEF_PAY_RESERVE,
	UAEF_PAY_SEND,
	UAEF_PAY_ACCEPT,
	UAEF_PAY_TRANSIT,
	UAEF_PAY_SETTLE,
	UAEF_PAY_RETURN,
	UAEF_PAY_DOUBT,
	UAEF_PAY_NOT_FOUND,
	UAEF_PAY_REVIEW,
	UAEF_PAY_REJECT,
	UAEF_PAY_RELEASE,
	UAEF_PAY_CANCEL,
	UAEF_N_PAYOUT_ACTIONS
} UaefPayoutAction;

extern const char *uaef_payout_status_name(UaefPayoutStatus status);
extern UaefPayoutStatus uaef_payout_status_by_name(const char *name);
extern const char *uaef_payout_action_name(UaefPayoutAction action);

/* What becomes of a payout; false: it may not happen to it. */
extern bool uaef_payout_next(UaefPayoutStatus from, UaefPayoutAction action,
							 UaefPayoutStatus *to);

#endif							/* UAEF_PAYOUT_STATE_H */
