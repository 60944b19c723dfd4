/*-------------------------------------------------------------------------
 *
 * approval_group.c
 *	  Groups of approvers that have quorums of their own.
 *
 * Somebody in two groups counts for one of them.  Which one is found by
 * matching votes to the seats of the groups: a vote without a seat may move
 * others to a group of theirs that has one left.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "utils/builtins.h"

#include "approval_group.h"
#include "spi_util.h"

static UaefQuery find_groups = {
	"SELECT group_no, approvers, need FROM uaef.human_approval_group"
	" WHERE approval_id = $1 AND stage = $2 ORDER BY group_no",
	2, {INT8OID, INT4OID}
};

static UaefQuery find_votes = {
	"SELECT groups FROM uaef.human_approval_vote"
	" WHERE approval_id = $1 AND stage = $2 AND decision = 'approved'"
	" AND groups IS NOT NULL",
	2, {INT8OID, INT4OID}
};

/* A vote, and the groups that it can count for. */
typedef struct Vote
{
	int			n_groups;
	Datum	   *groups;			/* numbers from 1 on */
	int			seat;			/* the group it counts for; 0: none */
} Vote;

typedef struct Matching
{
	int			n_groups;
	int		   *need;			/* by number; 0 is unused */
	int		   *taken;
	bool	   *tried;
	int			n_votes;
	Vote	   *votes;
} Matching;

static uint64
run(UaefQuery *query, const UaefApproval *approval)
{
	Datum		args[2];

	args[0] = Int64GetDatum(approval->approval_id);
	args[1] = Int32GetDatum(approval->stage);
	return uaef_spi_run(query, args, NULL);
}

Datum
uaef_approval_groups_of(const UaefApproval *approval, Oid role)
{
	Datum	   *own;
	Datum	   *all;
	int			n_own = 0;
	int			n;

	if (approval->n_groups == 0)
		return (Datum) 0;
	n = (int) run(&find_groups, approval);
	own = palloc(sizeof(Datum) * n);
	all = palloc(sizeof(Datum) * n);
	for (int i = 0; i < n; i++)
	{
		bool		isnull;
		ArrayType  *roles = DatumGetArrayTypeP(uaef_spi_value(i, 2, &isnull));

		all[i] = Int32GetDatum(uaef_spi_int32(i, 1));
		if (uaef_is_member_of_any(role, roles))
			own[n_own++] = all[i];
	}
	if (n_own == 0)
		return uaef_array(all, NULL, n, INT4OID);
	return uaef_array(own, NULL, n_own, INT4OID);
}

/*
 * Find a group for a vote; each group is tried once.
 */
static bool
find_seat(Matching *matching, Vote *vote)
{
	for (int i = 0; i < vote->n_groups; i++)
	{
		int			group = DatumGetInt32(vote->groups[i]);

		if (group > matching->n_groups || matching->tried[group])
			continue;
		matching->tried[group] = true;
		if (matching->taken[group] < matching->need[group])
		{
			matching->taken[group]++;
			vote->seat = group;
			return true;
		}
		for (int j = 0; j < matching->n_votes; j++)
			if (matching->votes[j].seat == group &&
				find_seat(matching, &matching->votes[j]))
			{
				vote->seat = group;
				return true;
			}
	}
	return false;
}

static void
load_groups(Matching *matching, const UaefApproval *approval)
{
	int			n = (int) run(&find_groups, approval);

	matching->n_groups = n;
	matching->need = palloc0(sizeof(int) * (n + 1));
	matching->taken = palloc0(sizeof(int) * (n + 1));
	matching->tried = palloc0(sizeof(bool) * (n + 1));
	for (int i = 0; i < n; i++)
		matching->need[i + 1] = uaef_spi_int32(i, 3);
}

static void
load_votes(Matching *matching, const UaefApproval *approval)
{
	int			n = (int) run(&find_votes, approval);

	matching->n_votes = n;
	matching->votes = palloc0(sizeof(Vote) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		bool		isnull;
		ArrayType  *groups =
			DatumGetArrayTypePCopy(uaef_spi_value(i, 1, &isnull));

		deconstruct_array(groups, INT4OID, sizeof(int32), true, TYPALIGN_INT,
						  &matching->votes[i].groups, NULL,
						  &matching->votes[i].n_groups);
	}
}

bool
uaef_approval_groups_met(const UaefApproval *approval)
{
	Matching	matching;

	load_groups(&matching, approval);
	load_votes(&matching, approval);
	for (int i = 0; i < matching.n_votes; i++)
	{
		memset(matching.tried, 0, sizeof(bool) * (matching.n_groups + 1));
		(void) find_seat(&matching, &matching.votes[i]);
	}
	for (int group = 1; group <= matching.n_groups; group++)
		if (matching.taken[group] < matching.need[group])
			return false;
	return true;
}
