/*-------------------------------------------------------------------------
 *
 * payout_contract.h
 *	  What a provider of payments promises.
 *
 * One reader for payout connectors and payout channels:
 *
 *	{"idempotency","key_ttl","key_margin","lookup","statement","webhooks",
 *	 "settles","duplicate_window","reference","currencies","max_amount",
 *	 "states","lookup_after","lookups"}
 *
 * What is wrong raises UA300, or UA304 for a path.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_PAYOUT_CONTRACT_H
#define UAEF_PAYOUT_CONTRACT_H

#include "utils/jsonb.h"

#include "path.h"

typedef struct UaefPayoutContract
{
	bool		native_key;		/* the provider knows idempotency keys ... */
	int64		key_ttl_ms;		/* ... for so long, */
	double		key_margin;		/* of which this part is not relied on */
	bool		has_lookup;
	Jsonb	   *states;			/* what a lookup's words mean; NULL: the
								 * worker does not ask */
	int64		lookup_after_ms;	/* until the first question */
	int			lookups;		/* how many, before people must find out */
	bool		has_statement;
	bool		settles;		/* what it accepts is settled */
	int64		duplicate_window_ms;	/* 0: nothing looks like a duplicate */
	UaefPath   *reference;		/* in the answer's body, or NULL */
	int			n_currencies;	/* -1: any */
	char	  **currencies;
	Jsonb	   *max_amount;		/* by currency, or NULL */
} UaefPayoutContract;

/* Read and check one; what it holds is in the current context. */
extern void uaef_payout_contract_read(Jsonb *document,
									  UaefPayoutContract *contract);

/* Whether anybody could learn of a payment whose answer was lost. */
extern bool uaef_payout_contract_tells(const UaefPayoutContract *contract);

/* Whether it pays in a currency. */
extern bool uaef_payout_contract_takes(const UaefPayoutContract *contract,
									   const char *currency);

#endif							/* UAEF_PAYOUT_CONTRACT_H */
