/*-------------------------------------------------------------------------
 *
 * api_policy.c
 *	  SQL entry points of policies: fetch arguments, call, return.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "arguments.h"
#include "errcodes.h"
#include "human_review.h"
#include "json_util.h"
#include "own_execution.h"
#include "policy.h"
#include "set_result.h"
#include "spi_util.h"

PG_FUNCTION_INFO_V1(uaef_create_policy);
PG_FUNCTION_INFO_V1(uaef_enable_policy);
PG_FUNCTION_INFO_V1(uaef_disable_policy);
PG_FUNCTION_INFO_V1(uaef_drop_policy);
PG_FUNCTION_INFO_V1(uaef_explain_policies);
PG_FUNCTION_INFO_V1(uaef_require_human_review);

/*
 * create_policy(name text, type text, rules jsonb, enforcement text, scope jsonb,
 * description text) RETURNS integer
 */
Datum
uaef_create_policy(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(uaef_policy_create(uaef_arg_text(fcinfo, 0, "name"),
									   uaef_arg_text(fcinfo, 1, "type"),
									   uaef_arg_jsonb(fcinfo, 2, "rules"),
									   uaef_arg_text(fcinfo, 3, "enforcement"),
									   PG_ARGISNULL(4) ? uaef_json_empty() :
									   PG_GETARG_JSONB_P(4),
									   uaef_arg_text_or_null(fcinfo, 5)));
}

/*
 * require_human_review(execution_id uuid, task text, approvers text[],
 * reason text, need int, four_eyes bool, expires interval) RETURNS void
 */
Datum
uaef_require_human_review(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *execution_id = uaef_arg_uuid(fcinfo, 0, "execution_id");
	char	   *task = uaef_arg_text(fcinfo, 1, "task");
	int			n;
	char	  **names = uaef_arg_text_array(fcinfo, 2, "approvers", &n);
	UaefJson	json;

	uaef_json_begin(&json);
	uaef_json_texts(&json, "approvers", names, n);
	uaef_json_int(&json, "need", uaef_arg_int32(fcinfo, 4, "need"));
	uaef_json_bool(&json, "four_eyes", uaef_arg_bool(fcinfo, 5, "four_eyes"));
	if (!PG_ARGISNULL(6))
		uaef_json_text(&json, "expires",
					   psprintf("%lld us",
								(long long) uaef_arg_interval_us(fcinfo, 6,
																 "expires")));
	uaef_human_review_require(execution_id, task, uaef_json_end(&json),
							  uaef_arg_text_or_null(fcinfo, 3));
	PG_RETURN_VOID();
}

/* enable_policy(name text) RETURNS void */
Datum
uaef_enable_policy(PG_FUNCTION_ARGS)
{
	uaef_policy_set_enabled(uaef_arg_text(fcinfo, 0, "name"), true);
	PG_RETURN_VOID();
}

/* disable_policy(name text) RETURNS void */
Datum
uaef_disable_policy(PG_FUNCTION_ARGS)
{
	uaef_policy_set_enabled(uaef_arg_text(fcinfo, 0, "name"), false);
	PG_RETURN_VOID();
}

/* drop_policy(name text) RETURNS void */
Datum
uaef_drop_policy(PG_FUNCTION_ARGS)
{
	uaef_policy_drop(uaef_arg_text(fcinfo, 0, "name"));
	PG_RETURN_VOID();
}

/*
 * The rows of one task, or of what the items of a map run.
 */
static void
put_policies(FunctionCallInfo fcinfo, const UaefDefinition *definition,
			 const UaefTaskDef *def)
{
	const UaefPolicies *all = uaef_policies_get();

	for (int i = 0; i < all->n; i++)
	{
		const UaefPolicy *policy = all->policies[i];
		const char *by = uaef_policy_applies(policy, definition, def);
		bool		nulls[7] = {false};
		Datum		values[7];

		if (by == NULL)
			continue;
		values[0] = CStringGetTextDatum(def->id);
		values[1] = CStringGetTextDatum(uaef_task_type_name(def->type));
		values[2] = CStringGetTextDatum(policy->name);
		values[3] = Int32GetDatum(policy->version);
		values[4] = CStringGetTextDatum(uaef_policy_type_name(policy->type));
		values[5] = CStringGetTextDatum(uaef_enforcement_name(policy->enforcement));
		values[6] = CStringGetTextDatum(by);
		uaef_put_row(fcinfo, values, nulls);
	}
}

/*
 * explain_policies(workflow text, task text, version integer) RETURNS TABLE
 * (task text, task_type text, policy text, policy_version integer, type text,
 * enforcement text, applies_by text)
 */
Datum
uaef_explain_policies(PG_FUNCTION_ARGS)
{
	char	   *workflow = uaef_arg_text(fcinfo, 0, "workflow");
	char	   *task = uaef_arg_text_or_null(fcinfo, 1);
	int32		version = uaef_arg_int32_or(fcinfo, 2, 0);
	const UaefDefinition *definition;

	definition = uaef_definition_get(uaef_definition_find(workflow, version));
	if (task != NULL &&
		uaef_definition_task_no(definition, task, strlen(task)) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_UAEF_UNDEFINED_TASK),
				 errmsg("workflow \"%s\" has no task \"%s\"", workflow,
						task)));
	uaef_begin_set(fcinfo);
	for (int i = 0; i < definition->n_tasks; i++)
	{
		const UaefTaskDef *def = &definition->tasks[i];

		if (task != NULL && strcmp(def->id, task) != 0)
			continue;
		put_policies(fcinfo, definition, def);
		if (def->type == UAEF_TASK_PARALLEL && def->config.parallel.task)
			put_policies(fcinfo, definition, def->config.parallel.task);
	}
	return (Datum) 0;
}
