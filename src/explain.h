/*-------------------------------------------------------------------------
 *
 * explain.h
 *	  Dry runs: what an execution would do, without anything being done.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_EXPLAIN_H
#define UAEF_EXPLAIN_H

#include "execution.h"
#include "identity.h"

/* A task that has ended in a dry run. */
typedef struct UaefDryTask
{
	UaefTask   *task;
	char	   *detail;			/* what it would have done, or NULL */
} UaefDryTask;

/* A dry run, of which step->dry tells the engine. */
struct UaefDryRun
{
	UaefCaller	caller;			/* who asks for it, as whom SQL is planned */
	Jsonb	   *assume;			/* {"task": {"output", "label", "error"}} */
	List	   *ended;			/* UaefDryTask *, in their order */
	char	   *detail;			/* of the task that is being handed out */
};

/* A row for people; texts may be NULL. */
typedef struct UaefExplainRow
{
	const char *task;			/* NULL: the workflow as a whole */
	int			item;
	const char *type;
	const char *outcome;
	const char *label;
	char	   *detail;
	int			max_attempts;	/* 0: does not apply */
	List	   *policies;		/* char * */
	Jsonb	   *output;
} UaefExplainRow;

/*
 * The path of an execution that would be started now by the current user, as
 * UaefExplainRow *.  version 0: the newest.  Raises what starting it would
 * raise, UA304 or 22023 for an assumption that no task can take.
 */
extern List *uaef_explain_run(const char *workflow, int32 version,
							  Jsonb *input, Jsonb *assume);

/* explain_rows.c: what there is to tell once it has been run. */
extern List *uaef_explain_rows(UaefExecution *execution);

/* For execution.c: a task of a dry run has ended. */
extern void uaef_dry_run_ended(UaefTask *task);

#endif							/* UAEF_EXPLAIN_H */
