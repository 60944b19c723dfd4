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
	UAEF_CONTROL_STOP,			/* cancel, without compensation */
	UAEF_CONTROL_PAUSE,
	UAEF_CONTROL_RESUME
} UaefControl;

/* Do it as the current user, who must be a member of the role that started. */
extern void uaef_engine_control(const pg_uuid_t *id, UaefControl control,
								const char *reason);

#endif							/* UAEF_CONTROL_H */
