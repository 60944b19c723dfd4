/*-------------------------------------------------------------------------
 *
 * task_kind.c
 *	  The types of tasks, and those that only stand in the ready set.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "task_kind.h"

static void hand_out_ready(UaefTask *task);

/* SQL tasks wait for an executor, external ones for an outside worker. */
static const UaefTaskKind ready_task = {.hand_out = hand_out_ready};

static const UaefTaskKind *const kinds[] = {
	[UAEF_TASK_SQL] = &ready_task,
	[UAEF_TASK_DECISION] = &uaef_decision_task,
	[UAEF_TASK_CONDITION] = &uaef_condition_task,
	[UAEF_TASK_PARALLEL] = &uaef_map_task,
	[UAEF_TASK_HUMAN_APPROVAL] = &uaef_approval_task,
	[UAEF_TASK_HTTP] = &uaef_http_task,
	[UAEF_TASK_WAIT] = &uaef_wait_task,
	[UAEF_TASK_EXTERNAL] = &ready_task,
	[UAEF_TASK_SIGNAL] = &uaef_signal_task,
	[UAEF_TASK_CHECKPOINT] = &uaef_checkpoint_task,
	[UAEF_TASK_AGENT] = &uaef_agent_task,
	[UAEF_TASK_WORKFLOW] = &uaef_workflow_task,
	[UAEF_TASK_CONNECTOR] = &uaef_connector_task,
	[UAEF_TASK_SETTLE] = &uaef_settle_task
};

const UaefTaskKind *
uaef_task_kind(const UaefTask *task)
{
	const UaefTaskKind *kind = kinds[task->def->type];

	return task->execution->step->dry != NULL && kind->hand_out != NULL ?
		&uaef_dry_task : kind;
}

const UaefTaskKind *
uaef_task_kind_real(const UaefTask *task)
{
	return kinds[task->def->type];
}

static void
hand_out_ready(UaefTask *task)
{
	UaefStep   *step = task->execution->step;

	step->ready = lappend(step->ready, task);
}
