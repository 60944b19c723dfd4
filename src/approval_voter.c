/*-------------------------------------------------------------------------
 *
 * approval_voter.c
 *	  Who decides on an approval, and in whose place.
 *
 * Who may decide is a matter of database roles: a member of one of the
 * approvers.  Under four eyes that is neither whoever started the execution
 * nor whoever chose other approvers for it.  A vote stands for all roles that
 * are behind it: the one that acts, the one that is logged in, and the same two
 * of whoever delegated.  So neither SET ROLE nor a delegation makes one person
 * two.  A delegation is not handed on.
 *
 * Locking: the execution's row makes the votes on an approval serial.  A
 * delegation's row is locked FOR SHARE when it is used.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "approval_voter.h"
#include "errcodes.h"
#include "spi_util.h"

static UaefQuery find_delegations = {
	"SELECT delegation_id, delegator::oid, delegator_session::oid"
	" FROM uaef.human_approval_delegation"
	" WHERE revoked_at IS NULL AND valid_from <= $1 AND $1 < valid_until"
	" AND (workflow IS NULL OR workflow = $2)"
	" AND pg_has_role($3, delegate, 'USAGE')"
	" AND ($4 = 0::oid OR delegator = $4)"
	" ORDER BY delegation_id FOR SHARE",
	4, {TIMESTAMPTZOID, TEXTOID, OIDOID, OIDOID}
};

/* Roles that are behind a vote of this stage, or of any. */
static UaefQuery find_voted = {
	"SELECT 1 FROM uaef.human_approval_vote"
	" WHERE approval_id = $1 AND ($2 = 0 OR stage = $2)"
	" AND ARRAY[approver, session_role, on_behalf_of, delegator_session]::oid[]"
	"  && $3",
	3, {INT8OID, INT4OID, OIDARRAYOID}
};

bool
uaef_started_by(const UaefExecution *execution, Oid role)
{
	return role == execution->initiated_by || role == execution->session_role;
}

/*
 * Why four eyes keep these two roles of one person from deciding; or NULL.
 */
static const char *
four_eyes_objection(const UaefApproval *approval,
					const UaefExecution *execution, Oid role, Oid session)
{
	if (!approval->four_eyes)
		return NULL;
	if (uaef_started_by(execution, role) || uaef_started_by(execution, session))
		return psprintf("Role \"%s\" started the execution and cannot decide on it.",
						uaef_role_name(execution->initiated_by));
	if (OidIsValid(approval->reassigned_by) &&
		(role == approval->reassigned_by ||
		 role == approval->reassigned_session ||
		 session == approval->reassigned_by ||
		 session == approval->reassigned_session))
		return psprintf("Role \"%s\" chose who is asked and cannot decide itself.",
						uaef_role_name(approval->reassigned_by));
	return NULL;
}

static void
require_four_eyes(const UaefApproval *approval, const UaefExecution *execution,
				  Oid role, Oid session)
{
	const char *objection = four_eyes_objection(approval, execution, role,
												session);

	if (objection != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("approval %lld needs four eyes",
						(long long) approval->approval_id),
				 errdetail("%s", objection)));
}

/*
 * Whether somebody behind the voter is behind another vote.
 */
static bool
has_voted(const UaefApproval *approval, const UaefVoter *voter)
{
	Datum		roles[4];
	Datum		args[3];
	int			n = 0;

	roles[n++] = ObjectIdGetDatum(voter->role);
	roles[n++] = ObjectIdGetDatum(voter->session);
	if (OidIsValid(voter->on_behalf_of))
	{
		roles[n++] = ObjectIdGetDatum(voter->on_behalf_of);
		roles[n++] = ObjectIdGetDatum(voter->delegator_session);
	}
	args[0] = Int64GetDatum(approval->approval_id);
	args[1] = Int32GetDatum(approval->distinct_stages ? 0 : approval->stage);
	args[2] = uaef_array(roles, NULL, n, OIDOID);
	return uaef_spi_run(&find_voted, args, NULL) > 0;
}

static void
require_no_vote(const UaefApproval *approval, const UaefVoter *voter)
{
	if (has_voted(approval, voter))
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_APPROVAL),
				 errmsg("role \"%s\" has already decided on approval %lld",
						GetUserNameFromId(voter->role, false),
						(long long) approval->approval_id),
				 errdetail("It, the role of its session, or who delegated to it decided before, and each decides once, whatever SET ROLE chose.")));
}

/*
 * Those who delegated to the voter, as voters; each is an approver.
 */
static List *
delegated_voters(const UaefApproval *approval, const UaefExecution *execution,
				 const UaefVoter *self, Oid on_behalf_of)
{
	List	   *voters = NIL;
	Datum		args[4];
	int			n;
	UaefVoter  *found;

	args[0] = TimestampTzGetDatum(execution->step->now);
	args[1] = CStringGetTextDatum(execution->def->name);
	args[2] = ObjectIdGetDatum(self->role);
	args[3] = ObjectIdGetDatum(on_behalf_of);
	n = (int) uaef_spi_run(&find_delegations, args, NULL);
	for (int i = 0; i < n; i++)
	{
		found = palloc(sizeof(UaefVoter));
		*found = *self;
		found->delegation_id = uaef_spi_int64(i, 1);
		found->on_behalf_of = uaef_spi_oid(i, 2);
		found->delegator_session = uaef_spi_oid(i, 3);
		if (uaef_approval_asks(approval, found->on_behalf_of))
			voters = lappend(voters, found);
	}
	return voters;
}

pg_noreturn static void
raise_not_asked(const UaefApproval *approval, Oid caller, Oid on_behalf_of)
{
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied for approval %lld",
					(long long) approval->approval_id),
			 OidIsValid(on_behalf_of) ?
			 errdetail("Role \"%s\" cannot decide on it on behalf of role \"%s\".",
					   GetUserNameFromId(caller, false),
					   uaef_role_name(on_behalf_of)) :
			 errdetail("Role \"%s\" is a member of none of its approvers.",
					   GetUserNameFromId(caller, false))));
}

/*
 * The first delegation under which nothing speaks against the vote; when
 * there is none, raise what speaks against the first.
 */
static void
choose_delegation(UaefVoter *voter, const UaefApproval *approval,
				  const UaefExecution *execution, Oid on_behalf_of)
{
	List	   *voters = NIL;
	UaefVoter  *first;
	ListCell   *cell;

	if (approval->approvers != NULL)
		voters = delegated_voters(approval, execution, voter, on_behalf_of);
	if (voters == NIL)
		raise_not_asked(approval, voter->role, on_behalf_of);
	foreach(cell, voters)
	{
		UaefVoter  *candidate = lfirst(cell);

		if (four_eyes_objection(approval, execution, candidate->on_behalf_of,
								candidate->delegator_session) == NULL &&
			!has_voted(approval, candidate))
		{
			*voter = *candidate;
			return;
		}
	}
	first = linitial(voters);
	require_four_eyes(approval, execution, first->on_behalf_of,
					  first->delegator_session);
	require_no_vote(approval, first);
}

void
uaef_voter_choose(UaefVoter *voter, const UaefApproval *approval,
				  const UaefExecution *execution, Oid caller,
				  Oid on_behalf_of)
{
	memset(voter, 0, sizeof(UaefVoter));
	voter->role = caller;
	voter->session = GetSessionUserId();
	require_four_eyes(approval, execution, voter->role, voter->session);
	if (OidIsValid(on_behalf_of) || !uaef_approval_asks(approval, caller))
		choose_delegation(voter, approval, execution, on_behalf_of);
	require_no_vote(approval, voter);
}
