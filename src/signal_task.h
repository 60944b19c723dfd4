/*-------------------------------------------------------------------------
 *
 * signal_task.h
 *	  Tasks that wait for a signal.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_SIGNAL_TASK_H
#define UAEF_SIGNAL_TASK_H

#include "execution.h"

/* A signal that was sent to an execution. */
typedef struct UaefSignal
{
	int64		signal_id;
	const char *name;
	Jsonb	   *payload;
	Oid			sent_by;
	TimestampTz sent_at;
} UaefSignal;

/*
 * The task of the execution that has waited longest for such a signal, of
 * those whose match and filter it passes; NULL: none.
 */
extern UaefTask *uaef_signal_find_waiting(UaefExecution *execution,
										  const UaefSignal *signal);

/* Complete a waiting task with the signal. */
extern void uaef_signal_deliver(UaefTask *task, const UaefSignal *signal);

#endif							/* UAEF_SIGNAL_TASK_H */
