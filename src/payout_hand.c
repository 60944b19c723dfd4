/*-------------------------------------------------------------------------
 *
 * payout_hand.c
 *	  What people and workers say of payouts, and do with them.
 *
 * Locking: as in payout.h; a payout that is being made by hand is new.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "errcodes.h"
#include "json_util.h"
#include "payout.h"
#include "settlement.h"
#include "spi_util.h"
#include "uuid7.h"

static UaefQuery find_payout_of = {
	"SELECT l.payout_id, c.kind FROM uaef.payout_leg l"
	" JOIN uaef.payout p USING (payout_id)"
	" JOIN uaef.payout_channel c ON c.name = p.channel"
	" WHERE l.signal_id = $1 AND l.live",
	1, {INT8OID}
};

/*
 * Whoever is paid does not say that the money has come, or not.
 */
static void
check_not_owner(const char *recipient, Oid actor)
{
	List	   *owners = uaef_recipient_owners(recipient);

	if (uaef_is_among_owners(actor, owners) ||
		uaef_is_among_owners(GetSessionUserId(), owners))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_APPROVAL),
				 errmsg("who is paid cannot say what became of the payout")));
}

UaefPayoutStatus
uaef_payout_resolve(const pg_uuid_t *payout_id, const char *outcome,
					Jsonb *document, Oid actor)
{
	UaefCaller	caller = uaef_spi_begin();
	UaefEvidence evidence = {
		.kind = "manual",
		.says = outcome,
		.detail = document,
		.actor = actor
	};
	UaefPayout	payout;

	evidence.reference = uaef_json_get_text(document, "reference");
	if (evidence.reference == NULL || evidence.reference[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("evidence must have a \"reference\""),
				 errhint("Say where it can be looked up: a transfer's number, a letter, a name and a time.")));
	uaef_payout_lock(payout_id, &payout);
	check_not_owner(payout.recipient, actor);
	(void) uaef_payout_take_evidence(&payout, &evidence);
	uaef_spi_end(caller);
	return payout.status;
}

/*
 * A worker tells of what it claimed.  Without the fence, a late one could say no
 * of what another is sending.
 */
static void
check_worker(const UaefPayoutChannel *channel, const UaefPayout *payout,
			 const UaefEvidence *evidence)
{
	if (strcmp(channel->kind, "worker") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_PAYOUT_CHANNEL),
				 errmsg("payout channel \"%s\" is not for workers",
						channel->name)));
	if (evidence->fence <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a worker's report must have the fence that it claimed")));
	if (evidence->fence > payout->fence)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("nobody has claimed the payout with fence %d",
						evidence->fence),
				 errdetail("Its last fence is %d.", payout->fence),
				 errhint("Give the fence that uaef.claim_payouts() returned.")));
}

UaefPayoutStatus
uaef_payout_report(const pg_uuid_t *payout_id, const UaefEvidence *evidence)
{
	static const char *const kinds[] = {"worker", "lookup", "webhook"};
	UaefCaller	caller = uaef_spi_begin();
	bool		known = false;
	UaefPayoutChannel channel;
	UaefPayout	payout;

	for (int i = 0; i < lengthof(kinds); i++)
		known |= strcmp(kinds[i], evidence->kind) == 0;
	if (!known)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is no kind of evidence", evidence->kind),
				 errhint("Kinds are worker, lookup and webhook.")));
	uaef_payout_lock(payout_id, &payout);
	uaef_payout_channel_get(payout.channel, &channel);
	uaef_payout_channel_require(&channel, evidence->actor);
	if (strcmp(evidence->kind, "worker") == 0)
		check_worker(&channel, &payout, evidence);
	(void) uaef_payout_take_evidence(&payout, evidence);
	uaef_spi_end(caller);
	return payout.status;
}

UaefPayoutStatus
uaef_payout_release(const pg_uuid_t *payout_id, const char *reason, Oid actor)
{
	UaefCaller	caller = uaef_spi_begin();
	UaefPayout	payout;

	uaef_signal_require_reason(reason);
	uaef_payout_lock(payout_id, &payout);
	if (payout.hold_reason == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_PAYOUT_STATE),
				 errmsg("payout %s is not held", uaef_uuid_text(payout_id))));
	check_not_owner(payout.recipient, actor);
	uaef_payout_unhold(&payout, actor, reason);
	uaef_spi_end(caller);
	return payout.status;
}

UaefPayoutStatus
uaef_payout_cancel(const pg_uuid_t *payout_id, const char *reason, Oid actor)
{
	UaefCaller	caller = uaef_spi_begin();
	UaefPayout	payout;

	uaef_signal_require_reason(reason);
	uaef_payout_lock(payout_id, &payout);
	uaef_payout_move(&payout, UAEF_PAY_CANCEL, actor, reason, NULL);
	uaef_spi_end(caller);
	return payout.status;
}

/*----------
 * Signals that are paid by hand
 * ----------
 */

/*
 * The payout that a signal is in; false: in none.
 */
static bool
payout_of(int64 signal_id, pg_uuid_t *payout_id, char **kind)
{
	Datum		arg = Int64GetDatum(signal_id);

	if (uaef_spi_run(&find_payout_of, &arg, NULL) == 0)
		return false;
	*payout_id = uaef_spi_uuid(0, 1);
	*kind = uaef_spi_text(0, 2);
	return true;
}

static void
require_by_hand(int64 signal_id, const char *kind)
{
	if (strcmp(kind, "manual") != 0 && strcmp(kind, "file") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_PAYOUT_CHANNEL),
				 errmsg("settlement signal %lld is not paid by hand",
						(long long) signal_id),
				 errhint("Use uaef.resolve_payout() with evidence.")));
}

/*
 * A payout that was built for it, and not sent by anybody, is sent by hand now.
 */
static void
lock_built(const pg_uuid_t *payout_id, UaefPayout *payout, Oid actor)
{
	UaefPayoutChannel channel;

	uaef_payout_lock(payout_id, payout);
	if (payout->status != UAEF_PAYOUT_RESERVED)
		return;
	uaef_payout_check_body(payout);
	uaef_payout_channel_get(payout->channel, &channel);
	uaef_payout_sent(payout, &channel, actor);
}

static UaefSignalStatus
status_of(int64 signal_id)
{
	return uaef_signals_read(&signal_id, 1)->status;
}

UaefSignalStatus
uaef_settlement_process(int64 signal_id, const char *reference, Oid actor)
{
	UaefCaller	caller = uaef_spi_begin();
	UaefEvidence evidence = {
		.kind = "manual",
		.says = "settled",
		.reference = reference,
		.actor = actor
	};
	UaefPayout	payout;
	UaefSignal	signal;
	UaefSignalStatus status;
	pg_uuid_t	payout_id;
	char	   *kind;

	if (reference == NULL || reference[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the reference of the transfer is missing")));
	if (payout_of(signal_id, &payout_id, &kind))
	{
		require_by_hand(signal_id, kind);
		lock_built(&payout_id, &payout, actor);
	}
	else
	{
		uaef_signal_lock(signal_id, &signal);
		uaef_payout_by_hand(&signal, actor, &payout);
	}
	check_not_owner(payout.recipient, actor);
	(void) uaef_payout_take_evidence(&payout, &evidence);
	status = status_of(signal_id);
	uaef_spi_end(caller);
	return status;
}

UaefSignalStatus
uaef_settlement_fail(int64 signal_id, const char *reason, Oid actor)
{
	UaefCaller	caller = uaef_spi_begin();
	UaefEvidence evidence = {
		.kind = "manual",
		.says = "rejected",
		.reference = reason,
		.actor = actor
	};
	UaefPayout	payout;
	UaefSignalStatus status;
	pg_uuid_t	payout_id;
	char	   *kind;

	uaef_signal_require_reason(reason);
	if (!payout_of(signal_id, &payout_id, &kind))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_SETTLEMENT_STATE),
				 errmsg("settlement signal %lld is in no payout",
						(long long) signal_id)));
	require_by_hand(signal_id, kind);
	lock_built(&payout_id, &payout, actor);
	check_not_owner(payout.recipient, actor);
	(void) uaef_payout_take_evidence(&payout, &evidence);
	status = status_of(signal_id);
	uaef_spi_end(caller);
	return status;
}
