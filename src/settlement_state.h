/*-------------------------------------------------------------------------
 *
 * settlement_state.h
 *	  States of signals, and what may happen to them.
 *
 * Pure.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_SETTLEMENT_STATE_H
#define UAEF_SETTLEMENT_STATE_H

typedef enum UaefSignalStatus
{
	UAEF_SIGNAL_ERROR,			/* held: the rule failed; it has no amount */
	UAEF_SIGNAL_ZERO_SKIPPED,	/* nothing to pay; the end */
	UAEF_SIGNAL_BLOCKED,		/* a budget or a checkpoint refuses it */
	UAEF_SIGNAL_PENDING_APPROVAL,
	UAEF_SIGNAL_APPROVED,		/* owed; to be paid when it is due */
	UAEF_SIGNAL_SCHEDULED,		/* to be in the next batch */
	UAEF_SIGNAL_IN_PAYOUT,		/* its payout is reserved, or further */
	UAEF_SIGNAL_PAID,
	UAEF_SIGNAL_FAILED,			/* proven not to be paid */
	UAEF_SIGNAL_RETURNED,		/* was paid, and the money came back */
	UAEF_SIGNAL_DISPUTED,
	UAEF_SIGNAL_REVERSED,		/* taken back, all of it; the end */
	UAEF_SIGNAL_WRITTEN_OFF,	/* the end */
	UAEF_SIGNAL_REJECTED,		/* the end */
	UAEF_SIGNAL_EXPIRED,		/* nobody decided in time; the end */
	UAEF_SIGNAL_CANCELLED,		/* the end */
	UAEF_SIGNAL_SUPERSEDED,		/* of an earlier evaluation; the end */
	UAEF_N_SIGNAL_STATUSES
} UaefSignalStatus;

typedef enum UaefSignalAction
{
	UAEF_ACT_SUPERSEDE,			/* evaluated again */
	UAEF_ACT_BLOCK,				/* a review was asked for */
	UAEF_ACT_ASK,				/* nothing blocks it: people are asked */
	UAEF_ACT_CLEAR,				/* nothing blocks it, nobody need be asked */
	UAEF_ACT_APPROVE,
	UAEF_ACT_REJECT,
	UAEF_ACT_EXPIRE,
	UAEF_ACT_CANCEL,
	UAEF_ACT_ADJUST,			/* another amount, to be approved */
	UAEF_ACT_HOLD,
	UAEF_ACT_RELEASE,
	UAEF_ACT_SCHEDULE,
	UAEF_ACT_RESERVE,
	UAEF_ACT_PAY,
	UAEF_ACT_FAIL,
	UAEF_ACT_RETURN,
	UAEF_ACT_DISPUTE,
	UAEF_ACT_UPHOLD,			/* the dispute ends: it stays paid */
	UAEF_ACT_REVERSE_PART,
	UAEF_ACT_REVERSE,			/* the last part, or all */
	UAEF_ACT_WRITE_OFF,
	UAEF_N_SIGNAL_ACTIONS
} UaefSignalAction;

extern const char *uaef_signal_status_name(UaefSignalStatus status);
extern UaefSignalStatus uaef_signal_status_by_name(const char *name);
extern const char *uaef_signal_action_name(UaefSignalAction action);

/* What becomes of a signal; false: it may not happen to it. */
extern bool uaef_signal_next(UaefSignalStatus from, UaefSignalAction action,
							 UaefSignalStatus *to);

#endif							/* UAEF_SETTLEMENT_STATE_H */
