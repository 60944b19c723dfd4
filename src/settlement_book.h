/*-------------------------------------------------------------------------
 *
 * settlement_book.h
 *	  What settlements and payouts post: each edge that moves money a journal.
 *
 *	  owed				Dr expense		Cr payable of the recipient
 *	  no longer owed	Dr payable		Cr expense
 *	  reversed			Dr payable		Cr expense
 *	  disputed			Dr disputed		Cr disputes, and back when it ends
 *	  written off		Dr payable		Cr written off
 *	  payout reserved	a hold of the payable
 *	  payout accepted	Dr payable		Cr clearing of the channel
 *	  payout settled	Dr clearing		Cr bank of the channel
 *	  payout returned	Dr bank, or clearing		Cr payable
 *	  payout refused	the hold ends
 *
 * So what is in clearing is what providers have taken and not booked.
 *
 * Locking: balances of accounts, after executions and payouts, in their order.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_SETTLEMENT_BOOK_H
#define UAEF_SETTLEMENT_BOOK_H

#include "book.h"
#include "payout.h"

/* What a recipient is owed. */
typedef struct UaefDebt
{
	const char *recipient;
	Numeric		minor;
} UaefDebt;

/* Debts of one execution in one currency come up, or go (back). */
extern void uaef_settlement_book_debts(const pg_uuid_t *execution_id,
									   const char *currency,
									   const UaefDebt *debts, int n, bool back);

/* What a move of a signal from one status to another means for the books. */
extern void uaef_settlement_book_move(const UaefSignal *signal,
									  UaefSignalStatus from,
									  UaefSignalAction action);

/* A part of what was paid is owed by the recipient. */
extern void uaef_settlement_book_reversal(const UaefSignal *signal,
										  Numeric minor, int64 reversal_id);

/* A payout has moved from a status. */
extern void uaef_settlement_book_payout(UaefPayout *payout,
										UaefPayoutStatus from,
										UaefPayoutAction action);

/*
 * Make the banks' accounts that journals of people name, where the channel is
 * there and takes the currency: money comes to a channel's disposal before its
 * first payout.
 */
extern void uaef_settlement_book_banks(const UaefJournal *journals, int n);

#endif							/* UAEF_SETTLEMENT_BOOK_H */
