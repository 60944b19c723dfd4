/*-------------------------------------------------------------------------
 *
 * decision_task.c
 *	  Decisions and conditions: pure tasks that choose the way on.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "advance.h"
#include "errcodes.h"
#include "failure.h"
#include "task_kind.h"

static void begin_decision(UaefTask *task);
static void begin_condition(UaefTask *task);

const UaefTaskKind uaef_decision_task = {.begin = begin_decision};
const UaefTaskKind uaef_condition_task = {.begin = begin_condition};

static void
begin_decision(UaefTask *task)
{
	const UaefDecisionConfig *config = &task->def->config.decision;
	UaefEvalError error = {0};
	UaefFailure failure = {0};
	const char *label = config->default_label;
	UaefJson	json;

	for (int i = 0; i < config->n_cases; i++)
	{
		bool		met;

		if (!uaef_condition_eval(config->cases[i].when, uaef_task_scope(task),
								 &met, &error))
		{
			uaef_advance_fail_evaluation(task, &error);
			return;
		}
		if (met)
		{
			label = config->cases[i].label;
			break;
		}
	}

	if (label == NULL)
	{
		uaef_failure_set(&failure, ERRCODE_UAEF_NO_DECISION,
						 "no case of the decision applies, and it has no default");
		uaef_advance_fail_finally(task, &failure);
		return;
	}
	uaef_json_begin(&json);
	uaef_json_text(&json, "decision", label);
	uaef_advance_finish_task(task, uaef_json_end(&json), label);
}

static void
begin_condition(UaefTask *task)
{
	UaefEvalError error = {0};
	bool		result;
	UaefJson	json;

	if (!uaef_condition_eval(task->def->config.condition.when,
							 uaef_task_scope(task), &result, &error))
	{
		uaef_advance_fail_evaluation(task, &error);
		return;
	}
	uaef_json_begin(&json);
	uaef_json_bool(&json, "result", result);
	uaef_advance_finish_task(task, uaef_json_end(&json), result ? "true" : "false");
}
