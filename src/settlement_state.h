/*-------------------------------------------------------------------------
 *
 * settlement_state.h
 *	  States of signals, and the changes between them that are legal.
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
	UAEF_SIGNAL_PENDING_APPROVAL,
	UAEF_SIGNAL_APPROVED,		/* to be paid */
	UAEF_SIGNAL_REJECTED,		/* the end */
	UAEF_SIGNAL_CANCELLED		/* the end */
} UaefSignalStatus;

extern const char *uaef_signal_status_name(UaefSignalStatus status);
extern UaefSignalStatus uaef_signal_status_by_name(const char *name);

extern bool uaef_signal_change_is_legal(UaefSignalStatus from,
										UaefSignalStatus to);

#endif							/* UAEF_SETTLEMENT_STATE_H */
