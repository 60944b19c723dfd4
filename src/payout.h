/*-------------------------------------------------------------------------
 *
 * payout.h
 *	  Payouts: transfers of what is owed, made at most once.
 *
 * A payout has one idempotency key for ever, which is made of the ledger's id
 * and its own, and one body, whose digest is kept.  It leaves a state only by
 * evidence; a timeout is none.
 *
 * Locking: a payout's row first, then the executions of its signals in their
 * order, then its delivery's, until the transaction ends.  Events of a payout
 * are in a stream of its own.
 *
 * The identity must be the owner, within uaef_spi_begin().
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_PAYOUT_H
#define UAEF_PAYOUT_H

#include "datatype/timestamp.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"
#include "utils/uuid.h"

#include "payout_contract.h"
#include "payout_state.h"
#include "settlement_signal.h"

/* What a channel is, and can do. */
typedef struct UaefPayoutChannel
{
	char	   *name;
	char	   *kind;			/* connector, worker, file, manual */
	char	   *connector;		/* or NULL */
	Oid			role;			/* that claims and reports */
	UaefPayoutContract contract;
} UaefPayoutChannel;

typedef struct UaefPayout
{
	pg_uuid_t	payout_id;
	int64		batch_id;
	char	   *channel;
	char	   *recipient;
	char	   *currency;
	Numeric		minor;
	Numeric		amount;
	UaefPayoutStatus status;
	char	   *idempotency_key;
	char	   *end_to_end_id;
	Jsonb	   *body;
	bytea	   *body_digest;
	int			fence;
	int64		hold_id;		/* in the books; 0: none yet */
	int64		delivery_id;	/* 0: none */
	char	   *external_ref;	/* or NULL */
	TimestampTz first_sent_at;	/* 0: never */
	TimestampTz replay_until;	/* 0: never */
	char	   *hold_reason;	/* or NULL */
	bool		in_doubt;		/* a sending may have been acted on, and
								 * nothing has told since */
	int64		lookup_id;		/* delivery that asks, or asked last; 0: none */
	int			lookups;		/* questions since it was sent last */
} UaefPayout;

/* The operation of connectors that asks what became of a payment. */
#define UAEF_PAYOUT_LOOKUP "lookup"

/* What somebody says of a payout. */
typedef struct UaefEvidence
{
	const char *kind;			/* delivery worker lookup webhook statement
								 * manual */
	const char *says;
	const char *source_key;		/* counts once; or NULL */
	int			fence;			/* of which sending; 0: of none in particular */
	const char *reference;		/* the provider's, or NULL */
	Jsonb	   *detail;			/* or NULL */
	Oid			actor;			/* 0: the system */
} UaefEvidence;

/* Lock a payout; raises UA530 when there is none. */
extern void uaef_payout_lock(const pg_uuid_t *payout_id, UaefPayout *payout);

/* Move one that is locked, and what hangs on it; raises UA531. */
extern void uaef_payout_move(UaefPayout *payout, UaefPayoutAction action,
							 Oid actor, const char *reason, Jsonb *detail);

/*
 * Take evidence about a payout that is locked: keep it, and apply it where it
 * is not late, double, or against what is known.  Returns whether it was
 * applied; a person's that cannot be is refused (UA531).  Raises 22023 for an
 * unknown word.
 */
extern bool uaef_payout_take_evidence(UaefPayout *payout,
									  const UaefEvidence *evidence);

/* Note what is being sent: status, fence, when, until when it may be again. */
extern void uaef_payout_sent(UaefPayout *payout,
							 const UaefPayoutChannel *channel, Oid actor);

/* Raise UA533 unless the body is the one that the payout was made with. */
extern void uaef_payout_check_body(const UaefPayout *payout);

/* payout_channel.c */
extern void uaef_payout_channel_create(const char *name, const char *kind,
									   Jsonb *contract, const char *connector,
									   Oid role, Oid actor);
extern void uaef_payout_channel_get(const char *name,
									UaefPayoutChannel *channel);

/* Raise unless somebody may claim payouts of a channel, and report on them. */
extern void uaef_payout_channel_require(const UaefPayoutChannel *channel,
										Oid actor);

extern void uaef_payee_set(const char *recipient, const char *channel,
						   Jsonb *destination, Oid owner, Oid actor);

/* Whether there is a channel that takes a currency. */
extern bool uaef_payout_channel_takes(const char *name, const char *currency);

/* Raise UA533 unless a channel takes an amount. */
extern void uaef_payout_channel_check(const UaefPayoutChannel *channel,
									  Numeric amount, const char *currency);

/* payout_build.c: returns the batch's number; 0: there is nothing to pay. */
extern int64 uaef_payouts_build(TimestampTz cutoff, bool netting,
								const char *channel, int max_signals,
								Oid actor);

/* A payout of one signal that is locked, through the manual channel. */
extern void uaef_payout_by_hand(UaefSignal *signal, Oid actor,
								UaefPayout *payout);

/* payout_send.c */
extern int	uaef_payouts_send(int64 batch_id, Oid actor);

/* For a worker: take what may be sent; returns how many. */
extern int	uaef_payouts_claim(const char *channel, int max, int64 lease_us,
							   Oid actor, UaefPayout **payouts);

/*
 * Whether an attempt of a payout's delivery may be made now; again: one that was
 * made before may have been acted on.  Or whether it may be asked about.
 */
extern bool uaef_payout_may_leave(const pg_uuid_t *payout_id, bool again);
extern bool uaef_payout_may_ask(const pg_uuid_t *payout_id);
extern UaefPayoutStatus uaef_payout_replay(const pg_uuid_t *payout_id,
										   Oid actor);

/* What came of a payout's delivery: the answer's status, 0: none. */
typedef struct UaefPayoutAnswer
{
	bool		succeeded;
	bool		uncertain;		/* an attempt was sent and has no answer */
	bool		sent;			/* anything left at all */
	int			status;
	const char *code;			/* of the failure, or NULL */
	Jsonb	   *body;			/* or NULL */
	bool		is_lookup;
	Jsonb	   *output;			/* of a lookup that succeeded: {"found",
								 * "state", "reference"}; or NULL */
	int64		delivery_id;
	int			attempt;
} UaefPayoutAnswer;

extern void uaef_payout_answer(const pg_uuid_t *payout_id,
							   const UaefPayoutAnswer *answer);

/* payout_lookup.c */

/*
 * Have the provider be asked about a payout that is locked and whose outcome is
 * not known, if its channel can; or hand it over to people, if it was asked
 * often enough.
 */
extern void uaef_payout_look_up(UaefPayout *payout,
								const UaefPayoutChannel *channel);

/* Take the answer, and ask again if it does not tell. */
extern void uaef_payout_lookup_answer(UaefPayout *payout,
									  const UaefPayoutChannel *channel,
									  const UaefPayoutAnswer *answer);

/* payout_hand.c: what people do, or say, by hand. */
extern UaefPayoutStatus uaef_payout_resolve(const pg_uuid_t *payout_id,
											const char *outcome,
											Jsonb *evidence, Oid actor);
extern UaefPayoutStatus uaef_payout_report(const pg_uuid_t *payout_id,
										   const UaefEvidence *evidence);
extern UaefPayoutStatus uaef_payout_release(const pg_uuid_t *payout_id,
											const char *reason, Oid actor);
extern UaefPayoutStatus uaef_payout_cancel(const pg_uuid_t *payout_id,
										   const char *reason, Oid actor);
extern UaefSignalStatus uaef_settlement_process(int64 signal_id,
												const char *reference,
												Oid actor);
extern UaefSignalStatus uaef_settlement_fail(int64 signal_id,
											 const char *reason, Oid actor);

/* End a hold. */
extern void uaef_payout_unhold(UaefPayout *payout, Oid actor,
							   const char *reason);

/* payout_statement.c */
extern int64 uaef_statement_import(const char *channel, const char *format,
								   const char *content, Oid actor);
extern void uaef_statement_reconcile(int64 statement_id, Oid actor,
									 int *matched, int *open);

/* payout_export.c */

/* Raise UA533 for a destination to which no bank file can pay. */
extern void uaef_payout_check_destination(const char *recipient,
										  Jsonb *destination);
extern char *uaef_payout_export(int64 batch_id, Jsonb *debtor, Oid actor);

#endif							/* UAEF_PAYOUT_H */
