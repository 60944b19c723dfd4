/*-------------------------------------------------------------------------
 *
 * compensation.h
 *	  Undoing what an execution did, before it fails or is cancelled.
 *
 * Only the engine includes this.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_COMPENSATION_H
#define UAEF_COMPENSATION_H

#include "execution.h"

/*
 * Let the execution end so when all has been compensated.  Returns false when
 * there is nothing to compensate: it ends now.  The caller drains.
 */
extern bool uaef_compensation_begin(UaefExecution *execution,
									UaefExecutionStatus ending);

/* Begin the next compensation, or end the execution. */
extern void uaef_compensation_go_on(UaefExecution *execution);

/* A compensation has completed, or failed for good. */
extern void uaef_compensation_ended(UaefTask *compensation);

/*
 * End the execution without the compensations that are left; raises UA305 if
 * that was not asked for.
 */
extern void uaef_compensation_stop(UaefExecution *execution,
								   const char *reason, bool compensate);

/* Whether something that an execution did was undone, or to be undone. */
extern bool uaef_compensation_was_begun(const UaefExecution *execution);

#endif							/* UAEF_COMPENSATION_H */
