/*-------------------------------------------------------------------------
 *
 * control.c
 *	  Control of executions by the people who started them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "advance.h"
#include "control.h"
#include "failure.h"
#include "own_execution.h"
#include "spi_util.h"
#include "workflow_task.h"

void
uaef_engine_control(const pg_uuid_t *id, UaefControl control,
					const char *reason)
{
	Oid			caller = GetUserId();
	UaefCaller	back = uaef_spi_begin();
	UaefStep   *step = uaef_step_begin("user",
									   GetUserNameFromId(caller, false));
	UaefExecution *execution = uaef_lock_own_execution(step, id, caller);

	reason = uaef_clip(reason);
	switch (control)
	{
		case UAEF_CONTROL_CANCEL:
			if (!uaef_execution_ended(execution->status))
				uaef_workflow_task_lock_children(execution);
			uaef_advance_cancel(execution, reason, true);
			break;
		case UAEF_CONTROL_STOP:
			if (!uaef_execution_ended(execution->status))
				uaef_workflow_task_lock_children(execution);
			uaef_advance_cancel(execution, reason, false);
			break;
		case UAEF_CONTROL_PAUSE:
			uaef_advance_pause(execution, reason);
			break;
		case UAEF_CONTROL_RESUME:
			uaef_advance_resume(execution, reason);
			break;
	}
	uaef_step_write(step);
	uaef_spi_end(back);
}
