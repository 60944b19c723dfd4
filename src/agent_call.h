/*-------------------------------------------------------------------------
 *
 * agent_call.h
 *	  Agents that the worker calls, through a connector.
 *
 * An agent whose configuration names a "connector" does not come for its tasks:
 * the worker takes them for it, sends each as a delivery, and gives the answer
 * to the task.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_AGENT_CALL_H
#define UAEF_AGENT_CALL_H

#include "datatype/timestamp.h"

#include "execution.h"

/*
 * The worker's step, in a transaction: call agents for tasks that are ready.
 * Returns when to come again (DT_NOEND: when there is a reason).
 */
extern TimestampTz uaef_agent_call_work(void);

/*
 * The end of a call, of a task that runs; the caller writes the step.  answer
 * is what the connector makes of it (model_answer.h).
 */
extern void uaef_agent_call_answered(UaefTask *task, Jsonb *answer);
extern void uaef_agent_call_failed(UaefTask *task, const UaefFailure *failure);

/*
 * Raise unless a configuration that names a connector names one that exists,
 * and that is of the platform's type.
 */
extern void uaef_agent_check_connector(const char *platform,
									   Jsonb *configuration);

#endif							/* UAEF_AGENT_CALL_H */
