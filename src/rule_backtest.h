/*-------------------------------------------------------------------------
 *
 * rule_backtest.h
 *	  Putting a settlement rule to executions that are past.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_RULE_BACKTEST_H
#define UAEF_RULE_BACKTEST_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"
#include "utils/uuid.h"

/*
 * What rules read of an execution: in, task, ctx, sys; at its completion, or at
 * a settle task.  Raises UA303 when there is none that actor may see, UA304
 * when the task does not settle.
 */
extern Jsonb *uaef_rule_execution_data(const pg_uuid_t *execution_id,
									   const char *task, Oid actor);

/*
 * The same at a settle task of it, whose definition may give rules another in:
 * made of what uaef_rule_execution_data() gave, in the current context.  NULL:
 * in that version the task does not settle, or its template leads nowhere.
 */
extern Jsonb *uaef_rule_task_data(Jsonb *data, int32 definition_id,
								  const char *task);

/* What one payee got, and would have got. */
typedef struct UaefBacktestPayee
{
	char	   *recipient;		/* NULL: executions that the rule fails on */
	char	   *currency;
	int64		executions;		/* that would pay it */
	Numeric		was;
	Numeric		would_be;
	Numeric		difference;		/* would_be - was */
} UaefBacktestPayee;

/*
 * A definition put to the completed executions of its workflow in a period,
 * beside what the rule of that name gave: a list of UaefBacktestPayee, by
 * recipient.  Each execution is settled as of its completion, whatever the
 * definition's own period; by a rule for a settle task, if it came to that.
 */
extern List *uaef_rule_backtest(const char *name, Jsonb *definition,
								TimestampTz from, TimestampTz to, Oid actor);

#endif							/* UAEF_RULE_BACKTEST_H */
