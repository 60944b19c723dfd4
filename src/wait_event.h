/*-------------------------------------------------------------------------
 *
 * wait_event.h
 *	  What our processes wait for, as pg_stat_activity shows it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_WAIT_EVENT_H
#define UAEF_WAIT_EVENT_H

typedef enum UaefWaitEvent
{
	UAEF_WAIT_LAUNCHER,			/* for something to start */
	UAEF_WAIT_WORKER,			/* for work, an answer, or a time */
	UAEF_WAIT_EXECUTOR,			/* for SQL tasks */
	UAEF_WAIT_EXECUTION,		/* wait_for_workflow() */
	UAEF_WAIT_CLAIM,			/* claim_tasks() with wait */
	UAEF_WAIT_WORKER_CONTROL,	/* for a worker to start or end */
	UAEF_WAIT_SIGNER			/* for an answer of a signer's socket */
} UaefWaitEvent;

/* The number to give to WaitLatch(). */
extern uint32 uaef_wait_event(UaefWaitEvent event);

#endif							/* UAEF_WAIT_EVENT_H */
