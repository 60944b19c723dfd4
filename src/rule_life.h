/*-------------------------------------------------------------------------
 *
 * rule_life.h
 *	  The life of a settlement rule's version: draft, active, inactive,
 *	  retired; and the tests that stand before it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_RULE_LIFE_H
#define UAEF_RULE_LIFE_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"

/*
 * Let a version be used from now on, on behalf of actor.  Versions whose
 * period it takes over are ended or switched off.  Raises UA320 when there is
 * none, UA241 for its author, UA242 for one that is retired, UA240 while a
 * test fails, UA243 for a period that would be left with a hole, and 42501.
 */
extern void uaef_rule_activate(const char *name, int32 version, Oid actor);

/* Use it no longer; version 0: every one. */
extern void uaef_rule_deactivate(const char *name, int32 version, Oid actor);

/* The same for ever. */
extern void uaef_rule_retire(const char *name, int32 version, Oid actor);

/* The definition of a version; 0: the newest. */
extern Jsonb *uaef_rule_definition(const char *name, int32 version, Oid actor);

/*
 * Add a test to a version, in place of one of that name: what the rule must
 * say of data at a time (DT_NOBEGIN: when the test runs).
 */
extern void uaef_rule_test_add(const char *name, int32 version,
							   const char *test, Jsonb *data, Jsonb *expect,
							   TimestampTz at, Oid actor);

/* What came of one test. */
typedef struct UaefRuleTest
{
	char	   *name;
	bool		passed;
	Jsonb	   *got;
	Jsonb	   *expect;
} UaefRuleTest;

/* Run the tests of a version, by name: a list of UaefRuleTest. */
extern List *uaef_rule_test_run(const char *name, int32 version);

/* The same, after a check of actor's rights; 0: the newest version. */
extern List *uaef_rule_test_run_for(const char *name, int32 version,
									Oid actor);

/*
 * All that is wrong with a definition, also by the schemas of its workflow
 * when actor may read that: a list of UaefRuleDefect.
 */
extern List *uaef_rule_diagnose(Jsonb *definition, Oid actor);

#endif							/* UAEF_RULE_LIFE_H */
