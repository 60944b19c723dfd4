/*-------------------------------------------------------------------------
 *
 * sql_run.h
 *	  Running the SQL of one task, in a subtransaction of its own.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_SQL_RUN_H
#define UAEF_SQL_RUN_H

#include "execution.h"

/* One task's SQL to be run, and what came of it. */
typedef struct UaefSqlJob
{
	UaefTask   *task;			/* as it was peeked at */
	UaefTaskRef ref;
	Jsonb	   *input;
	bool		succeeded;
	bool		not_yet;		/* succeeded, but what it waits for is not so */
	bool		timed_out;
	Jsonb	   *output;
	UaefFailure failure;		/* unless it succeeded */
} UaefSqlJob;

/*
 * Run a job as the current user.  With whole_transaction the transaction is
 * ours, so constraints that it defers are checked here, as part of the task.
 * The job's outcome is in it afterwards; nothing of a failed one remains.  A
 * cancel by the user of the caller's own session is raised again.  The query
 * of a wait that is not true yet leaves nothing behind either.
 */
extern void uaef_sql_run(UaefSqlJob *job, bool whole_transaction);

/* Apply what came of a job to its task, which must still wait for it. */
extern void uaef_sql_job_end(UaefTask *task, const UaefSqlJob *job);

/* Whether a task's SQL is running in this process. */
extern bool uaef_sql_running(void);

/* What the task's SQL took lately, in microseconds; -1: not known. */
extern double uaef_sql_usual_us(const UaefTask *task);

#endif							/* UAEF_SQL_RUN_H */
