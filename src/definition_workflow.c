/*-------------------------------------------------------------------------
 *
 * definition_workflow.c
 *	  "config" of a task that runs a workflow.
 *
 * Pure.  Memory: the definition's context is current.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "definition_read.h"
#include "errcodes.h"

/* Runs of a repeated workflow: unless the definition says so, and at most. */
#define DEFAULT_RUNS 100
#define MAX_RUNS 1000000

/*
 * "repeat": {"until": condition, "max": n, "delay": duration, "first": ...}
 */
static void
read_repeat(const UaefObject *config, UaefRepeat *repeat)
{
	static const char *const keys[] = {"until", "max", "delay", "first", NULL};
	UaefBuilder *builder = config->builder;
	JsonbValue	value;
	UaefObject	object;

	if (!uaef_read_value(config, "repeat", &value))
		return;
	object = uaef_read_object(builder, &value, keys,
							  psprintf("repeat in %s", config->where));
	repeat->first = uaef_read_template(&object, "first");
	builder->reader.last = true;
	repeat->until = uaef_read_condition(&object, "until", true);
	builder->reader.last = false;
	repeat->max = uaef_read_int(&object, "max", DEFAULT_RUNS, 1, MAX_RUNS);
	repeat->delay_ms = uaef_read_duration(&object, "delay", 0);
}

void
uaef_read_workflow(const UaefObject *config, UaefTaskDef *task)
{
	UaefWorkflowConfig *workflow = &task->config.workflow;
	UaefBuilder *builder = config->builder;

	builder->def->runs_workflows = true;
	workflow->name = uaef_read_text(config, "workflow", true);
	workflow->version = uaef_read_int(config, "version", 0, 1, PG_INT32_MAX);
	read_repeat(config, &workflow->repeat);

	/* What the first run reads as "last" must have been given. */
	builder->reader.last = workflow->repeat.first != NULL;
	workflow->input = uaef_read_template(config, "input");
	builder->reader.last = false;
}
