/*-------------------------------------------------------------------------
 *
 * task_input.c
 *	  The input that a SQL, external or agent task is given.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "errcodes.h"
#include "task_input.h"

Jsonb *
uaef_task_input(UaefTask *task, UaefEvalError *error)
{
	const UaefSqlConfig *sql = uaef_task_sql(task->def);
	const UaefTemplate *input = sql != NULL ? sql->input :
		task->def->type == UAEF_TASK_AGENT ? task->def->config.agent.input :
		task->def->config.external.input;

	if (input != NULL)
		return uaef_template_fill(input, uaef_task_scope(task), error);
	return task->item_value != NULL ? task->item_value : uaef_execution_input(task->execution);
}
