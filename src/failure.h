/*-------------------------------------------------------------------------
 *
 * failure.h
 *	  Failures of attempts: where they come from, and what retry makes of
 *	  them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_FAILURE_H
#define UAEF_FAILURE_H

#include "execution.h"

/* One of our own: permanent unless the caller says otherwise. */
extern void uaef_failure_set(UaefFailure *failure, int sqlstate,
							 const char *message);

/* An attempt that took longer than its task allows: transient. */
extern void uaef_failure_timeout(UaefFailure *failure,
								 const UaefTaskDef *def);

/* From a condition or template that could not be evaluated: permanent. */
extern void uaef_failure_from_eval(UaefFailure *failure,
								   const UaefEvalError *error);

/* From an ERROR of the server. */
extern void uaef_failure_from_error(UaefFailure *failure,
									const ErrorData *error);

/*
 * Whether a value fits a schema, which may be NULL; if not, the failure says
 * where it does not.  what is "output of the task".
 */
extern bool uaef_failure_unless_fits(UaefFailure *failure, const char *what,
									 const UaefSchema *schema, Jsonb *value);

/* Raise a failure whose code is a SQLSTATE, as an ERROR. */
pg_noreturn extern void uaef_failure_raise(const UaefFailure *failure);

/* Raise UA231 for an input that is not what the workflow's schema asks for. */
extern void uaef_require_input(const UaefDefinition *def, Jsonb *input);

/* From an execution that a task began: the code and message of its error. */
extern void uaef_failure_from_child(UaefFailure *failure,
									const UaefExecution *child);

/* Whether an ERROR says no to what was asked, rather than that we broke. */
extern bool uaef_failure_is_refusal(const ErrorData *error);

/* A text from outside, cut to what a row or an event may take of it. */
extern char *uaef_clip(const char *text);

/*
 * {"code","message","detail","attempt","task"}; task may be NULL.
 */
extern Jsonb *uaef_failure_json(const UaefFailure *failure, const char *task,
								int attempt);

/* Whether the task is to be tried again after this. */
extern bool uaef_failure_retries(const UaefTask *task,
								 const UaefFailure *failure);

/*
 * Count an attempt that took its executor or its worker along.  True when there
 * were too many of them: then the task has failed.
 */
extern bool uaef_failure_lost(UaefTask *task);

/* Put the task off until its next attempt. */
extern void uaef_failure_schedule_retry(UaefTask *task,
										const UaefFailure *failure);

#endif							/* UAEF_FAILURE_H */
