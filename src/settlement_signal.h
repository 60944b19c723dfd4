/*-------------------------------------------------------------------------
 *
 * settlement_signal.h
 *	  Signals of settlement rules: locking, reading and moving them.
 *
 * Whatever happens to signals goes through uaef_signals_move(): it asks the
 * table of settlement_state.c, writes the rows, and appends the events to the
 * streams of their executions, all in the transaction of the caller.
 *
 * Locking: the executions of the signals first, in their order, as for all
 * that happens to executions, until the transaction ends.
 *
 * The identity must be the owner, within uaef_spi_begin().
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_SETTLEMENT_SIGNAL_H
#define UAEF_SETTLEMENT_SIGNAL_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"
#include "utils/uuid.h"

#include "settlement_state.h"

typedef struct UaefSignal
{
	int64		signal_id;
	pg_uuid_t	execution_id;
	Oid			initiated_by;
	Oid			started_session;	/* who was logged in then */
	char	   *workflow;
	Oid			author;			/* of the rule's version */
	Oid			rule_owner;		/* author of its first version */
	int32		rule_id;
	char	   *rule;
	int32		version;
	int			run;			/* of the evaluation that made it */
	int			part_no;
	char	   *recipient;		/* NULL where status is error */
	Numeric		minor;			/* NULL likewise */
	Numeric		amount;
	char	   *currency;
	UaefSignalStatus status;
	Jsonb	   *approval;		/* what it needs, or NULL */
	int			approvals;
	TimestampTz due_at;
	TimestampTz expires_at;		/* 0: never */
	bool		held;
	Numeric		reversed;		/* minor units; 0 if none */
	Oid			adjusted_by;	/* who gave it its amount; 0: the rule */
	Oid			adjusted_session;
	int64		task_id;		/* of the settle task that it is of; 0: none */
} UaefSignal;

/* Something that happens to signals. */
typedef struct UaefSignalMove
{
	UaefSignalAction action;
	Oid			actor;			/* 0: the system */
	const char *reason;			/* or NULL */
	Jsonb	   *detail;			/* members of the events; or NULL */
	int			approvals;		/* that each has then; -1: as it was */
	bool		waits;			/* the status stays: more approvals are needed */
	Jsonb	   *blocked;		/* of UAEF_ACT_BLOCK: what refuses them */
	bool		fresh;			/* just stored: the books know nothing of them */
} UaefSignalMove;

/*
 * Lock the executions of signals, and read the signals, in the order of their
 * executions.  Raises UA320 for a number that is none.
 */
extern UaefSignal *uaef_signals_lock(const int64 *ids, int n);

/* The same for one, to be filled in. */
extern void uaef_signal_lock(int64 signal_id, UaefSignal *signal);

/* Read signals, by their numbers, whose executions are locked. */
extern UaefSignal *uaef_signals_read(const int64 *ids, int n);

/*
 * Move signals that are locked, which changes their status here too.  Raises
 * UA321 where the table does not allow it, and where a held one would come
 * nearer to being paid.
 */
extern void uaef_signals_move(UaefSignal *signals, int n,
							  const UaefSignalMove *move);

/*
 * SHA-256 of what an approval is bound to: amount, currency, recipient, rule
 * and version, and the trace of the evaluation.
 */
extern bytea *uaef_signal_digest(const UaefSignal *signal);

/* How many have approved what the signal is now. */
extern int	uaef_signal_approvals(const UaefSignal *signal, bytea *digest);

/* How many it needs; 0: none. */
extern int	uaef_signal_approvals_needed(const UaefSignal *signal);

/* Raise 22023 when there is no reason. */
extern void uaef_signal_require_reason(const char *reason);

/*
 * The roles that own a recipient: the role that is named user:NAME, who
 * registered agent:NAME, and the owner of its payee.  A list of oids.
 */
extern List *uaef_recipient_owners(const char *recipient);

/* Whether a role is one of these, or a member of one. */
extern bool uaef_is_among_owners(Oid role, List *owners);

#endif							/* UAEF_SETTLEMENT_SIGNAL_H */
