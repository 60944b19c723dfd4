/*-------------------------------------------------------------------------
 *
 * family.h
 *	  Families of executions: who is below whom, and how many there may be.
 *
 * Only the engine includes this.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_FAMILY_H
#define UAEF_FAMILY_H

#include "execution.h"

/*
 * Whether all that are above an execution still wait for it: the task that
 * began it, the task that began that one's execution, and so on.  What a
 * compensation began is wanted whatever became of those above.
 */
extern bool uaef_family_wants(UaefExecution *execution);

/*
 * Count one more child of an execution; false, and nothing is counted, when
 * its family has as many as uaef.max_descendants lets it have.
 */
extern bool uaef_family_admits(UaefExecution *parent);

/* Write what the step has counted. */
extern void uaef_family_write(UaefStep *step);

#endif							/* UAEF_FAMILY_H */
