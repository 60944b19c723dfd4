/*-------------------------------------------------------------------------
 *
 * settlement_decide.c
 *	  What people decide about a signal: approve, reject, cancel.
 *
 * An approval is bound to the digest of what was approved: the signal, its
 * amount, currency, recipient and the version of the rule.  Should one of
 * them change afterwards, the approval no longer counts.
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
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "errcodes.h"
#include "json_util.h"
#include "ledger.h"
#include "settlement.h"
#include "spi_util.h"

/* A signal, as far as decisions need it. */
typedef struct Signal
{
	int64		signal_id;
	pg_uuid_t	execution_id;
	Oid			initiated_by;
	Oid			started_session;	/* who was logged in then */
	Oid			author;			/* of the rule's version */
	Oid			rule_owner;		/* author of its first version */
	char	   *rule;
	int32		version;
	int32		part_no;
	char	   *recipient;		/* NULL where status is error */
	char	   *minor;
	Numeric		amount;
	char	   *currency;
	UaefSignalStatus status;
	Jsonb	   *approval;		/* what it needs, or NULL */
} Signal;

/* One decision about it. */
typedef struct Decision
{
	UaefSignalStatus decision;
	const char *reason;
	Oid			actor;
	Oid			session;		/* role that the session belongs to */
	TimestampTz decided_at;
	bytea	   *digest;
} Decision;

static void lock_execution(Signal *signal);
static void read_signal(Signal *signal);
static void check_legal(const Signal *signal, UaefSignalStatus to);
static void check_reason(const Decision *decision);
static void check_actor(const Signal *signal, const Decision *decision);
static void check_canceller(const Signal *signal, Oid actor);
static bool is_or_was(const Decision *decision, Oid role);
static bool is_distinct_from(const Signal *signal, const char *who);
static bytea *signal_digest(const Signal *signal);
static void digest_field(StringInfo buffer, const char *field);
static void store_approval(const Signal *signal, const Decision *decision);
static int	count_approvals(const Signal *signal, const Decision *decision);
static int	approvals_needed(const Signal *signal);
static void store_status(const Signal *signal, const Decision *decision,
						 int approvals, UaefSignalStatus status);
static void record_decision(const Signal *signal, const Decision *decision,
							int approvals, UaefSignalStatus status);

/*
 * Raises UA320 for an unknown signal, UA321 for a change that is not legal,
 * UA311 for who may not approve, or has, and 42501 for who is not asked, or has
 * nothing to cancel.
 */
UaefSignalStatus
uaef_settlement_decide(int64 signal_id, UaefSignalStatus wanted,
					   const char *reason, Oid actor)
{
	Signal		signal = {.signal_id = signal_id};
	Decision	decision = {wanted, reason, actor, GetSessionUserId(),
	uaef_clock_now(), NULL};
	UaefSignalStatus status = wanted;
	int			approvals = 0;
	UaefCaller	caller = uaef_spi_begin();

	lock_execution(&signal);
	read_signal(&signal);
	check_legal(&signal, wanted);
	check_reason(&decision);
	check_actor(&signal, &decision);

	decision.digest = signal_digest(&signal);
	if (wanted != UAEF_SIGNAL_CANCELLED)
		store_approval(&signal, &decision);
	if (signal.approval != NULL)
		approvals = count_approvals(&signal, &decision);
	if (wanted == UAEF_SIGNAL_APPROVED &&
		approvals < approvals_needed(&signal))
		status = UAEF_SIGNAL_PENDING_APPROVAL;

	store_status(&signal, &decision, approvals, status);
	record_decision(&signal, &decision, approvals, status);
	uaef_spi_end(caller);
	return status;
}

/*
 * Find the execution without a lock, as its id never changes, and lock it.
 */
static void
lock_execution(Signal *signal)
{
	static UaefQuery find_signal = {
		"SELECT execution_id FROM uaef.settlement_signal WHERE signal_id = $1",
		1, {INT8OID}
	};
	static UaefQuery lock_row = {
		"SELECT initiated_by::oid, session_role::oid FROM uaef.workflow_execution"
		" WHERE execution_id = $1 FOR NO KEY UPDATE",
		1, {UUIDOID}
	};
	Datum		args[1];

	args[0] = Int64GetDatum(signal->signal_id);
	if (uaef_spi_run(&find_signal, args, NULL) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_UNDEFINED_SETTLEMENT),
				 errmsg("settlement signal %lld does not exist",
						(long long) signal->signal_id)));
	signal->execution_id = uaef_spi_uuid(0, 1);

	args[0] = UUIDPGetDatum(&signal->execution_id);
	if (uaef_spi_run(&lock_row, args, NULL) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_UNDEFINED_EXECUTION),
				 errmsg("execution of settlement signal %lld does not exist",
						(long long) signal->signal_id)));
	signal->initiated_by = uaef_spi_oid(0, 1);
	signal->started_session = uaef_spi_oid(0, 2);
	uaef_ledger_hold_stream(&signal->execution_id, false);
}

static void
read_signal(Signal *signal)
{
	static UaefQuery select_signal = {
		"SELECT r.created_by::oid, r.name, r.version, s.part_no::integer,"
		" s.recipient, s.amount_minor::text, s.amount, s.currency,"
		" s.status, s.approval, f.created_by::oid"
		" FROM uaef.settlement_signal s JOIN uaef.settlement_rule r"
		" USING (rule_id)"
		" JOIN uaef.settlement_rule f ON f.name = r.name AND f.version = 1"
		" WHERE s.execution_id = $1 AND s.signal_id = $2",
		2, {UUIDOID, INT8OID}
	};
	Datum		args[2];
	Datum		amount;
	bool		isnull;

	args[0] = UUIDPGetDatum(&signal->execution_id);
	args[1] = Int64GetDatum(signal->signal_id);
	if (uaef_spi_run(&select_signal, args, NULL) != 1)
		elog(ERROR, "settlement signal %lld is not one row with its rule",
			 (long long) signal->signal_id);
	signal->author = uaef_spi_oid(0, 1);
	signal->rule = uaef_spi_text(0, 2);
	signal->version = uaef_spi_int32(0, 3);
	signal->part_no = uaef_spi_int32(0, 4);
	signal->recipient = uaef_spi_text(0, 5);
	signal->minor = uaef_spi_text(0, 6);
	amount = uaef_spi_value(0, 7, &isnull);
	signal->amount = isnull ? NULL : DatumGetNumericCopy(amount);
	signal->currency = uaef_spi_text(0, 8);
	signal->status = uaef_signal_status_by_name(uaef_spi_text(0, 9));
	signal->approval = uaef_spi_jsonb(0, 10);
	signal->rule_owner = uaef_spi_oid(0, 11);
}

static void
check_legal(const Signal *signal, UaefSignalStatus to)
{
	if (!uaef_signal_change_is_legal(signal->status, to))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_SETTLEMENT_STATE),
				 errmsg("settlement signal %lld is %s and cannot become %s",
						(long long) signal->signal_id,
						uaef_signal_status_name(signal->status),
						uaef_signal_status_name(to))));
}

/*
 * Money that somebody expected is not withheld without a word.
 */
static void
check_reason(const Decision *decision)
{
	if (decision->decision != UAEF_SIGNAL_APPROVED &&
		(decision->reason == NULL || decision->reason[0] == '\0'))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a reason is missing")));
}

/*
 * Approving and rejecting are for the approvers; approving is for another
 * person than those whose money or rule it may be.
 */
static void
check_actor(const Signal *signal, const Decision *decision)
{
	char	   *of = uaef_json_get_text(signal->approval, "of");

	if (decision->decision == UAEF_SIGNAL_CANCELLED)
	{
		check_canceller(signal, decision->actor);
		return;
	}
	if (of != NULL &&
		!has_privs_of_role(decision->actor, get_role_oid(of, false)))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to decide about settlement signal %lld",
						(long long) signal->signal_id),
				 errdetail("Members of role \"%s\" may.", of)));
	if (decision->decision != UAEF_SIGNAL_APPROVED)
		return;
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
}

/*
 * Cancelling is for those who are asked about the money, those for whom the
 * execution ran, and those whose rule it is.
 */
static void
check_canceller(const Signal *signal, Oid actor)
{
	char	   *of = uaef_json_get_text(signal->approval, "of");
	Oid			approvers = of ? get_role_oid(of, true) : InvalidOid;

	if (has_privs_of_role(actor, signal->initiated_by) ||
		has_privs_of_role(actor, signal->rule_owner) ||
		(OidIsValid(approvers) && has_privs_of_role(actor, approvers)))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied to cancel settlement signal %lld",
					(long long) signal->signal_id),
			 errdetail("Its approvers, who started the execution and the owner of the rule may.")));
}

/*
 * Whether who decides is role, or was before SET ROLE.
 */
static bool
is_or_was(const Decision *decision, Oid role)
{
	return decision->actor == role || decision->session == role;
}

static bool
is_distinct_from(const Signal *signal, const char *who)
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
 * SHA-256 of the fields in the order of docs/settlement.md, each as its length
 * in bytes, a colon, the bytes and a comma; what is null is just a comma.
 */
static bytea *
signal_digest(const Signal *signal)
{
	StringInfoData buffer;
	bytea	   *bytes;

	initStringInfo(&buffer);
	digest_field(&buffer, "uaef settlement 1");
	digest_field(&buffer, psprintf("%lld", (long long) signal->signal_id));
	digest_field(&buffer, signal->minor);
	digest_field(&buffer, signal->currency);
	digest_field(&buffer, signal->recipient);
	digest_field(&buffer, signal->rule);
	digest_field(&buffer, psprintf("%d", signal->version));

	bytes = palloc(VARHDRSZ + buffer.len);
	SET_VARSIZE(bytes, VARHDRSZ + buffer.len);
	memcpy(VARDATA(bytes), buffer.data, buffer.len);
	return DatumGetByteaP(DirectFunctionCall1(sha256_bytea,
											  PointerGetDatum(bytes)));
}

static void
digest_field(StringInfo buffer, const char *field)
{
	if (field != NULL)
		appendStringInfo(buffer, "%d:%s", (int) strlen(field), field);
	appendStringInfoChar(buffer, ',');
}

/*
 * Nobody decides twice: neither a role, nor the role that the session belongs
 * to, whatever it chose by SET ROLE.
 */
static void
store_approval(const Signal *signal, const Decision *decision)
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
	args[3] = CStringGetTextDatum(uaef_signal_status_name(decision->decision));
	if (decision->reason != NULL)
		args[4] = CStringGetTextDatum(decision->reason);
	else
		nulls[4] = 'n';
	args[5] = PointerGetDatum(decision->digest);
	args[6] = TimestampTzGetDatum(decision->decided_at);
	if (uaef_spi_run(&insert_approval, args, nulls) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_APPROVAL),
				 errmsg("role \"%s\" has decided about settlement signal %lld already",
						GetUserNameFromId(decision->actor, false),
						(long long) signal->signal_id),
				 errdetail("The session belongs to role \"%s\", which decides once, whatever SET ROLE chose.",
						   GetUserNameFromId(decision->session, false))));
}

/*
 * Approvals of what the signal is now.
 */
static int
count_approvals(const Signal *signal, const Decision *decision)
{
	static UaefQuery count = {
		"SELECT count(*) FROM uaef.settlement_approval"
		" WHERE signal_id = $1 AND decision = 'approved' AND digest = $2",
		2, {INT8OID, BYTEAOID}
	};
	Datum		args[2];

	args[0] = Int64GetDatum(signal->signal_id);
	args[1] = PointerGetDatum(decision->digest);
	(void) uaef_spi_run(&count, args, NULL);
	return (int) uaef_spi_int64(0, 1);
}

static int
approvals_needed(const Signal *signal)
{
	JsonbValue	value;

	if (!uaef_json_get(signal->approval, "need", &value) ||
		value.type != jbvNumeric)
		elog(ERROR, "settlement signal %lld needs approval, but not how many",
			 (long long) signal->signal_id);
	return DatumGetInt32(DirectFunctionCall1(numeric_int4,
											 NumericGetDatum(value.val.numeric)));
}

static void
store_status(const Signal *signal, const Decision *decision, int approvals,
			 UaefSignalStatus status)
{
	static UaefQuery update_signal = {
		"UPDATE uaef.settlement_signal SET status = $3, approvals = $4,"
		" decided_at = $5, decided_by = $6"
		" WHERE execution_id = $1 AND signal_id = $2",
		6, {UUIDOID, INT8OID, TEXTOID, INT4OID, TIMESTAMPTZOID, REGROLEOID}
	};
	bool		decided = status != UAEF_SIGNAL_PENDING_APPROVAL;
	Datum		args[6];

	args[0] = UUIDPGetDatum(&signal->execution_id);
	args[1] = Int64GetDatum(signal->signal_id);
	args[2] = CStringGetTextDatum(uaef_signal_status_name(status));
	args[3] = Int32GetDatum(approvals);
	args[4] = TimestampTzGetDatum(decision->decided_at);
	args[5] = ObjectIdGetDatum(decision->actor);
	if (uaef_spi_run(&update_signal, args, decided ? NULL : "    nn") != 1)
		elog(ERROR, "settlement signal %lld is not one row",
			 (long long) signal->signal_id);
}

static void
record_decision(const Signal *signal, const Decision *decision, int approvals,
				UaefSignalStatus status)
{
	pg_uuid_t	stream = signal->execution_id;
	UaefEvent	event = {0};
	UaefJson	payload;

	uaef_json_begin(&payload);
	uaef_json_int(&payload, "signal_id", signal->signal_id);
	uaef_json_text(&payload, "rule", signal->rule);
	uaef_json_int(&payload, "version", signal->version);
	uaef_json_int(&payload, "part_no", signal->part_no);
	uaef_json_text(&payload, "recipient", signal->recipient);
	uaef_json_numeric(&payload, "amount", signal->amount);
	uaef_json_text(&payload, "currency", signal->currency);
	uaef_json_text(&payload, "status", uaef_signal_status_name(status));
	uaef_json_int(&payload, "approvals", approvals);
	uaef_json_text(&payload, "reason", decision->reason);
	uaef_json_text(&payload, "digest",
				   DatumGetCString(DirectFunctionCall1(byteaout,
													   PointerGetDatum(decision->digest))));

	event.type = psprintf("settlement_%s",
						  uaef_signal_status_name(decision->decision));
	event.stream = &stream;
	event.actor_type = "user";
	event.actor_id = GetUserNameFromId(decision->actor, true);
	event.payload = uaef_json_end(&payload);
	(void) uaef_ledger_append(&event, 1);
}
