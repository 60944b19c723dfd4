/*-------------------------------------------------------------------------
 *
 * verify_policy.h
 *	  Whom to trust: a policy file of C2SP tlog-policy, with a line more for
 *	  the ledger's id.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VERIFY_POLICY_H
#define VERIFY_POLICY_H

#include "verify_note.h"

#define POLICY_NAMES 256

/* A witness, or a group of names that were defined before. */
typedef struct PolicyName
{
	char	   *name;
	bool		witness;
	Key			key;
	int			threshold;
	int			members;
	int			member[POLICY_NAMES];
	bool		taken;			/* it is a member of a group */
} PolicyName;

typedef struct Policy
{
	bool		ledger_known;
	uint8_t		ledger[UUID_LEN];
	char	   *origin;			/* or NULL */
	int			logs;
	Key			log[POLICY_NAMES];
	int			names;
	PolicyName	name[POLICY_NAMES];
	int			quorum;			/* index of a name, -1 for none */
	bool		quorum_known;
} Policy;

/* Read a policy; bad ones end the program. */
extern Policy *policy_read(const char *path);

/*
 * Whether witnesses that signed, by index of name, are a quorum.
 */
extern bool policy_quorum(const Policy *policy, const bool *signed_by);

/* How many witnesses there are. */
extern int	policy_witnesses(const Policy *policy);

#endif							/* VERIFY_POLICY_H */
