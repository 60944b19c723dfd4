/*-------------------------------------------------------------------------
 *
 * limit.h
 *	  Limits of tasks and executions: asking for a place, giving it back.
 *
 * Only the engine includes this.  What is granted is decided by
 * limit_grant.c, in a transaction of its own.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_LIMIT_H
#define UAEF_LIMIT_H

#include "execution.h"

/* Somebody who is to wait, as the step notes it. */
typedef struct UaefLimitRequest
{
	UaefExecution *execution;
	UaefTask   *task;			/* NULL: the execution */
	char	  **keys;			/* one for each limit of the definition */
} UaefLimitRequest;

/*
 * Ask for what the limits of a queued task, or of an execution that is to
 * begin, demand; false when a key could not be evaluated.
 */
extern bool uaef_limit_ask(UaefExecution *execution, UaefTask *task,
						   UaefEvalError *error);

/* Give back what a task or execution has, and stop its waiting. */
extern void uaef_limit_release(UaefExecution *execution, UaefTask *task);

/* Whether it has been granted what it asked for. */
extern bool uaef_limit_holds(UaefExecution *execution, UaefTask *task);

/* Whether an execution waits for its limits, or has been granted them. */
extern bool uaef_limit_is_asked(UaefExecution *execution);

/* Whether an execution was asked to leave its place to a later one. */
extern bool uaef_limit_is_leaving(UaefExecution *execution);

/*
 * Take a queued task out of its line, or out of the ready set and
 * give its place back; false when it is in neither.  What somebody is just
 * running keeps it.
 */
extern bool uaef_limit_withdraw(UaefTask *task);

/* Write what was asked for and given back; a part of writing the step. */
extern void uaef_limit_write(UaefStep *step);

#endif							/* UAEF_LIMIT_H */
