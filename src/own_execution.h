/*-------------------------------------------------------------------------
 *
 * own_execution.h
 *	  What every request of a caller is checked for.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_OWN_EXECUTION_H
#define UAEF_OWN_EXECUTION_H

#include "execution.h"

/* Lock and load an execution; raises UA303 when there is none. */
extern UaefExecution *uaef_lock_execution(UaefStep *step, const pg_uuid_t *id);

/* The same, and raise unless caller may control it. */
extern UaefExecution *uaef_lock_own_execution(UaefStep *step,
											  const pg_uuid_t *id, Oid caller);

#endif							/* UAEF_OWN_EXECUTION_H */
