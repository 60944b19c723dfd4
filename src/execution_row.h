/*-------------------------------------------------------------------------
 *
 * execution_row.h
 *	  The columns of workflow_execution and task_execution, in the order that
 *	  the tables have them.
 *
 * execution.c reads them, as "SELECT ctid, xmin, t.*", and step_store.c writes
 * whole rows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UAEF_EXECUTION_ROW_H
#define UAEF_EXECUTION_ROW_H

enum
{
	EXEC_EXECUTION_ID, EXEC_DEFINITION_ID, EXEC_NAME, EXEC_STATUS,
	EXEC_PRIORITY, EXEC_OPEN_TASKS, EXEC_INITIATED_BY, EXEC_SESSION_ROLE,
	EXEC_INPUT, EXEC_OUTPUT, EXEC_ERROR, EXEC_CREATED_AT, EXEC_STARTED_AT,
	EXEC_COMPLETED_AT, EXEC_SCHEDULE_ID, EXEC_TICK_AT,
	EXEC_AGENT,
	N_EXECUTION_COLUMNS
};

enum
{
	TASK_EXECUTION_ID, TASK_TASK_NO, TASK_ITEM, TASK_TASK_ID, TASK_TASK,
	TASK_STATUS, TASK_ATTEMPT, TASK_EDGES_RESOLVED, TASK_EDGES_LIVE,
	TASK_ITEMS_TOTAL, TASK_ITEMS_STARTED, TASK_ITEMS_COMPLETED,
	TASK_ITEMS_FAILED, TASK_ITEM_VALUE, TASK_OUTPUT, TASK_ERROR, TASK_WORKER,
	TASK_LEASE_TOKEN, TASK_LEASE_EXPIRES_AT, TASK_QUEUED_AT, TASK_STARTED_AT,
	TASK_COMPLETED_AT,
	N_TASK_COLUMNS
};

#endif							/* UAEF_EXECUTION_ROW_H */
