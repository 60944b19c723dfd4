/*-------------------------------------------------------------------------
 *
 * retry.h
 *	  Going on with an execution that failed or was cancelled.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_RETRY_H
#define UAEF_RETRY_H

#include "execution.h"

/* The task of this id, and all that follows from it, in an array by number. */
extern bool *uaef_tasks_from(const UaefDefinition *def, int no);

/* The number of a task; raises UA304 when the definition has none. */
extern int	uaef_require_task_no(const UaefDefinition *def, const char *id);

/*
 * Begin again what failed, was cancelled or skipped, and with from_task (which
 * may be NULL) that task and all that follows from it.  Raises UA305 unless the
 * execution failed or was cancelled.
 */
extern void uaef_retry_execution(UaefExecution *execution,
								 const char *from_task, const char *reason);

/* The same for the current user. */
extern void uaef_engine_retry(const pg_uuid_t *id, const char *from_task,
							  const char *reason);

#endif							/* UAEF_RETRY_H */
