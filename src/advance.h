/*-------------------------------------------------------------------------
 *
 * advance.h
 *	  What follows from what: tasks that begin, end, and set others free.
 *
 * Works on executions in memory (execution.h); only the engine includes this.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_ADVANCE_H
#define UAEF_ADVANCE_H

#include "execution.h"

/* Begin a pending execution: its tasks without incoming edges. */
extern void uaef_advance_start(UaefExecution *execution);

/*
 * The same as soon as its limits let it; false when a key of theirs could not
 * be evaluated.
 */
extern bool uaef_advance_request_start(UaefExecution *execution,
									   UaefEvalError *error);

/*
 * The end of a task's attempt.  label is what "on" of edges is compared with,
 * or NULL.
 */
extern void uaef_advance_complete(UaefTask *task, Jsonb *output,
								  const char *label);
extern void uaef_advance_fail(UaefTask *task, const UaefFailure *failure);

/*
 * The end of an attempt that was made outside: it completes, or, when its
 * output does not fit the task's schema, fails for good.  Returns which.
 */
extern bool uaef_advance_result(UaefTask *task, Jsonb *output);

/* A failure that no attempt follows on. */
extern void uaef_advance_fail_now(UaefTask *task, const UaefFailure *failure);

/*
 * The same for what is called while an execution is being advanced (the
 * callbacks of task_kind.h): what follows from it is done by who called.
 */
extern void uaef_advance_finish_task(UaefTask *task, Jsonb *output,
									 const char *label);
extern void uaef_advance_fail_finally(UaefTask *task,
									  const UaefFailure *failure);

/* A failure of a task's own condition or template. */
extern void uaef_advance_fail_evaluation(UaefTask *task,
										 const UaefEvalError *error);

/* The members that all events of a task begin with. */
extern void uaef_task_event_begin(UaefJson *json, UaefTask *task);

/* For map_task.c: begin an item, stop an item. */
extern void uaef_advance_dispatch_item(UaefTask *item);
extern void uaef_advance_cancel_task(UaefTask *task);

/* Begin a pending task that had to wait before its attempt. */
extern void uaef_advance_begin(UaefTask *task);

/*
 * Whether a pending task may begin, as far as edges and its map tell.  One that
 * was put off, and reset by a retry of the execution, may have to wait again.
 */
extern bool uaef_advance_was_reached(const UaefTask *task);

/* For compensation.c: the parts of an execution's end. */
extern void uaef_execution_become(UaefExecution *execution,
								  UaefExecutionStatus status);
extern void uaef_advance_cancel_open_tasks(UaefExecution *execution);
extern void uaef_advance_end(UaefExecution *execution,
							 UaefExecutionStatus status);

/* Give a task that failed or was withheld to whoever runs it. */
extern void uaef_advance_dispatch(UaefTask *task);

/* The limits of a queued task have let it run. */
extern void uaef_advance_granted(UaefTask *task);

/* Put a task whose worker was lost back into the ready set. */
extern void uaef_advance_requeue(UaefTask *task, const char *reason);

/* The same for a worker that gives it back: the attempt does not count. */
extern void uaef_advance_release(UaefTask *task);

/*
 * Somebody who had taken the task could not do it, and others may: the attempt
 * does not count, and what is known of its progress stays.
 */
extern void uaef_advance_pass_on(UaefTask *task, const UaefFailure *failure,
								 Jsonb *progress);

/* An outside worker has taken the task; without a lease (0) it is our own. */
extern void uaef_advance_claimed(UaefTask *task, const char *worker,
								 TimestampTz lease_expires_at);

/*
 * Go on with an execution of which some tasks are pending (again): the edges of
 * the tasks that have ended, but for skipped ones, are resolved anew, and what
 * they let begin does.
 */
extern void uaef_advance_again(UaefExecution *execution);

/* A failure that is no task's. */
extern void uaef_advance_fail_execution(UaefExecution *execution,
										const UaefFailure *failure);

/*
 * compensate: what it did is undone first.  One that is being compensated can
 * only be cancelled without; raises UA305.
 */
extern void uaef_advance_cancel(UaefExecution *execution, const char *reason,
								bool compensate);
extern void uaef_advance_pause(UaefExecution *execution, const char *reason);
extern void uaef_advance_resume(UaefExecution *execution, const char *reason);

#endif							/* UAEF_ADVANCE_H */
