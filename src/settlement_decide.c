/*-------------------------------------------------------------------------
 *
 * settlement_decide.c
 *	  What people decide about a signal: approve, reject, cancel.
 *
 * An approval is bound to the digest of what was approved: the signal, its
 * amount, currency, recipient, the version of the rule, and the trace of its
 * evaluation.  Should one of them change afterwards, the approval no longer
 * counts.
 *
 * Locking: the execution's row first, as for all that happens to an
 * execution, until the transaction ends.  The signal's row is written by
 * every decision, so that two that cannot see each other (REPEATABLE READ)
 * collide instead of both counting to one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "errcodes.h"
#include "json_util.h"
#include "settlement.h"
#include "settlement_signal.h"
#include "spi_util.h"

/* One decision about it. */
typedef struct Decision
{
	UaefSignalAction action;
	const char *reason;
	Oid			actor;
	Oid			session;		/* role that the session belongs to */
	bytea	   *digest;
} Decision;

static void check_legal(const UaefSignal *signal, UaefSignalAction action);
static void check_actor(const UaefSignal *signal, const Decision *decision);
static void check_approver(const UaefSignal *signal, const Decision *decision);
static bool is_or_was(const Decision *decision, Oid role);
static bool is_distinct_from(const UaefSignal *signal, const char *who);
static void store_approval(const UaefSignal *signal, const Decision *decision);

/*
 * Raises UA320 for an unknown signal, UA321 for what may not happen to it,
 * UA311 for who may not approve, or has, and 42501 for who is not asked, or has
 * nothing to cancel.
 */
UaefSignalStatus
uaef_settlement_decide(int64 signal_id, UaefSignalAction action,
					   const char *reason, Oid actor)
{
	UaefSignal	signal;
	Decision	decision = {action, reason, actor, GetSessionUserId(), NULL};
	UaefSignalMove move = {
		.action = action,
		.actor = actor,
		.reason = reason
	};
	UaefCaller	caller = uaef_spi_begin();
	UaefJson	detail;

	uaef_signal_lock(signal_id, &signal);
	check_legal(&signal, action);
	if (action != UAEF_ACT_APPROVE)
		uaef_signal_require_reason(reason);
	check_actor(&signal, &decision);

	decision.digest = uaef_signal_digest(&signal);
	if (action != UAEF_ACT_CANCEL)
		store_approval(&signal, &decision);
	if (signal.approval != NULL)
		move.approvals = uaef_signal_approvals(&signal, decision.digest);
	move.waits = action == UAEF_ACT_APPROVE &&
		move.approvals < uaef_signal_approvals_needed(&signal);
	uaef_json_begin(&detail);
	uaef_json_text(&detail, "digest",
				   DatumGetCString(DirectFunctionCall1(byteaout,
													   PointerGetDatum(decision.digest))));
	move.detail = uaef_json_end(&detail);
	uaef_signals_move(&signal, 1, &move);
	uaef_spi_end(caller);
	return signal.status;
}

/*
 * What cannot happen at all is said before who may do it.
 */
static void
check_legal(const UaefSignal *signal, UaefSignalAction action)
{
	UaefSignalStatus to;

	if (!uaef_signal_next(signal->status, action, &to))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_SETTLEMENT_STATE),
				 errmsg("settlement signal %lld is %s: action \"%s\" is not possible",
						(long long) signal->signal_id,
						uaef_signal_status_name(signal->status),
						uaef_signal_action_name(action))));
}

/*
 * Approving and rejecting are for the approvers; approving is for another
 * person than those whose money or rule it may be.
 */
static void
check_actor(const UaefSignal *signal, const Decision *decision)
{
	char	   *of = uaef_json_get_text(signal->approval, "of");

	if (decision->action == UAEF_ACT_CANCEL)
	{
		uaef_settlement_check_manager(signal, decision->actor, "cancel");
		return;
	}
	if (of != NULL &&
		!has_privs_of_role(decision->actor, get_role_oid(of, false)))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to decide about settlement signal %lld",
						(long long) signal->signal_id),
				 errdetail("Members of role \"%s\" may.", of)));
	if (decision->action == UAEF_ACT_APPROVE)
		check_approver(signal, decision);
}

static void
check_approver(const UaefSignal *signal, const Decision *decision)
{
	List	   *owners;

	if ((is_or_was(decision, signal->initiated_by) ||
		 is_or_was(decision, signal->started_session)) &&
		is_distinct_from(signal, "initiator"))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_APPROVAL),
				 errmsg("who started an execution cannot approve its settlement")));
	if (is_or_was(decision, signal->author) &&
		is_distinct_from(signal, "rule_author"))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_APPROVAL),
				 errmsg("who wrote a rule cannot approve its settlement")));
	if (is_or_was(decision, signal->adjusted_by) ||
		is_or_was(decision, signal->adjusted_session))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_APPROVAL),
				 errmsg("who adjusted a settlement cannot approve it")));
	if (!is_distinct_from(signal, "recipient"))
		return;
	owners = uaef_recipient_owners(signal->recipient);
	if (uaef_is_among_owners(decision->actor, owners) ||
		uaef_is_among_owners(decision->session, owners))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_APPROVAL),
				 errmsg("who is paid cannot approve it")));
}

/*
 * Cancelling and its kin are for those who are asked about the money, those for
 * whom the execution ran, and those whose rule it is.
 */
void
uaef_settlement_check_manager(const UaefSignal *signal, Oid actor,
							  const char *verb)
{
	char	   *of = uaef_json_get_text(signal->approval, "of");
	Oid			approvers = of ? get_role_oid(of, true) : InvalidOid;

	if (has_privs_of_role(actor, signal->initiated_by) ||
		has_privs_of_role(actor, signal->rule_owner) ||
		(OidIsValid(approvers) && has_privs_of_role(actor, approvers)))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied to %s settlement signal %lld", verb,
					(long long) signal->signal_id),
			 errdetail("Its approvers, who started the execution and the owner of the rule may.")));
}

/*
 * Whether who decides is role, or was before SET ROLE.
 */
static bool
is_or_was(const Decision *decision, Oid role)
{
	return OidIsValid(role) &&
		(decision->actor == role || decision->session == role);
}

static bool
is_distinct_from(const UaefSignal *signal, const char *who)
{
	JsonbValue	value;
	Jsonb	   *list;

	if (!uaef_json_get(signal->approval, "distinct_from", &value))
		return false;
	list = uaef_json_from_value(&value);
	for (int i = 0; i < JB_ROOT_COUNT(list); i++)
	{
		JsonbValue *item = getIthJsonbValueFromContainer(&list->root, i);

		if (item->type == jbvString &&
			item->val.string.len == strlen(who) &&
			memcmp(item->val.string.val, who, strlen(who)) == 0)
			return true;
	}
	return false;
}

/*
 * Nobody decides twice about the same: neither a role, nor the role that the
 * session belongs to, whatever it chose by SET ROLE.
 */
static void
store_approval(const UaefSignal *signal, const Decision *decision)
{
	static UaefQuery insert_approval = {
		"INSERT INTO uaef.settlement_approval (signal_id, approver,"
		" session_role, decision, reason, digest, decided_at)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7)"
		" ON CONFLICT DO NOTHING",
		7, {INT8OID, REGROLEOID, REGROLEOID, TEXTOID, TEXTOID, BYTEAOID,
		TIMESTAMPTZOID}
	};
	Datum		args[7];
	char		nulls[] = "       ";

	args[0] = Int64GetDatum(signal->signal_id);
	args[1] = ObjectIdGetDatum(decision->actor);
	args[2] = ObjectIdGetDatum(decision->session);
	args[3] = CStringGetTextDatum(decision->action == UAEF_ACT_APPROVE
								  ? "approved" : "rejected");
	if (decision->reason != NULL)
		args[4] = CStringGetTextDatum(decision->reason);
	else
		nulls[4] = 'n';
	args[5] = PointerGetDatum(decision->digest);
	args[6] = TimestampTzGetDatum(uaef_clock_now());
	if (uaef_spi_run(&insert_approval, args, nulls) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_APPROVAL),
				 errmsg("role \"%s\" has decided about settlement signal %lld already",
						GetUserNameFromId(decision->actor, false),
						(long long) signal->signal_id),
				 errdetail("The session belongs to role \"%s\", which decides once, whatever SET ROLE chose.",
						   GetUserNameFromId(decision->session, false))));
}
