/*-------------------------------------------------------------------------
 *
 * control.h
 *	  Control of executions by the people who started them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_CONTROL_H
#define UAEF_CONTROL_H

#include "execution.h"

typedef enum UaefControl
{
	UAEF_CONTROL_CANCEL,
	UAEF_CONTROL_PAUSE,
	UAEF_CONTROL_RESUME
} UaefControl;

/* Do it as the current user, who must be a member of the role that started. */
extern void uaef_engine_control(const pg_uuid_t *id, UaefControl control,
								const char *reason);

/* Lock and load an execution; raises UA303 when there is none. */
extern UaefExecution *uaef_lock_execution(UaefStep *step, const pg_uuid_t *id);

/* The same, and raise unless caller may control it. */
extern UaefExecution *uaef_lock_own_execution(UaefStep *step,
											  const pg_uuid_t *id, Oid caller);

/* Raise UA001 when a document is larger than uaef.max_payload_size. */
extern void uaef_check_payload(const char *what, Jsonb *payload);

#endif							/* UAEF_CONTROL_H */
